/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-object.c - the tree: publishing against the XML, property changes in order, signals to every connection. */
#include "bus-object-private.h"

#include <string.h>

#include "bus-source.h"
#include "bus-value.h"

/* ---- Messages to everybody ---- */

static void send_to_all(BusTree *tree, DBusMessage *signal)
{
	/* Sending may close a connection; the list itself changes only from the loop. */
	for (guint i = 0; i < tree->connections->len; i++) {
		DBusMessage *copy = dbus_message_copy(signal); /* each connection numbers its own */
		bus_source_send(tree->connections->pdata[i], copy);
		dbus_message_unref(copy);
	}
}

/* Consumes @args when floating. */
static void send_signal(BusTree *tree, const char *path, const char *interface, const char *name, GVariant *args)
{
	g_autoptr(GVariant) body = args ? g_variant_ref_sink(args) : NULL;
	g_autoptr(GError) error = NULL;

	if (tree->connections->len == 0)
		return;
	DBusMessage *signal = dbus_message_new_signal(path, interface, name);
	if (bus_value_append(signal, body, NULL, 0, &error))
		send_to_all(tree, signal);
	else
		g_warning("signal %s.%s not sent: %s", interface, name, error->message);
	dbus_message_unref(signal);
}

/* ---- Reading ---- */

BusFace *bus_object_face(BusObject *object, const char *interface)
{
	for (gsize i = 0; i < object->n_faces; i++) {
		if (strcmp(object->faces[i].contract->name, interface) == 0)
			return &object->faces[i];
	}
	return NULL;
}

GVariant *bus_object_read(BusObject *object, BusFace *face, guint property)
{
	const BusPropertyRule *rule = face->contract->properties->pdata[property];
	const BusMember *member = face->properties[property];
	GVariant *value = member->get ? member->get(object->user_data) : NULL;

	if (!value)
		return NULL;
	value = g_variant_take_ref(value);
	if (g_variant_is_of_type(value, rule->type))
		return value;

	g_critical("property %s.%s is %s, not %s", face->contract->name, rule->name, g_variant_get_type_string(value),
		   g_variant_type_peek_string(rule->type));
	g_variant_unref(value);
	return NULL;
}

GVariant *bus_object_read_all(BusObject *object, BusFace *face)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	for (guint i = 0; i < face->contract->properties->len; i++) {
		const BusPropertyRule *rule = face->contract->properties->pdata[i];
		g_autoptr(GVariant) value = bus_object_read(object, face, i);
		if (value)
			g_variant_builder_add(&builder, "{sv}", rule->name, value);

		/* Somebody now knows something else than everybody was told: the next change must be sent. */
		if (value && face->last[i] && !g_variant_equal(face->last[i], value))
			g_clear_pointer(&face->last[i], g_variant_unref);
	}
	return g_variant_builder_end(&builder);
}

GVariant *bus_object_read_faces(BusObject *object)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sa{sv}}"));
	for (gsize i = 0; i < object->n_faces; i++) {
		g_variant_builder_add(&builder, "{s@a{sv}}", object->faces[i].contract->name,
				      bus_object_read_all(object, &object->faces[i]));
	}
	return g_variant_builder_end(&builder);
}

/* ---- Changes ---- */

static GVariant *absent(void)
{
	static GVariant *unit;

	if (!unit)
		unit = g_variant_ref_sink(g_variant_new_tuple(NULL, 0)); /* no property has this type */
	return unit;
}

static void send_face_changes(BusObject *object, BusFace *face)
{
	BusTree *tree = object->tree;
	bool anybody = tree->connections->len > 0;
	GVariantBuilder changed, invalidated;
	guint n = 0;

	g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_init(&invalidated, G_VARIANT_TYPE_STRING_ARRAY);
	for (guint i = 0; i < face->contract->properties->len; i++) {
		const BusPropertyRule *rule = face->contract->properties->pdata[i];
		if (!face->changed[i])
			continue;
		face->changed[i] = false;
		if (!anybody) {
			g_clear_pointer(&face->last[i], g_variant_unref);
			continue;
		}
		if (rule->emits == BUS_EMITS_NEVER || rule->emits == BUS_EMITS_CONST)
			continue;
		if (rule->emits == BUS_EMITS_INVALIDATION) {
			g_variant_builder_add(&invalidated, "s", rule->name);
			n++;
			continue;
		}

		g_autoptr(GVariant) value = bus_object_read(object, face, i);
		GVariant *told = value ? value : absent();
		if (face->last[i] && g_variant_equal(face->last[i], told))
			continue;
		g_clear_pointer(&face->last[i], g_variant_unref);
		face->last[i] = g_variant_ref(told);
		if (value)
			g_variant_builder_add(&changed, "{sv}", rule->name, value);
		else
			g_variant_builder_add(&invalidated, "s", rule->name);
		n++;
	}

	GVariant *body = g_variant_ref_sink(g_variant_new("(sa{sv}as)", face->contract->name, &changed, &invalidated));
	if (n > 0)
		send_signal(tree, object->path, DBUS_INTERFACE_PROPERTIES, "PropertiesChanged", body);
	g_variant_unref(body);
}

static void announce(BusObject *object)
{
	BusTree *tree = object->tree;

	object->announced = true;
	for (gsize i = 0; i < object->n_faces; i++)
		memset(object->faces[i].changed, 0, object->faces[i].contract->properties->len * sizeof(bool));
	if (tree->connections->len == 0)
		return;

	GVariant *faces = g_variant_ref_sink(bus_object_read_faces(object));
	for (gsize i = 0; i < object->n_faces; i++) {
		BusFace *face = &object->faces[i];
		g_autoptr(GVariant) table = NULL;
		(void)g_variant_lookup(faces, face->contract->name, "@a{sv}", &table);
		for (guint j = 0; j < face->contract->properties->len; j++) {
			const BusPropertyRule *rule = face->contract->properties->pdata[j];
			GVariant *value = g_variant_lookup_value(table, rule->name, NULL);
			g_clear_pointer(&face->last[j], g_variant_unref);
			face->last[j] = value ? value : g_variant_ref(absent());
		}
	}
	send_signal(tree, tree->root, "org.freedesktop.DBus.ObjectManager", "InterfacesAdded",
		    g_variant_new("(o@a{sa{sv}})", object->path, faces));
	g_variant_unref(faces);
}

static int compare_paths(gconstpointer a, gconstpointer b, gpointer user_data)
{
	return strcmp(((const BusObject *)a)->path, ((const BusObject *)b)->path);
}

void bus_tree_flush(BusTree *tree)
{
	GQueue adds = G_QUEUE_INIT, changes = G_QUEUE_INIT;
	BusObject *object;

	/* A getter that makes a change or sends something leaves it to the next round. */
	if (tree->flushing || g_queue_is_empty(&tree->dirty))
		return;
	tree->flushing = true;

	while ((object = g_queue_pop_head(&tree->dirty))) {
		object->dirty = false;
		if (object->announced)
			g_queue_push_tail(&changes, object);
		else
			g_queue_insert_sorted(&adds, object, compare_paths, NULL); /* parents first */
	}
	while ((object = g_queue_pop_head(&adds))) {
		if (object->tree)
			announce(object);
		bus_object_unref(object);
	}
	while ((object = g_queue_pop_head(&changes))) {
		for (gsize i = 0; i < object->n_faces && object->tree; i++)
			send_face_changes(object, &object->faces[i]);
		bus_object_unref(object);
	}
	tree->flushing = false;
}

static gboolean on_flush(gpointer user_data)
{
	BusTree *tree = user_data;

	g_clear_pointer(&tree->flush, g_source_unref);
	bus_tree_flush(tree);
	return G_SOURCE_REMOVE;
}

static void make_dirty(BusObject *object)
{
	BusTree *tree = object->tree;

	if (!object->dirty) {
		object->dirty = true;
		g_queue_push_tail(&tree->dirty, g_rc_box_acquire(object));
	}
	if (!tree->flush) {
		tree->flush = g_idle_source_new();
		g_source_set_priority(tree->flush, BUS_PRIORITY_FLUSH);
		g_source_set_static_name(tree->flush, "bus property changes");
		g_source_set_callback(tree->flush, on_flush, tree, NULL);
		g_source_attach(tree->flush, g_main_context_get_thread_default());
	}
}

void bus_object_changed(BusObject *object, const char *interface, const char *property)
{
	BusFace *face = bus_object_face(object, interface);
	guint index;

	g_return_if_fail(object->tree && face);
	const BusPropertyRule *rule = bus_contract_property(face->contract, property);
	g_return_if_fail(rule && g_ptr_array_find(face->contract->properties, rule, &index));

	face->changed[index] = true;
	make_dirty(object);
}

void bus_object_emit(BusObject *object, const char *interface, const char *signal, GVariant *args)
{
	g_autoptr(GVariant) body = g_variant_ref_sink(args ? args : g_variant_new_tuple(NULL, 0));
	BusFace *face = bus_object_face(object, interface);

	g_return_if_fail(object->tree && face);
	const BusSignalRule *rule = bus_contract_signal(face->contract, signal);
	g_return_if_fail(rule && g_variant_is_of_type(body, rule->type));

	bus_tree_flush(object->tree);
	send_signal(object->tree, object->path, interface, signal, body);
}

/* ---- Publishing ---- */

static void object_clear(gpointer data)
{
	BusObject *object = data;

	for (gsize i = 0; i < object->n_faces; i++) {
		BusFace *face = &object->faces[i];
		for (guint j = 0; face->last && j < face->contract->properties->len; j++)
			g_clear_pointer(&face->last[j], g_variant_unref);
		g_free(face->methods);
		g_free(face->properties);
		g_free(face->last);
		g_free(face->changed);
	}
	g_free(object->faces);
	g_free(object->path);
}

void bus_object_unref(BusObject *object)
{
	g_rc_box_release_full(object, object_clear);
}

/* Why @row does not fit, or NULL. */
static const char *check_property_row(const BusPropertyRule *rule, const BusMember *row)
{
	if (row->method)
		return "is a property and has a method handler";
	if (rule->readable != (row->get != NULL))
		return rule->readable ? "lacks a getter" : "has a getter and cannot be read";
	if (rule->writable != (row->set != NULL))
		return rule->writable ? "lacks a setter" : "has a setter and is read-only";
	return NULL;
}

static bool bind_row(BusFace *face, const BusMember *row, GError **error)
{
	const BusMethodRule *method = bus_contract_method(face->contract, row->member);
	const BusPropertyRule *property = bus_contract_property(face->contract, row->member);
	const BusMember **slot = NULL;
	const char *wrong = NULL;
	guint index;

	if (method && (row->method || !property)) {
		(void)g_ptr_array_find(face->contract->methods, method, &index);
		slot = &face->methods[index];
		wrong = !row->method || row->get || row->set ? "is a method and needs a method handler alone" : NULL;
	} else if (property) {
		(void)g_ptr_array_find(face->contract->properties, property, &index);
		slot = &face->properties[index];
		wrong = check_property_row(property, row);
	} else {
		wrong = "is not in the XML";
	}
	if (!wrong && *slot)
		wrong = "stands twice in the table";
	if (wrong) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s.%s %s", face->contract->name, row->member,
			    wrong);
		return false;
	}
	*slot = row;
	return true;
}

/* Checks the table against the XML, both ways. */
static bool bind_face(BusFace *face, const BusInterface *interface, GError **error)
{
	face->contract = bus_contract_find(interface->interface);
	if (!face->contract) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_UNKNOWN_INTERFACE, "no XML describes %s", interface->interface);
		return false;
	}

	const GPtrArray *methods = face->contract->methods, *properties = face->contract->properties;
	face->methods = g_new0(const BusMember *, methods->len + 1);
	face->properties = g_new0(const BusMember *, properties->len + 1);
	face->last = g_new0(GVariant *, properties->len + 1);
	face->changed = g_new0(bool, properties->len + 1);

	for (const BusMember *row = interface->members; row && row->member; row++) {
		if (!bind_row(face, row, error))
			return false;
	}
	for (guint i = 0; i < methods->len + properties->len; i++) {
		bool is_method = i < methods->len;
		const char *const *name = is_method ? methods->pdata[i] : properties->pdata[i - methods->len];
		if (is_method ? face->methods[i] != NULL : face->properties[i - methods->len] != NULL)
			continue;
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s.%s is in the XML and not in the table",
			    face->contract->name, *name);
		return false;
	}
	return true;
}

static bool check_path(BusTree *tree, const char *path, GError **error)
{
	gsize length = strlen(tree->root);
	bool below =
		strcmp(tree->root, "/") == 0 || (strncmp(path, tree->root, length) == 0 && strchr("/", path[length]));

	if (!g_variant_is_object_path(path) || !below) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s is not a path below %s", path, tree->root);
		return false;
	}
	if (g_hash_table_contains(tree->objects, path)) {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s is published already", path);
		return false;
	}
	return true;
}

BusObject *bus_object_publish(BusTree *tree, const char *path, const BusInterface *interfaces, gpointer user_data,
			      GError **error)
{
	gsize n = 0;

	if (!check_path(tree, path, error))
		return NULL;
	while (interfaces[n].interface)
		n++;

	BusObject *object = g_rc_box_new0(BusObject);
	object->path = g_strdup(path);
	object->faces = g_new0(BusFace, n);
	object->user_data = user_data;
	g_queue_init(&object->calls);
	for (gsize i = 0; i < n; i++) {
		if (bus_object_face(object, interfaces[i].interface)) {
			g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s is given twice",
				    interfaces[i].interface);
			bus_object_unref(object);
			return NULL;
		}
		bool bound = bind_face(&object->faces[i], &interfaces[i], error);
		if (object->faces[i].contract)
			object->n_faces++;
		if (!bound) {
			bus_object_unref(object);
			return NULL;
		}
	}

	object->tree = tree;
	g_hash_table_insert(tree->objects, object->path, object);
	if (strcmp(path, tree->root) == 0)
		object->announced = true; /* the ObjectManager speaks of what is below it */
	else
		make_dirty(object);
	return object;
}

void bus_object_withdraw(BusObject *object)
{
	if (!object || !object->tree)
		return;

	BusTree *tree = object->tree;
	BusCall *call;

	/* What it said before it goes is still said, unless nobody has heard of it. */
	if (object->announced)
		bus_tree_flush(tree);
	while ((call = g_queue_pop_head(&object->calls)))
		bus_call_orphan(call);

	if (object->announced && strcmp(object->path, tree->root) != 0) {
		GVariantBuilder names;
		g_variant_builder_init(&names, G_VARIANT_TYPE_STRING_ARRAY);
		for (gsize i = 0; i < object->n_faces; i++)
			g_variant_builder_add(&names, "s", object->faces[i].contract->name);
		send_signal(tree, tree->root, "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved",
			    g_variant_new("(oas)", object->path, &names));
	}

	g_hash_table_remove(tree->objects, object->path);
	object->tree = NULL;
	if (object->dirty && g_queue_remove(&tree->dirty, object)) {
		object->dirty = false;
		bus_object_unref(object);
	}
	bus_object_unref(object);
}

const char *bus_object_path(const BusObject *object)
{
	return object->path;
}

/* ---- The tree ---- */

static void connection_unref(gpointer connection)
{
	dbus_connection_unref(connection);
}

BusTree *bus_tree_new(const char *root)
{
	g_return_val_if_fail(g_variant_is_object_path(root), NULL);
	BusTree *tree = g_new0(BusTree, 1);

	tree->root = g_strdup(root);
	tree->objects = g_hash_table_new(g_str_hash, g_str_equal);
	tree->connections = g_ptr_array_new_with_free_func(connection_unref);
	g_queue_init(&tree->dirty);
	return tree;
}

void bus_tree_free(BusTree *tree)
{
	if (!tree)
		return;

	g_autoptr(GList) objects = g_hash_table_get_values(tree->objects);
	for (GList *l = objects; l; l = l->next)
		bus_object_withdraw(l->data);
	if (tree->flush) {
		g_source_destroy(tree->flush);
		g_source_unref(tree->flush);
	}
	g_hash_table_unref(tree->objects);
	g_ptr_array_unref(tree->connections);
	g_free(tree->root);
	g_free(tree);
}

BusObject *bus_tree_find(BusTree *tree, const char *path)
{
	return g_hash_table_lookup(tree->objects, path);
}

void bus_tree_add_connection(BusTree *tree, DBusConnection *connection)
{
	g_ptr_array_add(tree->connections, dbus_connection_ref(connection));
}

void bus_tree_remove_connection(BusTree *tree, DBusConnection *connection)
{
	(void)g_ptr_array_remove(tree->connections, connection);
}
