/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/reclaim.c - one time for the next announcement, and the pause that it keeps. */
#include "vrrpd/rules/reclaim.h"

void vrrp_reclaim_note(VrrpReclaim *self, gint64 settle_us, gint64 now_us)
{
	if (now_us - self->noted_us >= VRRP_RECLAIM_QUIET_US)
		self->pause_us = 0;
	self->noted_us = now_us;
	self->after_us = MAX(self->after_us, now_us + settle_us);
	if (self->due_us == 0)
		self->due_us = MAX(now_us + settle_us, self->said_us + self->pause_us);
}

bool vrrp_reclaim_due(VrrpReclaim *self, gint64 now_us)
{
	if (self->due_us == 0 || now_us < self->due_us)
		return false;
	self->said_us = now_us;
	self->pause_us = CLAMP(2 * self->pause_us, VRRP_RECLAIM_LEAST_US, VRRP_RECLAIM_MOST_US);
	/* What was noted last may not have settled when this was said: the last word is ours. */
	self->due_us = self->after_us > now_us ? now_us + self->pause_us : 0;
	return true;
}
