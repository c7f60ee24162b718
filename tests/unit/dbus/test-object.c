/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/dbus/test-object.c - tables are checked against the XML, both ways, before anything is shown. */
#include "dbus/bus-contract.h"
#include "dbus/bus-object.h"

static void method(BusCall *call, GVariant *args, gpointer user_data)
{
	bus_call_reply(call, NULL);
}

static GVariant *get(gpointer user_data)
{
	return g_variant_new_int32(1);
}

static bool set(GVariant *value, gpointer user_data, GError **error)
{
	return true;
}

#define GOOD_M                                                                                                         \
	{                                                                                                              \
		"M", .method = method                                                                                  \
	}
#define GOOD_R                                                                                                         \
	{                                                                                                              \
		"R", .get = get                                                                                        \
	}
#define GOOD_W                                                                                                         \
	{                                                                                                              \
		"W", .get = get, .set = set                                                                            \
	}

static const BusMember good[] = { GOOD_M, GOOD_R, GOOD_W, { 0 } };

static void test_tables(void)
{
	static const struct {
		const char *what;
		BusMember members[6];
	} bad[] = {
		{ "is in the XML and not in the table", { GOOD_M, GOOD_R } },
		{ "is in the XML and not in the table", { GOOD_R, GOOD_W } },
		{ "is not in the XML", { GOOD_M, GOOD_R, GOOD_W, { "X", .get = get } } },
		{ "has a setter and is read-only", { GOOD_M, { "R", .get = get, .set = set }, GOOD_W } },
		{ "lacks a setter", { GOOD_M, GOOD_R, { "W", .get = get } } },
		{ "lacks a getter", { GOOD_M, { "R" }, GOOD_W } },
		{ "is a method and needs", { { "M", .get = get }, GOOD_R, GOOD_W } },
		{ "is a method and needs", { { "M" }, GOOD_R, GOOD_W } },
		{ "has a method handler", { GOOD_M, { "R", .method = method }, GOOD_W } },
		{ "stands twice", { GOOD_M, GOOD_R, GOOD_W, GOOD_M } },
	};
	g_autoptr(BusTree) tree = bus_tree_new("/org/understudy/Test1");

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		const BusInterface interfaces[] = { { "org.understudy.Table1", bad[i].members }, { 0 } };
		g_autoptr(GError) error = NULL;
		g_assert_null(bus_object_publish(tree, "/org/understudy/Test1", interfaces, NULL, &error));
		g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
		if (!g_strrstr(error->message, bad[i].what))
			g_error("row %zu: %s", i, error->message);
	}
}

static void test_paths(void)
{
	static const BusInterface interfaces[] = { { "org.understudy.Table1", good }, { 0 } };
	static const char *const bad[] = {
		"/org/understudy",          "/org/understudy/Test10", "/org/understudy/Test1/", "no", "/",
		"/org/understudy/Test1/a-b"
	};
	g_autoptr(BusTree) tree = bus_tree_new("/org/understudy/Test1");
	g_autoptr(GError) error = NULL;

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_null(bus_object_publish(tree, bad[i], interfaces, NULL, &error));
		g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
		g_clear_error(&error);
	}

	BusObject *object = bus_object_publish(tree, "/org/understudy/Test1/a", interfaces, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(bus_object_path(object), ==, "/org/understudy/Test1/a");
	g_assert_null(bus_object_publish(tree, "/org/understudy/Test1/a", interfaces, NULL, &error));
	g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	g_clear_error(&error);

	/* Free again once it is withdrawn. */
	bus_object_withdraw(object);
	object = bus_object_publish(tree, "/org/understudy/Test1/a", interfaces, NULL, &error);
	g_assert_nonnull(object);
	bus_object_withdraw(NULL);
}

static void test_interfaces(void)
{
	static const BusInterface unknown[] = { { "org.understudy.Nowhere1", good }, { 0 } };
	static const BusInterface twice[] = { { "org.understudy.Table1", good },
					      { "org.understudy.Table1", good },
					      { 0 } };
	g_autoptr(BusTree) tree = bus_tree_new("/org/understudy/Test1");
	g_autoptr(GError) error = NULL;

	g_assert_null(bus_object_publish(tree, "/org/understudy/Test1", unknown, NULL, &error));
	g_assert_error(error, BUS_ERROR, BUS_ERROR_UNKNOWN_INTERFACE);
	g_clear_error(&error);
	g_assert_null(bus_object_publish(tree, "/org/understudy/Test1", twice, NULL, &error));
	g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;

	g_test_init(&argc, &argv, NULL);
	if (!bus_contract_add(
		    "<node><interface name='org.understudy.Table1'><method name='M'/>"
		    "<property name='R' type='i' access='read'/><property name='W' type='i' access='readwrite'/>"
		    "<signal name='S'/></interface></node>",
		    &error))
		g_error("%s", error->message);
	g_test_add_func("/dbus/object/tables", test_tables);
	g_test_add_func("/dbus/object/paths", test_paths);
	g_test_add_func("/dbus/object/interfaces", test_interfaces);
	return g_test_run();
}
