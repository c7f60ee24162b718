/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/store.h - events, and what is to be told of them, on disk: one SQLite file.
 *
 * What was answered as stored survives kill -9 and power loss (WAL, synchronous=FULL): an event and its outbox rows are there together or
 * not at all. A database that is damaged, or was written by a newer version, is moved aside, never deleted or written into, and a new one begins with
 * an event that says so.
 */
#pragma once

#include "event.h"
#include "outbox.h"

typedef struct NotifyStore NotifyStore;

/* The store raised an event of its own (the old database had to be moved aside). Called from within the function that met it. */
typedef void (*NotifyStoreNote)(const NotifyEvent *event, gpointer user_data);

/* @device goes into the events the store raises itself. The folder of @path is made when absent (0700), not its parents. */
NotifyStore *notify_store_open(const char *path, guint capacity, const char *device,
			       GError **error) G_GNUC_WARN_UNUSED_RESULT;
void notify_store_close(NotifyStore *store); /* NULL is fine */
void notify_store_on_note(NotifyStore *store, NotifyStoreNote note, gpointer user_data);

/* ---- One writes, another reads (writer.h) ---- */

typedef struct {
	char id[64];
	guint count, unread, shown[NOTIFY_PRIORITY_MAX + 1];
	guint64 change, newest, mark;
	bool is_shared; /* with other processes */
} NotifyCounts;
void notify_store_counts(const NotifyStore *store, NotifyCounts *ret_counts);

/*
 * A connection of its own to the file of @writer, for another thread. It sees what is on disk, and waits for nobody who writes. When the file is another one it
 * is opened again, after @mend, which has the writer look at the file; with @why, the reason for which another is to be begun. What it says of counts is what it
 * was given.
 */
typedef bool (*NotifyStoreMend)(const char *why, gpointer user_data, GError **error);
NotifyStore *notify_store_open_reader(const NotifyStore *writer, NotifyStoreMend mend, gpointer user_data);
void notify_store_take_counts(NotifyStore *store, const NotifyCounts *counts);
/* The writer's part of it. Where its database is not @id any more, it has been replaced already. */
bool notify_store_mend(NotifyStore *store, const char *id, const char *why, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All that is stored from begin to commit is one transaction: it waits for the disk once. Whatever fails in between, commit included: roll back, and
 * nothing of it was stored. */
bool notify_store_begin(NotifyStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool notify_store_commit(NotifyStore *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void notify_store_roll_back(NotifyStore *store);

/* How many events are kept, and for how many days (0: whatever their age); from the next one on. */
void notify_store_keep(NotifyStore *store, guint capacity, guint days);

/* ---- Events (store-events.c) ---- */

/* One of several that are stored in one transaction. */
typedef struct {
	NotifyEvent *event;
	GPtrArray *rows; /* of OutboxRow*, what is told of it; NULL: nothing */
	guint64 ret_id;
	bool ret_added; /* false: the key was known, ret_id is the event that has it, and nothing was stored */
} NotifyNew;

/* All on disk when this returns true, none of them otherwise. The oldest go in the same transaction. */
bool notify_store_add_all(NotifyStore *store, NotifyNew *news, gsize n_news, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One, of which nothing is told. */
bool notify_store_add(NotifyStore *store, const NotifyEvent *event, guint64 *ret_id, bool *ret_added,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The id of the event with @key, 0 when there is none. */
bool notify_store_find_key(NotifyStore *store, const char *key, guint64 *ret_id, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Rows without an event of their own (a digest). */
bool notify_store_add_rows(NotifyStore *store, GPtrArray *rows, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* NotifyEvents, newest first. An answer is bounded whatever the count; the rest is got with `before`. */
GPtrArray *notify_store_list(NotifyStore *store, const NotifyFilter *filter, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Between which ids there are events; 0 and 0: none. */
bool notify_store_range(NotifyStore *store, guint64 *ret_least, guint64 *ret_most, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* (store-marks.c) @n_ids 0: all. @ret_changed: the guint64 ids that were new and now are read, ascending; unknown ids are no error. */
bool notify_store_mark_read(NotifyStore *store, const guint64 *ids, gsize n_ids, GArray **ret_changed,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same for those that nobody had acknowledged; they are read then too (@ret_read). */
bool notify_store_acknowledge(NotifyStore *store, const guint64 *ids, gsize n_ids, const char *who, gint64 now_ms, GArray **ret_changed,
			      GArray **ret_read, GError **error) G_GNUC_WARN_UNUSED_RESULT;

guint notify_store_count(const NotifyStore *store);
guint notify_store_unread(const NotifyStore *store);
guint notify_store_capacity(const NotifyStore *store);
/* How many unread ones are for the display, and the highest priority among them (0: none). */
guint notify_store_shown(const NotifyStore *store, guint8 *ret_priority);

/* ---- What is to be told (store-outbox.c) ---- */

/* The waiting row of @target that is @owner's task and is due first, NULL when there is none; @ret_due_ms is set then. */
bool notify_store_next(NotifyStore *store, const char *target, const char *owner, OutboxRow **ret_row,
		       GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The ids of the targets for which @owner has rows that wait. */
char **notify_store_targets(NotifyStore *store, const char *owner, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* An attempt begins: on disk before the program starts. @ret_begun: false when the row does not wait any more, or is not @owner's. */
bool notify_store_attempt(NotifyStore *store, guint64 id, const char *owner, gint64 due_ms, bool *ret_begun, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* One answer of the program, at once: @recipient is settled unless @outcome is retry. The row is done when nobody is left over.
 * @ret_left: so many are. */
bool notify_store_answer(NotifyStore *store, guint64 id, const char *recipient, OutboxOutcome outcome, const char *words, gint64 now_ms,
			 guint *ret_left, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What is left over waits until @due_ms, or is done as @state. */
bool notify_store_settle(NotifyStore *store, guint64 id, OutboxState state, gint64 due_ms, const char *words, gint64 now_ms,
			 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Refuses all rows of @target that are @owner's. */
bool notify_store_refuse(NotifyStore *store, const char *target, const char *owner, const char *words, gint64 now_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Gives up all rows of @target that were made before @before_ms; how many. */
bool notify_store_expire(NotifyStore *store, const char *target, gint64 before_ms, const char *words, gint64 now_ms, guint *ret_n,
			 GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Not anybody's due before @due_ms. */
bool notify_store_hold(NotifyStore *store, const char *target, gint64 due_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Makes everything of @target due now: its settings have changed. */
bool notify_store_wake(NotifyStore *store, const char *target, gint64 now_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The wall clock was set by @step_ms. */
bool notify_store_shift(NotifyStore *store, gint64 step_ms, gint64 now_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Rows that wait become @owner's: all that are another's, or with @failed_of those of that one that have failed. @ret_n: how many. */
bool notify_store_claim(NotifyStore *store, const char *owner, const char *failed_of, guint *ret_n, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* For people: aa{sv}, floating, newest first, with the last answers of each row. */
typedef struct {
	guint count;
	guint64 before;
	char *target;
	int state; /* -1: any */
} NotifyDeliveries;
bool notify_deliveries_parse(GVariant *filter, NotifyDeliveries *ret_filter, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void notify_deliveries_clear(NotifyDeliveries *filter);
GVariant *notify_store_deliveries(NotifyStore *store, const NotifyDeliveries *filter, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* How many rows wait for @target, all owners'. */
bool notify_store_waiting(NotifyStore *store, const char *target, guint *ret_n, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- What the other device is told, and tells (store-share.c) ---- */

/* This database's own id, its newest own event, the newest change of its outbox and the newest mark: what the other asks from. */
const char *notify_store_id(const NotifyStore *store);
guint64 notify_store_newest(const NotifyStore *store);
guint64 notify_store_change(const NotifyStore *store);
guint64 notify_store_mark(const NotifyStore *store);

/* Up to where one device knows the other's database. */
typedef struct {
	guint64 event, change, mark;
} NotifySeen;

/* What comes after (a{sv}, floating, bounded): store, events, rows, marks, more (b) when there is more, and up to where this tells of everything (event,
 * change, mark), because the newest of them may be gone. */
GVariant *notify_store_tell(NotifyStore *store, const NotifySeen *after, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* From where we want to know of database @peer_store. */
bool notify_store_seen(NotifyStore *store, const char *peer_store, NotifySeen *ret_seen, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct {
	guint64 id;
	char *who;
} NotifyAcknowledged;

/* What is new here by an answer of the other's. */
typedef struct {
	GPtrArray *events;       /* of NotifyEvent*, oldest first */
	GArray *read;            /* of guint64: ids of those that are read now */
	GPtrArray *acknowledged; /* of NotifyAcknowledged* */
	bool more;               /* there is more to ask for */
} NotifyLearnt;
/* Takes an answer of the other's notify_store_tell(). */
bool notify_store_learn(NotifyStore *store, GVariant *told, NotifyLearnt *ret_learnt, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void notify_learnt_clear(NotifyLearnt *learnt);

/* Small things to remember; an absent one is "". */
char *notify_store_remembered(NotifyStore *store, const char *key);
bool notify_store_remember(NotifyStore *store, const char *key, const char *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyStore, notify_store_close)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NotifyDeliveries, notify_deliveries_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(NotifyLearnt, notify_learnt_clear)
