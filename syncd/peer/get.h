/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/get.h - one file of the peer's, over a connection of its own. */
#pragma once

#include <gio/gio.h>

#include "syncd/peer/git-stream.h"

/* What the peer has at @path, of at most @most bytes. SYNC_ERROR_NOT_FOUND: nothing, or more. Transfer full. */
GBytes *sync_get(const SyncFetchSource *source, const char *path, gsize most, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;
