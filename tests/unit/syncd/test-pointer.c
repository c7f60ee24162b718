/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-pointer.c - the text of a pointer, both ways, and every way to be wrong. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/voice/pointer.h"

#define ID "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
#define VERSION "version https://git-lfs.github.com/spec/v1\n"

static const char whole[] = VERSION "oid sha256:" ID "\nsize 12345\n";

static void test_both_ways(void)
{
	SyncPointer pointer = { .id = ID, .size = 12345 }, back, empty;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = sync_pointer_text(&pointer);

	g_assert_cmpstr(text, ==, whole);
	g_assert_true(sync_pointer_parse(text, strlen(text), &back, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(back.id, ==, ID);
	g_assert_cmpuint(back.size, ==, 12345);
	/* An empty file. */
	g_assert_true(sync_pointer_parse("", 0, &empty, NULL));
	g_assert_cmpuint(empty.size, ==, 0);
	g_autofree char *nothing = sync_pointer_text(&empty);
	g_assert_cmpstr(nothing, ==, "");
	/* As large as a file can be. */
	pointer.size = G_MAXINT64;
	g_autofree char *large = sync_pointer_text(&pointer);
	g_assert_cmpuint(strlen(large), <=, SYNC_POINTER_MAX);
	g_assert_true(sync_pointer_parse(large, strlen(large), &back, NULL));
	g_assert_cmpuint(back.size, ==, G_MAXINT64);
}

static void test_refused(void)
{
	static const char *const texts[] = {
		"RIFF....WAVE",
		VERSION,
		VERSION "oid sha256:" ID "\n",
		VERSION "oid sha256:" ID "\nsize 12345",
		VERSION "oid sha256:" ID "\nsize 12345\n\n",
		VERSION "oid sha256:" ID "\nsize 0\n",
		VERSION "oid sha256:" ID "\nsize -1\n",
		VERSION "oid sha256:" ID "\nsize +1\n",
		VERSION "oid sha256:" ID "\nsize 012\n",
		VERSION "oid sha256:" ID "\nsize 1 \n",
		VERSION "oid sha256:" ID "\nsize 0x10\n",
		VERSION "oid sha256:" ID "\nsize 9223372036854775808\n",
		VERSION "oid sha256:" ID "\nsize 99999999999999999999\n",
		VERSION "oid sha256:" ID "\nsize\n",
		VERSION "oid sha256:" ID "0\nsize 1\n",
		VERSION "oid sha256:4D7A214614AB2935C943F9E0FF69D22EADBB8F32B1258DAAA5E2CA24D17E2393\nsize 1\n",
		VERSION "oid sha256:../../../../../../../../../../../../../../../../../../../../etc/sha\nsize 1\n",
		VERSION "oid md5:4d7a214614ab2935c943f9e0ff69d22e\nsize 1\n",
		VERSION "size 12345\noid sha256:" ID "\n",
		VERSION "ext-0-a sha256:" ID "\noid sha256:" ID "\nsize 1\n",
		"version https://git-lfs.github.com/spec/v2\noid sha256:" ID "\nsize 1\n",
		" " VERSION "oid sha256:" ID "\nsize 1\n",
		NULL,
	};

	for (guint i = 0; texts[i]; i++) {
		g_autoptr(GError) error = NULL;
		SyncPointer pointer = { .size = 77 };

		if (sync_pointer_parse(texts[i], strlen(texts[i]), &pointer, &error))
			g_test_message("accepted: %s", texts[i]);
		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
		g_assert_cmpuint(pointer.size, ==, 77);
	}
	SyncPointer pointer;
	g_assert_false(sync_pointer_parse(whole, sizeof whole, &pointer, NULL)); /* with the zero byte */
	for (gsize cut = 1; cut < strlen(whole); cut++)
		g_assert_false(sync_pointer_parse(whole, cut, &pointer, NULL));
}

static void test_ids(void)
{
	g_assert_true(sync_object_id_ok(ID));
	g_assert_false(sync_object_id_ok(""));
	g_assert_false(sync_object_id_ok(ID "0"));
	g_assert_false(sync_object_id_ok("../a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"));
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pointer/both-ways", test_both_ways);
	g_test_add_func("/pointer/refused", test_refused);
	g_test_add_func("/pointer/ids", test_ids);
	return g_test_run();
}
