/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/look.c - a picture looks at the disk. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "syncd/files/picture-private.h"
#include "syncd/files/snapshot.h"
#include "syncd/files/store.h"

enum {
	DEPTH_MAX = 64,
};

/* What is gone or something else by now is looked at by whoever changed it. */
static bool is_gone(int number)
{
	return number == ENOENT || number == ENOTDIR || number == ELOOP || number == ENXIO;
}

/* What is not read now stays as it was known, or else as the base has it. The item; NULL: nobody knows it. */
static SyncItem *as_before(SyncPicture *picture, const SyncSetView *view, SyncItem *known, const char *path, const struct stat *st)
{
	g_autofree char *full = sync_path_join(view->set->name, path);
	g_autoptr(git_tree) tree = NULL;
	g_autoptr(git_tree_entry) entry = NULL;
	bool folder = S_ISDIR(st->st_mode);

	if (known && known->is_folder == folder) {
		known->racy = true;
		return known;
	}
	if (git_oid_is_zero(&picture->base) || git_tree_lookup(&tree, picture->repo->git, &picture->base) < 0 ||
	    git_tree_entry_bypath(&entry, tree, full) < 0 || (git_tree_entry_type(entry) == GIT_OBJECT_TREE) != folder)
		return NULL;
	SyncItem *item = sync_item_new(sync_path_last(path));
	item->look = sync_look_of(st);
	item->racy = true;
	item->is_folder = folder;
	if (folder) {
		item->folder = sync_folder_new();
		item->folder->opaque = item->folder->written = true;
		item->folder->id = *git_tree_entry_id(entry);
	} else {
		item->id = *git_tree_entry_id(entry);
	}
	return item;
}

/* What cannot be read is not what is not there. */
static SyncItem *unreadable(SyncPicture *picture, const SyncSetView *view, SyncItem *known, const char *path, const struct stat *st)
{
	g_ptr_array_add(picture->unreadable, sync_path_join(view->set->name, path));
	return as_before(picture, view, known, path, st);
}

/* Reads @name of the folder @fd into @item. *ret_gone when it is not there any more, *ret_unreadable when it is and cannot be read. */
static bool look_at_file(SyncPicture *picture, int folder_fd, const char *name, SyncItem *item, bool *ret_gone, bool *ret_unreadable, GError **error)
{
	sync_autofd fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat before, after;

	*ret_gone = fd < 0 && is_gone(errno);
	*ret_unreadable = fd < 0 && !*ret_gone;
	if (fd < 0)
		return true;
	if (fstat(fd, &before) < 0 || !S_ISREG(before.st_mode)) {
		*ret_gone = true;
		return true;
	}
	if (!sync_store_file(picture->repo, picture->objects, fd, before.st_size, picture->cancellable, &item->id, error))
		return false;
	item->look = sync_look_of(&before);
	item->racy = sync_look_is_racy(&item->look) || fstat(fd, &after) < 0 || after.st_size != before.st_size ||
		     sync_stamp_ns(after.st_mtim) != sync_stamp_ns(before.st_mtim);
	return true;
}

static bool look_at_link(SyncPicture *picture, int folder_fd, const char *name, const struct stat *st, SyncItem *item, bool *ret_gone, GError **error)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(folder_fd, name, target, sizeof target);

	*ret_gone = n < 0 || n == sizeof target;
	if (*ret_gone)
		return true;
	item->look = sync_look_of(st);
	return sync_store_data(picture->repo, target, n, &item->id, error);
}

static bool look_at_folder(SyncPicture *picture, SyncSetView *view, SyncFolder *folder, int fd, const char *path, bool deep, guint depth, GError **error);

/* One name in a folder. The item is replaced, kept, or (ret_gone) dropped. */
static bool look_at_name(SyncPicture *picture, SyncSetView *view, SyncFolder *folder, int fd, const char *path, const char *name, bool deep, guint depth,
			 bool *ret_gone, GError **error)
{
	struct stat st;
	SyncItem *known = sync_folder_item(folder, name);

	*ret_gone = true;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	SyncLook look = sync_look_of(&st);
	if (S_ISDIR(st.st_mode)) {
		g_autofree char *inner_path = sync_path_join(path, name);
		bool same = known && known->is_folder && (known->adopted || (known->look.dev == look.dev && known->look.ino == look.ino));
		bool same_rights = same && known->look.mode == look.mode && known->look.uid == look.uid && known->look.gid == look.gid;

		*ret_gone = false;
		if (same && !deep && !known->adopted && same_rights)
			return true;
		sync_autofd inner_fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (inner_fd < 0 && !is_gone(errno)) {
			SyncItem *kept = unreadable(picture, view, known && known->adopted ? NULL : known, inner_path, &st);

			*ret_gone = kept == NULL;
			if (kept && kept != known)
				sync_folder_put(folder, kept);
			return true;
		}
		if (inner_fd < 0 || depth >= DEPTH_MAX) {
			*ret_gone = true;
			return true;
		}
		if (same && known->folder->opaque) {
			same = false; /* it can be read now */
			known = NULL;
		}
		if (!same) {
			known = sync_item_new(name);
			known->is_folder = true;
			known->folder = sync_folder_new();
			sync_folder_put(folder, known);
		}
		known->look = look;
		known->adopted = false;
		return look_at_folder(picture, view, known->folder, inner_fd, inner_path, deep || !same, depth + 1, error);
	}
	g_autofree char *whole = sync_path_join(path, name);
	if (!sync_path_included(whole, (const char *const *)view->set->include))
		return true;
	if (known && !known->is_folder && !known->racy && !known->adopted && sync_look_equal(&known->look, &look)) {
		*ret_gone = false;
		return true;
	}
	if (known && !known->is_folder && known->adopted && S_ISREG(st.st_mode) && known->look.mtime_ns == look.mtime_ns) {
		*ret_gone = known->adopted = false;
		known->look = look;
		return true;
	}
	if (picture->leave && S_ISREG(st.st_mode) && picture->leave(view->set, whole, picture->leave_data)) {
		SyncItem *kept = as_before(picture, view, known, whole, &st);

		*ret_gone = kept == NULL;
		if (kept && kept != known)
			sync_folder_put(folder, kept);
		return true;
	}
	g_autoptr(SyncItem) item = sync_item_new(name);
	bool ok = true, cannot = false;
	if (S_ISREG(st.st_mode))
		ok = look_at_file(picture, fd, name, item, ret_gone, &cannot, error);
	else if (S_ISLNK(st.st_mode))
		ok = look_at_link(picture, fd, name, &st, item, ret_gone, error);
	if (cannot) {
		SyncItem *kept = unreadable(picture, view, known, whole, &st);

		*ret_gone = kept == NULL;
		if (kept && kept != known)
			sync_folder_put(folder, kept);
		return true;
	}
	/* Sockets, pipes and devices stay gone: they belong to a process, not to the data. */
	if (ok && !*ret_gone)
		sync_folder_put(folder, g_steal_pointer(&item));
	return ok;
}

static bool look_at_folder(SyncPicture *picture, SyncSetView *view, SyncFolder *folder, int fd, const char *path, bool deep, guint depth, GError **error)
{
	GHashTableIter iter;
	gpointer known;
	struct stat st;

	if (g_cancellable_set_error_if_cancelled(picture->cancellable, error))
		return false;
	if (picture->on_folder)
		picture->on_folder(view->set, path, fd, picture->user_data);
	folder->written = false;
	if (fstat(fd, &st) < 0) {
		sync_error_from_errno(error, errno, "reading a folder");
		return false;
	}
	folder->look = sync_look_of(&st);
	int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	if (!dir) {
		sync_error_from_errno(error, errno, "listing a folder");
		if (list_fd >= 0)
			(void)close(list_fd);
		return false;
	}
	bool ok = true;
	g_hash_table_iter_init(&iter, folder->items);
	while (g_hash_table_iter_next(&iter, &known, NULL))
		sync_item_of(known)->seen = false;
	errno = 0;
	for (struct dirent *entry = readdir(dir); ok && entry; errno = 0, entry = readdir(dir)) {
		const char *name = entry->d_name;
		g_autofree char *inner = sync_path_join(path, name);
		bool gone;

		if (!sync_name_ok(name) || sync_name_is_ours(name) || sync_path_excluded(inner, (const char *const *)view->set->exclude))
			continue;
		ok = look_at_name(picture, view, folder, fd, path, name, deep, depth, &gone, error);
		if (ok && !gone)
			sync_folder_item(folder, name)->seen = true;
	}
	/* Half a list is not a folder with half of its files. */
	if (ok && errno) {
		sync_error_from_errno(error, errno, "listing a folder");
		ok = false;
	}
	(void)closedir(dir);
	if (!ok)
		return false;
	g_hash_table_iter_init(&iter, folder->items);
	while (g_hash_table_iter_next(&iter, &known, NULL))
		if (!sync_item_of(known)->seen)
			g_hash_table_iter_remove(&iter);
	return true;
}

static bool refresh_files(SyncPicture *picture, SyncSetView *view, GError **error)
{
	sync_autofd root_fd = sync_set_open(view->set);

	if (root_fd < 0 && errno != ENOENT && errno != ENOTDIR) {
		sync_error_from_errno(error, errno, "opening data set %s", view->set->name);
		return false;
	}
	if (root_fd < 0) {
		g_clear_pointer(&view->root, sync_folder_free);
		g_hash_table_remove_all(view->marked);
		return true;
	}
	if (!view->root) {
		view->root = sync_folder_new();
		view->all = true;
	}
	if (view->all) {
		g_hash_table_remove_all(view->marked);
		return look_at_folder(picture, view, view->root, root_fd, "", true, 0, error);
	}
	while (g_hash_table_size(view->marked) > 0) {
		GHashTableIter iter;
		char *path;

		g_hash_table_iter_init(&iter, view->marked);
		g_hash_table_iter_next(&iter, (gpointer *)&path, NULL);
		g_hash_table_iter_steal(&iter);
		g_autofree char *owned = path;
		SyncFolder *folder = sync_folder_find(view->root, path, true);
		if (*path == '\0')
			folder = view->root;
		sync_autofd fd = folder ? sync_file_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY) : -1;
		if (fd >= 0) {
			if (!look_at_folder(picture, view, folder, fd, path, false, 0, error))
				return false;
		} else if (*path != '\0') {
			/* New, gone, or something else now: the folder above knows. */
			g_hash_table_add(view->marked, sync_path_parent(path));
		}
	}
	return true;
}

static void look_at_database(const char *path, const char *wal_path, SyncLook *ret_look, SyncLook *ret_wal)
{
	struct stat st;

	memset(ret_look, 0, sizeof *ret_look);
	memset(ret_wal, 0, sizeof *ret_wal);
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		*ret_look = sync_look_of(&st);
	if (lstat(wal_path, &st) == 0)
		*ret_wal = sync_look_of(&st);
}

static bool refresh_database(SyncPicture *picture, SyncSetView *view, GError **error)
{
	sync_autofd root_fd = sync_set_open(view->set);
	int why = errno;
	g_autofree char *real_root = realpath(view->set->root, NULL);
	g_autofree char *path = g_build_filename(real_root ? real_root : view->set->root, view->set->database, NULL);
	g_autofree char *wal_path = g_strconcat(path, "-wal", NULL);
	g_autofree char *copy = g_build_filename(picture->scratch, sync_ref_names[view->set->ref], NULL);
	SyncLook look, wal;

	if (root_fd < 0 && why == EPERM) {
		sync_error_from_errno(error, why, "opening data set %s", view->set->name);
		return false;
	}
	if (root_fd >= 0 && picture->on_folder)
		picture->on_folder(view->set, "", root_fd, picture->user_data);
	look_at_database(path, wal_path, &look, &wal);
	g_hash_table_remove_all(view->marked);
	if (look.ino == 0) {
		g_clear_pointer(&view->root, sync_folder_free);
		return true;
	}
	if (!view->root)
		view->root = sync_folder_new();
	SyncItem *known = sync_folder_item(view->root, view->set->database);
	if (known && known->adopted && known->look.mtime_ns == look.mtime_ns && wal.ino == 0) {
		known->adopted = false;
		known->look = look;
		view->wal = wal;
		return true;
	}
	if (known && !known->adopted && !known->racy && sync_look_equal(&known->look, &look) && sync_look_equal(&view->wal, &wal))
		return true;
	if (!sync_snapshot_take(path, copy, error)) {
		g_prefix_error(error, "data set %s: ", view->set->name);
		return false;
	}
	sync_autofd fd = open(copy, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	g_autoptr(SyncItem) item = sync_item_new(view->set->database);
	if (fd < 0 || fstat(fd, &st) < 0) {
		sync_error_from_errno(error, errno, "reading the copy");
		return false;
	}
	bool ok = sync_store_file(picture->repo, picture->objects, fd, st.st_size, picture->cancellable, &item->id, error);
	(void)unlink(copy);
	if (!ok)
		return false;
	/* What it was before the copy: a change during it makes the next look different. */
	item->look = look;
	view->wal = wal;
	item->racy = sync_look_is_racy(&look) || (wal.ino && sync_look_is_racy(&wal));
	view->root->written = false;
	sync_folder_put(view->root, g_steal_pointer(&item));
	return true;
}

bool sync_picture_refresh(SyncPicture *picture, SyncRepo *repo, GCancellable *cancellable, GError **error)
{
	bool ok = true;

	picture->repo = repo;
	picture->cancellable = cancellable;
	g_ptr_array_set_size(picture->unreadable, 0);
	for (guint i = 0; ok && i < picture->views->len; i++) {
		SyncSetView *view = picture->views->pdata[i];

		if (!view->all && g_hash_table_size(view->marked) == 0)
			continue;
		ok = view->set->database ? refresh_database(picture, view, error) : refresh_files(picture, view, error);
		if (ok)
			view->all = false;
	}
	/* What a commit will refer to is there before it. */
	ok = ok && (!picture->objects || sync_objects_settle(picture->objects, error));
	if (!ok)
		sync_picture_mark_all(picture);
	picture->repo = NULL;
	picture->cancellable = NULL;
	return ok;
}
