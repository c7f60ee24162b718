/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/application-private.h - one application, as the files that carry it out share it. */
#pragma once

#include "supervisor/applications/applications.h"
#include "supervisor/applications/identity.h"
#include "supervisor/applications/probe.h"
#include "supervisor/applications/systemd.h"

/* A check under way, or between two tries. */
typedef struct {
	Process *process;
	Probe *probe;
	guint timer;   /* the next try, or the end of this one */
	char *why;     /* the last try failed because of this */
} Check;

struct Application {
	Applications *all;
	SettingsApplication *settings; /* belongs to settings_object */
	Settings *settings_object;
	App app;
	bool leaving; /* no longer in the settings */
	Identity *identity;
	char *cgroup;
	bool killed;  /* the group was, and is made anew before it is used again */
	int events;   /* its cgroup.events */
	guint events_source;
	Process *process;
	SystemdUnit *unit; /* of unit=, or of what it was when it was started */
	char *unit_name;
	guint empty_timer;
	Check ready, health;
	char *last_exit;
	char *status_text;
	char *last_output;
	gint64 since_ms;
	gint64 begun_ms; /* its last start by us */
	gpointer data;
};

struct Applications {
	ProcessTable *processes;
	Systemd *systemd;
	char *cgroup;
	ApplicationsListener listener;
	gpointer user_data;
	Settings *settings;
	GPtrArray *list; /* of Application* */
	bool run;
	bool pumping, pump_again;
	guint timer;
};

/* ---- applications.c ---- */
void application_step(Application *application, AppEvent event);
void applications_keep_back(Applications *applications);
void application_set_last_exit(Application *application, const char *text);

/* ---- launch.c: its command as a process ---- */
bool launch(Application *application, char **argv, Spawned *ret_spawned, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Another command with the same rights, in a control group and with an output of its own. */
bool launch_beside(Application *application, char **argv, const char *cgroup, int output, Spawned *ret_spawned, GError **error)
	G_GNUC_WARN_UNUSED_RESULT;

/* The same for a hook: as whom, with what in its environment, and with what in the place of its files. */
typedef struct {
	Identity *identity;             /* NULL: the application's own */
	const char *const *environment; /* name, value, ... NULL */
	const char *const *binds;       /* as in SpawnPlan */
	bool changes;                   /* these may be written, as far as its user may */
} LaunchHook;
bool launch_hook(Application *application, char **argv, const char *cgroup, int output, const LaunchHook *hook, Spawned *ret_spawned, GError **error)
	G_GNUC_WARN_UNUSED_RESULT;

/* ---- by-unit.c: an application that systemd starts ---- */
void by_unit_follow_settings(Application *application); /* only while nothing of it runs */
void by_unit_start(Application *application);
void by_unit_stop(Application *application);
void by_unit_kill(Application *application);
bool by_unit_adopt(Application *application, GPtrArray *records); /* false: an earlier supervisor left nothing running */
void by_unit_write_record(const Application *application, GString *text);
void by_unit_stop_stranger(Application *application); /* one that somebody else started where none may run */
void by_unit_end(Application *application);

/* ---- check.c: is it ready, is it well ---- */
void check_begin_ready(Application *application);  /* until it is ready; does nothing where it says so itself */
void check_begin_health(Application *application); /* from now on */
void check_end(Check *check);
