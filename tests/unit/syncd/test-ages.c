/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-ages.c - for how long something is kept, by the time that the device ran. */
#include "syncd/voice/ages.h"

#define DAY 86400

static const char *const both[] = { "aa", "bb", NULL };
static const char *const one[] = { "aa", NULL };

static void test_time_passes(void)
{
	g_autoptr(SyncAges) ages = sync_ages_new(NULL);

	sync_ages_pass(ages, one, "boot", 100);
	g_assert_cmpint(sync_ages_of(ages, "aa"), ==, 0);
	sync_ages_pass(ages, both, "boot", 160);
	g_assert_cmpint(sync_ages_of(ages, "aa"), ==, 60);
	g_assert_cmpint(sync_ages_of(ages, "bb"), ==, 0);
	sync_ages_pass(ages, both, "boot", 160 + DAY);
	g_assert_cmpint(sync_ages_of(ages, "aa"), ==, DAY + 60);
	g_assert_cmpint(sync_ages_of(ages, "bb"), ==, DAY);
	/* What is gone and comes again is new. */
	sync_ages_pass(ages, one, "boot", 160 + 2 * DAY);
	sync_ages_pass(ages, both, "boot", 160 + 3 * DAY);
	g_assert_cmpint(sync_ages_of(ages, "bb"), ==, 0);
}

/* A clock that goes back, or on by years, between two boots says nothing. */
static void test_boots(void)
{
	g_autoptr(SyncAges) ages = sync_ages_new(NULL);

	sync_ages_pass(ages, one, "first", 1000);
	sync_ages_pass(ages, one, "first", 2000);
	sync_ages_pass(ages, one, "second", 1000000);
	g_assert_cmpint(sync_ages_of(ages, "aa"), ==, 1000);
	sync_ages_pass(ages, one, "second", 1000005);
	g_assert_cmpint(sync_ages_of(ages, "aa"), ==, 1005);
	sync_ages_pass(ages, one, "second", 5);
	g_assert_cmpint(sync_ages_of(ages, "aa"), ==, 1005);
}

static void test_text(void)
{
	g_autoptr(SyncAges) ages = sync_ages_new(NULL);

	sync_ages_pass(ages, both, "boot", 100);
	sync_ages_pass(ages, both, "boot", 107);
	g_autofree char *text = sync_ages_text(ages);
	g_assert_cmpstr(text, ==, "understudy-ages 1\nboot 107\naa 7\nbb 7\n");
	g_autoptr(SyncAges) back = sync_ages_new(text);
	sync_ages_pass(back, both, "boot", 110);
	g_assert_cmpint(sync_ages_of(back, "bb"), ==, 10);

	/* What cannot be read is as if nothing had been kept before: it stays longer, never shorter. */
	static const char *const bad[] = { "", "\n", "understudy-ages 2\nboot 1\naa 999999\n", "understudy-ages 1", "understudy-ages 1\nboot x\naa -5\n", "understudy-ages 1\nboot 1\naa", NULL };
	for (guint i = 0; bad[i]; i++) {
		g_autoptr(SyncAges) none = sync_ages_new(bad[i]);

		sync_ages_pass(none, both, "boot", 1000000);
		g_assert_cmpint(sync_ages_of(none, "aa"), ==, 0);
	}
	g_autoptr(SyncAges) most = sync_ages_new("understudy-ages 1\nboot 1\naa 9223372036854775807\n");
	sync_ages_pass(most, one, "boot", 1000000);
	g_assert_cmpint(sync_ages_of(most, "aa"), ==, G_MAXINT64);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/ages/time-passes", test_time_passes);
	g_test_add_func("/sync/ages/boots", test_boots);
	g_test_add_func("/sync/ages/text", test_text);
	return g_test_run();
}
