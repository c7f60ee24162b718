/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/bulk.h - writing what is large and not read again soon: past the memory, where the file system lets it, and as any other where it does not. */
#pragma once

#include <glib.h>

/* Where @data begins, so that it can go past the memory. Each piece but the last ought to be as long as several of these. */
enum { SYNC_BULK_ALIGNMENT = 4096 };

/* At @at, where the position of @fd is. How many bytes of it the memory holds until the disk has them; -1 and errno: some of it may have been written. */
gssize sync_bulk_write(int fd, guint64 at, const void *data, gsize length);
