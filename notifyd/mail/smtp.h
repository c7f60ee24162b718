/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/smtp.h - one message by libesmtp. */
#pragma once

#include "notifyd/delivery/answer.h"
#include "notifyd/mail/dialogue.h"
#include "notifyd/mail/message.h"

#define MAIL_CREDENTIAL_BYTES 255 /* libesmtp's PLAIN copies user and password into 513 bytes without looking */

typedef struct {
	const char *host;
	guint16 port;
	MailSecurity security;
	const char *ca_path;  /* NULL: the system's authorities */
	const char *user;     /* NULL: no AUTH */
	const char *password;
} MailServer;

/* Answers for each recipient. Once in a process: libesmtp is not asked for more. Where the conversation may not go on it ends the process. */
void mail_smtp_send(DeliveryRun *run, const MailServer *server, const MailMessage *message);
