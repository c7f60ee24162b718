/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs-fetch.c - a few threads, each with a connection on which it asks for one object after the other. */
#include "syncd/voice/lfs-fetch.h"

#include <libsoup/soup.h>
#include <stdlib.h>
#include <string.h>

#include "syncd/files/bulk.h"
#include "syncd/files/disk.h"
#include "syncd/files/file.h"
#include "syncd/error.h"
#include "syncd/voice/lfs.h"
#include "syncd/peer/place.h"
#include "syncd/peer/talk.h"

/* Nothing is computed over there: who says nothing for that long has gone. */
enum { SILENCE_S = 5, AT_ONCE = 8, BUFFER = 256 * 1024, HEAD_MAX = 16 * 1024, LOOK_US = 100000, ROUND_US = 1000000 };

typedef struct {
	SyncObjects *objects;
	const SyncFetchSource *source;
	GPtrArray *order;
	SyncAhead *ahead;
	GCancellable *cancellable;
	GMutex lock; /* guards the rest */
	GCond changed;
	guint next, running;
	GError *error; /* the first */
} Round;

typedef struct {
	char buffer[BUFFER]; /* aligned as bulk.h wants it */
	gsize at, end;       /* of what was read and not used */
	SyncTalk *talk;      /* NULL: to be dialled */
	guint answers;
	SyncDiskTrail trail;
} Connection;

/* Whole pieces of the alignment. */
enum { CONNECTION_ROOM = (sizeof(Connection) + SYNC_BULK_ALIGNMENT - 1) & ~(SYNC_BULK_ALIGNMENT - 1) };

/* ---- one object ---- */

static void hang_up(Connection *connection)
{
	g_clear_pointer(&connection->talk, sync_talk_free);
	connection->answers = 0;
	connection->at = connection->end = 0;
}

static gssize read_some(Connection *connection, char *to, gsize most, GError **error)
{
	gssize n = sync_talk_receive(connection->talk, to, most, error);

	if (n == 0)
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the peer hung up");
	return n;
}

static bool ask(Connection *connection, const Round *round, const char *id, guint64 from, GError **error)
{
	g_autofree char *host = sync_place_text(round->source->host, round->source->port);
	g_autofree char *request = g_strdup_printf("GET /repo.git/info/lfs/objects/%s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%" G_GUINT64_FORMAT "-\r\n\r\n",
						   id, host, from);

	return sync_talk_send(connection->talk, request, strlen(request), false, error);
}

/* Up to the empty line, which stays out of the buffer. */
static char *read_head(Connection *connection, GError **error)
{
	connection->at = connection->end = 0;
	for (;;) {
		const char *end = g_strstr_len(connection->buffer, (gssize)connection->end, "\r\n\r\n");
		if (end) {
			connection->at = (gsize)(end - connection->buffer) + 4;
			/* libsoup wants one line's end. */
			return g_strndup(connection->buffer, connection->at - 2);
		}
		if (connection->end >= HEAD_MAX) {
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the peer's answer has no end of its headers");
			return NULL;
		}
		gssize n = read_some(connection, connection->buffer + connection->end, HEAD_MAX - connection->end, error);
		if (n <= 0)
			return NULL;
		connection->end += (gsize)n;
	}
}

static bool judge_head(const char *head, guint64 from, guint64 size, guint64 *ret_at, GError **error)
{
	g_autoptr(SoupMessageHeaders) headers = soup_message_headers_new(SOUP_MESSAGE_HEADERS_RESPONSE);
	goffset first = -1, last = -1, total = -1;
	SoupHTTPVersion version;
	guint status;

	if (!soup_headers_parse_response(head, (int)strlen(head), headers, &version, &status, NULL)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "what the peer answers is not HTTP");
		return false;
	}
	if (!soup_message_headers_get_content_range(headers, &first, &last, &total))
		first = total = -1;
	bool has_length = soup_message_headers_get_encoding(headers) == SOUP_ENCODING_CONTENT_LENGTH;
	return sync_range_answered(status, has_length ? soup_message_headers_get_content_length(headers) : -1, first, total, from, size, ret_at, error);
}

/* Fills the buffer, as far as there is something to come: what is written goes in large pieces. */
static bool read_piece(Connection *connection, guint64 left, GError **error)
{
	gsize wanted = MIN(left, BUFFER);

	memmove(connection->buffer, connection->buffer + connection->at, connection->end - connection->at);
	connection->end -= connection->at;
	connection->at = 0;
	/* Not a byte more than was promised. */
	while (connection->end < wanted) {
		gssize n = read_some(connection, connection->buffer + connection->end, wanted - connection->end, error);

		if (n <= 0)
			return false;
		connection->end += (gsize)n;
	}
	return true;
}

static bool read_body(Connection *connection, SyncReceipt *receipt, guint64 size, GError **error)
{
	bool ok = true;

	while (ok && (sync_receipt_at(receipt) < size || connection->at < connection->end)) {
		g_autoptr(GError) problem = NULL;

		ok = read_piece(connection, size - sync_receipt_at(receipt), &problem);
		/* What came before the peer hung up need not come again. */
		if (!sync_receipt_add(receipt, (const guint8 *)connection->buffer + connection->at, connection->end - connection->at, error))
			return false;
		connection->at = connection->end;
		if (!ok)
			g_propagate_error(error, g_steal_pointer(&problem));
	}
	return ok;
}

static bool dial(Connection *connection, const Round *round, GError **error)
{
	g_autoptr(GSocketConnection) base = sync_fetch_connect(round->source, round->cancellable, error);

	connection->talk = base ? sync_talk_dial(base, round->source->key, round->source->pin, SILENCE_S, round->cancellable, error) : NULL;
	return connection->talk != NULL;
}

/* While the next ones come the disk is at work, and what it has leaves the memory: whoever waits for it in the end finds little left. */
static bool keep(Connection *connection, const Round *round, const SyncWant *want, SyncReceipt *receipt, int copy_fd, GError **error)
{
	if (!sync_receipt_finish(receipt, error))
		return false;
	if (!round->ahead)
		return true;
	sync_autofd made_fd = sync_receipt_is_copied(receipt) ? -1 : sync_ahead_add(round->ahead, want->path, &want->pointer, round->cancellable);
	if (made_fd >= 0)
		sync_disk_trail_add(&connection->trail, made_fd);
	if (!sync_receipt_is_in_memory(receipt))
		return true;
	sync_disk_trail_add(&connection->trail, sync_receipt_fd(receipt));
	if (made_fd < 0 && copy_fd >= 0)
		sync_disk_trail_add(&connection->trail, copy_fd);
	return true;
}

static bool receive(Connection *connection, const Round *round, const SyncWant *want, SyncReceipt *receipt, GError **error)
{
	sync_autofd copy_fd = round->ahead && sync_receipt_at(receipt) == 0 ? sync_ahead_begin(round->ahead, want->path, &want->pointer) : -1;

	if (copy_fd >= 0)
		sync_receipt_copy(receipt, copy_fd);
	if (read_body(connection, receipt, want->pointer.size, error) && keep(connection, round, want, receipt, copy_fd, error))
		return true;
	/* It may be as long as it ought to be, and something else. */
	if (copy_fd >= 0)
		sync_ahead_drop(round->ahead, want->path, &want->pointer);
	return false;
}

/* *ret_stale: nothing came over a connection that had served before. */
static bool converse(Connection *connection, const Round *round, const SyncWant *want, bool *ret_stale, GError **error)
{
	const SyncPointer *pointer = &want->pointer;
	g_autoptr(SyncReceipt) receipt = sync_receipt_new(round->objects, pointer, round->cancellable, error);
	guint64 at;

	*ret_stale = false;
	if (!receipt)
		return false;
	/* All of it may have come before an unclean end. */
	if (sync_receipt_at(receipt) == pointer->size)
		return keep(connection, round, want, receipt, -1, error);
	if (!connection->talk && !dial(connection, round, error))
		return false;
	g_autofree char *head = ask(connection, round, pointer->id, sync_receipt_at(receipt), error) ?
					read_head(connection, error) :
					NULL;
	if (!head) {
		*ret_stale = connection->answers > 0 && connection->end == 0;
		return false;
	}
	connection->answers++;
	if (!judge_head(head, sync_receipt_at(receipt), pointer->size, &at, error))
		return false;
	if (at < sync_receipt_at(receipt) && !sync_receipt_restart(receipt, error))
		return false;
	return receive(connection, round, want, receipt, error);
}

static bool fetch_one(Connection *connection, const Round *round, const SyncWant *want, GError **error)
{
	for (;;) {
		g_autoptr(GError) problem = NULL;
		bool stale;

		if (converse(connection, round, want, &stale, &problem))
			return true;
		hang_up(connection);
		if (stale && !g_cancellable_is_cancelled(round->cancellable))
			continue;
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
}

/* ---- all of them ---- */

/* That one object cannot be had says nothing of the others. */
static bool concerns_one(const GError *error)
{
	return g_error_matches(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND) || g_error_matches(error, SYNC_ERROR, SYNC_ERROR_BAD);
}

static const SyncWant *next_want(Round *round)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&round->lock);

	return round->next < round->order->len ? round->order->pdata[round->next++] : NULL;
}

static gpointer work(gpointer data)
{
	Round *round = data;
	Connection *connection = aligned_alloc(SYNC_BULK_ALIGNMENT, CONNECTION_ROOM);
	const SyncWant *want;
	bool goes_on = true;

	if (!connection)
		g_error("no memory for a connection");
	memset(connection, 0, sizeof *connection);
	sync_disk_apart();
	while (goes_on && (want = next_want(round))) {
		GError *error = NULL;

		if (fetch_one(connection, round, want, &error))
			continue;
		goes_on = concerns_one(error);
		g_mutex_lock(&round->lock);
		if (round->error)
			g_error_free(error);
		else
			round->error = error;
		g_mutex_unlock(&round->lock);
		if (!goes_on)
			g_cancellable_cancel(round->cancellable);
	}
	hang_up(connection);
	sync_disk_trail_end(&connection->trail);
	free(connection);
	g_mutex_lock(&round->lock);
	round->running--;
	g_cond_signal(&round->changed);
	g_mutex_unlock(&round->lock);
	return NULL;
}

static void cancel_also(GCancellable *from, gpointer to)
{
	g_cancellable_cancel(to);
}

bool sync_lfs_fetch(SyncObjects *objects, const SyncFetchSource *source, const SyncWants *wants, SyncLfsEnough enough, gpointer user_data,
		    SyncAhead *ahead, GCancellable *cancellable, GError **error)
{
	g_autoptr(GPtrArray) order = sync_wants_order(wants);
	g_autoptr(GCancellable) inner = g_cancellable_new();
	Round round = { .objects = objects, .source = source, .order = order, .ahead = ahead, .cancellable = inner };
	GThread *threads[AT_ONCE];
	gint64 began_us = g_get_monotonic_time();
	bool left_off = false;

	g_mutex_init(&round.lock);
	g_cond_init(&round.changed);
	gulong chained = g_cancellable_connect(cancellable, G_CALLBACK(cancel_also), g_object_ref(inner), g_object_unref);
	guint n = round.running = MIN(order->len, AT_ONCE);
	for (guint i = 0; i < n; i++)
		threads[i] = g_thread_new("voice-fetch", work, &round);
	g_mutex_lock(&round.lock);
	while (round.running > 0) {
		gint64 now_us = g_get_monotonic_time();

		(void)g_cond_wait_until(&round.changed, &round.lock, now_us + LOOK_US);
		g_mutex_unlock(&round.lock);
		/* Not so often that dialling would be all that is done. */
		if (!left_off && now_us - began_us >= ROUND_US && enough && enough(user_data)) {
			left_off = true;
			g_cancellable_cancel(inner);
		}
		g_mutex_lock(&round.lock);
	}
	g_mutex_unlock(&round.lock);
	for (guint i = 0; i < n; i++)
		g_thread_join(threads[i]);
	g_cancellable_disconnect(cancellable, chained);
	g_mutex_clear(&round.lock);
	g_cond_clear(&round.changed);
	g_autoptr(GError) first = round.error;
	if (!first)
		return true;
	if (g_cancellable_set_error_if_cancelled(cancellable, error))
		return false;
	if (left_off)
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "superseded: there is a newer commit");
	else if (concerns_one(first))
		g_propagate_prefixed_error(error, g_steal_pointer(&first), "fetching recordings from %s: ", source->host);
	else
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "fetching recordings from %s: %s", source->host, first->message);
	return false;
}
