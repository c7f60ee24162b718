/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/watch.h - inotify over the folders of the data sets. Belongs to the thread that iterates @context. */
#pragma once

#include <glib.h>

#include "syncd/files/set.h"

typedef struct SyncWatch SyncWatch;

typedef enum {
	SYNC_WATCH_DONE,   /* a change that is complete: closed, renamed, removed, rights */
	SYNC_WATCH_WRITING, /* somebody writes and has it still open */
	SYNC_WATCH_LOST,   /* the set's own folder went, or events were dropped (@set NULL): look at everything */
} SyncWatchWhat;

typedef void (*SyncWatchCb)(const SyncSet *set, const char *folder, const char *name, SyncWatchWhat what, gpointer user_data);

/* NULL and @error when the kernel gives none. */
SyncWatch *sync_watch_new(GMainContext *context, SyncWatchCb callback, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_watch_free(SyncWatch *watch); /* NULL is fine */

/* Watches the open folder @fd, known as @path of @set. Twice is fine, also under another path after a rename. false: no watch (limit). */
bool sync_watch_add(SyncWatch *watch, const SyncSet *set, const char *path, int fd);
