/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-packet6.c - VRRP packets over IPv6. What is accepted passes every receive check, judged here anew. */
#include "fuzz.h"
#include "sums.h"
#include "vrrpd/wire/packet.h"

static const IpAddress own = { AF_INET6, { 0xfe, 0x80, [15] = 0x12 } }, peer = { AF_INET6, { 0xfe, 0x80, [15] = 0x11 } },
		       group = { AF_INET6, { 0xff, 0x02, [15] = 0x12 } };

static void check_rfc(const uint8_t *data, size_t size, const VrrpExpect *expect, const VrrpAdvert *advert)
{
	const uint8_t *vrrp = data + 40;

	g_assert_cmpuint(size, >=, 64);
	guint length = word(data + 4);
	g_assert_cmpuint(data[0] >> 4, ==, 6);
	g_assert_cmpuint(length + 40, <=, size);
	g_assert_cmpuint(data[6], ==, 112);
	g_assert_cmpuint(data[7], ==, 255);
	g_assert_cmpuint(vrrp[0], ==, 0x31);
	g_assert_cmpuint(vrrp[1], ==, expect->vrid);
	g_assert_cmpuint(vrrp[3], >, 0);
	g_assert_cmpuint(vrrp[3], <=, VRRP_MAX_ADDRESSES);
	g_assert_cmpuint(length, >=, 8 + vrrp[3] * 16u);
	g_assert_cmpuint(word(vrrp + 4) & 0xfff, >, 0);
	g_assert_cmpuint(folded(vrrp, length, folded(data + 8, 32, 112 + length)), ==, 0xffff);
	g_assert_false(advert->pseudo_header);
	g_assert_cmpuint(advert->priority, ==, vrrp[2]);
	g_assert_cmpuint(advert->n_addresses, ==, vrrp[3]);
	g_assert_true(ip_equal(&advert->destination, &group) || ip_equal(&advert->destination, &own));
	g_assert_false(ip_equal(&advert->source, &own));
	if (expect->only_peers)
		g_assert_true(ip_equal(&advert->source, &peer));
	for (guint i = 0; i < advert->n_addresses; i++)
		g_assert_cmpmem(advert->addresses[i].bytes, 16, vrrp + 8 + 16 * i, 16);
}

static void try(const uint8_t *data, size_t size, const VrrpExpect *expect)
{
	VrrpAdvert advert, again;
	guint8 built[VRRP_MAX_PACKET];
	VrrpDrop drop = vrrp_packet_parse(data, size, expect, &advert);

	g_assert_cmpstr(vrrp_drop_name(drop), !=, NULL);
	if (drop != VRRP_DROP_NONE)
		return;
	check_rfc(data, size, expect, &advert);

	gsize length = vrrp_packet_build(&advert, built);
	g_assert_cmpuint(length, <=, sizeof built);
	/* Nothing in it that an advert does not tell: then it is what we would have written. */
	if (word(data) == 0x6c00 && word(data + 2) == 0 && size == length && data[44] >> 4 == 0 && word(data + 46) != 0xffff)
		g_assert_cmpmem(built, length, data, size);
	g_assert_cmpint(vrrp_packet_parse(built, length, expect, &again), ==, VRRP_DROP_NONE);
	g_assert_cmpmem(&again, offsetof(VrrpAdvert, addresses) + again.n_addresses * sizeof(IpAddress), &advert,
			offsetof(VrrpAdvert, addresses) + advert.n_addresses * sizeof(IpAddress));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VrrpExpect expect = { .version = 3, .vrid = 51, .own_address = own, .peers = &peer, .n_peers = 1 };

	for (guint i = 0; i < 2; i++) {
		expect.only_peers = i;
		try(data, size, &expect);
	}
	return 0;
}
