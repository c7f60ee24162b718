/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/pairing/pairing.h - how two devices that have never met exchange keys, by a one-time code that a person carries.
 *
 *	joiner                                     listener
 *	  | ---------- TLS, both show a key ---------- |   any key is taken here; the proofs decide
 *	  | JOIN  proof over both keys, with the code -> |  wrong: NO, and one of five tries is gone
 *	  | <- PAIR  the other proof, description        |  wrong: NO, nothing stored
 *	  | OFFER  description ------------------------> |  writes the record aside, fsync
 *	  | <- HELD                                      |
 *	  | writes the record, fsync; STORED ----------> |  puts its record in place, fsync
 *	  | <- DONE                                      |  both say "paired"
 *
 * A joiner that does not see DONE takes its record away again and says so; pairing once more repairs what the listener may hold.
 */
#pragma once

#include "syncd/peer/key.h"
#include "syncd/pairing/record.h"

typedef struct SyncPairing SyncPairing;

/* outcome: "paired" (@record is the new one, transfer full), "expired" or "failed". The pairing is over; the callback frees it. */
typedef void (*SyncPairingDone)(SyncRecord *record, const char *outcome, const char *text, gpointer user_data);

/* Listens on @port of @hosts for @lifetime_s. @code is normalised; @description is what the joiner learns (see record.h); @key lives longer.
 * Ends after one success, five wrong proofs or the time. */
SyncPairing *sync_pairing_new(const char *const *hosts, guint port, const SyncKey *key, const char *code, guint lifetime_s,
			      GVariant *description, const char *record_path, SyncPairingDone done, gpointer user_data,
			      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Makes the code worthless; false when a device has shown it and is being paired now. To be followed by sync_pairing_free(). */
bool sync_pairing_withdraw(SyncPairing *pairing) G_GNUC_WARN_UNUSED_RESULT;
void sync_pairing_free(SyncPairing *pairing); /* NULL is fine; without callback */

/* Joins the device that listens at @host. Finish with sync_join_finish(): the record, already stored. */
void sync_join_async(const char *host, guint port, const SyncKey *key, const char *code, GVariant *description, const char *record_path,
		     GAsyncReadyCallback done, gpointer user_data);
SyncRecord *sync_join_finish(GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncPairing, sync_pairing_free)
