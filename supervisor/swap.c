/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/swap.c - handing the service over by order, step by step as docs/contracts.md says, and the other side of it: carries out what
 * handover.c decides.
 */
#include <string.h>

#include "supervisor/handover.h"
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

static const struct {
	double progress;
	const char *message;
} steps[] = {
	[HANDOVER_PREPARE] = { 0.0, "asking the peer" },
	[HANDOVER_COMMIT] = { 0.1, "storing what is new" },
	[HANDOVER_APPLY] = { 0.2, "the peer applies it" },
	[HANDOVER_STOP] = { 0.5, "applications stop" },
	[HANDOVER_LAST_COMMIT] = { 0.6, "storing what they wrote last" },
	[HANDOVER_LAST_APPLY] = { 0.7, "the peer applies it" },
	[HANDOVER_TAKE] = { 0.8, "the peer takes over" },
	[HANDOVER_RESIGN] = { 0.85, "letting go of the addresses" },
	[HANDOVER_LEADS] = { 0.9, "the peer starts its applications" },
	[HANDOVER_DONE] = { 1.0, "done" },
	[HANDOVER_FAILED] = { 1.0, "failed" },
	[HANDOVER_CANCELLED] = { 1.0, "cancelled" },
};

typedef struct {
	Swap *swap;
	BusObject *object;
	char *path;
	Handover handover;
	double failed_at;
	char *error;
	GVariant *commits; /* that the peer shall have applied */
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
	return job && !handover_is_over(&job->handover) ? job : NULL;
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
	return g_variant_new_string(job->handover.step == HANDOVER_DONE	  ? "done"
				    : job->handover.step == HANDOVER_FAILED	  ? "failed"
				    : job->handover.step == HANDOVER_CANCELLED ? "cancelled"
								  : "running");
}

static GVariant *get_progress(gpointer user_data)
{
	const Job *job = user_data;
	return g_variant_new_double(job->handover.step > HANDOVER_DONE ? job->failed_at : steps[job->handover.step].progress);
}

static GVariant *get_message(gpointer user_data)
{
	return g_variant_new_string(steps[((Job *)user_data)->handover.step].message);
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

static void step(Job *job, HandoverEvent event, char *error);

static void on_cancel(BusCall *call, GVariant *args, gpointer user_data)
{
	Job *job = user_data;
	if (job != running(job->swap)) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "ended: the job is over");
		return;
	}
	if (!handover_can_cancel(&job->handover)) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "under-way: the applications are stopping; going on is the shorter way");
		return;
	}
	step(job, HANDOVER_EVENT_CANCEL, NULL);
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
	g_clear_pointer(&job->commits, g_variant_unref);
	g_free(job->error);
	g_free(job);
}

/* ---- Steps ---- */

static void forget_waiting(Swap *swap)
{
	bus_pending_cancel(swap->pending);
	swap->pending = NULL;
	if (swap->timer)
		g_source_remove(swap->timer);
	swap->timer = 0;
}

static void finish(Job *job)
{
	Supervisor *supervisor = job->swap->supervisor;
	forget_waiting(job->swap);
	job->ended_us = g_get_monotonic_time();
	say_changed(job);
	if (job->error) {
		g_autofree char *text = g_strdup_printf("The swap failed: %s", job->error);
		events_raise(supervisor->events, EVENT_APPLICATION, "swap-failed", 2, text);
	}
	if (job->handover.give_back)
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

/* What was asked for in one step is no answer to another: it may have been cancelled meanwhile. */
static void answered(Job *job, HandoverStep asked, const GError *error, const char *code)
{
	if (job->handover.step == asked)
		step(job, error ? HANDOVER_EVENT_REFUSED : HANDOVER_EVENT_OK, error ? reason_of(error, code) : NULL);
}

static void on_prepared(GVariant *values, const GError *error, gpointer user_data)
{
	answered(user_data, HANDOVER_PREPARE, error, "peer-refused");
}

static void on_taken(GVariant *values, const GError *error, gpointer user_data)
{
	answered(user_data, HANDOVER_TAKE, error, "peer-refused");
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
	answered(job, job->handover.step, error, "apply-timeout");
}

static void on_committed(GVariant *values, const GError *error, gpointer user_data)
{
	Job *job = user_data;
	job->swap->pending = NULL;
	g_clear_pointer(&job->commits, g_variant_unref);
	job->commits = values ? g_variant_get_child_value(values, 0) : NULL;
	answered(job, job->handover.step, error, "commit-failed");
}

static void wait_applied(Job *job, guint timeout_ms)
{
	job->swap->pending = call_sync(job, "WaitApplied", g_variant_new("(@a{ss}u)", job->commits, timeout_ms), (int)timeout_ms + 500,
				       on_applied);
}

static gboolean on_leads_late(gpointer user_data)
{
	Job *job = user_data;
	job->swap->timer = 0;
	step(job, HANDOVER_EVENT_LATE, NULL);
	return G_SOURCE_REMOVE;
}

static void on_resigned(const GError *error, gpointer user_data)
{
	Swap *swap = user_data;
	Job *job = running(swap);
	if (job && error)
		g_warning("resigning: %s", error->message);
}

static void enter(Job *job)
{
	Swap *swap = job->swap;
	Supervisor *supervisor = swap->supervisor;
	say_changed(job);
	switch (job->handover.step) {
	case HANDOVER_PREPARE:
		ask_peer(job, "prepare", PREPARE_MS, on_prepared);
		break;
	case HANDOVER_COMMIT:
		swap->pending = call_sync(job, "Commit", g_variant_new("(ss)", "supervisor", "before a swap"), COMMIT_MS, on_committed);
		break;
	case HANDOVER_APPLY:
		wait_applied(job, BULK_MS);
		break;
	case HANDOVER_STOP:
		job->handing_over_us = g_get_monotonic_time();
		supervisor_think(supervisor, ROLE_EVENT_HAND_OVER); /* swap_look() sees them stopped */
		break;
	case HANDOVER_LAST_COMMIT:
		swap->pending = call_sync(job, "Commit", g_variant_new("(ss)", "supervisor", "final"), FINAL_MS, on_committed);
		break;
	case HANDOVER_LAST_APPLY:
		wait_applied(job, FINAL_MS);
		break;
	case HANDOVER_TAKE:
		ask_peer(job, "take", TAKE_MS, on_taken);
		break;
	case HANDOVER_RESIGN:
		elect_resign(supervisor->elect, "swap", on_resigned, swap);
		step(job, HANDOVER_EVENT_OK, NULL);
		break;
	case HANDOVER_LEADS:
		swap->timer = g_timeout_add(LEADS_MS, on_leads_late, job);
		break;
	case HANDOVER_DONE:
		/* Ours only now: passive before that, this device would stay out if the peer died on its way. */
		if (job->handover.exchanged)
			supervisor_set_mode(supervisor, swap->peer_mode);
		finish(job);
		break;
	case HANDOVER_FAILED:
	case HANDOVER_CANCELLED:
		finish(job);
		break;
	}
}

/* Takes @error: why somebody refused. */
static void step(Job *job, HandoverEvent event, char *error)
{
	const Supervisor *supervisor = job->swap->supervisor;
	double progress = steps[job->handover.step].progress;
	if (!handover_step(&job->handover, event, supervisor->role.role, &supervisor->facts)) {
		g_free(error);
		return;
	}
	if (handover_is_over(&job->handover)) {
		job->failed_at = progress;
		job->error = error ? error : g_strdup(job->handover.error);
	}
	enter(job);
}

void swap_look(Swap *swap)
{
	Job *job = running(swap);
	/* A supervisor before us has died in the middle of one: nobody will finish it. */
	if (!job && swap->supervisor->role.role == ROLE_HANDING_OVER)
		supervisor_think(swap->supervisor, ROLE_EVENT_HAND_OVER_ABORT);
	else if (job)
		step(job, HANDOVER_EVENT_FACTS, NULL);
}

static bool refuse(GError **error, const char *text)
{
	g_set_error_literal(error, BUS_ERROR, BUS_ERROR_REFUSED, text);
	return false;
}

static bool is_possible(const Swap *swap, GError **error)
{
	const Supervisor *supervisor = swap->supervisor;
	if (running(swap)) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_BUSY, "busy: a swap is under way");
		return false;
	}
	GVariant *state = peer_state(supervisor->peer);
	const char *version = "", *hash = "";
	if (state) {
		(void)g_variant_lookup(state, "version", "&s", &version);
		(void)g_variant_lookup(state, "pair_hash", "&s", &hash);
	}
	const char *why = handover_refusal(supervisor->role.role, &supervisor->facts, strcmp(version, UNDERSTUDY_VERSION) == 0,
					   g_strcmp0(hash, supervisor->settings->pair_hash) == 0);
	return !why || refuse(error, why);
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
	enter(job);
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
	supervisor->facts.apps_stopped = applications_are_stopped(supervisor->applications);
	const char *why = handover_take_refusal(supervisor->role.role, &supervisor->facts, strcmp(version, UNDERSTUDY_VERSION) == 0,
						g_strcmp0(hash, supervisor->settings->pair_hash) == 0);
	if (why)
		return refuse(error, why);
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
