/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/migrate.h - a commit that an older firmware made, in the form that this device's firmware reads.
 *
 *	refs/heads/config      the pair's line, as the leader has it; it counts as stored and applied
 *	refs/migrated/config   one commit after its last: what the applications' migrate-commands have made of that, and what is on the files here
 *	refs/migrating/config  the same, until its steps are made
 *
 * Nobody else hears of it: the line stays the leader's. The first commit of this device, once it leads, has it for its parent.
 */
#pragma once

#include "syncd/apply/plan.h"
#include "syncd/repository/repo.h"

/* What is on the files when @commit is applied: itself, or what it was migrated to. */
void sync_migrate_files(SyncRepo *repo, const char *ref, const git_oid *commit, git_oid *ret_files);

/* Before the mark, and when every step is made: the line's refs are those of @plan. Both may be called again. */
bool sync_migrate_begin(SyncRepo *repo, const SyncPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sync_migrate_end(SyncRepo *repo, const SyncPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* This device has committed: what it had migrated is in the past of that. */
void sync_migrate_drop(SyncRepo *repo, const char *ref);
