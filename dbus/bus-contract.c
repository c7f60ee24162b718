/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-contract.c - the XML interfaces, parsed and ready to check calls against. */
#include "bus-contract.h"

#include <string.h>

#include "bus-error.h"

#define ANNOTATION_ACCESS "org.understudy.Access"
#define ANNOTATION_EMITS  "org.freedesktop.DBus.Property.EmitsChangedSignal"

static GHashTable *contracts; /* interface name -> BusContract; alive until the process ends */

static void method_rule_free(gpointer data)
{
	BusMethodRule *rule = data;

	g_variant_type_free(rule->in);
	g_variant_type_free(rule->out);
	g_free(rule);
}

static void property_rule_free(gpointer data)
{
	BusPropertyRule *rule = data;

	g_variant_type_free(rule->type);
	g_free(rule);
}

static void signal_rule_free(gpointer data)
{
	BusSignalRule *rule = data;

	g_variant_type_free(rule->type);
	g_free(rule);
}

static void contract_free(gpointer data)
{
	BusContract *contract = data;

	g_ptr_array_unref(contract->methods);
	g_ptr_array_unref(contract->properties);
	g_ptr_array_unref(contract->signals);
	g_dbus_interface_info_unref(contract->info);
	g_free(contract->xml);
	g_free(contract);
}

static GVariantType *tuple_of(GDBusArgInfo **args)
{
	g_autoptr(GString) text = g_string_new("(");

	for (gsize i = 0; args && args[i]; i++)
		g_string_append(text, args[i]->signature);
	g_string_append_c(text, ')');
	return g_variant_type_new(text->str);
}

static bool read_level(GDBusAnnotationInfo **annotations, const char *member, BusLevel *ret_level, GError **error)
{
	const char *text = g_dbus_annotation_info_lookup(annotations, ANNOTATION_ACCESS);

	if (!text || strcmp(text, "view") == 0) {
		*ret_level = BUS_LEVEL_VIEW;
	} else if (strcmp(text, "operate") == 0) {
		*ret_level = BUS_LEVEL_OPERATE;
	} else if (strcmp(text, "administer") == 0) {
		*ret_level = BUS_LEVEL_ADMINISTER;
	} else {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s: unknown %s \"%s\"", member,
			    ANNOTATION_ACCESS, text);
		return false;
	}
	return true;
}

static bool read_emits(GDBusInterfaceInfo *interface, GDBusPropertyInfo *property, BusEmits *ret_emits, GError **error)
{
	const char *text = g_dbus_annotation_info_lookup(property->annotations, ANNOTATION_EMITS);

	/* A property without one takes the interface's. */
	if (!text)
		text = g_dbus_annotation_info_lookup(interface->annotations, ANNOTATION_EMITS);

	if (!text || strcmp(text, "true") == 0) {
		*ret_emits = BUS_EMITS_VALUE;
	} else if (strcmp(text, "invalidates") == 0) {
		*ret_emits = BUS_EMITS_INVALIDATION;
	} else if (strcmp(text, "false") == 0) {
		*ret_emits = BUS_EMITS_NEVER;
	} else if (strcmp(text, "const") == 0) {
		*ret_emits = BUS_EMITS_CONST;
	} else {
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "%s: unknown %s \"%s\"", property->name,
			    ANNOTATION_EMITS, text);
		return false;
	}
	return true;
}

/* The element as it was written, comments included: those are the documentation a client can read. */
static char *slice_element(const char *xml, const char *interface)
{
	g_autofree char *opening = g_strdup_printf("<interface name=\"%s\"", interface);
	const char *begin = strstr(xml, opening);
	const char *end = begin ? strstr(begin, "</interface>") : NULL;

	return end ? g_strndup(begin, (gsize)(end - begin) + strlen("</interface>")) : NULL;
}

static char *generate_element(GDBusInterfaceInfo *info)
{
	GString *text = g_string_new(NULL);

	g_dbus_interface_info_generate_xml(info, 0, text);
	return g_string_free(text, false);
}

static BusContract *contract_new(const char *xml, GDBusInterfaceInfo *info, GError **error)
{
	BusContract *contract = g_new0(BusContract, 1);

	contract->info = g_dbus_interface_info_ref(info);
	contract->name = info->name;
	contract->xml = slice_element(xml, info->name);
	if (!contract->xml)
		contract->xml = generate_element(info);
	contract->methods = g_ptr_array_new_with_free_func(method_rule_free);
	contract->properties = g_ptr_array_new_with_free_func(property_rule_free);
	contract->signals = g_ptr_array_new_with_free_func(signal_rule_free);

	for (gsize i = 0; info->methods && info->methods[i]; i++) {
		GDBusMethodInfo *method = info->methods[i];
		BusMethodRule *rule = g_new0(BusMethodRule, 1);
		rule->name = method->name;
		rule->in = tuple_of(method->in_args);
		rule->out = tuple_of(method->out_args);
		g_ptr_array_add(contract->methods, rule);
		if (!read_level(method->annotations, method->name, &rule->level, error))
			goto fail;
	}
	for (gsize i = 0; info->properties && info->properties[i]; i++) {
		GDBusPropertyInfo *property = info->properties[i];
		BusPropertyRule *rule = g_new0(BusPropertyRule, 1);
		rule->name = property->name;
		rule->type = g_variant_type_new(property->signature);
		rule->readable = property->flags & G_DBUS_PROPERTY_INFO_FLAGS_READABLE;
		rule->writable = property->flags & G_DBUS_PROPERTY_INFO_FLAGS_WRITABLE;
		g_ptr_array_add(contract->properties, rule);
		if (!read_level(property->annotations, property->name, &rule->level, error) ||
		    !read_emits(info, property, &rule->emits, error))
			goto fail;
	}
	for (gsize i = 0; info->signals && info->signals[i]; i++) {
		BusSignalRule *rule = g_new0(BusSignalRule, 1);
		rule->name = info->signals[i]->name;
		rule->type = tuple_of(info->signals[i]->args);
		g_ptr_array_add(contract->signals, rule);
	}
	return contract;

fail:
	contract_free(contract);
	return NULL;
}

static bool add_document(const char *xml, GError **error)
{
	g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(xml, error);

	if (!node)
		return false;
	for (gsize i = 0; node->interfaces && node->interfaces[i]; i++) {
		GDBusInterfaceInfo *info = node->interfaces[i];
		if (g_hash_table_contains(contracts, info->name)) {
			g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "interface %s is described twice",
				    info->name);
			return false;
		}
		BusContract *contract = contract_new(xml, info, error);
		if (!contract) {
			g_prefix_error(error, "%s: ", info->name);
			return false;
		}
		g_hash_table_insert(contracts, (char *)contract->name, contract);
	}
	return true;
}

/* The embedded documents are part of the program: one that does not parse is a broken build. */
static void load_embedded(void)
{
	if (contracts)
		return;
	contracts = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, contract_free);
	for (const BusDocument *document = bus_documents; document->file; document++) {
		g_autoptr(GError) error = NULL;
		if (!add_document(document->xml, &error))
			g_error("%s: %s", document->file, error->message);
	}
}

bool bus_contract_add(const char *xml, GError **error)
{
	load_embedded();
	return add_document(xml, error);
}

const BusContract *bus_contract_find(const char *interface)
{
	load_embedded();
	return g_hash_table_lookup(contracts, interface);
}

/* Every rule begins with its name. */
static gpointer find_rule(const GPtrArray *rules, const char *name)
{
	for (guint i = 0; i < rules->len; i++) {
		const char *const *rule = rules->pdata[i];
		if (strcmp(*rule, name) == 0)
			return rules->pdata[i];
	}
	return NULL;
}

const BusMethodRule *bus_contract_method(const BusContract *contract, const char *name)
{
	return find_rule(contract->methods, name);
}

const BusPropertyRule *bus_contract_property(const BusContract *contract, const char *name)
{
	return find_rule(contract->properties, name);
}

const BusSignalRule *bus_contract_signal(const BusContract *contract, const char *name)
{
	return find_rule(contract->signals, name);
}
