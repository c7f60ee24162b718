/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/ahead.h - recordings are written for their data sets while they are fetched; staging them is a rename then.
 *
 *	.understudy-ahead.<set>/abcd…   in the set's folder, as the staging: a copy of its own of that object
 *
 * It may be added to from several threads at once. Whatever is not there, is copied when it is staged.
 */
#pragma once

#include "syncd/files/set.h"
#include "syncd/voice/objects.h"

typedef struct SyncAhead SyncAhead;

/* For what is in @objects. */
SyncAhead *sync_ahead_new(GPtrArray *sets, SyncRef ref, const SyncObjects *objects);
void sync_ahead_free(SyncAhead *ahead); /* the files stay; NULL is fine */

/* The set's name is the first of the names in @path. The new file, open, for the caller to close; -1: there is none.
 * Empty: the caller fills it, and drops it where that is not what it ought to be, as one that is as long as the object is taken for it. */
int sync_ahead_begin(SyncAhead *ahead, const char *path, const SyncPointer *pointer);
void sync_ahead_drop(SyncAhead *ahead, const char *path, const SyncPointer *pointer);

/* Filled from the object. */
int sync_ahead_add(SyncAhead *ahead, const char *path, const SyncPointer *pointer, GCancellable *cancellable);

/* Becomes @name in @folder_fd. Open for writing; -1: there is none, and nothing has happened. @ahead: NULL is fine. */
int sync_ahead_take(SyncAhead *ahead, const char *set, const SyncPointer *pointer, int folder_fd, const char *name);

/* Where that is in the set's folder. Transfer full. */
char *sync_ahead_name(const SyncSet *set);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncAhead, sync_ahead_free)
