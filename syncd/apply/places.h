/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/places.h - what one plan is carried out in: the folders of its sets, held open, and the owners it names. */
#pragma once

#include <sys/types.h>

#include "syncd/apply/apply.h"

/* So many steps are worth an fsync each: sooner done than waiting for whatever else the file system holds. */
enum { SYNC_FEW_STEPS = 12 };

typedef struct {
	GHashTable *roots;    /* set name -> descriptor + 1 */
	GHashTable *stagings;
	GHashTable *users;    /* name -> number; looked up once for each plan */
	GHashTable *groups;
	GPtrArray *unknown;   /* of char*, not borrowed: names that do not exist here; NULL: nobody asks */
	char *seen;           /* the folder that was last found to be on the file system of its set; NULL: none yet */
	GPtrArray *sets;
	SyncRef ref;
	bool few;             /* steps */
} SyncPlaces;

bool sync_places_init(SyncPlaces *places, GPtrArray *sets, const char *ref, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_places_clear(SyncPlaces *places);

/* The set's own folder. With @make it is made, parents and all: an empty one harms nobody. -1 and @error; -1 without when the set is not
 * declared here any more. */
int sync_places_root(SyncPlaces *places, const char *set, bool make, GError **error);

/* Our hidden folder in it; with @make a new, empty one. */
int sync_places_staging(SyncPlaces *places, const char *set, bool make, GError **error);
void sync_places_have_staging(SyncPlaces *places, const char *set); /* what is left of it, or an empty one */
void sync_places_discard(const SyncApply *apply);                   /* of all sets of the ref, and the journal without a name */
void sync_places_leave(const SyncApply *apply);                     /* the same, once the steps are made: it goes soon, and nobody waits for that */
void sync_places_leave_ahead(const SyncApply *apply);               /* what nobody has taken of it (ahead.h), likewise */

/* Who owns what @meta says; root where the name is not known here. */
void sync_places_owner(SyncPlaces *places, const SyncMeta *meta, uid_t *ret_uid, gid_t *ret_gid);

/* syncfs() of each file system that the sets are on. */
bool sync_places_on_disk(SyncPlaces *places, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncPlaces, sync_places_clear)
