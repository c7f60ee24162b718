/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/store.h - what is on disk becomes an object of git. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/repository/repo.h"
#include "syncd/voice/objects.h"

bool sync_store_data(SyncRepo *repo, const char *data, gsize length, git_oid *ret_id, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Reads @fd, of @size bytes, to its end. With @objects the content is stored there and *ret_id is its pointer's (pointer.h); NULL: it is the blob's. */
bool sync_store_file(SyncRepo *repo, SyncObjects *objects, int fd, gsize size, GCancellable *cancellable, git_oid *ret_id,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;
