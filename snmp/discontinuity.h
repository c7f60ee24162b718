/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snmp/discontinuity.h - when counters began anew, in the time of the agent that is asked (sysUpTime). Pure.
 *
 * A manager compares such a time with the one that it got before, so it stays what it is as long as the agent and the counters are the same, however
 * unsteadily the agent's time is known.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	bool is_known;
	gint64 since_us;
	guint32 agent_began; /* hundredths of a second of our clock; it wraps */
	guint32 ticks;
} Discontinuity;

/* Counted since @since_us, it is @boot_us now (both of one clock, in microseconds), and @uptime_ticks by the agent. 0: longer than there is the agent. */
guint32 discontinuity_ticks(Discontinuity *discontinuity, gint64 since_us, gint64 boot_us, guint32 uptime_ticks);
