/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-path.c - names and paths that the other device chose. The first line is an exclude pattern, the rest the path. */
#include "dbus/bus-value.h"
#include "fuzz.h"
#include "syncd/files/path.h"

static void check_escapes(const char *text)
{
	g_autofree char *word = sync_escape(text);
	g_autofree char *back = sync_unescape(word, NULL);
	g_autofree char *any = sync_unescape(text, NULL);

	g_assert_cmpstr(back, ==, text);
	g_assert_true(*word != '\0');
	for (const char *p = word; *p; p++)
		g_assert_true(g_ascii_isgraph(*p)); /* one word of a line */
	if (any) {
		g_autofree char *canonical = sync_escape(any);
		g_autofree char *same = sync_unescape(canonical, NULL);
		g_assert_cmpstr(same, ==, any);
	}
}

static void check_shown(const char *text)
{
	g_autofree char *printable = sync_printable(text);
	g_autofree char *clean = bus_value_clean_text(text);

	g_assert_true(g_utf8_validate(printable, -1, NULL) && g_utf8_validate(clean, -1, NULL));
	g_assert_cmpint(g_utf8_strlen(clean, -1), <=, 1000);
	for (const char *p = clean; *p; p = g_utf8_next_char(p))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(p)));
}

static void check_path(const char *path)
{
	if (!sync_path_ok(path))
		return;
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);
	g_autofree char *parent = sync_path_parent(path);
	g_autofree char *joined = sync_path_join(parent, sync_path_last(path));

	g_assert_false(g_path_is_absolute(path));
	for (guint i = 0; parts[i]; i++) {
		g_assert_true(*parts[i] != '\0');
		g_assert_true(strcmp(parts[i], ".") && strcmp(parts[i], "..") && g_ascii_strcasecmp(parts[i], ".git"));
	}
	g_assert_true(sync_path_ok(parent));
	g_assert_cmpstr(joined, ==, path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);

	check_escapes(text);
	check_shown(text);
	char *path = strchr(text, '\n');
	if (path) {
		*path++ = '\0';
		const char *const exclude[] = { text, NULL };
		(void)sync_path_excluded(path, exclude);
	}
	check_path(path ? path : text);
	return 0;
}
