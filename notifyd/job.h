/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/job.h - what a delivery program is given (DELIVERY.md): made when the event comes, completed when it is delivered. Pure. */
#pragma once

#include "event.h"

/* What the outbox keeps: [job] time-ms, [message], [event]. @subject and @body NULL: from the event. @event NULL: none ([message] only). */
char *notify_job_text(const NotifyEvent *event, const char *subject, const char *body, bool recovery, gint64 now_ms);

/* The whole: with the message's id, the deadline, the target's @keys (key, value, ..., NULL) and its @secret (the file as read; NULL: none).
 * @kind: "mail", "sms", "snmp". */
char *notify_job_complete(const char *text, const char *message, gint64 deadline_ms, bool test, const char *kind, const char *const *keys,
			  const char *secret, const char *const *to, GError **error);

/* One line for a mail's subject or a short message: "[dev-a] SIP: registration rejected". */
char *notify_job_subject(const NotifyEvent *event);
char *notify_job_body(const NotifyEvent *event);
