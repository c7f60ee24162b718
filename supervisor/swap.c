/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/swap.c - handing the service over by order, step by step as docs/contracts.md says, and the other side of it.
 *
 * Until the peer has agreed to take, every failure leads back: the applications start again here and the job says why.
 */
#include <string.h>

#include "supervisor/supervisor.h"

#define SYNC_PATH "/org/understudy/Sync1"
#define SYNC_INTERFACE "org.understudy.Sync1"
#define JOB_INTERFACE "org.understudy.Job1"
#define PREPARE_MS 2000
#define COMMIT_MS 10000
#define BULK_MS 60000
#define FINAL_MS 5000
#define TAKE_MS 1000
#define LEADS_MS 10000
#define KEEP_JOBS 5

typedef enum {
	SWAP_PREPARE,  /* the peer is asked whether it would */
	SWAP_COMMIT,   /* what there is, while serving */
	SWAP_APPLY,
	SWAP_STOP,     /* handing-over: the applications stop */
	SWAP_LAST_COMMIT,
	SWAP_LAST_APPLY,
	SWAP_TAKE,     /* the peer promises; from here there is no way back */
	SWAP_RESIGN,
	SWAP_LEADS,    /* wait until the peer leads */
	SWAP_DONE,
	SWAP_FAILED,
	SWAP_CANCELLED,
} SwapStep;

static const struct {
	double progress;
	const char *message;
} steps[] = {
	[SWAP_PREPARE] = { 0.0, "asking the peer" },
	[SWAP_COMMIT] = { 0.1, "storing what is new" },
	[SWAP_APPLY] = { 0.2, "the peer applies it" },
	[SWAP_STOP] = { 0.5, "applications stop" },
	[SWAP_LAST_COMMIT] = { 0.6, "storing what they wrote last" },
	[SWAP_LAST_APPLY] = { 0.7, "the peer applies it" },
	[SWAP_TAKE] = { 0.8, "the peer takes over" },
	[SWAP_RESIGN] = { 0.85, "letting go of the addresses" },
	[SWAP_LEADS] = { 0.9, "the peer starts its applications" },
	[SWAP_DONE] = { 1.0, "done" },
	[SWAP_FAILED] = { 1.0, "failed" },
	[SWAP_CANCELLED] = { 1.0, "cancelled" },
};

typedef struct {
	Swap *swap;
	BusObject *object;
	char *path;
	SwapStep step;
	double failed_at;
	char *error;
	gint64 began_us;
	gint64 handing_over_us;
	gint64 ended_us;
} Job;

struct Swap {
	Supervisor *supervisor;
	GQueue jobs; /* of Job*, the newest first */
	guint n_jobs;
	BusPending *pending;
	guint timer;
	Mode peer_mode; /* that the old Backup had */
};

static Job *running(const Swap *swap)
{
	Job *job = g_queue_peek_head((GQueue *)&swap->jobs);
	return job && job->step < SWAP_DONE ? job : NULL;
}

bool swap_is_running(const Swap *swap)
{
	return running(swap) != NULL;
}

/* ---- The job on the bus ---- */

static GVariant *get_kind(gpointer user_data)
{
	return g_variant_new_string("swap");
}

static GVariant *get_state(gpointer user_data)
{
	const Job *job = user_data;
	return g_variant_new_string(job->step == SWAP_DONE	  ? "done"
				    : job->step == SWAP_FAILED	  ? "failed"
				    : job->step == SWAP_CANCELLED ? "cancelled"
								  : "running");
}

static GVariant *get_progress(gpointer user_data)
{
	const Job *job = user_data;
	return g_variant_new_double(job->step > SWAP_DONE ? job->failed_at : steps[job->step].progress);
}

static GVariant *get_message(gpointer user_data)
{
	return g_variant_new_string(steps[((Job *)user_data)->step].message);
}

static GVariant *get_error(gpointer user_data)
{
	const Job *job = user_data;
	return g_variant_new_string(job->error ? job->error : "");
}

static GVariant *get_result(gpointer user_data)
{
	const Job *job = user_data;
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (job->ended_us)
		g_variant_builder_add(&builder, "{sv}", "took_ms", g_variant_new_double((double)(job->ended_us - job->began_us) / 1000.0));
	if (job->ended_us && job->handing_over_us)
		g_variant_builder_add(&builder, "{sv}", "handing_over_ms",
				      g_variant_new_double((double)(job->ended_us - job->handing_over_us) / 1000.0));
	return g_variant_builder_end(&builder);
}

static void finish(Job *job, SwapStep how, char *error);

static void on_cancel(BusCall *call, GVariant *args, gpointer user_data)
{
	Job *job = user_data;
	if (job != running(job->swap)) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "ended: the job is over");
		return;
	}
	if (job->step >= SWAP_STOP) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "under-way: the applications are stopping; going on is the shorter way");
		return;
	}
	finish(job, SWAP_CANCELLED, NULL);
	bus_call_reply(call, NULL);
}

static const BusMember job_members[] = {
	{ "Kind", .get = get_kind },	     { "State", .get = get_state },   { "Progress", .get = get_progress },
	{ "Message", .get = get_message },   { "Error", .get = get_error },   { "Result", .get = get_result },
	{ "Cancel", .method = on_cancel },   { 0 },
};
static const BusInterface job_interfaces[] = { { JOB_INTERFACE, job_members }, { 0 } };

static void say_changed(Job *job)
{
	static const char *const properties[] = { "State", "Progress", "Message", "Error", "Result" };
	for (gsize i = 0; i < G_N_ELEMENTS(properties); i++)
		bus_object_changed(job->object, JOB_INTERFACE, properties[i]);
}

static void job_free(gpointer data)
{
	Job *job = data;
	bus_object_withdraw(job->object);
	g_free(job->path);
	g_free(job->error);
	g_free(job);
}

/* ---- Steps ---- */

static void enter(Job *job, SwapStep step);

static void forget_waiting(Swap *swap)
{
	bus_pending_cancel(swap->pending);
	swap->pending = NULL;
	if (swap->timer)
		g_source_remove(swap->timer);
	swap->timer = 0;
}

/* Takes @error. */
static void finish(Job *job, SwapStep how, char *error)
{
	Supervisor *supervisor = job->swap->supervisor;
	bool stopped = job->step >= SWAP_STOP && job->step < SWAP_RESIGN;
	forget_waiting(job->swap);
	job->failed_at = steps[job->step].progress;
	job->step = how;
	job->error = error;
	job->ended_us = g_get_monotonic_time();
	say_changed(job);
	if (error) {
		g_autofree char *text = g_strdup_printf("The swap failed: %s", error);
		events_raise(supervisor->events, EVENT_APPLICATION, "swap-failed", 2, text);
	}
	if (stopped && how != SWAP_DONE)
		supervisor_think(supervisor, ROLE_EVENT_HAND_OVER_ABORT);
	while (g_queue_get_length(&job->swap->jobs) > KEEP_JOBS)
		job_free(g_queue_pop_tail(&job->swap->jobs));
}

/* An answer of somebody else as a reason code of ours; codes the peer gave are kept. */
static char *reason_of(const GError *error, const char *code)
{
	if (g_error_matches(error, BUS_ERROR, BUS_ERROR_REFUSED) && strstr(error->message, ": "))
		return g_strdup(error->message);
	return g_strdup_printf("%s: %s", code, error->message);
}

static void on_prepared(GVariant *values, const GError *error, gpointer user_data)
{
	Job *job = user_data;
	if (job->step != SWAP_PREPARE)
		return; /* cancelled meanwhile */
	if (error)
		finish(job, SWAP_FAILED, reason_of(error, "peer-refused"));
	else
		enter(job, SWAP_COMMIT);
}

static void on_taken(GVariant *values, const GError *error, gpointer user_data)
{
	Job *job = user_data;
	if (job->step != SWAP_TAKE)
		return; /* another device leads meanwhile */
	if (error)
		finish(job, SWAP_FAILED, reason_of(error, "peer-refused"));
	else
		enter(job, SWAP_RESIGN);
}

static void ask_peer(Job *job, const char *phase, guint timeout_ms, BusReplyCb done)
{
	Supervisor *supervisor = job->swap->supervisor;
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "phase", g_variant_new_string(phase));
	g_variant_builder_add(&builder, "{sv}", "mode", g_variant_new_string(mode_name(supervisor->mode)));
	g_variant_builder_add(&builder, "{sv}", "version", g_variant_new_string(UNDERSTUDY_VERSION));
	g_variant_builder_add(&builder, "{sv}", "pair_hash", g_variant_new_string(supervisor->settings->pair_hash));
	peer_request(supervisor->peer, "swap", g_variant_builder_end(&builder), timeout_ms, done, job);
}

static BusPending *call_sync(Job *job, const char *method, GVariant *args, int timeout_ms, BusReplyCb done)
{
	return bus_link_call(peer_link(job->swap->supervisor->peer), NULL, SYNC_PATH, SYNC_INTERFACE, method, args, timeout_ms, done, job);
}

static void on_applied(GVariant *values, const GError *error, gpointer user_data)
{
	Job *job = user_data;
	job->swap->pending = NULL;
	if (error)
		finish(job, SWAP_FAILED, reason_of(error, "apply-timeout"));
	else
		enter(job, job->step == SWAP_APPLY ? SWAP_STOP : SWAP_TAKE);
}

static void on_committed(GVariant *values, const GError *error, gpointer user_data)
{
	Job *job = user_data;
	bool last = job->step == SWAP_LAST_COMMIT;
	job->swap->pending = NULL;
	if (error) {
		finish(job, SWAP_FAILED, reason_of(error, "commit-failed"));
		return;
	}
	g_autoptr(GVariant) commits = g_variant_get_child_value(values, 0);
	guint timeout_ms = last ? FINAL_MS : BULK_MS;
	enter(job, last ? SWAP_LAST_APPLY : SWAP_APPLY);
	job->swap->pending = call_sync(job, "WaitApplied", g_variant_new("(@a{ss}u)", commits, timeout_ms), (int)timeout_ms + 500, on_applied);
}

static gboolean on_leads_late(gpointer user_data)
{
	Job *job = user_data;
	job->swap->timer = 0;
	finish(job, SWAP_FAILED, g_strdup("peer-late: the peer took over but does not say that it leads"));
	return G_SOURCE_REMOVE;
}

static void on_resigned(const GError *error, gpointer user_data)
{
	Swap *swap = user_data;
	Job *job = running(swap);
	if (job && error)
		g_warning("resigning: %s", error->message);
}

static void enter(Job *job, SwapStep step)
{
	Swap *swap = job->swap;
	Supervisor *supervisor = swap->supervisor;
	job->step = step;
	say_changed(job);
	switch (step) {
	case SWAP_PREPARE:
		ask_peer(job, "prepare", PREPARE_MS, on_prepared);
		break;
	case SWAP_COMMIT:
		swap->pending = call_sync(job, "Commit", g_variant_new("(ss)", "supervisor", "before a swap"), COMMIT_MS, on_committed);
		break;
	case SWAP_STOP:
		job->handing_over_us = g_get_monotonic_time();
		supervisor_think(supervisor, ROLE_EVENT_HAND_OVER); /* swap_look() sees them stopped */
		break;
	case SWAP_LAST_COMMIT:
		swap->pending = call_sync(job, "Commit", g_variant_new("(ss)", "supervisor", "final"), FINAL_MS, on_committed);
		break;
	case SWAP_TAKE:
		ask_peer(job, "take", TAKE_MS, on_taken);
		break;
	case SWAP_RESIGN:
		elect_resign(supervisor->elect, "swap", on_resigned, swap);
		if (job->step == SWAP_RESIGN)
			enter(job, SWAP_LEADS);
		break;
	case SWAP_LEADS:
		swap->timer = g_timeout_add(LEADS_MS, on_leads_late, job);
		break;
	case SWAP_APPLY:
	case SWAP_LAST_APPLY:
	case SWAP_DONE:
	case SWAP_FAILED:
	case SWAP_CANCELLED:
		break;
	}
}

/* The old Backup's mode is ours only now: passive before that, this device would stay out if the peer died on its way. */
static void peer_leads(Job *job)
{
	supervisor_set_mode(job->swap->supervisor, job->swap->peer_mode);
	if (job->step == SWAP_LEADS)
		finish(job, SWAP_DONE, NULL);
}

void swap_look(Swap *swap)
{
	const Supervisor *supervisor = swap->supervisor;
	Job *job = running(swap);
	if (!job) {
		/* A supervisor before us has died in the middle of one: nobody will finish it. */
		if (supervisor->role.role == ROLE_HANDING_OVER)
			supervisor_think(swap->supervisor, ROLE_EVENT_HAND_OVER_ABORT);
		return;
	}
	const RoleFacts *facts = &supervisor->facts;
	Role role = supervisor->role.role;
	if (job->step == SWAP_STOP && role != ROLE_HANDING_OVER)
		finish(job, SWAP_FAILED, g_strdup("not-master: another device leads meanwhile"));
	else if (job->step == SWAP_STOP && facts->apps_stopped)
		enter(job, SWAP_LAST_COMMIT);
	else if (job->step == SWAP_LEADS && facts->peer_fresh && facts->peer_role == ROLE_MASTER)
		peer_leads(job);
	else if (job->step == SWAP_LEADS && (role == ROLE_TAKING_OVER || role == ROLE_MASTER))
		finish(job, SWAP_FAILED, g_strdup("peer-late: the peer did not come to lead; this device leads again"));
	else if (job->step < SWAP_RESIGN && role != ROLE_MASTER && role != ROLE_HANDING_OVER)
		finish(job, SWAP_FAILED, g_strdup("not-master: another device leads meanwhile"));
}

static bool refuse(GError **error, const char *text)
{
	g_set_error_literal(error, BUS_ERROR, BUS_ERROR_REFUSED, text);
	return false;
}

static bool is_possible(const Swap *swap, GError **error)
{
	const Supervisor *supervisor = swap->supervisor;
	const RoleFacts *facts = &supervisor->facts;
	if (running(swap)) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_BUSY, "busy: a swap is under way");
		return false;
	}
	if (supervisor->role.role != ROLE_MASTER)
		return refuse(error, "not-master: a swap is ordered on the Master");
	GVariant *state = peer_state(supervisor->peer);
	if (!facts->paired || !facts->peer_fresh || !state)
		return refuse(error, "peer-absent: the peer is not connected");
	const char *version = "", *hash = "";
	(void)g_variant_lookup(state, "version", "&s", &version);
	(void)g_variant_lookup(state, "pair_hash", "&s", &hash);
	if (strcmp(version, UNDERSTUDY_VERSION) != 0)
		return refuse(error, "version-differs: the devices run different versions");
	if (g_strcmp0(hash, supervisor->settings->pair_hash) != 0)
		return refuse(error, "settings-differ: the pair's settings are not the same on both devices");
	if (facts->peer_role != ROLE_BACKUP)
		return refuse(error, "peer-not-backup: the peer is not ready as Backup");
	return true;
}

const char *swap_begin(Swap *swap, const char *reason, GError **error)
{
	Supervisor *supervisor = swap->supervisor;
	if (!is_possible(swap, error))
		return NULL;
	Job *job = g_new0(Job, 1);
	job->swap = swap;
	job->path = g_strdup_printf("/org/understudy/Supervisor1/job/%u", ++swap->n_jobs);
	job->began_us = g_get_monotonic_time();
	job->object = bus_object_publish(service_tree(supervisor->service), job->path, job_interfaces, job, error);
	if (!job->object) {
		g_free(job->path);
		g_free(job);
		return NULL;
	}
	g_queue_push_head(&swap->jobs, job);
	swap->peer_mode = supervisor->facts.peer_mode;
	g_message("swap ordered (%s)", reason && *reason ? reason : "no reason given");
	enter(job, SWAP_PREPARE);
	return job->path;
}

/* ---- The other side ---- */

bool swap_answer(Supervisor *supervisor, GVariant *args, GError **error)
{
	const char *phase = "", *mode_text = "", *version = "", *hash = "";
	Mode mode = MODE_ACTIVE;
	(void)g_variant_lookup(args, "phase", "&s", &phase);
	(void)g_variant_lookup(args, "version", "&s", &version);
	(void)g_variant_lookup(args, "pair_hash", "&s", &hash);
	if (supervisor->role.role != ROLE_BACKUP)
		return refuse(error, "peer-not-backup: this device is not a Backup");
	if (strcmp(version, UNDERSTUDY_VERSION) != 0)
		return refuse(error, "version-differs: the devices run different versions");
	if (g_strcmp0(hash, supervisor->settings->pair_hash) != 0)
		return refuse(error, "settings-differ: the pair's settings are not the same on both devices");
	if (supervisor->joining)
		return refuse(error, "first-sync: the first synchronisation is not done");
	if (!applications_are_stopped(supervisor->applications))
		return refuse(error, "applications-stopping: applications are still running here");
	if (supervisor->facts.election != ELECTION_BACKUP)
		return refuse(error, "no-election: this device cannot take over now");
	if (strcmp(phase, "prepare") == 0)
		return true;
	if (strcmp(phase, "take") != 0) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "unknown phase");
		return false;
	}
	/* The two exchange their modes: who was passive leads now, who led is what it was. */
	supervisor_think(supervisor, ROLE_EVENT_TAKE_EXPECTED);
	if (g_variant_lookup(args, "mode", "&s", &mode_text) && mode_parse(mode_text, &mode))
		supervisor_set_mode(supervisor, mode);
	return true;
}

Swap *swap_new(Supervisor *supervisor)
{
	Swap *swap = g_new0(Swap, 1);
	swap->supervisor = supervisor;
	return swap;
}

void swap_free(Swap *swap)
{
	if (!swap)
		return;
	forget_waiting(swap);
	g_queue_clear_full(&swap->jobs, job_free);
	g_free(swap);
}
