/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/address.h - the service addresses and routes of all groups, put up and taken down as one.
 *
 * With a virtual MAC every group has a macvlan interface, "vrrp<group id>.<n>", present in every role and up on the Master only. Addresses have a
 * lifetime of a few seconds that the Master renews: whatever happens to this process, a dead device lets go by itself.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "arp.h"
#include "member.h"
#include "netlink.h"
#include "sysctl.h"

typedef struct {
	char *text;            /* "192.0.2.10/24" */
	char *group;
	char *interface;       /* where it is while held: "vrrp42.0", or "eth0" */
	IpAddress address;
	guint prefix;
	guint place;           /* index of its member */
	bool held;
	char *problem;         /* NULL: none */
} VrrpServiceAddress;

/* What the two devices say to each other on an interface: from our own address there to one of the peer's. */
typedef struct {
	char role[65];         /* of the interface; a copy, it outlives the settings */
	IpAddress own, peer;
} VrrpBetween;

typedef struct VrrpAddresses VrrpAddresses;

/* How long an address lives in the kernel without being renewed: one advert may be lost, and it renews once a second at most. */
guint vrrp_addresses_lifetime_s(guint advert_interval_ms);

/* @members of VrrpMember*, kept by reference. */
VrrpAddresses *vrrp_addresses_new(GPtrArray *members, guint lifetime_s, VrrpNetlink *netlink, VrrpSysctl *sysctl);
void vrrp_addresses_free(VrrpAddresses *addresses); /* leaves the kernel as it is; NULL is fine */

/* Makes the virtual interfaces that are missing. @clean: also takes down what a former process left. Call again when links change. True when a
 * held address may have gone with an interface: to be held again. */
bool vrrp_addresses_prepare(VrrpAddresses *addresses, bool clean);

/* Whether any is held, or no longer, that was not when this was asked last. */
bool vrrp_addresses_changed(VrrpAddresses *addresses);

/* The first held address that is not among @present (of VrrpPresent) any more, NULL when all are; none of the missing counts as held then. */
const VrrpServiceAddress *vrrp_addresses_missing(VrrpAddresses *addresses, const GArray *present);

void vrrp_addresses_hold(VrrpAddresses *addresses);  /* idempotent */
/* Their lifetimes anew, beside the adverts; not begun any more after @until_us. What has become otherwise is told as a change of links is. */
void vrrp_addresses_renew(VrrpAddresses *addresses, gint64 until_us);
/* From now until they are dropped, what goes from an unbound socket to the service addresses' networks bears the service address; what goes
 * from one device to the other (@between, of VrrpBetween, taken over) the device's own. */
void vrrp_addresses_prefer(VrrpAddresses *addresses, GArray *between);
void vrrp_addresses_drop(VrrpAddresses *addresses);
void vrrp_addresses_drop_routes(VrrpAddresses *addresses); /* after that, what the kernel has left */
void vrrp_addresses_rest(VrrpAddresses *addresses);  /* some time after a drop: the virtual interfaces go down */
guint vrrp_addresses_announce(VrrpAddresses *addresses, VrrpEther *ether); /* returns how many frames */
/* Takes away what @next, which is prepared, does not have: addresses, routes and virtual interfaces. What it has too is not touched. */
void vrrp_addresses_retire(VrrpAddresses *addresses, VrrpAddresses *next);
void vrrp_addresses_remove(VrrpAddresses *addresses); /* takes the virtual interfaces away */

gsize vrrp_addresses_count(const VrrpAddresses *addresses);
const VrrpServiceAddress *vrrp_addresses_at(const VrrpAddresses *addresses, gsize i);

/* What does not work now, each "code: text"; appended to @problems. */
void vrrp_addresses_problems(const VrrpAddresses *addresses, GPtrArray *problems);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpAddresses, vrrp_addresses_free)
