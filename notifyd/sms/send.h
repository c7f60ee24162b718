/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/send.h - one request by HTTP. */
#pragma once

#include <libsoup/soup.h>
#include <stdbool.h>

typedef struct {
	const char *method;
	const char *url;
	const char *const *headers; /* "Name: value"; NULL at the end */
	const char *body;	    /* NULL: none */
	const char *content_type;
} SmsRequest;

/* One for all recipients of a job. @ca_path: the only authorities; NULL: the system's. */
SoupSession *sms_session_new(const char *ca_path, GError **error);

/* At most 64 KiB of the answer are read. DELIVERY_ERROR_RETRY: there was none; DELIVERY_ERROR_REFUSED: this is no request. */
bool sms_send(SoupSession *session, const SmsRequest *request, guint *ret_status, char **ret_status_line, char **ret_text, GError **error)
	G_GNUC_WARN_UNUSED_RESULT;
