/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/key.h - this device's key, made once, and the fingerprints by which devices know each other. */
#pragma once

#include <gio/gio.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>

typedef struct {
	GTlsCertificate *certificate; /* with its private key, as GIO wants it: for dialling */
	gnutls_certificate_credentials_t credentials; /* the same, as GnuTLS wants it: for listening */
	char *fingerprint;
} SyncKey;

/* Loads key.pem and cert.pem of @dir, making what is missing (ECDSA P-256, self-signed; key.pem is 0600). A key that is there but cannot be
 * read is an error: a new one would silently end the pairing. */
SyncKey *sync_key_load(const char *dir, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_key_free(SyncKey *key); /* NULL is fine */

/* SHA-256 of the SubjectPublicKeyInfo, 64 hex digits; NULL when @certificate cannot be parsed. The certificate around the key (names,
 * dates) means nothing here. Transfer full. */
char *sync_key_fingerprint(GTlsCertificate *certificate);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncKey, sync_key_free)
