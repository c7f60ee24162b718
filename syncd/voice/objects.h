/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/voice/objects.h - the recordings themselves, each once, named by its sha256.
 *
 *	lfs/objects/ab/cd/abcd…    whole and verified; git-lfs's own layout, so stock git-lfs uses it
 *	lfs/incomplete/abcd…       what has come of one so far; a later fetch goes on from there
 *	lfs/incomplete/new-…       being copied here; removed at start
 *	lfs/unsettled              more came than was worth an fsync each, and the disk does not have all of it yet; holds the boot's id
 *
 * An object never shares its bytes with the file in the data set, unless the file system can share them until one of the two is written (FICLONE): an
 * application may write into its recording.
 *
 * Putting, receiving and settling may be done in several threads at once; sweeping only while nobody does these.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/voice/pointer.h"

typedef struct SyncObjects SyncObjects;

/* @folder ("…/lfs") is made when it is not there. After a loss of power what may have been lost is looked at, and removed if it is. */
SyncObjects *sync_objects_open(const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_objects_free(SyncObjects *objects); /* NULL is fine */

/* Where it is, or would be. Transfer full. */
char *sync_objects_path(const SyncObjects *objects, const char *id);
char *sync_objects_path_in(const char *folder, const char *id);

/* Whether it is here, whole. An empty one always is. */
bool sync_objects_has(const SyncObjects *objects, const SyncPointer *pointer);
bool sync_objects_size(const SyncObjects *objects, const char *id, guint64 *ret_size);

/* What the open file @fd is, from its beginning. */
bool sync_objects_hash(int fd, GCancellable *cancellable, SyncPointer *ret_pointer, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Stores it. */
bool sync_objects_put(SyncObjects *objects, int fd, GCancellable *cancellable, SyncPointer *ret_pointer, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Fills the new file @fd. */
bool sync_objects_take(const SyncObjects *objects, const SyncPointer *pointer, int fd, GCancellable *cancellable,
		       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether the file system of @fd may take so many bytes more of what comes from the peer. */
bool sync_objects_has_room(int fd, guint64 bytes);

/* Everything that was put or received is on the disk, names too. Before a commit that refers to it. */
bool sync_objects_settle(SyncObjects *objects, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Begins with it, when it takes long; the same as before waits for it. From one thread at a time. */
void sync_objects_settle_soon(SyncObjects *objects);

/* Removes what is not in @keep (set of ids), half received ones too. */
void sync_objects_sweep(SyncObjects *objects, GHashTable *keep, guint *ret_n, guint64 *ret_bytes);

/* ---- one that comes over the network ---- */

typedef struct SyncReceipt SyncReceipt;

/* Goes on where an earlier one ended. Refuses what there is no room for. */
SyncReceipt *sync_receipt_new(SyncObjects *objects, const SyncPointer *pointer, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_receipt_free(SyncReceipt *receipt); /* what has come is kept; NULL is fine */
guint64 sync_receipt_at(const SyncReceipt *receipt);
int sync_receipt_fd(const SyncReceipt *receipt); /* what it is written to; borrowed */

/* What is added is written to the new file @fd as well, which stays the caller's. False: there is something here already, or the file system can have
 * both share their bytes: then it is to be taken when it is whole. */
bool sync_receipt_copy(SyncReceipt *receipt, int fd);
bool sync_receipt_is_copied(const SyncReceipt *receipt); /* all of it so far */

/* Whether much of what was added is in memory, for the disk to be written. */
bool sync_receipt_is_in_memory(const SyncReceipt *receipt);

/* From the beginning after all. */
bool sync_receipt_restart(SyncReceipt *receipt, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* @data from where bulk.h says, and in large pieces: then it goes past the memory. */
bool sync_receipt_add(SyncReceipt *receipt, const guint8 *data, gsize length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Counts only if it is what was promised; else what came is thrown away. */
bool sync_receipt_finish(SyncReceipt *receipt, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncObjects, sync_objects_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncReceipt, sync_receipt_free)
