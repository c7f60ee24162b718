/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-silence.c - how long phones had no answer, and where they are asked for. */
#include "supervisor/orders/drill-watch.h"

#include <glib/gstdio.h>

#define MS G_TIME_SPAN_MILLISECOND

#define ASSERT_SILENCE(samples, stop_ms, away_ms, now_ms, asked, answered, longest_ms, answers)                                              \
	do {                                                                                                                                 \
		Silence silence = silence_of(samples, G_N_ELEMENTS(samples), (stop_ms) * MS, (away_ms) * MS, (now_ms) * MS);                 \
		g_assert_cmpuint(silence.n_asked, ==, asked);                                                                                \
		g_assert_cmpuint(silence.n_answered, ==, answered);                                                                          \
		g_assert_cmpint(silence.longest_us, ==, (longest_ms) * MS);                                                                  \
		g_assert_cmpint(silence.answers_now, ==, answers);                                                                           \
	} while (0)

/* Answered by itself until it is away, which is no answer for a phone; then by the other device. */
static const SilenceSample samples[] = {
	{ 1000 * MS, 1001 * MS }, { 1020 * MS, 1021 * MS }, { 1040 * MS, 0 }, { 1060 * MS, 0 }, { 1080 * MS, 1090 * MS }, { 1100 * MS, 1101 * MS },
};

static void test_there(void)
{
	ASSERT_SILENCE(samples, 1010, 1050, 5000, 3, 2, 80, true);
	ASSERT_SILENCE(samples, 1010, 1075, 5000, 2, 2, 80, true);
	ASSERT_SILENCE(samples, 0, 0, 5000, 0, 0, 0, false);    /* has not begun */
	ASSERT_SILENCE(samples, 1010, 0, 5000, 0, 0, 0, false); /* has not gone */
}

/* Not answered yet is not unanswered; never answered goes on. */
static void test_never(void)
{
	const SilenceSample never[] = { { 1000 * MS, 0 }, { 1400 * MS, 0 } };

	ASSERT_SILENCE(never, 900, 950, 1450, 0, 0, 550, false);
	ASSERT_SILENCE(never, 900, 950, 1600, 1, 0, 700, false);
	ASSERT_SILENCE(never, 900, 950, 9000, 2, 0, 8100, false);
}

/* The new one falters: the longest counts. One that is slow is no silence. */
static void test_falters(void)
{
	const SilenceSample falters[] = { { 1000 * MS, 1005 * MS }, { 1020 * MS, 1300 * MS }, { 1040 * MS, 1050 * MS }, { 1060 * MS, 0 },
					  { 1500 * MS, 1501 * MS }, { 1520 * MS, 0 } };

	ASSERT_SILENCE(falters, 980, 990, 1600, 5, 4, 441, true);
	ASSERT_SILENCE(falters, 980, 990, 2600, 6, 4, 1080, false);
}

static void test_where(void)
{
	static const struct {
		const char *application, *host;
	} rows[] = {
		{ "ready=sip-options\nready-address=udp 127.0.0.1:5060\n", "192.0.2.10" },
		{ "ready=sip-options\nready-address=5060\n", "192.0.2.10" },
		{ "health=sip-options\nhealth-address=tcp [2001:db8::10]:5060\n", "2001:db8::10" },
		{ "health=sip-options\nhealth-address=udp [::1]:5060\n", "2001:db8::10" },
		{ "ready=sip-options\nready-address=udp 203.0.113.10:5060\n", "203.0.113.10" },
		{ "ready=sip-options\nready-address=5060\ncritical=false\n", NULL },
		{ "ready=port\nready-address=udp 5060\n", NULL },
	};
	g_autofree char *folder = g_dir_make_tmp("understudy-silence-XXXXXX", NULL);
	g_autofree char *applications = g_build_filename(folder, "applications.d", NULL), *file = g_build_filename(applications, "pbx.conf", NULL);
	g_autofree char *device = g_build_filename(folder, "device.conf", NULL), *pair = g_build_filename(folder, "pair.conf", NULL);

	g_assert_cmpint(g_mkdir(applications, 0700), ==, 0);
	g_assert_true(g_file_set_contents(device, "[device]\nid=a\n[interface wan]\ndevice=eth1\naddress=203.0.113.11/24\n"
						  "[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\naddress6=2001:db8::11/64\n", -1, NULL));
	g_assert_true(g_file_set_contents(pair, "[pair]\ngroup-id=7\n[group wan]\ninterface=wan\naddresses=203.0.113.10/24\n"
						"[group lan]\ninterface=lan\nelects=true\naddresses=192.0.2.10/24, fe80::10/64, 2001:db8::10/64\n", -1, NULL));
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *text = g_strconcat("[application]\ncommand=/bin/true\n", rows[i].application, NULL);
		g_autoptr(GError) error = NULL;
		SettingsCheck check;
		g_assert_true(g_file_set_contents(file, text, -1, NULL));
		g_autoptr(Settings) settings = settings_load(folder, &error);
		g_assert_no_error(error);
		g_assert_cmpint(drill_watch_find(settings, &check), ==, rows[i].host != NULL);
		if (rows[i].host) {
			g_assert_cmpstr(check.host, ==, rows[i].host);
			g_assert_cmpuint(check.port, ==, 5060);
		}
	}
	(void)g_unlink(file);
	(void)g_unlink(device);
	(void)g_unlink(pair);
	(void)g_rmdir(applications);
	(void)g_rmdir(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/silence/there", test_there);
	g_test_add_func("/silence/never", test_never);
	g_test_add_func("/silence/falters", test_falters);
	g_test_add_func("/silence/where", test_where);
	return g_test_run();
}
