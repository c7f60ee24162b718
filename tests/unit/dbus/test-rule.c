/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/dbus/test-rule.c - point 21: match rules. */
#include "dbus/bus-link-private.h"

static void check(const char *expected, char *rule)
{
	g_assert_cmpstr(rule, ==, expected);
	g_free(rule);
}

static void test_keys(void)
{
	check("type='signal'", bus_watch_rule(NULL, NULL, NULL, NULL, NULL));
	check("type='signal',sender='org.a',path='/a',interface='a.b',member='M',arg0='x'",
	      bus_watch_rule("org.a", "/a", "a.b", "M", "x"));
	check("type='signal',member='M'", bus_watch_rule(NULL, NULL, NULL, "M", NULL));
	check("type='signal',arg0=''", bus_watch_rule(NULL, NULL, NULL, NULL, ""));
}

static void test_quoting(void)
{
	check("type='signal',arg0=''\\'''", bus_watch_rule(NULL, NULL, NULL, NULL, "'"));
	check("type='signal',arg0='a'\\'',b='\\''c'", bus_watch_rule(NULL, NULL, NULL, NULL, "a',b='c"));
	check("type='signal',arg0='back\\slash, comma'", bus_watch_rule(NULL, NULL, NULL, NULL, "back\\slash, comma"));
}

/* A name that is not one never becomes part of a rule. */
static void test_invalid_names(void)
{
	BusLink *link = bus_link_new_private("unix:path=/nonexistent/socket");

	g_test_expect_message(NULL, G_LOG_LEVEL_CRITICAL, "*dbus_validate_interface*");
	g_assert_null(bus_link_subscribe(link, NULL, NULL, "a.b',type='method_call", NULL, NULL, NULL));
	g_test_expect_message(NULL, G_LOG_LEVEL_CRITICAL, "*dbus_validate_path*");
	g_assert_null(bus_link_subscribe(link, NULL, "/a/'", "a.b", NULL, NULL, NULL));
	g_test_expect_message(NULL, G_LOG_LEVEL_CRITICAL, "*dbus_validate_member*");
	g_assert_null(bus_link_subscribe(link, NULL, NULL, "a.b", "M'", NULL, NULL));
	g_test_expect_message(NULL, G_LOG_LEVEL_CRITICAL, "*dbus_validate_bus_name*");
	g_assert_null(bus_link_subscribe(link, "x", NULL, "a.b", "M", NULL, NULL));
	g_test_assert_expected_messages();
	bus_link_free(link);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dbus/21/keys", test_keys);
	g_test_add_func("/dbus/21/quoting", test_quoting);
	g_test_add_func("/dbus/21/invalid-names", test_invalid_names);
	return g_test_run();
}
