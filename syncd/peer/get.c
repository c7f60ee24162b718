/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/get.c - a request, and its answer as a whole. */
#include "syncd/peer/get.h"

#include <libsoup/soup.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/peer/place.h"

/* Nothing is computed over there: who says nothing for that long has gone. */
enum { SILENCE_S = 5, HEAD_MAX = 16 * 1024 };

/* Up to the empty line, and what came after it, which is left in @text behind its end. */
static bool read_head(GInputStream *stream, GString *text, gsize *ret_end, GCancellable *cancellable, GError **error)
{
	char part[4096];
	const char *end;

	while (!(end = strstr(text->str, "\r\n\r\n"))) {
		gssize n = text->len < HEAD_MAX ? g_input_stream_read(stream, part, sizeof part, cancellable, error) : 0;

		if (n < 0)
			return false;
		if (n == 0) {
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the peer's answer has no end of its headers");
			return false;
		}
		g_string_append_len(text, part, n);
	}
	*ret_end = (gsize)(end - text->str) + 4;
	return true;
}

/* How long what follows @head is. */
static bool judge_head(const char *head, gsize most, gsize *ret_length, GError **error)
{
	g_autoptr(SoupMessageHeaders) headers = soup_message_headers_new(SOUP_MESSAGE_HEADERS_RESPONSE);
	guint status;

	if (!soup_headers_parse_response(head, (int)strlen(head), headers, NULL, &status, NULL)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "what the peer answers is not HTTP");
		return false;
	}
	bool has_length = soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CONTENT_LENGTH;
	goffset length = has_length ? soup_message_headers_get_content_length(headers) : -1;
	if (status != SOUP_STATUS_OK || length < 0 || (guint64)length > most) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "the peer has not what it told of");
		return false;
	}
	*ret_length = (gsize)length;
	return true;
}

static GBytes *converse(GIOStream *tls, const char *request, gsize most, GCancellable *cancellable, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	GInputStream *input = g_io_stream_get_input_stream(tls);
	gsize end, length, n;

	if (!g_output_stream_write_all(g_io_stream_get_output_stream(tls), request, strlen(request), NULL, cancellable, error) ||
	    !read_head(input, text, &end, cancellable, error))
		return NULL;
	/* libsoup wants one line's end. */
	g_autofree char *head = g_strndup(text->str, end - 2);
	if (!judge_head(head, most, &length, error))
		return NULL;
	gsize here = MIN(text->len - end, length);
	g_autofree guint8 *body = g_malloc(length + 1);
	memcpy(body, text->str + end, here);
	if (!g_input_stream_read_all(input, body + here, length - here, &n, cancellable, error))
		return NULL;
	if (here + n < length) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the peer hung up");
		return NULL;
	}
	return g_bytes_new_take(g_steal_pointer(&body), length);
}

GBytes *sync_get(const SyncFetchSource *source, const char *path, gsize most, GCancellable *cancellable, GError **error)
{
	g_autofree char *host = sync_place_text(source->host, source->port);
	g_autofree char *request = g_strdup_printf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
	g_autoptr(GIOStream) tls = sync_fetch_dial(source, SILENCE_S, cancellable, error);

	if (!tls)
		return NULL;
	GBytes *bytes = converse(tls, request, most, cancellable, error);
	/* Only the socket: a TLS goodbye to a dead peer would wait for it. */
	g_autoptr(GIOStream) base = NULL;
	g_object_get(tls, "base-io-stream", &base, NULL);
	(void)g_io_stream_close(base, NULL, NULL);
	return bytes;
}
