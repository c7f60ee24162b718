/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-app.c - the life of an application, as told by a column of events. */
#include <glib.h>
#include <signal.h>

#include "supervisor/applications/app.h"

#define MS G_TIME_SPAN_MILLISECOND

static SettingsApplication settings_of(SettingsRestart restart)
{
	return (SettingsApplication){
		.name = (char *)"pbx", .ready = SETTINGS_READY_NOTIFY, .ready_timeout_ms = 1000, .restart = restart,
		.restart_delay_ms = 100, .stop_signal = SIGTERM, .stop_timeout_ms = 500,
	};
}

static App app_of(SettingsRestart restart)
{
	SettingsApplication settings = settings_of(restart);
	App app;
	app_init(&app, &settings, 0);
	return app;
}

static AppAction give(App *app, AppEventKind kind, gint64 now_ms)
{
	return app_step(app, (AppEvent){ .kind = kind }, now_ms * MS);
}

#define EXPECT(app, kind, now_ms, action, after)                       \
	do {                                                           \
		g_assert_cmpint(give(app, kind, now_ms), ==, action);  \
		g_assert_cmpstr(app_state_name((app)->state), ==, app_state_name(after)); \
	} while (0)

static void run(App *app, gint64 now_ms)
{
	EXPECT(app, APP_EVENT_WANT, now_ms, APP_DO_NOTHING, APP_WAITING);
	EXPECT(app, APP_EVENT_NEEDS_MET, now_ms, APP_DO_SPAWN, APP_WAITING);
	EXPECT(app, APP_EVENT_STARTED, now_ms, APP_DO_NOTHING, APP_STARTING);
	EXPECT(app, APP_EVENT_READY, now_ms, APP_DO_NOTHING, APP_RUNNING);
}

static void test_starts_when_its_needs_are_met(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	g_assert_cmpint(give(&app, APP_EVENT_NEEDS_MET, 0), ==, APP_DO_NOTHING); /* nobody wants it */
	run(&app, 0);
	g_assert_cmpint(app.deadline_us, ==, 0);
}

static void test_stops_for_certain(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	run(&app, 0);
	EXPECT(&app, APP_EVENT_UNWANT, 1000, APP_DO_SIGNAL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_TIME, 1499, APP_DO_NOTHING, APP_STOPPING);
	EXPECT(&app, APP_EVENT_TIME, 1500, APP_DO_KILL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_TIME, 2500, APP_DO_KILL, APP_STOPPING); /* until it is true */
	EXPECT(&app, APP_EVENT_ENDED, 2501, APP_DO_KILL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_EMPTY, 2502, APP_DO_NOTHING, APP_STOPPED);
}

static void test_children_left_behind_are_killed(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	run(&app, 0);
	EXPECT(&app, APP_EVENT_UNWANT, 1000, APP_DO_SIGNAL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_ENDED, 1001, APP_DO_KILL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_EMPTY, 1002, APP_DO_NOTHING, APP_STOPPED);
}

static void test_restarts_after_a_pause_and_only_when_empty(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	run(&app, 0);
	EXPECT(&app, APP_EVENT_ENDED, 1000, APP_DO_KILL, APP_BACKOFF);
	EXPECT(&app, APP_EVENT_TIME, 1100, APP_DO_KILL, APP_BACKOFF);
	EXPECT(&app, APP_EVENT_EMPTY, 1150, APP_DO_NOTHING, APP_BACKOFF);
	EXPECT(&app, APP_EVENT_TIME, 2100, APP_DO_NOTHING, APP_WAITING);
	EXPECT(&app, APP_EVENT_NEEDS_MET, 2100, APP_DO_SPAWN, APP_WAITING);
	g_assert_cmpuint(app.restarts.n_total, ==, 1);
}

static void end_once(App *app, gint64 now_ms)
{
	app->occupied = false;
	(void)give(app, APP_EVENT_ENDED, now_ms);
}

static void test_fails_after_too_many_and_is_still_tried(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	gint64 now_ms = 0;
	run(&app, now_ms);
	for (int i = 0; i < 4; i++) {
		end_once(&app, now_ms);
		g_assert_cmpint(app.state, ==, APP_BACKOFF);
		now_ms = app.deadline_us / MS;
		EXPECT(&app, APP_EVENT_TIME, now_ms, APP_DO_NOTHING, APP_WAITING);
		(void)give(&app, APP_EVENT_STARTED, now_ms);
	}
	end_once(&app, now_ms);
	g_assert_cmpint(app.state, ==, APP_FAILED);
	EXPECT(&app, APP_EVENT_TIME, now_ms + 30000, APP_DO_NOTHING, APP_WAITING);
}

/* An event each time would push everybody else's out of the store. */
static void test_a_failure_is_news_once(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	gint64 now_ms = 0;
	run(&app, now_ms);
	for (int i = 0; i < 8; i++) {
		end_once(&app, now_ms);
		g_assert_cmpint(app.state, ==, i < 4 ? APP_BACKOFF : APP_FAILED);
		if (i >= 4)
			g_assert_cmpint(app.failure_is_news, ==, i == 4);
		now_ms = app.deadline_us / MS;
		EXPECT(&app, APP_EVENT_TIME, now_ms, APP_DO_NOTHING, APP_WAITING);
		(void)give(&app, APP_EVENT_STARTED, now_ms);
	}
	/* It stayed up; what comes then is another story. */
	(void)give(&app, APP_EVENT_READY, now_ms);
	now_ms += 20000;
	for (int i = 0; i < 5; i++) {
		end_once(&app, now_ms);
		now_ms = app.deadline_us / MS;
		EXPECT(&app, APP_EVENT_TIME, now_ms, APP_DO_NOTHING, APP_WAITING);
		(void)give(&app, APP_EVENT_STARTED, now_ms);
	}
	g_assert_true(app.failure_is_news);
	/* And so is the next time that it is wanted. */
	EXPECT(&app, APP_EVENT_UNWANT, now_ms, APP_DO_SIGNAL, APP_STOPPING);
	(void)give(&app, APP_EVENT_ENDED, now_ms);
	EXPECT(&app, APP_EVENT_EMPTY, now_ms, APP_DO_NOTHING, APP_STOPPED);
	g_assert_false(app.in_failure);
}

static void test_not_ready_in_time(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	EXPECT(&app, APP_EVENT_WANT, 0, APP_DO_NOTHING, APP_WAITING);
	EXPECT(&app, APP_EVENT_STARTED, 0, APP_DO_NOTHING, APP_STARTING);
	EXPECT(&app, APP_EVENT_TIME, 999, APP_DO_NOTHING, APP_STARTING);
	EXPECT(&app, APP_EVENT_TIME, 1000, APP_DO_KILL, APP_FAILED); /* it had its time; four more tries would cost minutes */
	g_assert_cmpint(app.why, ==, APP_WHY_NOT_READY);
	EXPECT(&app, APP_EVENT_ENDED, 1001, APP_DO_NOTHING, APP_FAILED); /* that was us */
	EXPECT(&app, APP_EVENT_EMPTY, 1002, APP_DO_NOTHING, APP_FAILED);
	EXPECT(&app, APP_EVENT_TIME, 31000, APP_DO_NOTHING, APP_WAITING);
}

static void test_goes_into_the_background(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	run(&app, 0);
	g_assert_cmpint(app_step(&app, (AppEvent){ APP_EVENT_ENDED, true }, MS), ==, APP_DO_KILL); /* others are left in its group */
	g_assert_cmpint(app.why, ==, APP_WHY_FORKED_AWAY);
	g_assert_cmpint(app.state, ==, APP_BACKOFF);
}

static void test_watchdog(void)
{
	SettingsApplication settings = settings_of(SETTINGS_RESTART_ALWAYS);
	settings.watchdog_ms = 700;
	App app;
	app_init(&app, &settings, 0);
	EXPECT(&app, APP_EVENT_WANT, 0, APP_DO_NOTHING, APP_WAITING);
	EXPECT(&app, APP_EVENT_STARTED, 0, APP_DO_NOTHING, APP_STARTING);
	g_assert_cmpint(app.deadline_us, ==, 1000 * MS); /* it counts once it is ready */
	EXPECT(&app, APP_EVENT_READY, 900, APP_DO_NOTHING, APP_RUNNING);
	g_assert_cmpint(app.deadline_us, ==, 1600 * MS);
	(void)!app_step(&app, (AppEvent){ APP_EVENT_ALIVE, true }, 1500 * MS);
	EXPECT(&app, APP_EVENT_TIME, 1600, APP_DO_NOTHING, APP_RUNNING);
	EXPECT(&app, APP_EVENT_TIME, 2200, APP_DO_KILL, APP_BACKOFF);
	g_assert_cmpint(app.why, ==, APP_WHY_WATCHDOG);
	app_adopt(&app, true, 5000 * MS); /* what it said meanwhile lies in the socket */
	EXPECT(&app, APP_EVENT_TIME, 5699, APP_DO_NOTHING, APP_RUNNING);
	g_assert_cmpint(app_step(&app, (AppEvent){ APP_EVENT_ALIVE, false }, 5700 * MS), ==, APP_DO_KILL); /* WATCHDOG=trigger */
	/* Nobody else has one. */
	app = app_of(SETTINGS_RESTART_ALWAYS);
	run(&app, 0);
	g_assert_cmpint(app_step(&app, (AppEvent){ APP_EVENT_ALIVE, false }, MS), ==, APP_DO_NOTHING);
}

static void test_failed_checks_are_forgiven_until_there_are_too_many(void)
{
	SettingsApplication settings = settings_of(SETTINGS_RESTART_ALWAYS);
	settings.health_tolerance = 2;
	App app;
	app_init(&app, &settings, 0);
	run(&app, 0);
	for (int i = 0; i < 10; i++) {
		EXPECT(&app, APP_EVENT_CHECKED, i * 10, APP_DO_NOTHING, APP_RUNNING);
		EXPECT(&app, APP_EVENT_CHECKED, i * 10 + 1, APP_DO_NOTHING, APP_RUNNING);
		(void)!app_step(&app, (AppEvent){ APP_EVENT_CHECKED, true }, (i * 10 + 2) * MS);
	}
	for (int i = 0; i < 2; i++)
		EXPECT(&app, APP_EVENT_CHECKED, 200 + i, APP_DO_NOTHING, APP_RUNNING);
	EXPECT(&app, APP_EVENT_CHECKED, 203, APP_DO_KILL, APP_BACKOFF);
	g_assert_cmpint(app.why, ==, APP_WHY_UNHEALTHY);
	EXPECT(&app, APP_EVENT_CHECKED, 204, APP_DO_NOTHING, APP_BACKOFF); /* an answer that comes late */
}

static void test_a_stop_that_took_a_kill_is_known(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	run(&app, 0);
	EXPECT(&app, APP_EVENT_UNWANT, 0, APP_DO_SIGNAL, APP_STOPPING);
	g_assert_false(app.forced);
	EXPECT(&app, APP_EVENT_TIME, 500, APP_DO_KILL, APP_STOPPING);
	g_assert_true(app.forced);
}

static void test_restart_setting(void)
{
	static const struct {
		SettingsRestart restart;
		bool ok;
		AppState after;
	} cases[] = {
		{ SETTINGS_RESTART_ALWAYS, true, APP_BACKOFF },	    { SETTINGS_RESTART_ALWAYS, false, APP_BACKOFF },
		{ SETTINGS_RESTART_ON_FAILURE, true, APP_FAILED },  { SETTINGS_RESTART_ON_FAILURE, false, APP_BACKOFF },
		{ SETTINGS_RESTART_NEVER, true, APP_FAILED },	    { SETTINGS_RESTART_NEVER, false, APP_FAILED },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		App app = app_of(cases[i].restart);
		run(&app, 0);
		app.occupied = false;
		AppAction action = app_step(&app, (AppEvent){ APP_EVENT_ENDED, cases[i].ok }, 1000 * MS);
		g_assert_cmpint(action, ==, APP_DO_NOTHING);
		g_assert_cmpint(app.state, ==, cases[i].after);
	}
}

static void test_wanted_again_while_stopping(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	run(&app, 0);
	EXPECT(&app, APP_EVENT_UNWANT, 1, APP_DO_SIGNAL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_WANT, 2, APP_DO_NOTHING, APP_STOPPING);
	EXPECT(&app, APP_EVENT_EMPTY, 3, APP_DO_NOTHING, APP_WAITING);
}

static void test_restart_by_order(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	EXPECT(&app, APP_EVENT_RESTART, 0, APP_DO_NOTHING, APP_STOPPED); /* not where it must not run */
	run(&app, 0);
	EXPECT(&app, APP_EVENT_RESTART, 1, APP_DO_SIGNAL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_EMPTY, 2, APP_DO_NOTHING, APP_WAITING);
	g_assert_cmpuint(app.restarts.n_total, ==, 0); /* it did not fail */
}

static void test_adopted(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	app_adopt(&app, true, 0);
	g_assert_cmpint(app.state, ==, APP_RUNNING);
	EXPECT(&app, APP_EVENT_WANT, 0, APP_DO_NOTHING, APP_RUNNING);
	EXPECT(&app, APP_EVENT_UNWANT, 1, APP_DO_SIGNAL, APP_STOPPING);
	app = app_of(SETTINGS_RESTART_ALWAYS);
	app_adopt(&app, false, 0);
	g_assert_cmpint(app.state, ==, APP_STARTING);
	EXPECT(&app, APP_EVENT_READY, 1, APP_DO_NOTHING, APP_RUNNING);
}

static void test_a_stranger_in_its_group_goes_first(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	app.occupied = true;
	EXPECT(&app, APP_EVENT_WANT, 0, APP_DO_KILL, APP_STOPPING);
	EXPECT(&app, APP_EVENT_EMPTY, 1, APP_DO_NOTHING, APP_WAITING);
}

static void test_cannot_be_spawned(void)
{
	App app = app_of(SETTINGS_RESTART_ALWAYS);
	EXPECT(&app, APP_EVENT_WANT, 0, APP_DO_NOTHING, APP_WAITING);
	EXPECT(&app, APP_EVENT_NOT_STARTED, 0, APP_DO_NOTHING, APP_BACKOFF);
	EXPECT(&app, APP_EVENT_UNWANT, 1, APP_DO_NOTHING, APP_STOPPED);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/app/starts-when-its-needs-are-met", test_starts_when_its_needs_are_met);
	g_test_add_func("/app/stops-for-certain", test_stops_for_certain);
	g_test_add_func("/app/children-left-behind-are-killed", test_children_left_behind_are_killed);
	g_test_add_func("/app/restarts-when-empty", test_restarts_after_a_pause_and_only_when_empty);
	g_test_add_func("/app/fails-after-too-many", test_fails_after_too_many_and_is_still_tried);
	g_test_add_func("/app/failure-is-news-once", test_a_failure_is_news_once);
	g_test_add_func("/app/not-ready-in-time", test_not_ready_in_time);
	g_test_add_func("/app/goes-into-the-background", test_goes_into_the_background);
	g_test_add_func("/app/watchdog", test_watchdog);
	g_test_add_func("/app/failed-checks", test_failed_checks_are_forgiven_until_there_are_too_many);
	g_test_add_func("/app/stop-that-took-a-kill", test_a_stop_that_took_a_kill_is_known);
	g_test_add_func("/app/restart-setting", test_restart_setting);
	g_test_add_func("/app/wanted-again-while-stopping", test_wanted_again_while_stopping);
	g_test_add_func("/app/restart-by-order", test_restart_by_order);
	g_test_add_func("/app/adopted", test_adopted);
	g_test_add_func("/app/stranger-in-its-group", test_a_stranger_in_its_group_goes_first);
	g_test_add_func("/app/cannot-be-spawned", test_cannot_be_spawned);
	return g_test_run();
}
