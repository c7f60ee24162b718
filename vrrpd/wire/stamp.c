/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/stamp.c - from the wall clock to ours. */
#include "vrrpd/wire/stamp.h"

void vrrp_stamp_begin(VrrpStamp *self, guint sets, gint64 wall_now_us, gint64 now_us)
{
	*self = (VrrpStamp){ .known = true, .sets = sets, .offset_us = wall_now_us - now_us };
}

gint64 vrrp_stamp_received(VrrpStamp *self, gint64 stamp_us, guint sets, gint64 wall_now_us, gint64 now_us)
{
	gint64 offset_us = wall_now_us - now_us, age_us = wall_now_us - stamp_us;

	if (self->known && (sets != self->sets || ABS(offset_us - self->offset_us) > VRRP_STAMP_STEP_US))
		self->stepped_us = now_us;
	self->known = true;
	self->sets = sets;
	self->offset_us = offset_us;
	self->dated = age_us >= 0 && age_us < VRRP_STAMP_OLDEST_US && (self->stepped_us == 0 || now_us - age_us > self->stepped_us);
	return self->dated ? now_us - age_us : now_us;
}
