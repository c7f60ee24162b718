/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/path.h - one way to hear and tell the peer: the multicast of a member of the set, or another interface by unicast. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/wire/arp.h"
#include "vrrpd/wire/claims.h"
#include "vrrpd/rules/member.h"
#include "vrrpd/kernel/netlink.h"
#include "vrrpd/wire/packet.h"
#include "vrrpd/rules/peer.h"
#include "vrrpd/wire/socket.h"

#define VRRP_PATH_MAX_PEERS 8

typedef struct VrrpPath VrrpPath;
typedef void (*VrrpPathCb)(VrrpPath *path, const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data);

typedef enum {
	VRRP_PATH_ELECTOR,  /* the electing member's own: always there, the first */
	VRRP_PATH_FOLLOWER, /* another member's that advertises */
	VRRP_PATH_UNICAST,  /* another interface on which the peer has an address */
} VrrpPathKind;

struct VrrpPath {
	VrrpPathKind kind;
	char *name;          /* "lan" the elector's, "wan-ipv4" a follower's; NULL by unicast, where the peer's address is the name */
	char *role;          /* "lan", "peer", ... as device.conf calls it */
	char *device;
	sa_family_t family;
	bool link_local;     /* @own is the device's link-local address, found when it is there */
	IpAddress own;       /* none: not there */
	IpAddress former;    /* what @own was before, and what adverts come from until then: the peer must learn the new one first */
	gint64 former_until_us;
	IpAddress peers[VRRP_PATH_MAX_PEERS];
	gint64 heard_us[VRRP_PATH_MAX_PEERS]; /* the last advert that counted; without peers: [0] is anybody's */
	guint8 macs[VRRP_PATH_MAX_PEERS][6];
	gint64 met_us[VRRP_PATH_MAX_PEERS];   /* when the MAC was heard last; 0: it is not known */
	VrrpClaims *claims;                   /* which tell of it; NULL: not by unicast */
	gint64 asked_us;                      /* when it was last asked for */
	gsize n_peers;
	gsize n_former;      /* behind those, that the peer had before; it may speak from them */
	gint64 believe_until_us;
	VrrpLink link;       /* of the device the socket is on; index 0: none */
	bool only_peers;     /* as the socket's filter has it */
	VrrpSocket *socket;
	char *problem;
	bool joining;        /* the thread has not said yet that it hears */
	gint64 odd_us;       /* since when adverts that count differ from ours; 0: they do not */
	bool own_missing;    /* nobody has our address: nothing comes or goes by unicast */
	VrrpPathCb received;
	gpointer user_data;
};

/* Without @member: by unicast on @interface, NULL when the peer has no address there that ours can reach. */
VrrpPath *vrrp_path_new(const SettingsInterface *interface, const VrrpMember *member, const VrrpPeer *peer, guint version, VrrpPathCb received,
			gpointer user_data);
void vrrp_path_free(VrrpPath *path); /* NULL is fine */

/* Opens the socket when the interface is there, again when it is another one than before; finds the link-local address, which is none of
 * @members' own. */
void vrrp_path_refresh(VrrpPath *path, VrrpNetlink *netlink, guint8 vrid, bool multicast, const GPtrArray *members);

/* No multicast is heard on it, or not yet. */
bool vrrp_path_is_deaf(const VrrpPath *path);

/* @path takes the place of @former, of the same election: it knows when the same peers were last heard there, and goes on with its socket, if that is one
 * it can have. */
void vrrp_path_adopt(VrrpPath *path, VrrpPath *former);

/* The same, and the peer is the same. */
void vrrp_path_inherit(VrrpPath *path, const VrrpPath *former);

/* The device's own link-local IPv6 address on the interface @index, which is none of @members'; none when there is none. Of several @known, if it
 * is still there: the peer knows that one. */
IpAddress vrrp_path_find_link_local(VrrpNetlink *netlink, int index, const GPtrArray *members, const IpAddress *known);

/* How many of @peers count now. */
gsize vrrp_path_believes(const VrrpPath *path, gint64 now_us);

/* Notes that @source was heard. */
void vrrp_path_heard(VrrpPath *path, const IpAddress *source, gint64 at_us);
gint64 vrrp_path_last_heard(const VrrpPath *path); /* 0: never */

/* Asks for MACs that are not known, or not heard for long, if it is time; as often as one likes. */
void vrrp_path_meet(VrrpPath *path, VrrpEther *ether, gint64 now_us);

/* Sends @advert to every peer on this path by unicast; fills in source and destination. Returns how many could not be sent. */
guint vrrp_path_tell(VrrpPath *path, VrrpEther *ether, VrrpAdvert *advert);

/* Sends @advert to the VRRP group from @mac; fills in source and destination. */
bool vrrp_path_multicast(VrrpPath *path, VrrpEther *ether, const guint8 mac[static 6], VrrpAdvert *advert);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpPath, vrrp_path_free)
