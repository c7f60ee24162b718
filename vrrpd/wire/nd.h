/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/nd.h - neighbour discovery that the kernel would not do for us: unsolicited advertisements, and questions whether a neighbour is there.
 *
 * The IPv6 side of arp.h, sent by the same packet socket.
 */
#pragma once

#include "vrrpd/wire/arp.h"

#define VRRP_ND_FRAME 86 /* Ethernet 14, IPv6 40, ICMPv6 24, one option 8 */

/* ---- Pure ---- */

/* 9568 6.4.1 (7): to all nodes, Router and Override set, Solicited clear, the target's link-layer address is @mac. Returns its length. */
gsize vrrp_nd_advertisement_build(const guint8 mac[static 6], const IpAddress *target, guint8 ret_frame[static VRRP_ND_FRAME]);

/* RFC 4861 4.3: who asks for @target is @source at @mac. Returns its length. */
gsize vrrp_nd_solicitation_build(const guint8 mac[static 6], const IpAddress *source, const IpAddress *target,
				 guint8 ret_frame[static VRRP_ND_FRAME]);

/* 00:00:5e:00:02:VRID. */
void vrrp_virtual_mac6(guint8 vrid, guint8 ret_mac[static 6]);

/* ---- Sending ---- */
bool vrrp_nd_advertise(VrrpEther *ether, int index, const guint8 mac[static 6], const IpAddress *target);
bool vrrp_nd_solicit(VrrpEther *ether, int index, const guint8 mac[static 6], const IpAddress *source, const IpAddress *target);
