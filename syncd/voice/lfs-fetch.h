/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs-fetch.h - fetching objects from the peer: several at once, each going on where it was left. */
#pragma once

#include "syncd/peer/git-stream.h"
#include "syncd/voice/objects.h"
#include "syncd/voice/wants.h"

/* Asked now and then in the calling thread: whether to leave off for something newer. NULL: never. */
typedef bool (*SyncLfsEnough)(gpointer user_data);

/* Called in any of the threads: the object is here. What it has written for it, open, is closed by the caller; -1: nothing. NULL: nobody wants to know. */
typedef int (*SyncLfsCame)(const SyncWant *want, gpointer user_data, GCancellable *cancellable);

/* Blocks until all of @wants are in @objects, or something is in the way. What has come by then stays. @enough NULL: it never is. */
bool sync_lfs_fetch(SyncObjects *objects, const SyncFetchSource *source, const SyncWants *wants, SyncLfsEnough enough, SyncLfsCame came,
		    gpointer user_data, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;
