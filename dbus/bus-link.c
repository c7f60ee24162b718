/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-link.c - one connection that comes back by itself.
 *
 *   WAITING --timer--> KNOCKING --answered--> OPENING --authenticated, Hello--> NAMING --name asked for--> UP
 *      ^                  |                      |                                 |                       |
 *      +---- back-off ----+----------------------+----------- lost ---------------+-----------------------+
 *
 * On a private socket, which knows no Hello, Ping takes its place: libdbus reads the end of the authentication, and whatever has come
 * by then, without descriptors, and drops the connection when there were some.
 *
 * A far side that is frozen keeps the link in the state it is in, holding one place in its queue; when it goes on, so
 * does the link.
 */
#include "bus-link-private.h"

#include <stdlib.h>
#include <string.h>

#include "bus-value.h"

#define FIRST_DELAY_MS     10
#define LAST_DELAY_MS      1000
#define HELLO_TIMEOUT_MS   30000
#define DEFAULT_SYSTEM_BUS "unix:path=/run/dbus/system_bus_socket"

static void link_try_later(BusLink *link, guint delay_ms);

static void link_clear(gpointer data)
{
	BusLink *link = data;

	g_ptr_array_unref(link->subscriptions);
	g_ptr_array_unref(link->mirrors);
	g_hash_table_unref(link->names);
	g_free(link->address);
	g_free(link->name);
	g_free(link->complaint);
}

BusLink *bus_link_ref(BusLink *link)
{
	return g_rc_box_acquire(link);
}

void bus_link_unref(BusLink *link)
{
	g_rc_box_release_full(link, link_clear);
}

bool bus_link_is_usable(const BusLink *link)
{
	return !link->freed && (link->state == LINK_NAMING || link->state == LINK_UP) &&
	       dbus_connection_get_is_connected(link->connection);
}

bool bus_link_is_up(const BusLink *link)
{
	return link->state == LINK_UP;
}

/* The same trouble at every attempt is one line. */
static void complain(BusLink *link, const char *what, const char *why)
{
	g_autofree char *text = g_strdup_printf("%s: %s: %s", link->address ? link->address : "system bus", what, why);

	if (g_strcmp0(text, link->complaint) == 0)
		return;
	g_warning("%s", text);
	g_free(link->complaint);
	link->complaint = g_steal_pointer(&text);
}

/* ---- Down ---- */

static DBusHandlerResult on_message(DBusConnection *connection, DBusMessage *message, void *user_data);

static void link_disconnect(BusLink *link)
{
	g_clear_pointer(&link->knock, bus_knock_free);
	if (link->retry) {
		g_source_destroy(link->retry);
		g_clear_pointer(&link->retry, g_source_unref);
	}
	if (link->connection) {
		if (link->tree)
			bus_tree_remove_connection(link->tree, link->connection);
		g_clear_pointer(&link->callers, bus_callers_free);
		g_clear_pointer(&link->far_side, bus_caller_unref);
		dbus_connection_remove_filter(link->connection, on_message, link);
		g_clear_pointer(&link->source, bus_source_detach);
		dbus_connection_close(link->connection);
		g_clear_pointer(&link->connection, dbus_connection_unref);
	}
	link->state = LINK_WAITING;
}

static void link_lost(BusLink *link)
{
	bool was_up = link->state == LINK_UP;
	guint delay_ms = link->delay_ms;

	bus_link_ref(link);
	link_disconnect(link);
	link->delay_ms = MIN(2 * delay_ms, LAST_DELAY_MS);
	link_try_later(link, delay_ms);

	bus_watch_down(link);
	bus_calls_fail(link);
	if (!link->freed)
		bus_mirrors_down(link);
	if (!link->freed && was_up && link->down)
		link->down(link, link->change_data);
	bus_link_unref(link);
}

/* ---- Up ---- */

static void link_up(BusLink *link)
{
	link->state = LINK_UP;
	link->delay_ms = FIRST_DELAY_MS;
	if (link->up)
		link->up(link, link->change_data);
}

static void on_name(GVariant *values, const GError *error, gpointer user_data)
{
	BusLink *link = user_data;
	guint32 outcome = 0;

	/* A lost link comes back here with an error too, and starts again by itself. */
	if (!link->connection || !dbus_connection_get_is_connected(link->connection))
		return;
	if (error)
		complain(link, link->name, error->message);
	else if (g_variant_is_of_type(values, G_VARIANT_TYPE("(u)")))
		g_variant_get(values, "(u)", &outcome);
	if (outcome == DBUS_REQUEST_NAME_REPLY_IN_QUEUE)
		complain(link, link->name, "somebody else has the name; waiting for it");
	else if (!error)
		g_clear_pointer(&link->complaint, g_free);
	if (link->state == LINK_NAMING)
		link_up(link);
}

static void ask_for_name(BusLink *link)
{
	bus_link_call(link, DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "RequestName",
		      g_variant_new("(su)", link->name, 0u), HELLO_TIMEOUT_MS, on_name, link);
}

/* The far side knows us. The tree is there before the name, and everything before `up`. */
static void link_usable(BusLink *link)
{
	bus_link_ref(link);
	link->state = LINK_NAMING;
	if (link->tree)
		bus_tree_add_connection(link->tree, link->connection);
	bus_watch_up(link);
	bus_mirrors_up(link);
	if (link->kind == LINK_BUS && link->name)
		ask_for_name(link);
	else
		link_up(link);
	bus_link_unref(link);
}

static void on_hello(DBusPendingCall *pending, void *user_data)
{
	BusLink *link = user_data;
	DBusMessage *reply = dbus_pending_call_steal_reply(pending);
	bool welcome = dbus_message_get_type(reply) == DBUS_MESSAGE_TYPE_METHOD_RETURN;
	const char *unique = NULL;

	if (welcome && link->kind != LINK_BUS) {
		link_usable(link);
	} else if (welcome && dbus_message_get_args(reply, NULL, DBUS_TYPE_STRING, &unique, DBUS_TYPE_INVALID)) {
		(void)dbus_bus_set_unique_name(link->connection, unique);
		link_usable(link);
	} else if (dbus_connection_get_is_connected(link->connection)) {
		complain(link, link->kind == LINK_BUS ? "Hello" : "Ping", dbus_message_get_error_name(reply));
		dbus_connection_close(link->connection); /* and Disconnected follows */
	}
	dbus_message_unref(reply);
}

/* A private socket has as long to answer as for the authentication: until it goes. */
static void say_hello(BusLink *link)
{
	bool to_bus = link->kind == LINK_BUS;
	DBusMessage *hello = to_bus ? dbus_message_new_method_call(DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, "Hello")
				    : dbus_message_new_method_call(NULL, "/", DBUS_INTERFACE_PEER, "Ping");
	DBusPendingCall *pending = NULL;

	(void)dbus_connection_send_with_reply(link->connection, hello, &pending, to_bus ? HELLO_TIMEOUT_MS : DBUS_TIMEOUT_INFINITE);
	if (pending) {
		dbus_pending_call_set_notify(pending, on_hello, link, NULL);
		dbus_pending_call_unref(pending); /* the connection keeps it; closing drops it */
	}
	dbus_message_unref(hello);
}

static void on_authenticated(gpointer user_data)
{
	BusLink *link = user_data;

	if (link->kind != LINK_BUS) /* where Hello is on its way already and says more */
		link->far_side = bus_caller_new_for_socket(link->connection);
	switch (link->kind) {
	case LINK_BUS:
		break;
	case LINK_PRIVATE:
		say_hello(link);
		break;
	case LINK_FOREIGN:
		link_usable(link);
		break;
	}
}

static void on_caller(DBusMessage *message, BusCaller *caller, gpointer user_data)
{
	BusLink *link = user_data;

	bus_tree_call(link->tree, link->connection, message, caller);
}

static void link_open(BusLink *link, const char *address)
{
	DBusError error = DBUS_ERROR_INIT;

	link->connection = dbus_connection_open_private(address, &error);
	if (!link->connection) {
		complain(link, "connecting", error.message);
		dbus_error_free(&error);
		link_lost(link);
		return;
	}

	link->state = LINK_OPENING;
	if (!dbus_connection_add_filter(link->connection, on_message, link, NULL))
		g_error("out of memory");
	link->source = bus_source_attach(link->connection, on_authenticated, link);
	if (link->kind == LINK_BUS) {
		link->callers = bus_callers_new(link->connection, on_caller, link);
		say_hello(link);
	}
}

static const char *link_address(const BusLink *link)
{
	const char *system_bus = getenv("DBUS_SYSTEM_BUS_ADDRESS");

	if (link->address)
		return link->address;
	return system_bus && *system_bus ? system_bus : DEFAULT_SYSTEM_BUS;
}

static void on_knocked(bool answered, gpointer user_data)
{
	BusLink *link = user_data;

	g_clear_pointer(&link->knock, bus_knock_free);
	if (answered)
		link_open(link, link_address(link));
	else
		link_lost(link);
}

static gboolean on_retry(gpointer user_data)
{
	BusLink *link = user_data;

	g_clear_pointer(&link->retry, g_source_unref);
	link->state = LINK_KNOCKING;
	link->knock = bus_knock_new(link_address(link), on_knocked, link);
	return G_SOURCE_REMOVE;
}

static void link_try_later(BusLink *link, guint delay_ms)
{
	link->retry = g_timeout_source_new(delay_ms);
	g_source_set_priority(link->retry, BUS_PRIORITY);
	g_source_set_static_name(link->retry, "bus link retry");
	g_source_set_callback(link->retry, on_retry, link, NULL);
	g_source_attach(link->retry, g_main_context_get_thread_default());
}

/* ---- Messages ---- */

static DBusHandlerResult on_message(DBusConnection *connection, DBusMessage *message, void *user_data)
{
	BusLink *link = user_data;

	/* libdbus makes this one up; a far side that sent it would still be connected. */
	if (dbus_message_is_signal(message, DBUS_INTERFACE_LOCAL, "Disconnected") &&
	    !dbus_connection_get_is_connected(connection)) {
		link_lost(link);
		return DBUS_HANDLER_RESULT_HANDLED;
	}

	switch (dbus_message_get_type(message)) {
	case DBUS_MESSAGE_TYPE_METHOD_CALL:
		if (link->callers)
			bus_callers_pass(link->callers, message);
		else
			bus_tree_call(link->tree, connection, message, link->far_side);
		return DBUS_HANDLER_RESULT_HANDLED;
	case DBUS_MESSAGE_TYPE_SIGNAL:
		if (link->state != LINK_OPENING) /* what was before `up` is told by what is asked then */
			bus_watch_signal(link, message);
		return DBUS_HANDLER_RESULT_HANDLED;
	default:
		return DBUS_HANDLER_RESULT_NOT_YET_HANDLED; /* an answer to nothing of ours */
	}
}

/* ---- Making one ---- */

static BusLink *link_new(const char *address, LinkKind kind)
{
	BusLink *link = g_rc_box_new0(BusLink);

	/* libdbus writes with MSG_NOSIGNAL, and what it would change here every child process would inherit. */
	dbus_connection_set_change_sigpipe(FALSE);

	link->address = g_strdup(address);
	link->kind = kind;
	link->delay_ms = FIRST_DELAY_MS;
	g_queue_init(&link->pending);
	link->subscriptions = g_ptr_array_new();
	link->mirrors = g_ptr_array_new();
	link->names = g_hash_table_new(g_str_hash, g_str_equal);
	link_try_later(link, 0);
	return link;
}

BusLink *bus_link_new_bus(const char *address)
{
	return link_new(address, LINK_BUS);
}

BusLink *bus_link_new_private(const char *address)
{
	g_return_val_if_fail(address, NULL);
	return link_new(address, LINK_PRIVATE);
}

BusLink *bus_link_new_foreign(const char *address)
{
	g_return_val_if_fail(address, NULL);
	return link_new(address, LINK_FOREIGN);
}

void bus_link_free(BusLink *link)
{
	if (!link)
		return;
	link->freed = true;
	bus_mirrors_stop(link);
	bus_watch_down(link);
	bus_calls_drop(link);
	link_disconnect(link);
	bus_link_unref(link);
}

void bus_link_on_change(BusLink *link, BusLinkCb up, BusLinkCb down, gpointer user_data)
{
	link->up = up;
	link->down = down;
	link->change_data = user_data;
}

void bus_link_publish(BusLink *link, BusTree *tree, const char *name)
{
	g_return_if_fail(!link->tree && (!name || dbus_validate_bus_name(name, NULL)));

	link->tree = tree;
	link->name = g_strdup(name);
	if (!bus_link_is_usable(link))
		return;
	bus_tree_add_connection(tree, link->connection);
	if (link->kind == LINK_BUS && name)
		ask_for_name(link);
}
