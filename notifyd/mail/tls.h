/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/tls.h - the TLS of one session: whom it trusts, and for which name. */
#pragma once

#include <glib.h>
#include <openssl/ssl.h>

/* Trusts the authorities of the file @ca_path, and no others; NULL: those of the system. Where that file has revocation lists too, the server's
 * certificate must be in the scope of one and not on it. The certificate must be for @host, a name or an address, as it is configured, and a name is told
 * to the server (SNI). The handshake fails otherwise: nothing is left to libesmtp. */
SSL_CTX *mail_tls_new(const char *host, const char *ca_path, GError **error);

/* What was wrong with the certificate; NULL: nothing. */
const char *mail_tls_problem(void);
