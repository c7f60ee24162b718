/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/judge.h - what a gateway's answer means. Pure. */
#pragma once

#include "notifyd/delivery/job.h"

/* @success is looked for in the status line ("HTTP/1.1 202 Accepted"), a newline, and the text behind it; ^ is the beginning of
 * the status line, unless the pattern begins with (?m). NULL: any 2xx.
 * What does not match is tried again when the status says that it may do better later (408, 425, 429, 5xx). It is not when a 2xx does
 * not match: each attempt might be a message that somebody pays for. */
DeliveryOutcome sms_judge(guint status, const char *status_line, const char *text, const GRegex *success);

GRegex *sms_success_pattern(const char *text, GError **error);

/* The status line without the protocol's version, and the beginning of the text. */
char *sms_words(const char *status_line, const char *text);
