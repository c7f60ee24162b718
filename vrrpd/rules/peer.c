/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/peer.c - reading the peer's dictionary. */
#include "vrrpd/rules/peer.h"

#include <gio/gio.h>
#include <string.h>

/* One host's, and not this one's by nature. */
static bool is_of_a_host(const IpAddress *ip)
{
	static const guint8 loopback[16] = { [15] = 1 }, none[16] = { 0 };

	if (ip->family == AF_INET)
		return ip->bytes[0] != 0 && ip->bytes[0] != 127 && ip->bytes[0] < 224;
	return !ip_is_multicast(ip) && memcmp(ip->bytes, loopback, 16) != 0 && memcmp(ip->bytes, none, 16) != 0;
}

static bool parse_address(const char *text, IpAddress *ret_address)
{
	g_autofree char *host = g_strndup(text, strcspn(text, "/%")); /* a zone is of the device that wrote it */

	return ip_parse(host, ret_address) && is_of_a_host(ret_address);
}

static bool fail(GError **error, const char *text)
{
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "peer: %s", text);
	return false;
}

static bool parse_addresses(GVariant *map, VrrpPeer *peer, GError **error)
{
	GVariantIter roles;
	const char *role;
	GVariantIter *list;

	g_variant_iter_init(&roles, map);
	while (g_variant_iter_next(&roles, "{&sas}", &role, &list)) {
		g_autoptr(GVariantIter) owned = list;
		const char *text;

		while (g_variant_iter_next(owned, "&s", &text)) {
			if (peer->n_addresses == VRRP_PEER_MAX_ADDRESSES)
				return fail(error, "too many addresses");
			if (!parse_address(text, &peer->addresses[peer->n_addresses].address))
				return fail(error, "bad address");
			if (g_strlcpy(peer->addresses[peer->n_addresses].role, role, sizeof peer->addresses[0].role) >=
			    sizeof peer->addresses[0].role)
				return fail(error, "interface name too long");
			peer->n_addresses++;
		}
	}
	return true;
}

bool vrrp_peer_parse(GVariant *dict, VrrpPeer *ret_peer, GError **error)
{
	VrrpPeer peer = { 0 };
	g_autoptr(GVariant) addresses = NULL;
	const char *id = "";
	guint8 offset = 0;
	gboolean follows = FALSE;

	if (g_variant_n_children(dict) == 0) {
		*ret_peer = peer;
		return true;
	}
	if (!g_variant_lookup(dict, "offset", "y", &offset) || offset > 1)
		return fail(error, "offset must be there, and 0 or 1");
	addresses = g_variant_lookup_value(dict, "addresses", G_VARIANT_TYPE("a{sas}"));
	if (!addresses)
		return fail(error, "addresses must be there");
	(void)g_variant_lookup(dict, "id", "&s", &id);
	(void)g_variant_lookup(dict, "follows", "b", &follows);
	peer.paired = true;
	peer.offset = offset;
	peer.follows = follows;
	if (g_strlcpy(peer.id, id, sizeof peer.id) >= sizeof peer.id)
		return fail(error, "id too long");
	if (!parse_addresses(addresses, &peer, error))
		return false;
	*ret_peer = peer;
	return true;
}

gsize vrrp_peer_addresses(const VrrpPeer *peer, const char *role, IpAddress *ret_addresses, gsize size)
{
	gsize n = 0;

	for (gsize i = 0; i < peer->n_addresses && n < size; i++)
		if (strcmp(peer->addresses[i].role, role) == 0)
			ret_addresses[n++] = peer->addresses[i].address;
	return n;
}
