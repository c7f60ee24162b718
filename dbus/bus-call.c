/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-call.c - calls that we make: answered once, or failed, or cancelled. */
#include "bus-link-private.h"
#include "bus-value.h"

struct BusPending {
	BusLink *link;            /* NULL while @done runs */
	DBusPendingCall *pending; /* NULL when the call could not be sent */
	GSource *failing;         /* then this says so from the loop */
	GError *error;
	GArray *fds;
	BusReplyCb done;
	gpointer user_data;
	bool running;
	bool lost;
};

static void pending_detach(BusPending *pending)
{
	if (pending->link)
		(void)g_queue_remove(&pending->link->pending, pending);
	pending->link = NULL;
	if (pending->pending) {
		dbus_pending_call_cancel(pending->pending);
		g_clear_pointer(&pending->pending, dbus_pending_call_unref);
	}
	if (pending->failing) {
		g_source_destroy(pending->failing);
		g_clear_pointer(&pending->failing, g_source_unref);
	}
}

static void pending_free(BusPending *pending)
{
	pending_detach(pending);
	bus_value_fds_free(pending->fds);
	g_clear_error(&pending->error);
	g_free(pending);
}

/* Runs @done and frees. The link may be gone afterwards. */
static void pending_finish(BusPending *pending, GVariant *values, const GError *error)
{
	pending_detach(pending);
	pending->running = true;
	pending->done(values, error, pending->user_data);
	pending_free(pending);
}

void bus_pending_cancel(BusPending *pending)
{
	if (pending && !pending->running)
		pending_free(pending);
}

int bus_pending_take_fd(BusPending *pending, gint32 handle, GError **error)
{
	return bus_value_fds_take(pending->fds, handle, error);
}

static GError *not_reachable(void)
{
	return g_error_new_literal(BUS_ERROR, BUS_ERROR_NOT_REACHABLE, "there is no connection");
}

static void on_reply(DBusPendingCall *call, void *user_data)
{
	BusPending *pending = user_data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) values = NULL;
	DBusMessage *reply = dbus_pending_call_steal_reply(call);

	if (dbus_message_get_type(reply) == DBUS_MESSAGE_TYPE_METHOD_RETURN) {
		pending->fds = bus_value_fds_new();
		values = bus_value_read(reply, pending->fds);
	} else if (!dbus_connection_get_is_connected(pending->link->connection)) {
		error = not_reachable(); /* libdbus says NoReply when the connection breaks */
	} else {
		const char *text = NULL;
		(void)dbus_message_get_args(reply, NULL, DBUS_TYPE_STRING, &text, DBUS_TYPE_INVALID);
		error = bus_error_from_message(dbus_message_get_error_name(reply), text);
		/* From the bus NoReply means that the service left it; libdbus's own, when time is up, has no sender. */
		if (dbus_message_is_error(reply, DBUS_ERROR_NO_REPLY) &&
		    dbus_message_has_sender(reply, DBUS_SERVICE_DBUS))
			error->code = BUS_ERROR_GONE;
	}
	dbus_message_unref(reply);
	pending_finish(pending, values, error);
}

static gboolean on_failing(gpointer user_data)
{
	BusPending *pending = user_data;
	g_autoptr(GError) error = g_steal_pointer(&pending->error);

	pending_finish(pending, NULL, error);
	return G_SOURCE_REMOVE;
}

/* What could not be sent is answered from the loop, like everything else. */
static void fail_later(BusPending *pending, GError *error)
{
	pending->error = error;
	pending->failing = g_idle_source_new();
	g_source_set_priority(pending->failing, BUS_PRIORITY);
	g_source_set_callback(pending->failing, on_failing, pending, NULL);
	g_source_attach(pending->failing, g_main_context_get_thread_default());
}

static bool is_valid_call(const char *destination, const char *path, const char *interface, const char *method)
{
	return (!destination || dbus_validate_bus_name(destination, NULL)) && dbus_validate_path(path, NULL) &&
	       (!interface || dbus_validate_interface(interface, NULL)) && dbus_validate_member(method, NULL);
}

static DBusMessage *build(BusLink *link, const char *destination, const char *path, const char *interface,
			  const char *method, GVariant *args, const int *fds, gsize n_fds, GError **error)
{
	if (!is_valid_call(destination, path, interface, method)) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS,
				    "a name or path in the call is not valid");
		return NULL;
	}
	if (!bus_link_is_usable(link)) {
		g_propagate_error(error, not_reachable());
		return NULL;
	}
	if (n_fds > 0 && !dbus_connection_can_send_type(link->connection, DBUS_TYPE_UNIX_FD)) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_FAILED,
				    "this connection cannot carry file descriptors");
		return NULL;
	}
	DBusMessage *call = dbus_message_new_method_call(destination, path, interface, method);
	if (!bus_value_append(call, args, fds, n_fds, error)) {
		dbus_message_unref(call);
		return NULL;
	}
	return call;
}

BusPending *bus_link_call_fds(BusLink *link, const char *destination, const char *path, const char *interface,
			      const char *method, GVariant *args, const int *fds, gsize n_fds, int timeout_ms,
			      BusReplyCb done, gpointer user_data)
{
	g_autoptr(GVariant) body = args ? g_variant_ref_sink(args) : NULL;
	g_autoptr(GError) error = NULL;
	DBusMessage *call = build(link, destination, path, interface, method, body, fds, n_fds, &error);

	if (!done) {
		if (call) {
			dbus_message_set_no_reply(call, TRUE);
			bus_source_send(link->connection, call);
			dbus_message_unref(call);
		} else {
			g_debug("%s not sent: %s", method, error->message);
		}
		return NULL;
	}

	BusPending *pending = g_new0(BusPending, 1);
	pending->link = link;
	pending->done = done;
	pending->user_data = user_data;
	g_queue_push_tail(&link->pending, pending);
	if (!call) {
		fail_later(pending, g_steal_pointer(&error));
		return pending;
	}

	/* On a connection that broke a moment ago libdbus answers TRUE and gives nothing to wait for. */
	if (dbus_connection_get_outgoing_size(link->connection) <= BUS_MAX_OUTGOING)
		(void)dbus_connection_send_with_reply(link->connection, call, &pending->pending, MAX(timeout_ms, 1));
	if (pending->pending)
		dbus_pending_call_set_notify(pending->pending, on_reply, pending, NULL);
	else
		fail_later(pending, not_reachable());
	dbus_message_unref(call);
	return pending;
}

BusPending *bus_link_call(BusLink *link, const char *destination, const char *path, const char *interface,
			  const char *method, GVariant *args, int timeout_ms, BusReplyCb done, gpointer user_data)
{
	return bus_link_call_fds(link, destination, path, interface, method, args, NULL, 0, timeout_ms, done,
				 user_data);
}

void bus_link_tell_driver(BusLink *link, const char *method, const char *text)
{
	bus_link_call(link, DBUS_SERVICE_DBUS, DBUS_PATH_DBUS, DBUS_INTERFACE_DBUS, method, g_variant_new("(s)", text),
		      1, NULL, NULL);
}

void bus_calls_fail(BusLink *link)
{
	/* Those made by a callback meanwhile fail from the loop by themselves, and a callback may cancel others: so
	 * the ones that are lost are marked first and then looked for one at a time. They stand at the head. */
	for (GList *l = link->pending.head; l; l = l->next)
		((BusPending *)l->data)->lost = true;

	BusPending *pending;
	while ((pending = g_queue_peek_head(&link->pending)) && pending->lost) {
		g_autoptr(GError) error = pending->error ? g_steal_pointer(&pending->error) : not_reachable();
		pending_finish(pending, NULL, error);
	}
}

void bus_calls_drop(BusLink *link)
{
	BusPending *pending;

	while ((pending = g_queue_peek_head(&link->pending)))
		pending_free(pending);
}
