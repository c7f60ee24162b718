/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/template.h - fills values into an URL, a header or a body, so that no value can be more than a value. Pure. */
#pragma once

#include <glib.h>

typedef struct {
	const char *name;
	const char *value;
} SmsValue;

typedef enum {
	SMS_PLACE_URL,	  /* percent-encoded, all but letters, digits, '-', '_' and '.'; ".." alone is "__" */
	SMS_PLACE_FORM,	  /* the same */
	SMS_PLACE_JSON,	  /* inside the quotes of a string */
	SMS_PLACE_HEADER, /* one line of printable ASCII */
} SmsPlace;

/* Each "{name}" becomes the value of that name, once: what stands in a value is never filled. Other braces are text; a name of letters that is none of
 * @values (which ends with a NULL name) is an error. */
char *sms_template_fill(const char *template, SmsPlace place, const SmsValue *values, GError **error);
