/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-plan.c - order by needs. */
#include <glib.h>

#include "supervisor/applications/plan.h"

static const char *const none[] = { NULL };
static const char *const database[] = { "database", NULL };
static const char *const both[] = { "database", "sip", NULL };

static void test_needs_first(void)
{
	PlanEntry plan[] = { { "database", none, false, true }, { "sip", database, false, true }, { "gui", both, false, true } };
	g_assert_true(plan_may_start(plan, 3, 0));
	g_assert_false(plan_may_start(plan, 3, 1));
	g_assert_false(plan_may_start(plan, 3, 2));
	plan[0].ready = true;
	g_assert_true(plan_may_start(plan, 3, 1));
	g_assert_false(plan_may_start(plan, 3, 2));
	plan[1].ready = true;
	g_assert_true(plan_may_start(plan, 3, 2));
	plan[2].ready = true;
}

static void test_independent_side_by_side(void)
{
	const PlanEntry plan[] = { { "a", none, false, true }, { "b", none, false, true }, { "c", NULL, false, true } };
	for (gsize i = 0; i < 3; i++)
		g_assert_true(plan_may_start(plan, 3, i));
}

static void test_needed_ones_last(void)
{
	PlanEntry plan[] = { { "database", none, true, false }, { "sip", database, true, false }, { "gui", both, true, false } };
	g_assert_false(plan_may_stop(plan, 3, 0));
	g_assert_false(plan_may_stop(plan, 3, 1));
	g_assert_true(plan_may_stop(plan, 3, 2));
	plan[2].stopped = true;
	g_assert_false(plan_may_stop(plan, 3, 0));
	g_assert_true(plan_may_stop(plan, 3, 1));
	plan[1].stopped = true;
	g_assert_true(plan_may_stop(plan, 3, 0));
	g_assert_false(plan_all_stopped(plan, 3));
	plan[0].stopped = true;
	g_assert_true(plan_all_stopped(plan, 3));
}

static void test_nothing_to_run(void)
{
	g_assert_true(plan_all_stopped(NULL, 0));
}

static void test_needs_that_left_the_settings_are_no_obstacle(void)
{
	const PlanEntry plan[] = { { "sip", database, false, true } };
	g_assert_true(plan_may_start(plan, 1, 0));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plan/needs-first", test_needs_first);
	g_test_add_func("/plan/independent-side-by-side", test_independent_side_by_side);
	g_test_add_func("/plan/needed-ones-last", test_needed_ones_last);
	g_test_add_func("/plan/nothing-to-run", test_nothing_to_run);
	g_test_add_func("/plan/unknown-needs", test_needs_that_left_the_settings_are_no_obstacle);
	return g_test_run();
}
