/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/fold.h - when the objects of the repository are worth folding into one pack, and which of them may go.
 *
 * What nothing refers to is found by git. Whether it may go is decided here: an object that was there before git looked, and of which nobody has made use
 * since. Whoever stores what is there already touches it, so its file has another change time then; clocks are not compared, only found equal.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef struct {
	guint packs, loose;
	guint64 pack_bytes, loose_bytes;
} SyncHeap;

/* @heap, @folded: now, and after it was folded last; @since_us: then; @past_ended: names that are to be forgotten are in it. Pure. */
bool sync_fold_due(const SyncHeap *heap, const SyncHeap *folded, gint64 since_us, bool past_ended);

/* Counts what is in @repository; 0 of everything when there is nothing. */
void sync_heap_measure(const char *repository, SyncHeap *ret_heap);

/* Bytes that everything below @path occupies on the disk. */
guint64 sync_heap_bytes_below(const char *path);

/* Of each loose object (name, 40 digits) its change time. Transfer full. */
GHashTable *sync_heap_loose(const char *repository, GCancellable *cancellable);

/* Removes the loose object @name if it is as it was in @before. */
bool sync_heap_drop(const char *repository, GHashTable *before, const char *name);

/* Removes what a git that was killed had begun to write while it folded or took apart a pack. None may be at that. */
void sync_heap_sweep(const char *repository);
