/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/orders/drill-watch.c - OPTIONS every 20 ms, and which of them were answered when. */
#include "supervisor/orders/drill-watch.h"

#include <string.h>

#include "supervisor/applications/probe.h"

#define EVERY_MS 20
#define MOST_US (15 * G_TIME_SPAN_MINUTE)

typedef struct {
	DrillWatch *watch;
	guint sample;
	Probe *probe;
} Question;

struct DrillWatch {
	SettingsCheck check;
	char *target;
	GArray *samples; /* of SilenceSample */
	GHashTable *open; /* of Question */
	gint64 begin_us, stop_us, away_us;
	guint timer;
};

static const char *service_host(const Settings *settings, const char *wanted)
{
	sa_family_t family = wanted && strchr(wanted, ':') ? AF_INET6 : AF_INET;
	const char *best = NULL, *any = NULL;

	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *group = settings->groups->pdata[i];
		for (guint k = 0; k < group->addresses->len; k++) {
			const SettingsAddress *address = group->addresses->pdata[k];
			if (ip_is_link_local(&address->ip))
				continue;
			if (g_strcmp0(address->host, wanted) == 0)
				return address->host;
			if (address->ip.family == family && (!best || (group->elects && k == 0)))
				best = address->host;
			any = any ? any : address->host;
		}
	}
	return best ? best : any;
}

bool drill_watch_find(const Settings *settings, SettingsCheck *ret_check)
{
	for (guint i = 0; i < settings->applications->len; i++) {
		const SettingsApplication *application = settings->applications->pdata[i];
		const SettingsCheck *check = application->ready_check.kind == SETTINGS_CHECK_SIP ? &application->ready_check : &application->health;
		if (check->kind != SETTINGS_CHECK_SIP || !application->critical)
			continue;
		*ret_check = *check;
		ret_check->host = (char *)service_host(settings, check->host);
		return ret_check->host != NULL;
	}
	return false;
}

static void question_free(gpointer data)
{
	Question *question = data;
	probe_free(question->probe);
	g_free(question);
}

static void on_answer(bool ok, const char *why, gpointer user_data)
{
	Question *question = user_data;
	DrillWatch *watch = question->watch;
	question->probe = NULL;
	if (ok)
		g_array_index(watch->samples, SilenceSample, question->sample).answered_us = g_get_monotonic_time();
	g_hash_table_remove(watch->open, question);
}

static gboolean on_time(gpointer user_data)
{
	DrillWatch *watch = user_data;
	SilenceSample sample = { .sent_us = g_get_monotonic_time() };
	if (sample.sent_us - watch->begin_us >= MOST_US) {
		watch->timer = 0;
		return G_SOURCE_REMOVE;
	}
	Question *question = g_new0(Question, 1);
	question->watch = watch;
	question->sample = watch->samples->len;
	g_array_append_val(watch->samples, sample);
	g_hash_table_add(watch->open, question);
	question->probe = probe_sip(&watch->check, (guint)(SILENCE_PATIENCE_US / G_TIME_SPAN_MILLISECOND), on_answer, question);
	return G_SOURCE_CONTINUE;
}

DrillWatch *drill_watch_new(const Settings *settings)
{
	SettingsCheck check;
	if (!drill_watch_find(settings, &check))
		return NULL;
	DrillWatch *watch = g_new0(DrillWatch, 1);
	watch->check = (SettingsCheck){ .kind = SETTINGS_CHECK_SIP, .tcp = check.tcp, .host = g_strdup(check.host), .port = check.port };
	watch->target = g_strdup_printf(strchr(check.host, ':') ? "%s [%s]:%u" : "%s %s:%u", check.tcp ? "tcp" : "udp", check.host, check.port);
	watch->samples = g_array_new(FALSE, FALSE, sizeof(SilenceSample));
	watch->open = g_hash_table_new_full(NULL, NULL, question_free, NULL);
	watch->begin_us = g_get_monotonic_time();
	watch->timer = g_timeout_add(EVERY_MS, on_time, watch);
	return watch;
}

void drill_watch_free(DrillWatch *watch)
{
	if (!watch)
		return;
	if (watch->timer)
		g_source_remove(watch->timer);
	g_hash_table_unref(watch->open);
	g_array_unref(watch->samples);
	g_free(watch->check.host);
	g_free(watch->target);
	g_free(watch);
}

const char *drill_watch_target(const DrillWatch *watch)
{
	return watch->target;
}

void drill_watch_look(DrillWatch *watch, Role role)
{
	gint64 now_us = g_get_monotonic_time();
	if (!watch || watch->away_us)
		return;
	if (!watch->stop_us && (role == ROLE_HANDING_OVER || !role_leads(role)))
		watch->stop_us = now_us;
	if (!role_leads(role))
		watch->away_us = now_us;
}

Silence drill_watch_silence(const DrillWatch *watch)
{
	return silence_of((const SilenceSample *)(gpointer)watch->samples->data, watch->samples->len, watch->stop_us,
			  watch->away_us, g_get_monotonic_time());
}
