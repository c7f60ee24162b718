/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/message.c - headers and body. Pure. */
#include "notifyd/mail/message.h"

#include <string.h>

#include "notifyd/mail/encode.h"

char *mail_message_compose(const MailMessage *message)
{
	GString *text = g_string_new(NULL);
	g_autofree char *date = mail_date(message->time_ms);
	g_autofree char *subject = mail_encode_header(message->subject);
	const char *domain = strchr(message->from, '@');
	const char *encoding;
	g_autofree char *body = mail_encode_body(message->body, &encoding);

	g_string_append_printf(text, "Date: %s\r\n", date);
	if (message->from_name) {
		g_autofree char *name = mail_encode_phrase(message->from_name);

		g_string_append_printf(text, "From: %s\r\n <%s>\r\n", name, message->from);
	} else {
		g_string_append_printf(text, "From: %s\r\n", message->from);
	}
	for (guint i = 0; message->to[i]; i++)
		g_string_append_printf(text, "%s%s", i == 0 ? "To: " : ",\r\n ", message->to[i]);
	g_string_append_printf(text, "\r\nSubject: %s\r\n", subject);
	/* Of what both devices and every retry know alike. */
	g_string_append_printf(text, "Message-ID: <%s@%s>\r\n", message->id, domain ? domain + 1 : "understudy.invalid");
	/* RFC 3834: nobody's holiday answers this. */
	g_string_append(text, "Auto-Submitted: auto-generated\r\n"
			      "MIME-Version: 1.0\r\n"
			      "Content-Type: text/plain; charset=utf-8\r\n");
	g_string_append_printf(text, "Content-Transfer-Encoding: %s\r\n\r\n%s", encoding, body);
	return g_string_free(text, FALSE);
}
