/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/rules/candidate.h - this device as a candidate for leading: machine, judge, holds and link watch as one; pure.
 *
 * Everything that is decided in an election is decided here and in what this is made of. Whoever owns it brings events, does the steps, and
 * keeps on disk what a restarted process must know.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/rules/holds.h"
#include "vrrpd/rules/judge.h"
#include "vrrpd/rules/link-watch.h"
#include "vrrpd/rules/machine.h"

/* The addresses' lifetime, which is 3 s or more, is renewed with the last advert before its half; with every advert where those are slow. */
#define VRRP_RENEW_US (1500 * G_TIME_SPAN_MILLISECOND)
#define VRRP_RENEW_LEAST_US G_USEC_PER_SEC

/* So long one that is to give up goes on as Master while its addresses are still up: as they live when nobody renews them. */
#define VRRP_LEAVE_US (3 * G_USEC_PER_SEC)

typedef struct {
	VrrpMachine machine;
	VrrpHolds holds;
	VrrpLinkWatch watch;

	bool paired;
	guint offset;            /* paired: our place within a band */
	guint8 configured_priority; /* not paired */

	/* Read by the owner. */
	guint step, heard_step;
	bool serving, served;
	VrrpStanding standing;   /* as the priority says it */
	bool unsaved;            /* something that a restarted process must know has changed; the owner saves it and clears this */

	/* Its own. */
	bool ordered;            /* told to lead while a Master is there: until it serves, judged as if it did */
	bool resuming;           /* about to be the Master we were before a restart */
	bool steady;             /* vrrp_link_watch_steady() when last looked at */
	gint64 heard_us;         /* the peer, as Master; 0: not yet */
	gint64 master_us;        /* any Master, whether there is a peer or not; 0: not yet */
	gint64 heard_step_us;    /* when it last said that step, or a higher one; 0: not since we began */
	gint64 raise_until_us;   /* ordered: until then it may raise its step above a Master heard only now */
	bool follows;            /* the peer has said so of our time as Master; the step goes back once nothing of its own time is under way */
	gint64 follows_us;       /* since when it says so */
	gint64 renewed_us;       /* 0: there are no addresses to renew */
	bool leaving;            /* told to give up, and waits for the addresses to be down: until then no priority 0 */
	VrrpEvent leave;         /* what told it; its reason must outlive the leaving */
	gint64 leave_until_us;
	bool holding;            /* the addresses may be up */
	bool deaf;               /* its socket hears nobody, */
	gint64 deaf_us;          /* since then */
	bool missed;             /* it was deaf for longer than an interval, and has heard nobody since, */
	gint64 hears_us;         /* which is this long */
} VrrpCandidate;

/* A new election. Holds, pairing and steps stay. */
void vrrp_candidate_begin(VrrpCandidate *candidate, guint8 version, guint interval_cs, IpAddress address, guint8 configured_priority);

/* Is the Master, or is about to go on as the one it was. */
bool vrrp_candidate_leads(const VrrpCandidate *candidate);

VrrpStanding vrrp_candidate_standing(const VrrpCandidate *candidate, gint64 now_us);

/* Puts what is known into the priority: as Master what we advertise, before that what we would begin with. */
void vrrp_candidate_judge(VrrpCandidate *candidate, gint64 now_us);

/* Judges, then vrrp_machine_step(), and what follows from a change of state. The owner does the steps in their order.
 *
 * Taking down addresses may take the kernel seconds. A Master that is to give up (RESIGN, STOP) is asked for VRRP_STEP_DROP alone and goes on
 * saying that it leads, so that the other does not put up what is still up here; when the owner has said that they are down, vrrp_candidate_left()
 * brings the event again, and with it priority 0. */
gsize vrrp_candidate_step(VrrpCandidate *candidate, const VrrpEvent *event, gint64 now_us, VrrpStep ret_steps[static VRRP_MAX_STEPS]);

/* What VRRP_STEP_DROP asked for is done. */
void vrrp_candidate_dropped(VrrpCandidate *candidate);

/* True when @ret_event is to be stepped: a Master that leaves has its addresses down; or the kernel has not let it for VRRP_LEAVE_US, and then it
 * falls silent without saying priority 0; or it was to end altogether and has yielded to another meanwhile. After each step and vrrp_candidate_dropped(),
 * and at each tick. */
bool vrrp_candidate_left(const VrrpCandidate *candidate, gint64 now_us, VrrpEvent *ret_event);

/* The step of an advert that counts; before VRRP_EVENT_ADVERT. */
void vrrp_candidate_hear(VrrpCandidate *candidate, guint8 priority, gint64 received_us);

/* True when @ret_event is to be stepped: whether this device may take over has changed. */
bool vrrp_candidate_gate(const VrrpCandidate *candidate, gint64 now_us, VrrpEvent *ret_event);

/* Whether the elector's own path hears: who does not must not lead for silence. The gate may be another after it. */
void vrrp_candidate_hears(VrrpCandidate *candidate, bool hears, gint64 now_us);

/* True when @ret_event is to be stepped: the electing interface became usable (@unusable is NULL), or no longer is. */
bool vrrp_candidate_link(const VrrpCandidate *candidate, const char *unusable, const char *up_reason, VrrpEvent *ret_event);

/* Whether a carrier that comes and goes is still to be left alone. */
bool vrrp_candidate_distrusts_link(const VrrpCandidate *candidate, gint64 now_us);

typedef struct {
	bool probe;  /* nothing was heard: ask a neighbour, whose answer is */
	bool tell;   /* something that can be seen has changed */
} VrrpTick;

/* Ten times a second: whether anything was heard on the link since the last time, leases, the supervisor. The gate may be another after it. */
VrrpTick vrrp_candidate_tick(VrrpCandidate *candidate, bool heard, gint64 now_us);

/* Before VRRP_EVENT_TAKE. */
void vrrp_candidate_order(VrrpCandidate *candidate, gint64 now_us);

/* True when it changed. */
bool vrrp_candidate_serve(VrrpCandidate *candidate, bool serving, gint64 now_us);

/* @follows: the peer has confirmed that it follows us. @is_master: the Master heard last is the peer. */
void vrrp_candidate_pair(VrrpCandidate *candidate, bool paired, guint offset, bool follows, bool is_master, gint64 now_us);

/* Whether a Master may say by the peer path that it lives. */
bool vrrp_candidate_speaks_to_peer(const VrrpCandidate *candidate, gint64 now_us);

/* After a restart: whether the peer still believes in the Master we were, as it waits at least its down time for us. */
bool vrrp_candidate_may_resume(const VrrpCandidate *candidate, VrrpState role, gint64 last_advert_us, gint64 now_us);

/* Before VRRP_EVENT_RESUME: what that Master knew. */
void vrrp_candidate_resume(VrrpCandidate *candidate, bool serving, bool served, bool steady, gint64 now_us);
