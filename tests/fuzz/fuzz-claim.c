/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-claim.c - ARP and neighbour advertisements off the wire. What claims an address is long enough to do so. */
#include "fuzz.h"
#include "vrrpd/wire/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VrrpClaim claim;

	if (!vrrp_claim_parse(data, size, &claim))
		return 0;
	g_assert_true(ip_is_set(&claim.address));
	g_assert_false(claim.address.family == AF_INET6 && ip_is_multicast(&claim.address));
	g_assert_cmpuint(size, >=, claim.address.family == AF_INET6 ? 78 : 42);
	return 0;
}
