/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/by-unit.c - an application that systemd starts: what its unit does, as events of app.c. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/applications/application-private.h"
#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/proc.h"

#define EMPTY_EVERY_MS 10

static void on_up(SystemdUnit *unit, gpointer user_data)
{
	Application *application = user_data;
	if (application->app.state != APP_STARTING) {
		application->all->listener.changed(application, application->app.state, application->all->user_data); /* its pid */
		by_unit_stop_stranger(application);
		return;
	}
	if (application->settings->ready != SETTINGS_READY_CHECK)
		application_step(application, (AppEvent){ .kind = APP_EVENT_READY });
	else if (!application->ready.timer && !application->ready.probe && !application->ready.process)
		check_begin_ready(application);
}

static void on_down(SystemdUnit *unit, bool ok, const char *how, gpointer user_data)
{
	Application *application = user_data;
	switch (application->app.state) {
	case APP_STARTING:
	case APP_RUNNING:
	case APP_STOPPING:
		break;
	case APP_STOPPED:
	case APP_WAITING:
	case APP_BACKOFF:
	case APP_FAILED:
		return; /* somebody else's, or one that was killed and has gone already */
	}
	application_set_last_exit(application, how);
	application->app.occupied = !systemd_unit_is_empty(unit); /* KillMode=process leaves others behind */
	Applications *all = application->all;
	bool outer = all->pumping;
	all->pumping = true;
	application_step(application, (AppEvent){ .kind = APP_EVENT_ENDED, .ok = ok });
	if (!application->app.occupied)
		application_step(application, (AppEvent){ .kind = APP_EVENT_EMPTY });
	all->pumping = outer;
	application_step(application, (AppEvent){ .kind = APP_EVENT_TIME }); /* only to go on where that was put off */
}

void by_unit_end(Application *application)
{
	systemd_unit_free(application->unit);
	application->unit = NULL;
	g_clear_pointer(&application->unit_name, g_free);
	if (application->empty_timer)
		g_source_remove(application->empty_timer);
	application->empty_timer = 0;
}

void by_unit_follow_settings(Application *application)
{
	static const SystemdListener listener = { on_up, on_down };
	const char *name = application->settings->unit;
	if (g_strcmp0(name, application->unit_name) == 0)
		return;
	by_unit_end(application);
	if (!name)
		return;
	application->unit_name = g_strdup(name);
	application->unit = systemd_unit_new(application->all->systemd, name, &listener, application);
}

void by_unit_start(Application *application)
{
	application_step(application, (AppEvent){ .kind = APP_EVENT_STARTED });
	systemd_unit_start(application->unit);
}

void by_unit_stop(Application *application)
{
	systemd_unit_stop(application->unit);
}

static gboolean on_empty_time(gpointer user_data)
{
	Application *application = user_data;
	if (!systemd_unit_is_empty(application->unit))
		return G_SOURCE_CONTINUE;
	application->empty_timer = 0;
	if (application->app.occupied)
		application_step(application, (AppEvent){ .kind = APP_EVENT_EMPTY });
	return G_SOURCE_REMOVE;
}

void by_unit_kill(Application *application)
{
	systemd_unit_kill(application->unit);
	if (!application->empty_timer)
		application->empty_timer = g_timeout_add(EMPTY_EVERY_MS, on_empty_time, application);
}

/* "unit <name> <pid> <start> <ready> <restarts> <since> <cgroup>" */
void by_unit_write_record(const Application *application, GString *text)
{
	pid_t pid = systemd_unit_pid(application->unit);
	ProcStat stat;
	if (application->app.state == APP_STOPPED || pid <= 0 || !proc_stat(pid, &stat))
		return;
	g_string_append_printf(text, "unit %s %d %" G_GUINT64_FORMAT " %d %u %" G_GINT64_FORMAT " %s\n", application->unit_name, (int)pid,
			       stat.start_ticks, application->app.state == APP_RUNNING, application->app.restarts.n_total, application->since_ms,
			       systemd_unit_cgroup(application->unit));
}

bool by_unit_adopt(Application *application, GPtrArray *records)
{
	const ProcRecord *record = proc_records_find(records, "unit", application->unit_name);
	guint ready = 0, restarts = 0;
	gint64 since_ms = 0;
	int at = 0;
	if (!record || !proc_is_alive(record->pid, record->start_ticks))
		return false;
	(void)sscanf(record->detail, "%u %u %" G_GINT64_FORMAT " %n", &ready, &restarts, &since_ms, &at);
	app_adopt(&application->app, ready, g_get_monotonic_time());
	application->app.restarts.n_total = restarts;
	application->since_ms = since_ms;
	systemd_unit_adopt(application->unit, record->pid, at > 0 ? record->detail + at : "");
	return true;
}

void by_unit_stop_stranger(Application *application)
{
	if (!application->unit || application->app.state != APP_STOPPED || application->app.wanted || !systemd_unit_is_active(application->unit) ||
	    access(MASTER_FILE, F_OK) == 0)
		return;
	g_autofree char *text = g_strdup_printf("%s was running here though no application may; it is stopped", application->unit_name);
	systemd_unit_stop(application->unit);
	applications_keep_back(application->all); /* what was to hinder it may be gone */
	application->all->listener.trouble(application, text, application->all->user_data);
}
