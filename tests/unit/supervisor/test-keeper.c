/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-keeper.c - when the keeper kills, starts and gives up. */
#include <glib.h>

#include "supervisor/keeper/policy.h"
#include "supervisor/keeper/wire.h"

#define MS G_TIME_SPAN_MILLISECOND

/* A loop, the clock of which only goes on when it sleeps, and a timer that runs out at @lapse_us. */
typedef struct {
	KeeperPolicy policy;
	gint64 now_us, lapse_us;
	guint turns;
} Loop;

static Loop loop_new(void)
{
	Loop loop = { .lapse_us = G_MAXINT64 };
	keeper_policy_init(&loop.policy, 0);
	return loop;
}

/* The supervisor's last turn but one was now. */
static void started(Loop *loop)
{
	keeper_policy_started(&loop->policy, loop->now_us);
	loop->lapse_us = loop->now_us + KEEPER_LEASE_US;
}

/* Turns as the real one does, up to @until_us; whether one of them asked for the kill, at which it stops. */
static bool turn_until(Loop *loop, gint64 until_us)
{
	for (;;) {
		gint64 next_us = keeper_policy_next(&loop->policy);
		if (keeper_policy_waits(&loop->policy))
			next_us = MIN(next_us, loop->lapse_us);
		if (next_us > until_us) {
			loop->now_us = until_us;
			return false;
		}
		loop->now_us = MAX(loop->now_us, next_us);
		loop->turns++;
		g_assert_cmpuint(loop->turns, <, 1000);
		if (keeper_policy_woke(&loop->policy, loop->lapse_us <= loop->now_us, loop->now_us))
			return true;
	}
}

static void test_silent_for_three_seconds(void)
{
	Loop loop = loop_new();
	started(&loop);
	loop.lapse_us += 2900 * MS; /* it lived so long */
	g_assert_false(turn_until(&loop, 5899 * MS));
	g_assert_true(turn_until(&loop, 5900 * MS));
	g_assert_cmpint(loop.now_us, ==, 2900 * MS + KEEPER_LEASE_US + KEEPER_GRACE_US);
}

/* The timer ran out while nobody could run: who is about to set it is given the time to. */
static void test_the_whole_machine_stood_still(void)
{
	Loop loop = loop_new();
	started(&loop);
	keeper_policy_up(&loop.policy);
	(void)keeper_policy_next(&loop.policy);
	loop.now_us = 60000 * MS;
	g_assert_false(keeper_policy_woke(&loop.policy, true, loop.now_us));
	g_assert_false(keeper_policy_waits(&loop.policy));
	loop.lapse_us = loop.now_us + KEEPER_LEASE_US; /* it has turned */
	g_assert_false(turn_until(&loop, loop.lapse_us - 1));
	g_assert_true(keeper_policy_waits(&loop.policy));
	/* And once more while that time is under way: what counts is our own time awake. */
	g_assert_false(turn_until(&loop, loop.lapse_us));
	(void)keeper_policy_next(&loop.policy);
	loop.now_us += 60000 * MS;
	g_assert_false(keeper_policy_woke(&loop.policy, true, loop.now_us));
	gint64 thawed_us = loop.now_us;
	g_assert_true(turn_until(&loop, G_MAXINT64 - 1));
	g_assert_cmpint(loop.now_us, ==, thawed_us + KEEPER_GRACE_US);
}

static void test_grown_one_is_replaced_at_once(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 100; i++) {
		gint64 now_us = i * 2000 * MS;
		keeper_policy_started(&policy, now_us);
		keeper_policy_up(&policy);
		g_assert_false(keeper_policy_ended(&policy, false, now_us + 2000 * MS));
		g_assert_cmpint(policy.start_at_us, ==, now_us + 2000 * MS);
	}
	g_assert_false(policy.alone);
}

static void test_five_failed_starts_in_ten_seconds(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 4; i++) {
		keeper_policy_started(&policy, i * 1000 * MS);
		g_assert_false(keeper_policy_ended(&policy, false, (i * 1000 + 10) * MS));
		g_assert_cmpint(policy.start_at_us, >, (i * 1000 + 10) * MS);
	}
	keeper_policy_started(&policy, 4000 * MS);
	g_assert_true(keeper_policy_ended(&policy, false, 4010 * MS));
	g_assert_true(policy.alone);
	g_assert_cmpint(policy.start_at_us, ==, 4010 * MS + KEEPER_RETRY_US);
	/* It is tried again, and let go again at once when that fails. */
	keeper_policy_started(&policy, 40000 * MS);
	g_assert_true(keeper_policy_ended(&policy, false, 40010 * MS));
}

static void test_killed_is_not_failed(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 50; i++) {
		keeper_policy_started(&policy, i * 20 * MS);
		keeper_policy_up(&policy);
		g_assert_false(keeper_policy_ended(&policy, true, (i * 20 + 10) * MS));
		g_assert_cmpint(policy.start_at_us, ==, (i * 20 + 10) * MS);
	}
	/* But one that never got so far has, whatever ended it. */
	for (int i = 0; i < 5; i++) {
		keeper_policy_started(&policy, (2000 + i) * MS);
		g_assert_cmpint(keeper_policy_ended(&policy, true, (2001 + i) * MS), ==, i == 4);
	}
}

/* Each start hangs until it is killed for its silence: before it is up, or after. */
static void hang_five_times(bool up)
{
	Loop loop = loop_new();
	for (int i = 0; i < 5; i++) {
		g_assert_false(loop.policy.alone);
		started(&loop);
		if (up) {
			g_assert_false(turn_until(&loop, loop.now_us + 500 * MS));
			keeper_policy_up(&loop.policy);
			loop.lapse_us = loop.now_us + KEEPER_LEASE_US;
		}
		g_assert_true(turn_until(&loop, G_MAXINT64 - 1));
		g_assert_cmpint(keeper_policy_ended(&loop.policy, true, loop.now_us), ==, i == 4);
		loop.now_us = loop.policy.start_at_us;
	}
	g_assert_true(loop.policy.alone);
}

static void test_hung_starts_are_failed_starts(void)
{
	hang_five_times(false);
	hang_five_times(true);
}

static void test_grown_one_that_hangs_is_no_failed_start(void)
{
	Loop loop = loop_new();
	for (int i = 0; i < 20; i++) {
		started(&loop);
		keeper_policy_up(&loop.policy);
		loop.lapse_us = loop.now_us + KEEPER_GROWN_US + KEEPER_LEASE_US;
		g_assert_true(turn_until(&loop, G_MAXINT64 - 1));
		g_assert_false(keeper_policy_ended(&loop.policy, true, loop.now_us));
	}
}

static void test_failed_starts_far_apart_do_not_count(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 20; i++) {
		keeper_policy_started(&policy, i * 3000 * MS);
		g_assert_false(keeper_policy_ended(&policy, false, (i * 3000 + 10) * MS));
	}
}

static void test_alone_ends_when_one_grows(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 5; i++) {
		keeper_policy_started(&policy, i * MS);
		(void)!keeper_policy_ended(&policy, false, (i + 1) * MS);
	}
	Loop loop = { .policy = policy, .now_us = 40000 * MS };
	started(&loop);
	loop.lapse_us = G_MAXINT64;
	keeper_policy_up(&loop.policy);
	g_assert_false(turn_until(&loop, 41999 * MS));
	g_assert_true(loop.policy.alone);
	g_assert_false(turn_until(&loop, 42000 * MS));
	g_assert_false(loop.policy.alone);
	g_assert_false(keeper_policy_ended(&loop.policy, false, 43000 * MS));
}

/* One that never says that it is up is none, however long it lives. */
static void test_alone_does_not_end_when_none_is_up(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 5; i++) {
		keeper_policy_started(&policy, i * MS);
		(void)!keeper_policy_ended(&policy, false, (i + 1) * MS);
	}
	Loop loop = { .policy = policy, .now_us = 40000 * MS };
	started(&loop);
	loop.lapse_us = G_MAXINT64;
	g_assert_false(turn_until(&loop, 60000 * MS));
	g_assert_true(loop.policy.alone);
}

static void test_never_sleeps_longer_than_it_may(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	keeper_policy_started(&policy, 0);
	g_assert_false(keeper_policy_ended(&policy, false, 10 * MS));
	g_assert_cmpint(keeper_policy_next(&policy), ==, 10 * MS + KEEPER_FAILED_PAUSE_US);
	g_assert_false(keeper_policy_waits(&policy)); /* nobody's timer */
}

/* While the supervisor's timer runs nothing wakes it. */
static void test_sleeps_while_the_timer_runs(void)
{
	Loop loop = loop_new();
	started(&loop);
	keeper_policy_up(&loop.policy);
	loop.lapse_us = G_MAXINT64;
	g_assert_cmpint(keeper_policy_next(&loop.policy), ==, G_MAXINT64);
	g_assert_false(turn_until(&loop, 3600 * G_TIME_SPAN_SECOND));
	g_assert_cmpuint(loop.turns, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keeper/silent-for-three-seconds", test_silent_for_three_seconds);
	g_test_add_func("/keeper/sleeps-while-the-timer-runs", test_sleeps_while_the_timer_runs);
	g_test_add_func("/keeper/whole-machine-stood-still", test_the_whole_machine_stood_still);
	g_test_add_func("/keeper/grown-one-is-replaced-at-once", test_grown_one_is_replaced_at_once);
	g_test_add_func("/keeper/five-failed-starts", test_five_failed_starts_in_ten_seconds);
	g_test_add_func("/keeper/killed-is-not-failed", test_killed_is_not_failed);
	g_test_add_func("/keeper/hung-starts-are-failed-starts", test_hung_starts_are_failed_starts);
	g_test_add_func("/keeper/grown-one-that-hangs", test_grown_one_that_hangs_is_no_failed_start);
	g_test_add_func("/keeper/failed-starts-far-apart", test_failed_starts_far_apart_do_not_count);
	g_test_add_func("/keeper/alone-ends-when-one-grows", test_alone_ends_when_one_grows);
	g_test_add_func("/keeper/alone-does-not-end-when-none-is-up", test_alone_does_not_end_when_none_is_up);
	g_test_add_func("/keeper/wakes-in-time", test_never_sleeps_longer_than_it_may);
	return g_test_run();
}
