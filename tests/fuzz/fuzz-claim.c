/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-claim.c - ARP and neighbour discovery off the wire. What claims an address, or asks for one, is long enough to do so. */
#include "fuzz.h"
#include "vrrpd/wire/claims.h"

static void check(const IpAddress *address, size_t size)
{
	if (!ip_is_set(address))
		return;
	g_assert_false(address->family == AF_INET6 && ip_is_multicast(address));
	g_assert_cmpuint(size, >=, address->family == AF_INET6 ? 78 : 42);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VrrpClaim claim;

	if (!vrrp_claim_parse(data, size, &claim))
		return 0;
	g_assert_true(ip_is_set(&claim.address) || ip_is_set(&claim.asked));
	check(&claim.address, size);
	check(&claim.asked, size);
	return 0;
}
