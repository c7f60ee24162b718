/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/orders/silence.h - for how long phones got no answer while the service went to the other device, from questions asked there again and again; pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* No answer for so long is none; before that nothing is known yet. */
#define SILENCE_PATIENCE_US (500 * G_TIME_SPAN_MILLISECOND)

typedef struct {
	gint64 sent_us, answered_us; /* 0: not answered */
} SilenceSample;

typedef struct {
	guint n_asked, n_answered; /* over the network, by the other device */
	gint64 longest_us;         /* 0: the service has not gone yet */
	bool answers_now;          /* the last question of which anything is known was answered */
} Silence;

/*
 * In the order of their sending. Phones are not served from @stop_us on, when this device began to hand over; what it asks before @away_us is
 * still answered by itself, if at all, and does not count. 0: that has not come yet.
 */
Silence silence_of(const SilenceSample *samples, gsize n, gint64 stop_us, gint64 away_us, gint64 now_us);
