/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/fresh.h - objects that are new, held in memory until there are enough for a pack.
 *
 * A file of its own for each of thousands of objects takes longer to make, to put on the disk and to read again than all that is in them. So between
 * begin and end they stay in memory, where the handle finds them, and go to the repository as a pack; a few as files. What cannot be written stays in
 * memory for the next end: whoever has stored it knows it by its name.
 */
#pragma once

#include <git2.h>
#include <glib.h>
#include <stdbool.h>

typedef struct SyncFresh SyncFresh;

SyncFresh *sync_fresh_new(void);
void sync_fresh_free(SyncFresh *fresh); /* NULL is fine */

/* @git, which is freed before @fresh, finds them, and gives it what is new. */
bool sync_fresh_attach(SyncFresh *fresh, git_repository *git, GError **error) G_GNUC_WARN_UNUSED_RESULT;

void sync_fresh_begin(SyncFresh *fresh);
bool sync_fresh_end(SyncFresh *fresh, git_repository *git, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether it is in memory now. */
bool sync_fresh_has(const SyncFresh *fresh, const git_oid *id);
/* The pack in which sync_fresh_end() has put what was in memory then; NULL: none. Borrowed until the next begin. */
const char *sync_fresh_pack(const SyncFresh *fresh);

/* As git_odb_write(). */
bool sync_fresh_store(SyncFresh *fresh, git_repository *git, const void *data, gsize length, git_object_t kind, git_oid *ret_id,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncFresh, sync_fresh_free)
