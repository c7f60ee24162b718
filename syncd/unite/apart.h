/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/unite/apart.h - lines of this device that lost against the peer's, and whose recordings and records the peer has yet to take over.
 *
 *	refs/apart/<ref>/<commit>   what this device had last; beside refs/diverged, which stays when this goes
 *	refs/uniting/<ref>          on the device that leads: what it has fetched of them just now
 */
#pragma once

#include "settings/settings.h"
#include "syncd/files/set.h"
#include "syncd/repository/repo.h"

/* Whether an application of @settings unites what it has in @ref. */
bool sync_apart_wanted(const Settings *settings, SyncRef ref);

bool sync_apart_keep(SyncRepo *repo, SyncRef ref, const git_oid *commit, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char **sync_apart_list(SyncRepo *repo); /* "<ref>/<commit>"; transfer full */

/* The peer has it now. False: there was none of it. Opens a handle of its own. */
bool sync_apart_drop(const char *repository, const char *const *commits);

/* Reads "<ref>/<commit>", which the peer says. */
bool sync_apart_parse(const char *text, SyncRef *ret_ref, git_oid *ret_commit);

/* The last commit that both lines have, also where one of them has begun anew since. False: they have nothing in common that is known here. */
bool sync_apart_fork(SyncRepo *repo, const git_oid *ours, const git_oid *theirs, git_oid *ret_base);

/* ---- snapshots, which have no past ---- */

/* What the snapshot after @head is to say that it goes on from (SyncTerm.goes_on): the last of each device. Transfer full. */
char *sync_apart_goes_on(SyncRepo *repo, const git_oid *head);

/* Whether @head is this device's own and @target's maker never had it on its files. */
bool sync_apart_is_snapshot(SyncRepo *repo, const char *device, const git_oid *head, const git_oid *target);
