/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/sms/send.c - libsoup, without redirections, proxies, cookies or anything else that asks somebody else. */
#include "notifyd/sms/send.h"

#include <string.h>

#include "notifyd/delivery/job.h"

#define ANSWER_BYTES 65536

SoupSession *sms_session_new(const char *ca_path, GError **error)
{
	g_autoptr(SoupSession) session = soup_session_new();
	g_autoptr(GTlsDatabase) authorities = NULL;
	g_autoptr(GError) cause = NULL;

	soup_session_set_proxy_resolver(session, NULL);
	soup_session_set_timeout(session, 0); /* the run's deadline is the one */
	soup_session_set_user_agent(session, "understudy/" UNDERSTUDY_VERSION);
	if (ca_path) {
		authorities = g_tls_file_database_new(ca_path, &cause);
		if (!authorities) {
			g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, "%s: %s", ca_path, cause->message);
			return NULL;
		}
		soup_session_set_tls_database(session, authorities);
	}
	return g_steal_pointer(&session);
}

static gboolean refuse_certificate(SoupMessage *message, GTlsCertificate *certificate, GTlsCertificateFlags flags, gpointer data)
{
	static const struct {
		GTlsCertificateFlags flag;
		const char *text;
	} reasons[] = {
		{ G_TLS_CERTIFICATE_UNKNOWN_CA, "of an authority that is not trusted" },
		{ G_TLS_CERTIFICATE_BAD_IDENTITY, "of another host" },
		{ G_TLS_CERTIFICATE_NOT_ACTIVATED, "not valid yet" },
		{ G_TLS_CERTIFICATE_EXPIRED, "expired" },
		{ G_TLS_CERTIFICATE_REVOKED, "revoked" },
		{ G_TLS_CERTIFICATE_INSECURE, "insecure" },
	};
	GString *problem = data;

	for (guint i = 0; i < G_N_ELEMENTS(reasons); i++)
		if (flags & reasons[i].flag)
			g_string_append_printf(problem, "%s%s", problem->len ? ", " : "", reasons[i].text);
	return FALSE;
}

static bool read_answer(GInputStream *stream, char **ret_text, GError **error)
{
	g_autofree char *text = g_malloc(ANSWER_BYTES + 1);
	g_autoptr(GError) cause = NULL;
	gsize n = 0;

	/* With a status, what could be read of the text is enough. */
	if (!g_input_stream_read_all(stream, text, ANSWER_BYTES, &n, NULL, &cause) && n == 0) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, "the gateway's answer: %s", cause->message);
		return false;
	}
	text[n] = '\0';
	*ret_text = g_utf8_make_valid(text, n);
	return true;
}

static void add_headers(SoupMessage *message, const SmsRequest *request)
{
	SoupMessageHeaders *headers = soup_message_get_request_headers(message);

	for (guint i = 0; request->headers[i]; i++) {
		g_auto(GStrv) pair = g_strsplit(request->headers[i], ":", 2);

		if (g_strv_length(pair) == 2)
			soup_message_headers_replace(headers, g_strstrip(pair[0]), g_strstrip(pair[1]));
	}
}

bool sms_send(SoupSession *session, const SmsRequest *request, guint *ret_status, char **ret_status_line, char **ret_text, GError **error)
{
	g_autoptr(SoupMessage) message = soup_message_new(request->method, request->url);
	g_autoptr(GInputStream) stream = NULL;
	g_autoptr(GString) problem = g_string_new(NULL);
	g_autoptr(GError) cause = NULL;

	if (!message) {
		g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "url: this is none");
		return false;
	}
	/* Elsewhere would be somebody else, who would get the password too; and what is sent again on another connection may be a second message. */
	soup_message_add_flags(message, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_NEW_CONNECTION | SOUP_MESSAGE_DO_NOT_USE_AUTH_CACHE);
	soup_message_disable_feature(message, SOUP_TYPE_AUTH_MANAGER);
	g_signal_connect(message, "accept-certificate", G_CALLBACK(refuse_certificate), problem);
	if (request->body) {
		g_autoptr(GBytes) body = g_bytes_new(request->body, strlen(request->body));

		soup_message_set_request_body_from_bytes(message, request->content_type, body);
	}
	add_headers(message, request);
	stream = soup_session_send(session, message, NULL, &cause);
	if (!stream) {
		if (problem->len)
			g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, "the gateway's certificate is %s", problem->str);
		else
			g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, cause->message);
		return false;
	}
	if (!read_answer(stream, ret_text, error))
		return false;
	*ret_status = soup_message_get_status(message);
	g_autofree char *reason = g_utf8_make_valid(soup_message_get_reason_phrase(message) ?: "", -1);
	*ret_status_line = g_strdup_printf("HTTP/%s %u %s",
					   soup_message_get_http_version(message) == SOUP_HTTP_2_0 ? "2" :
					   soup_message_get_http_version(message) == SOUP_HTTP_1_0 ? "1.0" : "1.1",
					   *ret_status, reason);
	return true;
}
