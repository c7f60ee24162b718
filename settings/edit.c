/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/edit.c - one key of a text set, everything else kept as an administrator wrote it; pure. */
#include <string.h>

#include "settings/scanner.h"
#include "settings/settings.h"

/* "[ group   lan ]" as "group lan"; NULL when the line is no section. */
static char *section_of(const char *line)
{
	g_autofree char *stripped = g_strstrip(g_strdup(line));
	gsize n = strlen(stripped);

	if (n < 2 || *stripped != '[' || stripped[n - 1] != ']')
		return NULL;
	stripped[n - 1] = '\0';
	g_auto(GStrv) words = g_strsplit_set(stripped + 1, " \t", -1);
	GString *name = g_string_new(NULL);
	for (char **word = words; *word; word++)
		if (**word)
			g_string_append_printf(name, "%s%s", name->len ? " " : "", *word);
	return g_string_free(name, FALSE);
}

static bool is_key(const char *line, const char *key)
{
	g_autofree char *stripped = g_strstrip(g_strdup(line));
	char *equals = strchr(stripped, '=');

	if (*stripped == '#' || !equals)
		return false;
	*equals = '\0';
	return strcmp(g_strchomp(stripped), key) == 0;
}

char *settings_with_key(const char *text, const char *section, const char *key, const char *value, GError **error)
{
	g_autofree char *header = g_strdup_printf("[%s]", section), *wanted = section_of(header);
	gsize length = strlen(text);
	bool inside = false, ends_line = length > 0 && text[length - 1] == '\n';
	gssize at = -1, last = -1; /* where the key is, and the last line of the section but for comments */

	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (gssize i = 0; lines[i]; i++) {
		g_autofree char *name = section_of(lines[i]);
		if (name)
			inside = strcmp(name, wanted) == 0;
		if (!inside)
			continue;
		if (!name && is_key(lines[i], key))
			at = i;
		if (name || (*g_strstrip(lines[i]) && *lines[i] != '#'))
			last = i;
	}
	if (last < 0 && value) {
		g_set_error(error, SETTINGS_ERROR, SETTINGS_ERROR_BAD, "there is no section [%s]", section);
		return NULL;
	}
	if (strchr(key, '\n') || (value && strchr(value, '\n'))) {
		g_set_error(error, SETTINGS_ERROR, SETTINGS_ERROR_BAD, "a value is one line");
		return NULL;
	}
	/* The lines again, as they were. */
	g_auto(GStrv) originals = g_strsplit(text, "\n", -1);
	g_autoptr(GString) out = g_string_new(NULL);
	for (gssize i = 0; originals[i]; i++) {
		if (!originals[i + 1] && ends_line)
			break; /* what g_strsplit finds behind the last newline */
		if (i != at)
			g_string_append_printf(out, "%s\n", originals[i]);
		if (value && i == (at >= 0 ? at : last))
			g_string_append_printf(out, "%s=%s\n", key, value);
	}
	if (!ends_line && length > 0 && out->len > 0 && (at >= 0 || value))
		g_string_truncate(out, out->len - 1);
	return g_string_free(g_steal_pointer(&out), FALSE);
}
