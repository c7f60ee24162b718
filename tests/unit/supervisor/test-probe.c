/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-probe.c - tables of the kernel, SIP answers, the last lines of an output. */
#include <arpa/inet.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/processes/output.h"
#include "supervisor/applications/probe.h"

#define HEAD "  sl  local_address rem_address   st tx_queue rx_queue\n"
#define ROW(local, state) "  12: " local " 00000000:0000 " state " 00000000:00000000 00:00000000\n"
#define LOOPBACK "0100007F:13C4" /* of a little-endian machine */
#define ANY "00000000:13C4"

static void test_ports(void)
{
	SettingsCheck any = { .kind = SETTINGS_CHECK_PORT, .port = 5060 };
	SettingsCheck loopback = { .kind = SETTINGS_CHECK_PORT, .port = 5060, .host = (char *)"127.0.0.1" };
	SettingsCheck other = { .kind = SETTINGS_CHECK_PORT, .port = 5060, .host = (char *)"192.0.2.10" };
	SettingsCheck tcp = { .kind = SETTINGS_CHECK_PORT, .port = 5060, .tcp = true };
	SettingsCheck six = { .kind = SETTINGS_CHECK_PORT, .port = 5060, .host = (char *)"::1" };
	g_assert_true(probe_find_port(HEAD ROW(LOOPBACK, "07"), false, &any));
	g_assert_true(probe_find_port(HEAD ROW(LOOPBACK, "07"), false, &loopback));
	g_assert_false(probe_find_port(HEAD ROW(LOOPBACK, "07"), false, &other));
	g_assert_true(probe_find_port(HEAD ROW(ANY, "07"), false, &other));
	g_assert_false(probe_find_port(HEAD ROW("0100007F:13C5", "07"), false, &any));
	g_assert_true(probe_find_port(HEAD ROW(LOOPBACK, "0A"), false, &tcp));
	g_assert_false(probe_find_port(HEAD ROW(LOOPBACK, "01"), false, &tcp)); /* a connection from there is no listener */
	g_assert_true(probe_find_port(HEAD ROW("00000000000000000000000001000000:13C4", "07"), true, &six));
	g_assert_false(probe_find_port(HEAD ROW("00000000000000000000000001000000:13C4", "07"), true, &loopback));
	g_assert_true(probe_find_port(HEAD ROW("00000000000000000000000000000000:13C4", "07"), true, &loopback));
	static const char *const odd[] = { "", "\n\n", HEAD, "1: x", "1: 0100007F:13C4", "  1: 0100007G:13C4 0 07", "  1: 0100007F:13C4x 0 07" };
	for (gsize i = 0; i < G_N_ELEMENTS(odd); i++)
		g_assert_false(probe_find_port(odd[i], false, &any));
}

static void test_sip_texts(void)
{
	SettingsCheck check = { .kind = SETTINGS_CHECK_SIP, .port = 5060, .host = (char *)"::1" };
	g_autofree char *text = probe_sip_request(&check, "[::1]:40000", "0123456789abcdef-x");
	g_assert_true(g_str_has_prefix(text, "OPTIONS sip:[::1]:5060 SIP/2.0\r\nVia: SIP/2.0/UDP [::1]:40000;branch=z9hG4bK0123456789abcdef;rport\r\n"));
	g_assert_true(g_str_has_suffix(text, "\r\nContent-Length: 0\r\n\r\n"));
	g_assert_cmpuint(probe_sip_status("SIP/2.0 200 OK\r\nCall-ID: 12-x\r\n\r\n", "12-x"), ==, 200);
	g_assert_cmpuint(probe_sip_status("SIP/2.0 404 No\r\ni: 12-x\r\n\r\n", "12-x"), ==, 404);
	g_assert_cmpuint(probe_sip_status("SIP/2.0 200 OK\r\nCall-ID: other\r\n\r\n", "12-x"), ==, 0);
	g_assert_cmpuint(probe_sip_status("SIP/2.0 100 Trying\r\nCall-ID: 12-x\r\n\r\n", "12-x"), ==, 0);
	g_assert_cmpuint(probe_sip_status("SIP/2.0 100 T\r\nCall-ID: 12-x\r\n\r\nSIP/2.0 503 N\r\nCall-ID: 12-x\r\n\r\n", "12-x"), ==, 503);
	g_assert_cmpuint(probe_sip_status("OPTIONS sip:x SIP/2.0\r\nCall-ID: 12-x\r\n", "12-x"), ==, 0);
	g_assert_cmpuint(probe_sip_status("SIP/2.0 \xff 12-x", "12-x"), ==, 0);
}

typedef struct {
	GMainLoop *loop;
	int status; /* 0: silence */
	bool ok;
	char *why;
} Talk;

static gboolean on_request(gint fd, GIOCondition condition, gpointer user_data)
{
	Talk *talk = user_data;
	char text[2000];
	struct sockaddr_in from;
	socklen_t length = sizeof from;
	ssize_t n = recvfrom(fd, text, sizeof text - 1, 0, (struct sockaddr *)&from, &length);
	g_assert_cmpint(n, >, 0);
	text[n] = '\0';
	if (!talk->status)
		return G_SOURCE_CONTINUE;
	char *id = strstr(text, "Call-ID:");
	g_autofree char *line = g_strndup(id, strcspn(id, "\r"));
	g_autofree char *answer = g_strdup_printf("SIP/2.0 %d Text\r\n%s\r\nContent-Length: 0\r\n\r\n", talk->status, line);
	g_assert_cmpint(sendto(fd, answer, strlen(answer), 0, (struct sockaddr *)&from, length), >, 0);
	return G_SOURCE_CONTINUE;
}

static void on_done(bool ok, const char *why, gpointer user_data)
{
	Talk *talk = user_data;
	talk->ok = ok;
	g_free(talk->why);
	talk->why = g_strdup(why);
	g_main_loop_quit(talk->loop);
}

static void ask(Talk *talk, int status, const SettingsCheck *check, const char *why)
{
	talk->status = status;
	g_assert_nonnull(probe_sip(check, 100, on_done, talk));
	g_main_loop_run(talk->loop);
	g_assert_cmpstr(talk->why, ==, why);
	g_assert_cmpint(talk->ok, ==, *why == '\0');
}

static void test_sip_talk(void)
{
	Talk talk = { .loop = g_main_loop_new(NULL, FALSE) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof here;
	g_assert_cmpint(bind(fd, (struct sockaddr *)&here, sizeof here), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&here, &length), ==, 0);
	SettingsCheck check = { .kind = SETTINGS_CHECK_SIP, .port = ntohs(here.sin_port) };
	guint source = g_unix_fd_add(fd, G_IO_IN, on_request, &talk);
	ask(&talk, 200, &check, "");
	ask(&talk, 404, &check, "");
	ask(&talk, 503, &check, "OPTIONS is answered with an error");
	ask(&talk, 0, &check, "OPTIONS is not answered");
	g_assert_true(probe_port(&check));
	probe_free(probe_sip(&check, 100, on_done, &talk)); /* nobody waits for it any more */
	g_source_remove(source);
	close(fd);
	g_assert_false(probe_port(&check));
	ask(&talk, 0, &check, "nobody is there to be asked OPTIONS");
	check.tcp = true;
	ask(&talk, 0, &check, "nobody is there to be asked OPTIONS");
	g_main_loop_unref(talk.loop);
	g_free(talk.why);
}

static void test_last_lines(void)
{
	static const struct {
		const char *text;
		guint n_lines;
		gsize n_bytes;
		const char *last;
	} cases[] = {
		{ "", 3, 100, "" },
		{ "\n\n", 3, 100, "" },
		{ "one\n", 3, 100, "one\n" },
		{ "one\ntwo\nthree\nfour\n", 2, 100, "three\nfour\n" },
		{ "one\ntwo\nthree\nfour", 9, 100, "one\ntwo\nthree\nfour\n" },
		{ "one\ntwo\nthree\nfour", 9, 10, "three\nfour\n" },
		{ "0123456789", 9, 4, "6789\n" },
		{ "a\tb\x1b[0m\n", 9, 100, "a b [0m\n" },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *last = output_last_lines(cases[i].text, cases[i].n_lines, cases[i].n_bytes);
		g_assert_cmpstr(last, ==, cases[i].last);
	}
	g_autofree char *broken = output_last_lines("x\xff\n", 1, 100);
	g_assert_true(g_utf8_validate(broken, -1, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/probe/ports", test_ports);
	g_test_add_func("/probe/sip-texts", test_sip_texts);
	g_test_add_func("/probe/sip-talk", test_sip_talk);
	g_test_add_func("/probe/last-lines", test_last_lines);
	return g_test_run();
}
