/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/role/mode.c - modes with an end. */
#include "supervisor/role/mode.h"

#include <string.h>

ModeOrder mode_order(Mode mode, guint minutes, const char *reason, gint64 now_ms)
{
	ModeOrder order = { .mode = mode };
	if (mode == MODE_PASSIVE && minutes)
		order.until_ms = now_ms + minutes * G_GINT64_CONSTANT(60000);
	const char *end;
	g_strlcpy(order.reason, reason ? reason : "", sizeof order.reason);
	if (!g_utf8_validate(order.reason, -1, &end))
		order.reason[end - order.reason] = '\0'; /* cut within a letter */
	return order;
}

bool mode_order_is_over(const ModeOrder *order, gint64 now_ms)
{
	return order->mode == MODE_PASSIVE && order->until_ms != 0 && now_ms >= order->until_ms;
}

char *mode_order_text(const ModeOrder *order)
{
	return g_strdup_printf("%s %" G_GINT64_FORMAT " %s\n", mode_name(order->mode), order->until_ms, order->reason);
}

bool mode_order_parse(const char *text, ModeOrder *ret_order)
{
	g_autofree char *line = g_strndup(text, strcspn(text, "\n"));
	g_auto(GStrv) words = g_strsplit(line, " ", 3);
	ModeOrder order = { 0 };
	if (!words[0] || !mode_parse(words[0], &order.mode))
		return false;
	if (words[1] && order.mode == MODE_PASSIVE)
		order.until_ms = MAX(0, g_ascii_strtoll(words[1], NULL, 10));
	gint64 until_ms = order.until_ms;
	order = mode_order(order.mode, 0, words[1] ? words[2] : NULL, 0);
	order.until_ms = until_ms;
	*ret_order = order;
	return true;
}

bool mode_reminder_is_due(gint64 since_us, gint64 told_us, guint every_min, gint64 now_us)
{
	return every_min != 0 && since_us != 0 && now_us - MAX(since_us, told_us) >= every_min * 60 * G_TIME_SPAN_SECOND;
}
