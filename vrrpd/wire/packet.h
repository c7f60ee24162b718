/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/packet.h - VRRP version 2 and 3 over IPv4, version 3 over IPv6, bytes to structure and back; pure.
 *
 * All integers are in host order; the wire's order ends here. Addresses are plain values (settings/ip.h).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"

#define VRRP_GROUP_IPV4 0xe0000012u /* 224.0.0.18, host order */
#define VRRP_GROUP_IPV6 { 0xff, 2, [15] = 0x12 } /* ff02::12 */
#define VRRP_IP_PROTOCOL 112
#define VRRP_TTL 255
#define VRRP_MAX_ADDRESSES 64
#define VRRP_IP_HEADER 20
#define VRRP_IPV6_HEADER 40
#define VRRP_MAX_PACKET (VRRP_IPV6_HEADER + 8 + 16 * VRRP_MAX_ADDRESSES)

/* Why a packet does not count. Every one is a counter, "drop-<name>". */
typedef enum {
	VRRP_DROP_NONE,
	VRRP_DROP_LENGTH,      /* 3768 7.1 / 9568 7.1: not complete */
	VRRP_DROP_VRID,        /* not our virtual router */
	VRRP_DROP_TTL,         /* TTL or hop limit not 255: it crossed a router */
	VRRP_DROP_VERSION,
	VRRP_DROP_TYPE,        /* not ADVERTISEMENT */
	VRRP_DROP_CHECKSUM,
	VRRP_DROP_AUTH,        /* version 2: only type 0 exists */
	VRRP_DROP_INTERVAL,    /* version 2: not ours; version 3: zero */
	VRRP_DROP_COUNT,       /* no address at all, or more than we can hold */
	VRRP_DROP_DESTINATION, /* neither the group nor our address on this path */
	VRRP_DROP_OWN,         /* our own source address: a reflection, or somebody took our address */
	VRRP_DROP_STRANGER,    /* right in itself, but not from the peer */
	VRRP_N_DROPS,
} VrrpDrop;

/* How the checksum of version 3 over IPv4 is computed. Over IPv6 it always covers the pseudo-header, in version 2 never. */
typedef enum {
	VRRP_CHECKSUM_AUTO,          /* either is right */
	VRRP_CHECKSUM_RFC,           /* the VRRP message alone: RFC 9568 5.2.8 */
	VRRP_CHECKSUM_PSEUDO_HEADER, /* with the IPv4 pseudo-header: an older reading of RFC 5798 */
} VrrpChecksum;

const char *vrrp_drop_name(VrrpDrop drop);

typedef struct {
	guint8 version;       /* 2 or 3 */
	guint8 vrid;
	guint8 priority;
	guint interval_cs;    /* version 2 sends whole seconds */
	bool pseudo_header;   /* version 3 over IPv4: the checksum covers the pseudo-header */
	IpAddress source;
	IpAddress destination;
	guint n_addresses;
	IpAddress addresses[VRRP_MAX_ADDRESSES]; /* of no meaning from @n_addresses on */
} VrrpAdvert;

/* What a receiver on one path expects. */
typedef struct {
	guint8 version;
	guint8 vrid;
	guint interval_cs;      /* compared in version 2 only */
	VrrpChecksum checksum;
	IpAddress own_address;  /* this device's address on the path; its family is the path's */
	bool only_peers;        /* adverts count from @peers alone */
	const IpAddress *peers;
	gsize n_peers;
} VrrpExpect;

IpAddress vrrp_group_address(sa_family_t family);

/* A whole packet of the family of @advert->source, IP header included. Returns its length. */
gsize vrrp_packet_build(const VrrpAdvert *advert, guint8 ret_packet[static VRRP_MAX_PACKET]);

/* An IPv6 header with VRRP in it. A raw socket of that family tells what stood in it beside the message, not itself. */
void vrrp_packet_put_ipv6_header(guint8 ret_header[static VRRP_IPV6_HEADER], const IpAddress *source, const IpAddress *destination,
				 guint hop_limit, gsize length);

/* @packet begins with the IP header. On a drop only ret_advert->source is meaningful (none when not even that could be read). */
VrrpDrop vrrp_packet_parse(const guint8 *packet, gsize length, const VrrpExpect *expect, VrrpAdvert *ret_advert);

/* Internet checksum (RFC 1071) of @data on top of @sum; 0 when a block that holds its own checksum is right. */
guint16 vrrp_checksum(const guint8 *data, gsize length, guint32 sum);
