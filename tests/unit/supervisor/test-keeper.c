/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-keeper.c - when the keeper kills, starts and gives up. */
#include <glib.h>

#include "supervisor/keeper/policy.h"
#include "supervisor/keeper/wire.h"

#define MS G_TIME_SPAN_MILLISECOND

/* Turns of the loop at the usual pace up to @until_ms; whether one of them asked for the kill. */
static bool turn_until(KeeperPolicy *policy, gint64 *now_ms, gint64 until_ms)
{
	bool kill = false;
	for (; *now_ms <= until_ms; *now_ms += 100) {
		(void)keeper_policy_next(policy, (*now_ms - 100) * MS);
		kill |= keeper_policy_woke(policy, *now_ms * MS);
	}
	return kill;
}

static void test_silent_for_three_seconds(void)
{
	KeeperPolicy policy;
	gint64 now_ms = 0;
	keeper_policy_init(&policy, 0);
	keeper_policy_started(&policy, 0);
	g_assert_false(turn_until(&policy, &now_ms, 2900));
	keeper_policy_kicked(&policy, 2900 * MS);
	g_assert_false(turn_until(&policy, &now_ms, 5800));
	g_assert_true(turn_until(&policy, &now_ms, 5900));
}

static void test_own_late_wake_up_restarts_the_count(void)
{
	KeeperPolicy policy;
	gint64 now_ms = 0;
	keeper_policy_init(&policy, 0);
	keeper_policy_started(&policy, 0);
	g_assert_false(turn_until(&policy, &now_ms, 2000));
	g_assert_false(keeper_policy_woke(&policy, 60000 * MS)); /* the machine slept */
	now_ms = 60100;
	g_assert_false(turn_until(&policy, &now_ms, 62900));
	g_assert_true(turn_until(&policy, &now_ms, 63000));
}

static void test_grown_one_is_replaced_at_once(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 100; i++) {
		gint64 now_us = i * 2000 * MS;
		keeper_policy_started(&policy, now_us);
		keeper_policy_kicked(&policy, now_us);
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
		keeper_policy_kicked(&policy, (i * 20 + 5) * MS);
		g_assert_false(keeper_policy_ended(&policy, true, (i * 20 + 10) * MS));
		g_assert_cmpint(policy.start_at_us, ==, (i * 20 + 10) * MS);
	}
	/* But one that never got so far has, whatever ended it. */
	for (int i = 0; i < 5; i++) {
		keeper_policy_started(&policy, (2000 + i) * MS);
		g_assert_cmpint(keeper_policy_ended(&policy, true, (2001 + i) * MS), ==, i == 4);
	}
}

/* Each start hangs until it is killed for its silence: before its first kick, or after it. */
static void hang_five_times(bool kicks)
{
	KeeperPolicy policy;
	gint64 now_ms = 0;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 5; i++) {
		g_assert_false(policy.alone);
		keeper_policy_started(&policy, now_ms * MS);
		if (kicks)
			keeper_policy_kicked(&policy, (now_ms += 500) * MS);
		gint64 silent_ms = now_ms + 3000;
		now_ms += 100;
		g_assert_true(turn_until(&policy, &now_ms, silent_ms));
		g_assert_cmpint(keeper_policy_ended(&policy, true, now_ms * MS), ==, i == 4);
		now_ms = policy.start_at_us / MS;
	}
	g_assert_true(policy.alone);
}

static void test_hung_starts_are_failed_starts(void)
{
	hang_five_times(false);
	hang_five_times(true);
}

static void test_grown_one_that_hangs_is_no_failed_start(void)
{
	KeeperPolicy policy;
	gint64 now_ms = 0;
	keeper_policy_init(&policy, 0);
	for (int i = 0; i < 20; i++) {
		keeper_policy_started(&policy, now_ms * MS);
		for (int kick = 0; kick < 5; kick++, now_ms += 500) {
			g_assert_false(keeper_policy_woke(&policy, now_ms * MS));
			keeper_policy_kicked(&policy, now_ms * MS);
		}
		g_assert_true(turn_until(&policy, &now_ms, now_ms + 3500));
		g_assert_false(keeper_policy_ended(&policy, true, now_ms * MS));
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
	keeper_policy_started(&policy, 40000 * MS);
	keeper_policy_kicked(&policy, 40500 * MS);
	g_assert_true(policy.alone);
	keeper_policy_kicked(&policy, 42000 * MS);
	g_assert_false(policy.alone);
	g_assert_false(keeper_policy_ended(&policy, false, 43000 * MS));
}

static void test_never_sleeps_longer_than_it_may(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	keeper_policy_started(&policy, 0);
	g_assert_cmpint(keeper_policy_next(&policy, 0), ==, KEEPER_OVERDUE_US);
	g_assert_false(keeper_policy_ended(&policy, false, 10 * MS));
	g_assert_cmpint(keeper_policy_next(&policy, 10 * MS), ==, 10 * MS + KEEPER_FAILED_PAUSE_US);
}

/* Kicks wake it, and nothing else does; a silent supervisor is looked at more often, and killed after three seconds to the turn. */
static void test_sleeps_while_kicks_come(void)
{
	KeeperPolicy policy;
	keeper_policy_init(&policy, 0);
	keeper_policy_started(&policy, 0);
	gint64 now_us = 0;
	for (int i = 0; i < 100; i++, now_us += KEEPER_KICK_INTERVAL_US) {
		keeper_policy_kicked(&policy, now_us);
		g_assert_false(keeper_policy_woke(&policy, now_us));
		g_assert_cmpint(keeper_policy_next(&policy, now_us), >=, now_us + KEEPER_KICK_INTERVAL_US + 500 * MS);
	}
	gint64 kicked_us = now_us - KEEPER_KICK_INTERVAL_US;
	now_us = kicked_us;
	bool kill = false;
	for (int turns = 0; turns < 10 && !kill; turns++) {
		now_us = keeper_policy_next(&policy, now_us);
		kill = keeper_policy_woke(&policy, now_us);
	}
	g_assert_true(kill);
	g_assert_cmpint(now_us, ==, kicked_us + KEEPER_SILENCE_US);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/keeper/silent-for-three-seconds", test_silent_for_three_seconds);
	g_test_add_func("/keeper/sleeps-while-kicks-come", test_sleeps_while_kicks_come);
	g_test_add_func("/keeper/own-late-wake-up", test_own_late_wake_up_restarts_the_count);
	g_test_add_func("/keeper/grown-one-is-replaced-at-once", test_grown_one_is_replaced_at_once);
	g_test_add_func("/keeper/five-failed-starts", test_five_failed_starts_in_ten_seconds);
	g_test_add_func("/keeper/killed-is-not-failed", test_killed_is_not_failed);
	g_test_add_func("/keeper/hung-starts-are-failed-starts", test_hung_starts_are_failed_starts);
	g_test_add_func("/keeper/grown-one-that-hangs", test_grown_one_that_hangs_is_no_failed_start);
	g_test_add_func("/keeper/failed-starts-far-apart", test_failed_starts_far_apart_do_not_count);
	g_test_add_func("/keeper/alone-ends-when-one-grows", test_alone_ends_when_one_grows);
	g_test_add_func("/keeper/wakes-in-time", test_never_sleeps_longer_than_it_may);
	return g_test_run();
}
