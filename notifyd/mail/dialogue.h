/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/mail/dialogue.h - looks over libesmtp's shoulder: what is about to be sent, what was received, and whether that may go on. Pure.
 *
 * libesmtp goes on to MAIL FROM after a refused password, without one when the server offers no way to give it, and in the clear when
 * STARTTLS was taken out of the answer and is not required. It also takes what follows the answer to STARTTLS, in the clear, for what was said
 * under TLS. None of that may happen, so every command is seen here before it is on the wire.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { MAIL_SECURITY_STARTTLS, MAIL_SECURITY_IF_OFFERED, MAIL_SECURITY_NONE } MailSecurity;

typedef enum {
	MAIL_GO_ON,
	MAIL_STOP_RETRY,   /* send nothing more */
	MAIL_STOP_REFUSED,
} MailVerdict;

typedef struct MailDialogue MailDialogue;

MailDialogue *mail_dialogue_new(MailSecurity security, bool authenticate);
void mail_dialogue_free(MailDialogue *dialogue);

/* Bytes that are about to be sent; the text of the mail is not among them. */
MailVerdict mail_dialogue_writes(MailDialogue *dialogue, const char *bytes, gsize length);
MailVerdict mail_dialogue_read(MailDialogue *dialogue, const char *bytes, gsize length);
/* TLS stands, and the certificate is the server's. */
void mail_dialogue_secured(MailDialogue *dialogue);

/* QUIT was said, or is about to: nothing more will become known. */
bool mail_dialogue_leaving(const MailDialogue *dialogue);

/* After a stop: why, with the server's words. */
const char *mail_dialogue_reason(const MailDialogue *dialogue);
/* The newest whole reply, its lines joined; "" before the first. */
const char *mail_dialogue_last_reply(const MailDialogue *dialogue);
/* "waiting for the answer to EHLO" */
const char *mail_dialogue_step(const MailDialogue *dialogue);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(MailDialogue, mail_dialogue_free)
