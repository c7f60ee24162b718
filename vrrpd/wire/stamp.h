/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/stamp.h - when a packet was received, of what the kernel's stamp says; pure.
 *
 * The kernel stamps with the wall clock, and somebody may set that while a packet lies in the queue. What is older than such a step is taken
 * as received when it is read: too late is harmless, too early would be a silence that never was.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VRRP_STAMP_STEP_US 2000               /* more than a clock that is slowed down or sped up drifts between two looks */
#define VRRP_STAMP_DISTRUST_US G_USEC_PER_SEC /* nothing lies in a queue longer */

typedef struct {
	bool known;
	gint64 offset_us;  /* of the wall clock from ours */
	gint64 stepped_us; /* when a step was noticed, 0: never */
} VrrpStamp;

/* Both clocks read one after the other. */
gint64 vrrp_stamp_received(VrrpStamp *self, gint64 stamp_us, gint64 wall_now_us, gint64 now_us);
