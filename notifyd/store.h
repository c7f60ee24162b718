/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/store.h - events on disk: one SQLite file, one transaction an event.
 *
 * What was answered as stored survives kill -9 and power loss (WAL, synchronous=FULL). A database that is damaged, or was written by a
 * newer version, is moved aside, never deleted or written into, and a new one begins with an event that says so.
 */
#pragma once

#include "event.h"

typedef struct NotifyStore NotifyStore;

/* The store raised an event of its own (the old database had to be moved aside). Called from within the function that met it. */
typedef void (*NotifyStoreNote)(const NotifyEvent *event, gpointer user_data);

/* @device goes into the events the store raises itself. The folder of @path is made when absent (0700), not its parents. */
NotifyStore *notify_store_open(const char *path, guint capacity, const char *device,
			       GError **error) G_GNUC_WARN_UNUSED_RESULT;
void notify_store_close(NotifyStore *store); /* NULL is fine */
void notify_store_on_note(NotifyStore *store, NotifyStoreNote note, gpointer user_data);

/* On disk when this returns true. @ret_added is false when the key was known: then @ret_id is the event that has it and nothing was stored.
 * The oldest events go in the same transaction when there are more than the capacity. On failure nothing is stored. */
bool notify_store_add(NotifyStore *store, const NotifyEvent *event, guint64 *ret_id, bool *ret_added,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* NotifyEvents, newest first. An answer is bounded at about 3 MiB whatever the count; the rest is got with `before`. */
GPtrArray *notify_store_list(NotifyStore *store, const NotifyFilter *filter, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @n_ids 0: all. @ret_changed: the guint64 ids that were new and now are read, ascending; unknown ids are no error. */
bool notify_store_mark_read(NotifyStore *store, const guint64 *ids, gsize n_ids, GArray **ret_changed,
			    GError **error) G_GNUC_WARN_UNUSED_RESULT;

guint notify_store_count(const NotifyStore *store);
guint notify_store_unread(const NotifyStore *store);
guint notify_store_capacity(const NotifyStore *store);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyStore, notify_store_close)
