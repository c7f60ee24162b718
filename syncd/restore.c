/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/restore.c - the leader's way back: an earlier state, or one that was kept aside, whole or in part, as a new commit. */
#include <string.h>

#include "engine-private.h"
#include "error.h"
#include "manifest.h"
#include "path.h"

/* Of the line, or of one that is kept aside. */
static bool is_ours(SyncLine *line, const git_oid *head, const git_oid *commit)
{
	g_auto(GStrv) kept = sync_repo_diverged(line->repo);

	if (sync_repo_contains(line->repo, head, commit))
		return true;
	for (guint i = 0; kept[i]; i++) {
		git_oid id;

		if (git_reference_name_to_id(&id, line->repo->git, kept[i]) == 0 && sync_repo_contains(line->repo, &id, commit))
			return true;
	}
	return false;
}

/* ---- a part of a tree ---- */

static bool not_found(GError **error, const char *path, const char *what)
{
	g_autofree char *shown = sync_printable(path);

	g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "%s: %s", shown, what);
	return false;
}

/* What @tree has at @path; *ret_kind GIT_OBJECT_INVALID: nothing. */
static void entry_at(git_tree *tree, const char *path, git_oid *ret_id, git_filemode_t *ret_mode, git_object_t *ret_kind)
{
	g_autoptr(git_tree_entry) entry = NULL;

	*ret_kind = GIT_OBJECT_INVALID;
	if (git_tree_entry_bypath(&entry, tree, path) < 0)
		return;
	*ret_id = *git_tree_entry_id(entry);
	*ret_mode = git_tree_entry_filemode(entry);
	*ret_kind = git_tree_entry_type(entry);
}

static GHashTable *metas_at(git_repository *git, git_tree *tree, const char *manifest, GError **error)
{
	g_autoptr(git_blob) blob = NULL;
	git_oid id;
	git_filemode_t mode;
	git_object_t kind;

	entry_at(tree, manifest, &id, &mode, &kind);
	if (kind != GIT_OBJECT_BLOB || git_blob_lookup(&blob, git, &id) < 0) {
		not_found(error, manifest, "there is no such folder; restore the folder itself");
		return NULL;
	}
	return sync_manifest_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), error);
}

/* The manifest of the folder of @path, with the line of @path as @from has it (or without, when it has none). */
static bool merge_manifest(git_repository *git, git_tree *from, git_tree *into, const char *path, const char *manifest, git_oid *ret_id, GError **error)
{
	g_autoptr(GHashTable) old = metas_at(git, into, manifest, error);
	g_autoptr(GHashTable) wanted = old ? metas_at(git, from, manifest, error) : NULL;
	g_autoptr(GPtrArray) metas = g_ptr_array_new();
	const char *name = sync_path_last(path);
	GHashTableIter iter;
	SyncMeta *meta;

	if (!wanted)
		return false;
	g_hash_table_iter_init(&iter, old);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&meta))
		if (!g_str_equal(meta->name, name))
			g_ptr_array_add(metas, meta);
	SyncMeta *restored = g_hash_table_lookup(wanted, name);
	if (restored)
		g_ptr_array_add(metas, restored);
	g_autofree char *text = sync_manifest_build(metas);
	if (git_blob_create_from_buffer(ret_id, git, text, strlen(text)) < 0)
		return sync_git_error(error, "restoring a file");
	return true;
}

/* @into with what @from has at @path in its place. */
static bool replace_part(SyncLine *line, const git_oid *from_id, const git_oid *into_id, const char *path, git_oid *ret_tree, GError **error)
{
	git_repository *git = line->repo->git;
	g_autoptr(git_tree) from = NULL;
	g_autoptr(git_tree) into = NULL;
	g_autofree char *folder = sync_path_parent(path), *manifest = sync_path_join(folder, SYNC_MANIFEST_NAME);
	git_tree_update updates[2] = { { 0 } };
	git_oid old_id;
	git_filemode_t old_mode;
	git_object_t kind, old_kind;
	guint n = 0;

	if (git_tree_lookup(&from, git, from_id) < 0 || git_tree_lookup(&into, git, into_id) < 0)
		return sync_git_error(error, "restoring a part");
	entry_at(from, path, &updates[0].id, &updates[0].filemode, &kind);
	entry_at(into, path, &old_id, &old_mode, &old_kind);
	if (kind == GIT_OBJECT_INVALID && old_kind == GIT_OBJECT_INVALID)
		return not_found(error, path, "neither there nor here");
	updates[0].path = path;
	updates[0].action = kind == GIT_OBJECT_INVALID ? GIT_TREE_UPDATE_REMOVE : GIT_TREE_UPDATE_UPSERT;
	/* A change of kind is two: git_tree_create_updated() refuses it. */
	if (kind != GIT_OBJECT_INVALID && old_kind != GIT_OBJECT_INVALID && kind != old_kind)
		return not_found(error, path, "it is a folder in one and none in the other; restore the folder above");
	n = 1;
	if (kind == GIT_OBJECT_BLOB || old_kind == GIT_OBJECT_BLOB) {
		if (!merge_manifest(git, from, into, path, manifest, &updates[1].id, error))
			return false;
		updates[1].action = GIT_TREE_UPDATE_UPSERT;
		updates[1].filemode = GIT_FILEMODE_BLOB;
		updates[1].path = manifest;
		n = 2;
	} else {
		git_oid id;
		git_filemode_t mode;
		git_object_t above;

		/* A folder needs one to be in; the first level is the data sets. */
		if (*folder)
			entry_at(into, folder, &id, &mode, &above);
		if (*folder && above != GIT_OBJECT_TREE)
			return not_found(error, folder, "there is no such folder; restore that one");
	}
	if (git_tree_create_updated(ret_tree, git, into, n, updates) < 0)
		return sync_git_error(error, "restoring a part");
	return true;
}

/* ---- the whole ---- */

bool sync_restore(SyncLine *line, const char *from, const char *path, bool tried, const char *author, const char *message, GError **error)
{
	git_oid target, head, tree, disk, commit;

	if (!sync_repo_find(line->repo, from, &target, error))
		return false;
	/* What is on disk now has its place in the line before it is replaced. */
	if (!sync_lead_commit(line, "system", NULL, error))
		return false;
	if (!sync_repo_get_ref(line->repo, "heads", line->name, &head) || !is_ours(line, &head, &target)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "no such commit is in the line of the configuration, or kept aside");
		return false;
	}
	if (!sync_repo_tree_of(line->repo, &target, &tree, error) || !sync_repo_tree_of(line->repo, &head, &disk, error))
		return false;
	if (*path && !replace_part(line, &tree, &disk, path, &tree, error))
		return false;
	if (git_oid_equal(&tree, &disk))
		return true;
	g_mutex_lock(&line->engine->lock);
	g_autoptr(GCancellable) cancellable = g_object_ref(line->following);
	g_mutex_unlock(&line->engine->lock);
	return sync_repo_commit(line->repo, &tree, &head, author, message, &line->term, &commit, error) &&
	       (tried || sync_trial_pass(line, &disk, &tree, &commit, cancellable, error)) &&
	       sync_line_put(line, &disk, &tree, &commit, message, error);
}
