/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-term.c - order of terms, and terms in messages. */
#include "syncd/repository/term.h"

static void test_compare(void)
{
	SyncTerm a = { 3, (char *)"alpha", NULL }, b = { 3, (char *)"beta", NULL }, c = { 4, (char *)"alpha", NULL };

	g_assert_cmpint(sync_term_compare(&a, &a), ==, 0);
	g_assert_cmpint(sync_term_compare(&a, &b), ==, -1);
	g_assert_cmpint(sync_term_compare(&b, &a), ==, 1);
	g_assert_cmpint(sync_term_compare(&b, &c), ==, -1);
}

static void test_may_follow(void)
{
	static const SyncTerm own = { 7, (char *)"b", NULL };
	static const struct {
		SyncTerm leader;
		bool may;
	} cases[] = { { { 7, (char *)"b", NULL }, true }, { { 8, (char *)"a", NULL }, true }, { { 7, (char *)"c", NULL }, true },
		      { { 7, (char *)"a", NULL }, false }, { { 6, (char *)"b", NULL }, false }, { { 0, NULL, NULL }, false } };

	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpint(sync_term_may_follow(&own, &cases[i].leader), ==, cases[i].may);
}

static void test_message(void)
{
	SyncTerm term = { 7, (char *)"alpha", (char *)"beta" };
	static const char *const texts[] = { "one line", "subject\n\nbody\n\nTerm: of art", "x\n", NULL };

	for (guint i = 0; texts[i]; i++) {
		g_auto(SyncTerm) back = { 0 };
		g_autofree char *message = sync_term_message(texts[i], &term);
		g_autofree char *stripped = sync_term_strip(message);
		g_autofree char *wanted = g_strchomp(g_strdup(texts[i]));

		sync_term_parse(message, &back);
		g_assert_cmpuint(back.number, ==, 7);
		g_assert_cmpstr(back.id, ==, "alpha");
		g_assert_cmpstr(back.device, ==, "beta");
		g_assert_cmpstr(stripped, ==, wanted);
	}
}

static void test_firmware(void)
{
	SyncTerm term = { .number = 7, .id = (char *)"alpha", .device = (char *)"beta", .firmware = (char *)"2.10 (stable)", .goes_on = (char *)"x:y" };
	static const struct {
		const char *theirs, *own;
		bool newer;
	} cases[] = { { "2.10", "2.9", true }, { "2.9", "2.10", false }, { "2.9", "2.9", false }, { "2.9.1", "2.9", true },
		      { NULL, "2.9", false }, { "2.9", "", false }, { "", "2.9", false } };
	g_auto(SyncTerm) back = { 0 };
	g_autofree char *message = sync_term_message("subject", &term), *stripped = sync_term_strip(message);

	sync_term_parse(message, &back);
	g_assert_cmpstr(back.firmware, ==, "2.10 (stable)");
	g_assert_cmpstr(back.goes_on, ==, "x:y");
	g_assert_cmpstr(stripped, ==, "subject");
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpint(sync_term_is_newer(cases[i].theirs, cases[i].own), ==, cases[i].newer);
}

static void test_foreign(void)
{
	static const char *const texts[] = { "", "no trailers\n", "a\n\nTerm: x\nDevice: \n", "Term: 5\n", NULL };

	for (guint i = 0; texts[i]; i++) {
		g_auto(SyncTerm) back = { 0 };

		sync_term_parse(texts[i], &back);
		g_assert_cmpuint(back.number, ==, 0);
		g_assert_nonnull(back.id);
		g_assert_nonnull(back.device);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/term/compare", test_compare);
	g_test_add_func("/sync/term/may-follow", test_may_follow);
	g_test_add_func("/sync/term/message", test_message);
	g_test_add_func("/sync/term/firmware", test_firmware);
	g_test_add_func("/sync/term/foreign", test_foreign);
	return g_test_run();
}
