/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/text.h - times and texts as SNMP has them. Pure. */
#pragma once

#include <glib.h>

#define SNMP_TIME_BYTES 11 /* DateAndTime with its zone: always UTC */

void snmp_time(gint64 time_ms, guint8 ret_bytes[static SNMP_TIME_BYTES]);

/* Valid UTF-8 of at most @most bytes, control characters replaced. */
char *snmp_clean_text(const char *text, gsize most);
