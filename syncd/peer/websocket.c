/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/websocket.c - dial, ask for the upgrade, read the answer, hand the stream to libsoup's WebSocket. */
#include "syncd/peer/websocket.h"

#include <string.h>

#include "syncd/error.h"
#include "syncd/peer/listen.h"
#include "syncd/peer/place.h"

enum { ANSWER_MAX = 4096, NONCE_BYTES = 16 };

typedef struct {
	char *host;
	guint port;
	GIOStream *stream;
	char *question;
	GString *answer;
	char byte;
	GCancellable *cancellable; /* ours: the caller's, or the deadline */
	GCancellable *outer;
	gulong chained;
	guint deadline;
} Upgrade;

static void upgrade_free(gpointer data)
{
	Upgrade *upgrade = data;

	if (upgrade->outer)
		g_cancellable_disconnect(upgrade->outer, upgrade->chained);
	g_clear_object(&upgrade->outer);
	g_clear_handle_id(&upgrade->deadline, g_source_remove);
	g_object_unref(upgrade->cancellable);
	g_clear_object(&upgrade->stream);
	g_string_free(upgrade->answer, TRUE);
	g_free(upgrade->question);
	g_free(upgrade->host);
	g_free(upgrade);
}

static void read_byte(GTask *task);

static void finish(GTask *task)
{
	Upgrade *upgrade = g_task_get_task_data(task);

	if (!g_str_has_prefix(upgrade->answer->str, "HTTP/1.1 101 ")) {
		g_task_return_new_error(task, SYNC_ERROR, SYNC_ERROR_BAD, "the peer opens no link");
		return;
	}
	g_autoptr(GUri) uri = g_uri_build(G_URI_FLAGS_NONE, "wss", NULL, upgrade->host, upgrade->port, "/link", NULL, NULL);
	g_task_return_pointer(task,
			      soup_websocket_connection_new(upgrade->stream, uri, SOUP_WEBSOCKET_CONNECTION_CLIENT, NULL, NULL, NULL),
			      g_object_unref);
}

/* A byte at a time: what follows the answer belongs to the WebSocket. */
static void have_byte(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GTask) task = user_data;
	Upgrade *upgrade = g_task_get_task_data(task);
	GError *error = NULL;
	gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, &error);

	if (n < 0) {
		g_task_return_error(task, error);
		return;
	}
	if (n == 0 || upgrade->answer->len >= ANSWER_MAX) {
		g_task_return_new_error(task, SYNC_ERROR, SYNC_ERROR_BAD, "the peer opens no link");
		return;
	}
	g_string_append_c(upgrade->answer, upgrade->byte);
	if (g_str_has_suffix(upgrade->answer->str, "\r\n\r\n"))
		finish(task);
	else
		read_byte(g_steal_pointer(&task));
}

static void read_byte(GTask *task)
{
	Upgrade *upgrade = g_task_get_task_data(task);

	g_input_stream_read_async(g_io_stream_get_input_stream(upgrade->stream), &upgrade->byte, 1, G_PRIORITY_DEFAULT, upgrade->cancellable,
				  have_byte, task);
}

static void asked(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GTask) task = user_data;
	GError *error = NULL;

	if (g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, &error))
		read_byte(g_steal_pointer(&task));
	else
		g_task_return_error(task, error);
}

static void connected(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GTask) task = user_data;
	Upgrade *upgrade = g_task_get_task_data(task);
	GError *error = NULL;
	guint8 nonce[NONCE_BYTES];

	upgrade->stream = sync_dial_finish(result, NULL, &error);
	if (!upgrade->stream) {
		g_task_return_error(task, error);
		return;
	}
	/* Only a proxy would need the nonce to be random; it is no secret. */
	for (guint i = 0; i < sizeof nonce; i++)
		nonce[i] = (guint8)g_random_int();
	g_autofree char *key = g_base64_encode(nonce, sizeof nonce);
	g_autofree char *place = sync_place_text(upgrade->host, upgrade->port);
	upgrade->question = g_strdup_printf("GET /link HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
					    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
					    place, key);
	g_output_stream_write_all_async(g_io_stream_get_output_stream(upgrade->stream), upgrade->question, strlen(upgrade->question),
					G_PRIORITY_DEFAULT, upgrade->cancellable, asked, g_steal_pointer(&task));
}

static void cancel_also(GCancellable *from, gpointer to)
{
	g_cancellable_cancel(to);
}

static gboolean late(gpointer user_data)
{
	Upgrade *upgrade = user_data;

	upgrade->deadline = 0;
	g_cancellable_cancel(upgrade->cancellable);
	return G_SOURCE_REMOVE;
}

void sync_websocket_dial_async(const char *host, guint port, guint timeout_s, const SyncKey *key, const char *pin, GCancellable *cancellable,
			       GAsyncReadyCallback done, gpointer user_data)
{
	GTask *task = g_task_new(NULL, NULL, done, user_data);
	Upgrade *upgrade = g_new0(Upgrade, 1);

	upgrade->host = g_strdup(host);
	upgrade->port = port;
	upgrade->answer = g_string_new(NULL);
	upgrade->cancellable = g_cancellable_new();
	upgrade->outer = g_object_ref(cancellable);
	upgrade->chained = g_cancellable_connect(cancellable, G_CALLBACK(cancel_also), g_object_ref(upgrade->cancellable), g_object_unref);
	upgrade->deadline = g_timeout_add_seconds(timeout_s, late, upgrade);
	g_task_set_task_data(task, upgrade, upgrade_free);
	sync_dial_async(host, port, timeout_s, key, pin, upgrade->cancellable, connected, task);
}

SoupWebsocketConnection *sync_websocket_dial_finish(GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
}
