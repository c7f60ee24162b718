/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/staged.c - a commit as files in a place of its own. */
#include "syncd/apply/staged.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"
#include "syncd/repository/large.h"

enum { OWN_MOST = 16 << 20, CHUNK = 64 << 10, DEPTH_MAX = 64 };

struct SyncStaged {
	char *folder;
	bool begun; /* what an earlier process left is gone */
	GHashTable *made; /* application -> git_oid*: the tree that is there */
};

SyncStaged *sync_staged_new(const char *folder)
{
	SyncStaged *staged = g_new0(SyncStaged, 1);

	staged->folder = g_strdup(folder);
	staged->made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return staged;
}

void sync_staged_free(SyncStaged *staged)
{
	if (!staged)
		return;
	g_hash_table_unref(staged->made);
	g_free(staged->folder);
	g_free(staged);
}

bool sync_staged_is_of(const SyncSet *set, const char *application, const char **ret_name)
{
	gsize length = strlen(application);

	if (strncmp(set->name, application, length) != 0 || set->name[length] != '.')
		return false;
	*ret_name = set->name + length + 1;
	return true;
}

static bool failed(GError **error, const char *path)
{
	g_autofree char *shown = sync_printable(path);

	sync_error_from_errno(error, errno, "the files for a hook: %s", shown);
	return false;
}

static bool set_rights(int fd, const SyncMeta *meta)
{
	uid_t uid;
	gid_t gid;

	(void)sync_owner_uid(meta->owner, &uid);
	(void)sync_owner_gid(meta->group, &gid);
	return fchown(fd, uid, gid) == 0 && fchmod(fd, meta->mode) == 0;
}

static bool write_whole(int fd, const char *data, gsize length)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno != EINTR)
			return false;
		data += MAX(n, 0);
		length -= (gsize)MAX(n, 0);
	}
	return true;
}

static bool set_time(const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	gint64 ns = step->meta->mtime_ns;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 } };

	/* A database has none. */
	return ns == 0 || utimensat(folder_fd, name, times, AT_SYMLINK_NOFOLLOW) == 0 || failed(error, step->path);
}

static bool write_file(SyncRepo *repo, const git_oid *id, git_blob *blob, int fd, const char *path, GCancellable *cancellable, GError **error)
{
	if (!blob)
		return sync_large_write(repo, id, fd, cancellable, error);
	return write_whole(fd, git_blob_rawcontent(blob), git_blob_rawsize(blob)) || failed(error, path);
}

static bool place(SyncRepo *repo, const SyncStep *step, int folder_fd, const char *name, GCancellable *cancellable, GError **error)
{
	g_autoptr(git_blob) blob = NULL;
	git_oid id;

	if (git_oid_fromstr(&id, step->id) < 0 ||
	    ((step->meta->kind == SYNC_KIND_LINK || !sync_large_is(repo, &id)) && git_blob_lookup(&blob, repo->git, &id) < 0))
		return sync_git_error(error, "reading a file of the commit");
	sync_file_remove_tree(folder_fd, name);
	if (step->meta->kind == SYNC_KIND_LINK) {
		g_autofree char *target = g_strndup(git_blob_rawcontent(blob), git_blob_rawsize(blob));

		return (symlinkat(target, folder_fd, name) == 0 || failed(error, step->path)) && set_time(step, folder_fd, name, error);
	}
	sync_autofd fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || !set_rights(fd, step->meta))
		return failed(error, step->path);
	return write_file(repo, &id, blob, fd, step->path, cancellable, error) && set_time(step, folder_fd, name, error);
}

static bool make_folder(const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	struct stat st;

	if (*name && (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))) {
		sync_file_remove_tree(folder_fd, name);
		if (mkdirat(folder_fd, name, 0700) < 0)
			return failed(error, step->path);
	}
	sync_autofd fd = openat(folder_fd, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return (fd >= 0 && set_rights(fd, step->meta)) || failed(error, step->path);
}

static bool make_step(SyncRepo *repo, const SyncStep *step, int root_fd, GCancellable *cancellable, GError **error)
{
	g_autofree char *parent = sync_path_parent(step->path);
	const char *name = sync_path_last(step->path);
	sync_autofd folder_fd = sync_file_open_beneath(root_fd, parent, O_RDONLY | O_DIRECTORY);

	switch (step->kind) {
	case SYNC_STEP_UNLINK:
	case SYNC_STEP_RMDIR:
		/* What is left out of the set goes with its folder; it is copied anew. */
		if (folder_fd >= 0 && *name)
			sync_file_remove_tree(folder_fd, name);
		return true;
	case SYNC_STEP_MKDIR:
	case SYNC_STEP_ATTR:
		return folder_fd < 0 ? failed(error, step->path) : make_folder(step, folder_fd, name, error);
	case SYNC_STEP_PLACE:
		return folder_fd < 0 ? failed(error, step->path) : place(repo, step, folder_fd, name, cancellable, error);
	}
	g_assert_not_reached();
}

/* ---- what is left out of the set ---- */

static void copy_rights(int fd, const struct stat *st)
{
	if (fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 0777) < 0)
		g_debug("rights of a copy: %s", g_strerror(errno));
}

static void copy_file(int from_fd, int to_fd, const char *name, const struct stat *st)
{
	sync_autofd in = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	sync_autofd out = in < 0 ? -1 : openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	g_autofree char *buffer = g_malloc(CHUNK);
	ssize_t n;

	if (out < 0)
		return;
	copy_rights(out, st);
	while ((n = read(in, buffer, CHUNK)) > 0)
		if (!write_whole(out, buffer, (gsize)n))
			return;
}

static void copy_own(const SyncSet *set, int from_fd, int to_fd, const char *path, bool whole, guint depth);

static void copy_name(const SyncSet *set, int from_fd, int to_fd, const char *path, const char *name, bool whole, guint depth)
{
	g_autofree char *inner = sync_path_join(path, name);
	bool own = whole || sync_path_excluded(inner, (const char *const *)set->exclude);
	struct stat st;

	if (fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISDIR(st.st_mode)) {
		bool made = own && mkdirat(to_fd, name, 0700) == 0;
		sync_autofd in = openat(from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		sync_autofd out = openat(to_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (in < 0 || out < 0)
			return;
		if (made)
			copy_rights(out, &st);
		copy_own(set, in, out, inner, own, depth + 1);
		return;
	}
	if (!own && sync_path_included(inner, (const char *const *)set->include))
		return;
	(void)unlinkat(to_fd, name, 0);
	if (S_ISREG(st.st_mode) && st.st_size <= OWN_MOST) {
		copy_file(from_fd, to_fd, name, &st);
	} else if (S_ISLNK(st.st_mode)) {
		char target[PATH_MAX];
		ssize_t n = readlinkat(from_fd, name, target, sizeof target - 1);

		if (n < 0)
			return;
		target[n] = '\0';
		if (symlinkat(target, to_fd, name) < 0)
			g_debug("a link for a hook: %s", g_strerror(errno));
	}
}

static void copy_own(const SyncSet *set, int from_fd, int to_fd, const char *path, bool whole, guint depth)
{
	int list_fd = depth < DEPTH_MAX ? openat(from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);

	if (!dir) {
		if (list_fd >= 0)
			(void)close(list_fd);
		return;
	}
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		if (sync_name_ok(entry->d_name) && !sync_name_is_ours(entry->d_name))
			copy_name(set, from_fd, to_fd, path, entry->d_name, whole, depth);
	(void)closedir(dir);
}

/* ---- the whole ---- */

static bool make_set(SyncRepo *repo, const SyncSet *set, int folder_fd, const char *name, const git_oid *was, const git_oid *tree,
		     GCancellable *cancellable, GError **error)
{
	g_autoptr(GPtrArray) old = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(GPtrArray) new_ = g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
	g_autoptr(SyncPlan) plan = sync_plan_new("", "");

	if (mkdirat(folder_fd, name, 0755) < 0 && errno != EEXIST)
		return failed(error, name);
	sync_autofd root_fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root_fd < 0)
		return failed(error, name);
	if (!sync_repo_compare(repo, was, tree, set->name, old, new_, error))
		return false;
	sync_plan_add(plan, set->name, old, new_);
	for (guint i = 0; i < plan->steps->len; i++)
		if (g_cancellable_set_error_if_cancelled(cancellable, error) || !make_step(repo, plan->steps->pdata[i], root_fd, cancellable, error))
			return false;
	sync_autofd live_fd = set->database ? -1 : sync_set_open(set);
	if (live_fd >= 0)
		copy_own(set, live_fd, root_fd, "", false, 0);
	return true;
}

bool sync_staged_make(SyncStaged *staged, SyncRepo *repo, GPtrArray *sets, SyncRef ref, const char *application, const git_oid *tree,
		      GCancellable *cancellable, GError **error)
{
	g_autofree char *folder = g_build_filename(staged->folder, application, NULL);
	g_autofree git_oid *was = g_memdup2(g_hash_table_lookup(staged->made, application), sizeof(git_oid));
	g_autoptr(git_tree) known = NULL;

	/* Of a commit that came to nothing, and has gone since. */
	if (was && git_tree_lookup(&known, repo->git, was) < 0)
		g_clear_pointer(&was, g_free);
	/* Half made is nothing that can be gone on from. */
	g_hash_table_remove(staged->made, application);
	if (!was)
		sync_file_remove_tree(AT_FDCWD, staged->begun ? folder : staged->folder);
	staged->begun = true;
	if (g_mkdir_with_parents(folder, 0755) < 0)
		return failed(error, folder);
	sync_autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return failed(error, folder);
	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];
		const char *name;

		if (set->ref == ref && sync_staged_is_of(set, application, &name) && !make_set(repo, set, fd, name, was, tree, cancellable, error))
			return false;
	}
	g_hash_table_insert(staged->made, g_strdup(application), g_memdup2(tree, sizeof *tree));
	return true;
}

GPtrArray *sync_staged_sets(const SyncStaged *staged, GPtrArray *sets, SyncRef ref, const char *application)
{
	GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)sync_set_free);

	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];
		const char *name;

		if (set->ref != ref || !sync_staged_is_of(set, application, &name))
			continue;
		SyncSet *there = sync_set_copy(set);
		g_free(there->root);
		there->root = g_build_filename(staged->folder, application, name, NULL);
		there->staged = true;
		g_ptr_array_add(list, there);
	}
	return list;
}

void sync_staged_forget(SyncStaged *staged, const char *application)
{
	g_hash_table_remove(staged->made, application);
}

/* ---- single files ---- */

bool sync_staged_pointer(SyncRepo *repo, const SyncEntry *entry, SyncPointer *ret_pointer, GError **error)
{
	g_autoptr(git_blob) blob = NULL;
	git_oid id;

	if (git_oid_fromstr(&id, entry->id) < 0 || git_blob_lookup(&blob, repo->git, &id) < 0)
		return sync_git_error(error, "reading a pointer");
	return sync_pointer_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), ret_pointer, error);
}

static bool make_parents(int root_fd, const char *path, GError **error)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		g_autofree char *folder = g_strndup(path, (gsize)(slash - path)), *parent = sync_path_parent(folder);
		sync_autofd parent_fd = sync_file_open_beneath(root_fd, parent, O_RDONLY | O_DIRECTORY);

		if (parent_fd < 0 || (mkdirat(parent_fd, sync_path_last(folder), 0755) < 0 && errno != EEXIST))
			return failed(error, folder);
	}
	return true;
}

bool sync_staged_put(SyncRepo *repo, SyncObjects *objects, const SyncEntry *entry, int root_fd, GCancellable *cancellable, GError **error)
{
	g_autofree char *parent = sync_path_parent(entry->path);
	const char *name = sync_path_last(entry->path);
	SyncPointer pointer;

	if (!make_parents(root_fd, entry->path, error))
		return false;
	sync_autofd folder_fd = sync_file_open_beneath(root_fd, parent, O_RDONLY | O_DIRECTORY);
	if (folder_fd < 0)
		return failed(error, entry->path);
	if (entry->meta->kind == SYNC_KIND_LINK || !objects) {
		if (!place(repo, entry, folder_fd, name, cancellable, error))
			return false;
	} else {
		if (!sync_staged_pointer(repo, entry, &pointer, error))
			return false;
		sync_autofd fd = openat(folder_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 || !set_rights(fd, entry->meta))
			return failed(error, entry->path);
		if (!sync_objects_take(objects, &pointer, fd, cancellable, error))
			return false;
	}
	return set_time(entry, folder_fd, name, error);
}
