/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/job.c - a delivery as GKeyFile text. */
#include "job.h"

#include <string.h>

char *notify_job_subject(const NotifyEvent *event)
{
	return g_strdup_printf("[%s] %s: %s", event->device, event->application, event->name);
}

char *notify_job_body(const NotifyEvent *event)
{
	g_autoptr(GDateTime) utc = g_date_time_new_from_unix_utc(event->time_ms / 1000);
	g_autoptr(GDateTime) local = utc ? g_date_time_to_local(utc) : NULL;
	g_autofree char *time = local ? g_date_time_format(local, "%Y-%m-%d %H:%M:%S %z") : g_strdup_printf("%" G_GINT64_FORMAT " ms", event->time_ms);

	return g_strdup_printf("%s\n%s%s%s\nDevice %s, priority %u\n%s\n", *event->description ? event->description : event->name,
			       *event->reference ? "See " : "", event->reference, *event->reference ? "\n" : "",
			       event->device, event->priority, time);
}

char *notify_job_text(const NotifyEvent *event, const char *subject, const char *body, bool recovery, gint64 now_ms)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *own_subject = subject ? g_strdup(subject) : notify_job_subject(event);
	g_autofree char *own_body = body ? g_strdup(body) : notify_job_body(event);

	g_key_file_set_int64(file, "job", "time-ms", event ? event->time_ms : now_ms);
	g_key_file_set_string(file, "message", "subject", own_subject);
	g_key_file_set_string(file, "message", "body", own_body);
	if (event) {
		g_key_file_set_string(file, "event", "application", event->application);
		g_key_file_set_string(file, "event", "name", event->name);
		g_key_file_set_integer(file, "event", "priority", event->priority);
		g_key_file_set_string(file, "event", "description", event->description);
		g_key_file_set_string(file, "event", "reference", event->reference);
		g_key_file_set_string(file, "event", "device", event->device);
		g_key_file_set_boolean(file, "event", "recovery", recovery);
	}
	return g_key_file_to_data(file, NULL, NULL);
}

static const char *const *key_of(const char *const *keys, const char *name)
{
	for (; keys && *keys; keys += 2)
		if (g_str_equal(keys[0], name))
			return keys + 1;
	return NULL;
}

/* Which line of the secret's file is what. */
static void put_secret(GKeyFile *file, const char *kind, const char *const *keys, const char *secret)
{
	g_auto(GStrv) lines = g_strsplit(secret, "\n", 3);
	guint n = g_strv_length(lines);
	const char *first = n > 0 ? g_strchomp(lines[0]) : "", *second = n > 1 ? g_strchomp(lines[1]) : "";

	if (!g_str_equal(kind, "snmp")) {
		g_key_file_set_string(file, "target", "password", first);
		return;
	}
	const char *const *version = key_of(keys, "version");

	if (version && g_str_equal(*version, "3")) {
		g_key_file_set_string(file, "target", "auth-password", first);
		g_key_file_set_string(file, "target", "priv-password", second);
	} else {
		g_key_file_set_string(file, "target", "community", first);
	}
}

char *notify_job_complete(const char *text, const char *message, gint64 deadline_ms, bool test, const char *kind, const char *const *keys,
			  const char *secret, const char *const *to, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();

	if (!g_key_file_load_from_data(file, text, (gsize)-1, G_KEY_FILE_NONE, error))
		return NULL;
	/* What another device made has no say in where it goes. */
	(void)g_key_file_remove_group(file, "target", NULL);
	(void)g_key_file_remove_group(file, "to", NULL);
	g_key_file_set_string(file, "job", "id", message);
	g_key_file_set_int64(file, "job", "deadline-ms", deadline_ms);
	g_key_file_set_boolean(file, "job", "test", test);
	if (g_key_file_has_group(file, "event"))
		g_key_file_set_string(file, "event", "id", message);
	for (const char *const *key = keys; key && *key; key += 2)
		g_key_file_set_string(file, "target", key[0], key[1]);
	if (secret)
		put_secret(file, kind, keys, secret);
	g_key_file_set_string_list(file, "to", "list", to, g_strv_length((char **)to));
	return g_key_file_to_data(file, NULL, NULL);
}
