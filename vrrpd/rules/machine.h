/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/rules/machine.h - RFC 3768 6.4 / RFC 9568 6.4 as a function of (state, event, time); pure.
 *
 * Preempt_Mode is false always and Accept_Mode true always. Beyond the RFCs, and nothing else:
 *  - a Backup that is held, or whose link has just come back, lets the down timer run out without acting on it;
 *  - a Backup that begins waits by the Master's interval if it has heard that already, before its link was to be trusted, and that is longer than its own;
 *  - a Master that finds itself later than a Backup would wait is silent for one interval, and steps down if it hears another Master
 *    whatever that one's priority;
 *  - a Backup whose timer fires more than an interval late, or that has only adverts which have lain in its queue for longer, waits a whole
 *    down interval more before it believes that the Master is gone, as one that has just started, by the longer of its own and the
 *    Master's interval;
 *  - so does one for whose adverts the kernel had no room, each time, unless it has listened in vain for so long since: what it has not heard may have
 *    been said;
 *  - of a queue in which adverts lay while somebody set the clock nobody knows how old they are: priority 0 is not believed from there, for the Master may
 *    have led again since, and the Master's interval only if it is not shorter than the own, nor than what was known of it;
 *  - a Master that yields says once more that it led, at the least priority there is, so that the other, if it had not heard of it, tells the hosts that it
 *    leads; but one that was late does not where the other took over from it;
 *  - addresses are let go before priority 0 is said, so that they are never on two devices.
 * Time is microseconds of CLOCK_BOOTTIME.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"

typedef enum { VRRP_STATE_INIT, VRRP_STATE_BACKUP, VRRP_STATE_MASTER } VrrpState;

typedef enum {
	VRRP_EVENT_START,  /* Startup: the interface is there and has carrier */
	VRRP_EVENT_RESUME, /* Startup of a process that was Master moments ago and may go on */
	VRRP_EVENT_STOP,   /* Shutdown, or the interface went down */
	VRRP_EVENT_ADVERT, /* one that passed every check */
	VRRP_EVENT_TIMER,  /* the deadline has come; every receive queue was drained before */
	VRRP_EVENT_GATE,   /* whether this device may take over changed */
	VRRP_EVENT_RESIGN, /* ordered: give up */
	VRRP_EVENT_TAKE,   /* ordered: lead at once */
} VrrpEventKind;

typedef struct {
	VrrpEventKind kind;
	const char *reason;  /* START, STOP, RESIGN, TAKE; must outlive the steps */
	guint8 priority;     /* ADVERT */
	guint interval_cs;   /* ADVERT */
	IpAddress source;    /* ADVERT: the sender's primary address */
	gint64 received_us;  /* ADVERT: when the kernel had it; */
	bool undated;        /* ADVERT: or before that, nobody knows how long */
	bool took_over;      /* ADVERT: it is known that its sender took over from us, and so told the hosts after us */
	bool open;           /* GATE */
	bool ran_over;       /* TIMER, GATE: the kernel had no room for something since the Master was heard last, a down interval ago, or when this was last said */
} VrrpEvent;

typedef enum {
	VRRP_STEP_SEND,     /* an advert with .priority, on every path */
	VRRP_STEP_HOLD,     /* put the addresses up (again) */
	VRRP_STEP_RENEW,    /* lengthen their lifetime; candidate.c's */
	VRRP_STEP_DROP,     /* take the addresses down */
	VRRP_STEP_ANNOUNCE, /* gratuitous ARP for all addresses */
	VRRP_STEP_STATE,    /* the state is .state now, for .reason */
} VrrpStepKind;

typedef struct {
	VrrpStepKind kind;
	guint8 priority;
	VrrpState state;
	const char *reason;
} VrrpStep;

#define VRRP_MAX_STEPS 6

typedef struct {
	/* Set by the owner, at any time. */
	guint8 version;
	guint interval_cs;      /* Advertisement_Interval */
	IpAddress address;      /* our primary address */
	guint8 priority;        /* what we advertise as Master, or would at once on becoming it */
	guint8 skew_priority;   /* what our Skew_Time is computed from */

	/* Read by the owner. */
	VrrpState state;
	gint64 deadline_us;     /* when TIMER is due; 0: never */
	guint master_interval_cs; /* Active_Adver_Interval (version 2: our own) */
	guint8 master_priority; /* of the Master heard last */
	IpAddress master_address;
	gint64 last_sent_us;
	bool open;              /* may take over when the Master is gone */
	guint64 late_wake_ups;  /* how often it found itself asleep, in either role; one sleep is one */
	guint64 ran_over;       /* how often a Backup waited once more because of that */
	bool master_gone;       /* the down timer has run out while not open */

	/* Its own. */
	bool resigned;          /* the Master said priority 0 */
	bool listening;         /* Master, silent after a late wake-up */
	bool listened;          /* Backup, waits once more after a late wake-up */
	gint64 woke_us;         /* when it last found itself asleep */
	gint64 announced_us;
	gint64 zero_us;         /* when the last priority 0 came, */
	IpAddress zero_source;  /* and from whom */
} VrrpMachine;

const char *vrrp_state_name(VrrpState state);

void vrrp_machine_init(VrrpMachine *machine, guint8 version, guint interval_cs, IpAddress address, guint8 priority, guint8 skew_priority);

/* Returns the number of steps, to be done in this order. Afterwards machine->deadline_us holds the timer. */
gsize vrrp_machine_step(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, VrrpStep ret_steps[static VRRP_MAX_STEPS]);

/* A Backup that would lead, were it let or told that it may. */
bool vrrp_machine_would_lead(const VrrpMachine *machine, gint64 now_us);

/* Somebody else led until now, or does, and has not said that it no longer does: it may hold the addresses still. */
bool vrrp_machine_knows_another(const VrrpMachine *machine, const VrrpEvent *event);

/* Skew_Time and Active_Down_Interval as they follow from the Master heard last. */
gint64 vrrp_machine_skew_us(const VrrpMachine *machine);
gint64 vrrp_machine_down_us(const VrrpMachine *machine);

/* How long one waits that knows no more than one that begins: by the longer of its own interval and the Master's. */
gint64 vrrp_machine_anew_us(const VrrpMachine *machine);

/* How long a paired Backup waits for us: past this we must expect to have been replaced. */
gint64 vrrp_machine_peer_down_us(const VrrpMachine *machine);
