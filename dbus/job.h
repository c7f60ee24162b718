/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/job.h - long work as objects on the bus (Job1), and what became of it.
 *
 * A job lives no longer than its daemon. One that keeps what the jobs were, and gives it to its next process, publishes them again there, as failed, so that
 * whoever waits for one learns its end.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "dbus/bus-object.h"

typedef struct Jobs Jobs;
typedef struct Job Job;

typedef enum { JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED } JobState;

/* Ends the job (job_end() with JOB_CANCELLED), or refuses. */
typedef bool (*JobCancelCb)(Job *job, gpointer user_data, GError **error);

/* @text is to be kept for the next process. */
typedef void (*JobsKeepCb)(const char *text);

/* @keep NULL: nothing is kept. @earlier: what an earlier process kept, published again; NULL: nothing. @daemon: what was restarted then, "supervisor". */
Jobs *jobs_new(BusTree *tree, const char *root, const char *daemon, const char *earlier, JobsKeepCb keep);
void jobs_free(Jobs *jobs); /* NULL is fine */

/* @cancel NULL: it cannot be cancelled. Borrowed; valid until it ended and some more came. */
Job *job_begin(Jobs *jobs, const char *kind, JobCancelCb cancel, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
const char *job_path(const Job *job);
void job_say(Job *job, double progress, const char *message);
/* @error "code: text", or NULL; @result a{sv}, or NULL, consumed when floating. */
void job_end(Job *job, JobState how, const char *error, GVariant *result);
