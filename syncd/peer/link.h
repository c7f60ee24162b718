/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/link.h - the link to the peer: a WebSocket over every address the two know, pings, published topics and requests.
 *
 * Both devices dial all addresses of the other and keep whatever is open, so the loss of one path costs nothing that must be dialled anew.
 * A message goes over the first of them, as configured, that owes no answer; that one is asked about three times in the time that the peer may
 * be silent, the others hardly ever (pulse.h). Everything runs in the main context.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/peer/key.h"

typedef struct SyncLink SyncLink;

typedef struct {
	void (*connected)(bool connected, gpointer user_data);
	void (*published)(const char *topic, GVariant *value, gpointer user_data);
	void (*requested)(guint64 serial, const char *topic, GVariant *args, gpointer user_data); /* owes sync_link_answer() */
	void (*refused)(const char *host, gpointer user_data);                                    /* a stranger's key */
} SyncLinkEvents;

typedef struct {
	const char *const *own_hosts;
	const char *const *peer_hosts; /* best first */
	guint port;
	guint port_before; /* the peer may still be there; 0: no */
	guint timeout_ms;
	const SyncKey *key;
	const char *pin; /* sync_key_is_pinned() */
} SyncLinkConfig;

/* The link is closed at first. @events outlives it. */
SyncLink *sync_link_new(const char *repository, const SyncLinkEvents *events, gpointer user_data);
void sync_link_free(SyncLink *link); /* NULL is fine */

/* Opens, or opens anew with another configuration; the same again changes nothing, and a pin that lets in more breaks nothing. With another key, or a
 * narrower pin, whoever is connected must come again; that alone does not end sync_link_is_connected(). */
bool sync_link_open(SyncLink *link, const SyncLinkConfig *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_link_close(SyncLink *link); /* whatever came in over it is shut, a fetch too */

/* Somebody waits for an answer, here or there. */
bool sync_link_is_busy(const SyncLink *link);

/* A ping was answered within the configured time over any path. */
bool sync_link_is_connected(const SyncLink *link);

/* A ping was answered over an open path to or from @host. */
bool sync_link_is_heard_at(const SyncLink *link, const char *host);

/* When a ping was answered last; 0: not yet. */
gint64 sync_link_heard_us(const SyncLink *link);

/* Where to fetch from: hosts that have answered a ping first, those that owe an answer last of them, then the others. Transfer full. */
char **sync_link_hosts(const SyncLink *link);

/* Sets what the peer sees under @topic: sent now and at each connection. The caller has checked it. */
void sync_link_publish(SyncLink *link, const char *topic, GVariant *value);

typedef void (*SyncAnswerCb)(const char *error_name, const GError *error, GVariant *values, gpointer user_data);

/* @done gets either a local @error, or the peer's @error_name (values holds its text) or "" and its values. */
void sync_link_request(SyncLink *link, const char *topic, GVariant *args, guint timeout_ms, SyncAnswerCb done, gpointer user_data);
bool sync_link_answer(SyncLink *link, guint64 serial, const char *error_name, GVariant *values, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Those of the peer's of @topic that wait for it. */
typedef void (*SyncWaitingCb)(guint64 serial, gpointer user_data);
void sync_link_each_waiting(SyncLink *link, const char *topic, SyncWaitingCb each, gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncLink, sync_link_free)
