/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/text.c - the 7-bit alphabet, parts, telephone numbers. Pure. */
#include "notifyd/sms/text.h"

#include <string.h>

#include "notifyd/delivery/job.h"

/* 3GPP TS 23.038, 6.2.1, without what is the same as in ASCII; and its extension table, 6.2.1.1. */
static const char basic[] = "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà";
static const char extension[] = "^{}\\[~]|€\f";

static const struct {
	gunichar from;
	const char *to;
} replacements[] = {
	{ 0x401, "E" }, { 0x404, "Ye" }, { 0x406, "I" }, { 0x407, "Yi" }, { 0x451, "e" }, { 0x454, "ye" }, { 0x456, "i" }, { 0x457, "yi" },
	{ 0x490, "G" }, { 0x491, "g" },
};

/* U+0410 to U+044F, capitals first. */
static const char *const cyrillic[] = { "A", "B", "V", "G", "D", "E", "Zh", "Z", "I", "Y", "K", "L", "M", "N", "O", "P", "R", "S", "T", "U", "F",
					"Kh", "Ts", "Ch", "Sh", "Shch", "", "Y", "", "E", "Yu", "Ya" };

guint sms_septets(gunichar c)
{
	if (c == 0 || c == '`')
		return 0;
	if (c < 0x80 ? strchr(extension, (int)c) != NULL : c == 0x20ac)
		return 2;
	if (c < 0x80)
		return c >= ' ' || c == '\n' || c == '\r' ? c != 0x7f : 0;
	return g_utf8_strchr(basic, -1, c) ? 1 : 0;
}

static guint utf16_units(gunichar c)
{
	return c > 0xffff ? 2 : 1;
}

SmsSize sms_measure(const char *text)
{
	SmsSize size = { .seven_bit = true, .parts = 1 };
	guint room, used = 0;

	for (const char *p = text; *p && size.seven_bit; p = g_utf8_next_char(p))
		size.seven_bit = sms_septets(g_utf8_get_char(p)) > 0;
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		size.units += size.seven_bit ? sms_septets(g_utf8_get_char(p)) : utf16_units(g_utf8_get_char(p));
	if (size.units <= (size.seven_bit ? 160 : 70))
		return size;
	room = size.seven_bit ? 153 : 67;
	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		guint n = size.seven_bit ? sms_septets(g_utf8_get_char(p)) : utf16_units(g_utf8_get_char(p));

		if (used + n > room) {
			size.parts++;
			used = 0;
		}
		used += n;
	}
	return size;
}

static void append_replacement(GString *out, gunichar c)
{
	char utf8[7] = "";
	g_autofree char *ascii = NULL;
	const char *more = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(replacements) && !more; i++)
		if (replacements[i].from == c)
			more = replacements[i].to;
	if (c >= 0x410 && c <= 0x42f)
		more = cyrillic[c - 0x410];
	if (c >= 0x430 && c <= 0x44f) {
		g_autofree char *lower = g_ascii_strdown(cyrillic[c - 0x430], -1);

		g_string_append(out, lower);
		return;
	}
	if (!more) {
		g_unichar_to_utf8(c, utf8);
		ascii = g_str_to_ascii(utf8, "C");
		more = ascii;
	}
	for (const char *p = more; *p; p++)
		g_string_append_c(out, sms_septets((guchar)*p) ? *p : *p == '`' ? '\'' : '?');
}

char *sms_to_seven_bit(const char *text)
{
	g_autofree char *composed = g_utf8_normalize(text, -1, G_NORMALIZE_DEFAULT_COMPOSE);
	GString *out = g_string_new(NULL);

	for (const char *p = composed ? composed : text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (sms_septets(c))
			g_string_append_unichar(out, c);
		else if (!g_unichar_iszerowidth(c))
			append_replacement(out, c);
	}
	return g_string_free(out, FALSE);
}

static char *clean(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *out = g_string_new(NULL);

	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (c == '\r' && p[1] == '\n')
			continue;
		if (c == '\r')
			c = '\n';
		g_string_append_unichar(out, c != '\n' && (g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029) ? ' ' : c);
	}
	return g_strstrip(g_string_free(out, FALSE));
}

static char *shortened(const char *text, glong characters)
{
	g_autofree char *beginning = g_utf8_substring(text, 0, characters);

	return g_strconcat(g_strchomp(beginning), "...", NULL);
}

char *sms_fit(const char *text, guint max_parts, bool seven_bit, SmsSize *ret_size)
{
	g_autofree char *whole = clean(text);
	glong fits = 0, too_long;

	/* No part holds more characters than septets: what comes after that many is not looked at. */
	too_long = g_utf8_strlen(whole, -1);
	if (too_long > (glong)max_parts * 160) {
		*g_utf8_offset_to_pointer(whole, (glong)max_parts * 160 + 1) = '\0';
		too_long = (glong)max_parts * 160 + 1;
	}
	if (seven_bit) {
		char *replaced = sms_to_seven_bit(whole);

		g_free(whole);
		whole = replaced;
		too_long = g_utf8_strlen(whole, -1);
	}
	*ret_size = sms_measure(whole);
	if (ret_size->parts <= max_parts)
		return g_steal_pointer(&whole);
	/* A longer beginning never takes fewer parts. */
	while (too_long - fits > 1) {
		glong middle = fits + (too_long - fits) / 2;
		g_autofree char *beginning = shortened(whole, middle);

		if (sms_measure(beginning).parts <= max_parts)
			fits = middle;
		else
			too_long = middle;
	}
	char *beginning = shortened(whole, fits);
	*ret_size = sms_measure(beginning);
	return beginning;
}

char *sms_number(const char *text, GError **error)
{
	g_autoptr(GString) number = g_string_new(NULL);
	bool ok = true;
	guint digits = 0;

	for (const char *p = text; *p && ok; p++) {
		if (strchr(" -./()", *p))
			continue;
		ok = g_ascii_isdigit(*p) || (*p == '+' && number->len == 0);
		digits += g_ascii_isdigit(*p) != 0;
		g_string_append_c(number, *p);
	}
	if (!ok || digits < 3 || digits > 20) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "\"%s\" is no telephone number", text);
		return NULL;
	}
	return g_string_free(g_steal_pointer(&number), FALSE);
}
