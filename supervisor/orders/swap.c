/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/orders/swap.c - handing the service over by order, step by step as docs/contracts.md says, and the other side of it: carries out what
 * handover.c decides.
 */
#include <string.h>

#include "supervisor/applications/ask.h"
#include "supervisor/role/handover.h"
#include "supervisor/supervisor.h"
#include "supervisor/orders/swap-rules.h"

#define SYNC_PATH "/org/understudy/Sync1"
#define SYNC_INTERFACE "org.understudy.Sync1"
#define PREPARE_MS 2000
#define COMMIT_MS 60000 /* these two while serving: the disk has its time */
#define BULK_MS 60000
#define FINAL_MS 5000   /* these while nobody is served: none of them waits for a disk */
#define TAKE_MS 1000
#define LEADS_MS 10000
#define QUIET_AGAIN_MS 2000

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
	Job *job;
	guint number;
	Handover handover;
	bool waits_for_quiet;   /* nothing has been asked of anybody yet */
	gint64 quiet_until_us;
	bool force;
	char *reason;
	GPtrArray *gave_up;     /* of char*: by force */
	GVariant *commits;      /* that the peer shall have applied */
	gint64 began_us;
	gint64 handing_over_us;
	SwapEndedCb ended;
	gpointer user_data;
} Course;

struct Swap {
	Supervisor *supervisor;
	Course *course; /* the one under way, or NULL */
	guint n_courses;
	BusPending *pending;
	Ask *ask;
	guint timer;
	ModeOrder mode_given; /* by the Master that hands over to us; */
	gint64 given_until_us; /* it has, and may become ours until then; 0: it has not */
	ModeOrder peer_mode; /* that the old Backup had */
	bool not_resigned;   /* vrrpd died before it answered: again when it is back */
	bool promised;       /* the peer takes over; its mode is ours once it has */
};

bool swap_is_running(const Swap *swap)
{
	return swap->course != NULL;
}

static void course_free(Course *course)
{
	g_free(course->reason);
	g_ptr_array_unref(course->gave_up);
	g_clear_pointer(&course->commits, g_variant_unref);
	g_free(course);
}

static GVariant *result_of(const Course *course)
{
	gint64 now_us = g_get_monotonic_time();
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "took_ms", g_variant_new_double((double)(now_us - course->began_us) / 1000.0));
	if (course->handing_over_us)
		g_variant_builder_add(&builder, "{sv}", "handing_over_ms",
				      g_variant_new_double((double)(now_us - course->handing_over_us) / 1000.0));
	if (*course->reason)
		g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(course->reason));
	g_variant_builder_add(&builder, "{sv}", "gave_up", g_variant_new_strv((const char *const *)course->gave_up->pdata, course->gave_up->len));
	return g_variant_builder_end(&builder);
}

static void step(Course *course, HandoverEvent event, char *error);
static void enter(Course *course);

static bool on_cancel(Job *job, gpointer user_data, GError **error)
{
	Course *course = user_data;
	if (!handover_can_cancel(&course->handover)) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_REFUSED,
				    "under-way: the applications are stopping; going on is the shorter way");
		return false;
	}
	step(course, HANDOVER_EVENT_CANCEL, NULL);
	return true;
}

/* ---- Steps ---- */

static void forget_waiting(Swap *swap)
{
	bus_pending_cancel(swap->pending);
	swap->pending = NULL;
	ask_free(swap->ask);
	swap->ask = NULL;
	if (swap->timer)
		g_source_remove(swap->timer);
	swap->timer = 0;
}

/* Takes the course. @why: it has failed, or was cancelled. */
static void finish(Course *course, const char *why)
{
	static const JobState ends[] = { [HANDOVER_DONE] = JOB_DONE, [HANDOVER_FAILED] = JOB_FAILED, [HANDOVER_CANCELLED] = JOB_CANCELLED };
	Swap *swap = course->swap;
	Supervisor *supervisor = swap->supervisor;
	JobState how = ends[course->handover.step];
	forget_waiting(swap);
	swap->course = NULL;
	swap->promised = swap->not_resigned = false;
	supervisor_remember(supervisor);
	job_end(course->job, how, how == JOB_FAILED ? why : NULL, result_of(course));
	if (how != JOB_DONE)
		keep_mode(supervisor, &supervisor->mode);
	if (how == JOB_FAILED) {
		g_autofree char *text = g_strdup_printf("The swap failed: %s", why);
		events_raise(supervisor->events, EVENT_APPLICATION, "swap-failed", 2, text);
	}
	if (course->handover.give_back)
		supervisor_think(supervisor, ROLE_EVENT_HAND_OVER_ABORT);
	else if (how != JOB_DONE)
		tell_forget_order(supervisor);
	if (course->ended)
		course->ended(how == JOB_DONE, why, course->user_data);
	course_free(course);
}

/* An answer of somebody else as a reason code of ours; codes the peer gave are kept. */
static char *reason_of(const GError *error, const char *code)
{
	if (g_error_matches(error, BUS_ERROR, BUS_ERROR_REFUSED) && strstr(error->message, ": "))
		return g_strdup(error->message);
	return g_strdup_printf("%s: %s", code, error->message);
}

/* What force steps over is written down. */
static bool forces(Course *course)
{
	static const char *const gives_up[HANDOVER_CANCELLED + 1] = {
		[HANDOVER_COMMIT] = "what could not be stored", [HANDOVER_APPLY] = "what the other device had not applied",
		[HANDOVER_LAST_COMMIT] = "what could not be stored at last",
		[HANDOVER_LAST_APPLY] = "what the other device had not applied at last",
	};
	const char *what = gives_up[course->handover.step];
	if (course->force && what)
		g_ptr_array_add(course->gave_up, g_strdup(what));
	return course->force && what;
}

static void answered(Course *course, const GError *error, const char *code)
{
	bool good = !error || forces(course);
	step(course, good ? HANDOVER_EVENT_OK : HANDOVER_EVENT_REFUSED, good ? NULL : reason_of(error, code));
}

/* A question to the peer is not taken back: by its number the course is known that asked it, by the step what it asked. */
typedef struct {
	Swap *swap;
	guint number;
	HandoverStep step;
} Asked;

static void on_peer_answered(GVariant *values, const GError *error, gpointer user_data)
{
	g_autofree Asked *asked = user_data;
	Course *course = asked->swap->course;
	if (course && course->number == asked->number && course->handover.step == asked->step)
		answered(course, error, "peer-refused");
}

static void ask_peer(Course *course, const char *phase, guint timeout_ms)
{
	Supervisor *supervisor = course->swap->supervisor;
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "phase", g_variant_new_string(phase));
	g_variant_builder_add(&builder, "{sv}", "mode", g_variant_new_string(mode_name(supervisor->mode.mode)));
	g_variant_builder_add(&builder, "{sv}", "mode_until_ms", g_variant_new_int64(supervisor->mode.until_ms));
	g_variant_builder_add(&builder, "{sv}", "mode_reason", g_variant_new_string(supervisor->mode.reason));
	g_variant_builder_add(&builder, "{sv}", "version", g_variant_new_string(UNDERSTUDY_VERSION));
	g_variant_builder_add(&builder, "{sv}", "pair_hash", g_variant_new_string(supervisor->settings->pair_hash));
	g_variant_builder_add(&builder, "{sv}", "force", g_variant_new_boolean(course->force));
	g_variant_builder_add(&builder, "{sv}", "order", g_variant_new_string(course->reason));
	Asked *asked = g_new0(Asked, 1);
	*asked = (Asked){ course->swap, course->number, course->handover.step };
	peer_request(supervisor->peer, "swap", g_variant_builder_end(&builder), timeout_ms, on_peer_answered, asked);
}

static BusPending *call_sync(Course *course, const char *method, GVariant *args, int timeout_ms, BusReplyCb done)
{
	return bus_link_call(peer_link(course->swap->supervisor->peer), NULL, SYNC_PATH, SYNC_INTERFACE, method, args, timeout_ms, done, course);
}

static void on_applied(GVariant *values, const GError *error, gpointer user_data)
{
	Course *course = user_data;
	course->swap->pending = NULL;
	answered(course, error, "apply-timeout");
}

static void on_committed(GVariant *values, const GError *error, gpointer user_data)
{
	Course *course = user_data;
	course->swap->pending = NULL;
	g_clear_pointer(&course->commits, g_variant_unref);
	course->commits = values ? g_variant_get_child_value(values, 0) : NULL;
	answered(course, error, "commit-failed");
}

static void wait_applied(Course *course, guint timeout_ms)
{
	if (!course->commits) {
		step(course, HANDOVER_EVENT_OK, NULL); /* by force: there is nothing to wait for */
		return;
	}
	course->swap->pending = call_sync(course, "WaitApplied", g_variant_new("(@a{ss}u)", course->commits, timeout_ms), (int)timeout_ms + 500,
				       on_applied);
}

static gboolean on_leads_late(gpointer user_data)
{
	Course *course = user_data;
	course->swap->timer = 0;
	step(course, HANDOVER_EVENT_LATE, NULL);
	return G_SOURCE_REMOVE;
}

static void on_resigned(const GError *error, gpointer user_data)
{
	Swap *swap = user_data;
	Course *course = swap->course;
	if (!course || !error)
		return;
	g_warning("resigning: %s", error->message);
	swap->not_resigned = true;
}

static void resign(Swap *swap)
{
	swap->not_resigned = false;
	elect_resign(swap->supervisor->elect, "swap", on_resigned, swap);
}

static gboolean on_quiet_again(gpointer user_data);

static void on_quiet(const Answers *answers, gpointer user_data)
{
	Course *course = user_data;
	Swap *swap = course->swap;
	swap->ask = NULL;
	if (answers->quiet) {
		course->waits_for_quiet = false;
		enter(course);
		return;
	}
	if (g_get_monotonic_time() >= course->quiet_until_us) {
		step(course, HANDOVER_EVENT_REFUSED, g_strdup_printf("not-quiet: %s", answers->text));
		return;
	}
	g_autofree char *message = g_strdup_printf("waiting for a quiet moment (%s)", answers->text);
	job_say(course->job, 0.0, message);
	swap->timer = g_timeout_add(QUIET_AGAIN_MS, on_quiet_again, course);
}

static gboolean on_quiet_again(gpointer user_data)
{
	Course *course = user_data;
	course->swap->timer = 0;
	course->swap->ask = ask_begin(course->swap->supervisor->applications, ASK_QUIET, on_quiet, course);
	return G_SOURCE_REMOVE;
}

static void exchange_modes(Swap *swap)
{
	swap->promised = false;
	supervisor_set_mode(swap->supervisor, &swap->peer_mode);
}

static void enter(Course *course)
{
	Swap *swap = course->swap;
	Supervisor *supervisor = swap->supervisor;
	job_say(course->job, steps[course->handover.step].progress, steps[course->handover.step].message);
	switch (course->handover.step) {
	case HANDOVER_PREPARE:
		ask_peer(course, "prepare", PREPARE_MS);
		break;
	case HANDOVER_COMMIT:
		swap->pending = call_sync(course, "Commit", g_variant_new("(ss)", "supervisor", "before a swap"), COMMIT_MS, on_committed);
		break;
	case HANDOVER_APPLY:
		wait_applied(course, BULK_MS);
		break;
	case HANDOVER_STOP:
		course->handing_over_us = g_get_monotonic_time();
		supervisor_think(supervisor, ROLE_EVENT_HAND_OVER); /* swap_look() sees them stopped */
		break;
	case HANDOVER_LAST_COMMIT:
		swap->pending = call_sync(course, "CommitLast", g_variant_new("(ss)", "supervisor", "final"), FINAL_MS, on_committed);
		break;
	case HANDOVER_LAST_APPLY:
		wait_applied(course, FINAL_MS);
		break;
	case HANDOVER_TAKE:
		/* One of the two is active, whoever loses his power on the way: what will be ours is kept before the peer gives it away. */
		if (supervisor->mode.mode == MODE_PASSIVE && swap->peer_mode.mode == MODE_ACTIVE)
			keep_mode(supervisor, &swap->peer_mode);
		ask_peer(course, "take", TAKE_MS);
		break;
	case HANDOVER_RESIGN:
		swap->promised = true;
		keep_write_run(supervisor); /* from here the next supervisor goes on */
		resign(swap);
		step(course, HANDOVER_EVENT_OK, NULL);
		break;
	case HANDOVER_LEADS:
		swap->timer = g_timeout_add(LEADS_MS, on_leads_late, course);
		break;
	case HANDOVER_DONE:
		if (swap->promised && handover_may_be(&supervisor->facts, swap->peer_mode.mode))
			exchange_modes(swap);
		finish(course, NULL);
		break;
	case HANDOVER_FAILED:
		finish(course, course->handover.error);
		break;
	case HANDOVER_CANCELLED:
		finish(course, "cancelled: by order");
		break;
	}
}

/* Takes @error: why somebody refused. */
static void step(Course *course, HandoverEvent event, char *error)
{
	g_autofree char *why = error;
	const Supervisor *supervisor = course->swap->supervisor;
	if (!handover_step(&course->handover, event, supervisor->role.role, &supervisor->facts))
		return;
	if (why)
		course->handover.error = why; /* until it is told */
	enter(course);
}

/* A supervisor before us has died in the middle of a swap: nobody will finish it. But it may have resigned already; only vrrpd knows. */
static void look_after_death(Swap *swap)
{
	Role role = swap->supervisor->role.role;
	const RoleFacts *facts = &swap->supervisor->facts;
	if (handover_nobody_finishes(role, facts))
		supervisor_think(swap->supervisor, ROLE_EVENT_HAND_OVER_ABORT);
	else if (role == ROLE_TAKING_OVER || role == ROLE_MASTER)
		swap->promised = false;
}

/* The two exchange their modes, once it has come to it: who was passive leads now, who led is what it was. After as long as the other waits to see this
 * device lead it keeps what it had. */
static void take_given_mode(Swap *swap)
{
	if (swap->given_until_us == 0 || !handover_may_be(&swap->supervisor->facts, swap->mode_given.mode))
		return;
	bool in_time = g_get_monotonic_time() < swap->given_until_us;
	swap->given_until_us = 0;
	if (in_time)
		supervisor_set_mode(swap->supervisor, &swap->mode_given);
}

void swap_taken(Swap *swap)
{
	swap->given_until_us = g_get_monotonic_time() + LEADS_MS * G_GINT64_CONSTANT(1000);
	take_given_mode(swap);
}

void swap_look(Swap *swap)
{
	const Supervisor *supervisor = swap->supervisor;
	if (swap->course && swap->not_resigned && supervisor->role.role == ROLE_HANDING_OVER && supervisor->facts.election == ELECTION_MASTER)
		resign(swap);
	if (swap->promised && handover_mode_is_ours(supervisor->role.role, &supervisor->facts, swap->peer_mode.mode))
		exchange_modes(swap);
	take_given_mode(swap);
	if (swap->course)
		step(swap->course, HANDOVER_EVENT_FACTS, NULL);
	else
		look_after_death(swap);
}

/* With its end and its reason, as `state` and `take` tell them. */
static ModeOrder mode_told(GVariant *dictionary, Mode mode)
{
	const char *reason = "";
	gint64 until_ms = 0;
	if (dictionary) {
		(void)g_variant_lookup(dictionary, "mode_until_ms", "x", &until_ms);
		(void)g_variant_lookup(dictionary, "mode_reason", "&s", &reason);
	}
	ModeOrder order = mode_order(mode, 0, reason, 0);
	order.until_ms = mode == MODE_PASSIVE ? MAX(0, until_ms) : 0;
	return order;
}

static bool refuse(GError **error, const char *text)
{
	g_set_error_literal(error, BUS_ERROR, BUS_ERROR_REFUSED, text);
	return false;
}

static void judge(const Supervisor *supervisor, SwapObstacle obstacles[SWAP_OBSTACLES_MAX])
{
	GVariant *state = peer_state(supervisor->peer);
	const char *version = "", *hash = "";
	if (state) {
		(void)g_variant_lookup(state, "version", "&s", &version);
		(void)g_variant_lookup(state, "pair_hash", "&s", &hash);
	}
	swap_rules_judge(supervisor->role.role, &supervisor->facts, strcmp(version, UNDERSTUDY_VERSION) == 0,
			 g_strcmp0(hash, supervisor->settings->pair_hash) == 0, obstacles);
}

const char *swap_refusal(const Supervisor *supervisor)
{
	SwapObstacle obstacles[SWAP_OBSTACLES_MAX];
	judge(supervisor, obstacles);
	return swap_rules_refusal(obstacles, false);
}

bool swap_may_pass(const Supervisor *supervisor, bool force)
{
	SwapObstacle obstacles[SWAP_OBSTACLES_MAX];
	judge(supervisor, obstacles);
	return swap_rules_may_pass(obstacles, force);
}

GVariant *swap_check(const Supervisor *supervisor)
{
	SwapObstacle obstacles[SWAP_OBSTACLES_MAX];
	GVariantBuilder builder;
	judge(supervisor, obstacles);
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (const SwapObstacle *each = obstacles; each->refusal; each++) {
		const char *colon = strstr(each->refusal, ": ");
		g_variant_builder_open(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "code", g_variant_new_take_string(g_strndup(each->refusal, (gsize)(colon - each->refusal))));
		g_variant_builder_add(&builder, "{sv}", "text", g_variant_new_string(colon + 2));
		g_variant_builder_add(&builder, "{sv}", "forcible", g_variant_new_boolean(each->gives_up != NULL));
		g_variant_builder_add(&builder, "{sv}", "gives_up", g_variant_new_string(each->gives_up ? each->gives_up : ""));
		g_variant_builder_close(&builder);
	}
	return g_variant_builder_end(&builder);
}

static Course *course_new(Swap *swap, const SwapOrder *order)
{
	Course *course = g_new0(Course, 1);
	course->swap = swap;
	course->number = ++swap->n_courses;
	course->force = order->force;
	course->reason = g_strdup(order->reason ? order->reason : "");
	course->gave_up = g_ptr_array_new_with_free_func(g_free);
	course->began_us = g_get_monotonic_time();
	course->waits_for_quiet = order->when_quiet_s > 0;
	course->quiet_until_us = course->began_us + order->when_quiet_s * G_TIME_SPAN_SECOND;
	course->ended = order->ended;
	course->user_data = order->user_data;
	return course;
}

const char *swap_begin(Swap *swap, const SwapOrder *order, GError **error)
{
	Supervisor *supervisor = swap->supervisor;
	SwapObstacle obstacles[SWAP_OBSTACLES_MAX];
	if (swap->course) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_BUSY, "busy: a swap is under way");
		return NULL;
	}
	judge(supervisor, obstacles);
	const char *refusal = swap_rules_refusal(obstacles, order->force);
	if (refusal) {
		(void)refuse(error, refusal);
		return NULL;
	}
	Course *course = course_new(swap, order);
	course->job = job_begin(supervisor->jobs, "swap", on_cancel, course, error);
	if (!course->job) {
		course_free(course);
		return NULL;
	}
	for (const SwapObstacle *each = obstacles; each->refusal; each++)
		g_ptr_array_add(course->gave_up, g_strdup(each->gives_up));
	swap->course = course;
	swap->peer_mode = mode_told(peer_state(supervisor->peer), supervisor->facts.peer_mode);
	tell_order(supervisor, course->reason);
	g_message("swap ordered (%s)%s", *course->reason ? course->reason : "no reason given", course->force ? ", by force" : "");
	const char *path = job_path(course->job);
	if (course->waits_for_quiet)
		swap->ask = ask_begin(supervisor->applications, ASK_QUIET, on_quiet, course);
	else
		enter(course);
	return path;
}

/* ---- The other side ---- */

bool swap_answer(Supervisor *supervisor, GVariant *args, GError **error)
{
	const char *phase = "", *mode_text = "", *version = "", *hash = "", *order = "";
	gboolean force = FALSE;
	Mode mode = MODE_ACTIVE;
	(void)g_variant_lookup(args, "phase", "&s", &phase);
	(void)g_variant_lookup(args, "version", "&s", &version);
	(void)g_variant_lookup(args, "pair_hash", "&s", &hash);
	(void)g_variant_lookup(args, "force", "b", &force);
	(void)g_variant_lookup(args, "order", "&s", &order);
	supervisor->facts.apps_stopped = applications_are_stopped(supervisor->applications);
	const char *why = handover_take_refusal(supervisor->role.role, &supervisor->facts, force || strcmp(version, UNDERSTUDY_VERSION) == 0,
						force || g_strcmp0(hash, supervisor->settings->pair_hash) == 0);
	if (why)
		return refuse(error, why);
	if (strcmp(phase, "prepare") == 0)
		return true;
	if (strcmp(phase, "take") != 0) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "unknown phase");
		return false;
	}
	tell_order(supervisor, order);
	bool given = g_variant_lookup(args, "mode", "&s", &mode_text) && mode_parse(mode_text, &mode);
	supervisor->swap->mode_given = given ? mode_told(args, mode) : supervisor->mode;
	supervisor->swap->given_until_us = 0;
	supervisor_think(supervisor, ROLE_EVENT_TAKE_EXPECTED);
	keep_write_run(supervisor); /* a promise binds the next supervisor, too */
	return true;
}

void swap_keep(const Swap *swap, GString *text)
{
	g_autofree char *given = mode_order_text(&swap->mode_given), *promised = mode_order_text(&swap->peer_mode);
	g_string_append_printf(text, "mode-given=%s", given);
	if (swap->promised)
		g_string_append_printf(text, "mode-promised=%s", promised);
}

void swap_resume(Swap *swap, const char *given, const char *promised)
{
	(void)(given && mode_order_parse(given, &swap->mode_given));
	swap->promised = promised && mode_order_parse(promised, &swap->peer_mode);
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
	if (swap->course)
		course_free(swap->course);
	g_free(swap);
}
