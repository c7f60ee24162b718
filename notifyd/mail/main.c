/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/main.c - understudy-mail: delivers one mail. What it is told and answers: notifyd/DELIVERY.md. */
#include <string.h>
#include <unistd.h>

#include "notifyd/delivery/answer.h"
#include "notifyd/mail/encode.h"
#include "notifyd/mail/sendmail.h"
#include "notifyd/mail/smtp.h"

#define DEFAULT_PORT 587

static bool read_security(const char *word, MailSecurity *ret_security, GError **error)
{
	if (!word || strcmp(word, "starttls") == 0)
		*ret_security = MAIL_SECURITY_STARTTLS;
	else if (strcmp(word, "starttls-if-offered") == 0)
		*ret_security = MAIL_SECURITY_IF_OFFERED;
	else if (strcmp(word, "none") == 0)
		*ret_security = MAIL_SECURITY_NONE;
	else {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "security=%s is not known", word);
		return false;
	}
	return true;
}

static bool credential_ok(const char *what, const char *text, GError **error)
{
	if (strlen(text) <= MAIL_CREDENTIAL_BYTES)
		return true;
	g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "the %s is longer than %d bytes", what, MAIL_CREDENTIAL_BYTES);
	return false;
}

static void by_smtp(DeliveryRun *run, const MailMessage *message)
{
	const DeliveryJob *job = delivery_run_job(run);
	g_autofree char *address = delivery_job_target(job, "server"), *security = delivery_job_target(job, "security"),
			*ca = delivery_job_target(job, "ca"), *user = delivery_job_target(job, "user"),
			*password = delivery_job_target(job, "password"), *host = NULL, *ca_path = NULL;
	MailServer server = { 0 };
	g_autoptr(GError) error = NULL;

	delivery_run_hide(run, password);
	if (!address)
		g_set_error_literal(&error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "the target has no server");
	else if (user && !password)
		g_set_error_literal(&error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "the target has a user and no password");
	if (error || !delivery_parse_host(address, DEFAULT_PORT, &host, &server.port, &error) ||
	    !read_security(security, &server.security, &error) || (ca && !(ca_path = delivery_ca_path(ca, &error))) ||
	    (user && (!credential_ok("user", user, &error) || !credential_ok("password", password, &error)))) {
		delivery_run_fail(run, error);
		return;
	}
	server.host = host;
	server.ca_path = ca_path;
	server.user = user;
	server.password = password;
	mail_smtp_send(run, &server, message);
}

/* The sender: from=, else the user when that is an address, else this device. */
static bool read_sender(const DeliveryJob *job, bool local_ok, char **ret_name, char **ret_address, GError **error)
{
	g_autofree char *from = delivery_job_target(job, "from"), *user = delivery_job_target(job, "user");

	if (from)
		return mail_parse_mailbox(from, local_ok, ret_name, ret_address, error);
	if (user && mail_address_check(user, false, NULL)) {
		*ret_address = g_steal_pointer(&user);
		return true;
	}
	*ret_address = g_strdup_printf("understudy@%s", g_get_host_name());
	return mail_address_check(*ret_address, false, error);
}

int main(void)
{
	DeliveryRun *run = delivery_run_begin("understudy-mail", STDIN_FILENO);
	g_autofree char *transport = NULL, *name = NULL, *from = NULL;
	g_autoptr(GPtrArray) addresses = NULL;
	g_autoptr(GArray) numbers = NULL;
	g_autoptr(GError) error = NULL;
	MailMessage message = { 0 };
	const DeliveryJob *job;
	bool sendmail;

	if (!run)
		return 2;
	job = delivery_run_job(run);
	transport = delivery_job_target(job, "transport");
	sendmail = g_strcmp0(transport, "sendmail") == 0;
	if (transport && !sendmail && strcmp(transport, "smtp") != 0)
		g_set_error(&error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "transport=%s is not known", transport);
	if (error || !read_sender(job, sendmail, &name, &from, &error)) {
		delivery_run_fail(run, error);
		return delivery_run_end(run);
	}
	addresses = g_ptr_array_new();
	numbers = g_array_new(FALSE, FALSE, sizeof(guint));
	for (guint i = 0; job->to[i]; i++) {
		if (mail_address_check(job->to[i], sendmail, &error)) {
			g_ptr_array_add(addresses, job->to[i]);
			g_array_append_val(numbers, i);
			continue;
		}
		/* One that is none takes no others with it. */
		delivery_run_answer(run, i, DELIVERY_REFUSED, error->message);
		g_clear_error(&error);
	}
	if (addresses->len == 0)
		return delivery_run_end(run);
	g_ptr_array_add(addresses, NULL);
	message = (MailMessage){ .id = job->id, .from_name = name, .from = from, .to = (const char *const *)addresses->pdata,
				 .numbers = (const guint *)(void *)numbers->data, .subject = job->subject, .body = job->body, .time_ms = job->time_ms };
	if (sendmail)
		mail_sendmail_send(run, &message);
	else
		by_smtp(run, &message);
	return delivery_run_end(run);
}
