/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/talk.h - TLS by GnuTLS alone, blocking, for the threads that carry recordings.
 *
 * Between a recording and the network nothing is copied that need not be: no socket pair, no HTTP library, no main loop; what came is taken from the kernel
 * many records at a time, and what goes is given to it so.
 *
 * Who dials says by ALPN that he wants to be served so (door.h). Where the other side does not know it, it is served as any HTTP, with the same words.
 */
#pragma once

#include <gio/gio.h>
#include <gnutls/gnutls.h>
#include <stdbool.h>

#include "syncd/peer/key.h"

#define SYNC_TALK_ALPN "understudy-objects"

typedef struct SyncTalk SyncTalk;

/* Shakes hands over @base as a client; @pin as in tls.h. Who is silent for @silence_s has gone. */
SyncTalk *sync_talk_dial(GSocketConnection *base, const SyncKey *key, const char *pin, guint silence_s, GCancellable *cancellable,
			 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One whose hands the door has shaken. @session: transfer full. */
SyncTalk *sync_talk_new(gnutls_session_t session, GSocketConnection *base, const SyncKey *key, guint silence_s);

/* Ends the connection without a goodbye: to a dead peer that would wait. NULL is fine. */
void sync_talk_free(SyncTalk *talk);

/* 0: the other side has hung up; -1 and @error. */
gssize sync_talk_receive(SyncTalk *talk, void *to, gsize most, GError **error);

/* All of it. @more: something follows at once, and it may wait for that. */
bool sync_talk_send(SyncTalk *talk, const void *data, gsize length, bool more, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* From any thread: whoever uses it finds that the other side has gone. */
void sync_talk_shut(SyncTalk *talk);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncTalk, sync_talk_free)
