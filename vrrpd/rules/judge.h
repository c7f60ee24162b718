/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/rules/judge.h - what the devices know, put into the advertised priority, so that the RFC's own rule is the one judge; pure.
 *
 * Three bands (not serving, alone, serving); within one, foot + 2 * step + offset. The offset (0 or 1, fixed at pairing) keeps the two
 * from ever advertising the same; a takeover sets the step one above what was heard or used, so that the newer Master is above the older.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { VRRP_STANDING_NOT_SERVING, VRRP_STANDING_ALONE, VRRP_STANDING_SERVING } VrrpStanding;

#define VRRP_BAND_SIZE 84    /* 1-84, 85-168, 169-252; 253 and 254 stay free, 255 is an address owner's, 0 a resignation */
#define VRRP_MAX_STEP 41     /* 2 * 41 + 1 = 83 */
#define VRRP_SKEW_PRIORITY 254 /* a paired Backup waits as if it had this: there is no third to race with */

const char *vrrp_standing_name(VrrpStanding standing);
VrrpStanding vrrp_judge_standing(bool serving, bool link_steady);
guint8 vrrp_judge_priority(VrrpStanding standing, guint step, guint offset);

/* The step in a peer's advertised priority. */
guint vrrp_judge_step_of(guint8 priority);
guint vrrp_judge_next_step(guint heard, guint used);

/* Whether a Master may say by the peer path that it lives: not when its service is out of reach or has failed. */
bool vrrp_judge_speaks_to_peer(bool carrier, bool link_alive, bool applications_failed);
