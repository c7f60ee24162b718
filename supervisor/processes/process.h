/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/processes/process.h - learns how each process ended, whoever its parent is.
 *
 * The keeper reaps and reports over its link; a pidfd tells at least that, where the parent is another one (a keeper that died).
 * Also the supervisor's half of that link: kicks and acknowledgements.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/processes/spawn.h"

typedef struct ProcessTable ProcessTable;
typedef struct Process Process; /* one that lives, as far as we know */

/* @status as wait() gives it, or -1 when nobody could say. The process is forgotten before this runs. */
typedef void (*ProcessEndedCb)(int status, gpointer user_data);

/* @link: KEEPER_FD_LINK. Reads what the keeper has already sent, so that processes which ended meanwhile are known. */
ProcessTable *process_table_new(int link);
void process_table_free(ProcessTable *table);

/* Tells the keeper that this supervisor is at work. */
void process_table_up(ProcessTable *table);

/* Whoever was to be adopted has been: ends of others are nobody's business. */
void process_table_settle(ProcessTable *table);

/* Whether the keeper still listens. */
bool process_table_has_keeper(const ProcessTable *table);

/* Whether everything was being stopped already when this supervisor was started. */
bool process_table_is_stopping(const ProcessTable *table);

/* Takes the pidfd. */
Process *process_watch(ProcessTable *table, const Spawned *spawned, ProcessEndedCb ended, gpointer user_data);

/* A process of an earlier supervisor. NULL: it is gone; then ret_status tells how, or -1. */
Process *process_adopt(ProcessTable *table, pid_t pid, guint64 start_ticks, ProcessEndedCb ended, gpointer user_data, int *ret_status);

/* Stops watching it; it lives on. NULL is fine. */
void process_forget(Process *process);

pid_t process_pid(const Process *process);
guint64 process_start(const Process *process);
bool process_signal(const Process *process, int number);

/* "exit 0", "signal 9", "unknown"; transfer full. */
char *process_describe(int status);
