/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-ipv6.c - the wire format over IPv6, its receive checks and truncations, and neighbour discovery's frames. */
#include <string.h>

#include "settings/settings.h"
#include "vrrpd/wire/nd.h"
#include "vrrpd/wire/packet.h"

#define VRRP VRRP_IPV6_HEADER

/* From fe80::11 to ff02::12, group 51, priority 100, 100 ms: fe80::200:5eff:fe00:233 and 2001:db8::100. */
static const guint8 golden[] = {
	0x6c, 0, 0, 0, 0, 40, 112, 255, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12,
	0x31, 51, 100, 2, 0, 10, 0xde, 0x13, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0x5e, 0xff, 0xfe, 0, 2, 51,
	0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
};

static IpAddress ip(const char *text)
{
	IpAddress address;

	g_assert_true(ip_parse(text, &address));
	return address;
}

static VrrpExpect expect(void)
{
	return (VrrpExpect){ .version = 3, .vrid = 51, .own_address = ip("fe80::12") };
}

static VrrpAdvert advert(void)
{
	return (VrrpAdvert){ .version = 3, .vrid = 51, .priority = 100, .interval_cs = 10, .source = ip("fe80::11"),
			     .destination = vrrp_group_address(AF_INET6), .n_addresses = 2,
			     .addresses = { ip("fe80::200:5eff:fe00:233"), ip("2001:db8::100") } };
}

static void test_golden(void)
{
	VrrpExpect expected = expect();
	VrrpAdvert from = advert(), to;
	guint8 packet[VRRP_MAX_PACKET];

	g_assert_cmpmem(packet, vrrp_packet_build(&from, packet), golden, sizeof golden);
	g_assert_cmpint(vrrp_packet_parse(golden, sizeof golden, &expected, &to), ==, VRRP_DROP_NONE);
	g_assert_cmpuint(to.priority, ==, 100);
	g_assert_cmpuint(to.interval_cs, ==, 10);
	g_assert_cmpuint(to.n_addresses, ==, 2);
	g_assert_true(ip_equal(&to.source, &from.source) && ip_equal(&to.destination, &from.destination));
	g_assert_true(ip_equal(&to.addresses[0], &from.addresses[0]) && ip_equal(&to.addresses[1], &from.addresses[1]));
	g_assert_false(to.pseudo_header);
}

static void test_round_trip(void)
{
	VrrpExpect expected = expect();

	for (guint n = 1; n <= VRRP_MAX_ADDRESSES; n++) {
		VrrpAdvert from = advert(), to;
		guint8 packet[VRRP_MAX_PACKET];

		from.n_addresses = n;
		for (guint i = 0; i < n; i++) {
			guint8 bytes[16];

			for (guint j = 0; j < 16; j++)
				bytes[j] = (guint8)g_random_int();
			from.addresses[i] = ip_v6(bytes);
		}
		from.priority = (guint8)g_random_int_range(0, 256);
		g_assert_cmpint(vrrp_packet_parse(packet, vrrp_packet_build(&from, packet), &expected, &to), ==, VRRP_DROP_NONE);
		g_assert_cmpuint(to.priority, ==, from.priority);
		g_assert_cmpuint(to.n_addresses, ==, n);
		g_assert_cmpmem(to.addresses, n * sizeof(IpAddress), from.addresses, n * sizeof(IpAddress));
	}
}

static void put_checksum(guint8 *packet, gsize length)
{
	guint32 pseudo = VRRP_IP_PROTOCOL + (guint32)(length - VRRP);
	guint16 sum;

	for (guint i = 8; i < VRRP; i += 2)
		pseudo += (guint32)(packet[i] << 8 | packet[i + 1]);
	packet[VRRP + 6] = packet[VRRP + 7] = 0;
	sum = vrrp_checksum(packet + VRRP, length - VRRP, pseudo);
	packet[VRRP + 6] = (guint8)(sum >> 8);
	packet[VRRP + 7] = (guint8)sum;
}

/* One byte changed, and what it must lead to. Where fix is set the checksum is made right again. */
typedef struct {
	const char *name;
	gsize at;
	guint8 value;
	bool fix;
	VrrpDrop drop;
} Case;

static const Case cases[] = {
	{ "/vrrp/ipv6/5798-7.1/hop-limit", 7, 254, false, VRRP_DROP_TTL },
	{ "/vrrp/ipv6/5798-7.1/hop-limit-zero", 7, 0, false, VRRP_DROP_TTL },
	{ "/vrrp/ipv6/5798-7.1/version", VRRP, 0x21, true, VRRP_DROP_VERSION },
	{ "/vrrp/ipv6/5798-7.1/type", VRRP, 0x33, true, VRRP_DROP_TYPE },
	{ "/vrrp/ipv6/5798-7.1/vrid", VRRP + 1, 52, true, VRRP_DROP_VRID },
	{ "/vrrp/ipv6/5798-7.1/checksum", VRRP + 7, 0x14, false, VRRP_DROP_CHECKSUM },
	{ "/vrrp/ipv6/5798-5.2.8/checksum-covers-source", 23, 0x13, false, VRRP_DROP_CHECKSUM },
	{ "/vrrp/ipv6/5798-5.2.8/checksum-covers-destination", 39, 0x11, false, VRRP_DROP_CHECKSUM },
	{ "/vrrp/ipv6/5798-5.2.8/checksum-covers-addresses", sizeof golden - 1, 1, false, VRRP_DROP_CHECKSUM },
	{ "/vrrp/ipv6/5798-5.2.7/interval-zero", VRRP + 5, 0, true, VRRP_DROP_INTERVAL },
	{ "/vrrp/ipv6/5798-5.2.5/count-zero", VRRP + 3, 0, true, VRRP_DROP_COUNT },
	{ "/vrrp/ipv6/5798-7.1/count-too-large", VRRP + 3, 3, true, VRRP_DROP_LENGTH },
	{ "/vrrp/ipv6/9568-7.1/first-address-not-link-local", VRRP + 8, 0x20, true, VRRP_DROP_NONE },
	{ "/vrrp/ipv6/destination", 39, 0x11, true, VRRP_DROP_DESTINATION },
	{ "/vrrp/ipv6/own-address", 23, 0x12, true, VRRP_DROP_OWN },
	{ "/vrrp/ipv6/not-ipv6", 0, 0x45, false, VRRP_DROP_LENGTH },
	{ "/vrrp/ipv6/length-beyond-packet", 5, 41, false, VRRP_DROP_LENGTH },
	{ "/vrrp/ipv6/length-too-small", 5, 7, false, VRRP_DROP_LENGTH },
	{ "/vrrp/ipv6/other-protocol", 6, 17, false, VRRP_DROP_LENGTH },
	{ "/vrrp/ipv6/5798-5.2.6/reserved-bits-ignored", VRRP + 4, 0xf0, true, VRRP_DROP_NONE },
	{ "/vrrp/ipv6/5798-7.1/other-interval-accepted", VRRP + 5, 99, true, VRRP_DROP_NONE },
	{ "/vrrp/ipv6/priority-zero", VRRP + 2, 0, true, VRRP_DROP_NONE },
	{ "/vrrp/ipv6/traffic-class-and-flow", 1, 0x0f, false, VRRP_DROP_NONE },
};

static void test_case(gconstpointer data)
{
	const Case *c = data;
	VrrpExpect expected = expect();
	guint8 packet[sizeof golden];
	VrrpAdvert to;

	memcpy(packet, golden, sizeof golden);
	packet[c->at] = c->value;
	if (c->fix)
		put_checksum(packet, sizeof packet);
	g_assert_cmpstr(vrrp_drop_name(vrrp_packet_parse(packet, sizeof packet, &expected, &to)), ==, vrrp_drop_name(c->drop));
}

/* 5798 5.2.8: over IPv6 there is no way without the pseudo-header, whatever the setting for IPv4 says. */
static void test_checksum_setting(void)
{
	for (VrrpChecksum checksum = VRRP_CHECKSUM_AUTO; checksum <= VRRP_CHECKSUM_PSEUDO_HEADER; checksum++) {
		VrrpExpect expected = expect();
		guint8 packet[sizeof golden];
		guint16 sum;
		VrrpAdvert to;

		expected.checksum = checksum;
		memcpy(packet, golden, sizeof golden);
		g_assert_cmpint(vrrp_packet_parse(packet, sizeof packet, &expected, &to), ==, VRRP_DROP_NONE);
		packet[VRRP + 6] = packet[VRRP + 7] = 0;
		sum = vrrp_checksum(packet + VRRP, sizeof packet - VRRP, 0);
		packet[VRRP + 6] = (guint8)(sum >> 8);
		packet[VRRP + 7] = (guint8)sum;
		g_assert_cmpint(vrrp_packet_parse(packet, sizeof packet, &expected, &to), ==, VRRP_DROP_CHECKSUM);
	}
}

/* 9568 5.2.8 for IPv4: each setting against each form. */
static void test_checksum_setting_ipv4(void)
{
	static const VrrpDrop drops[][2] = {
		[VRRP_CHECKSUM_AUTO] = { VRRP_DROP_NONE, VRRP_DROP_NONE },
		[VRRP_CHECKSUM_RFC] = { VRRP_DROP_NONE, VRRP_DROP_CHECKSUM },
		[VRRP_CHECKSUM_PSEUDO_HEADER] = { VRRP_DROP_CHECKSUM, VRRP_DROP_NONE },
	};

	for (guint checksum = 0; checksum < G_N_ELEMENTS(drops); checksum++) {
		for (guint pseudo = 0; pseudo < 2; pseudo++) {
			VrrpExpect expected = { .version = 3, .vrid = 51, .own_address = ip("192.0.2.12"), .checksum = (VrrpChecksum)checksum };
			VrrpAdvert from = { .version = 3, .vrid = 51, .priority = 100, .interval_cs = 10, .source = ip("192.0.2.11"),
					    .destination = vrrp_group_address(AF_INET), .pseudo_header = pseudo, .n_addresses = 1,
					    .addresses = { ip("192.0.2.100") } };
			VrrpAdvert to;
			guint8 packet[VRRP_MAX_PACKET];
			gsize length = vrrp_packet_build(&from, packet);

			g_assert_cmpint(vrrp_packet_parse(packet, length, &expected, &to), ==, drops[checksum][pseudo]);
			if (drops[checksum][pseudo] == VRRP_DROP_NONE)
				g_assert_cmpint(to.pseudo_header, ==, pseudo);
		}
	}
}

static void test_truncations(void)
{
	VrrpExpect expected = expect();
	VrrpAdvert to;

	for (gsize cut = 0; cut < sizeof golden; cut++) {
		guint8 *part = g_memdup2(golden, cut); /* so that reading past the end is seen */

		g_assert_cmpint(vrrp_packet_parse(part, cut, &expected, &to), ==, VRRP_DROP_LENGTH);
		if (cut >= VRRP + 8) { /* the IP length says so too: as a sender would cut it */
			part[5] = (guint8)(cut - VRRP);
			g_assert_cmpint(vrrp_packet_parse(part, cut, &expected, &to), ==, VRRP_DROP_LENGTH);
		}
		g_free(part);
	}
}

/* Neither family takes the other's packet. */
static void test_families_apart(void)
{
	VrrpExpect ipv4 = { .version = 3, .vrid = 51, .own_address = ip("192.0.2.12") }, ipv6 = expect();
	VrrpAdvert from = { .version = 3, .vrid = 51, .priority = 1, .interval_cs = 10, .source = ip("192.0.2.11"),
			    .destination = ip("224.0.0.18"), .n_addresses = 1, .addresses = { ip("192.0.2.100") } };
	guint8 packet[VRRP_MAX_PACKET];
	VrrpAdvert to;

	g_assert_cmpint(vrrp_packet_parse(golden, sizeof golden, &ipv4, &to), ==, VRRP_DROP_LENGTH);
	g_assert_cmpint(vrrp_packet_parse(packet, vrrp_packet_build(&from, packet), &ipv6, &to), ==, VRRP_DROP_LENGTH);
}

static void test_strangers(void)
{
	const IpAddress peers[] = { ip("fe80::99"), ip("fe80::11") };
	VrrpExpect expected = expect();
	VrrpAdvert to;

	expected.only_peers = true;
	g_assert_cmpint(vrrp_packet_parse(golden, sizeof golden, &expected, &to), ==, VRRP_DROP_STRANGER);
	expected.peers = peers;
	expected.n_peers = 1;
	g_assert_cmpint(vrrp_packet_parse(golden, sizeof golden, &expected, &to), ==, VRRP_DROP_STRANGER);
	g_assert_true(ip_equal(&to.source, &peers[1]));
	expected.n_peers = 2;
	g_assert_cmpint(vrrp_packet_parse(golden, sizeof golden, &expected, &to), ==, VRRP_DROP_NONE);
}

static void test_garbage(void)
{
	VrrpExpect expected = expect();

	for (guint i = 0; i < 200000; i++) {
		guint8 packet[160];
		gsize length = (gsize)g_random_int_range(0, sizeof packet);
		VrrpAdvert to;

		for (gsize j = 0; j < length; j++)
			packet[j] = (guint8)g_random_int();
		if (length > VRRP + 8 && i % 2) {
			memcpy(packet, golden, VRRP + 2);
			packet[5] = (guint8)(length - VRRP);
			if (i % 4 == 1)
				put_checksum(packet, length);
		}
		(void)vrrp_packet_parse(packet, length, &expected, &to);
		g_assert_cmpuint(to.n_addresses, <=, VRRP_MAX_ADDRESSES);
	}
}

/* ---- Neighbour discovery ---- */

static void test_advertisement(void)
{
	static const guint8 wire[] = {
		0x33, 0x33, 0, 0, 0, 1, 0, 0, 0x5e, 0, 2, 51, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255,
		0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		136, 0, 0x18, 0xfa, 0xa0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0, 0, 0x5e, 0, 2, 51,
	};
	guint8 frame[VRRP_ND_FRAME], mac[6];
	IpAddress target = ip("2001:db8::100");

	vrrp_virtual_mac6(51, mac);
	g_assert_cmpmem(frame, vrrp_nd_advertisement_build(mac, &target, frame), wire, sizeof wire);
}

static void test_solicitation(void)
{
	static const guint8 wire[] = {
		0x33, 0x33, 0xff, 0, 0, 0x50, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255,
		0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0x50,
		135, 0, 0x4a, 0xb3, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 1, 1, 2, 0, 0, 0, 0, 1,
	};
	static const guint8 mac[6] = { 2, 0, 0, 0, 0, 1 };
	guint8 frame[VRRP_ND_FRAME];
	IpAddress source = ip("fe80::11"), target = ip("2001:db8::50");

	g_assert_cmpmem(frame, vrrp_nd_solicitation_build(mac, &source, &target, frame), wire, sizeof wire);
}

static void test_virtual_link_local(void)
{
	IpAddress derived = settings_derived_link_local(&(Settings){ .group_id = 51 }), expected = ip("fe80::200:5eff:fe00:233");

	g_assert_true(ip_equal(&derived, &expected));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/ipv6/5798-5/golden", test_golden);
	g_test_add_func("/vrrp/ipv6/round-trip", test_round_trip);
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		g_test_add_data_func(cases[i].name, &cases[i], test_case);
	g_test_add_func("/vrrp/ipv6/5798-5.2.8/checksum-setting", test_checksum_setting);
	g_test_add_func("/vrrp/packet/9568-5.2.8/checksum-setting", test_checksum_setting_ipv4);
	g_test_add_func("/vrrp/ipv6/truncations", test_truncations);
	g_test_add_func("/vrrp/ipv6/families-apart", test_families_apart);
	g_test_add_func("/vrrp/ipv6/strangers", test_strangers);
	g_test_add_func("/vrrp/ipv6/garbage", test_garbage);
	g_test_add_func("/vrrp/nd/9568-6.4.1/unsolicited-advertisement", test_advertisement);
	g_test_add_func("/vrrp/nd/4861-4.3/solicitation", test_solicitation);
	g_test_add_func("/vrrp/nd/9568-7.3/virtual-mac-and-link-local", test_virtual_link_local);
	return g_test_run();
}
