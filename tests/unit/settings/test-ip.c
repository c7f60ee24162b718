/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/settings/test-ip.c - addresses as text, in order, and in networks. */
#include "settings/ip.h"

static IpAddress parsed(const char *text)
{
	IpAddress ip = { 0 };

	g_assert_true(ip_parse(text, &ip));
	return ip;
}

static void test_text(void)
{
	const char *good[] = { "192.0.2.1", "0.0.0.0", "255.255.255.255", "::", "::1", "fe80::200:5eff:fe00:233", "2001:db8::10", "ff02::12" };
	const char *bad[] = { "", "192.0.2", "192.0.2.256", "192.0.2.1/24", "fe80::1%eth0", "2001:db8::1::2", ":", "phone" };
	char text[IP_TEXT_SIZE];

	for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
		IpAddress ip = parsed(good[i]);

		g_assert_cmpstr(ip_text(&ip, text), ==, good[i]);
	}
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		IpAddress ip = parsed("192.0.2.9");

		g_assert_false(ip_parse(bad[i], &ip));
		g_assert_cmpstr(ip_text(&ip, text), ==, "192.0.2.9");
	}
	g_assert_cmpstr(ip_text(&(IpAddress){ 0 }, text), ==, "");
}

static void test_order(void)
{
	const char *rising[] = { "10.0.0.9", "10.0.0.10", "192.0.2.1", "200.0.0.0", "::1", "2001:db8::1", "2001:db8::ff", "2001:db8::100", "fe80::1" };

	for (gsize i = 0; i < G_N_ELEMENTS(rising); i++)
		for (gsize j = 0; j < G_N_ELEMENTS(rising); j++) {
			IpAddress a = parsed(rising[i]), b = parsed(rising[j]);
			int order = ip_compare(&a, &b);

			g_assert_cmpint((order > 0) - (order < 0), ==, (i > j) - (i < j));
			g_assert_true(ip_equal(&a, &b) == (i == j));
		}
	g_assert_true(ip_equal(&(IpAddress){ 0 }, &(IpAddress){ 0 }));
	g_assert_cmpint(ip_compare(&(IpAddress){ 0 }, &(IpAddress){ .family = AF_INET }), <, 0);
	g_assert_true(ip_equal(&(IpAddress){ .family = AF_INET, .bytes = { 192, 0, 2, 1 } }, &(IpAddress[]){ ip_v4(0xc0000201) }[0]));
}

static void test_kinds(void)
{
	const struct {
		const char *text;
		bool link_local, multicast;
	} rows[] = {
		{ "169.254.1.1", true, false }, { "169.253.1.1", false, false }, { "224.0.0.18", false, true }, { "223.0.0.1", false, false },
		{ "fe80::1", true, false },     { "febf::1", true, false },      { "fec0::1", false, false },   { "ff02::12", false, true },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		IpAddress ip = parsed(rows[i].text);

		g_assert_true(ip_is_link_local(&ip) == rows[i].link_local);
		g_assert_true(ip_is_multicast(&ip) == rows[i].multicast);
	}
}

static void test_networks(void)
{
	const struct {
		const char *a, *b;
		guint prefix;
		bool same;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.254", 24, true },    { "192.0.2.1", "192.0.3.1", 24, false },
		{ "192.0.2.1", "192.0.3.1", 23, true },      { "192.0.2.1", "192.0.2.1", 32, true },
		{ "192.0.2.1", "192.0.2.0", 32, false },     { "192.0.2.1", "10.0.0.1", 0, true },
		{ "192.0.2.1", "192.0.2.1", 33, false },     { "192.0.2.1", "::1", 0, false },
		{ "2001:db8::1", "2001:db8::2", 64, true },  { "2001:db8:0:1::1", "2001:db8:0:2::1", 64, false },
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", 62, true }, { "2001:db8::1", "2001:db8::1", 128, true },
		{ "2001:db8::1", "2001:db8::1", 129, false },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		IpAddress a = parsed(rows[i].a), b = parsed(rows[i].b);

		g_assert_true(ip_same_network(&a, &b, rows[i].prefix) == rows[i].same);
	}
}

static void test_network_of(void)
{
	const struct {
		const char *ip;
		guint prefix;
		const char *network;
	} rows[] = {
		{ "192.0.2.77", 24, "192.0.2.0" }, { "192.0.2.77", 26, "192.0.2.64" }, { "192.0.2.77", 32, "192.0.2.77" },
		{ "192.0.2.77", 0, "0.0.0.0" },    { "2001:db8:0:7::1", 63, "2001:db8:0:6::" }, { "2001:db8::1", 128, "2001:db8::1" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		IpAddress ip = parsed(rows[i].ip), network = ip_network(&ip, rows[i].prefix), expected = parsed(rows[i].network);

		g_assert_true(ip_equal(&network, &expected));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ip/text", test_text);
	g_test_add_func("/ip/order", test_order);
	g_test_add_func("/ip/kinds", test_kinds);
	g_test_add_func("/ip/networks", test_networks);
	g_test_add_func("/ip/network-of", test_network_of);
	return g_test_run();
}
