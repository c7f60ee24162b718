/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snmp/notices.h - the notifications of the VRRP MIBs: this router has become Master; a packet of its group broke the protocol. Pure.
 *
 * A function of what vrrpd has said before and says now. They go to snmpd, which sends them on to whom its own settings name.
 */
#pragma once

#include "snmp/mib.h"

#define NOTICES_ERROR_AGAIN_US (3600 * G_TIME_SPAN_SECOND) /* of one kind of error; each packet is counted */
#define NOTICES_FRESH_US       (10 * G_TIME_SPAN_SECOND)   /* who has become Master so short before we began to look is told of too */

/* RFC 6527. */
typedef enum { MASTER_REASON_NOT_MASTER, MASTER_REASON_PRIORITY, MASTER_REASON_PREEMPTED, MASTER_REASON_NO_RESPONSE } MasterReason;
typedef enum { PROTOCOL_NO_ERROR, PROTOCOL_TTL, PROTOCOL_VERSION, PROTOCOL_CHECKSUM, PROTOCOL_VRID } ProtocolError;

typedef struct {
	bool is_known;         /* what vrrpd said before */
	guint64 sequence;
	guint64 errors[PROTOCOL_VRID];
	gint64 told_us[PROTOCOL_VRID]; /* when an error of this kind was told; 0: never */
	int master_reason;     /* MasterReason of the last time; -1: not known */
	ProtocolError error;   /* the last */
} Notices;

void notices_init(Notices *notices);

/* What is to be sent now. */
typedef struct {
	bool new_master;
	ProtocolError error; /* PROTOCOL_NO_ERROR: none */
} NoticesDue;

/* After each answer of vrrpd's; of several kinds of error at once the first is due, the others at the next look. */
NoticesDue notices_look(Notices *notices, const MibFacts *facts, gint64 now_us);
