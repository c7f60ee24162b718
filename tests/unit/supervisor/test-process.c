/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-process.c - how a process ended that was to be adopted, told by a keeper at any moment. */
#include <glib.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/keeper/wire.h"
#include "supervisor/processes/proc.h"
#include "supervisor/processes/process.h"

/* The test is the keeper: the parent of those that are adopted, at the other end of the link. */
typedef struct {
	ProcessTable *table;
	int link;
	guint64 sequence;
} Place;

typedef struct {
	pid_t pid;
	guint64 start_ticks;
	int status, n_ended;
} Child;

static void place_set_up(Place *place, gconstpointer data)
{
	int pair[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), ==, 0);
	place->link = pair[0];
	place->table = process_table_new(pair[1]);
}

static void place_tear_down(Place *place, gconstpointer data)
{
	process_table_free(place->table);
	close(place->link);
}

static Child child_new(void)
{
	Child child = { .pid = fork(), .status = -2 };
	ProcStat stat;

	if (child.pid == 0)
		for (;;)
			pause();
	g_assert_true(proc_stat(child.pid, &stat));
	child.start_ticks = stat.start_ticks;
	return child;
}

static void on_ended(int status, gpointer user_data)
{
	Child *child = user_data;

	child->status = status;
	child->n_ended++;
}

/* It is killed, told of, and reaped, in the order in which a keeper does it. */
static void end(Place *place, const Child *child)
{
	siginfo_t info;

	g_assert_cmpint(kill(child->pid, SIGKILL), ==, 0);
	g_assert_cmpint(waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT), ==, 0);
	KeeperMessage report = { .kind = KEEPER_REAPED, .pid = child->pid, .status = SIGKILL, .start_ticks = child->start_ticks, .sequence = ++place->sequence };
	g_assert_cmpint(send(place->link, &report, sizeof report, 0), ==, sizeof report);
	g_assert_cmpint(waitpid(child->pid, NULL, 0), ==, child->pid);
}

static Process *adopt(Place *place, Child *child)
{
	return process_adopt(place->table, child->pid, child->start_ticks, on_ended, child, &child->status);
}

static void test_ends_before_it_is_adopted(Place *place, gconstpointer data)
{
	Child child = child_new();

	end(place, &child);
	g_assert_null(adopt(place, &child));
	g_assert_cmpint(child.status, ==, SIGKILL);
	g_assert_cmpint(child.n_ended, ==, 0);
}

/* It is told of while another one is adopted: behind that, once. */
static void test_ends_while_another_is_adopted(Place *place, gconstpointer data)
{
	Child first = child_new(), second = child_new();

	g_assert_nonnull(adopt(place, &first));
	end(place, &first);
	end(place, &second);
	g_assert_null(adopt(place, &second));
	g_assert_cmpint(second.status, ==, SIGKILL);
	g_assert_cmpint(first.n_ended, ==, 0);
	process_table_up(place->table);
	g_assert_cmpint(first.n_ended, ==, 1);
	g_assert_cmpint(first.status, ==, SIGKILL);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpint(first.n_ended, ==, 1);
}

#define ADD(name, function) g_test_add("/process/" name, Place, NULL, place_set_up, function, place_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("adopted/ends-before", test_ends_before_it_is_adopted);
	ADD("adopted/ends-meanwhile", test_ends_while_another_is_adopted);
	return g_test_run();
}
