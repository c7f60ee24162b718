/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who hurries waits for no disk; what was made in haste is found whole after a loss of power. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "syncd/apply/apply.h"
#include "syncd/files/disk.h"
#include "syncd/files/file.h"

static char *folder;

static char *in_folder(const char *name)
{
	return g_build_filename(folder, name, NULL);
}

static void put(const char *path, const char *text)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_holds(const char *path, const char *text)
{
	g_autofree char *found = NULL;
	(void)g_file_get_contents(path, &found, NULL, NULL);
	g_assert_cmpstr(found, ==, text);
}

static gboolean quit(gpointer loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

static void test_fsync(void)
{
	g_autofree char *path = in_folder("one");
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	put(path, "x");
	sync_autofd fd = open(path, O_RDWR | O_CLOEXEC);
	g_assert_cmpint(fsync(fd), ==, 0);
	g_assert_cmpint(sync_disk_file_system(fd), ==, 0);
	g_assert_true(sync_disk_is_lasting(0));
	g_assert_cmpint(fsync(-1), ==, -1);
	g_assert_cmpint(errno, ==, EBADF);
	sync_disk_hurry();
	for (guint i = 0; i < 1000; i++) /* more than are kept one by one */
		g_assert_cmpint(fsync(fd), ==, 0);
	sync_disk_calm();
	sync_disk_later(fd, NULL, quit, loop);
	g_main_loop_run(loop);
	g_assert_true(sync_disk_is_lasting(G_USEC_PER_SEC));
	/* Descriptors of those that waited are closed. */
	sync_autofd next = open(path, O_RDONLY | O_CLOEXEC);
	g_assert_cmpint(next, <, 20);
}

static gboolean never(gpointer unused)
{
	g_assert_not_reached();
}

/* What nobody was told of is not taken for being on the disk by the next who is; the one after him is told again. */
static void test_begun(void)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	sync_autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), none = open(folder, O_PATH | O_CLOEXEC);

	g_test_expect_message("understudy-syncd", G_LOG_LEVEL_WARNING, "the disk: *");
	g_test_expect_message("understudy-syncd", G_LOG_LEVEL_WARNING, "the disk: *");
	sync_disk_begin(none); /* the kernel will not have it */
	sync_disk_later(fd, NULL, never, NULL);
	sync_disk_later(fd, NULL, quit, loop);
	g_main_loop_run(loop);
	g_test_assert_expected_messages();
	for (guint i = 0; i < 1000; i++)
		sync_disk_begin(fd);
	sync_disk_begin(-1);
	sync_disk_later(fd, NULL, quit, loop);
	g_main_loop_run(loop);
}

/* A new file each time. */
static void ask_for(guint n)
{
	for (guint i = 0; i < n; i++) {
		g_autofree char *name = g_strdup_printf("gathered.%u", i), *path = in_folder(name);

		sync_autofd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		g_assert_cmpint(write(fd, "x", 1), ==, 1);
		g_assert_cmpint(fsync(fd), ==, 0);
	}
}

static void test_gather(void)
{
	sync_autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (guint round = 0; round < 2; round++) { /* few, then many */
		sync_disk_gather();
		ask_for(round ? 1000 : 3);
		for (guint i = 0; i < 1000; i++) /* one file, however often */
			g_assert_cmpint(fsync(fd), ==, 0);
		g_assert_cmpint(fsync(-1), ==, -1);
		g_assert_cmpint(errno, ==, EBADF);
		g_assert_cmpint(sync_disk_gathered(), ==, 0);
	}
	/* One within the other ends with it. */
	sync_disk_gather();
	sync_disk_gather();
	ask_for(100);
	g_assert_cmpint(sync_disk_gathered(), ==, 0);
	g_assert_cmpint(fsync(fd), ==, 0);
	g_assert_cmpint(sync_disk_gathered(), ==, 0);
	/* Nothing, and a few. */
	for (guint n = 0; n < 10; n++) {
		sync_disk_gather();
		ask_for(n);
		g_assert_cmpint(sync_disk_gathered(), ==, 0);
	}
	/* Another file system than that of the many. */
	sync_autofd other = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sync_disk_gather();
	ask_for(100);
	g_assert_cmpint(fsync(other), ==, 0);
	ask_for(100);
	g_assert_cmpint(sync_disk_gathered(), ==, 0);
	/* A pipe has no disk. */
	int ends[2];
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	sync_disk_gather();
	g_assert_cmpint(fsync(ends[0]), ==, 0);
	g_assert_cmpint(sync_disk_gathered(), ==, -1);
	g_assert_cmpint(errno, ==, EINVAL);
	(void)close(ends[0]);
	(void)close(ends[1]);
	g_assert_cmpint(fsync(fd), ==, 0);
	g_assert_true(sync_disk_is_lasting(G_USEC_PER_SEC));
}

/* ---- A journal whose steps were made, and a device whose power went before the disk had it ---- */

static git_oid tree_with(SyncRepo *repo, const char *set, const char *name, const char *text)
{
	git_oid blob, tree;
	git_tree *empty = NULL;
	g_autofree char *path = g_build_filename(set, name, NULL);
	git_treebuilder *builder = NULL;
	git_oid nothing;
	g_assert_cmpint(git_blob_create_from_buffer(&blob, repo->git, text, strlen(text)), ==, 0);
	g_assert_cmpint(git_treebuilder_new(&builder, repo->git, NULL), ==, 0);
	g_assert_cmpint(git_treebuilder_write(&nothing, builder), ==, 0);
	git_treebuilder_free(builder);
	g_assert_cmpint(git_tree_lookup(&empty, repo->git, &nothing), ==, 0);
	git_tree_update update = { .action = GIT_TREE_UPDATE_UPSERT, .id = blob, .filemode = GIT_FILEMODE_BLOB, .path = path };
	g_assert_cmpint(git_tree_create_updated(&tree, repo->git, empty, 1, &update), ==, 0);
	git_tree_free(empty);
	return tree;
}

static void nobody_waits(gpointer unused)
{
	g_assert_not_reached();
}

static void test_power_lost_in_haste(void)
{
	g_autofree char *root = in_folder("set"), *file = in_folder("set/dial"), *path = in_folder("repo.git"), *journal = in_folder("journal");
	g_autofree char *elsewhere = in_folder("journal.made.5.another-boot"), *boot = NULL;
	bool settled;
	g_autoptr(GPtrArray) sets = g_ptr_array_new(), staged = g_ptr_array_new(), old = g_ptr_array_new();
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(GError) error = NULL;
	SyncSet set = { .name = (char *)"pbx.dial", .root = root, .ref = SYNC_REF_CONFIG };
	g_auto(SyncTerm) term = { .number = 1, .id = g_strdup("a"), .device = g_strdup("a") };
	git_oid commit, found;

	g_assert_cmpint(g_mkdir(root, 0755), ==, 0);
	g_ptr_array_add(sets, &set);
	sync_repo_library_init();
	SyncRepo *repo = sync_repo_open(path, &error);
	g_assert_no_error(error);
	g_autoptr(SyncGate) gate = sync_gate_new(journal, NULL, 0, nobody_waits, NULL);
	SyncApply apply = { .sets = sets, .ref = SYNC_REF_CONFIG, .repo = repo, .journal = journal, .gate = gate };
	git_oid tree = tree_with(repo, "pbx.dial", "dial", "911 = 1001\n");
	g_assert_true(sync_repo_commit(repo, &tree, NULL, "x", "x", &term, &commit, &error));
	g_autofree char *hex = sync_oid_text(&commit), *blob = NULL;
	g_autoptr(SyncMeta) meta = sync_meta_new(SYNC_KIND_FILE, 0640, "root", "root", 1, "dial");
	git_oid id;
	g_assert_cmpint(git_odb_hash(&id, "911 = 1001\n", 11, GIT_OBJECT_BLOB), ==, 0);
	blob = sync_oid_text(&id);
	g_ptr_array_add(entries, sync_entry_new("dial", meta, blob));
	g_autoptr(SyncPlan) plan = sync_plan_new("config", hex);
	sync_plan_add(plan, "pbx.dial", old, entries);

	g_assert_true(sync_apply_stage(&apply, plan, staged, NULL, &error) && sync_apply_commit(&apply, plan, NULL, &error));
	assert_holds(file, "911 = 1001\n");
	g_assert_false(sync_apply_waits_for_disk(&apply, 0));

	/* The name is there, the content is not; the ref did not come either. */
	g_autofree char *text = sync_plan_to_journal(plan);
	put(elsewhere, text);
	put(file, "");
	sync_repo_drop_ref(repo, "heads", "config");
	g_assert_true(sync_apply_settle(&apply, &settled, &error));
	assert_holds(file, "911 = 1001\n");
	g_assert_true(sync_repo_get_ref(repo, "heads", "config", &found) && git_oid_equal(&found, &commit));
	g_assert_false(sync_apply_waits_for_disk(&apply, 0));

	/* In the same boot the steps are not made twice: an application may have changed the file since. */
	g_assert_true(g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL));
	g_autofree char *here = g_strdup_printf("%s.made.7.%s", journal, g_strstrip(boot));
	put(here, text);
	put(file, "newer\n");
	g_assert_true(sync_apply_settle(&apply, &settled, &error));
	assert_holds(file, "newer\n");
	g_assert_true(sync_apply_waits_for_disk(&apply, 6));
	g_assert_false(sync_apply_waits_for_disk(&apply, 7));
	sync_apply_ask_disk(&apply);
	sync_apply_lasting(&apply, 6);
	g_assert_true(sync_apply_waits_for_disk(&apply, 0));
	sync_apply_lasting(&apply, 7);
	g_assert_false(sync_apply_waits_for_disk(&apply, 0));
	sync_repo_free(repo);
}

/* ---- many files, which nobody waits for ---- */

enum { MANY = 40 };

typedef struct {
	char *root, *journal;
	GPtrArray *sets;
	SyncSet set;
	SyncGate *gate;
	SyncApply apply;
	git_oid commit;
	SyncPlan *plan;
} Late;

/* Each file holds its name and @text. */
static git_oid commit_many(SyncRepo *repo, const git_oid *parent, const char *text, GPtrArray *entries)
{
	g_auto(SyncTerm) term = { .number = 1, .id = g_strdup("a"), .device = g_strdup("a") };
	g_autoptr(SyncMeta) meta = sync_meta_new(SYNC_KIND_FILE, 0640, "root", "root", 1, NULL);
	git_oid tree = tree_with(repo, "pbx.dial", "0", text), commit;
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < MANY; i++) {
		g_autofree char *name = g_strdup_printf("%u", i), *path = g_build_filename("pbx.dial", name, NULL), *content = g_strconcat(name, text, NULL);
		g_autoptr(git_tree) before = NULL;
		git_oid blob;

		g_assert_cmpint(git_blob_create_from_buffer(&blob, repo->git, content, strlen(content)), ==, 0);
		g_assert_cmpint(git_tree_lookup(&before, repo->git, &tree), ==, 0);
		git_tree_update update = { .action = GIT_TREE_UPDATE_UPSERT, .id = blob, .filemode = GIT_FILEMODE_BLOB, .path = path };
		g_assert_cmpint(git_tree_create_updated(&tree, repo->git, before, 1, &update), ==, 0);
		g_autofree char *hex = sync_oid_text(&blob);
		g_ptr_array_add(entries, sync_entry_new(name, meta, hex));
	}
	g_assert_true(sync_repo_commit(repo, &tree, parent, "x", "x", &term, &commit, &error));
	return commit;
}

static void late_begin(Late *late, const char *name)
{
	g_autofree char *repository = g_strconcat(folder, "/", name, ".git", NULL);
	g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free), old = g_ptr_array_new(), entries = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	late->root = in_folder(name);
	late->journal = g_strconcat(folder, "/", name, ".journal", NULL);
	g_assert_cmpint(g_mkdir(late->root, 0755), ==, 0);
	late->set = (SyncSet){ .name = (char *)"pbx.dial", .root = late->root, .ref = SYNC_REF_CONFIG };
	late->sets = g_ptr_array_new();
	g_ptr_array_add(late->sets, &late->set);
	late->gate = sync_gate_new(late->journal, NULL, 0, nobody_waits, NULL);
	late->apply = (SyncApply){ .sets = late->sets, .ref = SYNC_REF_CONFIG, .repo = sync_repo_open(repository, &error), .journal = late->journal,
				   .gate = late->gate };
	g_assert_no_error(error);
	late->commit = commit_many(late->apply.repo, NULL, " old\n", entries);
	g_autofree char *hex = sync_oid_text(&late->commit);
	late->plan = sync_plan_new("config", hex);
	sync_plan_add(late->plan, "pbx.dial", old, entries);
	sync_apply_make_late(late->plan);
	g_assert_true(sync_apply_stage(&late->apply, late->plan, unknown, NULL, &error) && sync_apply_commit(&late->apply, late->plan, NULL, &error));
	g_assert_true(sync_apply_waits_for_disk(&late->apply, 0));
}

static void late_end(Late *late)
{
	sync_plan_free(late->plan);
	sync_repo_free(late->apply.repo);
	sync_gate_free(late->gate);
	g_ptr_array_unref(late->sets);
	g_free(late->journal);
	g_free(late->root);
}

/* The journals as they would be found after a start of the machine; as @name. */
static void other_boot(Late *late, const char *ending)
{
	g_autofree char *path = g_strconcat(late->journal, ending, NULL), *text = NULL;

	sync_apply_lasting(&late->apply, G_MAXINT64);
	g_assert_false(sync_apply_waits_for_disk(&late->apply, 0));
	g_free(late->plan->boot);
	late->plan->boot = g_strdup("another-boot");
	text = sync_plan_to_journal(late->plan);
	put(path, text);
}

static void assert_all_hold(const Late *late, const char *text)
{
	for (guint i = 0; i < MANY; i++) {
		g_autofree char *path = g_strdup_printf("%s/%u", late->root, i), *content = g_strdup_printf("%u%s", i, text);

		assert_holds(path, content);
	}
}

static void lose(const Late *late, guint i)
{
	g_autofree char *path = g_strdup_printf("%s/%u", late->root, i);

	put(path, "");
}

static void test_power_lost_after_many(void)
{
	static const char *const endings[] = { "", ".made.5.another-boot" }; /* in the midst of the steps; when they were made */
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(endings); i++) {
		g_autofree char *name = g_strdup_printf("many%u", i), *gone = NULL;
		Late late = { 0 };
		git_oid found;
		bool moved;

		late_begin(&late, name);
		assert_all_hold(&late, " old\n");
		other_boot(&late, endings[i]);
		lose(&late, 3);
		gone = g_build_filename(late.root, "4", NULL);
		g_assert_cmpint(g_unlink(gone), ==, 0);
		sync_repo_drop_ref(late.apply.repo, "heads", "config");
		g_assert_true(sync_apply_settle(&late.apply, &moved, &error));
		assert_all_hold(&late, " old\n");
		g_assert_true(sync_repo_get_ref(late.apply.repo, "heads", "config", &found) && git_oid_equal(&found, &late.commit));
		g_assert_false(sync_apply_waits_for_disk(&late.apply, 0) || g_file_test(late.journal, G_FILE_TEST_EXISTS));
		late_end(&late);
	}
}

/* A newer commit changed one file and waited for the disk; the other files were left to the first one. */
static void test_power_lost_after_newer(void)
{
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(GError) error = NULL;
	Late late = { 0 };
	git_oid newer, found;
	bool moved;

	late_begin(&late, "newer");
	other_boot(&late, ".made.5.another-boot");
	newer = commit_many(late.apply.repo, &late.commit, " new\n", entries);
	g_assert_true(sync_repo_set_ref(late.apply.repo, "heads", "config", &newer, &error));
	for (guint i = 0; i < MANY; i++)
		lose(&late, i);
	g_assert_true(sync_apply_settle(&late.apply, &moved, &error));
	assert_all_hold(&late, " new\n");
	g_assert_true(sync_repo_get_ref(late.apply.repo, "heads", "config", &found) && git_oid_equal(&found, &newer));
	late_end(&late);
}

/* Somebody takes the folder of a file away while that is on its way. */
static void test_folder_taken_away(void)
{
	static const char *const now[] = { "gone", "a file", "a link" };

	sync_repo_library_init();
	for (guint i = 0; i < G_N_ELEMENTS(now); i++) {
		g_autofree char *top = in_folder(now[i]), *root = g_build_filename(top, "set", NULL), *path = g_build_filename(top, "repo.git", NULL);
		g_autofree char *journal = g_build_filename(top, "journal", NULL), *outer = g_build_filename(root, "a", NULL);
		g_autofree char *inner = g_build_filename(outer, "b", NULL), *file = g_build_filename(inner, "dial", NULL);
		g_autoptr(GPtrArray) sets = g_ptr_array_new(), unknown = g_ptr_array_new(), old = g_ptr_array_new();
		g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
		g_autoptr(GError) error = NULL;
		SyncSet set = { .name = (char *)"pbx.dial", .root = root, .ref = SYNC_REF_CONFIG };
		g_auto(SyncTerm) term = { .number = 1, .id = g_strdup("a"), .device = g_strdup("a") };
		g_autoptr(SyncMeta) meta = sync_meta_new(SYNC_KIND_FILE, 0640, "root", "root", 1, "dial");
		git_oid commit, id;

		g_ptr_array_add(sets, &set);
		g_assert_cmpint(g_mkdir_with_parents(inner, 0755), ==, 0);
		SyncRepo *repo = sync_repo_open(path, &error);
		g_autoptr(SyncGate) gate = sync_gate_new(journal, NULL, 0, nobody_waits, NULL);
		SyncApply apply = { .sets = sets, .ref = SYNC_REF_CONFIG, .repo = repo, .journal = journal, .gate = gate };
		git_oid tree = tree_with(repo, "pbx.dial", "a/b/dial", "911 = 1001\n");
		g_assert_true(sync_repo_commit(repo, &tree, NULL, "x", "x", &term, &commit, &error));
		g_assert_cmpint(git_odb_hash(&id, "911 = 1001\n", 11, GIT_OBJECT_BLOB), ==, 0);
		g_autofree char *hex = sync_oid_text(&commit), *blob = sync_oid_text(&id);
		g_ptr_array_add(entries, sync_entry_new("a/b/dial", meta, blob));
		g_autoptr(SyncPlan) plan = sync_plan_new("config", hex);
		sync_plan_add(plan, "pbx.dial", old, entries);

		g_assert_true(sync_apply_stage(&apply, plan, unknown, NULL, &error));
		g_assert_cmpint(rmdir(inner), ==, 0);
		g_assert_cmpint(rmdir(outer), ==, 0);
		if (i == 1)
			put(outer, "in the way");
		if (i == 2)
			g_assert_cmpint(symlink("/tmp", outer), ==, 0);
		g_assert_true(sync_apply_commit(&apply, plan, NULL, &error));
		g_assert_no_error(error);
		assert_holds(file, "911 = 1001\n");
		g_assert_false(g_file_test(outer, G_FILE_TEST_IS_SYMLINK) || g_file_test(journal, G_FILE_TEST_EXISTS));
		sync_repo_free(repo);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	folder = g_dir_make_tmp("disk-XXXXXX", NULL);
	g_test_add_func("/disk/begun", test_begun); /* the first: nothing is under way */
	g_test_add_func("/disk/fsync", test_fsync);
	g_test_add_func("/disk/gather", test_gather);
	g_test_add_func("/disk/folder-taken-away", test_folder_taken_away);
	g_test_add_func("/disk/power-lost-in-haste", test_power_lost_in_haste);
	g_test_add_func("/disk/power-lost-after-many", test_power_lost_after_many);
	g_test_add_func("/disk/power-lost-after-newer", test_power_lost_after_newer);
	int status = g_test_run();
	g_autofree char *above = g_path_get_dirname(folder), *name = g_path_get_basename(folder);
	sync_autofd fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sync_file_remove_tree(fd, name);
	g_free(folder);
	return status;
}
