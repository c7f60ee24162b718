/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/template.c - one pass over a template. Pure. */
#include "notifyd/sms/template.h"

#include <stdbool.h>
#include <string.h>

#include "notifyd/delivery/job.h"

static void append_percent(GString *out, const char *value)
{
	/* As a folder of a path these would be a direction, and no encoding hides them: a dot is a dot. */
	bool direction = strcmp(value, ".") == 0 || strcmp(value, "..") == 0;

	for (const char *p = value; *p; p++) {
		if (g_ascii_isalnum(*p) || *p == '-' || *p == '_' || (*p == '.' && !direction))
			g_string_append_c(out, *p);
		else if (direction)
			g_string_append_c(out, '_');
		else
			g_string_append_printf(out, "%%%02X", (guchar)*p);
	}
}

static void append_json(GString *out, const char *value)
{
	g_autofree char *valid = g_utf8_make_valid(value, -1);

	for (const char *p = valid; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_printf(out, "\\%c", *p);
		else if (*p == '\n')
			g_string_append(out, "\\n");
		else if ((guchar)*p < ' ' || *p == 0x7f)
			g_string_append_printf(out, "\\u%04x", (guchar)*p);
		else
			g_string_append_c(out, *p);
	}
}

static void append_value(GString *out, SmsPlace place, const char *value)
{
	switch (place) {
	case SMS_PLACE_URL:
	case SMS_PLACE_FORM:
		append_percent(out, value);
		break;
	case SMS_PLACE_JSON:
		append_json(out, value);
		break;
	case SMS_PLACE_HEADER:
		for (const char *p = value; *p; p++)
			g_string_append_c(out, *p >= ' ' && *p <= '~' ? *p : (guchar)*p < 0x80 ? ' ' : '?');
		break;
	}
}

char *sms_template_fill(const char *template, SmsPlace place, const SmsValue *values, GError **error)
{
	g_autoptr(GString) out = g_string_new(NULL);

	for (const char *p = template; *p;) {
		gsize n = 0;
		const SmsValue *value = values;

		while (*p == '{' && g_ascii_isalpha(p[1 + n]))
			n++;
		if (n == 0 || p[1 + n] != '}') {
			g_string_append_c(out, *p++);
			continue;
		}
		while (value->name && (strlen(value->name) != n || strncmp(value->name, p + 1, n) != 0))
			value++;
		if (!value->name) {
			g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "{%.*s} is nothing that can be filled in", (int)MIN(n, 40),
				    p + 1);
			return NULL;
		}
		append_value(out, place, value->value ? value->value : "");
		p += n + 2;
	}
	return g_string_free(g_steal_pointer(&out), FALSE);
}
