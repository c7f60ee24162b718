/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/delivery/answer.c - standard input and output of a program that delivers, and the thread that watches its time. */
#include "notifyd/delivery/answer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct DeliveryRun {
	const char *program;
	DeliveryJob *job;
	gint64 end_us; /* of the watching thread */
	GMutex lock;
	bool *answered;
	char *step;
	GPtrArray *secrets;
	GPid child;
};

static char *read_all(int fd, gsize *ret_length, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char piece[65536];

	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "standard input: %s", g_strerror(errno));
			return NULL;
		}
		if (n == 0)
			break;
		g_string_append_len(text, piece, n);
		if (text->len > DELIVERY_JOB_BYTES) {
			g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "too long");
			return NULL;
		}
	}
	*ret_length = text->len;
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* With the lock held. One write for a line: nobody reads half of one. */
static void answer_locked(DeliveryRun *run, guint i, DeliveryOutcome outcome, const char *words)
{
	g_autofree char *line = NULL, *safe = NULL;

	if (run->answered[i])
		return;
	run->answered[i] = true;
	safe = delivery_hide(words, run->secrets);
	line = delivery_line(outcome, run->job->to[i], safe);
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		fprintf(stderr, "%s: nobody reads the answer: %s\n", run->program, g_strerror(errno));
}

static gpointer watch(gpointer data)
{
	DeliveryRun *run = data;
	gint64 left_us;

	while ((left_us = run->end_us - g_get_monotonic_time()) > 0)
		g_usleep(left_us);
	g_mutex_lock(&run->lock); /* for good: nobody else says anything after this */
	g_autofree char *words = g_strdup_printf("no end within %" G_GINT64_FORMAT " ms: %s", run->job->deadline_ms, run->step);
	for (guint i = 0; run->job->to[i]; i++)
		answer_locked(run, i, DELIVERY_RETRY, words);
	if (run->child > 0)
		kill(-run->child, SIGKILL);
	_exit(0);
}

DeliveryRun *delivery_run_begin(const char *program, int fd)
{
	gint64 begun_us = g_get_monotonic_time();
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	gsize length = 0;
	DeliveryRun *run;

	signal(SIGPIPE, SIG_IGN); /* a server that goes away while we write is an error, not our end */
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would read the answer */
	text = read_all(fd, &length, &error);
	DeliveryJob *job = text ? delivery_job_parse(text, length, &error) : NULL;
	if (text)
		explicit_bzero(text, length);
	if (!job) {
		fprintf(stderr, "%s: this is no job: %s\n", program, error->message);
		return NULL;
	}
	run = g_new0(DeliveryRun, 1);
	run->program = program;
	run->job = job;
	run->answered = g_new0(bool, g_strv_length(job->to));
	run->step = g_strdup("beginning");
	run->secrets = g_ptr_array_new_with_free_func(g_free);
	run->end_us = begun_us + (job->deadline_ms - MIN(job->deadline_ms / 8, 2000)) * 1000;
	g_mutex_init(&run->lock);
	g_thread_unref(g_thread_new("deadline", watch, run));
	return run;
}

const DeliveryJob *delivery_run_job(const DeliveryRun *run)
{
	return run->job;
}

void delivery_run_hide(DeliveryRun *run, const char *secret)
{
	if (!secret || !*secret)
		return;
	g_mutex_lock(&run->lock);
	g_ptr_array_add(run->secrets, g_strdup(secret));
	g_mutex_unlock(&run->lock);
}

void delivery_run_step(DeliveryRun *run, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_mutex_lock(&run->lock);
	g_free(run->step);
	run->step = g_strdup_vprintf(format, arguments);
	g_mutex_unlock(&run->lock);
	va_end(arguments);
}

void delivery_run_answer(DeliveryRun *run, guint i, DeliveryOutcome outcome, const char *words)
{
	g_mutex_lock(&run->lock);
	answer_locked(run, i, outcome, words);
	g_mutex_unlock(&run->lock);
}

bool delivery_run_all_answered(DeliveryRun *run)
{
	bool all = true;

	g_mutex_lock(&run->lock);
	for (guint i = 0; run->job->to[i]; i++)
		all = all && run->answered[i];
	g_mutex_unlock(&run->lock);
	return all;
}

void delivery_run_answer_all(DeliveryRun *run, DeliveryOutcome outcome, const char *words)
{
	g_mutex_lock(&run->lock);
	for (guint i = 0; run->job->to[i]; i++)
		answer_locked(run, i, outcome, words);
	g_mutex_unlock(&run->lock);
}

void delivery_run_fail(DeliveryRun *run, const GError *error)
{
	bool refused = g_error_matches(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED);

	delivery_run_answer_all(run, refused ? DELIVERY_REFUSED : DELIVERY_RETRY, error->message);
}

void delivery_run_set_child(DeliveryRun *run, GPid child)
{
	g_mutex_lock(&run->lock);
	run->child = child;
	g_mutex_unlock(&run->lock);
}

gint64 delivery_run_left_ms(DeliveryRun *run)
{
	return MAX((run->end_us - g_get_monotonic_time()) / 1000, 1);
}

int delivery_run_end(DeliveryRun *run)
{
	g_autofree char *words = NULL;

	g_mutex_lock(&run->lock);
	words = g_strdup_printf("not known what became of it: %s", run->step);
	g_mutex_unlock(&run->lock);
	delivery_run_answer_all(run, DELIVERY_RETRY, words);
	_exit(0);
}
