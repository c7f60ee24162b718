/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/check.c - asks an application whether it is ready, and then now and then whether it is well. */
#include <signal.h>
#include <sys/wait.h>

#include "supervisor/applications/application-private.h"

/* A takeover waits for the answer, so the first tries follow each other closely, at a small part of the time waited so far; who takes long is
 * asked less and less often. To start a command costs more than to ask. */
#define READY_FIRST_MS 2
#define READY_FIRST_COMMAND_MS 10
#define READY_PART 25
#define READY_PART_COMMAND 10
#define READY_LONGEST_MS 1000
#define READY_ANSWER_MS 1000

typedef void (*CheckedCb)(Application *application, Check *check, bool ok);

void check_end(Check *check)
{
	if (check->process) {
		(void)process_signal(check->process, SIGKILL); /* nobody will hear its answer */
		process_forget(check->process);
	}
	probe_free(check->probe);
	if (check->timer)
		g_source_remove(check->timer);
	g_free(check->why);
	*check = (Check){ 0 };
}

static void answered(Application *application, Check *check, const char *why);

static void on_probed(bool ok, const char *why, gpointer user_data)
{
	Application *application = user_data;
	/* Which of the two it was: the one that is not there any more. */
	Check *check = application->app.state == APP_STARTING ? &application->ready : &application->health;
	check->probe = NULL;
	answered(application, check, why);
}

static void on_ended(int status, gpointer user_data)
{
	Application *application = user_data;
	Check *check = application->app.state == APP_STARTING ? &application->ready : &application->health;
	check->process = NULL;
	if (check->timer)
		g_source_remove(check->timer);
	check->timer = 0;
	g_autofree char *how = process_describe(status);
	g_autofree char *why = status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? g_strdup("") :
											       g_strdup_printf("its check ended with %s", how);
	answered(application, check, why);
}

static gboolean on_too_long(gpointer user_data)
{
	Application *application = user_data;
	Check *check = application->app.state == APP_STARTING ? &application->ready : &application->health;
	check->timer = 0;
	(void)process_signal(check->process, SIGKILL);
	process_forget(check->process);
	check->process = NULL;
	answered(application, check, "its check does not end");
	return G_SOURCE_REMOVE;
}

/* Every branch ends in answered(), now or later. */
static void ask(Application *application, Check *check, const SettingsCheck *what, guint timeout_ms)
{
	g_autoptr(GError) error = NULL;
	Spawned spawned;
	switch (what->kind) {
	case SETTINGS_CHECK_NONE:
		return;
	case SETTINGS_CHECK_PORT:
		answered(application, check, probe_port(what) ? "" : "nobody listens on its port");
		return;
	case SETTINGS_CHECK_SIP:
		check->probe = probe_sip(what, timeout_ms, on_probed, application);
		return;
	case SETTINGS_CHECK_COMMAND:
		if (!launch(application, what->command, &spawned, &error)) {
			answered(application, check, error->message);
			return;
		}
		check->process = process_watch(application->all->processes, &spawned, on_ended, application);
		if (timeout_ms)
			check->timer = g_timeout_add(timeout_ms, on_too_long, application);
		return;
	}
	g_assert_not_reached();
}

static gboolean on_ready_time(gpointer user_data)
{
	Application *application = user_data;
	application->ready.timer = 0;
	/* A command may take as long as there is time to become ready. */
	bool command = application->settings->ready_check.kind == SETTINGS_CHECK_COMMAND;
	ask(application, &application->ready, &application->settings->ready_check, command ? 0 : READY_ANSWER_MS);
	return G_SOURCE_REMOVE;
}

static gboolean on_health_time(gpointer user_data)
{
	Application *application = user_data;
	application->health.timer = 0;
	ask(application, &application->health, &application->settings->health, application->settings->health_timeout_ms);
	return G_SOURCE_REMOVE;
}

static void answered(Application *application, Check *check, const char *why)
{
	bool ok = *why == '\0';
	g_free(check->why);
	check->why = g_strdup(why);
	if (check == &application->ready) {
		if (ok) {
			application_step(application, (AppEvent){ .kind = APP_EVENT_READY });
			return;
		}
		gint64 waited_ms = (g_get_monotonic_time() - application->app.since_us) / G_TIME_SPAN_MILLISECOND;
		bool command = application->settings->ready_check.kind == SETTINGS_CHECK_COMMAND;
		gint64 pause_ms = MAX(waited_ms / (command ? READY_PART_COMMAND : READY_PART), command ? READY_FIRST_COMMAND_MS : READY_FIRST_MS);
		check->timer = g_timeout_add((guint)MIN(pause_ms, READY_LONGEST_MS), on_ready_time, application);
		return;
	}
	check->timer = g_timeout_add(application->settings->health_interval_ms, on_health_time, application);
	if (!ok)
		g_info("%s: %s", application->settings->name, why);
	application_step(application, (AppEvent){ .kind = APP_EVENT_CHECKED, .ok = ok });
}

void check_begin_ready(Application *application)
{
	check_end(&application->ready);
	if (application->settings->ready == SETTINGS_READY_CHECK)
		application->ready.timer = g_timeout_add(0, on_ready_time, application);
}

void check_begin_health(Application *application)
{
	check_end(&application->health);
	if (application->settings->health.kind != SETTINGS_CHECK_NONE)
		application->health.timer = g_timeout_add(application->settings->health_interval_ms, on_health_time, application);
}
