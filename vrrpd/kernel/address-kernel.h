/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/kernel/address-kernel.h - the half of address.h that works on the kernel: what it does is done in the thread (worker.h), one job after the other.
 *
 * A job is put together by the loop and goes through to its end; but one that puts something up asks before each request whether that is still
 * wanted. So a word that is overtaken leaves as little as possible behind, and the one behind it makes the end right.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/rules/member.h"
#include "vrrpd/kernel/rtnl.h"
#include "vrrpd/kernel/sysctl.h"

/* What the two devices say to each other on an interface: from our own address there to one of the peer's. */
typedef struct {
	char role[65];         /* of the interface; a copy, it outlives the settings */
	IpAddress own, peer;
} VrrpBetween;

typedef struct {
	bool held;
	char *problem; /* NULL: none */
} VrrpSeenAddress;

typedef struct {
	int parent;    /* where it is announced; 0: there is no such interface */
	guint8 mac[6]; /* what hosts find the addresses at */
} VrrpSeenPlace;

/* How it stands after a job, for the loop. */
typedef struct {
	GArray *addresses;   /* of VrrpSeenAddress, as many as there are addresses of members, in their order */
	GArray *places;      /* of VrrpSeenPlace, one for each member */
	GPtrArray *problems; /* of char*, "code: text" */
	bool lost;           /* what was held had gone, with its interface or by itself, and was put up again */
	char *missing;       /* an address that somebody has taken away; NULL: none */
} VrrpSeen;

void vrrp_seen_free(VrrpSeen *seen); /* NULL is fine */

typedef struct VrrpAddressKernel VrrpAddressKernel;

/* @members of VrrpMember*, kept by reference. @rtnl and @sysctl are the thread's. */
VrrpAddressKernel *vrrp_address_kernel_new(GPtrArray *members, guint lifetime_s, VrrpRtnl *rtnl, VrrpSysctl *sysctl);
void vrrp_address_kernel_free(VrrpAddressKernel *kernel); /* leaves the kernel as it is; NULL is fine */

/* ---- For the loop, at any time ---- */

/* Whether what the jobs asked so far put up is still to be there. */
void vrrp_address_kernel_want(VrrpAddressKernel *kernel, bool wanted);
/* The loop lives, and leads: until then something may be put up. One that was stopped and goes on later does not say what was true then. */
void vrrp_address_kernel_lead(VrrpAddressKernel *kernel, gint64 until_us);
/* What there is to know since this was asked last; NULL: nothing. */
VrrpSeen *vrrp_address_kernel_seen(VrrpAddressKernel *kernel);

/* ---- Jobs: @kernel a VrrpAddressKernel* ---- */

bool vrrp_address_kernel_clean(gpointer kernel, gpointer unused);   /* takes down what a former process left, makes the virtual interfaces */
bool vrrp_address_kernel_prepare(gpointer kernel, gpointer unused); /* makes the virtual interfaces that are missing */
bool vrrp_address_kernel_hold(gpointer kernel, gpointer unused);    /* all up */
bool vrrp_address_kernel_renew(gpointer kernel, gpointer unused);   /* their lifetimes anew */
/* Prepares, looks for what is missing or among those that others have @taken (GArray of VrrpPresent, taken over), and holds. */
bool vrrp_address_kernel_repair(gpointer kernel, gpointer taken);
bool vrrp_address_kernel_prefer(gpointer kernel, gpointer between); /* a GArray of VrrpBetween, taken over */
bool vrrp_address_kernel_drop(gpointer kernel, gpointer unused);
bool vrrp_address_kernel_drop_routes(gpointer kernel, gpointer unused);
bool vrrp_address_kernel_rest(gpointer kernel, gpointer unused);
bool vrrp_address_kernel_retire(gpointer kernel, gpointer next);    /* another VrrpAddressKernel*, prepared */
bool vrrp_address_kernel_remove(gpointer kernel, gpointer unused);  /* the virtual interfaces; kernel settings as they were found */
bool vrrp_address_kernel_end(gpointer kernel, gpointer unused);     /* frees it */
