/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-set.c - what belongs to a data set, and what stays with this device whatever is declared. */
#include "syncd/files/set.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "syncd/files/path.h"

#define APPLICATION "[application]\ncommand=/bin/true\n"

static GPtrArray *sets_of(const char *device, const char *application)
{
	const char *names[] = { "pbx", NULL }, *texts[] = { application, NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_parse(device, NULL, names, texts, &error);

	g_assert_no_error(error);
	return sync_sets_new(settings);
}

static void test_own(void)
{
	g_autoptr(GPtrArray) sets = sets_of("[device]\nid=a\nown-files=/srv/pbx/net/own.cfg, /srv/pbx/[x]/, /srv/other\n",
					    APPLICATION "[data etc]\npath=/srv/pbx\nexclude=*.tmp\n");
	const SyncSet *set = sync_sets_find(sets, SYNC_REF_CONFIG, "pbx.etc");
	static const struct {
		const char *path;
		bool stays;
	} cases[] = {
		{ "a.cfg", false }, { "a.tmp", true }, { "net/own.cfg", true }, { "own.cfg", false }, { "net/x/own.cfg", false },
		{ "[x]", true }, { "x", false }, { "other", false },
		/* No setting switches these off. */
		{ "machine-id", true }, { "deep/ssh_host_rsa_key", true }, { ".ssh", true }, { "home/.ssh", true }, { "licenses", true },
		{ "module.lic", true }, { "g729.license", true }, { "authorized_keys", true }, { ".gnupg", true }, { "license-plates.cfg", false },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
		if (sync_path_excluded(cases[i].path, (const char *const *)set->exclude) != cases[i].stays)
			g_error("%s", cases[i].path);
}

/* The path is looked at when it is used, not when it was declared. */
static void test_open(void)
{
	g_autofree char *folder = g_dir_make_tmp("test-set-XXXXXX", NULL), *root = g_build_filename(folder, "pbx", NULL);
	g_autofree char *elsewhere = g_build_filename(folder, "elsewhere", NULL), *link = g_build_filename(folder, "link", NULL);
	SyncSet set = { .name = (char *)"pbx.etc", .root = root };

	g_assert_cmpint(sync_set_open(&set), ==, -1);
	g_assert_cmpint(errno, ==, ENOENT);
	g_assert_cmpint(g_mkdir(root, 0755), ==, 0);
	int fd = sync_set_open(&set);
	g_assert_cmpint(fd, >=, 0);
	(void)close(fd);
	g_assert_cmpint(g_rename(root, elsewhere), ==, 0);
	g_assert_cmpint(symlink(elsewhere, root), ==, 0);
	fd = sync_set_open(&set); /* a link to a place where a set may be */
	g_assert_cmpint(fd, >=, 0);
	(void)close(fd);
	static const char *const targets[] = { "/etc", "/", "/usr", "/proc/self", "/root" };
	for (guint i = 0; i < G_N_ELEMENTS(targets); i++) {
		g_assert_cmpint(unlink(root), ==, 0);
		g_assert_cmpint(symlink(targets[i], root), ==, 0);
		g_assert_cmpint(sync_set_open(&set), ==, -1);
		g_assert_cmpint(errno, ==, EPERM);
	}
	g_assert_cmpint(unlink(root), ==, 0);
	g_assert_cmpint(symlink("/", link), ==, 0);
	set.root = g_build_filename(link, "etc", NULL); /* a folder above it is one */
	g_assert_cmpint(sync_set_open(&set), ==, -1);
	g_assert_cmpint(errno, ==, EPERM);
	g_free(set.root);
	g_assert_cmpint(unlink(link), ==, 0);
	g_assert_cmpint(g_rmdir(elsewhere), ==, 0);
	g_assert_cmpint(g_rmdir(folder), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/syncd/set/own", test_own);
	g_test_add_func("/syncd/set/open", test_open);
	return g_test_run();
}
