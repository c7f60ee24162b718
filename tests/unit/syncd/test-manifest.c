/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-manifest.c - the text of a folder, both ways, and every way to be wrong. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/repository/manifest.h"

static const char whole[] = "understudy-folder 1\n"
			    "d 0750 asterisk asterisk 0 .\n"
			    "l 0777 root root 5 current\n"
			    "f 0640 asterisk www%20data 1700000000123456789 sip.conf\n"
			    "f 1755 0 0 0 with%20blank\n";

static void test_build(void)
{
	g_autoptr(GPtrArray) metas = g_ptr_array_new_with_free_func((GDestroyNotify)sync_meta_free);

	g_ptr_array_add(metas, sync_meta_new(SYNC_KIND_FILE, 07755, "0", "0", 0, "with blank")); /* set-user-id does not travel */
	g_ptr_array_add(metas, sync_meta_new(SYNC_KIND_FILE, 0640, "asterisk", "www data", G_GINT64_CONSTANT(1700000000123456789), "sip.conf"));
	g_ptr_array_add(metas, sync_meta_new(SYNC_KIND_LINK, 0777, "root", "root", 5, "current"));
	g_ptr_array_add(metas, sync_meta_new(SYNC_KIND_FOLDER, 0750, "asterisk", "asterisk", 99, "."));
	g_autofree char *text = sync_manifest_build(metas);
	g_assert_cmpstr(text, ==, whole);
}

static void test_parse(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GHashTable) metas = sync_manifest_parse(whole, strlen(whole), &error);

	g_assert_no_error(error);
	g_assert_cmpuint(g_hash_table_size(metas), ==, 4);
	const SyncMeta *file = g_hash_table_lookup(metas, "sip.conf");
	g_assert_cmpuint(file->mode, ==, 0640);
	g_assert_cmpstr(file->group, ==, "www data");
	g_assert_cmpint(file->mtime_ns, ==, G_GINT64_CONSTANT(1700000000123456789));
	g_assert_cmpint(((SyncMeta *)g_hash_table_lookup(metas, "current"))->kind, ==, SYNC_KIND_LINK);
	g_assert_cmpint(((SyncMeta *)g_hash_table_lookup(metas, "."))->kind, ==, SYNC_KIND_FOLDER);
	g_assert_nonnull(g_hash_table_lookup(metas, "with blank"));
}

static void test_refused(void)
{
	static const char *const lines[] = {
		"f 0640 root root 0 ..\n",        "f 0640 root root 0 .\n",     "f 0640 root root 0 a/b\n",  "f 0640 root root 0 .git\n",
		"f 0640 root root 0 .syncmeta\n", "f 0640 root root 0\n",       "f 0640 root root 0 a b\n",  "x 0640 root root 0 a\n",
		"f 4755 root root 0 a\n",         "f 9 root root 0 a\n",        "f 0640 % root 0 a\n",       "f 0640 root root -1 a\n",
		"d 0755 root root 0 sub\n",       "f 0640 root root 0 b\nf 0640 root root 0 a\n",
		"f 0640 root root 0 a\nf 0640 root root 0 a\n", "\n",           "f 0640 root root 0 a%0\n",  "f 0640 root root 0 .understudy-x\n",
		"f  0640 root root 0 a\n",        "f 0640 root root 0 a\n\n",   "l 7777 root root 0 a\n",    NULL,
	};

	for (guint i = 0; lines[i]; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *text = g_strconcat("understudy-folder 1\n", lines[i], NULL);
		g_autoptr(GHashTable) metas = sync_manifest_parse(text, strlen(text), &error);

		if (metas)
			g_test_message("accepted: %s", lines[i]);
		g_assert_null(metas);
		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	}
}

/* No cut and no flipped byte may crash it, and what it accepts it writes again the same. */
static void test_mutations(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	for (gsize cut = 0; cut < strlen(whole); cut++) {
		g_autoptr(GHashTable) metas = sync_manifest_parse(whole, cut, NULL);
		g_assert_true(!metas || whole[cut - 1] == '\n');
	}
	for (guint i = 0; i < 20000; i++) {
		g_autofree char *text = g_strdup(whole);
		guint n = g_rand_int_range(rand, 1, 4);

		while (n-- > 0)
			text[g_rand_int_range(rand, 0, strlen(whole))] = (char)g_rand_int_range(rand, 0, 256);
		g_autoptr(GHashTable) metas = sync_manifest_parse(text, strlen(whole), NULL);
		if (!metas)
			continue;
		g_autoptr(GPtrArray) lines = g_ptr_array_new();
		GHashTableIter iter;
		gpointer meta;
		g_hash_table_iter_init(&iter, metas);
		while (g_hash_table_iter_next(&iter, NULL, &meta))
			g_ptr_array_add(lines, meta);
		g_autofree char *again = sync_manifest_build(lines);
		g_assert_cmpstr(again, ==, text);
	}
}

static void test_equal(void)
{
	g_autoptr(SyncMeta) a = sync_meta_new(SYNC_KIND_FILE, 0640, "root", "root", 7, "a");
	g_autoptr(SyncMeta) b = sync_meta_new(SYNC_KIND_FILE, 0640, "root", "root", 7, "b");
	g_autoptr(SyncMeta) c = sync_meta_new(SYNC_KIND_FILE, 0640, "root", "root", 8, "a");

	g_assert_true(sync_meta_equal(a, b));
	g_assert_false(sync_meta_equal(a, c));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/manifest/build", test_build);
	g_test_add_func("/sync/manifest/parse", test_parse);
	g_test_add_func("/sync/manifest/refused", test_refused);
	g_test_add_func("/sync/manifest/mutations", test_mutations);
	g_test_add_func("/sync/manifest/equal", test_equal);
	return g_test_run();
}
