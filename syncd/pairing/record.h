/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/pairing/record.h - what pairing fixed, kept in peer.json. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef struct {
	char *id, *name, *model, *version; /* the peer's */
	char *pairing;       /* names this pairing: the fingerprint that the peer had then */
	char *fingerprint;   /* of the key that it has now */
	char *next;          /* of the one that it has told of; NULL: none (rotation.h) */
	guint8 offset;       /* ours: 1 for the listener, 0 for the joiner */
	GVariant *addresses; /* a{sas}: the peer's own, by interface name, as it told them last; never NULL */
	char **before;       /* hosts that it had before these; never NULL */
	char *place;         /* a host that people gave; NULL: none */
	char *pair_conf;     /* sent by the listener; NULL on the listener */
	bool joined;
	bool first_sync_done;
	bool revoked;        /* by the peer: it has forgotten this device */
} SyncRecord;

void sync_record_free(SyncRecord *record); /* NULL is fine */

/* Makes a record from what the peer said of itself (a{sv}: id, name, model, version, addresses, pair_conf); refuses what is missing, malformed
 * or too long. */
SyncRecord *sync_record_new(GVariant *description, const char *fingerprint, bool joined, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* NULL without @error when there is none. */
SyncRecord *sync_record_load(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sync_record_save(const SyncRecord *record, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same in another thread, for who must not wait for the disk. What is saved later, by either, replaces it; then @done hears of success. */
typedef void (*SyncRecordSaved)(const GError *error, gpointer user_data);
void sync_record_save_soon(const SyncRecord *record, const char *path, SyncRecordSaved done, gpointer user_data);

/* The file is about to go, or to become another one: what is under way ends before, and what has not begun never does. */
void sync_record_save_no_more(void);

/* PairRecord of Peer1. Floating. */
GVariant *sync_record_to_variant(const SyncRecord *record);

/* The peer tells its addresses: whether they are others than were known. What it had stays in @before until sync_record_settle(). */
bool sync_record_take_addresses(SyncRecord *record, GVariant *addresses);
/* The peer was reached at one of its addresses: whether there was anything to forget. What it had and @configured (may be NULL) still names stays, as
 * the sign that it is not there any more. */
bool sync_record_settle(SyncRecord *record, const char *const *configured);
/* Whether @host is one of the addresses that it told. */
bool sync_record_is_told(const SyncRecord *record, const char *host);

/* What sync_key_is_pinned() takes. Transfer full. */
char *sync_record_pin(const SyncRecord *record);

/* The peer's hosts, best first: the one that people gave; those of @configured when it has any, else the record's, the interface "peer" first; what the
 * peer had before. When one of @configured is what it had before, it is looked for where it says that it is, too. Transfer full. */
char **sync_record_hosts(const SyncRecord *record, const char *const *configured);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncRecord, sync_record_free)
