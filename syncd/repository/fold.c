/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/fold.c - counting the objects of the repository, and dropping those that nobody needs. */
#include "syncd/repository/fold.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/files/file.h"

enum {
	PAUSE_S = 60,       /* between two */
	PACKS_MAX = 50,     /* each fetch leaves one, and each is looked through */
	LOOSE_MAX = 2000,
	GROWN = 64 << 20,   /* so many bytes more, */
	GROWN_SHARE = 4,    /* or one part in so many, whichever is more */
	REST_S = 1800,      /* whatever is new is folded after so long */
	NAME = 40,          /* digits of an object */
	DEPTH_MAX = 16,
	BLOCK = 512,
};

bool sync_fold_due(const SyncHeap *heap, const SyncHeap *folded, gint64 since_us, bool past_ended)
{
	guint64 bytes = heap->pack_bytes + heap->loose_bytes, before = folded->pack_bytes + folded->loose_bytes;
	bool same = heap->packs == folded->packs && heap->loose == folded->loose && bytes == before;

	if (since_us < PAUSE_S * (gint64)G_USEC_PER_SEC)
		return false;
	if (past_ended)
		return true;
	if (same)
		return false;
	return heap->packs >= folded->packs + PACKS_MAX || heap->loose >= folded->loose + LOOSE_MAX ||
	       bytes > before + MAX((guint64)GROWN, before / GROWN_SHARE) || since_us >= REST_S * (gint64)G_USEC_PER_SEC;
}

static bool is_hex(const char *text, gsize length)
{
	return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

/* Calls @visit for each loose object. */
typedef void (*VisitLoose)(const char *fan, const char *name, const struct stat *st, gpointer user_data);

static void each_loose(const char *repository, GCancellable *cancellable, VisitLoose visit, gpointer user_data)
{
	for (guint i = 0; i < 256 && !g_cancellable_is_cancelled(cancellable); i++) {
		g_autofree char *folder = g_strdup_printf("%s/objects/%02x", repository, i);
		DIR *dir = opendir(folder);
		const char *fan = folder + strlen(folder) - 2;

		if (!dir)
			continue;
		for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
			struct stat st;

			if (is_hex(entry->d_name, NAME - 2) && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
				visit(fan, entry->d_name, &st, user_data);
		}
		(void)closedir(dir);
	}
}

static void count_loose(const char *fan, const char *name, const struct stat *st, gpointer user_data)
{
	SyncHeap *heap = user_data;

	heap->loose++;
	heap->loose_bytes += (guint64)st->st_blocks * BLOCK;
}

void sync_heap_measure(const char *repository, SyncHeap *ret_heap)
{
	g_autofree char *folder = g_build_filename(repository, "objects/pack", NULL);
	DIR *dir = opendir(folder);

	*ret_heap = (SyncHeap){ 0 };
	each_loose(repository, NULL, count_loose, ret_heap);
	if (!dir)
		return;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		struct stat st;

		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		ret_heap->packs += g_str_has_suffix(entry->d_name, ".pack");
		ret_heap->pack_bytes += (guint64)st.st_blocks * BLOCK;
	}
	(void)closedir(dir);
}

static guint64 bytes_in(int fd, guint depth)
{
	DIR *dir = fdopendir(fd);
	guint64 bytes = 0;

	if (!dir) {
		(void)close(fd);
		return 0;
	}
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		struct stat st;

		if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..") || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bytes += (guint64)st.st_blocks * BLOCK;
		int inner = S_ISDIR(st.st_mode) && depth > 0 ? openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (inner >= 0)
			bytes += bytes_in(inner, depth - 1);
	}
	(void)closedir(dir);
	return bytes;
}

guint64 sync_heap_bytes_below(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? 0 : bytes_in(fd, DEPTH_MAX);
}

static struct timespec *stamp_of(const struct stat *st)
{
	struct timespec *stamp = g_new(struct timespec, 1);

	*stamp = st->st_ctim;
	return stamp;
}

static void note_loose(const char *fan, const char *name, const struct stat *st, gpointer user_data)
{
	g_hash_table_insert(user_data, g_strconcat(fan, name, NULL), stamp_of(st));
}

GHashTable *sync_heap_loose(const char *repository, GCancellable *cancellable)
{
	GHashTable *loose = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

	each_loose(repository, cancellable, note_loose, loose);
	return loose;
}

bool sync_heap_drop(const char *repository, GHashTable *before, const char *name)
{
	const struct timespec *stamp = g_hash_table_lookup(before, name);
	g_autofree char *path = stamp ? g_strdup_printf("%s/objects/%.2s/%s", repository, name, name + 2) : NULL;
	struct stat st;

	return path && lstat(path, &st) == 0 && st.st_ctim.tv_sec == stamp->tv_sec && st.st_ctim.tv_nsec == stamp->tv_nsec && unlink(path) == 0;
}

static bool is_unfinished(const char *name)
{
	static const char *const beginnings[] = { ".tmp-", "tmp_pack_", "tmp_idx_", "tmp_obj_" }; /* libgit2's and our own have other names */

	for (guint i = 0; i < G_N_ELEMENTS(beginnings); i++)
		if (g_str_has_prefix(name, beginnings[i]))
			return true;
	return false;
}

static void sweep(const char *repository, const char *folder)
{
	g_autofree char *path = g_build_filename(repository, "objects", folder, NULL);
	DIR *dir = opendir(path);

	if (!dir)
		return;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		if (is_unfinished(entry->d_name))
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
}

void sync_heap_sweep(const char *repository)
{
	sweep(repository, "pack");
	for (guint i = 0; i < 256; i++) {
		char fan[3];

		(void)snprintf(fan, sizeof fan, "%02x", i);
		sweep(repository, fan);
	}
}
