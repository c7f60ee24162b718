/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/netlink.h - links, addresses and routes by rtnetlink, and the kernel's word when a link changes.
 *
 * Requests are answered by the kernel while they are sent; nothing here waits for the network. But they wait for the kernel's lock, so what is
 * repeated while adverts go out is left to a thread (renewal.h).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "renewal.h"
#include "settings/ip.h"

typedef struct VrrpNetlink VrrpNetlink;

typedef struct {
	int index;
	bool up;      /* administratively */
	bool carrier; /* and with a cable in it */
	guint8 mac[6];
	int parent;   /* of a macvlan; else 0 */
	bool macvlan;
	int lower;    /* of a VLAN, macvlan or ipvlan: the interface it is on; else 0 */
} VrrpLink;

typedef struct {
	IpAddress destination; /* none: default */
	guint prefix;
	IpAddress gateway;
	IpAddress source;      /* preferred source; none: the kernel's choice */
	guint metric;          /* 0: the kernel's choice */
	int index;
	guint lifetime_s;      /* IPv6 alone: IPv4 routes go with their source address; 0: for ever */
} VrrpRoute;

#define VRRP_METRIC_BEFORE_KERNEL 128 /* over IPv6 the routes that addresses bring have 256, and what comes first is not what was added last */

typedef struct {
	int index;
	IpAddress ip;
} VrrpPresent;

/* @changed runs when a link that was asked about came, went or changed, or somebody else added or removed an address. */
VrrpNetlink *vrrp_netlink_new(void (*changed)(gpointer user_data), gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_netlink_free(VrrpNetlink *netlink); /* NULL is fine */

/* False when there is no such link. */
bool vrrp_netlink_link(VrrpNetlink *netlink, const char *name, VrrpLink *ret_link);

bool vrrp_netlink_macvlan_add(VrrpNetlink *netlink, const char *name, int parent, const guint8 mac[static 6],
			      GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vrrp_netlink_link_delete(VrrpNetlink *netlink, int index, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vrrp_netlink_link_up(VrrpNetlink *netlink, int index, bool up, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Adds the address or renews its lifetime. @connected: with the route to its subnet. */
bool vrrp_netlink_address_set(VrrpNetlink *netlink, int index, const IpAddress *address, guint prefix, guint lifetime_s, bool connected,
			      GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* An address that is not there is no error. */
bool vrrp_netlink_address_delete(VrrpNetlink *netlink, int index, const IpAddress *address, guint prefix,
				 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Every address there is now: array of VrrpPresent. */
GArray *vrrp_netlink_addresses(VrrpNetlink *netlink);

/* Before others to the same destination; one that is there already is no error. */
bool vrrp_netlink_route_add(VrrpNetlink *netlink, const VrrpRoute *route, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vrrp_netlink_route_delete(VrrpNetlink *netlink, const VrrpRoute *route, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Takes away what route_add() has left on @index, also that of a former process. */
void vrrp_netlink_routes_clear(VrrpNetlink *netlink, int index);

/* The same beside the adverts, all as one (renewal.h). What comes otherwise than expected is told as a change. */
bool vrrp_netlink_renew_begin(VrrpNetlink *netlink); /* false: the last is still under way */
void vrrp_netlink_renew_address(VrrpNetlink *netlink, int index, const IpAddress *address, guint prefix, guint lifetime_s, bool connected,
				VrrpRenewalExpect expect);
void vrrp_netlink_renew_route(VrrpNetlink *netlink, const VrrpRoute *route, VrrpRenewalExpect expect);
void vrrp_netlink_renew_send(VrrpNetlink *netlink, gint64 until_us);

/* Whether a link other than @except has an address in the same subnet. */
bool vrrp_netlink_subnet_present(VrrpNetlink *netlink, int index, const IpAddress *address, guint prefix);

/* Link-local IPv6 addresses of @index that can be used, duplicate detection done. Returns how many. */
gsize vrrp_netlink_link_locals(VrrpNetlink *netlink, int index, IpAddress *ret_addresses, gsize size);

/* Neighbours of @family the kernel knows on @index, and its gateways there. Returns how many. */
gsize vrrp_netlink_neighbours(VrrpNetlink *netlink, int index, sa_family_t family, IpAddress *ret_addresses, gsize size);

/* False when the kernel does not know it. */
bool vrrp_netlink_neighbour_mac(VrrpNetlink *netlink, int index, const IpAddress *address, guint8 ret_mac[static 6]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpNetlink, vrrp_netlink_free)
