/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/text.c - times and texts as SNMP has them. */
#include "snmp/text.h"

#include <string.h>

void snmp_time(gint64 time_ms, guint8 ret_bytes[static SNMP_TIME_BYTES])
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(time_ms / 1000);

	memset(ret_bytes, 0, SNMP_TIME_BYTES);
	ret_bytes[8] = '+';
	if (!time) {
		ret_bytes[2] = ret_bytes[3] = 1; /* there is no month 0 */
		return;
	}
	int year = g_date_time_get_year(time);
	ret_bytes[0] = (guint8)(year >> 8);
	ret_bytes[1] = (guint8)year;
	ret_bytes[2] = (guint8)g_date_time_get_month(time);
	ret_bytes[3] = (guint8)g_date_time_get_day_of_month(time);
	ret_bytes[4] = (guint8)g_date_time_get_hour(time);
	ret_bytes[5] = (guint8)g_date_time_get_minute(time);
	ret_bytes[6] = (guint8)g_date_time_get_second(time);
	ret_bytes[7] = (guint8)(ABS(time_ms % 1000) / 100);
}

char *snmp_clean_text(const char *text, gsize most)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	gsize n = strlen(valid);

	if (n > most) {
		n = most;
		while (n > 0 && ((guint8)valid[n] & 0xc0) == 0x80)
			n--;
		valid[n] = '\0';
	}
	for (char *at = valid; *at; at++)
		if ((guint8)*at < 0x20 || *at == 0x7f)
			*at = ' ';
	return g_steal_pointer(&valid);
}
