/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/key.c - the device's key and self-signed certificate, by GnuTLS. */
#include "syncd/peer/key.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/file.h"

static bool check(int rc, const char *what, GError **error)
{
	if (rc >= 0)
		return true;
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: %s", what, gnutls_strerror(rc));
	return false;
}

static bool make_key(gnutls_x509_privkey_t key, const char *path, GError **error)
{
	gnutls_datum_t pem = { NULL, 0 };
	bool ok;

	if (!check(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		   "making the key", error) ||
	    !check(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), "writing the key", error))
		return false;
	ok = sync_file_write(path, (const char *)pem.data, pem.size, 0600, error);
	gnutls_memset(pem.data, 0, pem.size);
	gnutls_free(pem.data);
	return ok;
}

static bool make_certificate(gnutls_x509_privkey_t key, const char *path, GError **error)
{
	static const char name[] = "understudy";
	gnutls_x509_crt_t crt;
	gnutls_datum_t pem = { NULL, 0 };
	guint8 serial[16];

	if (!check(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial), "random bytes", error))
		return false;
	serial[0] &= 0x7f;
	gnutls_x509_crt_init(&crt);
	/* Dates are ignored by both ends: a dead clock must not break the pair. These only have to be there. */
	bool ok = check(gnutls_x509_crt_set_version(crt, 3), "certificate", error) &&
		  check(gnutls_x509_crt_set_key(crt, key), "certificate", error) &&
		  check(gnutls_x509_crt_set_serial(crt, serial, sizeof serial), "certificate", error) &&
		  check(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, sizeof name - 1), "certificate", error) &&
		  check(gnutls_x509_crt_set_activation_time(crt, 0), "certificate", error) &&
		  check(gnutls_x509_crt_set_expiration_time(crt, GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION), "certificate", error) &&
		  check(gnutls_x509_crt_set_basic_constraints(crt, 0, -1), "certificate", error) &&
		  check(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), "signing", error) &&
		  check(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), "certificate", error) &&
		  sync_file_write(path, (const char *)pem.data, pem.size, 0644, error);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(crt);
	return ok;
}

static char *hex_of(const guint8 *id, gsize length)
{
	GString *hex = g_string_sized_new(length * 2);

	for (gsize i = 0; i < length; i++)
		g_string_append_printf(hex, "%02x", id[i]);
	return g_string_free(hex, FALSE);
}

static char *fingerprint_of(gnutls_x509_privkey_t key)
{
	guint8 id[32];
	size_t id_size = sizeof id;

	if (gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, id, &id_size) < 0 || id_size != sizeof id)
		return NULL;
	return hex_of(id, sizeof id);
}

static bool read_key(gnutls_x509_privkey_t key, const char *path, GError **error)
{
	g_autofree char *text = NULL;
	gsize length;

	if (!g_file_get_contents(path, &text, &length, error))
		return false;
	gnutls_datum_t pem = { (unsigned char *)text, length };
	bool ok = check(gnutls_x509_privkey_import(key, &pem, GNUTLS_X509_FMT_PEM), path, error);
	gnutls_memset(text, 0, length);
	return ok;
}

/* Whether the certificate at @path is about @key: one that a turn has left behind is not. */
static bool belongs(const char *path, gnutls_x509_privkey_t key)
{
	g_autoptr(GTlsCertificate) certificate = g_tls_certificate_new_from_file(path, NULL);
	g_autofree char *its = sync_key_fingerprint(certificate), *ours = fingerprint_of(key);

	return its && ours && g_str_equal(its, ours);
}

SyncKey *sync_key_load(const char *dir, GError **error)
{
	g_autofree char *key_path = g_build_filename(dir, "key.pem", NULL);
	g_autofree char *cert_path = g_build_filename(dir, "cert.pem", NULL);
	gnutls_x509_privkey_t privkey;
	bool ok;

	gnutls_x509_privkey_init(&privkey);
	if (g_file_test(key_path, G_FILE_TEST_EXISTS))
		ok = read_key(privkey, key_path, error);
	else
		ok = make_key(privkey, key_path, error) && make_certificate(privkey, cert_path, error);
	if (ok && !belongs(cert_path, privkey))
		ok = make_certificate(privkey, cert_path, error);
	gnutls_x509_privkey_deinit(privkey);
	if (!ok)
		return NULL;

	g_autoptr(SyncKey) key = g_atomic_rc_box_new0(SyncKey);
	key->certificate = g_tls_certificate_new_from_files(cert_path, key_path, error);
	if (!key->certificate)
		return NULL;
	if (!check(gnutls_certificate_allocate_credentials(&key->credentials), "credentials", error) ||
	    !check(gnutls_certificate_set_x509_key_file(key->credentials, cert_path, key_path, GNUTLS_X509_FMT_PEM), cert_path, error))
		return NULL;
	key->fingerprint = sync_key_fingerprint(key->certificate);
	if (!key->fingerprint) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: unreadable", cert_path);
		return NULL;
	}
	return g_steal_pointer(&key);
}

static void key_clear(gpointer data)
{
	SyncKey *key = data;

	g_clear_object(&key->certificate);
	if (key->credentials)
		gnutls_certificate_free_credentials(key->credentials);
	g_free(key->fingerprint);
}

SyncKey *sync_key_ref(const SyncKey *key)
{
	return g_atomic_rc_box_acquire((gpointer)key);
}

void sync_key_unref(SyncKey *key)
{
	if (key)
		g_atomic_rc_box_release_full(key, key_clear);
}

char *sync_key_fingerprint(GTlsCertificate *certificate)
{
	g_autoptr(GByteArray) der = NULL;
	gnutls_x509_crt_t crt;
	guint8 id[32];
	size_t id_size = sizeof id;
	int rc;

	if (!certificate)
		return NULL;
	g_object_get(certificate, "certificate", &der, NULL);
	if (!der)
		return NULL;
	gnutls_datum_t datum = { der->data, der->len };
	gnutls_x509_crt_init(&crt);
	rc = gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_DER);
	if (rc >= 0)
		rc = gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, id, &id_size);
	gnutls_x509_crt_deinit(crt);
	if (rc < 0 || id_size != sizeof id)
		return NULL;
	return hex_of(id, sizeof id);
}

/* ---- the next one ---- */

static char *next_path(const char *dir)
{
	return g_build_filename(dir, "key-next.pem", NULL);
}

char *sync_key_next(const char *dir, GError **error)
{
	g_autofree char *path = next_path(dir);
	gnutls_x509_privkey_t key;
	char *fingerprint = NULL;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return NULL;
	gnutls_x509_privkey_init(&key);
	if (read_key(key, path, error)) {
		fingerprint = fingerprint_of(key);
		if (!fingerprint)
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: unreadable", path);
	}
	gnutls_x509_privkey_deinit(key);
	return fingerprint;
}

bool sync_key_make_next(const char *dir, GError **error)
{
	g_autofree char *path = next_path(dir);
	gnutls_x509_privkey_t key;

	/* One that was told already stays: the peer may accept it by now. */
	if (g_file_test(path, G_FILE_TEST_EXISTS))
		return true;
	gnutls_x509_privkey_init(&key);
	bool ok = make_key(key, path, error);
	gnutls_x509_privkey_deinit(key);
	return ok;
}

bool sync_key_turn(const char *dir, GError **error)
{
	g_autofree char *from = next_path(dir), *to = g_build_filename(dir, "key.pem", NULL);

	return sync_file_rename(from, to, error);
}

bool sync_key_is_pinned(const char *pin, const char *fingerprint)
{
	gsize length = strlen(fingerprint);

	if (!pin)
		return true;
	for (const char *at = pin; *at; at += strspn(at, " ")) {
		gsize n = strcspn(at, " ");

		if (n == length && strncmp(at, fingerprint, n) == 0)
			return true;
		at += n;
	}
	return false;
}
