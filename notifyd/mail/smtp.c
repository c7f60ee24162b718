/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/smtp.c - libesmtp, and the way round each of its traps: README.md has the list. */
#include "notifyd/mail/smtp.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <auth-client.h>
#include <libesmtp.h>

#include "notifyd/mail/connect.h"
#include "notifyd/mail/shim.h"
#include "notifyd/mail/tls.h"

#define FAREWELL_MS 500 /* for the answer to QUIT: all is known by then */

typedef struct {
	DeliveryRun *run;
	const MailServer *server;
	const MailMessage *message;
	MailDialogue *dialogue;
	const char *text;
	bool text_given;
	smtp_message_t handle;
	bool body_sent;
} Session;

static void stop(Session *session, MailVerdict verdict)
{
	if (verdict == MAIL_GO_ON)
		return;
	delivery_run_answer_all(session->run, verdict == MAIL_STOP_REFUSED ? DELIVERY_REFUSED : DELIVERY_RETRY,
				mail_dialogue_reason(session->dialogue));
	/* libesmtp cannot be told to stop, and what it has in hand must not be sent. */
	delivery_run_end(session->run);
}

/* Those whose answer did not come with an event of its own. */
static void answer_the_rest(Session *session)
{
	const char *reply = mail_dialogue_last_reply(session->dialogue);
	char buffer[256] = "";
	g_autofree char *words = NULL;

	if (mail_tls_problem()) {
		words = g_strdup(mail_tls_problem());
	} else if (*reply == '4' || *reply == '5') {
		words = g_strdup(reply);
	} else {
		int number = smtp_errno();

		if (number == SMTP_ERR_EXTENSION_NOT_AVAILABLE)
			words = g_strdup("no STARTTLS offered");
		else
			words = g_strdup_printf("%s, %s%s%s", mail_dialogue_step(session->dialogue),
						smtp_strerror(number, buffer, sizeof(buffer)) ?: "the connection ended",
						*reply ? "; the last answer was: " : "", reply);
	}
	delivery_run_answer_all(session->run, DELIVERY_RETRY, words);
}

static void monitor(const char *bytes, int length, int writing, void *data)
{
	Session *session = data;

	if (writing == SMTP_CB_HEADERS || length <= 0)
		return;
	if (writing == SMTP_CB_WRITING)
		stop(session, mail_dialogue_writes(session->dialogue, bytes, length));
	else
		stop(session, mail_dialogue_read(session->dialogue, bytes, length));
	if (mail_dialogue_leaving(session->dialogue)) {
		answer_the_rest(session);
		mail_shim_hurry(FAREWELL_MS);
	}
	delivery_run_step(session->run, "%s: %s", session->server->host, mail_dialogue_step(session->dialogue));
}

/* "550 5.1.1 nobody of that name" */
static char *status_words(const smtp_status_t *status)
{
	if (status->enh_class)
		return g_strdup_printf("%d %d.%d.%d %s", status->code, status->enh_class, status->enh_subject, status->enh_detail,
				       status->text ? status->text : "");
	return g_strdup_printf("%d %s", status->code, status->text ? status->text : "");
}

static DeliveryOutcome outcome_of(int code)
{
	return code / 100 == 5 ? DELIVERY_REFUSED : DELIVERY_RETRY;
}

static void recipient_told(smtp_recipient_t recipient, const char *mailbox, void *data)
{
	Session *session = data;
	const smtp_status_t *status = smtp_recipient_status(recipient);
	const smtp_status_t *sent = smtp_message_transfer_status(session->handle);
	guint i = GPOINTER_TO_UINT(smtp_recipient_get_application_data(recipient));
	g_autofree char *words = NULL;

	if (!status || status->code / 100 != 2) { /* answered when it was told */
		words = status && status->code ? status_words(status) : g_strdup("not asked for");
		delivery_run_answer(session->run, i, outcome_of(status ? status->code : 0), words);
	} else if (sent && sent->code / 100 == 2 && session->body_sent) {
		words = status_words(sent);
		delivery_run_answer(session->run, i, DELIVERY_ACCEPTED, words);
	} else if (sent && sent->code) {
		words = status_words(sent);
		delivery_run_answer(session->run, i, outcome_of(sent->code), words);
	}
}

static void event(smtp_session_t handle, int number, void *data, ...)
{
	Session *session = data;
	va_list arguments;

	va_start(arguments, data);
	switch (number) {
	case SMTP_EV_STARTTLS_OK:
		mail_dialogue_secured(session->dialogue);
		break;
	case SMTP_EV_WRONG_PEER_CERTIFICATE: {
		/* By libesmtp's own idea of the name. OpenSSL has checked the configured one, or the handshake would have failed. */
		int *ok = va_arg(arguments, int *);
		(void)va_arg(arguments, char *);
		SSL *ssl = va_arg(arguments, SSL *);

		*ok = SSL_get_verify_result(ssl) == X509_V_OK && (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER);
		break;
	}
	case SMTP_EV_MAILSTATUS: {
		const smtp_status_t *status = smtp_reverse_path_status(session->handle);

		if (status && status->code / 100 != 2) {
			g_autofree char *words = status_words(status);

			delivery_run_answer_all(session->run, outcome_of(status->code), words);
		}
		break;
	}
	case SMTP_EV_RCPTSTATUS: {
		(void)va_arg(arguments, const char *);
		smtp_recipient_t recipient = va_arg(arguments, smtp_recipient_t);
		const smtp_status_t *status = smtp_recipient_status(recipient);

		if (status && status->code / 100 != 2)
			recipient_told(recipient, NULL, session);
		break;
	}
	case SMTP_EV_MESSAGEDATA:
		session->body_sent = true;
		break;
	case SMTP_EV_MESSAGESENT:
		/* The answer to DATA, or to the whole message: only the latter says that somebody has it. */
		smtp_enumerate_recipients(session->handle, recipient_told, session);
		break;
	default:
		break;
	}
	va_end(arguments);
	if (delivery_run_all_answered(session->run))
		mail_shim_hurry(FAREWELL_MS);
}

/* Gives the message in one piece. libesmtp frees *@context. */
static const char *give_text(void **context, int *length, void *data)
{
	Session *session = data;
	bool again = !length; /* from the beginning */

	*context = NULL;
	if (!again)
		*length = session->text_given ? 0 : (int)strlen(session->text);
	session->text_given = !again;
	return again || *length == 0 ? NULL : session->text;
}

static int interact(auth_client_request_t request, char **result, int fields, void *data)
{
	const Session *session = data;

	for (int i = 0; i < fields; i++) {
		if (request[i].flags & AUTH_USER)
			result[i] = (char *)session->server->user;
		else if (request[i].flags & AUTH_PASS)
			result[i] = (char *)session->server->password;
		else
			return 0;
	}
	return 1;
}

/* A name with a domain, or the address: servers refuse others. */
static char *hello_name(int fd)
{
	struct utsname name;
	bool ok = uname(&name) == 0 && strchr(name.nodename, '.');

	for (const char *p = name.nodename; ok && *p; p++)
		ok = g_ascii_isalnum(*p) || *p == '.' || *p == '-';
	return ok ? g_strdup(name.nodename) : mail_local_literal(fd);
}

void mail_smtp_send(DeliveryRun *run, const MailServer *server, const MailMessage *message)
{
	g_autofree char *text = mail_message_compose(message), *hello = NULL;
	Session session = { .run = run, .server = server, .message = message, .text = text };
	g_autoptr(GError) error = NULL;
	smtp_session_t handle;
	SSL_CTX *tls = NULL;
	int fd;

	/* libesmtp takes a certificate of its user's from ~/.authenticate, and then frees it twice. */
	g_setenv("HOME", "/nonexistent", TRUE);
	if (server->security != MAIL_SECURITY_NONE && !(tls = mail_tls_new(server->host, server->ca_path, &error))) {
		delivery_run_fail(run, error);
		return;
	}
	delivery_run_step(run, "connecting to %s port %u", server->host, server->port);
	fd = mail_connect(server->host, server->port, delivery_run_left_ms(run), &error);
	if (fd < 0) {
		delivery_run_fail(run, error);
		return;
	}
	session.dialogue = mail_dialogue_new(server->security, server->user);
	delivery_run_step(run, "%s: %s", server->host, mail_dialogue_step(session.dialogue));

	auth_client_init();
	handle = smtp_create_session();
	hello = hello_name(fd);
	smtp_set_hostname(handle, hello);
	mail_shim_give(fd);
	smtp_set_server(handle, MAIL_SHIM_SERVER);
	smtp_set_eventcb(handle, event, &session);
	smtp_set_monitorcb(handle, monitor, &session, 0);
	if (tls) {
		smtp_starttls_enable(handle, server->security == MAIL_SECURITY_STARTTLS ? Starttls_REQUIRED : Starttls_ENABLED);
		/* Always one of ours: libesmtp's own is used after it was freed (its issue 30). */
		smtp_starttls_set_ctx(handle, tls);
	}
	if (server->user) {
		auth_context_t context = auth_create_context();

		auth_set_mechanism_flags(context, AUTH_PLUGIN_PLAIN, 0);
		auth_set_interact_cb(context, interact, &session);
		smtp_auth_set_context(handle, context);
	}
	session.handle = smtp_add_message(handle);
	smtp_set_reverse_path(session.handle, message->from);
	for (guint i = 0; message->to[i]; i++) {
		smtp_recipient_t recipient = smtp_add_recipient(session.handle, message->to[i]);

		smtp_recipient_set_application_data_release(recipient, GUINT_TO_POINTER(message->numbers[i]), NULL);
	}
	smtp_set_messagecb(session.handle, give_text, &session);
	/* What it returns says nothing: 1 for nearly every failure. The answers were given on the way. */
	(void)smtp_start_session(handle);
	answer_the_rest(&session);
	/* Nothing is destroyed: the process ends now. */
}
