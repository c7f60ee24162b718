/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/snapshot.h - a whole copy of a database that its application is writing. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

/* Copies the SQLite database @path (free of symbolic links) into the new file @copy, as of one moment. Never creates a file beside @path, because one that belongs to
 * us would lock the application out. Waits up to 2 s for a writer. */
bool sync_snapshot_take(const char *path, const char *copy, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether a process has the database open, as far as may be seen. */
bool sync_snapshot_in_use(const char *path);
