/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/scanner.c - lines of a settings file to sections and keys that remember their lines; pure. */
#include "settings/scanner.h"

#include <string.h>

#include "settings/settings.h"

G_DEFINE_QUARK(understudy-settings-error-quark, settings_error)

bool scanner_error(GError **error, const char *file, guint line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *reason = g_strdup_vprintf(format, args);
	va_end(args);

	g_set_error(error, SETTINGS_ERROR, SETTINGS_ERROR_BAD, "%s:%u: %s", file, line, reason);
	return false;
}

bool scanner_is_name(const char *text)
{
	gsize n = strlen(text);
	if (n == 0 || n > SCANNER_MAX_NAME || *text == '.' || *text == '-')
		return false;
	for (const char *c = text; *c; c++)
		if (!g_ascii_isalnum(*c) && !strchr("._-", *c))
			return false;
	return true;
}

static void key_free(gpointer data)
{
	ScannerKey *key = data;
	g_free(key->key);
	g_free(key->value);
	g_free(key);
}

static void section_free(gpointer data)
{
	ScannerSection *section = data;
	g_free(section->kind);
	g_free(section->name);
	g_ptr_array_unref(section->keys);
	g_free(section);
}

void scanner_file_free(ScannerFile *file)
{
	if (!file)
		return;
	g_free(file->file);
	g_ptr_array_unref(file->sections);
	g_free(file);
}

const ScannerSection *scanner_section(const ScannerFile *file, const char *kind)
{
	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);
		if (g_str_equal(section->kind, kind))
			return section;
	}
	return NULL;
}

const ScannerKey *scanner_key(const ScannerSection *section, const char *key)
{
	for (guint i = 0; section && i < section->keys->len; i++) {
		const ScannerKey *k = g_ptr_array_index(section->keys, i);
		if (g_str_equal(k->key, key))
			return k;
	}
	return NULL;
}

static const ScannerRule *rule_find(const ScannerRule *rules, const char *kind)
{
	for (; rules->kind; rules++)
		if (g_str_equal(rules->kind, kind))
			return rules;
	return NULL;
}

/* "[kind]" or "[kind NAME]" in @line, which is stripped and begins with '['. */
static bool read_header(ScannerFile *file, guint line_no, char *line, const ScannerRule *rules, GError **error)
{
	gsize n = strlen(line);
	if (line[n - 1] != ']')
		return scanner_error(error, file->file, line_no, "a section ends in \"]\": %s", line);
	line[n - 1] = '\0';
	char *kind = g_strstrip(line + 1);
	char *name = kind + strcspn(kind, " \t");
	if (*name) {
		*name = '\0';
		name = g_strstrip(name + 1);
	}

	const ScannerRule *rule = rule_find(rules, kind);
	if (!rule)
		return scanner_error(error, file->file, line_no, "unknown section [%s%s%s]", kind, *name ? " " : "", name);
	if (rule->named && !*name)
		return scanner_error(error, file->file, line_no, "section [%s] needs a name: [%s NAME]", kind, kind);
	if (!rule->named && *name)
		return scanner_error(error, file->file, line_no, "section [%s] takes no name", kind);
	if (rule->named && !scanner_is_name(name))
		return scanner_error(error, file->file, line_no,
				     "\"%s\" is no name: letters, digits, \".\", \"_\", \"-\", at most %u, beginning with a letter, "
				     "a digit or \"_\"", name, SCANNER_MAX_NAME);

	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *other = g_ptr_array_index(file->sections, i);
		if (g_str_equal(other->kind, kind) && (!rule->named || g_str_equal(other->name, name)))
			return scanner_error(error, file->file, line_no, "duplicate section [%s%s%s]; the first is on line %u", kind,
					     *name ? " " : "", name, other->line);
	}

	ScannerSection *section = g_new0(ScannerSection, 1);
	section->kind = g_strdup(kind);
	section->name = rule->named ? g_strdup(name) : NULL;
	section->line = line_no;
	section->keys = g_ptr_array_new_with_free_func(key_free);
	g_ptr_array_add(file->sections, section);
	return true;
}

/* "key = value" in @line, which is stripped and not empty. */
static bool read_key(ScannerFile *file, guint line_no, char *line, const ScannerRule *rules, GError **error)
{
	char *equals = strchr(line, '=');
	if (!equals)
		return scanner_error(error, file->file, line_no, "neither [section] nor key=value: %s", line);
	*equals = '\0';
	const char *key = g_strchomp(line), *value = g_strchug(equals + 1);

	if (!*key)
		return scanner_error(error, file->file, line_no, "no key before \"=\"");
	if (file->sections->len == 0)
		return scanner_error(error, file->file, line_no, "key \"%s\" stands before the first [section]", key);

	ScannerSection *section = g_ptr_array_index(file->sections, file->sections->len - 1);
	const ScannerRule *rule = rule_find(rules, section->kind);
	if (!g_strv_contains(rule->keys, key))
		return scanner_error(error, file->file, line_no, "unknown key \"%s\" in section [%s%s%s]", key, section->kind,
				     section->name ? " " : "", section->name ?: "");
	const ScannerKey *other = scanner_key(section, key);
	if (other)
		return scanner_error(error, file->file, line_no, "duplicate key \"%s\"; the first is on line %u", key, other->line);

	ScannerKey *k = g_new0(ScannerKey, 1);
	k->key = g_strdup(key);
	k->value = g_strdup(value);
	k->line = line_no;
	g_ptr_array_add(section->keys, k);
	return true;
}

static bool check_characters(const char *file, guint line_no, const char *line, GError **error)
{
	if (!g_utf8_validate(line, -1, NULL))
		return scanner_error(error, file, line_no, "not UTF-8 text");
	for (const char *c = line; *c; c++)
		if (g_ascii_iscntrl(*c) && *c != '\t')
			return scanner_error(error, file, line_no, "control character 0x%02x", (guchar)*c);
	return true;
}

ScannerFile *scanner_read(const char *file_name, const char *text, const ScannerRule *rules, GError **error)
{
	g_autoptr(ScannerFile) file = g_new0(ScannerFile, 1);
	file->file = g_strdup(file_name);
	file->sections = g_ptr_array_new_with_free_func(section_free);

	if (strlen(text) > SCANNER_MAX_BYTES) {
		scanner_error(error, file_name, 1, "longer than %u bytes", SCANNER_MAX_BYTES);
		return NULL;
	}

	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i]; i++) {
		char *line = g_strstrip(lines[i]); /* a "\r" goes with it */
		bool ok = check_characters(file_name, i + 1, line, error);
		if (!ok)
			return NULL;
		if (*line == '\0' || *line == '#')
			continue;
		ok = *line == '[' ? read_header(file, i + 1, line, rules, error) : read_key(file, i + 1, line, rules, error);
		if (!ok)
			return NULL;
	}
	return g_steal_pointer(&file);
}
