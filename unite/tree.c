/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unite/tree.c - listing, comparing and placing files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unite/unite.h"

#define POINTER "version https://git-lfs.github.com/spec/v1\noid sha256:"

enum { CHUNK = 64 * 1024, DEPTH_MAX = 64, SUM_LENGTH = 64, SHOWN = 8 };

bool unite_errno(GError **error, const char *path)
{
	int saved = errno;

	g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(saved), "%s: %s", path, g_strerror(saved));
	return false;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
#define autofd __attribute__((cleanup(close_fd))) int

static void list_into(GPtrArray *list, const char *top, const char *inner, guint depth)
{
	g_autofree char *folder = g_build_filename(top, inner, NULL);
	DIR *dir = depth < DEPTH_MAX ? opendir(folder) : NULL;

	if (!dir)
		return;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		g_autofree char *path = *inner ? g_build_filename(inner, entry->d_name, NULL) : g_strdup(entry->d_name);
		struct stat st;

		if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..") || g_str_has_prefix(entry->d_name, UNITE_TEMPORARY) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			list_into(list, top, path, depth + 1);
		else if (S_ISREG(st.st_mode))
			g_ptr_array_add(list, g_steal_pointer(&path));
	}
	(void)closedir(dir);
}

static gint by_text(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **unite_list(const char *folder)
{
	GPtrArray *list = g_ptr_array_new();

	list_into(list, folder, "", 0);
	g_ptr_array_sort(list, by_text);
	g_ptr_array_add(list, NULL);
	return (char **)g_ptr_array_free(list, FALSE);
}

char *unite_sum(const char *path)
{
	autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_autofree guchar *buffer = g_malloc(CHUNK);
	bool first = true;
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, buffer, CHUNK)) > 0) {
		if (first && (gsize)n > strlen(POINTER) + SUM_LENGTH && memcmp(buffer, POINTER, strlen(POINTER)) == 0)
			return g_strndup((const char *)buffer + strlen(POINTER), SUM_LENGTH);
		first = false;
		g_checksum_update(sum, buffer, n);
	}
	return n == 0 ? g_strdup(g_checksum_get_string(sum)) : NULL;
}

/* ---- placing ---- */

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

static bool copy(int from, int to)
{
	g_autofree char *buffer = g_malloc(CHUNK);
	ssize_t n;

	while ((n = read(from, buffer, CHUNK)) > 0)
		if (!write_whole(to, buffer, (gsize)n))
			return false;
	return n == 0;
}

static bool settle(const char *folder)
{
	autofd fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fsync(fd) == 0;
}

/* Like the folder it is in. */
static bool make_folder(const char *folder, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(folder);
	struct stat st;

	if (lstat(folder, &st) == 0)
		return S_ISDIR(st.st_mode) || (errno = ENOTDIR, unite_errno(error, folder));
	if (g_str_equal(parent, folder))
		return unite_errno(error, folder);
	if (!make_folder(parent, error))
		return false;
	if (lstat(parent, &st) < 0 || (mkdir(folder, 0700) < 0 && errno != EEXIST))
		return unite_errno(error, folder);
	/* Who is not root makes what is its own anyway. */
	if (chown(folder, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return unite_errno(error, folder);
	return (chmod(folder, st.st_mode & 07777) == 0 && settle(parent)) || unite_errno(error, folder);
}

bool unite_clean(const char *live, const char *folder, GError **error)
{
	g_autofree char *path = g_build_filename(live, folder, NULL), *lock = g_build_filename(path, ".lock", NULL);
	struct stat held, st;

	if (!make_folder(path, error))
		return false;
	DIR *dir = opendir(path);
	if (!dir)
		return unite_errno(error, path);
	bool locked = lstat(lock, &held) == 0;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		if (!g_str_has_prefix(entry->d_name, UNITE_TEMPORARY))
			continue;
		/* A lock that is ours, of a process that was killed. */
		if (locked && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == held.st_ino && st.st_dev == held.st_dev)
			(void)unlink(lock);
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	(void)closedir(dir);
	return true;
}

bool unite_place(const char *from, const char *text, const char *to, bool *ret_exists, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(to), *temporary = g_strdup_printf("%s/" UNITE_TEMPORARY "new", folder);
	struct stat st;

	*ret_exists = false;
	if (!make_folder(folder, error))
		return false;
	autofd in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) < 0)
		return unite_errno(error, from);
	(void)unlink(temporary);
	autofd out = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return unite_errno(error, temporary);
	struct timespec times[2] = { st.st_atim, st.st_mtim };
	bool ok = (text ? write_whole(out, text, strlen(text)) : copy(in, out)) && (fchown(out, st.st_uid, st.st_gid) == 0 || errno == EPERM) &&
		  fchmod(out, st.st_mode & 0777) == 0 && futimens(out, times) == 0 && fsync(out) == 0;
	/* link() is what never takes the place of something. */
	if (ok && link(temporary, to) < 0) {
		ok = errno == EEXIST;
		*ret_exists = ok;
	}
	int saved = errno;
	(void)unlink(temporary);
	ok = ok && settle(folder);
	errno = ok ? 0 : saved;
	return ok || unite_errno(error, to);
}

/* ---- files by their names ---- */

static bool same(const char *a, const char *sum)
{
	g_autofree char *other = unite_sum(a);

	return other && g_str_equal(other, sum);
}

bool unite_one_file(const UnitePlace *place, const char *name, UniteCount *count, GError **error)
{
	g_autofree char *from = g_build_filename(place->theirs, name, NULL), *to = g_build_filename(place->live, name, NULL);
	g_autofree char *before = g_build_filename(place->base, name, NULL), *sum = unite_sum(from);
	bool exists;

	if (!sum)
		return unite_errno(error, from);
	/* As it was: whatever became of it here was meant. */
	if (same(before, sum) || same(to, sum))
		return true;
	if (!unite_place(from, NULL, to, &exists, error))
		return false;
	if (exists) {
		const char *dot = strrchr(to, '.'), *slash = strrchr(to, '/');
		int stem = dot && dot > slash + 1 ? (int)(dot - to) : (int)strlen(to);
		g_autofree char *beside = g_strdup_printf("%.*s.%.*s%s", stem, to, SHOWN, sum, to + stem);

		if (same(beside, sum))
			return true;
		if (!unite_place(from, NULL, beside, &exists, error))
			return false;
		if (exists) {
			errno = EEXIST;
			return unite_errno(error, beside);
		}
	}
	count->files++;
	return true;
}

bool unite_files(const UnitePlace *place, UniteCount *count, GError **error)
{
	g_auto(GStrv) names = unite_list(place->theirs);

	for (guint i = 0; names[i]; i++)
		if (!unite_one_file(place, names[i], count, error))
			return false;
	return true;
}
