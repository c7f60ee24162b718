/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/applications/undo.c - carries out what health.c decides: looks for the change of the configuration that broke an application, has syncd undo
 * it, starts the application again; and remembers what has failed here, so that the service is not handed to and fro.
 */
#include <string.h>

#include "dbus/bus-error.h"
#include "supervisor/supervisor.h"

#define SYNC_PATH "/org/understudy/Sync1"
#define SYNC_INTERFACE "org.understudy.Sync1"
#define LOOK_MS 1000
#define RESTORE_MS 5000
#define N_COMMITS 50

struct Undo {
	Supervisor *supervisor;
	Health health;
	GHashTable *failed;   /* names of critical applications that were beyond help here */
	BusPending *asking;
	guint later;          /* a timer, to ask again */
	BusSubscription *committed, *applied;
	char *commit, *parent, *message; /* what is to be undone */
	char *tried;          /* the last that was given a try first */
	gint64 reset_us;      /* when somebody's change was last taken for a new beginning */
};

/* Of the applications that have failed the one whose time of trial is longest decides. */
typedef struct {
	bool failed;
	guint trial_s;
	gint64 begun_ms;   /* the latest start of them */
	GHashTable *names; /* filled when not NULL */
} Failed;

static void count_failed(Application *application, gpointer user_data)
{
	Failed *failed = user_data;
	const SettingsApplication *settings = application_settings(application);
	if (!settings->critical || application_state(application)->state != APP_FAILED)
		return;
	failed->failed = true;
	failed->trial_s = MAX(failed->trial_s, settings->config_trial_s);
	failed->begun_ms = MAX(failed->begun_ms, application_begun_ms(application));
	if (failed->names)
		g_hash_table_add(failed->names, g_strdup(settings->name));
}

static Failed find_failed(const Undo *undo, GHashTable *names)
{
	Failed failed = { .names = names };
	applications_each(undo->supervisor->applications, count_failed, &failed);
	return failed;
}

static HealthFacts facts_of(const Undo *undo)
{
	const Supervisor *supervisor = undo->supervisor;
	Failed failed = find_failed(undo, NULL);
	return (HealthFacts){
		.runs = supervisor->posture.run_applications,
		.failed = failed.failed,
		.ready = applications_are_ready(supervisor->applications),
		.on_trial = failed.trial_s > 0,
	};
}

static void step(Undo *undo, HealthEvent event);

static void step_and_think(Undo *undo, HealthEvent event)
{
	step(undo, event);
	supervisor_think(undo->supervisor, ROLE_EVENT_FACTS);
}

/* ---- Which change ---- */

static const char *text_of(GVariant *entry, const char *key)
{
	const char *text = "";
	(void)g_variant_lookup(entry, key, "&s", &text);
	return text;
}

static HealthEvent choose(Undo *undo, GVariant *list)
{
	Failed failed = find_failed(undo, NULL);
	gsize n = g_variant_n_children(list), chosen = 0;
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	g_autofree HealthCommit *commits = g_new0(HealthCommit, n + 1);
	for (gsize i = 0; i < n; i++) {
		GVariant *entry = g_variant_get_child_value(list, i);
		g_ptr_array_add(entries, entry);
		commits[i] = (HealthCommit){ text_of(entry, "commit"), text_of(entry, "parent"), text_of(entry, "author"), text_of(entry, "message"), 0 };
		(void)g_variant_lookup(entry, "time_ms", "x", &commits[i].time_ms);
	}
	if (n && health_is_untried(&commits[0], failed.begun_ms, undo->tried)) {
		g_free(undo->tried);
		undo->tried = g_strdup(commits[0].commit);
		return HEALTH_EVENT_UNTRIED;
	}
	if (!health_choose(commits, n, g_get_real_time() / 1000, failed.trial_s * (gint64)1000, &chosen))
		return HEALTH_EVENT_NOTHING;
	g_free(undo->commit);
	g_free(undo->parent);
	g_free(undo->message);
	undo->commit = g_strdup(commits[chosen].commit);
	undo->parent = g_strdup(commits[chosen].parent);
	undo->message = g_strdup(commits[chosen].message);
	return HEALTH_EVENT_FOUND;
}

static bool is_unanswered(const GError *error)
{
	return g_error_matches(error, BUS_ERROR, BUS_ERROR_NOT_REACHABLE) || g_error_matches(error, BUS_ERROR, BUS_ERROR_TIMED_OUT);
}

static void on_history(GVariant *values, const GError *error, gpointer user_data)
{
	Undo *undo = user_data;
	undo->asking = NULL;
	if (is_unanswered(error)) {
		step_and_think(undo, HEALTH_EVENT_UNANSWERED);
		return;
	}
	g_autoptr(GVariant) list = values ? g_variant_get_child_value(values, 0) : NULL;
	step_and_think(undo, list ? choose(undo, list) : HEALTH_EVENT_NOTHING);
}

/* ---- Undoing it ---- */

static void tell(Undo *undo, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void tell(Undo *undo, const char *format, ...)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	va_list args;
	(void)find_failed(undo, names);
	g_autofree gpointer *keys = g_hash_table_get_keys_as_array(names, NULL);
	g_autofree char *who = g_strjoinv(", ", (char **)keys);
	va_start(args, format);
	g_autofree char *what = g_strdup_vprintf(format, args);
	va_end(args);
	g_autofree char *text = g_strdup_printf("Application %s failed after a change of the configuration (%s): %s", who, undo->message, what);
	events_raise(undo->supervisor->events, EVENT_APPLICATION, "config-undone", 3, text);
}

static void on_restored(GVariant *values, const GError *error, gpointer user_data)
{
	Undo *undo = user_data;
	undo->asking = NULL;
	if (is_unanswered(error)) {
		step_and_think(undo, HEALTH_EVENT_UNANSWERED);
		return;
	}
	if (error)
		tell(undo, "it cannot be undone: %s", error->message);
	else
		tell(undo, "the change is undone; commit %.10s has it", undo->commit);
	step_and_think(undo, error ? HEALTH_EVENT_NOTHING : HEALTH_EVENT_RESTORED);
}

static void restart_failed(Application *application, gpointer user_data)
{
	if (application_state(application)->state == APP_FAILED)
		(void)application_restart(application);
}

static void ask_history(Undo *undo)
{
	bus_pending_cancel(undo->asking);
	undo->asking = bus_link_call(peer_link(undo->supervisor->peer), NULL, SYNC_PATH, SYNC_INTERFACE, "History",
				     g_variant_new("(ssu)", "config", "", N_COMMITS), LOOK_MS, on_history, undo);
}

static gboolean on_later(gpointer user_data)
{
	Undo *undo = user_data;
	undo->later = 0;
	if (undo->health.state == HEALTH_LOOKING && !undo->asking)
		ask_history(undo);
	return G_SOURCE_REMOVE;
}

static void step(Undo *undo, HealthEvent event)
{
	HealthFacts facts = facts_of(undo);
	HealthState old = undo->health.state;
	HealthAction action = health_step(&undo->health, &facts, event);
	BusLink *link = peer_link(undo->supervisor->peer);
	if (old != HEALTH_WELL && undo->health.state == HEALTH_WELL && facts.ready)
		g_hash_table_remove_all(undo->failed);
	if (health_gives_up(&undo->health, &facts))
		(void)find_failed(undo, undo->failed);
	switch (action) {
	case HEALTH_DO_NOTHING:
		break;
	case HEALTH_DO_LOOK:
		ask_history(undo);
		break;
	case HEALTH_DO_LOOK_LATER:
		if (!undo->later)
			undo->later = g_timeout_add(HEALTH_LATER_MS, on_later, undo);
		break;
	case HEALTH_DO_RESTORE: {
		g_autofree char *message = g_strdup_printf(HEALTH_UNDO "%s: %s", undo->commit, undo->message);
		g_message("undoing commit %s of the configuration", undo->commit);
		bus_pending_cancel(undo->asking);
		undo->asking = bus_link_call(link, NULL, SYNC_PATH, SYNC_INTERFACE, "Restore",
					     g_variant_new("(sss)", undo->parent, HEALTH_AUTHOR, message), RESTORE_MS, on_restored, undo);
		break;
	}
	case HEALTH_DO_RESTART:
		applications_each(undo->supervisor->applications, restart_failed, NULL);
		break;
	}
}

void undo_look(Undo *undo)
{
	step(undo, HEALTH_EVENT_FACTS);
}

bool undo_gives_up(const Undo *undo)
{
	HealthFacts facts = facts_of(undo);
	return health_gives_up(&undo->health, &facts);
}

/* ---- What has failed here ---- */

static gint compare_names(gconstpointer a, gconstpointer b, gpointer user_data)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **undo_failed(const Undo *undo)
{
	g_autofree gpointer *keys = g_hash_table_get_keys_as_array(undo->failed, NULL);
	char **names = g_strdupv((char **)keys);
	g_qsort_with_data(names, (gint)g_strv_length(names), sizeof *names, compare_names, NULL);
	return names;
}

void undo_remember_failed(Undo *undo, const char *const *names)
{
	for (gsize i = 0; names && names[i]; i++)
		g_hash_table_add(undo->failed, g_strdup(names[i]));
}

bool undo_failed_alike(const Undo *undo, GVariant *peer_state)
{
	g_autoptr(GVariant) theirs = peer_state ? g_variant_lookup_value(peer_state, "failed", G_VARIANT_TYPE_STRING_ARRAY) : NULL;
	for (gsize i = 0; theirs && i < g_variant_n_children(theirs); i++) {
		const char *name;
		g_variant_get_child(theirs, i, "&s", &name);
		if (g_hash_table_contains(undo->failed, name))
			return true;
	}
	return false;
}

void undo_reset(Undo *undo)
{
	g_hash_table_remove_all(undo->failed);
	step(undo, HEALTH_EVENT_RESET);
	supervisor_think(undo->supervisor, ROLE_EVENT_HEALTH_RESET);
}

/* Somebody has changed the configuration, perhaps to mend it. Not more often than a change is on trial: an application may write it, too. */
static void new_beginning(Undo *undo)
{
	guint trial_s = MAX(find_failed(undo, NULL).trial_s, 60);
	gint64 now_us = g_get_monotonic_time();
	bool waits = undo->health.state == HEALTH_BEYOND || g_hash_table_size(undo->failed) > 0;
	if (!waits || (undo->reset_us && now_us - undo->reset_us < trial_s * G_TIME_SPAN_SECOND))
		return;
	undo->reset_us = now_us;
	applications_each(undo->supervisor->applications, restart_failed, NULL);
	undo_reset(undo);
}

static void on_committed(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	const char *ref, *message;
	g_variant_get(args, "(&ss&su)", &ref, NULL, &message, NULL);
	if (strcmp(ref, "config") == 0 && !g_str_has_prefix(message, HEALTH_UNDO))
		new_beginning(user_data);
}

static void on_applied(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	const char *ref;
	g_variant_get_child(args, 0, "&s", &ref);
	if (strcmp(ref, "config") == 0)
		new_beginning(user_data);
}

Undo *undo_new(Supervisor *supervisor)
{
	Undo *undo = g_new0(Undo, 1);
	BusLink *link = peer_link(supervisor->peer);
	undo->supervisor = supervisor;
	undo->failed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	undo->committed = bus_link_subscribe(link, NULL, SYNC_PATH, SYNC_INTERFACE, "Committed", on_committed, undo);
	undo->applied = bus_link_subscribe(link, NULL, SYNC_PATH, SYNC_INTERFACE, "AppliedHere", on_applied, undo);
	return undo;
}

void undo_free(Undo *undo)
{
	if (!undo)
		return;
	bus_pending_cancel(undo->asking);
	if (undo->later)
		g_source_remove(undo->later);
	bus_subscription_free(undo->committed);
	bus_subscription_free(undo->applied);
	g_hash_table_destroy(undo->failed);
	g_free(undo->commit);
	g_free(undo->parent);
	g_free(undo->message);
	g_free(undo->tried);
	g_free(undo);
}
