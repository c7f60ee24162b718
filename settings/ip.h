/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings/ip.h - an IPv4 or IPv6 address as a plain value; pure.
 *
 * Always in network byte order. A zeroed IpAddress is "none": it equals only itself.
 */
#pragma once

#include <glib.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#define IP_TEXT_SIZE INET6_ADDRSTRLEN

typedef struct {
	sa_family_t family; /* AF_INET, AF_INET6; AF_UNSPEC: none */
	guint8 bytes[16];   /* an IPv4 address is the first four, the rest is zero */
} IpAddress;

IpAddress ip_v4(guint32 host_order);
IpAddress ip_v6(const guint8 bytes[static 16]);

/* Either family, without prefix or zone. False leaves *ret_ip alone. */
bool ip_parse(const char *text, IpAddress *ret_ip);

/* As inet_ntop() writes it; "" for none. Returns @ret_text. */
const char *ip_text(const IpAddress *ip, char ret_text[static IP_TEXT_SIZE]);

guint ip_length(const IpAddress *ip); /* 4 or 16 bytes; 0 for none */
bool ip_is_set(const IpAddress *ip);
bool ip_equal(const IpAddress *a, const IpAddress *b);

/* As unsigned integers (the tie rule of RFC 9568 6.4.3); of two families IPv4 is the smaller. */
int ip_compare(const IpAddress *a, const IpAddress *b);

bool ip_is_link_local(const IpAddress *ip); /* fe80::/10, 169.254.0.0/16 */
bool ip_is_ipv6_link_local(const IpAddress *ip);
bool ip_is_multicast(const IpAddress *ip);

/* @ip with all bits behind @prefix zero. */
IpAddress ip_network(const IpAddress *ip, guint prefix);

/* Whether both are in the same network of @prefix bits. */
bool ip_same_network(const IpAddress *a, const IpAddress *b, guint prefix);
