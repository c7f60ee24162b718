/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/app.c - state by event; every cell is written down. */
#include "supervisor/applications/app.h"

#define KILL_AGAIN_US (1 * G_TIME_SPAN_SECOND)
#define LONGEST_DELAY_US (30 * G_TIME_SPAN_SECOND)
#define SETTLED_US (10 * G_TIME_SPAN_SECOND)
#define TOLERATED 4

void app_configure(App *app, const SettingsApplication *settings)
{
	app->ready_timeout_us = settings->ready_timeout_ms * (gint64)G_TIME_SPAN_MILLISECOND;
	app->stop_timeout_us = settings->stop_timeout_ms * (gint64)G_TIME_SPAN_MILLISECOND;
	app->watchdog_us = settings->watchdog_ms * (gint64)G_TIME_SPAN_MILLISECOND;
	app->tolerance = settings->health_tolerance;
	app->restart_when = settings->restart;
	app->policy = (RestartPolicy){
		.first_us = MAX(settings->restart_delay_ms, 1) * (gint64)G_TIME_SPAN_MILLISECOND,
		.longest_us = LONGEST_DELAY_US,
		.settled_us = SETTLED_US,
		.tolerated = TOLERATED,
	};
}

void app_init(App *app, const SettingsApplication *settings, gint64 now_us)
{
	*app = (App){ .state = APP_STOPPED, .since_us = now_us };
	app_configure(app, settings);
}

static void enter(App *app, AppState state, gint64 deadline_us, gint64 now_us)
{
	if (app->state != state)
		app->since_us = now_us;
	app->state = state;
	app->deadline_us = deadline_us;
	if (state == APP_STOPPED || state == APP_BACKOFF) {
		app->in_failure = false;
	} else if (state == APP_FAILED) {
		app->failure_is_news = !app->in_failure;
		app->in_failure = true;
	}
}

static void enter_running(App *app, gint64 now_us)
{
	app->misses = 0;
	enter(app, APP_RUNNING, app->watchdog_us ? now_us + app->watchdog_us : 0, now_us);
}

void app_adopt(App *app, bool ready, gint64 now_us)
{
	app->wanted = true;
	app->main_alive = true;
	app->occupied = true;
	if (ready)
		enter_running(app, now_us);
	else
		enter(app, APP_STARTING, now_us + app->ready_timeout_us, now_us);
}

/* Down to nothing, by the gentlest way that is left. */
static AppAction begin_stop(App *app, gint64 now_us)
{
	app->forced = false;
	if (app->main_alive) {
		enter(app, APP_STOPPING, now_us + app->stop_timeout_us, now_us);
		return APP_DO_SIGNAL;
	}
	if (app->occupied) {
		enter(app, APP_STOPPING, now_us + KILL_AGAIN_US, now_us);
		return APP_DO_KILL;
	}
	enter(app, APP_STOPPED, 0, now_us);
	return APP_DO_NOTHING;
}

/* It ended, or did not come up, without anybody having asked for it. What it left behind goes before it comes again. */
static AppAction failed(App *app, AppWhy why, bool ok, gint64 now_us)
{
	/* What never became ready has not run at all, however long it took. */
	gint64 ran_us = app->state == APP_RUNNING ? now_us - app->since_us : 0;
	if (why == APP_WHY_NOT_READY)
		app->restarts.n_row = MAX(app->restarts.n_row, app->policy.tolerated); /* it had its time: no further try makes it healthy */
	gint64 delay_us = restart_delay_us(&app->policy, &app->restarts, ran_us);
	app->why = why;
	bool again = app->restart_when == SETTINGS_RESTART_ALWAYS || (app->restart_when == SETTINGS_RESTART_ON_FAILURE && !ok);
	if (!again)
		enter(app, APP_FAILED, 0, now_us);
	else if (restart_has_failed(&app->policy, &app->restarts))
		enter(app, APP_FAILED, now_us + LONGEST_DELAY_US, now_us);
	else
		enter(app, APP_BACKOFF, now_us + delay_us, now_us);
	return app->occupied ? APP_DO_KILL : APP_DO_NOTHING;
}

/* BACKOFF and FAILED are left when their time is up and nobody of the last run is left. */
static void maybe_again(App *app, gint64 now_us)
{
	if (app->deadline_us != 0 && now_us >= app->deadline_us && !app->occupied)
		enter(app, APP_WAITING, 0, now_us);
}

static AppAction when_ended(App *app, bool ok, gint64 now_us)
{
	app->main_alive = false;
	switch (app->state) {
	case APP_STARTING:
	case APP_RUNNING:
		return failed(app, ok && app->occupied ? APP_WHY_FORKED_AWAY : APP_WHY_ENDED, ok, now_us);
	case APP_STOPPING:
		/* Its children had the same time; what is left now has lost its parent. */
		app->deadline_us = now_us + KILL_AGAIN_US;
		return app->occupied ? APP_DO_KILL : APP_DO_NOTHING;
	case APP_STOPPED:
	case APP_WAITING:
	case APP_BACKOFF:
	case APP_FAILED:
		return APP_DO_NOTHING; /* the one killed after its ready time was up */
	}
	g_assert_not_reached();
}

static AppAction when_empty(App *app, gint64 now_us)
{
	app->occupied = false;
	app->main_alive = false;
	switch (app->state) {
	case APP_STOPPING:
		enter(app, app->wanted ? APP_WAITING : APP_STOPPED, 0, now_us);
		return APP_DO_NOTHING;
	case APP_STARTING:
	case APP_RUNNING:
		return failed(app, APP_WHY_ENDED, false, now_us); /* seen before the end of the main process was told */
	case APP_BACKOFF:
	case APP_FAILED:
		maybe_again(app, now_us);
		return APP_DO_NOTHING;
	case APP_STOPPED:
	case APP_WAITING:
		return APP_DO_NOTHING;
	}
	g_assert_not_reached();
}

static AppAction when_time(App *app, gint64 now_us)
{
	if (app->deadline_us == 0 || now_us < app->deadline_us)
		return APP_DO_NOTHING;
	switch (app->state) {
	case APP_STARTING:
		return failed(app, APP_WHY_NOT_READY, false, now_us);
	case APP_RUNNING:
		if (app->watchdog_us)
			return failed(app, APP_WHY_WATCHDOG, false, now_us);
		app->deadline_us = 0;
		return APP_DO_NOTHING;
	case APP_STOPPING:
		app->forced |= app->main_alive;
		app->deadline_us = now_us + KILL_AGAIN_US;
		return APP_DO_KILL;
	case APP_BACKOFF:
	case APP_FAILED:
		if (app->occupied) {
			app->deadline_us = now_us + KILL_AGAIN_US;
			return APP_DO_KILL;
		}
		maybe_again(app, now_us);
		return APP_DO_NOTHING;
	case APP_STOPPED:
	case APP_WAITING:
		app->deadline_us = 0;
		return APP_DO_NOTHING;
	}
	g_assert_not_reached();
}

static AppAction when_wanted(App *app, gint64 now_us)
{
	app->wanted = true;
	switch (app->state) {
	case APP_STOPPED:
		app->restarts.n_row = 0;
		if (!app->occupied) {
			enter(app, APP_WAITING, 0, now_us);
			return APP_DO_NOTHING;
		}
		enter(app, APP_STOPPING, now_us + KILL_AGAIN_US, now_us); /* somebody else's process is in its group */
		return APP_DO_KILL;
	case APP_WAITING:
	case APP_STARTING:
	case APP_RUNNING:
	case APP_STOPPING: /* comes again when it is empty */
	case APP_BACKOFF:
	case APP_FAILED:
		return APP_DO_NOTHING;
	}
	g_assert_not_reached();
}

static AppAction when_restart(App *app, gint64 now_us)
{
	if (!app->wanted)
		return APP_DO_NOTHING;
	app->restarts.n_row = 0;
	AppAction action = begin_stop(app, now_us);
	if (app->state == APP_STOPPED)
		enter(app, APP_WAITING, 0, now_us);
	return action;
}

AppAction app_step(App *app, AppEvent event, gint64 now_us)
{
	switch (event.kind) {
	case APP_EVENT_WANT:
		return when_wanted(app, now_us);
	case APP_EVENT_UNWANT:
		app->wanted = false;
		return app->state == APP_STOPPING || app->state == APP_STOPPED ? APP_DO_NOTHING : begin_stop(app, now_us);
	case APP_EVENT_NEEDS_MET:
		return app->state == APP_WAITING && app->wanted ? APP_DO_SPAWN : APP_DO_NOTHING;
	case APP_EVENT_STARTED:
		app->main_alive = true;
		app->occupied = true;
		app->forced = false;
		enter(app, APP_STARTING, now_us + app->ready_timeout_us, now_us);
		return APP_DO_NOTHING;
	case APP_EVENT_NOT_STARTED:
		return failed(app, APP_WHY_NOT_STARTED, false, now_us);
	case APP_EVENT_READY:
		if (app->state == APP_STARTING)
			enter_running(app, now_us);
		return APP_DO_NOTHING;
	case APP_EVENT_ENDED:
		return when_ended(app, event.ok, now_us);
	case APP_EVENT_EMPTY:
		return when_empty(app, now_us);
	case APP_EVENT_TIME:
		return when_time(app, now_us);
	case APP_EVENT_RESTART:
		return when_restart(app, now_us);
	case APP_EVENT_ALIVE:
		if (app->state != APP_RUNNING || !app->watchdog_us)
			return APP_DO_NOTHING;
		if (!event.ok)
			return failed(app, APP_WHY_WATCHDOG, false, now_us);
		app->deadline_us = now_us + app->watchdog_us;
		return APP_DO_NOTHING;
	case APP_EVENT_CHECKED:
		if (app->state != APP_RUNNING)
			return APP_DO_NOTHING;
		app->misses = event.ok ? 0 : app->misses + 1;
		return app->misses > app->tolerance ? failed(app, APP_WHY_UNHEALTHY, false, now_us) : APP_DO_NOTHING;
	}
	g_assert_not_reached();
}

const char *app_state_name(AppState state)
{
	switch (state) {
	case APP_STOPPED:
		return "stopped";
	case APP_WAITING:
		return "waiting";
	case APP_STARTING:
		return "starting";
	case APP_RUNNING:
		return "running";
	case APP_STOPPING:
		return "stopping";
	case APP_BACKOFF:
		return "backoff";
	case APP_FAILED:
		return "failed";
	}
	g_assert_not_reached();
}
