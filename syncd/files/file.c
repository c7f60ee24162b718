/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/file.c - durable small files and confined opening. */
#include "syncd/files/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "syncd/error.h"

void sync_error_from_errno(GError **error, int saved_errno, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *what = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: %s", what, g_strerror(saved_errno));
}

bool sync_file_settle_folder(const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	sync_autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0) {
		sync_error_from_errno(error, errno, "%s", folder);
		return false;
	}
	return true;
}

bool sync_file_append(int fd, const char *data, gsize length)
{
	while (length > 0) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		data += n;
		length -= n;
	}
	return true;
}

char *sync_file_beside(const char *path)
{
	return g_strconcat(path, ".new", NULL);
}

char *sync_file_write_beside(const char *path, SyncFileWriter writer, gconstpointer user_data, mode_t mode, GError **error)
{
	g_autofree char *temporary = sync_file_beside(path);

	(void)unlink(temporary);
	sync_autofd fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0 || !writer(fd, user_data) || fsync(fd) < 0) {
		sync_error_from_errno(error, errno, "%s", temporary);
		(void)unlink(temporary);
		return NULL;
	}
	return g_steal_pointer(&temporary);
}

typedef struct {
	const char *data;
	gsize length;
} Content;

static bool write_content(int fd, gconstpointer user_data)
{
	const Content *content = user_data;

	return sync_file_append(fd, content->data, content->length);
}

bool sync_file_write(const char *path, const char *data, gsize length, mode_t mode, GError **error)
{
	Content content = { data, length };
	g_autofree char *temporary = sync_file_write_beside(path, write_content, &content, mode, error);

	if (!temporary)
		return false;
	if (rename(temporary, path) < 0) {
		sync_error_from_errno(error, errno, "%s", path);
		(void)unlink(temporary);
		return false;
	}
	return sync_file_settle_folder(path, error);
}

bool sync_file_rename(const char *from, const char *to, GError **error)
{
	if (rename(from, to) < 0) {
		sync_error_from_errno(error, errno, "%s", to);
		return false;
	}
	return sync_file_settle_folder(to, error);
}

bool sync_file_remove(const char *path, GError **error)
{
	if (unlink(path) < 0) {
		if (errno == ENOENT)
			return true;
		sync_error_from_errno(error, errno, "%s", path);
		return false;
	}
	return sync_file_settle_folder(path, error);
}

int sync_file_open_beneath(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (guint64)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	/* The kernel asks to try again when a rename elsewhere raced with RESOLVE_BENEATH. */
	do {
		fd = syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof how);
	} while (fd < 0 && errno == EAGAIN);
	return (int)fd;
}

void sync_file_remove_tree(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		(void)unlinkat(parent_fd, name, 0);
		return;
	}
	DIR *dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return;
	}
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, ".."))
			continue;
		if (unlinkat(fd, entry->d_name, 0) < 0 && (errno == EISDIR || errno == EPERM))
			sync_file_remove_tree(fd, entry->d_name);
	}
	(void)closedir(dir);
	(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}
