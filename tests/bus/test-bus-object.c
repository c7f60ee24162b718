/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-bus-object.c - what a published object does, seen from the other end of a private socket. */
#include <dbus/dbus.h>
#include <string.h>

#include "dbus/bus-server.h"
#include "test-bus.h"
#include "test-reply.h"
#include "test-service.h"

typedef struct {
	char *folder, *address;
	TestService *service;
	BusServer *server;
	BusLink *link;
	GPtrArray *log;
} Place;

static void place_set_up(Place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	place->folder = test_folder_new();
	place->service = test_service_new();
	g_autofree char *path = g_build_filename(place->folder, "socket", NULL);
	place->address = g_strdup_printf("unix:path=%s", path);
	place->server = bus_server_new(path, place->service->tree, NULL, 0, &error);
	g_assert_no_error(error);
	place->link = bus_link_new_private(place->address);
	place->log = test_log_new();
	test_until(bus_link_is_up(place->link) && bus_server_n_clients(place->server) == 1);
}

static void place_tear_down(Place *place, gconstpointer data)
{
	test_unsubscribe_all(place->link);
	bus_link_free(place->link);
	bus_server_free(place->server);
	test_service_free(place->service);
	g_ptr_array_unref(place->log);
	g_free(place->address);
	test_folder_remove(place->folder);
}

/* A peer that is not ours: GIO's own implementation, on the same loop. */
static void on_peer(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;

	*(GDBusConnection **)user_data = g_dbus_connection_new_for_address_finish(result, &error);
	g_assert_no_error(error);
}

static GDBusConnection *gio_peer(Place *place)
{
	GDBusConnection *peer = NULL;

	g_dbus_connection_new_for_address(place->address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL,
					  on_peer, &peer);
	test_until(peer);
	g_dbus_connection_set_exit_on_close(peer, false);
	return peer;
}

static void gio_peer_free(GDBusConnection *peer)
{
	g_dbus_connection_close_sync(peer, NULL, NULL);
	g_object_unref(peer);
}

static void on_message_reply(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;

	*(GDBusMessage **)user_data =
		g_dbus_connection_send_message_with_reply_finish(G_DBUS_CONNECTION(source), result, &error);
	g_assert_no_error(error);
}

static GDBusMessage *gio_call(GDBusConnection *peer, const char *path, const char *interface, const char *member,
			      GVariant *args)
{
	g_autoptr(GDBusMessage) call = g_dbus_message_new_method_call(NULL, path, interface, member);
	GDBusMessage *reply = NULL;

	if (args)
		g_dbus_message_set_body(call, args);
	g_dbus_connection_send_message_with_reply(peer, call, G_DBUS_SEND_MESSAGE_FLAGS_NONE, 5000, NULL, NULL,
						  on_message_reply, &reply);
	test_until(reply);
	return reply;
}

/* ---- 5: every call ends in one answer ---- */

static void test_wrong_answer(Place *place, gconstpointer data)
{
	g_test_expect_message(NULL, G_LOG_LEVEL_CRITICAL, "*WrongAnswer answers (i) instead of (s)*");
	g_auto(Reply) reply = test_call(place->link, NULL, "WrongAnswer", NULL);
	g_test_assert_expected_messages();
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_FAILED);
	test_run_for(50000);
	g_assert_cmpuint(reply.n, ==, 1);
}

static void test_absent_property(Place *place, gconstpointer data)
{
	test_service_set_text(place->service, NULL);
	g_auto(Reply) get = test_call_at(place->link, NULL, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Get",
					 g_variant_new("(ss)", TEST_INTERFACE, "Text"));
	g_assert_error(get.error, BUS_ERROR, BUS_ERROR_UNKNOWN_PROPERTY);

	g_auto(Reply) all = test_call_at(place->link, NULL, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "GetAll",
					 g_variant_new("(s)", TEST_INTERFACE));
	g_assert_cmpstr(all.text, ==,
			"({'Number': <0>, 'Quiet': <0>, 'Vague': <0>, 'Fixed': <'always'>, 'Guarded': <0>},)");
}

static void test_errors(Place *place, gconstpointer data)
{
	static const struct {
		const char *path, *interface, *method, *args;
		BusError error;
	} rows[] = {
		{ "/nowhere", TEST_INTERFACE, "Add", "(1, 2)", BUS_ERROR_UNKNOWN_OBJECT },
		{ TEST_ROOT "/child", TEST_INTERFACE, "Add", "(1, 2)", BUS_ERROR_UNKNOWN_OBJECT },
		{ TEST_ROOT, "org.understudy.Other1", "Add", "(1, 2)", BUS_ERROR_UNKNOWN_INTERFACE },
		{ TEST_ROOT, TEST_INTERFACE, "Subtract", "(1, 2)", BUS_ERROR_UNKNOWN_METHOD },
		{ TEST_ROOT, TEST_INTERFACE, "Number", "()", BUS_ERROR_UNKNOWN_METHOD },
		{ TEST_ROOT, TEST_INTERFACE, "Add", "(1, 'two')", BUS_ERROR_INVALID_ARGS },
		{ TEST_ROOT, TEST_INTERFACE, "Add", "(1,)", BUS_ERROR_INVALID_ARGS },
		{ TEST_ROOT, TEST_INTERFACE, "Add", "(1, 2, 3)", BUS_ERROR_INVALID_ARGS },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Get", "('x',)", BUS_ERROR_INVALID_ARGS },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Get", "('org.understudy.Other1', 'Number')",
		  BUS_ERROR_UNKNOWN_INTERFACE },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Get", "('org.understudy.Test1', 'Nothing')",
		  BUS_ERROR_UNKNOWN_PROPERTY },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "GetAll", "('org.understudy.Other1',)",
		  BUS_ERROR_UNKNOWN_INTERFACE },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Set", "('org.understudy.Test1', 'Text', <'x'>)",
		  BUS_ERROR_PROPERTY_READ_ONLY },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Set", "('org.understudy.Test1', 'Number', <'x'>)",
		  BUS_ERROR_INVALID_ARGS },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Set", "('org.understudy.Test1', 'Number', <-1>)",
		  BUS_ERROR_INVALID_ARGS },
		{ TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Shout", "()", BUS_ERROR_UNKNOWN_METHOD },
		{ "/org", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "()", BUS_ERROR_UNKNOWN_OBJECT },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GVariant) args = g_variant_parse(NULL, rows[i].args, NULL, NULL, NULL);
		g_auto(Reply) reply =
			test_call_at(place->link, NULL, rows[i].path, rows[i].interface, rows[i].method, args);
		if (!reply.error || reply.error->code != (int)rows[i].error)
			g_error("row %zu: %s", i, reply.error ? reply.error->message : reply.text);
	}
	g_assert_cmpint(place->service->number, ==, 0);
}

/* A reply that is owed is given when the object goes, once. */
static void test_gone(Place *place, gconstpointer data)
{
	g_auto(Reply) reply = { 0 };

	bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, reply_cb, &reply);
	test_until(place->service->kept);
	bus_object_withdraw(place->service->root);
	test_until(reply.n > 0);
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_GONE);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "too late")); /* frees it, and nothing else */

	g_auto(Reply) after = test_call(place->link, NULL, "Add", g_variant_new("(ii)", 1, 1));
	g_assert_error(after.error, BUS_ERROR, BUS_ERROR_UNKNOWN_OBJECT);
	g_assert_cmpuint(reply.n, ==, 1);
}

static void test_late_answer(Place *place, gconstpointer data)
{
	g_auto(Reply) reply = { 0 };

	bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, reply_cb, &reply);
	test_until(place->service->kept);
	g_auto(Reply) other =
		test_call(place->link, NULL, "Add", g_variant_new("(ii)", 1, 1)); /* others are not held up */
	g_assert_cmpstr(other.text, ==, "(2,)");
	g_assert_cmpuint(reply.n, ==, 0);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "now"));
	test_until(reply.n > 0);
	g_assert_cmpstr(reply.text, ==, "('now',)");
}

/* The caller may be gone when the answer is ready. */
static void test_caller_gone(Place *place, gconstpointer data)
{
	BusLink *other = bus_link_new_private(place->address);

	test_until(bus_link_is_up(other));
	g_auto(Reply) reply = { 0 };
	bus_link_call(other, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, reply_cb, &reply);
	test_until(place->service->kept);
	bus_link_free(other);
	test_until(bus_server_n_clients(place->server) == 1);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "to nobody"));
	g_assert_cmpuint(reply.n, ==, 0); /* dropped with its link */
}

/* ---- 6: no reply wanted ---- */

static GDBusMessage *count_message(GDBusConnection *connection, GDBusMessage *message, gboolean incoming,
				   gpointer user_data)
{
	if (incoming)
		g_atomic_int_inc((int *)user_data);
	return message;
}

static void test_no_reply(Place *place, gconstpointer data)
{
	GDBusConnection *peer = gio_peer(place);
	int n_incoming = 0;
	guint filter = g_dbus_connection_add_filter(peer, count_message, &n_incoming, NULL);
	static const struct {
		const char *interface, *member;
		GVariant *args;
	} calls[] = { { TEST_INTERFACE, "Keep" },
		      { TEST_INTERFACE, "WhoAmI" },
		      { TEST_INTERFACE, "NoSuch" },
		      { DBUS_INTERFACE_INTROSPECTABLE, "Introspect" } };

	for (gsize i = 0; i < G_N_ELEMENTS(calls); i++) {
		g_autoptr(GDBusMessage) call =
			g_dbus_message_new_method_call(NULL, TEST_ROOT, calls[i].interface, calls[i].member);
		g_dbus_message_set_flags(call, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
		g_assert_true(g_dbus_connection_send_message(peer, call, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL));
	}
	test_until(place->service->kept);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "unwanted"));

	/* All of them are through when this one, sent after them, is answered; its answer is the only message. */
	g_autoptr(GDBusMessage) reply = gio_call(peer, TEST_ROOT, TEST_INTERFACE, "Add", g_variant_new("(ii)", 1, 1));
	g_assert_nonnull(place->service->caller);
	g_assert_cmpint(g_atomic_int_get(&n_incoming), ==, 1);
	g_dbus_connection_remove_filter(peer, filter);
	gio_peer_free(peer);

	/* And ours, the other way round. */
	g_assert_null(bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, 1, NULL, NULL));
	test_until(place->service->n_kept == 2);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "unwanted"));
}

/* ---- 7: calls without an interface ---- */

static void test_no_interface(Place *place, gconstpointer data)
{
	GDBusConnection *peer = gio_peer(place);

	g_autoptr(GDBusMessage) sum = gio_call(peer, TEST_ROOT, NULL, "Add", g_variant_new("(ii)", 20, 22));
	g_autofree char *text = g_variant_print(g_dbus_message_get_body(sum), false);
	g_assert_cmpstr(text, ==, "(42,)");
	g_autoptr(GDBusMessage) xml = gio_call(peer, TEST_ROOT, NULL, "Introspect", NULL);
	g_assert_cmpint(g_dbus_message_get_message_type(xml), ==, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
	g_autoptr(GDBusMessage) unknown = gio_call(peer, TEST_ROOT, NULL, "NoSuch", NULL);
	g_assert_cmpstr(g_dbus_message_get_error_name(unknown), ==, DBUS_ERROR_UNKNOWN_METHOD);
	g_autoptr(GDBusMessage) ping = gio_call(peer, "/any/where", DBUS_INTERFACE_PEER, "Ping", NULL);
	g_assert_cmpint(g_dbus_message_get_message_type(ping), ==, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);

	/* An empty interface means any in the Properties methods. */
	g_autoptr(GDBusMessage) any =
		gio_call(peer, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Get", g_variant_new("(ss)", "", "Fixed"));
	g_autofree char *value = g_variant_print(g_dbus_message_get_body(any), false);
	g_assert_cmpstr(value, ==, "(<'always'>,)");
	g_autoptr(GDBusMessage) all =
		gio_call(peer, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "GetAll", g_variant_new("(s)", ""));
	g_assert_cmpint(g_dbus_message_get_message_type(all), ==, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
	gio_peer_free(peer);
}

static GDBusNodeInfo *introspect(GDBusConnection *peer, const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDBusMessage) reply = gio_call(peer, path, DBUS_INTERFACE_INTROSPECTABLE, "Introspect", NULL);
	const char *xml;

	g_variant_get(g_dbus_message_get_body(reply), "(&s)", &xml);
	GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml, &error);
	g_assert_no_error(error);
	if (strcmp(path, TEST_ROOT) == 0)
		g_assert_nonnull(strstr(xml, "<!-- Says it back. -->")); /* verbatim */
	return node;
}

static void test_introspection(Place *place, gconstpointer data)
{
	GDBusConnection *peer = gio_peer(place);
	test_service_add_child(place->service, "b");
	test_service_add_child(place->service, "a");

	g_autoptr(GDBusNodeInfo) top = introspect(peer, "/");
	g_assert_cmpstr(top->nodes[0]->path, ==, "org");
	g_assert_null(top->nodes[1]);
	g_assert_null(g_dbus_node_info_lookup_interface(top, DBUS_INTERFACE_PROPERTIES));

	g_autoptr(GDBusNodeInfo) root = introspect(peer, TEST_ROOT);
	g_assert_cmpstr(root->nodes[0]->path, ==, "child");
	g_assert_nonnull(g_dbus_node_info_lookup_interface(root, "org.freedesktop.DBus.ObjectManager"));
	g_assert_nonnull(g_dbus_node_info_lookup_interface(root, DBUS_INTERFACE_PROPERTIES));
	GDBusInterfaceInfo *test = g_dbus_node_info_lookup_interface(root, TEST_INTERFACE);
	g_assert_nonnull(g_dbus_interface_info_lookup_signal(test, "Happened"));
	GDBusPropertyInfo *quiet = g_dbus_interface_info_lookup_property(test, "Quiet");
	g_assert_cmpstr(
		g_dbus_annotation_info_lookup(quiet->annotations, "org.freedesktop.DBus.Property.EmitsChangedSignal"),
		==, "false");

	g_autoptr(GDBusNodeInfo) between = introspect(peer, TEST_ROOT "/child");
	g_assert_cmpstr(between->nodes[0]->path, ==, "a");
	g_assert_cmpstr(between->nodes[1]->path, ==, "b");
	g_autoptr(GDBusNodeInfo) leaf = introspect(peer, TEST_ROOT "/child/a");
	g_assert_nonnull(g_dbus_node_info_lookup_interface(leaf, "org.understudy.TestChild1"));
	g_assert_null(g_dbus_node_info_lookup_interface(leaf, "org.freedesktop.DBus.ObjectManager"));
	gio_peer_free(peer);
}

/* ---- 8: what people wrote does not end the process ---- */

static void test_invalid_text(Place *place, gconstpointer data)
{
	g_auto(Reply) reply = test_call(place->link, NULL, "Fail", g_variant_new("(s)", "reason"));
	g_assert_error(reply.error, BUS_ERROR, BUS_ERROR_REFUSED);
	g_assert_true(g_str_has_prefix(reply.error->message, "reason"));
	g_assert_true(g_utf8_validate(reply.error->message, -1, NULL));
	g_assert_null(strchr(reply.error->message, '\n'));
}

static void test_large_answer(Place *place, gconstpointer data)
{
	g_autofree char *text = g_strnfill(3 * 1024 * 1024, 'x');

	g_auto(Reply) fits = test_call(place->link, NULL, "Echo", g_variant_new("(v)", g_variant_new_string(text)));
	g_assert_no_error(fits.error);

	/* Too large: refused where it is made, and the connection lives on. */
	g_autofree char *larger = g_strnfill(5 * 1024 * 1024, 'x');
	g_auto(Reply) refused =
		test_call(place->link, NULL, "Echo", g_variant_new("(v)", g_variant_new_string(larger)));
	g_assert_error(refused.error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	test_service_set_text(place->service, larger);
	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*PropertiesChanged not sent*");
	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*answer to Get cannot be sent*");
	g_auto(Reply) get = test_call_at(place->link, NULL, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Get",
					 g_variant_new("(ss)", TEST_INTERFACE, "Text"));
	g_test_assert_expected_messages();
	g_assert_error(get.error, BUS_ERROR, BUS_ERROR_FAILED);
	g_assert_true(bus_link_is_up(place->link));
}

/* ---- 11: property changes ---- */

static void listen_to_properties(Place *place)
{
	bus_link_subscribe(place->link, NULL, NULL, DBUS_INTERFACE_PROPERTIES, NULL, test_log_signal, place->log);
	bus_link_subscribe(place->link, NULL, NULL, TEST_INTERFACE, NULL, test_log_signal, place->log);
	bus_link_subscribe(place->link, NULL, NULL, "org.freedesktop.DBus.ObjectManager", NULL, test_log_signal,
			   place->log);
}

/* What was sent before this call has arrived when it returns. */
static void settle(Place *place)
{
	g_auto(Reply) reply = test_call(place->link, NULL, "Add", g_variant_new("(ii)", 1, 1));
	g_assert_no_error(reply.error);
}

#define CHANGED(changed, invalidated) "PropertiesChanged ('org.understudy.Test1', " changed ", " invalidated ")"

static void test_coalescing(Place *place, gconstpointer data)
{
	listen_to_properties(place);
	guint reads = place->service->n_reads;

	for (int i = 1; i <= 5; i++)
		test_service_set_number(place->service, i);
	test_service_set_text(place->service, "new");
	test_until(place->log->len > 0); /* from the loop, with nothing else sent */
	test_log_is(place->log, CHANGED("{'Number': <5>, 'Text': <'new'>}", "[]"));
	g_assert_cmpuint(place->service->n_reads, ==, reads + 1);

	/* The same value again, or there and back: nothing to say. */
	test_service_set_number(place->service, 5);
	settle(place);
	test_service_set_number(place->service, 6);
	test_service_set_number(place->service, 5);
	settle(place);
	test_log_is(place->log, "");
}

static void test_flush_before_signal(Place *place, gconstpointer data)
{
	listen_to_properties(place);
	test_service_set_number(place->service, 1);
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 1));
	test_service_set_number(place->service, 2);
	bus_object_emit(place->service->root, TEST_INTERFACE, "Happened", g_variant_new("(i)", 2));
	test_until(place->log->len == 4);
	test_log_is(place->log, CHANGED("{'Number': <1>}", "[]") "\nHappened (1,)\n" CHANGED("{'Number': <2>}",
											     "[]") "\nHappened (2,)");
}

static void test_flush_before_reply(Place *place, gconstpointer data)
{
	listen_to_properties(place);
	bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, test_log_reply,
		      place->log);
	test_until(place->service->kept);
	test_service_set_number(place->service, 3);
	bus_call_reply(place->service->kept, g_variant_new("(s)", "done"));
	test_until(place->log->len == 2);
	test_log_is(place->log, CHANGED("{'Number': <3>}", "[]") "\nreply ('done',)");

	/* Also before a reply of the binding itself, and after a Set. */
	test_service_set_number(place->service, 4);
	bus_link_call(place->link, NULL, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Get",
		      g_variant_new("(ss)", TEST_INTERFACE, "Number"), CALL_TIMEOUT_MS, test_log_reply, place->log);
	bus_link_call(place->link, NULL, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Set",
		      g_variant_new("(ssv)", TEST_INTERFACE, "Number", g_variant_new_int32(9)), CALL_TIMEOUT_MS,
		      test_log_reply, place->log);
	test_until(place->log->len == 4);
	test_log_is(place->log,
		    CHANGED("{'Number': <4>}", "[]") "\nreply (<4>,)\n" CHANGED("{'Number': <9>}", "[]") "\nreply ()");
}

static void test_emits_variants(Place *place, gconstpointer data)
{
	listen_to_properties(place);
	place->service->quiet = 7;
	bus_object_changed(place->service->root, TEST_INTERFACE, "Quiet");
	bus_object_changed(place->service->root, TEST_INTERFACE, "Fixed");
	settle(place);
	test_log_is(place->log, "");

	place->service->vague = 8;
	bus_object_changed(place->service->root, TEST_INTERFACE, "Vague");
	settle(place);
	test_log_is(place->log, CHANGED("{}", "['Vague']"));

	test_service_set_text(place->service, NULL); /* it has gone */
	settle(place);
	test_service_set_text(place->service, NULL);
	settle(place);
	test_service_set_text(place->service, "back");
	settle(place);
	test_log_is(place->log, CHANGED("{}", "['Text']") "\n" CHANGED("{'Text': <'back'>}", "[]"));
}

/* A value that somebody has read is not taken for one that everybody knows. */
static void test_unannounced(Place *place, gconstpointer data)
{
	listen_to_properties(place);
	test_service_set_number(place->service, 1);
	settle(place);
	place->service->number = 2; /* and forgot to say so */
	g_auto(Reply) reply = test_call_at(place->link, NULL, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "GetAll",
					   g_variant_new("(s)", TEST_INTERFACE));
	test_service_set_number(place->service, 1);
	settle(place);
	test_log_is(place->log, CHANGED("{'Number': <1>}", "[]") "\n" CHANGED("{'Number': <1>}", "[]"));
}

/* ---- 12: the object manager ---- */

static void test_object_manager(Place *place, gconstpointer data)
{
	listen_to_properties(place);
	test_service_add_child(place->service, "b/c");
	BusObject *parent = test_service_add_child(place->service, "b");
	bus_object_changed(parent, "org.understudy.TestChild1", "Label"); /* not before it is known */
	test_until(place->log->len == 2);
	test_log_is(
		place->log,
		"InterfacesAdded ('/org/understudy/Test1/child/b', {'org.understudy.TestChild1': {'Label': <'b'>}})\n"
		"InterfacesAdded ('/org/understudy/Test1/child/b/c', {'org.understudy.TestChild1': {'Label': "
		"<'b/c'>}})");

	g_auto(Reply) all = test_call_at(place->link, NULL, TEST_ROOT, "org.freedesktop.DBus.ObjectManager",
					 "GetManagedObjects", NULL);
	g_assert_cmpstr(all.text, ==,
			"({'/org/understudy/Test1/child/b': {'org.understudy.TestChild1': {'Label': <'b'>}}, "
			"'/org/understudy/Test1/child/b/c': {'org.understudy.TestChild1': {'Label': <'b/c'>}}},)");

	/* There and gone in one turn: never happened. */
	bus_object_withdraw(test_service_add_child(place->service, "brief"));
	bus_object_withdraw(parent);
	settle(place);
	test_log_is(place->log, "InterfacesRemoved ('/org/understudy/Test1/child/b', ['org.understudy.TestChild1'])");

	/* New objects stand before an answer that may name them. */
	bus_link_call(place->link, NULL, TEST_ROOT, TEST_INTERFACE, "Keep", NULL, CALL_TIMEOUT_MS, test_log_reply,
		      place->log);
	test_until(place->service->kept);
	test_service_add_child(place->service, "job");
	bus_call_reply(place->service->kept, g_variant_new("(s)", "job"));
	test_until(place->log->len == 2);
	test_log_is(place->log, "InterfacesAdded ('/org/understudy/Test1/child/job', {'org.understudy.TestChild1': "
				"{'Label': <'job'>}})\n"
				"reply ('job',)");
}

/* ---- 19: handlers that pull the ground from under themselves ---- */

static void test_withdraws_itself(Place *place, gconstpointer data)
{
	g_auto(Reply) first = test_call(place->link, NULL, "Withdraw", NULL);
	g_assert_no_error(first.error);

	test_service_add_child(place->service, "x");
	g_auto(Reply) second =
		test_call_at(place->link, NULL, TEST_ROOT "/child/x", "org.understudy.TestChild1", "Leave", NULL);
	g_assert_error(second.error, BUS_ERROR, BUS_ERROR_GONE); /* withdrawn before it answered */
	g_auto(Reply) third =
		test_call_at(place->link, NULL, TEST_ROOT "/child/x", "org.understudy.TestChild1", "Leave", NULL);
	g_assert_error(third.error, BUS_ERROR, BUS_ERROR_UNKNOWN_OBJECT);
}

/* ---- 17: what is said is not written down ---- */

static void write_down(const char *domain, GLogLevelFlags level, const char *text, gpointer user_data)
{
	g_string_append_printf(user_data, "%s\n", text);
}

static void test_no_bodies(Place *place, gconstpointer data)
{
	g_autoptr(GString) lines = g_string_new(NULL);
	GLogFunc before = g_log_set_default_handler(write_down, lines);

	g_auto(Reply) wrong = test_call(place->link, NULL, "Add", g_variant_new("(s)", "hush-hush"));
	g_auto(Reply) right =
		test_call(place->link, NULL, "Echo", g_variant_new("(v)", g_variant_new_string("hush-hush")));
	g_auto(Reply) unknown = test_call(place->link, NULL, "NoSuch", g_variant_new("(s)", "hush-hush"));
	g_auto(Reply) refused =
		test_call_at(place->link, NULL, TEST_ROOT, DBUS_INTERFACE_PROPERTIES, "Set",
			     g_variant_new("(ssv)", TEST_INTERFACE, "Number", g_variant_new_string("hush-hush")));
	g_log_set_default_handler(before, NULL);
	g_assert_null(strstr(lines->str, "hush-hush"));
	g_assert_null(strstr(wrong.error->message, "hush-hush"));
	g_assert_null(strstr(unknown.error->message, "hush-hush"));
	g_assert_null(strstr(refused.error->message, "hush-hush"));
}

#define ADD(name, function) g_test_add("/bus/" name, Place, NULL, place_set_up, function, place_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("5/wrong-answer", test_wrong_answer);
	ADD("5/absent-property", test_absent_property);
	ADD("5/errors", test_errors);
	ADD("6/gone", test_gone);
	ADD("6/late-answer", test_late_answer);
	ADD("6/caller-gone", test_caller_gone);
	ADD("6/no-reply", test_no_reply);
	ADD("7/no-interface", test_no_interface);
	ADD("7/introspection", test_introspection);
	ADD("8/invalid-text", test_invalid_text);
	ADD("8/large-answer", test_large_answer);
	ADD("11/coalescing", test_coalescing);
	ADD("11/flush-before-signal", test_flush_before_signal);
	ADD("11/flush-before-reply", test_flush_before_reply);
	ADD("11/emits-variants", test_emits_variants);
	ADD("11/unannounced", test_unannounced);
	ADD("12/object-manager", test_object_manager);
	ADD("17/no-bodies", test_no_bodies);
	ADD("19/withdraws-itself", test_withdraws_itself);
	return g_test_run();
}
