/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/probe.h - asks from outside whether an application works: is its port bound, does it answer SIP OPTIONS. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/settings.h"

/* Whether somebody listens (TCP) or is bound (UDP) there: from /proc/net, so that the application notices nothing. */
bool probe_port(const SettingsCheck *check);

typedef struct Probe Probe;
/* @why: "" when @ok. The probe is freed before this runs. */
typedef void (*ProbeDoneCb)(bool ok, const char *why, gpointer user_data);

/* Sends OPTIONS; any answer below 500 will do. Never runs @done before it has returned. */
Probe *probe_sip(const SettingsCheck *check, guint timeout_ms, ProbeDoneCb done, gpointer user_data);
void probe_free(Probe *probe); /* NULL is fine; @done will not run */

/* ---- The pure parts, for tests ---- */

/* @table: the text of /proc/net/{udp,tcp}, with @ipv6 of udp6 or tcp6. */
bool probe_find_port(const char *table, bool ipv6, const SettingsCheck *check);

/* @local: address and port as in a SIP header; transfer full. */
char *probe_sip_request(const SettingsCheck *check, const char *local, const char *call_id);

/* The status of an answer to the request with that Call-ID; 0: it is none, or not final. */
guint probe_sip_status(const char *text, const char *call_id);
