/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-restart.c - back-off. */
#include <glib.h>

#include "supervisor/processes/restart.h"

#define MS G_TIME_SPAN_MILLISECOND
static const RestartPolicy policy = {
	.first_us = 100 * MS, .longest_us = 1000 * MS, .settled_us = 10000 * MS, .tolerated = 4, .free = 0,
};

static void test_doubles_to_a_bound(void)
{
	static const gint64 expected_ms[] = { 100, 200, 400, 800, 1000, 1000, 1000 };
	RestartState state = { 0 };
	for (gsize i = 0; i < G_N_ELEMENTS(expected_ms); i++)
		g_assert_cmpint(restart_delay_us(&policy, &state, 5 * MS), ==, expected_ms[i] * MS);
	g_assert_cmpuint(state.n_total, ==, 7);
}

static void test_begins_again_when_settled(void)
{
	RestartState state = { 0 };
	for (int i = 0; i < 5; i++)
		(void)restart_delay_us(&policy, &state, 0);
	g_assert_true(restart_has_failed(&policy, &state));
	g_assert_cmpint(restart_delay_us(&policy, &state, policy.settled_us), ==, 100 * MS);
	g_assert_false(restart_has_failed(&policy, &state));
	g_assert_cmpuint(state.n_total, ==, 6);
}

static void test_some_are_tolerated(void)
{
	RestartState state = { 0 };
	for (int i = 0; i < 4; i++) {
		(void)restart_delay_us(&policy, &state, 0);
		g_assert_false(restart_has_failed(&policy, &state));
	}
	(void)restart_delay_us(&policy, &state, 0);
	g_assert_true(restart_has_failed(&policy, &state));
}

static void test_some_are_free(void)
{
	RestartPolicy generous = policy;
	RestartState state = { 0 };
	generous.free = 2;
	static const gint64 expected_ms[] = { 0, 0, 100, 200, 400 };
	for (gsize i = 0; i < G_N_ELEMENTS(expected_ms); i++)
		g_assert_cmpint(restart_delay_us(&generous, &state, 0), ==, expected_ms[i] * MS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/restart/doubles-to-a-bound", test_doubles_to_a_bound);
	g_test_add_func("/restart/begins-again-when-settled", test_begins_again_when_settled);
	g_test_add_func("/restart/some-are-tolerated", test_some_are_tolerated);
	g_test_add_func("/restart/some-are-free", test_some_are_free);
	return g_test_run();
}
