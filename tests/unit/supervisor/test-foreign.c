/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-foreign.c - which processes are an application that somebody else has started; in a /proc of our own. */
#include <glib/gstdio.h>
#include <unistd.h>

#include "supervisor/applications/foreign.h"

static char *folder;

static void process(const char *pid, const char *exe, const char *arguments, gsize length, const char *cgroup, int terminal)
{
	g_autofree char *place = g_build_filename(folder, "proc", pid, NULL), *link = g_build_filename(place, "exe", NULL);
	g_autofree char *groups = g_build_filename(place, "cgroup", NULL), *stat = g_build_filename(place, "stat", NULL);
	g_autofree char *command = g_build_filename(place, "cmdline", NULL);
	g_autofree char *line = g_strdup_printf("%s (a b) c) S 1 1 1 %d -1 0 0\n", pid, terminal);
	g_assert_cmpint(g_mkdir_with_parents(place, 0755), ==, 0);
	g_assert_cmpint(symlink(exe, link), ==, 0);
	g_assert_true(g_file_set_contents(groups, cgroup, -1, NULL));
	g_assert_true(g_file_set_contents(stat, line, -1, NULL));
	g_assert_true(g_file_set_contents(command, arguments, (gssize)length, NULL));
}

static GPtrArray *look_for(const char *program, const char *unit)
{
	g_autofree char *proc = g_build_filename(folder, "proc", NULL);
	g_autoptr(GPtrArray) wanted = g_ptr_array_new_with_free_func(foreign_wanted_free);
	g_ptr_array_add(wanted, foreign_wanted_new("sip", program, unit));
	return foreign_scan(proc, wanted);
}

static void test_newest(void)
{
	g_autofree char *proc = g_build_filename(folder, "load", NULL), *path = g_build_filename(proc, "loadavg", NULL);
	g_assert_cmpuint(foreign_newest(proc), ==, 0);
	g_assert_cmpint(g_mkdir_with_parents(proc, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, "0.20 0.18 0.12 1/80 11206\n", -1, NULL));
	g_assert_cmpuint(foreign_newest(proc), ==, 11206);
	g_assert_true(g_file_set_contents(path, "nothing", -1, NULL));
	g_assert_cmpuint(foreign_newest(proc), ==, 0);
	g_assert_cmpint(g_remove(path), ==, 0);
	g_assert_cmpint(g_rmdir(proc), ==, 0);
	guint64 before = foreign_newest("/proc");
	g_thread_join(g_thread_new("newer", (GThreadFunc)g_strdup, NULL));
	g_assert_cmpuint(foreign_newest("/proc"), !=, before);
}

static void test_scan(void)
{
	g_autofree char *pbx = g_build_filename(folder, "pbx", NULL), *other = g_build_filename(folder, "other", NULL);
	g_autofree char *script = g_build_filename(folder, "script", NULL);
	g_assert_true(g_file_set_contents(pbx, "ELF", -1, NULL));
	g_assert_true(g_file_set_contents(other, "ELF", -1, NULL));
	g_assert_true(g_file_set_contents(script, "#!/bin/other\n", -1, NULL));
	process("10", pbx, "pbx\0", 4, "0::/user.slice\n", 0);
	process("11", other, "pbx\0", 4, "0::/user.slice\n", 0);                     /* another program */
	process("12", pbx, "pbx\0", 4, "0::/x/understudy-apps/sip\n", 0);            /* ours */
	process("13", pbx, "pbx\0", 4, "0::/system.slice/pbx.service\n", 0);         /* its service */
	process("14", pbx, "pbx\0-r\0", 7, "0::/user.slice\n", 34816);               /* a console */
	g_autofree char *joined = g_malloc0(200);
	gsize n = (gsize)g_snprintf(joined, 200, "other") + 1;
	n += (gsize)g_snprintf(joined + n, 200 - n, "%s", script) + 1;
	process("15", other, joined, n, "0::/user.slice\n", 0);
	process("self", pbx, "pbx\0", 4, "0::/user.slice\n", 0);

	g_autoptr(GPtrArray) found = look_for(pbx, "pbx.service");
	g_assert_cmpuint(found->len, ==, 1);
	g_assert_cmpint(((const ForeignFound *)found->pdata[0])->pid, ==, 10);
	g_assert_cmpstr(((const ForeignFound *)found->pdata[0])->name, ==, "sip");
	g_autoptr(GPtrArray) without_unit = look_for(pbx, NULL);
	g_assert_cmpuint(without_unit->len, ==, 2);
	g_autoptr(GPtrArray) scripts = look_for(script, NULL);
	g_assert_cmpuint(scripts->len, ==, 1);
	g_assert_cmpint(((const ForeignFound *)scripts->pdata[0])->pid, ==, 15);
	g_autoptr(GPtrArray) none = look_for("/nowhere/at-all", NULL);
	g_assert_cmpuint(none->len, ==, 0);
}

static void test_telling(void)
{
	static const char *const yes[] = { "/usr/sbin/kamailio", "/usr/sbin/asterisk", "/usr/bin/freeswitch", "/opt/shpbx" };
	static const char *const no[] = { "", "/bin/sh", "/usr/bin/python3", "/usr/bin/python3.11", "/usr/bin/env", "/usr/bin/chrt", "/usr/bin/perl5.36-x" };
	for (gsize i = 0; i < G_N_ELEMENTS(yes); i++)
		g_assert_true(foreign_is_telling(yes[i]));
	for (gsize i = 0; i < G_N_ELEMENTS(no); i++)
		g_assert_false(foreign_is_telling(no[i]));
}

static void remove_all(const char *path)
{
	g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
	const char *name;
	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);
		remove_all(child);
	}
	g_remove(path);
}

int main(int argc, char **argv)
{
	folder = g_dir_make_tmp("understudy-XXXXXX", NULL);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/foreign/newest", test_newest);
	g_test_add_func("/foreign/scan", test_scan);
	g_test_add_func("/foreign/telling", test_telling);
	int status = g_test_run();
	remove_all(folder);
	g_free(folder);
	return status;
}
