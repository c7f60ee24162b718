/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/applications/app.h - the life of one application as a pure function of (state, event, time).
 *
 * The I/O beside it (applications.c) owns processes and timers: it feeds events in and carries the answer out.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/settings.h"
#include "supervisor/processes/restart.h"

typedef enum {
	APP_STOPPED,
	APP_WAITING,  /* for what it needs */
	APP_STARTING, /* spawned, not ready yet */
	APP_RUNNING,
	APP_STOPPING, /* until nobody is left in its group */
	APP_BACKOFF,  /* ended by itself; will be started again */
	APP_FAILED,   /* ended by itself too often; tried again at long intervals, or never (restart=never) */
} AppState;

typedef enum {
	APP_EVENT_WANT,      /* it should run */
	APP_EVENT_UNWANT,    /* it should not; nobody needs it any more */
	APP_EVENT_NEEDS_MET, /* what it needs is ready; may be said again and again */
	APP_EVENT_STARTED,   /* the spawn ordered was done */
	APP_EVENT_NOT_STARTED, /* it could not be done */
	APP_EVENT_READY,
	APP_EVENT_ENDED,     /* its main process ended; `ok`: exit 0 */
	APP_EVENT_EMPTY,     /* nobody is left in its group */
	APP_EVENT_TIME,      /* deadline_us has come */
	APP_EVENT_RESTART,   /* by order of a person */
	APP_EVENT_ALIVE,     /* it said so to its watchdog; `ok` false: it said that it is not */
	APP_EVENT_CHECKED,   /* its health was, with `ok` as the answer */
} AppEventKind;

typedef struct {
	AppEventKind kind;
	bool ok;
} AppEvent;

/* Why it last failed. */
typedef enum {
	APP_WHY_ENDED,       /* by itself */
	APP_WHY_FORKED_AWAY, /* the same, with success and leaving others behind */
	APP_WHY_NOT_STARTED,
	APP_WHY_NOT_READY,   /* in time */
	APP_WHY_WATCHDOG,
	APP_WHY_UNHEALTHY,
} AppWhy;

typedef enum {
	APP_DO_NOTHING,
	APP_DO_SPAWN,
	APP_DO_SIGNAL, /* the stop signal to the main process */
	APP_DO_KILL,   /* everybody in its group */
} AppAction;

typedef struct {
	/* From the settings. */
	gint64 ready_timeout_us;
	gint64 stop_timeout_us;
	gint64 watchdog_us; /* 0: none */
	guint tolerance;    /* this many failed checks in a row are forgiven */
	SettingsRestart restart_when;
	RestartPolicy policy;

	/* What it is. */
	AppState state;
	bool wanted;
	bool main_alive; /* the main process lives */
	bool occupied;   /* somebody may be in its group */
	gint64 since_us;
	gint64 deadline_us; /* 0: none */
	guint misses;       /* failed checks in a row */
	AppWhy why;
	bool forced;        /* its stop took a kill */
	RestartState restarts;
	/* FAILED is news but once, however often it is tried meanwhile: until it stayed up for a while, or was stopped. */
	bool in_failure;
	bool failure_is_news;
} App;

void app_init(App *app, const SettingsApplication *settings, gint64 now_us);

/* New settings for a living one: it keeps its state. */
void app_configure(App *app, const SettingsApplication *settings);

/* An application found running after the supervisor's own death. */
void app_adopt(App *app, bool ready, gint64 now_us);

AppAction app_step(App *app, AppEvent event, gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;

const char *app_state_name(AppState state);
