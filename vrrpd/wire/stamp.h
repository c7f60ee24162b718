/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/stamp.h - when a packet was received, of what the kernel's stamp says; pure.
 *
 * The kernel stamps with the wall clock, and somebody may set that while a packet lies in the queue. What lay there when such a step was noticed is taken
 * as received when it is read: too early would be a silence that never was; and it is said that it may be older (machine.h). How far the two clocks are
 * apart shows one step, and not two that take each other back while nobody looks: of those the kernel tells (wall.h).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VRRP_STAMP_STEP_US 2000                 /* more than a clock that is slowed down or sped up drifts between two looks */
#define VRRP_STAMP_OLDEST_US (60 * G_USEC_PER_SEC) /* nothing lies in a queue longer, unless its reader does not run */

typedef struct {
	bool known;        /* the offset is */
	guint sets;        /* of the wall clock, when it was looked at last */
	gint64 offset_us;  /* of the wall clock from ours */
	gint64 stepped_us; /* when a step was noticed, 0: never */
	bool dated;        /* of the packet looked at last: when it was received is known */
} VrrpStamp;

/* When the socket is opened, so that a step before the first packet is read is noticed as well; both clocks read one after the other. */
void vrrp_stamp_begin(VrrpStamp *self, guint sets, gint64 wall_now_us, gint64 now_us);

/* Both clocks read one after the other, @sets before that: so often has the wall clock been set, as far as that is known (wall.h). */
gint64 vrrp_stamp_received(VrrpStamp *self, gint64 stamp_us, guint sets, gint64 wall_now_us, gint64 now_us);
