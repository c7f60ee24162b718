/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/main.c - understudy-vrrpd: holds the election and the service addresses. */
#include <errno.h>
#include <glib-unix.h>
#include <glib.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "election.h"
#include "vrrpd/loop/heir.h"
#include "service.h"
#include "settings/settings.h"

static gboolean quit_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	g_main_loop_quit(user_data);
	return G_SOURCE_REMOVE;
}

/* g_unix_signal_add() would start a thread, whose stack is locked in memory with all the rest: 8 MB. */
static bool quit_on_signals(GMainLoop *loop)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return false;
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 && g_unix_fd_add(fd, G_IO_IN, quit_cb, loop) > 0;
}

/* The C library has the kernel note on which processor we are, in a place of memory that is cold at each of our wakings, and nothing here asks. Where
 * a later library has told the kernel another size nothing changes. */
static void forget_processor(void)
{
	(void)syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

#define STACK_KEPT_BYTES (32 * 1024) /* twice what role changes, introspection and a reload were seen to use */

/* The kernel sets 128 KB of stack aside, and mlockall() fills them in. Of what is below anything in use, pages are locked when they are first touched. */
static void give_back_stack(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *maps = NULL;
	guintptr here = (guintptr)&maps, begin = 0, end;

	if (!g_file_get_contents("/proc/self/maps", &maps, NULL, &error)) {
		g_debug("%s", error->message);
		return;
	}
	for (const char *line = maps; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		begin = (guintptr)g_ascii_strtoull(line, NULL, 16);
		end = (guintptr)g_ascii_strtoull(strchr(line, '-') ? strchr(line, '-') + 1 : "0", NULL, 16);
		if (begin <= here && here < end)
			break;
	}
	end = (here - STACK_KEPT_BYTES) & ~((guintptr)sysconf(_SC_PAGESIZE) - 1);
	if (begin < end && here - begin < 1024 * 1024 && munlock((void *)begin, end - begin) == 0) {
		(void)madvise((void *)begin, end - begin, MADV_DONTNEED);
		(void)mlock2((void *)begin, end - begin, MLOCK_ONFAULT);
	}
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = NULL;
	g_autoptr(VrrpService) service = NULL;
	g_autoptr(VrrpElection) election = NULL;
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

	/* What is freed goes back, and little is taken beforehand: all that malloc keeps is locked in memory. */
	mallopt(M_TOP_PAD, 4 * 1024);
	mallopt(M_TRIM_THRESHOLD, 16 * 1024);
	mallopt(M_ARENA_MAX, 1); /* threads have none of their own */
	if (argc > 1) {
		fprintf(stderr, "%s takes no arguments\n", argv[0]);
		return 2;
	}
	settings = settings_load(SETTINGS_DIR, &error);
	if (!settings) {
		fprintf(stderr, "%s\n", error->message);
		return 2;
	}

	/* Asked to end while it starts, a Master says priority 0 all the same. */
	if (!quit_on_signals(loop)) {
		fprintf(stderr, "understudy-vrrpd: signals: %s\n", g_strerror(errno));
		return 1;
	}
	/* The election first: a Master that was killed owes its next advert within milliseconds. Everything else can wait. */
	service = vrrp_service_new(&error);
	election = service ? vrrp_election_new(&vrrp_service_listener, service, &error) : NULL;
	if (!election) {
		fprintf(stderr, "understudy-vrrpd: %s\n", error->message);
		return 1;
	}
	vrrp_election_start(election, settings);

	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
		g_autofree char *problem = g_strdup_printf("memory-not-locked: %s; under memory pressure adverts may be late", g_strerror(errno));

		vrrp_election_add_problem(election, problem);
	}
	give_back_stack();
	forget_processor();
	(void)vrrp_heir_start();
	if (!vrrp_service_start(service, election, &error)) {
		/* Without its socket nobody can steer it: better no election than one that cannot be told to stop. */
		fprintf(stderr, "understudy-vrrpd: %s\n", error->message);
		vrrp_election_stop(election, "failed");
		return 1;
	}
	malloc_trim(0);
	g_main_loop_run(loop);

	vrrp_election_stop(election, "stopped");
	g_clear_pointer(&service, vrrp_service_free);
	return 0;
}
