/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/guests.c - the HTTP connections that came in, and their ends. */
#include "syncd/peer/guests.h"

#include <gio/gunixsocketaddress.h>
#include <unistd.h>

struct SyncGuests {
	SoupServer *server;
	char *path;
	GHashTable *streams; /* of GSocketConnection, libsoup's */
	guint deserted;      /* looks in a row that found all of them left */
};

/* A socket that nobody can reach: its name is gone before it listens. */
static void listen_nowhere(SyncGuests *guests)
{
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(guests->path);
	g_autoptr(GError) error = NULL;
	g_autoptr(GSocket) socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, &error);

	(void)unlink(guests->path);
	if (!socket || !g_socket_bind(socket, address, FALSE, &error) || unlink(guests->path) < 0 || !g_socket_listen(socket, &error) ||
	    !soup_server_listen_socket(guests->server, socket, 0, &error))
		g_message("connections are not kept: %s", error ? error->message : guests->path);
}

SyncGuests *sync_guests_new(SoupServer *server, const char *path)
{
	SyncGuests *guests = g_new0(SyncGuests, 1);

	guests->server = server;
	guests->path = g_strconcat(path, ".nobody", NULL);
	guests->streams = g_hash_table_new(NULL, NULL);
	listen_nowhere(guests);
	return guests;
}

static void gone(gpointer user_data, GObject *where_it_was)
{
	SyncGuests *guests = user_data;

	g_hash_table_remove(guests->streams, where_it_was);
}

void sync_guests_accept(SyncGuests *guests, GIOStream *stream, GSocketAddress *local, GSocketAddress *remote)
{
	g_autoptr(GError) error = NULL;

	if (g_hash_table_add(guests->streams, stream))
		g_object_weak_ref(G_OBJECT(stream), gone, guests);
	if (!soup_server_accept_iostream(guests->server, stream, local, remote, &error))
		g_message("accepting the peer: %s", error->message);
}

GSocketConnection *sync_guests_carrier(GIOStream *stream)
{
	static const char *const names[] = { "base-iostream", "base-io-stream" }; /* libsoup's, TLS's */
	g_autoptr(GIOStream) at = stream ? g_object_ref(stream) : NULL;

	while (at && !G_IS_SOCKET_CONNECTION(at)) {
		GIOStream *base = NULL;

		for (guint i = 0; i < G_N_ELEMENTS(names) && !base; i++)
			if (g_object_class_find_property(G_OBJECT_GET_CLASS(at), names[i]))
				g_object_get(at, names[i], &base, NULL);
		g_object_unref(at);
		at = base;
	}
	return (GSocketConnection *)g_steal_pointer(&at);
}

void sync_guests_leave(SyncGuests *guests, GIOStream *stream)
{
	g_autoptr(GSocketConnection) carrier = sync_guests_carrier(stream);

	if (carrier && g_hash_table_remove(guests->streams, carrier))
		g_object_weak_unref(G_OBJECT(carrier), gone, guests);
}

/* Takes all of them from libsoup, and what it keeps beside them. */
static void sweep(SyncGuests *guests)
{
	soup_server_disconnect(guests->server);
	listen_nowhere(guests);
	guests->deserted = 0;
}

static bool is_left(GSocketConnection *stream)
{
	GSocket *socket = g_socket_connection_get_socket(stream);

	return g_socket_is_closed(socket) || g_socket_condition_check(socket, G_IO_IN) & G_IO_HUP;
}

bool sync_guests_any(const SyncGuests *guests)
{
	return g_hash_table_size(guests->streams) > 0;
}

void sync_guests_look(SyncGuests *guests)
{
	GHashTableIter iter;
	gpointer stream;

	g_hash_table_iter_init(&iter, guests->streams);
	while (g_hash_table_iter_next(&iter, &stream, NULL)) {
		if (!is_left(stream)) {
			guests->deserted = 0;
			return;
		}
	}
	/* Once may be the moment before libsoup has looked. */
	if (g_hash_table_size(guests->streams) == 0)
		guests->deserted = 0;
	else if (++guests->deserted >= 2)
		sweep(guests);
}

void sync_guests_show_out(SyncGuests *guests)
{
	GHashTableIter iter;
	gpointer stream;

	g_hash_table_iter_init(&iter, guests->streams);
	while (g_hash_table_iter_next(&iter, &stream, NULL))
		(void)g_socket_shutdown(g_socket_connection_get_socket(stream), TRUE, TRUE, NULL);
	sweep(guests);
}

void sync_guests_free(SyncGuests *guests)
{
	GHashTableIter iter;
	gpointer stream;

	if (!guests)
		return;
	g_hash_table_iter_init(&iter, guests->streams);
	while (g_hash_table_iter_next(&iter, &stream, NULL)) {
		g_object_weak_unref(stream, gone, guests);
		g_hash_table_iter_remove(&iter);
	}
	soup_server_disconnect(guests->server);
	g_hash_table_unref(guests->streams);
	g_free(guests->path);
	g_free(guests);
}
