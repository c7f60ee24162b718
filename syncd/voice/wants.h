/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/wants.h - the objects that are to be fetched, and in which order: what is small and new first. Pure. */
#pragma once

#include "syncd/voice/pointer.h"

typedef struct {
	SyncPointer pointer;
	gint64 mtime_ns; /* of the newest file that has it */
	char *path;      /* of that file in the tree; for people */
} SyncWant;

typedef struct SyncWants SyncWants;

SyncWants *sync_wants_new(void);
void sync_wants_free(SyncWants *wants); /* NULL is fine */

/* Several files may have the same object, and two sizes for one object cannot both be right. */
bool sync_wants_add(SyncWants *wants, const SyncPointer *pointer, gint64 mtime_ns, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

guint sync_wants_n(const SyncWants *wants);
guint64 sync_wants_bytes(const SyncWants *wants);

/* All of SyncWant*, in order: by size in steps of four, from 1 MiB on; then the newest first. Borrowed; the array is the caller's. */
GPtrArray *sync_wants_order(const SyncWants *wants);

/* "3 recordings: a/msg1, a/msg2, …". Transfer full. */
char *sync_wants_text(const SyncWants *wants);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncWants, sync_wants_free)
