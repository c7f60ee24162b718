/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/listen.c - accepting and dialling with pinned keys. */
#include "syncd/peer/listen.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "syncd/peer/door.h"
#include "syncd/error.h"
#include "syncd/peer/source.h"
#include "syncd/peer/tls.h"

enum { HANDSHAKE_S = 5, VISITORS_MAX = 32, FROM_ONE_MAX = 8 };

struct SyncListener {
	GPtrArray *services; /* of GSocketListener*; one a host, so one bad address does not spoil the others */
	SyncKey *key;
	char *pin;
	SyncAccepted accepted;
	SyncRefused refused;
	SyncTalks talks; /* NULL: nobody comes so */
	gpointer user_data;
	GCancellable *cancellable;
	GQueue visitors;     /* of Visitor*: who is at the door, the longest first */
	char **friends;
	guint refs;
};

/* One who is at the door. */
typedef struct {
	SyncListener *listener;
	GSocketConnection *base;
	char *host;
	SyncDoor *door;
} Visitor;

static void listener_unref(SyncListener *listener)
{
	if (--listener->refs > 0)
		return;
	g_ptr_array_unref(listener->services);
	g_object_unref(listener->cancellable);
	sync_key_unref(listener->key);
	g_free(listener->pin);
	g_strfreev(listener->friends);
	g_free(listener);
}

void sync_socket_tune(GSocketConnection *connection)
{
	GSocket *socket = g_socket_connection_get_socket(connection);

	(void)g_socket_set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
	(void)g_socket_set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 20000, NULL);
	(void)g_socket_set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 10, NULL);
	(void)g_socket_set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 5, NULL);
	g_socket_set_keepalive(socket, TRUE);
}

static void visitor_judged(GIOStream *plain, SyncTalk *talk, const char *fingerprint, bool refused, const char *why, gpointer user_data)
{
	g_autoptr(SyncTalk) left = talk;
	Visitor *visitor = user_data;
	SyncListener *listener = visitor->listener;
	g_autoptr(GSocketAddress) local = g_socket_connection_get_local_address(visitor->base, NULL);
	g_autoptr(GSocketAddress) remote = g_socket_connection_get_remote_address(visitor->base, NULL);

	g_queue_remove(&listener->visitors, visitor);
	if (!g_cancellable_is_cancelled(listener->cancellable)) {
		if (talk && listener->talks)
			listener->talks(g_steal_pointer(&left), listener->user_data);
		else if (plain && remote)
			listener->accepted(plain, fingerprint, local, remote, listener->user_data);
		else
			g_debug("handshake with %s: %s", visitor->host, why);
		if (refused && listener->refused)
			listener->refused(visitor->host, listener->user_data);
	}
	listener_unref(listener);
	g_object_unref(visitor->base);
	g_free(visitor->host);
	g_free(visitor);
}

static void cancel_also(GCancellable *from, gpointer to)
{
	g_cancellable_cancel(to);
}

static bool is_friend(const SyncListener *listener, const char *host)
{
	return listener->friends && g_strv_contains((const char *const *)listener->friends, host);
}

/* Who has to go for one from @host to come: the longest of too many from the same place, else the longest there is, but the peer for nobody else. */
static Visitor *in_the_way(const SyncListener *listener, const char *host)
{
	Visitor *first = NULL, *first_of_his = NULL;
	guint n = 0;

	for (GList *each = listener->visitors.head; each; each = each->next) {
		Visitor *visitor = each->data;

		if (g_str_equal(visitor->host, host)) {
			first_of_his = first_of_his ? first_of_his : visitor;
			n++;
		} else if (!first && !is_friend(listener, visitor->host)) {
			first = visitor;
		}
	}
	if (n >= FROM_ONE_MAX)
		return first_of_his;
	if (listener->visitors.length < VISITORS_MAX)
		return NULL;
	return first ? first : first_of_his;
}

static void begin_handshake(SyncListener *listener, GSocketConnection *base)
{
	g_autoptr(GSocketAddress) remote = g_socket_connection_get_remote_address(base, NULL);

	if (!remote)
		return; /* gone already */
	g_autofree char *host = g_inet_address_to_string(g_inet_socket_address_get_address(G_INET_SOCKET_ADDRESS(remote)));
	Visitor *other = in_the_way(listener, host);
	if (other)
		sync_door_give_up(other->door, "too many at the door");
	if (listener->visitors.length >= VISITORS_MAX)
		return; /* all of them the peer's */
	sync_socket_tune(base);
	g_socket_set_blocking(g_socket_connection_get_socket(base), FALSE);
	Visitor *visitor = g_new0(Visitor, 1);
	visitor->listener = listener;
	visitor->base = g_object_ref(base);
	visitor->host = g_steal_pointer(&host);
	listener->refs++;
	g_queue_push_tail(&listener->visitors, visitor);
	visitor->door = sync_door_open(base, listener->key, listener->pin, listener->talks != NULL, HANDSHAKE_S, visitor_judged, visitor);
}

static void accepted(GObject *source, GAsyncResult *result, gpointer user_data)
{
	SyncListener *listener = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GSocketConnection) base = g_socket_listener_accept_finish(G_SOCKET_LISTENER(source), result, NULL, &error);

	if (g_cancellable_is_cancelled(listener->cancellable)) {
		listener_unref(listener);
		return;
	}
	if (base)
		begin_handshake(listener, base);
	else
		g_debug("accept: %s", error->message);
	g_socket_listener_accept_async(G_SOCKET_LISTENER(source), listener->cancellable, accepted, listener);
}

SyncListener *sync_listener_new(const char *const *hosts, guint port, const SyncKey *key, const char *pin, SyncAccepted accepted_cb,
				SyncRefused refused, gpointer user_data, GError **error)
{
	SyncListener *listener = g_new0(SyncListener, 1);

	listener->refs = 1;
	listener->key = sync_key_ref(key);
	listener->pin = g_strdup(pin);
	listener->accepted = accepted_cb;
	listener->refused = refused;
	listener->user_data = user_data;
	listener->cancellable = g_cancellable_new();
	listener->services = g_ptr_array_new_with_free_func(g_object_unref);
	for (guint i = 0; hosts[i]; i++) {
		g_autoptr(GSocket) socket = sync_tls_listen(hosts[i], port, error);

		if (!socket) {
			g_prefix_error(error, "listening on %s port %u: ", hosts[i], port);
			sync_listener_free(listener);
			return NULL;
		}
		GSocketListener *service = g_socket_listener_new();
		g_ptr_array_add(listener->services, service);
		if (!g_socket_listener_add_socket(service, socket, NULL, error)) {
			sync_listener_free(listener);
			return NULL;
		}
		listener->refs++;
		g_socket_listener_accept_async(service, listener->cancellable, accepted, listener);
	}
	return listener;
}

void sync_listener_set_pin(SyncListener *listener, const char *pin)
{
	g_free(listener->pin);
	listener->pin = g_strdup(pin);
}

void sync_listener_set_talks(SyncListener *listener, SyncTalks talks)
{
	listener->talks = talks;
}

void sync_listener_set_friends(SyncListener *listener, const char *const *hosts)
{
	g_strfreev(listener->friends);
	listener->friends = g_strdupv((char **)hosts);
}

void sync_listener_free(SyncListener *listener)
{
	if (!listener)
		return;
	g_cancellable_cancel(listener->cancellable);
	for (guint i = 0; i < listener->services->len; i++)
		g_socket_listener_close(listener->services->pdata[i]);
	listener_unref(listener);
}

/* ---- dialling ---- */

typedef struct {
	SyncKey *key;
	char *pin;
	GIOStream *tls;
	GCancellable *cancellable; /* ours: the caller's, or the deadline */
	GCancellable *outer;
	gulong chained;
	guint deadline;
} Dial;

static void dial_free(gpointer data)
{
	Dial *dial = data;

	if (dial->outer)
		g_cancellable_disconnect(dial->outer, dial->chained);
	g_clear_object(&dial->outer);
	g_clear_handle_id(&dial->deadline, g_source_remove);
	g_object_unref(dial->cancellable);
	g_clear_object(&dial->tls);
	sync_key_unref(dial->key);
	g_free(dial->pin);
	g_free(dial);
}

static gboolean dial_late(gpointer user_data)
{
	Dial *dial = user_data;

	dial->deadline = 0;
	g_cancellable_cancel(dial->cancellable);
	return G_SOURCE_REMOVE;
}

static void dial_shaken(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GTask) task = user_data;
	Dial *dial = g_task_get_task_data(task);
	GError *error = NULL;

	if (g_tls_connection_handshake_finish(G_TLS_CONNECTION(source), result, &error))
		g_task_return_pointer(task, g_object_ref(dial->tls), g_object_unref);
	else
		g_task_return_error(task, error);
}

static void dial_connected(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GTask) task = user_data;
	Dial *dial = g_task_get_task_data(task);
	GError *error = NULL;
	g_autoptr(GSocketConnection) base = g_socket_client_connect_finish(G_SOCKET_CLIENT(source), result, &error);

	if (base) {
		sync_socket_tune(base);
		dial->tls = sync_tls_client(G_IO_STREAM(base), dial->key, dial->pin, &error);
	}
	if (!dial->tls) {
		g_task_return_error(task, error);
		return;
	}
	g_tls_connection_handshake_async(G_TLS_CONNECTION(dial->tls), G_PRIORITY_DEFAULT, dial->cancellable, dial_shaken, g_steal_pointer(&task));
}

void sync_dial_async(const char *host, guint port, guint timeout_s, const SyncKey *key, const char *pin, GCancellable *cancellable,
		     GAsyncReadyCallback done, gpointer user_data)
{
	GTask *task = g_task_new(NULL, NULL, done, user_data);
	Dial *dial = g_new0(Dial, 1);
	g_autoptr(GInetAddress) address = g_inet_address_new_from_string(host);

	dial->key = sync_key_ref(key);
	dial->pin = g_strdup(pin);
	dial->cancellable = g_cancellable_new();
	g_task_set_task_data(task, dial, dial_free);
	if (!address) {
		g_task_return_new_error(task, SYNC_ERROR, SYNC_ERROR_BAD, "%s is not an address", host);
		g_object_unref(task);
		return;
	}
	if (cancellable) {
		dial->outer = g_object_ref(cancellable);
		dial->chained = g_cancellable_connect(cancellable, G_CALLBACK(cancel_also), g_object_ref(dial->cancellable), g_object_unref);
	}
	dial->deadline = g_timeout_add_seconds(timeout_s, dial_late, dial);
	g_autoptr(GSocketClient) client = sync_source_client(host);
	g_autoptr(GSocketAddress) where = g_inet_socket_address_new(address, port);
	g_socket_client_connect_async(client, G_SOCKET_CONNECTABLE(where), dial->cancellable, dial_connected, task);
}

GIOStream *sync_dial_finish(GAsyncResult *result, char **ret_fingerprint, GError **error)
{
	Dial *dial = g_task_get_task_data(G_TASK(result));
	g_autoptr(GIOStream) tls = g_task_propagate_pointer(G_TASK(result), error);

	if (!tls)
		return NULL;
	g_autofree char *fingerprint = sync_tls_peer(tls, dial->pin, error);
	if (!fingerprint)
		return NULL;
	if (ret_fingerprint)
		*ret_fingerprint = g_steal_pointer(&fingerprint);
	return g_steal_pointer(&tls);
}
