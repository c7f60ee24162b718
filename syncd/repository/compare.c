/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/compare.c - what differs between two trees, with owners and modes; and whether a tree is one that may be applied. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/repository/manifest.h"
#include "syncd/files/path.h"
#include "syncd/repository/repo.h"

enum { DEPTH_MAX = 64 };

typedef struct {
	SyncRepo *repo;
	SyncDiffers differs;
	gpointer user_data;
	bool enough;
} Comparison;

/* One folder of one side. */
typedef struct {
	git_tree *tree;    /* NULL: the folder is not there */
	GHashTable *metas; /* name -> SyncMeta; "." for itself */
} Side;

static void side_clear(Side *side)
{
	g_clear_pointer(&side->tree, git_tree_free);
	g_clear_pointer(&side->metas, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Side, side_clear)

static bool bad(GError **error, const char *path, const char *reason)
{
	g_autofree char *printable = sync_printable(path);

	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the commit cannot be applied: %s: %s", printable, reason);
	return false;
}

static bool side_load(SyncRepo *repo, const git_oid *id, const char *path, Side *ret_side, GError **error)
{
	g_auto(Side) side = { 0 };
	g_autoptr(git_blob) manifest = NULL;

	if (!id)
		return true;
	if (git_tree_lookup(&side.tree, repo->git, id) < 0)
		return sync_git_error(error, "reading a folder");
	const git_tree_entry *entry = git_tree_entry_byname(side.tree, SYNC_MANIFEST_NAME);
	if (!entry || git_tree_entry_type(entry) != GIT_OBJECT_BLOB)
		return bad(error, path, "no manifest");
	if (git_blob_lookup(&manifest, repo->git, git_tree_entry_id(entry)) < 0)
		return sync_git_error(error, "reading a manifest");
	side.metas = sync_manifest_parse(git_blob_rawcontent(manifest), git_blob_rawsize(manifest), error);
	if (!side.metas)
		return false;
	/* Every file has its line, every line its file, and the two agree on what it is. */
	gsize n_files = 0;
	for (gsize i = 0; i < git_tree_entrycount(side.tree); i++) {
		const git_tree_entry *item = git_tree_entry_byindex(side.tree, i);
		const char *name = git_tree_entry_name(item);
		const SyncMeta *meta = g_hash_table_lookup(side.metas, name);

		if (g_str_equal(name, SYNC_MANIFEST_NAME))
			continue;
		if (!sync_name_ok(name) || sync_name_is_ours(name))
			return bad(error, path, "a name that may not travel");
		switch (git_tree_entry_filemode(item)) {
		case GIT_FILEMODE_TREE:
			if (meta)
				return bad(error, path, "a folder in the manifest");
			continue;
		case GIT_FILEMODE_BLOB:
		case GIT_FILEMODE_BLOB_EXECUTABLE:
			if (!meta || meta->kind != SYNC_KIND_FILE)
				return bad(error, path, "a file that is not in the manifest");
			break;
		case GIT_FILEMODE_LINK:
			if (!meta || meta->kind != SYNC_KIND_LINK)
				return bad(error, path, "a link that is not in the manifest");
			break;
		case GIT_FILEMODE_UNREADABLE:
		case GIT_FILEMODE_COMMIT:
			return bad(error, path, "neither file, folder nor link");
		}
		n_files++;
	}
	if (n_files + (g_hash_table_contains(side.metas, ".") ? 1 : 0) != g_hash_table_size(side.metas))
		return bad(error, path, "the manifest names what is not there");
	*ret_side = side;
	side = (Side){ 0 };
	return true;
}

static const git_tree_entry *side_entry(const Side *side, const char *name)
{
	return side->tree ? git_tree_entry_byname(side->tree, name) : NULL;
}

static const SyncMeta *side_meta(const Side *side, const char *name)
{
	return side->metas ? g_hash_table_lookup(side->metas, name) : NULL;
}

static void note(Comparison *cmp, const char *path, const SyncMeta *was, const git_tree_entry *before, const SyncMeta *becomes, const git_tree_entry *after)
{
	if (!cmp->enough && (was || becomes))
		cmp->enough = !cmp->differs(path, was, was && before ? git_tree_entry_id(before) : NULL, becomes,
					    becomes && after ? git_tree_entry_id(after) : NULL, cmp->user_data);
}

static bool compare(Comparison *cmp, const git_oid *old_id, const git_oid *new_id, const char *path, guint depth, GError **error);

static const git_oid *folder_id(const git_tree_entry *entry)
{
	return entry && git_tree_entry_type(entry) == GIT_OBJECT_TREE ? git_tree_entry_id(entry) : NULL;
}

static bool compare_name(Comparison *cmp, const Side *old, const Side *new_, const char *name, const char *path, guint depth, GError **error)
{
	const git_tree_entry *before = side_entry(old, name);
	const git_tree_entry *after = side_entry(new_, name);
	const SyncMeta *was = side_meta(old, name);
	const SyncMeta *becomes = side_meta(new_, name);
	g_autofree char *inner = sync_path_join(path, name);
	bool same_content = before && after && git_oid_equal(git_tree_entry_id(before), git_tree_entry_id(after));

	if (same_content && (!was || !becomes ? was == becomes : sync_meta_equal(was, becomes)))
		return true;
	note(cmp, inner, was, before, becomes, after);
	if (!folder_id(before) && !folder_id(after))
		return true;
	return compare(cmp, folder_id(before), folder_id(after), inner, depth + 1, error);
}

static bool compare(Comparison *cmp, const git_oid *old_id, const git_oid *new_id, const char *path, guint depth, GError **error)
{
	g_auto(Side) old = { 0 };
	g_auto(Side) new_ = { 0 };

	if (depth > DEPTH_MAX)
		return bad(error, path, "too deep");
	if (!side_load(cmp->repo, old_id, path, &old, error) || !side_load(cmp->repo, new_id, path, &new_, error))
		return false;
	const SyncMeta *was = side_meta(&old, ".");
	const SyncMeta *becomes = side_meta(&new_, ".");
	if (!was || !becomes || !sync_meta_equal(was, becomes))
		note(cmp, path, was, NULL, becomes, NULL);
	for (gsize i = 0; !cmp->enough && old.tree && i < git_tree_entrycount(old.tree); i++) {
		const char *name = git_tree_entry_name(git_tree_entry_byindex(old.tree, i));

		if (!g_str_equal(name, SYNC_MANIFEST_NAME) && !compare_name(cmp, &old, &new_, name, path, depth, error))
			return false;
	}
	for (gsize i = 0; !cmp->enough && new_.tree && i < git_tree_entrycount(new_.tree); i++) {
		const char *name = git_tree_entry_name(git_tree_entry_byindex(new_.tree, i));

		if (!g_str_equal(name, SYNC_MANIFEST_NAME) && !side_entry(&old, name) &&
		    !compare_name(cmp, &old, &new_, name, path, depth, error))
			return false;
	}
	return true;
}

/* The subtree of @set in @tree; absent is not an error. */
static bool set_tree(SyncRepo *repo, const git_oid *tree_id, const char *set, git_oid *ret_id, bool *ret_there, GError **error)
{
	g_autoptr(git_tree) tree = NULL;

	*ret_there = false;
	if (!tree_id)
		return true;
	if (git_tree_lookup(&tree, repo->git, tree_id) < 0)
		return sync_git_error(error, "reading a commit's tree");
	const git_tree_entry *entry = git_tree_entry_byname(tree, set);
	if (!entry)
		return true;
	if (git_tree_entry_type(entry) != GIT_OBJECT_TREE)
		return bad(error, set, "not a data set");
	*ret_id = *git_tree_entry_id(entry);
	*ret_there = true;
	return true;
}

bool sync_repo_each_difference(SyncRepo *repo, const git_oid *old_tree, const git_oid *new_tree, const char *set, SyncDiffers differs, gpointer user_data,
			       GError **error)
{
	Comparison cmp = { .repo = repo, .differs = differs, .user_data = user_data };
	git_oid old_id, new_id;
	bool old_there, new_there;

	if (!set_tree(repo, old_tree, set, &old_id, &old_there, error) || !set_tree(repo, new_tree, set, &new_id, &new_there, error))
		return false;
	if (old_there && new_there && git_oid_equal(&old_id, &new_id))
		return true;
	return compare(&cmp, old_there ? &old_id : NULL, new_there ? &new_id : NULL, "", 0, error);
}

typedef struct {
	GPtrArray *old, *new_;
} Lists;

static void list(GPtrArray *entries, const char *path, const SyncMeta *meta, const git_oid *id)
{
	g_autofree char *hex = id ? sync_oid_text(id) : NULL;

	g_ptr_array_add(entries, sync_entry_new(path, meta, hex));
}

static bool list_both(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data)
{
	Lists *lists = user_data;

	if (was)
		list(lists->old, path, was, was_id);
	if (becomes)
		list(lists->new_, path, becomes, id);
	return true;
}

bool sync_repo_compare(SyncRepo *repo, const git_oid *old_tree, const git_oid *new_tree, const char *set, GPtrArray *old, GPtrArray *new_,
		       GError **error)
{
	Lists lists = { old, new_ };

	return sync_repo_each_difference(repo, old_tree, new_tree, set, list_both, &lists, error);
}

char **sync_repo_sets(SyncRepo *repo, const git_oid *tree_id, GError **error)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	g_autoptr(git_tree) tree = NULL;

	if (git_tree_lookup(&tree, repo->git, tree_id) < 0) {
		sync_git_error(error, "reading a commit's tree");
		return NULL;
	}
	for (gsize i = 0; i < git_tree_entrycount(tree); i++)
		g_strv_builder_add(names, git_tree_entry_name(git_tree_entry_byindex(tree, i)));
	return g_strv_builder_end(names);
}
