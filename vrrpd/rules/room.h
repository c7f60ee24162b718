/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/rules/room.h - whether one queue of adverts has had room for all that came, and if not, until when at the latest; pure.
 *
 * The kernel says how many packets it has dropped, but not when: beside each packet that is read, how many before that came, and whenever it is
 * asked, how many by then. Who reads a crowd asks it in time, so that what was lost before the Master was heard is not taken for what was lost since.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VRRP_ROOM_CROWD 64        /* read right one after the other; fewer than any queue holds */
#define VRRP_ROOM_GAP_US 1000

typedef struct {
	guint32 dropped;    /* by the kernel, as far as is known, */
	gint64 lost_us;     /* the last of it not later than this; 0: nothing was */
	guint32 told;       /* of that somebody has been told */
	guint in_a_row;
	gint64 read_us, crowded_us;
} VrrpRoom;

/* One packet is read at @now_us that came at @received_us, when @dropped had been. True in a crowd: the kernel is to be asked. */
bool vrrp_room_read(VrrpRoom *self, guint32 dropped, gint64 received_us, gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;

/* The kernel was asked: so many by now. */
void vrrp_room_count(VrrpRoom *self, guint32 dropped, gint64 now_us);

/* A crowd was read after @since_us. Without one there is nothing to ask the kernel for. */
bool vrrp_room_is_crowded(const VrrpRoom *self, gint64 since_us);

/* Whether there was no room for something that may have come after @since_us, and nobody has been told of it. */
bool vrrp_room_ran_over(VrrpRoom *self, gint64 since_us) G_GNUC_WARN_UNUSED_RESULT;
