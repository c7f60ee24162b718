/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/proc.c - /proc/PID/stat, pidfds, and the list of processes kept over a supervisor's death. */
#include "supervisor/processes/proc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXITING 0x4 /* the kernel's PF_EXITING */

bool proc_stat_parse(const char *text, ProcStat *ret_stat)
{
	const char *at = strrchr(text, ')');
	if (!at || at[1] != ' ' || !at[2])
		return false;
	g_auto(GStrv) fields = g_strsplit(at + 2, " ", 21); /* from field 3, the state, on */
	if (g_strv_length(fields) < 21)
		return false;
	*ret_stat = (ProcStat){
		.zombie = fields[0][0] == 'Z' || fields[0][0] == 'X',
		.parent = (pid_t)strtol(fields[1], NULL, 10),
		.exiting = strtoul(fields[6], NULL, 10) & EXITING,
		.start_ticks = g_ascii_strtoull(fields[19], NULL, 10),
	};
	return true;
}

bool proc_stat(pid_t pid, ProcStat *ret_stat)
{
	g_autofree char *file = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;
	return g_file_get_contents(file, &text, NULL, NULL) && proc_stat_parse(text, ret_stat);
}

bool proc_is_alive(pid_t pid, guint64 start_ticks)
{
	ProcStat stat;
	return pid > 0 && proc_stat(pid, &stat) && stat.start_ticks == start_ticks && !stat.zombie;
}

int proc_open(pid_t pid, guint64 start_ticks)
{
	int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	/* Looked at after opening: then the descriptor cannot be another process's. */
	if (fd >= 0 && !proc_is_alive(pid, start_ticks)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void record_free(gpointer data)
{
	ProcRecord *record = data;
	g_free(record->kind);
	g_free(record->name);
	g_free(record->detail);
	g_free(record);
}

GPtrArray *proc_records_parse(const char *text)
{
	GPtrArray *records = g_ptr_array_new_with_free_func(record_free);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = g_strsplit(*line, " ", 5);
		if (g_strv_length(words) < 4)
			continue;
		gint64 pid = g_ascii_strtoll(words[2], NULL, 10);
		guint64 start = g_ascii_strtoull(words[3], NULL, 10);
		if (pid <= 0 || pid > G_MAXINT)
			continue;
		ProcRecord *record = g_new0(ProcRecord, 1);
		record->kind = g_strdup(words[0]);
		record->name = g_strdup(words[1]);
		record->pid = (pid_t)pid;
		record->start_ticks = start;
		record->detail = g_strdup(words[4] ? words[4] : "");
		g_ptr_array_add(records, record);
	}
	return records;
}

GPtrArray *proc_records_load(void)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents(SUPERVISOR_PROCESSES, &text, NULL, NULL))
		text = g_strdup("");
	return proc_records_parse(text);
}

const ProcRecord *proc_records_find(GPtrArray *records, const char *kind, const char *name)
{
	for (guint i = 0; i < records->len; i++) {
		const ProcRecord *record = records->pdata[i];
		if (strcmp(record->kind, kind) == 0 && strcmp(record->name, name) == 0)
			return record;
	}
	return NULL;
}
