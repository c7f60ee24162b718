/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/netns/stalls.c - tells how long the machine stood still: one thread a processor, above everything that Understudy runs, and one as an
 * ordinary process has it; each sleeps a moment again and again and notes by how much it was woken late.
 *
 * Prints a line for each such wait: when it ended and how long it was, in microseconds of the monotonic clock, and who waited. A line on
 * standard input is answered by "." when all that has happened before it has been told; at its end the program ends.
 *
 * Real time that takes more than its share of a processor (sched_rt_runtime_us) is kept from it for up to 50 ms, and the thread above all of it with it.
 * That is not the machine's doing, and not told: ordinary processes run on that processor meanwhile, one of them a thread beside each such thread.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SLEEP_NS 2000000L
#define WORTH_TELLING_US 4000
#define PRIORITY 60 /* vrrpd has 10, keepalived in the benchmarks 50 */
#define MAX_PROCESSORS 64
#define ORDINARY (-1)

static pthread_barrier_t all_watch;
static _Atomic unsigned long ordinary_runs[CPU_SETSIZE];

static long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static void stay_on(int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)processor, &set);
	(void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/* Beside the real-time thread of the same processor, and before other ordinary processes: they may not hide that there is time for them. */
static void *run_beside(void *data)
{
	int processor = *(int *)data;
	struct timespec moment = { 0, SLEEP_NS };

	stay_on(processor);
	(void)setpriority(PRIO_PROCESS, 0, -19); /* of this thread alone */
	for (;;) {
		ordinary_runs[processor]++;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
	}
	return NULL;
}

static void *watch(void *data)
{
	int processor = *(int *)data;
	const char *who = "ordinary";

	if (processor != ORDINARY) {
		struct sched_param param = { .sched_priority = PRIORITY };

		stay_on(processor);
		if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0)
			who = "real-time";
	}
	long before = now_us();
	unsigned long runs_before = processor != ORDINARY ? ordinary_runs[processor] : 0;
	(void)pthread_barrier_wait(&all_watch);
	for (long after;; before = after) {
		struct timespec moment = { 0, SLEEP_NS };

		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
		after = now_us();
		long late = after - before - SLEEP_NS / 1000; /* wherever it was held up */

		/* Once may be right before a machine stands still, and once right after it. */
		unsigned long runs = processor != ORDINARY ? ordinary_runs[processor] : 0;
		bool throttled = runs - runs_before > 3;
		runs_before = runs;
		if (late < WORTH_TELLING_US || throttled)
			continue;
		char line[80];
		int length = snprintf(line, sizeof line, "%ld %ld %s\n", after, late, who);
		if (write(STDOUT_FILENO, line, (size_t)length) != length)
			exit(1);
	}
	return NULL;
}

int main(void)
{
	static int processors[MAX_PROCESSORS + 1] = { ORDINARY };
	struct timespec round = { 0, 2 * SLEEP_NS };
	cpu_set_t set;
	int n = 1;
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sched_getaffinity(0, sizeof set, &set) < 0)
		return 1;
	for (int i = 0; i < CPU_SETSIZE && n <= MAX_PROCESSORS; i++)
		if (CPU_ISSET((unsigned)i, &set))
			processors[n++] = i;
	if (pthread_barrier_init(&all_watch, NULL, (unsigned)n + 1) != 0)
		return 1;
	for (int i = 0; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, watch, &processors[i]) != 0 ||
		    (processors[i] != ORDINARY && pthread_create(&thread, NULL, run_beside, &processors[i]) != 0))
			return 1;
	}
	(void)pthread_barrier_wait(&all_watch); /* nothing is answered for a time that nobody watched */
	while (read(STDIN_FILENO, &byte, 1) == 1) {
		(void)nanosleep(&round, NULL); /* who waits now has been woken, or will have its line before the asker runs again */
		if (write(STDOUT_FILENO, ".\n", 2) != 2)
			return 1;
	}
	return 0;
}
