/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/pack.h - objects that are known by name become a pack with its index, as git has them.
 *
 * libgit2 makes the index by reading the pack: each object is inflated and hashed again. Here both are written from what is known.
 */
#pragma once

#include <git2.h>
#include <glib.h>
#include <stdbool.h>

/* A leader packs what it has made in memory: a pack that is told of has not more bytes. */
enum { SYNC_PACK_MAX = 8 << 20 };

typedef struct SyncPack SyncPack;

/* Of @n objects, in @folder. */
SyncPack *sync_pack_new(const char *folder, guint n, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_pack_free(SyncPack *pack); /* what has not come to its end is gone; NULL is fine */

bool sync_pack_add(SyncPack *pack, git_object_t kind, const git_oid *id, const void *data, gsize length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* After the @n-th. The name, 40 hex digits: it is "pack-<name>.pack" on the disk now, with its index. Transfer full. */
char *sync_pack_end(SyncPack *pack, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Where the pack @name of the repository @git is; NULL: that is no name. Transfer full. */
char *sync_pack_path(const char *git, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncPack, sync_pack_free)
