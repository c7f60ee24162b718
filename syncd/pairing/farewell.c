/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/pairing/farewell.c - dial, one request, one answer; again and again, ever more seldom. */
#include "syncd/pairing/farewell.h"

#include "syncd/peer/message.h"
#include "syncd/peer/websocket.h"

enum { DIAL_S = 5, ANSWER_S = 5, FIRST_MS = 500, LAST_MS = 300 * 1000, WEEK_S = 7 * 24 * 3600 };

struct SyncFarewell {
	SyncKey *key;
	char *pin;
	char **hosts;
	guint port;
	guint at;       /* in hosts */
	guint delay_ms;
	guint timer;
	gint64 since_us;
	GCancellable *dialling;
	SoupWebsocketConnection *socket;
	SyncFarewellDone done;
	gpointer user_data;
};

static void dial(SyncFarewell *farewell);

static gboolean again(gpointer user_data)
{
	SyncFarewell *farewell = user_data;

	farewell->timer = 0;
	dial(farewell);
	return G_SOURCE_REMOVE;
}

static void drop_socket(SyncFarewell *farewell)
{
	if (!farewell->socket)
		return;
	g_signal_handlers_disconnect_by_data(farewell->socket, farewell);
	soup_websocket_connection_close(farewell->socket, SOUP_WEBSOCKET_CLOSE_GOING_AWAY, NULL);
	g_clear_object(&farewell->socket);
}

static void next(SyncFarewell *farewell)
{
	drop_socket(farewell);
	g_clear_handle_id(&farewell->timer, g_source_remove);
	if (g_get_monotonic_time() - farewell->since_us > WEEK_S * (gint64)G_USEC_PER_SEC) {
		farewell->done(false, farewell->user_data);
		return;
	}
	guint delay_ms = 0;
	if (!farewell->hosts[++farewell->at]) {
		farewell->at = 0;
		delay_ms = farewell->delay_ms;
		farewell->delay_ms = MIN(farewell->delay_ms * 2, LAST_MS);
	}
	farewell->timer = g_timeout_add(delay_ms, again, farewell);
}

static gboolean silent(gpointer user_data)
{
	SyncFarewell *farewell = user_data;

	farewell->timer = 0;
	next(farewell);
	return G_SOURCE_REMOVE;
}

static void have_message(SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *bytes, gpointer user_data)
{
	SyncFarewell *farewell = user_data;
	g_auto(SyncMessage) message = { 0 };

	if (type != SOUP_WEBSOCKET_DATA_BINARY || !sync_message_decode(bytes, &message, NULL) || message.kind != SYNC_MESSAGE_ANSWER)
		return; /* it pings, and publishes what we do not ask for */
	drop_socket(farewell);
	g_clear_handle_id(&farewell->timer, g_source_remove);
	farewell->done(true, farewell->user_data);
}

static void closed(SoupWebsocketConnection *socket, gpointer user_data)
{
	next(user_data);
}

static void dialled(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GCancellable) dialling = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(SoupWebsocketConnection) socket = sync_websocket_dial_finish(result, &error);

	if (g_cancellable_is_cancelled(dialling))
		return;
	SyncFarewell *farewell = g_object_get_data(G_OBJECT(dialling), "farewell");
	g_clear_object(&farewell->dialling);
	g_autoptr(GBytes) bytes = socket ? sync_message_encode(SYNC_MESSAGE_REQUEST, "unpair", "farewell", 1, NULL, NULL, NULL) : NULL;
	if (!bytes) {
		next(farewell);
		return;
	}
	farewell->socket = g_steal_pointer(&socket);
	soup_websocket_connection_set_max_incoming_payload_size(farewell->socket, SYNC_MESSAGE_MAX);
	g_signal_connect(farewell->socket, "message", G_CALLBACK(have_message), farewell);
	g_signal_connect(farewell->socket, "closed", G_CALLBACK(closed), farewell);
	farewell->timer = g_timeout_add_seconds(ANSWER_S, silent, farewell);
	soup_websocket_connection_send_message(farewell->socket, SOUP_WEBSOCKET_DATA_BINARY, bytes);
}

static void dial(SyncFarewell *farewell)
{
	farewell->dialling = g_cancellable_new();
	g_object_set_data(G_OBJECT(farewell->dialling), "farewell", farewell);
	sync_websocket_dial_async(farewell->hosts[farewell->at], farewell->port, DIAL_S, farewell->key, farewell->pin, farewell->dialling, dialled,
				  g_object_ref(farewell->dialling));
}

SyncFarewell *sync_farewell_new(const SyncRecord *record, const char *const *hosts, guint port, const SyncKey *key, SyncFarewellDone done,
				gpointer user_data)
{
	SyncFarewell *farewell = g_new0(SyncFarewell, 1);

	farewell->key = sync_key_ref(key);
	farewell->pin = sync_record_pin(record);
	farewell->hosts = g_strdupv((char **)hosts);
	farewell->port = port;
	farewell->delay_ms = FIRST_MS;
	farewell->since_us = g_get_monotonic_time();
	farewell->done = done;
	farewell->user_data = user_data;
	if (farewell->hosts[0])
		dial(farewell);
	return farewell;
}

void sync_farewell_free(SyncFarewell *farewell)
{
	if (!farewell)
		return;
	drop_socket(farewell);
	g_clear_handle_id(&farewell->timer, g_source_remove);
	if (farewell->dialling)
		g_cancellable_cancel(farewell->dialling);
	g_clear_object(&farewell->dialling);
	sync_key_unref(farewell->key);
	g_free(farewell->pin);
	g_strfreev(farewell->hosts);
	g_free(farewell);
}
