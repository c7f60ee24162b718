/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/delivery/job.h - what a program that delivers is told, and how it answers: notifyd/DELIVERY.md. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define DELIVERY_JOB_BYTES    (4 * 1024 * 1024)
#define DELIVERY_WORDS_BYTES  500
#define DELIVERY_RECIPIENTS   100

#define DELIVERY_ERROR delivery_error_quark()
GQuark delivery_error_quark(void);
typedef enum {
	DELIVERY_ERROR_JOB,     /* the job breaks the contract */
	DELIVERY_ERROR_REFUSED, /* will never work like this: a setting, a text that cannot be sent */
	DELIVERY_ERROR_RETRY,   /* not now */
} DeliveryError;

typedef struct {
	char *id;
	gint64 time_ms;
	gint64 deadline_ms; /* for the whole run */
	bool test;
	char **to; /* at least one */
	char *subject;
	char *body;
	GKeyFile *file; /* for [target] and [event] */
} DeliveryJob;

DeliveryJob *delivery_job_parse(const char *text, gsize length, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void delivery_job_free(DeliveryJob *job); /* NULL is fine */

/* A key of [target] or [event]; NULL when it is absent or empty. */
char *delivery_job_target(const DeliveryJob *job, const char *key);
char *delivery_job_event(const DeliveryJob *job, const char *key);

typedef enum { DELIVERY_ACCEPTED, DELIVERY_RETRY, DELIVERY_REFUSED } DeliveryOutcome;

/* The line for one recipient, with its newline. */
char *delivery_line(DeliveryOutcome outcome, const char *recipient, const char *words);

/* @words as they may stand in a line: valid UTF-8, no control characters, no runs of spaces, bounded. */
char *delivery_clean_words(const char *words);

/* @words without any of @secrets (char *), each of which becomes "***". */
char *delivery_hide(const char *words, const GPtrArray *secrets);

/* "mail.example", "mail.example:587", "[2001:db8::1]:25", "192.0.2.1". The host is without brackets. */
bool delivery_parse_host(const char *text, guint16 default_port, char **ret_host, guint16 *ret_port, GError **error)
	G_GNUC_WARN_UNUSED_RESULT;

/* The file of the certificate authority that a target names: /etc/understudy/ca.d/NAME.pem. A name never leads elsewhere. */
char *delivery_ca_path(const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DeliveryJob, delivery_job_free)
