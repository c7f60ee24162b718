/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/rules/reclaim.h - when a Master announces its addresses again, because switches and hosts may just have been told otherwise; pure.
 *
 * Whoever led before and does not know yet that it no longer does (its processes stand still, and its kernel goes on) answers for the addresses, and a
 * switch learns its port from each answer. One announcement puts that right. Two that do so against each other, or one who does not cease, must not
 * make a storm of it: each time the pause before the next doubles, until it has been quiet for a while.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VRRP_RECLAIM_LEAST_US (20 * G_TIME_SPAN_MILLISECOND) /* from one to the next */
#define VRRP_RECLAIM_MOST_US G_USEC_PER_SEC
#define VRRP_RECLAIM_QUIET_US (3 * G_USEC_PER_SEC) /* after that the pause begins small again */

typedef struct {
	gint64 due_us; /* when to announce; 0: never. Read by the owner */

	/* Its own. */
	gint64 noted_us, after_us, said_us, pause_us;
} VrrpReclaim;

/* Something was heard that may mislead: not before @settle_us from now all of it will have been said. */
void vrrp_reclaim_note(VrrpReclaim *self, gint64 settle_us, gint64 now_us);

/* True when it is to be announced now. */
bool vrrp_reclaim_due(VrrpReclaim *self, gint64 now_us);
