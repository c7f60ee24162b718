/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a message after each attempt, table by table. */
#include <string.h>

#include "notifyd/job.h"
#include "notifyd/outbox.h"

#define MINUTE_MS 60000LL

static void test_delay(void)
{
	static const struct {
		guint failures;
		gint64 least_ms, most_ms;
	} rows[] = {
		{ 0, 30000, 36000 },		  { 1, 30000, 36000 },		       { 2, MINUTE_MS, 72000 },
		{ 3, 2 * MINUTE_MS, 144000 },	  { 4, 5 * MINUTE_MS, 360000 },	       { 5, 15 * MINUTE_MS, 1080000 },
		{ 6, 60 * MINUTE_MS, 4320000 },	  { 7, 60 * MINUTE_MS, 4320000 },      { G_MAXUINT, 60 * MINUTE_MS, 4320000 },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_assert_cmpint(outbox_delay_ms(rows[i].failures, 0), ==, rows[i].least_ms);
		g_assert_cmpint(outbox_delay_ms(rows[i].failures, 1), ==, rows[i].most_ms);
		g_assert_cmpint(outbox_delay_ms(rows[i].failures, 7), ==, rows[i].most_ms);
	}
}

static void test_due(void)
{
	static const struct {
		gint64 due_ms, now_ms;
		bool due, expired; /* expired: had it been made at due_ms */
	} rows[] = {
		{ 1000, 1000, true, false },
		{ 1001, 1000, false, false },
		{ 1000 + 72 * MINUTE_MS, 1000, false, false },
		{ 1001 + 72 * MINUTE_MS, 1000, true, false }, /* further away than any delay: the clock was set back */
		{ 0, OUTBOX_EXPIRY_MS - 1, true, false },
		{ 0, OUTBOX_EXPIRY_MS, true, true },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_assert_cmpint(outbox_is_due(rows[i].due_ms, rows[i].now_ms), ==, rows[i].due);
		g_assert_cmpint(outbox_is_expired(rows[i].due_ms, rows[i].now_ms), ==, rows[i].expired);
	}
	g_assert_cmpint(outbox_shifted_ms(1000, 500, 5000), ==, 1500);
	g_assert_cmpint(outbox_shifted_ms(1000, 5000, 5000), ==, 5000);
	g_assert_cmpint(outbox_shifted_ms(1000, -500, 5000), ==, 500);
}

static void test_line(void)
{
	static const struct {
		const char *line;
		int outcome; /* -1: no answer */
		const char *recipient, *words;
	} rows[] = {
		{ "accepted\ta@b.example\t250 2.0.0 queued", OUTBOX_ACCEPTED, "a@b.example", "250 2.0.0 queued" },
		{ "retry\t+49\t", OUTBOX_RETRY, "+49", "" },
		{ "refused\ta\tno\tsuch \x1buser", OUTBOX_REFUSES, "a", "no such  user" },
		{ "accepted\ta\tnot \xff text", OUTBOX_ACCEPTED, "a", "not \xef\xbf\xbd text" },
		{ "", -1, NULL, NULL },
		{ "accepted", -1, NULL, NULL },
		{ "accepted\ta", -1, NULL, NULL },
		{ "accepted\t\twords", -1, NULL, NULL },
		{ "Accepted\ta\twords", -1, NULL, NULL },
		{ "done\ta\twords", -1, NULL, NULL },
	};
	g_autofree char *long_words = g_strnfill(498, 'x'), *long_line = g_strconcat("retry\ta\t", long_words, "ёёё", NULL);
	g_autofree char *recipient = NULL, *words = NULL;
	OutboxOutcome outcome;

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *to = NULL, *said = NULL;
		bool good = outbox_parse_line(rows[i].line, &outcome, &to, &said);

		g_assert_cmpint(good, ==, rows[i].outcome >= 0);
		if (!good)
			continue;
		g_assert_cmpint(outcome, ==, rows[i].outcome);
		g_assert_cmpstr(to, ==, rows[i].recipient);
		g_assert_cmpstr(said, ==, rows[i].words);
	}
	g_assert_true(outbox_parse_line(long_line, &outcome, &recipient, &words));
	g_assert_cmpuint(strlen(words), ==, 500);
	g_assert_true(g_str_has_suffix(words, "xё"));
}

static void test_login(void)
{
	static const struct {
		const char *target, *words;
		bool login;
	} rows[] = {
		{ "mail:a", "535 5.7.8 Error: authentication failed", true },
		{ "mail:a", "AUTH: 534 too weak", true },
		{ "mail:a", "530 Authentication required", true },
		{ "mail:a", "550 5.7.1 relaying denied, see 535", false }, /* the first code counts */
		{ "mail:a", "5.3.5 nothing", false },
		{ "mail:a", "", false },
		{ "sms:a", "HTTP 401 Unauthorized", true },
		{ "sms:a", "HTTP/1.1 407", true },
		{ "sms:a", "HTTP 403 bad number", false },
		{ "sms:a", "535", false },
		{ "snmp:a", "401 535", false },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
		g_assert_cmpint(outbox_is_login(rows[i].target, rows[i].words), ==, rows[i].login);
}

static void test_takes(void)
{
	static const struct {
		OutboxState here, there;
		const char *here_owner, *there_owner;
		guint here_hand, there_hand, here_attempts, there_attempts;
		bool takes, back; /* back: the same question asked on the other device */
	} rows[] = {
		{ OUTBOX_WAITING, OUTBOX_DELIVERED, "a", "b", 3, 0, 0, 0, true, false },
		{ OUTBOX_WAITING, OUTBOX_EXPIRED, "a", "a", 0, 0, 9, 0, true, false },
		{ OUTBOX_DELIVERED, OUTBOX_REFUSED, "a", "b", 0, 1, 0, 0, false, false },
		{ OUTBOX_WAITING, OUTBOX_WAITING, "a", "b", 0, 1, 0, 0, true, false },
		{ OUTBOX_WAITING, OUTBOX_WAITING, "a", "b", 1, 1, 0, 0, true, false }, /* both took it over: one answer on both */
		{ OUTBOX_WAITING, OUTBOX_WAITING, "a", "a", 1, 1, 2, 3, true, false },
		{ OUTBOX_WAITING, OUTBOX_WAITING, "a", "a", 1, 1, 3, 3, false, false },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		char *none[] = { NULL };
		OutboxRow here = { .to = none, .state = rows[i].here, .owner = (char *)rows[i].here_owner, .hand = rows[i].here_hand, .attempts = rows[i].here_attempts };
		OutboxRow there = { .to = none, .state = rows[i].there, .owner = (char *)rows[i].there_owner, .hand = rows[i].there_hand, .attempts = rows[i].there_attempts };

		g_assert_cmpint(outbox_takes(&here, &there), ==, rows[i].takes);
		g_assert_cmpint(outbox_takes(&there, &here), ==, rows[i].back);
	}
}

static void test_place(void)
{
	static const struct {
		OutboxPlace place;
		bool takes_over, hands_over;
	} rows[] = {
		{ { .known = false, .leads = true }, false, false },
		{ { .known = true, .leads = true }, true, false },
		{ { .known = true, .leads = true, .connected = true, .peer = (char *)"b" }, false, false },
		{ { .known = true, .leads = false, .connected = true, .peer_leads = true, .peer = (char *)"b" }, false, true },
		{ { .known = true, .leads = false, .connected = true, .peer_leads = false, .peer = (char *)"b" }, false, false },
		{ { .known = true, .leads = false, .connected = false, .peer_leads = true, .peer = (char *)"b" }, false, false },
		{ { .known = true, .leads = false, .connected = true, .peer_leads = true, .peer = (char *)"" }, false, false },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_assert_cmpint(outbox_takes_over(&rows[i].place), ==, rows[i].takes_over);
		g_assert_cmpint(outbox_hands_over(&rows[i].place), ==, rows[i].hands_over);
	}
}

static void test_job(void)
{
	g_autoptr(NotifyEvent) event = notify_event_new("SIP", "down\t[target]", 3, "line 1\n[to]\nlist=evil@example.com;", "", "dev-a", 1700000000000);
	g_autofree char *text = notify_job_text(event, NULL, NULL, false, 5);
	const char *keys[] = { "server", "mail.example.com", "version", "3", NULL }, *to[] = { "a@b.example", "c;d", NULL };
	static const struct {
		const char *kind, *key, *value;
	} secrets[] = { { "mail", "password", "first" }, { "sms", "password", "first" }, { "snmp", "auth-password", "first" }, { "snmp", "priv-password", "second" } };

	for (gsize i = 0; i < G_N_ELEMENTS(secrets); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GKeyFile) file = g_key_file_new();
		g_autofree char *whole = notify_job_complete(text, "id-1", 60000, false, secrets[i].kind, keys, "first\nsecond\n", to, &error);

		g_assert_no_error(error);
		g_assert_true(g_key_file_load_from_data(file, whole, (gsize)-1, G_KEY_FILE_NONE, &error));
		g_autofree char *secret = g_key_file_get_string(file, "target", secrets[i].key, NULL), *server = g_key_file_get_string(file, "target", "server", NULL);
		g_autofree char *description = g_key_file_get_string(file, "event", "description", NULL), *id = g_key_file_get_string(file, "job", "id", NULL);
		g_auto(GStrv) list = g_key_file_get_string_list(file, "to", "list", NULL, NULL);

		g_assert_cmpstr(secret, ==, secrets[i].value);
		g_assert_cmpstr(server, ==, "mail.example.com");
		g_assert_cmpstr(description, ==, event->description);
		g_assert_cmpstr(id, ==, "id-1");
		g_assert_true(g_strv_equal((const char *const *)list, to));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notifyd/outbox/delay", test_delay);
	g_test_add_func("/notifyd/outbox/due", test_due);
	g_test_add_func("/notifyd/outbox/line", test_line);
	g_test_add_func("/notifyd/outbox/login", test_login);
	g_test_add_func("/notifyd/outbox/takes", test_takes);
	g_test_add_func("/notifyd/outbox/place", test_place);
	g_test_add_func("/notifyd/outbox/job", test_job);
	return g_test_run();
}
