/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/bulk.c - O_DIRECT for the part of a piece that fills whole blocks. */
#include "syncd/files/bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

enum { BLOCKS = ~(SYNC_BULK_ALIGNMENT - 1) };

static ssize_t write_past_memory(int fd, const void *data, gsize length)
{
	if (fcntl(fd, F_SETFL, O_DIRECT) < 0)
		return -1;
	ssize_t n = write(fd, data, length);
	int saved_errno = errno;
	(void)fcntl(fd, F_SETFL, 0);
	errno = saved_errno;
	return n;
}

gssize sync_bulk_write(int fd, guint64 at, const void *data, gsize length)
{
	const char *from = data;
	gssize held = 0;

	while (length > 0) {
		bool fills = length >= SYNC_BULK_ALIGNMENT && at % SYNC_BULK_ALIGNMENT == 0 && (guintptr)from % SYNC_BULK_ALIGNMENT == 0;
		ssize_t n = fills ? write_past_memory(fd, from, length & BLOCKS) : -1;

		/* What the file system or the disk will not have so. */
		if (!fills || (n < 0 && errno == EINVAL)) {
			n = write(fd, from, length);
			held += MAX(n, 0);
		}
		if (n < 0 && errno != EINTR)
			return -1;
		from += MAX(n, 0);
		at += (guint64)MAX(n, 0);
		length -= (gsize)MAX(n, 0);
	}
	return held;
}
