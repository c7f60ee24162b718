/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/dbus/test-error.c - point 10: valid names, few, from one table. */
#include <dbus/dbus.h>

#include "dbus/bus-error.h"

static void test_every_code_has_a_valid_name(void)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

	for (int code = 0; code < BUS_N_ERRORS; code++) {
		g_autoptr(GError) error = g_error_new_literal(BUS_ERROR, code, "text");
		const char *name = bus_error_name(error);

		g_assert_true(dbus_validate_error_name(name, NULL));
		g_assert_true(g_hash_table_add(names, (char *)name)); /* no two share one */

		g_autoptr(GError) back = bus_error_from_message(name, "text");
		g_assert_error(back, BUS_ERROR, code);
		g_assert_cmpstr(back->message, ==, "text");
	}
}

static void test_names_of_others(void)
{
	static const struct {
		const char *name;
		BusError error;
	} rows[] = {
		{ DBUS_ERROR_NO_REPLY, BUS_ERROR_TIMED_OUT },
		{ DBUS_ERROR_TIMEOUT, BUS_ERROR_TIMED_OUT },
		{ DBUS_ERROR_DISCONNECTED, BUS_ERROR_NOT_REACHABLE },
		{ DBUS_ERROR_SERVICE_UNKNOWN, BUS_ERROR_NOT_REACHABLE },
		{ DBUS_ERROR_NAME_HAS_NO_OWNER, BUS_ERROR_NOT_REACHABLE },
		{ DBUS_ERROR_ACCESS_DENIED, BUS_ERROR_ACCESS_DENIED },
		{ "com.example.Whatever", BUS_ERROR_FAILED },
		{ NULL, BUS_ERROR_FAILED },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = bus_error_from_message(rows[i].name, NULL);
		g_assert_error(error, BUS_ERROR, (int)rows[i].error);
		g_assert_cmpstr(error->message, !=, "");
	}
}

static void test_registered_domain(void)
{
	static const BusErrorMapping rows[] = { { 3, BUS_ERROR_BUSY }, { 5, BUS_ERROR_REFUSED } };
	GQuark domain = g_quark_from_static_string("test-error-domain");
	g_autoptr(GError) busy = g_error_new_literal(domain, 3, "x");
	g_autoptr(GError) refused = g_error_new_literal(domain, 5, "x");
	g_autoptr(GError) missing = g_error_new_literal(domain, 4, "x");

	bus_error_register(domain, rows, G_N_ELEMENTS(rows));
	g_assert_cmpstr(bus_error_name(busy), ==, "org.understudy.Error.Busy");
	g_assert_cmpstr(bus_error_name(refused), ==, "org.understudy.Error.Refused");

	g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*test-error-domain/4*");
	g_assert_cmpstr(bus_error_name(missing), ==, "org.understudy.Error.Failed");
	g_test_assert_expected_messages();
	g_assert_cmpstr(bus_error_name(missing), ==, "org.understudy.Error.Failed"); /* said once */
}

static void test_io_errors(void)
{
	g_autoptr(GError) missing = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "x");
	g_autoptr(GError) late = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "x");

	g_assert_cmpstr(bus_error_name(missing), ==, "org.understudy.Error.NotFound");
	g_assert_cmpstr(bus_error_name(late), ==, "org.understudy.Error.TimedOut");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dbus/10/every-code-has-a-valid-name", test_every_code_has_a_valid_name);
	g_test_add_func("/dbus/10/names-of-others", test_names_of_others);
	g_test_add_func("/dbus/10/registered-domain", test_registered_domain);
	g_test_add_func("/dbus/10/io-errors", test_io_errors);
	return g_test_run();
}
