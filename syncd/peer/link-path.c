/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/link-path.c - the sockets of a link: dialled, opened, lost; which of them to use. */
#include "syncd/peer/link-private.h"
#include "syncd/peer/websocket.h"

enum {
	DIAL_FIRST_MS = 100,
	DIAL_LAST_MS = 2000,
	DIAL_TIMEOUT_S = 5,
};

static gboolean path_redial(gpointer user_data);

bool sync_path_is_open(const SyncPath *path)
{
	return path->socket && soup_websocket_connection_get_state(path->socket) == SOUP_WEBSOCKET_STATE_OPEN;
}

void sync_path_send(SyncPath *path, GBytes *bytes)
{
	if (!sync_path_is_open(path))
		return; /* it closes; "closed" will tell */
	soup_websocket_connection_send_message(path->socket, SOUP_WEBSOCKET_DATA_BINARY, bytes);
}

bool sync_path_is_known(const SyncPath *path)
{
	return sync_path_is_open(path) && path->pulse.answered_us;
}

gint64 sync_link_doubt_us(const SyncLink *link, gint64 now_us)
{
	gint64 asked_us = 0;

	for (guint i = 0; i < link->paths->len; i++) {
		const SyncPath *path = link->paths->pdata[i];

		if (sync_path_is_open(path) && sync_pulse_is_doubtful(&path->pulse, link->timeout_ms, now_us))
			asked_us = MAX(asked_us, path->pulse.asked_us);
	}
	return asked_us;
}

/* Less is better. While one owes an answer those that have just given theirs are, else as they are configured. */
static guint path_rank(const SyncPath *path, gint64 doubt, gint64 now_us)
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

SyncPath *sync_link_best_path(const SyncLink *link)
{
	gint64 now_us = g_get_monotonic_time(), doubt = sync_link_doubt_us(link, now_us);
	SyncPath *best = NULL;

	for (guint i = 0; i < link->paths->len; i++) {
		SyncPath *path = link->paths->pdata[i];

		if (sync_path_is_known(path) && (!best || path_rank(path, doubt, now_us) < path_rank(best, doubt, now_us)))
			best = path;
	}
	return best;
}

void sync_path_ping(SyncPath *path, gint64 now_us)
{
	g_autoptr(GBytes) ping = sync_message_encode(SYNC_MESSAGE_PING, NULL, NULL, ++path->link->serial, NULL, NULL, NULL);

	sync_pulse_ask(&path->pulse, now_us);
	if (ping)
		sync_path_send(path, ping);
}

static void send_publication(SyncPath *path, const char *topic, GVariant *value)
{
	g_autoptr(GBytes) bytes = sync_message_encode(SYNC_MESSAGE_PUBLISH, topic, path->link->run, ++path->link->serial, NULL, value, NULL);

	if (bytes)
		sync_path_send(path, bytes);
}

/* Lets go of the socket at once; a closing handshake with a dead peer would only wait. */
static void path_drop_socket(SyncPath *path)
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
	g_clear_pointer(&path->run, g_free);
	sync_link_forget_path(path->link, path);
	sync_link_fail_pending(path->link, path, "the connection to the peer broke");
}

void sync_path_free(SyncPath *path)
{
	path_drop_socket(path);
	g_clear_handle_id(&path->retry, g_source_remove);
	if (path->dialling)
		g_cancellable_cancel(path->dialling);
	g_clear_object(&path->dialling);
	g_free(path->host);
	g_free(path);
}

static void path_retry(SyncPath *path)
{
	path->retry_ms = path->retry_ms == 0 ? DIAL_FIRST_MS : MIN(path->retry_ms * 2, DIAL_LAST_MS);
	path->retry = g_timeout_add(path->retry_ms, path_redial, path);
}

void sync_path_lost(SyncPath *path)
{
	path_drop_socket(path);
	if (path->outgoing)
		path_retry(path);
	else
		g_ptr_array_remove(path->link->paths, path);
}

void sync_path_is_of(SyncPath *path, const char *run)
{
	SyncLink *link = path->link;

	if (g_strcmp0(path->run, run) == 0)
		return;
	g_free(path->run);
	path->run = g_strdup(run);
	/* A device that lost its power says nothing on its connections; a request that went over one would be lost when it is up again. */
	for (guint i = link->paths->len; i-- > 0;) {
		SyncPath *other = link->paths->pdata[i];

		if (other->socket && other->run && !g_str_equal(other->run, run) && other->opened_us < path->opened_us)
			sync_path_lost(other);
	}
}

static void socket_closed(SoupWebsocketConnection *socket, gpointer user_data)
{
	sync_path_lost(user_data);
}

void sync_path_opened(SyncPath *path, SoupWebsocketConnection *socket)
{
	SyncLink *link = path->link;
	GHashTableIter iter;
	const char *topic;
	GVariant *value;
	gint64 now_us = g_get_monotonic_time();

	path->socket = g_object_ref(socket);
	path->opened_us = now_us;
	sync_pulse_begin(&path->pulse, now_us);
	soup_websocket_connection_set_max_incoming_payload_size(socket, SYNC_MESSAGE_MAX);
	g_signal_connect(socket, "message", G_CALLBACK(sync_link_take_message), path);
	g_signal_connect(socket, "closed", G_CALLBACK(socket_closed), path);
	sync_path_ping(path, now_us);
	g_hash_table_iter_init(&iter, link->own);
	while (g_hash_table_iter_next(&iter, (gpointer *)&topic, (gpointer *)&value))
		send_publication(path, topic, value);
	sync_link_plan(link, now_us);
}

static void dialled(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GCancellable) dialling = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(SoupWebsocketConnection) socket = sync_websocket_dial_finish(result, &error);

	if (g_cancellable_is_cancelled(dialling))
		return; /* the path may be gone */
	SyncPath *path = g_object_get_data(G_OBJECT(dialling), "path");
	g_clear_object(&path->dialling);
	if (socket) {
		sync_path_opened(path, socket);
		return;
	}
	g_debug("dialling %s: %s", path->host, error->message);
	path_retry(path);
}

void sync_path_dial(SyncPath *path)
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
	SyncPath *path = user_data;

	path->retry = 0;
	sync_path_dial(path);
	return G_SOURCE_REMOVE;
}

SyncPath *sync_path_new(SyncLink *link, const char *host, bool outgoing)
{
	SyncPath *path = g_new0(SyncPath, 1);

	path->link = link;
	path->host = g_strdup(host);
	path->outgoing = outgoing;
	g_ptr_array_add(link->paths, path);
	return path;
}

bool sync_link_is_heard_at(const SyncLink *link, const char *host)
{
	for (guint i = 0; i < link->paths->len; i++) {
		SyncPath *path = link->paths->pdata[i];

		if (sync_path_is_known(path) && g_str_equal(path->host, host))
			return true;
	}
	return false;
}

char **sync_link_hosts(const SyncLink *link)
{
	g_autoptr(GStrvBuilder) hosts = g_strv_builder_new();
	g_autoptr(GHashTable) named = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GPtrArray) alive = g_ptr_array_new();
	gint64 now_us = g_get_monotonic_time(), doubt = sync_link_doubt_us(link, now_us);

	for (guint i = 0; i < link->paths->len; i++) {
		SyncPath *path = link->paths->pdata[i];
		guint at = 0;

		if (!sync_path_is_known(path) || *path->host == '\0')
			continue;
		while (at < alive->len && path_rank(alive->pdata[at], doubt, now_us) <= path_rank(path, doubt, now_us))
			at++;
		g_ptr_array_insert(alive, (gint)at, path);
	}
	for (guint i = 0; i < alive->len; i++) {
		SyncPath *path = alive->pdata[i];
		if (g_hash_table_add(named, path->host))
			g_strv_builder_add(hosts, path->host);
	}
	for (guint i = 0; link->peer_hosts && link->peer_hosts[i]; i++)
		if (g_hash_table_add(named, link->peer_hosts[i]))
			g_strv_builder_add(hosts, link->peer_hosts[i]);
	return g_strv_builder_end(hosts);
}
