/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/sendmail.h - one message by the system's sendmail command: postfix, exim, msmtp and others have one. */
#pragma once

#include "notifyd/delivery/answer.h"
#include "notifyd/mail/message.h"

/* Answers for each recipient; the command has one result for all of them. */
void mail_sendmail_send(DeliveryRun *run, const MailMessage *message);

/* What a status of sysexits.h means. Pure. */
DeliveryOutcome mail_sendmail_outcome(int status);
