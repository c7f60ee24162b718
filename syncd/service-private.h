/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/service-private.h - what service.c (Sync1: files and commits) and peer-service.c (Peer1: link and pairing) share. */
#pragma once

#include "engine.h"
#include "link.h"
#include "pairing.h"
#include "record.h"
#include "service.h"

#define SYNC_INTERFACE "org.understudy.Sync1"
#define PEER_INTERFACE "org.understudy.Peer1"

struct SyncService {
	BusObject *object;
	char *folder, *settings_dir, *repository, *record_path;
	Settings *settings;
	SyncKey *key;

	/* service.c */
	SyncEngine *engine;
	SyncRole role;
	guint64 term;
	char *term_id;
	GVariant *stored, *applied;           /* a{ss}: ours */
	GVariant *peer_stored, *peer_applied; /* a{ss}: what it said */
	bool peer_leads;
	char **diverged;
	char *activity, *problem;
	gint64 last_sync_ms;
	GHashTable *order;   /* commit -> when it became ours, as a counter: later ones contain what earlier ones had */
	guint64 order_last;
	GPtrArray *waiters;  /* of Waiter* */
	guint interval;      /* timer: pull every so often */
	guint retry;         /* timer: pull again after a failure */
	guint retry_ms;
	bool pulling, pull_again;

	/* peer-service.c */
	SyncLink *link;
	SyncRecord *record;  /* NULL: not paired */
	SyncPairing *pairing;
	gint64 pairing_until_ms;
	bool joining;
	guint reopen;        /* idle: open the link with what is known now */
	GHashTable *published; /* topic -> GVariant: the peer's */
	GHashTable *served;    /* topics somebody here answers */
	GHashTable *refused;   /* host -> Refusal */
};

/* ---- service.c ---- */
extern const BusMember sync_members[];
void sync_service_notice(SyncService *service, const char *name, guint8 priority, const char *format, ...) G_GNUC_PRINTF(4, 5);
void sync_service_peer_said(SyncService *service, GVariant *value); /* its topic "sync" */
void sync_service_peer_connected(SyncService *service, bool connected);
void sync_service_tell_peer(SyncService *service);

/* ---- peer-service.c ---- */
extern const BusMember peer_members[];
bool sync_peer_init(SyncService *service, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_peer_clear(SyncService *service);
void sync_peer_reopen(SyncService *service); /* soon, from the loop */
void sync_peer_first_sync_done(SyncService *service);
