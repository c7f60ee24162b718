/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/point.h - the recovery point of one ref: which commits of the Master the Backup does not have yet, and since when. Pure.
 *
 * The Master numbers its commits as it makes them and tells the newest number; the Backup counts by what it was told. So both know how many there
 * are, also of those that were never heard of one by one, and neither needs the other's clock.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct SyncPoint SyncPoint;

/* What somebody who has @at lacks. */
typedef struct {
	guint64 changes; /* commits; 0: none */
	gint64 since_us; /* when the oldest of them was told of; 0: none */
	bool exact;      /* false: at least so many, the count began after @at */
} SyncBehind;

SyncPoint *sync_point_new(void);
void sync_point_free(SyncPoint *point); /* NULL is fine */
void sync_point_clear(SyncPoint *point);

/* @commit is the newest of the line now. @number 0: one more than the last. A number that does not go up is another count: everything is
 * forgotten but this. */
void sync_point_add(SyncPoint *point, const char *commit, guint64 number, gint64 now_us);

guint64 sync_point_number(const SyncPoint *point); /* of the newest; 0: there is none */

/* @at NULL or "": nothing at all. */
SyncBehind sync_point_behind(const SyncPoint *point, const char *at);

/* Whether one who has @at has @wanted with it; false when not both are known. */
bool sync_point_reached(const SyncPoint *point, const char *wanted, const char *at);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncPoint, sync_point_free)
