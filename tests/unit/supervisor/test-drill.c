/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-drill.c - there and back, and home whatever fails on the way. */
#include <glib.h>

#include "supervisor/orders/drill-steps.h"

#define S G_TIME_SPAN_SECOND

static const RoleFacts here = { .peer_fresh = true, .peer_role = ROLE_BACKUP, .peer_same_data = true, .apps_ready = true };
static const RoleFacts there = { .peer_fresh = true, .peer_role = ROLE_MASTER, .peer_same_data = true, .apps_ready = false };

#define STEP(course, event, role, facts, now_us, told, after)                                     \
	do {                                                                                      \
		g_assert_cmpint(drill_course_step(course, event, role, facts, now_us), ==, told); \
		g_assert_cmpint((course)->step, ==, after);                                       \
	} while (0)

static DrillCourse away(void)
{
	DrillCourse course = drill_course(0);
	STEP(&course, DRILL_EVENT_OK, ROLE_MASTER, &here, 0, true, DRILL_THERE);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_HANDING_OVER, &here, 0, false, DRILL_THERE);
	STEP(&course, DRILL_EVENT_OK, ROLE_BACKUP, &there, 1 * S, true, DRILL_REST);
	g_assert_cmpint(course.away_us, ==, 1 * S);
	return course;
}

/* Phones are not answered there yet: not before they are, or it is plain that they will not be. */
static void test_rests_until_phones_are_answered(void)
{
	DrillCourse course = away();
	course.unanswered = true;
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 4 * S, false, DRILL_REST);
	course.unanswered = false;
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 5 * S, true, DRILL_RETURN);
	course = away();
	course.unanswered = true;
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 31 * S, true, DRILL_RETURN);
}

static void test_there_and_back(void)
{
	DrillCourse course = away();
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 1 * S + 1, false, DRILL_REST);
	g_assert_cmpint(drill_course_next_us(&course), ==, 2 * S);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 2 * S, true, DRILL_RETURN);
	STEP(&course, DRILL_EVENT_OK, ROLE_BACKUP, &there, 2 * S, true, DRILL_HOME);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_TAKING_OVER, &there, 3 * S, false, DRILL_HOME);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_MASTER, &here, 4 * S, true, DRILL_JUDGE);
	g_assert_cmpint(course.away_us, ==, 0);
	STEP(&course, DRILL_EVENT_OK, ROLE_MASTER, &here, 5 * S, true, DRILL_DONE);
	g_assert_false(course.failed);
	g_assert_true(drill_course_is_over(&course));
}

static void test_vetoed(void)
{
	DrillCourse course = drill_course(0);
	STEP(&course, DRILL_EVENT_REFUSED, ROLE_MASTER, &here, 0, true, DRILL_FAILED);
}

static void test_a_swap_that_fails_leads_home(void)
{
	DrillCourse course = drill_course(0);
	STEP(&course, DRILL_EVENT_OK, ROLE_MASTER, &here, 0, true, DRILL_THERE);
	STEP(&course, DRILL_EVENT_REFUSED, ROLE_TAKING_OVER, &here, 0, true, DRILL_HOME);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_MASTER, &here, 1, true, DRILL_JUDGE);
	STEP(&course, DRILL_EVENT_OK, ROLE_MASTER, &here, 1, true, DRILL_FAILED);
}

static void test_asked_again_until_it_comes(void)
{
	DrillCourse course = away();
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 2 * S, true, DRILL_RETURN);
	STEP(&course, DRILL_EVENT_REFUSED, ROLE_BACKUP, &there, 2 * S, false, DRILL_RETURN);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 4 * S, false, DRILL_RETURN);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 5 * S, true, DRILL_RETURN); /* again */
	STEP(&course, DRILL_EVENT_OK, ROLE_BACKUP, &there, 5 * S, true, DRILL_HOME);
	g_assert_false(course.failed);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 95 * S, true, DRILL_RETURN); /* nothing came of it */
	g_assert_true(course.failed);
	STEP(&course, DRILL_EVENT_OK, ROLE_BACKUP, &there, 95 * S, true, DRILL_HOME);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_MASTER, &here, 96 * S, true, DRILL_JUDGE);
	STEP(&course, DRILL_EVENT_OK, ROLE_MASTER, &here, 96 * S, true, DRILL_FAILED);
	g_assert_true(g_str_has_prefix(course.error, "return-late: "));
}

static void test_the_other_device_dies_with_it(void)
{
	DrillCourse course = away();
	RoleFacts gone = { .apps_ready = false };
	STEP(&course, DRILL_EVENT_FACTS, ROLE_TAKING_OVER, &gone, 2 * S, true, DRILL_HOME);
	gone.apps_ready = true;
	STEP(&course, DRILL_EVENT_FACTS, ROLE_MASTER, &gone, 3 * S, true, DRILL_JUDGE);
	STEP(&course, DRILL_EVENT_OK, ROLE_MASTER, &gone, 3 * S, true, DRILL_FAILED);
	g_assert_true(g_str_has_prefix(course.error, "peer-lost: "));
}

static void test_one_that_never_gives_it_back(void)
{
	DrillCourse course = away();
	RoleFacts deaf = { .peer_fresh = false };
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &deaf, 30 * S, false, DRILL_REST);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &deaf, 31 * S, true, DRILL_RETURN);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &deaf, 601 * S, true, DRILL_FAILED);
	g_assert_true(g_str_has_prefix(course.error, "still-away: "));
	g_assert_cmpint(course.away_us, !=, 0);
}

static void test_a_supervisor_that_died_meanwhile(void)
{
	DrillCourse course = drill_course_home(100 * S);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_BACKUP, &there, 100 * S, true, DRILL_RETURN);
	STEP(&course, DRILL_EVENT_OK, ROLE_BACKUP, &there, 100 * S, true, DRILL_HOME);
	STEP(&course, DRILL_EVENT_FACTS, ROLE_MASTER, &here, 101 * S, true, DRILL_JUDGE);
	STEP(&course, DRILL_EVENT_OK, ROLE_MASTER, &here, 101 * S, true, DRILL_FAILED);
	g_assert_true(g_str_has_prefix(course.error, "supervisor-restarted: "));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/drill/there-and-back", test_there_and_back);
	g_test_add_func("/drill/rests-until-phones-are-answered", test_rests_until_phones_are_answered);
	g_test_add_func("/drill/vetoed", test_vetoed);
	g_test_add_func("/drill/swap-fails", test_a_swap_that_fails_leads_home);
	g_test_add_func("/drill/asked-again", test_asked_again_until_it_comes);
	g_test_add_func("/drill/peer-dies", test_the_other_device_dies_with_it);
	g_test_add_func("/drill/never-back", test_one_that_never_gives_it_back);
	g_test_add_func("/drill/supervisor-died", test_a_supervisor_that_died_meanwhile);
	return g_test_run();
}
