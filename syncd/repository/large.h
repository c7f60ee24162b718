/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/large.h - the content of files that are too large for the memory of this process.
 *
 * libgit2 gives the whole of an object or nothing of it; git writes one out piece by piece, in a process that ends.
 */
#pragma once

#include "syncd/repository/repo.h"

/* Whether @id, which is there, is so large. */
bool sync_large_is(SyncRepo *repo, const git_oid *id);

/* Whether its content is what its name says; when *@stop (atomic; may be NULL) ends it early, too. */
bool sync_large_is_whole(SyncRepo *repo, const git_oid *id, const gint *stop);

/* Its content, into @fd. */
bool sync_large_write(SyncRepo *repo, const git_oid *id, int fd, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;
