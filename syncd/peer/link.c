/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/link.c - whether the peer is there, and what it says. */
#include "syncd/peer/git-http.h"
#include "syncd/peer/link-private.h"
#include "syncd/voice/lfs-http.h"

enum {
	PATHS_MAX = 32,
};

/* The publication of a topic that was taken last. */
typedef struct {
	char *run;
	guint64 serial;
} Seen;

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
		sync_link_fail_pending(link, NULL, "the peer went away");
	link->events->connected(connected, link->user_data);
}

/* ---- whether the peer is there ---- */

void sync_link_plan(SyncLink *link, gint64 now_us)
{
	const SyncPath *best = sync_link_best_path(link);
	gint64 at_us = link->connected ? link->answered_us + (gint64)link->timeout_ms * 1000 : G_MAXINT64;

	for (guint i = 0; i < link->paths->len; i++) {
		const SyncPath *path = link->paths->pdata[i];

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
		sync_pulse_sleep(&((SyncPath *)link->paths->pdata[i])->pulse, late_us);
}

/* @soon_us: who is due by then is asked along; of those that are not in use whoever is within a beat. */
static void ask_round(SyncLink *link, gint64 soon_us, gint64 now_us)
{
	gint64 doubt = sync_link_doubt_us(link, now_us);
	const SyncPath *best = sync_link_best_path(link);

	for (guint i = link->paths->len; i-- > 0;) {
		SyncPath *path = link->paths->pdata[i];
		gint64 until_us = now_us + (path == best ? soon_us : sync_pulse_beat_us(link->timeout_ms));

		if (!path->socket)
			continue;
		if (sync_pulse_is_lost(&path->pulse, link->timeout_ms, now_us))
			sync_path_lost(path);
		else if (sync_pulse_is_due(&path->pulse, path == best, doubt, link->timeout_ms, until_us))
			sync_path_ping(path, now_us);
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
	sync_link_plan(link, now_us);
	return G_SOURCE_CONTINUE;
}

static void take_pong(SyncPath *path)
{
	SyncLink *link = path->link;
	bool first = path->pulse.answered_us == 0;
	gint64 now_us = g_get_monotonic_time();

	sync_pulse_answer(&path->pulse, now_us);
	link->answered_us = now_us;
	path->retry_ms = 0;
	update_connected(link);
	if (first)
		sync_link_send_pending(link, path);
	sync_link_plan(link, now_us);
}

/* Who is woken by a question asks too, where his own would soon be due: the two wake each other once, not twice. */
static void take_ping(SyncPath *path, guint64 serial)
{
	SyncLink *link = path->link;
	gint64 now_us = g_get_monotonic_time(), soon_us = sync_pulse_beat_us(link->timeout_ms) / 2;
	g_autoptr(GBytes) pong = sync_message_encode(SYNC_MESSAGE_PONG, NULL, NULL, serial, NULL, NULL, NULL);

	sync_path_send(path, pong);
	if (link->look_us - now_us > soon_us)
		return;
	ask_round(link, soon_us, now_us);
	sync_link_plan(link, now_us);
}

void sync_link_take_message(SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *bytes, gpointer user_data)
{
	SyncPath *path = user_data;
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
		sync_path_is_of(path, message.run);
		take_publication(link, &message);
		break;
	case SYNC_MESSAGE_REQUEST:
		sync_link_take_request(link, path, &message);
		break;
	case SYNC_MESSAGE_ANSWER:
		sync_link_take_answer(link, &message);
		break;
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

static void accepted_socket(SoupServer *server, SoupServerMessage *message, const char *at, SoupWebsocketConnection *socket, gpointer user_data)
{
	SyncLink *link = user_data;
	const char *host = soup_server_message_get_remote_host(message);

	sync_guests_leave(link->guests, soup_websocket_connection_get_io_stream(socket));
	if (link->paths->len >= PATHS_MAX)
		return;
	sync_path_opened(sync_path_new(link, host ? host : "", false), socket);
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
	link->paths = g_ptr_array_new_with_free_func((GDestroyNotify)sync_path_free);
	link->own = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
	link->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)seen_free);
	link->pending = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)sync_pending_free);
	link->incoming = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, (GDestroyNotify)sync_incoming_free);
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
	sync_link_fail_pending(link, NULL, why);
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
		sync_link_plan(link, g_get_monotonic_time());
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
		sync_path_dial(sync_path_new(link, link->peer_hosts[i], true));
	sync_link_plan(link, g_get_monotonic_time()); /* a peer that is not heard again is missed all the same */
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

void sync_link_publish(SyncLink *link, const char *topic, GVariant *value)
{
	GVariant *kept = g_variant_ref_sink(value);

	g_hash_table_insert(link->own, g_strdup(topic), kept);
	/* Over all paths: the receiver drops what it has seen, and none of them has to be the one that still lives. */
	guint64 serial = ++link->serial;
	g_autoptr(GBytes) bytes = sync_message_encode(SYNC_MESSAGE_PUBLISH, topic, link->run, serial, NULL, kept, NULL);
	for (guint i = 0; bytes && i < link->paths->len; i++)
		if (sync_path_is_open(link->paths->pdata[i]))
			sync_path_send(link->paths->pdata[i], bytes);
}
