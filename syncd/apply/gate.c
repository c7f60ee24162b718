/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/gate.c - a lock around the few moments that matter; nothing that waits for a disk is done under it. */
#include "syncd/apply/gate.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "syncd/files/file.h"

typedef enum {
	WHOLE,  /* nothing is under way, or nothing that touches the files */
	MARKED, /* the mark is there, no step is made */
	STEPS,  /* some are made */
} State;

struct SyncGate {
	GMutex lock;
	State state;
	bool wanted; /* somebody waits until the files are whole */
	char *journal;
	const SyncMarks *marks;
	guint i;
	void (*whole)(gpointer user_data);
	gpointer user_data;
};

SyncGate *sync_gate_new(const char *journal, const SyncMarks *marks, guint i, void (*whole)(gpointer user_data), gpointer user_data)
{
	SyncGate *gate = g_new0(SyncGate, 1);

	g_mutex_init(&gate->lock);
	gate->journal = g_strdup(journal);
	gate->marks = marks;
	gate->i = i;
	gate->whole = whole;
	gate->user_data = user_data;
	return gate;
}

void sync_gate_free(SyncGate *gate)
{
	if (!gate)
		return;
	g_mutex_clear(&gate->lock);
	g_free(gate->journal);
	g_free(gate);
}

static void set_state(SyncGate *gate, State state)
{
	gate->state = state;
	if (!gate->marks)
		return;
	if (state == WHOLE)
		sync_marks_whole(gate->marks, gate->i);
	else
		sync_marks_stuck(gate->marks, gate->i);
}

bool sync_gate_mark(SyncGate *gate, const char *written, GCancellable *cancellable, GError **error)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&gate->lock);

	if (g_cancellable_set_error_if_cancelled(cancellable, error))
		return false;
	if (gate->marks && !sync_marks_begin(gate->marks, gate->i, cancellable != NULL, error))
		return false;
	if (rename(written, gate->journal) < 0) {
		sync_error_from_errno(error, errno, "%s", gate->journal);
		set_state(gate, WHOLE);
		return false;
	}
	gate->state = MARKED;
	return true;
}

bool sync_gate_enter(SyncGate *gate, GCancellable *cancellable, GError **error)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&gate->lock);

	/* Somebody may have taken it away already. A mark that cannot be is made good. */
	if (gate->state == MARKED && g_cancellable_is_cancelled(cancellable) && (unlink(gate->journal) == 0 || errno == ENOENT))
		set_state(gate, WHOLE);
	if (gate->state == WHOLE) {
		g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, "a change of role came first");
		return false;
	}
	gate->state = STEPS;
	return true;
}

void sync_gate_leave(SyncGate *gate)
{
	g_mutex_lock(&gate->lock);
	bool wanted = gate->wanted;
	set_state(gate, WHOLE);
	gate->wanted = false;
	g_mutex_unlock(&gate->lock);
	if (wanted)
		gate->whole(gate->user_data);
}

void sync_gate_stuck(SyncGate *gate)
{
	g_mutex_lock(&gate->lock);
	set_state(gate, STEPS);
	g_mutex_unlock(&gate->lock);
}

bool sync_gate_take(SyncGate *gate, GCancellable *cancellable)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&gate->lock);

	g_cancellable_cancel(cancellable);
	switch (gate->state) {
	case WHOLE:
		return true;
	case MARKED:
		/* Whoever crashes now must not find it: applications are about to use what it would replace. */
		if (unlink(gate->journal) < 0 && errno != ENOENT)
			break;
		set_state(gate, WHOLE);
		return true;
	case STEPS:
		break;
	}
	gate->wanted = true;
	return false;
}
