/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/judge.c - judges an answer. Pure. */
#include "notifyd/sms/judge.h"

#include <string.h>

GRegex *sms_success_pattern(const char *text, GError **error)
{
	g_autoptr(GError) cause = NULL;
	GRegex *pattern = g_regex_new(text, 0, 0, &cause);

	if (!pattern)
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "success: %s", cause->message);
	return pattern;
}

DeliveryOutcome sms_judge(guint status, const char *status_line, const char *text, const GRegex *success)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	g_autofree char *all = g_strconcat(status_line, "\n", valid, NULL);

	if (success ? g_regex_match(success, all, 0, NULL) : status / 100 == 2)
		return DELIVERY_ACCEPTED;
	return status == 408 || status == 425 || status == 429 || status / 100 == 5 ? DELIVERY_RETRY : DELIVERY_REFUSED;
}

char *sms_words(const char *status_line, const char *text)
{
	const char *code = g_str_has_prefix(status_line, "HTTP/") ? strchr(status_line, ' ') : NULL;

	return g_strdup_printf("%s%s%s", code ? code + 1 : status_line, *text ? ": " : "", text);
}
