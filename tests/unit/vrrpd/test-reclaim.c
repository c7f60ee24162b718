/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-reclaim.c - when addresses are announced again, and how seldom at most. */
#include <glib.h>

#include "vrrpd/rules/reclaim.h"

#define MS G_TIME_SPAN_MILLISECOND

static const gint64 BEGIN = 1000 * G_USEC_PER_SEC;

static void test_at_once(void)
{
	VrrpReclaim reclaim = { 0 };

	g_assert_false(vrrp_reclaim_due(&reclaim, BEGIN));
	vrrp_reclaim_note(&reclaim, 0, BEGIN);
	g_assert_cmpint(reclaim.due_us, ==, BEGIN);
	g_assert_true(vrrp_reclaim_due(&reclaim, BEGIN));
	g_assert_cmpint(reclaim.due_us, ==, 0);
	g_assert_false(vrrp_reclaim_due(&reclaim, BEGIN + MS));
}

static void test_settles(void)
{
	VrrpReclaim reclaim = { 0 };

	vrrp_reclaim_note(&reclaim, 5 * MS, BEGIN);
	g_assert_false(vrrp_reclaim_due(&reclaim, BEGIN + 4 * MS));
	/* Another question a moment before: its answer may come after what is said now, so it is said once more. */
	vrrp_reclaim_note(&reclaim, 5 * MS, BEGIN + 4 * MS);
	g_assert_true(vrrp_reclaim_due(&reclaim, BEGIN + 5 * MS));
	g_assert_cmpint(reclaim.due_us, ==, BEGIN + 25 * MS);
	g_assert_true(vrrp_reclaim_due(&reclaim, BEGIN + 25 * MS));
	g_assert_cmpint(reclaim.due_us, ==, 0);
}

/* Questions without end put nothing off. */
static void test_is_not_put_off(void)
{
	VrrpReclaim reclaim = { 0 };
	guint said = 0;

	for (gint64 at = BEGIN; at < BEGIN + 100 * MS; at += MS) {
		vrrp_reclaim_note(&reclaim, 5 * MS, at);
		said += vrrp_reclaim_due(&reclaim, at);
	}
	g_assert_cmpuint(said, ==, 3); /* after 5, 25 and 65 ms */
}

static void test_no_storm(void)
{
	VrrpReclaim reclaim = { 0 };
	guint said = 0;

	for (gint64 at = BEGIN; at < BEGIN + 60 * G_USEC_PER_SEC; at += MS) {
		vrrp_reclaim_note(&reclaim, 0, at);
		said += vrrp_reclaim_due(&reclaim, at);
	}
	g_assert_cmpuint(said, <=, 66);
	g_assert_cmpuint(said, >=, 60);
	/* The last word was not lost, only late. */
	vrrp_reclaim_note(&reclaim, 0, BEGIN + 60 * G_USEC_PER_SEC);
	g_assert_cmpint(reclaim.due_us, >, BEGIN + 60 * G_USEC_PER_SEC);
	g_assert_cmpint(reclaim.due_us, <=, BEGIN + 61 * G_USEC_PER_SEC);
	g_assert_true(vrrp_reclaim_due(&reclaim, reclaim.due_us));
	/* Quiet for a while: at once again. */
	vrrp_reclaim_note(&reclaim, 0, BEGIN + 64 * G_USEC_PER_SEC);
	g_assert_true(vrrp_reclaim_due(&reclaim, BEGIN + 64 * G_USEC_PER_SEC));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/reclaim/at-once", test_at_once);
	g_test_add_func("/reclaim/settles", test_settles);
	g_test_add_func("/reclaim/is-not-put-off", test_is_not_put_off);
	g_test_add_func("/reclaim/no-storm", test_no_storm);
	return g_test_run();
}
