/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/arp.c - frames built here and sent by a packet socket.
 *
 * They leave by the electing interface itself, with the source MAC written by us. The virtual interface need not be up for that: the first
 * advert of a takeover does not wait for it, and priority 0 can be said after the addresses are gone.
 */
#include "vrrpd/wire/arp.h"

#include <errno.h>
#include <gio/gio.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vrrpd/wire/packet.h"

struct VrrpEther {
	int fd;
};

void vrrp_virtual_mac(guint8 vrid, guint8 ret_mac[static 6])
{
	const guint8 mac[6] = { 0x00, 0x00, 0x5e, 0x00, 0x01, vrid };

	memcpy(ret_mac, mac, 6);
}

gsize vrrp_arp_build(const VrrpArp *arp, guint8 ret_frame[static VRRP_ARP_FRAME])
{
	static const guint8 head[] = { 0x08, 0x06, 0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01 };

	memset(ret_frame, 0xff, 6);
	memcpy(ret_frame + 6, arp->from, 6);
	memcpy(ret_frame + 12, head, sizeof head);
	memcpy(ret_frame + 22, arp->from, 6);
	memcpy(ret_frame + 28, arp->sender.bytes, 4);
	memset(ret_frame + 32, 0, 6);
	memcpy(ret_frame + 38, arp->target.bytes, 4);
	return VRRP_ARP_FRAME;
}

VrrpEther *vrrp_ether_new(GError **error)
{
	/* Protocol 0: receives nothing. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	VrrpEther *ether;

	if (fd < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "packet socket: %s", g_strerror(errno));
		return NULL;
	}
	ether = g_new0(VrrpEther, 1);
	ether->fd = fd;
	return ether;
}

void vrrp_ether_free(VrrpEther *ether)
{
	if (!ether)
		return;
	close(ether->fd);
	g_free(ether);
}

bool vrrp_ether_frame(VrrpEther *ether, int index, guint16 protocol, const guint8 *frame, gsize length)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = g_htons(protocol), .sll_ifindex = index, .sll_halen = 6 };

	memcpy(to.sll_addr, frame, 6);
	return sendto(ether->fd, frame, length, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to) == (gssize)length;
}

bool vrrp_ether_arp(VrrpEther *ether, int index, const VrrpArp *arp)
{
	guint8 frame[VRRP_ARP_FRAME];

	return vrrp_ether_frame(ether, index, ETH_P_ARP, frame, vrrp_arp_build(arp, frame));
}

bool vrrp_ether_packet(VrrpEther *ether, int index, const guint8 from[static 6], const guint8 to[static 6], const guint8 *packet, gsize length)
{
	guint16 protocol = packet[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;
	guint8 frame[14 + VRRP_MAX_PACKET];

	g_return_val_if_fail(length <= VRRP_MAX_PACKET, false);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = (guint8)(protocol >> 8);
	frame[13] = (guint8)protocol;
	memcpy(frame + 14, packet, length);
	return vrrp_ether_frame(ether, index, protocol, frame, 14 + length);
}

bool vrrp_ether_multicast(VrrpEther *ether, int index, const guint8 from[static 6], const guint8 *packet, gsize length)
{
	static const guint8 group4[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x12 }, group6[6] = { 0x33, 0x33, 0x00, 0x00, 0x00, 0x12 };

	return vrrp_ether_packet(ether, index, from, packet[0] >> 4 == 6 ? group6 : group4, packet, length);
}
