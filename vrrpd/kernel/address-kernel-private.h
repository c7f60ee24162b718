/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/address-kernel-private.h - what the files address-kernel*.c share; all of it is the thread's. */
#pragma once

#include <pthread.h>

#include "vrrpd/kernel/address-kernel.h"

/* One member of the set, on its interface. */
typedef struct {
	const VrrpMember *member;
	int parent;         /* index of its device; 0: not there */
	int index;          /* of the virtual interface, or the device itself without virtual MAC; 0: not there */
	guint8 mac[6];      /* what hosts find the addresses at */
	bool connected;     /* nobody else brings the route to the subnet */
	bool up;
	char *problem;      /* with the interface itself */
	char *refused;      /* a kernel setting */
	char **no_route;    /* what is wrong with each of the member's routes; NULL: nothing */
} VrrpPlace;

typedef struct {
	char *text;         /* "192.0.2.10/24" */
	IpAddress address;
	guint prefix;
	guint place;
	bool held;
	char *problem;
} VrrpHeld;

struct VrrpAddressKernel {
	GPtrArray *members; /* of VrrpMember* */
	VrrpRtnl *rtnl;
	VrrpSysctl *sysctl;
	VrrpPlace *places;      /* as many as members */
	guint n_places;
	GPtrArray *list;    /* of VrrpHeld*, in the order of the members */
	guint lifetime_s;
	GArray *between;    /* of VrrpBetween; NULL: no preference for the service address as source */

	/* The loop's word, which may come in the midst of a job. */
	gint wanted;        /* atomic: what is put up is still to be */
	gint64 until_us;    /* atomic: so long it may be, the loop has been seen awake */

	pthread_mutex_t lock;
	VrrpSeen *seen;     /* under the lock: not fetched yet; NULL: it was */
};

/* Asked before each request, as every one may have waited for long: a Master that has resigned meanwhile, or slept, puts up nothing more. */
bool vrrp_kernel_may_hold(VrrpAddressKernel *self);
/* "code: what: why", in the place of what *problem said. Takes @error over. */
void vrrp_kernel_complain(char **problem, const char *code, const char *what, GError *error);
/* After each job. What has to be heard of once is kept until it was. @missing: NULL for none. */
void vrrp_kernel_tell(VrrpAddressKernel *self, const VrrpHeld *missing, bool lost);
void vrrp_kernel_delete_addresses(VrrpAddressKernel *self, guint place);

/* address-kernel-links.c */

/* Makes the virtual interfaces that are missing; @clean: with nothing on them. Whether one was lost with all that was on it. */
bool vrrp_kernel_prepare(VrrpAddressKernel *self, bool clean);
bool vrrp_kernel_bring_up(VrrpAddressKernel *self, VrrpPlace *place);
void vrrp_kernel_delete_virtual(VrrpAddressKernel *self, VrrpPlace *place);

/* address-kernel-routes.c */

void vrrp_kernel_hold_routes(VrrpAddressKernel *self, guint place);
/* All that may be there because of us, of VrrpRoute: the routes of the settings, and those of the preference. */
GArray *vrrp_kernel_routes(const VrrpAddressKernel *self);
/* @keep: NULL for none. */
void vrrp_kernel_delete_routes(VrrpAddressKernel *self, const GArray *routes, const GArray *keep);
