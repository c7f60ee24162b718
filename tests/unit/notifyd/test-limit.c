/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How many events one user may raise. */
#include "notifyd/limit.h"

#define S 1000000LL

static guint take_all(NotifyLimit *limit, guint32 uid, gint64 now_us)
{
	guint n = 0;

	while (n < 10 * NOTIFY_LIMIT_BURST && notify_limit_take(limit, uid, now_us))
		n++;
	return n;
}

static void test_burst(void)
{
	g_autoptr(NotifyLimit) limit = notify_limit_new();

	g_assert_cmpuint(take_all(limit, 1000, 50 * S), ==, NOTIFY_LIMIT_BURST);
	g_assert_cmpuint(take_all(limit, 1000, 50 * S + S - 1), ==, 0);
	g_assert_cmpuint(take_all(limit, 1000, 51 * S), ==, 1);
	g_assert_cmpuint(take_all(limit, 1000, 61 * S), ==, 10);
	g_assert_cmpuint(take_all(limit, 1000, 100000 * S), ==,
			 NOTIFY_LIMIT_BURST); /* saves up no more than one burst */
	g_assert_cmpuint(take_all(limit, 1001, 100000 * S), ==, NOTIFY_LIMIT_BURST); /* each user has an own one */
}

static void test_steady(void)
{
	g_autoptr(NotifyLimit) limit = notify_limit_new();

	for (gint64 second = 0; second < 5000; second++)
		g_assert_true(notify_limit_take(limit, 7, second * S));
}

static void test_many_users(void)
{
	g_autoptr(NotifyLimit) limit = notify_limit_new();

	for (guint32 uid = 0; uid < NOTIFY_LIMIT_MAX_USERS; uid++)
		g_assert_true(notify_limit_take(limit, uid, 0));
	g_assert_false(notify_limit_take(limit, 5000, 0)); /* bounded: no room for another */
	g_assert_true(notify_limit_take(limit, 3, 0));
	g_assert_true(notify_limit_take(limit, 5000, 2 * S)); /* those who are at rest made room */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notifyd/limit/burst", test_burst);
	g_test_add_func("/notifyd/limit/steady", test_steady);
	g_test_add_func("/notifyd/limit/many-users", test_many_users);
	return g_test_run();
}
