/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/text.h - how many parts a text takes as SMS (3GPP TS 23.038 and 23.040), and how it is made to fit. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	bool seven_bit; /* in the 7-bit alphabet; else in UCS-2 */
	guint units;	/* septets, or UTF-16 code units, as they are sent */
	guint parts;
} SmsSize;

/* Septets that @c takes in the 7-bit alphabet: 1, 2 (its extension table), 0 (not in it). */
guint sms_septets(gunichar c);

/* 160 septets or 70 code units alone; in several parts 153 or 67 each, and neither an escape nor a surrogate pair is torn. An empty text is one part. */
SmsSize sms_measure(const char *text);

/* @text, which is valid, in the 7-bit alphabet: what that lacks is replaced by what looks or sounds like it, or '?'. */
char *sms_to_seven_bit(const char *text);

/* Any text in at most @max_parts: valid UTF-8, line ends as LF, other control characters as spaces; with "..." where something was cut off. */
char *sms_fit(const char *text, guint max_parts, bool seven_bit, SmsSize *ret_size);

/* A telephone number without blanks and the like: 3 to 20 digits, with or without '+'. NULL: it is none. */
char *sms_number(const char *text, GError **error);
