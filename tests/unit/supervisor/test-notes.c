/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-notes.c - settings that do not count at once say so, and the others do not. */
#include "supervisor/settings/notes.h"

static Settings *settings(const char *device, const char *pair, const char *application)
{
	g_autofree char *device_text = g_strconcat("[device]\nid=", device, "\n[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\n", NULL);
	g_autofree char *pair_text = g_strconcat("[pair]\ngroup-id=7\n", pair, "[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n", NULL);
	g_autofree char *application_text = g_strconcat("[application]\n", application, NULL);
	const char *const names[] = { "pbx", NULL }, *const texts[] = { application_text, NULL };
	g_autoptr(GError) error = NULL;
	Settings *made = settings_parse(device_text, pair_text, names, texts, &error);

	g_assert_no_error(error);
	return made;
}

#define PLAIN "command=/bin/true\n"

static const struct {
	const char *device, *pair, *application, *note;
} rows[] = {
	{ "a", "", PLAIN, NULL },
	{ "b", "", PLAIN, "id: needs a restart" },
	{ "a", "cold-boot-wait-ms=1\n", PLAIN, "cold-boot-wait-ms: counts when" },
	{ "a", "first-answer-ms=1\n", PLAIN, "first-answer-ms: counts at" },
	{ "a", "sync-interval-s=5\npeer-port=9000\ngui-port=9001\n", PLAIN, NULL },
	{ "a", "", "command=/bin/false\n", "pbx" },
	{ "a", "", "command=/bin/true -x\n", "pbx" },
	{ "a", "", "unit=pbx.service\n", "pbx" },
	{ "a", "", PLAIN "environment=A=b\n", "pbx" },
	{ "a", "", PLAIN "user=nobody\n", "pbx" },
	{ "a", "", PLAIN "group=nogroup\n", "pbx" },
	{ "a", "", PLAIN "working-directory=/tmp\n", "pbx" },
	{ "a", "", PLAIN "capabilities=CAP_NET_RAW\n", "pbx" },
	{ "a", "", PLAIN "capability-bounds=CAP_NET_RAW\n", "pbx" },
	{ "a", "", PLAIN "nofile=7\n", "pbx" },
	{ "a", "", PLAIN "nproc=7\n", "pbx" },
	{ "a", "", PLAIN "core=7\n", "pbx" },
	{ "a", "", PLAIN "memlock=7\n", "pbx" },
	{ "a", "", PLAIN "memory-max=64M\n", "pbx" },
	{ "a", "", PLAIN "nice=7\n", "pbx" },
	{ "a", "", PLAIN "oom-score-adj=7\n", "pbx" },
	{ "a", "", PLAIN "realtime=7\n", "pbx" },
	/* These count while it runs. */
	{ "a", "", PLAIN "critical=false\nstop-timeout-ms=7\nrestart=never\nhealth=port\nhealth-address=tcp 80\ndescription=x\n", NULL },
};

static void test_notes(void)
{
	g_autoptr(Settings) before = settings("a", "", PLAIN);

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Settings) after = settings(rows[i].device, rows[i].pair, rows[i].application);
		for (int back = 0; back < 2; back++) {
			g_autoptr(GPtrArray) notes = back ? notes_of_change(after, before) : notes_of_change(before, after);
			g_autofree char *wanted = g_strcmp0(rows[i].note, "pbx") == 0 ? g_strdup("applications.d/pbx.conf: counts when pbx is started next") :
											g_strdup(rows[i].note);
			g_assert_cmpuint(notes->len, ==, wanted ? 1 : 0);
			if (wanted)
				g_assert_true(g_str_has_prefix(notes->pdata[0], wanted));
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notes", test_notes);
	return g_test_run();
}
