/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/orders/drill-watch.h - asks for OPTIONS at the service address while the service goes to the other device, as a phone would.
 *
 * The device asks that hands over: when it has, the answers come over the network, from the other one.
 */
#pragma once

#include "settings/settings.h"
#include "supervisor/orders/silence.h"
#include "supervisor/role/role.h"

typedef struct DrillWatch DrillWatch;

/* NULL: no application says (ready= or health=sip-options) where it answers. It ends by itself after a quarter of an hour. */
DrillWatch *drill_watch_new(const Settings *settings);
void drill_watch_free(DrillWatch *watch); /* NULL is fine */

const char *drill_watch_target(const DrillWatch *watch); /* "udp 192.0.2.10:5060" */
void drill_watch_look(DrillWatch *watch, Role role); /* what this device is now; NULL is fine */
Silence drill_watch_silence(const DrillWatch *watch);

/* ---- The pure part, for tests ---- */

/* Where a phone would ask: @ret_check->host is borrowed from the settings. False: nowhere. */
bool drill_watch_find(const Settings *settings, SettingsCheck *ret_check);
