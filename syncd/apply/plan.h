/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/plan.h - what to do to the files so that they become those of a commit. Pure.
 *
 * A plan is built from the entries that differ (those on disk, those in the commit), written as the journal before the first of its steps
 * is made, and read back after a crash. Every step may be made again: that is what makes finishing forward safe.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "syncd/repository/manifest.h"

enum { SYNC_ID_LENGTH = 40 };

typedef enum {
	SYNC_STEP_UNLINK, /* a file or link goes */
	SYNC_STEP_RMDIR,  /* a folder goes, if nothing that is not ours to judge is left in it */
	SYNC_STEP_MKDIR,  /* a folder comes, closed to others until its owner and mode are set */
	SYNC_STEP_PLACE,  /* staged file or link number `stage` is renamed to path */
	SYNC_STEP_ATTR,   /* a folder's owner and mode */
} SyncStepKind;

/* What stood in a step's place when the files were looked at. */
typedef struct {
	char id[SYNC_ID_LENGTH + 1]; /* of its content; "*": whatever is there may go */
	guint64 inode;               /* 0: only the content tells */
	gint64 size, mtime_ns;
} SyncWas;

/* One thing in a data set; and in a plan: what becomes of it. A first synchronisation has one for every file, so it is one block of memory, and goes from
 * the comparison into the plan as it is. */
typedef struct {
	SyncMeta meta[1];             /* without a name; of no meaning where nothing is known of it but its path */
	char id[SYNC_ID_LENGTH + 1];  /* of the object, in hex; "" for a folder, and not in the journal */
	SyncStepKind kind : 8;
	guint stage;                  /* PLACE, UNLINK, MKDIR: name in the staging folder, of what comes or of what was in the way, counted from 1 over all sets; UNLINK 0: it just goes */
	gint64 staged_ns;             /* PLACE: time of the staged file, by which it is known again; not in the journal */
	guint64 staged_inode;         /* PLACE: by which it is known from what it was exchanged with; 0: not known */
	SyncWas *was;                 /* PLACE, UNLINK; NULL: nothing was there */
	char *set;                    /* a reference counted string; NULL: not in a plan */
	char path[];                  /* relative to the set; "" is its own folder */
} SyncEntry;

typedef SyncEntry SyncStep;

/* @meta and @id may be NULL. */
SyncEntry *sync_entry_new(const char *path, const SyncMeta *meta, const char *id);
void sync_entry_free(SyncEntry *entry); /* NULL is fine */

/* Whether @kind says what the thing becomes: PLACE, MKDIR, ATTR. */
bool sync_step_has_meta(SyncStepKind kind);

typedef struct {
	char *ref;        /* "config", "volatile" */
	char *commit;     /* what is on disk once every step is made */
	char *migrated;   /* NULL: just that; else the commit after it that has it in the form of this device's firmware, and is on disk (migrate.h) */
	char *boot;       /* the disk may not have what was staged if the machine was started since this; NULL: it has */
	GPtrArray *steps; /* of SyncStep*, in the order to be made */
} SyncPlan;

SyncPlan *sync_plan_new(const char *ref, const char *commit);
void sync_plan_free(SyncPlan *plan); /* NULL is fine */

/* Appends the steps that turn @old into @new_ (both of SyncEntry*: only what differs, any order) in data set @set: first what goes, deepest
 * first, then folders, shallowest first, then files and links, then folder attributes. Takes the entries: the arrays are empty afterwards. */
void sync_plan_add(SyncPlan *plan, const char *set, GPtrArray *old, GPtrArray *new_);

/* Appends that @path goes, whatever is known of it (a database's -wal, ...). Comes before the files that are placed later. */
void sync_plan_add_unlink(SyncPlan *plan, const char *set, const char *path);

char *sync_plan_to_journal(const SyncPlan *plan);
/* The same in parts of about @most bytes: appends the next one to @text. *@at is 0 at first; false when there is no more. */
bool sync_plan_journal_part(const SyncPlan *plan, guint *at, gsize most, GString *text);
SyncPlan *sync_plan_from_journal(const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncPlan, sync_plan_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncEntry, sync_entry_free)
