/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What waits for the disk when the supervisor is killed is carried out by the next one, and is seen by it at once. */
#include "supervisor/store.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

static char *folder;

static char *in_folder(const char *name)
{
	return g_build_filename(folder, name, NULL);
}

static char *content_of(const char *path)
{
	char *text = NULL;
	(void)g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

static void test_carries_out(void)
{
	g_autofree char *spool = in_folder("spool"), *path = in_folder("one");
	Store *store = store_new(spool, NULL, NULL, NULL);
	store_append(store, path, "a\n");
	store_append(store, path, "b'\"\\\n");
	store_free(store);
	g_autofree char *text = content_of(path), *left = content_of(spool);
	g_assert_cmpstr(text, ==, "a\nb'\"\\\n");
	g_assert_cmpstr(left, ==, "");
}

/* As a killed one leaves it: orders in the file, the last of them cut short. */
static void test_takes_up(void)
{
	g_autofree char *spool = in_folder("spool"), *log = in_folder("log"), *whole = in_folder("whole"), *gone = in_folder("gone");
	g_autofree char *orders = g_strdup_printf("(2, '%s', 'old\\n')\n(0, '%s', 'written')\n(3, '%s', '')\n(2, '%s', 'new\\n')\n(2, '%s', 'cu",
						  log, whole, gone, log, log);
	g_assert_true(g_file_set_contents(spool, orders, -1, NULL) && g_file_set_contents(log, "first\n", -1, NULL) &&
		      g_file_set_contents(gone, "x", -1, NULL));
	Store *store = store_new(spool, NULL, NULL, NULL);
	g_autofree char *seen = store_read(store, log), *seen_whole = store_read(store, whole), *seen_gone = store_read(store, gone);
	g_assert_true(g_str_has_prefix(seen, "first\n") && g_str_has_suffix(seen, "old\nnew\n"));
	g_assert_cmpstr(seen_whole, ==, "written");
	g_assert_null(seen_gone);
	store_append(store, log, "newest\n");
	store_free(store);
	g_autofree char *text = content_of(log), *text_whole = content_of(whole), *left = content_of(spool);
	g_assert_cmpstr(text, ==, "first\nold\nnew\nnewest\n");
	g_assert_cmpstr(text_whole, ==, "written");
	g_assert_false(g_file_test(gone, G_FILE_TEST_EXISTS));
	g_assert_cmpstr(left, ==, "");
}

static void on_done(const GError *error, gpointer user_data)
{
	g_assert_no_error(error);
	g_main_loop_quit(user_data);
}

static void on_refused(const GError *error, gpointer user_data)
{
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
	g_main_loop_quit(user_data);
}

/* Who asks is told once it is on disk; meanwhile everybody sees what will be there. */
static void test_tells(void)
{
	g_autofree char *spool = in_folder("spool"), *path = in_folder("three"), *nowhere = in_folder("no/three");
	g_autofree char *spooled = g_strdup_printf("(0, '%s', 'spooled')\n", path);
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_assert_true(g_file_set_contents(spool, spooled, -1, NULL));
	Store *store = store_new(spool, NULL, NULL, NULL);
	g_auto(GStrv) names = store_list(store, folder);
	g_assert_true(g_strv_contains((const char *const *)names, "three"));
	store_write_then(store, path, "told", on_done, loop);
	g_autofree char *seen = store_read(store, path);
	g_assert_cmpstr(seen, ==, "told");
	g_main_loop_run(loop);
	g_autofree char *text = content_of(path);
	g_assert_cmpstr(text, ==, "told");
	store_write_then(store, nowhere, "x", on_refused, loop);
	g_main_loop_run(loop);
	store_remove(store, path);
	g_auto(GStrv) later = store_list(store, folder);
	g_assert_false(g_strv_contains((const char *const *)later, "three"));
	g_autofree char *gone = store_read(store, path);
	g_assert_null(gone);
	store_free(store);
}

static void test_without_a_place_to_keep_them(void)
{
	g_autofree char *spool = in_folder("no/spool"), *path = in_folder("two");
	Store *store = store_new(spool, NULL, NULL, NULL);
	store_write(store, path, "x");
	store_free(store);
	g_autofree char *text = content_of(path);
	g_assert_cmpstr(text, ==, "x");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	folder = g_dir_make_tmp("store-XXXXXX", NULL);
	g_test_add_func("/store/carries-out", test_carries_out);
	g_test_add_func("/store/takes-up", test_takes_up);
	g_test_add_func("/store/tells", test_tells);
	g_test_add_func("/store/without-a-place", test_without_a_place_to_keep_them);
	int status = g_test_run();
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = in_folder(name);
		(void)g_remove(path);
	}
	(void)g_rmdir(folder);
	g_free(folder);
	return status;
}
