/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/whole.c - reads what syncd has marked. */
#include "supervisor/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <unistd.h>

Whole whole_look(const char *path)
{
	/* The folder is syncd's: what lies there may be anything. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return WHOLE_UNKNOWN;
	/* An apply that is about to write its mark has a lock: it may be held up there, and go on whatever comes meanwhile. */
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	bool known = fcntl(fd, F_OFD_SETLK, &lock) == 0, begins = !known && (errno == EAGAIN || errno == EACCES);
	char marks[16];
	ssize_t n = pread(fd, marks, sizeof marks, 0);
	close(fd);
	for (ssize_t i = 0; i < n; i++) {
		if (marks[i] == '*')
			return WHOLE_NOT;
		known &= marks[i] == '-';
	}
	if (begins)
		return WHOLE_NOT;
	return n > 0 && known ? WHOLE_YES : WHOLE_UNKNOWN;
}
