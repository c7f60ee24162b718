/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/link-private.h - what a link is made of, for link.c, link-path.c and link-request.c. */
#pragma once

#include <libsoup/soup.h>

#include "syncd/peer/guests.h"
#include "syncd/peer/link.h"
#include "syncd/peer/listen.h"
#include "syncd/peer/message.h"
#include "syncd/peer/pulse.h"
#include "syncd/voice/lfs-give.h"

/* One WebSocket, or the wish for one. */
typedef struct {
	SyncLink *link;
	char *host;
	bool outgoing;
	SoupWebsocketConnection *socket; /* NULL: being dialled */
	gint64 opened_us;
	char *run; /* of the peer's process at its other end; NULL: not told yet */
	SyncPulse pulse;
	GCancellable *dialling;
	guint retry;
	guint retry_ms;
	guint dials;
} SyncPath;

typedef struct {
	SyncLink *link;
	guint64 serial;
	GBytes *bytes; /* until sent */
	SyncPath *path; /* it went over */
	guint timer;
	SyncAnswerCb done;
	gpointer user_data;
} SyncPending;

typedef struct {
	char *run, *topic;
	guint64 serial;
	gint64 since_us;
	SyncPath *path; /* it came over; NULL: that is no more */
} SyncIncoming;

struct SyncLink {
	SyncKey *key;        /* NULL: closed */
	const SyncLinkEvents *events;
	gpointer user_data;
	SoupServer *server;
	SyncListener *listener;
	SyncGuests *guests;
	SyncGiving *giving;
	char **peer_hosts;
	char *pin;
	guint port, port_before;
	guint timeout_ms;
	char *run;           /* names this process in our serials */
	guint64 serial;
	GPtrArray *paths;    /* of SyncPath* */
	GHashTable *own;     /* topic -> GVariant */
	GHashTable *seen;    /* topic -> Seen */
	GHashTable *pending; /* serial -> SyncPending */
	GHashTable *incoming; /* our serial -> SyncIncoming */
	char **own_hosts;
	guint64 incoming_serial;
	gint64 answered_us;  /* a question, last, on any path; 0: none yet */
	GSource *look;       /* at all paths, */
	gint64 look_us;      /* when it is time */
	bool connected;
};

/* ---- link.c ---- */

/* When all paths are looked at next. */
void sync_link_plan(SyncLink *link, gint64 now_us);
/* A message came; @user_data: its SyncPath. */
void sync_link_take_message(SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *bytes, gpointer user_data);

/* ---- link-path.c ---- */

SyncPath *sync_path_new(SyncLink *link, const char *host, bool outgoing); /* the link's */
void sync_path_free(SyncPath *path);
void sync_path_dial(SyncPath *path);
void sync_path_opened(SyncPath *path, SoupWebsocketConnection *socket);
/* Dialled anew, or, of one that the peer has dialled, freed. */
void sync_path_lost(SyncPath *path);
/* The peer's process at the other end has named itself: what was opened before and belongs to another process has nobody at its other end. */
void sync_path_is_of(SyncPath *path, const char *run);
bool sync_path_is_open(const SyncPath *path);
/* It has answered a question on this connection. */
bool sync_path_is_known(const SyncPath *path);
void sync_path_send(SyncPath *path, GBytes *bytes);
void sync_path_ping(SyncPath *path, gint64 now_us);
/* When a path was asked that owes an answer; 0: none does. */
gint64 sync_link_doubt_us(const SyncLink *link, gint64 now_us);
/* The open path to use; NULL: there is none. */
SyncPath *sync_link_best_path(const SyncLink *link);

/* ---- link-request.c ---- */

void sync_pending_free(SyncPending *pending);
void sync_incoming_free(SyncIncoming *incoming);
void sync_link_send_pending(SyncLink *link, SyncPath *path);
/* Ends the requests that went over @path, or all when it is NULL. */
void sync_link_fail_pending(SyncLink *link, const SyncPath *path, const char *why);
void sync_link_forget_path(SyncLink *link, const SyncPath *path);
void sync_link_take_request(SyncLink *link, SyncPath *path, const SyncMessage *message);
void sync_link_take_answer(SyncLink *link, const SyncMessage *message);
