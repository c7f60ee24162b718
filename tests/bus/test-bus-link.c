/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-bus-link.c - a service and its clients on a message bus that is killed, frozen, and full of
 * strangers. */
#include <dbus/dbus.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dbus/bus-link-private.h"
#include "dbus/bus-server.h"
#include "test-bus.h"
#include "test-reply.h"
#include "test-service.h"

typedef struct {
	TestBus *bus;
	TestService *service;
	BusLink *shown; /* the service's */
	BusLink *link;  /* the client's */
	GPtrArray *log;
} Place;

static void place_set_up(Place *place, gconstpointer data)
{
	place->bus = test_bus_new();
	place->service = test_service_new();
	place->shown = bus_link_new_bus(place->bus->address);
	bus_link_publish(place->shown, place->service->tree, TEST_NAME);
	place->link = bus_link_new_bus(place->bus->address);
	place->log = test_log_new();
	test_until(bus_link_is_up(place->shown) && bus_link_is_up(place->link));
}

static void place_tear_down(Place *place, gconstpointer data)
{
	test_unsubscribe_all(place->link);
	bus_link_free(place->link);
	bus_link_free(place->shown);
	test_service_free(place->service);
	g_ptr_array_unref(place->log);
	test_bus_free(place->bus);
}

/* What was sent before, by anybody, has arrived when it returns: the bus keeps the order. */
static void settle(Place *place)
{
	g_auto(Reply) reply = test_call(place->link, TEST_NAME, "Add", g_variant_new("(ii)", 1, 1));
	g_assert_cmpstr(reply.text, ==, "(2,)");
}

/* ---- 12: the tree is there before the name ---- */

typedef struct {
	BusLink *link;
	Reply reply;
} Eager;

static void call_at_once(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	Eager *eager = user_data;
	const char *name, *old, *new;

	g_variant_get(args, "(&s&s&s)", &name, &old, &new);
	if (strcmp(name, TEST_NAME) == 0 && *new)
		bus_link_call(eager->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "Add", g_variant_new("(ii)", 2, 3),
			      CALL_TIMEOUT_MS, reply_cb, &eager->reply);
}

static void test_name_last(Place *place, gconstpointer data)
{
	Eager eager = { place->link };

	bus_link_free(place->shown);
	bus_link_subscribe(place->link, DBUS_SERVICE_DBUS, NULL, DBUS_INTERFACE_DBUS, "NameOwnerChanged", call_at_once,
			   &eager);
	place->shown = bus_link_new_bus(place->bus->address);
	bus_link_publish(place->shown, place->service->tree, TEST_NAME);
	test_until(eager.reply.n > 0);
	g_assert_cmpstr(eager.reply.text, ==, "(5,)");
	reply_clear(&eager.reply);
}

/* Publishing on a link that is up already. */
static void test_publish_late(Place *place, gconstpointer data)
{
	BusTree *tree = bus_tree_new("/late");
	BusLink *late = bus_link_new_bus(place->bus->address);

	test_until(bus_link_is_up(late));
	bus_link_publish(late, tree, TEST_NAME ".Late");
	g_auto(Reply) reply = { 0 };
	while (!reply.values) {
		reply_clear(&reply);
		reply = test_call_at(place->link, TEST_NAME ".Late", "/", DBUS_INTERFACE_INTROSPECTABLE, "Introspect",
				     NULL);
	}
	g_assert_nonnull(strstr(reply.text, "late"));
	bus_link_free(late);
	bus_tree_free(tree);
}

/* Two of a kind: the second waits, and has the name when the first dies. */
static void test_name_in_queue(Place *place, gconstpointer data)
{
	TestService *heir = test_service_new();
	BusLink *waiting = bus_link_new_bus(place->bus->address);

	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*somebody else has the name*");
	bus_link_publish(waiting, heir->tree, TEST_NAME);
	test_until(bus_link_is_up(waiting));
	g_test_assert_expected_messages();
	bus_link_free(place->shown);
	g_auto(Reply) reply = test_call(place->link, TEST_NAME, "WhoAmI", NULL);
	g_assert_no_error(reply.error);
	g_assert_cmpstr(heir->caller, ==, "root");
	place->shown = bus_link_new_bus(place->bus->address);
	bus_link_free(waiting);
	test_service_free(heir);
}

/* The policy refuses the name: said once, and the link is of use all the same. */
static void test_name_refused(Place *place, gconstpointer data)
{
	BusLink *other = bus_link_new_bus(place->bus->address);
	BusTree *tree = bus_tree_new("/a");

	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*com.example.Taken*not allowed*");
	bus_link_publish(other, tree, "com.example.Taken");
	test_until(bus_link_is_up(other));
	g_test_assert_expected_messages();
	g_auto(Reply) reply = test_call(other, TEST_NAME, "Add", g_variant_new("(ii)", 1, 1));
	g_assert_no_error(reply.error);
	bus_link_free(other);
	bus_tree_free(tree);
}

/* ---- 14: the bus goes and comes ---- */

typedef struct {
	guint up, down;
} Changes;

static void on_up(BusLink *link, gpointer user_data)
{
	((Changes *)user_data)->up++;
}

static void on_down(BusLink *link, gpointer user_data)
{
	((Changes *)user_data)->down++;
}

static void ignore_change(BusMirror *mirror, gpointer user_data)
{
}

static gint32 mirrored(BusMirror *mirror)
{
	GVariant *value = bus_mirror_get(mirror, "Number", "i");

	return value ? g_variant_get_int32(value) : -1;
}

static void test_bus_restarts(Place *place, gconstpointer data)
{
	Changes changes = { 0 };
	g_auto(Reply) lost = { 0 };

	bus_link_on_change(place->link, on_up, on_down, &changes);
	bus_link_subscribe(place->link, TEST_NAME, NULL, TEST_INTERFACE, NULL, test_log_signal, place->log);
	BusMirror *mirror = bus_mirror_new(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, ignore_change, NULL);
	test_until(bus_mirror_is_fresh(mirror));

	for (guint round = 1; round <= 3; round++) {
		bus_link_call(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS,
			      reply_cb, &lost);
		test_until(place->service->n_kept == round);
		test_bus_kill(place->bus);
		test_until(changes.down == round && !bus_link_is_up(place->shown));
		g_assert_cmpuint(lost.n, ==, round);
		g_assert_error(lost.error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE);
		g_clear_error(&lost.error);
		g_assert_false(bus_mirror_is_fresh(mirror));
		bus_call_reply(place->service->kept, g_variant_new("(s)", "to nobody"));
		test_service_set_number(place->service, (gint32)round * 10);

		/* The client may be back before the service. */
		test_bus_start(place->bus);
		test_until(changes.up == round && bus_mirror_is_fresh(mirror));
		g_assert_cmpint(mirrored(mirror), ==, (gint32)round * 10);
		bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", round));
		test_until(place->log->len == round);
		settle(place);
	}
	g_assert_cmpuint(place->log->len, ==, 3); /* each once: rules are not doubled */
	bus_mirror_free(mirror);
}

static void test_no_bus_at_all(Place *place, gconstpointer data)
{
	g_auto(Reply) reply = { 0 };
	Changes changes = { 0 };

	test_bus_kill(place->bus);
	BusLink *link = bus_link_new_bus(place->bus->address);
	bus_link_on_change(link, on_up, on_down, &changes);
	bus_link_call(link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "Add", NULL, CALL_TIMEOUT_MS, reply_cb, &reply);
	test_until(reply.n > 0);
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE);
	g_assert_cmpuint(changes.up + changes.down, ==, 0);
	test_bus_start(place->bus);
	test_until(bus_link_is_up(link));
	g_assert_cmpuint(changes.up, ==, 1);
	bus_link_free(link);
}

static void test_system_bus_address(Place *place, gconstpointer data)
{
	g_setenv("DBUS_SYSTEM_BUS_ADDRESS", place->bus->address, true);
	BusLink *link = bus_link_new_bus(NULL);
	test_until(bus_link_is_up(link));
	bus_link_free(link);
	g_unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

static gboolean count_tick(gpointer user_data)
{
	++*(guint *)user_data;
	return G_SOURCE_CONTINUE;
}

/* The bus stands still, its queue of connections is full: nothing of ours waits, and the private socket answers. */
static void test_bus_frozen(Place *place, gconstpointer data)
{
	g_autofree char *path = g_build_filename(place->bus->folder, "private", NULL);
	g_autofree char *address = g_strdup_printf("unix:path=%s", path);
	g_autoptr(GArray) crowd = g_array_new(false, false, sizeof(int));
	struct sockaddr_un name = { AF_UNIX };
	g_autoptr(GError) error = NULL;
	g_auto(Reply) frozen = { 0 };
	guint ticks = 0;

	BusServer *server = bus_server_new(path, place->service->tree, NULL, 0, &error);
	g_assert_no_error(error);
	BusLink *direct = bus_link_new_private(address);
	test_until(bus_link_is_up(direct));

	test_bus_freeze(place->bus);
	g_strlcpy(name.sun_path, place->bus->socket, sizeof(name.sun_path));
	for (;;) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		g_array_append_val(crowd, fd);
		if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
			break;
	}
	g_assert_cmpint(errno, ==, EAGAIN); /* a blocking connect() would stay in there */

	gint64 begin_us = g_get_monotonic_time();
	BusLink *late = bus_link_new_bus(place->bus->address);
	bus_link_call(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "Add", g_variant_new("(ii)", 1, 1), 200,
		      reply_cb, &frozen);
	for (int i = 0; i < 2000; i++) { /* more than a socket holds */
		place->service->number = i;
		bus_object_changed(place->service->root, TEST_INTERFACE, "Number");
		bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", i));
	}
	guint timer = g_timeout_add(1, count_tick, &ticks);
	for (int i = 0; i < 100; i++) {
		g_auto(Reply) reply = test_call(direct, NULL, "Add", g_variant_new("(ii)", i, i));
		g_assert_no_error(reply.error);
	}
	test_until(frozen.n > 0 && ticks > 10);
	g_assert_error(frozen.error, BUS_ERROR, BUS_ERROR_TIMED_OUT);
	g_test_message("%" G_GINT64_FORMAT " us beside a frozen bus", g_get_monotonic_time() - begin_us);
	g_source_remove(timer);
	g_assert_false(bus_link_is_up(late));

	/* And on. */
	test_bus_thaw(place->bus);
	for (guint i = 0; i < crowd->len; i++)
		close(g_array_index(crowd, int, i));
	test_until(bus_link_is_up(late));
	settle(place);
	bus_link_free(late);
	bus_link_free(direct);
	bus_server_free(server);
}

/* Frozen while a link is being made: it goes on when the bus does. */
static void test_frozen_in_between(Place *place, gconstpointer data)
{
	test_bus_freeze(place->bus);
	BusLink *link = bus_link_new_bus(place->bus->address);
	test_until(link->state == LINK_KNOCKING);
	test_run_for(50000);
	g_assert_cmpint(link->state, ==, LINK_KNOCKING);
	test_bus_thaw(place->bus);
	test_until(bus_link_is_up(link));
	bus_link_free(link);
}

/* ---- 15: who is calling ---- */

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

/* Calls @method of @name as @uid with @gids. */
static char *call_name_as(Place *place, const char *uid, const char *gids, const char *name, const char *method)
{
	const char *argv[] = { g_getenv("BUS_CLIENT"), "call", uid, gids, place->bus->address, name, TEST_ROOT,
			       TEST_INTERFACE,         method, NULL };
	g_autoptr(GError) error = NULL;
	Child child = { 0 };

	g_assert_cmpuint(geteuid(), ==, 0); /* the suite runs as root: it must be able to be somebody else */
	g_autoptr(GSubprocess) process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
	g_assert_no_error(error);
	g_subprocess_communicate_utf8_async(process, NULL, NULL, on_output, &child);
	test_until(child.done);
	return child.output;
}

static char *call_as(Place *place, const char *uid, const char *gids, const char *method)
{
	return call_name_as(place, uid, gids, TEST_NAME, method);
}

static void test_levels(Place *place, gconstpointer data)
{
	static const struct {
		const char *uid, *gids;
		bool operate, administer;
	} rows[] = {
		{ "0", "0", true, true },
		{ "65534", "65534", false, false },
		{ "65534", "65534,70001", false, false },
		{ "65534", "65534,70002", true, false },
		{ "65534", "70002", true, false },
		{ "65534", "70001,70003", true, true },
	};

	bus_caller_set_groups(70001, 70002, 70003);
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *view = call_as(place, rows[i].uid, rows[i].gids, "WhoAmI");
		g_assert_cmpstr(view, ==, "ok");
		g_assert_cmpstr(place->service->caller, ==, strcmp(rows[i].uid, "0") == 0 ? "root" : "nobody");
		g_autofree char *operate = call_as(place, rows[i].uid, rows[i].gids, "Operate");
		g_assert_cmpstr(operate, ==, rows[i].operate ? "ok" : DBUS_ERROR_ACCESS_DENIED);
		g_autofree char *administer = call_as(place, rows[i].uid, rows[i].gids, "Administer");
		g_assert_cmpstr(administer, ==, rows[i].administer ? "ok" : DBUS_ERROR_ACCESS_DENIED);
	}

	/* Without the groups nobody but root has more than a view. */
	bus_caller_set_groups(-1, -1, -1);
	g_autofree char *denied = call_as(place, "65534", "65534", "Operate");
	g_assert_cmpstr(denied, ==, DBUS_ERROR_ACCESS_DENIED);

	/* Who has left the bus is forgotten; the client link has not called. */
	test_until(bus_callers_n_known(place->shown->callers) == 0);
	settle(place);
	g_assert_cmpuint(bus_callers_n_known(place->shown->callers), ==, 1);
}

/* The policy that is installed: root owns the names and reaches them, a stranger does not even get to the service. */
static void test_policy(Place *place, gconstpointer data)
{
	static const char *const names[] = { "org.understudy.Supervisor1", "org.understudy.Vrrp1",
					     "org.understudy.Sync1", "org.understudy.Notify1" };

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		BusLink *daemon = bus_link_new_bus(place->bus->address);
		bus_link_publish(daemon, place->service->tree, names[i]);
		test_until(bus_link_is_up(daemon));
		g_auto(Reply) reply = test_call(place->link, names[i], "WhoAmI", NULL);
		g_assert_no_error(reply.error);

		g_clear_pointer(&place->service->caller, g_free);
		g_autofree char *refused = call_name_as(place, "65534", "65534", names[i], "WhoAmI");
		g_assert_cmpstr(refused, ==, DBUS_ERROR_ACCESS_DENIED);
		g_assert_null(place->service->caller);
		bus_link_free(daemon);
	}
}

/* Calls that come before their sender is known keep their order. */
static void test_order_of_first_calls(Place *place, gconstpointer data)
{
	static const char *const methods[] = { "GetAll", "Set", "Get" };
	GVariant *args[] = { g_variant_new("(s)", TEST_INTERFACE),
			     g_variant_new("(ssv)", TEST_INTERFACE, "Guarded", g_variant_new_int32(4)),
			     g_variant_new("(ss)", TEST_INTERFACE, "Number") };

	bus_link_call(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "Add", g_variant_new("(ii)", 1, 2),
		      CALL_TIMEOUT_MS, test_log_reply, place->log);
	for (gsize i = 0; i < G_N_ELEMENTS(methods); i++)
		bus_link_call(place->link, TEST_NAME, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, methods[i], args[i],
			      CALL_TIMEOUT_MS, test_log_reply, place->log);
	test_until(place->log->len == 4);
	test_log_is(place->log, "reply (3,)\n"
				"reply ({'Number': <0>, 'Text': <'text'>, 'Quiet': <0>, 'Vague': <0>, 'Fixed': "
				"<'always'>, 'Guarded': <0>},)\n"
				"reply ()\nreply (<4>,)");
}

/* ---- 15: signals are taken from the owner of the name alone ---- */

static void on_gio(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;

	*(GDBusConnection **)user_data = g_dbus_connection_new_for_address_finish(result, &error);
	g_assert_no_error(error);
}

static GDBusConnection *gio_client(Place *place)
{
	GDBusConnection *client = NULL;

	g_dbus_connection_new_for_address(place->bus->address,
					  G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
						  G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
					  NULL, NULL, on_gio, &client);
	test_until(client);
	return client;
}

static void test_forged_signal(Place *place, gconstpointer data)
{
	GDBusConnection *forger = gio_client(place);
	g_autoptr(GPtrArray) anybody = test_log_new();
	g_autoptr(GError) error = NULL;

	bus_link_subscribe(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "Happened", test_log_signal, place->log);
	bus_link_subscribe(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Happened", test_log_signal, anybody);
	BusMirror *mirror = bus_mirror_new(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, ignore_change, NULL);
	test_until(bus_mirror_is_fresh(mirror));

	const char *victim = dbus_bus_get_unique_name(place->link->connection);
	g_dbus_connection_emit_signal(forger, victim, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged",
				      g_variant_new_parsed("('org.understudy.Test1', {'Number': <666>}, @as [])"),
				      &error);
	g_dbus_connection_emit_signal(forger, victim, TEST_ROOT, TEST_INTERFACE, "Happened", g_variant_new("(i)", 666),
				      &error);
	g_assert_no_error(error);
	test_until(anybody->len == 1);
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 7));
	test_until(anybody->len == 2);
	test_log_is(place->log, "Happened (7,)");
	g_assert_cmpint(mirrored(mirror), ==, 0);
	bus_mirror_free(mirror);
	g_dbus_connection_close_sync(forger, NULL, NULL);
	g_object_unref(forger);
}

/* ---- 16: names come and go ---- */

static void test_service_restarts(Place *place, gconstpointer data)
{
	BusMirror *mirror = bus_mirror_new(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, ignore_change, NULL);
	bus_link_subscribe(place->link, TEST_NAME, NULL, TEST_INTERFACE, NULL, test_log_signal, place->log);
	test_until(bus_mirror_is_fresh(mirror));

	bus_link_free(place->shown);
	test_until(!bus_mirror_is_fresh(mirror));
	g_auto(Reply) reply = test_call(place->link, TEST_NAME, "Add", g_variant_new("(ii)", 1, 1));
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE);

	test_service_set_number(place->service, 77);
	place->shown = bus_link_new_bus(place->bus->address);
	bus_link_publish(place->shown, place->service->tree, TEST_NAME);
	test_until(mirrored(mirror) == 77);
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 1));
	test_until(place->log->len == 1); /* from the new owner */
	bus_mirror_free(mirror);
	g_assert_cmpuint(g_hash_table_size(place->link->names), ==, 1); /* the subscription's */
}

/* The process that owed an answer is gone. */
static void test_service_dies(Place *place, gconstpointer data)
{
	g_auto(Reply) reply = { 0 };

	bus_link_call(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, reply_cb,
		      &reply);
	test_until(place->service->kept);
	bus_link_free(place->shown);
	test_until(reply.n > 0);
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_GONE);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "to nobody"));
	place->shown = bus_link_new_bus(place->bus->address);
}

/* ---- 21: rules ---- */

static void test_quoted_rule(Place *place, gconstpointer data)
{
	static const char *const texts[] = { "it's", "a',b='c", "'", "back\\slash", "comma, and space" };
	GDBusConnection *sender = gio_client(place);
	g_autoptr(GError) error = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		BusSubscription *subscription = bus_link_subscribe_arg0(place->link, NULL, "/a", "com.example.A",
									"Said", texts[i], test_log_signal, place->log);
		settle(place);
		g_dbus_connection_emit_signal(sender, NULL, "/a", "com.example.A", "Said",
					      g_variant_new("(s)", "other"), &error);
		g_dbus_connection_emit_signal(sender, NULL, "/a", "com.example.A", "Said",
					      g_variant_new("(s)", texts[i]), &error);
		g_assert_no_error(error);
		test_until(place->log->len == 1);
		g_ptr_array_set_size(place->log, 0);
		bus_subscription_free(subscription);
	}
	bus_subscription_free(NULL);
	g_dbus_connection_close_sync(sender, NULL, NULL);
	g_object_unref(sender);
}

/* ---- 18: descriptors across the bus ---- */

static void test_fds_over_the_bus(Place *place, gconstpointer data)
{
	int ends[2];

	g_assert_cmpint(pipe(ends), ==, 0);
	g_assert_cmpint(write(ends[1], "join code", 9), ==, 9);
	g_auto(Reply) reply = { 0 };
	bus_link_call_fds(place->link, TEST_NAME, TEST_ROOT, TEST_INTERFACE, "ReadFd", g_variant_new("(h)", 0),
			  &ends[0], 1, CALL_TIMEOUT_MS, reply_cb, &reply);
	close(ends[0]);
	close(ends[1]);
	test_until(reply.n > 0);
	g_assert_cmpstr(reply.text, ==, "('join code',)");
}

#define ADD(name, function) g_test_add("/bus/" name, Place, NULL, place_set_up, function, place_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("12/name-last", test_name_last);
	ADD("12/publish-late", test_publish_late);
	ADD("12/name-in-queue", test_name_in_queue);
	ADD("12/name-refused", test_name_refused);
	ADD("13/bus-frozen", test_bus_frozen);
	ADD("13/frozen-in-between", test_frozen_in_between);
	ADD("14/bus-restarts", test_bus_restarts);
	ADD("14/no-bus-at-all", test_no_bus_at_all);
	ADD("14/system-bus-address", test_system_bus_address);
	ADD("15/levels", test_levels);
	ADD("15/policy", test_policy);
	ADD("15/order-of-first-calls", test_order_of_first_calls);
	ADD("15/forged-signal", test_forged_signal);
	ADD("16/service-restarts", test_service_restarts);
	ADD("16/service-dies", test_service_dies);
	ADD("18/fds", test_fds_over_the_bus);
	ADD("21/quoted-rule", test_quoted_rule);
	return g_test_run();
}
