/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/restore.c - the leader's way back: an earlier state, or one that was kept aside, whole or in part, as a new commit. */
#include <string.h>

#include "engine-private.h"
#include "error.h"
#include "syncd/repository/manifest.h"
#include "syncd/files/path.h"

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

/* What a folder's manifest says; of a folder that is not there: nothing. */
static GHashTable *metas_at(git_repository *git, git_tree *tree, const char *manifest, GError **error)
{
	g_autoptr(git_blob) blob = NULL;
	git_oid id;
	git_filemode_t mode;
	git_object_t kind;

	entry_at(tree, manifest, &id, &mode, &kind);
	if (kind != GIT_OBJECT_BLOB)
		return g_hash_table_new(g_str_hash, g_str_equal);
	if (git_blob_lookup(&blob, git, &id) < 0) {
		sync_git_error(error, "restoring a part");
		return NULL;
	}
	return sync_manifest_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), error);
}

/* The manifest of the folder of @path: the lines of @old but that of @name, and those that @wanted has of @name and, when @folder, of the folder. */
static bool store_manifest(git_repository *git, GHashTable *old, GHashTable *wanted, const char *name, bool folder, git_oid *ret_id, GError **error)
{
	g_autoptr(GPtrArray) metas = g_ptr_array_new();
	SyncMeta *restored = g_hash_table_lookup(wanted, name), *itself = folder ? g_hash_table_lookup(wanted, ".") : NULL;
	GHashTableIter iter;
	SyncMeta *meta;

	g_hash_table_iter_init(&iter, old);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&meta))
		if (!g_str_equal(meta->name, name))
			g_ptr_array_add(metas, meta);
	if (restored)
		g_ptr_array_add(metas, restored);
	if (itself)
		g_ptr_array_add(metas, itself);
	g_autofree char *text = sync_manifest_build(metas);
	if (git_blob_create_from_buffer(ret_id, git, text, strlen(text)) < 0)
		return sync_git_error(error, "restoring a file");
	return true;
}

/* What stands, or shall stand, at a path. */
typedef struct {
	git_oid id;
	git_filemode_t mode;
	git_object_t kind; /* GIT_OBJECT_INVALID: nothing */
} Part;

/* The folder of @path as @from has it, with @part alone in it. */
static bool wrap(git_repository *git, git_tree *from, const char *path, Part *part, GError **error)
{
	g_autofree char *folder = sync_path_parent(path), *manifest = sync_path_join(folder, SYNC_MANIFEST_NAME);
	g_autoptr(GHashTable) wanted = metas_at(git, from, manifest, error);
	g_autoptr(GHashTable) nothing = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(git_treebuilder) builder = NULL;
	const char *name = sync_path_last(path);
	git_oid manifest_id, id;

	if (!wanted || !store_manifest(git, nothing, wanted, name, true, &manifest_id, error))
		return false;
	if (git_treebuilder_new(&builder, git, NULL) < 0 || git_treebuilder_insert(NULL, builder, name, &part->id, part->mode) < 0 ||
	    git_treebuilder_insert(NULL, builder, SYNC_MANIFEST_NAME, &manifest_id, GIT_FILEMODE_BLOB) < 0 ||
	    git_treebuilder_write(&id, builder) < 0)
		return sync_git_error(error, "restoring a part");
	*part = (Part){ .id = id, .mode = GIT_FILEMODE_TREE, .kind = GIT_OBJECT_TREE };
	return true;
}

/* git_tree_create_updated() does not change a folder into a file, nor back: it is taken away first. */
static bool put_part(git_repository *git, git_tree *from, git_tree *into, const char *path, const Part *old, const Part *part, git_oid *ret_tree,
		     GError **error)
{
	g_autofree char *folder = sync_path_parent(path), *manifest = sync_path_join(folder, SYNC_MANIFEST_NAME);
	bool goes = old->kind != GIT_OBJECT_INVALID && old->kind != part->kind;
	g_autoptr(git_tree) without = NULL;
	git_tree_update updates[2] = { { 0 } };
	git_oid id;
	guint n = 0;

	updates[0] = (git_tree_update){ .action = GIT_TREE_UPDATE_REMOVE, .path = path };
	if (goes && (git_tree_create_updated(&id, git, into, 1, updates) < 0 || git_tree_lookup(&without, git, &id) < 0))
		return sync_git_error(error, "restoring a part");
	if (part->kind != GIT_OBJECT_INVALID)
		updates[n++] = (git_tree_update){ .action = GIT_TREE_UPDATE_UPSERT, .id = part->id, .filemode = part->mode, .path = path };
	if (part->kind == GIT_OBJECT_BLOB || old->kind == GIT_OBJECT_BLOB) {
		g_autoptr(GHashTable) lines = metas_at(git, into, manifest, error);
		g_autoptr(GHashTable) wanted = lines ? metas_at(git, from, manifest, error) : NULL;

		updates[n] = (git_tree_update){ .action = GIT_TREE_UPDATE_UPSERT, .filemode = GIT_FILEMODE_BLOB, .path = manifest };
		if (!wanted || !store_manifest(git, lines, wanted, sync_path_last(path), false, &updates[n++].id, error))
			return false;
	}
	if (n == 0)
		*ret_tree = id;
	else if (git_tree_create_updated(ret_tree, git, without ? without : into, n, updates) < 0)
		return sync_git_error(error, "restoring a part");
	return true;
}

/* @into with what @from has at @path in its place; with the folders that it needs, which are what they were in @from. */
static bool replace_part(SyncLine *line, const git_oid *from_id, const git_oid *into_id, const char *path, git_oid *ret_tree, GError **error)
{
	git_repository *git = line->repo->git;
	g_autoptr(git_tree) from = NULL;
	g_autoptr(git_tree) into = NULL;
	g_autofree char *at = g_strdup(path);
	Part old, part, above;

	if (git_tree_lookup(&from, git, from_id) < 0 || git_tree_lookup(&into, git, into_id) < 0)
		return sync_git_error(error, "restoring a part");
	entry_at(from, path, &part.id, &part.mode, &part.kind);
	entry_at(into, path, &old.id, &old.mode, &old.kind);
	if (part.kind == GIT_OBJECT_INVALID && old.kind == GIT_OBJECT_INVALID)
		return not_found(error, path, "neither there nor here");
	for (;;) {
		g_autofree char *folder = sync_path_parent(at);

		/* The first level is the data sets. */
		entry_at(into, folder, &above.id, &above.mode, &above.kind);
		if (*folder == '\0' || above.kind == GIT_OBJECT_TREE)
			break;
		if (!wrap(git, from, at, &part, error))
			return false;
		g_free(at);
		at = g_steal_pointer(&folder);
		old = above;
	}
	return put_part(git, from, into, at, &old, &part, ret_tree, error);
}

/* ---- the whole ---- */

/* All of it, where an older firmware made it, comes in the form that this one reads. */
static bool migrate(SyncLine *line, const SyncRestore *wish, const git_oid *target, GCancellable *cancellable, git_oid *tree, GError **error)
{
	g_auto(SyncTerm) made = { 0 };

	if (wish->tried)
		return true;
	return sync_repo_term_of(line->repo, target, &made, error) &&
	       sync_trial_migrate_tree(line, target, made.firmware ? made.firmware : wish->firmware, cancellable, tree, error);
}

bool sync_restore(SyncLine *line, const SyncRestore *wish, const char *author, const char *message, GError **error)
{
	git_oid target, head, tree, disk, commit;

	if (!sync_repo_find(line->repo, wish->from, &target, error))
		return false;
	/* What is on disk now has its place in the line before it is replaced. */
	if (!sync_lead_commit(line, "system", NULL, error))
		return false;
	if (!sync_repo_get_ref(line->repo, "heads", line->name, &head) || !is_ours(line, &head, &target)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "no such commit is in the line of the configuration, or kept aside");
		return false;
	}
	sync_migrate_files(line->repo, line->name, &head, &head);
	if (!sync_repo_tree_of(line->repo, &target, &tree, error) || !sync_repo_tree_of(line->repo, &head, &disk, error))
		return false;
	g_mutex_lock(&line->engine->lock);
	g_autoptr(GCancellable) cancellable = g_object_ref(line->following);
	g_mutex_unlock(&line->engine->lock);
	sync_line_store_begin(line);
	bool ok = *wish->path ? replace_part(line, &tree, &disk, wish->path, &tree, error) : migrate(line, wish, &target, cancellable, &tree, error);
	if (ok && !git_oid_equal(&tree, &disk))
		ok = sync_repo_commit(line->repo, &tree, &head, author, message, &line->term, &commit, error) &&
		     (wish->tried || sync_trial_pass(line, &disk, &tree, &commit, cancellable, error)) &&
		     sync_line_put(line, &disk, &tree, &commit, message, error);
	sync_line_store_end(line);
	return ok;
}
