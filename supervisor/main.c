/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/main.c - understudy-supervisor: started by the keeper, with its two descriptors. */
#include <fcntl.h>
#include <glib-unix.h>
#include <malloc.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "supervisor/keeper/wire.h"
#include "supervisor/processes/spawn.h"
#include "supervisor/supervisor.h"

#define NICE (-10)
#define LARGE_BYTES (64 * 1024)

static gboolean on_signal(gint fd, GIOCondition condition, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	struct signalfd_siginfo got;
	g_autoptr(GError) error = NULL;
	if (read(fd, &got, sizeof got) != (ssize_t)sizeof got)
		return G_SOURCE_CONTINUE;
	if (got.ssi_signo == SIGHUP) {
		if (!supervisor_reload(supervisor, &error))
			g_warning("reload: %s", error->message);
	} else {
		supervisor_stop(supervisor);
	}
	return G_SOURCE_CONTINUE;
}

static bool is_socket(int fd)
{
	struct stat found;
	return fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode) && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool is_timer(int fd)
{
	struct itimerspec left;
	return timerfd_gettime(fd, &left) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 || !is_socket(KEEPER_FD_NOTIFY) || !is_socket(KEEPER_FD_LINK) || !is_timer(KEEPER_FD_LEASE)) {
		g_printerr("%s is started by understudy-keeper and takes no arguments\n", argv[0]);
		return 2;
	}
	/* Left to itself the allocator gives each thread a heap, and after the first large block, which nftables asks for, gives nothing back
	 * below 4 MB. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, LARGE_BYTES);
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	(void)spawn_be_nice(NICE); /* a takeover on a busy machine; nothing here runs for long */
	/* Before the first thread: all of them must leave these to us. */
	sigset_t caught;
	sigemptyset(&caught);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGHUP);
	sigprocmask(SIG_BLOCK, &caught, NULL);
	int signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);

	Supervisor *supervisor = supervisor_new();
	if (supervisor_start(supervisor)) {
		g_unix_fd_add(signals, G_IO_IN, on_signal, supervisor);
		g_main_loop_run(supervisor->loop);
	}
	int exit_status = supervisor->exit_status;
	supervisor_free(supervisor);
	return exit_status;
}
