/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/dbus/test-contract.c - the embedded XML, and documents that are refused. */
#include <string.h>

#include "dbus/bus-contract.h"
#include "dbus/bus-error.h"

#define NODE(inside) "<node><interface name='org.understudy.Bad1'>" inside "</interface></node>"

static void test_embedded(void)
{
	guint n = 0;

	for (const BusDocument *document = bus_documents; document->file; document++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(document->xml, &error);
		g_assert_no_error(error);

		for (gsize i = 0; node->interfaces[i]; i++, n++) {
			const BusContract *contract = bus_contract_find(node->interfaces[i]->name);
			g_assert_nonnull(contract);
			g_assert_nonnull(strstr(document->xml, contract->xml)); /* verbatim */

			/* The slice alone says the same. */
			g_autofree char *alone = g_strdup_printf("<node>%s</node>", contract->xml);
			g_autoptr(GDBusNodeInfo) again = g_dbus_node_info_new_for_xml(alone, &error);
			g_assert_no_error(error);
			g_autoptr(GString) a = g_string_new(NULL), b = g_string_new(NULL);
			g_dbus_interface_info_generate_xml(again->interfaces[0], 0, a);
			g_dbus_interface_info_generate_xml(node->interfaces[i], 0, b);
			g_assert_cmpstr(a->str, ==, b->str);
			g_assert_null(again->interfaces[1]);
		}
	}
	g_assert_cmpuint(n, >, 0);
	g_assert_null(bus_contract_find("org.understudy.NotThere1"));
}

static void test_rules(void)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(bus_contract_add(
		"<node><interface name='org.understudy.Rules1'>"
		"<method name='M'><arg type='s' direction='in'/><arg type='a{sv}' direction='in'/><arg type='o' "
		"direction='out'/>"
		"<annotation name='org.understudy.Access' value='operate'/></method>"
		"<method name='N'/>"
		"<property name='P' type='i' access='readwrite'><annotation name='org.understudy.Access' "
		"value='administer'/></property>"
		"<property name='Q' type='as' access='read'>"
		"<annotation name='org.freedesktop.DBus.Property.EmitsChangedSignal' value='invalidates'/></property>"
		"<signal name='S'><arg type='t'/><arg type='s'/></signal>"
		"</interface></node>",
		&error));
	g_assert_no_error(error);

	const BusContract *contract = bus_contract_find("org.understudy.Rules1");
	const BusMethodRule *m = bus_contract_method(contract, "M"), *n = bus_contract_method(contract, "N");
	g_assert_cmpstr(g_variant_type_peek_string(m->in), ==, "(sa{sv})");
	g_assert_cmpint(m->level, ==, BUS_LEVEL_OPERATE);
	g_assert_true(g_variant_type_equal(n->out, G_VARIANT_TYPE_UNIT));
	g_assert_cmpint(n->level, ==, BUS_LEVEL_VIEW);

	const BusPropertyRule *p = bus_contract_property(contract, "P"), *q = bus_contract_property(contract, "Q");
	g_assert_true(p->writable && p->readable && !q->writable);
	g_assert_cmpint(p->level, ==, BUS_LEVEL_ADMINISTER);
	g_assert_cmpint(p->emits, ==, BUS_EMITS_VALUE);
	g_assert_cmpint(q->emits, ==, BUS_EMITS_INVALIDATION);
	g_assert_true(g_variant_type_equal(bus_contract_signal(contract, "S")->type, G_VARIANT_TYPE("(ts)")));
	g_assert_null(bus_contract_method(contract, "P"));
	g_assert_null(bus_contract_property(contract, "M"));
}

static void test_refused(void)
{
	static const char *const documents[] = {
		"<node><interface",
		NODE("<method name='M'><annotation name='org.understudy.Access' value='everybody'/></method>"),
		NODE("<property name='P' type='i' access='read'>"
		     "<annotation name='org.freedesktop.DBus.Property.EmitsChangedSignal' "
		     "value='sometimes'/></property>"),
		"<node><interface name='org.understudy.Twice1'/><interface name='org.understudy.Twice1'/></node>",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(documents); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_false(bus_contract_add(documents[i], &error));
		g_assert_nonnull(error);
	}
	g_assert_null(bus_contract_find("org.understudy.Bad1"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dbus/contract/embedded", test_embedded);
	g_test_add_func("/dbus/contract/rules", test_rules);
	g_test_add_func("/dbus/contract/refused", test_refused);
	return g_test_run();
}
