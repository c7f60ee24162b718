/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unite/word.c - what to do with which data set, as a word of the command says it; and what was done, for people. */
#include <gio/gio.h>
#include <string.h>

#include "unite/unite.h"

bool unite_word(const char *word, const char *base, const char *theirs, UniteCount *count, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(word, ":", 5);
	guint n = g_strv_length(parts);

	if (n < 3 || !*parts[1] || strchr(parts[1], '/') || *parts[2] != '/') {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "\"%s\" is not KIND:SET:PATH", word);
		return false;
	}
	g_autofree char *in_theirs = g_build_filename(theirs, parts[1], NULL), *in_base = g_build_filename(base, parts[1], NULL);
	UnitePlace place = { .theirs = in_theirs, .base = in_base, .live = parts[2] };
	if (g_str_equal(parts[0], "messages") && n == 3)
		return unite_messages(&place, count, error);
	if (g_str_equal(parts[0], "files") && n == 3)
		return unite_files(&place, count, error);
	if (g_str_equal(parts[0], "lines") && n == 3)
		return unite_lines(&place, count, error);
	if (g_str_equal(parts[0], "rows") && n >= 4 && *parts[3])
		return unite_rows(&place, parts[3], n == 5 ? parts[4] : NULL, count, error);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    "\"%s\" is not messages:SET:PATH, files:SET:PATH, lines:SET:PATH or rows:SET:PATH:TABLE[:COLUMN,COLUMN]", word);
	return false;
}

static void add(GString *text, guint n, const char *one, const char *several)
{
	if (n)
		g_string_append_printf(text, "%s%u %s", text->len ? ", " : "", n, n == 1 ? one : several);
}

char *unite_count_text(const UniteCount *count)
{
	GString *text = g_string_new(NULL);

	add(text, count->messages, "message", "messages");
	add(text, count->files, "file", "files");
	add(text, count->lines, "line", "lines");
	add(text, count->rows, "row", "rows");
	if (text->len == 0)
		g_string_append(text, "nothing was missing");
	if (count->incomplete)
		g_string_append_printf(text, " (%u incomplete message%s left out)", count->incomplete, count->incomplete == 1 ? "" : "s");
	return g_string_free(text, FALSE);
}
