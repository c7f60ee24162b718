/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/set.h - the data sets of this device, as the settings declare them. */
#pragma once

#include "settings/settings.h"

typedef enum { SYNC_REF_CONFIG, SYNC_REF_VOLATILE, SYNC_REF_VOICE, SYNC_N_REFS } SyncRef;
extern const char *const sync_ref_names[SYNC_N_REFS]; /* "config", "volatile", "voice" */

typedef struct {
	char *name;     /* "application.set": the top folder in the tree */
	char *root;     /* absolute; for a database the folder it is in */
	char *database; /* its file name, else NULL */
	char **include; /* patterns of files and links; empty: all */
	char **exclude; /* patterns; what other sets cover and what is this device's own is among them */
	SyncRef ref;
	bool staged;    /* a folder of this daemon's own with files for a hook, not one that the settings name */
} SyncSet;

/* All sets of @settings. Transfer full; freed with g_ptr_array_unref(). */
GPtrArray *sync_sets_new(const Settings *settings);

SyncSet *sync_set_copy(const SyncSet *set); /* transfer full */
void sync_set_free(SyncSet *set);

/* Opens the folder of @set. EPERM when a link on its path leads to what no data set may hold. -1 and errno. */
int sync_set_open(const SyncSet *set);

/* Whether @path, of a folder or of anything else, does not belong to @set: what it leaves out, with everything below, and what it does not include. */
bool sync_set_leaves_out(const SyncSet *set, const char *path, bool folder);

/* NULL when there is none of this name for @ref. */
const SyncSet *sync_sets_find(GPtrArray *sets, SyncRef ref, const char *name);

bool sync_sets_any(GPtrArray *sets, SyncRef ref);

/* Where the absolute @path is in the tree of @ref, "application.set/rest": in the innermost set that has it. NULL when none has. */
char *sync_sets_tree_path(GPtrArray *sets, SyncRef ref, const char *path);

/* The files beside a database that are one unit with it: "-wal", "-shm", "-journal"; NULL-terminated. */
extern const char *const sync_database_suffixes[];
