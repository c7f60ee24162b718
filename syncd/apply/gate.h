/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/gate.h - whether the files of a ref may be used now: what a takeover asks, and an apply answers.
 *
 * An apply looks, fetches, stages, writes its mark, makes its steps; each of that may take long. A takeover waits for none of it but the
 * steps: before the first one it takes the mark away, and the files are the old ones; else it waits for the last, and they are the new ones. Both
 * sides go through this gate, so only one of the two happens. A supervisor that will not wait for the answer reads the marks (marks.h), which the gate keeps.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/apply/marks.h"

typedef struct SyncGate SyncGate;

/* @journal: the path of the mark. @marks, of which @i is the ref's, is borrowed; NULL: none are kept. @whole is called in the thread that applies, when
 * somebody who was told to wait may go on. */
SyncGate *sync_gate_new(const char *journal, const SyncMarks *marks, guint i, void (*whole)(gpointer user_data), gpointer user_data);
void sync_gate_free(SyncGate *gate); /* NULL is fine */

/* ---- the one that applies ---- */

/* @written becomes the mark, unless @cancellable came first, or applications may run here. @cancellable NULL: neither counts, who leads does it. */
bool sync_gate_mark(SyncGate *gate, const char *written, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The steps begin, unless @cancellable came first; then the mark is gone. */
bool sync_gate_enter(SyncGate *gate, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All steps are made, and the mark is gone: nobody will make them again. */
void sync_gate_leave(SyncGate *gate);

/* Steps are missing: the files are neither the old nor the new ones until somebody has made them. */
void sync_gate_stuck(SyncGate *gate);

/* ---- the one that takes over, from any thread; does not block ---- */

/* Cancels @cancellable. True: the files are whole. False: steps are under way or missing, @whole will be called. */
bool sync_gate_take(SyncGate *gate, GCancellable *cancellable);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncGate, sync_gate_free)
