/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/dialogue.c - commands, replies, and what may follow what. Pure. */
#include "notifyd/mail/dialogue.h"

#include <string.h>

#define REPLY_BYTES 4096 /* what is kept of one */

typedef enum { COMMAND_NONE, COMMAND_EHLO, COMMAND_STARTTLS, COMMAND_AUTH, COMMAND_MAIL, COMMAND_OTHER, N_COMMANDS } Command;

static const char *const steps[N_COMMANDS] = {
	[COMMAND_NONE] = "waiting for the greeting",
	[COMMAND_EHLO] = "waiting for the answer to EHLO",
	[COMMAND_STARTTLS] = "beginning TLS",
	[COMMAND_AUTH] = "waiting for the answer to AUTH",
	[COMMAND_MAIL] = "sending sender and recipients",
	[COMMAND_OTHER] = "sending the message",
};

struct MailDialogue {
	MailSecurity security;
	bool authenticate;
	bool secured, authenticated, leaving;
	Command command; /* the newest */
	GString *line;	 /* of a reply, not whole yet */
	GString *reply;	 /* whole lines of one that goes on */
	char *last_reply;
	char *auth_reply; /* to AUTH, when that was a refusal */
	char *reason;
};

MailDialogue *mail_dialogue_new(MailSecurity security, bool authenticate)
{
	MailDialogue *dialogue = g_new0(MailDialogue, 1);

	dialogue->security = security;
	dialogue->authenticate = authenticate;
	dialogue->line = g_string_new(NULL);
	dialogue->reply = g_string_new(NULL);
	dialogue->last_reply = g_strdup("");
	return dialogue;
}

void mail_dialogue_free(MailDialogue *dialogue)
{
	if (!dialogue)
		return;
	g_string_free(dialogue->line, TRUE);
	g_string_free(dialogue->reply, TRUE);
	g_free(dialogue->last_reply);
	g_free(dialogue->auth_reply);
	g_free(dialogue->reason);
	g_free(dialogue);
}

void mail_dialogue_secured(MailDialogue *dialogue)
{
	dialogue->secured = true;
}

const char *mail_dialogue_reason(const MailDialogue *dialogue)
{
	return dialogue->reason ? dialogue->reason : "";
}

const char *mail_dialogue_last_reply(const MailDialogue *dialogue)
{
	return dialogue->last_reply;
}

const char *mail_dialogue_step(const MailDialogue *dialogue)
{
	return steps[dialogue->command];
}

bool mail_dialogue_leaving(const MailDialogue *dialogue)
{
	return dialogue->leaving;
}

static MailVerdict stop(MailDialogue *dialogue, MailVerdict verdict, const char *reason, const char *reply)
{
	g_free(dialogue->reason);
	dialogue->reason = reply ? g_strdup_printf("%s: %s", reason, reply) : g_strdup(reason);
	return verdict;
}

static bool begins(const char *line, gsize length, const char *command)
{
	gsize n = strlen(command);

	return length >= n && g_ascii_strncasecmp(line, command, n) == 0;
}

static MailVerdict command_line(MailDialogue *dialogue, const char *line, gsize length)
{
	if (dialogue->command == COMMAND_AUTH && !begins(line, length, "AUTH ") && !begins(line, length, "MAIL "))
		return MAIL_GO_ON; /* user and password, one by one */
	if (begins(line, length, "EHLO ") || begins(line, length, "HELO ")) {
		dialogue->command = COMMAND_EHLO;
	} else if (begins(line, length, "STARTTLS")) {
		dialogue->command = COMMAND_STARTTLS;
	} else if (begins(line, length, "AUTH ")) {
		dialogue->command = COMMAND_AUTH;
		if (!dialogue->secured && dialogue->security != MAIL_SECURITY_NONE)
			return stop(dialogue, MAIL_STOP_RETRY, "no STARTTLS offered, and the password is not sent in the clear", NULL);
	} else if (begins(line, length, "MAIL ")) {
		dialogue->command = COMMAND_MAIL;
		if (!dialogue->secured && dialogue->security == MAIL_SECURITY_STARTTLS)
			return stop(dialogue, MAIL_STOP_RETRY, "no STARTTLS offered", NULL);
		if (dialogue->authenticate && !dialogue->authenticated && dialogue->auth_reply)
			return stop(dialogue, MAIL_STOP_REFUSED, "user or password refused", dialogue->auth_reply);
		if (dialogue->authenticate && !dialogue->authenticated)
			return stop(dialogue, dialogue->secured ? MAIL_STOP_REFUSED : MAIL_STOP_RETRY,
				    dialogue->secured ? "the server offers neither AUTH PLAIN nor AUTH LOGIN" :
							"the server offers no AUTH without TLS",
				    NULL);
	} else if (begins(line, length, "QUIT")) {
		dialogue->leaving = true;
	} else if (dialogue->command >= COMMAND_MAIL && !begins(line, length, "RCPT ")) {
		dialogue->command = COMMAND_OTHER;
	}
	return MAIL_GO_ON;
}

MailVerdict mail_dialogue_writes(MailDialogue *dialogue, const char *bytes, gsize length)
{
	MailVerdict verdict = MAIL_GO_ON;

	/* libesmtp gives whole commands, and after MAIL several at once. */
	while (length && verdict == MAIL_GO_ON) {
		const char *end = memchr(bytes, '\n', length);
		gsize n = end ? (gsize)(end - bytes) + 1 : length;

		verdict = command_line(dialogue, bytes, n);
		bytes += n;
		length -= n;
	}
	return verdict;
}

/* A whole reply with its code. */
static MailVerdict whole_reply(MailDialogue *dialogue, int code, bool more_follows)
{
	g_free(dialogue->last_reply);
	dialogue->last_reply = g_strndup(dialogue->reply->str, dialogue->reply->len);
	g_string_truncate(dialogue->reply, 0);
	if (dialogue->command == COMMAND_STARTTLS && !dialogue->secured && code / 100 == 2 && more_follows)
		return stop(dialogue, MAIL_STOP_RETRY, "something follows the answer to STARTTLS in the clear", NULL);
	if (dialogue->command != COMMAND_AUTH)
		return MAIL_GO_ON;
	if (code / 100 == 2) {
		dialogue->authenticated = true;
		return MAIL_GO_ON;
	}
	if (code / 100 == 3)
		return MAIL_GO_ON;
	if (code / 100 == 4)
		return stop(dialogue, MAIL_STOP_RETRY, "not authenticated", dialogue->last_reply);
	g_free(dialogue->auth_reply);
	dialogue->auth_reply = g_strdup(dialogue->last_reply);
	/* Not this mechanism: there may be another. MAIL FROM without one is stopped above. */
	if (code >= 500 && code <= 504)
		return MAIL_GO_ON;
	/* The second mechanism would be a second attempt with the same password, towards a lock of the account. */
	return stop(dialogue, MAIL_STOP_REFUSED, "user or password refused", dialogue->last_reply);
}

static MailVerdict reply_line(MailDialogue *dialogue, bool more_follows)
{
	const char *line = dialogue->line->str;
	bool digits = g_ascii_isdigit(line[0]) && g_ascii_isdigit(line[1]) && g_ascii_isdigit(line[2]);
	bool ends = !digits || line[3] != '-';
	int code = digits ? (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0' : 0;

	if (dialogue->reply->len + dialogue->line->len < REPLY_BYTES) {
		const char *text = dialogue->reply->len && digits && line[3] ? line + 4 : line;

		if (dialogue->reply->len)
			g_string_append_c(dialogue->reply, ' ');
		g_string_append(dialogue->reply, text);
	}
	g_string_truncate(dialogue->line, 0);
	return ends ? whole_reply(dialogue, code, more_follows) : MAIL_GO_ON;
}

MailVerdict mail_dialogue_read(MailDialogue *dialogue, const char *bytes, gsize length)
{
	for (gsize i = 0; i < length; i++) {
		MailVerdict verdict;

		if (bytes[i] != '\n') {
			if (bytes[i] != '\r' && bytes[i] != '\0' && dialogue->line->len < REPLY_BYTES)
				g_string_append_c(dialogue->line, bytes[i]);
			continue;
		}
		verdict = reply_line(dialogue, i + 1 < length);
		if (verdict != MAIL_GO_ON)
			return verdict;
	}
	return MAIL_GO_ON;
}
