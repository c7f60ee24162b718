/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/term.c - terms in commit messages. */
#include "syncd/repository/term.h"

#include <string.h>

void sync_term_clear(SyncTerm *term)
{
	g_clear_pointer(&term->id, g_free);
	g_clear_pointer(&term->device, g_free);
	g_clear_pointer(&term->firmware, g_free);
	g_clear_pointer(&term->goes_on, g_free);
	term->number = 0;
}

int sync_term_compare(const SyncTerm *a, const SyncTerm *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	int order = g_strcmp0(a->id, b->id);
	return order < 0 ? -1 : order > 0;
}

bool sync_term_may_follow(const SyncTerm *own, const SyncTerm *leader)
{
	return sync_term_compare(leader, own) >= 0;
}

bool sync_term_is_newer(const char *theirs, const char *own)
{
	return theirs && *theirs && own && *own && strverscmp(theirs, own) > 0;
}

char *sync_term_message(const char *message, const SyncTerm *term)
{
	g_autofree char *text = g_strdup(message);

	g_strstrip(text);
	return g_strdup_printf("%s\n\nTerm: %" G_GUINT64_FORMAT "\nTerm-Id: %s\nDevice: %s\n%s%s%s%s%s%s", text, term->number,
			       term->id ? term->id : "", term->device ? term->device : "", term->firmware ? "Firmware: " : "",
			       term->firmware ? term->firmware : "", term->firmware ? "\n" : "", term->goes_on ? "Goes-On: " : "",
			       term->goes_on ? term->goes_on : "", term->goes_on ? "\n" : "");
}

/* The last paragraph, where trailers stand; NULL when there is only one. */
static const char *last_paragraph(const char *message)
{
	const char *last = NULL;

	for (const char *p = strstr(message, "\n\n"); p; p = strstr(p + 2, "\n\n"))
		if (p[2] != '\0')
			last = p + 2;
	return last;
}

void sync_term_parse(const char *message, SyncTerm *ret_term)
{
	const char *trailers = last_paragraph(message);
	SyncTerm term = { 0 };
	g_auto(GStrv) lines = g_strsplit(trailers ? trailers : "", "\n", -1);

	for (guint i = 0; lines[i]; i++) {
		if (g_str_has_prefix(lines[i], "Term: ")) {
			if (!g_ascii_string_to_unsigned(lines[i] + 6, 10, 0, G_MAXUINT64, &term.number, NULL))
				term.number = 0;
		} else if (g_str_has_prefix(lines[i], "Term-Id: ") && !term.id) {
			term.id = g_strdup(lines[i] + 9);
		} else if (g_str_has_prefix(lines[i], "Device: ") && !term.device) {
			term.device = g_strdup(lines[i] + 8);
		} else if (g_str_has_prefix(lines[i], "Firmware: ") && !term.firmware) {
			term.firmware = g_strdup(lines[i] + 10);
		} else if (g_str_has_prefix(lines[i], "Goes-On: ") && !term.goes_on) {
			term.goes_on = g_strdup(lines[i] + 9);
		}
	}
	term.id = term.id ? term.id : g_strdup("");
	term.device = term.device ? term.device : g_strdup("");
	*ret_term = term;
}

char *sync_term_strip(const char *message)
{
	const char *trailers = last_paragraph(message);
	char *text = trailers && g_str_has_prefix(trailers, "Term: ") ? g_strndup(message, trailers - message) : g_strdup(message);

	return g_strstrip(text);
}
