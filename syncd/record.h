/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/record.h - what pairing fixed, kept in peer.json. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef struct {
	char *id, *name, *model, *version; /* the peer's */
	char *fingerprint;
	guint8 offset;       /* ours: 1 for the listener, 0 for the joiner */
	GVariant *addresses; /* a{sas}: the peer's own, by interface name; never NULL */
	char *pair_conf;     /* sent by the listener; NULL on the listener */
	bool joined;
	bool first_sync_done;
} SyncRecord;

void sync_record_free(SyncRecord *record); /* NULL is fine */

/* Makes a record from what the peer said of itself (a{sv}: id, name, model, version, addresses, pair_conf); refuses what is missing, malformed
 * or too long. */
SyncRecord *sync_record_new(GVariant *description, const char *fingerprint, bool joined, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* NULL without @error when there is none. */
SyncRecord *sync_record_load(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sync_record_save(const SyncRecord *record, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* PairRecord of Peer1. Floating. */
GVariant *sync_record_to_variant(const SyncRecord *record);

/* The peer's hosts, best first: those of @configured when it has any; else the record's, the interface "peer" first. Transfer full. */
char **sync_record_hosts(const SyncRecord *record, const char *const *configured);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncRecord, sync_record_free)
