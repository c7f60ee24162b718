/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-member.c - which virtual routers the settings make, as a table. */
#include <string.h>

#include "vrrpd/rules/member.h"

static const char device[] =
	"[device]\nid=a\n"
	"[interface lan]\ndevice=eth0\naddress=192.0.2.11/24\naddress6=2001:db8::11/64\n"
	"[interface wan]\ndevice=eth1\naddress=203.0.113.11/24\n"
	"[interface peer]\ndevice=eth2\naddress=10.0.0.1/30\n";

/* One word a member: path, "!" when it elects, "+" when it advertises, its interface, its addresses, its number of routes and what they go
 * from. */
static char *describe(const GPtrArray *members)
{
	GString *text = g_string_new("");

	for (guint i = 0; i < members->len; i++) {
		const VrrpMember *member = members->pdata[i];

		g_string_append_printf(text, "%s%s%s%s %s %s", i ? "; " : "", member->path, member->elects ? "!" : "",
				       member->advertises ? "+" : "", member->device, member->virtual_device);
		for (guint j = 0; j < member->addresses->len; j++)
			g_string_append_printf(text, " %s", g_array_index(member->addresses, VrrpMemberAddress, j).text);
		if (member->routes->len) {
			char ip[IP_TEXT_SIZE];

			g_string_append_printf(text, " routes=%u", member->routes->len);
			if (ip_is_set(&member->source))
				g_string_append_printf(text, " from %s", ip_text(&member->source, ip));
		}
	}
	return g_string_free(text, FALSE);
}

typedef struct {
	const char *name;
	const char *pair;
	const char *members;
} Case;

#define LAN "[group lan]\ninterface=lan\nelects=true\n"
#define WAN "[group wan]\ninterface=wan\n"
#define DERIVED "fe80::200:5eff:fe00:233/64"

static const Case cases[] = {
	{ "ipv4", LAN "addresses=192.0.2.100/24\n", "lan!+ eth0 vrrp51.0 192.0.2.100/24" },
	{ "both-families", LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n",
	  "lan!+ eth0 vrrp51.0 192.0.2.100/24; lan-ipv6+ eth0 vrrp51.0v6 " DERIVED " 2001:db8::100/64" },
	{ "ipv6-elects", "family=ipv6\n" LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n",
	  "lan-ipv4+ eth0 vrrp51.0 192.0.2.100/24; lan!+ eth0 vrrp51.0v6 " DERIVED " 2001:db8::100/64" },
	{ "ipv6-alone", LAN "addresses=2001:db8::100/64\n", "lan!+ eth0 vrrp51.0v6 " DERIVED " 2001:db8::100/64" },
	{ "link-local-named-goes-first", LAN "addresses=2001:db8::100/64, fe80::5/64\n",
	  "lan!+ eth0 vrrp51.0v6 fe80::5/64 2001:db8::100/64" },
	{ "two-link-locals-keep-their-order", LAN "addresses=2001:db8::100/64, fe80::5/64, fe80::4/64\n",
	  "lan!+ eth0 vrrp51.0v6 fe80::5/64 2001:db8::100/64 fe80::4/64" },
	{ "follower-is-silent", LAN "addresses=192.0.2.100/24\n" WAN "addresses=203.0.113.10/24\nroutes=default via 203.0.113.1\n",
	  "lan!+ eth0 vrrp51.0 192.0.2.100/24; wan-ipv4 eth1 vrrp51.1 203.0.113.10/24 routes=1 from 203.0.113.10" },
	{ "follower-advertises", LAN "addresses=192.0.2.100/24\n" WAN "adverts=true\naddresses=203.0.113.10/24, 2001:db8:1::10/64\n",
	  "lan!+ eth0 vrrp51.0 192.0.2.100/24; wan-ipv4+ eth1 vrrp51.1 203.0.113.10/24; "
	  "wan-ipv6+ eth1 vrrp51.1v6 " DERIVED " 2001:db8:1::10/64" },
	{ "routes-by-family", LAN "addresses=192.0.2.100/24\nroutes=default via fe80::1, 198.51.100.0/24 via 192.0.2.1\n",
	  "lan!+ eth0 vrrp51.0 192.0.2.100/24 routes=1 from 192.0.2.100; lan-ipv6 eth0 eth0 routes=1 from 2001:db8::11" },
	{ "routes-alone-go-as-the-device", LAN "addresses=192.0.2.100/24\n" WAN "routes=default via 203.0.113.1, 2001:db8:5::/48 via fe80::1\n",
	  "lan!+ eth0 vrrp51.0 192.0.2.100/24; wan-ipv4 eth1 eth1 routes=1 from 203.0.113.11; wan-ipv6 eth1 eth1 routes=1" },
	{ "routes-alone-beside-another-groups-address", "[group gate]\ninterface=lan\nroutes=default via 192.0.2.1\n" LAN "addresses=192.0.2.100/24\n",
	  "lan-ipv4 eth0 vrrp51.0 routes=1 from 192.0.2.100; lan!+ eth0 vrrp51.0 192.0.2.100/24" },
	{ "version-2-has-no-ipv6", "vrrp-version=2\nadvert-interval-ms=1000\n" LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n",
	  "lan!+ eth0 vrrp51.0 192.0.2.100/24; lan-ipv6 eth0 vrrp51.0v6 " DERIVED " 2001:db8::100/64" },
	{ "groups-on-one-interface-share-it", LAN "addresses=192.0.2.100/24\n[group more]\ninterface=lan\naddresses=192.0.2.101/24\n",
	  "lan!+ eth0 vrrp51.0 192.0.2.100/24; lan-ipv4 eth0 vrrp51.0 192.0.2.101/24" },
	{ "without-virtual-mac", "virtual-mac=false\n" LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n",
	  "lan!+ eth0 eth0 192.0.2.100/24; lan-ipv6+ eth0 eth0 " DERIVED " 2001:db8::100/64" },
};

static GPtrArray *members_of(const char *pair_text)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *pair = g_strconcat("[pair]\ngroup-id=51\n", pair_text, NULL);
	const char *none[] = { NULL };
	g_autoptr(Settings) settings = settings_parse(device, pair, none, none, &error);

	g_assert_no_error(error);
	return vrrp_members_new(settings);
}

static void test_case(gconstpointer data)
{
	const Case *c = data;
	g_autoptr(GPtrArray) members = members_of(c->pair);
	g_autofree char *text = describe(members);

	g_assert_cmpstr(text, ==, c->members);
	g_assert_nonnull(vrrp_members_elector(members));
}

static void test_macs(void)
{
	static const guint8 mac4[] = { 0, 0, 0x5e, 0, 1, 51 }, mac6[] = { 0, 0, 0x5e, 0, 2, 51 };
	g_autoptr(GPtrArray) members = members_of(LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n");

	g_assert_cmpmem(((VrrpMember *)members->pdata[0])->virtual_mac, 6, mac4, 6);
	g_assert_cmpmem(((VrrpMember *)members->pdata[1])->virtual_mac, 6, mac6, 6);
}

static void test_routes(void)
{
	g_autoptr(GPtrArray) members =
		members_of(LAN "addresses=192.0.2.100/24\nroutes=default via 192.0.2.1, 198.51.100.0/25 via 192.0.2.2\n");
	const GArray *routes = ((VrrpMember *)members->pdata[0])->routes;
	const VrrpMemberRoute *route = &g_array_index(routes, VrrpMemberRoute, 0);
	char text[IP_TEXT_SIZE];

	g_assert_false(ip_is_set(&route[0].destination));
	g_assert_cmpstr(ip_text(&route[0].gateway, text), ==, "192.0.2.1");
	g_assert_cmpstr(ip_text(&route[1].destination, text), ==, "198.51.100.0");
	g_assert_cmpuint(route[1].prefix, ==, 25);
}

static void test_same_paths(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ LAN "addresses=192.0.2.100/24\n", LAN "addresses=192.0.2.101/24, 192.0.2.102/24\n", true },
		{ LAN "addresses=192.0.2.100/24\n", LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n", false },
		{ LAN "addresses=192.0.2.100/24\n" WAN "addresses=203.0.113.10/24\n",
		  LAN "addresses=192.0.2.100/24\n" WAN "adverts=true\naddresses=203.0.113.10/24\n", false },
		{ LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n", "family=ipv6\n" LAN "addresses=192.0.2.100/24, 2001:db8::100/64\n", false },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GPtrArray) a = members_of(rows[i].a);
		g_autoptr(GPtrArray) b = members_of(rows[i].b);

		g_assert_cmpint(vrrp_members_same_paths(a, b), ==, rows[i].same);
		g_assert_cmpint(vrrp_members_same_paths(b, a), ==, rows[i].same);
	}
}

static void test_have(void)
{
	g_autoptr(GPtrArray) members = members_of(LAN "addresses=2001:db8::100/64\n");
	IpAddress ip;

	g_assert_true(ip_parse("fe80::200:5eff:fe00:233", &ip) && vrrp_members_have(members, &ip));
	g_assert_true(ip_parse("2001:db8::100", &ip) && vrrp_members_have(members, &ip));
	g_assert_true(ip_parse("2001:db8::101", &ip) && !vrrp_members_have(members, &ip));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *path = g_strconcat("/vrrp/member/", cases[i].name, NULL);

		g_test_add_data_func(path, &cases[i], test_case);
	}
	g_test_add_func("/vrrp/member/9568-7.3/virtual-mac", test_macs);
	g_test_add_func("/vrrp/member/routes", test_routes);
	g_test_add_func("/vrrp/member/same-paths", test_same_paths);
	g_test_add_func("/vrrp/member/have", test_have);
	return g_test_run();
}
