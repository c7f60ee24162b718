/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/keeper/main.c - understudy-keeper: the one main process. It keeps a supervisor running and owns what must outlive it.
 *
 * That is: the parenthood of every process (subreaper), how each of them ended until a supervisor has heard it, and the bound notify socket.
 * Everything else is the supervisor's. A plain poll loop: no main context, no library but GLib, nothing that can wait for anybody.
 */
#define G_LOG_DOMAIN "understudy-keeper"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/keeper/alone.h"
#include "supervisor/keeper/policy.h"
#include "supervisor/keeper/wire.h"
#include "supervisor/processes/proc.h"

#define KEEPER_LOCK SUPERVISOR_RUN_DIR "/keeper.lock"
#define KEEPER_PROGRAM PKGLIBEXECDIR "/understudy-keeper"
#define SUPERVISOR_PROGRAM PKGLIBEXECDIR "/understudy-supervisor"
/* Reports kept for a supervisor that is away; more than this many processes cannot be of interest to it. */
#define MAX_REPORTS 4096

typedef struct {
	KeeperPolicy policy;
	int signals;
	int notify;
	int link; /* our end of the pair; -1 while no supervisor runs */
	int lease; /* the supervisor's sign of life: wire.h */
	pid_t supervisor;
	bool stopping;
	bool renew;        /* become the program that is on disk now */
	GQueue reports;    /* of KeeperMessage*, oldest first, not acknowledged yet */
	guint n_sent;      /* of them, sent to the present supervisor */
	guint64 sequence;
	int exit_status;   /* < 0: go on */
} Keeper;

static bool make_folder(const char *path)
{
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return true;
	g_critical("%s: %s", path, g_strerror(errno));
	return false;
}

/* Two keepers would fight over every process. */
static bool take_lock(void)
{
	int fd = open(KEEPER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0644); /* held until we end */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	g_critical("%s: %s", KEEPER_LOCK, errno == EWOULDBLOCK ? "another keeper runs" : g_strerror(errno));
	return false;
}

static int bind_notify(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SUPERVISOR_NOTIFY };
	int on = 1;
	unlink(SUPERVISOR_NOTIFY);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(SUPERVISOR_NOTIFY, 0777) < 0) {
		g_critical("%s: %s", SUPERVISOR_NOTIFY, g_strerror(errno));
		return -1;
	}
	return fd;
}

/* A keeper before us may have died, or become us, and left its supervisor at work. We cannot become the parent of a dead one's, and one of
 * an earlier version has to go, so it is replaced; what it runs is found again by the next one. Its notify socket is taken over, with every datagram that waits in it. */
static int replace_orphan(void)
{
	g_autofree char *text = NULL;
	int notify = -1;
	if (!g_file_get_contents(SUPERVISOR_LOCK, &text, NULL, NULL))
		return -1;
	char *rest = NULL;
	pid_t pid = (pid_t)strtol(text, &rest, 10);
	int orphan = proc_open(pid, rest ? g_ascii_strtoull(rest, NULL, 10) : 0);
	if (orphan < 0)
		return -1;

	g_message("replacing the supervisor of an earlier keeper (pid %d)", (int)pid);
	notify = (int)syscall(SYS_pidfd_getfd, orphan, KEEPER_FD_NOTIFY, 0);
	struct stat found;
	if (notify >= 0 && (fstat(notify, &found) < 0 || !S_ISSOCK(found.st_mode))) {
		close(notify);
		notify = -1;
	}
	if (notify >= 0)
		(void)fcntl(notify, F_SETFD, FD_CLOEXEC);
	(void)syscall(SYS_pidfd_send_signal, orphan, SIGKILL, NULL, 0);
	struct pollfd wait = { .fd = orphan, .events = POLLIN };
	(void)poll(&wait, 1, 5000);
	close(orphan);
	return notify;
}

/* ---- The supervisor's timer ---- */

static void set_lease(Keeper *keeper)
{
	struct itimerspec spec = { .it_value = { KEEPER_LEASE_US / G_TIME_SPAN_SECOND, KEEPER_LEASE_US % G_TIME_SPAN_SECOND * 1000 } };
	(void)timerfd_settime(keeper->lease, 0, &spec, NULL);
}

static bool lease_has_lapsed(const Keeper *keeper)
{
	struct itimerspec left;
	return timerfd_gettime(keeper->lease, &left) == 0 && left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0;
}

/* The kernel tells when somebody stops it: it may have meant to sleep for longer than it may be silent. One that goes on sleeps on. */
static void look_at_stops(Keeper *keeper)
{
	siginfo_t info = { 0 };
	while (keeper->supervisor > 0 && waitid(P_PID, (id_t)keeper->supervisor, &info, WSTOPPED | WCONTINUED | WNOHANG) == 0 && info.si_pid != 0) {
		KeeperMessage turn = { .kind = KEEPER_TURN };
		if (info.si_code == CLD_CONTINUED)
			(void)send(keeper->link, &turn, sizeof turn, MSG_DONTWAIT | MSG_NOSIGNAL);
		else if (!lease_has_lapsed(keeper))
			set_lease(keeper);
		info.si_pid = 0;
	}
}

/* ---- Its messages ---- */

static void send_reports(Keeper *keeper)
{
	while (keeper->link >= 0 && keeper->n_sent < keeper->reports.length) {
		const KeeperMessage *report = g_queue_peek_nth(&keeper->reports, keeper->n_sent);
		if (send(keeper->link, report, sizeof *report, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof *report)
			return; /* full: again when it can be written to; gone: the next supervisor gets them all */
		keeper->n_sent++;
	}
}

static void acknowledge(Keeper *keeper, guint64 sequence)
{
	const KeeperMessage *first;
	while ((first = g_queue_peek_head(&keeper->reports)) && first->sequence <= sequence && keeper->n_sent > 0) {
		g_free(g_queue_pop_head(&keeper->reports));
		keeper->n_sent--;
	}
}

static void receive(Keeper *keeper)
{
	KeeperMessage message;
	while (keeper->link >= 0 && recv(keeper->link, &message, sizeof message, MSG_DONTWAIT) == (ssize_t)sizeof message) {
		if (message.kind == KEEPER_UP)
			keeper_policy_up(&keeper->policy);
		else if (message.kind == KEEPER_ACK)
			acknowledge(keeper, message.sequence);
	}
}

/* It is gone, or could not even be made. */
static void start_failed(Keeper *keeper, bool killed)
{
	if (!keeper_policy_ended(&keeper->policy, killed, g_get_monotonic_time()))
		return;
	keeper_act_alone();
	if (keeper->stopping)
		keeper->exit_status = 1;
}

static void start_supervisor(Keeper *keeper)
{
	int pair[2];
	set_lease(keeper);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		g_critical("socketpair: %s", g_strerror(errno));
		keeper_policy_started(&keeper->policy, g_get_monotonic_time());
		start_failed(keeper, false);
		return;
	}
	keeper->link = pair[0];
	keeper->n_sent = 0;
	/* Before it lives: it finds this at its first look, and starts nothing that is about to be stopped. */
	KeeperMessage stop = { .kind = KEEPER_STOP };
	if (keeper->stopping)
		(void)send(keeper->link, &stop, sizeof stop, MSG_DONTWAIT | MSG_NOSIGNAL);
	send_reports(keeper);

	/* Whatever the descriptors are now, in the child they are 3, 4 and 5. */
	pid_t pid = fork();
	if (pid == 0) {
		int notify = fcntl(keeper->notify, F_DUPFD, 10), link = fcntl(pair[1], F_DUPFD, 10), lease = fcntl(keeper->lease, F_DUPFD, 10);
		/* What we pass on stays blocked until it reads it from a descriptor: told to stop before it can listen, it must stop in
		 * order, not fall. */
		sigset_t ours;
		sigemptyset(&ours);
		sigaddset(&ours, SIGCHLD);
		sigaddset(&ours, SIGUSR1);
		sigprocmask(SIG_UNBLOCK, &ours, NULL);
		if (notify >= 0 && link >= 0 && lease >= 0 && dup2(notify, KEEPER_FD_NOTIFY) >= 0 && dup2(link, KEEPER_FD_LINK) >= 0 &&
		    dup2(lease, KEEPER_FD_LEASE) >= 0) {
			close(notify);
			close(link);
			close(lease);
			execl(SUPERVISOR_PROGRAM, SUPERVISOR_PROGRAM, NULL);
		}
		dprintf(STDERR_FILENO, "%s: %s\n", SUPERVISOR_PROGRAM, strerror(errno));
		_exit(127);
	}
	close(pair[1]);
	keeper_policy_started(&keeper->policy, g_get_monotonic_time());
	if (pid < 0) {
		g_critical("fork: %s", g_strerror(errno));
		close(keeper->link);
		keeper->link = -1;
		start_failed(keeper, false);
		return;
	}
	keeper->supervisor = pid;
	if (keeper->stopping)
		kill(pid, SIGTERM);
}

/* Whether a process of ours, daemon or application, still lives. */
static bool anything_runs(void)
{
	g_autoptr(GPtrArray) records = proc_records_load();
	for (guint i = 0; i < records->len; i++) {
		const ProcRecord *record = records->pdata[i];
		if (proc_is_alive(record->pid, record->start_ticks))
			return true;
	}
	return false;
}

static void supervisor_ended(Keeper *keeper, int status)
{
	receive(keeper); /* its last acknowledgements */
	if (keeper->link >= 0)
		close(keeper->link);
	keeper->link = -1;
	keeper->supervisor = 0;
	set_lease(keeper); /* vrrpd waits for it too, and need not for as long as this one meant to sleep */

	if (keeper->stopping && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		keeper->exit_status = 0;
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2 && !anything_runs()) {
		/* Bad settings; it has said which. Trying again would find the same. */
		keeper->exit_status = 2;
		return;
	}
	if (WIFSIGNALED(status))
		g_warning("the supervisor ended by signal %d", WTERMSIG(status));
	else
		g_warning("the supervisor ended with status %d", WEXITSTATUS(status));
	start_failed(keeper, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* As wait() gives it. */
static int status_of(const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		return W_EXITCODE(info->si_status, 0);
	return info->si_status | (info->si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

static void reap(Keeper *keeper)
{
	siginfo_t info;
	for (;;) {
		/* Looked at before it is reaped: only a zombie still has its start time. */
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			return;
		ProcStat stat = { 0 };
		(void)proc_stat(info.si_pid, &stat);
		int status = 0;
		if (info.si_pid == keeper->supervisor) {
			if (waitpid(info.si_pid, &status, WNOHANG) == info.si_pid)
				supervisor_ended(keeper, status);
			continue;
		}
		/* Told before it is reaped: whoever finds that it is gone has the report. */
		if (keeper->reports.length - keeper->n_sent < MAX_REPORTS) {
			KeeperMessage *report = g_new0(KeeperMessage, 1);
			*report = (KeeperMessage){
				.kind = KEEPER_REAPED, .pid = info.si_pid, .status = status_of(&info), .start_ticks = stat.start_ticks,
				.sequence = ++keeper->sequence,
			};
			g_queue_push_tail(&keeper->reports, report);
			send_reports(keeper);
		}
		(void)waitpid(info.si_pid, &status, WNOHANG);
	}
}

static void take_signals(Keeper *keeper)
{
	struct signalfd_siginfo got;
	while (read(keeper->signals, &got, sizeof got) == (ssize_t)sizeof got) {
		switch (got.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			if (!keeper->stopping)
				g_message("stopping");
			keeper->stopping = true;
			if (keeper->supervisor > 0)
				kill(keeper->supervisor, SIGTERM);
			break;
		case SIGHUP:
			if (keeper->supervisor > 0)
				kill(keeper->supervisor, SIGHUP);
			break;
		case SIGUSR1:
			keeper->renew = true;
			break;
		default: /* SIGCHLD: every turn reaps */
			break;
		}
	}
}

/* A new version was installed. Same process, so init notices nothing and every child stays ours; the new program does what it does after
 * a keeper's death. Not before the supervisor has heard of every end that we alone know of. */
static void renew(Keeper *keeper)
{
	if (!keeper->renew || keeper->stopping || !g_queue_is_empty(&keeper->reports))
		return;
	keeper->renew = false;
	g_message("going on as the program that is installed now");
	execl(KEEPER_PROGRAM, KEEPER_PROGRAM, NULL);
	g_warning("%s: %s", KEEPER_PROGRAM, g_strerror(errno));
}

static void turn(Keeper *keeper)
{
	gint64 next_us = keeper_policy_next(&keeper->policy), wait_us = next_us - g_get_monotonic_time();
	struct pollfd waits[] = {
		{ .fd = keeper->signals, .events = POLLIN },
		{ .fd = keeper->link, .events = (short)(POLLIN | (keeper->n_sent < keeper->reports.length ? POLLOUT : 0)) },
		{ .fd = keeper_policy_waits(&keeper->policy) ? keeper->lease : -1, .events = POLLIN },
	};
	(void)poll(waits, G_N_ELEMENTS(waits), next_us == G_MAXINT64 ? -1 : (int)CLAMP((wait_us + 999) / 1000, 0, G_MAXINT));

	receive(keeper);
	if (keeper_policy_woke(&keeper->policy, lease_has_lapsed(keeper), g_get_monotonic_time()) && keeper->supervisor > 0) {
		g_warning("the supervisor has been silent for %d s: killing it", (int)((KEEPER_LEASE_US + KEEPER_GRACE_US) / G_TIME_SPAN_SECOND));
		kill(keeper->supervisor, SIGKILL);
		set_lease(keeper); /* once */
	}
	take_signals(keeper);
	look_at_stops(keeper);
	reap(keeper);
	if (keeper->exit_status >= 0)
		return;
	if (!keeper->policy.running && g_get_monotonic_time() >= keeper->policy.start_at_us)
		start_supervisor(keeper);
	send_reports(keeper);
	renew(keeper);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		g_printerr("%s takes no arguments\n", argv[0]);
		return 2;
	}
	umask(022);
	Keeper keeper = { .link = -1, .exit_status = -1 };
	sigset_t caught;
	sigemptyset(&caught);
	sigaddset(&caught, SIGCHLD);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGHUP);
	sigaddset(&caught, SIGUSR1);
	sigprocmask(SIG_BLOCK, &caught, NULL);
	keeper.signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
	if (keeper.signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
		g_critical("cannot become the reaper: %s", g_strerror(errno));
		return 1;
	}
	if (!make_folder("/run/understudy") || !make_folder(SUPERVISOR_RUN_DIR) || !take_lock())
		return 1;
	keeper.notify = replace_orphan();
	if (keeper.notify < 0)
		keeper.notify = bind_notify();
	keeper.lease = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (keeper.notify < 0 || keeper.lease < 0)
		return 1;

	keeper_policy_init(&keeper.policy, g_get_monotonic_time());
	while (keeper.exit_status < 0)
		turn(&keeper);
	return keeper.exit_status;
}
