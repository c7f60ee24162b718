/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/settings/test-load.c - settings from files on disk: which are read, whom they may belong to, the examples. */
#include <glib/gstdio.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "settings/settings-private.h"
#include "settings/settings.h"
#include "test-settings.h"

/* A folder of its own for each test of settings_load(). */
typedef struct {
	char *dir;
} Folder;

static void folder_write(Folder *folder, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(folder->dir, name, NULL), *parent = g_path_get_dirname(path);
	g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(g_chmod(path, 0644), ==, 0);
}

static void folder_set_up(Folder *folder, gconstpointer data)
{
	folder->dir = g_dir_make_tmp("test-settings-XXXXXX", NULL);
	g_assert_nonnull(folder->dir);
}

static void remove_whole(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name(dir));) {
		g_autofree char *inside = g_build_filename(path, name, NULL);
		remove_whole(inside);
	}
	g_assert_cmpint(g_remove(path), ==, 0);
}

static void folder_tear_down(Folder *folder, gconstpointer data)
{
	remove_whole(folder->dir);
	g_free(folder->dir);
}

static void assert_load_fails(Folder *folder, SettingsError code, const char *pattern)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) s = settings_load(folder->dir, &error);
	g_assert_null(s);
	g_assert_error(error, SETTINGS_ERROR, (int)code);
	g_autofree char *want = g_strconcat(folder->dir, "/", pattern, NULL);
	if (!g_pattern_match_simple(want, error->message))
		g_error("said    %s\nwant    %s", error->message, want);
}

static void test_load(Folder *folder, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	folder_write(folder, "device.conf", DEVICE);
	folder_write(folder, "pair.conf", PAIR);
	folder_write(folder, "applications.d/b.conf", APPLICATION);
	folder_write(folder, "applications.d/a.conf", APPLICATION "needs=b\n");
	folder_write(folder, "applications.d/c.conf.bak", "an editor's");
	folder_write(folder, "applications.d/.d.conf", "hidden");
	g_autoptr(Settings) s = settings_load(folder->dir, &error);
	g_assert_no_error(error);
	g_assert_true(s->has_pair);
	g_assert_cmpuint(s->applications->len, ==, 2);
	g_assert_cmpstr(((const SettingsApplication *)g_ptr_array_index(s->applications, 0))->name, ==, "b");

	g_autoptr(Settings) shared = settings_ref(s);
	g_assert_true(shared == s);
}

static void test_load_device_alone(Folder *folder, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	folder_write(folder, "device.conf", DEVICE);
	g_autoptr(Settings) s = settings_load(folder->dir, &error);
	g_assert_no_error(error);
	g_assert_false(s->has_pair);
}

static void test_load_missing(Folder *folder, gconstpointer data)
{
	assert_load_fails(folder, SETTINGS_ERROR_MISSING, "device.conf: missing; *");
	folder_write(folder, "pair.conf", PAIR);
	assert_load_fails(folder, SETTINGS_ERROR_MISSING, "device.conf: missing; *");
}

static void test_load_bad(Folder *folder, gconstpointer data)
{
	folder_write(folder, "device.conf", DEVICE "x\n");
	assert_load_fails(folder, SETTINGS_ERROR_BAD, "device.conf:15: neither *");
	folder_write(folder, "device.conf", DEVICE);
	folder_write(folder, "pair.conf", "[pair]\ngroup-id=0\n");
	assert_load_fails(folder, SETTINGS_ERROR_BAD, "pair.conf:2: \"group-id\" *");
	folder_write(folder, "pair.conf", PAIR);
	folder_write(folder, "applications.d/a.conf", APPLICATION "x=1\n");
	assert_load_fails(folder, SETTINGS_ERROR_BAD, "applications.d/a.conf:3: unknown key *");
}

static void test_load_untrusted(Folder *folder, gconstpointer data)
{
	folder_write(folder, "device.conf", DEVICE);
	folder_write(folder, "applications.d/a.conf", APPLICATION);
	g_autofree char *path = g_build_filename(folder->dir, "applications.d/a.conf", NULL);
	g_assert_cmpint(g_chmod(path, 0664), ==, 0);
	assert_load_fails(folder, SETTINGS_ERROR_BAD, "applications.d/a.conf:1: names commands, so it must belong to root *");
}

static void test_load_not_a_file(Folder *folder, gconstpointer data)
{
	g_autofree char *path = g_build_filename(folder->dir, "device.conf", NULL);
	g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
	assert_load_fails(folder, SETTINGS_ERROR_BAD, "device.conf:1: is no regular file");
	g_assert_cmpint(g_rmdir(path), ==, 0);

	g_assert_true(g_file_set_contents(path, "[device]\nid=a\n\0x", 15, NULL));
	assert_load_fails(folder, SETTINGS_ERROR_BAD, "device.conf:3: control character 0x00");
	g_autofree char *long_text = g_strnfill(SCANNER_MAX_BYTES + 10, '#');
	g_assert_true(g_file_set_contents(path, long_text, -1, NULL));
	assert_load_fails(folder, SETTINGS_ERROR_BAD, "device.conf:1: longer than 262144 bytes");
}

/* The name of a data set may be right, and a link on its way lead to what no set may hold. */
static void test_load_links(Folder *folder, gconstpointer data)
{
	static const struct {
		const char *link, *target, *path, *message; /* of the link: below the folder; NULL: right */
	} cases[] = {
		{ "pbx", "/etc/cron.d", "pbx", "it leads to /etc/cron.d, and /etc/cron*" },
		{ "pbx", "/etc", "pbx", "it leads to /etc, and /etc/*" },
		{ "pbx", "/etc", "pbx/sudoers.d", "it leads to /etc/sudoers.d, and /etc/sudo*" },
		{ "pbx", "/etc", "pbx/not-there-yet/deep", NULL },
		{ "pbx", "/root", "pbx/.ssh", "it leads to /root/.ssh, and /root/.*" },
		{ "pbx", "/", "pbx", "it leads to /, and /" },
		{ "pbx", "/srv", "pbx/voice", NULL },
		{ "other", "/etc", "pbx", NULL },
	};
	folder_write(folder, "device.conf", DEVICE);
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *link = g_build_filename(folder->dir, cases[i].link, NULL), *path = g_build_filename(folder->dir, cases[i].path, NULL);
		g_autofree char *text = g_strdup_printf(APPLICATION "[data x]\npath=%s\n", path);
		g_assert_cmpint(symlink(cases[i].target, link), ==, 0);
		folder_write(folder, "applications.d/a.conf", text);
		if (cases[i].message) {
			g_autofree char *want = g_strdup_printf("applications.d/a.conf:4: %s cannot be a data set: %s*", path, cases[i].message);
			assert_load_fails(folder, SETTINGS_ERROR_BAD, want);
		} else {
			g_autoptr(GError) error = NULL;
			g_autoptr(Settings) s = settings_load(folder->dir, &error);
			g_assert_no_error(error);
		}
		g_assert_cmpint(unlink(link), ==, 0);
	}
}

/* From the source tree, whose modes are whatever its owner's umask made of them, to where they are as an administrator has them. */
static void folder_copy_examples(Folder *folder, const char *below)
{
	g_autofree char *place = g_build_filename(EXAMPLES_DIR, below, NULL);
	g_autoptr(GDir) dir = g_dir_open(place, 0, NULL);
	g_assert_nonnull(dir);
	for (const char *name; (name = g_dir_read_name(dir));) {
		g_autofree char *from = g_build_filename(place, name, NULL), *to = g_build_filename(below, name, NULL), *text = NULL;
		if (!g_file_test(from, G_FILE_TEST_IS_REGULAR))
			continue;
		g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
		folder_write(folder, to, text);
	}
}

/* The examples that are installed are right, and say what the defaults are. */
static void test_examples(Folder *folder, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	folder_copy_examples(folder, ".");
	folder_copy_examples(folder, "applications.d");
	g_autoptr(Settings) s = settings_load(folder->dir, &error);
	g_assert_no_error(error);
	g_assert_true(s->has_pair);
	g_assert_nonnull(settings_application(s, "kamailio"));
	g_assert_cmpstr(settings_application(s, "kamailio")->hooks[SETTINGS_HOOK_VALIDATE].command[1], ==, "-c");
	g_assert_cmpuint(settings_application(s, "kamailio")->hooks[SETTINGS_HOOK_VALIDATE].timeout_ms, ==, 10000);
	g_assert_cmpstr(settings_application(s, "kamailio")->hook_user, ==, "kamailio");
	g_assert_null(settings_application(s, "kamailio")->hooks[SETTINGS_HOOK_ACT].command);
	g_assert_nonnull(settings_application(s, "asterisk")->hooks[SETTINGS_HOOK_ACT].command);
	g_assert_cmpstr(settings_application(s, "asterisk")->unit, ==, "asterisk.service");
	g_assert_cmpstr(settings_application(s, "freeswitch")->unit, ==, "freeswitch.service");
}

/* Each by itself, as somebody has it who has one PBX; and its data: both kinds, and nothing of an editor's. */
static void test_ready_made_sets(Folder *folder, gconstpointer data)
{
	static const char *const names[] = { "asterisk", "freeswitch", "kamailio" };
	g_autofree char *folder_of_them = g_build_filename(EXAMPLES_DIR, "applications.d", NULL);
	g_autofree char *file = g_build_filename(folder->dir, "applications.d/one.conf", NULL);
	guint n = 0;
	g_autoptr(GDir) dir = g_dir_open(folder_of_them, 0, NULL);
	while (g_dir_read_name(dir))
		n++;
	g_assert_cmpuint(n, ==, G_N_ELEMENTS(names));
	folder_write(folder, "device.conf", DEVICE);
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *from = g_strdup_printf("%s/%s.conf", folder_of_them, names[i]), *text = NULL;
		g_autoptr(GError) error = NULL;
		bool refs[2] = { false };
		g_assert_true(g_file_get_contents(from, &text, NULL, NULL));
		folder_write(folder, "applications.d/one.conf", text);
		g_autoptr(Settings) s = settings_load(folder->dir, &error);
		g_assert_no_error(error);
		const SettingsApplication *one = settings_application(s, "one");
		g_assert_cmpuint(one->data->len, >=, 3);
		for (guint k = 0; k < one->data->len; k++) {
			const SettingsData *set = g_ptr_array_index(one->data, k);
			refs[set->ref == SETTINGS_REF_CONFIG] = true;
			g_autofree char *etc = g_strconcat("/etc/", names[i], NULL);
			if (g_str_equal(set->path, etc))
				g_assert_true(g_strv_contains((const char *const *)set->exclude, "*.dpkg-*") &&
					      g_strv_contains((const char *const *)set->exclude, "*~"));
		}
		g_assert_true(refs[0] && refs[1]);
	}
	g_assert_cmpint(g_remove(file), ==, 0);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	g_test_init(&argc, &argv, NULL);
#define ADD_FOLDER_TEST(path, function) g_test_add(path, Folder, NULL, folder_set_up, function, folder_tear_down)
	ADD_FOLDER_TEST("/settings/load/links", test_load_links);
	ADD_FOLDER_TEST("/settings/examples", test_examples);
	ADD_FOLDER_TEST("/settings/ready-made-sets", test_ready_made_sets);
	ADD_FOLDER_TEST("/settings/load/whole", test_load);
	ADD_FOLDER_TEST("/settings/load/device-alone", test_load_device_alone);
	ADD_FOLDER_TEST("/settings/load/missing", test_load_missing);
	ADD_FOLDER_TEST("/settings/load/bad", test_load_bad);
	ADD_FOLDER_TEST("/settings/load/untrusted", test_load_untrusted);
	ADD_FOLDER_TEST("/settings/load/not-a-file", test_load_not_a_file);
	return g_test_run();
}
