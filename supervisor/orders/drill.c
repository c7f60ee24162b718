/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/orders/drill.c - carries a drill out, measures it, and keeps the report of the last one on both devices.
 *
 * The service is silent from the moment when the one that leads begins to stop its applications until the other one's applications have all said
 * that they are ready: as seen from the device that is home. Where an application answers SIP, OPTIONS is asked at the service address meanwhile, on
 * each way by the device that hands over (drill-watch.h).
 */
#include <string.h>

#include "supervisor/applications/ask.h"
#include "supervisor/orders/drill-steps.h"
#include "supervisor/orders/drill-watch.h"
#include "supervisor/supervisor.h"

#define SYNC_PATH "/org/understudy/Sync1"
#define SYNC_INTERFACE "org.understudy.Sync1"
#define REPORT_FILE STATE_DIR "/drill"
#define AWAY_FILE "/run/understudy/supervisor/drill-away" /* the service is not at home by our doing */
#define RETURN_MS 3000
#define HISTORY_MS 3000
#define TIMELINE_MS 1000
#define MEASURED_MS 1000
#define MEASURED_AGAIN_MS 100
#define MEASURED_US (5 * G_TIME_SPAN_SECOND) /* so long the other device may take to be answered again */
#define N_COMMITS 500
#define N_TRANSITIONS 20
#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT(1000))

struct Drill {
	Supervisor *supervisor;
	GVariant *report; /* of the last one, a{sv}; or only since_ms */

	/* The one under way. */
	Job *job;
	DrillCourse course;
	guint number;
	guint timer;
	Ask *ask;
	BusPending *pending;
	char *why;     /* whoever refused */
	char *reason, *quiet;
	gint64 begin_ms, begin_us;
	bool left;     /* it was more than a question */
	char *tip;     /* newest commit of the configuration before */
	bool counted;
	guint64 contacts_before, contacts_after;
	guint commits_lost;
	gint64 stop_us, start_us;           /* on the way there: silent from, to */
	gint64 stop_back_us, start_back_us; /* and back */
	DrillWatch *watch; /* of this drill, or of the other device's when it gives the service back */
	char *sip_target;
	bool sip_there_known, sip_back_known;
	Silence sip_there, sip_back;
	gint64 judge_us;
	guint again;
};

static void step(Drill *drill, DrillEvent event, const char *why);

/* ---- The report ---- */

GVariant *drill_report(const Drill *drill)
{
	return drill->report ? g_variant_ref(drill->report) : g_variant_ref_sink(g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0));
}

gint64 drill_age_days(const Drill *drill)
{
	gint64 then_ms = 0;
	if (!drill->report ||
	    !(g_variant_lookup(drill->report, "end_ms", "x", &then_ms) || g_variant_lookup(drill->report, "since_ms", "x", &then_ms)))
		return -1;
	return MAX(0, (g_get_real_time() / 1000 - then_ms) / DAY_MS);
}

bool drill_has_failed(const Drill *drill)
{
	gboolean passed = TRUE;
	if (drill->report)
		(void)g_variant_lookup(drill->report, "passed", "b", &passed);
	return !passed;
}

static void keep(Drill *drill, GVariant *report)
{
	g_clear_pointer(&drill->report, g_variant_unref);
	drill->report = g_variant_ref_sink(report);
	g_autofree char *text = g_variant_print(drill->report, TRUE);
	store_write(drill->supervisor->store, REPORT_FILE, text);
	service_changed(drill->supervisor->service, "LastDrill");
	examine_soon(drill->supervisor->examine);
}

/* From when the age counts where there never was one. */
static void keep_beginning(Drill *drill)
{
	if (drill->report || !drill->supervisor->facts.paired)
		return;
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "since_ms", g_variant_new_int64(g_get_real_time() / 1000));
	keep(drill, g_variant_builder_end(&builder));
}

static double silence_ms(gint64 from_us, gint64 to_us)
{
	return from_us && to_us > from_us ? (double)(to_us - from_us) / 1000.0 : -1.0;
}

static GVariant *phases_of(const Drill *drill, GVariant *theirs)
{
	GVariantBuilder builder;
	g_autoptr(GVariant) ours = g_variant_ref_sink(timeline_list(drill->supervisor->timeline, N_TRANSITIONS));
	g_autoptr(GVariant) both = g_variant_ref_sink(timeline_merge(ours, theirs, N_TRANSITIONS));
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (gsize i = 0; i < g_variant_n_children(both); i++) {
		g_autoptr(GVariant) each = g_variant_get_child_value(both, i);
		gint64 time_ms = 0;
		if (g_variant_lookup(each, "time_ms", "x", &time_ms) && time_ms >= drill->begin_ms)
			g_variant_builder_add_value(&builder, each);
	}
	return g_variant_builder_end(&builder);
}

static bool never_answered(bool known, const Silence *silence)
{
	return known && silence->n_asked > 0 && silence->n_answered == 0;
}

static void add_sip(GVariantBuilder *builder, const char *way, const Silence *silence)
{
	g_autofree char *key = g_strdup_printf("sip_silence_%s_ms", way), *asked = g_strdup_printf("sip_asked_%s", way);
	g_autofree char *answered = g_strdup_printf("sip_answered_%s", way);
	g_variant_builder_add(builder, "{sv}", key, g_variant_new_double((double)silence->longest_us / 1000.0));
	g_variant_builder_add(builder, "{sv}", asked, g_variant_new_uint32(silence->n_asked));
	g_variant_builder_add(builder, "{sv}", answered, g_variant_new_uint32(silence->n_answered));
}

static GVariant *make_report(const Drill *drill, GVariant *theirs, bool *ret_passed)
{
	const Settings *settings = drill->supervisor->settings;
	double there_ms = silence_ms(drill->stop_us, drill->start_us), back_ms = silence_ms(drill->stop_back_us, drill->start_back_us);
	gint64 most_us = settings->drill_max_silence_ms * (gint64)G_TIME_SPAN_MILLISECOND;
	g_autoptr(GPtrArray) failures = g_ptr_array_new();
	const char *error = drill->why ? drill->why : drill->course.error;
	GVariantBuilder builder;
	if (drill->course.failed)
		g_ptr_array_add(failures, (gpointer)(error ? error : "failed: for a reason unknown"));
	if (there_ms > settings->drill_max_silence_ms || back_ms > settings->drill_max_silence_ms)
		g_ptr_array_add(failures, "silence: the service was away for longer than max-silence-ms");
	else if (never_answered(drill->sip_there_known, &drill->sip_there) || never_answered(drill->sip_back_known, &drill->sip_back))
		g_ptr_array_add(failures, "sip-silence: phones had no answer from the device that had taken over");
	else if ((drill->sip_there_known && drill->sip_there.longest_us > most_us) || (drill->sip_back_known && drill->sip_back.longest_us > most_us))
		g_ptr_array_add(failures, "sip-silence: phones had no answer for longer than max-silence-ms");
	if (drill->counted && drill->contacts_after < drill->contacts_before)
		g_ptr_array_add(failures, "contacts: fewer contacts afterwards than before");
	if (drill->commits_lost)
		g_ptr_array_add(failures, "commits: a commit of the configuration is no longer in its history");
	*ret_passed = failures->len == 0;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "begin_ms", g_variant_new_int64(drill->begin_ms));
	g_variant_builder_add(&builder, "{sv}", "end_ms", g_variant_new_int64(g_get_real_time() / 1000));
	g_variant_builder_add(&builder, "{sv}", "took_ms", g_variant_new_double((double)(g_get_monotonic_time() - drill->begin_us) / 1000.0));
	g_variant_builder_add(&builder, "{sv}", "passed", g_variant_new_boolean(*ret_passed));
	g_variant_builder_add(&builder, "{sv}", "failures", g_variant_new_strv((const char *const *)failures->pdata, failures->len));
	g_variant_builder_add(&builder, "{sv}", "home", g_variant_new_string(settings->id));
	g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(drill->reason ? drill->reason : ""));
	g_variant_builder_add(&builder, "{sv}", "quiet", g_variant_new_string(drill->quiet ? drill->quiet : "not known"));
	if (there_ms >= 0)
		g_variant_builder_add(&builder, "{sv}", "silence_there_ms", g_variant_new_double(there_ms));
	if (back_ms >= 0)
		g_variant_builder_add(&builder, "{sv}", "silence_back_ms", g_variant_new_double(back_ms));
	if (drill->sip_target)
		g_variant_builder_add(&builder, "{sv}", "sip_target", g_variant_new_string(drill->sip_target));
	if (drill->sip_there_known)
		add_sip(&builder, "there", &drill->sip_there);
	if (drill->sip_back_known)
		add_sip(&builder, "back", &drill->sip_back);
	g_variant_builder_add(&builder, "{sv}", "max_silence_ms", g_variant_new_uint32(settings->drill_max_silence_ms));
	if (drill->counted) {
		g_variant_builder_add(&builder, "{sv}", "contacts_before", g_variant_new_uint64(drill->contacts_before));
		g_variant_builder_add(&builder, "{sv}", "contacts_after", g_variant_new_uint64(drill->contacts_after));
	}
	g_variant_builder_add(&builder, "{sv}", "commits_lost", g_variant_new_uint32(drill->commits_lost));
	g_variant_builder_add(&builder, "{sv}", "transitions", phases_of(drill, theirs));
	return g_variant_builder_end(&builder);
}

/* ---- Its end ---- */

static void end_watch(Drill *drill)
{
	drill_watch_free(drill->watch);
	drill->watch = NULL;
}

static void forget(Drill *drill)
{
	ask_free(drill->ask);
	drill->ask = NULL;
	bus_pending_cancel(drill->pending);
	drill->pending = NULL;
	if (drill->timer)
		g_source_remove(drill->timer);
	drill->timer = 0;
	if (drill->again)
		g_source_remove(drill->again);
	drill->again = 0;
	end_watch(drill);
	g_clear_pointer(&drill->sip_target, g_free);
	g_clear_pointer(&drill->why, g_free);
	g_clear_pointer(&drill->reason, g_free);
	g_clear_pointer(&drill->quiet, g_free);
	g_clear_pointer(&drill->tip, g_free);
}

static void mark_away(Drill *drill, bool away)
{
	if (away)
		(void)store_write_run(AWAY_FILE, drill->supervisor->settings->id);
	else
		store_remove(drill->supervisor->store, AWAY_FILE);
}

static void on_told(GVariant *values, const GError *error, gpointer user_data)
{
	/* One that did not hear of it will ask for a drill earlier. */
}

static void finish(Drill *drill, GVariant *theirs)
{
	Supervisor *supervisor = drill->supervisor;
	bool passed = false;
	g_autoptr(GVariant) report = g_variant_ref_sink(make_report(drill, theirs, &passed));
	g_autofree char *error = g_strdup(drill->why ? drill->why : drill->course.error);
	Job *job = g_steal_pointer(&drill->job);
	g_autofree char *text =
		passed ? g_strdup_printf("The drill has passed: the service went to the other device and back") :
			 g_strdup_printf("The drill has not passed%s%s%s", error ? ": " : "", error ? error : "",
					 drill->course.away_us ? "; the service is still on the other device" : "");
	mark_away(drill, false);
	forget(drill);
	if (drill->left) {
		GVariantBuilder builder;
		keep(drill, report);
		events_raise(supervisor->events, EVENT_APPLICATION, "drill", passed ? 1 : 3, text);
		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "phase", g_variant_new_string("report"));
		g_variant_builder_add(&builder, "{sv}", "report", report);
		peer_request(supervisor->peer, "drill", g_variant_builder_end(&builder), RETURN_MS, on_told, NULL);
	}
	job_end(job, passed ? JOB_DONE : JOB_FAILED, passed ? NULL : error ? error : "targets: the service came back, but not as it should have", report);
}


/* ---- Steps ---- */

typedef struct {
	Drill *drill;
	guint number;
	DrillStep step;
} Asked;

static Asked *asked(Drill *drill)
{
	Asked *asked = g_new0(Asked, 1);
	*asked = (Asked){ drill, drill->number, drill->course.step };
	return asked;
}

static Drill *drill_of(gpointer user_data)
{
	g_autofree Asked *asked = user_data;
	Drill *drill = asked->drill;
	return drill->job && drill->number == asked->number && drill->course.step == asked->step ? drill : NULL;
}

static void on_counted(const Answers *answers, gpointer user_data)
{
	Drill *drill = user_data;
	drill->ask = NULL;
	drill->counted = answers->n_asked > 0;
	drill->contacts_before = answers->count;
	step(drill, DRILL_EVENT_OK, NULL);
}

static void on_quiet(const Answers *answers, gpointer user_data)
{
	Drill *drill = user_data;
	drill->ask = NULL;
	if (!answers->quiet) {
		g_autofree char *why = g_strdup_printf("calls-up: %s", answers->text);
		step(drill, DRILL_EVENT_REFUSED, why);
		return;
	}
	drill->quiet = g_strdup(answers->n_asked ? "yes" : "not known");
	drill->ask = ask_begin(drill->supervisor->applications, ASK_COUNT, on_counted, drill);
}

static void on_swapped(bool done, const char *error, gpointer user_data)
{
	Drill *drill = user_data;
	if (drill->job && drill->course.step == DRILL_THERE)
		step(drill, done ? DRILL_EVENT_OK : DRILL_EVENT_REFUSED, error);
}

static void on_returning(GVariant *values, const GError *error, gpointer user_data)
{
	Drill *drill = drill_of(user_data);
	if (error && drill)
		g_message("drill: the other device does not give the service back yet: %s", error->message);
	if (drill)
		step(drill, error ? DRILL_EVENT_REFUSED : DRILL_EVENT_OK, NULL);
}

static void on_timeline(GVariant *values, const GError *error, gpointer user_data)
{
	Drill *drill = drill_of(user_data);
	g_autoptr(GVariant) theirs = values ? g_variant_lookup_value(values, "transitions", G_VARIANT_TYPE("aa{sv}")) : NULL;
	if (!drill)
		return;
	(void)!drill_course_step(&drill->course, DRILL_EVENT_OK, drill->supervisor->role.role, &drill->supervisor->facts, g_get_monotonic_time());
	finish(drill, theirs);
}

static void ask_timeline(Drill *drill)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "count", g_variant_new_uint32(N_TRANSITIONS));
	peer_request(drill->supervisor->peer, "timeline", g_variant_builder_end(&builder), TIMELINE_MS, on_timeline, asked(drill));
}

static void ask_measured(Drill *drill);

static gboolean on_again(gpointer user_data)
{
	Drill *drill = user_data;
	drill->again = 0;
	ask_measured(drill);
	return G_SOURCE_REMOVE;
}

/* What the other device has seen of the way back: when it is answered again, or long enough was not. */
static void on_measured(GVariant *values, const GError *error, gpointer user_data)
{
	Drill *drill = drill_of(user_data);
	gboolean answers = FALSE;
	double silence_ms = 0;
	if (!drill)
		return;
	if (values && g_variant_lookup(values, "silence_ms", "d", &silence_ms) && silence_ms > 0) {
		drill->sip_back_known = true;
		drill->sip_back.longest_us = (gint64)(silence_ms * 1000.0);
		(void)g_variant_lookup(values, "answers", "b", &answers);
		(void)g_variant_lookup(values, "asked", "u", &drill->sip_back.n_asked);
		(void)g_variant_lookup(values, "answered", "u", &drill->sip_back.n_answered);
	}
	if (!values || answers || g_get_monotonic_time() - drill->judge_us >= MEASURED_US)
		ask_timeline(drill);
	else
		drill->again = g_timeout_add(MEASURED_AGAIN_MS, on_again, drill);
}

static void ask_measured(Drill *drill)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "phase", g_variant_new_string("measured"));
	peer_request(drill->supervisor->peer, "drill", g_variant_builder_end(&builder), MEASURED_MS, on_measured, asked(drill));
}

static void on_history(GVariant *values, const GError *error, gpointer user_data)
{
	Drill *drill = user_data;
	bool found = drill->tip == NULL;
	drill->pending = NULL;
	g_autoptr(GVariant) list = values ? g_variant_get_child_value(values, 0) : NULL;
	for (gsize i = 0; list && !found && i < g_variant_n_children(list); i++) {
		g_autoptr(GVariant) entry = g_variant_get_child_value(list, i);
		const char *commit = "";
		found = g_variant_lookup(entry, "commit", "&s", &commit) && strcmp(commit, drill->tip) == 0;
	}
	drill->commits_lost = !found;
	if (drill->sip_target)
		ask_measured(drill);
	else
		ask_timeline(drill);
}

static void on_counted_again(const Answers *answers, gpointer user_data)
{
	Drill *drill = user_data;
	drill->ask = NULL;
	drill->contacts_after = answers->count;
	drill->pending = bus_link_call(peer_link(drill->supervisor->peer), NULL, SYNC_PATH, SYNC_INTERFACE, "History",
				       g_variant_new("(ssu)", "config", "", N_COMMITS), HISTORY_MS, on_history, drill);
}

static void remember_tip(Drill *drill)
{
	GVariant *stored = peer_sync_get(drill->supervisor->peer, "Stored", "a{ss}");
	const char *tip = "";
	if (stored && g_variant_lookup(stored, "config", "&s", &tip) && *tip)
		drill->tip = g_strdup(tip);
}

static void enter(Drill *drill)
{
	static const struct {
		double progress;
		const char *message;
	} said[] = {
		[DRILL_ASK] = { 0.0, "asking whether anybody is on the phone" }, [DRILL_THERE] = { 0.1, "the service goes to the other device" },
		[DRILL_REST] = { 0.4, "the other device serves" },		  [DRILL_RETURN] = { 0.5, "asking for the service back" },
		[DRILL_HOME] = { 0.6, "the service comes back" },		  [DRILL_JUDGE] = { 0.9, "looking at what it has cost" },
		[DRILL_DONE] = { 1.0, "done" },					  [DRILL_FAILED] = { 1.0, "failed" },
	};
	Supervisor *supervisor = drill->supervisor;
	DrillStep at = drill->course.step;
	g_autoptr(GError) error = NULL;
	job_say(drill->job, said[at].progress, said[at].message);
	switch (at) {
	case DRILL_ASK:
		drill->ask = ask_begin(supervisor->applications, ASK_QUIET, on_quiet, drill);
		break;
	case DRILL_THERE: {
		SwapOrder order = { .reason = drill->reason, .ended = on_swapped, .user_data = drill };
		drill->left = true;
		drill->watch = drill_watch_new(supervisor->settings);
		if (drill->watch)
			drill->sip_target = g_strdup(drill_watch_target(drill->watch));
		remember_tip(drill);
		mark_away(drill, true);
		if (!swap_begin(supervisor->swap, &order, &error))
			step(drill, DRILL_EVENT_REFUSED, error->message);
		break;
	}
	case DRILL_RETURN: {
		GVariantBuilder builder;
		if (drill->watch) {
			drill->sip_there = drill_watch_silence(drill->watch);
			drill->sip_there_known = drill->sip_there.longest_us != 0;
			end_watch(drill);
		}
		g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_builder_add(&builder, "{sv}", "phase", g_variant_new_string("return"));
		peer_request(supervisor->peer, "drill", g_variant_builder_end(&builder), RETURN_MS, on_returning, asked(drill));
		break;
	}
	case DRILL_JUDGE:
		drill->judge_us = g_get_monotonic_time();
		if (!drill->start_back_us)
			drill->start_back_us = drill->judge_us;
		drill->ask = ask_begin(supervisor->applications, ASK_COUNT, on_counted_again, drill);
		break;
	case DRILL_REST:
		if (!drill->start_us)
			drill->start_us = g_get_monotonic_time();
		break;
	case DRILL_HOME:
		break;
	case DRILL_DONE:
	case DRILL_FAILED:
		finish(drill, NULL);
		break;
	}
}

/* What is seen of the one that leads, as it is seen first. */
static void measure(Drill *drill)
{
	const Supervisor *supervisor = drill->supervisor;
	gint64 now_us = g_get_monotonic_time();
	bool stops_here = supervisor->role.role == ROLE_HANDING_OVER;
	bool stops_there = supervisor->facts.peer_fresh && supervisor->facts.peer_role == ROLE_HANDING_OVER;
	switch (drill->course.step) {
	case DRILL_THERE:
		if (!drill->stop_us && stops_here)
			drill->stop_us = now_us;
		break;
	case DRILL_RETURN:
	case DRILL_HOME:
		if (!drill->stop_back_us && (stops_there || supervisor->role.role == ROLE_TAKING_OVER))
			drill->stop_back_us = now_us;
		break;
	case DRILL_ASK:
	case DRILL_REST:
	case DRILL_JUDGE:
	case DRILL_DONE:
	case DRILL_FAILED:
		break;
	}
}

/* The other device leads; it is given the time that the target leaves it to answer phones, too. */
static void judge_answers(Drill *drill)
{
	drill->course.unanswered = false;
	if (!drill->watch || drill->course.step != DRILL_REST)
		return;
	Silence silence = drill_watch_silence(drill->watch);
	drill->course.unanswered = !silence.answers_now &&
				   silence.longest_us <= drill->supervisor->settings->drill_max_silence_ms * (gint64)G_TIME_SPAN_MILLISECOND;
}

static gboolean on_time(gpointer user_data)
{
	Drill *drill = user_data;
	drill->timer = 0;
	judge_answers(drill);
	step(drill, DRILL_EVENT_FACTS, NULL);
	return G_SOURCE_REMOVE;
}

static void set_timer(Drill *drill)
{
	gint64 next_us = drill->job ? drill_course_next_us(&drill->course) : 0;
	if (drill->timer)
		g_source_remove(drill->timer);
	drill->timer = 0;
	if (next_us)
		drill->timer = g_timeout_add((guint)MAX(100, (next_us - g_get_monotonic_time()) / 1000 + 1), on_time, drill);
}

static void step(Drill *drill, DrillEvent event, const char *why)
{
	const Supervisor *supervisor = drill->supervisor;
	if (why && !drill->why && !drill->course.failed)
		drill->why = g_strdup(why);
	if (drill_course_step(&drill->course, event, supervisor->role.role, &supervisor->facts, g_get_monotonic_time()))
		enter(drill);
	set_timer(drill);
}

void drill_look(Drill *drill)
{
	keep_beginning(drill);
	drill_watch_look(drill->watch, drill->supervisor->role.role);
	if (!drill->job)
		return;
	measure(drill);
	judge_answers(drill);
	step(drill, DRILL_EVENT_FACTS, NULL);
}

/* ---- Orders ---- */

static bool on_cancel(Job *job, gpointer user_data, GError **error)
{
	Drill *drill = user_data;
	if (drill->course.step != DRILL_ASK) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_REFUSED, "under-way: the service is on its way; it comes back by itself");
		return false;
	}
	drill->job = NULL;
	forget(drill);
	job_end(job, JOB_CANCELLED, NULL, NULL);
	return true;
}

static bool open_job(Drill *drill, DrillCourse course, const char *reason, GError **error)
{
	drill->job = job_begin(drill->supervisor->jobs, "drill", on_cancel, drill, error);
	if (!drill->job)
		return false;
	drill->course = course;
	drill->number++;
	drill->reason = g_strdup(reason);
	drill->begin_ms = g_get_real_time() / 1000;
	drill->begin_us = g_get_monotonic_time();
	drill->left = course.step != DRILL_ASK;
	drill->counted = false;
	drill->contacts_before = drill->contacts_after = 0;
	drill->commits_lost = 0;
	drill->stop_us = drill->start_us = drill->stop_back_us = drill->start_back_us = 0;
	drill->sip_there_known = drill->sip_back_known = false;
	return true;
}

const char *drill_begin(Drill *drill, const char *reason, GError **error)
{
	const char *refusal = swap_refusal(drill->supervisor);
	if (drill->job || swap_is_running(drill->supervisor->swap)) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_BUSY, "busy: something else is under way");
		return NULL;
	}
	if (refusal) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_REFUSED, refusal);
		return NULL;
	}
	if (!open_job(drill, drill_course(g_get_monotonic_time()), reason && *reason ? reason : "drill", error))
		return NULL;
	const char *path = job_path(drill->job);
	enter(drill);
	return path;
}

static bool give_back(Drill *drill, GError **error)
{
	SwapOrder order = { .reason = "drill, back" };
	if (swap_is_running(drill->supervisor->swap))
		return true;
	if (!swap_begin(drill->supervisor->swap, &order, error))
		return false;
	end_watch(drill);
	drill->watch = drill_watch_new(drill->supervisor->settings);
	return true;
}

/* The other side: gives the service back, says how long it was silent then, and keeps the report. */
GVariant *drill_answer(Drill *drill, GVariant *args, GError **error)
{
	const char *phase = "";
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	(void)g_variant_lookup(args, "phase", "&s", &phase);
	g_autoptr(GVariant) report = g_variant_lookup_value(args, "report", G_VARIANT_TYPE_VARDICT);
	bool ok = true;
	if (drill->job) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_BUSY, "a drill of this device is under way");
		ok = false;
	} else if (strcmp(phase, "return") == 0) {
		ok = give_back(drill, error);
	} else if (strcmp(phase, "measured") == 0) {
		Silence silence = drill->watch ? drill_watch_silence(drill->watch) : (Silence){ .answers_now = true };
		g_variant_builder_add(&builder, "{sv}", "silence_ms", g_variant_new_double((double)silence.longest_us / 1000.0));
		g_variant_builder_add(&builder, "{sv}", "answers", g_variant_new_boolean(silence.answers_now));
		g_variant_builder_add(&builder, "{sv}", "asked", g_variant_new_uint32(silence.n_asked));
		g_variant_builder_add(&builder, "{sv}", "answered", g_variant_new_uint32(silence.n_answered));
	} else if (strcmp(phase, "report") == 0 && report) {
		end_watch(drill);
		keep(drill, report);
	} else {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "unknown phase");
		ok = false;
	}
	if (ok)
		return g_variant_builder_end(&builder);
	g_variant_builder_clear(&builder);
	return NULL;
}

/* One that our predecessor did not bring home. */
void drill_resume(Drill *drill)
{
	g_autoptr(GError) error = NULL;
	if (!g_file_test(AWAY_FILE, G_FILE_TEST_EXISTS))
		return;
	DrillCourse course = drill_course_home(g_get_monotonic_time());
	if (drill->supervisor->role.role == ROLE_MASTER)
		course.step = DRILL_HOME; /* it had not gone yet, or is back */
	if (open_job(drill, course, "drill", &error))
		step(drill, DRILL_EVENT_FACTS, NULL);
	else
		g_warning("drill: %s", error->message);
}

Drill *drill_new(Supervisor *supervisor)
{
	Drill *drill = g_new0(Drill, 1);
	g_autofree char *text = NULL;
	drill->supervisor = supervisor;
	if (g_file_get_contents(REPORT_FILE, &text, NULL, NULL) && g_utf8_validate(text, -1, NULL))
		drill->report = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);
	return drill;
}

void drill_free(Drill *drill)
{
	if (!drill)
		return;
	forget(drill);
	g_clear_pointer(&drill->report, g_variant_unref);
	g_free(drill);
}
