/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/marks.c - bytes under locks that go with whoever holds them. */
#include "syncd/apply/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/files/file.h"

enum { UNKNOWN = '?', WHOLE = '-', MARKED = '*' };

static bool put(const SyncMarks *marks, guint i, char mark)
{
	return pwrite(marks->fd, &mark, 1, i) == 1;
}

bool sync_marks_open(SyncMarks *marks, const char *path, const char *master, guint n, GError **error)
{
	char unknown[16];
	struct stat st;

	g_assert(n <= sizeof unknown);
	memset(unknown, UNKNOWN, sizeof unknown);
	*marks = (SyncMarks){ .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644), .master = master };
	if (marks->fd >= 0 && fstat(marks->fd, &st) == 0 &&
	    (st.st_size == n || (ftruncate(marks->fd, 0) == 0 && pwrite(marks->fd, unknown, n, 0) == (ssize_t)n)))
		return true;
	sync_error_from_errno(error, errno, "%s", path);
	return false;
}

void sync_marks_close(SyncMarks *marks)
{
	sync_fd_close(&marks->fd);
}

bool sync_marks_begin(const SyncMarks *marks, guint i, bool follows, GError **error)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 1 };

	/* Who has it looks, because it is about to lead. */
	bool looked_at = fcntl(marks->fd, F_OFD_SETLK, &lock) < 0;
	bool late = follows && (looked_at || access(marks->master, F_OK) == 0), ok = !late && put(marks, i, MARKED);
	if (late)
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "a change of role came first");
	else if (!ok)
		sync_error_from_errno(error, errno, SYNC_MARKS_FILE);
	lock.l_type = F_UNLCK;
	(void)fcntl(marks->fd, F_OFD_SETLK, &lock);
	return ok;
}

void sync_marks_stuck(const SyncMarks *marks, guint i)
{
	if (!put(marks, i, MARKED))
		g_warning(SYNC_MARKS_FILE ": %s", g_strerror(errno));
}

void sync_marks_whole(const SyncMarks *marks, guint i)
{
	if (!put(marks, i, WHOLE))
		g_warning(SYNC_MARKS_FILE ": %s", g_strerror(errno));
}
