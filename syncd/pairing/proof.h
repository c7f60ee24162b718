/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/pairing/proof.h - the one-time code and the two proofs of pairing. Pure, but for the random bytes of a new code.
 *
 * Both proofs cover the fingerprints of the keys that the TLS session itself showed, the listener's first, so a proof relayed by somebody
 * with a key of his own proves nothing; and each begins with its own word, so a proof sent back proves nothing either.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { SYNC_PROOF_JOIN, SYNC_PROOF_PAIR } SyncProofKind;

/* 160 random bits in base32, "ABCD-EFGH-…" (eight groups of four). Transfer full. */
char *sync_code_new(void);

/* What a person typed, as the 32 characters: blanks and dashes dropped, any case, 0 1 8 read as O I B. NULL and @error when it cannot be a
 * code. Transfer full. */
char *sync_code_normalise(const char *typed, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* HMAC-SHA256 in hex, keyed with the normalised @code. Transfer full. */
char *sync_proof_make(SyncProofKind kind, const char *code, const char *listener_fingerprint, const char *joiner_fingerprint);

/* In a time that does not tell where the two differ. */
bool sync_proof_equal(const char *a, const char *b) G_GNUC_WARN_UNUSED_RESULT;
