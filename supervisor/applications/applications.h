/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/applications.h - the applications as processes: started in order, watched, stopped for certain. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "settings/settings.h"
#include "supervisor/applications/app.h"
#include "supervisor/processes/process.h"

typedef struct Applications Applications;
typedef struct Application Application; /* valid until `gone` was said of it */

typedef struct {
	void (*added)(Application *application, gpointer user_data);
	/* Its state, its pid or its own words have changed; @old is the state before. */
	void (*changed)(Application *application, AppState old, gpointer user_data);
	void (*gone)(Application *application, gpointer user_data);
	/* Something about it that people should know; it goes on all the same. */
	void (*trouble)(Application *application, const char *text, gpointer user_data);
} ApplicationsListener;

/* @cgroup: the keeper's own group. */
Applications *applications_new(ProcessTable *processes, const char *cgroup, const ApplicationsListener *listener, gpointer user_data);
void applications_free(Applications *applications); /* the processes live on */

/* Takes the settings; those no longer named are stopped and then go. */
void applications_configure(Applications *applications, Settings *settings);

/* Finds what an earlier supervisor left running: by @records, and by who is in the control groups. To be called once. */
void applications_adopt(Applications *applications, GPtrArray *records);

/* All of them shall run, or none. */
void applications_run(Applications *applications, bool run);

/* Does beforehand what a start would have to wait for, the control groups; to be called when nothing is in a hurry. */
void applications_rest(Applications *applications);

/* All that are critical. */
bool applications_are_ready(const Applications *applications);
/* The one for which alone they are not ready yet, while it starts; NULL: none, or several. */
const SettingsApplication *applications_last_starting(const Applications *applications);
bool applications_are_stopped(const Applications *applications);
bool applications_have_failed(const Applications *applications); /* one that is critical */

/* A datagram of the notify socket, from @pid. */
void applications_notified(Applications *applications, pid_t pid, const char *text);

/* Lines for the list of processes. */
void applications_write_records(const Applications *applications, GString *text);

void applications_each(const Applications *applications, void (*visit)(Application *application, gpointer user_data), gpointer user_data);
Application *applications_find(const Applications *applications, const char *name); /* NULL when there is none */
bool application_restart(Application *application); /* false: it is not wanted in this role */
const char *application_name(const Application *application);
const SettingsApplication *application_settings(const Application *application);
const App *application_state(const Application *application);
const char *application_unit_program(const Application *application); /* what its unit starts; "" when not known */
pid_t application_pid(const Application *application);
const char *application_last_exit(const Application *application);
/* What it wrote before it last failed; "" when it never has. */
const char *application_last_output(const Application *application);
void application_set_last_output(Application *application, const char *text);
const char *application_status_text(const Application *application);
gint64 application_since_ms(const Application *application);

/* When it was last started, by the wall clock; 0: before this supervisor. */
gint64 application_begun_ms(const Application *application);
gpointer application_data(const Application *application); /* the listener's own */
void application_set_data(Application *application, gpointer data);
