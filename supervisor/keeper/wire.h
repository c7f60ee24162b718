/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/keeper/wire.h - what keeper and supervisor say to each other: datagrams of one struct over a SOCK_SEQPACKET pair. */
#pragma once

#include <glib.h>

/* Descriptors a supervisor is born with. */
#define KEEPER_FD_NOTIFY 3 /* the bound sd_notify socket */
#define KEEPER_FD_LINK 4   /* its end of the pair */

typedef enum {
	KEEPER_REAPED = 1, /* keeper: a process has ended; repeated to the next supervisor until acknowledged */
	KEEPER_KICK,       /* supervisor: I am alive; every KEEPER_KICK_INTERVAL_US */
	KEEPER_ACK,        /* supervisor: reports up to and with `sequence` are dealt with */
	KEEPER_STOP,       /* keeper, to one it starts: everything is being stopped already; SIGTERM follows */
} KeeperMessageKind;

#define KEEPER_KICK_INTERVAL_US (1 * G_TIME_SPAN_SECOND)
#define KEEPER_SILENCE_US (3 * G_TIME_SPAN_SECOND)

typedef struct {
	guint32 kind;
	gint32 pid;
	gint32 status; /* as wait() gives it */
	guint32 unused;
	guint64 start_ticks;
	guint64 sequence;
} KeeperMessage;
