/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/trap/send.h - one notification to one receiver, by net-snmp, which waits where it likes: our process is there for nothing else. */
#pragma once

#include "notifyd/trap/engine.h"
#include "notifyd/trap/target.h"

/* Once, before the others. Keeps net-snmp off everybody's files. */
void trap_library_begin(void);

/* @engine: for a trap of version 3, else NULL. @address: "udp:192.0.2.1:162". @timeout_ms: for all of it. What became of it, with
 * words for people. */
DeliveryOutcome trap_send(const DeliveryJob *job, const TrapTarget *target, const TrapEngine *engine, const char *address, gint64 timeout_ms,
			  char **ret_words);
