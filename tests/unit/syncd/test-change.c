/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-change.c - a small commit as a message, new objects in memory, and files that we placed ourselves. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/files/picture.h"
#include "syncd/repository/change.h"
#include "syncd/repository/pack.h"
#include "syncd/repository/receive.h"

static char *top;

static void setup(void)
{
	top = g_dir_make_tmp("understudy-change-XXXXXX", NULL);
	g_assert_nonnull(top);
}

static void teardown(void)
{
	sync_file_remove_tree(AT_FDCWD, top);
	g_clear_pointer(&top, g_free);
}

static SyncRepo *repository(const char *name)
{
	g_autofree char *path = g_build_filename(top, name, NULL);
	g_autoptr(GError) error = NULL;
	SyncRepo *repo = sync_repo_open(path, &error);

	g_assert_no_error(error);
	return repo;
}

static git_oid blob(SyncRepo *repo, const char *text)
{
	g_autoptr(GError) error = NULL;
	git_oid id;

	g_assert_true(sync_fresh_store(repo->fresh, repo->git, text, strlen(text), GIT_OBJECT_BLOB, &id, &error));
	return id;
}

static git_oid tree(SyncRepo *repo, const char *const *names, const git_oid *ids, git_filemode_t mode)
{
	g_autoptr(git_treebuilder) builder = NULL;
	git_oid id;

	g_assert_cmpint(git_treebuilder_new(&builder, repo->git, NULL), ==, 0);
	for (guint i = 0; names[i]; i++)
		g_assert_cmpint(git_treebuilder_insert(NULL, builder, names[i], &ids[i], mode), ==, 0);
	g_assert_cmpint(git_treebuilder_write(&id, builder), ==, 0);
	return id;
}

/* "set/a" is always the same, "set/deep/b" is @text. */
static git_oid commit(SyncRepo *repo, const git_oid *parent, const char *text)
{
	static const char *const deep[] = { "b", NULL }, *const set[] = { "deep", NULL }, *const whole[] = { "other", "set", NULL };
	SyncTerm term = { .number = 1, .id = (char *)"t", .device = (char *)"d" };
	g_autoptr(GError) error = NULL;
	git_oid file = blob(repo, text), same = blob(repo, "the same"), id;
	git_oid inner = tree(repo, deep, &file, GIT_FILEMODE_BLOB), outer = tree(repo, set, &inner, GIT_FILEMODE_TREE);
	git_oid other = tree(repo, deep, &same, GIT_FILEMODE_BLOB), both[] = { other, outer }, all = tree(repo, whole, both, GIT_FILEMODE_TREE);

	g_assert_true(sync_repo_commit(repo, &all, parent, "a", "m", &term, &id, &error));
	return id;
}

static bool has_text(SyncRepo *repo, const git_oid *commit_id, const char *text)
{
	g_autoptr(git_commit) found = NULL;
	g_autoptr(git_tree) all = NULL;
	g_autoptr(git_tree_entry) entry = NULL;
	g_autoptr(git_blob) content = NULL;

	return git_commit_lookup(&found, repo->git, commit_id) == 0 && git_commit_tree(&all, found) == 0 &&
	       git_tree_entry_bypath(&entry, all, "set/deep/b") == 0 && git_blob_lookup(&content, repo->git, git_tree_entry_id(entry)) == 0 &&
	       git_blob_rawsize(content) == (git_object_size_t)strlen(text) && memcmp(git_blob_rawcontent(content), text, strlen(text)) == 0;
}

static void test_there_and_back(void)
{
	setup();
	g_autoptr(SyncRepo) one = repository("one");
	g_autoptr(SyncRepo) two = repository("two");
	g_autoptr(GError) error = NULL;
	git_oid first, there, before, after;

	/* A commit has the second in which it was made. */
	do {
		first = commit(one, NULL, "first");
		there = commit(two, NULL, "first");
	} while (!git_oid_equal(&there, &first));
	git_oid second = commit(one, &first, "second"), third = commit(one, NULL, "third");

	/* Who has the one before it has all of it then; its past need not be the same. */
	g_assert_cmpint(git_oid_cmp(&there, &first), ==, 0);
	g_autoptr(GVariant) change = sync_change_new(one, &first, &second, 4096);
	g_autoptr(GVariant) rootless = sync_change_new(one, &second, &third, 4096);
	g_assert_nonnull(change);
	g_assert_nonnull(rootless);
	g_assert_true(sync_change_read(change, &before, &after));
	g_assert_true(git_oid_equal(&before, &first) && git_oid_equal(&after, &second));
	g_autoptr(GVariant) objects = g_variant_get_child_value(change, 2);
	g_assert_cmpuint(g_variant_n_children(objects), ==, 5); /* the commit, three folders, the file */
	g_assert_false(sync_change_take(two, rootless, &error)); /* what comes before it is not here */
	g_clear_error(&error);
	g_assert_true(sync_change_take(two, change, &error));
	g_assert_true(has_text(two, &second, "second"));
	g_assert_true(sync_change_take(two, rootless, &error));
	g_assert_true(has_text(two, &third, "third"));
	g_assert_no_error(error);
	teardown();
}

static void test_too_large(void)
{
	setup();
	g_autoptr(SyncRepo) repo = repository("one");
	g_autofree char *much = g_strnfill(5000, 'x');
	git_oid first = commit(repo, NULL, "first"), second = commit(repo, &first, much);
	g_autoptr(GVariant) none = sync_change_new(repo, &first, &second, 4096);
	g_autoptr(GVariant) some = sync_change_new(repo, &first, &second, 8192);

	g_assert_null(none);
	g_assert_nonnull(some);
	teardown();
}

static GVariant *without(GVariant *change, gsize left_out)
{
	g_autoptr(GVariant) objects = g_variant_get_child_value(change, 2);
	const char *before, *after;
	GVariantBuilder builder;

	g_variant_get(change, "(&s&s@a(yay))", &before, &after, NULL);
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(yay)"));
	for (gsize i = 0; i < g_variant_n_children(objects); i++) {
		g_autoptr(GVariant) object = g_variant_get_child_value(objects, i);

		if (i != left_out)
			g_variant_builder_add_value(&builder, object);
	}
	return g_variant_ref_sink(g_variant_new("(ss@a(yay))", before, after, g_variant_builder_end(&builder)));
}

static void test_what_lacks_something(void)
{
	setup();
	g_autoptr(SyncRepo) one = repository("one");
	git_oid first = commit(one, NULL, "first"), second = commit(one, &first, "second");
	g_autoptr(GVariant) change = sync_change_new(one, &first, &second, 4096);

	for (gsize i = 0; i < 5; i++) {
		g_autofree char *name = g_strdup_printf("lacks-%" G_GSIZE_FORMAT, i);
		g_autoptr(SyncRepo) two = repository(name);
		g_autoptr(GVariant) part = without(change, i);
		g_autoptr(GError) error = NULL;

		(void)commit(two, NULL, "first");
		g_assert_false(sync_change_take(two, part, &error));
		g_assert_nonnull(error);
	}
	teardown();
}

static void test_what_is_none(void)
{
	setup();
	g_autoptr(SyncRepo) repo = repository("one");
	static const char *const bad[] = {
		"('', '', @a(yay) [])",
		"('0123456789012345678901234567890123456789', 'x', @a(yay) [])",
		"('0123456789012345678901234567890123456789', '0123456789012345678901234567890123456789', [(byte 4, b'tag')])",
		"('0123456789012345678901234567890123456789', '0123456789012345678901234567890123456789', [(byte 7, [byte 1])])",
		"('0123456789012345678901234567890123456789', '0123456789012345678901234567890123456789', [(byte 2, b'not a tree'), (byte 3, @ay [])])",
		"'text'",
		"('0123456789012345678901234567890123456789', '0123456789012345678901234567890123456789', '../x')",
	};

	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GVariant) change = g_variant_parse(NULL, bad[i], NULL, NULL, &error);

		g_assert_no_error(error);
		g_assert_false(sync_change_take(repo, change, &error));
		g_assert_nonnull(error);
	}
	teardown();
}

/* ---- objects that are new ---- */

static guint packs(const char *name)
{
	g_autofree char *path = g_build_filename(top, name, "objects/pack", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *entry;
	guint n = 0;

	while (dir && (entry = g_dir_read_name(dir)))
		n += g_str_has_suffix(entry, ".pack");
	return n;
}

static void test_fresh(void)
{
	static const guint n_objects[] = { 5, 3000 }, n_packs[] = { 0, 1 };

	for (guint round = 0; round < G_N_ELEMENTS(n_objects); round++) {
		setup();
		g_autoptr(SyncRepo) one = repository("one");
		g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(git_oid));
		g_autoptr(GError) error = NULL;

		sync_fresh_begin(one->fresh);
		for (guint i = 0; i < n_objects[round]; i++) {
			g_autofree char *text = g_strdup_printf("object %u", i % 2999); /* one of them twice */
			git_oid id = blob(one, text);

			g_array_append_val(ids, id);
		}
		git_oid made = commit(one, NULL, "held");
		g_assert_true(has_text(one, &made, "held"));
		{
			g_autoptr(SyncRepo) two = repository("one"); /* nobody else has them yet */
			g_assert_false(has_text(two, &made, "held"));
		}
		g_assert_true(sync_fresh_end(one->fresh, one->git, &error));
		g_assert_cmpuint(packs("one"), ==, n_packs[round]);
		/* Another handle finds all. */
		g_autoptr(SyncRepo) two = repository("one");
		g_assert_true(has_text(two, &made, "held") && has_text(one, &made, "held"));
		for (guint i = 0; i < ids->len; i++) {
			g_autoptr(git_blob) content = NULL;
			g_autofree char *text = g_strdup_printf("object %u", i % 2999);

			g_assert_cmpint(git_blob_lookup(&content, two->git, &g_array_index(ids, git_oid, i)), ==, 0);
			g_assert_cmpint(memcmp(git_blob_rawcontent(content), text, strlen(text)), ==, 0);
		}
		teardown();
	}
}

/* A commit with @n files that nobody has had, which is @text and they. */
static git_oid commit_many(SyncRepo *repo, const git_oid *parent, const char *text, guint n)
{
	g_autoptr(git_treebuilder) builder = NULL;
	g_autoptr(git_commit) plain = NULL;
	g_autoptr(git_tree) all = NULL;
	SyncTerm term = { .number = 1, .id = (char *)"t", .device = (char *)"d" };
	git_oid id = commit(repo, parent, text), folder, whole;

	g_assert_cmpint(git_commit_lookup(&plain, repo->git, &id), ==, 0);
	g_assert_cmpint(git_commit_tree(&all, plain), ==, 0);
	g_assert_cmpint(git_treebuilder_new(&builder, repo->git, NULL), ==, 0);
	for (guint i = 0; i < n; i++) {
		/* Some that are longer than what is written at a time, and do not get smaller. */
		gsize length = i % 50 ? i % 7 * 11 : 100000;
		g_autofree guint8 *data = g_malloc(length + 1);
		g_autofree char *name = g_strdup_printf("f%u", i);
		git_oid blob_id;

		for (gsize k = 0; k < length; k++)
			data[k] = (guint8)g_random_int();
		g_assert_true(sync_fresh_store(repo->fresh, repo->git, data, length, GIT_OBJECT_BLOB, &blob_id, NULL));
		g_assert_cmpint(git_treebuilder_insert(NULL, builder, name, &blob_id, GIT_FILEMODE_BLOB), ==, 0);
	}
	g_assert_cmpint(git_treebuilder_write(&folder, builder), ==, 0);
	git_tree_update update = { .action = GIT_TREE_UPDATE_UPSERT, .id = folder, .filemode = GIT_FILEMODE_TREE, .path = "many" };
	g_assert_cmpint(git_tree_create_updated(&whole, repo->git, all, 1, &update), ==, 0);
	g_assert_true(sync_repo_commit(repo, &whole, parent, "a", "m", &term, &id, NULL));
	return id;
}

/* The pack that is made of what was in memory is one that git finds nothing wrong with, and brings all of a commit to who has the one before it. */
static void test_in_a_pack(void)
{
	setup();
	g_autoptr(SyncRepo) one = repository("one");
	g_autoptr(SyncRepo) two = repository("two");
	g_autoptr(GError) error = NULL;
	git_oid first, there, before, after;
	g_autofree char *file = NULL;
	gsize length;
	int status;

	do {
		first = commit(one, NULL, "first");
		there = commit(two, NULL, "first");
	} while (!git_oid_equal(&there, &first));
	sync_fresh_begin(one->fresh);
	git_oid many = commit_many(one, &first, "many", 700), again = commit(one, &many, "first");
	g_assert_true(sync_change_is_fresh(one, &first, &many));
	g_assert_false(sync_change_is_fresh(one, &many, &again)); /* the folder is that of the first */
	g_assert_null(sync_fresh_pack(one->fresh));
	g_assert_true(sync_fresh_end(one->fresh, one->git, &error));
	g_assert_false(sync_change_is_fresh(one, &first, &many));
	g_assert_nonnull(sync_fresh_pack(one->fresh));
	g_assert_cmpuint(packs("one"), ==, 1);

	g_autofree char *path = sync_pack_path(git_repository_path(one->git), sync_fresh_pack(one->fresh));
	const char *argv[] = { "git", "index-pack", "--verify", path, NULL };
	g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status, &error));
	g_assert_cmpint(status, ==, 0);

	g_autoptr(GVariant) change = sync_change_of_pack(&first, &many, sync_fresh_pack(one->fresh));
	g_assert_true(sync_change_read(change, &before, &after));
	g_assert_true(git_oid_equal(&before, &first) && git_oid_equal(&after, &many));
	g_assert_cmpstr(sync_change_pack(change), ==, sync_fresh_pack(one->fresh));
	g_assert_false(sync_change_take(two, change, &error)); /* it has not come */
	g_clear_error(&error);
	g_assert_true(g_file_get_contents(path, &file, &length, NULL));
	g_autoptr(GBytes) half = g_bytes_new_static(file, length / 2), whole = g_bytes_new_static(file, length);
	g_assert_false(sync_receive_pack(two->git, half, &error));
	g_clear_error(&error);
	g_assert_true(sync_receive_pack(two->git, whole, &error));
	g_assert_true(sync_change_take(two, change, &error));
	g_assert_true(has_text(two, &many, "many"));
	g_assert_null(sync_pack_path("x", "../../../../../../../etc/passwd00000000000"));
	g_assert_null(sync_pack_path("x", "0123"));
	teardown();
}

/* What is too much for the memory, or is large, is not held. */
static guint emptied; /* so many folders yet to be removed just before something is to come into them */

static void empty_folder_of(const char *to)
{
	g_autofree char *folder = g_path_get_dirname(to);

	if (emptied > 0 && strlen(folder) > 3 && folder[strlen(folder) - 3] == '/' && rmdir(folder) == 0)
		emptied--;
}

/* In the place of the C library's, for libgit2. */
int link(const char *from, const char *to)
{
	empty_folder_of(to);
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to)
{
	empty_folder_of(to);
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* Tidying removes empty folders, also one that was just made. */
static void test_fresh_and_tidying(void)
{
	setup();
	g_autoptr(SyncRepo) one = repository("one");
	g_autoptr(GError) error = NULL;
	g_autoptr(git_odb) odb = NULL;
	git_oid id;

	g_assert_cmpint(git_repository_odb(&odb, one->git), ==, 0);
	emptied = 2;
	g_assert_cmpint(git_odb_write(&id, odb, "not held", 8, GIT_OBJECT_BLOB), ==, 0);
	g_assert_cmpuint(emptied, ==, 0);
	sync_fresh_begin(one->fresh);
	(void)blob(one, "held");
	emptied = 2;
	g_assert_true(sync_fresh_end(one->fresh, one->git, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(emptied, ==, 0);
	teardown();
}

static void test_fresh_is_bounded(void)
{
	setup();
	g_autoptr(SyncRepo) one = repository("one");
	g_autoptr(GError) error = NULL;
	g_autofree char *large = g_strnfill(1 << 20, 'x');

	sync_fresh_begin(one->fresh);
	git_oid id = blob(one, large);
	{
		g_autoptr(SyncRepo) two = repository("one");
		g_autoptr(git_blob) content = NULL;
		g_assert_cmpint(git_blob_lookup(&content, two->git, &id), ==, 0);
	}
	for (guint i = 0; i < 1000; i++) {
		g_autofree char *text = g_strdup_printf("%05000u", i);
		(void)blob(one, text);
	}
	g_assert_cmpuint(packs("one"), >=, 2);
	/* Very small ones take room, too. */
	guint before = packs("one");
	for (guint i = 0; i < 12000; i++) {
		g_autofree char *text = g_strdup_printf("%u", i);
		(void)blob(one, text);
	}
	g_assert_cmpuint(packs("one"), >, before);
	/* What libgit2 itself stores, as the trees of many folders: it cannot write a pack meanwhile. */
	g_autoptr(git_odb) odb = NULL;
	g_assert_cmpint(git_repository_odb(&odb, one->git), ==, 0);
	for (guint i = 0; i < 1000; i++) {
		g_autofree char *text = g_strdup_printf("%05001u", i);
		g_assert_cmpint(git_odb_write(&id, odb, text, strlen(text), GIT_OBJECT_BLOB), ==, 0);
	}
	(void)blob(one, "which makes room");
	g_assert_cmpuint(packs("one"), >, before + 1);
	g_assert_true(sync_fresh_end(one->fresh, one->git, &error));
	teardown();
}

/* What cannot be written is known still, and written later. */
static void test_fresh_on_a_full_disk(void)
{
	setup();
	g_autoptr(SyncRepo) one = repository("one");
	g_autofree char *objects = g_build_filename(top, "one/objects", NULL), *away = g_build_filename(top, "one/away", NULL);
	g_autoptr(GError) error = NULL;

	sync_fresh_begin(one->fresh);
	git_oid made = commit(one, NULL, "held");
	g_assert_cmpint(rename(objects, away), ==, 0);
	g_assert_true(g_file_set_contents(objects, "in the way", -1, NULL));
	g_assert_false(sync_fresh_end(one->fresh, one->git, &error));
	g_assert_nonnull(error);
	g_clear_error(&error);
	g_assert_true(has_text(one, &made, "held"));
	g_assert_cmpint(unlink(objects), ==, 0);
	g_assert_cmpint(rename(away, objects), ==, 0);
	g_assert_true(sync_repo_reopen(one, &error));
	g_assert_true(has_text(one, &made, "held"));
	sync_fresh_begin(one->fresh);
	g_assert_true(sync_fresh_end(one->fresh, one->git, &error));
	g_autoptr(SyncRepo) two = repository("one");
	g_assert_true(has_text(two, &made, "held"));
	teardown();
}

/* ---- files that we placed ---- */

static gint64 put(const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(top, "files", name, NULL), *folder = g_path_get_dirname(path);
	struct stat st;

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(stat(path, &st), ==, 0);
	return (gint64)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void assert_is(SyncRepo *repo, const git_oid *tree_id, const char *path, const char *text)
{
	g_autoptr(git_tree) whole = NULL;
	g_autoptr(git_tree_entry) entry = NULL;
	git_oid id;

	g_assert_cmpint(git_odb_hash(&id, text, strlen(text), GIT_OBJECT_BLOB), ==, 0);
	g_assert_cmpint(git_tree_lookup(&whole, repo->git, tree_id), ==, 0);
	g_assert_cmpint(git_tree_entry_bypath(&entry, whole, path), ==, 0);
	g_assert_true(git_oid_equal(git_tree_entry_id(entry), &id));
}

/* In folders that nobody has looked at yet: they are listed, and what we placed is not read. Content that is not on the disk shows it. */
static void test_adopt(void)
{
	setup();
	g_autofree char *root = g_build_filename(top, "files", NULL);
	g_autoptr(SyncRepo) repo = repository("one");
	g_autoptr(GPtrArray) sets = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	SyncSet set = { .name = (char *)"pbx.files", .root = root, .ref = SYNC_REF_CONFIG };
	git_oid placed = blob(repo, "placed"), made;

	g_ptr_array_add(sets, &set);
	g_autoptr(SyncPicture) picture = sync_picture_new(sets, SYNC_REF_CONFIG, top, NULL);
	g_assert_true(sync_picture_refresh(picture, repo, NULL, &error)); /* there is nothing */
	gint64 a = put("a", "on disk"), b = put("new/deep/b", "on disk"), c = put("new/deep/c", "on disk");
	put("new/own", "own");
	put("new/beside/own", "own");
	put("own", "own");
	sync_picture_adopt(picture, &set, "a", &placed, a);
	sync_picture_adopt(picture, &set, "new/deep/b", &placed, b);
	sync_picture_adopt(picture, &set, "new/deep/c", &placed, c + 1); /* somebody has changed it since */
	sync_picture_mark(picture, &set, "");
	sync_picture_mark(picture, &set, "new/deep");
	g_assert_true(sync_picture_refresh(picture, repo, NULL, &error));
	g_assert_true(sync_picture_write(picture, repo, NULL, NULL, &made, &error));
	assert_is(repo, &made, "pbx.files/a", "placed");
	assert_is(repo, &made, "pbx.files/new/deep/b", "placed");
	assert_is(repo, &made, "pbx.files/new/deep/c", "on disk");
	assert_is(repo, &made, "pbx.files/new/own", "own");
	assert_is(repo, &made, "pbx.files/new/beside/own", "own");
	assert_is(repo, &made, "pbx.files/own", "own");
	/* The same below a set that is known, in folders that are not. */
	b = put("later/deep/b", "on disk");
	put("later/deep/own", "own");
	sync_picture_adopt(picture, &set, "later/deep/b", &placed, b);
	sync_picture_mark(picture, &set, "later/deep");
	sync_picture_mark(picture, &set, "");
	g_assert_true(sync_picture_refresh(picture, repo, NULL, &error));
	g_assert_true(sync_picture_write(picture, repo, NULL, NULL, &made, &error));
	assert_is(repo, &made, "pbx.files/later/deep/b", "placed");
	assert_is(repo, &made, "pbx.files/later/deep/own", "own");
	teardown();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	sync_repo_library_init();
	g_test_add_func("/change/there-and-back", test_there_and_back);
	g_test_add_func("/change/too-large", test_too_large);
	g_test_add_func("/change/lacks-something", test_what_lacks_something);
	g_test_add_func("/change/none", test_what_is_none);
	g_test_add_func("/fresh/held", test_fresh);
	g_test_add_func("/fresh/in-a-pack", test_in_a_pack);
	g_test_add_func("/fresh/bounded", test_fresh_is_bounded);
	g_test_add_func("/fresh/tidying", test_fresh_and_tidying);
	g_test_add_func("/fresh/full-disk", test_fresh_on_a_full_disk);
	g_test_add_func("/picture/adopt", test_adopt);
	return g_test_run();
}
