/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Texts as mail, addresses, and what may follow what in a conversation with a server. */
#include <string.h>

#include "notifyd/delivery/job.h"
#include "notifyd/mail/dialogue.h"
#include "notifyd/mail/encode.h"
#include "notifyd/mail/message.h"
#include "notifyd/mail/sendmail.h"

static void test_header(void)
{
	static const struct {
		const char *text, *value;
	} rows[] = {
		{ "", "" },
		{ "REDUNDANCY: down", "REDUNDANCY: down" },
		{ "a\r\nBcc: b", "a  Bcc: b" },
		{ "a\tb\x01\x7f", "a b" },
		{ "Grüße", "=?UTF-8?B?R3LDvMOfZQ==?=" },
		{ "=?UTF-8?B?QmNj?=", "=?UTF-8?B?PT9VVEYtOD9CP1FtTmo/PQ==?=" }, /* is no encoded word, but that text */
		{ "\xff", "=?UTF-8?B?77+9?=" },
		{ "a\xE2\x80\xA8" "b", "a b" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *value = mail_encode_header(rows[i].text);
		g_assert_cmpstr(value, ==, rows[i].value);
	}
}

static void test_long_header(void)
{
	g_autofree char *megabyte = g_strnfill(1024 * 1024, 'x');
	g_autofree char *value = mail_encode_header(megabyte);
	g_auto(GStrv) lines = g_strsplit(value, "\r\n ", -1);
	g_autoptr(GString) decoded = g_string_new(NULL);

	for (guint i = 0; lines[i]; i++) {
		gsize length;

		g_assert_cmpuint(strlen(lines[i]), <=, 75);
		g_assert_true(g_str_has_prefix(lines[i], "=?UTF-8?B?") && g_str_has_suffix(lines[i], "?="));
		lines[i][strlen(lines[i]) - 2] = '\0';
		g_autofree guchar *piece = g_base64_decode(lines[i] + 10, &length);
		g_assert_true(g_utf8_validate((char *)piece, length, NULL)); /* each word by itself */
		g_string_append_len(decoded, (char *)piece, length);
	}
	g_assert_cmpint(g_utf8_strlen(decoded->str, -1), ==, MAIL_SUBJECT_CHARS + 1);
	g_assert_true(g_str_has_suffix(decoded->str, "xxx\xE2\x80\xA6"));
}

static void test_phrase(void)
{
	g_autofree char *quoted = mail_encode_phrase("PBX \"north\" \\ <x>");
	g_autofree char *encoded = mail_encode_phrase("Größe");

	g_assert_cmpstr(quoted, ==, "\"PBX \\\"north\\\" \\\\ <x>\"");
	g_assert_cmpstr(encoded, ==, "=?UTF-8?B?R3LDtsOfZQ==?=");
}

static void test_body(void)
{
	static const struct {
		const char *text, *encoding, *body;
	} rows[] = {
		{ "", "quoted-printable", "\r\n" },
		{ "one\ntwo", "quoted-printable", "one\r\ntwo\r\n" },
		{ "a\r\nb\rc\n", "quoted-printable", "a\r\nb\r\nc\r\n" },
		{ "end \nend\t", "quoted-printable", "end=20\r\nend=09\r\n" },
		{ ".\n..\nFrom x\nFromage", "quoted-printable", "=2E\r\n=2E.\r\n=46rom x\r\nFromage\r\n" },
		{ "1=2", "quoted-printable", "1=3D2\r\n" },
		{ "caf\xC3\xA9 and more words", "quoted-printable", "caf=C3=A9 and more words\r\n" },
		{ "\xC3\xA4\xC3\xB6\xC3\xBC", "base64", "w6TDtsO8DQo=\r\n" },
		{ "bell\x07\x1b[2J", "quoted-printable", "bell  [2J\r\n" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		const char *encoding;
		g_autofree char *body = mail_encode_body(rows[i].text, &encoding);
		g_assert_cmpstr(body, ==, rows[i].body);
		g_assert_cmpstr(encoding, ==, rows[i].encoding);
	}
	/* A line that is longer is broken softly, and never in an escape. */
	g_autofree char *x = g_strnfill(74, 'x'), *text = g_strdup_printf("%s=y", x);
	const char *encoding;
	g_autofree char *body = mail_encode_body(text, &encoding), *expected = g_strdup_printf("%s=\r\n=3Dy\r\n", x);
	g_assert_cmpstr(body, ==, expected);

	g_autofree char *megabytes = g_strnfill(3 * 1024 * 1024, 'a'), *cut = mail_encode_body(megabytes, &encoding);
	g_assert_true(g_str_has_suffix(cut, "\r\n[the rest is left out]\r\n"));
	g_assert_cmpuint(strlen(cut), <, MAIL_BODY_BYTES * 11 / 10);
}

static void test_addresses(void)
{
	static const char *const good[] = { "a@b", "first.last+tag@mail.example.org", "o'brien@x-y.test", "_@1.test" };
	static const char *const bad[] = { "", "a", "@b", "a@", "a@b@c", "a b@c", "a@b c", "a@b\nc", "<a@b>", "\"a\"@b", "a(b)@c", "a..b@c", ".a@b",
					   "a.@b", "a@.b", "a@b.", "a@b..c", "a@-b", "a@[1.2.3.4]", "\xC3\xA9@b", "a@b,c@d", "a@b;c" };

	for (guint i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(mail_address_check(good[i], false, NULL));
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(mail_address_check(bad[i], false, &error));
		g_assert_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED);
	}
	g_assert_true(mail_address_check("root", true, NULL));
	g_autofree char *local = g_strnfill(65, 'a'), *too_long = g_strconcat(local, "@b", NULL);
	g_assert_false(mail_address_check(too_long, false, NULL));
}

static void test_mailbox(void)
{
	static const struct {
		const char *text, *name, *address;
	} rows[] = {
		{ "a@b", NULL, "a@b" },
		{ " a@b ", NULL, "a@b" },
		{ "The PBX <a@b>", "The PBX", "a@b" },
		{ "<a@b>", NULL, "a@b" },
		{ "x <y> <a@b>", "x <y>", "a@b" },
		{ "x <a@b", NULL, NULL },
		{ "x <a@b> y", NULL, NULL },
		{ "x <>", NULL, NULL },
		{ "x <", NULL, NULL },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *name = NULL, *address = NULL;

		g_assert_cmpint(mail_parse_mailbox(rows[i].text, false, &name, &address, NULL), ==, rows[i].address != NULL);
		g_assert_cmpstr(name, ==, rows[i].name);
		g_assert_cmpstr(address, ==, rows[i].address);
	}
}

static void test_message(void)
{
	static const char *const to[] = { "a@x.test", "b@x.test", NULL };
	const MailMessage message = { .id = "ev-1", .from_name = "PBX", .from = "pbx@pair.test", .to = to, .subject = "down", .body = "gone",
				      .time_ms = 1700000000999 };
	g_autofree char *text = mail_message_compose(&message);

	g_assert_cmpstr(text, ==,
			"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
			"From: \"PBX\"\r\n <pbx@pair.test>\r\n"
			"To: a@x.test,\r\n b@x.test\r\n"
			"Subject: down\r\n"
			"Message-ID: <ev-1@pair.test>\r\n"
			"Auto-Submitted: auto-generated\r\n"
			"MIME-Version: 1.0\r\n"
			"Content-Type: text/plain; charset=utf-8\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n"
			"\r\n"
			"gone\r\n");
}

/* One conversation: "C:..." is about to be written, "S:..." was read, "T" is TLS. The verdict is that of the last line; those before go on. */
static MailVerdict talk(MailDialogue *dialogue, const char *lines)
{
	g_auto(GStrv) each = g_strsplit(lines, "|", -1);
	MailVerdict verdict = MAIL_GO_ON;

	for (guint i = 0; each[i]; i++) {
		g_autofree char *bytes = *each[i] == 'T' ? NULL : g_strcompress(each[i] + 2);

		g_assert_cmpint(verdict, ==, MAIL_GO_ON);
		if (*each[i] == 'T')
			mail_dialogue_secured(dialogue);
		else if (*each[i] == 'C')
			verdict = mail_dialogue_writes(dialogue, bytes, strlen(bytes));
		else
			verdict = mail_dialogue_read(dialogue, bytes, strlen(bytes));
	}
	return verdict;
}

static void test_dialogue(void)
{
#define OPEN "S:220 x\\r\\n|C:EHLO y\\r\\n|S:250-x\\r\\n250 HELP\\r\\n"
#define TLS  "|C:STARTTLS\\r\\n|S:220 go\\r\\n|T|C:EHLO y\\r\\n|S:250 x\\r\\n"
#define AUTH "|C:AUTH PLAIN eHg=\\r\\n|"
#define MAIL "|C:MAIL FROM:<a@b>\\r\\n"
	static const struct {
		MailSecurity security;
		bool authenticate;
		const char *lines;
		MailVerdict verdict;
		const char *reason;
	} rows[] = {
		{ MAIL_SECURITY_STARTTLS, false, OPEN TLS MAIL, MAIL_GO_ON, "" },
		{ MAIL_SECURITY_STARTTLS, false, OPEN MAIL, MAIL_STOP_RETRY, "no STARTTLS offered" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:235 ok\\n" MAIL, MAIL_GO_ON, "" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS MAIL, MAIL_STOP_REFUSED, "the server offers neither AUTH PLAIN nor AUTH LOGIN" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:535-5.7.8 no\\r\\n535 5.7.8 at all\\r\\n", MAIL_STOP_REFUSED,
		  "user or password refused: 535-5.7.8 no 5.7.8 at all" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:454 later\\r\\n", MAIL_STOP_RETRY, "not authenticated: 454 later" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:504 what\\r\\n", MAIL_GO_ON, "" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:504 what\\r\\n" MAIL, MAIL_STOP_REFUSED, "user or password refused: 504 what" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:504 what\\r\\n" AUTH "S:235 ok\\r\\n" MAIL, MAIL_GO_ON, "" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:334 VXNlcg==\\r\\n|C:cGJ4\\r\\n|S:334 UA==\\r\\n|C:UVVJVA==\\r\\n|S:235 ok\\r\\n" MAIL, MAIL_GO_ON, "" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN TLS AUTH "S:nonsense\\r\\n", MAIL_STOP_REFUSED, "user or password refused: nonsense" },
		{ MAIL_SECURITY_STARTTLS, false, OPEN "|C:STARTTLS\\r\\n|S:220 go\\r\\n250 taken\\r\\n", MAIL_STOP_RETRY,
		  "something follows the answer to STARTTLS in the clear" },
		{ MAIL_SECURITY_STARTTLS, false, OPEN "|C:STARTTLS\\r\\n|S:220-a\\r\\n220 go\\r\\nx", MAIL_STOP_RETRY,
		  "something follows the answer to STARTTLS in the clear" },
		{ MAIL_SECURITY_STARTTLS, true, OPEN AUTH, MAIL_STOP_RETRY, NULL }, /* the password in the clear */
		{ MAIL_SECURITY_IF_OFFERED, true, OPEN MAIL, MAIL_STOP_RETRY, "the server offers no AUTH without TLS" },
		{ MAIL_SECURITY_IF_OFFERED, false, OPEN MAIL, MAIL_GO_ON, "" },
		{ MAIL_SECURITY_NONE, true, OPEN AUTH "S:2|S:35 |S:ok\\r|S:\\n" MAIL, MAIL_GO_ON, "" }, /* in pieces */
		{ MAIL_SECURITY_NONE, false, OPEN MAIL, MAIL_GO_ON, "" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(MailDialogue) dialogue = mail_dialogue_new(rows[i].security, rows[i].authenticate);
		g_autofree char *lines = g_str_has_suffix(rows[i].lines, "|") ? g_strndup(rows[i].lines, strlen(rows[i].lines) - 1) :
										g_strdup(rows[i].lines);

		g_test_message("%s", rows[i].lines);
		g_assert_cmpint(talk(dialogue, lines), ==, rows[i].verdict);
		g_assert_cmpstr(mail_dialogue_reason(dialogue), ==,
				rows[i].reason ? rows[i].reason : "no STARTTLS offered, and the password is not sent in the clear");
	}
}

static void test_dialogue_tells(void)
{
	g_autoptr(MailDialogue) dialogue = mail_dialogue_new(MAIL_SECURITY_NONE, false);

	g_assert_cmpstr(mail_dialogue_step(dialogue), ==, "waiting for the greeting");
	g_assert_cmpstr(mail_dialogue_last_reply(dialogue), ==, "");
	talk(dialogue, OPEN);
	g_assert_cmpstr(mail_dialogue_step(dialogue), ==, "waiting for the answer to EHLO");
	g_assert_cmpstr(mail_dialogue_last_reply(dialogue), ==, "250-x HELP");
	g_assert_false(mail_dialogue_leaving(dialogue));
	talk(dialogue, "C:MAIL FROM:<a@b>\\r\\n|S:250 ok\\r\\n|C:RCPT TO:<a@b>\\r\\nRCPT TO:<b@c>\\r\\n");
	g_assert_cmpstr(mail_dialogue_step(dialogue), ==, "sending sender and recipients");
	talk(dialogue, "C:DATA\\r\\n");
	g_assert_cmpstr(mail_dialogue_step(dialogue), ==, "sending the message");
	talk(dialogue, "C:QUIT\\r\\n");
	g_assert_true(mail_dialogue_leaving(dialogue));
}

static void test_sendmail(void)
{
	g_assert_cmpint(mail_sendmail_outcome(0), ==, DELIVERY_ACCEPTED);
	for (int status = 1; status < 256; status++) {
		bool refused = status == 64 || status == 65 || status == 67 || status == 68 || status == 77;
		g_assert_cmpint(mail_sendmail_outcome(status), ==, refused ? DELIVERY_REFUSED : DELIVERY_RETRY);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notifyd/mail/header", test_header);
	g_test_add_func("/notifyd/mail/long-header", test_long_header);
	g_test_add_func("/notifyd/mail/phrase", test_phrase);
	g_test_add_func("/notifyd/mail/body", test_body);
	g_test_add_func("/notifyd/mail/addresses", test_addresses);
	g_test_add_func("/notifyd/mail/mailbox", test_mailbox);
	g_test_add_func("/notifyd/mail/message", test_message);
	g_test_add_func("/notifyd/mail/dialogue", test_dialogue);
	g_test_add_func("/notifyd/mail/dialogue-tells", test_dialogue_tells);
	g_test_add_func("/notifyd/mail/sendmail", test_sendmail);
	return g_test_run();
}
