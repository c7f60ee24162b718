/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/key.h - this device's key, made once, and the fingerprints by which devices know each other. */
#pragma once

#include <gio/gio.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>

typedef struct {
	GTlsCertificate *certificate; /* with its private key, as GIO wants it: for dialling */
	gnutls_certificate_credentials_t credentials; /* the same, as GnuTLS wants it: for listening */
	char *fingerprint;
} SyncKey; /* shared: who uses one over the network, in whatever thread, holds a reference, and the device may get another meanwhile */

/* Loads key.pem and cert.pem of @dir, making what is missing, and a certificate that is another key's anew (ECDSA P-256, self-signed; key.pem is 0600). A key that is there but cannot be
 * read is an error: a new one would silently end the pairing. */
SyncKey *sync_key_load(const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
SyncKey *sync_key_ref(const SyncKey *key);
void sync_key_unref(SyncKey *key); /* NULL is fine */

/* ---- rotation.h: the next key lies beside the key until the peer accepts it ---- */

/* The fingerprint of the next key of @dir; NULL without @error: there is none. Transfer full. */
char *sync_key_next(const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Makes one, when there is none. */
bool sync_key_make_next(const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* It becomes the key: one rename. To be loaded anew. */
bool sync_key_turn(const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A pin is the fingerprints that are accepted, with a blank between them; NULL: any key is. */
bool sync_key_is_pinned(const char *pin, const char *fingerprint);

/* SHA-256 of the SubjectPublicKeyInfo, 64 hex digits; NULL when @certificate cannot be parsed. The certificate around the key (names,
 * dates) means nothing here. Transfer full. */
char *sync_key_fingerprint(GTlsCertificate *certificate);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncKey, sync_key_unref)
