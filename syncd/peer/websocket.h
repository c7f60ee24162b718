/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/websocket.h - a WebSocket to the peer's /link over our own dialling.
 *
 * Not by SoupSession: in libsoup 3.2 its connection manager locks its mutex twice, and so the main loop for ever, when a connection that
 * is being made fails at the wrong moment (a frozen peer is enough).
 */
#pragma once

#include <libsoup/soup.h>

#include "syncd/peer/key.h"

/* Finish with sync_websocket_dial_finish(). @timeout_s covers everything up to the peer's answer. */
void sync_websocket_dial_async(const char *host, guint port, guint timeout_s, const SyncKey *key, const char *pin, GCancellable *cancellable,
			       GAsyncReadyCallback done, gpointer user_data);
SoupWebsocketConnection *sync_websocket_dial_finish(GAsyncResult *result, GError **error) G_GNUC_WARN_UNUSED_RESULT;
