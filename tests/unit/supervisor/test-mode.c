/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-mode.c - a mode that was ordered for a time, as it is kept, and reminders of it. */
#include <glib.h>

#include "supervisor/role/mode.h"

static void test_it_ends(void)
{
	ModeOrder order = mode_order(MODE_PASSIVE, 2, "new cabling", 1000);
	g_assert_false(mode_order_is_over(&order, 120999));
	g_assert_true(mode_order_is_over(&order, 121000));
	order = mode_order(MODE_PASSIVE, 0, NULL, 1000);
	g_assert_false(mode_order_is_over(&order, G_MAXINT64));
	order = mode_order(MODE_ACTIVE, 5, "x", 1000);
	g_assert_cmpint(order.until_ms, ==, 0);
	g_assert_false(mode_order_is_over(&order, G_MAXINT64));
}

static void test_kept_and_read_again(void)
{
	ModeOrder order = mode_order(MODE_PASSIVE, 2, "new cabling, floor 2", 1000), read;
	g_autofree char *text = mode_order_text(&order);
	g_assert_true(mode_order_parse(text, &read));
	g_assert_cmpint(read.mode, ==, MODE_PASSIVE);
	g_assert_cmpint(read.until_ms, ==, 121000);
	g_assert_cmpstr(read.reason, ==, "new cabling, floor 2");
	/* As an older version kept it. */
	g_assert_true(mode_order_parse("passive\n", &read));
	g_assert_cmpint(read.mode, ==, MODE_PASSIVE);
	g_assert_cmpint(read.until_ms, ==, 0);
	g_assert_cmpstr(read.reason, ==, "");
	g_assert_true(mode_order_parse("active 7 \n", &read));
	g_assert_cmpint(read.until_ms, ==, 0);
	g_assert_true(mode_order_parse("passive -3 \xff\n", &read));
	g_assert_cmpint(read.until_ms, ==, 0);
	g_assert_cmpstr(read.reason, ==, "");
	g_autofree char *long_reason = g_strnfill(MODE_REASON_MOST - 1, 'x'), *cut = g_strconcat(long_reason, "\xc3\xa4", NULL);
	order = mode_order(MODE_PASSIVE, 0, cut, 0);
	g_assert_cmpstr(order.reason, ==, long_reason); /* not within a letter */
	g_assert_false(mode_order_parse("", &read));
	g_assert_false(mode_order_parse("idle 0 x", &read));
}

static void test_reminders(void)
{
	const gint64 minute_us = 60 * G_TIME_SPAN_SECOND;
	g_assert_false(mode_reminder_is_due(minute_us, 0, 60, 61 * minute_us - 1));
	g_assert_true(mode_reminder_is_due(minute_us, 0, 60, 61 * minute_us));
	g_assert_false(mode_reminder_is_due(minute_us, 61 * minute_us, 60, 62 * minute_us)); /* and then as long again */
	g_assert_true(mode_reminder_is_due(minute_us, 61 * minute_us, 60, 121 * minute_us));
	g_assert_false(mode_reminder_is_due(minute_us, 0, 0, 1000 * minute_us)); /* never */
	g_assert_false(mode_reminder_is_due(0, 0, 60, 1000 * minute_us));	      /* it is not passive */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mode/ends", test_it_ends);
	g_test_add_func("/mode/kept", test_kept_and_read_again);
	g_test_add_func("/mode/reminders", test_reminders);
	return g_test_run();
}
