/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-source.c - one GSource per DBusConnection or DBusServer on the GLib main loop.
 *
 * Each turn handles what is ready on the socket, the timeouts that are due, and then one message: a flood on one
 * connection delays the others by a message at most. libdbus calls the functions given to it with its own lock held,
 * so they only keep books.
 */
#include "bus-source.h"

#include "bus-value.h"

typedef struct {
	DBusWatch *watch; /* NULL once libdbus has removed it: it must not be touched any more */
	gpointer tag;     /* NULL while disabled, or a hang-up would spin the loop */
	int fd;
} Watch;

typedef struct {
	DBusTimeout *timeout; /* NULL once removed */
	gint64 due_us;        /* -1 while disabled */
} Timeout;

struct BusSource {
	GSource source; /* first: GLib allocates and counts the whole */
	DBusConnection *connection;
	DBusServer *server;
	GPtrArray *watches;        /* of Watch (reference-counted boxes) */
	GPtrArray *timeouts;       /* of Timeout (reference-counted boxes) */
	BusSourceCb authenticated; /* NULL once it has run */
	gpointer user_data;
};

static bool has_messages(BusSource *self)
{
	return self->connection && dbus_connection_get_dispatch_status(self->connection) == DBUS_DISPATCH_DATA_REMAINS;
}

/* ---- Watches ---- */

static void watch_arm(BusSource *self, Watch *watch, bool enabled)
{
	guint flags = enabled ? dbus_watch_get_flags(watch->watch) : 0;
	GIOCondition condition = 0;

	if (flags & DBUS_WATCH_READABLE)
		condition |= G_IO_IN;
	if (flags & DBUS_WATCH_WRITABLE)
		condition |= G_IO_OUT;

	if (watch->tag)
		g_source_remove_unix_fd(&self->source, watch->tag);
	watch->tag = condition ? g_source_add_unix_fd(&self->source, watch->fd, condition | G_IO_ERR | G_IO_HUP) : NULL;
}

static dbus_bool_t watch_add(DBusWatch *watch, void *data)
{
	BusSource *self = data;
	Watch *record = g_rc_box_new0(Watch);

	record->watch = watch;
	record->fd = dbus_watch_get_unix_fd(watch);
	dbus_watch_set_data(watch, record, NULL);
	g_ptr_array_add(self->watches, record);
	watch_arm(self, record, dbus_watch_get_enabled(watch));
	return TRUE;
}

/* May come for a watch that is still enabled. */
static void watch_remove(DBusWatch *watch, void *data)
{
	BusSource *self = data;
	Watch *record = dbus_watch_get_data(watch);

	if (!record)
		return;
	if (record->tag)
		g_source_remove_unix_fd(&self->source, record->tag);
	record->tag = NULL;
	record->watch = NULL;
	dbus_watch_set_data(watch, NULL, NULL);
	g_ptr_array_remove_fast(self->watches, record);
}

static void watch_toggle(DBusWatch *watch, void *data)
{
	Watch *record = dbus_watch_get_data(watch);

	if (record)
		watch_arm(data, record, dbus_watch_get_enabled(watch));
}

static void handle_watches(BusSource *self)
{
	/* Handling one may remove any other: walk over a counted copy. */
	g_autoptr(GPtrArray) copy = g_ptr_array_new_with_free_func(g_rc_box_release);
	for (guint i = 0; i < self->watches->len; i++)
		g_ptr_array_add(copy, g_rc_box_acquire(self->watches->pdata[i]));

	for (guint i = 0; i < copy->len; i++) {
		Watch *record = copy->pdata[i];
		if (!record->watch || !record->tag)
			continue;

		GIOCondition ready = g_source_query_unix_fd(&self->source, record->tag);
		guint flags = 0;
		if (ready & G_IO_IN)
			flags |= DBUS_WATCH_READABLE;
		if (ready & G_IO_OUT)
			flags |= DBUS_WATCH_WRITABLE;
		if (ready & G_IO_ERR)
			flags |= DBUS_WATCH_ERROR;
		if (ready & G_IO_HUP)
			flags |= DBUS_WATCH_HANGUP;
		if (flags)
			dbus_watch_handle(record->watch, flags);
	}
}

/* ---- Timeouts ---- */

static void timeouts_rearm(BusSource *self)
{
	gint64 next_us = -1;

	for (guint i = 0; i < self->timeouts->len; i++) {
		const Timeout *record = self->timeouts->pdata[i];
		if (record->due_us >= 0 && (next_us < 0 || record->due_us < next_us))
			next_us = record->due_us;
	}
	g_source_set_ready_time(&self->source, next_us);
}

static void timeout_arm(Timeout *record)
{
	gint64 interval_us = dbus_timeout_get_interval(record->timeout) * G_GINT64_CONSTANT(1000);

	record->due_us = dbus_timeout_get_enabled(record->timeout) ? g_get_monotonic_time() + interval_us : -1;
}

static dbus_bool_t timeout_add(DBusTimeout *timeout, void *data)
{
	BusSource *self = data;
	Timeout *record = g_rc_box_new0(Timeout);

	record->timeout = timeout;
	dbus_timeout_set_data(timeout, record, NULL);
	g_ptr_array_add(self->timeouts, record);
	timeout_arm(record);
	timeouts_rearm(self);
	return TRUE;
}

static void timeout_remove(DBusTimeout *timeout, void *data)
{
	BusSource *self = data;
	Timeout *record = dbus_timeout_get_data(timeout);

	if (!record)
		return;
	record->timeout = NULL;
	dbus_timeout_set_data(timeout, NULL, NULL);
	g_ptr_array_remove_fast(self->timeouts, record);
	timeouts_rearm(self);
}

/* The interval may have changed too. */
static void timeout_toggle(DBusTimeout *timeout, void *data)
{
	Timeout *record = dbus_timeout_get_data(timeout);

	if (!record)
		return;
	timeout_arm(record);
	timeouts_rearm(data);
}

static void handle_timeouts(BusSource *self)
{
	gint64 now_us = g_get_monotonic_time();
	g_autoptr(GPtrArray) copy = g_ptr_array_new_with_free_func(g_rc_box_release);

	for (guint i = 0; i < self->timeouts->len; i++) {
		const Timeout *record = self->timeouts->pdata[i];
		if (record->due_us >= 0 && record->due_us <= now_us)
			g_ptr_array_add(copy, g_rc_box_acquire(self->timeouts->pdata[i]));
	}

	for (guint i = 0; i < copy->len; i++) {
		Timeout *record = copy->pdata[i];
		if (!record->timeout || record->due_us < 0 || record->due_us > now_us)
			continue;
		timeout_arm(record); /* repeats until it is removed */
		dbus_timeout_handle(record->timeout);
	}
	timeouts_rearm(self);
}

/* ---- The source ---- */

static gboolean source_prepare(GSource *source, int *ret_timeout_ms)
{
	*ret_timeout_ms = -1;
	return has_messages((BusSource *)source);
}

/* GLib itself looks at the descriptors and the ready time. */
static gboolean source_check(GSource *source)
{
	return has_messages((BusSource *)source);
}

static gboolean source_dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
	BusSource *self = (BusSource *)source;

	if (self->server) {
		DBusServer *server = dbus_server_ref(self->server);
		handle_watches(self);
		handle_timeouts(self);
		dbus_server_unref(server);
		return G_SOURCE_CONTINUE;
	}

	DBusConnection *connection = dbus_connection_ref(self->connection);
	handle_watches(self);
	handle_timeouts(self);
	if (self->authenticated && dbus_connection_get_is_authenticated(connection)) {
		BusSourceCb authenticated = self->authenticated;
		self->authenticated = NULL;
		authenticated(self->user_data);
	}
	if (!g_source_is_destroyed(source) && has_messages(self))
		(void)dbus_connection_dispatch(connection);
	dbus_connection_unref(connection);
	return G_SOURCE_CONTINUE;
}

static void source_finalize(GSource *source)
{
	BusSource *self = (BusSource *)source;

	g_clear_pointer(&self->watches, g_ptr_array_unref);
	g_clear_pointer(&self->timeouts, g_ptr_array_unref);
}

static GSourceFuncs source_funcs = {
	.prepare = source_prepare,
	.check = source_check,
	.dispatch = source_dispatch,
	.finalize = source_finalize,
};

static BusSource *source_new(const char *name)
{
	GSource *source = g_source_new(&source_funcs, sizeof(BusSource));
	BusSource *self = (BusSource *)source;

	g_source_set_static_name(source, name);
	g_source_set_priority(source, BUS_PRIORITY);
	/* No handler runs the loop. Without this GLib would take the descriptors out of its poll for the time of a dispatch, and wake itself up
	 * twice for that. */
	g_source_set_can_recurse(source, true);
	self->watches = g_ptr_array_new_with_free_func(g_rc_box_release);
	self->timeouts = g_ptr_array_new_with_free_func(g_rc_box_release);
	return self;
}

BusSource *bus_source_attach(DBusConnection *connection, BusSourceCb authenticated, gpointer user_data)
{
	BusSource *self = source_new("bus connection");

	self->connection = dbus_connection_ref(connection);
	self->authenticated = authenticated;
	self->user_data = user_data;

	dbus_connection_set_exit_on_disconnect(connection, FALSE);
	dbus_connection_set_max_message_size(connection, BUS_MAX_MESSAGE);
	dbus_connection_set_max_received_size(connection, BUS_MAX_RECEIVED);
	dbus_connection_set_max_message_unix_fds(connection, BUS_VALUE_MAX_FDS);
	dbus_connection_set_max_received_unix_fds(connection, 4 * BUS_VALUE_MAX_FDS);

	/* These fail only for want of memory, which GLib does not survive either. */
	if (!dbus_connection_set_watch_functions(connection, watch_add, watch_remove, watch_toggle, self, NULL) ||
	    !dbus_connection_set_timeout_functions(connection, timeout_add, timeout_remove, timeout_toggle, self, NULL))
		g_error("out of memory");
	g_source_attach(&self->source, g_main_context_get_thread_default());
	return self;
}

BusSource *bus_source_attach_server(DBusServer *server)
{
	BusSource *self = source_new("bus server");

	self->server = dbus_server_ref(server);
	if (!dbus_server_set_watch_functions(server, watch_add, watch_remove, watch_toggle, self, NULL) ||
	    !dbus_server_set_timeout_functions(server, timeout_add, timeout_remove, timeout_toggle, self, NULL))
		g_error("out of memory");
	g_source_attach(&self->source, g_main_context_get_thread_default());
	return self;
}

void bus_source_detach(BusSource *self)
{
	if (!self)
		return;

	/* Each of these makes libdbus remove what it had added. */
	if (self->connection) {
		dbus_connection_set_watch_functions(self->connection, NULL, NULL, NULL, NULL, NULL);
		dbus_connection_set_timeout_functions(self->connection, NULL, NULL, NULL, NULL, NULL);
	}
	if (self->server) {
		dbus_server_set_watch_functions(self->server, NULL, NULL, NULL, NULL, NULL);
		dbus_server_set_timeout_functions(self->server, NULL, NULL, NULL, NULL, NULL);
	}
	self->authenticated = NULL;
	g_source_destroy(&self->source);
	g_clear_pointer(&self->connection, dbus_connection_unref);
	g_clear_pointer(&self->server, dbus_server_unref);
	g_source_unref(&self->source);
}

void bus_source_send(DBusConnection *connection, DBusMessage *message)
{
	if (!dbus_connection_get_is_connected(connection))
		return;
	if (dbus_connection_get_outgoing_size(connection) > BUS_MAX_OUTGOING) {
		g_warning("closing a D-Bus connection whose far side has stopped reading");
		dbus_connection_close(connection);
		return;
	}
	(void)dbus_connection_send(connection, message, NULL);
}
