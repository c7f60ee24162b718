/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/delivery/answer.h - the run of a program that delivers: reads the job, answers for each recipient once, ends before its deadline. */
#pragma once

#include "notifyd/delivery/job.h"

typedef struct DeliveryRun DeliveryRun;

/* What all of them do first: ignores SIGPIPE, wants to die with notifyd, reads the job from @fd. NULL: the job is no job, and that
 * was said on standard error. From here on a thread watches the time: at the deadline (less what is kept back) it says `retry` for every
 * recipient without a line, with the last step, and ends the process, whatever library is waiting for what. */
DeliveryRun *delivery_run_begin(const char *program, int fd);
const DeliveryJob *delivery_run_job(const DeliveryRun *run);

/* Never to be seen in an answer: each occurrence is replaced. NULL is fine. */
void delivery_run_hide(DeliveryRun *run, const char *secret);

/* What is being waited for now, for people: "waiting for the greeting of mail.example". */
void delivery_run_step(DeliveryRun *run, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Says it for recipient @i of the job, unless that one has its line already. */
void delivery_run_answer(DeliveryRun *run, guint i, DeliveryOutcome outcome, const char *words);
bool delivery_run_all_answered(DeliveryRun *run);

/* For all that have no line yet: what @error says (its code decides), or @outcome. */
void delivery_run_answer_all(DeliveryRun *run, DeliveryOutcome outcome, const char *words);
void delivery_run_fail(DeliveryRun *run, const GError *error);

/* A group of processes that dies with the deadline too; 0: none any more. */
void delivery_run_set_child(DeliveryRun *run, GPid child);

/* Milliseconds until the thread ends everything, at least 1. */
gint64 delivery_run_left_ms(DeliveryRun *run);

/* The end of the process: whoever has no line gets `retry`. It does not return (main() says so to people): what libraries do when a process
 * ends in the usual way they would do beside the thread, and threads of their own. */
int delivery_run_end(DeliveryRun *run) G_GNUC_NORETURN;
