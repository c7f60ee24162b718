/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/packet.c - the VRRP wire format: RFC 3768 section 5, RFC 5798 and RFC 9568 section 5, and the receive checks of their sections 7.1. */
#include "vrrpd/wire/packet.h"

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

static IpAddress get_address(const guint8 *at, sa_family_t family)
{
	IpAddress address = { .family = family };

	memcpy(address.bytes, at, ip_length(&address));
	return address;
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

/* RFC 8200 8.1. Over IPv4 some implementations of version 3 add it too; RFC 9568 5.2.8 says that there is none. */
static guint32 pseudo_header_sum(const IpAddress *source, const IpAddress *destination, gsize length)
{
	guint32 sum = VRRP_IP_PROTOCOL + (guint32)length;

	for (guint i = 0; i < ip_length(source); i += 2)
		sum += (guint32)get16(source->bytes + i) + get16(destination->bytes + i);
	return sum;
}

IpAddress vrrp_group_address(sa_family_t family)
{
	static const guint8 ipv6[16] = VRRP_GROUP_IPV6;

	return family == AF_INET6 ? ip_v6(ipv6) : ip_v4(VRRP_GROUP_IPV4);
}

/* Traffic class of both: internetwork control, as routing protocols mark themselves. */

static void put_ipv4_header(guint8 ret_header[static VRRP_IP_HEADER], const VrrpAdvert *advert, gsize length)
{
	memset(ret_header, 0, VRRP_IP_HEADER);
	ret_header[0] = 0x45;
	ret_header[1] = 0xc0;
	put16(ret_header + 2, (guint)(VRRP_IP_HEADER + length));
	ret_header[8] = VRRP_TTL;
	ret_header[9] = VRRP_IP_PROTOCOL;
	put_address(ret_header + 12, &advert->source);
	put_address(ret_header + 16, &advert->destination);
	put16(ret_header + 10, vrrp_checksum(ret_header, VRRP_IP_HEADER, 0));
}

void vrrp_packet_put_ipv6_header(guint8 ret_header[static VRRP_IPV6_HEADER], const IpAddress *source, const IpAddress *destination,
				 guint hop_limit, gsize length)
{
	memset(ret_header, 0, VRRP_IPV6_HEADER);
	ret_header[0] = 0x6c;
	put16(ret_header + 4, (guint)length);
	ret_header[6] = VRRP_IP_PROTOCOL;
	ret_header[7] = (guint8)hop_limit;
	put_address(ret_header + 8, source);
	put_address(ret_header + 24, destination);
}

gsize vrrp_packet_build(const VrrpAdvert *advert, guint8 ret_packet[static VRRP_MAX_PACKET])
{
	bool ipv6 = advert->source.family == AF_INET6;
	guint n = MIN(advert->n_addresses, VRRP_MAX_ADDRESSES), size = ipv6 ? 16 : 4;
	gsize header = ipv6 ? VRRP_IPV6_HEADER : VRRP_IP_HEADER, length = 8 + size * n + (advert->version == 2 ? 8 : 0);
	guint8 *vrrp = ret_packet + header;
	guint32 sum = 0;

	if (ipv6)
		vrrp_packet_put_ipv6_header(ret_packet, &advert->source, &advert->destination, VRRP_TTL, length);
	else
		put_ipv4_header(ret_packet, advert, length);
	memset(vrrp, 0, length);
	vrrp[0] = (guint8)(advert->version << 4 | 1);
	vrrp[1] = advert->vrid;
	vrrp[2] = advert->priority;
	vrrp[3] = (guint8)n;
	if (advert->version == 2)
		vrrp[5] = (guint8)(advert->interval_cs / 100); /* [4]: auth type 0; the 8 bytes of auth data stay zero */
	else
		put16(vrrp + 4, advert->interval_cs & 0xfff);
	for (guint i = 0; i < n; i++)
		put_address(vrrp + 8 + size * i, &advert->addresses[i]);
	if (advert->version == 3 && (ipv6 || advert->pseudo_header))
		sum = pseudo_header_sum(&advert->source, &advert->destination, length);
	put16(vrrp + 6, vrrp_checksum(vrrp, length, sum));
	return header + length;
}

static bool is_peer(const VrrpExpect *expect, const IpAddress *source)
{
	for (gsize i = 0; i < expect->n_peers; i++)
		if (ip_equal(&expect->peers[i], source))
			return true;
	return false;
}

/* What the IP header says. */
typedef struct {
	const guint8 *vrrp;
	gsize size; /* what follows the IP length is link padding */
	guint hop_limit;
} Message;

static bool read_ip_header(const guint8 *packet, gsize length, sa_family_t family, Message *ret_message, VrrpAdvert *ret_advert)
{
	gsize header, total;

	if (family == AF_INET6) {
		if (length < VRRP_IPV6_HEADER || packet[0] >> 4 != 6)
			return false;
		header = VRRP_IPV6_HEADER;
		total = header + get16(packet + 4);
		ret_advert->source = get_address(packet + 8, AF_INET6);
		ret_advert->destination = get_address(packet + 24, AF_INET6);
		ret_message->hop_limit = packet[7];
		if (packet[6] != VRRP_IP_PROTOCOL)
			return false;
	} else {
		if (length < VRRP_IP_HEADER || packet[0] >> 4 != 4)
			return false;
		header = (gsize)(packet[0] & 0xf) * 4;
		total = get16(packet + 2);
		ret_advert->source = get_address(packet + 12, AF_INET);
		ret_advert->destination = get_address(packet + 16, AF_INET);
		ret_message->hop_limit = packet[8];
		if (header < VRRP_IP_HEADER || packet[9] != VRRP_IP_PROTOCOL)
			return false;
	}
	if (total > length || total < header + 8)
		return false;
	ret_message->vrrp = packet + header;
	ret_message->size = total - header;
	return true;
}

static bool checksum_is_right(const Message *message, const VrrpExpect *expect, VrrpAdvert *advert)
{
	guint32 pseudo = pseudo_header_sum(&advert->source, &advert->destination, message->size);
	bool ipv6 = advert->source.family == AF_INET6;

	if (!ipv6 && (expect->version == 2 || expect->checksum != VRRP_CHECKSUM_PSEUDO_HEADER) &&
	    vrrp_checksum(message->vrrp, message->size, 0) == 0)
		return true;
	if (expect->version == 2 || (!ipv6 && expect->checksum == VRRP_CHECKSUM_RFC) ||
	    vrrp_checksum(message->vrrp, message->size, pseudo) != 0)
		return false;
	advert->pseudo_header = !ipv6;
	return true;
}

VrrpDrop vrrp_packet_parse(const guint8 *packet, gsize length, const VrrpExpect *expect, VrrpAdvert *ret_advert)
{
	sa_family_t family = expect->own_address.family == AF_INET6 ? AF_INET6 : AF_INET;
	const IpAddress group = vrrp_group_address(family);
	guint address_size = family == AF_INET6 ? 16 : 4;
	const guint8 *vrrp;
	Message message;

	memset(ret_advert, 0, offsetof(VrrpAdvert, addresses));
	if (!read_ip_header(packet, length, family, &message, ret_advert))
		return VRRP_DROP_LENGTH;
	vrrp = message.vrrp;

	/* Other virtual routers live on the same LAN by right, in any version: they are told apart before anything is judged. */
	if (vrrp[1] != expect->vrid)
		return VRRP_DROP_VRID;
	if (message.hop_limit != VRRP_TTL)
		return VRRP_DROP_TTL;
	if (vrrp[0] >> 4 != expect->version)
		return VRRP_DROP_VERSION;
	if (message.size < 8 + address_size * (gsize)vrrp[3] + (expect->version == 2 ? 8 : 0))
		return VRRP_DROP_LENGTH;
	if (!checksum_is_right(&message, expect, ret_advert))
		return VRRP_DROP_CHECKSUM;
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
		ret_advert->addresses[i] = get_address(vrrp + 8 + address_size * i, family);
	return VRRP_DROP_NONE;
}
