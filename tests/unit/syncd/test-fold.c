/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-fold.c - when a repository is folded, and that nothing goes of which somebody has made use. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/files/file.h"
#include "syncd/repository/fold.h"

#define S (gint64)G_USEC_PER_SEC
#define MB(n) ((guint64)(n) << 20)
#define NAME "0123456789abcdef0123456789abcdef01234567"

static void test_due(void)
{
	static const struct {
		const char *what;
		SyncHeap heap, folded;
		gint64 since_us;
		bool past_ended, due;
	} rows[] = {
		{ "nothing new", { 1, 5, MB(9), MB(1) }, { 1, 5, MB(9), MB(1) }, 9999 * S, false, false },
		{ "too soon", { 90, 9999, MB(900), MB(1) }, { 1, 5, MB(9), MB(1) }, 59 * S, true, false },
		{ "packs", { 51, 5, MB(9), MB(1) }, { 1, 5, MB(9), MB(1) }, 60 * S, false, true },
		{ "nearly packs", { 50, 5, MB(9), MB(1) }, { 1, 5, MB(9), MB(1) }, 60 * S, false, false },
		{ "loose", { 1, 2005, MB(9), MB(1) }, { 1, 5, MB(9), MB(1) }, 60 * S, false, true },
		{ "bytes", { 1, 6, MB(9), MB(66) }, { 1, 5, MB(9), MB(1) }, 60 * S, false, true },
		{ "a large one may grow by its share", { 1, 6, MB(1000), MB(200) }, { 1, 5, MB(1000), 0 }, 60 * S, false, false },
		{ "and no more", { 1, 6, MB(1000), MB(251) }, { 1, 5, MB(1000), 0 }, 60 * S, false, true },
		{ "little, rested", { 1, 6, MB(9), MB(1) }, { 1, 5, MB(9), MB(1) }, 1800 * S, false, true },
		{ "little, not rested", { 1, 6, MB(9), MB(1) }, { 1, 5, MB(9), MB(1) }, 1799 * S, false, false },
		{ "names that go", { 1, 5, MB(9), MB(1) }, { 1, 5, MB(9), MB(1) }, 60 * S, true, true },
		{ "it has become less", { 1, 0, MB(9), 0 }, { 1, 5, MB(9), MB(1) }, 60 * S, false, false },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_test_message("%s", rows[i].what);
		g_assert_cmpint(sync_fold_due(&rows[i].heap, &rows[i].folded, rows[i].since_us, rows[i].past_ended), ==, rows[i].due);
	}
}

static void test_drop(void)
{
	g_autofree char *top = g_dir_make_tmp("understudy-fold-XXXXXX", NULL), *folder = g_build_filename(top, "objects/01", NULL);
	g_autofree char *path = g_build_filename(folder, NAME + 2, NULL), *other = g_build_filename(folder, "tmp_obj_x", NULL);
	g_autofree char *packs = g_build_filename(top, "objects/pack", NULL), *pack = g_build_filename(packs, "pack-1.pack", NULL);
	SyncHeap heap;

	sync_heap_measure(top, &heap);
	g_assert_cmpuint(heap.loose + heap.packs, ==, 0);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_cmpint(g_mkdir_with_parents(packs, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, "x", 1, NULL) && g_file_set_contents(other, "x", 1, NULL) && g_file_set_contents(pack, "x", 1, NULL));
	sync_heap_measure(top, &heap);
	g_assert_cmpuint(heap.loose, ==, 1);
	g_assert_cmpuint(heap.packs, ==, 1);
	g_assert_cmpuint(sync_heap_bytes_below(top), >=, heap.loose_bytes + heap.pack_bytes);
	g_autoptr(GHashTable) before = sync_heap_loose(top, NULL);
	g_assert_cmpuint(g_hash_table_size(before), ==, 1);
	/* Touched, be it to a time long past: in use. */
	const struct timespec past[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct stat st;
	const struct timespec *stamp = g_hash_table_lookup(before, NAME);
	do {
		g_assert_cmpint(utimensat(AT_FDCWD, path, past, 0), ==, 0);
		g_assert_cmpint(stat(path, &st), ==, 0);
	} while (st.st_ctim.tv_nsec == stamp->tv_nsec && st.st_ctim.tv_sec == stamp->tv_sec); /* the kernel's clock has a grain */
	g_assert_false(sync_heap_drop(top, before, NAME));
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
	g_autoptr(GHashTable) now = sync_heap_loose(top, NULL);
	g_assert_false(sync_heap_drop(top, now, "ffffffffffffffffffffffffffffffffffffffff"));
	g_assert_true(sync_heap_drop(top, now, NAME));
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	sync_file_remove_tree(AT_FDCWD, top);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/fold/due", test_due);
	g_test_add_func("/fold/drop", test_drop);
	return g_test_run();
}
