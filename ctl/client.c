/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/client.c - the system bus for a program that does one thing and ends. */
#include "client.h"

#include <json-glib/json-glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 3000

static const struct {
	const char *name, *path, *what;
} DAEMONS[CTL_N_DAEMONS] = {
	[CTL_SUPERVISOR] = { "org.understudy.Supervisor1", "/org/understudy/Supervisor1", "the supervisor" },
	[CTL_VRRP] = { "org.understudy.Vrrp1", "/org/understudy/Vrrp1", "the election daemon (vrrpd)" },
	[CTL_SYNC] = { "org.understudy.Sync1", "/org/understudy/Sync1", "the synchronisation daemon (syncd)" },
	[CTL_NOTIFY] = { "org.understudy.Notify1", "/org/understudy/Notify1", "the event daemon (notifyd)" },
};

static void style_init(RenderStyle *style, int fd)
{
	const char *no_colour = g_getenv("NO_COLOR"), *term = g_getenv("TERM");
	bool tty = isatty(fd);
	struct winsize size = { 0 };

	style->utf8 = g_get_charset(NULL);
	style->colour = tty && !(no_colour && *no_colour) && g_strcmp0(term, "dumb") != 0;
	if (tty)
		style->width = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void ctl_init(Ctl *ctl, bool json)
{
	*ctl = (Ctl){ .json = json, .zone = g_time_zone_new_local() };
	style_init(&ctl->out, STDOUT_FILENO);
	style_init(&ctl->err, STDERR_FILENO);
}

void ctl_clear(Ctl *ctl)
{
	g_clear_pointer(&ctl->link, bus_link_free);
	g_clear_pointer(&ctl->zone, g_time_zone_unref);
}

const char *ctl_bus_name(CtlDaemon daemon)
{
	return DAEMONS[daemon].name;
}

const char *ctl_path(CtlDaemon daemon)
{
	return DAEMONS[daemon].path;
}

static gboolean mark_late(gpointer user_data)
{
	*(bool *)user_data = true;
	return G_SOURCE_REMOVE;
}

bool ctl_wait(bool (*done)(gpointer), gpointer user_data, int timeout_ms)
{
	bool late = false;
	guint timer = g_timeout_add((guint)timeout_ms, mark_late, &late);

	while (!done(user_data) && !late)
		g_main_context_iteration(NULL, TRUE);
	if (!late)
		g_source_remove(timer);
	return !late || done(user_data);
}

static bool link_is_up(gpointer user_data)
{
	return bus_link_is_up(user_data);
}

bool ctl_connect(Ctl *ctl, GError **error)
{
	if (!ctl->link)
		ctl->link = bus_link_new_bus(NULL);
	if (ctl_wait(link_is_up, ctl->link, CONNECT_TIMEOUT_MS))
		return true;
	g_set_error(error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE,
		    "the system bus does not answer (%s); is dbus-daemon running? try: systemctl status dbus",
		    g_getenv("DBUS_SYSTEM_BUS_ADDRESS") ? "DBUS_SYSTEM_BUS_ADDRESS is set"
							: "/run/dbus/system_bus_socket");
	return false;
}

typedef struct {
	GVariant *values;
	GError *error;
	bool done;
} Answer;

static void take_answer(GVariant *values, const GError *error, gpointer user_data)
{
	Answer *answer = user_data;

	if (values)
		answer->values = g_variant_ref(values);
	else
		answer->error = g_error_copy(error);
	answer->done = true;
}

static bool is_answered(gpointer user_data)
{
	return ((Answer *)user_data)->done;
}

/* Waits a little longer than the call itself does, which ends by itself. */
static GVariant *await(Answer *answer, BusPending *pending, int timeout_ms, GError **error)
{
	if (!ctl_wait(is_answered, answer, timeout_ms + 1000)) {
		bus_pending_cancel(pending);
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_TIMED_OUT, "no answer");
		return NULL;
	}
	if (answer->error)
		g_propagate_error(error, answer->error);
	return answer->values;
}

GVariant *ctl_call(Ctl *ctl, CtlDaemon daemon, const char *path, const char *interface, const char *method,
		   GVariant *args, int timeout_ms, GError **error)
{
	g_autoptr(GVariant) owned = args ? g_variant_ref_sink(args) : NULL;
	Answer answer = { 0 };
	BusPending *pending;

	if (!ctl_connect(ctl, error))
		return NULL;
	pending = bus_link_call(ctl->link, DAEMONS[daemon].name, path ? path : DAEMONS[daemon].path, interface, method,
				owned, timeout_ms, take_answer, &answer);
	return await(&answer, pending, timeout_ms, error);
}

GVariant *ctl_call_fd(Ctl *ctl, CtlDaemon daemon, const char *interface, const char *method, GVariant *args, int fd,
		      int timeout_ms, GError **error)
{
	g_autoptr(GVariant) owned = g_variant_ref_sink(args);
	Answer answer = { 0 };
	BusPending *pending;

	if (!ctl_connect(ctl, error))
		return NULL;
	pending = bus_link_call_fds(ctl->link, DAEMONS[daemon].name, DAEMONS[daemon].path, interface, method, owned,
				    &fd, 1, timeout_ms, take_answer, &answer);
	return await(&answer, pending, timeout_ms, error);
}

GVariant *ctl_get_all(Ctl *ctl, CtlDaemon daemon, const char *path, const char *interface, int timeout_ms,
		      GError **error)
{
	g_autoptr(GVariant) answer = ctl_call(ctl, daemon, path, "org.freedesktop.DBus.Properties", "GetAll",
					      g_variant_new("(s)", interface), timeout_ms, error);

	return answer ? g_variant_get_child_value(answer, 0) : NULL;
}

/* ---- Output ---- */

void ctl_print(const char *text)
{
	fputs(text, stdout);
}

void ctl_printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

void ctl_note(Ctl *ctl, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	fprintf(stderr, "%s\n", text);
}

void ctl_print_json(GVariant *value)
{
	g_autoptr(GVariant) owned = g_variant_ref_sink(value);
	g_autoptr(JsonNode) root = json_gvariant_serialize(owned);
	g_autoptr(JsonGenerator) generator = json_generator_new();
	g_autofree char *text = NULL;

	json_generator_set_root(generator, root);
	text = json_generator_to_data(generator, NULL);
	puts(text);
	fflush(stdout); /* a program may wait for this line before the next */
}

static CtlExit complain(Ctl *ctl, CtlExit code, const char *text)
{
	g_autofree char *clean = render_clean(text);
	g_autofree char *name = render_coloured(&ctl->err, RENDER_BAD, "understudy:");

	fflush(stdout);
	fprintf(stderr, "%s %s\n", name, clean);
	return code;
}

CtlExit ctl_complain(Ctl *ctl, CtlExit code, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	return complain(ctl, code, text);
}

/* Whether @daemon has its name now; true when even that cannot be found out. */
static bool is_on_bus(Ctl *ctl, CtlDaemon daemon)
{
	g_autoptr(GVariant) args = g_variant_ref_sink(g_variant_new("(s)", DAEMONS[daemon].name));
	g_autoptr(GVariant) values = NULL;
	Answer answer = { 0 };
	gboolean has_owner = TRUE;
	BusPending *pending;

	if (!bus_link_is_up(ctl->link))
		return true;
	pending = bus_link_call(ctl->link, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
				"NameHasOwner", args, 2000, take_answer, &answer);
	values = await(&answer, pending, 2000, NULL);
	if (values)
		g_variant_get(values, "(b)", &has_owner);
	return has_owner;
}

CtlExit ctl_fail(Ctl *ctl, CtlDaemon daemon, const GError *error)
{
	bool silence = g_str_has_prefix(error->message, "Did not receive a reply");

	if (error->domain != BUS_ERROR)
		return complain(ctl, CTL_REFUSED, error->message);
	switch ((BusError)error->code) {
	case BUS_ERROR_INVALID_ARGS:
		return complain(ctl, CTL_BAD_INPUT, error->message);
	case BUS_ERROR_NOT_REACHABLE:
		if (is_on_bus(ctl, daemon))
			return complain(ctl, CTL_NOT_REACHABLE, error->message);
		if (daemon != CTL_SUPERVISOR && is_on_bus(ctl, CTL_SUPERVISOR))
			return ctl_complain(ctl, CTL_NOT_REACHABLE,
					    "%s is not on the system bus; the supervisor starts it again and again: "
					    "see understudy events and journalctl -u "
					    "understudy",
					    DAEMONS[daemon].what);
		return ctl_complain(
			ctl, CTL_NOT_REACHABLE,
			"%s is not on the system bus: is understudy.service running? try: systemctl status understudy",
			DAEMONS[daemon].what);
	case BUS_ERROR_TIMED_OUT:
		/* libdbus's own words for it are a list of what may be the cause. */
		return ctl_complain(
			ctl, CTL_TIMED_OUT,
			"%s did not answer in time%s%s%s; it may be busy: see journalctl -u understudy, then try again",
			DAEMONS[daemon].what, silence ? "" : " (", silence ? "" : error->message, silence ? "" : ")");
	case BUS_ERROR_ACCESS_DENIED:
		/* The bus's own refusal is a list of its rules; a daemon's says what is needed. */
		return ctl_complain(ctl, CTL_REFUSED,
				    "%s; run it as root, or as a member of a group that may (understudy-view, "
				    "understudy-operate, understudy)",
				    g_str_has_prefix(error->message, "Rejected ") ? "this user may not see the pair" :
										    error->message);
	case BUS_ERROR_UNKNOWN_OBJECT:
	case BUS_ERROR_UNKNOWN_INTERFACE:
	case BUS_ERROR_UNKNOWN_METHOD:
	case BUS_ERROR_UNKNOWN_PROPERTY:
	case BUS_ERROR_PROPERTY_READ_ONLY:
		return ctl_complain(ctl, CTL_REFUSED, "%s is of another version than this command: %s",
				    DAEMONS[daemon].what, error->message);
	case BUS_ERROR_GONE:
		return ctl_complain(ctl, CTL_NOT_REACHABLE,
				    "%s went away before it had answered (%s); see understudy status",
				    DAEMONS[daemon].what, error->message);
	case BUS_ERROR_FAILED:
	case BUS_ERROR_REFUSED:
	case BUS_ERROR_BUSY:
	case BUS_ERROR_NOT_FOUND:
	case BUS_N_ERRORS:
		break;
	}
	return complain(ctl, CTL_REFUSED, error->message);
}

/* ---- Arguments ---- */

static gboolean accept_json(const char *name, const char *value, gpointer data, GError **error)
{
	((Ctl *)data)->json = true;
	return TRUE;
}

bool ctl_options(Ctl *ctl, int *argc, char ***argv, const GOptionEntry *entries, const char *usage, const char *summary,
		 int min_args, int max_args)
{
	g_autoptr(GOptionContext) context = g_option_context_new(usage);
	g_autoptr(GError) error = NULL;
	const GOptionEntry common[] = {
		{ "json", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, accept_json, "One JSON value, for programs",
		  NULL },
		{ 0 },
	};
	GOptionGroup *group = g_option_group_new("understudy", "", "", ctl, NULL);
	g_autofree char *command = g_strdup((*argv)[0]);

	if (entries)
		g_option_group_add_entries(group, entries);
	g_option_group_add_entries(group, common);
	g_option_context_set_main_group(context, group);
	g_option_context_set_summary(context, summary);
	if (!g_option_context_parse(context, argc, argv, &error)) {
		ctl_complain(ctl, CTL_BAD_INPUT, "%s: %s; see understudy help %s", command, error->message, command);
		return false;
	}
	if (*argc > 1 &&
	    g_str_equal((*argv)[1], "--")) { /* what came before the first argument that looks like an option */
		for (int i = 1; i + 1 < *argc; i++)
			(*argv)[i] = (*argv)[i + 1];
		(*argc)--;
	}
	if (*argc - 1 < min_args || *argc - 1 > max_args) {
		if (*argc - 1 < min_args)
			ctl_complain(ctl, CTL_BAD_INPUT, "%s: an argument is missing; see understudy help %s", command,
				     command);
		else
			ctl_complain(ctl, CTL_BAD_INPUT, "%s: unexpected argument \"%s\"; see understudy help %s",
				     command, (*argv)[max_args + 1], command);
		return false;
	}
	return true;
}

/* ---- Progress ---- */

void ctl_progress(CtlProgress *progress, double fraction, const char *message)
{
	const RenderStyle *style = &progress->ctl->err;
	g_autofree char *clean = render_clean(message);
	g_autofree char *line = NULL;

	if (style->width == 0) {
		if (*clean && g_strcmp0(progress->last, clean) != 0) {
			fprintf(stderr, "%s\n", clean);
			g_free(progress->last);
			progress->last = g_steal_pointer(&clean);
		}
		return;
	}
	if (fraction >= 0) {
		g_autofree char *bar = render_bar(style, fraction, 30);

		line = g_strdup_printf("%s %3.0f %%  %s", bar, CLAMP(fraction, 0, 1) * 100, clean);
	} else {
		line = g_strdup(clean);
	}
	if (g_strcmp0(progress->last, line) == 0)
		return;
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
	progress->drawn = true;
	g_free(progress->last);
	progress->last = g_steal_pointer(&line);
}

void ctl_progress_end(CtlProgress *progress)
{
	if (progress->drawn)
		fputc('\n', stderr);
	progress->drawn = false;
	g_clear_pointer(&progress->last, g_free);
}
