/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/applications.c - carries out what app.c and plan.c decide. */
#include "supervisor/applications/applications.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/applications/application-private.h"
#include "supervisor/processes/cgroup.h"
#include "supervisor/applications/plan.h"
#include "supervisor/processes/proc.h"

static void pump(Applications *applications);

/* ---- Their control groups ---- */

static void on_ended(int status, gpointer user_data);
static gboolean on_cgroup(gint fd, GIOCondition condition, gpointer user_data);

static void unwatch_group(Application *application)
{
	if (application->events_source)
		g_source_remove(application->events_source);
	if (application->events >= 0)
		close(application->events);
	application->events_source = 0;
	application->events = -1;
}

static bool watch_group(Application *application, GError **error)
{
	application->events = cgroup_open_events(application->cgroup, error);
	if (application->events < 0)
		return false;
	application->events_source = g_unix_fd_add(application->events, G_IO_PRI | G_IO_ERR, on_cgroup, application);
	return true;
}

static bool renew_group(Application *application, GError **error)
{
	if (!application->killed)
		return true;
	unwatch_group(application);
	application->killed = !cgroup_renew(application->cgroup);
	if (application->killed)
		g_warning("%s: its control group cannot be made anew", application->settings->name);
	return watch_group(application, error);
}

void applications_rest(Applications *applications)
{
	for (guint i = 0; i < applications->list->len; i++) {
		Application *application = applications->list->pdata[i];
		g_autoptr(GError) error = NULL;
		if (application->killed && application->app.state == APP_STOPPED && !application->process && application->cgroup &&
		    !cgroup_is_populated(application->cgroup) && !renew_group(application, &error))
			g_warning("%s: %s", application->settings->name, error->message);
	}
}

static void start_process(Application *application)
{
	g_autoptr(GError) error = NULL;
	Spawned spawned;
	g_clear_pointer(&application->status_text, g_free);
	application->begun_ms = g_get_real_time() / 1000;
	by_unit_follow_settings(application);
	if (application->unit) {
		if (!renew_group(application, &error)) /* its checks run there */
			g_warning("%s: %s", application->settings->name, error->message);
		by_unit_start(application);
		return;
	}
	if (!renew_group(application, &error) || !launch(application, application->settings->command, &spawned, &error)) {
		g_warning("%s: %s", application->settings->name, error->message);
		g_free(application->last_exit);
		application->last_exit = g_strdup(error->message);
		application_step(application, (AppEvent){ .kind = APP_EVENT_NOT_STARTED });
		return;
	}
	application->process = process_watch(application->all->processes, &spawned, on_ended, application);
	application_step(application, (AppEvent){ .kind = APP_EVENT_STARTED });
	if (application->settings->ready == SETTINGS_READY_STARTED)
		application_step(application, (AppEvent){ .kind = APP_EVENT_READY });
	else
		check_begin_ready(application);
}

void application_set_last_exit(Application *application, const char *text)
{
	g_autofree char *copy = g_strdup(text);
	g_free(application->last_exit);
	application->last_exit = g_steal_pointer(&copy);
}

static void set_last_exit(Application *application, char *text)
{
	g_free(application->last_exit);
	application->last_exit = text;
}

/* It failed, and not all of that can be read from how its process ends. */
static void say_why(Application *application)
{
	const SettingsApplication *settings = application->settings;
	const char *asked = application->ready.why ? application->ready.why : "";
	switch (application->app.why) {
	case APP_WHY_ENDED:
	case APP_WHY_NOT_STARTED:
		return;
	case APP_WHY_FORKED_AWAY:
		set_last_exit(application, g_strdup("exit 0, but others of it live on: it must stay in the foreground"));
		return;
	case APP_WHY_NOT_READY:
		set_last_exit(application, g_strdup_printf("not ready within %u ms%s%s", settings->ready_timeout_ms, *asked ? ": " : "", asked));
		return;
	case APP_WHY_WATCHDOG:
		set_last_exit(application, g_strdup_printf("its watchdog heard nothing for %u ms", settings->watchdog_ms));
		return;
	case APP_WHY_UNHEALTHY:
		set_last_exit(application, g_strdup_printf("unhealthy: %s", application->health.why ? application->health.why : ""));
		return;
	}
	g_assert_not_reached();
}

/* ---- One step of one application ---- */

static void say_changed(Application *application, AppState old)
{
	if (application->app.state != old)
		application->since_ms = g_get_real_time() / 1000;
	application->all->listener.changed(application, old, application->all->user_data);
}

void application_step(Application *application, AppEvent event)
{
	/* One that leaves the settings is freed by the pump once it is stopped, and whoever hears of a change may pump: not before we are
	 * through with it. */
	Applications *all = application->all;
	bool outer = all->pumping;
	all->pumping = true;
	AppState old = application->app.state;
	AppAction action = app_step(&application->app, event, g_get_monotonic_time());
	const App *app = &application->app;
	if ((app->state == APP_BACKOFF || app->state == APP_FAILED) && (old == APP_STARTING || old == APP_RUNNING))
		say_why(application);
	if (old == APP_STOPPING && app->state != APP_STOPPING && app->forced) {
		g_autofree char *text = g_strdup_printf("Application %s did not stop within %u ms and was killed", application->settings->name,
							application->settings->stop_timeout_ms);
		all->listener.trouble(application, text, all->user_data);
	}
	if (app->state != APP_STARTING)
		check_end(&application->ready);
	if (app->state != APP_RUNNING)
		check_end(&application->health);
	else if (old != APP_RUNNING)
		check_begin_health(application);
	if (application->app.state != old) {
		g_info("%s: %s -> %s", application->settings->name, app_state_name(old), app_state_name(application->app.state));
		say_changed(application, old);
	}
	g_autoptr(GError) error = NULL;
	switch (action) {
	case APP_DO_NOTHING:
		break;
	case APP_DO_SPAWN:
		start_process(application);
		break;
	case APP_DO_SIGNAL:
		if (application->unit)
			by_unit_stop(application);
		else if (application->process)
			(void)process_signal(application->process, application->settings->stop_signal);
		break;
	case APP_DO_KILL:
		application->killed = true;
		if (!cgroup_kill(application->cgroup, &error))
			g_warning("%s: %s", application->settings->name, error->message);
		if (application->unit)
			by_unit_kill(application);
		break;
	}
	all->pumping = outer;
	pump(all);
}

static void on_ended(int status, gpointer user_data)
{
	Application *application = user_data;
	application->process = NULL;
	/* One that was killed because it had failed ends as told; what matters is said already. */
	if (application->app.state != APP_BACKOFF && application->app.state != APP_FAILED)
		set_last_exit(application, process_describe(status));
	bool ok = status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	AppState before = application->app.state;
	/* As in step(): either of the two may stop it. */
	Applications *all = application->all;
	bool outer = all->pumping;
	all->pumping = true;
	/* Alone in its group it leaves it empty, and that need not be waited for. */
	if (!cgroup_is_populated(application->cgroup))
		application->app.occupied = false;
	application_step(application, (AppEvent){ .kind = APP_EVENT_ENDED, .ok = ok });
	if (!application->app.occupied)
		application_step(application, (AppEvent){ .kind = APP_EVENT_EMPTY });
	if (application->app.state == before)
		say_changed(application, before); /* pid and last exit */
	all->pumping = outer;
	pump(all);
}

static gboolean on_cgroup(gint fd, GIOCondition condition, gpointer user_data)
{
	Application *application = user_data;
	char text[256];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	if (n < 0) {
		application->events_source = 0;
		return G_SOURCE_REMOVE;
	}
	text[n] = '\0';
	/* While the end of the main process has not been told, how it ended matters more than that it did. */
	if (strstr(text, "populated 0") && application->app.occupied && !application->process && !application->unit)
		application_step(application, (AppEvent){ .kind = APP_EVENT_EMPTY });
	return G_SOURCE_CONTINUE;
}

/* ---- All of them ---- */

static PlanEntry *make_plan(const Applications *applications)
{
	PlanEntry *entries = g_new0(PlanEntry, applications->list->len + 1);
	for (guint i = 0; i < applications->list->len; i++) {
		const Application *application = applications->list->pdata[i];
		entries[i] = (PlanEntry){
			.name = application->settings->name,
			.needs = (const char *const *)application->settings->needs,
			.ready = application->app.state == APP_RUNNING,
			.stopped = application->app.state == APP_STOPPED,
		};
	}
	return entries;
}

static gboolean on_time(gpointer user_data)
{
	Applications *applications = user_data;
	applications->timer = 0;
	for (guint i = 0; i < applications->list->len; i++)
		application_step(applications->list->pdata[i], (AppEvent){ .kind = APP_EVENT_TIME });
	pump(applications);
	return G_SOURCE_REMOVE;
}

static void set_timer(Applications *applications)
{
	gint64 next_us = 0;
	for (guint i = 0; i < applications->list->len; i++) {
		const Application *application = applications->list->pdata[i];
		gint64 due_us = application->app.deadline_us;
		if (due_us && (next_us == 0 || due_us < next_us))
			next_us = due_us;
	}
	if (applications->timer)
		g_source_remove(applications->timer);
	applications->timer = 0;
	if (next_us) {
		gint64 left_us = MAX(0, next_us - g_get_monotonic_time());
		applications->timer = g_timeout_add((guint)((left_us + 999) / 1000), on_time, applications);
	}
}

static void application_free(Application *application)
{
	check_end(&application->ready);
	check_end(&application->health);
	process_forget(application->process);
	by_unit_end(application);
	unwatch_group(application);
	identity_free(application->identity);
	settings_unref(application->settings_object);
	g_free(application->cgroup);
	g_free(application->last_exit);
	g_free(application->status_text);
	g_free(application->last_output);
	g_free(application);
}

/* Units do not start by themselves any more; those that are no applications now may again. */
void applications_keep_back(Applications *applications)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	for (guint i = 0; i < applications->list->len; i++) {
		const Application *application = applications->list->pdata[i];
		if (application->unit_name)
			g_ptr_array_add(names, application->unit_name);
	}
	g_ptr_array_add(names, NULL);
	systemd_keep_back(applications->systemd, (const char *const *)names->pdata);
}

static void drop_gone(Applications *applications)
{
	bool units = false;
	for (guint i = applications->list->len; i-- > 0;) {
		Application *application = applications->list->pdata[i];
		if (!application->leaving || application->app.state != APP_STOPPED)
			continue;
		applications->listener.gone(application, applications->user_data);
		if (application->cgroup)
			(void)rmdir(application->cgroup);
		units |= application->unit != NULL;
		g_ptr_array_remove_index(applications->list, i);
		application_free(application);
	}
	if (units)
		applications_keep_back(applications);
}

/* Gives every application what its turn is now, until nothing more moves. */
static void pump(Applications *applications)
{
	if (applications->pumping) {
		applications->pump_again = true;
		return;
	}
	applications->pumping = true;
	do {
		applications->pump_again = false;
		g_autofree PlanEntry *plan = make_plan(applications);
		guint n = applications->list->len;
		for (guint i = 0; i < n && !applications->pump_again; i++) {
			Application *application = applications->list->pdata[i];
			AppState state = application->app.state;
			bool run = applications->run && !application->leaving;
			if (run && !application->app.wanted)
				application_step(application, (AppEvent){ .kind = APP_EVENT_WANT });
			else if (run && state == APP_WAITING && plan_may_start(plan, n, i) &&
				 identity_state(application->identity) != IDENTITY_ASKING)
				application_step(application, (AppEvent){ .kind = APP_EVENT_NEEDS_MET });
			else if (!run && (application->app.wanted || (state != APP_STOPPED && state != APP_STOPPING)) &&
				 plan_may_stop(plan, n, i))
				application_step(application, (AppEvent){ .kind = APP_EVENT_UNWANT });
		}
	} while (applications->pump_again);
	applications->pumping = false;
	drop_gone(applications);
	set_timer(applications);
}

Applications *applications_new(ProcessTable *processes, const char *cgroup, const ApplicationsListener *listener, gpointer user_data)
{
	Applications *applications = g_new0(Applications, 1);
	applications->processes = processes;
	applications->systemd = systemd_new();
	applications->cgroup = g_strdup(cgroup);
	applications->listener = *listener;
	applications->user_data = user_data;
	applications->list = g_ptr_array_new();
	return applications;
}

void applications_free(Applications *applications)
{
	if (!applications)
		return;
	if (applications->timer)
		g_source_remove(applications->timer);
	for (guint i = 0; i < applications->list->len; i++)
		application_free(applications->list->pdata[i]);
	g_ptr_array_unref(applications->list);
	settings_unref(applications->settings);
	systemd_free(applications->systemd);
	g_free(applications->cgroup);
	g_free(applications);
}

Application *applications_find(const Applications *applications, const char *name)
{
	for (guint i = 0; i < applications->list->len; i++) {
		Application *application = applications->list->pdata[i];
		if (strcmp(application->settings->name, name) == 0)
			return application;
	}
	return NULL;
}

static gboolean on_identity(gpointer user_data)
{
	pump(((Application *)user_data)->all);
	return G_SOURCE_REMOVE;
}

static void take_settings(Application *application, SettingsApplication *settings)
{
	settings_unref(application->settings_object);
	application->settings_object = settings_ref(application->all->settings);
	application->settings = settings;
	identity_free(application->identity);
	application->identity = identity_new(settings->user, settings->group, on_identity, application);
	if (!application->app.occupied)
		by_unit_follow_settings(application);
}

static Application *add(Applications *applications, SettingsApplication *settings)
{
	g_autoptr(GError) error = NULL;
	Application *application = g_new0(Application, 1);
	application->all = applications;
	take_settings(application, settings);
	application->since_ms = g_get_real_time() / 1000;
	application->last_exit = g_strdup("");
	app_init(&application->app, settings, g_get_monotonic_time());
	application->cgroup = cgroup_make(applications->cgroup, CGROUP_APPS, settings->name, &error);
	application->events = -1;
	/* What an earlier supervisor did to it is not known; and a takeover shall not have to wait for what can be done now. */
	application->killed = !application->cgroup || !cgroup_renew(application->cgroup);
	if (!application->cgroup || !watch_group(application, &error))
		g_warning("%s: %s", settings->name, error->message);
	g_ptr_array_add(applications->list, application);
	return application;
}

void applications_configure(Applications *applications, Settings *settings)
{
	settings_unref(applications->settings);
	applications->settings = settings_ref(settings);
	for (guint i = 0; i < applications->list->len; i++) {
		Application *application = applications->list->pdata[i];
		application->leaving = !settings_application(settings, application->settings->name);
	}
	for (guint i = 0; i < settings->applications->len; i++) {
		SettingsApplication *one = settings->applications->pdata[i];
		Application *application = applications_find(applications, one->name);
		if (application) {
			take_settings(application, one);
			app_configure(&application->app, one);
			if (application->app.state == APP_STARTING && (!application->unit || systemd_unit_is_active(application->unit)))
				check_begin_ready(application);
			else if (application->app.state == APP_RUNNING)
				check_begin_health(application);
		} else {
			application = add(applications, one);
			applications->listener.added(application, applications->user_data);
		}
	}
	applications_keep_back(applications);
	pump(applications);
}

static void adopt(Application *application, const ProcRecord *record)
{
	bool populated = application->cgroup && cgroup_is_populated(application->cgroup);
	pid_t pid = record ? record->pid : cgroup_oldest(application->cgroup);
	guint64 start_ticks = record ? record->start_ticks : 0;
	ProcStat stat;
	if (!record && pid > 0 && proc_stat(pid, &stat))
		start_ticks = stat.start_ticks;
	if (!record && !populated)
		return;

	guint ready = application->settings->ready == SETTINGS_READY_STARTED, restarts = 0;
	gint64 since_ms = 0;
	if (record && *record->detail)
		(void)sscanf(record->detail, "%u %u %" G_GINT64_FORMAT, &ready, &restarts, &since_ms);
	int status = -1;
	app_adopt(&application->app, ready, g_get_monotonic_time());
	application->app.restarts.n_total = restarts;
	application->app.occupied = populated;
	if (since_ms)
		application->since_ms = since_ms;
	application->process = process_adopt(application->all->processes, pid, start_ticks, on_ended, application, &status);
	if (!application->process)
		on_ended(status, application);
	else if (ready)
		check_begin_health(application);
	else
		check_begin_ready(application);
	application->all->listener.changed(application, APP_STOPPED, application->all->user_data);
}

void applications_adopt(Applications *applications, GPtrArray *records)
{
	/* No decision is made here: what runs goes on until we are told, and nothing is started while the picture is half drawn. */
	applications->run = true;
	applications->pumping = true;
	for (guint i = 0; i < applications->list->len; i++) {
		Application *application = applications->list->pdata[i];
		if (application->unit) {
			if (!by_unit_adopt(application, records))
				continue;
			if (application->app.state == APP_RUNNING)
				check_begin_health(application);
			applications->listener.changed(application, APP_STOPPED, applications->user_data);
			continue;
		}
		adopt(application, proc_records_find(records, "application", application->settings->name));
	}
	applications->pumping = false;
	for (guint i = 0; i < applications->list->len; i++) {
		Application *application = applications->list->pdata[i];
		if (application->app.state == APP_STOPPED)
			application->app.wanted = false;
	}
	set_timer(applications);
}

void applications_run(Applications *applications, bool run)
{
	if (applications->run != run && !(run ? applications->list->len == 0 : applications_are_stopped(applications)))
		g_message("applications %s", run ? "start" : "stop");
	applications->run = run;
	pump(applications);
	for (guint i = 0; !run && i < applications->list->len; i++)
		by_unit_stop_stranger(applications->list->pdata[i]);
}

bool applications_are_ready(const Applications *applications)
{
	for (guint i = 0; i < applications->list->len; i++) {
		const Application *application = applications->list->pdata[i];
		if (application->settings->critical && application->app.state != APP_RUNNING)
			return false;
	}
	return applications->run;
}

const SettingsApplication *applications_last_starting(const Applications *applications)
{
	const Application *last = NULL;
	for (guint i = 0; i < applications->list->len; i++) {
		const Application *application = applications->list->pdata[i];
		if (!application->settings->critical || application->app.state == APP_RUNNING)
			continue;
		if (last)
			return NULL;
		last = application;
	}
	return last && last->app.state == APP_STARTING ? last->settings : NULL;
}

bool applications_are_stopped(const Applications *applications)
{
	g_autofree PlanEntry *plan = make_plan(applications);
	return plan_all_stopped(plan, applications->list->len);
}

bool applications_have_failed(const Applications *applications)
{
	for (guint i = 0; i < applications->list->len; i++)
		if (((const Application *)applications->list->pdata[i])->app.state == APP_FAILED &&
		    ((const Application *)applications->list->pdata[i])->settings->critical)
			return true;
	return false;
}

/* ---- sd_notify ---- */

/* Whose process @pid is: the main one, or one in the group. */
static Application *owner_of(Applications *applications, pid_t pid)
{
	for (guint i = 0; i < applications->list->len; i++) {
		Application *application = applications->list->pdata[i];
		if (application->process && process_pid(application->process) == pid)
			return application;
	}
	g_autofree char *file = g_strdup_printf("/proc/%d/cgroup", (int)pid);
	g_autofree char *text = NULL;
	if (!g_file_get_contents(file, &text, NULL, NULL))
		return NULL;
	const char *at = strstr(text, "/" CGROUP_APPS "/");
	if (!at)
		return NULL;
	g_autofree char *name = g_strndup(at + strlen("/" CGROUP_APPS "/"), strcspn(at + strlen("/" CGROUP_APPS "/"), "/\n"));
	return applications_find(applications, name);
}

void applications_notified(Applications *applications, pid_t pid, const char *text)
{
	Application *application = owner_of(applications, pid);
	if (!application)
		return;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		if (g_str_has_prefix(*line, "STATUS=")) {
			g_free(application->status_text);
			application->status_text = g_utf8_make_valid(*line + strlen("STATUS="), -1);
			say_changed(application, application->app.state);
		} else if (strcmp(*line, "READY=1") == 0 && application->settings->ready == SETTINGS_READY_NOTIFY) {
			application_step(application, (AppEvent){ .kind = APP_EVENT_READY });
		} else if (strcmp(*line, "WATCHDOG=1") == 0 || strcmp(*line, "WATCHDOG=trigger") == 0) {
			application_step(application, (AppEvent){ .kind = APP_EVENT_ALIVE, .ok = strcmp(*line, "WATCHDOG=1") == 0 });
		}
	}
}

/* ---- Looking at them ---- */

void applications_write_records(const Applications *applications, GString *text)
{
	for (guint i = 0; i < applications->list->len; i++) {
		const Application *application = applications->list->pdata[i];
		if (application->unit)
			by_unit_write_record(application, text);
		else if (application->process)
			g_string_append_printf(text, "application %s %d %" G_GUINT64_FORMAT " %d %u %" G_GINT64_FORMAT "\n",
					       application->settings->name, (int)process_pid(application->process),
					       process_start(application->process), application->app.state == APP_RUNNING,
					       application->app.restarts.n_total, application->since_ms);
	}
}

void applications_each(const Applications *applications, void (*visit)(Application *application, gpointer user_data), gpointer user_data)
{
	for (guint i = 0; i < applications->list->len; i++)
		visit(applications->list->pdata[i], user_data);
}

bool application_restart(Application *application)
{
	if (!application->app.wanted)
		return false;
	application_step(application, (AppEvent){ .kind = APP_EVENT_RESTART });
	return true;
}

const char *application_name(const Application *application)
{
	return application->settings->name;
}

const SettingsApplication *application_settings(const Application *application)
{
	return application->settings;
}

const App *application_state(const Application *application)
{
	return &application->app;
}

const char *application_unit_program(const Application *application)
{
	return application->unit ? systemd_unit_program(application->unit) : "";
}

pid_t application_pid(const Application *application)
{
	if (application->unit)
		return systemd_unit_pid(application->unit);
	return application->process ? process_pid(application->process) : 0;
}

const char *application_last_exit(const Application *application)
{
	return application->last_exit;
}

const char *application_last_output(const Application *application)
{
	return application->last_output ? application->last_output : "";
}

void application_set_last_output(Application *application, const char *text)
{
	g_free(application->last_output);
	application->last_output = g_strdup(text);
	say_changed(application, application->app.state);
}

const char *application_status_text(const Application *application)
{
	return application->status_text ? application->status_text : "";
}

gint64 application_begun_ms(const Application *application)
{
	return application->begun_ms;
}

gint64 application_since_ms(const Application *application)
{
	return application->since_ms;
}

gpointer application_data(const Application *application)
{
	return application->data;
}

void application_set_data(Application *application, gpointer data)
{
	application->data = data;
}
