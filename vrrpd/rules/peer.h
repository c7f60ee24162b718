/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/peer.h - who the other device of the pair is, as the supervisor tells it (Election1.SetPeer); pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"

#define VRRP_PEER_MAX_ADDRESSES 64

typedef struct {
	bool paired;   /* false: plain RFC behaviour */
	char id[64];
	guint offset;  /* OUR place within a band: 0 or 1 */
	bool follows;  /* the peer confirmed that it follows us */
	struct {
		char role[65]; /* the interface's name in device.conf */
		IpAddress address;
	} addresses[VRRP_PEER_MAX_ADDRESSES];
	gsize n_addresses;
} VrrpPeer;

/* From a{sv}; an empty one is no peer. Nothing is changed when @error is set. */
bool vrrp_peer_parse(GVariant *dict, VrrpPeer *ret_peer, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The peer's addresses on interface @role. Returns how many. */
gsize vrrp_peer_addresses(const VrrpPeer *peer, const char *role, IpAddress *ret_addresses, gsize size);
