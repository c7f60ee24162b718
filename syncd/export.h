/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/export.h - the configuration and the pair's settings as one signed file, and back. docs/administration.md tells its format.
 *
 * A tar archive by tar(1), a bundle by git(1), a signature by GnuTLS with the device's key. Git works in a repository made for it: what comes is in the
 * device's own once all of it is here and as it must be. Everything here blocks: for a thread.
 */
#pragma once

#include "syncd/peer/key.h"
#include "syncd/repository/repo.h"
#include "syncd/files/set.h"

#define SYNC_EXPORT_VERSION 1

typedef struct {
	const char *repository, *folder; /* a private folder in which another may be made, in the repository's file system */
	const char *model, *firmware, *device, *pair_conf;
	const SyncKey *key;
	GPtrArray *sets;     /* of this device */
	/* How far it is, from the thread that does it; may be NULL. */
	void (*progress)(double fraction, const char *message, gpointer user_data);
	gpointer user_data;
	GCancellable *cancellable;
	const char *trusted; /* sync_key_is_pinned(): whose files are taken */
} SyncExportPlace;

/* One export or import at a time in a folder; this takes away what is left of one that was killed. */
void sync_export_clean(const char *folder);

/* @history: every version; else only what the configuration is now. The file goes to @fd. */
bool sync_export(const SyncExportPlace *place, bool history, int fd, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct {
	char *name;      /* the line that it brought, kept aside */
	bool is_new;     /* it was not there before */
	bool history;
	char *pair_conf;
	char *firmware;  /* of the device that made the file; NULL: it does not say */
	char *from;      /* for people */
} SyncImport;

/* Reads the file from @fd and checks it. Nothing but a line kept aside has changed then; without success not even that. */
bool sync_import(const SyncExportPlace *place, int fd, SyncImport *ret_import, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_import_forget(const char *repository, const char *name); /* the line is not wanted after all */
void sync_import_clear(SyncImport *import);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncImport, sync_import_clear)
