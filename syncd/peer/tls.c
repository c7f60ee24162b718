/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/tls.c - pinned mutual TLS. */
#include "syncd/peer/tls.h"

#include <gnutls/x509.h>
#include <netinet/in.h>
#include <string.h>

#include "syncd/error.h"

static GQuark pin_quark(void)
{
	return g_quark_from_static_string("understudy-pin");
}

static gboolean accept_certificate(GTlsConnection *connection, GTlsCertificate *certificate, GTlsCertificateFlags flags, gpointer unused)
{
	const char *pin = g_object_get_qdata(G_OBJECT(connection), pin_quark());
	g_autofree char *fingerprint = sync_key_fingerprint(certificate);

	return fingerprint && sync_key_is_pinned(pin, fingerprint);
}

static GIOStream *prepare(GIOStream *tls, const SyncKey *key, const char *pin)
{
	if (!tls)
		return NULL;
	g_tls_connection_set_certificate(G_TLS_CONNECTION(tls), key->certificate);
	g_tls_connection_set_require_close_notify(G_TLS_CONNECTION(tls), FALSE);
	g_object_set_qdata_full(G_OBJECT(tls), pin_quark(), g_strdup(pin), g_free);
	g_signal_connect(tls, "accept-certificate", G_CALLBACK(accept_certificate), NULL);
	return tls;
}

GIOStream *sync_tls_client(GIOStream *base, const SyncKey *key, const char *pin, GError **error)
{
	GType type = g_tls_backend_get_client_connection_type(g_tls_backend_get_default());

	/* With no database nothing is ever trusted by itself, so accept-certificate is always asked. It is left out from the beginning: else all
	 * authorities of this system are read first, 8 MB of them. */
	return prepare(g_initable_new(type, NULL, error, "base-io-stream", base, "database", NULL, NULL), key, pin);
}

char *sync_tls_peer(GIOStream *tls, const char *pin, GError **error)
{
	g_autofree char *fingerprint = sync_key_fingerprint(g_tls_connection_get_peer_certificate(G_TLS_CONNECTION(tls)));

	if (!fingerprint || !sync_key_is_pinned(pin, fingerprint)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_DENIED, "the other side's key is not the peer's");
		return NULL;
	}
	return g_steal_pointer(&fingerprint);
}

char *sync_tls_fingerprint(gnutls_session_t session)
{
	guint n = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
	g_autoptr(GTlsCertificate) certificate = NULL;
	g_autofree char *base64 = NULL, *pem = NULL;

	if (!list || n == 0 || gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_X509)
		return NULL;
	base64 = g_base64_encode(list[0].data, list[0].size);
	pem = g_strdup_printf("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n", base64);
	certificate = g_tls_certificate_new_from_pem(pem, -1, NULL);
	return sync_key_fingerprint(certificate);
}

GSocket *sync_tls_listen(const char *host, guint port, GError **error)
{
	g_autoptr(GSocketAddress) address = g_inet_socket_address_new_from_string(host, port);

	if (!address) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "%s is not an address", host);
		return NULL;
	}
	g_autoptr(GSocket) socket = g_socket_new(g_socket_address_get_family(address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
	bool v6 = g_socket_address_get_family(address) == G_SOCKET_FAMILY_IPV6;
	if (!socket || !g_socket_set_option(socket, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1, error) ||
	    !g_socket_bind(socket, address, TRUE, error) || !g_socket_listen(socket, error))
		return NULL;
	return g_steal_pointer(&socket);
}
