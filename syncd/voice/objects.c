/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/objects.c - the store of recordings. */
#include "syncd/voice/objects.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <gnutls/crypto.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "syncd/files/bulk.h"
#include "syncd/files/disk.h"
#include "syncd/error.h"
#include "syncd/files/file.h"

enum {
	CHUNK = 256 * 1024,
	SMALL = 4 << 20,  /* through memory, so that it is read but once */
	FEW = 12,         /* so many are worth an fsync each */
	RESERVE = 64 << 20, /* of the file system stay free of what comes from the peer */
};

#define NEW_PREFIX "new-"

struct SyncObjects {
	char *folder, *objects, *incomplete, *mark;
	GMutex lock;         /* guards the rest */
	GHashTable *folders; /* whose names the disk does not have yet */
	guint unsettled;     /* objects since it was settled */
	bool all;            /* settled by asking the disk for everything */
	bool marked;         /* the mark is there */
	guint serial;
	GThread *settler; /* not guarded: of who asked for it */
};

/* ---- hashing ---- */

typedef struct {
	gnutls_hash_hd_t handle;
	guint64 size;
} Hash;

static void hash_begin(Hash *hash)
{
	hash->size = 0;
	if (gnutls_hash_init(&hash->handle, GNUTLS_DIG_SHA256) < 0)
		g_error("no SHA-256");
}

static void hash_add(Hash *hash, const void *data, gsize length)
{
	gnutls_hash(hash->handle, data, length);
	hash->size += length;
}

static void hash_clear(Hash *hash)
{
	if (hash->handle)
		gnutls_hash_deinit(hash->handle, NULL);
	hash->handle = NULL;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Hash, hash_clear)

static void hash_end(Hash *hash, SyncPointer *ret_pointer)
{
	guint8 digest[SYNC_OBJECT_ID / 2];

	gnutls_hash_output(hash->handle, digest);
	*ret_pointer = (SyncPointer){ .size = hash->size };
	for (guint i = 0; hash->size > 0 && i < sizeof digest; i++)
		snprintf(ret_pointer->id + 2 * i, 3, "%02x", digest[i]);
}

static bool failed(GError **error, const char *what)
{
	sync_error_from_errno(error, errno, "%s", what);
	return false;
}

static bool write_all(int fd, const char *data, gsize length, GError **error)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno != EINTR)
			return failed(error, "storing a recording");
		data += MAX(n, 0);
		length -= MAX(n, 0);
	}
	return true;
}

/* @from, up to @most bytes, into @to (-1: nowhere). */
static bool pump(int from, int to, guint64 most, Hash *hash, GCancellable *cancellable, GError **error)
{
	g_autofree char *buffer = g_malloc(CHUNK);

	for (guint64 at = 0; at < most;) {
		ssize_t n = pread(from, buffer, MIN(most - at, CHUNK), (off_t)at);

		if (g_cancellable_set_error_if_cancelled(cancellable, error))
			return false;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(error, "reading a recording");
		if (n == 0)
			break;
		if (hash)
			hash_add(hash, buffer, n);
		if (to >= 0 && !write_all(to, buffer, n, error))
			return false;
		at += n;
	}
	return true;
}

bool sync_objects_hash(int fd, GCancellable *cancellable, SyncPointer *ret_pointer, GError **error)
{
	g_auto(Hash) hash = { 0 };
	struct stat st;

	hash_begin(&hash);
	/* A file that grows faster than it is read has an end, too. */
	if (fstat(fd, &st) < 0)
		return failed(error, "reading a recording");
	if (!pump(fd, -1, st.st_size, &hash, cancellable, error))
		return false;
	hash_end(&hash, ret_pointer);
	return true;
}

/* ---- where they are ---- */

char *sync_objects_path_in(const char *folder, const char *id)
{
	return g_strdup_printf("%s/objects/%.2s/%.2s/%s", folder, id, id + 2, id);
}

char *sync_objects_path(const SyncObjects *objects, const char *id)
{
	return sync_objects_path_in(objects->folder, id);
}

static char *part_path(const SyncObjects *objects, const char *id)
{
	return g_build_filename(objects->incomplete, id, NULL);
}

bool sync_objects_size(const SyncObjects *objects, const char *id, guint64 *ret_size)
{
	g_autofree char *path = sync_objects_path(objects, id);
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	*ret_size = (guint64)st.st_size;
	return true;
}

bool sync_objects_has(const SyncObjects *objects, const SyncPointer *pointer)
{
	guint64 size;

	return pointer->size == 0 || (sync_objects_size(objects, pointer->id, &size) && size == pointer->size);
}

/* ---- the disk ---- */

static char *this_boot(void)
{
	char *text = NULL;

	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
		return g_strdup("unknown");
	return g_strstrip(text);
}

/* The lock is held. Whether the object may do without an fsync of its own. */
static bool mark_unsettled(SyncObjects *objects, bool *ret_marked, GError **error)
{
	*ret_marked = objects->unsettled++ >= FEW;
	if (!*ret_marked || objects->marked)
		return true;
	g_autofree char *boot = this_boot();
	if (!sync_file_write(objects->mark, boot, strlen(boot), 0600, error))
		return false;
	objects->marked = objects->all = true;
	return true;
}

static bool sync_path(const char *path, bool file_system, GError **error)
{
	sync_autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* A folder that has become empty since has gone. */
	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0 || (file_system ? sync_disk_file_system(fd) : fsync(fd)) < 0)
		return failed(error, path);
	return true;
}

bool sync_objects_settle(SyncObjects *objects, GError **error)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&objects->lock);
	GHashTableIter iter;
	gpointer path;

	if (objects->all && (!sync_path(objects->folder, true, error) || !sync_file_remove(objects->mark, error)))
		return false;
	g_hash_table_iter_init(&iter, objects->folders);
	while (g_hash_table_iter_next(&iter, &path, NULL)) {
		if (!objects->all && !sync_path(path, false, error))
			return false;
		g_hash_table_iter_remove(&iter);
	}
	objects->marked = objects->all = false;
	objects->unsettled = 0;
	return true;
}

static gpointer settle_now(gpointer data)
{
	sync_disk_apart();
	/* What fails here fails again for who waits for it, and is told to him. */
	(void)!sync_objects_settle(data, NULL);
	return NULL;
}

static void join_settler(SyncObjects *objects)
{
	if (objects->settler)
		g_thread_join(objects->settler);
	objects->settler = NULL;
}

void sync_objects_settle_soon(SyncObjects *objects)
{
	g_mutex_lock(&objects->lock);
	bool long_ = objects->all;
	g_mutex_unlock(&objects->lock);
	if (!long_)
		return;
	join_settler(objects);
	objects->settler = g_thread_new("voice-settle", settle_now, objects);
}

/* The folders of an object; those whose names are new are remembered. */
static bool have_folders(SyncObjects *objects, const char *path, GError **error)
{
	g_autofree char *inner = g_path_get_dirname(path), *outer = g_path_get_dirname(inner);
	const char *each[] = { outer, inner };

	for (guint i = 0; i < G_N_ELEMENTS(each); i++) {
		if (mkdir(each[i], 0700) == 0)
			g_hash_table_add(objects->folders, g_path_get_dirname(each[i]));
		else if (errno != EEXIST)
			return failed(error, each[i]);
	}
	g_hash_table_add(objects->folders, g_steal_pointer(&inner));
	return true;
}

/* The whole file @temporary, open as @fd, becomes the object @id. @in_memory: much of it. */
static bool adopt(SyncObjects *objects, const char *temporary, int fd, const char *id, bool in_memory, GError **error)
{
	g_autofree char *path = sync_objects_path(objects, id);
	bool marked;

	g_mutex_lock(&objects->lock);
	bool ok = mark_unsettled(objects, &marked, error) && have_folders(objects, path, error);
	g_mutex_unlock(&objects->lock);
	if (!ok)
		return false;
	/* Nobody ought to write into it. */
	if (fchmod(fd, 0400) < 0 || (!marked && fsync(fd) < 0) || rename(temporary, path) < 0)
		return failed(error, "storing a recording");
	/* While the next ones come the disk is at work: whoever waits for it in the end finds little left. */
	if (marked && in_memory)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return true;
}

/* ---- putting and taking ---- */

static bool put_content(SyncObjects *objects, int to, const char *temporary, int fd, const char *data, guint64 size, GCancellable *cancellable,
			SyncPointer *ret_pointer, GError **error)
{
	g_auto(Hash) hash = { 0 };

	if (data) {
		if (!write_all(to, data, size, error))
			return false;
	} else if (ioctl(to, FICLONE, fd) == 0) {
		if (!sync_objects_hash(to, cancellable, ret_pointer, error))
			return false;
	} else {
		hash_begin(&hash);
		if (!pump(fd, to, size, &hash, cancellable, error))
			return false;
		hash_end(&hash, ret_pointer);
	}
	/* It may have been written to since it was looked at; whatever is here now is stored by its own name. */
	return ret_pointer->size == 0 || sync_objects_has(objects, ret_pointer) ? unlink(temporary) == 0 || failed(error, temporary) :
										  adopt(objects, temporary, to, ret_pointer->id, true, error);
}

bool sync_objects_put(SyncObjects *objects, int fd, GCancellable *cancellable, SyncPointer *ret_pointer, GError **error)
{
	g_autofree char *data = NULL, *temporary = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failed(error, "reading a recording");
	if (st.st_size <= SMALL) {
		g_auto(Hash) hash = { 0 };
		gsize length = 0;
		ssize_t n = 1;

		data = g_malloc(st.st_size + 1);
		while (length < (gsize)st.st_size && (n = pread(fd, data + length, st.st_size - length, (off_t)length)) > 0)
			length += n;
		if (n < 0)
			return failed(error, "reading a recording");
		hash_begin(&hash);
		hash_add(&hash, data, length);
		hash_end(&hash, ret_pointer);
	} else if (!sync_objects_hash(fd, cancellable, ret_pointer, error)) {
		return false;
	}
	if (sync_objects_has(objects, ret_pointer))
		return true;
	g_mutex_lock(&objects->lock);
	temporary = g_strdup_printf("%s/" NEW_PREFIX "%u", objects->incomplete, objects->serial++);
	g_mutex_unlock(&objects->lock);
	sync_autofd to = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return failed(error, temporary);
	if (put_content(objects, to, temporary, fd, data, data ? ret_pointer->size : (guint64)st.st_size, cancellable, ret_pointer, error))
		return true;
	(void)unlink(temporary);
	return false;
}

bool sync_objects_take(const SyncObjects *objects, const SyncPointer *pointer, int fd, GCancellable *cancellable, GError **error)
{
	g_autofree char *path = sync_objects_path(objects, pointer->id);
	struct stat st;

	if (pointer->size == 0)
		return true;
	sync_autofd from = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0 || fstat(from, &st) < 0)
		return failed(error, "a recording of the commit");
	if ((guint64)st.st_size != pointer->size) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "a recording of the commit is not whole");
		return false;
	}
	if (ioctl(fd, FICLONE, from) == 0)
		return true;
	/* In the kernel, where the file systems are the same. */
	guint64 left = pointer->size;
	while (left > 0) {
		ssize_t n = copy_file_range(from, NULL, fd, NULL, MIN(left, SMALL), 0);

		if (g_cancellable_set_error_if_cancelled(cancellable, error))
			return false;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		left -= n;
	}
	if (left > 0 && left < pointer->size)
		return failed(error, "staging a recording");
	if (left > 0 && !pump(from, fd, pointer->size, NULL, cancellable, error))
		return false;
	/* Who wants it has the other one: what it took of the memory is sooner given to the next than found anew. */
	(void)posix_fadvise(from, 0, 0, POSIX_FADV_DONTNEED);
	return true;
}

/* ---- receiving ---- */

bool sync_objects_has_room(int fd, guint64 bytes)
{
	struct statvfs room;

	if (fstatvfs(fd, &room) < 0)
		return false;
	guint64 free_bytes = (guint64)room.f_bavail * room.f_frsize;
	return bytes <= free_bytes && free_bytes - bytes >= RESERVE;
}

struct SyncReceipt {
	SyncObjects *objects;
	SyncPointer pointer;
	char *path;
	int fd, copy_fd; /* copy_fd: borrowed; -1: there is none */
	guint64 held;    /* bytes in memory for the disk, of the one that has more */
	Hash hash;
};

SyncReceipt *sync_receipt_new(SyncObjects *objects, const SyncPointer *pointer, GCancellable *cancellable, GError **error)
{
	g_autoptr(SyncReceipt) receipt = g_new0(SyncReceipt, 1);
	struct stat st;

	receipt->objects = objects;
	receipt->pointer = *pointer;
	receipt->copy_fd = -1;
	receipt->path = part_path(objects, pointer->id);
	receipt->fd = open(receipt->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	hash_begin(&receipt->hash);
	if (receipt->fd < 0 || fstat(receipt->fd, &st) < 0) {
		failed(error, receipt->path);
		return NULL;
	}
	if ((guint64)st.st_size > pointer->size && !sync_receipt_restart(receipt, error))
		return NULL;
	if ((guint64)st.st_size <= pointer->size &&
	    (!pump(receipt->fd, -1, st.st_size, &receipt->hash, cancellable, error) || lseek(receipt->fd, (off_t)receipt->hash.size, SEEK_SET) < 0))
		return NULL;
	if (!sync_objects_has_room(receipt->fd, pointer->size - receipt->hash.size)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "no room for a recording of %" G_GUINT64_FORMAT " bytes", pointer->size);
		return NULL;
	}
	return g_steal_pointer(&receipt);
}

void sync_receipt_free(SyncReceipt *receipt)
{
	if (!receipt)
		return;
	hash_clear(&receipt->hash);
	if (receipt->fd >= 0)
		(void)close(receipt->fd);
	g_free(receipt->path);
	g_free(receipt);
}

guint64 sync_receipt_at(const SyncReceipt *receipt)
{
	return receipt->hash.size;
}

int sync_receipt_fd(const SyncReceipt *receipt)
{
	return receipt->fd;
}

bool sync_receipt_copy(SyncReceipt *receipt, int fd)
{
	/* One that shares its bytes is sooner made in the end. */
	if (receipt->hash.size == 0 && ioctl(fd, FICLONE, receipt->fd) < 0)
		receipt->copy_fd = fd;
	return receipt->copy_fd >= 0;
}

bool sync_receipt_is_in_memory(const SyncReceipt *receipt)
{
	return receipt->held >= SYNC_BULK_ALIGNMENT;
}

bool sync_receipt_is_copied(const SyncReceipt *receipt)
{
	return receipt->copy_fd >= 0;
}

bool sync_receipt_restart(SyncReceipt *receipt, GError **error)
{
	hash_clear(&receipt->hash);
	hash_begin(&receipt->hash);
	receipt->copy_fd = -1;
	if (ftruncate(receipt->fd, 0) < 0 || lseek(receipt->fd, 0, SEEK_SET) < 0)
		return failed(error, "receiving a recording");
	return true;
}

bool sync_receipt_add(SyncReceipt *receipt, const guint8 *data, gsize length, GError **error)
{
	if (length > receipt->pointer.size - receipt->hash.size) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the peer sends more bytes than it promised");
		return false;
	}
	gssize held = sync_bulk_write(receipt->fd, receipt->hash.size, data, length);
	if (held < 0)
		return failed(error, "storing a recording");
	gssize copy_held = receipt->copy_fd >= 0 ? sync_bulk_write(receipt->copy_fd, receipt->hash.size, data, length) : -1;
	if (copy_held < 0)
		receipt->copy_fd = -1;
	receipt->held += (guint64)MAX(held, copy_held);
	hash_add(&receipt->hash, data, length);
	return true;
}

bool sync_receipt_finish(SyncReceipt *receipt, GError **error)
{
	SyncPointer found;

	hash_end(&receipt->hash, &found);
	hash_clear(&receipt->hash);
	if (found.size == receipt->pointer.size && g_str_equal(found.id, receipt->pointer.id))
		return adopt(receipt->objects, receipt->path, receipt->fd, found.id, sync_receipt_is_in_memory(receipt), error);
	(void)unlink(receipt->path);
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "what the peer sent is not the recording that its commit names");
	return false;
}

/* ---- looking at all of them ---- */

typedef bool (*Visit)(const char *path, const char *name, const struct stat *st, gpointer user_data); /* false: it goes */

typedef struct {
	guint n;
	guint64 bytes;
} Removed;

static void visit_folder(const char *folder, guint depth, Visit visit, gpointer user_data, Removed *removed)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		struct stat st;

		if (lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			if (depth > 0)
				visit_folder(path, depth - 1, visit, user_data, removed);
			continue;
		}
		if (visit(path, name, &st, user_data) || unlink(path) < 0)
			continue;
		removed->n++;
		removed->bytes += (guint64)st.st_size;
	}
	g_clear_pointer(&dir, g_dir_close);
	/* Only an empty one goes, and never those that are always there. */
	if (depth < 2)
		(void)rmdir(folder);
}

static bool is_kept(const char *path, const char *name, const struct stat *st, gpointer user_data)
{
	return g_hash_table_contains(user_data, name);
}

void sync_objects_sweep(SyncObjects *objects, GHashTable *keep, guint *ret_n, guint64 *ret_bytes)
{
	Removed removed = { 0 };

	visit_folder(objects->objects, 2, is_kept, keep, &removed);
	visit_folder(objects->incomplete, 2, is_kept, keep, &removed);
	*ret_n = removed.n;
	*ret_bytes = removed.bytes;
}

static bool is_sound(const char *path, const char *name, const struct stat *st, gpointer user_data)
{
	sync_autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	SyncPointer found;

	return fd >= 0 && sync_objects_hash(fd, NULL, &found, NULL) && g_str_equal(found.id, name);
}

static bool is_no_copy(const char *path, const char *name, const struct stat *st, gpointer user_data)
{
	return !g_str_has_prefix(name, NEW_PREFIX);
}

static void heal(SyncObjects *objects)
{
	g_autofree char *text = NULL, *boot = this_boot();
	Removed removed = { 0 };

	visit_folder(objects->incomplete, 2, is_no_copy, NULL, &removed);
	/* An earlier process may not have waited for what it did last. */
	objects->all = true;
	if (!g_file_get_contents(objects->mark, &text, NULL, NULL))
		return;
	/* In the same boot nothing is lost, only late. */
	objects->marked = g_str_equal(text, boot);
	if (objects->marked)
		return;
	removed = (Removed){ 0 };
	visit_folder(objects->objects, 2, is_sound, NULL, &removed);
	if (removed.n)
		g_warning("%u recordings had not come to the disk whole; they are stored or fetched again", removed.n);
	(void)unlink(objects->mark);
}

SyncObjects *sync_objects_open(const char *folder, GError **error)
{
	g_autoptr(SyncObjects) objects = g_new0(SyncObjects, 1);

	g_mutex_init(&objects->lock);
	objects->folder = g_strdup(folder);
	objects->objects = g_build_filename(folder, "objects", NULL);
	objects->incomplete = g_build_filename(folder, "incomplete", NULL);
	objects->mark = g_build_filename(folder, "unsettled", NULL);
	objects->folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (g_mkdir_with_parents(objects->objects, 0700) < 0 || g_mkdir_with_parents(objects->incomplete, 0700) < 0) {
		failed(error, folder);
		return NULL;
	}
	heal(objects);
	return g_steal_pointer(&objects);
}

void sync_objects_free(SyncObjects *objects)
{
	if (!objects)
		return;
	join_settler(objects);
	g_clear_pointer(&objects->folders, g_hash_table_unref);
	g_mutex_clear(&objects->lock);
	g_free(objects->folder);
	g_free(objects->objects);
	g_free(objects->incomplete);
	g_free(objects->mark);
	g_free(objects);
}
