/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-revision.c - which version of the settings wins, whoever died when. */
#include "supervisor/settings/revision.h"

#define SECOND G_TIME_SPAN_SECOND

static void test_order(void)
{
	const Revision rising[] = { revision_of(0, NULL, 0), revision_of(0, "a", 1), revision_of(3, "a", 1), revision_of(3, "b", 1),
				    revision_of(3, "a", 2), revision_of(4, "a", 1) };

	for (gsize i = 0; i < G_N_ELEMENTS(rising); i++)
		for (gsize j = 0; j < G_N_ELEMENTS(rising); j++)
			g_assert_cmpint(CLAMP(revision_compare(&rising[i], &rising[j]), -1, 1), ==, (i > j) - (i < j));
}

static const Revision old = { 5, "a", 1 }, new = { 5, "a", 2 }, other = { 6, "b", 1 };

static const struct {
	const char *name;
	RevisionFacts facts;
	RevisionAct act;
	gint64 next_us;
} rows[] = {
	{ "same", { .own = old, .peer_fresh = true, .peer = old }, REVISION_KEEP, 0 },
	{ "peer-newer", { .own = old, .peer_fresh = true, .peer = new }, REVISION_FETCH, 0 },
	{ "peer-newer-but-away", { .own = old, .peer = new }, REVISION_KEEP, 0 },
	{ "peer-newer-but-busy", { .own = old, .peer_fresh = true, .peer = new, .busy = true }, REVISION_KEEP, 0 },
	{ "peer-older", { .own = new, .peer_fresh = true, .peer = old }, REVISION_KEEP, 0 },
	/* Both sides of a split changed it. */
	{ "term-before-n", { .own = { 5, "a", 9 }, .peer_fresh = true, .peer = other }, REVISION_FETCH, 0 },
	/* The one that announced it died before it committed: wait; when it is back without it, drop. */
	{ "prepared-peer-away", { .own = old, .prepared = true, .announced = new }, REVISION_KEEP, 0 },
	{ "prepared-just-now", { .own = old, .prepared = true, .announced = new, .announced_us = 95 * SECOND, .peer_fresh = true, .peer = old },
	  REVISION_KEEP, 103 * SECOND },
	{ "prepared-peer-just-back",
	  { .own = old, .prepared = true, .announced = new, .announced_us = 10 * SECOND, .peer_fresh = true, .peer = old, .fresh_us = 99 * SECOND },
	  REVISION_KEEP, 107 * SECOND },
	{ "prepared-never-committed",
	  { .own = old, .prepared = true, .announced = new, .announced_us = 90 * SECOND, .peer_fresh = true, .peer = old }, REVISION_DROP, 0 },
	/* It died, or we did, after it committed. */
	{ "prepared-and-committed", { .own = old, .prepared = true, .announced = new, .announced_is_peers = true, .peer_fresh = true, .peer = new },
	  REVISION_COMMIT, 0 },
	/* Announced, taken back, and another one committed under the same number. */
	{ "prepared-another-one", { .own = old, .prepared = true, .announced = new, .peer_fresh = true, .peer = new }, REVISION_FETCH, 0 },
	{ "prepared-superseded-here", { .own = other, .prepared = true, .announced = new }, REVISION_DROP, 0 },
};

static void test_next(gconstpointer data)
{
	gsize i = GPOINTER_TO_SIZE(data);
	gint64 next_us = -1;

	g_assert_cmpint(revision_next(&rows[i].facts, 100 * SECOND, &next_us), ==, rows[i].act);
	g_assert_cmpint(next_us, ==, rows[i].next_us);
}

static void test_version(void)
{
	Version version = { .file = (char *)"pair.conf", .text = (char *)"# mine\n\n[pair]\ngroup-id=1", .who = (char *)"root\nwhy=x", .why = (char *)"ordered",
			    .revision = new, .time_ms = 1700000000000 };
	g_autofree char *content = version_format(&version);
	g_autoptr(Version) back = version_parse(content);

	g_assert_nonnull(back);
	g_assert_cmpstr(back->file, ==, "pair.conf");
	g_assert_cmpstr(back->text, ==, version.text);
	g_assert_cmpstr(back->who, ==, "root why=x");
	g_assert_cmpstr(back->why, ==, "ordered");
	g_assert_cmpint(revision_compare(&back->revision, &new), ==, 0);
	g_assert_cmpint(back->time_ms, ==, version.time_ms);
	for (gsize cut = 0; cut < strlen(content); cut++) {
		g_autofree char *part = g_strndup(content, cut);
		g_autoptr(Version) some = version_parse(part);
		g_assert_true(!some || g_str_has_prefix(version.text, some->text));
	}
}

static void test_text(void)
{
	g_autofree char *a = revision_of_text("x"), *b = revision_of_text("y"), *words = revision_text(&new);
	g_assert_cmpuint(strlen(a), ==, 16);
	g_assert_cmpstr(a, !=, b);
	g_assert_cmpstr(words, ==, "5.2 of a");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/revision/order", test_order);
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path = g_strconcat("/revision/next/", rows[i].name, NULL);
		g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_next);
	}
	g_test_add_func("/revision/version", test_version);
	g_test_add_func("/revision/text", test_text);
	return g_test_run();
}
