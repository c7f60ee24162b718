/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-places.c - what is read from /proc and from our own lists; and the text of the drop rules. */
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/processes/cgroup.h"
#include "supervisor/drop.h"
#include "supervisor/processes/proc.h"

static void test_unified_hierarchy_is_found(void)
{
	static const struct {
		const char *mountinfo, *membership, *path;
	} cases[] = {
		{ "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/system.slice/understudy.service\n",
		  "/sys/fs/cgroup/system.slice/understudy.service" },
		{ "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "/sys/fs/cgroup" },
		{ "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n41 31 0:38 / /sys/fs/cgroup/unified rw shared:7 - cgroup2 cgroup2 rw\n",
		  "9:cpu:/box\n0::/box\n", "/sys/fs/cgroup/unified/box" },
		{ "41 31 0:38 /part /mnt/c\\040g rw - cgroup2 cgroup2 rw\n", "0::/part/own\n", "/mnt/c g/own" },
		{ "41 31 0:38 /part /mnt/cg rw - cgroup2 cgroup2 rw\n", "0::/party\n", NULL },
		{ "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "9:cpu:/\n", NULL },
		{ "", "", NULL },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = cgroup_find(cases[i].mountinfo, cases[i].membership);
		g_assert_cmpstr(path, ==, cases[i].path);
	}
}

static void test_stat_with_any_name(void)
{
	static const char tail[] = " S 41 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 319171 0 0\n";
	static const char *const names[] = { "(sleep)", "(a b)", "(x) S 1 (y)", "()))" };
	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *text = g_strconcat("77 ", names[i], tail, NULL);
		ProcStat stat;
		g_assert_true(proc_stat_parse(text, &stat));
		g_assert_cmpint(stat.parent, ==, 41);
		g_assert_cmpuint(stat.start_ticks, ==, 319171);
		g_assert_false(stat.zombie || stat.exiting);
	}
	ProcStat stat;
	g_assert_true(proc_stat_parse("7 (x) D 1 1 1 0 -1 4194564 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0", &stat));
	g_assert_true(stat.exiting && !stat.zombie);
	g_assert_true(proc_stat_parse("7 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0", &stat));
	g_assert_true(stat.zombie);
	g_assert_false(proc_stat_parse("", &stat));
	g_assert_false(proc_stat_parse("7 (x", &stat));
	g_assert_false(proc_stat_parse("7 (x) S 1 2", &stat));
}

static void test_a_pid_alone_is_not_a_process(void)
{
	ProcStat own;
	g_assert_true(proc_stat(getpid(), &own));
	g_assert_true(proc_is_alive(getpid(), own.start_ticks));
	g_assert_false(proc_is_alive(getpid(), own.start_ticks + 1));
	g_assert_cmpint(proc_open(getpid(), own.start_ticks + 1), ==, -1);
	int fd = proc_open(getpid(), own.start_ticks);
	g_assert_cmpint(fd, >=, 0);
	close(fd);
}

static void test_records_survive_a_torn_file(void)
{
	g_autoptr(GPtrArray) records =
		proc_records_parse("daemon vrrpd 6 319171 \napplication pbx 19 319372 1 0 1795346181578\nrubbish\ndaemon x -5 1 \ndaemon sync");
	g_assert_cmpuint(records->len, ==, 2);
	const ProcRecord *pbx = proc_records_find(records, "application", "pbx");
	g_assert_nonnull(pbx);
	g_assert_cmpint(pbx->pid, ==, 19);
	g_assert_cmpuint(pbx->start_ticks, ==, 319372);
	g_assert_cmpstr(pbx->detail, ==, "1 0 1795346181578");
	g_assert_null(proc_records_find(records, "daemon", "pbx"));
}

static void test_drop_rules(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_parse("[device]\nid=a\n[interface lan]\ndevice=eth0\naddress=192.0.2.1/24\n",
						      "[pair]\ngroup-id=1\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24, 192.0.2.9/24\n",
						      (const char *[]){ NULL }, (const char *[]){ NULL }, &error);
	g_assert_no_error(error);
	g_autofree char *always = drop_script(settings, 0, 0), *timed = drop_script(settings, 30000, 0);
	g_assert_nonnull(strstr(always, "elements = { 192.0.2.10, 192.0.2.9 }"));
	g_assert_nonnull(strstr(timed, "elements = { 192.0.2.10 timeout 30000ms, 192.0.2.9 timeout 30000ms }"));
	g_assert_nonnull(strstr(timed, "l4proto { 1, 58, 112 }"));
	g_assert_nonnull(strstr(timed, "7443"));
	g_assert_nonnull(strstr(timed, "7777"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/places/unified-hierarchy", test_unified_hierarchy_is_found);
	g_test_add_func("/places/stat-with-any-name", test_stat_with_any_name);
	g_test_add_func("/places/pid-and-start-time", test_a_pid_alone_is_not_a_process);
	g_test_add_func("/places/records-survive-a-torn-file", test_records_survive_a_torn_file);
	g_test_add_func("/places/drop-rules", test_drop_rules);
	return g_test_run();
}
