/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/path.c - name and path checks; everything that comes from the peer passes here before it meets the file system. */
#include "syncd/files/path.h"

#include <fnmatch.h>
#include <string.h>

#include "syncd/error.h"

enum { NAME_MAX_BYTES = 255, PATH_MAX_BYTES = 4096, PATH_MAX_DEPTH = 64 };

bool sync_name_ok(const char *name)
{
	gsize length = strlen(name);

	if (length == 0 || length > NAME_MAX_BYTES || strchr(name, '/'))
		return false;
	if (g_str_equal(name, ".") || g_str_equal(name, ".."))
		return false;
	return g_ascii_strcasecmp(name, ".git") != 0;
}

bool sync_path_ok(const char *path)
{
	if (*path == '\0')
		return true;
	if (strlen(path) > PATH_MAX_BYTES)
		return false;
	g_auto(GStrv) parts = g_strsplit(path, "/", PATH_MAX_DEPTH + 1);
	if (g_strv_length(parts) > PATH_MAX_DEPTH)
		return false;
	for (guint i = 0; parts[i]; i++)
		if (!sync_name_ok(parts[i]))
			return false;
	return true;
}

bool sync_name_is_ours(const char *name)
{
	return g_str_equal(name, SYNC_MANIFEST_NAME) || g_str_has_prefix(name, SYNC_OWN_PREFIX);
}

static bool matches(const char *path, const char *const *patterns)
{
	for (guint i = 0; patterns && patterns[i]; i++) {
		const char *pattern = patterns[i];

		if (strchr(pattern, '/')) {
			if (fnmatch(*pattern == '/' ? pattern + 1 : pattern, path, FNM_PATHNAME) == 0)
				return true;
		} else if (fnmatch(pattern, sync_path_last(path), 0) == 0) {
			return true;
		}
	}
	return false;
}

bool sync_path_excluded(const char *path, const char *const *exclude)
{
	return matches(path, exclude);
}

bool sync_path_included(const char *path, const char *const *include)
{
	if (!include || !include[0] || matches(path, include))
		return true;
	for (const char *end = strchr(path, '/'); end; end = strchr(end + 1, '/')) {
		g_autofree char *folder = g_strndup(path, (gsize)(end - path));

		if (matches(folder, include))
			return true;
	}
	return false;
}

char *sync_path_join(const char *dir, const char *name)
{
	if (*dir == '\0')
		return g_strdup(name);
	return *name == '\0' ? g_strdup(dir) : g_strconcat(dir, "/", name, NULL);
}

char *sync_path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? g_strndup(path, slash - path) : g_strdup("");
}

const char *sync_path_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *sync_escape(const char *text)
{
	if (*text == '\0')
		return g_strdup("%");
	GString *out = g_string_sized_new(strlen(text) + 8);
	for (const guchar *p = (const guchar *)text; *p; p++) {
		if (*p <= ' ' || *p == '%' || *p > 0x7e)
			g_string_append_printf(out, "%%%02X", *p);
		else
			g_string_append_c(out, *p);
	}
	return g_string_free(out, FALSE);
}

char *sync_unescape(const char *word, GError **error)
{
	if (g_str_equal(word, "%"))
		return g_strdup("");
	g_autoptr(GString) out = g_string_sized_new(strlen(word));
	for (const char *p = word; *p; p++) {
		if (*p != '%') {
			g_string_append_c(out, *p);
			continue;
		}
		int high = g_ascii_xdigit_value(p[1]);
		int low = high < 0 ? -1 : g_ascii_xdigit_value(p[2]);
		if (low < 0 || (high == 0 && low == 0)) {
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "malformed escape");
			return NULL;
		}
		g_string_append_c(out, (char)(high << 4 | low));
		p += 2;
	}
	return g_strdup(out->str);
}

char *sync_printable(const char *text)
{
	char *valid = g_utf8_make_valid(text, -1);

	for (char *p = valid; *p; p++)
		if (g_ascii_iscntrl(*p))
			*p = ' ';
	return valid;
}
