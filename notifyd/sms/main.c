/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/main.c - understudy-sms: delivers one SMS by a gateway. What it is told and answers: notifyd/DELIVERY.md. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "notifyd/delivery/answer.h"
#include "notifyd/sms/judge.h"
#include "notifyd/sms/send.h"
#include "notifyd/sms/template.h"
#include "notifyd/sms/text.h"

#define DEFAULT_PARTS 3
#define MOST_PARTS    10

enum { VALUE_TO, VALUE_TEXT, VALUE_USER, VALUE_PASSWORD, VALUE_BASIC, VALUE_ID, VALUE_APPLICATION, VALUE_NAME, VALUE_PRIORITY, VALUE_DEVICE, N_VALUES };

static const char *const value_names[N_VALUES] = { "to", "text", "user", "password", "basic", "id", "application", "name", "priority", "device" };

typedef struct {
	DeliveryRun *run;
	const DeliveryJob *job;
	SoupSession *session;
	GRegex *success; /* NULL: any 2xx */
	char *values[N_VALUES];
	SmsSize size;
} Sms;

static char *fill(const Sms *sms, const char *key, SmsPlace place, GError **error)
{
	g_autofree char *template = delivery_job_target(sms->job, key);
	SmsValue values[N_VALUES + 1] = { 0 };

	for (guint i = 0; i < N_VALUES; i++)
		values[i] = (SmsValue){ value_names[i], sms->values[i] };
	return template ? sms_template_fill(template, place, values, error) : NULL;
}

/* Takes the text of the message into the values. */
static bool take_text(Sms *sms, GError **error)
{
	const DeliveryJob *job = sms->job;
	g_autofree char *max = delivery_job_target(job, "max-parts"), *seven = delivery_job_target(job, "seven-bit"), *text = NULL;
	guint64 parts = DEFAULT_PARTS;

	if (max && !g_ascii_string_to_unsigned(max, 10, 1, MOST_PARTS, &parts, NULL)) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "max-parts=%s is not 1 to %d", max, MOST_PARTS);
		return false;
	}
	/* The body alone where it says it all; else the subject is the beginning, and what does not fit is the body's end. */
	if (!*job->body || !*job->subject || g_str_has_prefix(job->body, job->subject))
		text = g_strdup(*job->body ? job->body : job->subject);
	else
		text = g_strdup_printf("%s\n%s", job->subject, job->body);
	sms->values[VALUE_TEXT] = sms_fit(text, (guint)parts, g_strcmp0(seven, "true") == 0, &sms->size);
	if (*sms->values[VALUE_TEXT])
		return true;
	g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "there is no text");
	return false;
}

static void take_secrets(Sms *sms)
{
	const char *user, *password;

	sms->values[VALUE_USER] = delivery_job_target(sms->job, "user");
	sms->values[VALUE_PASSWORD] = delivery_job_target(sms->job, "password");
	user = sms->values[VALUE_USER] ? sms->values[VALUE_USER] : "";
	password = sms->values[VALUE_PASSWORD];
	if (!password)
		return;
	g_autofree char *both = g_strdup_printf("%s:%s", user, password);
	g_autofree char *encoded = g_uri_escape_string(password, NULL, FALSE);

	sms->values[VALUE_BASIC] = g_base64_encode((const guchar *)both, strlen(both));
	/* However a gateway repeats it. */
	delivery_run_hide(sms->run, password);
	delivery_run_hide(sms->run, encoded);
	delivery_run_hide(sms->run, sms->values[VALUE_BASIC]);
}

static bool begin(Sms *sms, GError **error)
{
	static const char *const event_keys[] = { "application", "name", "priority", "device" };
	g_autofree char *success = delivery_job_target(sms->job, "success"), *ca = delivery_job_target(sms->job, "ca"), *ca_path = NULL,
			*url = delivery_job_target(sms->job, "url");

	if (!url) {
		g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "the target has no url");
		return false;
	}
	take_secrets(sms);
	sms->values[VALUE_ID] = g_strdup(sms->job->id);
	for (guint i = 0; i < G_N_ELEMENTS(event_keys); i++)
		sms->values[VALUE_APPLICATION + i] = delivery_job_event(sms->job, event_keys[i]);
	if (!take_text(sms, error) || (success && !(sms->success = sms_success_pattern(success, error))) ||
	    (ca && !(ca_path = delivery_ca_path(ca, error))))
		return false;
	sms->session = sms_session_new(ca_path, error);
	return sms->session != NULL;
}

static bool fill_request(const Sms *sms, SmsRequest *request, GPtrArray *texts, GError **error)
{
	static const char *const header_keys[] = { "header", "header-2", "header-3" };
	g_autofree char *encoding = delivery_job_target(sms->job, "body-encoding"), *method = delivery_job_target(sms->job, "method");
	bool json = g_strcmp0(encoding, "json") == 0;
	const char **headers = g_new0(const char *, G_N_ELEMENTS(header_keys) + 1);
	g_autoptr(GError) cause = NULL;
	char *text;
	guint n = 0;

	g_ptr_array_add(texts, headers);
	request->headers = headers;
	for (guint i = 0; i < G_N_ELEMENTS(header_keys) && !cause; i++)
		if ((text = fill(sms, header_keys[i], SMS_PLACE_HEADER, &cause))) {
			g_ptr_array_add(texts, text);
			headers[n++] = text;
		}
	if (!cause && (text = fill(sms, "url", SMS_PLACE_URL, &cause))) {
		g_ptr_array_add(texts, text);
		request->url = text;
	}
	if (!cause && (text = fill(sms, "body", json ? SMS_PLACE_JSON : SMS_PLACE_FORM, &cause))) {
		g_ptr_array_add(texts, text);
		request->body = text;
	}
	if (cause) {
		g_propagate_error(error, g_steal_pointer(&cause));
		return false;
	}
	request->content_type = json ? "application/json" : "application/x-www-form-urlencoded";
	request->method = g_intern_string(method ? method : request->body ? "POST" : "GET");
	return true;
}

static void send_one(Sms *sms, guint i)
{
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *status_line = NULL, *text = NULL, *words = NULL, *told = NULL;
	SmsRequest request = { 0 };
	g_autoptr(GError) error = NULL;
	DeliveryOutcome outcome;
	guint status;

	g_free(sms->values[VALUE_TO]);
	sms->values[VALUE_TO] = sms_number(sms->job->to[i], &error);
	delivery_run_step(sms->run, "waiting for the gateway, about %s", sms->job->to[i]);
	if (!sms->values[VALUE_TO] || !fill_request(sms, &request, texts, &error) ||
	    !sms_send(sms->session, &request, &status, &status_line, &text, &error)) {
		outcome = g_error_matches(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED) ? DELIVERY_REFUSED : DELIVERY_RETRY;
		delivery_run_answer(sms->run, i, outcome, error->message);
		return;
	}
	outcome = sms_judge(status, status_line, text, sms->success);
	words = sms_words(status_line, text);
	if (outcome == DELIVERY_ACCEPTED)
		told = g_strdup_printf("%u part%s %s; %s", sms->size.parts, sms->size.parts == 1 ? "" : "s",
				       sms->size.seven_bit ? "of 7 bit" : "of UCS-2", words);
	delivery_run_answer(sms->run, i, outcome, told ? told : words);
}

int main(void)
{
	DeliveryRun *run = delivery_run_begin("understudy-sms", STDIN_FILENO);
	g_autoptr(GError) error = NULL;
	Sms sms = { .run = run };

	if (!run)
		return 2;
	sms.job = delivery_run_job(run);
	if (begin(&sms, &error))
		for (guint i = 0; sms.job->to[i]; i++)
			send_one(&sms, i);
	else
		delivery_run_fail(run, error);
	return delivery_run_end(run);
}
