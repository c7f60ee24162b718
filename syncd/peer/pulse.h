/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/pulse.h - whether a path to the peer lives, and when to ask; pure. Times are of CLOCK_MONOTONIC, in microseconds.
 *
 * The path in use is asked at each beat. The others are asked when they have been silent for several, and all of them at once as soon as an answer is
 * due: so nobody is woken for what is not in use, and when it is needed it is known to be good. One question is enough: what is lost TCP says again.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	gint64 heard_us;    /* anything, or that it was opened */
	gint64 answered_us; /* a question, last; 0: none yet */
	gint64 asked_us;    /* 0: no question waits for its answer */
} SyncPulse;

/* How long the peer may be silent, and of that the time from answer to question. */
gint64 sync_pulse_beat_us(guint timeout_ms);

void sync_pulse_begin(SyncPulse *pulse, gint64 now_us);
void sync_pulse_ask(SyncPulse *pulse, gint64 now_us);
void sync_pulse_hear(SyncPulse *pulse, gint64 now_us);
void sync_pulse_answer(SyncPulse *pulse, gint64 now_us);

/* We were not awake for so long, and what came meanwhile is still to be read. */
void sync_pulse_sleep(SyncPulse *pulse, gint64 slept_us);

/* An answer is due. */
bool sync_pulse_is_doubtful(const SyncPulse *pulse, guint timeout_ms, gint64 now_us);

bool sync_pulse_is_lost(const SyncPulse *pulse, guint timeout_ms, gint64 now_us);

/* To be asked now. @in_use; @doubt_us: when a path was asked that is doubtful; 0: none is. */
bool sync_pulse_is_due(const SyncPulse *pulse, bool in_use, gint64 doubt_us, guint timeout_ms, gint64 now_us);

/* When one of these becomes true next. */
gint64 sync_pulse_wake_us(const SyncPulse *pulse, bool in_use, guint timeout_ms, gint64 now_us);
