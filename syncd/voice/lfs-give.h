/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/voice/lfs-give.h - recordings to the peer, in a thread for each of its connections.
 *
 * The same as lfs-http.h serves, for who asks for nothing else (talk.h): what many gigabytes of recordings cost is then the reading, the cipher and the
 * network, and the main thread, which answers everybody, has nothing to do with it.
 */
#pragma once

#include <glib.h>

#include "syncd/peer/talk.h"
#include "syncd/voice/lfs.h"

#define SYNC_LFS_PATH "/repo.git/info/lfs"

typedef struct SyncGiving SyncGiving;

/* Of the objects of @folder ("…/lfs", objects.h). */
SyncGiving *sync_giving_new(const char *folder);
void sync_giving_free(SyncGiving *giving); /* ends all, and waits for the threads; NULL is fine */

/* Until it hangs up. @talk: transfer full. */
void sync_giving_add(SyncGiving *giving, SyncTalk *talk);

/* Ends all, whatever they are doing. */
void sync_giving_show_out(SyncGiving *giving);

/* ---- what is asked for ---- */

typedef struct {
	int fd; /* at @first */
	guint64 first, last, size;
	SyncRangeKind kind;
} SyncAsked;

/* What GET @path with the header Range: @range (NULL: none) asks for in @folder. The status; 200 and 206: *ret_asked is it, with an open file. */
guint sync_asked_find(const char *folder, const char *path, const char *range, SyncAsked *ret_asked);
