/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-stamp.c - packets that lie in a queue while somebody sets the wall clock. */
#include "vrrpd/wire/stamp.h"

#define MS 1000
#define NOW (G_GINT64_CONSTANT(1000) * G_USEC_PER_SEC)
#define WALL (G_GINT64_CONSTANT(1700000000) * G_USEC_PER_SEC)

static void test_age(void)
{
	VrrpStamp stamp = { 0 };

	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL - 150 * MS, 0, WALL, NOW), ==, NOW - 150 * MS);
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 100 * MS, 0, WALL + 100 * MS, NOW + 100 * MS), ==, NOW + 100 * MS);
	/* A clock that is slowed down. */
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 190 * MS, 0, WALL + 199 * MS, NOW + 200 * MS), ==, NOW + 191 * MS);
}

/* Frozen for long: what is old is told as old. */
static void test_old(void)
{
	VrrpStamp stamp = { 0 };

	(void)vrrp_stamp_received(&stamp, WALL, 0, WALL, NOW);
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 10 * MS, 0, WALL + 5000 * MS, NOW + 5000 * MS), ==, NOW + 10 * MS);
}

static void test_step(gconstpointer data)
{
	gint64 step_us = *(const gint64 *)data, wall_us = WALL + 200 * MS + step_us, now_us = NOW + 200 * MS;
	VrrpStamp stamp = { 0 };

	(void)vrrp_stamp_received(&stamp, WALL, 0, WALL, NOW);
	/* Three in the queue from before the step: every one of them is as new as can be. */
	for (guint i = 0; i < 3; i++) {
		g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + i * 60 * MS, 0, wall_us + i, now_us + i), ==, now_us + i);
		g_assert_false(stamp.dated);
	}
	/* What comes after that is believed again. */
	g_assert_cmpint(vrrp_stamp_received(&stamp, wall_us + 10 * MS, 0, wall_us + 60 * MS, now_us + 60 * MS), ==, now_us + 10 * MS);
	g_assert_true(stamp.dated);
}

/* While the first lay in the queue. */
static void test_step_at_first(void)
{
	VrrpStamp stamp = { 0 };

	vrrp_stamp_begin(&stamp, 0, WALL, NOW);
	for (guint i = 0; i < 2; i++) {
		g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + i * 60 * MS, 0, WALL + 5000 * MS, NOW + 200 * MS), ==, NOW + 200 * MS);
		g_assert_false(stamp.dated);
	}
	vrrp_stamp_begin(&stamp, 0, WALL, NOW);
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 50 * MS, 0, WALL + 200 * MS, NOW + 200 * MS), ==, NOW + 50 * MS);
	g_assert_true(stamp.dated);
	/* It has lain there for longer than anything should. */
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 50 * MS, 0, WALL + 100000 * MS, NOW + 100000 * MS), ==, NOW + 100000 * MS);
	g_assert_false(stamp.dated);
}

/* Set, and set back before anybody looked: the clocks are as far apart as ever, and what came between bears another time. */
static void test_taken_back(gconstpointer data)
{
	gint64 step_us = *(const gint64 *)data;
	VrrpStamp stamp = { 0 };

	vrrp_stamp_begin(&stamp, 7, WALL, NOW);
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 10 * MS, 7, WALL + 20 * MS, NOW + 20 * MS), ==, NOW + 10 * MS);
	for (guint i = 0; i < 2; i++) {
		gint64 now_us = NOW + 200 * MS + i;

		g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 60 * (i + 1) * MS + step_us, 9, WALL + 200 * MS + i, now_us), ==, now_us);
		g_assert_false(stamp.dated);
	}
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 210 * MS, 9, WALL + 260 * MS, NOW + 260 * MS), ==, NOW + 210 * MS);
	g_assert_true(stamp.dated);
	g_assert_cmpint(vrrp_stamp_received(&stamp, WALL + 280 * MS, 10, WALL + 300 * MS, NOW + 300 * MS), ==, NOW + 300 * MS);
	g_assert_false(stamp.dated);
}

int main(int argc, char **argv)
{
	static const gint64 forward_us = 3 * G_USEC_PER_SEC, backward_us = -3 * G_USEC_PER_SEC, little_us = 20 * MS;

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/stamp/age", test_age);
	g_test_add_func("/vrrp/stamp/old", test_old);
	g_test_add_func("/vrrp/stamp/step/at-first", test_step_at_first);
	g_test_add_data_func("/vrrp/stamp/taken-back/forward", &forward_us, test_taken_back);
	g_test_add_data_func("/vrrp/stamp/taken-back/backward", &backward_us, test_taken_back);
	g_test_add_data_func("/vrrp/stamp/taken-back/little", &little_us, test_taken_back);
	g_test_add_data_func("/vrrp/stamp/step/forward", &forward_us, test_step);
	g_test_add_data_func("/vrrp/stamp/step/backward", &backward_us, test_step);
	g_test_add_data_func("/vrrp/stamp/step/little", &little_us, test_step);
	return g_test_run();
}
