/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-receive.c - packs of few objects, of very many and of large ones, whole, broken, and not wanted any more. */
#include <fcntl.h>
#include <git2/odb_backend.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "syncd/files/file.h"
#include "syncd/repository/repo.h"

static char *folder;

static SyncRepo *open_repo(const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autoptr(GError) error = NULL;
	SyncRepo *repo = sync_repo_open(path, &error);

	g_assert_no_error(error);
	return repo;
}

/* @i, and noise up to @size bytes, which nothing makes smaller. */
static char *content(guint i, gsize size, gsize *ret_length)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(i);
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_printf(text, "object %u\n", i);
	while (text->len < size)
		g_string_append_c(text, (char)g_rand_int(rand));
	*ret_length = text->len;
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The pack of @n blobs of @size bytes or a little more, as this repository's own, and the ids of the first and the last. */
static GBytes *pack_of(guint n, gsize size, git_oid ret_ids[2])
{
	g_autofree char *name = g_strdup_printf("from%u.git", n);
	g_autoptr(SyncRepo) repo = open_repo(name);
	git_packbuilder *builder = NULL;
	git_buf packed = GIT_BUF_INIT;

	sync_fresh_begin(repo->fresh); /* in memory, where they stay */
	g_assert_cmpint(git_packbuilder_new(&builder, repo->git), ==, 0);
	for (guint i = 0; i < n; i++) {
		gsize length;
		g_autofree char *text = content(i, size, &length);
		git_oid id;

		g_assert_true(sync_fresh_store(repo->fresh, repo->git, text, length, GIT_OBJECT_BLOB, &id, NULL));
		g_assert_cmpint(git_packbuilder_insert(builder, &id, NULL), ==, 0);
		ret_ids[i ? 1 : 0] = id;
	}
	g_assert_cmpint(git_packbuilder_write_buf(&packed, builder), ==, 0);
	GBytes *pack = g_bytes_new(packed.ptr, packed.size);
	git_buf_dispose(&packed);
	git_packbuilder_free(builder);
	return pack;
}

static int never(const git_indexer_progress *stats, void *unused)
{
	return 0;
}

static int at_once(const git_indexer_progress *stats, void *unused)
{
	return GIT_EUSER;
}

/* In pieces, as a network gives them; what commit or the first append that fails says. */
static int take(SyncRepo *repo, const guint8 *data, gsize length, git_indexer_progress_cb progress)
{
	git_odb *odb = NULL;
	git_odb_writepack *writer = NULL;
	git_indexer_progress stats = { 0 };
	int rc = 0;

	g_assert_cmpint(git_repository_odb(&odb, repo->git), ==, 0);
	g_assert_cmpint(git_odb_write_pack(&writer, odb, progress, NULL), ==, 0);
	for (gsize at = 0, step = 5; rc == 0 && at < length; at += step, step = 8000)
		rc = writer->append(writer, data + at, MIN(step, length - at), &stats);
	if (rc == 0)
		rc = writer->commit(writer, &stats);
	writer->free(writer);
	git_odb_free(odb);
	return rc;
}

static bool has(SyncRepo *repo, const git_oid *id)
{
	g_autoptr(git_blob) blob = NULL;

	return git_blob_lookup(&blob, repo->git, id) == 0;
}

/* Only whole packs are there, and nothing that was to become one. */
static void assert_nothing_half(SyncRepo *repo)
{
	g_autofree char *packs = g_build_filename(repo->path, "objects/pack", NULL);
	g_autoptr(GDir) outer = g_dir_open(repo->path, 0, NULL), inner = g_dir_open(packs, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(outer)))
		g_assert_false(g_str_has_prefix(name, "receiving"));
	while ((name = g_dir_read_name(inner)))
		g_assert_true(g_str_has_prefix(name, "pack-") && (g_str_has_suffix(name, ".pack") || g_str_has_suffix(name, ".idx")));
}

static void test_whole(gconstpointer data)
{
	guint n = GPOINTER_TO_UINT(data) & 0xffff;
	gsize size = GPOINTER_TO_UINT(data) & ~0xffffu;
	g_autofree char *name = g_strdup_printf("to%u.git", n);
	g_autoptr(SyncRepo) repo = open_repo(name);
	git_oid ids[2];
	g_autoptr(GBytes) pack = pack_of(n, size, ids);
	gsize length;
	const guint8 *bytes = g_bytes_get_data(pack, &length);

	g_assert_cmpint(take(repo, bytes, length / 2, never), <, 0);
	g_assert_false(has(repo, &ids[0]));
	g_autofree guint8 *broken = g_memdup2(bytes, length);
	broken[length / 2] ^= 1;
	g_assert_cmpint(take(repo, broken, length, never), <, 0);
	g_assert_false(has(repo, &ids[0]));
	g_assert_cmpint(take(repo, bytes, length, at_once), ==, GIT_EUSER);
	g_assert_false(has(repo, &ids[0]));
	assert_nothing_half(repo);
	g_assert_cmpint(take(repo, bytes, length, NULL), ==, 0);
	g_assert_true(has(repo, &ids[0]) && has(repo, &ids[1]));
	g_assert_cmpint(take(repo, bytes, length, never), ==, 0);
	assert_nothing_half(repo);
	g_autoptr(SyncRepo) again = open_repo(name);
	g_assert_true(has(again, &ids[0]) && has(again, &ids[1]));
}

static void test_no_head(void)
{
	g_autoptr(SyncRepo) repo = open_repo("none.git");

	g_assert_cmpint(take(repo, (const guint8 *)"PACK", 4, never), <, 0);
	g_assert_cmpint(take(repo, (const guint8 *)"what is no pack\377\377\377", 18, never), <, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN); /* as main() of syncd */
	sync_repo_library_init();
	folder = g_dir_make_tmp("receive-XXXXXX", NULL);
	g_test_add_data_func("/receive/few", GUINT_TO_POINTER(100), test_whole);
	g_test_add_data_func("/receive/many", GUINT_TO_POINTER(5000), test_whole);
	g_test_add_data_func("/receive/large", GUINT_TO_POINTER(3 | 1u << 20), test_whole);
	g_test_add_func("/receive/no-head", test_no_head);
	int status = g_test_run();
	g_autofree char *above = g_path_get_dirname(folder), *name = g_path_get_basename(folder);
	sync_autofd fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sync_file_remove_tree(fd, name);
	g_free(folder);
	return status;
}
