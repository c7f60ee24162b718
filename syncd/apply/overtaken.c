/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/overtaken.c - what came in between: a tree of what was there, with that in its place. */
#include "syncd/apply/overtaken.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/apply/migrate.h"
#include "syncd/files/file.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"
#include "syncd/files/store.h"

enum { DEPTH_MAX = 64, ASIDE_TRIES = 1000, ASIDE_LENGTH = 200 };

char *sync_overtaken_name(const SyncStep *step, guint depth)
{
	return depth ? g_strdup_printf("was.%u.%u", step->stage, depth) : g_strdup_printf("was.%u", step->stage);
}

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
	bool any;          /* something new is in it */
	GPtrArray *stored; /* of char*, below the present one's folder_fd: what is in the tree, or known already */
} Keeping;

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

/* @id NULL: what is at @path goes. */
static bool update(Keeping *keeping, const char *path, const git_oid *id, git_filemode_t mode, GError **error)
{
	git_tree_update change = { .action = id ? GIT_TREE_UPDATE_UPSERT : GIT_TREE_UPDATE_REMOVE, .filemode = mode, .path = path };
	g_autoptr(git_tree) tree = NULL;

	if (id)
		change.id = *id;
	if (git_tree_lookup(&tree, keeping->git, &keeping->tree) < 0 || git_tree_create_updated(&keeping->tree, keeping->git, tree, 1, &change) < 0)
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
	return store_manifest(keeping, metas, &id, error) && update(keeping, manifest, &id, GIT_FILEMODE_BLOB, error);
}

/* What the tree has at @path. GIT_OBJECT_INVALID: nothing. */
static git_object_t kind_at(Keeping *keeping, const char *path)
{
	g_autoptr(git_tree) tree = NULL;
	g_autoptr(git_tree_entry) entry = NULL;

	if (git_tree_lookup(&tree, keeping->git, &keeping->tree) < 0 || git_tree_entry_bypath(&entry, tree, path) < 0)
		return GIT_OBJECT_INVALID;
	return git_tree_entry_type(entry);
}

/* @path, a file or a link, is not there any more. */
static bool drop(Keeping *keeping, const char *path, GError **error)
{
	g_autofree char *folder = sync_path_parent(path), *manifest = sync_path_join(folder, SYNC_MANIFEST_NAME);
	g_autoptr(git_tree) tree = NULL;
	git_oid id;

	if (git_tree_lookup(&tree, keeping->git, &keeping->tree) < 0)
		return sync_git_error(error, "keeping what was replaced");
	g_autoptr(GHashTable) metas = manifest_of(keeping, tree, manifest, error);
	if (!metas)
		return false;
	g_hash_table_remove(metas, sync_path_last(path));
	return store_manifest(keeping, metas, &id, error) && update(keeping, manifest, &id, GIT_FILEMODE_BLOB, error) && update(keeping, path, NULL, 0, error);
}

/* Where the tree has a file and a folder is to be, and the other way round, what it has goes. @path: with the set in front. */
static bool make_way(Keeping *keeping, const char *path, GError **error)
{
	if (kind_at(keeping, path) == GIT_OBJECT_TREE)
		return update(keeping, path, NULL, 0, error);
	for (const char *slash = strchr(path, '/'); slash && (slash = strchr(slash + 1, '/'));) {
		g_autofree char *above = g_strndup(path, (gsize)(slash - path));

		if (kind_at(keeping, above) == GIT_OBJECT_BLOB)
			return drop(keeping, above, error);
	}
	return true;
}

static bool put(Keeping *keeping, const char *path, const git_oid *blob, SyncMeta *meta, GError **error)
{
	g_autofree char *folder = sync_path_parent(path);
	git_filemode_t mode = meta->kind == SYNC_KIND_LINK ? GIT_FILEMODE_LINK : meta->mode & S_IXUSR ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB;

	if (!make_way(keeping, path, error)) {
		sync_meta_free(meta);
		return false;
	}
	return put_manifest(keeping, folder, meta, error) && update(keeping, path, blob, mode, error);
}

/* ---- what lies there ---- */

/* What was taken away, or something in it. */
typedef struct {
	const SyncOvertaken *one;
	int folder_fd;
	const char *name;
	const char *lies; /* below one->folder_fd */
	const char *path; /* where it stood, in the set */
	guint depth;
	struct stat st;
} Found;

/* Its content as a blob, and what its folder's manifest says of it. */
static bool store(Keeping *keeping, const Found *found, git_oid *ret_blob, SyncMeta **ret_meta, GError **error)
{
	const struct stat *st = &found->st;
	char target[PATH_MAX];
	bool ok;

	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(found->folder_fd, found->name, target, sizeof target);

		if (n > 0 && git_blob_create_from_buffer(ret_blob, keeping->git, target, (gsize)n) < 0)
			return sync_git_error(error, "storing a link");
		ok = n > 0;
	} else {
		sync_autofd fd = openat(found->folder_fd, found->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0 && !sync_store_file(keeping->apply->repo, (SyncObjects *)keeping->apply->objects, fd, (gsize)st->st_size, NULL, ret_blob, error))
			return false;
		ok = fd >= 0;
	}
	if (!ok) {
		sync_error_from_errno(error, errno, "reading what was replaced");
		return false;
	}
	*ret_meta = sync_meta_new(S_ISLNK(st->st_mode) ? SYNC_KIND_LINK : SYNC_KIND_FILE, st->st_mode & 01777, sync_owner_user(st->st_uid), sync_owner_group(st->st_gid),
				  MAX((gint64)st->st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st->st_mtim.tv_nsec, 0), sync_path_last(found->path));
	return true;
}

static bool keep_file(Keeping *keeping, const Found *found, GError **error)
{
	const SyncOvertaken *one = found->one;
	g_autofree char *full = sync_path_join(one->set->name, found->path);
	const SyncWas *was = g_str_equal(found->path, one->step->path) ? one->step->was : NULL;
	SyncMeta *meta = NULL;
	git_oid blob;

	if (!store(keeping, found, &blob, &meta, error))
		return false;
	g_autofree char *hex = sync_oid_text(&blob);
	if (was && g_str_equal(was->id, hex)) {
		sync_meta_free(meta);
		return true;
	}
	keeping->any = true;
	return put(keeping, full, &blob, meta, error);
}

static bool keep_found(Keeping *keeping, Found *found, GError **error);

/* A folder that stood in the way: the files in it that are the set's, and the folder as it was where there are any. */
static bool keep_folder(Keeping *keeping, const Found *found, GError **error)
{
	g_autofree char *full = sync_path_join(found->one->set->name, found->path);
	guint before = keeping->stored->len;
	int fd = openat(found->folder_fd, found->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	bool ok = dir != NULL;

	if (!dir) {
		sync_error_from_errno(error, errno, "reading what was replaced");
		if (fd >= 0)
			(void)close(fd);
		return false;
	}
	for (struct dirent *entry = readdir(dir); ok && entry; entry = readdir(dir)) {
		g_autofree char *path = sync_path_join(found->path, entry->d_name), *lies = sync_path_join(found->lies, entry->d_name);
		Found inner = { .one = found->one, .folder_fd = fd, .name = entry->d_name, .lies = lies, .path = path, .depth = found->depth + 1 };

		if (sync_name_ok(entry->d_name) && !sync_name_is_ours(entry->d_name))
			ok = keep_found(keeping, &inner, error);
	}
	(void)closedir(dir);
	if (!ok || keeping->stored->len == before || !keeping->apply->keep)
		return ok;
	const struct stat *st = &found->st;
	SyncMeta *itself = sync_meta_new(SYNC_KIND_FOLDER, st->st_mode & 01777, sync_owner_user(st->st_uid), sync_owner_group(st->st_gid), 0, ".");
	return put_manifest(keeping, full, itself, error);
}

static bool keep_found(Keeping *keeping, Found *found, GError **error)
{
	struct stat *st = &found->st;

	if (fstatat(found->folder_fd, found->name, st, AT_SYMLINK_NOFOLLOW) < 0 || found->depth > DEPTH_MAX ||
	    sync_set_leaves_out(found->one->set, found->path, S_ISDIR(st->st_mode)))
		return true;
	if (S_ISDIR(st->st_mode))
		return keep_folder(keeping, found, error);
	/* Sockets, pipes and devices belong to a process, not to the data. */
	if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
		return true;
	if (keeping->apply->keep && !keep_file(keeping, found, error))
		return false;
	g_ptr_array_add(keeping->stored, g_strdup(found->lies));
	return true;
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

static bool keep_all(Keeping *keeping, const char *ref, GPtrArray *list, GError **error)
{
	const SyncApply *apply = keeping->apply;
	git_oid head, parent;
	bool has_head = sync_repo_get_ref(apply->repo, "heads", ref, &head);

	if (has_head)
		sync_migrate_files(apply->repo, ref, &head, &parent);
	if (!begin(keeping, has_head ? &parent : NULL, error))
		return false;
	for (guint i = 0; i < list->len; i++) {
		const SyncOvertaken *one = list->pdata[i];
		Found found = { .one = one, .folder_fd = one->folder_fd, .name = one->name, .lies = one->name, .path = one->path };

		if (!keep_found(keeping, &found, error))
			return false;
	}
	return !keeping->any || apply->keep(&keeping->tree, has_head ? &parent : NULL, apply->user_data, error);
}

/* ---- where it goes ---- */

void sync_overtaken_free(SyncOvertaken *one)
{
	g_free(one->name);
	g_free(one->path);
	g_free(one);
}

static const SyncStep *step_of(const SyncPlan *plan, const SyncSet *set, guint stage)
{
	for (guint i = 0; stage && i < plan->steps->len; i++) {
		const SyncStep *step = plan->steps->pdata[i];

		if (step->stage == stage && g_str_equal(step->set, set->name))
			return step;
	}
	return NULL;
}

/* The first @depth names of @path; 0: all. NULL: it has fewer. Transfer full. */
static char *first_names(const char *path, guint depth)
{
	const char *slash = NULL;

	for (guint i = 0; i < depth; i++) {
		slash = strchr(slash ? slash + 1 : path, '/');
		if (!slash)
			return NULL;
	}
	return slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup(path);
}

void sync_overtaken_find(const SyncPlan *plan, const SyncSet *set, int folder_fd, GPtrArray *list)
{
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
		guint stage = 0, depth = 0;

		if (sscanf(entry->d_name, "was.%u.%u", &stage, &depth) < 1)
			continue;
		const SyncStep *step = step_of(plan, set, stage);
		char *path = step ? first_names(step->path, depth) : NULL;
		if (!path)
			continue;
		SyncOvertaken *one = g_new(SyncOvertaken, 1);
		*one = (SyncOvertaken){ .step = step, .set = set, .folder_fd = folder_fd, .name = g_strdup(entry->d_name), .path = path };
		g_ptr_array_add(list, one);
	}
	if (dir)
		(void)closedir(dir);
}

bool sync_overtaken_put_aside(int from_fd, const char *from, int folder_fd, const char *name)
{
	for (guint i = 0; i < ASIDE_TRIES; i++) {
		g_autofree char *short_ = g_strndup(name, ASIDE_LENGTH);
		g_autofree char *aside = i ? g_strdup_printf(SYNC_OWN_PREFIX "aside.%s.%u", short_, i) : g_strconcat(SYNC_OWN_PREFIX "aside.", short_, NULL);
		struct stat st;

		if (renameat2(from_fd, from, folder_fd, aside, RENAME_NOREPLACE) == 0)
			return true;
		/* A file system that does not know of this. */
		if ((errno == EINVAL || errno == ENOSYS) && fstatat(folder_fd, aside, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return renameat(from_fd, from, folder_fd, aside) == 0;
		if (errno != EEXIST && errno != EINVAL && errno != ENOSYS)
			return false;
	}
	return false;
}

/* @lies, below @folder_fd. */
static void remove_stored(int folder_fd, const char *lies)
{
	g_autofree char *parent = sync_path_parent(lies);
	sync_autofd fd = sync_file_open_beneath(folder_fd, parent, O_RDONLY | O_DIRECTORY);

	if (fd >= 0)
		(void)unlinkat(fd, sync_path_last(lies), 0);
}

/* What is empty in it by now, itself included. */
static void remove_empty(int folder_fd, const char *name)
{
	int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
			remove_empty(fd, entry->d_name);
	(void)closedir(dir);
	(void)unlinkat(folder_fd, name, AT_REMOVEDIR);
}

/* What is left of it goes beside its place. */
static void leave_beside(const SyncApply *apply, const SyncOvertaken *one)
{
	g_autofree char *parent = sync_path_parent(one->path), *shown = NULL;
	sync_autofd root_fd = sync_set_open(one->set);
	sync_autofd folder_fd = root_fd < 0 ? -1 : sync_file_open_beneath(root_fd, parent, O_RDONLY | O_DIRECTORY);
	struct stat st;

	if (fstatat(one->folder_fd, one->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	g_autofree char *full = sync_path_join(one->set->root, one->path);
	shown = sync_printable(full);
	if (!sync_overtaken_put_aside(one->folder_fd, one->name, folder_fd < 0 ? root_fd : folder_fd, sync_path_last(one->path)))
		g_warning("%s: what stood there is gone: %s", shown, g_strerror(errno));
	else if (apply->beside)
		apply->beside(shown, apply->user_data);
}

void sync_overtaken_keep(const SyncApply *apply, const char *ref, GPtrArray *list)
{
	g_autoptr(GPtrArray) stored = g_ptr_array_new_with_free_func(g_free);
	Keeping keeping = { .apply = apply, .git = apply->repo->git, .stored = stored };
	g_autoptr(GError) error = NULL;
	bool ok = keep_all(&keeping, ref, list, &error);

	if (!ok)
		g_warning("what was written just when it was replaced stays beside it, as " SYNC_OWN_PREFIX "aside.*: %s", error->message);
	for (guint i = 0; i < list->len; i++) {
		const SyncOvertaken *one = list->pdata[i];
		g_autofree char *inside = g_strconcat(one->name, "/", NULL);

		for (guint k = 0; ok && k < stored->len; k++)
			if (g_str_equal(stored->pdata[k], one->name) || g_str_has_prefix(stored->pdata[k], inside))
				remove_stored(one->folder_fd, stored->pdata[k]);
		remove_empty(one->folder_fd, one->name);
		leave_beside(apply, one);
	}
}
