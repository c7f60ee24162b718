/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/netsnmp-source.h - net-snmp's sockets and alarms in the main loop. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* One a process: net-snmp's sessions and alarms are global. Attached to the default context; destroy and unref it with g_source_destroy(), g_source_unref(). */
GSource *netsnmp_source_new(void);
