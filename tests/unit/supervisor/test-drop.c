/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-drop.c - what nftables is told. Whether it does so is tested with the whole device. */
#include <glib.h>
#include <string.h>

#include "supervisor/drop.h"

#define DEVICE                                                                                                                 \
	"[device]\nid=a\n[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\naddress6=2001:db8::11/64\n"                      \
	"[interface wan]\ndevice=eth1\naddress=203.0.113.11/24\n"

static char *script(const char *pair, gint64 timeout_ms, guint queue_port)
{
	static const char *const none[] = { NULL };
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_parse(DEVICE, pair, none, none, &error);

	g_assert_no_error(error);
	return drop_script(settings, timeout_ms, queue_port);
}

static void assert_has(const char *text, const char *part, bool wanted)
{
	if ((strstr(text, part) != NULL) != wanted)
		g_error("\"%s\" is%s in\n%s", part, wanted ? " not" : "", text);
}

/* One set a family; the derived link-local address is a service address too. */
static void test_families(void)
{
	g_autofree char *both = script("[pair]\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24,2001:db8::10/64\nelects=true\n"
				       "[group wan]\ninterface=wan\naddresses=203.0.113.10/24,203.0.113.9/24\n", 0, 0);
	assert_has(both, "set held4 {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 192.0.2.10, 203.0.113.10, 203.0.113.9 }\n", true);
	assert_has(both, "set held6 {\n\t\ttype ipv6_addr\n\t\tflags timeout\n\t\telements = { 2001:db8::10, fe80::200:5eff:fe00:233 }\n", true);
	assert_has(both, "set served4 {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 192.0.2.10, 203.0.113.10, 203.0.113.9 }\n", true);
	assert_has(both, "ip daddr @served4 goto served", true);
	assert_has(both, "ip6 daddr @served6 goto served", true);
	assert_has(both, "timeout 0", false);
	assert_has(both, "set queued {\n\t\ttype inet_service\n\t}\n", true);

	g_autofree char *four = script("[pair]\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=192.0.2.10/24\n", 30000, 0);
	assert_has(four, "elements = { 192.0.2.10 timeout 30000ms }\n", true); /* it is held no more; */
	assert_has(four, "elements = { 192.0.2.10 }\n", true);                 /* who comes then is noted all the same */
	assert_has(four, "fe80", false);
	g_autofree char *six = script("[pair]\ngroup-id=255\n[group lan]\ninterface=lan\naddresses=2001:db8::10/64,fe80::10/64\n", 500, 0);
	assert_has(six, "elements = { 2001:db8::10 timeout 500ms, fe80::10 timeout 500ms }\n", true);
	assert_has(six, "192.0.2", false);
	assert_has(six, "fe80::200", false);
}

/* An element that is there twice would spoil the whole. */
static void test_same_on_two_interfaces(void)
{
	g_autofree char *text = script("[pair]\ngroup-id=51\n[group lan]\ninterface=lan\naddresses=2001:db8::10/64\nelects=true\n"
				       "[group wan]\ninterface=wan\naddresses=2001:db8:1::10/64,fe80::7/64\n"
				       "[group lan2]\ninterface=lan\naddresses=fe80::7/64\n", 0, 0);
	assert_has(text, "elements = { 2001:db8::10, fe80::200:5eff:fe00:233, 2001:db8:1::10, fe80::7 }\n", true);
}

/* Neighbour discovery finds the address while the applications start. */
static void test_passes(void)
{
	g_autofree char *text = script("[pair]\ngroup-id=51\npeer-port=9000\n[group lan]\ninterface=lan\naddresses=2001:db8::10/64\n", 0, 5060);
	assert_has(text, "meta l4proto { 1, 58, 112 } accept", true);
	assert_has(text, "tcp dport { 9090, 9000, 7777 } accept", true);
	g_assert_true(strstr(text, "accept") < strstr(text, "@held4 jump held\n"));
	g_assert_true(strstr(text, "@held6 jump held\n") < strstr(text, "add @first4"));
	assert_has(text, "set queued {\n\t\ttype inet_service\n\t\telements = { 5060 }\n", true);
}

/* Who came first, and how long ago. */
static void test_first(void)
{
	static const char none[] = "table inet understudy {\n\tset first4 {\n\t\ttype ipv4_addr\n\t\tsize 1\n\t\tflags dynamic,timeout\n\t\ttimeout 1h\n\t}\n}\n";
	static const struct {
		const char *elements, *host;
		gint64 ago_us;
	} rows[] = {
		{ "192.0.2.100 expires 59m59s984ms", "192.0.2.100", 16000 },
		{ "192.0.2.100 timeout 1h expires 59m58s", "192.0.2.100", 2 * G_TIME_SPAN_SECOND },
		{ "2001:db8::100 expires 1h", "2001:db8::100", 0 },
		{ "192.0.2.100 expires 2h", NULL, 0 },
		{ "192.0.2.100 expires 5x", NULL, 0 },
		{ "192.0.2.100", NULL, 0 },
	};
	char *host = NULL;
	gint64 ago_us = 0;

	g_assert_false(drop_parse_first(none, &host, &ago_us));
	g_assert_false(drop_parse_first("", &host, &ago_us));
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *listing = g_strdup_printf("table inet understudy {\n\tset first4 {\n\t\telements = { %s }\n\t}\n}\n", rows[i].elements);
		g_assert_cmpint(drop_parse_first(listing, &host, &ago_us), ==, rows[i].host != NULL);
		g_assert_cmpstr(host, ==, rows[i].host);
		if (rows[i].host)
			g_assert_cmpint(ago_us, ==, rows[i].ago_us);
		g_clear_pointer(&host, g_free);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/drop/families", test_families);
	g_test_add_func("/drop/same-on-two-interfaces", test_same_on_two_interfaces);
	g_test_add_func("/drop/passes", test_passes);
	g_test_add_func("/drop/first", test_first);
	return g_test_run();
}
