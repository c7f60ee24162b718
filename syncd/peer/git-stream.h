/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/git-stream.h - libgit2's network side over our own pinned TLS.
 *
 * The built-in stream of libgit2 has no client certificate, no time-out and no way to stop it.
 */
#pragma once

#include "syncd/peer/key.h"
#include "syncd/repository/repo.h"

typedef struct {
	const char *host;
	guint port;
	const SyncKey *key;
	const char *pin;
} SyncFetchSource;

/* A connection to the peer, not shaken hands with. */
GSocketConnection *sync_fetch_connect(const SyncFetchSource *source, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same, shaken hands with. Who is silent for @silence_s has gone. */
GIOStream *sync_fetch_dial(const SyncFetchSource *source, guint silence_s, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Fetches commit @id from the peer into refs/@space/@name. All or nothing is visible. Blocks; one at a time in a thread. */
bool sync_fetch(SyncRepo *repo, const SyncFetchSource *source, const char *space, const char *name, const git_oid *id, GCancellable *cancellable,
		GError **error) G_GNUC_WARN_UNUSED_RESULT;
