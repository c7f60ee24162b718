/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-packet.c - VRRP packets off the wire. What is accepted passes every receive check, judged here anew. */
#include "fuzz.h"
#include "sums.h"
#include "vrrpd/wire/packet.h"

static const IpAddress own = { AF_INET, { 192, 0, 2, 12 } }, peer = { AF_INET, { 192, 0, 2, 11 } }, group = { AF_INET, { 224, 0, 0, 18 } };

static void check_rfc(const uint8_t *data, size_t size, const VrrpExpect *expect, const VrrpAdvert *advert)
{
	g_assert_cmpuint(size, >=, 28);
	guint header = (data[0] & 15) * 4u, total = word(data + 2);
	g_assert_cmpuint(data[0] >> 4, ==, 4);
	g_assert_cmpuint(header, >=, 20);
	g_assert_cmpuint(total, <=, size);
	g_assert_cmpuint(data[8], ==, 255);
	g_assert_cmpuint(data[9], ==, 112);

	const uint8_t *vrrp = data + header;
	guint length = total - header, pseudo = folded(data + 12, 8, 112 + length);
	g_assert_cmpuint(vrrp[0], ==, expect->version << 4 | 1);
	g_assert_cmpuint(vrrp[1], ==, expect->vrid);
	g_assert_cmpuint(vrrp[3], >, 0);
	g_assert_cmpuint(vrrp[3], <=, VRRP_MAX_ADDRESSES);
	g_assert_cmpuint(length, >=, 8 + vrrp[3] * 4u + (expect->version == 2 ? 8 : 0));
	g_assert_cmpuint(folded(vrrp, length, advert->pseudo_header ? pseudo : 0), ==, 0xffff);
	if (expect->version == 2) {
		g_assert_false(advert->pseudo_header);
		g_assert_cmpuint(vrrp[4], ==, 0);
		g_assert_cmpuint(vrrp[5] * 100u, ==, expect->interval_cs);
	} else {
		g_assert_cmpuint(word(vrrp + 4) & 0xfff, >, 0);
	}
	g_assert_cmpuint(advert->priority, ==, vrrp[2]);
	g_assert_cmpuint(advert->n_addresses, ==, vrrp[3]);
	g_assert_true(ip_equal(&advert->destination, &group) || ip_equal(&advert->destination, &own));
	g_assert_false(ip_equal(&advert->source, &own));
	if (expect->only_peers)
		g_assert_true(ip_equal(&advert->source, &peer));
}

/* Whether we would have written this packet ourselves: nothing in it that an advert does not tell. */
static bool is_plain(const uint8_t *data, size_t size, guint version)
{
	static const uint8_t zero[8];
	const uint8_t *vrrp = data + 20;

	if (data[0] != 0x45 || data[1] != 0xc0 || memcmp(data + 4, zero, 4) != 0 || folded(data, 20, 0) != 0xffff ||
	    word(data + 10) == 0xffff || word(data + 2) != size || word(vrrp + 6) == 0xffff)
		return false;
	size_t expected = 28 + vrrp[3] * 4u + (version == 2 ? 8 : 0);
	return size == expected && (version == 2 ? memcmp(data + size - 8, zero, 8) == 0 : vrrp[4] >> 4 == 0);
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
	if (is_plain(data, size, expect->version))
		g_assert_cmpmem(built, length, data, size);
	g_assert_cmpint(vrrp_packet_parse(built, length, expect, &again), ==, VRRP_DROP_NONE);
	g_assert_true(again.version == advert.version && again.vrid == advert.vrid && again.priority == advert.priority &&
		      again.interval_cs == advert.interval_cs && ip_equal(&again.source, &advert.source) &&
		      ip_equal(&again.destination, &advert.destination) && again.n_addresses == advert.n_addresses);
	g_assert_cmpmem(again.addresses, again.n_addresses * sizeof *again.addresses, advert.addresses, advert.n_addresses * sizeof *advert.addresses);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VrrpExpect expect = { .vrid = 51, .interval_cs = 100, .own_address = own, .peers = &peer, .n_peers = 1 };

	for (guint i = 0; i < 4; i++) {
		expect.version = i & 1 ? 2 : 3;
		expect.only_peers = i & 2;
		try(data, size, &expect);
	}
	return 0;
}
