/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/mib.h - what the daemons have said, as the instances of UNDERSTUDY-MIB and of the VRRP MIBs. Pure. */
#pragma once

#include "snmp/oid.h"

#define MIB_EVENTS 200
#define MIB_REFRESH_MS 5000 /* so often what has no signal is asked for */

/* As the bus gave it; NULL: not known now. Dictionaries are a{sv}, lists aa{sv}. */
typedef struct {
	GVariant *supervisor;   /* properties of Supervisor1 */
	GPtrArray *applications; /* of GVariant: properties of Application1; NULL: not known */
	GVariant *findings;     /* Supervisor1.Doctor */
	GVariant *timeline;     /* Supervisor1.Timeline, oldest first */
	GVariant *election, *vrrp; /* properties of Election1, Vrrp1 */
	GVariant *sync;         /* properties of Sync1 */
	GVariant *notify;       /* properties of Notify1 */
	GVariant *events;       /* Notify1.List, newest first */
	guint64 raised[3];      /* since we watch, by priority */
	guint32 interface;      /* the index of the electing one; 0: there is none */
	gint64 now_ms;          /* wall clock */
	gint64 boot_us;         /* CLOCK_BOOTTIME */
	int master_reason;      /* why it became Master the last time, as MasterReason of notices.h; -1: not known */
	int protocol_error;     /* the last, as ProtocolError there */
	gint64 router_ticks;    /* sysUpTime when vrrpd began to count; 0: before there was snmpd; -1: not known */
	gint64 raised_ticks;    /* the same of @raised */
} MibFacts;

/* What is at @root. */
void mib_add_understudy(MibView *view, const Oid *root, const MibFacts *facts);

/* VRRP-MIB (RFC 2787) for version 2, VRRPV3-MIB (RFC 6527) for version 3; nothing where no router is known. */
void mib_add_vrrp(MibView *view, const MibFacts *facts);
/* Their notifications, by the version in use: that this router has become Master, that a packet broke the protocol (version 3 alone has that). The objects are
 * sorted, @ret_name says which it is. NULL: there is no such router. */
MibView *mib_vrrp_new_master(const MibFacts *facts, Oid *ret_name);
MibView *mib_vrrp_protocol_error(const MibFacts *facts, Oid *ret_name);
void mib_vrrp_subtrees(Oid ret_subtrees[static 2]); /* where the two are */
