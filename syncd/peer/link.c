/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/link.c - paths to the peer, and the messages on them. */
#include "syncd/peer/link.h"

#include <libsoup/soup.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/peer/git-http.h"
#include "syncd/peer/guests.h"
#include "syncd/voice/lfs-give.h"
#include "syncd/voice/lfs-http.h"
#include "syncd/peer/listen.h"
#include "syncd/peer/message.h"
#include "syncd/peer/pulse.h"
#include "syncd/peer/websocket.h"

enum {
	DIAL_FIRST_MS = 100,
	DIAL_LAST_MS = 2000,
	DIAL_TIMEOUT_S = 5,
	INCOMING_MAX = 64,   /* the peer's requests that wait for an answer */
	INCOMING_S = 120,
	PATHS_MAX = 32,
};

/* One WebSocket, or the wish for one. */
typedef struct {
	SyncLink *link;
	char *host;
	bool outgoing;
	SoupWebsocketConnection *socket; /* NULL: being dialled */
	SyncPulse pulse;
	GCancellable *dialling;
	guint retry;
	guint retry_ms;
	guint dials;
} Path;

typedef struct {
	SyncLink *link;
	guint64 serial;
	GBytes *bytes; /* until sent */
	Path *path;    /* it went over */
	guint timer;
	SyncAnswerCb done;
	gpointer user_data;
} Pending;

typedef struct {
	char *run;
	guint64 serial;
	gint64 since_us;
	Path *path; /* it came over; NULL: that is no more */
} Incoming;

typedef struct {
	char *run;
	guint64 serial;
} Seen;

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
	GPtrArray *paths;    /* of Path* */
	GHashTable *own;     /* topic -> GVariant */
	GHashTable *seen;    /* topic -> Seen */
	GHashTable *pending; /* serial -> Pending */
	GHashTable *incoming; /* our serial -> Incoming */
	char **own_hosts;
	guint64 incoming_serial;
	gint64 answered_us;  /* a question, last, on any path; 0: none yet */
	GSource *look;       /* at all paths, */
	gint64 look_us;      /* when it is time */
	bool connected;
};

static void path_dial(Path *path);
static void path_lost(Path *path);
static gboolean path_redial(gpointer user_data);

/* ---- sending ---- */

static bool path_is_open(const Path *path)
{
	return path->socket && soup_websocket_connection_get_state(path->socket) == SOUP_WEBSOCKET_STATE_OPEN;
}

static void path_send(Path *path, GBytes *bytes)
{
	if (!path_is_open(path))
		return; /* it closes; "closed" will tell */
	soup_websocket_connection_send_message(path->socket, SOUP_WEBSOCKET_DATA_BINARY, bytes);
}

/* It has answered a question on this connection. */
static bool path_is_known(const Path *path)
{
	return path_is_open(path) && path->pulse.answered_us;
}

/* When a path was asked that owes an answer; 0: none does. */
static gint64 doubt_us(const SyncLink *link, gint64 now_us)
{
	gint64 asked_us = 0;

	for (guint i = 0; i < link->paths->len; i++) {
		const Path *path = link->paths->pdata[i];

		if (path_is_open(path) && sync_pulse_is_doubtful(&path->pulse, link->timeout_ms, now_us))
			asked_us = MAX(asked_us, path->pulse.asked_us);
	}
	return asked_us;
}

/* Less is better. While one owes an answer those that have just given theirs are, else as they are configured. */
static guint path_rank(const Path *path, gint64 doubt, gint64 now_us)
{
	const SyncLink *link = path->link;
	guint n = 0, trust = 0;

	if (sync_pulse_is_doubtful(&path->pulse, link->timeout_ms, now_us))
		trust = 2;
	else if (doubt && path->pulse.asked_us)
		trust = 1;
	while (link->peer_hosts[n] && !g_str_equal(link->peer_hosts[n], path->host))
		n++;
	return trust << 24 | n << 1 | !path->outgoing;
}

/* The open path to use. */
static Path *best_path(const SyncLink *link)
{
	gint64 now_us = g_get_monotonic_time(), doubt = doubt_us(link, now_us);
	Path *best = NULL;

	for (guint i = 0; i < link->paths->len; i++) {
		Path *path = link->paths->pdata[i];

		if (path_is_known(path) && (!best || path_rank(path, doubt, now_us) < path_rank(best, doubt, now_us)))
			best = path;
	}
	return best;
}

static void path_ping(Path *path, gint64 now_us)
{
	g_autoptr(GBytes) ping = sync_message_encode(SYNC_MESSAGE_PING, NULL, NULL, ++path->link->serial, NULL, NULL, NULL);

	sync_pulse_ask(&path->pulse, now_us);
	if (ping)
		path_send(path, ping);
}

static void send_publication(Path *path, const char *topic, GVariant *value)
{
	g_autoptr(GBytes) bytes = sync_message_encode(SYNC_MESSAGE_PUBLISH, topic, path->link->run, ++path->link->serial, NULL, value, NULL);

	if (bytes)
		path_send(path, bytes);
}

static void send_pending(SyncLink *link, Path *path)
{
	GHashTableIter iter;
	Pending *pending;

	g_hash_table_iter_init(&iter, link->pending);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&pending)) {
		if (!pending->bytes)
			continue;
		path_send(path, pending->bytes);
		g_clear_pointer(&pending->bytes, g_bytes_unref);
		pending->path = path;
	}
}

/* ---- requests ---- */

static void pending_free(Pending *pending)
{
	g_clear_handle_id(&pending->timer, g_source_remove);
	g_clear_pointer(&pending->bytes, g_bytes_unref);
	g_free(pending);
}

static void pending_end(Pending *pending, const char *error_name, const GError *error, GVariant *values)
{
	SyncAnswerCb done = pending->done;
	gpointer user_data = pending->user_data;

	g_hash_table_remove(pending->link->pending, &pending->serial);
	done(error_name, error, values, user_data);
}

/* Ends the requests that went over @path, or all when it is NULL. */
static void fail_pending(SyncLink *link, const Path *path, const char *why)
{
	g_autoptr(GPtrArray) lost = g_ptr_array_new();
	GHashTableIter iter;
	Pending *pending;

	g_hash_table_iter_init(&iter, link->pending);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&pending))
		if (!path || pending->path == path)
			g_ptr_array_add(lost, pending);
	for (guint i = 0; i < lost->len; i++) {
		g_autoptr(GError) error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, why);
		pending_end(lost->pdata[i], NULL, error, NULL);
	}
}

static gboolean pending_late(gpointer user_data)
{
	Pending *pending = user_data;
	g_autoptr(GError) error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_TIMED_OUT, "the peer did not answer in time");

	pending->timer = 0;
	pending_end(pending, NULL, error, NULL);
	return G_SOURCE_REMOVE;
}

void sync_link_request(SyncLink *link, const char *topic, GVariant *args, guint timeout_ms, SyncAnswerCb done, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	guint64 serial = ++link->serial;
	GBytes *bytes = NULL;

	if (!link->connected)
		g_set_error(&error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the peer is not connected");
	else
		bytes = sync_message_encode(SYNC_MESSAGE_REQUEST, topic, link->run, serial, NULL, args, &error);
	if (!bytes) {
		done(NULL, error, NULL, user_data);
		return;
	}
	Pending *pending = g_new0(Pending, 1);
	pending->link = link;
	pending->serial = serial;
	pending->bytes = bytes;
	pending->done = done;
	pending->user_data = user_data;
	pending->timer = g_timeout_add(timeout_ms, pending_late, pending);
	g_hash_table_insert(link->pending, &pending->serial, pending);
	Path *path = best_path(link);
	if (path)
		send_pending(link, path);
}

static void incoming_free(Incoming *incoming)
{
	g_free(incoming->run);
	g_free(incoming);
}

bool sync_link_answer(SyncLink *link, guint64 serial, const char *error_name, GVariant *values, GError **error)
{
	g_autoptr(GVariant) kept = values ? g_variant_ref_sink(values) : NULL;
	Incoming *incoming = g_hash_table_lookup(link->incoming, &serial);

	if (!incoming) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "no request of this serial waits for an answer");
		return false;
	}
	g_autoptr(GBytes) bytes = sync_message_encode(SYNC_MESSAGE_ANSWER, NULL, incoming->run, incoming->serial, error_name, kept, error);
	if (!bytes)
		return false;
	/* Over the same path: who asked learns that it broke, but not that another one did. */
	Path *path = incoming->path && path_is_open(incoming->path) ? incoming->path : best_path(link);
	g_hash_table_remove(link->incoming, &serial);
	if (!path) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the peer is not connected");
		return false;
	}
	path_send(path, bytes);
	return true;
}

static void forget_path(SyncLink *link, const Path *path)
{
	GHashTableIter iter;
	Incoming *incoming;

	g_hash_table_iter_init(&iter, link->incoming);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&incoming))
		if (incoming->path == path)
			incoming->path = NULL;
}

static void take_request(SyncLink *link, Path *path, const SyncMessage *message)
{
	GHashTableIter iter;
	Incoming *old;
	gint64 now_us = g_get_monotonic_time();

	g_hash_table_iter_init(&iter, link->incoming);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&old))
		if (now_us - old->since_us > INCOMING_S * (gint64)G_USEC_PER_SEC)
			g_hash_table_iter_remove(&iter);
	if (g_hash_table_size(link->incoming) >= INCOMING_MAX) {
		g_autoptr(GBytes) busy = sync_message_encode(SYNC_MESSAGE_ANSWER, NULL, message->run, message->serial,
							     "org.understudy.Error.Busy", NULL, NULL);
		path_send(path, busy);
		return;
	}
	Incoming *incoming = g_new0(Incoming, 1);
	guint64 *serial = g_new(guint64, 1);
	*serial = ++link->incoming_serial;
	incoming->run = g_strdup(message->run);
	incoming->serial = message->serial;
	incoming->since_us = now_us;
	incoming->path = path;
	g_hash_table_insert(link->incoming, serial, incoming);
	link->events->requested(*serial, message->topic, message->value, link->user_data);
}

/* ---- receiving ---- */

static void seen_free(Seen *seen)
{
	g_free(seen->run);
	g_free(seen);
}

static void take_publication(SyncLink *link, const SyncMessage *message)
{
	Seen *seen = g_hash_table_lookup(link->seen, message->topic);

	/* The same publication comes over every path, and a slow path may bring an old one last. */
	if (seen && g_str_equal(seen->run, message->run) && message->serial <= seen->serial)
		return;
	seen = g_new0(Seen, 1);
	seen->run = g_strdup(message->run);
	seen->serial = message->serial;
	g_hash_table_insert(link->seen, g_strdup(message->topic), seen);
	link->events->published(message->topic, message->value, link->user_data);
}

static void update_connected(SyncLink *link)
{
	bool connected = link->answered_us && g_get_monotonic_time() - link->answered_us < (gint64)link->timeout_ms * 1000;

	if (connected == link->connected)
		return;
	link->connected = connected;
	if (!connected)
		fail_pending(link, NULL, "the peer went away");
	link->events->connected(connected, link->user_data);
}

/* ---- whether the peer is there ---- */

static void plan(SyncLink *link, gint64 now_us)
{
	const Path *best = best_path(link);
	gint64 at_us = link->connected ? link->answered_us + (gint64)link->timeout_ms * 1000 : G_MAXINT64;

	for (guint i = 0; i < link->paths->len; i++) {
		const Path *path = link->paths->pdata[i];

		if (path->socket)
			at_us = MIN(at_us, sync_pulse_wake_us(&path->pulse, path == best, link->timeout_ms, now_us));
	}
	if (sync_guests_any(link->guests))
		at_us = MIN(at_us, now_us + sync_pulse_beat_us(link->timeout_ms));
	if (at_us == link->look_us || !link->look)
		return;
	link->look_us = at_us;
	g_source_set_ready_time(link->look, at_us == G_MAXINT64 ? -1 : at_us);
}

/* Stopped or starved ourselves: answers that wait in the sockets are read before anybody is judged. */
static void wake(SyncLink *link, gint64 now_us)
{
	gint64 late_us = link->look_us ? now_us - link->look_us : 0;

	if (late_us <= sync_pulse_beat_us(link->timeout_ms) / 2)
		return;
	link->look_us += late_us;
	if (link->answered_us)
		link->answered_us += late_us;
	for (guint i = 0; i < link->paths->len; i++)
		sync_pulse_sleep(&((Path *)link->paths->pdata[i])->pulse, late_us);
}

/* @soon_us: who is due by then is asked along; of those that are not in use whoever is within a beat. */
static void ask_round(SyncLink *link, gint64 soon_us, gint64 now_us)
{
	gint64 doubt = doubt_us(link, now_us);
	const Path *best = best_path(link);

	for (guint i = link->paths->len; i-- > 0;) {
		Path *path = link->paths->pdata[i];
		gint64 until_us = now_us + (path == best ? soon_us : sync_pulse_beat_us(link->timeout_ms));

		if (!path->socket)
			continue;
		if (sync_pulse_is_lost(&path->pulse, link->timeout_ms, now_us))
			path_lost(path);
		else if (sync_pulse_is_due(&path->pulse, path == best, doubt, link->timeout_ms, until_us))
			path_ping(path, now_us);
	}
	sync_guests_look(link->guests);
}

static gboolean look_cb(gpointer user_data)
{
	SyncLink *link = user_data;
	gint64 now_us = g_get_monotonic_time();

	wake(link, now_us);
	link->look_us = 0; /* planned anew in any case, or it would be called without end */
	ask_round(link, 0, now_us);
	update_connected(link);
	plan(link, now_us);
	return G_SOURCE_CONTINUE;
}

static void take_pong(Path *path)
{
	SyncLink *link = path->link;
	bool first = path->pulse.answered_us == 0;
	gint64 now_us = g_get_monotonic_time();

	sync_pulse_answer(&path->pulse, now_us);
	link->answered_us = now_us;
	path->retry_ms = 0;
	update_connected(link);
	if (first)
		send_pending(link, path);
	plan(link, now_us);
}

/* Who is woken by a question asks too, where his own would soon be due: the two wake each other once, not twice. */
static void take_ping(Path *path, guint64 serial)
{
	SyncLink *link = path->link;
	gint64 now_us = g_get_monotonic_time(), soon_us = sync_pulse_beat_us(link->timeout_ms) / 2;
	g_autoptr(GBytes) pong = sync_message_encode(SYNC_MESSAGE_PONG, NULL, NULL, serial, NULL, NULL, NULL);

	path_send(path, pong);
	if (link->look_us - now_us > soon_us)
		return;
	ask_round(link, soon_us, now_us);
	plan(link, now_us);
}

static void have_message(SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *bytes, gpointer user_data)
{
	Path *path = user_data;
	SyncLink *link = path->link;
	g_auto(SyncMessage) message = { 0 };
	g_autoptr(GError) error = NULL;
	gint64 now_us = g_get_monotonic_time();

	if (type != SOUP_WEBSOCKET_DATA_BINARY || !sync_message_decode(bytes, &message, &error)) {
		g_message("from the peer: %s", error ? error->message : "a text message");
		return;
	}
	wake(link, now_us);
	sync_pulse_hear(&path->pulse, now_us);
	switch (message.kind) {
	case SYNC_MESSAGE_PING:
		take_ping(path, message.serial);
		break;
	case SYNC_MESSAGE_PONG:
		take_pong(path);
		break;
	case SYNC_MESSAGE_PUBLISH:
		take_publication(link, &message);
		break;
	case SYNC_MESSAGE_REQUEST:
		take_request(link, path, &message);
		break;
	case SYNC_MESSAGE_ANSWER: {
		Pending *pending = g_hash_table_lookup(link->pending, &message.serial);

		if (pending && g_str_equal(message.run, link->run))
			pending_end(pending, message.error, NULL, message.value);
		break;
	}
	case SYNC_MESSAGE_JOIN:
	case SYNC_MESSAGE_PAIR:
	case SYNC_MESSAGE_OFFER:
	case SYNC_MESSAGE_HELD:
	case SYNC_MESSAGE_STORED:
	case SYNC_MESSAGE_DONE:
	case SYNC_MESSAGE_NO:
		break; /* belong to the pairing connection */
	}
}

/* ---- paths ---- */

/* Lets go of the socket at once; a closing handshake with a dead peer would only wait. */
static void path_drop_socket(Path *path)
{
	if (!path->socket)
		return;
	g_signal_handlers_disconnect_by_data(path->socket, path);
	/* The stream of a TLS connection would send its goodbye and wait: the socket below it is shut instead. */
	GIOStream *stream = soup_websocket_connection_get_io_stream(path->socket);
	if (stream && soup_websocket_connection_get_state(path->socket) != SOUP_WEBSOCKET_STATE_CLOSED) {
		g_autoptr(GSocketConnection) carrier = sync_guests_carrier(stream);
		if (carrier)
			(void)g_socket_shutdown(g_socket_connection_get_socket(carrier), TRUE, TRUE, NULL);
	}
	g_clear_object(&path->socket);
	forget_path(path->link, path);
	fail_pending(path->link, path, "the connection to the peer broke");
}

static void path_free(Path *path)
{
	path_drop_socket(path);
	g_clear_handle_id(&path->retry, g_source_remove);
	if (path->dialling)
		g_cancellable_cancel(path->dialling);
	g_clear_object(&path->dialling);
	g_free(path->host);
	g_free(path);
}

static void path_retry(Path *path)
{
	path->retry_ms = path->retry_ms == 0 ? DIAL_FIRST_MS : MIN(path->retry_ms * 2, DIAL_LAST_MS);
	path->retry = g_timeout_add(path->retry_ms, path_redial, path);
}

static void path_lost(Path *path)
{
	path_drop_socket(path);
	if (path->outgoing)
		path_retry(path);
	else
		g_ptr_array_remove(path->link->paths, path);
}

static void socket_closed(SoupWebsocketConnection *socket, gpointer user_data)
{
	path_lost(user_data);
}

static void path_opened(Path *path, SoupWebsocketConnection *socket)
{
	SyncLink *link = path->link;
	GHashTableIter iter;
	const char *topic;
	GVariant *value;
	gint64 now_us = g_get_monotonic_time();

	path->socket = g_object_ref(socket);
	sync_pulse_begin(&path->pulse, now_us);
	soup_websocket_connection_set_max_incoming_payload_size(socket, SYNC_MESSAGE_MAX);
	g_signal_connect(socket, "message", G_CALLBACK(have_message), path);
	g_signal_connect(socket, "closed", G_CALLBACK(socket_closed), path);
	path_ping(path, now_us);
	g_hash_table_iter_init(&iter, link->own);
	while (g_hash_table_iter_next(&iter, (gpointer *)&topic, (gpointer *)&value))
		send_publication(path, topic, value);
	plan(link, now_us);
}

static void dialled(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GCancellable) dialling = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(SoupWebsocketConnection) socket = sync_websocket_dial_finish(result, &error);

	if (g_cancellable_is_cancelled(dialling))
		return; /* the path may be gone */
	Path *path = g_object_get_data(G_OBJECT(dialling), "path");
	g_clear_object(&path->dialling);
	if (socket) {
		path_opened(path, socket);
		return;
	}
	g_debug("dialling %s: %s", path->host, error->message);
	path_retry(path);
}

static void path_dial(Path *path)
{
	SyncLink *link = path->link;

	path->dialling = g_cancellable_new();
	g_object_set_data(G_OBJECT(path->dialling), "path", path);
	/* A device that was off when the port was changed is at the old one until it has heard of it. */
	guint port = link->port_before && ++path->dials % 2 == 0 ? link->port_before : link->port;
	sync_websocket_dial_async(path->host, port, DIAL_TIMEOUT_S, link->key, link->pin, path->dialling, dialled,
				  g_object_ref(path->dialling));
}

static gboolean path_redial(gpointer user_data)
{
	Path *path = user_data;

	path->retry = 0;
	path_dial(path);
	return G_SOURCE_REMOVE;
}

static Path *path_new(SyncLink *link, const char *host, bool outgoing)
{
	Path *path = g_new0(Path, 1);

	path->link = link;
	path->host = g_strdup(host);
	path->outgoing = outgoing;
	g_ptr_array_add(link->paths, path);
	return path;
}

static void accepted_socket(SoupServer *server, SoupServerMessage *message, const char *at, SoupWebsocketConnection *socket, gpointer user_data)
{
	SyncLink *link = user_data;
	const char *host = soup_server_message_get_remote_host(message);

	sync_guests_leave(link->guests, soup_websocket_connection_get_io_stream(socket));
	if (link->paths->len >= PATHS_MAX)
		return;
	path_opened(path_new(link, host ? host : "", false), socket);
}

static void take_connection(GIOStream *tls, const char *fingerprint, GSocketAddress *local, GSocketAddress *remote, gpointer user_data)
{
	SyncLink *link = user_data;
	sync_guests_accept(link->guests, tls, local, remote);
}

static void take_talk(SyncTalk *talk, gpointer user_data)
{
	SyncLink *link = user_data;
	sync_giving_add(link->giving, talk);
}

static void turned_away(const char *host, gpointer user_data)
{
	SyncLink *link = user_data;

	link->events->refused(host, link->user_data);
}

/* ---- the whole ---- */

SyncLink *sync_link_new(const char *repository, const SyncLinkEvents *events, gpointer user_data)
{
	SyncLink *link = g_new0(SyncLink, 1);

	link->events = events;
	link->user_data = user_data;
	link->run = g_uuid_string_random();
	link->paths = g_ptr_array_new_with_free_func((GDestroyNotify)path_free);
	link->own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
	link->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)seen_free);
	link->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)pending_free);
	link->incoming = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)incoming_free);
	link->server = soup_server_new("server-header", "understudy", NULL);
	link->guests = sync_guests_new(link->server, repository);
	g_autofree char *folder = g_path_get_dirname(repository);
	g_autofree char *objects = g_build_filename(folder, "lfs", NULL);
	sync_git_http_serve(link->server, repository);
	sync_lfs_http_serve(link->server, objects);
	link->giving = sync_giving_new(objects);
	soup_server_add_websocket_handler(link->server, "/link", NULL, NULL, accepted_socket, link, NULL);
	return link;
}

/* Nothing goes in or out any more; whether the peer was heard of late stands as it is. */
static void shut(SyncLink *link, const char *why)
{
	if (link->look)
		g_source_destroy(link->look);
	g_clear_pointer(&link->look, g_source_unref);
	link->look_us = 0;
	g_clear_pointer(&link->listener, sync_listener_free);
	while (link->paths->len > 0)
		g_ptr_array_remove_index(link->paths, link->paths->len - 1);
	sync_guests_show_out(link->guests);
	sync_giving_show_out(link->giving);
	fail_pending(link, NULL, why);
	g_hash_table_remove_all(link->incoming);
	g_clear_pointer(&link->own_hosts, g_strfreev);
	g_clear_pointer(&link->peer_hosts, g_strfreev);
	g_clear_pointer(&link->pin, g_free);
	g_clear_pointer(&link->key, sync_key_unref);
}

void sync_link_close(SyncLink *link)
{
	shut(link, "the link was closed");
	g_hash_table_remove_all(link->seen);
	link->answered_us = 0;
	update_connected(link);
}

bool sync_link_is_busy(const SyncLink *link)
{
	return g_hash_table_size(link->pending) > 0 || g_hash_table_size(link->incoming) > 0;
}

void sync_link_free(SyncLink *link)
{
	if (!link)
		return;
	sync_link_close(link);
	sync_guests_free(link->guests);
	sync_giving_free(link->giving);
	g_object_unref(link->server);
	g_ptr_array_unref(link->paths);
	g_hash_table_unref(link->own);
	g_hash_table_unref(link->seen);
	g_hash_table_unref(link->pending);
	g_hash_table_unref(link->incoming);
	g_free(link->run);
	g_free(link);
}

static gboolean dispatch_look(GSource *source, GSourceFunc callback, gpointer user_data)
{
	return callback(user_data);
}

static GSource *look_source(SyncLink *link)
{
	static GSourceFuncs functions = { .dispatch = dispatch_look };
	GSource *source = g_source_new(&functions, sizeof(GSource));

	g_source_set_callback(source, look_cb, link, NULL);
	g_source_set_ready_time(source, -1);
	g_source_attach(source, NULL);
	return source;
}

/* Whether whoever is let in by @before is so by @now. */
static bool lets_in(const char *now, const char *before)
{
	g_auto(GStrv) all = g_strsplit(before, " ", -1);

	for (guint i = 0; all[i]; i++)
		if (*all[i] && !sync_key_is_pinned(now, all[i]))
			return false;
	return true;
}

bool sync_link_open(SyncLink *link, const SyncLinkConfig *config, GError **error)
{
	bool same_places = link->listener && link->port == config->port && g_strv_equal((const char *const *)link->own_hosts, config->own_hosts) &&
			   g_strv_equal((const char *const *)link->peer_hosts, config->peer_hosts);
	bool same_keys = link->listener && link->key == config->key && lets_in(config->pin, link->pin);

	if (same_places && same_keys) {
		link->timeout_ms = config->timeout_ms;
		link->port_before = config->port_before;
		plan(link, g_get_monotonic_time());
		if (!g_str_equal(link->pin, config->pin)) {
			g_free(link->pin);
			link->pin = g_strdup(config->pin);
			sync_listener_set_pin(link->listener, link->pin);
		}
		return true;
	}
	/* The same peer, that is: it need not be missed for that. */
	if (same_places || same_keys)
		shut(link, "the link was opened anew");
	else
		sync_link_close(link);
	link->listener = sync_listener_new(config->own_hosts, config->port, config->key, config->pin, take_connection, turned_away, link, error);
	if (!link->listener) {
		sync_link_close(link);
		return false;
	}
	sync_listener_set_friends(link->listener, config->peer_hosts);
	sync_listener_set_talks(link->listener, take_talk);
	link->key = sync_key_ref(config->key);
	link->pin = g_strdup(config->pin);
	link->port = config->port;
	link->port_before = config->port_before;
	link->timeout_ms = config->timeout_ms;
	link->own_hosts = g_strdupv((char **)config->own_hosts);
	link->peer_hosts = g_strdupv((char **)config->peer_hosts);
	link->look = look_source(link);
	for (guint i = 0; link->peer_hosts[i]; i++)
		path_dial(path_new(link, link->peer_hosts[i], true));
	plan(link, g_get_monotonic_time()); /* a peer that is not heard again is missed all the same */
	return true;
}

gint64 sync_link_heard_us(const SyncLink *link)
{
	return link ? link->answered_us : 0;
}

bool sync_link_is_connected(const SyncLink *link)
{
	return link->connected;
}

bool sync_link_is_heard_at(const SyncLink *link, const char *host)
{
	for (guint i = 0; i < link->paths->len; i++) {
		Path *path = link->paths->pdata[i];

		if (path_is_known(path) && g_str_equal(path->host, host))
			return true;
	}
	return false;
}

char **sync_link_hosts(const SyncLink *link)
{
	g_autoptr(GStrvBuilder) hosts = g_strv_builder_new();
	g_autoptr(GHashTable) named = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) alive = g_ptr_array_new();
	gint64 now_us = g_get_monotonic_time(), doubt = doubt_us(link, now_us);

	for (guint i = 0; i < link->paths->len; i++) {
		Path *path = link->paths->pdata[i];
		guint at = 0;

		if (!path_is_known(path) || *path->host == '\0')
			continue;
		while (at < alive->len && path_rank(alive->pdata[at], doubt, now_us) <= path_rank(path, doubt, now_us))
			at++;
		g_ptr_array_insert(alive, (gint)at, path);
	}
	for (guint i = 0; i < alive->len; i++) {
		Path *path = alive->pdata[i];
		if (g_hash_table_add(named, path->host))
			g_strv_builder_add(hosts, path->host);
	}
	for (guint i = 0; link->peer_hosts && link->peer_hosts[i]; i++)
		if (g_hash_table_add(named, link->peer_hosts[i]))
			g_strv_builder_add(hosts, link->peer_hosts[i]);
	return g_strv_builder_end(hosts);
}

void sync_link_publish(SyncLink *link, const char *topic, GVariant *value)
{
	GVariant *kept = g_variant_ref_sink(value);

	g_hash_table_insert(link->own, g_strdup(topic), kept);
	/* Over all paths: the receiver drops what it has seen, and none of them has to be the one that still lives. */
	guint64 serial = ++link->serial;
	g_autoptr(GBytes) bytes = sync_message_encode(SYNC_MESSAGE_PUBLISH, topic, link->run, serial, NULL, kept, NULL);
	for (guint i = 0; bytes && i < link->paths->len; i++)
		if (path_is_open(link->paths->pdata[i]))
			path_send(link->paths->pdata[i], bytes);
}
