/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-systemd.c - names and words of systemd. */
#include <glib.h>
#include <signal.h>

#include "supervisor/applications/systemd.h"

static void test_paths(void)
{
	static const char *const cases[][2] = {
		{ "kamailio.service", "/org/freedesktop/systemd1/unit/kamailio_2eservice" },
		{ "pbx@one-two.service", "/org/freedesktop/systemd1/unit/pbx_40one_2dtwo_2eservice" },
		{ "3cx.service", "/org/freedesktop/systemd1/unit/_33cx_2eservice" },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = systemd_unit_path(cases[i][0]);
		g_assert_cmpstr(path, ==, cases[i][1]);
	}
}

static void test_how_it_ended(void)
{
	static const struct {
		const char *result;
		gint32 code, status;
		const char *text;
	} cases[] = {
		{ "success", CLD_EXITED, 0, "exit 0" },
		{ "exit-code", CLD_EXITED, 3, "exit 3" },
		{ "exit-code", CLD_EXITED, 0, "a command of its unit failed" },
		{ "exit-code", CLD_KILLED, 9, "a command of its unit failed" },
		{ "signal", CLD_KILLED, 9, "signal 9 (signal)" },
		{ "core-dump", CLD_DUMPED, 11, "signal 11 (core-dump)" },
		{ "oom-kill", CLD_KILLED, 9, "signal 9 (oom-kill)" },
		{ "timeout", 0, 0, "timeout" },
		{ "", 0, 0, "unknown" },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *text = systemd_describe(cases[i].result, cases[i].code, cases[i].status);
		g_assert_cmpstr(text, ==, cases[i].text);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/systemd/paths", test_paths);
	g_test_add_func("/systemd/how-it-ended", test_how_it_ended);
	return g_test_run();
}
