/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/path.h - one way to hear and tell the peer: the LAN, or another interface by unicast. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "netlink.h"
#include "packet.h"
#include "peer.h"
#include "settings/settings.h"
#include "socket.h"

#define VRRP_PATH_MAX_PEERS 8

typedef struct VrrpPath VrrpPath;
typedef void (*VrrpPathCb)(VrrpPath *path, const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data);

struct VrrpPath {
	char *role;          /* "lan", "peer", ... as device.conf calls it */
	char *device;
	bool electing;       /* the LAN: multicast; the others are unicast only */
	IpAddress own;
	IpAddress peers[VRRP_PATH_MAX_PEERS];
	gint64 heard_us[VRRP_PATH_MAX_PEERS]; /* the last advert that counted; unpaired: [0] is anybody's */
	gsize n_peers;
	int index;           /* of the device the socket is on; 0: none */
	VrrpSocket *socket;
	char *problem;
	bool own_missing;    /* nobody has our address: nothing comes or goes by unicast */
	VrrpPathCb received;
	gpointer user_data;
};

VrrpPath *vrrp_path_new(const SettingsInterface *interface, bool electing, const VrrpPeer *peer, VrrpPathCb received, gpointer user_data);
void vrrp_path_free(VrrpPath *path); /* NULL is fine */

/* Opens the socket when the interface is there, again when it is another one than before. */
void vrrp_path_refresh(VrrpPath *path, VrrpNetlink *netlink, guint8 vrid, bool multicast, bool only_peers);

/* Notes that @source was heard. */
void vrrp_path_heard(VrrpPath *path, const IpAddress *source, gint64 at_us);

/* Sends @advert to every peer on this path by unicast; fills in source and destination. Returns how many could not be sent. */
guint vrrp_path_tell(VrrpPath *path, VrrpAdvert *advert);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpPath, vrrp_path_free)
