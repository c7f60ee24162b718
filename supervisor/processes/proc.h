/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/processes/proc.h - which process is which: a pid alone may be somebody else's by now, a pid with its start time may not.
 *
 * Also the list of processes that a supervisor leaves for the next one (and for the keeper, should there be none).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define SUPERVISOR_RUN_DIR "/run/understudy/supervisor"
#define SUPERVISOR_LOCK SUPERVISOR_RUN_DIR "/lock"           /* flock by the supervisor; "<pid> <start>\n" */
#define SUPERVISOR_PROCESSES SUPERVISOR_RUN_DIR "/processes" /* see proc_records_parse() */
#define MASTER_FILE "/run/understudy/master" /* exists while applications may run on this device */
#define SUPERVISOR_NOTIFY SUPERVISOR_RUN_DIR "/notify"

/* Names of the groups under the keeper's own. */
#define CGROUP_OWN "understudy-own" /* keeper and supervisor, once an application has a limit of memory */
#define CGROUP_APPS "understudy-apps"
#define CGROUP_DAEMONS "understudy-daemons"

typedef struct {
	pid_t parent;
	bool zombie;
	bool exiting; /* a zombie soon: what it had open is being closed, which may take a while, and it does nothing of its own any more */
	guint64 start_ticks; /* clock ticks since boot */
} ProcStat;

/* False when there is no such process. */
bool proc_stat(pid_t pid, ProcStat *ret_stat);

/* The pure part: @text of /proc/PID/stat; a name may hold blanks and brackets. */
bool proc_stat_parse(const char *text, ProcStat *ret_stat);

/* Whether that very process lives; a zombie does not. */
bool proc_is_alive(pid_t pid, guint64 start_ticks);

/* A pidfd of that very process, or -1 when it is gone. */
int proc_open(pid_t pid, guint64 start_ticks);

/* One line: "<daemon|application|unit> <name> <pid> <start> <detail>\n". */
typedef struct {
	char *kind;
	char *name;
	pid_t pid;
	guint64 start_ticks;
	char *detail; /* the rest of the line, for its writer; may be empty */
} ProcRecord;

/* Lines that are not whole are left out. Transfer full. */
GPtrArray *proc_records_parse(const char *text);
GPtrArray *proc_records_load(void);
const ProcRecord *proc_records_find(GPtrArray *records, const char *kind, const char *name); /* NULL when there is none */
