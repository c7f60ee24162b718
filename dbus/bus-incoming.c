/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-incoming.c - calls that others make: checked against the XML, given to a handler, answered exactly once.
 *
 * The standard interfaces (Properties, Introspectable, ObjectManager; libdbus itself answers Peer) are answered here
 * too.
 */
#include <string.h>

#include "bus-object-private.h"
#include "bus-source.h"
#include "bus-value.h"

#define INTERFACE_OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

struct BusCall {
	BusObject *object; /* NULL once it was withdrawn: then the answer has been sent */
	DBusConnection *connection;
	DBusMessage *message;
	const BusMethodRule *rule;
	BusCaller *caller;
	GArray *fds;
};

/* ---- Answers ---- */

static void send_error(DBusConnection *connection, DBusMessage *message, const GError *error)
{
	if (dbus_message_get_no_reply(message))
		return;
	g_autofree char *text = bus_value_clean_text(error->message);
	DBusMessage *reply = dbus_message_new_error(message, bus_error_name(error), text);
	bus_source_send(connection, reply);
	dbus_message_unref(reply);
}

static void send_reply(DBusConnection *connection, DBusMessage *message, GVariant *values, const int *fds, gsize n_fds)
{
	g_autoptr(GError) error = NULL;

	if (dbus_message_get_no_reply(message))
		return;
	if (n_fds > 0 && !dbus_connection_can_send_type(connection, DBUS_TYPE_UNIX_FD)) {
		g_set_error(&error, BUS_ERROR, BUS_ERROR_FAILED, "this connection cannot carry file descriptors");
		send_error(connection, message, error);
		return;
	}

	DBusMessage *reply = dbus_message_new_method_return(message);
	if (bus_value_append(reply, values, fds, n_fds, &error)) {
		bus_source_send(connection, reply);
	} else {
		g_warning("answer to %s cannot be sent: %s", dbus_message_get_member(message), error->message);
		error->code = BUS_ERROR_FAILED; /* ours, not the caller's fault */
		send_error(connection, message, error);
	}
	dbus_message_unref(reply);
}

static void call_free(BusCall *call)
{
	if (call->object)
		(void)g_queue_remove(&call->object->calls, call);
	bus_value_fds_free(call->fds);
	bus_caller_unref(call->caller);
	dbus_message_unref(call->message);
	dbus_connection_unref(call->connection);
	g_free(call);
}

void bus_call_orphan(BusCall *call)
{
	g_autoptr(GError) error =
		g_error_new_literal(BUS_ERROR, BUS_ERROR_GONE, "the object went away before it answered");

	call->object = NULL;
	send_error(call->connection, call->message, error);
}

void bus_call_reply_fds(BusCall *call, GVariant *values, const int *fds, gsize n_fds)
{
	g_autoptr(GVariant) body = g_variant_ref_sink(values ? values : g_variant_new_tuple(NULL, 0));

	if (!call->object) {
		call_free(call);
		return;
	}
	if (!g_variant_is_of_type(body, call->rule->out)) {
		g_critical("%s answers %s instead of %s", call->rule->name, g_variant_get_type_string(body),
			   g_variant_type_peek_string(call->rule->out));
		bus_call_fail_literal(call, BUS_ERROR_FAILED, "the answer does not have the type it should have");
		return;
	}
	bus_tree_flush(call->object->tree);
	send_reply(call->connection, call->message, body, fds, n_fds);
	call_free(call);
}

void bus_call_reply(BusCall *call, GVariant *values)
{
	bus_call_reply_fds(call, values, NULL, 0);
}

void bus_call_fail(BusCall *call, const GError *error)
{
	if (call->object) {
		bus_tree_flush(call->object->tree);
		send_error(call->connection, call->message, error);
	}
	call_free(call);
}

void bus_call_fail_literal(BusCall *call, BusError code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autoptr(GError) error = g_error_new_valist(BUS_ERROR, (int)code, format, args);
	va_end(args);
	bus_call_fail(call, error);
}

int bus_call_take_fd(BusCall *call, gint32 handle, GError **error)
{
	return bus_value_fds_take(call->fds, handle, error);
}

guint32 bus_call_uid(const BusCall *call)
{
	return call->caller->uid;
}

const char *bus_call_caller(const BusCall *call)
{
	return call->caller->text;
}

/* ---- Checks ---- */

static bool check_signature(DBusMessage *message, const char *tuple, GError **error)
{
	const char *given = dbus_message_get_signature(message);
	gsize length = strlen(tuple) - 2;

	if (strlen(given) == length && strncmp(given, tuple + 1, length) == 0)
		return true;
	g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s takes (%.*s), not (%s)",
		    dbus_message_get_member(message), (int)length, tuple + 1, given);
	return false;
}

static bool check_level(const BusCaller *caller, BusLevel needed, const char *member, GError **error)
{
	static const char *const groups[] = { "understudy-view", "understudy-operate", "understudy" };

	if (caller->level >= needed)
		return true;
	g_set_error(error, BUS_ERROR, BUS_ERROR_ACCESS_DENIED, "%s needs membership of the group %s", member,
		    groups[needed]);
	return false;
}

/* ---- Standard interfaces ---- */

typedef struct {
	BusTree *tree;
	BusObject *object; /* NULL for a path in between */
	const char *path;
	const BusCaller *caller;
} Place;

/* Answers with a tuple (floating), or NULL and @error. */
typedef GVariant *(*StandardMethod)(const Place *place, GVariant *args, GError **error);

/* An empty interface name means whichever has the property. */
static bool find_property(const Place *place, const char *interface, const char *name, BusFace **ret_face,
			  guint *ret_index, GError **error)
{
	if (*interface && !bus_object_face(place->object, interface)) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_UNKNOWN_INTERFACE, "%s has no interface %s", place->path,
			    interface);
		return false;
	}
	for (gsize i = 0; i < place->object->n_faces; i++) {
		BusFace *face = &place->object->faces[i];
		if (*interface && strcmp(face->contract->name, interface) != 0)
			continue;
		const BusPropertyRule *rule = bus_contract_property(face->contract, name);
		if (rule && g_ptr_array_find(face->contract->properties, rule, ret_index)) {
			*ret_face = face;
			return true;
		}
	}
	g_set_error(error, BUS_ERROR, BUS_ERROR_UNKNOWN_PROPERTY, "there is no property %s", name);
	return false;
}

static GVariant *properties_get(const Place *place, GVariant *args, GError **error)
{
	const char *interface, *name;
	BusFace *face;
	guint index;

	g_variant_get(args, "(&s&s)", &interface, &name);
	if (!find_property(place, interface, name, &face, &index, error))
		return NULL;
	const BusPropertyRule *rule = face->contract->properties->pdata[index];
	if (!rule->readable) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_ACCESS_DENIED, "%s can only be written", name);
		return NULL;
	}
	g_autoptr(GVariant) value = bus_object_read(place->object, face, index);
	if (!value) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_UNKNOWN_PROPERTY, "%s has no value now", name);
		return NULL;
	}
	if (face->last[index] && !g_variant_equal(face->last[index], value))
		g_clear_pointer(&face->last[index], g_variant_unref);
	return g_variant_new("(v)", value);
}

static GVariant *properties_get_all(const Place *place, GVariant *args, GError **error)
{
	GVariantBuilder builder;
	const char *interface;

	g_variant_get(args, "(&s)", &interface);
	if (*interface) {
		BusFace *face = bus_object_face(place->object, interface);
		if (face)
			return g_variant_new("(@a{sv})", bus_object_read_all(place->object, face));
		g_set_error(error, BUS_ERROR, BUS_ERROR_UNKNOWN_INTERFACE, "%s has no interface %s", place->path,
			    interface);
		return NULL;
	}

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	for (gsize i = 0; i < place->object->n_faces; i++) {
		g_autoptr(GVariant) table =
			g_variant_ref_sink(bus_object_read_all(place->object, &place->object->faces[i]));
		for (gsize j = 0; j < g_variant_n_children(table); j++) {
			g_autoptr(GVariant) entry = g_variant_get_child_value(table, j);
			g_variant_builder_add_value(&builder, entry);
		}
	}
	return g_variant_new("(@a{sv})", g_variant_builder_end(&builder));
}

static GVariant *properties_set(const Place *place, GVariant *args, GError **error)
{
	g_autoptr(GVariant) value = NULL;
	const char *interface, *name;
	BusFace *face;
	guint index;

	g_variant_get(args, "(&s&sv)", &interface, &name, &value);
	if (!find_property(place, interface, name, &face, &index, error))
		return NULL;
	const BusPropertyRule *rule = face->contract->properties->pdata[index];
	if (!rule->writable) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_PROPERTY_READ_ONLY, "%s cannot be written", name);
		return NULL;
	}
	if (!check_level(place->caller, rule->level, name, error))
		return NULL;
	if (!g_variant_is_of_type(value, rule->type)) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s is %s, not %s", name,
			    g_variant_type_peek_string(rule->type), g_variant_get_type_string(value));
		return NULL;
	}
	if (!face->properties[index]->set(value, place->object->user_data, error))
		return NULL;
	if (place->object->tree)
		bus_object_changed(place->object, face->contract->name, rule->name);
	return g_variant_new_tuple(NULL, 0);
}

static const char properties_xml[] = "<interface name=\"org.freedesktop.DBus.Properties\">\n"
				     "    <method name=\"Get\">\n"
				     "      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>\n"
				     "      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>\n"
				     "      <arg name=\"value\" type=\"v\" direction=\"out\"/>\n"
				     "    </method>\n"
				     "    <method name=\"GetAll\">\n"
				     "      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>\n"
				     "      <arg name=\"properties\" type=\"a{sv}\" direction=\"out\"/>\n"
				     "    </method>\n"
				     "    <method name=\"Set\">\n"
				     "      <arg name=\"interface_name\" type=\"s\" direction=\"in\"/>\n"
				     "      <arg name=\"property_name\" type=\"s\" direction=\"in\"/>\n"
				     "      <arg name=\"value\" type=\"v\" direction=\"in\"/>\n"
				     "    </method>\n"
				     "    <signal name=\"PropertiesChanged\">\n"
				     "      <arg name=\"interface_name\" type=\"s\"/>\n"
				     "      <arg name=\"changed_properties\" type=\"a{sv}\"/>\n"
				     "      <arg name=\"invalidated_properties\" type=\"as\"/>\n"
				     "    </signal>\n"
				     "  </interface>";

static const char manager_xml[] = "<interface name=\"org.freedesktop.DBus.ObjectManager\">\n"
				  "    <method name=\"GetManagedObjects\">\n"
				  "      <arg name=\"objects\" type=\"a{oa{sa{sv}}}\" direction=\"out\"/>\n"
				  "    </method>\n"
				  "    <signal name=\"InterfacesAdded\">\n"
				  "      <arg name=\"object\" type=\"o\"/>\n"
				  "      <arg name=\"interfaces\" type=\"a{sa{sv}}\"/>\n"
				  "    </signal>\n"
				  "    <signal name=\"InterfacesRemoved\">\n"
				  "      <arg name=\"object\" type=\"o\"/>\n"
				  "      <arg name=\"interfaces\" type=\"as\"/>\n"
				  "    </signal>\n"
				  "  </interface>";

static const char common_xml[] = "<interface name=\"org.freedesktop.DBus.Introspectable\">\n"
				 "    <method name=\"Introspect\">\n"
				 "      <arg name=\"xml_data\" type=\"s\" direction=\"out\"/>\n"
				 "    </method>\n"
				 "  </interface>\n"
				 "  <interface name=\"org.freedesktop.DBus.Peer\">\n"
				 "    <method name=\"Ping\"/>\n"
				 "    <method name=\"GetMachineId\">\n"
				 "      <arg name=\"machine_uuid\" type=\"s\" direction=\"out\"/>\n"
				 "    </method>\n"
				 "  </interface>";

/* The name right below @parent on the way to @path, or NULL when @path is not below it. */
static char *next_step(const char *parent, const char *path)
{
	gsize length = strcmp(parent, "/") == 0 ? 0 : strlen(parent);

	if (strncmp(path, parent, length) != 0 || path[length] != '/' || path[length + 1] == '\0')
		return NULL;
	const char *begin = path + length + 1;
	return g_strndup(begin, strcspn(begin, "/"));
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names below @parent, sorted; also empty. */
static GPtrArray *child_names(BusTree *tree, const char *parent)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, tree->objects);
	for (const char *candidate = tree->root; candidate;
	     candidate = g_hash_table_iter_next(&iter, &path, NULL) ? path : NULL) {
		g_autofree char *step = next_step(parent, candidate);
		if (step && !g_hash_table_contains(names, step)) {
			g_hash_table_add(names, step);
			g_ptr_array_add(list, g_steal_pointer(&step));
		}
	}
	g_ptr_array_sort(list, compare_names);
	return list;
}

static GVariant *introspect(const Place *place, GVariant *args, GError **error)
{
	g_autoptr(GPtrArray) children = child_names(place->tree, place->path);
	g_autoptr(GString) xml =
		g_string_new("<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\" "
			     "\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n");

	g_string_append_printf(xml, "  %s\n", common_xml);
	if (place->object)
		g_string_append_printf(xml, "  %s\n", properties_xml);
	if (strcmp(place->path, place->tree->root) == 0)
		g_string_append_printf(xml, "  %s\n", manager_xml);
	for (gsize i = 0; place->object && i < place->object->n_faces; i++)
		g_string_append_printf(xml, "  %s\n", place->object->faces[i].contract->xml);
	for (guint i = 0; i < children->len; i++)
		g_string_append_printf(xml, "  <node name=\"%s\"/>\n", (const char *)children->pdata[i]);
	g_string_append(xml, "</node>\n");
	return g_variant_new("(s)", xml->str);
}

static GVariant *get_managed_objects(const Place *place, GVariant *args, GError **error)
{
	g_autoptr(GList) paths = g_list_sort(g_hash_table_get_keys(place->tree->objects), (GCompareFunc)strcmp);
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
	for (GList *l = paths; l; l = l->next) {
		BusObject *object = bus_tree_find(place->tree, l->data);
		if (object && strcmp(object->path, place->tree->root) != 0)
			g_variant_builder_add(&builder, "{o@a{sa{sv}}}", object->path, bus_object_read_faces(object));
	}
	return g_variant_new("(@a{oa{sa{sv}}})", g_variant_builder_end(&builder));
}

static const struct {
	const char *interface, *member, *in;
	StandardMethod method;
} standard_methods[] = {
	{ DBUS_INTERFACE_PROPERTIES, "Get", "(ss)", properties_get },
	{ DBUS_INTERFACE_PROPERTIES, "GetAll", "(s)", properties_get_all },
	{ DBUS_INTERFACE_PROPERTIES, "Set", "(ssv)", properties_set },
	{ DBUS_INTERFACE_INTROSPECTABLE, "Introspect", "()", introspect },
	{ INTERFACE_OBJECT_MANAGER, "GetManagedObjects", "()", get_managed_objects },
};

static bool has_standard(const Place *place, const char *interface)
{
	if (strcmp(interface, DBUS_INTERFACE_INTROSPECTABLE) == 0 || strcmp(interface, DBUS_INTERFACE_PEER) == 0)
		return true;
	if (strcmp(interface, DBUS_INTERFACE_PROPERTIES) == 0)
		return place->object != NULL;
	return strcmp(interface, INTERFACE_OBJECT_MANAGER) == 0 && strcmp(place->path, place->tree->root) == 0;
}

/* True when it was one of them, answered or refused. */
static bool call_standard(const Place *place, DBusConnection *connection, DBusMessage *message)
{
	const char *interface = dbus_message_get_interface(message), *member = dbus_message_get_member(message);

	for (gsize i = 0; i < G_N_ELEMENTS(standard_methods); i++) {
		const char *candidate = standard_methods[i].interface;
		if (strcmp(member, standard_methods[i].member) != 0 ||
		    (interface && strcmp(interface, candidate) != 0) || !has_standard(place, candidate))
			continue;

		g_autoptr(GError) error = NULL;
		g_autoptr(GVariant) values = NULL;
		bus_tree_flush(place->tree);
		if (check_signature(message, standard_methods[i].in, &error)) {
			g_autoptr(GVariant) args = bus_value_read(message, NULL);
			values = standard_methods[i].method(place, args, &error);
		}

		/* A setter may have changed more than its own property, and said so; or have withdrawn the object. */
		if (!place->object || place->object->tree)
			bus_tree_flush(place->tree);
		if (values)
			send_reply(connection, message, g_variant_ref_sink(values), NULL, 0);
		else
			send_error(connection, message, error);
		return true;
	}
	return false;
}

/* ---- Methods of our own ---- */

static const BusMethodRule *find_method(BusObject *object, DBusMessage *message, const BusMember **ret_member)
{
	const char *interface = dbus_message_get_interface(message), *name = dbus_message_get_member(message);
	guint index;

	for (gsize i = 0; i < object->n_faces; i++) {
		BusFace *face = &object->faces[i];
		if (interface && strcmp(interface, face->contract->name) != 0)
			continue;
		const BusMethodRule *rule = bus_contract_method(face->contract, name);
		if (rule && g_ptr_array_find(face->contract->methods, rule, &index)) {
			*ret_member = face->methods[index];
			return rule;
		}
	}
	return NULL;
}

static void call_method(BusObject *object, const BusMethodRule *rule, const BusMember *member,
			DBusConnection *connection, DBusMessage *message, BusCaller *caller)
{
	g_autoptr(GError) error = NULL;

	if (!check_signature(message, g_variant_type_peek_string(rule->in), &error) ||
	    !check_level(caller, rule->level, rule->name, &error)) {
		send_error(connection, message, error);
		return;
	}

	BusCall *call = g_new0(BusCall, 1);
	call->object = object;
	call->connection = dbus_connection_ref(connection);
	call->message = dbus_message_ref(message);
	call->rule = rule;
	call->caller = g_rc_box_acquire(caller);
	call->fds = bus_value_fds_new();
	g_queue_push_tail(&object->calls, call);

	g_autoptr(GVariant) args = bus_value_read(message, call->fds);
	member->method(call, args, object->user_data);
}

static void refuse_unknown(const Place *place, DBusConnection *connection, DBusMessage *message)
{
	const char *interface = dbus_message_get_interface(message), *member = dbus_message_get_member(message);
	g_autoptr(GError) error = NULL;

	bool standard = interface && has_standard(place, interface);

	if (!place->object && !standard) /* a path on the way to objects */
		g_set_error(&error, BUS_ERROR, BUS_ERROR_UNKNOWN_OBJECT, "there is no object %s", place->path);
	else if (interface && !standard && !bus_object_face(place->object, interface))
		g_set_error(&error, BUS_ERROR, BUS_ERROR_UNKNOWN_INTERFACE, "%s has no interface %s", place->path,
			    interface);
	else
		g_set_error(&error, BUS_ERROR, BUS_ERROR_UNKNOWN_METHOD, "%s has no method %s", place->path, member);
	send_error(connection, message, error);
}

static bool is_on_the_way(BusTree *tree, const char *path)
{
	g_autoptr(GPtrArray) children = child_names(tree, path);

	return children->len > 0 || strcmp(path, tree->root) == 0;
}

void bus_tree_call(BusTree *tree, DBusConnection *connection, DBusMessage *message, BusCaller *caller)
{
	const char *path = dbus_message_get_path(message);
	Place place = { tree, tree ? bus_tree_find(tree, path) : NULL, path, caller };
	const BusMember *member = NULL;

	if (!caller) {
		g_autoptr(GError) error =
			g_error_new_literal(BUS_ERROR, BUS_ERROR_ACCESS_DENIED, "the bus does not say who is calling");
		send_error(connection, message, error);
		return;
	}
	if (!tree || (!place.object && !is_on_the_way(tree, path))) {
		g_autoptr(GError) error =
			g_error_new(BUS_ERROR, BUS_ERROR_UNKNOWN_OBJECT, "there is no object %s", path);
		send_error(connection, message, error);
		return;
	}

	BusObject *object = place.object ? g_rc_box_acquire(place.object) : NULL; /* a handler may withdraw it */
	const BusMethodRule *rule = object ? find_method(object, message, &member) : NULL;
	if (rule)
		call_method(object, rule, member, connection, message, caller);
	else if (!call_standard(&place, connection, message))
		refuse_unknown(&place, connection, message);
	if (object)
		bus_object_unref(object);
}
