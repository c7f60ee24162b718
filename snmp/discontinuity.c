/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/discontinuity.c - kept until the counters or the agent are others. */
#include "snmp/discontinuity.h"

#define TICK_US    10000
#define NEAR_TICKS 100 /* the agent's time is as exact as its answers are quick */

guint32 discontinuity_ticks(Discontinuity *discontinuity, gint64 since_us, gint64 boot_us, guint32 uptime_ticks)
{
	guint32 agent_began = (guint32)(boot_us / TICK_US) - uptime_ticks;
	gint32 moved = (gint32)(agent_began - discontinuity->agent_began);
	gint64 age_ticks = (boot_us - since_us) / TICK_US;

	if (discontinuity->is_known && discontinuity->since_us == since_us && ABS((gint64)moved) < NEAR_TICKS)
		return discontinuity->ticks;
	*discontinuity = (Discontinuity){ true, since_us, agent_began, 0 };
	if (age_ticks >= 0 && age_ticks < uptime_ticks)
		discontinuity->ticks = uptime_ticks - (guint32)age_ticks;
	return discontinuity->ticks;
}
