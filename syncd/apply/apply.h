/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/apply.h - a commit onto the files, whole or not at all.
 *
 *	stage    new files complete, with owner and mode, in a hidden folder of each set (same file system), and the journal beside its place; all fsynced
 *	         together, or syncfs
 *	mark     the journal has its name, and the disk has that: from here on it is finished forward, by whoever comes next
 *	run      renames, removals, folder changes, each of which may be made twice; fsync of their folders, or syncfs. What comes is exchanged with what is
 *	         there, in one call: if that is not what was looked at, it is kept aside (overtaken.h)
 *	finish   the ref moves, the journal goes
 *
 * A crash before the mark leaves the old state, after it the new one. A takeover may come until the first step (gate.h).
 *
 * Of many files at once that are in the repository or among the recordings already, nobody waits for the disk to have them a second time
 * (sync_apply_make_late()), and in haste (disk.h) for nothing: the steps are made before the disk has what was staged. The journal stays then, under a name that tells of this boot, until it
 * has. Whoever finds it in the same boot has only to wait for the disk; after a loss of power the steps are made again, and files whose content
 * was lost are taken from the repository once more.
 */
#pragma once

#include "syncd/apply/ahead.h"
#include "syncd/apply/gate.h"
#include "syncd/voice/objects.h"
#include "syncd/apply/plan.h"
#include "syncd/repository/repo.h"
#include "syncd/files/set.h"

typedef struct {
	GPtrArray *sets;
	SyncRef ref;
	SyncRepo *repo;
	const SyncObjects *objects; /* NULL: the repository has the files themselves; else pointers to what is here */
	SyncAhead *ahead;    /* what has been written for the sets already (ahead.h); NULL: nothing */
	const char *journal; /* path */
	SyncGate *gate;
	/* Keeps @tree aside: the files as they were before, with what somebody has written into the place of a step after they were looked at. NULL: nobody
	 * wants it. @parent NULL: nothing was applied before. */
	bool (*keep)(const git_oid *tree, const git_oid *parent, gpointer user_data, GError **error);
	/* Something that is not the set's to keep, or that could not be kept, stood at the absolute @path; it lies beside that now. NULL: nobody wants to know. */
	void (*beside)(const char *path, gpointer user_data);
	gpointer user_data;
} SyncApply;

/* Of a plan whose commit the disk has, with everything that it leads to, before sync_apply_commit(): its files need not be there before it counts as applied.
 * The journal stays until they are, as in haste. Before it is staged. */
void sync_apply_make_late(SyncPlan *plan);

/* Stages what @plan places, and the journal. On failure or cancellation nothing has changed and the staging is gone. Owners that do not exist here are
 * root's; their names are added to @unknown_owners (of char*). */
bool sync_apply_stage(const SyncApply *apply, const SyncPlan *plan, GPtrArray *unknown_owners, GCancellable *cancellable,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Mark, run, finish. When it fails after the mark the journal stays and sync_apply_settle() tries again. @cancellable (may be NULL) counts
 * until the first step. */
bool sync_apply_commit(const SyncApply *apply, const SyncPlan *plan, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether journals of what was made after @since_us (0: ever) wait for the disk. sync_apply_lasting(): it has everything that was made until @until_us. */
bool sync_apply_waits_for_disk(const SyncApply *apply, gint64 since_us);
void sync_apply_lasting(const SyncApply *apply, gint64 until_us);
/* Asks the disk for everything there is, of which an earlier process may not have waited for the end. */
void sync_apply_ask_disk(const SyncApply *apply);

/* Finishes a marked plan forward, or discards a staging without a mark. *ret_moved: the ref did. */
bool sync_apply_settle(const SyncApply *apply, bool *ret_moved, GError **error) G_GNUC_WARN_UNUSED_RESULT;
