/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/change.h - a small commit as a message: what it has that the one before it has not.
 *
 * To fetch a commit takes two processes, which compare what each side has; what is small is told with the news of it instead. Of what is larger the news
 * tells which pack has it, which the leader has just made: that is asked for as a file. Whoever has the one before it has then all of it, and whoever has
 * not fetches it. Nothing of it is believed: an object has the name that its content gives it, and the commit counts as here when all that it leads to is.
 */
#pragma once

#include "syncd/repository/repo.h"

/* (before, commit, (kind, content) of its objects) */
#define SYNC_CHANGE_TYPE "(ssa(yay))"
/* (before, commit, the name of the pack) */
#define SYNC_CHANGE_PACK_TYPE "(sss)"

/* NULL: it is more than @most bytes, or cannot be read. Transfer full. */
GVariant *sync_change_new(SyncRepo *repo, const git_oid *before, const git_oid *commit, gsize most);

/* Whether all that @commit has and @before has not is in memory (fresh.h), and so will be in one pack. */
bool sync_change_is_fresh(SyncRepo *repo, const git_oid *before, const git_oid *commit);
/* Transfer full. */
GVariant *sync_change_of_pack(const git_oid *before, const git_oid *commit, const char *pack);

/* The pack that has it; NULL: the change itself has. Borrowed. */
const char *sync_change_pack(GVariant *change);

/* False: it is none. */
bool sync_change_read(GVariant *change, git_oid *ret_before, git_oid *ret_commit);

/* Stores the objects of @change, of which the one before is here. Those in a pack have come already. False also when not all that it leads to is here. */
bool sync_change_take(SyncRepo *repo, GVariant *change, GError **error) G_GNUC_WARN_UNUSED_RESULT;
