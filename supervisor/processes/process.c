/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/process.c - reports of the keeper and pidfds, brought together. */
#include "supervisor/processes/process.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/keeper/wire.h"
#include "supervisor/processes/proc.h"

/* The end was seen, the keeper's report not: it is on its way, or the parent is somebody who tells nobody. */
#define REPORT_WITHIN_MS 200
/* Reports about nobody we watch: kept for those that are adopted a moment later. */
#define MAX_UNCLAIMED 4096

struct ProcessTable {
	int link;
	guint link_source;
	GHashTable *living;  /* pid -> Process */
	GArray *unclaimed;   /* of KeeperMessage */
	bool stopping; /* the keeper is */
};

struct Process {
	ProcessTable *table;
	pid_t pid;
	guint64 start_ticks;
	int pidfd;
	guint pidfd_source;
	guint report_timer;
	bool reported; /* its parent is our keeper, who will tell how it ended */
	ProcessEndedCb ended;
	gpointer user_data;
};

static void process_free(Process *process)
{
	if (process->pidfd_source)
		g_source_remove(process->pidfd_source);
	if (process->report_timer)
		g_source_remove(process->report_timer);
	if (process->pidfd >= 0)
		close(process->pidfd);
	g_free(process);
}

void process_forget(Process *process)
{
	if (!process)
		return;
	g_hash_table_remove(process->table->living, GINT_TO_POINTER(process->pid));
	process_free(process);
}

static void has_ended(Process *process, int status)
{
	ProcessEndedCb ended = process->ended;
	gpointer user_data = process->user_data;
	process_forget(process);
	ended(status, user_data);
}

static bool is_same(const Process *process, const KeeperMessage *report)
{
	/* One that was reaped before its start time could be read has 0. */
	return process->start_ticks == report->start_ticks || process->start_ticks == 0 || report->start_ticks == 0;
}

static void keep_report(ProcessTable *table, const KeeperMessage *report)
{
	if (table->unclaimed->len < MAX_UNCLAIMED)
		g_array_append_val(table->unclaimed, *report);
}

static void take_report(ProcessTable *table, const KeeperMessage *report)
{
	Process *process = g_hash_table_lookup(table->living, GINT_TO_POINTER(report->pid));
	if (process && is_same(process, report))
		has_ended(process, report->status);
	else
		keep_report(table, report);
}

static void read_link(ProcessTable *table, void (*take)(ProcessTable *table, const KeeperMessage *report))
{
	KeeperMessage message;
	guint64 last = 0;
	ssize_t n;
	while ((n = recv(table->link, &message, sizeof message, MSG_DONTWAIT)) == (ssize_t)sizeof message) {
		if (message.kind == KEEPER_STOP)
			table->stopping = true;
		if (message.kind != KEEPER_REAPED)
			continue;
		last = message.sequence;
		take(table, &message);
	}
	if (last) {
		KeeperMessage ack = { .kind = KEEPER_ACK, .sequence = last };
		(void)send(table->link, &ack, sizeof ack, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		g_warning("the keeper is gone; going on until its successor comes");
		if (table->link_source)
			g_source_remove(table->link_source);
		table->link_source = 0;
		close(table->link);
		table->link = -1;
	}
}

static gboolean on_link(gint fd, GIOCondition condition, gpointer user_data)
{
	ProcessTable *table = user_data;
	read_link(table, take_report);
	return table->link_source ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

ProcessTable *process_table_new(int link)
{
	ProcessTable *table = g_new0(ProcessTable, 1);
	table->link = link;
	table->living = g_hash_table_new(NULL, NULL);
	table->unclaimed = g_array_new(FALSE, FALSE, sizeof(KeeperMessage));
	/* Before everything else: how something ended decides what is started next. */
	table->link_source = g_unix_fd_add_full(G_PRIORITY_HIGH, link, G_IO_IN | G_IO_HUP | G_IO_ERR, on_link, table, NULL);
	read_link(table, keep_report);
	return table;
}

void process_table_free(ProcessTable *table)
{
	if (!table)
		return;
	if (table->link_source)
		g_source_remove(table->link_source);
	if (table->link >= 0)
		close(table->link);
	GHashTableIter each;
	gpointer process;
	g_hash_table_iter_init(&each, table->living);
	while (g_hash_table_iter_next(&each, NULL, &process))
		process_free(process);
	g_hash_table_destroy(table->living);
	g_array_unref(table->unclaimed);
	g_free(table);
}

void process_table_up(ProcessTable *table)
{
	KeeperMessage up = { .kind = KEEPER_UP };
	if (table->link >= 0)
		(void)send(table->link, &up, sizeof up, MSG_DONTWAIT | MSG_NOSIGNAL);
	process_table_settle(table);
}

void process_table_settle(ProcessTable *table)
{
	if (table->unclaimed->len == 0)
		return;
	g_autoptr(GArray) reports = g_steal_pointer(&table->unclaimed);
	table->unclaimed = g_array_new(FALSE, FALSE, sizeof(KeeperMessage));
	/* What came while others were adopted may be about one that was adopted before. */
	for (guint i = 0; i < reports->len; i++) {
		const KeeperMessage *report = &g_array_index(reports, KeeperMessage, i);
		Process *process = g_hash_table_lookup(table->living, GINT_TO_POINTER(report->pid));
		if (process && process->start_ticks == report->start_ticks)
			has_ended(process, report->status);
	}
}

bool process_table_has_keeper(const ProcessTable *table)
{
	return table->link >= 0;
}

bool process_table_is_stopping(const ProcessTable *table)
{
	return table->stopping;
}

static gboolean on_report_late(gpointer user_data)
{
	Process *process = user_data;
	process->report_timer = 0;
	has_ended(process, -1);
	return G_SOURCE_REMOVE;
}

static gboolean on_pidfd(gint fd, GIOCondition condition, gpointer user_data)
{
	Process *process = user_data;
	process->pidfd_source = 0;
	if (process->reported && process->table->link >= 0)
		process->report_timer = g_timeout_add(REPORT_WITHIN_MS, on_report_late, process);
	else
		has_ended(process, -1);
	return G_SOURCE_REMOVE;
}

static Process *process_new(ProcessTable *table, pid_t pid, guint64 start_ticks, int pidfd, ProcessEndedCb ended, gpointer user_data)
{
	Process *process = g_new0(Process, 1);
	*process = (Process){
		.table = table, .pid = pid, .start_ticks = start_ticks, .pidfd = pidfd, .reported = true, .ended = ended,
		.user_data = user_data,
	};
	process->pidfd_source = g_unix_fd_add(pidfd, G_IO_IN, on_pidfd, process);
	g_hash_table_insert(table->living, GINT_TO_POINTER(pid), process);
	return process;
}

Process *process_watch(ProcessTable *table, const Spawned *spawned, ProcessEndedCb ended, gpointer user_data)
{
	return process_new(table, spawned->pid, spawned->start_ticks, spawned->pidfd, ended, user_data);
}

Process *process_adopt(ProcessTable *table, pid_t pid, guint64 start_ticks, ProcessEndedCb ended, gpointer user_data, int *ret_status)
{
	int pidfd = proc_open(pid, start_ticks);
	if (pidfd >= 0) {
		Process *process = process_new(table, pid, start_ticks, pidfd, ended, user_data);
		/* The children of a keeper that died went to init. Waiting for a report of theirs would cost the election its restart
		 * within 20 ms. */
		ProcStat stat;
		process->reported = !proc_stat(pid, &stat) || stat.parent == getppid();
		return process;
	}
	/* It may have ended since we looked: the keeper reports before it reaps. Whom else that wakes waits until all are adopted. */
	if (table->link >= 0)
		read_link(table, keep_report);
	*ret_status = -1;
	for (guint i = 0; i < table->unclaimed->len; i++) {
		const KeeperMessage *report = &g_array_index(table->unclaimed, KeeperMessage, i);
		if (report->pid == pid && report->start_ticks == start_ticks)
			*ret_status = report->status;
	}
	return NULL;
}

pid_t process_pid(const Process *process)
{
	return process->pid;
}

guint64 process_start(const Process *process)
{
	return process->start_ticks;
}

bool process_signal(const Process *process, int number)
{
	return syscall(SYS_pidfd_send_signal, process->pidfd, number, NULL, 0) == 0;
}

char *process_describe(int status)
{
	if (status == -1)
		return g_strdup("unknown");
	if (WIFSIGNALED(status))
		return g_strdup_printf("signal %d", WTERMSIG(status));
	return g_strdup_printf("exit %d", WEXITSTATUS(status));
}
