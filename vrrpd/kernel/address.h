/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/kernel/address.h - the service addresses and routes of all groups, put up and taken down as one.
 *
 * With a virtual MAC every group has a macvlan interface, "vrrp<group id>.<n>", present in every role and up on the Master only. Addresses have a
 * lifetime of a few seconds that the Master renews: whatever happens to this process, a dead device lets go by itself.
 *
 * This is the loop's half. What changes the kernel is asked of the thread (address-kernel.h, worker.h) and done in the order asked; the function
 * returns at once. vrrp_addresses_learn() brings what the thread has done since: until then an address is as it was.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/kernel/address-kernel.h"
#include "vrrpd/wire/arp.h"
#include "vrrpd/rules/member.h"
#include "vrrpd/kernel/netlink.h"
#include "vrrpd/kernel/sysctl.h"

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

typedef struct VrrpAddresses VrrpAddresses;

/* How long an address lives in the kernel without being renewed: one advert may be lost, and it renews once a second at most. */
guint vrrp_addresses_lifetime_s(guint advert_interval_ms);

/* @members of VrrpMember*, kept by reference. */
VrrpAddresses *vrrp_addresses_new(GPtrArray *members, guint lifetime_s, VrrpNetlink *netlink, VrrpSysctl *sysctl);
void vrrp_addresses_free(VrrpAddresses *addresses); /* leaves the kernel as it is; NULL is fine */

/* ---- What the thread has done ---- */

typedef struct {
	bool changed;     /* which are held, or what is wrong with one */
	bool up;          /* one is held that was not, or was put up again: hosts do not know yet */
	char *missing;    /* what somebody has taken away; NULL: nothing. To be freed */
} VrrpLearned;

VrrpLearned vrrp_addresses_learn(VrrpAddresses *addresses);

/* Something that was asked is not done yet; routes that are left after a drop are not waited for. */
bool vrrp_addresses_pending(const VrrpAddresses *addresses);

/* Waits until it is, and learns; only for who elects no more, or not yet. */
void vrrp_addresses_settle(VrrpAddresses *addresses);

/* ---- What is asked of it ---- */

/* Makes the virtual interfaces that are missing. @clean: also takes down what a former process left. */
void vrrp_addresses_prepare(VrrpAddresses *addresses, bool clean);
/* The same, and holds again: whatever may have changed or been taken away. For a Master that is awake. */
void vrrp_addresses_repair(VrrpAddresses *addresses, GArray *taken); /* as vrrp_netlink_taken() has it; taken over */

/* A Master that is awake, until then: beyond that nothing is put up that was asked before, unless this is said again. */
void vrrp_addresses_lead(VrrpAddresses *addresses, gint64 until_us);
void vrrp_addresses_hold(VrrpAddresses *addresses);  /* idempotent */
void vrrp_addresses_renew(VrrpAddresses *addresses); /* their lifetimes anew */
/* From now until they are dropped, what goes from an unbound socket to the service addresses' networks bears the service address; what goes
 * from one device to the other (@between, of VrrpBetween, taken over) the device's own. */
void vrrp_addresses_prefer(VrrpAddresses *addresses, GArray *between);
void vrrp_addresses_drop(VrrpAddresses *addresses);
void vrrp_addresses_drop_routes(VrrpAddresses *addresses); /* after that, what the kernel has left */
void vrrp_addresses_rest(VrrpAddresses *addresses);  /* some time after a drop: the virtual interfaces go down */
/* Takes away what @next does not have: addresses, routes and virtual interfaces. What it has too is not touched. */
void vrrp_addresses_retire(VrrpAddresses *addresses, VrrpAddresses *next);
void vrrp_addresses_remove(VrrpAddresses *addresses); /* takes the virtual interfaces away, and puts back the kernel's settings */

/* ---- At once ---- */

guint vrrp_addresses_announce(VrrpAddresses *addresses, VrrpEther *ether); /* those that are held; returns how many frames */

gsize vrrp_addresses_count(const VrrpAddresses *addresses);
const VrrpServiceAddress *vrrp_addresses_at(const VrrpAddresses *addresses, gsize i);

/* What does not work now, each "code: text"; appended to @problems. */
void vrrp_addresses_problems(const VrrpAddresses *addresses, GPtrArray *problems);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpAddresses, vrrp_addresses_free)
