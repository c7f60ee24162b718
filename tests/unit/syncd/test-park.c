/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-park.c - lines that are kept aside: two refs do so at once after a split, and each gets a name. */
#include <fcntl.h>
#include <string.h>

#include "syncd/files/file.h"
#include "syncd/repository/repo.h"

enum { LINES = 50, THREADS = 3 };

static char *path;

/* As the thread of a ref does, with a handle of its own. */
static gpointer park_many(gpointer data)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	SyncRepo *repo = sync_repo_open(path, &error);

	g_assert_no_error(error);
	for (guint i = 0; i < LINES; i++) {
		g_autofree char *text = g_strdup_printf("%u %u", GPOINTER_TO_UINT(data), i);
		git_oid id;

		g_assert_cmpint(git_blob_create_from_buffer(&id, repo->git, text, strlen(text)), ==, 0);
		char *name = sync_repo_park(repo, "alpha", &id, &error);
		g_assert_no_error(error);
		g_ptr_array_add(names, name);
	}
	sync_repo_free(repo);
	return g_steal_pointer(&names);
}

static void test_together(void)
{
	g_autofree char *top = g_dir_make_tmp("understudy-park-XXXXXX", NULL);
	g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GError) error = NULL;
	GThread *threads[THREADS];

	g_assert_nonnull(top);
	path = g_build_filename(top, "repo.git", NULL);
	sync_repo_free(sync_repo_open(path, &error));
	g_assert_no_error(error);
	for (guint i = 0; i < THREADS; i++)
		threads[i] = g_thread_new("park", park_many, GUINT_TO_POINTER(i));
	for (guint i = 0; i < THREADS; i++) {
		g_autoptr(GPtrArray) names = g_thread_join(threads[i]);

		for (guint k = 0; k < names->len; k++)
			g_assert_true(g_hash_table_add(all, g_strdup(names->pdata[k])));
	}
	g_assert_cmpuint(g_hash_table_size(all), ==, THREADS * LINES);
	g_clear_pointer(&path, g_free);
	sync_file_remove_tree(AT_FDCWD, top);
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	sync_repo_library_init();
	g_test_add_func("/park/together", test_together);
	return g_test_run();
}
