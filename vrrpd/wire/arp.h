/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/arp.h - Ethernet frames that the kernel would not send for us: multicast adverts from the virtual MAC, gratuitous ARP, ARP probes.
 * What IPv6 has in their place is in nd.h. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"

typedef struct VrrpEther VrrpEther;

/* ---- Pure ---- */
#define VRRP_ARP_FRAME 42
typedef struct {
	guint8 from[6];         /* sender's MAC, in the frame and in the ARP body */
	IpAddress sender, target; /* IPv4 */
} VrrpArp;
/* A broadcast ARP request; gratuitous when sender and target are the same. Returns its length. */
gsize vrrp_arp_build(const VrrpArp *arp, guint8 ret_frame[static VRRP_ARP_FRAME]);
void vrrp_virtual_mac(guint8 vrid, guint8 ret_mac[static 6]); /* 00:00:5e:00:01:VRID */

/* ---- A packet socket: sends only ---- */
VrrpEther *vrrp_ether_new(GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_ether_free(VrrpEther *ether); /* NULL is fine */
bool vrrp_ether_arp(VrrpEther *ether, int index, const VrrpArp *arp);
bool vrrp_ether_packet(VrrpEther *ether, int index, const guint8 from[static 6], const guint8 to[static 6], const guint8 *packet, gsize length);
/* @packet to the VRRP group of its family. */
bool vrrp_ether_multicast(VrrpEther *ether, int index, const guint8 from[static 6], const guint8 *packet, gsize length);
/* A whole frame, Ethernet header first; @protocol is the one in it. */
bool vrrp_ether_frame(VrrpEther *ether, int index, guint16 protocol, const guint8 *frame, gsize length);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpEther, vrrp_ether_free)
