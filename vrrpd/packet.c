/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/packet.c - the VRRP wire format: RFC 3768 section 5, RFC 9568 section 5, and the receive checks of their sections 7.1. */
#include "packet.h"

#include <string.h>

static const char *const drop_names[] = {
	[VRRP_DROP_NONE] = "none",
	[VRRP_DROP_LENGTH] = "length",
	[VRRP_DROP_VRID] = "vrid",
	[VRRP_DROP_TTL] = "ttl",
	[VRRP_DROP_VERSION] = "version",
	[VRRP_DROP_TYPE] = "type",
	[VRRP_DROP_CHECKSUM] = "checksum",
	[VRRP_DROP_AUTH] = "auth",
	[VRRP_DROP_INTERVAL] = "interval",
	[VRRP_DROP_COUNT] = "count",
	[VRRP_DROP_DESTINATION] = "destination",
	[VRRP_DROP_OWN] = "own-address",
	[VRRP_DROP_STRANGER] = "stranger",
};
G_STATIC_ASSERT(G_N_ELEMENTS(drop_names) == VRRP_N_DROPS);

const char *vrrp_drop_name(VrrpDrop drop)
{
	g_return_val_if_fail((guint)drop < VRRP_N_DROPS, "none");
	return drop_names[drop];
}

static guint16 get16(const guint8 *at)
{
	return (guint16)(at[0] << 8 | at[1]);
}

static IpAddress get_ipv4(const guint8 *at)
{
	return ip_v4((guint32)at[0] << 24 | (guint32)at[1] << 16 | (guint32)at[2] << 8 | at[3]);
}

static void put16(guint8 *at, guint value)
{
	at[0] = (guint8)(value >> 8);
	at[1] = (guint8)value;
}

static void put_address(guint8 *at, const IpAddress *address)
{
	memcpy(at, address->bytes, ip_length(address));
}

guint16 vrrp_checksum(const guint8 *data, gsize length, guint32 sum)
{
	for (; length > 1; data += 2, length -= 2)
		sum += get16(data);
	if (length)
		sum += (guint32)data[0] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (guint16)~sum;
}

/* RFC 8200 8.1 transposed to IPv4: what some implementations of version 3 add. RFC 9568 5.2.8 says that IPv4 has none. */
static guint32 pseudo_header_sum(const IpAddress *source, const IpAddress *destination, gsize length)
{
	guint32 sum = VRRP_IP_PROTOCOL + (guint32)length;

	for (guint i = 0; i < ip_length(source); i += 2)
		sum += (guint32)get16(source->bytes + i) + get16(destination->bytes + i);
	return sum;
}

gsize vrrp_packet_build(const VrrpAdvert *advert, guint8 ret_packet[static VRRP_MAX_PACKET])
{
	guint n = MIN(advert->n_addresses, VRRP_MAX_ADDRESSES);
	gsize length = 8 + 4 * n + (advert->version == 2 ? 8 : 0);
	guint8 *ip = ret_packet, *vrrp = ret_packet + VRRP_IP_HEADER;
	guint32 sum = 0;

	memset(ret_packet, 0, VRRP_IP_HEADER + length);
	ip[0] = 0x45;
	ip[1] = 0xc0; /* internetwork control, as routing protocols mark themselves */
	put16(ip + 2, VRRP_IP_HEADER + length);
	ip[8] = VRRP_TTL;
	ip[9] = VRRP_IP_PROTOCOL;
	put_address(ip + 12, &advert->source);
	put_address(ip + 16, &advert->destination);
	put16(ip + 10, vrrp_checksum(ip, VRRP_IP_HEADER, 0));

	vrrp[0] = (guint8)(advert->version << 4 | 1);
	vrrp[1] = advert->vrid;
	vrrp[2] = advert->priority;
	vrrp[3] = (guint8)n;
	if (advert->version == 2)
		vrrp[5] = (guint8)(advert->interval_cs / 100); /* [4]: auth type 0; the 8 bytes of auth data stay zero */
	else
		put16(vrrp + 4, advert->interval_cs & 0xfff);
	for (guint i = 0; i < n; i++)
		put_address(vrrp + 8 + 4 * i, &advert->addresses[i]);
	if (advert->version == 3 && advert->pseudo_header)
		sum = pseudo_header_sum(&advert->source, &advert->destination, length);
	put16(vrrp + 6, vrrp_checksum(vrrp, length, sum));
	return VRRP_IP_HEADER + length;
}

static bool is_peer(const VrrpExpect *expect, const IpAddress *source)
{
	for (gsize i = 0; i < expect->n_peers; i++)
		if (ip_equal(&expect->peers[i], source))
			return true;
	return false;
}

VrrpDrop vrrp_packet_parse(const guint8 *packet, gsize length, const VrrpExpect *expect, VrrpAdvert *ret_advert)
{
	const IpAddress group = ip_v4(VRRP_GROUP_IPV4);
	gsize header, total, size, needed;
	const guint8 *vrrp;

	memset(ret_advert, 0, sizeof *ret_advert);
	if (length < VRRP_IP_HEADER || packet[0] >> 4 != 4)
		return VRRP_DROP_LENGTH;
	header = (gsize)(packet[0] & 0xf) * 4;
	total = get16(packet + 2);
	ret_advert->source = get_ipv4(packet + 12);
	ret_advert->destination = get_ipv4(packet + 16);
	if (header < VRRP_IP_HEADER || total > length || total < header + 8 || packet[9] != VRRP_IP_PROTOCOL)
		return VRRP_DROP_LENGTH;
	vrrp = packet + header;
	size = total - header; /* what follows the IP length is link padding */

	/* Other virtual routers live on the same LAN by right, in any version: they are told apart before anything is judged. */
	if (vrrp[1] != expect->vrid)
		return VRRP_DROP_VRID;
	if (packet[8] != VRRP_TTL)
		return VRRP_DROP_TTL;
	if (vrrp[0] >> 4 != expect->version)
		return VRRP_DROP_VERSION;
	needed = 8 + 4 * (gsize)vrrp[3] + (expect->version == 2 ? 8 : 0);
	if (size < needed)
		return VRRP_DROP_LENGTH;
	if (vrrp_checksum(vrrp, size, 0) != 0) {
		if (expect->version == 2 ||
		    vrrp_checksum(vrrp, size, pseudo_header_sum(&ret_advert->source, &ret_advert->destination, size)) != 0)
			return VRRP_DROP_CHECKSUM;
		ret_advert->pseudo_header = true;
	}
	if ((vrrp[0] & 0xf) != 1)
		return VRRP_DROP_TYPE;
	if (expect->version == 2) {
		if (vrrp[4] != 0)
			return VRRP_DROP_AUTH;
		ret_advert->interval_cs = vrrp[5] * 100u;
		if (ret_advert->interval_cs != expect->interval_cs)
			return VRRP_DROP_INTERVAL;
	} else {
		ret_advert->interval_cs = get16(vrrp + 4) & 0xfff; /* the four reserved bits are ignored on reception */
		if (ret_advert->interval_cs == 0)
			return VRRP_DROP_INTERVAL;
	}
	if (vrrp[3] == 0 || vrrp[3] > VRRP_MAX_ADDRESSES)
		return VRRP_DROP_COUNT;
	if (!ip_equal(&ret_advert->destination, &group) && !ip_equal(&ret_advert->destination, &expect->own_address))
		return VRRP_DROP_DESTINATION;
	if (ip_equal(&ret_advert->source, &expect->own_address))
		return VRRP_DROP_OWN;
	if (expect->only_peers && !is_peer(expect, &ret_advert->source))
		return VRRP_DROP_STRANGER;

	ret_advert->version = expect->version;
	ret_advert->vrid = vrrp[1];
	ret_advert->priority = vrrp[2];
	ret_advert->n_addresses = vrrp[3];
	for (guint i = 0; i < vrrp[3]; i++)
		ret_advert->addresses[i] = get_ipv4(vrrp + 8 + 4 * i);
	return VRRP_DROP_NONE;
}
