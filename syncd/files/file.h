/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/file.h - small files that must survive a power cut, and opening files without ever leaving a folder. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

/* Writes @path whole or not at all: temporary file, fsync, rename, fsync of the folder. */
bool sync_file_write(const char *path, const char *data, gsize length, mode_t mode, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All of @data; false and errno. */
bool sync_file_append(int fd, const char *data, gsize length) G_GNUC_WARN_UNUSED_RESULT;

/* The first half of sync_file_write(): what @writer (false: errno says why) puts into it is at @path with another ending, fsynced. NULL and @error;
 * transfer full. The name alone is sync_file_beside()'s. */
typedef bool (*SyncFileWriter)(int fd, gconstpointer user_data);
char *sync_file_beside(const char *path);
char *sync_file_write_beside(const char *path, SyncFileWriter writer, gconstpointer user_data, mode_t mode, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes what was done to the name @path lasting. */
bool sync_file_settle_folder(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Durably. */
bool sync_file_rename(const char *from, const char *to, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes @path and makes that lasting; not being there is fine. */
bool sync_file_remove(const char *path, GError **error);

/* Opens @path below @root_fd; no component may be a symbolic link or lead out of it. "" opens the root again. -1 and errno. */
int sync_file_open_beneath(int root_fd, const char *path, int flags);

/* Removes everything in the folder @fd and then the folder, named @name in @parent_fd. Best effort; links are never followed. */
void sync_file_remove_tree(int parent_fd, const char *name);

void sync_error_from_errno(GError **error, int saved_errno, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* A descriptor that closes itself; GLib 2.74 has none. */
static inline void sync_fd_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}
#define sync_autofd __attribute__((cleanup(sync_fd_close))) int
