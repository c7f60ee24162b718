/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/pulse.c - questions and answers on a path. */
#include "syncd/peer/pulse.h"

enum {
	BEATS = 3, /* in the time that the peer may be silent: two for an answer that was lost on the way */
	BEAT_MOST_MS = 1000,
	SPARE_BEATS = 5, /* silence on a path that is not in use */
};

gint64 sync_pulse_beat_us(guint timeout_ms)
{
	return (gint64)MIN(timeout_ms / BEATS, BEAT_MOST_MS) * 1000;
}

static gint64 due_us(const SyncPulse *pulse, bool in_use, gint64 beat_us)
{
	return in_use ? pulse->answered_us + beat_us : pulse->heard_us + SPARE_BEATS * beat_us;
}

static gint64 doubtful_us(const SyncPulse *pulse, gint64 beat_us)
{
	return MAX(pulse->asked_us, pulse->heard_us) + beat_us / 2;
}

static gint64 lost_us(const SyncPulse *pulse, guint timeout_ms)
{
	/* Of the path in use: so long after its last answer. */
	return MAX(pulse->asked_us - sync_pulse_beat_us(timeout_ms), pulse->heard_us) + (gint64)timeout_ms * 1000;
}

void sync_pulse_begin(SyncPulse *pulse, gint64 now_us)
{
	*pulse = (SyncPulse){ .heard_us = now_us };
}

void sync_pulse_ask(SyncPulse *pulse, gint64 now_us)
{
	if (pulse->asked_us == 0)
		pulse->asked_us = now_us;
}

void sync_pulse_hear(SyncPulse *pulse, gint64 now_us)
{
	pulse->heard_us = now_us;
}

void sync_pulse_answer(SyncPulse *pulse, gint64 now_us)
{
	pulse->heard_us = pulse->answered_us = now_us;
	pulse->asked_us = 0;
}

void sync_pulse_sleep(SyncPulse *pulse, gint64 slept_us)
{
	pulse->heard_us += slept_us;
	if (pulse->answered_us)
		pulse->answered_us += slept_us;
	if (pulse->asked_us)
		pulse->asked_us += slept_us;
}

bool sync_pulse_is_doubtful(const SyncPulse *pulse, guint timeout_ms, gint64 now_us)
{
	return pulse->asked_us && now_us >= doubtful_us(pulse, sync_pulse_beat_us(timeout_ms));
}

bool sync_pulse_is_lost(const SyncPulse *pulse, guint timeout_ms, gint64 now_us)
{
	return pulse->asked_us && now_us >= lost_us(pulse, timeout_ms);
}

bool sync_pulse_is_due(const SyncPulse *pulse, bool in_use, gint64 doubt_us, guint timeout_ms, gint64 now_us)
{
	if (pulse->asked_us)
		return false;
	return pulse->heard_us < doubt_us || now_us >= due_us(pulse, in_use, sync_pulse_beat_us(timeout_ms));
}

gint64 sync_pulse_wake_us(const SyncPulse *pulse, bool in_use, guint timeout_ms, gint64 now_us)
{
	gint64 beat_us = sync_pulse_beat_us(timeout_ms);

	if (!pulse->asked_us)
		return due_us(pulse, in_use, beat_us);
	return now_us < doubtful_us(pulse, beat_us) ? doubtful_us(pulse, beat_us) : lost_us(pulse, timeout_ms);
}
