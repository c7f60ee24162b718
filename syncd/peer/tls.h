/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/tls.h - the client side of our TLS, with pinned keys, over GIO; without it: talk.h. The server side is door.h.
 *
 * There are no authorities here: the peer's key is the pinned one or the handshake fails. With a NULL pin any key is taken and the caller
 * must judge the fingerprint (pairing). Certificates' names and dates are never looked at.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/peer/key.h"

/* Both ends present a certificate. The connection is not yet shaken hands with; the fingerprint that the far side shows is checked during it.
 * The pin is copied. */
GIOStream *sync_tls_client(GIOStream *base, const SyncKey *key, const char *pin, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* After the handshake: who it is. Checks the pin once more, whatever the library thought of the certificate. NULL and @error when it is
 * nobody or somebody else. Transfer full. */
char *sync_tls_peer(GIOStream *tls, const char *pin, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The fingerprint of the key that the other side of a session shows; NULL: it shows none. Transfer full. */
char *sync_tls_fingerprint(gnutls_session_t session);

/* A listening socket on @host that may not be there yet (a cable is out, an interface comes later). */
GSocket *sync_tls_listen(const char *host, guint port, GError **error) G_GNUC_WARN_UNUSED_RESULT;
