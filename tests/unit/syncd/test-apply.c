/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-apply.c - what somebody puts into the place of a step after the look: the commit comes, that is kept, and nothing else of it stays. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "syncd/apply/apply.h"
#include "syncd/files/file.h"
#include "syncd/files/picture.h"

static char *folder;

/* A device's files and what it has stored. */
typedef struct {
	char *root, *repository, *scratch, *journal;
	GPtrArray *sets;
	SyncSet *set;
	SyncRepo *repo;
	SyncPicture *picture;
	SyncGate *gate;
	GPtrArray *beside; /* of char*: what was told to lie beside its place */
	git_oid kept;      /* the tree; zero: none */
	guint n_kept;
} Device;

static bool keep(const git_oid *tree, const git_oid *parent, gpointer user_data, GError **error)
{
	Device *device = user_data;

	device->kept = *tree;
	device->n_kept++;
	return true;
}

static void beside(const char *path, gpointer user_data)
{
	g_ptr_array_add(((Device *)user_data)->beside, g_strdup(path));
}

static void whole(gpointer unused)
{
}

static Device *device_new(const char *name)
{
	Device *device = g_new0(Device, 1);
	g_autoptr(GError) error = NULL;

	device->root = g_build_filename(folder, name, NULL);
	device->scratch = g_strconcat(device->root, ".scratch", NULL);
	device->journal = g_strconcat(device->root, ".journal", NULL);
	g_assert_cmpint(g_mkdir(device->root, 0755), ==, 0);
	g_assert_cmpint(g_mkdir(device->scratch, 0755), ==, 0);
	device->repository = g_build_filename(folder, "repo.git", NULL); /* both have the same objects */
	device->repo = sync_repo_open(device->repository, &error);
	g_assert_no_error(error);
	device->set = g_new0(SyncSet, 1);
	device->set->name = g_strdup("s");
	device->set->root = g_strdup(device->root);
	device->set->exclude = g_strsplit("*.own", " ", -1);
	device->set->staged = true;
	device->sets = g_ptr_array_new_with_free_func((GDestroyNotify)sync_set_free);
	g_ptr_array_add(device->sets, device->set);
	device->picture = sync_picture_new(device->sets, SYNC_REF_CONFIG, device->scratch, NULL);
	device->gate = sync_gate_new(device->journal, NULL, 0, whole, NULL);
	device->beside = g_ptr_array_new_with_free_func(g_free);
	return device;
}

static void device_free(Device *device)
{
	sync_file_remove_tree(AT_FDCWD, device->root);
	sync_file_remove_tree(AT_FDCWD, device->scratch);
	sync_picture_free(device->picture);
	sync_gate_free(device->gate);
	sync_repo_free(device->repo);
	sync_file_remove_tree(AT_FDCWD, device->repository);
	g_ptr_array_unref(device->sets);
	g_ptr_array_unref(device->beside);
	g_free(device->root);
	g_free(device->repository);
	g_free(device->scratch);
	g_free(device->journal);
	g_free(device);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Device, device_free)

static char *shell(const char *root, const char *script)
{
	const char *words[] = { "sh", "-ec", script, NULL };
	g_autoptr(GError) error = NULL;
	char *output = NULL;
	int status;

	g_assert_true(g_spawn_sync(root, (char **)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, &status, &error));
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
	return g_strchomp(output);
}

static void run(const Device *device, const char *script)
{
	g_autofree char *output = shell(device->root, script);
}

static git_oid look(Device *device)
{
	g_autoptr(GError) error = NULL;
	git_oid tree;

	sync_picture_mark_all(device->picture);
	g_assert_true(sync_picture_refresh(device->picture, device->repo, NULL, &error));
	g_assert_true(sync_picture_write(device->picture, device->repo, NULL, NULL, &tree, &error));
	return tree;
}

static git_oid commit_of(Device *device, const git_oid *tree)
{
	const SyncTerm term = { .number = 1, .id = (char *)"t", .device = (char *)"d" };
	g_autoptr(GError) error = NULL;
	git_oid commit;

	g_assert_true(sync_repo_commit(device->repo, tree, NULL, "test", "test", &term, &commit, &error));
	return commit;
}

static SyncApply apply_of(Device *device, bool keeps)
{
	return (SyncApply){ .sets = device->sets, .ref = SYNC_REF_CONFIG, .repo = device->repo, .journal = device->journal, .gate = device->gate,
			    .keep = keeps ? keep : NULL, .beside = beside, .user_data = device };
}

/* @tree comes onto its files; after the look at them, and the staging, @edit happens. The number of steps. */
static guint apply(Device *device, const git_oid *tree, const char *edit, bool keeps)
{
	SyncApply how = apply_of(device, keeps);
	g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(GPtrArray) new_ = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	git_oid disk = look(device), commit = commit_of(device, tree);
	g_autofree char *hex = sync_oid_text(&commit);
	g_autoptr(SyncPlan) plan = sync_plan_new("config", hex);
	g_autoptr(GError) error = NULL;

	g_assert_true(sync_repo_compare(device->repo, &disk, tree, "s", old, new_, &error));
	sync_plan_add(plan, "s", old, new_);
	for (guint i = 0; i < plan->steps->len; i++) {
		SyncStep *step = plan->steps->pdata[i];

		step->was = step->stage ? sync_picture_was(device->picture, device->set, step->path) : NULL;
	}
	if (plan->steps->len == 0)
		return 0;
	g_assert_true(sync_apply_stage(&how, plan, NULL, NULL, &error));
	run(device, edit);
	g_assert_true(sync_apply_commit(&how, plan, NULL, &error));
	g_assert_no_error(error);
	return plan->steps->len;
}

/* What is kept at @path; NULL: nothing. */
static char *kept_at(Device *device, const char *path)
{
	g_autofree char *full = g_strconcat("s/", path, NULL);
	g_autoptr(git_tree) tree = NULL;
	g_autoptr(git_tree_entry) entry = NULL;
	g_autoptr(git_blob) blob = NULL;

	if (git_oid_is_zero(&device->kept))
		return NULL;
	g_assert_cmpint(git_tree_lookup(&tree, device->repo->git, &device->kept), ==, 0);
	if (git_tree_entry_bypath(&entry, tree, full) < 0 || git_blob_lookup(&blob, device->repo->git, git_tree_entry_id(entry)) < 0)
		return NULL;
	return g_strndup(git_blob_rawcontent(blob), git_blob_rawsize(blob));
}

typedef struct {
	const char *name;
	const char *both;   /* what both had */
	const char *here;   /* what does not travel */
	const char *leader; /* its change */
	const char *edit;   /* of the other, just before the steps */
	const char *kept;   /* where it must be found again, with the content "mine\n"; NULL: there is nothing to keep */
	const char *ours;   /* what lies beside, of our names */
	const char *later;  /* what the leader does then: it comes, too */
	bool again;         /* the first apply leaves a difference, of what nobody has looked at; the next one ends it */
} Case;

static const Case cases[] = {
	{ .name = "nothing", .leader = "echo theirs >g", .edit = "true", .ours = "" },
	{ .name = "file-in-a-file", .both = "echo old >g", .leader = "echo theirs >g", .edit = "echo mine >h; mv h g", .kept = "g", .ours = "" },
	{ .name = "file-that-goes", .both = "echo old >g", .leader = "rm g", .edit = "echo mine >h; mv h g", .kept = "g", .ours = "" },
	{ .name = "file-where-a-file-comes", .leader = "echo theirs >g", .edit = "echo mine >g", .kept = "g", .ours = "" },
	{ .name = "file-where-a-folder-comes", .leader = "mkdir g; echo theirs >g/x", .edit = "echo mine >g", .kept = "g", .ours = "" },
	{ .name = "link-where-a-folder-comes", .leader = "mkdir g; echo theirs >g/x", .edit = "ln -s /nowhere g", .ours = "" },
	{ .name = "folder-where-a-file-comes", .leader = "echo theirs >g", .edit = "mkdir -p g/d; echo mine >g/d/x", .kept = "g/d/x", .ours = "" },
	{ .name = "folder-in-a-file", .both = "echo old >g", .leader = "echo theirs >g", .edit = "rm g; mkdir g; echo mine >g/x", .kept = "g/x", .ours = "" },
	{ .name = "empty-folder-where-a-file-comes", .leader = "echo theirs >g", .edit = "mkdir -p g/d", .ours = "" },
	{ .name = "file-in-the-folder-above", .both = "mkdir -p a/c; echo old >a/c/x", .leader = "echo theirs >a/c/y", .edit = "rm -r a; echo mine >a",
	  .kept = "a", .ours = "", .again = true },
	{ .name = "file-in-a-folder-that-goes", .both = "mkdir a; echo old >a/x", .leader = "rm -r a", .edit = "echo mine >a/y", .ours = "", .again = true },
	{ .name = "folder-with-files-of-its-own", .leader = "mkdir a; echo theirs >a/g", .edit = "mkdir -p a/g/d; echo mine >a/g/x; echo own >a/g/d/y.own",
	  .kept = "a/g/x", .ours = "a/.understudy-aside.g a/.understudy-aside.g/d a/.understudy-aside.g/d/y.own" },
	{ .name = "nothing-that-lies-there-goes", .here = "mkdir .understudy-aside.g; echo own >.understudy-aside.g/x.own", .leader = "echo theirs >g",
	  .edit = "mkdir g; echo own >g/y.own", .ours = ".understudy-aside.g .understudy-aside.g.1 .understudy-aside.g.1/y.own .understudy-aside.g/x.own" },
	{ .name = "and-then-all-of-it-goes", .both = "mkdir a", .leader = "mkdir a/g; echo theirs >a/g/x", .edit = "echo mine >a/g", .kept = "a/g", .ours = "",
	  .later = "rm -r a" },
	{ .name = "and-then-all-of-it-goes-2", .both = "mkdir a", .leader = "echo theirs >a/g", .edit = "mkdir a/g; echo mine >a/g/x", .kept = "a/g/x", .ours = "",
	  .later = "rm -r a" },
};

static void assert_same(Device *device, const git_oid *tree)
{
	git_oid disk = look(device);
	g_autofree char *found = shell(device->root, "find . | sort"), *there = sync_oid_text(&disk), *wanted = sync_oid_text(tree);

	if (!g_str_equal(there, wanted))
		g_test_message("%s", found);
	g_assert_cmpstr(there, ==, wanted);
}

static void test_case(gconstpointer data)
{
	const Case *one = data;
	g_autoptr(Device) leader = device_new("leader"), follower = device_new("follower");
	git_oid tree;

	run(leader, one->both ? one->both : "true");
	tree = look(leader);
	(void)apply(follower, &tree, "true", true);
	run(follower, one->here ? one->here : "true");
	run(leader, one->leader);
	tree = look(leader);
	g_assert_cmpuint(apply(follower, &tree, one->edit, true), >, 0);
	if (one->again)
		g_assert_cmpuint(apply(follower, &tree, "true", true), >, 0);
	else
		assert_same(follower, &tree);
	g_assert_cmpuint(follower->n_kept, ==, one->kept || g_str_has_prefix(one->name, "link") ? 1 : 0);
	g_autofree char *content = kept_at(follower, one->kept ? one->kept : "none");
	g_assert_cmpstr(content, ==, one->kept ? "mine\n" : NULL);
	if (one->later) {
		run(leader, one->later);
		tree = look(leader);
		(void)apply(follower, &tree, "true", true);
	}
	assert_same(follower, &tree);
	g_autofree char *ours = shell(follower->root, "find . -path '*.understudy-*' | sort | sed 's,^./,,' | tr '\\n' ' '");
	g_assert_cmpstr(ours, ==, one->ours);
	g_assert_cmpuint(follower->beside->len, ==, strstr(one->ours, "y.own") ? 1 : 0);
}

/* Where the other's word is all that counts, nothing is kept; what is not the set's stays all the same. */
static void test_not_kept(void)
{
	g_autoptr(Device) leader = device_new("leader"), follower = device_new("follower");

	run(leader, "echo theirs >g; mkdir h; echo theirs >h/x");
	git_oid tree = look(leader);
	(void)apply(follower, &tree, "mkdir g; echo mine >g/x; echo own >g/y.own; echo mine >h", false);
	assert_same(follower, &tree);
	g_assert_cmpuint(follower->n_kept, ==, 0);
	g_autofree char *ours = shell(follower->root, "find . -path '*.understudy-*' | sort | tr '\\n' ' '");
	g_assert_cmpstr(ours, ==, "./.understudy-aside.g ./.understudy-aside.g/y.own");
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	g_test_init(&argc, &argv, NULL);
	sync_repo_library_init();
	folder = g_dir_make_tmp("test-apply-XXXXXX", &error);
	g_assert_no_error(error);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = g_strconcat("/sync/apply/overtaken/", cases[i].name, NULL);

		g_test_add_data_func(path, &cases[i], test_case);
	}
	g_test_add_func("/sync/apply/overtaken/not-kept", test_not_kept);
	int rc = g_test_run();
	sync_file_remove_tree(AT_FDCWD, folder);
	g_free(folder);
	return rc;
}
