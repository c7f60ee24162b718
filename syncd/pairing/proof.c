/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/pairing/proof.c - code and proofs of pairing. */
#include "syncd/pairing/proof.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "syncd/error.h"

enum { CODE_BYTES = 20, CODE_CHARS = 32, CODE_GROUP = 4 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

char *sync_code_new(void)
{
	guint8 bytes[CODE_BYTES];
	GString *code = g_string_new(NULL);

	/* No code at all is better than one that can be guessed. */
	if (gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof bytes) != 0)
		g_error("no random bytes");
	for (guint i = 0; i < CODE_CHARS; i++) {
		guint bit = i * 5;
		guint value = (guint)bytes[bit / 8] << 8 | (bit / 8 + 1 < CODE_BYTES ? bytes[bit / 8 + 1] : 0);

		if (i > 0 && i % CODE_GROUP == 0)
			g_string_append_c(code, '-');
		g_string_append_c(code, alphabet[value >> (11 - bit % 8) & 31]);
	}
	gnutls_memset(bytes, 0, sizeof bytes);
	return g_string_free(code, FALSE);
}

char *sync_code_normalise(const char *typed, GError **error)
{
	g_autoptr(GString) code = g_string_new(NULL);

	for (const char *p = typed; *p; p++) {
		char c = g_ascii_toupper(*p);

		if (g_ascii_isspace(c) || c == '-')
			continue;
		c = c == '0' ? 'O' : c == '1' ? 'I' : c == '8' ? 'B' : c;
		if (!strchr(alphabet, c) || code->len == CODE_CHARS) {
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "this is not a pairing code");
			return NULL;
		}
		g_string_append_c(code, c);
	}
	if (code->len != CODE_CHARS) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "this is not a whole pairing code");
		return NULL;
	}
	return g_strdup(code->str);
}

char *sync_proof_make(SyncProofKind kind, const char *code, const char *listener_fingerprint, const char *joiner_fingerprint)
{
	const char *word = NULL;

	switch (kind) {
	case SYNC_PROOF_JOIN:
		word = "join";
		break;
	case SYNC_PROOF_PAIR:
		word = "pair";
		break;
	}
	/* Fingerprints are 64 hex digits each, so the text has one reading only. */
	g_autofree char *text = g_strconcat(word, listener_fingerprint, joiner_fingerprint, NULL);
	return g_compute_hmac_for_string(G_CHECKSUM_SHA256, (const guchar *)code, strlen(code), text, -1);
}

bool sync_proof_equal(const char *a, const char *b)
{
	return strlen(a) == strlen(b) && gnutls_memcmp(a, b, strlen(a)) == 0;
}
