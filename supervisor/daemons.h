/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/daemons.h - vrrpd, syncd, notifyd and, where it is wanted, understudy-snmp: started with the rights each needs and no others, and again at once when they end. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/settings.h"
#include "supervisor/processes/process.h"

typedef enum { DAEMON_VRRPD, DAEMON_SYNCD, DAEMON_NOTIFYD, DAEMON_SNMP } DaemonKind;
#define DAEMON_N 4

typedef struct Daemons Daemons;

typedef struct {
	/* @text for people; e.g. real time was refused. */
	void (*trouble)(const char *name, const char *text, gpointer user_data);
	void (*changed)(gpointer user_data); /* the list of processes */
	void (*stopped)(DaemonKind kind, gpointer user_data); /* after daemons_stop() */
} DaemonsListener;

/* Finds the users; a missing one is the error. Starts nothing. */
Daemons *daemons_new(ProcessTable *processes, const char *cgroup, const DaemonsListener *listener, gpointer user_data, GError **error)
	G_GNUC_WARN_UNUSED_RESULT;
void daemons_free(Daemons *daemons); /* the processes live on */

/* The folders of docs/contracts.md, with their owners. */
bool daemons_make_folders(const Daemons *daemons, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The roots of data sets decide where syncd may write; a change of them restarts it. [snmp] says whether there is an understudy-snmp. */
void daemons_configure(Daemons *daemons, const Settings *settings);

/* Where a daemon that is started finds its settings: while those on disk are wrong, the last good ones (@folder), so that one that dies then
 * comes back. NULL: where they always are. */
void daemons_use_settings(Daemons *daemons, const char *folder);

/* Keeps those that run, starts the others. */
void daemons_start(Daemons *daemons, GPtrArray *records);

/* SIGTERM now, SIGKILL after a deadline; `stopped` follows, also when it was not there. */
void daemons_stop(Daemons *daemons, DaemonKind kind);

void daemons_write_records(const Daemons *daemons, GString *text);
const char *daemon_name(DaemonKind kind);
