/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-bus-server.c - the private socket: who may come in, what a bad client can do, and the main loop
 * under it. */
#include <dbus/dbus.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dbus/bus-server.h"
#include "dbus/bus-source.h"
#include "test-bus.h"
#include "test-reply.h"
#include "test-service.h"

#define STRANGER "65534"
#define VIEWER   "65533"

typedef struct {
	char *folder, *path, *address;
	TestService *service;
	BusServer *server;
	BusLink *link;
	guint n_changes; /* of on_clients */
	gsize n_clients;
} Place;

static void on_clients(gsize n_clients, gpointer user_data)
{
	Place *place = user_data;

	place->n_changes++;
	place->n_clients = n_clients;
}

static void listen_again(Place *place)
{
	static const guint32 uids[] = { 65533 };
	g_autoptr(GError) error = NULL;

	place->server = bus_server_new(place->path, place->service->tree, uids, G_N_ELEMENTS(uids), &error);
	g_assert_no_error(error);
	bus_server_on_clients(place->server, on_clients, place);
}

static void place_set_up(Place *place, gconstpointer data)
{
	place->folder = test_folder_new();
	place->path = g_build_filename(place->folder, "socket", NULL);
	place->address = g_strdup_printf("unix:path=%s", place->path);
	place->service = test_service_new();
	listen_again(place);
	place->link = bus_link_new_private(place->address);
	test_until(bus_link_is_up(place->link) && place->n_clients > 0);
}

static void place_tear_down(Place *place, gconstpointer data)
{
	test_unsubscribe_all(place->link);
	bus_link_free(place->link);
	bus_server_free(place->server);
	test_service_free(place->service);
	g_free(place->path);
	g_free(place->address);
	test_folder_remove(place->folder);
}

/* ---- Another process ---- */

typedef struct {
	bool done;
	char *output;
} Child;

static void on_output(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	Child *child = user_data;

	g_subprocess_communicate_utf8_finish(G_SUBPROCESS(source), result, &child->output, NULL, &error);
	g_assert_no_error(error);
	g_strchomp(child->output);
	child->done = true;
}

/* Starts bus-client; the arguments end with NULL. */
static void client_start(Child *child, ...)
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	va_list args;

	g_ptr_array_add(argv, (char *)g_getenv("BUS_CLIENT"));
	g_assert_nonnull(argv->pdata[0]);
	va_start(args, child);
	for (char *arg = va_arg(args, char *); arg; arg = va_arg(args, char *))
		g_ptr_array_add(argv, arg);
	va_end(args);
	g_ptr_array_add(argv, NULL);

	g_autoptr(GSubprocess) process =
		g_subprocess_newv((const char *const *)argv->pdata, G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
	g_assert_no_error(error);
	g_subprocess_communicate_utf8_async(process, NULL, NULL, on_output, child);
}

static void check_call_as(Place *place, char *uid, char *method, const char *expected)
{
	Child child = { 0 };

	client_start(&child, "call", uid, uid, place->address, "-", TEST_ROOT, TEST_INTERFACE, method, NULL);
	test_until(child.done);
	g_assert_cmpstr(child.output, ==, expected);
	g_free(child.output);
}

/* ---- Who may come in ---- */

static void test_uids(Place *place, gconstpointer data)
{
	g_assert_cmpuint(geteuid(), ==, 0); /* the suite runs as root: it must be able to be somebody else */
	check_call_as(place, "0", "Administer", "ok");
	/* May look, and no more. */
	check_call_as(place, VIEWER, "WhoAmI", "ok");
	check_call_as(place, VIEWER, "Administer", "org.freedesktop.DBus.Error.AccessDenied");

	Child child = { 0 };
	client_start(&child, "call", STRANGER, STRANGER, place->address, "-", TEST_ROOT, TEST_INTERFACE, "Add", NULL);
	test_until(child.done);
	g_assert_cmpstr(child.output, !=, "ok");
	g_assert_false(g_str_has_prefix(child.output, "org.understudy")); /* it never came as far as a call */
	g_free(child.output);
	test_until(bus_server_n_clients(place->server) == 1);
}

static void test_socket(Place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct stat status;

	g_assert_cmpint(stat(place->path, &status), ==, 0);
	g_assert_cmpuint(status.st_mode & 07777, ==, 0666);
	bus_server_free(place->server);
	g_assert_cmpint(stat(place->path, &status), ==, -1);

	/* Left behind by one that was killed. */
	struct sockaddr_un name = { AF_UNIX };
	g_strlcpy(name.sun_path, place->path, sizeof(name.sun_path));
	int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(stale, (struct sockaddr *)&name, sizeof(name)), ==, 0);
	close(stale);
	listen_again(place);
	test_until(bus_link_is_up(place->link) && place->n_clients == 1);

	/* Somebody's file is not ours to remove. */
	g_autofree char *file = g_build_filename(place->folder, "file", NULL);
	g_assert_true(g_file_set_contents(file, "precious", -1, NULL));
	g_assert_null(bus_server_new(file, place->service->tree, NULL, 0, &error));
	g_assert_nonnull(error);
	g_assert_cmpint(access(file, F_OK), ==, 0);
	g_clear_error(&error);
	g_autofree char *nowhere = g_build_filename(place->folder, "no", "folder", NULL);
	g_assert_null(bus_server_new(nowhere, place->service->tree, NULL, 0, &error));
	g_assert_nonnull(error);
}

static void test_clients(Place *place, gconstpointer data)
{
	g_assert_cmpuint(place->n_changes, ==, 1);
	BusLink *second = bus_link_new_private(place->address);
	test_until(bus_server_n_clients(place->server) == 2);
	g_assert_cmpuint(place->n_changes, ==, 1); /* not the first */
	test_until(bus_link_is_up(second));
	bus_link_free(second);
	test_until(bus_server_n_clients(place->server) == 1);
	bus_link_free(place->link);
	test_until(place->n_clients == 0);
	g_assert_cmpuint(place->n_changes, ==, 2);
	place->link = bus_link_new_private(place->address);
	test_until(place->n_clients == 1);
}

/* Somebody who connects and says nothing is shown out, and was never a client. */
static void test_silent(Place *place, gconstpointer data)
{
	struct sockaddr_un name = { AF_UNIX };
	struct pollfd hung_up = { socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), POLLIN };

	g_strlcpy(name.sun_path, place->path, sizeof(name.sun_path));
	g_assert_cmpint(connect(hung_up.fd, (struct sockaddr *)&name, sizeof(name)), ==, 0);
	test_until(poll(&hung_up, 1, 0) == 1);
	close(hung_up.fd);
	g_assert_cmpuint(place->n_changes, ==, 1);
}

/* Signals reach every client. */
static void test_signals(Place *place, gconstpointer data)
{
	g_autoptr(GPtrArray) first = test_log_new(), second = test_log_new();
	BusLink *other = bus_link_new_private(place->address);

	bus_link_subscribe(place->link, NULL, NULL, TEST_INTERFACE, NULL, test_log_signal, first);
	bus_link_subscribe(other, NULL, NULL, TEST_INTERFACE, NULL, test_log_signal, second);
	test_until(bus_server_n_clients(place->server) == 2 && bus_link_is_up(other));
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 5));
	test_until(first->len == 1 && second->len == 1);
	test_unsubscribe_all(other);
	bus_link_free(other);
}

/* ---- 1-4: the main loop ---- */

static void test_many_calls(Place *place, gconstpointer data)
{
	g_auto(Reply) last = { 0 };
	Reply *replies = g_new0(Reply, 5000);

	for (int i = 0; i < 5000; i++)
		bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Add", g_variant_new("(ii)", i, 1),
			      CALL_TIMEOUT_MS, reply_cb, &replies[i]);
	test_until(replies[4999].n > 0);
	for (int i = 0; i < 5000; i++) {
		gint32 sum;
		g_assert_no_error(replies[i].error);
		g_variant_get(replies[i].values, "(i)", &sum);
		g_assert_cmpint(sum, ==, i + 1);
		reply_clear(&replies[i]);
	}
	g_free(replies);
}

static bool answer_all(TestService *service)
{
	BusCall *call;

	while ((call = g_queue_pop_head(&service->all_kept)))
		bus_call_reply(call, g_variant_new("(s)", "late"));
	return true;
}

/* Of a client whose calls wait, no more are read than were agreed; nobody else is held up, and all are answered in the end. */
static void test_held(Place *place, gconstpointer data)
{
	g_autofree Reply *replies = g_new0(Reply, 1000);

	bus_server_hold(place->server, 8192); /* of who comes from now on */
	BusLink *flood = bus_link_new_private(place->address);
	test_until(bus_link_is_up(flood));
	for (int i = 0; i < 1000; i++)
		bus_link_call(flood, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, reply_cb, &replies[i]);
	test_until(place->service->n_kept > 0);
	for (int i = 0; i < 200; i++) {
		g_auto(Reply) sum = test_call(place->link, NULL, "Add", g_variant_new("(ii)", i, 1));

		g_assert_no_error(sum.error);
		/* A call of Keep has more than 100 bytes; what was read in one piece when the limit was reached is 2 kilobytes. */
		g_assert_cmpuint(place->service->n_kept, <=, (8192 + 2048) / 100);
	}
	test_until(answer_all(place->service) && replies[999].n > 0);
	for (int i = 0; i < 1000; i++) {
		g_assert_no_error(replies[i].error);
		reply_clear(&replies[i]);
	}
	bus_link_free(flood);
}

static void test_timeout(Place *place, gconstpointer data)
{
	g_auto(Reply) reply = { 0 };
	gint64 begin_us = g_get_monotonic_time();

	bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, 60, reply_cb, &reply);
	test_until(reply.n > 0);
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_TIMED_OUT);
	g_assert_cmpint(g_get_monotonic_time() - begin_us, >=, 60000);

	/* What comes too late is not taken for the answer to anything else. */
	bus_call_reply(place->service->kept, g_variant_new("(s)", "late"));
	g_auto(Reply) next = test_call(place->link, NULL, "Add", g_variant_new("(ii)", 2, 2));
	g_assert_cmpstr(next.text, ==, "(4,)");
	g_assert_cmpuint(reply.n, ==, 1);
}

static void test_cancel(Place *place, gconstpointer data)
{
	g_auto(Reply) reply = { 0 };
	BusPending *pending = bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS,
					    reply_cb, &reply);

	test_until(place->service->kept);
	bus_pending_cancel(pending);
	bus_pending_cancel(NULL);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "to nobody"));
	g_auto(Reply) next = test_call(place->link, NULL, "Add", g_variant_new("(ii)", 2, 2));
	g_assert_cmpuint(reply.n, ==, 0);
}

static guint n_turns;

static gboolean count_turn(gpointer user_data)
{
	n_turns++;
	return G_SOURCE_CONTINUE;
}

static gboolean on_tick(gpointer user_data)
{
	static gint64 last_us;
	gint64 *worst_us = user_data, now_us = g_get_monotonic_time();

	if (last_us && *worst_us >= 0)
		*worst_us = MAX(*worst_us, now_us - last_us);
	last_us = now_us;
	return G_SOURCE_CONTINUE;
}

/* One message a turn: timers of higher priority come between any two, and one client cannot keep another waiting. */
static void test_flood(Place *place, gconstpointer data)
{
	GSource *ticks = g_timeout_source_new(1);
	Child child = { 0 };
	gint64 worst_us = 0, slowest_us = 0;
	guint n_asked = 0;

	g_source_set_priority(ticks, G_PRIORITY_HIGH);
	g_source_set_callback(ticks, on_tick, &worst_us, NULL);
	g_source_attach(ticks, NULL);

	client_start(&child, "flood", place->address, TEST_ROOT, "20000", NULL);
	test_until(bus_server_n_clients(place->server) == 2 || child.done);
	gint64 flood_begin_us = g_get_monotonic_time();
	while (!child.done) {
		gint64 begin_us = g_get_monotonic_time();
		g_auto(Reply) reply = test_call(place->link, NULL, "Add", g_variant_new("(ii)", 1, 2));
		g_assert_cmpstr(reply.text, ==, "(3,)");
		slowest_us = MAX(slowest_us, g_get_monotonic_time() - begin_us);
		n_asked++;
	}
	g_assert_cmpstr(child.output, ==, "20000"); /* each answered */
	g_test_message("timer gap at most %" G_GINT64_FORMAT
		       " us; %u calls beside the flood, the slowest %" G_GINT64_FORMAT " us",
		       worst_us, n_asked, slowest_us);
	/* Were the queue drained in one go, a gap would be about as long as the flood. */
	g_assert_cmpint(worst_us, <, (g_get_monotonic_time() - flood_begin_us) / 3);
	g_assert_cmpuint(n_asked, >, 10);
	g_source_destroy(ticks);
	g_source_unref(ticks);
	g_free(child.output);
}

static void test_one_message_a_turn(Place *place, gconstpointer data)
{
	Reply replies[10] = { 0 };

	/* A source that is always ready, of the bus's own priority, counts the turns. */
	GSource *source = g_idle_source_new();
	g_source_set_priority(source, BUS_PRIORITY);
	g_source_set_callback(source, count_turn, NULL, NULL);
	for (int i = 0; i < 10; i++)
		bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, reply_cb,
			      &replies[i]);

	/* All ten have been sent, and lie in the socket or in libdbus. */
	g_source_attach(source, NULL);
	n_turns = 0;
	guint before = place->service->n_kept;
	while (place->service->n_kept < before + 10) {
		guint kept = place->service->n_kept;
		g_main_context_iteration(NULL, true);
		g_assert_cmpuint(place->service->n_kept - kept, <=, 1);
		if (place->service->n_kept > kept)
			bus_call_reply(place->service->kept, g_variant_new("(s)", "x"));
	}
	g_assert_cmpuint(n_turns, >=, 9);
	test_until(replies[9].n == 1);
	for (int i = 0; i < 10; i++)
		reply_clear(&replies[i]);
	g_source_destroy(source);
	g_source_unref(source);
}

/* A socket that hung up, or an empty one, does not keep the loop turning. */
static void test_no_spinning(Place *place, gconstpointer data)
{
	GSource *watcher = g_timeout_source_new(20);
	int n = 0;

	g_source_set_callback(watcher, count_turn, NULL, NULL);
	g_source_attach(watcher, NULL);
	for (int round = 0; round < 2; round++) {
		n_turns = 0;
		for (n = 0; n_turns < 15; n++)
			g_main_context_iteration(NULL, true);
		/* 15 ticks; in the second round also the link's attempts: 10, 20, 40, ... ms, two turns or so each. */
		g_assert_cmpint(n, <, 60);
		if (round == 0) {
			bus_server_free(place->server);
			test_until(!bus_link_is_up(place->link));
		}
	}
	g_source_destroy(watcher);
	g_source_unref(watcher);
	listen_again(place);
}

/* ---- 14, 19: coming back ---- */

typedef struct {
	guint up, down;
	BusLink *free_it; /* in the next `down` */
} Changes;

static void on_up(BusLink *link, gpointer user_data)
{
	((Changes *)user_data)->up++;
}

static void on_down(BusLink *link, gpointer user_data)
{
	Changes *changes = user_data;

	changes->down++;
	if (changes->free_it)
		bus_link_free(changes->free_it);
}

static void test_comes_back(Place *place, gconstpointer data)
{
	g_autoptr(GPtrArray) log = test_log_new();
	Changes changes = { 0 };
	g_auto(Reply) lost = { 0 };
	g_auto(Reply) refused = { 0 };

	bus_link_on_change(place->link, on_up, on_down, &changes);
	BusSubscription *subscription =
		bus_link_subscribe(place->link, NULL, NULL, TEST_INTERFACE, NULL, test_log_signal, log);
	bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, reply_cb, &lost);
	test_until(place->service->kept);

	bus_server_free(place->server);
	test_until(changes.down == 1);
	g_assert_error(lost.error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE); /* before `down` */
	bus_call_reply(place->service->kept, g_variant_new("(s)", "to nobody"));
	BusPending *pending = bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS,
					    reply_cb, &refused);
	g_assert_nonnull(pending);
	g_assert_cmpuint(refused.n, ==, 0); /* from the loop */
	test_until(refused.n == 1);
	g_assert_error(refused.error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE);

	listen_again(place);
	test_until(changes.up == 1);
	g_assert_cmpuint(changes.down, ==, 1);
	test_until(bus_server_n_clients(place->server) == 1);
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 5));
	test_until(log->len == 1);
	bus_subscription_free(subscription);
}

static void free_link(GVariant *values, const GError *error, gpointer user_data)
{
	BusLink **link = user_data;

	bus_link_free(*link);
	*link = NULL;
}

static void free_link_on_signal(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	free_link(args, NULL, user_data);
}

static void free_subscription(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	BusSubscription **subscription = user_data;

	g_assert_nonnull(*subscription); /* not called again */
	bus_subscription_free(*subscription);
	*subscription = NULL;
}

static void test_freed_by_callbacks(Place *place, gconstpointer data)
{
	Changes changes = { 0 };
	g_auto(Reply) never = { 0 };

	/* In an answer, with others outstanding. */
	BusLink *first = bus_link_new_private(place->address);
	test_until(bus_link_is_up(first));
	bus_link_call(first, NULL, TEST_ROOT, TEST_INTERFACE, "WhoAmI", NULL, CALL_TIMEOUT_MS, free_link, &first);
	bus_link_call(first, NULL, TEST_ROOT, TEST_INTERFACE, "WhoAmI", NULL, CALL_TIMEOUT_MS, reply_cb, &never);
	test_until(!first);

	/* In a signal, with another subscription behind it; and a subscription in its own. */
	BusLink *second = bus_link_new_private(place->address);
	test_until(bus_link_is_up(second) && bus_server_n_clients(place->server) == 2);
	g_autoptr(GPtrArray) log = test_log_new();
	BusSubscription *first_in_line =
		bus_link_subscribe(second, NULL, NULL, TEST_INTERFACE, NULL, free_link_on_signal, &second);
	BusSubscription *behind = bus_link_subscribe(second, NULL, NULL, TEST_INTERFACE, NULL, test_log_signal, log);
	BusSubscription *own =
		bus_link_subscribe(place->link, NULL, NULL, TEST_INTERFACE, NULL, free_subscription, &own);
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 1));
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 2));
	test_until(!second && !own);
	g_assert_cmpuint(log->len, ==, 0);
	bus_subscription_free(first_in_line); /* either may be freed first */
	bus_subscription_free(behind);

	/* In `down`. */
	BusLink *third = bus_link_new_private(place->address);
	changes.free_it = third;
	bus_link_on_change(third, on_up, on_down, &changes);
	test_until(changes.up == 1);
	bus_server_free(place->server);
	test_until(changes.down == 1);
	listen_again(place);
	g_assert_cmpuint(never.n, ==, 0);
}

static void drop_mirror(BusMirror *mirror, gpointer user_data)
{
	bus_mirror_free(mirror);
	*(BusMirror **)user_data = NULL;
}

static void count_change(BusMirror *mirror, gpointer user_data)
{
	++*(guint *)user_data;
}

static gint32 mirrored(BusMirror *mirror)
{
	GVariant *value = bus_mirror_get(mirror, "Number", "i");

	return value ? g_variant_get_int32(value) : -1;
}

static void test_mirror(Place *place, gconstpointer data)
{
	guint n = 0;
	BusMirror *mirror = bus_mirror_new(place->link, NULL, TEST_ROOT, TEST_INTERFACE, count_change, &n);

	g_assert_null(bus_mirror_get(mirror, "Number", "i"));
	test_until(bus_mirror_is_fresh(mirror));
	g_assert_cmpuint(n, ==, 1);
	g_assert_cmpint(mirrored(mirror), ==, 0);
	g_assert_null(bus_mirror_get(mirror, "Number", "s")); /* another type */
	g_assert_null(bus_mirror_get(mirror, "Nothing", "s"));

	test_service_set_number(place->service, 5);
	test_until(mirrored(mirror) == 5);
	g_assert_cmpuint(n, ==, 2);

	/* Said to have changed, without the value: it is asked for. */
	place->service->vague = 3;
	bus_object_changed(place->service->root, TEST_INTERFACE, "Vague");
	test_until(bus_mirror_get(mirror, "Vague", "i") &&
		   g_variant_get_int32(bus_mirror_get(mirror, "Vague", "i")) == 3);
	test_service_set_text(place->service, NULL);
	test_until(!bus_mirror_get(mirror, "Text", "s"));

	/* Stale while nobody is there; changes meanwhile are seen afterwards. */
	bus_server_free(place->server);
	test_until(!bus_mirror_is_fresh(mirror));
	g_assert_null(bus_mirror_get(mirror, "Number", "i"));
	test_service_set_number(place->service, 6);
	listen_again(place);
	test_until(mirrored(mirror) == 6);

	/* An object that is not there yet. */
	BusMirror *early = bus_mirror_new(place->link, NULL, TEST_ROOT "/child/late", "org.understudy.TestChild1",
					  count_change, &n);
	g_auto(Reply) unknown = test_call_at(place->link, NULL, TEST_ROOT "/child/late", DBUS_INTERFACE_PROPERTIES,
					     "GetAll", g_variant_new("(s)", "org.understudy.TestChild1"));
	g_assert_error(unknown.error, BUS_ERROR, BUS_ERROR_UNKNOWN_OBJECT);
	test_service_add_child(place->service, "late");
	test_until(bus_mirror_is_fresh(early));

	BusMirror *gone = bus_mirror_new(place->link, NULL, TEST_ROOT, TEST_INTERFACE, drop_mirror, &gone);
	test_until(!gone);
	/* Freed before their link, after it, and with a question under way. */
	BusLink *other = bus_link_new_private(place->address);
	test_until(bus_link_is_up(other));
	BusMirror *orphan = bus_mirror_new(other, NULL, TEST_ROOT, TEST_INTERFACE, count_change, &n);
	bus_link_free(other);
	g_assert_false(bus_mirror_is_fresh(orphan));
	bus_mirror_free(orphan);
	bus_mirror_free(early);
	bus_mirror_free(mirror);
	bus_mirror_free(NULL);
}

/* ---- 14: writing to a far side that has gone, or does not read ---- */

static void test_sigpipe(Place *place, gconstpointer data)
{
	struct sigaction action;

	/* Children of a daemon inherit this. */
	g_assert_cmpint(sigaction(SIGPIPE, NULL, &action), ==, 0);
	g_assert_true(action.sa_handler == SIG_DFL);

	/* The link has not heard yet that its far side has gone. */
	bus_server_free(place->server);
	g_auto(Reply) reply = test_call(place->link, NULL, "Add", g_variant_new("(ii)", 1, 2));
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE);
	listen_again(place);
}

static void test_deaf(Place *place, gconstpointer data)
{
	Child child = { 0 };

	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*stopped reading*");
	client_start(&child, "deaf", place->address, TEST_ROOT, NULL);
	test_until(child.done);
	g_test_assert_expected_messages();
	g_assert_cmpstr(child.output, ==, "closed");
	g_free(child.output);
	g_auto(Reply) reply = test_call(place->link, NULL, "Add", g_variant_new("(ii)", 1, 2));
	g_assert_cmpstr(reply.text, ==, "(3,)");
}

/* ---- 18: file descriptors ---- */

static guint n_open_fds(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	guint n = 0;

	while (g_dir_read_name(dir))
		n++;
	return n;
}

typedef struct {
	BusPending *pending;
	char text[20];
} Given;

static void on_given(GVariant *values, const GError *error, gpointer user_data)
{
	g_autoptr(GError) problem = NULL;
	Given *given = user_data;
	gint32 handle;

	g_assert_no_error(error);
	g_variant_get(values, "(h)", &handle);
	int fd = bus_pending_take_fd(given->pending, handle, &problem);
	g_assert_no_error(problem);
	g_assert_cmpint(read(fd, given->text, sizeof(given->text) - 1), >, 0);
	close(fd);
}

static void test_fds(Place *place, gconstpointer data)
{
	/* Connecting has its own descriptors for a moment; after an answer they are gone. */
	g_auto(Reply) settled = test_call(place->link, NULL, "GiveFd", NULL);
	g_assert_no_error(settled.error);
	guint before = n_open_fds();
	int ends[2];

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_assert_cmpint(write(ends[1], "secret", 6), ==, 6);
	g_auto(Reply) reply = { 0 };
	bus_link_call_fds(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "ReadFd", g_variant_new("(h)", 0), &ends[0], 1,
			  CALL_TIMEOUT_MS, reply_cb, &reply);
	close(ends[0]);
	close(ends[1]);
	test_until(reply.n > 0);
	g_assert_cmpstr(reply.text, ==, "('secret',)");

	Given given = { 0 };
	given.pending = bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "GiveFd", NULL, CALL_TIMEOUT_MS,
				      on_given, &given);
	test_until(given.text[0]);
	g_assert_cmpstr(given.text, ==, "given");

	/* Nobody takes these: in an answer, in a call with the wrong arguments, in a call nobody knows. */
	g_auto(Reply) untaken = test_call(place->link, NULL, "GiveFd", NULL);
	g_assert_no_error(untaken.error);
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	static const char *const methods[] = { "Add", "NoSuch", "Echo" };
	for (gsize i = 0; i < G_N_ELEMENTS(methods); i++) {
		g_auto(Reply) wrong = { 0 };
		GVariant *handle = g_variant_new_handle(0);
		if (i == 2) /* says back a handle without giving a descriptor */
			g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "answer to Echo cannot be sent*");
		bus_link_call_fds(place->link, NULL, TEST_ROOT, TEST_INTERFACE, methods[i],
				  i == 2 ? g_variant_new("(v)", handle) : g_variant_new_tuple(&handle, 1), &ends[0], 1,
				  CALL_TIMEOUT_MS, reply_cb, &wrong);
		test_until(wrong.n > 0);
		g_assert_nonnull(wrong.error);
	}
	g_test_assert_expected_messages();
	g_auto(Reply) too_many = { 0 };
	int many[17] = { 0 };
	bus_link_call_fds(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "ReadFd", g_variant_new("(h)", 0), many, 17,
			  CALL_TIMEOUT_MS, reply_cb, &too_many);
	test_until(too_many.n > 0);
	g_assert_error(too_many.error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	close(ends[0]);
	close(ends[1]);
	g_assert_cmpuint(n_open_fds(), ==, before);
}

/* A descriptor may be the first thing that is said. The server has not read the end of the authentication yet: all of this is one loop. */

typedef struct {
	int fd;
	guint n_down;
	Reply reply;
} Hasty;

static void hand_over(BusLink *link, gpointer user_data)
{
	Hasty *hasty = user_data;

	bus_link_call_fds(link, NULL, TEST_ROOT, TEST_INTERFACE, "ReadFd", g_variant_new("(h)", 0), &hasty->fd, 1, CALL_TIMEOUT_MS, reply_cb,
			  &hasty->reply);
}

static void count_down(BusLink *link, gpointer user_data)
{
	Hasty *hasty = user_data;

	hasty->n_down++;
}

static void test_fds_at_once(Place *place, gconstpointer data)
{
	Hasty hasty = { 0 };
	int ends[2];

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_assert_cmpint(write(ends[1], "secret", 6), ==, 6);
	hasty.fd = ends[0];
	BusLink *link = bus_link_new_private(place->address);
	bus_link_on_change(link, hand_over, count_down, &hasty);
	test_until(hasty.reply.n > 0);
	g_assert_cmpstr(hasty.reply.text, ==, "('secret',)");
	g_assert_cmpuint(hasty.n_down, ==, 0);
	bus_link_free(link);
	close(ends[0]);
	close(ends[1]);
	reply_clear(&hasty.reply);
}

/* A link and its server leave no descriptor behind. */
static void test_no_leak(Place *place, gconstpointer data)
{
	guint before = n_open_fds();

	for (int i = 0; i < 20; i++) {
		BusLink *link = bus_link_new_private(place->address);
		if (i % 2)
			test_until(bus_link_is_up(link));
		bus_link_free(link);
	}
	test_until(bus_server_n_clients(place->server) == 1 && n_open_fds() == before);
}

#define ADD(name, function) g_test_add("/bus/" name, Place, NULL, place_set_up, function, place_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("server/uids", test_uids);
	ADD("server/socket", test_socket);
	ADD("server/clients", test_clients);
	ADD("server/silent", test_silent);
	ADD("server/signals", test_signals);
	ADD("1/no-spinning", test_no_spinning);
	ADD("2/many-calls", test_many_calls);
	ADD("2/held", test_held);
	ADD("3/timeout", test_timeout);
	ADD("3/cancel", test_cancel);
	ADD("4/one-message-a-turn", test_one_message_a_turn);
	ADD("4/flood", test_flood);
	ADD("14/comes-back", test_comes_back);
	ADD("14/mirror", test_mirror);
	ADD("14/sigpipe", test_sigpipe);
	ADD("14/deaf", test_deaf);
	ADD("18/fds", test_fds);
	ADD("18/fds-at-once", test_fds_at_once);
	ADD("18/no-leak", test_no_leak);
	ADD("19/freed-by-callbacks", test_freed_by_callbacks);
	return g_test_run();
}
