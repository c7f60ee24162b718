/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/service-private.h - what service.c (Sync1: files and commits) and peer-service.c (Peer1: link and pairing) share. */
#pragma once

#include "dbus/job.h"
#include "engine.h"
#include "syncd/pairing/farewell.h"
#include "syncd/peer/link.h"
#include "syncd/pairing/pairing.h"
#include "point.h"
#include "syncd/pairing/record.h"
#include "service.h"
#include "syncd/files/set.h"
#include "syncd/repository/term.h"

#define SYNC_INTERFACE "org.understudy.Sync1"
#define PEER_INTERFACE "org.understudy.Peer1"

typedef struct SyncVerifying SyncVerifying;

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
	GVariant *applied_term;               /* (ts) */
	GVariant *peer_stored, *peer_applied; /* a{ss}: what it said */
	GVariant *changes[SYNC_N_REFS];       /* what the peer is told next; NULL: nothing */
	bool peer_leads;
	SyncTerm peer_term;                   /* in which its syncd leads or follows */
	bool hurries, peer_hurries;           /* nobody is served until what is committed now is applied there */
	guint hurry_timer;
	GVariant *held, *peer_held;           /* a{s(ss)} */
	SyncVerifying *verifying;
	char **apart, **peer_apart; /* "<ref>/<commit>": what whoever leads is to unite, ours and the peer's */
	char **diverged;
	char *activity, *problem;
	gint64 last_sync_ms;
	GPtrArray *waiters;  /* of Waiter* */
	guint interval;      /* timer: pull every so often */
	guint retry;         /* timer: pull again after a failure */
	guint retry_ms;

	/* recovery.c */
	SyncPoint *points[SYNC_N_REFS];
	bool counts_own;     /* they count our commits; else the peer's, as it told of them */
	GVariant *lost;      /* a{sv}: by the last takeover of this device */
	guint behind_timer;
	bool behind_told;

	/* peer-service.c */
	SyncLink *link;
	SyncRecord *record;  /* NULL: not paired */
	bool first_sync_saving; /* it is done, and the disk does not have that yet */
	SyncPairing *pairing;
	gint64 pairing_until_ms;
	bool joining;
	guint reopen;        /* idle: open the link with what is known now */
	GHashTable *published; /* topic -> GVariant: the peer's */
	GHashTable *served;    /* topics somebody here answers */
	GHashTable *refused;   /* host -> Refusal */

	/* upkeep.c */
	char *next_key;            /* fingerprint of the key that will be ours; NULL: none */
	GVariant *own_addresses;   /* a{sas}, as told to the peer */
	char *unpaired_path;
	SyncRecord *unpaired;      /* a device that this one has forgotten and that has yet to be told; NULL: none */
	SyncFarewell *farewell;
	bool searching;            /* for the peer, where people said that it is */
	guint look, moving, settling, closing; /* timers */

	Jobs *jobs;
	GTask *transfer; /* transfer.c: the export or import that is under way */
};

/* ---- service.c ---- */
extern const BusMember sync_members[];
void sync_service_notice(SyncService *service, const char *name, guint8 priority, const char *format, ...) G_GNUC_PRINTF(4, 5);
void sync_service_peer_said(SyncService *service, GVariant *value); /* its topic "sync" */
void sync_service_peer_connected(SyncService *service, bool connected);
void sync_service_tell_peer(SyncService *service);
void sync_service_pull(SyncService *service);

/* ---- recovery.c ---- */
void sync_recovery_look(SyncService *service);                            /* who has what has changed, or the limit */
void sync_recovery_own(SyncService *service);                             /* our lines have moved */
void sync_recovery_peer_said(SyncService *service, GVariant *value);
void sync_recovery_role(SyncService *service, bool followed);             /* service->role is in force */
bool sync_recovery_is_applied(SyncService *service, GVariant *commits);   /* the peer has @commits, or newer ones of ours, on its files */
GVariant *sync_recovery_numbers(SyncService *service);                    /* of our newest commits, for the peer */
GVariant *sync_recovery_point(SyncService *service);
GVariant *sync_recovery_heard_ms(SyncService *service);

/* ---- mending.c ---- */
void sync_mending_look(gpointer service); /* the engine has lost something, or the peer says what it has */
void sync_mending_tidy(BusCall *call, GVariant *args, gpointer user_data);

/* ---- verifying.c ---- */
SyncVerifying *sync_verifying_new(SyncService *service);
void sync_verifying_free(SyncVerifying *verifying); /* NULL is fine */
void sync_verifying_peer_said(SyncService *service, GVariant *value); /* its topic "verify" */
void sync_verifying_peer_gone(SyncService *service);
void sync_verifying_verify(BusCall *call, GVariant *args, gpointer user_data);
GVariant *sync_verifying_progress(gpointer user_data);

/* ---- held.c ---- */
const char *sync_held_of(SyncService *service, GVariant *commits);        /* what the peer holds back of these: why; NULL: nothing */
void sync_held_peer_said(SyncService *service, GVariant *value);
void sync_held_here(const char *ref, const char *commit, const char *why, gpointer user_data);
void sync_held_hooks(gpointer user_data);
void sync_held_hook_done(BusCall *call, GVariant *args, gpointer user_data);
GVariant *sync_held_get(gpointer user_data);
GVariant *sync_held_get_peer(gpointer user_data);
GVariant *sync_held_get_hooks(gpointer user_data);

/* ---- unite/together.c ---- */
void sync_together_apart(const char *const *names, gpointer user_data);
void sync_together_united(gpointer user_data);
void sync_together_tell(SyncService *service, GVariantBuilder *builder); /* adds to what the peer is told */
void sync_together_peer_said(SyncService *service, GVariant *value);
void sync_together_look(SyncService *service);                           /* role, peer or settings have changed */

/* ---- peer-service.c ---- */
extern const BusMember peer_members[];
bool sync_peer_init(SyncService *service, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_peer_clear(SyncService *service);
void sync_peer_reopen(SyncService *service); /* soon, from the loop */
void sync_peer_first_sync_done(SyncService *service);
void sync_peer_take_record(SyncService *service, SyncRecord *record); /* NULL: not paired; not from inside a callback of the link */
GVariant *sync_peer_addresses(const Settings *settings);              /* a{sas}: this device's own. Floating */

/* ---- past.c ---- */
void sync_past_restore(BusCall *call, GVariant *args, gpointer user_data);
void sync_past_restore_from(BusCall *call, GVariant *args, gpointer user_data);
void sync_past_history(BusCall *call, GVariant *args, gpointer user_data);
void sync_past_difference(BusCall *call, GVariant *args, gpointer user_data);

/* ---- transfer.c ---- */
void sync_transfer_export(BusCall *call, GVariant *args, gpointer user_data);
void sync_transfer_import(BusCall *call, GVariant *args, gpointer user_data);

/* ---- upkeep.c ---- */
bool sync_upkeep_init(SyncService *service, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_upkeep_clear(SyncService *service);
void sync_upkeep_tell(SyncService *service);                     /* the peer what our keys and addresses are */
void sync_upkeep_look(SyncService *service);                     /* at what it told of its own */
void sync_upkeep_reload(SyncService *service);
void sync_upkeep_paired(SyncService *service);
void sync_upkeep_unpaired(SyncService *service, guint64 serial); /* the peer says so and waits for an answer */
void sync_upkeep_rotate_key(BusCall *call, GVariant *args, gpointer user_data);
void sync_upkeep_set_peer_address(BusCall *call, GVariant *args, gpointer user_data);
void sync_upkeep_unpair(BusCall *call, GVariant *args, gpointer user_data);
