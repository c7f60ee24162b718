/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/encode.c - RFC 2047 words, quoted-printable, base64, dates. Pure. */
#include "notifyd/mail/encode.h"

#include <string.h>

#include "notifyd/delivery/job.h"

#define WORD_BYTES 45 /* of text in an encoded word: 60 of base64, and "=?UTF-8?B?" "?=" around them: 72 of the 75 that RFC 2047 allows */
#define LINE_CHARS 76

static const char cut_note[] = "\n[the rest is left out]\n";

static bool atom_ok(const char *p, gsize length, const char *more)
{
	if (length == 0 || *p == '.' || p[length - 1] == '.')
		return false;
	for (gsize i = 0; i < length; i++) {
		if (!g_ascii_isalnum(p[i]) && !strchr(more, p[i]))
			return false;
		if (p[i] == '.' && p[i + 1] == '.')
			return false;
	}
	return true;
}

bool mail_address_check(const char *address, bool local_ok, GError **error)
{
	const char *at = strchr(address, '@');
	gsize local = at ? (gsize)(at - address) : strlen(address);
	bool ok = local <= 64 && atom_ok(address, local, "!#$%&'*+-/=?^_`{|}~.");

	if (at)
		ok = ok && strlen(at + 1) <= 253 && atom_ok(at + 1, strlen(at + 1), "-.") && at[1] != '-';
	else
		ok = ok && local_ok;
	if (!ok)
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "\"%s\" is no mail address that can be written to", address);
	return ok;
}

bool mail_parse_mailbox(const char *text, bool local_ok, char **ret_name, char **ret_address, GError **error)
{
	const char *open = strrchr(text, '<');
	g_autofree char *address = NULL, *name = NULL;

	if (open) {
		gsize length = strlen(open);

		if (open[length - 1] != '>') {
			g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "\"%s\" is no NAME <ADDRESS>", text);
			return false;
		}
		address = g_strndup(open + 1, length - 2);
		name = g_strstrip(g_strndup(text, open - text));
	} else {
		address = g_strstrip(g_strdup(text));
	}
	if (!mail_address_check(address, local_ok, error))
		return false;
	*ret_name = name && *name ? g_steal_pointer(&name) : NULL;
	*ret_address = g_steal_pointer(&address);
	return true;
}

/* Valid UTF-8 in one line, bounded. */
static char *one_line(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *line = g_string_new(NULL);
	guint n = 0;

	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (++n > MAIL_SUBJECT_CHARS) {
			g_string_append_unichar(line, 0x2026);
			break;
		}
		g_string_append_unichar(line, g_unichar_iscntrl(c) || c == 0x2028 || c == 0x2029 ? ' ' : c);
	}
	return g_strstrip(g_string_free(line, FALSE));
}

static bool plain(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	/* What looks like an encoded word would be decoded. */
	return !strstr(text, "=?");
}

char *mail_encode_header(const char *text)
{
	g_autofree char *line = one_line(text);
	GString *value;

	if (plain(line) && strlen(line) <= 60)
		return g_steal_pointer(&line);
	value = g_string_new(NULL);
	for (const char *p = line; *p;) {
		const char *end = p;

		/* Whole characters only: each word is decoded by itself. */
		while (*end && g_utf8_next_char(end) - p <= WORD_BYTES)
			end = g_utf8_next_char(end);
		g_autofree char *word = g_base64_encode((const guchar *)p, end - p);
		g_string_append_printf(value, "%s=?UTF-8?B?%s?=", value->len ? "\r\n " : "", word);
		p = end;
	}
	return g_string_free(value, FALSE);
}

char *mail_encode_phrase(const char *name)
{
	g_autofree char *line = one_line(name);
	GString *quoted;

	if (!plain(line) || strlen(line) > 60)
		return mail_encode_header(line);
	quoted = g_string_new("\"");
	for (const char *p = line; *p; p++) {
		if (*p == '"' || *p == '\\')
			g_string_append_c(quoted, '\\');
		g_string_append_c(quoted, *p);
	}
	g_string_append_c(quoted, '"');
	return g_string_free(quoted, FALSE);
}

/* Valid UTF-8 whose lines end with LF, bounded, without other control characters but tabs. */
static char *clean_body(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *clean = g_string_new(NULL);

	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (clean->len >= MAIL_BODY_BYTES) {
			g_string_append(clean, cut_note);
			break;
		}
		if (c == '\r') {
			if (p[1] == '\n')
				continue;
			c = '\n';
		}
		g_string_append_unichar(clean, c != '\n' && c != '\t' && g_unichar_iscntrl(c) ? ' ' : c);
	}
	if (clean->len == 0 || clean->str[clean->len - 1] != '\n')
		g_string_append_c(clean, '\n');
	return g_string_free(clean, FALSE);
}

static char *as_base64(const char *text)
{
	g_autoptr(GString) lines = g_string_new(NULL);
	GString *body = g_string_new(NULL);
	g_autofree char *encoded = NULL;

	for (const char *p = text; *p; p++) {
		if (*p == '\n')
			g_string_append_c(lines, '\r'); /* text in canonical form: RFC 2045, section 6.8 */
		g_string_append_c(lines, *p);
	}
	encoded = g_base64_encode((const guchar *)lines->str, lines->len);
	for (const char *p = encoded; *p;) {
		gsize n = MIN(strlen(p), LINE_CHARS);

		g_string_append_len(body, p, n);
		g_string_append(body, "\r\n");
		p += n;
	}
	return g_string_free(body, FALSE);
}

static char *as_quoted_printable(const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	GString *body = g_string_new(NULL);
	gsize column = 0;

	for (const char *p = text; *p; p++) {
		guchar c = (guchar)*p;
		bool ends = p[1] == '\n' || p[1] == '\0';
		/* A space at the end of a line gets lost on the way; "From " at its beginning is altered, and a dot there has a meaning. */
		bool coded = (c < ' ' && c != '\t') || c > '~' || c == '=' || ((c == ' ' || c == '\t') && ends) ||
			     (column == 0 && (c == '.' || (c == 'F' && g_str_has_prefix(p, "From "))));
		gsize width = coded ? 3 : 1;

		if (c == '\n') {
			g_string_append(body, "\r\n");
			column = 0;
			continue;
		}
		/* The last place of a line is kept for the soft break. */
		if (column + width > LINE_CHARS - 1) {
			g_string_append(body, "=\r\n");
			column = 0;
			p--;
			continue;
		}
		if (coded) {
			g_string_append_c(body, '=');
			g_string_append_c(body, digits[c >> 4]);
			g_string_append_c(body, digits[c & 15]);
		} else {
			g_string_append_c(body, c);
		}
		column += width;
	}
	return g_string_free(body, FALSE);
}

char *mail_encode_body(const char *text, const char **ret_encoding)
{
	g_autofree char *clean = clean_body(text);
	gsize n = 0, high = 0;

	for (const char *p = clean; *p; p++, n++)
		high += (guchar)*p > '~';
	if (high * 6 > n) { /* then base64 is the shorter one */
		*ret_encoding = "base64";
		return as_base64(clean);
	}
	*ret_encoding = "quoted-printable";
	return as_quoted_printable(clean);
}

char *mail_date(gint64 time_ms)
{
	static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	g_autoptr(GDateTime) date = g_date_time_new_from_unix_utc(time_ms / 1000);

	if (!date) /* a year of five digits */
		date = g_date_time_new_from_unix_utc(0);
	return g_strdup_printf("%s, %d %s %04d %02d:%02d:%02d +0000", days[g_date_time_get_day_of_week(date) - 1],
			       g_date_time_get_day_of_month(date), months[g_date_time_get_month(date) - 1],
			       g_date_time_get_year(date), g_date_time_get_hour(date), g_date_time_get_minute(date),
			       g_date_time_get_second(date));
}
