/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/store.h - what must survive is written whole and on disk, by a thread of its own: a slow or full disk delays no decision.
 *
 * Orders are carried out one by one in the order they were given. Until then they also stand in a file in memory (/run), so that
 * those of a supervisor that was killed are carried out by the next one.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Store Store;

/* Runs in the main loop for an order that could not be carried out. */
typedef void (*StoreFailedCb)(const char *path, const char *reason, gpointer user_data);
/* For a store_write() or store_overwrite() that is on disk now. */
typedef void (*StoreWrittenCb)(const char *path, const char *text, gpointer user_data);

/* @spool: where waiting orders are kept; those found there are carried out. */
Store *store_new(const char *spool, StoreFailedCb failed, StoreWrittenCb written, gpointer user_data);
void store_free(Store *store); /* carries out what is still waiting; NULL is fine */

void store_write(Store *store, const char *path, const char *text);  /* by rename, fsynced with its folder */
/* In its place, of the same length: a full disk takes that, too. Not whole when the power goes, so one character should say it. */
void store_overwrite(Store *store, const char *path, const char *text);
void store_append(Store *store, const char *path, const char *text); /* fsynced */
void store_remove(Store *store, const char *path);

/* For what must be on disk before something else is done: that is @done's, which runs in the main loop. error NULL: it is. */
typedef void (*StoreDoneCb)(const GError *error, gpointer user_data);
void store_write_then(Store *store, const char *path, const char *text, StoreDoneCb done, gpointer user_data);

/* What the file holds once everything that was ordered has been carried out, by an earlier supervisor too. What was appended just before a
 * death may be in it twice. NULL: there is none. */
char *store_read(Store *store, const char *path);
/* Names of the files in a folder, likewise. Transfer full. */
char **store_list(Store *store, const char *folder);

/* Seen by everybody at once, on disk soon, by a thread of its own. Power that fails in between may leave it empty: for what is looked at, and
 * written again, at each start. */
bool store_write_soon(const char *path, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* For /run, which is memory: by rename, nothing fsynced, never blocks for long. */
bool store_write_run(const char *path, const char *text);
