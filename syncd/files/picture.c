/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/picture.c - looking at the disk, and the trees that come of it. */
#include "syncd/files/picture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"
#include "syncd/files/snapshot.h"

enum {
	SMALL = 8 << 20,   /* read at once; larger files go through a temporary file of libgit2 */
	CHUNK = 1 << 20,
	DEPTH_MAX = 64,
	RACY_MS = 50,      /* a file changed this shortly before it was read may change again under the same time stamp */
};

/* What lstat says of a file; equal means not changed since. There is one for each file of every set, so it is packed. */
typedef struct {
	ino_t ino;
	off_t size;
	gint64 mtime_ns, ctime_ns;
	guint32 dev; /* of which the kernel has no more */
	mode_t mode;
	uid_t uid;
	gid_t gid;
} Look;

typedef struct Folder Folder;

typedef struct {
	Look look;
	union {
		git_oid id;     /* of a file's or link's content */
		Folder *folder; /* of a folder */
	};
	bool is_folder : 1;
	bool racy : 1;    /* must be read again whatever lstat says */
	bool adopted : 1; /* placed by us: id is right, the next look only completes it; of a folder: it is listed */
	bool seen : 1;    /* by the present look at its folder */
	char name[];
} Item;

struct Folder {
	GHashTable *items; /* of Item*, each by its name, which is the key and the value */
	Look look;
	bool opaque;       /* it cannot be read: id is what it was, nothing is known of what is in it */
	bool written;      /* id is its tree */
	git_oid id;
};

typedef struct {
	const SyncSet *set;
	Folder *root; /* NULL: missing */
	Look wal;     /* a database's -wal; all zero without */
	bool all;
	GHashTable *marked; /* paths */
} SetView;

struct SyncPicture {
	GPtrArray *views; /* of SetView* */
	char *scratch;
	SyncObjects *objects;
	SyncPictureFolder on_folder;
	gpointer user_data;
	GPtrArray *unreadable; /* of char*: what the last look could not read */
	git_oid base;          /* a tree that has what cannot be read; zero: none */
	SyncPictureLeave leave;
	gpointer leave_data;
	/* during a refresh */
	SyncRepo *repo;
	GCancellable *cancellable;
};

/* ---- the structure ---- */

static void folder_free(Folder *folder)
{
	if (!folder)
		return;
	g_hash_table_unref(folder->items);
	g_free(folder);
}

static Item *item_new(const char *name)
{
	gsize length = strlen(name);
	Item *item = g_malloc0(offsetof(Item, name) + length + 1);

	memcpy(item->name, name, length);
	return item;
}

static Item *item_of(gpointer name)
{
	return name ? (Item *)((char *)name - offsetof(Item, name)) : NULL;
}

static void item_free(Item *item)
{
	if (item && item->is_folder)
		folder_free(item->folder);
	g_free(item);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Item, item_free)

static void drop_item(gpointer name)
{
	item_free(item_of(name));
}

static Item *find_item(Folder *folder, const char *name)
{
	return item_of(g_hash_table_lookup(folder->items, name));
}

/* Takes it, in the place of the one that has its name. */
static void put_item(Folder *folder, Item *item)
{
	g_hash_table_add(folder->items, item->name);
}

static Folder *folder_new(void)
{
	Folder *folder = g_new0(Folder, 1);

	folder->look.mode = S_IFDIR; /* until it is looked at */
	folder->items = g_hash_table_new_full(g_str_hash, g_str_equal, drop_item, NULL);
	return folder;
}

static void view_free(gpointer data)
{
	SetView *view = data;

	folder_free(view->root);
	g_hash_table_unref(view->marked);
	g_free(view);
}

SyncPicture *sync_picture_new(GPtrArray *sets, SyncRef ref, const char *scratch, SyncObjects *objects)
{
	SyncPicture *picture = g_new0(SyncPicture, 1);

	picture->scratch = g_strdup(scratch);
	picture->objects = objects;
	picture->unreadable = g_ptr_array_new_with_free_func(g_free);
	picture->views = g_ptr_array_new_with_free_func(view_free);
	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];

		if (set->ref != ref)
			continue;
		SetView *view = g_new0(SetView, 1);
		view->set = set;
		view->all = true;
		view->marked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_ptr_array_add(picture->views, view);
	}
	return picture;
}

void sync_picture_free(SyncPicture *picture)
{
	if (!picture)
		return;
	g_ptr_array_unref(picture->views);
	g_ptr_array_unref(picture->unreadable);
	g_free(picture->scratch);
	g_free(picture);
}

void sync_picture_on_folder(SyncPicture *picture, SyncPictureFolder callback, gpointer user_data)
{
	picture->on_folder = callback;
	picture->user_data = user_data;
}

void sync_picture_set_base(SyncPicture *picture, const git_oid *tree)
{
	picture->base = tree ? *tree : (git_oid){ 0 };
}

const GPtrArray *sync_picture_unreadable(const SyncPicture *picture)
{
	return picture->unreadable;
}

void sync_picture_on_file(SyncPicture *picture, SyncPictureLeave callback, gpointer user_data)
{
	picture->leave = callback;
	picture->leave_data = user_data;
}

static SetView *view_of(SyncPicture *picture, const SyncSet *set)
{
	for (guint i = 0; i < picture->views->len; i++)
		if (((SetView *)picture->views->pdata[i])->set == set)
			return picture->views->pdata[i];
	return NULL;
}

void sync_picture_mark(SyncPicture *picture, const SyncSet *set, const char *path)
{
	SetView *view = view_of(picture, set);

	if (view)
		g_hash_table_add(view->marked, g_strdup(path));
}

void sync_picture_mark_all(SyncPicture *picture)
{
	for (guint i = 0; i < picture->views->len; i++)
		((SetView *)picture->views->pdata[i])->all = true;
}

bool sync_picture_mark_missing(SyncPicture *picture)
{
	bool any = false;

	for (guint i = 0; i < picture->views->len; i++) {
		SetView *view = picture->views->pdata[i];

		if (view->root)
			continue;
		view->all = any = true;
	}
	return any;
}

/* The folder at @path if it is known; when @forget, the trees on the way must be written anew. */
static Folder *find_folder(Folder *root, const char *path, bool forget)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	Folder *folder = root;

	for (guint i = 0; folder && names[i]; i++) {
		if (folder->opaque)
			return NULL;
		if (forget)
			folder->written = false;
		Item *item = find_item(folder, names[i]);
		folder = item && item->is_folder ? item->folder : NULL;
	}
	if (folder && folder->opaque)
		return NULL;
	if (folder && forget)
		folder->written = false;
	return folder;
}

/* The same; one that is not known comes into the picture, and is listed at the next look. NULL: it cannot be read. */
static Folder *have_folder(Folder *root, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	Folder *folder = root;

	for (guint i = 0; names[i] && !folder->opaque; i++) {
		Item *item = find_item(folder, names[i]);

		folder->written = false;
		if (!item || !item->is_folder) {
			item = item_new(names[i]);
			item->is_folder = item->adopted = true;
			item->folder = folder_new();
			put_item(folder, item);
		}
		folder = item->folder;
	}
	folder->written = false;
	return folder->opaque ? NULL : folder;
}

void sync_picture_adopt(SyncPicture *picture, const SyncSet *set, const char *path, const git_oid *id, gint64 mtime_ns)
{
	SetView *view = view_of(picture, set);
	g_autofree char *parent = sync_path_parent(path);

	if (view && !view->root) {
		view->root = folder_new();
		view->all = true;
	}
	Folder *folder = view ? have_folder(view->root, set->database ? "" : parent) : NULL;
	if (!folder)
		return;
	Item *item = item_new(sync_path_last(path));
	item->id = *id;
	item->adopted = true;
	item->look.mtime_ns = mtime_ns;
	put_item(folder, item);
}

SyncWas *sync_picture_was(SyncPicture *picture, const SyncSet *set, const char *path)
{
	SetView *view = view_of(picture, set);
	g_autofree char *parent = sync_path_parent(path);
	Folder *folder = view && view->root ? find_folder(view->root, set->database ? "" : parent, false) : NULL;
	const Item *item = folder ? find_item(folder, sync_path_last(path)) : NULL;

	if (!item || item->is_folder)
		return NULL;
	/* The content of a database is that of its copy. */
	bool sure = !item->adopted && (!item->racy || set->database);
	SyncWas *was = g_new0(SyncWas, 1);
	if (set->database && !sure)
		g_strlcpy(was->id, "*", sizeof was->id);
	else
		(void)git_oid_tostr(was->id, sizeof was->id, &item->id);
	if (!sure)
		return was;
	was->inode = item->look.ino;
	was->size = item->look.size;
	was->mtime_ns = item->look.mtime_ns;
	return was;
}

/* ---- looking ---- */

static gint64 stamp_ns(struct timespec stamp)
{
	return (gint64)stamp.tv_sec * G_GINT64_CONSTANT(1000000000) + stamp.tv_nsec;
}

static Look look_of(const struct stat *st)
{
	return (Look){ .ino = st->st_ino, .size = st->st_size, .mtime_ns = stamp_ns(st->st_mtim), .ctime_ns = stamp_ns(st->st_ctim),
		       .dev = (guint32)st->st_dev, .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid };
}

static bool look_equal(const Look *a, const Look *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

static bool is_racy(const Look *look)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	gint64 age_ns = stamp_ns(now) - look->ctime_ns;
	return age_ns < RACY_MS * G_GINT64_CONSTANT(1000000); /* a clock set back makes files racy, never the other way */
}

static bool store_small(SyncRepo *repo, const char *data, gsize length, git_oid *ret_id, GError **error)
{
	return sync_fresh_store(repo->fresh, repo->git, data, length, GIT_OBJECT_BLOB, ret_id, error);
}

static bool store_large(SyncPicture *picture, int fd, git_oid *ret_id, GError **error)
{
	git_writestream *stream;
	g_autofree char *buffer = g_malloc(CHUNK);
	ssize_t n;

	if (git_blob_create_from_stream(&stream, picture->repo->git, NULL) < 0)
		return sync_git_error(error, "storing a file");
	while ((n = read(fd, buffer, CHUNK)) > 0) {
		if (g_cancellable_set_error_if_cancelled(picture->cancellable, error)) {
			stream->free(stream);
			return false;
		}
		if (stream->write(stream, buffer, n) < 0) {
			stream->free(stream);
			return sync_git_error(error, "storing a file");
		}
	}
	if (n < 0) {
		sync_error_from_errno(error, errno, "reading a file");
		stream->free(stream);
		return false;
	}
	if (git_blob_create_from_stream_commit(ret_id, stream) < 0)
		return sync_git_error(error, "storing a file");
	return true;
}

static bool store_fd(SyncPicture *picture, int fd, gsize size, git_oid *ret_id, GError **error)
{
	if (picture->objects) {
		SyncPointer pointer;

		if (!sync_objects_put(picture->objects, fd, picture->cancellable, &pointer, error))
			return false;
		g_autofree char *text = sync_pointer_text(&pointer);
		return store_small(picture->repo, text, strlen(text), ret_id, error);
	}
	if (size > SMALL)
		return store_large(picture, fd, ret_id, error);
	g_autofree char *data = g_malloc(size + 1);
	gsize length = 0;
	ssize_t n = 1;
	while (length < size && (n = read(fd, data + length, size - length)) > 0)
		length += n;
	if (n < 0) {
		sync_error_from_errno(error, errno, "reading a file");
		return false;
	}
	return store_small(picture->repo, data, length, ret_id, error);
}

bool sync_picture_store(SyncRepo *repo, SyncObjects *objects, int fd, gsize size, git_oid *ret_id, GError **error)
{
	SyncPicture picture = { .repo = repo, .objects = objects };

	return store_fd(&picture, fd, size, ret_id, error);
}

/* What is gone or something else by now is looked at by whoever changed it. */
static bool is_gone(int number)
{
	return number == ENOENT || number == ENOTDIR || number == ELOOP || number == ENXIO;
}

/* What is not read now stays as it was known, or else as the base has it. The item; NULL: nobody knows it. */
static Item *as_before(SyncPicture *picture, const SetView *view, Item *known, const char *path, const struct stat *st)
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
	Item *item = item_new(sync_path_last(path));
	item->look = look_of(st);
	item->racy = true;
	item->is_folder = folder;
	if (folder) {
		item->folder = folder_new();
		item->folder->opaque = item->folder->written = true;
		item->folder->id = *git_tree_entry_id(entry);
	} else {
		item->id = *git_tree_entry_id(entry);
	}
	return item;
}

/* What cannot be read is not what is not there. */
static Item *unreadable(SyncPicture *picture, const SetView *view, Item *known, const char *path, const struct stat *st)
{
	g_ptr_array_add(picture->unreadable, sync_path_join(view->set->name, path));
	return as_before(picture, view, known, path, st);
}

/* Reads @name of the folder @fd into @item. *ret_gone when it is not there any more, *ret_unreadable when it is and cannot be read. */
static bool look_at_file(SyncPicture *picture, int folder_fd, const char *name, Item *item, bool *ret_gone, bool *ret_unreadable, GError **error)
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
	if (!store_fd(picture, fd, before.st_size, &item->id, error))
		return false;
	item->look = look_of(&before);
	item->racy = is_racy(&item->look) || fstat(fd, &after) < 0 || after.st_size != before.st_size ||
		     stamp_ns(after.st_mtim) != stamp_ns(before.st_mtim);
	return true;
}

static bool look_at_link(SyncPicture *picture, int folder_fd, const char *name, const struct stat *st, Item *item, bool *ret_gone, GError **error)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(folder_fd, name, target, sizeof target);

	*ret_gone = n < 0 || n == sizeof target;
	if (*ret_gone)
		return true;
	item->look = look_of(st);
	return store_small(picture->repo, target, n, &item->id, error);
}

static bool look_at_folder(SyncPicture *picture, SetView *view, Folder *folder, int fd, const char *path, bool deep, guint depth, GError **error);

/* One name in a folder. The item is replaced, kept, or (ret_gone) dropped. */
static bool look_at_name(SyncPicture *picture, SetView *view, Folder *folder, int fd, const char *path, const char *name, bool deep, guint depth,
			 bool *ret_gone, GError **error)
{
	struct stat st;
	Item *known = find_item(folder, name);

	*ret_gone = true;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	Look look = look_of(&st);
	if (S_ISDIR(st.st_mode)) {
		g_autofree char *inner_path = sync_path_join(path, name);
		bool same = known && known->is_folder && (known->adopted || (known->look.dev == look.dev && known->look.ino == look.ino));
		bool same_rights = same && known->look.mode == look.mode && known->look.uid == look.uid && known->look.gid == look.gid;

		*ret_gone = false;
		if (same && !deep && !known->adopted && same_rights)
			return true;
		sync_autofd inner_fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (inner_fd < 0 && !is_gone(errno)) {
			Item *kept = unreadable(picture, view, known && known->adopted ? NULL : known, inner_path, &st);

			*ret_gone = kept == NULL;
			if (kept && kept != known)
				put_item(folder, kept);
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
			known = item_new(name);
			known->is_folder = true;
			known->folder = folder_new();
			put_item(folder, known);
		}
		known->look = look;
		known->adopted = false;
		return look_at_folder(picture, view, known->folder, inner_fd, inner_path, deep || !same, depth + 1, error);
	}
	g_autofree char *whole = sync_path_join(path, name);
	if (!sync_path_included(whole, (const char *const *)view->set->include))
		return true;
	if (known && !known->is_folder && !known->racy && !known->adopted && look_equal(&known->look, &look)) {
		*ret_gone = false;
		return true;
	}
	if (known && !known->is_folder && known->adopted && S_ISREG(st.st_mode) && known->look.mtime_ns == look.mtime_ns) {
		*ret_gone = known->adopted = false;
		known->look = look;
		return true;
	}
	if (picture->leave && S_ISREG(st.st_mode) && picture->leave(view->set, whole, picture->leave_data)) {
		Item *kept = as_before(picture, view, known, whole, &st);

		*ret_gone = kept == NULL;
		if (kept && kept != known)
			put_item(folder, kept);
		return true;
	}
	g_autoptr(Item) item = item_new(name);
	bool ok = true, cannot = false;
	if (S_ISREG(st.st_mode))
		ok = look_at_file(picture, fd, name, item, ret_gone, &cannot, error);
	else if (S_ISLNK(st.st_mode))
		ok = look_at_link(picture, fd, name, &st, item, ret_gone, error);
	if (cannot) {
		Item *kept = unreadable(picture, view, known, whole, &st);

		*ret_gone = kept == NULL;
		if (kept && kept != known)
			put_item(folder, kept);
		return true;
	}
	/* Sockets, pipes and devices stay gone: they belong to a process, not to the data. */
	if (ok && !*ret_gone)
		put_item(folder, g_steal_pointer(&item));
	return ok;
}

static bool look_at_folder(SyncPicture *picture, SetView *view, Folder *folder, int fd, const char *path, bool deep, guint depth, GError **error)
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
	folder->look = look_of(&st);
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
		item_of(known)->seen = false;
	errno = 0;
	for (struct dirent *entry = readdir(dir); ok && entry; errno = 0, entry = readdir(dir)) {
		const char *name = entry->d_name;
		g_autofree char *inner = sync_path_join(path, name);
		bool gone;

		if (!sync_name_ok(name) || sync_name_is_ours(name) || sync_path_excluded(inner, (const char *const *)view->set->exclude))
			continue;
		ok = look_at_name(picture, view, folder, fd, path, name, deep, depth, &gone, error);
		if (ok && !gone)
			find_item(folder, name)->seen = true;
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
		if (!item_of(known)->seen)
			g_hash_table_iter_remove(&iter);
	return true;
}

static bool refresh_files(SyncPicture *picture, SetView *view, GError **error)
{
	sync_autofd root_fd = sync_set_open(view->set);

	if (root_fd < 0 && errno != ENOENT && errno != ENOTDIR) {
		sync_error_from_errno(error, errno, "opening data set %s", view->set->name);
		return false;
	}
	if (root_fd < 0) {
		g_clear_pointer(&view->root, folder_free);
		g_hash_table_remove_all(view->marked);
		return true;
	}
	if (!view->root) {
		view->root = folder_new();
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
		Folder *folder = find_folder(view->root, path, true);
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

static void look_at_database(const char *path, const char *wal_path, Look *ret_look, Look *ret_wal)
{
	struct stat st;

	memset(ret_look, 0, sizeof *ret_look);
	memset(ret_wal, 0, sizeof *ret_wal);
	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		*ret_look = look_of(&st);
	if (lstat(wal_path, &st) == 0)
		*ret_wal = look_of(&st);
}

static bool refresh_database(SyncPicture *picture, SetView *view, GError **error)
{
	sync_autofd root_fd = sync_set_open(view->set);
	int why = errno;
	g_autofree char *real_root = realpath(view->set->root, NULL);
	g_autofree char *path = g_build_filename(real_root ? real_root : view->set->root, view->set->database, NULL);
	g_autofree char *wal_path = g_strconcat(path, "-wal", NULL);
	g_autofree char *copy = g_build_filename(picture->scratch, sync_ref_names[view->set->ref], NULL);
	Look look, wal;

	if (root_fd < 0 && why == EPERM) {
		sync_error_from_errno(error, why, "opening data set %s", view->set->name);
		return false;
	}
	if (root_fd >= 0 && picture->on_folder)
		picture->on_folder(view->set, "", root_fd, picture->user_data);
	look_at_database(path, wal_path, &look, &wal);
	g_hash_table_remove_all(view->marked);
	if (look.ino == 0) {
		g_clear_pointer(&view->root, folder_free);
		return true;
	}
	if (!view->root)
		view->root = folder_new();
	Item *known = find_item(view->root, view->set->database);
	if (known && known->adopted && known->look.mtime_ns == look.mtime_ns && wal.ino == 0) {
		known->adopted = false;
		known->look = look;
		view->wal = wal;
		return true;
	}
	if (known && !known->adopted && !known->racy && look_equal(&known->look, &look) && look_equal(&view->wal, &wal))
		return true;
	if (!sync_snapshot_take(path, copy, error)) {
		g_prefix_error(error, "data set %s: ", view->set->name);
		return false;
	}
	sync_autofd fd = open(copy, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	g_autoptr(Item) item = item_new(view->set->database);
	if (fd < 0 || fstat(fd, &st) < 0) {
		sync_error_from_errno(error, errno, "reading the copy");
		return false;
	}
	bool ok = store_fd(picture, fd, st.st_size, &item->id, error);
	(void)unlink(copy);
	if (!ok)
		return false;
	/* What it was before the copy: a change during it makes the next look different. */
	item->look = look;
	view->wal = wal;
	item->racy = is_racy(&look) || (wal.ino && is_racy(&wal));
	view->root->written = false;
	put_item(view->root, g_steal_pointer(&item));
	return true;
}

bool sync_picture_refresh(SyncPicture *picture, SyncRepo *repo, GCancellable *cancellable, GError **error)
{
	bool ok = true;

	picture->repo = repo;
	picture->cancellable = cancellable;
	g_ptr_array_set_size(picture->unreadable, 0);
	for (guint i = 0; ok && i < picture->views->len; i++) {
		SetView *view = picture->views->pdata[i];

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

/* ---- writing ---- */

static bool insert(git_treebuilder *builder, const char *name, const git_oid *id, git_filemode_t mode, GError **error)
{
	if (git_treebuilder_insert(NULL, builder, name, id, mode) < 0)
		return sync_git_error(error, "writing a folder");
	return true;
}

static SyncMeta *meta_of(const Look *look, const char *name, bool database)
{
	SyncKind kind = S_ISDIR(look->mode) ? SYNC_KIND_FOLDER : S_ISLNK(look->mode) ? SYNC_KIND_LINK : SYNC_KIND_FILE;

	/* A database's time says nothing that its content does not. */
	return sync_meta_new(kind, look->mode & 07777, sync_owner_user(look->uid), sync_owner_group(look->gid),
			     database ? 0 : MAX(look->mtime_ns, 0), name);
}

static bool write_folder(SyncRepo *repo, Folder *folder, const SyncSet *set, GError **error)
{
	g_autoptr(GPtrArray) metas = g_ptr_array_new_with_free_func((GDestroyNotify)sync_meta_free);
	g_autoptr(git_treebuilder) builder = NULL;
	GHashTableIter iter;
	gpointer key;
	git_oid manifest_id;

	if (folder->written)
		return true;
	if (git_treebuilder_new(&builder, repo->git, NULL) < 0)
		return sync_git_error(error, "writing a folder");
	g_hash_table_iter_init(&iter, folder->items);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		Item *item = item_of(key);
		git_filemode_t mode = S_ISLNK(item->look.mode)	? GIT_FILEMODE_LINK :
				      item->look.mode & S_IXUSR ? GIT_FILEMODE_BLOB_EXECUTABLE :
								  GIT_FILEMODE_BLOB;

		if (item->is_folder && (!write_folder(repo, item->folder, set, error) ||
					!insert(builder, item->name, &item->folder->id, GIT_FILEMODE_TREE, error)))
			return false;
		if (item->is_folder)
			continue;
		if (!insert(builder, item->name, &item->id, mode, error))
			return false;
		g_ptr_array_add(metas, meta_of(&item->look, item->name, set->database != NULL));
	}
	/* The folder that a database lies in is not the set's. */
	if (!set->database)
		g_ptr_array_add(metas, meta_of(&folder->look, ".", false));
	g_autofree char *manifest = sync_manifest_build(metas);
	if (!store_small(repo, manifest, strlen(manifest), &manifest_id, error) ||
	    !insert(builder, SYNC_MANIFEST_NAME, &manifest_id, GIT_FILEMODE_BLOB, error))
		return false;
	if (git_treebuilder_write(&folder->id, builder) < 0)
		return sync_git_error(error, "writing a folder");
	folder->written = true;
	return true;
}

/* So that stock git-lfs knows what to fetch. */
static bool insert_attributes(git_treebuilder *builder, SyncRepo *repo, GError **error)
{
	static const char text[] = "* filter=lfs diff=lfs merge=lfs -text\n" SYNC_MANIFEST_NAME " !filter !diff !merge\n" SYNC_ATTRIBUTES_NAME " !filter !diff !merge\n";
	git_oid id;

	return store_small(repo, text, strlen(text), &id, error) && insert(builder, SYNC_ATTRIBUTES_NAME, &id, GIT_FILEMODE_BLOB, error);
}

bool sync_picture_write(SyncPicture *picture, SyncRepo *repo, const git_oid *before_id, GPtrArray *missing, git_oid *ret_tree, GError **error)
{
	g_autoptr(git_treebuilder) builder = NULL;
	g_autoptr(git_tree) before = NULL;

	if ((before_id && git_tree_lookup(&before, repo->git, before_id) < 0) || git_treebuilder_new(&builder, repo->git, NULL) < 0)
		return sync_git_error(error, "writing a tree");
	for (guint i = 0; i < picture->views->len; i++) {
		SetView *view = picture->views->pdata[i];
		const char *name = view->set->name;
		const git_tree_entry *entry = before ? git_tree_entry_byname(before, name) : NULL;

		if (view->root) {
			if (!write_folder(repo, view->root, view->set, error) || !insert(builder, name, &view->root->id, GIT_FILEMODE_TREE, error))
				return false;
			continue;
		}
		if (missing && entry)
			g_ptr_array_add(missing, g_strdup(name));
		if (entry && !insert(builder, name, git_tree_entry_id(entry), GIT_FILEMODE_TREE, error))
			return false;
	}
	if (picture->objects && !insert_attributes(builder, repo, error))
		return false;
	if (git_treebuilder_write(ret_tree, builder) < 0)
		return sync_git_error(error, "writing a tree");
	return true;
}
