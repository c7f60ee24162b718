/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/listen.h - who may speak at all: TCP accept, TLS handshake, the key; and the same as a client.
 *
 * Whoever shows another key than the pinned one gets a TLS alert and never reaches anything that parses what he sends. 32 may be shaking hands at a time,
 * 8 of them from one address, for 5 s each; where there are more, who has stood there longest is sent away, but never the peer for a stranger.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/peer/key.h"
#include "syncd/peer/talk.h"

typedef struct SyncListener SyncListener;

/* @stream carries what somebody with the key @fingerprint says, TLS already taken off; transfer none. */
typedef void (*SyncAccepted)(GIOStream *stream, const char *fingerprint, GSocketAddress *local, GSocketAddress *remote, gpointer user_data);
/* The same, of somebody who asks for recordings only; transfer full. */
typedef void (*SyncTalks)(SyncTalk *talk, gpointer user_data);
/* Somebody at @host was turned away for his key. */
typedef void (*SyncRefused)(const char *host, gpointer user_data);

/* Listens on @port of every host of @hosts (addresses need not be up yet). @pin (sync_key_is_pinned()) NULL takes any key. */
SyncListener *sync_listener_new(const char *const *hosts, guint port, const SyncKey *key, const char *pin, SyncAccepted accepted,
				SyncRefused refused, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* For those who come from now on. */
void sync_listener_set_pin(SyncListener *listener, const char *pin);
/* The same. Before this nobody comes so. */
void sync_listener_set_talks(SyncListener *listener, SyncTalks talks);
/* Where the peer may come from. */
void sync_listener_set_friends(SyncListener *listener, const char *const *hosts);
void sync_listener_free(SyncListener *listener); /* NULL is fine; connections handed out live on */

/* Connects and shakes hands within @timeout_s. Finish with sync_dial_finish(), which gives the fingerprint too. */
void sync_dial_async(const char *host, guint port, guint timeout_s, const SyncKey *key, const char *pin, GCancellable *cancellable,
		     GAsyncReadyCallback done, gpointer user_data);
GIOStream *sync_dial_finish(GAsyncResult *result, char **ret_fingerprint, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Small packets at once, and a far side that died without a word is noticed by the kernel too. */
void sync_socket_tune(GSocketConnection *connection);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncListener, sync_listener_free)
