/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/manifest.h - owners, modes and times of one folder, as text beside its files in the tree. Pure.
 *
 * git keeps the executable bit and symbolic links; a PBX needs the rest. One line for the folder itself (name "."), one per file and link:
 *
 *	understudy-folder 1
 *	d 0750 asterisk asterisk 0 .
 *	f 0640 asterisk asterisk 1700000000000000000 sip.conf
 *	l 0777 root root 1700000000000000000 current
 *
 * Sub-folders have a manifest of their own, so an empty folder needs nothing else. Names of users, not numbers: the numbers differ between
 * devices. Data, not a script. A folder's time does not travel, because every renamed file changes it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { SYNC_KIND_FILE, SYNC_KIND_LINK, SYNC_KIND_FOLDER } SyncKind;

typedef struct {
	SyncKind kind;
	guint mode; /* permission bits; never set-user-id or set-group-id on a file: the peer must not be able to hand out rights */
	char *owner, *group; /* reference counted strings, one for all files of an owner */
	gint64 mtime_ns; /* 0 for a folder */
	const char *name; /* NULL: it goes without; else in the same block */
} SyncMeta;

/* A reference counted string, one for all that have the same text. Under a lock of our own: GLib 2.74 lets one thread find a string that another is just
 * freeing. */
char *sync_shared_new(const char *text);
void sync_shared_free(char *text);

/* @name may be NULL. */
SyncMeta *sync_meta_new(SyncKind kind, guint mode, const char *owner, const char *group, gint64 mtime_ns, const char *name);
void sync_meta_free(SyncMeta *meta); /* NULL is fine */

/* Of one that lies in another block; the name is left out. */
void sync_meta_init_copy(SyncMeta *meta, const SyncMeta *from);
void sync_meta_clear(SyncMeta *meta);

/* The same in everything that travels, the name apart. */
bool sync_meta_equal(const SyncMeta *a, const SyncMeta *b);

/* @metas (of SyncMeta*) sorted by name as text. Transfer full. */
char *sync_manifest_build(GPtrArray *metas);

/* name -> SyncMeta*, owned. Refuses anything that sync_manifest_build() would not write: order, doubles, names, bits, blanks. */
GHashTable *sync_manifest_parse(const char *text, gsize length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncMeta, sync_meta_free)
