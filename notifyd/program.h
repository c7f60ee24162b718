/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/program.h - one run of a program that delivers: a job in, lines out, killed at the deadline. */
#pragma once

#include "outbox.h"

typedef struct NotifyProgram NotifyProgram;

/* A line, as soon as it is there. */
typedef void (*NotifyProgramLine)(const char *recipient, OutboxOutcome outcome, const char *words, gpointer user_data);
/* The last call, from the loop: how it ended, for people; "" when it ended well. Frees itself after it. */
typedef void (*NotifyProgramEnd)(const char *how, gpointer user_data);

NotifyProgram *notify_program_start(const char *path, const char *job, gint64 deadline_ms, NotifyProgramLine line, NotifyProgramEnd end,
				    gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Kills it; neither callback runs any more. NULL is fine. */
void notify_program_kill(NotifyProgram *program);
