/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/engine.h - what notifyd does, without the bus: stores events in batches, makes messages of them by the rules, has them delivered, and
 * keeps both devices' stores alike.
 */
#pragma once

#include <gio/gio.h>

#include "dispatch.h"
#include "led.h"
#include "settings/settings.h"

typedef struct NotifyEngine NotifyEngine;

typedef struct {
	void (*raised)(const NotifyEvent *event, gpointer user_data); /* one more is stored */
	void (*marked)(const GArray *ids, gpointer user_data);        /* read on the other device */
	void (*acknowledged)(const GArray *ids, const char *who, gpointer user_data); /* the same */
	void (*counts)(gpointer user_data);                           /* how many there are, unread, shown */
	void (*heads)(gpointer user_data);                            /* there is more to tell the other device; not more than 5 times a second */
	void (*ask)(GVariant *question, gpointer user_data);          /* for the other device; the answer goes to notify_engine_told() */
	gpointer user_data;
} NotifyEngineEvents;

typedef struct {
	const char *settings_folder;
	const char *programs, *secrets; /* folders */
	gint64 deadline_ms;             /* of one delivery */
	const char *leds, *leds_state;  /* the LED class; a file of ours for what was taken */
} NotifyEnginePlan;

/* @settings is taken over. @writer must outlive the engine. */
NotifyEngine *notify_engine_new(NotifyWriter *writer, Settings *settings, const NotifyEnginePlan *plan);
void notify_engine_free(NotifyEngine *engine); /* what waits for the disk is answered first; NULL is fine */
void notify_engine_watch(NotifyEngine *engine, const NotifyEngineEvents *events);
const char *notify_engine_device(const NotifyEngine *engine);
NotifyDispatch *notify_engine_dispatch(NotifyEngine *engine);
Leds *notify_engine_leds(NotifyEngine *engine);
const Settings *notify_engine_settings(const NotifyEngine *engine);

/* Takes over @event, which has been checked. @done when it is on disk together with what is told of it: @id, or @error. Nothing else waits for that. */
typedef void (*NotifyRaised)(guint64 id, const GError *error, gpointer user_data);
void notify_engine_raise(NotifyEngine *engine, NotifyEvent *event, NotifyRaised done, gpointer user_data);
/* An event of our own that the display alone tells of, whatever the rules say. */
void notify_engine_show(NotifyEngine *engine, const char *name, const char *description, NotifyRaised done, gpointer user_data);
/* Until all that was ordered is on disk and answered. */
void notify_engine_finish(NotifyEngine *engine);
/* These are read, or acknowledged, now; @read may be empty. */
void notify_engine_marked(NotifyEngine *engine, const GArray *read);

/* Reads the settings again. Wrong ones change nothing. */
bool notify_engine_reload(NotifyEngine *engine, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What the supervisor says of this device and the other: leads, paired, connected, peer_leads (b), peer (s), heads (a{sv}, as the other published them). */
void notify_engine_place(NotifyEngine *engine, GVariant *place);
GVariant *notify_engine_heads(NotifyEngine *engine); /* a{sv}, floating */
/* The other device asks; and what it answered to us. */
GVariant *notify_engine_tell(NotifyEngine *engine, GVariant *question, GError **error);
typedef void (*NotifyTold)(const GError *error, gpointer user_data);
void notify_engine_told(NotifyEngine *engine, GVariant *answer, NotifyTold done, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyEngine, notify_engine_free)
