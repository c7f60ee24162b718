/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-mail.c - any text as subject, sender, recipient and body of a mail, and as what a mail server says. */
#include "fuzz.h"
#include "notifyd/mail/dialogue.h"
#include "notifyd/mail/encode.h"
#include "notifyd/mail/message.h"

static void check_message(const char *text, const char *name)
{
	static const char *const to[] = { "a@x.test", NULL };
	const MailMessage message = { .id = "i", .from_name = name, .from = "p@y.test", .to = to, .subject = text, .body = text, .time_ms = 1 };
	g_autofree char *mail = mail_message_compose(&message);
	g_auto(GStrv) lines = g_strsplit(mail, "\r\n", -1);
	guint headers = 0, i;

	for (const char *p = mail; *p; p++)
		g_assert_true((*p >= ' ' && *p <= '~') || *p == '\t' || (*p == '\r' && p[1] == '\n') || (*p == '\n' && p > mail && p[-1] == '\r'));
	for (i = 0; lines[i] && *lines[i]; i++)
		headers += lines[i][0] != ' ';
	g_assert_cmpuint(headers, ==, 9); /* and no other one */
	g_assert_nonnull(lines[i]);
	for (i = 0; lines[i]; i++) {
		g_assert_cmpuint(strlen(lines[i]), <=, 200);
		g_assert_cmpstr(lines[i], !=, ".");
	}
}

static void check_mailbox(const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *name = NULL, *address = NULL;

	if (!g_utf8_validate(text, -1, NULL))
		return;
	if (!mail_parse_mailbox(text, true, &name, &address, &error)) {
		fuzz_check_error(error);
		return;
	}
	for (const char *p = address; *p; p++)
		g_assert_true(g_ascii_isgraph(*p) && !strchr("<>,;:\\\"()[]", *p));
	check_message("x", name);
}

static void check_dialogue(const char *text)
{
	g_autoptr(MailDialogue) dialogue = mail_dialogue_new(MAIL_SECURITY_STARTTLS, true);

	(void)mail_dialogue_read(dialogue, text, strlen(text));
	(void)mail_dialogue_writes(dialogue, "EHLO x\r\n", 8);
	(void)mail_dialogue_read(dialogue, text, strlen(text));
	/* Whatever a server says: without TLS and a password that was taken there is no mail. */
	g_assert_cmpint(mail_dialogue_writes(dialogue, "AUTH PLAIN x\r\n", 14), ==, MAIL_STOP_RETRY);
	g_assert_cmpint(mail_dialogue_writes(dialogue, "MAIL FROM:<a@b>\r\n", 17), ==, MAIL_STOP_RETRY);
	mail_dialogue_secured(dialogue);
	g_assert_cmpint(mail_dialogue_writes(dialogue, "MAIL FROM:<a@b>\r\n", 17), ==, MAIL_STOP_REFUSED);
	g_assert_cmpuint(strlen(mail_dialogue_last_reply(dialogue)), <=, 8192);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);

	check_message(text, NULL);
	check_message("x", text);
	check_mailbox(text);
	check_dialogue(text);
	return 0;
}
