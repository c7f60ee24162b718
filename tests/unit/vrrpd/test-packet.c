/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-packet.c - the wire format: golden packets, every receive check, every truncation. */
#include <string.h>

#include "vrrpd/wire/arp.h"
#include "vrrpd/wire/packet.h"

#define A ip_v4(0xc000020b) /* 192.0.2.11 */
#define B_BYTES { 192, 0, 2, 12 }
#define B ip_v4(0xc000020c)
#define V ip_v4(0xc0000264) /* 192.0.2.100 */

static const VrrpExpect expect_v3 = { .version = 3, .vrid = 51, .own_address = { AF_INET, B_BYTES } };
static const VrrpExpect expect_v2 = { .version = 2, .vrid = 51, .interval_cs = 100, .own_address = { AF_INET, B_BYTES } };

static void assert_ip(IpAddress is, IpAddress expected)
{
	char a[IP_TEXT_SIZE], b[IP_TEXT_SIZE];

	g_assert_cmpstr(ip_text(&is, a), ==, ip_text(&expected, b));
}

static VrrpAdvert advert(guint8 version)
{
	return (VrrpAdvert){ .version = version, .vrid = 51, .priority = 100, .interval_cs = version == 2 ? 100 : 10,
			     .source = A, .destination = ip_v4(VRRP_GROUP_IPV4), .n_addresses = 1, .addresses = { V } };
}

/* Captured from this format's other implementations, checksums computed by hand. */
static void test_golden_v3(void)
{
	static const guint8 wire[] = { 0x45, 0xc0, 0, 32, 0, 0, 0, 0, 255, 112, 0x18, 0x90, 192, 0, 2, 11, 224, 0, 0, 18,
				       0x31, 51, 100, 1, 0, 10, 0xa8, 0x5c, 192, 0, 2, 100 };
	VrrpAdvert from = advert(3), to;
	guint8 packet[VRRP_MAX_PACKET];
	gsize length = vrrp_packet_build(&from, packet);

	g_assert_cmpmem(packet, length, wire, sizeof wire);
	g_assert_cmpuint(vrrp_checksum(packet, 20, 0), ==, 0);
	g_assert_cmpint(vrrp_packet_parse(wire, sizeof wire, &expect_v3, &to), ==, VRRP_DROP_NONE);
	g_assert_cmpuint(to.priority, ==, 100);
	g_assert_cmpuint(to.interval_cs, ==, 10);
	assert_ip(to.addresses[0], V);
	g_assert_false(to.pseudo_header);
}

/* As keepalived 2.2 sends it: 192.0.2.12 to 224.0.0.18, the checksum over the pseudo-header too. */
static void test_golden_v3_pseudo_header(void)
{
	static const guint8 wire[] = { 0x45, 0xc0, 0, 32, 0, 0, 0, 0, 255, 112, 0x18, 0x8f, 192, 0, 2, 12, 224, 0, 0, 18,
				       0x31, 51, 100, 1, 0, 10, 0x05, 0xc1, 192, 0, 2, 100 };
	VrrpExpect expect = expect_v3;
	VrrpAdvert to, from = advert(3);
	guint8 packet[VRRP_MAX_PACKET];

	expect.own_address = A;
	g_assert_cmpint(vrrp_packet_parse(wire, sizeof wire, &expect, &to), ==, VRRP_DROP_NONE);
	g_assert_true(to.pseudo_header);
	from.source = B;
	from.pseudo_header = true;
	g_assert_cmpmem(packet, vrrp_packet_build(&from, packet), wire, sizeof wire);
}

static void test_golden_v2(void)
{
	static const guint8 vrrp[] = { 0x21, 51, 100, 1, 0, 1, 0xb8, 0x65, 192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0 };
	VrrpAdvert from = advert(2), to;
	guint8 packet[VRRP_MAX_PACKET];
	gsize length = vrrp_packet_build(&from, packet);

	g_assert_cmpmem(packet + 20, length - 20, vrrp, sizeof vrrp);
	g_assert_cmpint(vrrp_packet_parse(packet, length, &expect_v2, &to), ==, VRRP_DROP_NONE);
	g_assert_cmpuint(to.interval_cs, ==, 100);
}

static void test_round_trip(void)
{
	for (guint version = 2; version <= 3; version++) {
		for (guint n = 1; n <= VRRP_MAX_ADDRESSES; n++) {
			VrrpAdvert from = advert((guint8)version), to;
			guint8 packet[VRRP_MAX_PACKET];

			from.n_addresses = n;
			for (guint i = 0; i < n; i++)
				from.addresses[i] = ip_v4(g_random_int());
			from.priority = (guint8)g_random_int_range(0, 256);
			g_assert_cmpint(vrrp_packet_parse(packet, vrrp_packet_build(&from, packet), version == 2 ? &expect_v2 : &expect_v3, &to),
					==, VRRP_DROP_NONE);
			g_assert_cmpuint(to.priority, ==, from.priority);
			g_assert_cmpuint(to.n_addresses, ==, n);
			g_assert_cmpmem(to.addresses, n * sizeof(IpAddress), from.addresses, n * sizeof(IpAddress));
		}
	}
}

/* A change of one byte and what it must lead to. Where fix is set the VRRP checksum is made right again. */
typedef struct {
	const char *name;
	guint8 version;
	gsize at;
	guint8 value;
	bool fix;
	VrrpDrop drop;
} Case;

static const Case cases[] = {
	{ "/vrrp/packet/3768-7.1/ttl", 2, 8, 254, false, VRRP_DROP_TTL },
	{ "/vrrp/packet/9568-7.1/ttl", 3, 8, 1, false, VRRP_DROP_TTL },
	{ "/vrrp/packet/3768-7.1/version", 2, 20, 0x31, true, VRRP_DROP_VERSION },
	{ "/vrrp/packet/9568-7.1/version", 3, 20, 0x21, true, VRRP_DROP_VERSION },
	{ "/vrrp/packet/9568-7.1/type", 3, 20, 0x32, true, VRRP_DROP_TYPE },
	{ "/vrrp/packet/3768-7.1/vrid", 2, 21, 52, true, VRRP_DROP_VRID },
	{ "/vrrp/packet/9568-7.1/vrid", 3, 21, 0, true, VRRP_DROP_VRID },
	{ "/vrrp/packet/3768-7.1/checksum", 2, 26, 0, false, VRRP_DROP_CHECKSUM },
	{ "/vrrp/packet/9568-7.1/checksum", 3, 26, 0, false, VRRP_DROP_CHECKSUM },
	{ "/vrrp/packet/9568-7.1/checksum-covers-addresses", 3, 31, 101, false, VRRP_DROP_CHECKSUM },
	{ "/vrrp/packet/3768-7.1/auth", 2, 24, 1, true, VRRP_DROP_AUTH },
	{ "/vrrp/packet/3768-7.1/interval", 2, 25, 2, true, VRRP_DROP_INTERVAL },
	{ "/vrrp/packet/9568-5.2.7/interval-zero", 3, 25, 0, true, VRRP_DROP_INTERVAL },
	{ "/vrrp/packet/9568-5.2.5/count-zero", 3, 23, 0, true, VRRP_DROP_COUNT },
	{ "/vrrp/packet/9568-7.1/count-too-large", 3, 23, 2, true, VRRP_DROP_LENGTH },
	{ "/vrrp/packet/3768-7.1/count-too-large", 2, 23, 4, true, VRRP_DROP_LENGTH },
	{ "/vrrp/packet/destination", 3, 19, 19, false, VRRP_DROP_DESTINATION },
	{ "/vrrp/packet/own-address", 3, 15, 12, false, VRRP_DROP_OWN },
	{ "/vrrp/packet/not-ipv4", 3, 0, 0x65, false, VRRP_DROP_LENGTH },
	{ "/vrrp/packet/ip-header-too-short", 3, 0, 0x44, false, VRRP_DROP_LENGTH },
	{ "/vrrp/packet/ip-length-beyond-packet", 3, 3, 33, false, VRRP_DROP_LENGTH },
	{ "/vrrp/packet/other-protocol", 3, 9, 17, false, VRRP_DROP_LENGTH },
	{ "/vrrp/packet/9568-5.2.6/reserved-bits-ignored", 3, 24, 0xf0, true, VRRP_DROP_NONE },
	{ "/vrrp/packet/9568-7.1/other-interval-accepted", 3, 25, 99, true, VRRP_DROP_NONE },
	{ "/vrrp/packet/priority-zero", 3, 22, 0, true, VRRP_DROP_NONE },
};

static void test_case(gconstpointer data)
{
	const Case *c = data;
	VrrpAdvert from = advert(c->version), to;
	guint8 packet[VRRP_MAX_PACKET];
	gsize length = vrrp_packet_build(&from, packet);

	packet[c->at] = c->value;
	if (c->fix) {
		guint16 sum;

		packet[26] = packet[27] = 0;
		sum = vrrp_checksum(packet + 20, length - 20, 0);
		packet[26] = (guint8)(sum >> 8);
		packet[27] = (guint8)sum;
	}
	g_assert_cmpstr(vrrp_drop_name(vrrp_packet_parse(packet, length, c->version == 2 ? &expect_v2 : &expect_v3, &to)), ==,
			vrrp_drop_name(c->drop));
}

static void test_truncations(void)
{
	for (guint version = 2; version <= 3; version++) {
		VrrpAdvert from = advert((guint8)version), to;
		guint8 packet[VRRP_MAX_PACKET];
		gsize length = vrrp_packet_build(&from, packet);

		for (gsize cut = 0; cut < length; cut++) {
			guint8 *part = g_memdup2(packet, cut); /* so that reading past the end is seen */

			g_assert_cmpint(vrrp_packet_parse(part, cut, version == 2 ? &expect_v2 : &expect_v3, &to), ==, VRRP_DROP_LENGTH);
			if (cut >= 28) { /* the IP length says so too: as a sender would cut it */
				part[3] = (guint8)cut;
				g_assert_cmpint(vrrp_packet_parse(part, cut, version == 2 ? &expect_v2 : &expect_v3, &to), !=,
						VRRP_DROP_NONE);
			}
			g_free(part);
		}
	}
}

/* Link padding after the IP length is no part of the packet. */
static void test_padding(void)
{
	VrrpAdvert from = advert(3), to;
	guint8 packet[VRRP_MAX_PACKET] = { 0 };
	gsize length = vrrp_packet_build(&from, packet);

	memset(packet + length, 0xee, 14);
	g_assert_cmpint(vrrp_packet_parse(packet, length + 14, &expect_v3, &to), ==, VRRP_DROP_NONE);
}

static void test_strangers(void)
{
	const IpAddress peers[] = { ip_v4(0x0a000001), A };
	VrrpExpect expect = expect_v3;
	VrrpAdvert from = advert(3), to;
	guint8 packet[VRRP_MAX_PACKET];
	gsize length = vrrp_packet_build(&from, packet);

	expect.only_peers = true;
	g_assert_cmpint(vrrp_packet_parse(packet, length, &expect, &to), ==, VRRP_DROP_STRANGER);
	assert_ip(to.source, A);
	expect.peers = peers;
	expect.n_peers = 1;
	g_assert_cmpint(vrrp_packet_parse(packet, length, &expect, &to), ==, VRRP_DROP_STRANGER);
	expect.n_peers = 2;
	g_assert_cmpint(vrrp_packet_parse(packet, length, &expect, &to), ==, VRRP_DROP_NONE);
}

static void test_garbage(void)
{
	for (guint i = 0; i < 200000; i++) {
		guint8 packet[80];
		gsize length = (gsize)g_random_int_range(0, sizeof packet);
		VrrpAdvert to;

		for (gsize j = 0; j < length; j++)
			packet[j] = (guint8)g_random_int();
		if (length > 21 && i % 2) {
			packet[0] = 0x45;
			packet[9] = 112;
			packet[2] = 0;
			packet[3] = (guint8)length;
			packet[21] = 51;
		}
		(void)vrrp_packet_parse(packet, length, i % 3 ? &expect_v2 : &expect_v3, &to);
		g_assert_cmpuint(to.n_addresses, <=, VRRP_MAX_ADDRESSES);
	}
}

/* 3768 8.2: gratuitous ARP with the virtual router MAC. */
static void test_arp(void)
{
	static const guint8 wire[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0x5e, 0, 1, 51, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1,
				       0, 0, 0x5e, 0, 1, 51, 192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 192, 0, 2, 100 };
	VrrpArp arp = { .sender = V, .target = V };
	guint8 frame[VRRP_ARP_FRAME];

	vrrp_virtual_mac(51, arp.from);
	g_assert_cmpmem(frame, vrrp_arp_build(&arp, frame), wire, sizeof wire);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/packet/9568-5/golden", test_golden_v3);
	g_test_add_func("/vrrp/packet/5798-5.2.8/golden-pseudo-header", test_golden_v3_pseudo_header);
	g_test_add_func("/vrrp/packet/3768-5/golden", test_golden_v2);
	g_test_add_func("/vrrp/packet/round-trip", test_round_trip);
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		g_test_add_data_func(cases[i].name, &cases[i], test_case);
	g_test_add_func("/vrrp/packet/truncations", test_truncations);
	g_test_add_func("/vrrp/packet/padding", test_padding);
	g_test_add_func("/vrrp/packet/strangers", test_strangers);
	g_test_add_func("/vrrp/packet/garbage", test_garbage);
	g_test_add_func("/vrrp/arp/3768-8.2/gratuitous", test_arp);
	return g_test_run();
}
