/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs-http.c - objects to the peer, a chunk of each in memory. */
#include "syncd/voice/lfs-http.h"

#include <gio/gunixinputstream.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "syncd/error.h"
#include "syncd/voice/lfs-give.h"
#include "syncd/voice/lfs.h"
#include "syncd/voice/objects.h"

#define OBJECTS SYNC_LFS_PATH "/objects/"
#define JSON "application/vnd.git-lfs+json"

enum { CHUNK = 256 * 1024, SERVING_MAX = 32 };

static guint serving;

typedef struct {
	SoupServerMessage *message;
	GInputStream *file;
	GCancellable *cancellable;
	guint64 left;
	bool finished; /* the HTTP side is over, in whatever way */
	bool reading;
} Giving;

static void giving_end(Giving *giving)
{
	g_signal_handlers_disconnect_by_data(giving->message, giving);
	g_object_unref(giving->file);
	g_object_unref(giving->cancellable);
	g_object_unref(giving->message);
	g_free(giving);
	serving--;
}

static void have_bytes(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Giving *giving = user_data;
	g_autoptr(GBytes) bytes = g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, NULL);
	gsize n = bytes ? g_bytes_get_size(bytes) : 0;

	giving->reading = false;
	if (giving->finished) {
		giving_end(giving);
		return;
	}
	if (n == 0) {
		/* Less than was promised: the other side shall not wait for it. */
		(void)g_socket_shutdown(soup_server_message_get_socket(giving->message), TRUE, TRUE, NULL);
		soup_server_message_unpause(giving->message);
		return;
	}
	giving->left -= n;
	SoupMessageBody *body = soup_server_message_get_response_body(giving->message);
	soup_message_body_append_bytes(body, bytes);
	if (giving->left == 0)
		soup_message_body_complete(body);
	soup_server_message_unpause(giving->message);
}

/* One chunk is under way at a time. */
static void read_more(Giving *giving)
{
	giving->reading = true;
	g_input_stream_read_bytes_async(giving->file, MIN(giving->left, CHUNK), G_PRIORITY_LOW, giving->cancellable, have_bytes, giving);
}

static void wrote_chunk(SoupServerMessage *message, gpointer user_data)
{
	Giving *giving = user_data;

	if (giving->reading || giving->finished || giving->left == 0)
		return;
	soup_server_message_pause(message);
	read_more(giving);
}

static void message_finished(SoupServerMessage *message, gpointer user_data)
{
	Giving *giving = user_data;

	giving->finished = true;
	if (giving->reading)
		g_cancellable_cancel(giving->cancellable);
	else
		giving_end(giving);
}

static void fail(SoupServerMessage *message, guint status, const char *text)
{
	g_autofree char *json = sync_batch_error(text);

	soup_server_message_set_status(message, status, NULL);
	soup_server_message_set_response(message, JSON, SOUP_MEMORY_COPY, json, strlen(json));
}

static void give(SoupServerMessage *message, const char *folder, const char *path)
{
	SoupMessageHeaders *headers = soup_server_message_get_response_headers(message);
	const char *range = soup_message_headers_get_one(soup_server_message_get_request_headers(message), "Range");
	SyncAsked asked;

	if (serving >= SERVING_MAX) {
		fail(message, SOUP_STATUS_SERVICE_UNAVAILABLE, "too many at once");
		return;
	}
	guint status = sync_asked_find(folder, path, range, &asked);
	if (status != SOUP_STATUS_OK && status != SOUP_STATUS_PARTIAL_CONTENT) {
		fail(message, status, status == SOUP_STATUS_NOT_FOUND ? "the object is not here" : "the object ends before that");
		return;
	}
	Giving *giving = g_new0(Giving, 1);
	serving++;
	giving->message = g_object_ref(message);
	giving->cancellable = g_cancellable_new();
	giving->left = asked.last - asked.first + 1;
	giving->file = g_unix_input_stream_new(asked.fd, TRUE);
	SoupMessageBody *body = soup_server_message_get_response_body(message);
	soup_message_headers_set_content_length(headers, (goffset)giving->left);
	soup_message_headers_set_content_type(headers, "application/octet-stream", NULL);
	soup_message_headers_replace(headers, "Accept-Ranges", "bytes");
	if (asked.kind == SYNC_RANGE_PART)
		soup_message_headers_set_content_range(headers, (goffset)asked.first, (goffset)asked.last, (goffset)asked.size);
	soup_message_body_set_accumulate(body, FALSE);
	soup_server_message_set_status(message, status, NULL);
	g_signal_connect(message, "wrote-chunk", G_CALLBACK(wrote_chunk), giving);
	g_signal_connect(message, "finished", G_CALLBACK(message_finished), giving);
	soup_server_message_pause(message);
	read_more(giving);
}

static bool size_of(const char *id, guint64 *ret_size, gpointer user_data)
{
	g_autofree char *path = sync_objects_path_in(user_data, id);
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	*ret_size = (guint64)st.st_size;
	return true;
}

static void batch(SoupServerMessage *message, char *folder)
{
	const char *host = soup_message_headers_get_one(soup_server_message_get_request_headers(message), "Host");
	g_autoptr(GBytes) request = soup_message_body_flatten(soup_server_message_get_request_body(message));
	g_autoptr(GError) error = NULL;
	gsize length;
	const char *text = g_bytes_get_data(request, &length);

	if (!host || !sync_host_ok(host)) {
		fail(message, SOUP_STATUS_BAD_REQUEST, "not a host");
		return;
	}
	g_autofree char *base = g_strdup_printf("https://%s" SYNC_LFS_PATH "/objects", host);
	g_autofree char *answer = sync_batch_answer(text ? text : "", length, base, size_of, folder, &error);
	if (!answer) {
		fail(message, g_error_matches(error, SYNC_ERROR, SYNC_ERROR_REFUSED) ? SOUP_STATUS_FORBIDDEN : SOUP_STATUS_UNPROCESSABLE_ENTITY,
		     error->message);
		return;
	}
	soup_server_message_set_status(message, SOUP_STATUS_OK, NULL);
	soup_server_message_set_response(message, JSON, SOUP_MEMORY_COPY, answer, strlen(answer));
}

static void handle(SoupServer *server, SoupServerMessage *message, const char *path, GHashTable *query, gpointer user_data)
{
	const char *method = soup_server_message_get_method(message);

	if (g_str_equal(method, "POST") && g_str_equal(path, OBJECTS "batch"))
		batch(message, user_data);
	else if (g_str_equal(method, "GET") && g_str_has_prefix(path, OBJECTS) && sync_object_id_ok(path + strlen(OBJECTS)))
		give(message, user_data, path);
	else
		fail(message, SOUP_STATUS_NOT_FOUND, "only downloads are served");
}

void sync_lfs_http_serve(SoupServer *server, const char *folder)
{
	soup_server_add_handler(server, SYNC_LFS_PATH, handle, g_strdup(folder), g_free);
}
