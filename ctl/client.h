/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl/client.h - what every command needs: the system bus with a deadline, errors as exit codes, output for people or programs.
 *
 * The binding is asynchronous; a command line is not. ctl_call() and ctl_wait() run the main loop until the answer is there, the condition
 * holds or the time is up, so a command reads from top to bottom and still never hangs.
 */
#pragma once

#include "dbus/bus-link.h"
#include "dbus/dict.h"
#include "render.h"

/* The exit codes of the whole program. */
typedef enum {
	CTL_OK = 0,
	CTL_REFUSED = 1, /* by the daemon, or it failed there */
	CTL_BAD_INPUT = 2,
	CTL_NOT_REACHABLE = 3,
	CTL_TIMED_OUT = 4,
} CtlExit;

typedef enum { CTL_SUPERVISOR, CTL_VRRP, CTL_SYNC, CTL_NOTIFY, CTL_N_DAEMONS } CtlDaemon;

#define CTL_CALL_TIMEOUT_MS 5000

typedef struct {
	bool json;
	RenderStyle out, err; /* what stdout and stderr can do */
	GTimeZone *zone;
	BusLink *link; /* made by the first call */
} Ctl;

/* @json comes from the command line; the rest from the environment and the terminal. */
void ctl_init(Ctl *ctl, bool json);
void ctl_clear(Ctl *ctl);

const char *ctl_bus_name(CtlDaemon daemon);
const char *ctl_path(CtlDaemon daemon);
#define CTL_SUPERVISOR_INTERFACE  "org.understudy.Supervisor1"
#define CTL_JOB_INTERFACE         "org.understudy.Job1"
#define CTL_SYNC_INTERFACE        "org.understudy.Sync1"
#define CTL_PEER_INTERFACE        "org.understudy.Peer1"
#define CTL_NOTIFY_INTERFACE      "org.understudy.Notify1"
#define CTL_ELECTION_INTERFACE    "org.understudy.Election1"
#define CTL_VRRP_INTERFACE        "org.understudy.Vrrp1"
#define CTL_APPLICATION_INTERFACE "org.understudy.Application1"

/* Connects when not connected yet; NOT_REACHABLE with advice when there is no system bus. */
bool ctl_connect(Ctl *ctl, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Calls @method of @daemon and waits for the answer, a tuple. @path NULL: the daemon's root. */
GVariant *ctl_call(Ctl *ctl, CtlDaemon daemon, const char *path, const char *interface, const char *method,
		   GVariant *args, int timeout_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;
GVariant *ctl_call_fd(Ctl *ctl, CtlDaemon daemon, const char *interface, const char *method, GVariant *args, int fd,
		      int timeout_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* All properties of an interface, a{sv}. */
GVariant *ctl_get_all(Ctl *ctl, CtlDaemon daemon, const char *path, const char *interface, int timeout_ms,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Runs the loop until @done says so (asked after each event); false when @timeout_ms have gone. */
bool ctl_wait(bool (*done)(gpointer), gpointer user_data, int timeout_ms);

/* Says what is wrong, where, and what to do, on stderr; answers the exit code. The second form is for errors of a call to @daemon and finds out
 * whether it is there at all. */
CtlExit ctl_complain(Ctl *ctl, CtlExit code, const char *format, ...) G_GNUC_PRINTF(3, 4);
CtlExit ctl_fail(Ctl *ctl, CtlDaemon daemon, const GError *error);

/* To stdout and stderr as they are, UTF-8 whatever the locale. */
void ctl_print(const char *text);
void ctl_printf(const char *format, ...) G_GNUC_PRINTF(1, 2);
void ctl_note(Ctl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* One value as JSON and a newline on stdout. Sinks @value. */
void ctl_print_json(GVariant *value);

/* Reads options out of @argv (argv[0] is the command's name) and leaves the other arguments; at most @max_args of them. --help ends the program.
 * False after having complained. */
bool ctl_options(Ctl *ctl, int *argc, char ***argv, const GOptionEntry *entries, const char *usage, const char *summary,
		 int min_args, int max_args) G_GNUC_WARN_UNUSED_RESULT;

/* Progress on stderr: one line redrawn on a terminal, else a line for each new @message. */
typedef struct {
	Ctl *ctl;
	char *last; /* the last message, or the line drawn */
	bool drawn;
} CtlProgress;
void ctl_progress(CtlProgress *progress, double fraction, const char *message); /* @fraction below 0: no bar */
void ctl_progress_end(CtlProgress *progress);
