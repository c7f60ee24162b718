/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/tls.c - an SSL_CTX that verifies by itself. */
#include "notifyd/mail/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#include "notifyd/delivery/job.h"

static char *problem; /* one session a process */
static char *sni;

const char *mail_tls_problem(void)
{
	return problem;
}

static int verified(int ok, X509_STORE_CTX *store)
{
	if (!ok && !problem) {
		int code = X509_STORE_CTX_get_error(store);

		problem = g_strdup_printf("the server's certificate: %s", X509_verify_cert_error_string(code));
	}
	return ok;
}

/* The only place before the first message of the handshake that has the SSL which libesmtp makes. */
static void told(const SSL *ssl, int where, int value)
{
	if ((where & SSL_CB_HANDSHAKE_START) && sni && !SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name))
		SSL_set_tlsext_host_name((SSL *)ssl, sni);
}

static bool is_address(const char *host)
{
	unsigned char bytes[16];

	return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool trust(SSL_CTX *context, const char *ca_path, GError **error)
{
	g_autofree char *text = NULL;

	if (!ca_path) {
		if (SSL_CTX_set_default_verify_paths(context) == 1)
			return true;
		g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, "the system's certificate authorities cannot be read");
		return false;
	}
	if (!g_file_get_contents(ca_path, &text, NULL, error)) {
		(*error)->domain = DELIVERY_ERROR;
		(*error)->code = DELIVERY_ERROR_RETRY;
		return false;
	}
	if (SSL_CTX_load_verify_locations(context, ca_path, NULL) != 1) {
		g_set_error(error, DELIVERY_ERROR, DELIVERY_ERROR_RETRY, "%s holds no certificates: %s", ca_path,
			    ERR_reason_error_string(ERR_get_error()) ?: "not PEM");
		return false;
	}
	if (strstr(text, "-----BEGIN X509 CRL-----"))
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_CRL_CHECK);
	return true;
}

SSL_CTX *mail_tls_new(const char *host, const char *ca_path, GError **error)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	X509_VERIFY_PARAM *rules;

	g_assert(context);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, verified);
	if (!trust(context, ca_path, error)) {
		SSL_CTX_free(context);
		return NULL;
	}
	rules = SSL_CTX_get0_param(context);
	if (is_address(host)) {
		X509_VERIFY_PARAM_set1_ip_asc(rules, host);
	} else {
		sni = g_strdup(host);
		X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		X509_VERIFY_PARAM_set1_host(rules, host, 0);
		SSL_CTX_set_info_callback(context, told);
	}
	return context;
}
