/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/store-private.h - what the parts of the store share: the connection, transactions, statements. */
#pragma once

#include <sqlite3.h>

#include "store.h"

struct NotifyStore {
	sqlite3 *db;
	char *path;
	char *device;
	char *id; /* of this database; a new one has a new one, since its numbers begin anew */
	guint capacity;
	guint keep_days; /* 0: whatever their age */
	guint count, unread;
	guint shown[NOTIFY_PRIORITY_MAX + 1]; /* unread ones for the display, by priority */
	guint64 change; /* the newest of any row of the outbox */
	guint64 newest; /* the newest own event */
	guint64 mark;   /* the newest number of any event that somebody has read or acknowledged */
	bool replacing; /* a new database that is damaged at once is a broken disk, not a reason to begin another */
	bool is_shared; /* other processes have the file open */
	bool in_group;  /* a transaction of several */
	GHashTable *statements; /* SQL -> sqlite3_stmt*, as compiled at its first use */
	NotifyStoreNote note;
	gpointer note_data;
	NotifyStoreMend mend; /* set: this one only reads */
	gpointer mend_data;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3_stmt, sqlite3_finalize)

/* One that the store keeps compiled, as store_prepare() gives it. */
typedef struct sqlite3_stmt StoreStatement;
void store_statement_done(StoreStatement *statement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreStatement, store_statement_done)

/* What is done within one transaction. Returns an SQLite code; SQLITE_OK commits. */
typedef int (*StoreWork)(NotifyStore *store, gpointer data);

/* Runs @work in a transaction: whole or not at all, on disk when this returns true. A damaged database is replaced and @work tried once more, so it
 * begins by resetting what it fills. @doing is for the error. */
bool store_transact(NotifyStore *store, StoreWork work, gpointer data, const char *doing, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same for what only reads. */
bool store_read(NotifyStore *store, StoreWork work, gpointer data, const char *doing, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @types: one letter for each value that follows: 'i' gint64, 's' const char * (may be NULL; must live as long as the statement). One text is in use
 * once at a time. */
int store_prepare(NotifyStore *store, StoreStatement **ret_statement, const char *sql, const char *types, ...);
/* A statement without rows. */
int store_run(NotifyStore *store, const char *sql, const char *types, ...);
int store_int(NotifyStore *store, const char *sql, gint64 *ret_value);

/* Counts and numbers, anew from the database. */
int store_refresh(NotifyStore *store);
const char *store_text(sqlite3_stmt *row, int column); /* never NULL */
/* Small things, within a transaction; an absent one is "". */
int store_remember(NotifyStore *store, const char *key, const char *value);
int store_recall(NotifyStore *store, const char *key, char **ret_value);
