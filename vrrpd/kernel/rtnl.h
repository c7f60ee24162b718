/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/kernel/rtnl.h - requests to the kernel about links, addresses and routes, each answered when the function returns.
 *
 * Every change, and some of the reading, waits for the kernel's lock (RTNL), which anybody on this machine may hold for seconds: where containers
 * or network namespaces come and go. So nothing of this is called by the loop once it elects; it is for the thread (worker.h), which has one of
 * these. Neighbours are the exception: Linux tells of them without the lock since 6.9.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"

typedef struct VrrpRtnl VrrpRtnl;

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
	char *name;
	VrrpLink link;
} VrrpNamedLink;

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
	guint32 flags; /* IFA_F_* */
} VrrpPresent;

VrrpRtnl *vrrp_rtnl_new(GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_rtnl_free(VrrpRtnl *rtnl); /* NULL is fine */

guint32 vrrp_rtnl_port(const VrrpRtnl *rtnl); /* of its socket: who asked for a change, as the kernel tells it */

/* What is changed until the end is put together and goes to the kernel as one message then; each function says that it worked. False: one did not.
 * @send false: nothing is sent after all. @whose: for the following; not NULL. */
void vrrp_rtnl_batch_begin(VrrpRtnl *rtnl);
bool vrrp_rtnl_batch_end(VrrpRtnl *rtnl, bool send, gconstpointer whose);

/* Sends it once more, where it was the last that was asked. False: it was not, or something of it is refused. */
bool vrrp_rtnl_batch_again(VrrpRtnl *rtnl, gconstpointer whose);

/* False when there is no such link. */
bool vrrp_rtnl_link(VrrpRtnl *rtnl, const char *name, VrrpLink *ret_link);
/* All there are: array of VrrpNamedLink, one for each name a link has. */
GArray *vrrp_rtnl_links(VrrpRtnl *rtnl);

bool vrrp_rtnl_macvlan_add(VrrpRtnl *rtnl, const char *name, int parent, const guint8 mac[static 6], GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vrrp_rtnl_link_delete(VrrpRtnl *rtnl, int index, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* It gives itself no IPv6 address. Not by sysctl: who writes or reads that does not wait for the kernel's lock but tries again and again, and in real time
 * keeps whoever has the lock from a processor. */
bool vrrp_rtnl_link_no_own_address(VrrpRtnl *rtnl, int index, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vrrp_rtnl_link_up(VrrpRtnl *rtnl, int index, bool up, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Adds the address or renews its lifetime. @connected: with the route to its subnet. */
bool vrrp_rtnl_address_set(VrrpRtnl *rtnl, int index, const IpAddress *address, guint prefix, guint lifetime_s, bool connected,
			   GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* An address that is not there is no error. */
bool vrrp_rtnl_address_delete(VrrpRtnl *rtnl, int index, const IpAddress *address, guint prefix, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Every address there is now: array of VrrpPresent. */
GArray *vrrp_rtnl_addresses(VrrpRtnl *rtnl);

/* Whether a link other than @index has an address in the same subnet. */
bool vrrp_rtnl_subnet_present(VrrpRtnl *rtnl, int index, const IpAddress *address, guint prefix);

/* Before others to the same destination; one that is there already is no error. */
bool vrrp_rtnl_route_add(VrrpRtnl *rtnl, const VrrpRoute *route, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool vrrp_rtnl_route_delete(VrrpRtnl *rtnl, const VrrpRoute *route, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Takes away what route_add() has left on @index, also that of a former process. */
void vrrp_rtnl_routes_clear(VrrpRtnl *rtnl, int index);

/* Neighbours of @family the kernel knows on @index, and its gateways there. Returns how many. */
gsize vrrp_rtnl_neighbours(VrrpRtnl *rtnl, int index, sa_family_t family, IpAddress *ret_addresses, gsize size);

/* False when the kernel does not know it. */
bool vrrp_rtnl_neighbour_mac(VrrpRtnl *rtnl, int index, const IpAddress *address, guint8 ret_mac[static 6]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpRtnl, vrrp_rtnl_free)
