/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/rules/sleep.h - until when a Backup may leave adverts unread, and when they are then taken to have been read; pure.
 *
 * To a Backup that hears the Master the next advert says nothing new: that it came is early enough known when it would be missed. So at adverts
 * of VRRP_SLEEP_MOST_US and faster a Backup sleeps until then, or until housekeeping is due, and reads the adverts that have come meanwhile,
 * which the kernel has stamped. Whatever is not what the Master said last wakes it at once (socket.h).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/rules/machine.h"

#define VRRP_SLEEP_MOST_US 100000           /* slower adverts are read each: nothing is to be saved */
#define VRRP_SLEEP_CROWD 64                 /* more in one queue than one Master says meanwhile */
#define VRRP_SLEEP_ROUSED_US G_USEC_PER_SEC /* awake after that */
#define VRRP_SLEEP_TICK_US 100000           /* between housekeepings; fewer while it hears */

typedef struct {
	/* Read by the owner. */
	bool quiet;      /* adverts are read when the timer, or anything else, wakes us; */
	gint64 wake_us;  /* for when that is to be set; 0: never */

	/* Its own. */
	gint64 read_us;  /* what was received before this lay there by plan, */
	gint64 late_us;  /* but what came before this lay longer: woken more than an interval late */
	gint64 roused_us;
	gint64 said_us;  /* when the newest advert that counted was received */
} VrrpSleep;

/* A Backup that need do nothing but hear a Master, and does. */
bool vrrp_sleep_hears(const VrrpMachine *machine, gint64 now_us);

/* After anything that this depends on. @busy: it has more to do than to hear; @tick_at_us: when housekeeping is due, 0: not known yet. */
void vrrp_sleep_plan(VrrpSleep *self, const VrrpMachine *machine, bool busy, gint64 tick_at_us, gint64 now_us);

/* When an advert that is read at @now_us is to be taken to have been read: where it lay by plan, when it came. */
gint64 vrrp_sleep_heard_at(VrrpSleep *self, const VrrpMachine *machine, gint64 received_us, gint64 now_us);

/* Whether it says more than what another path has brought since. Nobody who has resigned leads again within half an interval. */
bool vrrp_sleep_counts(VrrpSleep *self, const VrrpMachine *machine, guint8 priority, gint64 received_us);

/* What was lost before this is nothing to wait for: the Master was heard since, or would have been, for a whole down interval. */
gint64 vrrp_sleep_lost_since_us(const VrrpSleep *self, const VrrpMachine *machine, gint64 now_us);

/* @n adverts were read from one queue. A flood that looks as if it counted must not fill the queue before we look again. */
void vrrp_sleep_note(VrrpSleep *self, guint n, gint64 now_us);

/* From one housekeeping to the next: a frame must be heard within @window_us. */
gint64 vrrp_sleep_tick_us(bool hears, gint64 window_us);
