/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-claims.c - what claims an address, and what does not. */
#include <glib.h>
#include <string.h>

#include "vrrpd/wire/arp.h"
#include "vrrpd/wire/claims.h"
#include "vrrpd/wire/nd.h"

static const guint8 MAC[6] = { 0x02, 0, 0, 0, 0xaa, 0x01 };

static IpAddress ip(const char *text)
{
	IpAddress address;

	g_assert_true(ip_parse(text, &address));
	return address;
}

static void assert_claim(const guint8 *frame, gsize length, const char *address)
{
	VrrpClaim claim;
	IpAddress expected = ip(address);

	g_assert_true(vrrp_claim_parse(frame, length, &claim));
	g_assert_true(ip_equal(&claim.address, &expected));
	g_assert_false(claim.twin);
	g_assert_cmpmem(claim.mac, 6, MAC, 6);
	/* Cut anywhere before its end it claims nothing, and nothing behind the end is read. */
	for (gsize cut = 0; cut < length; cut++) {
		g_autofree guint8 *copy = g_memdup2(frame, cut);

		if (vrrp_claim_parse(copy, cut, &claim))
			g_assert_cmpuint(cut, >=, 78); /* an advertisement without its option */
	}
}

static void test_arp(void)
{
	guint8 frame[VRRP_ARP_FRAME];
	VrrpArp arp = { .sender = ip("192.0.2.100"), .target = ip("192.0.2.50") };
	VrrpClaim claim;

	memcpy(arp.from, MAC, 6);
	assert_claim(frame, vrrp_arp_build(&arp, frame), "192.0.2.100");
	frame[21] = 2;
	assert_claim(frame, sizeof frame, "192.0.2.100");
	frame[21] = 3;
	g_assert_false(vrrp_claim_parse(frame, sizeof frame, &claim));
	frame[21] = 1;
	for (gsize at = 14; at < 21; at++) {
		frame[at] ^= 0x40;
		g_assert_false(vrrp_claim_parse(frame, sizeof frame, &claim));
		frame[at] ^= 0x40;
	}
}

static void assert_asks(const guint8 *frame, gsize length, const char *asked, const char *address)
{
	VrrpClaim claim;
	IpAddress expected = ip(asked), own = address ? ip(address) : (IpAddress){ 0 };

	g_assert_true(vrrp_claim_parse(frame, length, &claim));
	g_assert_true(ip_equal(&claim.asked, &expected));
	g_assert_true(ip_equal(&claim.address, &own));
	g_assert_false(claim.announced);
}

static void test_announced(void)
{
	guint8 frame[VRRP_ND_FRAME];
	VrrpArp arp = { .sender = ip("192.0.2.100"), .target = ip("192.0.2.100") };
	IpAddress target = ip("2001:db8::100");
	VrrpClaim claim;

	memcpy(arp.from, MAC, 6);
	g_assert_true(vrrp_claim_parse(frame, vrrp_arp_build(&arp, frame), &claim));
	g_assert_true(claim.announced && ip_is_set(&claim.address) && !ip_is_set(&claim.asked));
	arp.target = ip("192.0.2.50");
	g_assert_true(vrrp_claim_parse(frame, vrrp_arp_build(&arp, frame), &claim));
	g_assert_false(claim.announced);
	frame[21] = 2; /* an answer to somebody asks for nobody */
	g_assert_true(vrrp_claim_parse(frame, VRRP_ARP_FRAME, &claim));
	g_assert_false(claim.announced || ip_is_set(&claim.asked));

	g_assert_true(vrrp_claim_parse(frame, vrrp_nd_advertisement_build(MAC, &target, frame), &claim));
	g_assert_true(claim.announced);
	frame[14 + 40 + 4] |= 0x40; /* somebody has asked */
	g_assert_true(vrrp_claim_parse(frame, sizeof frame, &claim));
	g_assert_false(claim.announced);
}

static void test_advertisement(void)
{
	guint8 frame[VRRP_ND_FRAME];
	IpAddress target = ip("2001:db8::100");
	VrrpClaim claim;

	assert_claim(frame, vrrp_nd_advertisement_build(MAC, &target, frame), "2001:db8::100");
	frame[14 + 7] = 64; /* from beyond a router */
	g_assert_false(vrrp_claim_parse(frame, sizeof frame, &claim));
	frame[14 + 7] = 255;
	frame[14 + 40 + 24 + 1] = 0; /* an option of no length */
	g_assert_false(vrrp_claim_parse(frame, sizeof frame, &claim));
}

static void test_question(void)
{
	guint8 frame[VRRP_ND_FRAME];
	VrrpArp arp = { .sender = ip("192.0.2.50"), .target = ip("192.0.2.100") };
	IpAddress source = ip("fe80::1"), target = ip("2001:db8::100");

	memcpy(arp.from, MAC, 6);
	assert_asks(frame, vrrp_nd_solicitation_build(MAC, &source, &target, frame), "2001:db8::100", NULL);
	assert_asks(frame, vrrp_arp_build(&arp, frame), "192.0.2.100", "192.0.2.50");
	arp.sender = (IpAddress){ 0 };
	assert_asks(frame, vrrp_arp_build(&arp, frame), "192.0.2.100", NULL); /* from nobody */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/claims/arp", test_arp);
	g_test_add_func("/claims/advertisement", test_advertisement);
	g_test_add_func("/claims/announced", test_announced);
	g_test_add_func("/claims/question", test_question);
	return g_test_run();
}
