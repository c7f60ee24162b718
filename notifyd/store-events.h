/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/store-events.h - events and rows as the other parts of the store put them in and take them out, within its transactions. */
#pragma once

#include "store-private.h"

#define STORE_EVENT_COLUMNS "id, read, time_ms, priority, application, name, description, reference, device, shown, ack_ms, ack_by, about, recovery"
#define STORE_ROW_COLUMNS                                                                                                      \
	"id, message, event, target, recipients, text, owner, hand, state, refused, about, attempts, created_ms, due_ms, done_ms, words, change"

NotifyEvent *store_read_event(sqlite3_stmt *row);
OutboxRow *store_read_row(sqlite3_stmt *row);

/* @origin 0: our own. SQLITE_DONE: its key, or origin, was known, and nothing was stored. */
int store_insert_event(NotifyStore *store, const NotifyEvent *event, const char *origin_store, guint64 origin, guint64 *ret_id);
/* Takes a new change number. Not when too many wait for that target already: then a line in the log of the row's message says so. */
int store_insert_row(NotifyStore *store, OutboxRow *row);
/* Both devices keep the same events, so this is by when they happened, not by when they came here. */
int store_drop_old(NotifyStore *store, gint64 now_ms);
/* What was unread is not there any more, or read now. */
void store_uncount(NotifyStore *store, sqlite3_stmt *row, int priority_column, int shown_column);

/* ---- Marks: who has read and acknowledged what (store-marks.c) ---- */

#define STORE_MARK_TYPE "(tstbxs)"
/* Those after @after, in their order, a bounded number (of GVariant, STORE_MARK_TYPE). @ret_upto: up to where this is all. */
int store_tell_marks(NotifyStore *store, guint64 after, GPtrArray *marks, guint64 *ret_upto, bool *ret_more);
/* Takes what the other device told; adds to @learnt what is new. */
int store_learn_marks(NotifyStore *store, GVariant *marks, NotifyLearnt *learnt);

/* ---- What was learnt of which database (store-share.c) ---- */

/* Of the one that was heard last: its id ("" when there is none), and up to where its events are known. */
int store_peer(NotifyStore *store, char **ret_store, guint64 *ret_event);
