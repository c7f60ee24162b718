/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/room.c - what was lost for want of room, and until when. */
#include "vrrpd/rules/room.h"

/* The count begins anew after four thousand million. */
static bool is_more(guint32 dropped, guint32 than)
{
	return (gint32)(dropped - than) > 0;
}

bool vrrp_room_read(VrrpRoom *self, guint32 dropped, gint64 received_us, gint64 now_us)
{
	self->in_a_row = now_us - self->read_us < VRRP_ROOM_GAP_US ? self->in_a_row + 1 : 0;
	self->read_us = now_us;
	if (self->in_a_row >= VRRP_ROOM_CROWD)
		self->crowded_us = now_us;
	/* So many before this came, however late we asked. */
	if (is_more(dropped, self->dropped) || (dropped == self->dropped && received_us < self->lost_us))
		self->lost_us = received_us;
	if (is_more(dropped, self->dropped))
		self->dropped = dropped;
	return self->in_a_row > 0 && self->in_a_row % VRRP_ROOM_CROWD == 0;
}

void vrrp_room_count(VrrpRoom *self, guint32 dropped, gint64 now_us)
{
	if (!is_more(dropped, self->dropped))
		return;
	self->dropped = dropped;
	self->lost_us = now_us;
}

bool vrrp_room_is_crowded(const VrrpRoom *self, gint64 since_us)
{
	return self->crowded_us > since_us;
}

bool vrrp_room_ran_over(VrrpRoom *self, gint64 since_us)
{
	bool lost = vrrp_room_is_crowded(self, since_us) && self->lost_us > since_us && self->dropped != self->told;

	self->told = self->dropped;
	return lost;
}
