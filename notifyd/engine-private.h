/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/engine-private.h - what the parts of the engine share. */
#pragma once

#include "engine.h"
#include "rules.h"

#define NOTIFY_APPLICATION "NOTIFY"
#define RECALL             1000
#define RECALL_MS          (24 * 3600 * 1000LL)

struct NotifyEngine {
	NotifyWriter *writer;
	NotifyStore *store; /* for reading */
	Settings *settings;
	const SettingsTarget *display;
	char *folder;
	NotifyRules *rules;
	NotifyDispatch *dispatch;
	Leds *leds;
	NotifyEngineEvents events;
	GHashTable *raised; /* key -> what is on its way to the disk */
	bool has_events, has_rows; /* stored, and not looked at */
	guint tick;
	gint64 tick_us;
	/* the other device (engine-peer.c) */
	OutboxPlace place;
	bool paired;
	char *peer_store;              /* the other's database, as it published; NULL: nothing yet */
	NotifySeen peer;               /* how far that one is */
	bool asking;
	guint ask_timer, heads_timer, start_timer, grace_timer, alive_timer;
	bool returned; /* looked at, whether nobody was there */
};

void notify_engine_note(NotifyEngine *engine, const char *name, guint8 priority, const char *description, const char *reference);

/* @event is stored, and nobody has read it: LEDs show it. */
void notify_engine_light(NotifyEngine *engine, const NotifyEvent *event);
/* There may be more to tell the other device. */
void notify_engine_news(NotifyEngine *engine);
void notify_engine_hand_over(NotifyEngine *engine); /* what could not be sent from here, where the other leads: also after each attempt */
void notify_engine_begin_place(NotifyEngine *engine);
void notify_engine_end_place(NotifyEngine *engine);
