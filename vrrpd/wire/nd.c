/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/nd.c - neighbour discovery frames, RFC 4861. */
#include "vrrpd/wire/nd.h"

#include <linux/if_ether.h>
#include <string.h>

#include "vrrpd/wire/packet.h"

#define ICMPV6 58
#define SOLICITATION 135
#define ADVERTISEMENT 136
#define ROUTER_AND_OVERRIDE 0xa0
#define SOURCE_LINK_LAYER 1
#define TARGET_LINK_LAYER 2
#define BODY 32 /* type, code, checksum, flags, target, one option */

void vrrp_virtual_mac6(guint8 vrid, guint8 ret_mac[static 6])
{
	const guint8 mac[6] = { 0x00, 0x00, 0x5e, 0x00, 0x02, vrid };

	memcpy(ret_mac, mac, 6);
}

static gsize build(const guint8 from[static 6], const guint8 source[static 16], const guint8 group[static 16], guint8 type, guint8 flags,
		   const IpAddress *target, guint8 option, guint8 ret_frame[static VRRP_ND_FRAME])
{
	guint8 *ip = ret_frame + 14, *icmp = ip + VRRP_IPV6_HEADER;
	guint32 pseudo = ICMPV6 + BODY;
	guint16 sum;

	memset(ret_frame, 0, VRRP_ND_FRAME);
	/* RFC 2464 7: 33:33 and the group's last four bytes. */
	ret_frame[0] = ret_frame[1] = 0x33;
	memcpy(ret_frame + 2, group + 12, 4);
	memcpy(ret_frame + 6, from, 6);
	ret_frame[12] = 0x86;
	ret_frame[13] = 0xdd;
	ip[0] = 0x60;
	ip[5] = BODY;
	ip[6] = ICMPV6;
	ip[7] = 255;
	memcpy(ip + 8, source, 16);
	memcpy(ip + 24, group, 16);
	icmp[0] = type;
	icmp[4] = flags;
	memcpy(icmp + 8, target->bytes, 16);
	icmp[24] = option;
	icmp[25] = 1; /* in units of eight bytes */
	memcpy(icmp + 26, from, 6);
	for (guint i = 0; i < 16; i += 2)
		pseudo += (guint32)(source[i] << 8 | source[i + 1]) + (guint32)(group[i] << 8 | group[i + 1]);
	sum = vrrp_checksum(icmp, BODY, pseudo);
	icmp[2] = (guint8)(sum >> 8);
	icmp[3] = (guint8)sum;
	return VRRP_ND_FRAME;
}

gsize vrrp_nd_advertisement_build(const guint8 mac[static 6], const IpAddress *target, guint8 ret_frame[static VRRP_ND_FRAME])
{
	static const guint8 all_nodes[16] = { 0xff, 2, [15] = 1 };

	return build(mac, target->bytes, all_nodes, ADVERTISEMENT, ROUTER_AND_OVERRIDE, target, TARGET_LINK_LAYER, ret_frame);
}

gsize vrrp_nd_solicitation_build(const guint8 mac[static 6], const IpAddress *source, const IpAddress *target,
				 guint8 ret_frame[static VRRP_ND_FRAME])
{
	/* The target's solicited-node group. */
	guint8 group[16] = { 0xff, 2, [11] = 1, 0xff };

	memcpy(group + 13, target->bytes + 13, 3);
	return build(mac, source->bytes, group, SOLICITATION, 0, target, SOURCE_LINK_LAYER, ret_frame);
}

bool vrrp_nd_advertise(VrrpEther *ether, int index, const guint8 mac[static 6], const IpAddress *target)
{
	guint8 frame[VRRP_ND_FRAME];

	return vrrp_ether_frame(ether, index, ETH_P_IPV6, frame, vrrp_nd_advertisement_build(mac, target, frame));
}

bool vrrp_nd_solicit(VrrpEther *ether, int index, const guint8 mac[static 6], const IpAddress *source, const IpAddress *target)
{
	guint8 frame[VRRP_ND_FRAME];

	return vrrp_ether_frame(ether, index, ETH_P_IPV6, frame, vrrp_nd_solicitation_build(mac, source, target, frame));
}
