/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/delivery/job.c - reads a job and writes an answer's lines. Pure. */
#include "notifyd/delivery/job.h"

#include <string.h>

G_DEFINE_QUARK(delivery-error-quark, delivery_error)

#define CA_FOLDER "/etc/understudy/ca.d"

static bool id_ok(const char *id)
{
	gsize length = strlen(id);

	if (length < 1 || length > 200)
		return false;
	for (const char *p = id; *p; p++)
		if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
			return false;
	return true;
}

static bool has_control(const char *text)
{
	for (const char *p = text; *p; p = g_utf8_next_char(p))
		if (g_unichar_iscntrl(g_utf8_get_char(p)))
			return true;
	return false;
}

static bool read_recipients(DeliveryJob *job, GError **error)
{
	gsize n = 0;

	job->to = g_key_file_get_string_list(job->file, "to", "list", &n, error);
	if (!job->to)
		return false;
	if (n < 1 || n > DELIVERY_RECIPIENTS) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "%zu recipients; 1 to %d are possible", n, DELIVERY_RECIPIENTS);
		return false;
	}
	for (gsize i = 0; i < n; i++)
		if (!*job->to[i] || strlen(job->to[i]) > 1000 || has_control(job->to[i])) {
			g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "recipient %zu is no name", i + 1);
			return false;
		}
	return true;
}

DeliveryJob *delivery_job_parse(const char *text, gsize length, GError **error)
{
	g_autoptr(DeliveryJob) job = g_new0(DeliveryJob, 1);
	g_autoptr(GError) number_error = NULL;

	job->file = g_key_file_new();
	if (length > DELIVERY_JOB_BYTES) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "a job of %zu bytes", length);
		return NULL;
	}
	if (!g_utf8_validate_len(text, length, NULL)) {
		g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "not valid UTF-8");
		return NULL;
	}
	if (!g_key_file_load_from_data(job->file, text, length, G_KEY_FILE_NONE, error))
		return NULL;
	job->id = g_key_file_get_string(job->file, "job", "id", error);
	if (!job->id)
		return NULL;
	if (!id_ok(job->id)) {
		g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "id: 1 to 200 letters, digits, '.', '_', '-'");
		return NULL;
	}
	job->time_ms = g_key_file_get_int64(job->file, "job", "time-ms", &number_error);
	if (!number_error)
		job->deadline_ms = g_key_file_get_int64(job->file, "job", "deadline-ms", &number_error);
	if (number_error) {
		g_propagate_error(error, g_steal_pointer(&number_error));
		return NULL;
	}
	/* Times that fit a date of four digits. */
	if (job->time_ms < 0 || job->time_ms > 253402300799999 || job->deadline_ms < 1000 || job->deadline_ms > 600000) {
		g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_JOB, "time-ms or deadline-ms out of range");
		return NULL;
	}
	job->test = g_key_file_get_boolean(job->file, "job", "test", NULL);
	job->subject = g_key_file_get_string(job->file, "message", "subject", error);
	if (!job->subject)
		return NULL;
	job->body = g_key_file_get_string(job->file, "message", "body", error);
	if (!job->body || !read_recipients(job, error))
		return NULL;
	return g_steal_pointer(&job);
}

void delivery_job_free(DeliveryJob *job)
{
	if (!job)
		return;
	g_free(job->id);
	g_strfreev(job->to);
	g_free(job->subject);
	g_free(job->body);
	g_key_file_free(job->file);
	g_free(job);
}

static char *get(const DeliveryJob *job, const char *group, const char *key)
{
	g_autofree char *value = g_key_file_get_string(job->file, group, key, NULL);

	return value && *value ? g_steal_pointer(&value) : NULL;
}

char *delivery_job_target(const DeliveryJob *job, const char *key)
{
	return get(job, "target", key);
}

char *delivery_job_event(const DeliveryJob *job, const char *key)
{
	return get(job, "event", key);
}

char *delivery_clean_words(const char *words)
{
	g_autofree char *valid = g_utf8_make_valid(words ? words : "", -1);
	GString *clean = g_string_new(NULL);

	for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		/* Line ends and what else moves a cursor, the separators of Unicode included. */
		if (g_unichar_iscntrl(c) || c == ' ' || c == 0x2028 || c == 0x2029)
			c = ' ';
		if (c == ' ' && (clean->len == 0 || clean->str[clean->len - 1] == ' '))
			continue;
		if (clean->len + g_unichar_to_utf8(c, NULL) > DELIVERY_WORDS_BYTES)
			break;
		g_string_append_unichar(clean, c);
	}
	if (clean->len && clean->str[clean->len - 1] == ' ')
		g_string_truncate(clean, clean->len - 1);
	return g_string_free(clean, FALSE);
}

char *delivery_hide(const char *words, const GPtrArray *secrets)
{
	g_autofree char *hidden = g_strdup(words ? words : "");

	for (guint i = 0; i < secrets->len; i++) {
		const char *secret = g_ptr_array_index(secrets, i);
		g_auto(GStrv) pieces = *secret && strstr(hidden, secret) ? g_strsplit(hidden, secret, -1) : NULL;

		if (pieces) {
			g_free(hidden);
			hidden = g_strjoinv("***", pieces);
		}
	}
	return g_steal_pointer(&hidden);
}

char *delivery_line(DeliveryOutcome outcome, const char *recipient, const char *words)
{
	static const char *const names[] = {
		[DELIVERY_ACCEPTED] = "accepted",
		[DELIVERY_RETRY] = "retry",
		[DELIVERY_REFUSED] = "refused",
	};
	g_autofree char *clean = delivery_clean_words(words);

	return g_strdup_printf("%s\t%s\t%s\n", names[outcome], recipient, clean);
}

static bool host_ok(const char *host)
{
	gsize length = strlen(host);

	if (length < 1 || length > 253 || *host == '-' || *host == '.')
		return false;
	for (const char *p = host; *p; p++)
		if (!g_ascii_isalnum(*p) && !strchr(".-_:%", *p))
			return false;
	return true;
}

bool delivery_parse_host(const char *text, guint16 default_port, char **ret_host, guint16 *ret_port, GError **error)
{
	g_autofree char *host = NULL;
	const char *port = NULL;
	guint64 number = default_port;

	if (*text == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			goto bad;
		host = g_strndup(text + 1, end - text - 1);
		port = end[1] ? end + 2 : NULL;
	} else {
		const char *colon = strchr(text, ':');

		/* With a second colon it is an IPv6 address without a port. */
		if (colon && !strchr(colon + 1, ':')) {
			host = g_strndup(text, colon - text);
			port = colon + 1;
		} else {
			host = g_strdup(text);
		}
	}
	if (!host_ok(host) || (port && !g_ascii_string_to_unsigned(port, 10, 1, 65535, &number, NULL)))
		goto bad;
	*ret_host = g_steal_pointer(&host);
	*ret_port = number;
	return true;
bad:
	g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "\"%s\" is no HOST or HOST:PORT", text);
	return false;
}

char *delivery_ca_path(const char *name, GError **error)
{
	gsize length = strlen(name);
	bool ok = length >= 1 && length <= 64 && *name != '.';

	for (const char *p = name; ok && *p; p++)
		ok = g_ascii_isalnum(*p) || strchr("._-", *p);
	if (!ok) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, "ca=%s is no name of a file in " CA_FOLDER, name);
		return NULL;
	}
	return g_strdup_printf(CA_FOLDER "/%s.pem", name);
}
