/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/writer.h - a thread that writes into the store and waits for the disk, so that nobody else does.
 *
 * Orders are done in their order. Those that have come while the disk was waited for are done together: one transaction, one wait. Each is answered when
 * what it wrote is on disk, in the main loop, in their order.
 */
#pragma once

#include "store.h"

typedef struct NotifyWriter NotifyWriter;

/* To be put into a struct of the caller's, which lives until it is done. */
typedef struct NotifyOrder NotifyOrder;
struct NotifyOrder {
	/* In the writer's thread. May be called again, when others of its group have failed: it begins by forgetting what it found. */
	bool (*work)(NotifyStore *store, NotifyOrder *order, GError **error);
	/* In the main loop. NULL @error: it is on disk. */
	void (*done)(NotifyOrder *order, const GError *error);
	GError *failure;
};

/* @store is taken over: the thread's, until the writer is freed. */
NotifyWriter *notify_writer_new(NotifyStore *store);
/* What was ordered is done and answered first. NULL is fine. */
void notify_writer_free(NotifyWriter *writer);

/* Takes @order, whose work and done are set. */
void notify_writer_order(NotifyWriter *writer, NotifyOrder *order);
/* Until all that was ordered is done and answered, what is ordered meanwhile included. */
void notify_writer_finish(NotifyWriter *writer);

/* For reading, in the main loop: what is on disk. Its counts belong to it when an order is answered. Borrowed. */
NotifyStore *notify_writer_reader(NotifyWriter *writer);

/* From the next order on. */
void notify_writer_keep(NotifyWriter *writer, guint capacity, guint days);

/* @note: the store has raised an event of its own. @told: some orders have been answered, and those that are ready now are too. In the main loop. */
void notify_writer_watch(NotifyWriter *writer, NotifyStoreNote note, void (*told)(gpointer user_data), gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyWriter, notify_writer_free)
