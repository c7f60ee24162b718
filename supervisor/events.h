/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/events.h - raises events at notifyd, and keeps on disk what notifyd has not confirmed. */
#pragma once

#include <glib.h>

#include "dbus/bus-link.h"
#include "supervisor/store.h"

#define EVENTS_FILE "/var/lib/understudy/supervisor/events"
/* Older ones go: with notifyd away for ever, the disk must not fill. */
#define EVENTS_MAX 1000

typedef struct Events Events;

/* @link: to notifyd's private socket. What an earlier supervisor could not deliver is delivered first. */
Events *events_new(BusLink *link, Store *store, const char *device_id);
void events_free(Events *events);

/* Has its time from now and a key of its own, so that repeating it stores it once. */
void events_raise(Events *events, const char *application, const char *name, guint8 priority, const char *description);

/* The same about one cause: not again within @quiet_s. */
void events_raise_once(Events *events, const char *cause, guint quiet_s, const char *application, const char *name, guint8 priority,
		       const char *description);

/* notifyd's link has come up. */
void events_flush(Events *events);
