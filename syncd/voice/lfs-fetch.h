/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs-fetch.h - fetching objects from the peer: several at once, each going on where it was left. */
#pragma once

#include "syncd/apply/ahead.h"
#include "syncd/peer/git-stream.h"
#include "syncd/voice/objects.h"
#include "syncd/voice/wants.h"

/* Asked now and then in the calling thread: whether to leave off for something newer. NULL: never. */
typedef bool (*SyncLfsEnough)(gpointer user_data);

/* Blocks until all of @wants are in @objects, or something is in the way. What has come by then stays. @enough NULL: it never is. What comes is
 * written for its set, too, into @ahead, unless that is NULL. */
bool sync_lfs_fetch(SyncObjects *objects, const SyncFetchSource *source, const SyncWants *wants, SyncLfsEnough enough, gpointer user_data,
		    SyncAhead *ahead, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;
