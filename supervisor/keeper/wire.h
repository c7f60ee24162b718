/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/keeper/wire.h - what keeper and supervisor say to each other: datagrams of one struct over a SOCK_SEQPACKET pair. */
#pragma once

#include <glib.h>

/* Descriptors a supervisor is born with. */
#define KEEPER_FD_NOTIFY 3 /* the bound sd_notify socket */
#define KEEPER_FD_LINK 4   /* its end of the pair */
#define KEEPER_FD_LEASE 5  /* its sign of life: a timer (CLOCK_BOOTTIME) that the keeper waits for; nobody reads from it */

typedef enum {
	KEEPER_REAPED = 1, /* keeper: a process has ended; repeated to the next supervisor until acknowledged */
	KEEPER_UP,         /* supervisor: everything that was left running has been found, I am at work; once */
	KEEPER_ACK,        /* supervisor: reports up to and with `sequence` are dealt with */
	KEEPER_STOP,       /* keeper, to one it starts: everything is being stopped already; SIGTERM follows */
	KEEPER_TURN,       /* keeper: you were stopped and go on; turn once, so that the timer is right again */
} KeeperMessageKind;

/*
 * The supervisor sets the timer anew at each turn of its loop: before it sleeps, for as long as it means to and this; when it wakes, for this. So
 * nobody is woken while nothing happens, and the timer runs out when the supervisor hangs. The keeper sets it when it starts one, when one has
 * ended, and when the kernel says that one was stopped.
 */
#define KEEPER_LEASE_US (2500 * G_TIME_SPAN_MILLISECOND)
#define KEEPER_SLEEP_US (5 * G_TIME_SPAN_SECOND) /* longer it never means to */
/* One that has run out is looked at once more after this: where the whole machine stood still, the supervisor is about to set it. */
#define KEEPER_GRACE_US (500 * G_TIME_SPAN_MILLISECOND)

typedef struct {
	guint32 kind;
	gint32 pid;
	gint32 status; /* as wait() gives it */
	guint32 unused;
	guint64 start_ticks;
	guint64 sequence;
} KeeperMessage;
