/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/ip.c - addresses of both families. */
#include "settings/ip.h"

#include <arpa/inet.h>
#include <string.h>

IpAddress ip_v4(guint32 host_order)
{
	IpAddress ip = { .family = AF_INET };
	guint32 be = g_htonl(host_order);

	memcpy(ip.bytes, &be, sizeof be);
	return ip;
}

IpAddress ip_v6(const guint8 bytes[static 16])
{
	IpAddress ip = { .family = AF_INET6 };

	memcpy(ip.bytes, bytes, 16);
	return ip;
}

bool ip_parse(const char *text, IpAddress *ret_ip)
{
	IpAddress ip = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(ip.family, text, ip.bytes) != 1)
		return false;
	*ret_ip = ip;
	return true;
}

const char *ip_text(const IpAddress *ip, char ret_text[static IP_TEXT_SIZE])
{
	if (!ip_is_set(ip) || !inet_ntop(ip->family, ip->bytes, ret_text, IP_TEXT_SIZE))
		ret_text[0] = '\0';
	return ret_text;
}

guint ip_length(const IpAddress *ip)
{
	return ip->family == AF_INET ? 4 : ip->family == AF_INET6 ? 16 : 0;
}

bool ip_is_set(const IpAddress *ip)
{
	return ip->family != AF_UNSPEC;
}

bool ip_equal(const IpAddress *a, const IpAddress *b)
{
	return ip_compare(a, b) == 0;
}

int ip_compare(const IpAddress *a, const IpAddress *b)
{
	guint length_a = ip_length(a), length_b = ip_length(b);

	return length_a != length_b ? (length_a < length_b ? -1 : 1) : memcmp(a->bytes, b->bytes, length_a);
}

bool ip_is_link_local(const IpAddress *ip)
{
	if (ip->family == AF_INET)
		return ip->bytes[0] == 169 && ip->bytes[1] == 254;
	return ip->family == AF_INET6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

bool ip_is_ipv6_link_local(const IpAddress *ip)
{
	return ip->family == AF_INET6 && ip_is_link_local(ip);
}

bool ip_is_multicast(const IpAddress *ip)
{
	if (ip->family == AF_INET)
		return (ip->bytes[0] & 0xf0) == 0xe0;
	return ip->family == AF_INET6 && ip->bytes[0] == 0xff;
}

IpAddress ip_network(const IpAddress *ip, guint prefix)
{
	IpAddress network = *ip;

	for (guint i = 0; i < sizeof network.bytes; i++) {
		guint bits = CLAMP((gint)prefix - (gint)i * 8, 0, 8);

		network.bytes[i] &= (guint8)(0xff00 >> bits);
	}
	return network;
}

bool ip_same_network(const IpAddress *a, const IpAddress *b, guint prefix)
{
	guint whole = prefix / 8, rest = prefix % 8;

	if (a->family != b->family || prefix > 8 * ip_length(a) || memcmp(a->bytes, b->bytes, whole) != 0)
		return false;
	return rest == 0 || (a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest) == 0;
}
