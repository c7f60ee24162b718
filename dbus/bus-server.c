/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-server.c - a private D-Bus socket, so that a dead or frozen message bus delays nobody.
 *
 * A stranger is turned away by the kernel's word about the other end, before a byte of the protocol is read; those
 * who stay have five seconds to authenticate.
 */
#include "bus-server.h"

#include <dbus/dbus.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bus-object-private.h"
#include "bus-source.h"

#define MAX_CLIENTS       64
#define MAX_VIEWERS       8 /* of these: the others' places are not theirs to take */
#define AUTHENTICATION_MS 5000

typedef struct {
	BusServer *server;
	DBusConnection *connection;
	BusSource *source;
	BusCaller *caller;
	GSource *deadline; /* until it has authenticated */
	bool counted;
} Client;

struct BusServer {
	DBusServer *server;
	BusSource *source;
	BusTree *tree;
	guint32 *viewers;
	gsize n_viewers;
	GPtrArray *clients; /* of Client */
	gsize n_counted;    /* those that have authenticated */
	gsize held_bytes;   /* 0: as everywhere */
	void (*changed)(gsize n_clients, gpointer user_data);
	gpointer user_data;
};

static bool administers(unsigned long uid)
{
	return uid == 0 || uid == geteuid();
}

static bool is_allowed(const BusServer *server, unsigned long uid)
{
	if (administers(uid))
		return true;
	for (gsize i = 0; i < server->n_viewers; i++) {
		if (server->viewers[i] == uid)
			return true;
	}
	return false;
}

/* ---- One client ---- */

static DBusHandlerResult on_message(DBusConnection *connection, DBusMessage *message, void *user_data);

static void clear_deadline(Client *client)
{
	if (client->deadline) {
		g_source_destroy(client->deadline);
		g_clear_pointer(&client->deadline, g_source_unref);
	}
}

static void client_free(gpointer data)
{
	Client *client = data;

	clear_deadline(client);
	bus_tree_remove_connection(client->server->tree, client->connection);
	dbus_connection_set_unix_user_function(client->connection, NULL, NULL, NULL);
	dbus_connection_remove_filter(client->connection, on_message, client);
	bus_source_detach(client->source);
	dbus_connection_close(client->connection);
	dbus_connection_unref(client->connection);
	bus_caller_unref(client->caller);
	g_free(client);
}

/* The server may be freed by whom this tells: it is told last. */
static void client_leave(Client *client)
{
	BusServer *server = client->server;
	bool last = client->counted && --server->n_counted == 0;

	(void)g_ptr_array_remove(server->clients, client);
	if (last && server->changed)
		server->changed(0, server->user_data);
}

static DBusHandlerResult on_message(DBusConnection *connection, DBusMessage *message, void *user_data)
{
	Client *client = user_data;

	if (dbus_message_is_signal(message, DBUS_INTERFACE_LOCAL, "Disconnected") &&
	    !dbus_connection_get_is_connected(connection)) {
		client_leave(client);
		return DBUS_HANDLER_RESULT_HANDLED;
	}
	if (dbus_message_get_type(message) != DBUS_MESSAGE_TYPE_METHOD_CALL)
		return DBUS_HANDLER_RESULT_HANDLED; /* nobody here listens to clients' signals */

	BusCaller *caller = g_rc_box_acquire(client->caller); /* a handler may close the server */
	bus_tree_call(client->server->tree, connection, message, caller);
	bus_caller_unref(caller);
	return DBUS_HANDLER_RESULT_HANDLED;
}

static void on_authenticated(gpointer user_data)
{
	Client *client = user_data;
	BusServer *server = client->server;

	clear_deadline(client);
	bus_tree_add_connection(server->tree, client->connection);
	if (client->caller->level != BUS_LEVEL_ADMINISTER)
		return;
	client->counted = true;
	if (++server->n_counted == 1 && server->changed)
		server->changed(1, server->user_data);
}

static gboolean on_deadline(gpointer user_data)
{
	Client *client = user_data;

	client_leave(client);
	return G_SOURCE_REMOVE;
}

/* libdbus lets in nobody but its own uid and root until it is told otherwise. */
static dbus_bool_t on_unix_user(DBusConnection *connection, unsigned long uid, void *data)
{
	return is_allowed(data, uid);
}

static bool has_room(const BusServer *server, const BusCaller *caller)
{
	guint n_viewers = 0;

	if (server->clients->len >= MAX_CLIENTS)
		return false;
	for (guint i = 0; i < server->clients->len; i++) {
		const Client *client = server->clients->pdata[i];

		n_viewers += client->caller->level != BUS_LEVEL_ADMINISTER;
	}
	return caller->level == BUS_LEVEL_ADMINISTER || n_viewers < MAX_VIEWERS;
}

static void on_connection(DBusServer *dbus_server, DBusConnection *connection, void *user_data)
{
	BusServer *server = user_data;
	BusCaller *caller = bus_caller_new_for_socket(connection);

	if (caller && !administers(caller->uid))
		caller->level = BUS_LEVEL_VIEW;
	/* Not taking a reference closes it. */
	if (!caller || !is_allowed(server, caller->uid) || !has_room(server, caller)) {
		g_debug("turned away %s", caller ? caller->text : "somebody unknown");
		bus_caller_unref(caller);
		return;
	}

	Client *client = g_new0(Client, 1);
	client->server = server;
	client->connection = dbus_connection_ref(connection);
	client->caller = caller;
	g_ptr_array_add(server->clients, client);
	dbus_connection_set_unix_user_function(connection, on_unix_user, server, NULL);
	if (!dbus_connection_add_filter(connection, on_message, client, NULL))
		g_error("out of memory");
	client->source = bus_source_attach(connection, on_authenticated, client);
	if (server->held_bytes)
		dbus_connection_set_max_received_size(connection, (long)server->held_bytes);

	client->deadline = g_timeout_source_new(AUTHENTICATION_MS);
	g_source_set_priority(client->deadline, BUS_PRIORITY);
	g_source_set_callback(client->deadline, on_deadline, client, NULL);
	g_source_attach(client->deadline, g_main_context_get_thread_default());
}

/* ---- The server ---- */

static bool remove_stale(const char *path, GError **error)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return true; /* listening will say what is wrong, if anything is */
	if (!S_ISSOCK(status.st_mode)) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_FAILED, "%s is there and is not a socket", path);
		return false;
	}
	if (unlink(path) < 0) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
		return false;
	}
	return true;
}

static DBusServer *listen_at(const char *path, GError **error)
{
	static const char *mechanisms[] = { "EXTERNAL", NULL };
	DBusError problem = DBUS_ERROR_INIT;
	char *escaped = dbus_address_escape_value(path);
	g_autofree char *address = g_strdup_printf("unix:path=%s", escaped);

	dbus_free(escaped);
	DBusServer *server = dbus_server_listen(address, &problem);
	if (!server) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_FAILED, "%s: %s", path, problem.message);
		dbus_error_free(&problem);
		return NULL;
	}
	if (chmod(path, 0666) < 0) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_FAILED, "%s: %s", path, g_strerror(errno));
		dbus_server_disconnect(server);
		dbus_server_unref(server);
		return NULL;
	}
	if (!dbus_server_set_auth_mechanisms(server, mechanisms))
		g_error("out of memory");
	return server;
}

BusServer *bus_server_new(const char *socket_path, BusTree *tree, const guint32 *viewers, gsize n_viewers, GError **error)
{
	if (!remove_stale(socket_path, error))
		return NULL;
	DBusServer *listening = listen_at(socket_path, error);
	if (!listening)
		return NULL;

	dbus_connection_set_change_sigpipe(FALSE); /* see bus-link.c */
	BusServer *server = g_new0(BusServer, 1);
	server->server = listening;
	server->tree = tree;
	server->viewers = g_memdup2(viewers, n_viewers * sizeof(*viewers));
	server->n_viewers = n_viewers;
	server->clients = g_ptr_array_new_with_free_func(client_free);
	dbus_server_set_new_connection_function(listening, on_connection, server, NULL);
	server->source = bus_source_attach_server(listening);
	return server;
}

void bus_server_free(BusServer *server)
{
	if (!server)
		return;
	bus_source_detach(server->source);
	dbus_server_set_new_connection_function(server->server, NULL, NULL, NULL);
	dbus_server_disconnect(server->server); /* removes the socket */
	dbus_server_unref(server->server);
	g_ptr_array_unref(server->clients);
	g_free(server->viewers);
	g_free(server);
}

gsize bus_server_n_clients(const BusServer *server)
{
	return server->n_counted;
}

void bus_server_hold(BusServer *server, gsize bytes)
{
	server->held_bytes = bytes;
}

void bus_server_on_clients(BusServer *server, void (*changed)(gsize n_clients, gpointer user_data), gpointer user_data)
{
	server->changed = changed;
	server->user_data = user_data;
}
