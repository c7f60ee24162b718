/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-wants.c - which object is fetched next. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/voice/wants.h"

static SyncPointer object(char digit, guint64 size)
{
	SyncPointer pointer = { .size = size };

	memset(pointer.id, digit, SYNC_OBJECT_ID);
	return pointer;
}

static void add(SyncWants *wants, char digit, guint64 size, gint64 mtime_ns, const char *path)
{
	g_autoptr(GError) error = NULL;
	SyncPointer pointer = object(digit, size);

	g_assert_true(sync_wants_add(wants, &pointer, mtime_ns, path, &error));
	g_assert_no_error(error);
}

static char *order(const SyncWants *wants)
{
	g_autoptr(GPtrArray) list = sync_wants_order(wants);
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < list->len; i++)
		g_string_append(text, ((SyncWant *)list->pdata[i])->path);
	return g_string_free(text, FALSE);
}

static void test_small_and_new_first(void)
{
	g_autoptr(SyncWants) wants = sync_wants_new();

	add(wants, '1', 4000000000, 900, "h"); /* a long recording, although the newest */
	add(wants, '2', 1000, 100, "d");
	add(wants, '3', 1 << 20, 300, "b");
	add(wants, '4', 20, 200, "c");
	add(wants, '5', (1 << 20) + 1, 800, "e");
	add(wants, '6', 4 << 20, 700, "f");
	add(wants, '7', (4 << 20) + 1, 1000, "g");
	add(wants, '8', 30, 1100, "a");
	g_autofree char *text = order(wants);
	g_assert_cmpstr(text, ==, "abcdefgh");
}

static void test_once_each(void)
{
	g_autoptr(SyncWants) wants = sync_wants_new();
	g_autoptr(GError) error = NULL;
	SyncPointer other = object('1', 11);

	add(wants, '1', 10, 5, "old");
	add(wants, '1', 10, 7, "new");
	add(wants, '1', 10, 6, "between");
	g_assert_cmpuint(sync_wants_n(wants), ==, 1);
	g_assert_cmpuint(sync_wants_bytes(wants), ==, 10);
	g_autofree char *text = order(wants);
	g_assert_cmpstr(text, ==, "new");
	g_assert_false(sync_wants_add(wants, &other, 8, "wrong", &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	add(wants, '2', G_MAXUINT64 - 5, 8, "huge"); /* no sum is small again */
	g_assert_cmpuint(sync_wants_bytes(wants), ==, G_MAXUINT64);
}

static void test_text(void)
{
	g_autoptr(SyncWants) wants = sync_wants_new();

	add(wants, '0', 10, 50, "pbx.mail/a\n");
	g_autofree char *one = sync_wants_text(wants);
	g_assert_true(g_str_has_prefix(one, "1 recording: pbx.mail/a"));
	g_assert_null(strchr(one, '\n'));
	for (char digit = '1'; digit <= '9'; digit++)
		add(wants, digit, 10, 50 - digit, "b");
	g_autofree char *many = sync_wants_text(wants);
	g_assert_true(g_str_has_prefix(many, "10 recordings: ") && g_str_has_suffix(many, ", b, …"));
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wants/small-and-new-first", test_small_and_new_first);
	g_test_add_func("/wants/once-each", test_once_each);
	g_test_add_func("/wants/text", test_text);
	return g_test_run();
}
