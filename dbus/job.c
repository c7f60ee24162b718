/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/job.c - Job1. */
#include "dbus/job.h"

#define INTERFACE "org.understudy.Job1"
#define KEEP 10

struct Job {
	Jobs *jobs;
	BusObject *object;
	char *path, *kind, *message, *error;
	guint number;
	JobState state;
	double progress;
	GVariant *result; /* a{sv} */
	JobCancelCb cancel;
	gpointer user_data;
};

struct Jobs {
	BusTree *tree;
	char *root, *daemon;
	JobsKeepCb keep;
	GQueue list; /* of Job*, the newest first */
	guint n;
};

static const char *state_name(JobState state)
{
	switch (state) {
	case JOB_RUNNING:
		return "running";
	case JOB_DONE:
		return "done";
	case JOB_FAILED:
		return "failed";
	case JOB_CANCELLED:
		return "cancelled";
	}
	g_assert_not_reached();
}

#define JOB ((const Job *)user_data)

static GVariant *get_kind(gpointer user_data)
{
	return g_variant_new_string(JOB->kind);
}

static GVariant *get_state(gpointer user_data)
{
	return g_variant_new_string(state_name(JOB->state));
}

static GVariant *get_progress(gpointer user_data)
{
	return g_variant_new_double(JOB->progress);
}

static GVariant *get_message(gpointer user_data)
{
	return g_variant_new_string(JOB->message);
}

static GVariant *get_error(gpointer user_data)
{
	return g_variant_new_string(JOB->error ? JOB->error : "");
}

static GVariant *get_result(gpointer user_data)
{
	return g_variant_ref(JOB->result);
}

static void on_cancel(BusCall *call, GVariant *args, gpointer user_data)
{
	Job *job = user_data;
	g_autoptr(GError) error = NULL;
	if (job->state != JOB_RUNNING)
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "ended: the job is over");
	else if (!job->cancel)
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "under-way: this cannot be cancelled");
	else if (!job->cancel(job, job->user_data, &error))
		bus_call_fail(call, error);
	else
		bus_call_reply(call, NULL);
}

static const BusMember members[] = {
	{ "Kind", .get = get_kind },	   { "State", .get = get_state }, { "Progress", .get = get_progress },
	{ "Message", .get = get_message }, { "Error", .get = get_error }, { "Result", .get = get_result },
	{ "Cancel", .method = on_cancel }, { 0 },
};
static const BusInterface interfaces[] = { { INTERFACE, members }, { 0 } };

static void say_changed(Job *job)
{
	static const char *const properties[] = { "State", "Progress", "Message", "Error", "Result" };
	for (gsize i = 0; i < G_N_ELEMENTS(properties); i++)
		bus_object_changed(job->object, INTERFACE, properties[i]);
}

static void job_free(gpointer data)
{
	Job *job = data;
	bus_object_withdraw(job->object);
	g_free(job->path);
	g_free(job->kind);
	g_free(job->message);
	g_free(job->error);
	g_variant_unref(job->result);
	g_free(job);
}

static void keep(Jobs *jobs)
{
	g_autoptr(GString) text = g_string_new(NULL);
	if (!jobs->keep)
		return;
	for (GList *each = jobs->list.tail; each; each = each->prev) {
		const Job *job = each->data;
		g_autoptr(GVariant) record = g_variant_ref_sink(g_variant_new("(ussdss@a{sv})", job->number, job->kind, state_name(job->state),
									      job->progress, job->message, job->error ? job->error : "",
									      job->result));
		g_autofree char *line = g_variant_print(record, TRUE);
		g_string_append_printf(text, "%s\n", line);
	}
	jobs->keep(text->str);
}

static GVariant *nothing(void)
{
	return g_variant_ref_sink(g_variant_new_array(G_VARIANT_TYPE("{sv}"), NULL, 0));
}

static Job *add(Jobs *jobs, guint number, const char *kind, GError **error)
{
	Job *job = g_new0(Job, 1);
	job->jobs = jobs;
	job->number = number;
	job->path = g_strdup_printf("%s/job/%u", jobs->root, number);
	job->kind = g_strdup(kind);
	job->message = g_strdup("");
	job->result = nothing();
	job->object = bus_object_publish(jobs->tree, job->path, interfaces, job, error);
	if (!job->object) {
		job_free(job);
		return NULL;
	}
	jobs->n = MAX(jobs->n, number);
	g_queue_push_head(&jobs->list, job);
	return job;
}

/* Those that run are never among the old ones. */
static void forget_old(Jobs *jobs)
{
	GList *each = g_queue_peek_nth_link(&jobs->list, KEEP);
	while (each) {
		GList *next = each->next;
		Job *job = each->data;
		if (job->state != JOB_RUNNING) {
			job_free(job);
			g_queue_delete_link(&jobs->list, each);
		}
		each = next;
	}
}

Job *job_begin(Jobs *jobs, const char *kind, JobCancelCb cancel, gpointer user_data, GError **error)
{
	Job *job = add(jobs, jobs->n + 1, kind, error);
	if (!job)
		return NULL;
	job->cancel = cancel;
	job->user_data = user_data;
	forget_old(jobs);
	keep(jobs);
	return job;
}

const char *job_path(const Job *job)
{
	return job->path;
}

void job_say(Job *job, double progress, const char *message)
{
	job->progress = progress;
	g_free(job->message);
	job->message = g_strdup(message);
	say_changed(job);
}

void job_end(Job *job, JobState how, const char *error, GVariant *result)
{
	g_assert(job->state == JOB_RUNNING && how != JOB_RUNNING);
	job->state = how;
	if (how == JOB_DONE)
		job->progress = 1.0;
	g_free(job->message);
	job->message = g_strdup(state_name(how));
	job->error = g_strdup(error);
	if (result) {
		g_variant_unref(job->result);
		job->result = g_variant_ref_sink(result);
	}
	say_changed(job);
	keep(job->jobs);
}

static void restore(Jobs *jobs, const char *line)
{
	g_autoptr(GVariant) record = g_utf8_validate(line, -1, NULL) ? g_variant_parse(G_VARIANT_TYPE("(ussdssa{sv})"), line, NULL, NULL, NULL) : NULL;
	guint number;
	const char *kind, *state, *message, *error;
	double progress;
	g_autoptr(GVariant) result = NULL;
	if (!record)
		return;
	g_variant_get(record, "(u&s&sd&s&s@a{sv})", &number, &kind, &state, &progress, &message, &error, &result);
	Job *job = add(jobs, number, kind, NULL);
	if (!job)
		return;
	job->progress = progress;
	for (JobState each = JOB_RUNNING; each <= JOB_CANCELLED; each++)
		if (g_strcmp0(state_name(each), state) == 0)
			job->state = each;
	g_free(job->message);
	job->message = g_strdup(message);
	job->error = g_strdup(error);
	g_variant_unref(job->result);
	job->result = g_steal_pointer(&result);
	if (job->state == JOB_RUNNING) {
		g_clear_pointer(&job->error, g_free);
		g_autofree char *why = g_strdup_printf("%s-restarted: the %s was restarted while this was under way", jobs->daemon, jobs->daemon);
		job_end(job, JOB_FAILED, why, NULL);
	}
}

Jobs *jobs_new(BusTree *tree, const char *root, const char *daemon, const char *earlier, JobsKeepCb keep_text)
{
	Jobs *jobs = g_new0(Jobs, 1);
	g_auto(GStrv) lines = g_strsplit(earlier ? earlier : "", "\n", -1);
	jobs->tree = tree;
	jobs->root = g_strdup(root);
	jobs->daemon = g_strdup(daemon);
	jobs->keep = keep_text;
	for (char **line = lines; *line; line++)
		if (**line)
			restore(jobs, *line);
	return jobs;
}

void jobs_free(Jobs *jobs)
{
	if (!jobs)
		return;
	g_queue_clear_full(&jobs->list, job_free);
	g_free(jobs->root);
	g_free(jobs->daemon);
	g_free(jobs);
}
