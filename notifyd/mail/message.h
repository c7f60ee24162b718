/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/message.h - a mail as a whole. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	const char *id;	       /* of the job */
	const char *from_name; /* NULL: none */
	const char *from;      /* an address that was checked */
	const char *const *to; /* the same */
	const guint *numbers;  /* of each of them, in the job */
	const char *subject;
	const char *body;
	gint64 time_ms;
} MailMessage;

/* Headers and body in ASCII; lines end with CR LF and have at most 998 characters (78 where no address is longer). The same message is the same text,
 * so a duplicate is one in every byte. */
char *mail_message_compose(const MailMessage *message);
