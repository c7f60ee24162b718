/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-health.c - what is done about an application that does not work, before anybody gives up. */
#include <glib.h>

#include "supervisor/applications/health.h"

static const HealthFacts works = { .runs = true, .ready = true, .on_trial = true };
static const HealthFacts failed = { .runs = true, .failed = true, .on_trial = true };
static const HealthFacts starts = { .runs = true, .on_trial = true };

#define EXPECT(health, facts, event, action, after)                            \
	do {                                                                   \
		g_assert_cmpint(health_step(health, facts, event), ==, action); \
		g_assert_cmpint((health)->state, ==, after);                   \
	} while (0)

static void test_a_change_is_undone_and_it_works_again(void)
{
	Health health = { 0 };
	EXPECT(&health, &works, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_WELL);
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_LOOK, HEALTH_LOOKING);
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_LOOKING);
	g_assert_false(health_gives_up(&health, &failed));
	EXPECT(&health, &failed, HEALTH_EVENT_FOUND, HEALTH_DO_RESTORE, HEALTH_RESTORING);
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_RESTORING);
	EXPECT(&health, &failed, HEALTH_EVENT_RESTORED, HEALTH_DO_RESTART, HEALTH_TRYING);
	g_assert_false(health_gives_up(&health, &failed));
	EXPECT(&health, &starts, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_TRYING);
	EXPECT(&health, &works, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_WELL);
}

static void test_the_change_before_is_tried_then(void)
{
	Health health = { HEALTH_TRYING };
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_LOOK, HEALTH_LOOKING);
	EXPECT(&health, &failed, HEALTH_EVENT_NOTHING, HEALTH_DO_NOTHING, HEALTH_BEYOND);
	g_assert_true(health_gives_up(&health, &failed));
	g_assert_false(health_gives_up(&health, &starts));
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_BEYOND); /* once */
	EXPECT(&health, &works, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_WELL);
}

static void test_ways_out(void)
{
	Health health = { HEALTH_RESTORING };
	EXPECT(&health, &failed, HEALTH_EVENT_NOTHING, HEALTH_DO_NOTHING, HEALTH_BEYOND); /* it could not be undone */
	EXPECT(&health, &failed, HEALTH_EVENT_RESET, HEALTH_DO_NOTHING, HEALTH_WELL);
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_LOOK, HEALTH_LOOKING);
	/* No application runs here any more; an answer that comes then changes nothing. */
	HealthFacts backup = { .failed = true, .on_trial = true };
	EXPECT(&health, &backup, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_WELL);
	EXPECT(&health, &failed, HEALTH_EVENT_FOUND, HEALTH_DO_NOTHING, HEALTH_WELL);
	EXPECT(&health, &failed, HEALTH_EVENT_RESTORED, HEALTH_DO_NOTHING, HEALTH_WELL);
	/* Not asked for. */
	HealthFacts never = { .runs = true, .failed = true };
	EXPECT(&health, &never, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_BEYOND);
}

static void test_nobody_answers(void)
{
	Health health = { 0 };
	for (int round = 0; round < 2; round++) {
		EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_LOOK, HEALTH_LOOKING);
		for (int i = 1; i < HEALTH_MOST_UNANSWERED; i++) {
			g_assert_false(health_gives_up(&health, &failed));
			EXPECT(&health, &failed, HEALTH_EVENT_UNANSWERED, HEALTH_DO_LOOK_LATER, HEALTH_LOOKING);
		}
		EXPECT(&health, &failed, HEALTH_EVENT_UNANSWERED, HEALTH_DO_NOTHING, HEALTH_BEYOND);
		g_assert_true(health_gives_up(&health, &failed));
		EXPECT(&health, &failed, HEALTH_EVENT_UNANSWERED, HEALTH_DO_NOTHING, HEALTH_BEYOND);
		EXPECT(&health, &works, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_WELL);
	}
	/* It comes back in time. */
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_LOOK, HEALTH_LOOKING);
	EXPECT(&health, &failed, HEALTH_EVENT_UNANSWERED, HEALTH_DO_LOOK_LATER, HEALTH_LOOKING);
	EXPECT(&health, &failed, HEALTH_EVENT_FOUND, HEALTH_DO_RESTORE, HEALTH_RESTORING);
	/* It goes in the midst of undoing; what has become of that is asked when it is back, and that is not for ever. */
	EXPECT(&health, &failed, HEALTH_EVENT_UNANSWERED, HEALTH_DO_LOOK_LATER, HEALTH_LOOKING);
	EXPECT(&health, &failed, HEALTH_EVENT_FOUND, HEALTH_DO_RESTORE, HEALTH_RESTORING);
	EXPECT(&health, &failed, HEALTH_EVENT_UNANSWERED, HEALTH_DO_NOTHING, HEALTH_BEYOND);
}

static void test_what_has_not_had_its_try_gets_it(void)
{
	Health health = { 0 };
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_LOOK, HEALTH_LOOKING);
	EXPECT(&health, &failed, HEALTH_EVENT_UNTRIED, HEALTH_DO_RESTART, HEALTH_TRYING);
	g_assert_false(health_gives_up(&health, &failed));
	EXPECT(&health, &starts, HEALTH_EVENT_FACTS, HEALTH_DO_NOTHING, HEALTH_TRYING);
	EXPECT(&health, &failed, HEALTH_EVENT_FACTS, HEALTH_DO_LOOK, HEALTH_LOOKING);
	EXPECT(&health, &failed, HEALTH_EVENT_FOUND, HEALTH_DO_RESTORE, HEALTH_RESTORING);
	EXPECT(&health, &failed, HEALTH_EVENT_UNTRIED, HEALTH_DO_NOTHING, HEALTH_RESTORING);

	HealthCommit commit = { "c", "b", "eva", "mended", 5000 };
	g_assert_true(health_is_untried(&commit, 4999, NULL));
	g_assert_true(health_is_untried(&commit, 4999, "b"));
	g_assert_false(health_is_untried(&commit, 4999, "c")); /* once: the other device's clock may be ahead */
	g_assert_false(health_is_untried(&commit, 5000, NULL));
	g_assert_false(health_is_untried(&commit, 0, NULL));
}

#define SECOND 1000
#define NOW (1000 * (gint64)SECOND)

static int choose(const HealthCommit *commits, gsize n)
{
	gsize i = 0;
	return health_choose(commits, n, NOW, 300 * SECOND, &i) ? (int)i : -1;
}

static void test_choice(void)
{
	HealthCommit a[] = { { "c", "b", "system", "1 change", NOW - 10 * SECOND }, { "b", "a", "system", "1 change", NOW - 200 * SECOND },
			     { "a", "", "system", "all", NOW - 250 * SECOND } };
	g_assert_cmpint(choose(a, 3), ==, 0);
	g_assert_cmpint(choose(a, 0), ==, -1);
	g_assert_cmpint(choose(a + 2, 1), ==, -1); /* the first of all has nothing before it */
	a[0].time_ms = NOW - 301 * SECOND;
	g_assert_cmpint(choose(a, 3), ==, -1); /* what is older is older still */
	a[0].time_ms = NOW + 20 * SECOND;      /* the other device's clock */
	g_assert_cmpint(choose(a, 3), ==, 0);

	HealthCommit undone[] = { { "d", "c", HEALTH_AUTHOR, "Undo c: 1 change", NOW }, { "c", "b", "system", "1 change", NOW - 10 * SECOND },
				  { "b", "a", "system", "1 change", NOW - 200 * SECOND } };
	g_assert_cmpint(choose(undone, 3), ==, 2);
	undone[0].author = "eva"; /* a person's words are a person's change */
	g_assert_cmpint(choose(undone, 3), ==, 0);
}

static void test_there_is_an_end_of_undoing(void)
{
	HealthCommit commits[2 * HEALTH_MOST_UNDONE + 1];
	for (int i = 0; i < HEALTH_MOST_UNDONE; i++) {
		commits[2 * i] = (HealthCommit){ "ff", "x", HEALTH_AUTHOR, "Undo ee: 1 change", NOW };
		commits[2 * i + 1] = (HealthCommit){ "ee", "x", "system", "1 change", NOW };
	}
	commits[2 * HEALTH_MOST_UNDONE] = (HealthCommit){ "dd", "cc", "system", "1 change", NOW };
	g_assert_cmpint(choose(commits, 2 * HEALTH_MOST_UNDONE + 1), ==, -1);
	g_assert_cmpint(choose(commits + 1, 2 * HEALTH_MOST_UNDONE), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/health/undone-and-works", test_a_change_is_undone_and_it_works_again);
	g_test_add_func("/health/the-change-before", test_the_change_before_is_tried_then);
	g_test_add_func("/health/ways-out", test_ways_out);
	g_test_add_func("/health/nobody-answers", test_nobody_answers);
	g_test_add_func("/health/untried", test_what_has_not_had_its_try_gets_it);
	g_test_add_func("/health/choice", test_choice);
	g_test_add_func("/health/end-of-undoing", test_there_is_an_end_of_undoing);
	return g_test_run();
}
