/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/pairing.c - understudy pair and join. The code never is an argument: arguments are seen by everybody (ps). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib-unix.h>

#include "ask.h"
#include "commands.h"

#define CODE_MAX_BYTES        256
#define JOIN_TIMEOUT_MS       60000            /* the two prove themselves to each other */
#define FIRST_SYNC_TIMEOUT_MS (15 * 60 * 1000) /* then everything is copied */

static GVariant *pair_of(const char *key, const char *value, const char *key2, const char *value2)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", key, g_variant_new_string(value));
	if (key2)
		g_variant_builder_add(&builder, "{sv}", key2, g_variant_new_string(value2));
	return g_variant_builder_end(&builder);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- pair ---- */

typedef struct {
	char *outcome, *text;
	bool was_fresh, lost;
} PairWatch;

static void set_outcome(PairWatch *watch, const char *outcome, const char *text)
{
	if (watch->outcome)
		return;
	watch->outcome = g_strdup(outcome);
	watch->text = g_strdup(text);
}

static void take_outcome(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	const char *outcome, *text;

	if (!g_variant_is_of_type(args, G_VARIANT_TYPE("(ss)")))
		return;
	g_variant_get(args, "(&s&s)", &outcome, &text);
	set_outcome(user_data, outcome, text);
}

/* The listener lives in the daemon's memory: when that goes away, so does the code. */
static void follow_daemon(BusMirror *mirror, gpointer user_data)
{
	PairWatch *watch = user_data;

	if (bus_mirror_is_fresh(mirror))
		watch->was_fresh = true;
	else if (watch->was_fresh)
		watch->lost = true;
}

/* It answered just now; silent since then is as good as seen to go. */
static gboolean never_fresh(gpointer user_data)
{
	PairWatch *watch = user_data;

	watch->lost |= !watch->was_fresh;
	return G_SOURCE_CONTINUE;
}

static bool is_over(gpointer user_data)
{
	PairWatch *watch = user_data;

	return watch->outcome || watch->lost;
}

/* The daemon has answered: the code is on its way and the pipe's end is closed behind it. */
static bool read_code(int fd, char *code, GError **error)
{
	gsize n = 0;
	gssize got;

	while (n < CODE_MAX_BYTES - 1 &&
	       ((got = read(fd, code + n, CODE_MAX_BYTES - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
		n += got > 0 ? (gsize)got : 0;
	code[n] = '\0';
	code[strcspn(code, "\r\n")] = '\0';
	if (*code)
		return true;
	g_set_error_literal(error, BUS_ERROR, BUS_ERROR_FAILED,
			    "the synchronisation daemon opened a listener but told no code");
	return false;
}

static bool request_code(Ctl *ctl, guint lifetime_s, char *code, GError **error)
{
	g_autoptr(GVariant) answer = NULL;
	int fds[2];
	bool read;

	if (!g_unix_open_pipe(fds, FD_CLOEXEC, error))
		return false;
	answer = ctl_call_fd(ctl, CTL_SYNC, CTL_PEER_INTERFACE, "Pair", g_variant_new("(hu)", 0, lifetime_s), fds[1],
			     CTL_CALL_TIMEOUT_MS, error);
	close_fd(&fds[1]);
	read = answer && read_code(fds[0], code, error);
	close_fd(&fds[0]);
	return read;
}

static CtlExit tell_outcome(Ctl *ctl, const PairWatch *watch)
{
	bool paired = g_str_equal(watch->outcome, "paired");

	if (ctl->json)
		ctl_print_json(pair_of("outcome", watch->outcome, "text", watch->text));
	else if (paired)
		ctl_note(ctl, "paired%s%s", g_str_equal(watch->text, "paired") ? "" : ": ",
			 g_str_equal(watch->text, "paired") ? "" : watch->text);
	if (paired)
		return CTL_OK;
	if (g_str_equal(watch->outcome, "expired"))
		return ctl_complain(ctl, CTL_TIMED_OUT,
				    "nobody joined in time; the code is worthless now, run understudy pair again");
	return ctl_complain(ctl, CTL_REFUSED, "pairing %s: %s; the code is worthless now, run understudy pair again",
			    watch->outcome, watch->text);
}

CtlExit ctl_pair(Ctl *ctl, int argc, char **argv)
{
	int minutes = 10;
	gboolean no_wait = FALSE;
	const GOptionEntry entries[] = {
		{ "minutes", 'm', 0, G_OPTION_ARG_INT, &minutes, "How long the code is good (10; at most 60)", "N" },
		{ "no-wait", 0, 0, G_OPTION_ARG_NONE, &no_wait, "Ends as soon as the code is printed", NULL },
		{ 0 },
	};
	PairWatch watch = { 0 };
	BusSubscription *subscription = NULL;
	BusMirror *mirror;
	guint timer;
	char code[CODE_MAX_BYTES];
	g_autoptr(GError) error = NULL;
	CtlExit exit = CTL_OK;

	if (!ctl_options(ctl, &argc, &argv, entries, "",
			 "Prints a one-time code with which another device may join this one, which keeps its "
			 "configuration.",
			 0, 0))
		return CTL_BAD_INPUT;
	if (minutes < 1 || minutes > 60)
		return ctl_complain(ctl, CTL_BAD_INPUT, "pair: --minutes is 1 to 60");
	if (!ctl_connect(ctl, &error))
		return ctl_fail(ctl, CTL_SYNC, error);
	/* Before the call: the outcome must not come between the two. */
	subscription = bus_link_subscribe(ctl->link, ctl_bus_name(CTL_SYNC), ctl_path(CTL_SYNC), CTL_PEER_INTERFACE,
					  "Pairing", take_outcome, &watch);
	if (!request_code(ctl, (guint)minutes * 60, code, &error)) {
		bus_subscription_free(subscription);
		return ctl_fail(ctl, CTL_SYNC, error);
	}
	/* What came before the answer was the end of an older code. */
	g_clear_pointer(&watch.outcome, g_free);
	g_clear_pointer(&watch.text, g_free);
	if (ctl->json) {
		ctl_print_json(pair_of("code", code, NULL, NULL));
	} else {
		ctl_note(ctl,
			 "On the other device run: understudy join ADDRESS, with this device's address, and give it "
			 "this code within %d minute%s:",
			 minutes, minutes == 1 ? "" : "s");
		ctl_printf("%s\n", code);
		fflush(stdout);
	}
	explicit_bzero(code, sizeof(code));
	if (!no_wait) {
		if (!ctl->json)
			ctl_note(ctl, "Waiting for the other device. Ctrl-C stops the waiting, not the code.");
		mirror = bus_mirror_new(ctl->link, ctl_bus_name(CTL_SYNC), ctl_path(CTL_SYNC), CTL_PEER_INTERFACE,
					follow_daemon, &watch);
		timer = g_timeout_add(CTL_CALL_TIMEOUT_MS, never_fresh, &watch);
		if (!ctl_wait(is_over, &watch, minutes * 60 * 1000 + 5000))
			exit = ctl_complain(ctl, CTL_TIMED_OUT,
					    "the time is up and the daemon said nothing; see understudy status");
		else if (watch.outcome)
			exit = tell_outcome(ctl, &watch);
		else
			exit = ctl_complain(ctl, CTL_NOT_REACHABLE,
					    "the synchronisation daemon went away, and the code with it; run "
					    "understudy pair again");
		g_source_remove(timer);
		bus_mirror_free(mirror);
	}
	bus_subscription_free(subscription);
	g_free(watch.outcome);
	g_free(watch.text);
	return exit;
}

/* ---- join ---- */

static bool send_join(Ctl *ctl, const char *address, const char *code, GError **error)
{
	g_autoptr(GVariant) answer = NULL;
	g_autofree char *line = g_strconcat(code, "\n", NULL);
	int fd = ask_pipe(line, error);

	explicit_bzero(line, strlen(line));
	if (fd >= 0)
		answer = ctl_call_fd(ctl, CTL_SYNC, CTL_PEER_INTERFACE, "Join", g_variant_new("(sh)", address, 0), fd, JOIN_TIMEOUT_MS, error);
	close_fd(&fd);
	return answer != NULL;
}

typedef struct {
	CtlProgress progress;
	BusMirror *supervisor, *sync;
	char *failure; /* why the supervisor cannot do with what it got */
	bool done;
} JoinWatch;

static void take_event(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	JoinWatch *watch = user_data;
	g_autoptr(GVariant) event = NULL;

	if (watch->failure || !g_variant_is_of_type(args, G_VARIANT_TYPE("(a{sv})")))
		return;
	event = g_variant_get_child_value(args, 0);
	if (g_str_equal(dict_string(event, "name", ""), "join-failed") && g_str_equal(dict_string(event, "application", ""), "REDUNDANCY"))
		watch->failure = g_strdup(dict_string(event, "description", ""));
}

static void follow_join(BusMirror *mirror, gpointer user_data)
{
	JoinWatch *watch = user_data;
	GVariant *role, *first, *activity;
	g_autofree char *text = NULL;

	if (!watch->supervisor || !watch->sync)
		return;
	role = bus_mirror_get(watch->supervisor, "Role", "s");
	first = bus_mirror_get(watch->sync, "FirstSyncDone", "b");
	activity = bus_mirror_get(watch->sync, "Activity", "s");
	watch->done = role && g_str_equal(g_variant_get_string(role, NULL), "backup") && first &&
		      g_variant_get_boolean(first);
	text = g_strdup_printf("this device is %s, %s", role ? g_variant_get_string(role, NULL) : "starting again",
			       first && g_variant_get_boolean(first) ? "synchronised"
			       : activity                            ? g_variant_get_string(activity, NULL)
								     : "waiting");
	ctl_progress(&watch->progress, -1, text);
}

static bool has_joined(gpointer user_data)
{
	JoinWatch *watch = user_data;

	return watch->done || watch->failure;
}

static CtlExit wait_for_backup(Ctl *ctl, JoinWatch *watch)
{
	bool done;

	watch->supervisor = bus_mirror_new(ctl->link, ctl_bus_name(CTL_SUPERVISOR), ctl_path(CTL_SUPERVISOR),
					  CTL_SUPERVISOR_INTERFACE, follow_join, watch);
	watch->sync = bus_mirror_new(ctl->link, ctl_bus_name(CTL_SYNC), ctl_path(CTL_SYNC), CTL_SYNC_INTERFACE,
				    follow_join, watch);
	done = ctl_wait(has_joined, watch, FIRST_SYNC_TIMEOUT_MS);
	ctl_progress_end(&watch->progress);
	bus_mirror_free(watch->supervisor);
	bus_mirror_free(watch->sync);
	if (watch->failure)
		return ctl_complain(ctl, CTL_REFUSED, "the two know each other, but: %s. Mend it, then unpair both and pair again", watch->failure);
	if (!done)
		return ctl_complain(ctl, CTL_TIMED_OUT,
				    "joined, but after %d minutes this device still is no synchronised Backup; it goes "
				    "on: see understudy status",
				    FIRST_SYNC_TIMEOUT_MS / 60000);
	if (ctl->json)
		ctl_print_json(pair_of("outcome", "joined", "role", "backup"));
	else
		ctl_print("joined: this device is Backup and has everything the Master had\n");
	return CTL_OK;
}

CtlExit ctl_join(Ctl *ctl, int argc, char **argv)
{
	gboolean no_wait = FALSE;
	const GOptionEntry entries[] = {
		{ "no-wait", 0, 0, G_OPTION_ARG_NONE, &no_wait,
		  "Ends as soon as the two know each other, before the first synchronisation", NULL },
		{ 0 },
	};
	JoinWatch watch = { .progress = { .ctl = ctl } };
	BusSubscription *events;
	char code[CODE_MAX_BYTES];
	g_autoptr(GError) error = NULL;
	CtlExit exit;
	bool joined;

	if (!ctl_options(ctl, &argc, &argv, entries, "ADDRESS",
			 "Joins the device at ADDRESS, where understudy pair printed a code. The code is asked for, or "
			 "read from stdin. This device becomes Backup "
			 "and takes over the other's configuration.",
			 1, 1))
		return CTL_BAD_INPUT;
	if (!ctl_connect(ctl, &error))
		return ctl_fail(ctl, CTL_SYNC, error);
	if (!ask_line(STDIN_FILENO, "Code shown by understudy pair: ", code, sizeof(code)) || !*g_strstrip(code))
		return ctl_complain(ctl, CTL_BAD_INPUT,
				    "join: no code; it is what understudy pair prints on the other device");
	/* Before the call: the supervisor looks at what came at once. */
	events = bus_link_subscribe(ctl->link, ctl_bus_name(CTL_NOTIFY), ctl_path(CTL_NOTIFY), CTL_NOTIFY_INTERFACE, "Raised", take_event,
				    &watch);
	joined = send_join(ctl, argv[1], code, &error);
	explicit_bzero(code, sizeof(code));
	exit = joined ? CTL_OK : ctl_fail(ctl, CTL_SYNC, error);
	if (joined && !no_wait)
		exit = wait_for_backup(ctl, &watch);
	bus_subscription_free(events);
	g_free(watch.failure);
	if (!joined || !no_wait)
		return exit;
	if (ctl->json)
		ctl_print_json(pair_of("outcome", "paired", NULL, NULL));
	else
		ctl_print("paired\n");
	return CTL_OK;
}
