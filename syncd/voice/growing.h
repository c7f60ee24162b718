/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/voice/growing.h - recordings that are being written just now. Pure.
 *
 * Each time one is read it is stored whole, so a call of an hour that is read every few seconds would be stored hundreds of times. It is read when it is
 * closed, and a minute after it was begun or read last.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "syncd/files/set.h"

typedef struct SyncGrowing SyncGrowing;

SyncGrowing *sync_growing_new(void);
void sync_growing_free(SyncGrowing *growing); /* NULL is fine */
void sync_growing_clear(SyncGrowing *growing);

/* Something was written to @path of @set, and it is still open; else it is complete, or gone. */
void sync_growing_told(SyncGrowing *growing, const SyncSet *set, const char *path, bool writing, gint64 now_us);

/* Whether it is to be left alone; when not, it counts as read. */
bool sync_growing_leaves(SyncGrowing *growing, const SyncSet *set, const char *path, gint64 now_us);

/* When the next one is to be read although it is open; 0: there is none. */
gint64 sync_growing_due_us(const SyncGrowing *growing);

/* Calls @visit for each that is. */
typedef void (*SyncGrowingVisit)(const SyncSet *set, const char *path, gpointer user_data);
void sync_growing_each_due(const SyncGrowing *growing, gint64 now_us, SyncGrowingVisit visit, gpointer user_data);

/* Forgets those that are due still: nothing was written to them since they were read. */
void sync_growing_forget_due(SyncGrowing *growing, gint64 now_us);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncGrowing, sync_growing_free)
