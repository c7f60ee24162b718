/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-secrets.c - names, what may be one, and the file it ends in. */
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dbus/bus-error.h"
#include "supervisor/settings/secrets.h"

static void test_names(void)
{
	static const char *const good[] = { "mail.boss", "sms.a", "snmp.n-1_2.x" };
	static const char *const bad[] = { "", "mail", "mail.", "boss", "led.x", "display.x", "mail.../x", "mail./x", "mail.a/b", "mailx.boss", "mail..a", "../mail.a" };

	for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_true(secret_check_name(good[i], &error));
		g_assert_no_error(error);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(secret_check_name(bad[i], &error));
		g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	}
}

static char *read_text(const char *name, const char *text, gsize length, GError **error)
{
	int fds[2];
	char *secret;

	g_assert_true(g_unix_open_pipe(fds, FD_CLOEXEC, NULL));
	g_assert_cmpint(write(fds[1], text, length), ==, (gssize)length);
	close(fds[1]);
	secret = secret_read(fds[0], name, 60000, error);
	close(fds[0]);
	return secret;
}

static void test_read(void)
{
	g_autofree char *most = g_strnfill(SECRET_MAX_BYTES, 'x'), *more = g_strnfill(SECRET_MAX_BYTES + 1, 'x'), *far_more = g_strnfill(60000, 'x');
	g_autofree char *most_line = g_strconcat(most, "\n", NULL);
	const struct {
		const char *name, *text;
		gsize length;
		const char *secret, *message;
	} rows[] = {
		{ "mail.a", "geheim", 6, "geheim", NULL },
		{ "mail.a", "geheim\n", 7, "geheim", NULL },
		{ "mail.a", "geheim\r\n", 8, "geheim", NULL },
		{ "mail.a", " a b ", 5, " a b ", NULL },
		{ "mail.a", "gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f", NULL },
		{ "mail.a", "", 0, "", NULL },
		{ "mail.a", "\n", 1, "", NULL },
		{ "mail.a", most_line, SECRET_MAX_BYTES + 1, most, NULL },
		{ "mail.a", more, SECRET_MAX_BYTES + 1, NULL, "a secret has at most 1024 bytes" },
		{ "mail.a", far_more, 60000, NULL, "a secret has at most 1024 bytes" },
		{ "mail.a", "a\nb", 3, NULL, "mail.a has at most 1 line" },
		{ "snmp.a", "a\nb\n", 4, "a\nb", NULL },
		{ "snmp.a", "a\nb\nc\n", 6, NULL, "snmp.a has at most 2 lines" },
		{ "mail.a", "a\0b", 3, NULL, "a secret is text in UTF-8" },
		{ "mail.a", "\xff", 1, NULL, "a secret is text in UTF-8" },
		{ "mail.a", "a\tb", 3, NULL, "a secret has no control characters" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *secret = read_text(rows[i].name, rows[i].text, rows[i].length, &error);

		g_assert_cmpstr(secret, ==, rows[i].secret);
		g_assert_cmpstr(error ? error->message : NULL, ==, rows[i].message);
	}
}

/* A caller that keeps its end open and says nothing more is not waited for. */
static void test_read_hangs(void)
{
	g_autoptr(GError) error = NULL;
	int fds[2];

	g_assert_true(g_unix_open_pipe(fds, FD_CLOEXEC, NULL));
	g_assert_cmpint(write(fds[1], "half", 4), ==, 4);
	g_assert_null(secret_read(fds[0], "mail.a", 20, &error));
	g_assert_error(error, BUS_ERROR, BUS_ERROR_TIMED_OUT);
	g_assert_null(strstr(error->message, "half"));
	close(fds[0]);
	close(fds[1]);
}

static void test_store(void)
{
	g_autofree char *place = g_dir_make_tmp("secrets-XXXXXX", NULL), *folder = g_build_filename(place, "secrets.d", NULL);
	g_autofree char *path = g_build_filename(folder, "mail.boss", NULL), *left = g_build_filename(folder, ".mail.boss.new", NULL);
	g_autofree char *text = NULL, *again = NULL;
	g_autoptr(GError) error = NULL;
	struct stat st;
	mode_t mask = umask(0);

	g_assert_true(secret_store(folder, "mail.boss", "", getgid(), &error)); /* there is none, and no folder */
	g_assert_true(secret_store(folder, "mail.boss", "one", getgid(), &error));
	g_assert_no_error(error);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "one");
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0640);
	g_assert_cmpint(stat(folder, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0750);
	/* What a death in between left behind is in nobody's way. */
	g_assert_true(g_file_set_contents(left, "half", -1, NULL));
	g_assert_true(secret_store(folder, "mail.boss", "two", getgid(), &error));
	g_assert_true(g_file_get_contents(path, &again, NULL, NULL));
	g_assert_cmpstr(again, ==, "two");
	g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
	g_assert_true(secret_store(folder, "mail.boss", "", getgid(), &error));
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	/* A folder in its place */
	g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	g_assert_false(secret_store(folder, "mail.boss", "three", getgid(), &error));
	g_assert_error(error, BUS_ERROR, BUS_ERROR_FAILED);
	g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
	g_rmdir(path);
	g_rmdir(folder);
	g_rmdir(place);
	umask(mask);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "C.UTF-8");
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/secrets/names", test_names);
	g_test_add_func("/secrets/read", test_read);
	g_test_add_func("/secrets/read-hangs", test_read_hangs);
	g_test_add_func("/secrets/store", test_store);
	return g_test_run();
}
