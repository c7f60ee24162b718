/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Recordings that were written for their set ahead of the staging. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <unistd.h>

#include "syncd/apply/places.h"
#include "syncd/files/file.h"

static char *top;

typedef struct {
	char *root, *hidden, *journal;
	GPtrArray *sets;
	SyncSet set;
	SyncObjects *objects;
	SyncGate *gate;
	SyncApply apply;
} Lab;

static void nobody_waits(gpointer unused)
{
	g_assert_not_reached();
}

static void begin(Lab *lab, const char *name)
{
	g_autofree char *folder = g_build_filename(top, name, NULL), *store = g_build_filename(folder, "lfs", NULL);
	g_autofree char *repository = g_build_filename(folder, "repo.git", NULL);
	g_autoptr(GError) error = NULL;

	*lab = (Lab){ .root = g_build_filename(folder, "mail", NULL), .journal = g_build_filename(folder, "journal", NULL) };
	g_assert_cmpint(g_mkdir_with_parents(lab->root, 0755), ==, 0);
	lab->hidden = g_build_filename(lab->root, ".understudy-ahead.pbx.mail", NULL);
	lab->set = (SyncSet){ .name = (char *)"pbx.mail", .root = lab->root, .ref = SYNC_REF_VOICE };
	lab->sets = g_ptr_array_new();
	g_ptr_array_add(lab->sets, &lab->set);
	lab->objects = sync_objects_open(store, &error);
	lab->gate = sync_gate_new(lab->journal, NULL, 0, nobody_waits, NULL);
	lab->apply = (SyncApply){ .sets = lab->sets, .ref = SYNC_REF_VOICE, .repo = sync_repo_open(repository, &error), .objects = lab->objects,
				  .journal = lab->journal, .gate = lab->gate };
	g_assert_no_error(error);
	lab->apply.ahead = sync_ahead_new(lab->sets, SYNC_REF_VOICE, lab->objects);
}

static void end(Lab *lab)
{
	sync_ahead_free(lab->apply.ahead);
	sync_repo_free(lab->apply.repo);
	sync_gate_free(lab->gate);
	sync_objects_free(lab->objects);
	g_ptr_array_unref(lab->sets);
	g_free(lab->root);
	g_free(lab->hidden);
	g_free(lab->journal);
}

static SyncPointer record(const Lab *lab, const char *content)
{
	g_autofree char *path = g_strconcat(lab->root, ".new", NULL);
	SyncPointer pointer;

	g_assert_true(g_file_set_contents(path, content, -1, NULL));
	sync_autofd fd = open(path, O_RDONLY | O_CLOEXEC);
	g_assert_true(sync_objects_put(lab->objects, fd, NULL, &pointer, NULL));
	return pointer;
}

static ino_t add(const Lab *lab, const SyncPointer *pointer)
{
	sync_autofd fd = sync_ahead_add(lab->apply.ahead, "pbx.mail/101/msg0.wav", pointer, NULL);
	struct stat st;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(fstat(fd, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
	return st.st_ino;
}

static void settle(const SyncApply *apply)
{
	bool moved;

	g_assert_true(sync_apply_settle(apply, &moved, NULL));
}

/* One file of the commit was written ahead, the other was not; both are staged and get their places. */
static void test_staged(void)
{
	static const char *const contents[] = { "written ahead", "not written ahead" };
	g_autoptr(GPtrArray) old = g_ptr_array_new(), unknown = g_ptr_array_new();
	g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(SyncMeta) meta = sync_meta_new(SYNC_KIND_FILE, 0640, "root", "root", 5, NULL);
	g_auto(SyncTerm) term = { .number = 1, .id = g_strdup("a"), .device = g_strdup("a") };
	g_autoptr(GError) error = NULL;
	git_treebuilder *builder = NULL;
	git_oid tree, commit;
	struct stat st;
	ino_t ahead = 0;
	Lab lab;

	begin(&lab, "staged");
	for (guint i = 0; i < G_N_ELEMENTS(contents); i++) {
		SyncPointer pointer = record(&lab, contents[i]);
		g_autofree char *text = sync_pointer_text(&pointer), *name = g_strdup_printf("%u", i), *hex = NULL;
		git_oid blob;

		g_assert_cmpint(git_blob_create_from_buffer(&blob, lab.apply.repo->git, text, strlen(text)), ==, 0);
		hex = sync_oid_text(&blob);
		g_ptr_array_add(entries, sync_entry_new(name, meta, hex));
		if (i == 0)
			ahead = add(&lab, &pointer);
	}
	g_assert_cmpint(git_treebuilder_new(&builder, lab.apply.repo->git, NULL), ==, 0);
	g_assert_cmpint(git_treebuilder_write(&tree, builder), ==, 0);
	git_treebuilder_free(builder);
	g_assert_true(sync_repo_commit(lab.apply.repo, &tree, NULL, "x", "x", &term, &commit, &error));
	g_autofree char *hex = sync_oid_text(&commit);
	g_autoptr(SyncPlan) plan = sync_plan_new("voice", hex);
	sync_plan_add(plan, "pbx.mail", old, entries);
	g_assert_true(sync_apply_stage(&lab.apply, plan, unknown, NULL, &error) && sync_apply_commit(&lab.apply, plan, NULL, &error));
	for (guint i = 0; i < G_N_ELEMENTS(contents); i++) {
		g_autofree char *path = g_strdup_printf("%s/%u", lab.root, i), *found = NULL;

		g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
		g_assert_cmpstr(found, ==, contents[i]);
		g_assert_cmpint(stat(path, &st), ==, 0);
		g_assert_cmpuint(st.st_mode & 07777, ==, 0640);
		g_assert_cmpint(st.st_mtim.tv_nsec, ==, 5);
		g_assert_true((st.st_ino == ahead) == (i == 0));
	}
	end(&lab);
}

/* What was begun and did not become all of it, and what was taken, is not taken. */
static void test_only_whole_ones(void)
{
	Lab lab;

	begin(&lab, "whole");
	SyncPointer pointer = record(&lab, "a recording");
	sync_autofd root_fd = open(lab.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_assert_cmpint(sync_ahead_take(lab.apply.ahead, "pbx.mail", &pointer, root_fd, "0"), ==, -1);
	g_assert_cmpint(sync_ahead_take(NULL, "pbx.mail", &pointer, root_fd, "0"), ==, -1);
	g_assert_cmpint(sync_ahead_add(lab.apply.ahead, "pbx.other/msg0.wav", &pointer, NULL), ==, -1);
	for (guint i = 0; i < 2; i++) {
		(void)add(&lab, &pointer);
		g_autofree char *path = g_build_filename(lab.hidden, pointer.id, NULL), *taken = g_strdup_printf("%u", i);
		if (i == 1)
			g_assert_cmpint(truncate(path, 3), ==, 0);
		sync_autofd fd = sync_ahead_take(lab.apply.ahead, "pbx.mail", &pointer, root_fd, taken);
		g_assert_cmpint(fd >= 0, ==, i == 0);
		g_assert_cmpint(faccessat(root_fd, taken, F_OK, 0) == 0, ==, i == 0);
	}
	/* One that is filled while the object comes, which then is another. */
	sync_autofd filled_fd = sync_ahead_begin(lab.apply.ahead, "pbx.mail/msg0.wav", &pointer);
	g_assert_cmpint(write(filled_fd, "another one", pointer.size), ==, pointer.size);
	sync_ahead_drop(lab.apply.ahead, "pbx.mail/msg0.wav", &pointer);
	g_assert_cmpint(sync_ahead_take(lab.apply.ahead, "pbx.mail", &pointer, root_fd, "2"), ==, -1);
	/* An object that is not whole is no copy either. */
	g_autofree char *object = sync_objects_path(lab.objects, pointer.id);
	g_assert_cmpint(truncate(object, 3), ==, 0);
	g_assert_cmpint(sync_ahead_add(lab.apply.ahead, "pbx.mail/msg0.wav", &pointer, NULL), ==, -1);
	end(&lab);
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* It outlives a pull that fetched some, and no process. */
static void test_left_over(void)
{
	Lab lab;

	begin(&lab, "left");
	SyncPointer pointer = record(&lab, "a recording");
	(void)add(&lab, &pointer);
	settle(&lab.apply);
	g_assert_true(is_there(lab.hidden));
	g_clear_pointer(&lab.apply.ahead, sync_ahead_free);
	settle(&lab.apply);
	g_assert_false(is_there(lab.hidden));
	/* What somebody has put there instead is not written into. */
	g_autofree char *other = g_build_filename(top, "other", NULL), *through = g_build_filename(other, pointer.id, NULL);
	g_assert_cmpint(g_mkdir(other, 0700), ==, 0);
	g_assert_cmpint(symlink(other, lab.hidden), ==, 0);
	lab.apply.ahead = sync_ahead_new(lab.sets, SYNC_REF_VOICE, lab.objects);
	(void)add(&lab, &pointer);
	g_assert_false(is_there(through));
	end(&lab);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	sync_repo_library_init();
	top = g_dir_make_tmp("ahead-XXXXXX", NULL);
	g_test_add_func("/sync/ahead/staged", test_staged);
	g_test_add_func("/sync/ahead/only-whole-ones", test_only_whole_ones);
	g_test_add_func("/sync/ahead/left-over", test_left_over);
	int rc = g_test_run();
	sync_file_remove_tree(AT_FDCWD, top);
	g_free(top);
	return rc;
}
