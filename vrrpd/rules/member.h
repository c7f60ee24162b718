/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/rules/member.h - the members of the set: one virtual router for each (group, family), as the settings make them; pure.
 *
 * One of them elects. Those that advertise say the elector's priority, and so all move together; the others follow without a word.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/settings.h"

typedef struct {
	char *text;      /* "192.0.2.10/24" */
	IpAddress ip;
	guint prefix;
} VrrpMemberAddress;

typedef struct {
	IpAddress destination; /* none: default */
	guint prefix;
	IpAddress gateway;
} VrrpMemberRoute;

typedef struct {
	char *group;
	char *role;            /* of its interface: "lan" */
	char *device;          /* "eth0"; "" when device.conf has no such interface */
	sa_family_t family;
	bool elects;
	bool advertises;       /* always when it elects */
	char *path;            /* what its path is called: "lan" the elector's, "wan-ipv4", "lan-ipv6" any other */
	char *virtual_device;  /* "vrrp51.0", "vrrp51.0v6"; the device itself when it has no virtual interface */
	bool is_virtual;       /* not without virtual MAC, nor where no group has an address of the family: routes alone go from the device itself */
	IpAddress source;      /* of what goes by its routes: an address that can be used beyond the link; none: the kernel's choice */
	guint8 virtual_mac[6]; /* 00:00:5e:00:01:VRID or 00:00:5e:00:02:VRID */
	GArray *addresses;     /* of VrrpMemberAddress; over IPv6 the link-local one first, derived from the virtual MAC when none is named */
	GArray *routes;        /* of VrrpMemberRoute */
} VrrpMember;

/* Of VrrpMember*, in the order of the groups, IPv4 before IPv6. Never NULL. */
GPtrArray *vrrp_members_new(const Settings *settings);

const VrrpMember *vrrp_members_elector(const GPtrArray *members);

/* Whether every member has its like in the other set: the same place in the network and the same way to speak. Addresses and routes may differ. */
bool vrrp_members_same_paths(const GPtrArray *a, const GPtrArray *b);

/* A service address of any member. */
bool vrrp_members_have(const GPtrArray *members, const IpAddress *ip);
