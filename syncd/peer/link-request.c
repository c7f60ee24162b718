/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/link-request.c - requests to the peer and of the peer, each until it has its answer. */
#include "syncd/error.h"
#include "syncd/peer/link-private.h"

enum {
	INCOMING_MAX = 64, /* the peer's requests that wait for an answer */
	INCOMING_S = 120,
};

void sync_link_send_pending(SyncLink *link, SyncPath *path)
{
	GHashTableIter iter;
	SyncPending *pending;

	g_hash_table_iter_init(&iter, link->pending);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&pending)) {
		if (!pending->bytes)
			continue;
		sync_path_send(path, pending->bytes);
		g_clear_pointer(&pending->bytes, g_bytes_unref);
		pending->path = path;
	}
}

void sync_pending_free(SyncPending *pending)
{
	g_clear_handle_id(&pending->timer, g_source_remove);
	g_clear_pointer(&pending->bytes, g_bytes_unref);
	g_free(pending);
}

static void pending_end(SyncPending *pending, const char *error_name, const GError *error, GVariant *values)
{
	SyncAnswerCb done = pending->done;
	gpointer user_data = pending->user_data;

	g_hash_table_remove(pending->link->pending, &pending->serial);
	done(error_name, error, values, user_data);
}

void sync_link_fail_pending(SyncLink *link, const SyncPath *path, const char *why)
{
	g_autoptr(GPtrArray) lost = g_ptr_array_new();
	GHashTableIter iter;
	SyncPending *pending;

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
	SyncPending *pending = user_data;
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
	SyncPending *pending = g_new0(SyncPending, 1);
	pending->link = link;
	pending->serial = serial;
	pending->bytes = bytes;
	pending->done = done;
	pending->user_data = user_data;
	pending->timer = g_timeout_add(timeout_ms, pending_late, pending);
	g_hash_table_insert(link->pending, &pending->serial, pending);
	SyncPath *path = sync_link_best_path(link);
	if (path)
		sync_link_send_pending(link, path);
}

void sync_incoming_free(SyncIncoming *incoming)
{
	g_free(incoming->run);
	g_free(incoming->topic);
	g_free(incoming);
}

bool sync_link_answer(SyncLink *link, guint64 serial, const char *error_name, GVariant *values, GError **error)
{
	g_autoptr(GVariant) kept = values ? g_variant_ref_sink(values) : NULL;
	SyncIncoming *incoming = g_hash_table_lookup(link->incoming, &serial);

	if (!incoming) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "no request of this serial waits for an answer");
		return false;
	}
	g_autoptr(GBytes) bytes = sync_message_encode(SYNC_MESSAGE_ANSWER, NULL, incoming->run, incoming->serial, error_name, kept, error);
	if (!bytes)
		return false;
	/* Over the same path: who asked learns that it broke, but not that another one did. */
	SyncPath *path = incoming->path && sync_path_is_open(incoming->path) ? incoming->path : sync_link_best_path(link);
	g_hash_table_remove(link->incoming, &serial);
	if (!path) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the peer is not connected");
		return false;
	}
	sync_path_send(path, bytes);
	return true;
}

void sync_link_each_waiting(SyncLink *link, const char *topic, SyncWaitingCb each, gpointer user_data)
{
	g_autoptr(GArray) serials = g_array_new(FALSE, FALSE, sizeof(guint64));
	GHashTableIter iter;
	guint64 *serial;
	SyncIncoming *incoming;

	g_hash_table_iter_init(&iter, link->incoming);
	while (g_hash_table_iter_next(&iter, (gpointer *)&serial, (gpointer *)&incoming))
		if (g_str_equal(incoming->topic, topic))
			g_array_append_val(serials, *serial);
	for (guint i = 0; i < serials->len; i++)
		each(g_array_index(serials, guint64, i), user_data);
}

void sync_link_forget_path(SyncLink *link, const SyncPath *path)
{
	GHashTableIter iter;
	SyncIncoming *incoming;

	g_hash_table_iter_init(&iter, link->incoming);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&incoming))
		if (incoming->path == path)
			incoming->path = NULL;
}

void sync_link_take_request(SyncLink *link, SyncPath *path, const SyncMessage *message)
{
	GHashTableIter iter;
	SyncIncoming *old;
	gint64 now_us = g_get_monotonic_time();

	g_hash_table_iter_init(&iter, link->incoming);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&old))
		if (now_us - old->since_us > INCOMING_S * (gint64)G_USEC_PER_SEC)
			g_hash_table_iter_remove(&iter);
	if (g_hash_table_size(link->incoming) >= INCOMING_MAX) {
		g_autoptr(GBytes) busy = sync_message_encode(SYNC_MESSAGE_ANSWER, NULL, message->run, message->serial,
							     "org.understudy.Error.Busy", NULL, NULL);
		sync_path_send(path, busy);
		return;
	}
	SyncIncoming *incoming = g_new0(SyncIncoming, 1);
	guint64 *serial = g_new(guint64, 1);
	*serial = ++link->incoming_serial;
	incoming->run = g_strdup(message->run);
	incoming->topic = g_strdup(message->topic);
	incoming->serial = message->serial;
	incoming->since_us = now_us;
	incoming->path = path;
	g_hash_table_insert(link->incoming, serial, incoming);
	link->events->requested(*serial, message->topic, message->value, link->user_data);
}

void sync_link_take_answer(SyncLink *link, const SyncMessage *message)
{
	SyncPending *pending = g_hash_table_lookup(link->pending, &message->serial);

	if (pending && g_str_equal(message->run, link->run))
		pending_end(pending, message->error, NULL, message->value);
}

bool sync_link_is_busy(const SyncLink *link)
{
	return g_hash_table_size(link->pending) > 0 || g_hash_table_size(link->incoming) > 0;
}
