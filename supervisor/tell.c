/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/tell.c - writes down what happened and says it: timeline, role signal, events. */
#include <string.h>

#include "supervisor/processes/output.h"
#include "supervisor/supervisor.h"

#define ORDER_LASTS_US (300 * G_TIME_SPAN_SECOND)
#define TIMELINE_FILE STATE_DIR "/timeline"

/* ---- Timeline ---- */

void tell_write_timeline(Supervisor *supervisor, char *line)
{
	if (line)
		store_append(supervisor->store, TIMELINE_FILE, line);
	if (line && timeline_wants_rewrite(supervisor->timeline)) {
		g_autofree char *text = timeline_text(supervisor->timeline);
		store_write(supervisor->store, TIMELINE_FILE, text);
	}
	g_free(line);
}

static double since_transition_ms(const Supervisor *supervisor, gint64 at_us)
{
	return (double)(at_us - supervisor->transition_us) / 1000.0;
}

void tell_phase(Supervisor *supervisor, const char *name, gint64 begin_us, gint64 end_us)
{
	timeline_phase(supervisor->timeline, name, since_transition_ms(supervisor, begin_us), since_transition_ms(supervisor, end_us));
}

/* When the Master was last heard on each path, for people: by the clock of the machine it says nothing to them. */
static void add_heard_before(Supervisor *supervisor, GVariant *known, GVariantDict *dictionary)
{
	g_autoptr(GVariant) heard = g_variant_lookup_value(known, "last_heard", G_VARIANT_TYPE("a{sx}"));
	gint64 decided_us = elect_changed_boot_us(supervisor->elect), each_us;
	const char *path;
	GVariantIter each;
	GVariantBuilder builder;
	if (!heard || !decided_us || g_variant_n_children(heard) == 0)
		return;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sd}"));
	g_variant_iter_init(&each, heard);
	while (g_variant_iter_next(&each, "{&sx}", &path, &each_us))
		g_variant_builder_add(&builder, "{sd}", path, (double)(decided_us - each_us) / 1000.0);
	g_variant_dict_insert_value(dictionary, "heard_before_ms", g_variant_builder_end(&builder));
}

/* What the election knew: from the last sign of the Master to the decision, and to the addresses being announced. */
static void election_phases(Supervisor *supervisor, GVariant *evidence)
{
	g_autoptr(GVariant) heard = g_variant_lookup_value(evidence, "last_heard", G_VARIANT_TYPE("a{sx}"));
	gint64 decided_us = elect_changed_boot_us(supervisor->elect), addresses_us = 0, last_us = 0, each_us;
	GVariantIter each;
	if (heard) {
		g_variant_iter_init(&each, heard);
		while (g_variant_iter_next(&each, "{&sx}", NULL, &each_us))
			last_us = MAX(last_us, each_us);
	}
	if (last_us && decided_us && supervisor->role.role == ROLE_TAKING_OVER)
		timeline_phase(supervisor->timeline, "detection", (double)(last_us - decided_us) / 1000.0, 0.0);
	if (decided_us && g_variant_lookup(evidence, "addresses_up_us", "x", &addresses_us))
		timeline_phase(supervisor->timeline, "addresses", 0.0, (double)(addresses_us - decided_us) / 1000.0);
}

static bool by_election(const Supervisor *supervisor, gint64 now_us)
{
	return strcmp(supervisor->role.reason, supervisor->facts.election_reason) == 0 &&
	       now_us - elect_changed_us(supervisor->elect) < 2 * G_TIME_SPAN_SECOND;
}

/* Roles people are told of; the others are on the way to one. */
static bool is_lasting(Role role)
{
	switch (role) {
	case ROLE_STANDALONE:
	case ROLE_BACKUP:
	case ROLE_MASTER:
	case ROLE_FAULT:
		return true;
	case ROLE_INIT:
	case ROLE_TAKING_OVER:
	case ROLE_HANDING_OVER:
		return false;
	}
	g_assert_not_reached();
}

void tell_forget_order(Supervisor *supervisor)
{
	g_clear_pointer(&supervisor->order, g_free);
}

void tell_order(Supervisor *supervisor, const char *reason)
{
	tell_forget_order(supervisor);
	supervisor->order = g_strdup(reason ? reason : "");
	supervisor->order_us = g_get_monotonic_time();
}

/* Commits that the other device said it had stored, and that are not on the files here: a{ss}, ref to commit; NULL: none. Transfer full. */
static GVariant *commits_lacking(const Supervisor *supervisor)
{
	GVariant *state = peer_state(supervisor->peer), *applied = peer_sync_get(supervisor->peer, "Applied", "a{ss}");
	g_autoptr(GVariant) stored = state ? g_variant_lookup_value(state, "stored", G_VARIANT_TYPE("a{ss}")) : NULL;
	GVariantBuilder builder;
	GVariantIter each;
	const char *ref, *commit, *ours;
	guint n = 0;
	if (!stored || !applied)
		return NULL;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
	g_variant_iter_init(&each, stored);
	while (g_variant_iter_next(&each, "{&s&s}", &ref, &commit)) {
		ours = "";
		(void)g_variant_lookup(applied, ref, "&s", &ours);
		if (*commit && strcmp(commit, ours) != 0) {
			g_variant_builder_add(&builder, "{ss}", ref, commit);
			n++;
		}
	}
	GVariant *lacking = g_variant_ref_sink(g_variant_builder_end(&builder));
	if (n)
		return lacking;
	g_variant_unref(lacking);
	return NULL;
}

/* What has become of the Master that nobody told to go; NULL: there was none. @known: what the election knew, or NULL. */
static const char *failover_text(Role old, const char *reason, GVariant *known)
{
	g_autoptr(GVariant) heard = known ? g_variant_lookup_value(known, "last_heard", G_VARIANT_TYPE("a{sx}")) : NULL;
	if (old != ROLE_BACKUP || !heard || g_variant_n_children(heard) == 0)
		return NULL;
	if (strcmp(reason, "master-down") == 0)
		return "the Master was not heard any more";
	return strcmp(reason, "master-resigned") == 0 ? "the Master has given up" : NULL;
}

typedef struct {
	Supervisor *supervisor;
	GVariantDict *evidence;
} Blame;

/* A critical one that is beyond help, and what it wrote last: the first of them is reason enough. */
static void add_failed(Application *application, gpointer user_data)
{
	const Blame *blame = user_data;
	Supervisor *supervisor = blame->supervisor;
	GVariantDict *evidence = blame->evidence;
	const char *output = application_last_output(application);
	if (!application_settings(application)->critical || application_state(application)->state != APP_FAILED || g_variant_dict_contains(evidence, "failed"))
		return;
	g_autofree char *failed = g_strdup_printf("%s (%s)", application_name(application), application_last_exit(application));
	g_variant_dict_insert(evidence, "failed", "s", failed);
	g_clear_pointer(&supervisor->blamed.name, g_free);
	if (*output) {
		g_variant_dict_insert(evidence, "last_output", "s", output);
		return;
	}
	supervisor->blamed.name = g_strdup(application_name(application));
	supervisor->blamed.sequence = supervisor->role.sequence;
	supervisor->blamed.time_ms = supervisor->role_since_ms;
}

/* The journal was asked when the application failed, and answers when the role may have changed for that. */
static void add_last_output(Supervisor *supervisor, const char *name, const char *lines)
{
	if (g_strcmp0(supervisor->blamed.name, name) != 0)
		return;
	g_clear_pointer(&supervisor->blamed.name, g_free);
	if (!*lines)
		return;
	GVariantBuilder evidence;
	g_variant_builder_init(&evidence, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&evidence, "{sv}", "last_output", g_variant_new_string(lines));
	tell_write_timeline(supervisor, timeline_amend(supervisor->timeline, &(TimelineAddition){ .sequence = supervisor->blamed.sequence,
												 .time_ms = supervisor->blamed.time_ms,
												 .evidence = g_variant_builder_end(&evidence) }));
}

void tell_role_changed(Supervisor *supervisor, Role old)
{
	const RoleMachine *role = &supervisor->role;
	bool took_over = old == ROLE_TAKING_OVER && role->role == ROLE_MASTER && supervisor->drop_lifted_us;
	gint64 now_us = took_over ? supervisor->drop_lifted_us : g_get_monotonic_time(); /* when the phones had it, and not when that is told */
	bool elected = by_election(supervisor, now_us);
	double took_ms = since_transition_ms(supervisor, now_us);
	/* Time counts from the election's change where that was the cause. */
	supervisor->transition_us = elected ? elect_changed_us(supervisor->elect) : now_us;
	supervisor->role_since_ms = (g_get_real_time() - (now_us - supervisor->transition_us)) / 1000;
	g_hash_table_remove_all(supervisor->app_begun);
	if (role->role != ROLE_MASTER)
		supervisor->drop_lifted_us = 0;
	supervisor->settle_asked_us = now_us;

	g_message("role: %s -> %s (%s), term %" G_GUINT64_FORMAT " of %s", role_name(old), role_name(role->role), role->reason,
		  role->known.number, *role->known.id ? role->known.id : "nobody");
	GVariant *known = elected ? elect_evidence(supervisor->elect) : NULL;
	g_autoptr(GVariantDict) dictionary = g_variant_dict_new(known);
	g_variant_dict_insert(dictionary, "peer_connected", "b", peer_is_connected(supervisor->peer));
	if (known)
		add_heard_before(supervisor, known, dictionary);
	if (role->role == ROLE_TAKING_OVER) {
		g_autoptr(GVariant) lacking = commits_lacking(supervisor);
		if (lacking)
			g_variant_dict_insert_value(dictionary, "not_applied", lacking);
	}
	if (old == ROLE_MASTER || old == ROLE_TAKING_OVER)
		applications_each(supervisor->applications, add_failed, &(Blame){ supervisor, dictionary });
	bool ordered = supervisor->order && now_us - supervisor->order_us < ORDER_LASTS_US;
	if (ordered && *supervisor->order)
		g_variant_dict_insert(dictionary, "order", "s", supervisor->order);
	if (is_lasting(role->role))
		tell_forget_order(supervisor);
	if (role->role == ROLE_TAKING_OVER) {
		g_free(supervisor->failover);
		supervisor->failover = g_strdup(ordered ? NULL : failover_text(old, role->reason, known));
	}
	if (old == ROLE_TAKING_OVER || old == ROLE_HANDING_OVER)
		g_variant_dict_insert(dictionary, "took_ms", "d", took_ms);
	g_autoptr(GVariant) evidence = g_variant_ref_sink(g_variant_dict_end(dictionary));

	TimelineRecord record = {
		.device = supervisor->settings->id,
		.old = role_name(old),
		.new = role_name(role->role),
		.reason = role->reason,
		.sequence = role->sequence,
		.term = role->known.number,
		.term_id = role->known.id,
		.time_ms = supervisor->role_since_ms,
		.evidence = evidence,
	};
	if (old == ROLE_TAKING_OVER && role->role == ROLE_MASTER)
		timeline_phase(supervisor->timeline, "serving", took_ms, took_ms);
	tell_write_timeline(supervisor, timeline_end(supervisor->timeline));
	tell_write_timeline(supervisor, timeline_begin(supervisor->timeline, &record));
	if (known)
		election_phases(supervisor, known);
	if (role->role == ROLE_TAKING_OVER)
		aftermath_begin(supervisor->aftermath);

	service_role_changed(supervisor->service, old, evidence);
	if (is_lasting(role->role)) {
		g_autofree char *text = g_strdup_printf("Device %s is now %s (was %s): %s", supervisor->settings->name,
							role_name(role->role), role_name(old), role->reason);
		events_raise(supervisor->events, EVENT_APPLICATION, "role", 1, text);
	}
	if (role->role == ROLE_MASTER && supervisor->failover) {
		g_autofree char *text = g_strdup_printf("Device %s has taken over: %s", supervisor->settings->name, supervisor->failover);
		events_raise(supervisor->events, EVENT_APPLICATION, "failover", 3, text);
	}
	if (is_lasting(role->role))
		g_clear_pointer(&supervisor->failover, g_free);
}

void tell_whole(Supervisor *supervisor)
{
	if (supervisor->settle_asked_us)
		tell_phase(supervisor, "settle", supervisor->settle_asked_us, g_get_monotonic_time());
	supervisor->settle_asked_us = 0;
}

void tell_settled(Supervisor *supervisor)
{
	tell_whole(supervisor);
	aftermath_settled(supervisor->aftermath);
}

typedef struct {
	Supervisor *supervisor;
	char *name, *exit;
} Failure;

static void on_last_lines(const char *lines, gpointer user_data)
{
	Failure *failure = user_data;
	g_autofree char *text = g_strdup_printf("Application %s has failed (%s)%s%s", failure->name, failure->exit, *lines ? ". Its last lines:\n" : "",
						lines);
	Application *application = applications_find(failure->supervisor->applications, failure->name);
	if (application)
		application_set_last_output(application, lines);
	add_last_output(failure->supervisor, failure->name, lines);
	events_raise(failure->supervisor->events, EVENT_APPLICATION, "application-failed", 3, text);
	g_free(failure->name);
	g_free(failure->exit);
	g_free(failure);
}

void tell_application_changed(Supervisor *supervisor, Application *application, AppState old)
{
	const App *app = application_state(application);
	const char *name = application_name(application);
	gint64 now_us = g_get_monotonic_time();
	g_autofree char *label = g_strdup_printf("application %s", name);
	const gint64 *begun_us = g_hash_table_lookup(supervisor->app_begun, name);

	if (app->state != old && (app->state == APP_STARTING || app->state == APP_STOPPING)) {
		gint64 *stamp_us = g_new(gint64, 1);
		*stamp_us = now_us;
		g_hash_table_replace(supervisor->app_begun, g_strdup(name), stamp_us);
	} else if (begun_us && ((app->state == APP_RUNNING && old == APP_STARTING) || (app->state == APP_STOPPED && old == APP_STOPPING))) {
		tell_phase(supervisor, label, *begun_us, now_us);
		g_hash_table_remove(supervisor->app_begun, name);
	}
	if (app->state == APP_FAILED && old != APP_FAILED && app->failure_is_news) {
		g_autofree char *failed = g_strdup_printf("application %s failed", name);
		Failure *failure = g_new0(Failure, 1);
		*failure = (Failure){ .supervisor = supervisor, .name = g_strdup(name), .exit = g_strdup(application_last_exit(application)) };
		tell_phase(supervisor, failed, now_us, now_us);
		application_set_last_output(application, ""); /* that was of another failure */
		output_last(name, application_settings(application)->unit, on_last_lines, failure);
	}
}

/* ---- Terms ---- */

void tell_terms(Supervisor *supervisor)
{
	g_autofree char *text = NULL;
	if (supervisor->role.doubtful)
		text = g_strdup("Before it was switched off this device led in a term that its disk did not take: it waits for the peer, or "
				"for understudy takeover");
	else
		text = g_strdup_printf("This device leads in term %" G_GUINT64_FORMAT " and its disk has not taken that: make room; switched off "
				       "now, it would wait for the peer", supervisor->role.known.number);
	events_raise_once(supervisor->events, text, 3600, EVENT_APPLICATION, "term-not-stored", 3, text);
}

/* ---- The three redundancy events ---- */

/* Raised by the Master alone, once per change of what its Backup is. */
void tell_watch_backup(Supervisor *supervisor)
{
	const RoleFacts *facts = &supervisor->facts;
	if (supervisor->role.role != ROLE_MASTER || !facts->redundant || !facts->paired) {
		if (supervisor->role.role == ROLE_BACKUP || !facts->redundant)
			supervisor->presence = PRESENCE_UNKNOWN;
		return;
	}
	int now = supervisor->presence;
	if (facts->peer_fresh && facts->peer_role == ROLE_BACKUP)
		now = facts->peer_mode == MODE_ACTIVE ? PRESENCE_ACTIVE : PRESENCE_PASSIVE;
	else if (peer_is_down(supervisor->peer))
		now = PRESENCE_DOWN;
	if (now == (int)supervisor->presence)
		return;
	supervisor->presence = now;
	g_autofree char *text = NULL;
	switch (supervisor->presence) {
	case PRESENCE_UNKNOWN:
		break;
	case PRESENCE_ACTIVE:
		text = g_strdup_printf("Backup device with ID %s is UP (Active mode)", peer_id(supervisor->peer));
		events_raise(supervisor->events, EVENT_APPLICATION, "up active", 1, text);
		break;
	case PRESENCE_PASSIVE:
		text = g_strdup_printf("Backup device with ID %s is UP (Passive mode)", peer_id(supervisor->peer));
		events_raise(supervisor->events, EVENT_APPLICATION, "up passive", 2, text);
		break;
	case PRESENCE_DOWN:
		events_raise(supervisor->events, EVENT_APPLICATION, "down", 3, "Backup device is DOWN");
		break;
	}
}

void tell_remind(Supervisor *supervisor)
{
	gint64 now_us = g_get_monotonic_time();
	if (supervisor->role.role != ROLE_MASTER || supervisor->presence != PRESENCE_PASSIVE) {
		supervisor->passive_since_us = supervisor->passive_told_us = 0;
		return;
	}
	if (supervisor->passive_since_us == 0)
		supervisor->passive_since_us = now_us;
	if (!mode_reminder_is_due(supervisor->passive_since_us, supervisor->passive_told_us, supervisor->settings->passive_reminder_min, now_us))
		return;
	supervisor->passive_told_us = now_us;
	g_autofree char *text = g_strdup_printf("Backup device with ID %s is still passive: it takes over by order only", peer_id(supervisor->peer));
	events_raise(supervisor->events, EVENT_APPLICATION, "still passive", 2, text);
}
