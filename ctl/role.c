/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/role.c - understudy swap, mode and takeover: who leads. */
#include <string.h>

#include "commands.h"
#include "job.h"

#define SWAP_TIMEOUT_MS                                                                                                \
	(5 * 60 * 1000) /* the supervisor has its own deadlines; this one is for a supervisor that hangs */
#define TAKEOVER_TIMEOUT_MS 60000

static GVariant *option(const char *key, GVariant *value)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (value)
		g_variant_builder_add(&builder, "{sv}", key, value);
	return g_variant_builder_end(&builder);
}

/* ---- Swap ---- */

static GVariant *swap_options(const char *reason, gboolean force, int quiet_s)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (reason)
		g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(reason));
	if (force)
		g_variant_builder_add(&builder, "{sv}", "force", g_variant_new_boolean(TRUE));
	if (quiet_s)
		g_variant_builder_add(&builder, "{sv}", "when_quiet_s", g_variant_new_uint32((guint32)quiet_s));
	return g_variant_builder_end(&builder);
}

/* Before it is done. */
static CtlExit say_what_force_gives_up(Ctl *ctl)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) answer =
		ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "CheckSwap", NULL, CTL_CALL_TIMEOUT_MS, &error);
	g_autoptr(GVariant) obstacles = answer ? g_variant_get_child_value(answer, 0) : NULL;

	if (!obstacles)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	for (gsize i = 0; i < g_variant_n_children(obstacles); i++) {
		g_autoptr(GVariant) obstacle = g_variant_get_child_value(obstacles, i);
		g_autofree char *gives_up = render_clean(dict_string(obstacle, "gives_up", ""));
		g_autofree char *text = render_clean(dict_string(obstacle, "text", ""));

		if (*gives_up)
			ctl_note(ctl, "--force gives up %s: %s", gives_up, text);
	}
	ctl_note(ctl, "--force gives up whatever the other device cannot apply in time");
	return CTL_OK;
}

CtlExit ctl_swap(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *reason = NULL;
	gboolean force = FALSE;
	int quiet_s = 0;
	const GOptionEntry entries[] = {
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "Goes into the timeline and the events", "TEXT" },
		{ "when-quiet", 0, 0, G_OPTION_ARG_INT, &quiet_s, "Waits at most so long until nobody is on the phone", "SECONDS" },
		{ "force", 0, 0, G_OPTION_ARG_NONE, &force, "Over what is in the way; says first what that gives up", NULL },
		{ 0 },
	};
	g_autoptr(GVariant) answer = NULL, end = NULL;
	g_autoptr(GError) error = NULL;
	const char *job, *failed;
	CtlExit code;

	if (!ctl_options(ctl, &argc, &argv, entries, "",
			 "Hands the service over to the other device. Ordered on the Master.", 0, 0))
		return CTL_BAD_INPUT;
	if (quiet_s < 0 || quiet_s > 7 * 24 * 3600)
		return ctl_complain(ctl, CTL_BAD_INPUT, "swap: --when-quiet is a number of seconds, a week at most");
	if (force && (code = say_what_force_gives_up(ctl)) != CTL_OK)
		return code;
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "Swap",
			  g_variant_new("(@a{sv})", swap_options(reason, force, quiet_s)), CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	g_variant_get(answer, "(&o)", &job);
	code = job_wait(ctl, CTL_SUPERVISOR, job, SWAP_TIMEOUT_MS + quiet_s * 1000, &end);
	if (code != CTL_OK)
		return code;
	if (ctl->json)
		ctl_print_json(end);
	if (g_str_equal(dict_string(end, "state", ""), "done")) {
		if (!ctl->json)
			ctl_print("swapped: the other device leads now\n");
		return CTL_OK;
	}
	failed = dict_string(end, "error", "");
	return ctl_complain(ctl, CTL_REFUSED, "swap %s: %s", dict_string(end, "state", "failed"),
			    *failed ? failed : dict_string(end, "message", ""));
}

/* ---- Mode ---- */

static void note_mode(Ctl *ctl, gint64 until_ms, const char *reason)
{
	g_autofree char *until = render_time(until_ms, ctl->zone, false), *clean = render_clean(reason);

	if (until_ms)
		ctl_note(ctl, "until %s", until);
	if (*clean)
		ctl_note(ctl, "reason: %s", clean);
}

static CtlExit show_mode(Ctl *ctl)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) all =
		ctl_get_all(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, CTL_CALL_TIMEOUT_MS, &error);
	g_autoptr(GVariant) peer = NULL;
	const char *mode, *role, *backups;
	bool connected;

	if (!all)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	peer = dict_value(all, "Peer", "a{sv}");
	connected = dict_bool(peer, "connected");
	mode = dict_string(all, "Mode", "unknown");
	role = dict_string(all, "Role", "unknown");
	if (ctl->json) {
		GVariantBuilder builder;

		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "mode", g_variant_new_string(mode));
		g_variant_builder_add(&builder, "{sv}", "role", g_variant_new_string(role));
		if (connected)
			g_variant_builder_add(&builder, "{sv}", "peer_mode",
					      g_variant_new_string(dict_string(peer, "mode", "unknown")));
		ctl_print_json(g_variant_builder_end(&builder));
		return CTL_OK;
	}
	/* The mode is a Backup's: a Master has one only for when it will be Backup again. What it sets here, it shows here. */
	backups = g_str_equal(role, "master") && connected ? dict_string(peer, "mode", "unknown") : mode;
	ctl_printf("%s\n", backups);
	if (backups == mode)
		note_mode(ctl, dict_int(all, "ModeUntilMs", 0), dict_string(all, "ModeReason", ""));
	else
		note_mode(ctl, dict_int(peer, "mode_until_ms", 0), dict_string(peer, "mode_reason", ""));
	if (!g_str_equal(role, "backup") && ctl->out.width) {
		if (backups != mode)
			ctl_note(ctl, "this is the Backup's mode; this device is %s, and as a Backup it would be %s", role, mode);
		else
			ctl_note(ctl, "this device is %s; the mode tells how it would be a Backup", role);
	}
	return CTL_OK;
}

#define NO_MINUTES G_MININT
#define MOST_MINUTES (366 * 24 * 60)

static GVariant *mode_options(int minutes, const char *reason)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (minutes != NO_MINUTES)
		g_variant_builder_add(&builder, "{sv}", "minutes", g_variant_new_uint32((guint32)minutes));
	if (reason)
		g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(reason));
	return g_variant_builder_end(&builder);
}

CtlExit ctl_mode(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *reason = NULL;
	int minutes = NO_MINUTES;
	const GOptionEntry entries[] = {
		{ "minutes", 0, 0, G_OPTION_ARG_INT, &minutes, "Passive for so long, then active again", "N" },
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "Shown with the mode", "TEXT" },
		{ 0 },
	};
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, entries, "[active|passive]",
			 "Shows or sets the mode of the Backup: active takes over by itself, passive only by order. "
			 "Set on the Backup, or on the Master for its "
			 "peer.",
			 0, 1))
		return CTL_BAD_INPUT;
	if (argc < 2)
		return show_mode(ctl);
	if (!g_str_equal(argv[1], "active") && !g_str_equal(argv[1], "passive"))
		return ctl_complain(ctl, CTL_BAD_INPUT, "mode \"%s\": it is active or passive", argv[1]);
	if (minutes != NO_MINUTES && (minutes < 1 || minutes > MOST_MINUTES || g_str_equal(argv[1], "active")))
		return ctl_complain(ctl, CTL_BAD_INPUT, "mode: --minutes, 1 to %d, is how long it is passive", MOST_MINUTES);
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "SetMode",
			  g_variant_new("(s@a{sv})", argv[1], mode_options(minutes, reason)), CTL_CALL_TIMEOUT_MS * 2, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	if (ctl->json)
		ctl_print_json(option("mode", g_variant_new_string(argv[1])));
	else if (minutes != NO_MINUTES)
		ctl_printf("the Backup's mode is %s now, for %d minute%s\n", argv[1], minutes, minutes == 1 ? "" : "s");
	else
		ctl_printf("the Backup's mode is %s now\n", argv[1]);
	return CTL_OK;
}

/* ---- Takeover ---- */

typedef struct {
	CtlProgress progress;
	gint64 before; /* RoleSequence when the order was given */
	char *role, *reason;
	bool over;
} RoleWatch;

static void follow_role(BusMirror *mirror, gpointer user_data)
{
	RoleWatch *watch = user_data;
	GVariant *role = bus_mirror_get(mirror, "Role", "s"), *reason = bus_mirror_get(mirror, "RoleReason", "s");
	GVariant *sequence = bus_mirror_get(mirror, "RoleSequence", "t");

	if (!role)
		return;
	if (g_strcmp0(watch->role, g_variant_get_string(role, NULL)) != 0) {
		g_free(watch->role);
		watch->role = g_variant_dup_string(role, NULL);
		ctl_progress(&watch->progress, -1, watch->role);
	}
	g_free(watch->reason);
	watch->reason = g_strdup(reason ? g_variant_get_string(reason, NULL) : "");
	/* Either it leads, or the role changed and is not on the way there any more. */
	watch->over = g_str_equal(watch->role, "master") ||
		      (sequence && (gint64)g_variant_get_uint64(sequence) > watch->before &&
		       !g_str_equal(watch->role, "taking-over"));
}

static bool role_is_over(gpointer user_data)
{
	return ((RoleWatch *)user_data)->over;
}

static CtlExit tell_takeover(Ctl *ctl, const RoleWatch *watch)
{
	if (!watch->over)
		return ctl_complain(ctl, CTL_TIMED_OUT,
				    "after %d s this device is %s, not master; see understudy status",
				    TAKEOVER_TIMEOUT_MS / 1000, watch->role ? watch->role : "in an unknown role");
	if (!g_str_equal(watch->role, "master"))
		return ctl_complain(ctl, CTL_REFUSED,
				    "the takeover did not hold: this device is %s again (%s); see understudy timeline",
				    watch->role, watch->reason);
	if (ctl->json)
		ctl_print_json(option("role", g_variant_new_string(watch->role)));
	else
		ctl_print("this device leads now\n");
	return CTL_OK;
}

CtlExit ctl_takeover(Ctl *ctl, int argc, char **argv)
{
	gboolean force = FALSE;
	const GOptionEntry entries[] = {
		{ "force", 0, 0, G_OPTION_ARG_NONE, &force,
		  "Also when the Master is heard, or the first synchronisation is not done", NULL },
		{ 0 },
	};
	RoleWatch watch = { .progress = { .ctl = ctl } };
	g_autoptr(GVariant) before = NULL, answer = NULL;
	g_autoptr(GError) error = NULL;
	BusMirror *mirror;
	CtlExit code;

	if (!ctl_options(ctl, &argc, &argv, entries, "",
			 "Makes this Backup the Master, when the Master is gone or hangs.", 0, 0))
		return CTL_BAD_INPUT;
	before = ctl_get_all(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, CTL_CALL_TIMEOUT_MS, &error);
	if (!before)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	watch.before = dict_int(before, "RoleSequence", 0);
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "TakeOver",
			  g_variant_new("(@a{sv})", option("force", g_variant_new_boolean(force))), CTL_CALL_TIMEOUT_MS,
			  &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	mirror = bus_mirror_new(ctl->link, ctl_bus_name(CTL_SUPERVISOR), ctl_path(CTL_SUPERVISOR),
				CTL_SUPERVISOR_INTERFACE, follow_role, &watch);
	(void)ctl_wait(role_is_over, &watch, TAKEOVER_TIMEOUT_MS);
	bus_mirror_free(mirror);
	ctl_progress_end(&watch.progress);
	code = tell_takeover(ctl, &watch);
	g_free(watch.role);
	g_free(watch.reason);
	return code;
}

/* ---- Restart and reboot ---- */

/* As the supervisor names its objects: letters and digits stay, everything else becomes _xx. */
static char *application_path(const char *name)
{
	GString *path = g_string_new("/org/understudy/Supervisor1/application/");

	for (const char *at = name; *at; at++) {
		if (g_ascii_isalpha(*at) || (at != name && g_ascii_isdigit(*at)))
			g_string_append_c(path, *at);
		else
			g_string_append_printf(path, "_%02x", (guchar)*at);
	}
	return g_string_free(path, FALSE);
}

CtlExit ctl_restart(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *reason = NULL, *path = NULL;
	const GOptionEntry entries[] = {
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "Goes into the log", "TEXT" },
		{ 0 },
	};
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, entries, "APPLICATION", "Stops an application of this device and starts it again.", 1, 1))
		return CTL_BAD_INPUT;
	path = application_path(argv[1]);
	answer = ctl_call(ctl, CTL_SUPERVISOR, path, CTL_APPLICATION_INTERFACE, "Restart", g_variant_new("(s)", reason ? reason : ""),
			  CTL_CALL_TIMEOUT_MS, &error);
	if (!answer && (g_error_matches(error, BUS_ERROR, BUS_ERROR_UNKNOWN_OBJECT) || g_error_matches(error, BUS_ERROR, BUS_ERROR_NOT_FOUND)))
		return ctl_complain(ctl, CTL_BAD_INPUT, "restart: there is no application %s; see understudy status", argv[1]);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	if (!ctl->json)
		ctl_printf("application %s is restarted\n", argv[1]);
	else
		ctl_print_json(option("application", g_variant_new_string(argv[1])));
	return CTL_OK;
}

CtlExit ctl_reboot(Ctl *ctl, int argc, char **argv)
{
	g_autofree char *reason = NULL;
	gboolean force = FALSE;
	const GOptionEntry entries[] = {
		{ "reason", 0, 0, G_OPTION_ARG_STRING, &reason, "Goes into the timeline and the events", "TEXT" },
		{ "force", 0, 0, G_OPTION_ARG_NONE, &force, "Also when nobody can take over", NULL },
		{ 0 },
	};
	g_autoptr(GVariant) answer = NULL, end = NULL;
	g_autoptr(GError) error = NULL;
	const char *job;
	CtlExit code;

	if (!ctl_options(ctl, &argc, &argv, entries, "", "Reboots this device. A Master hands the service over first.", 0, 0))
		return CTL_BAD_INPUT;
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "Reboot", g_variant_new("(@a{sv})", swap_options(reason, force, 0)),
			  CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	g_variant_get(answer, "(&o)", &job);
	code = job_wait(ctl, CTL_SUPERVISOR, job, SWAP_TIMEOUT_MS, &end);
	if (code != CTL_OK)
		return code;
	if (ctl->json)
		ctl_print_json(end);
	if (!g_str_equal(dict_string(end, "state", ""), "done"))
		return ctl_complain(ctl, CTL_REFUSED, "reboot: %s", dict_string(end, "error", "failed"));
	if (!ctl->json)
		ctl_print("this device reboots now\n");
	return CTL_OK;
}

CtlExit ctl_reset_health(Ctl *ctl, int argc, char **argv)
{
	g_autoptr(GVariant) answer = NULL;
	g_autoptr(GError) error = NULL;

	if (!ctl_options(ctl, &argc, &argv, NULL, "",
			 "Forgets which applications have failed on this device, so that it may hand the service over once more.", 0, 0))
		return CTL_BAD_INPUT;
	answer = ctl_call(ctl, CTL_SUPERVISOR, NULL, CTL_SUPERVISOR_INTERFACE, "ResetHealth", NULL, CTL_CALL_TIMEOUT_MS, &error);
	if (!answer)
		return ctl_fail(ctl, CTL_SUPERVISOR, error);
	if (ctl->json)
		ctl_print_json(g_variant_new_parsed("{'outcome': <'forgotten'>}"));
	else
		ctl_print("forgotten\n");
	return CTL_OK;
}
