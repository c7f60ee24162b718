/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-check.c - what is found of objects and recordings that are gone or damaged, and large ones read piece by piece. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "syncd/files/file.h"
#include "syncd/repository/check.h"
#include "syncd/repository/large.h"
#include "syncd/repository/manifest.h"
#include "syncd/repository/repo.h"
#include "syncd/voice/pointer.h"

#define ID "b5bb9d8014a0f9b1d61e21e796d78dccdf1350f0c4f4f5f0d8b0d4d5e1d5c1a2"

static char *top, *path;
static SyncRepo *repo;

static void setup(void)
{
	g_autoptr(GError) error = NULL;

	top = g_dir_make_tmp("understudy-check-XXXXXX", NULL);
	path = g_build_filename(top, "repo.git", NULL);
	repo = sync_repo_open(path, &error);
	g_assert_no_error(error);
}

static void teardown(void)
{
	g_clear_pointer(&repo, sync_repo_free);
	sync_file_remove_tree(AT_FDCWD, top);
	g_clear_pointer(&path, g_free);
	g_clear_pointer(&top, g_free);
}

static git_oid blob(const char *data, gsize length)
{
	git_oid id;

	g_assert_cmpint(git_blob_create_from_buffer(&id, repo->git, data, length), ==, 0);
	return id;
}

static git_oid tree(const char *name, const git_oid *id, git_filemode_t mode)
{
	git_treebuilder *builder;
	git_oid made;

	g_assert_cmpint(git_treebuilder_new(&builder, repo->git, NULL), ==, 0);
	g_assert_cmpint(git_treebuilder_insert(NULL, builder, name, id, mode), ==, 0);
	g_assert_cmpint(git_treebuilder_write(&made, builder), ==, 0);
	git_treebuilder_free(builder);
	return made;
}

/* A commit of application.set/file. */
static git_oid commit(const git_oid *file)
{
	g_autoptr(GError) error = NULL;
	SyncTerm term = { .number = 1, .id = (char *)"a", .device = (char *)"a" };
	git_oid folder = tree("file", file, GIT_FILEMODE_BLOB), all = tree("pbx.set", &folder, GIT_FILEMODE_TREE), made;

	g_assert_true(sync_repo_commit(repo, &all, NULL, "test", "test", &term, &made, &error));
	g_assert_no_error(error);
	return made;
}

static void check(SyncCheck *ret_check)
{
	g_autofree char *store = g_build_filename(top, "lfs", NULL);

	sync_check(path, store, NULL, ret_check);
}

/* What is kept aside leads to the same pointer, and is looked at for no recording. */
static void test_recording_of_two_lines(void)
{
	g_autoptr(GError) error = NULL;
	SyncPointer pointer = { .size = 5 };
	g_auto(SyncCheck) found = { 0 };

	setup();
	g_strlcpy(pointer.id, ID, sizeof pointer.id);
	g_autofree char *text = sync_pointer_text(&pointer);
	git_oid file = blob(text, strlen(text)), one = commit(&file);
	g_autofree char *name = sync_repo_park(repo, "another", &one, &error);
	g_assert_no_error(error);
	check(&found);
	g_assert_cmpuint(found.faults->len, ==, 0);
	sync_check_clear(&found);

	g_assert_true(sync_repo_set_ref(repo, "heads", "voice", &one, &error));
	check(&found);
	g_assert_cmpuint(found.faults->len, ==, 1);
	const SyncFault *fault = found.faults->pdata[0];
	g_assert_true(fault->recording);
	g_assert_cmpint(fault->kind, ==, SYNC_FAULT_MISSING);
	g_assert_cmpstr(fault->id, ==, ID);
	g_assert_cmpstr(fault->ref, ==, "refs/heads/voice");
	g_assert_cmpuint(found.objects, ==, 5);
	teardown();
}

static char *loose_path(const git_oid *id)
{
	g_autofree char *hex = sync_oid_text(id);

	return g_strdup_printf("%s/objects/%.2s/%s", path, hex, hex + 2);
}

static void test_large(void)
{
	const gsize size = (9 << 20) + 1;
	g_autofree char *data = g_malloc(size), *out = NULL, *read = NULL;
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	g_autoptr(GError) error = NULL;
	gsize length;

	setup();
	for (gsize i = 0; i < size; i++)
		data[i] = (char)g_rand_int(rand);
	git_oid small = blob(data, 1000), large = blob(data, size), two = commit(&large);
	g_assert_true(sync_repo_set_ref(repo, "heads", "config", &two, &error));
	g_assert_false(sync_large_is(repo, &small));
	g_assert_true(sync_large_is(repo, &large));
	g_assert_true(sync_large_is_whole(repo, &large, NULL));
	out = g_build_filename(top, "out", NULL);
	sync_autofd fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	g_assert_true(sync_large_write(repo, &large, fd, NULL, &error));
	g_assert_no_error(error);
	g_assert_true(g_file_get_contents(out, &read, &length, NULL));
	g_assert_cmpmem(read, length, data, size);

	/* Nobody wants it any more. */
	g_autoptr(GCancellable) cancelled = g_cancellable_new();
	g_cancellable_cancel(cancelled);
	g_assert_false(sync_large_write(repo, &large, fd, cancelled, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_clear_error(&error);

	g_auto(SyncCheck) found = { 0 };
	check(&found);
	g_assert_cmpuint(found.faults->len, ==, 0);
	g_assert_cmpuint(found.bytes, >, size);
	sync_check_clear(&found);
	/* The end of it does not come to the disk. */
	g_autofree char *loose = loose_path(&large);
	g_assert_cmpint(g_chmod(loose, 0600), ==, 0);
	g_assert_cmpint(truncate(loose, 4 << 20), ==, 0);
	check(&found);
	g_assert_cmpuint(found.faults->len, ==, 1);
	g_assert_cmpint(((const SyncFault *)found.faults->pdata[0])->kind, ==, SYNC_FAULT_CORRUPT);
	g_assert_false(sync_large_write(repo, &large, fd, NULL, &error));
	g_assert_nonnull(error);
	g_assert_true(g_str_has_prefix(error->message, "git cat-file: "));
	teardown();
}

/* A commit of a folder of so many files, in a pack; of the last one only the name is there. */
static git_oid commit_of_many(guint n)
{
	g_autoptr(GError) error = NULL;
	SyncTerm term = { .number = 1, .id = (char *)"a", .device = (char *)"a" };
	git_treebuilder *builder;
	git_oid id, folder, made;

	sync_fresh_begin(repo->fresh);
	g_assert_cmpint(git_treebuilder_new(&builder, repo->git, NULL), ==, 0);
	for (guint i = 0; i <= n; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);

		if (i < n)
			g_assert_true(sync_fresh_store(repo->fresh, repo->git, name, strlen(name), GIT_OBJECT_BLOB, &id, &error));
		else
			g_assert_cmpint(git_odb_hash(&id, name, strlen(name), GIT_OBJECT_BLOB), ==, 0);
		g_assert_cmpint(git_treebuilder_insert(NULL, builder, name, &id, GIT_FILEMODE_BLOB), ==, 0);
	}
	g_assert_cmpint(git_treebuilder_write(&folder, builder), ==, 0);
	git_treebuilder_free(builder);
	git_oid all = tree("pbx.set", &folder, GIT_FILEMODE_TREE);
	g_assert_true(sync_repo_commit(repo, &all, NULL, "test", "test", &term, &made, &error));
	g_assert_true(sync_fresh_end(repo->fresh, repo->git, &error));
	g_assert_no_error(error);
	return made;
}

/* More than the first places that are made for them; by two refs. */
static void test_many(void)
{
	enum { MANY = 3000 };
	g_autoptr(GError) error = NULL;
	g_auto(SyncCheck) found = { 0 };

	setup();
	git_oid one = commit_of_many(MANY);
	g_assert_true(sync_repo_set_ref(repo, "heads", "config", &one, &error));
	g_assert_true(sync_repo_set_ref(repo, "fetched", "config", &one, &error));
	check(&found);
	g_assert_cmpuint(found.objects, ==, MANY + 4);
	g_assert_cmpuint(found.faults->len, ==, 1);
	g_assert_cmpint(((const SyncFault *)found.faults->pdata[0])->kind, ==, SYNC_FAULT_MISSING);
	teardown();
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	sync_repo_library_init();
	g_test_add_func("/sync/check/recording-of-two-lines", test_recording_of_two_lines);
	g_test_add_func("/sync/check/large", test_large);
	g_test_add_func("/sync/check/many", test_many);
	return g_test_run();
}
