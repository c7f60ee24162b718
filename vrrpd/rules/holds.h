/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/holds.h - what keeps this device from taking over, each with its reason and age; pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
	VRRP_HOLD_PASSIVE,
	VRRP_HOLD_ADMINISTRATOR,
	VRRP_HOLD_FIRST_SYNC,
	VRRP_HOLD_COLD_BOOT,
	VRRP_HOLD_SETTINGS,      /* the other device changes by what the two find each other */
	VRRP_HOLD_NO_SUPERVISOR, /* vrrpd's own */
	VRRP_N_HOLDS,
} VrrpHold;

#define VRRP_LEASE_US (3 * G_USEC_PER_SEC) /* so long it may take to say that it lives */
#define VRRP_LEASE_MOST_US (10 * G_USEC_PER_SEC) /* so long its word may be good when it is given */

typedef struct {
	struct {
		bool set;
		char reason[128];
		gint64 since_us;
		gint64 until_us; /* 0: until lifted */
	} hold[VRRP_N_HOLDS];
	gint64 supervised_until_us;
} VrrpHolds;

const char *vrrp_hold_name(VrrpHold hold);
bool vrrp_hold_from_name(const char *name, VrrpHold *ret_hold);

/* Setting it again keeps the time since when; reason and end are the new ones. */
void vrrp_holds_set(VrrpHolds *holds, VrrpHold hold, const char *reason, gint64 until_us, gint64 now_us);
void vrrp_holds_lift(VrrpHolds *holds, VrrpHold hold);

/* The supervisor lives, until then at least. */
void vrrp_holds_supervise(VrrpHolds *holds, gint64 until_us);

/* Ends leases, and notices a supervisor that has gone; a Master is never held for that. True when anything changed. */
bool vrrp_holds_tick(VrrpHolds *holds, bool is_master, gint64 now_us);
bool vrrp_holds_any(const VrrpHolds *holds);
