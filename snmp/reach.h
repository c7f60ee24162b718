/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/reach.h - why snmpd is not reached, and what to do, in words for who set it up; and when that is said. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "snmp/watch.h"

/* What stands in the way to the socket of snmpd at @address ("unix:/var/agentx/master"), which has no session with us. */
char *reach_trouble(const char *address);

typedef struct Reach Reach;

/* Says in the log, and as an event by @watch, when there has been no session for 10 s, when the reason changes, and when there is one again. */
Reach *reach_new(Watch *watch, const char *address);
void reach_free(Reach *reach); /* before its watch; NULL is fine */

/* From now on there is a session with snmpd, or there is none. */
void reach_connected(Reach *reach, bool connected);
