/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/orders/silence.c - the longest time without an answer. */
#include "supervisor/orders/silence.h"

Silence silence_of(const SilenceSample *samples, gsize n, gint64 stop_us, gint64 away_us, gint64 now_us)
{
	Silence silence = { 0 };
	gint64 since_us = stop_us;

	if (!stop_us || !away_us)
		return silence;
	for (gsize i = 0; i < n; i++) {
		const SilenceSample *sample = &samples[i];
		if (sample->sent_us < away_us || (!sample->answered_us && now_us - sample->sent_us < SILENCE_PATIENCE_US))
			continue;
		silence.n_asked++;
		silence.answers_now = sample->answered_us != 0;
		if (!sample->answered_us) {
			since_us = since_us ? since_us : sample->sent_us;
			continue;
		}
		silence.n_answered++;
		if (since_us)
			silence.longest_us = MAX(silence.longest_us, sample->answered_us - since_us);
		since_us = 0;
	}
	if (since_us)
		silence.longest_us = MAX(silence.longest_us, now_us - since_us);
	return silence;
}
