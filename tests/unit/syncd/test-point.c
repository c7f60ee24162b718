/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-point.c - how far behind, counted by numbers and by one's own clock. */
#include "syncd/point.h"

static void check(const SyncPoint *point, const char *at, guint64 changes, gint64 since_us, bool exact)
{
	SyncBehind behind = sync_point_behind(point, at);

	g_assert_cmpuint(behind.changes, ==, changes);
	g_assert_cmpint(behind.since_us, ==, since_us);
	g_assert_cmpint(behind.exact, ==, exact);
}

static void test_nothing(void)
{
	g_autoptr(SyncPoint) point = sync_point_new();

	check(point, "a", 0, 0, true);
	check(point, NULL, 0, 0, true);
	g_assert_cmpuint(sync_point_number(point), ==, 0);
	sync_point_add(point, "a", 0, 10);
	check(point, "a", 0, 0, true);
	check(point, "", 1, 10, false);
}

static void test_counting(void)
{
	g_autoptr(SyncPoint) point = sync_point_new();

	sync_point_add(point, "a", 0, 10);
	sync_point_add(point, "a", 0, 11); /* said again */
	sync_point_add(point, "b", 0, 20);
	sync_point_add(point, "c", 0, 30);
	check(point, "c", 0, 0, true);
	check(point, "b", 1, 30, true);
	check(point, "a", 2, 20, true);
	check(point, "x", 3, 10, false);
	g_assert_cmpuint(sync_point_number(point), ==, 3);
}

/* What was told while nobody listened is in the number. */
static void test_numbers_with_gaps(void)
{
	g_autoptr(SyncPoint) point = sync_point_new();

	sync_point_add(point, "a", 5, 10);
	sync_point_add(point, "d", 8, 20);
	check(point, "a", 3, 20, true);
	sync_point_add(point, "d", 8, 25);
	check(point, "a", 3, 20, true);
}

static void test_another_count(void)
{
	g_autoptr(SyncPoint) point = sync_point_new();

	sync_point_add(point, "a", 5, 10);
	sync_point_add(point, "b", 6, 20);
	sync_point_add(point, "c", 1, 30); /* the Master began anew */
	check(point, "c", 0, 0, true);
	check(point, "a", 1, 30, false);
	sync_point_clear(point);
	check(point, "a", 0, 0, true);
}

static void test_reached(void)
{
	g_autoptr(SyncPoint) point = sync_point_new();

	sync_point_add(point, "a", 0, 10);
	sync_point_add(point, "b", 0, 20);
	g_assert_true(sync_point_reached(point, "a", "b"));
	g_assert_true(sync_point_reached(point, "b", "b"));
	g_assert_false(sync_point_reached(point, "b", "a"));
	g_assert_true(sync_point_reached(point, "x", "x"));
	g_assert_false(sync_point_reached(point, "x", "b"));
	g_assert_false(sync_point_reached(point, "a", "x"));
}

/* A state that comes again stands where it came last. */
static void test_twice(void)
{
	g_autoptr(SyncPoint) point = sync_point_new();

	sync_point_add(point, "a", 0, 10);
	sync_point_add(point, "b", 0, 20);
	sync_point_add(point, "a", 0, 30);
	check(point, "a", 0, 0, true);
	check(point, "b", 1, 30, true);
}

static void test_bounded(void)
{
	g_autoptr(SyncPoint) point = sync_point_new();

	for (guint i = 1; i <= 20000; i++) {
		g_autofree char *commit = g_strdup_printf("%u", i % 3000); /* ids that come again */

		sync_point_add(point, commit, 0, i);
	}
	g_assert_cmpuint(sync_point_number(point), ==, 20000);
	check(point, "2000", 0, 0, true);
	check(point, "1999", 1, 20000, true);
	check(point, "never", 20000 - (sync_point_behind(point, "never").since_us - 1), sync_point_behind(point, "never").since_us, false);
	g_assert_cmpuint(sync_point_behind(point, "never").changes, <=, 8192);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/point/nothing", test_nothing);
	g_test_add_func("/sync/point/counting", test_counting);
	g_test_add_func("/sync/point/numbers-with-gaps", test_numbers_with_gaps);
	g_test_add_func("/sync/point/another-count", test_another_count);
	g_test_add_func("/sync/point/reached", test_reached);
	g_test_add_func("/sync/point/twice", test_twice);
	g_test_add_func("/sync/point/bounded", test_bounded);
	return g_test_run();
}
