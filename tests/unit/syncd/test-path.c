/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-path.c - what may travel, and how it is written. */
#include "syncd/error.h"
#include "syncd/files/path.h"

static void test_names(void)
{
	static const char *const good[] = { "a", "...", ".gitignore", "git", "sip.conf", "\xff\xfe", "with blank", "a\nb", NULL };
	static const char *const bad[] = { "", ".", "..", "a/b", "/", ".git", ".GIT", ".Git", NULL };

	for (guint i = 0; good[i]; i++)
		g_assert_true(sync_name_ok(good[i]));
	for (guint i = 0; bad[i]; i++)
		g_assert_false(sync_name_ok(bad[i]));
	g_autofree char *longest = g_strnfill(255, 'x');
	g_autofree char *longer = g_strnfill(256, 'x');
	g_assert_true(sync_name_ok(longest));
	g_assert_false(sync_name_ok(longer));
}

static void test_paths(void)
{
	static const char *const good[] = { "", "a", "a/b/c", "a/.../b", NULL };
	static const char *const bad[] = { "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a/.git/config", ".git", NULL };

	for (guint i = 0; good[i]; i++)
		g_assert_true(sync_path_ok(good[i]));
	for (guint i = 0; bad[i]; i++)
		g_assert_false(sync_path_ok(bad[i]));
	GString *deep = g_string_new("a");
	for (guint i = 0; i < 63; i++)
		g_string_append(deep, "/a");
	g_assert_true(sync_path_ok(deep->str));
	g_string_append(deep, "/a");
	g_assert_false(sync_path_ok(deep->str));
	g_string_free(deep, TRUE);
}

static void test_excluded(void)
{
	static const char *const patterns[] = { "*.local", "tls/*", "/top", NULL };

	g_assert_true(sync_path_excluded("x.local", patterns));
	g_assert_true(sync_path_excluded("a/b/x.local", patterns));
	g_assert_true(sync_path_excluded("tls/key.pem", patterns));
	g_assert_true(sync_path_excluded("top", patterns));
	g_assert_false(sync_path_excluded("tls", patterns));
	g_assert_false(sync_path_excluded("a/tls/key.pem", patterns));
	g_assert_false(sync_path_excluded("tls/a/key.pem", patterns));
	g_assert_false(sync_path_excluded("a/top", patterns));
	g_assert_false(sync_path_excluded("x.locally", patterns));
	g_assert_false(sync_path_excluded("x", NULL));
}

static void test_included(void)
{
	static const char *const patterns[] = { "*.cfg", "tls", "/a/b*", NULL }, *const none[] = { NULL };

	g_assert_true(sync_path_included("x.cfg", patterns));
	g_assert_true(sync_path_included("deep/er/x.cfg", patterns));
	g_assert_true(sync_path_included("tls", patterns));
	g_assert_true(sync_path_included("tls/a/b/key.pem", patterns)); /* with all that a folder holds */
	g_assert_true(sync_path_included("x/tls/key.pem", patterns));
	g_assert_true(sync_path_included("a/bc/d", patterns));
	g_assert_false(sync_path_included("x.cfg~", patterns));
	g_assert_false(sync_path_included("a/c", patterns));
	g_assert_false(sync_path_included("x/a/b", patterns));
	g_assert_true(sync_path_included("x", none));
	g_assert_true(sync_path_included("x", NULL));
}

static void test_parts(void)
{
	g_autofree char *joined = sync_path_join("a/b", "c");
	g_autofree char *top = sync_path_join("", "c");
	g_autofree char *folder = sync_path_join("a", "");
	g_autofree char *parent = sync_path_parent("a/b/c");
	g_autofree char *none = sync_path_parent("c");

	g_assert_cmpstr(joined, ==, "a/b/c");
	g_assert_cmpstr(top, ==, "c");
	g_assert_cmpstr(folder, ==, "a");
	g_assert_cmpstr(parent, ==, "a/b");
	g_assert_cmpstr(none, ==, "");
	g_assert_cmpstr(sync_path_last("a/b/c"), ==, "c");
	g_assert_cmpstr(sync_path_last("c"), ==, "c");
}

static void test_escape(void)
{
	static const char *const texts[] = { "", "plain", "with blank", "a\nb\tc", "100%", "%41", "\xc3\xa4\xff", "~", "%", NULL };

	for (guint i = 0; texts[i]; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *word = sync_escape(texts[i]);
		g_autofree char *back = sync_unescape(word, &error);

		g_assert_no_error(error);
		g_assert_cmpstr(back, ==, texts[i]);
		for (const char *p = word; *p; p++)
			g_assert_true(*p > ' ' && *p < 0x7f);
	}
	static const char *const bad[] = { "%0", "%zz", "a%", "%00", NULL };
	for (guint i = 0; bad[i]; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *back = sync_unescape(bad[i], &error);

		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
		g_assert_null(back);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/path/names", test_names);
	g_test_add_func("/sync/path/paths", test_paths);
	g_test_add_func("/sync/path/excluded", test_excluded);
	g_test_add_func("/sync/path/included", test_included);
	g_test_add_func("/sync/path/parts", test_parts);
	g_test_add_func("/sync/path/escape", test_escape);
	return g_test_run();
}
