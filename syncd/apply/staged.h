/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/staged.h - the data sets of one application as a commit would make them, as files for its hooks to look at.
 *
 * They lie in <folder>/<application>/<set>, owners and modes as they would be, and with what is left out of the set (own files, exclusions) as it is
 * on this device: together it is what the application would find. From one commit to the next only what differs is written.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/repository/repo.h"
#include "syncd/files/set.h"
#include "syncd/voice/objects.h"

typedef struct SyncStaged SyncStaged;

/* Whatever is in @folder is removed before its first use: what an earlier process left there. */
SyncStaged *sync_staged_new(const char *folder);
void sync_staged_free(SyncStaged *staged); /* NULL is fine */

/* Makes the files of @application those of @tree. @sets: all of the device. */
bool sync_staged_make(SyncStaged *staged, SyncRepo *repo, GPtrArray *sets, SyncRef ref, const char *application, const git_oid *tree,
		      GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Its data sets of @ref as they lie there. Transfer full. */
GPtrArray *sync_staged_sets(const SyncStaged *staged, GPtrArray *sets, SyncRef ref, const char *application);
/* They have been changed: the next one is made from nothing. */
void sync_staged_forget(SyncStaged *staged, const char *application);

/* One file or link of a commit below @root_fd, with the folders it needs, and with its time. With @objects a pointer becomes the recording, which must be
 * there; else it is written as it is. */
bool sync_staged_put(SyncRepo *repo, SyncObjects *objects, const SyncEntry *entry, int root_fd, GCancellable *cancellable,
		     GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What stands in @entry's place in a tree with pointers. */
bool sync_staged_pointer(SyncRepo *repo, const SyncEntry *entry, SyncPointer *ret_pointer, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether @set is of @application: "application.set". *ret_name is "set". */
bool sync_staged_is_of(const SyncSet *set, const char *application, const char **ret_name);
