/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/ahead.c - a hidden folder of each set, with copies named by their objects. */
#include "syncd/apply/ahead.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "syncd/apply/places.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"

struct SyncAhead {
	const SyncObjects *objects;
	GPtrArray *sets;
	GMutex lock; /* guards the rest */
	SyncPlaces places;
	GHashTable *folders; /* set name -> descriptor + 1; 0: there can be none */
};

static void close_value(gpointer value)
{
	if (value)
		(void)close(GPOINTER_TO_INT(value) - 1);
}

SyncAhead *sync_ahead_new(GPtrArray *sets, SyncRef ref, const SyncObjects *objects)
{
	SyncAhead *ahead = g_new0(SyncAhead, 1);

	ahead->objects = objects;
	ahead->sets = g_ptr_array_ref(sets);
	g_mutex_init(&ahead->lock);
	if (!sync_places_init(&ahead->places, sets, sync_ref_names[ref], NULL))
		g_assert_not_reached();
	ahead->folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_value);
	return ahead;
}

void sync_ahead_free(SyncAhead *ahead)
{
	if (!ahead)
		return;
	g_hash_table_unref(ahead->folders);
	sync_places_clear(&ahead->places);
	g_mutex_clear(&ahead->lock);
	g_ptr_array_unref(ahead->sets);
	g_free(ahead);
}

char *sync_ahead_name(const SyncSet *set)
{
	return g_strconcat(SYNC_OWN_PREFIX "ahead.", set->name, NULL);
}

/* A new one. -1: what stands there is not ours, or the set has no folder. */
static int make_folder(SyncAhead *ahead, const char *name)
{
	const SyncSet *set = sync_sets_find(ahead->sets, ahead->places.ref, name);
	int root_fd = set ? sync_places_root(&ahead->places, name, true, NULL) : -1;
	struct stat st;

	if (root_fd < 0)
		return -1;
	g_autofree char *folder = sync_ahead_name(set);
	sync_file_remove_tree(root_fd, folder);
	(void)mkdirat(root_fd, folder, 0700);
	int fd = openat(root_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* What is in it gets another owner: nobody else may have put it there. */
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0)
		return fd;
	sync_fd_close(&fd);
	return -1;
}

static int folder_of(SyncAhead *ahead, const char *name, bool make)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&ahead->lock);
	gpointer found;

	if (!g_hash_table_lookup_extended(ahead->folders, name, NULL, &found)) {
		found = GINT_TO_POINTER(make ? make_folder(ahead, name) + 1 : 0);
		if (make)
			g_hash_table_insert(ahead->folders, g_strdup(name), found);
	}
	return GPOINTER_TO_INT(found) - 1;
}

static int folder_at(SyncAhead *ahead, const char *path, bool make)
{
	g_autofree char *name = g_strndup(path, strcspn(path, "/"));

	return folder_of(ahead, name, make);
}

int sync_ahead_begin(SyncAhead *ahead, const char *path, const SyncPointer *pointer)
{
	int folder_fd = folder_at(ahead, path, true);

	if (folder_fd < 0 || pointer->size == 0 || !sync_objects_has_room(folder_fd, pointer->size))
		return -1;
	return openat(folder_fd, pointer->id, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
}

void sync_ahead_drop(SyncAhead *ahead, const char *path, const SyncPointer *pointer)
{
	int folder_fd = folder_at(ahead, path, false);

	if (folder_fd >= 0)
		(void)unlinkat(folder_fd, pointer->id, 0);
}

int sync_ahead_add(SyncAhead *ahead, const char *path, const SyncPointer *pointer, GCancellable *cancellable)
{
	sync_autofd fd = sync_ahead_begin(ahead, path, pointer);

	if (fd < 0)
		return -1;
	if (!sync_objects_take(ahead->objects, pointer, fd, cancellable, NULL)) {
		sync_ahead_drop(ahead, path, pointer);
		return -1;
	}
	int given = fd;
	fd = -1;
	return given;
}

int sync_ahead_take(SyncAhead *ahead, const char *set, const SyncPointer *pointer, int folder_fd, const char *name)
{
	int from_fd = ahead ? folder_of(ahead, set, false) : -1;
	struct stat st;

	if (from_fd < 0)
		return -1;
	/* Opened first: this is the file, whatever becomes of its names. */
	sync_autofd fd = openat(from_fd, pointer->id, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || (guint64)st.st_size != pointer->size || renameat(from_fd, pointer->id, folder_fd, name) < 0)
		return -1;
	int given = fd;
	fd = -1;
	return given;
}
