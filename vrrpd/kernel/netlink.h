/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/kernel/netlink.h - what the loop knows of links and addresses, and the kernel's word when they change.
 *
 * The loop never asks the kernel itself, as that waits for the kernel's lock (rtnl.h): it has a picture, and when the kernel tells of a change the
 * thread makes a new one. So does everything that changes something: all of it goes through the one queue of the one thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/kernel/rtnl.h"
#include "settings/ip.h"
#include "vrrpd/kernel/worker.h"

typedef struct VrrpNetlink VrrpNetlink;

typedef struct {
	void (*changed)(gpointer user_data); /* a link that was asked about came, went or changed, or somebody else added or removed an address */
	void (*done)(gpointer user_data);    /* one job of the thread or several */
} VrrpNetlinkListener;

/* The first picture is there when it returns. @listener is copied. */
VrrpNetlink *vrrp_netlink_new(const VrrpNetlinkListener *listener, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_netlink_free(VrrpNetlink *netlink); /* when all jobs are done; NULL is fine */

VrrpWorker *vrrp_netlink_worker(VrrpNetlink *netlink);
VrrpRtnl *vrrp_netlink_rtnl(VrrpNetlink *netlink); /* for jobs of that thread alone */

/* ---- As in the picture ---- */

/* False when there is no such link. From now on its changes are told. */
bool vrrp_netlink_link(VrrpNetlink *netlink, const char *name, VrrpLink *ret_link);

/* Of VrrpPresent; borrowed until the loop runs again. */
const GArray *vrrp_netlink_addresses(const VrrpNetlink *netlink);

/* What others have taken away since this was asked last, of VrrpPresent: what the picture does not show when it was put up again before. IPv4 alone:
 * over IPv6 the kernel does not say whose request it was. */
GArray *vrrp_netlink_taken(VrrpNetlink *netlink);

/* Link-local IPv6 addresses of @index that can be used, duplicate detection done. Returns how many. */
gsize vrrp_netlink_link_locals(const VrrpNetlink *netlink, int index, IpAddress *ret_addresses, gsize size);

/* ---- Asked at once: the kernel answers this without the lock (rtnl.h) ---- */

gsize vrrp_netlink_neighbours(VrrpNetlink *netlink, int index, sa_family_t family, IpAddress *ret_addresses, gsize size);
bool vrrp_netlink_neighbour_mac(VrrpNetlink *netlink, int index, const IpAddress *address, guint8 ret_mac[static 6]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpNetlink, vrrp_netlink_free)
