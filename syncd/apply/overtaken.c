/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/overtaken.c - a tree of what was there, with what came in between. */
#include "syncd/apply/overtaken.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/apply/migrate.h"
#include "syncd/files/file.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"
#include "syncd/files/picture.h"

bool sync_overtaken_is_as_it_was(const SyncStep *step, const struct stat *st)
{
	const SyncWas *was = step->was;

	if (was && g_str_equal(was->id, "*"))
		return true;
	return was && was->inode && st->st_ino == was->inode && st->st_size == was->size &&
	       (gint64)st->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_mtim.tv_nsec == was->mtime_ns;
}

typedef struct {
	const SyncApply *apply;
	git_repository *git;
	git_oid tree;
} Keeping;

/* Its content as a blob, and what its folder's manifest says of it. */
static bool store(Keeping *keeping, const SyncOvertaken *one, git_oid *ret_blob, SyncMeta **ret_meta, GError **error)
{
	const char *name = sync_path_last(one->step->path);
	char target[PATH_MAX];
	struct stat st;
	bool ok = fstatat(one->folder_fd, one->name, &st, AT_SYMLINK_NOFOLLOW) == 0;

	if (ok && S_ISLNK(st.st_mode)) {
		ssize_t n = readlinkat(one->folder_fd, one->name, target, sizeof target);

		if (n > 0 && git_blob_create_from_buffer(ret_blob, keeping->git, target, (gsize)n) < 0)
			return sync_git_error(error, "storing a link");
		ok = n > 0;
	} else if (ok) {
		sync_autofd fd = openat(one->folder_fd, one->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0 && !sync_picture_store(keeping->apply->repo, (SyncObjects *)keeping->apply->objects, fd, (gsize)st.st_size, ret_blob, error))
			return false;
		ok = fd >= 0;
	}
	if (!ok) {
		sync_error_from_errno(error, errno, "reading what was replaced");
		return false;
	}
	*ret_meta = sync_meta_new(S_ISLNK(st.st_mode) ? SYNC_KIND_LINK : SYNC_KIND_FILE, st.st_mode & 01777, sync_owner_user(st.st_uid), sync_owner_group(st.st_gid),
				  MAX((gint64)st.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_mtim.tv_nsec, 0), name);
	return true;
}

/* The manifest of a folder; of one that is not there: that of an empty one. NULL and @error. */
static GHashTable *manifest_of(Keeping *keeping, git_tree *tree, const char *path, GError **error)
{
	g_autoptr(git_tree_entry) entry = NULL;
	g_autoptr(git_blob) blob = NULL;

	if (git_tree_entry_bypath(&entry, tree, path) == 0) {
		if (git_blob_lookup(&blob, keeping->git, git_tree_entry_id(entry)) == 0)
			return sync_manifest_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), error);
		sync_git_error(error, "reading a manifest");
		return NULL;
	}
	GHashTable *metas = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)sync_meta_free);
	SyncMeta *itself = sync_meta_new(SYNC_KIND_FOLDER, 0755, "root", "root", 0, ".");
	g_hash_table_insert(metas, (char *)itself->name, itself);
	return metas;
}

static bool store_manifest(Keeping *keeping, GHashTable *metas, git_oid *ret_id, GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new();
	GHashTableIter iter;
	gpointer meta;

	g_hash_table_iter_init(&iter, metas);
	while (g_hash_table_iter_next(&iter, NULL, &meta))
		g_ptr_array_add(list, meta);
	g_autofree char *text = sync_manifest_build(list);
	if (git_blob_create_from_buffer(ret_id, keeping->git, text, strlen(text)) < 0)
		return sync_git_error(error, "storing a manifest");
	return true;
}

static bool update(Keeping *keeping, git_tree *tree, const char *path, const git_oid *id, git_filemode_t mode, GError **error)
{
	git_tree_update change = { .action = GIT_TREE_UPDATE_UPSERT, .id = *id, .filemode = mode, .path = path };

	if (git_tree_create_updated(&keeping->tree, keeping->git, tree, 1, &change) < 0)
		return sync_git_error(error, "keeping what was replaced");
	return true;
}

/* The folder @path, and those above it, have a manifest; that of @path has @meta, when that is not NULL. */
static bool put_manifest(Keeping *keeping, const char *path, SyncMeta *meta, GError **error)
{
	g_autofree char *parent = sync_path_parent(path), *manifest = sync_path_join(path, SYNC_MANIFEST_NAME);
	g_autoptr(git_tree) tree = NULL;
	g_autoptr(git_tree_entry) entry = NULL;
	git_oid id;

	/* The first level is the data sets. */
	if (*parent && !put_manifest(keeping, parent, NULL, error)) {
		sync_meta_free(meta);
		return false;
	}
	if (git_tree_lookup(&tree, keeping->git, &keeping->tree) < 0) {
		sync_meta_free(meta);
		return sync_git_error(error, "keeping what was replaced");
	}
	if (!meta && git_tree_entry_bypath(&entry, tree, manifest) == 0)
		return true;
	g_autoptr(GHashTable) metas = manifest_of(keeping, tree, manifest, error);
	if (!metas) {
		sync_meta_free(meta);
		return false;
	}
	if (meta)
		g_hash_table_replace(metas, (char *)meta->name, meta);
	return store_manifest(keeping, metas, &id, error) && update(keeping, tree, manifest, &id, GIT_FILEMODE_BLOB, error);
}

static bool put(Keeping *keeping, const SyncOvertaken *one, const git_oid *blob, SyncMeta *meta, GError **error)
{
	g_autofree char *path = sync_path_join(one->step->set, one->step->path), *folder = sync_path_parent(path);
	git_filemode_t mode = meta->kind == SYNC_KIND_LINK ? GIT_FILEMODE_LINK : meta->mode & S_IXUSR ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;
	g_autoptr(git_tree) tree = NULL;

	if (!put_manifest(keeping, folder, meta, error))
		return false;
	if (git_tree_lookup(&tree, keeping->git, &keeping->tree) < 0)
		return sync_git_error(error, "keeping what was replaced");
	return update(keeping, tree, path, blob, mode, error);
}

static bool begin(Keeping *keeping, const git_oid *parent, GError **error)
{
	g_autoptr(git_treebuilder) builder = NULL;

	if (parent)
		return sync_repo_tree_of(keeping->apply->repo, parent, &keeping->tree, error);
	if (git_treebuilder_new(&builder, keeping->git, NULL) < 0 || git_treebuilder_write(&keeping->tree, builder) < 0)
		return sync_git_error(error, "keeping what was replaced");
	return true;
}

bool sync_overtaken_keep(const SyncApply *apply, const char *ref, GPtrArray *list, GError **error)
{
	Keeping keeping = { .apply = apply, .git = apply->repo->git };
	git_oid head, parent;
	bool has_head = sync_repo_get_ref(apply->repo, "heads", ref, &head), any = false;

	if (!apply->keep)
		return true;
	if (has_head)
		sync_migrate_files(apply->repo, ref, &head, &parent);
	if (!begin(&keeping, has_head ? &parent : NULL, error))
		return false;
	for (guint i = 0; i < list->len; i++) {
		const SyncOvertaken *one = list->pdata[i];
		SyncMeta *meta = NULL;
		git_oid blob;

		if (!store(&keeping, one, &blob, &meta, error))
			return false;
		g_autofree char *hex = sync_oid_text(&blob);
		if (one->step->was && g_str_equal(one->step->was->id, hex)) {
			sync_meta_free(meta);
			continue;
		}
		if (!put(&keeping, one, &blob, meta, error))
			return false;
		any = true;
	}
	return !any || apply->keep(&keeping.tree, has_head ? &parent : NULL, apply->user_data, error);
}
