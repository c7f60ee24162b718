/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-heir.c - a killed process's descriptors are its heir's until its last thread has ended, and the heir ends then. */
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vrrpd/loop/heir.h"

#define LIMIT_MS 10000
#define TIMES 20

static int first_processor(void)
{
	cpu_set_t set;

	g_assert_cmpint(sched_getaffinity(0, sizeof set, &set), ==, 0);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET((unsigned)i, &set))
			return i;
	g_assert_not_reached();
}

static void stay_on(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)processor, &set);
	g_assert_cmpint(sched_setaffinity(0, sizeof set, &set), ==, 0);
}

/* Takes the processor from whoever has the least right to it. */
static pid_t hog_start(int processor)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		stay_on(processor);
		for (;;)
			;
	}
	g_assert_cmpint(pid, >, 0);
	return pid;
}

typedef struct {
	int processor;
	int ready;
} Straggler;

/* Hears of its end when it gets the processor. */
static void *straggle(void *data)
{
	const Straggler *straggler = data;
	struct sched_param param = { 0 };

	stay_on(straggler->processor);
	(void)sched_setscheduler(0, SCHED_IDLE, &param);
	(void)!write(straggler->ready, "x", 1);
	for (;;)
		(void)pause();
	return NULL;
}

static pid_t child_start(int processor, int ready)
{
	pid_t pid = fork();

	if (pid == 0) {
		static Straggler straggler;
		pthread_t thread;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		straggler = (Straggler){ processor, ready };
		if (!vrrp_heir_start() || pthread_create(&thread, NULL, straggle, &straggler) != 0)
			_exit(1);
		for (;;)
			(void)pause();
	}
	g_assert_cmpint(pid, >, 0);
	return pid;
}

static pid_t heir_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", pid, pid), *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return atoi(text);
}

static bool lives(int pidfd)
{
	struct pollfd look = { .fd = pidfd, .events = POLLIN };

	return poll(&look, 1, 0) == 0;
}

/* It may be the last with the descriptors only if it outlives every thread. */
static void die_once(int processor)
{
	int ready[2], end;
	char byte;
	pid_t hog, child, heir;

	g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
	child = child_start(processor, ready[1]);
	g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
	close(ready[1]);
	heir = heir_of(child);
	g_assert_cmpint(heir, >, 0);
	int heir_fd = (int)syscall(SYS_pidfd_open, heir, 0);
	int child_fd = (int)syscall(SYS_pidfd_open, child, 0);
	g_assert_cmpint(heir_fd, >=, 0);
	g_assert_cmpint(child_fd, >=, 0);
	hog = hog_start(processor);

	g_assert_cmpint(kill(child, SIGKILL), ==, 0);
	bool heir_lives, child_lives;
	do {
		heir_lives = lives(heir_fd); /* this one is asked first: what ends between the two questions is no fault */
		child_lives = lives(child_fd);
		g_assert_true(heir_lives || !child_lives);
	} while (child_lives);

	/* Then nobody has them any more. */
	struct pollfd look = { .fd = heir_fd, .events = POLLIN }, closed = { .fd = ready[0], .events = POLLIN };
	g_assert_cmpint(poll(&look, 1, LIMIT_MS), ==, 1);
	g_assert_cmpint(poll(&closed, 1, LIMIT_MS), ==, 1);
	g_assert_true(closed.revents & POLLHUP);

	g_assert_cmpint(kill(hog, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(hog, &end, 0), ==, hog);
	g_assert_cmpint(waitpid(child, &end, 0), ==, child);
	(void)waitpid(heir, &end, __WALL);
	close(heir_fd);
	close(child_fd);
	close(ready[0]);
}

static void test_outlives_every_thread(void)
{
	int processor = first_processor();

	g_assert_cmpint(prctl(PR_SET_CHILD_SUBREAPER, 1), ==, 0);
	for (int i = 0; i < TIMES; i++)
		die_once(processor);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/heir/outlives-every-thread", test_outlives_every_thread);
	return g_test_run();
}
