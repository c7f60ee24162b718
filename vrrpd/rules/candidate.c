/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/candidate.c - what the parts of an election make of each other's word. */
#include "vrrpd/rules/candidate.h"

/* ---- Priority ---- */

bool vrrp_candidate_leads(const VrrpCandidate *self)
{
	return self->machine.state == VRRP_STATE_MASTER || self->resuming;
}

VrrpStanding vrrp_candidate_standing(const VrrpCandidate *self, gint64 now_us)
{
	if (!vrrp_candidate_leads(self))
		return VRRP_STANDING_NOT_SERVING;
	return vrrp_judge_standing(self->serving, vrrp_link_watch_steady(&self->watch, now_us));
}

void vrrp_candidate_judge(VrrpCandidate *self, gint64 now_us)
{
	VrrpMachine *machine = &self->machine;

	self->standing = vrrp_candidate_standing(self, now_us);
	if (machine->version == 0)
		return; /* standalone, there is no election */
	machine->skew_priority = self->paired ? VRRP_SKEW_PRIORITY : self->configured_priority;
	if (!self->paired)
		machine->priority = self->ordered ? VRRP_SKEW_PRIORITY : self->configured_priority;
	else
		machine->priority = vrrp_judge_priority(self->ordered ? VRRP_STANDING_SERVING : self->standing,
							vrrp_candidate_leads(self) ? self->step : vrrp_judge_next_step(self->heard_step, self->step),
							self->offset);
}

/* The peer follows: there is no older Master left to be above of, once its last advert as Master cannot be under way any more. */
static void bring_back_step(VrrpCandidate *self, gint64 now_us)
{
	if (!self->follows || (self->heard_us != 0 && now_us - MAX(self->heard_us, self->follows_us) <= vrrp_machine_peer_down_us(&self->machine)))
		return;
	self->follows = false;
	/* Unless it was heard to lead anew: then its word is older than that. */
	if (self->heard_step >= self->step)
		return;
	self->step = self->heard_step = 0;
	self->unsaved = true;
}

/* ---- Events ---- */

void vrrp_candidate_begin(VrrpCandidate *self, guint8 version, guint interval_cs, IpAddress address, guint8 configured_priority)
{
	self->configured_priority = configured_priority;
	self->serving = self->served = self->ordered = self->resuming = self->steady = self->follows = false;
	self->heard_us = self->heard_step_us = self->master_us = self->raise_until_us = self->renewed_us = 0;
	self->leaving = self->holding = self->deaf = self->missed = false;
	vrrp_machine_init(&self->machine, version, interval_cs, address, configured_priority, configured_priority);
	self->machine.open = false;
	vrrp_link_watch_init(&self->watch, (gint64)interval_cs * 10000);
}

static void state_changed(VrrpCandidate *self)
{
	if (self->machine.state == VRRP_STATE_MASTER)
		self->step = vrrp_judge_next_step(self->heard_step, self->step);
	else
		self->ordered = false;
	self->serving = self->served = self->follows = false;
	self->unsaved = true;
}

/* Lifetimes are renewed with the adverts and nowhere else: one who has been asleep must listen first. */
static bool renews(VrrpCandidate *self, const VrrpStep *step, gint64 now_us)
{
	gint64 every_us = MAX(VRRP_RENEW_US - self->machine.interval_cs * G_GINT64_CONSTANT(10000), VRRP_RENEW_LEAST_US);

	if (step->kind == VRRP_STEP_HOLD)
		self->renewed_us = now_us;
	else if (step->kind == VRRP_STEP_DROP)
		self->renewed_us = 0;
	else if (step->kind == VRRP_STEP_SEND && step->priority != 0 && self->machine.state == VRRP_STATE_MASTER && self->renewed_us != 0 &&
		 now_us - self->renewed_us >= every_us)
		return true;
	return false;
}

/* True when it is to wait until the addresses are down; @ret_begins: from now on. */
static bool waits_to_leave(VrrpCandidate *self, const VrrpEvent *event, gint64 now_us, bool *ret_begins)
{
	*ret_begins = !self->leaving;
	if (self->machine.state != VRRP_STATE_MASTER || !self->holding || (event->kind != VRRP_EVENT_RESIGN && event->kind != VRRP_EVENT_STOP))
		return false;
	if (self->leaving && now_us >= self->leave_until_us)
		return false;
	if (!self->leaving || event->kind == VRRP_EVENT_STOP)
		self->leave = *event;
	if (!self->leaving)
		self->leave_until_us = now_us + VRRP_LEAVE_US;
	self->leaving = true;
	return true;
}

/* What is going is not put up or announced any more, nor taken down twice; and priority 0 is said when it is gone, or not at all. */
static bool is_done_while_leaving(const VrrpCandidate *self, const VrrpStep *step)
{
	switch (step->kind) {
	case VRRP_STEP_SEND:
		return step->priority != 0 || !self->holding;
	case VRRP_STEP_HOLD:
	case VRRP_STEP_RENEW:
	case VRRP_STEP_DROP:
	case VRRP_STEP_ANNOUNCE:
		return false;
	case VRRP_STEP_STATE:
		return true;
	}
	g_return_val_if_reached(true);
}

static gsize leave_out(const VrrpCandidate *self, VrrpStep *steps, gsize n)
{
	gsize kept = 0;

	for (gsize i = 0; i < n; i++)
		if (is_done_while_leaving(self, &steps[i]))
			steps[kept++] = steps[i];
	return kept;
}

void vrrp_candidate_hears(VrrpCandidate *self, bool hears, gint64 now_us)
{
	if (hears && self->deaf && now_us - self->deaf_us > self->machine.interval_cs * G_GINT64_CONSTANT(10000))
		self->missed = true;
	if (hears && self->deaf)
		self->hears_us = now_us;
	if (!hears && !self->deaf)
		self->deaf_us = now_us;
	self->deaf = !hears;
}

/* What the machine cannot know. What was said while it was deaf is as lost as what there was no room for, and as little of it is missed when it has listened
 * for so long since. And of a peer the step tells that it took over from us, who may have slept. */
static VrrpEvent with_known(VrrpCandidate *self, const VrrpEvent *event, gint64 now_us)
{
	VrrpEvent with = *event;
	bool asks = (event->kind == VRRP_EVENT_TIMER || event->kind == VRRP_EVENT_GATE) && vrrp_machine_would_lead(&self->machine, now_us);

	if (self->missed && asks && !self->deaf) {
		with.ran_over |= now_us - self->hears_us < vrrp_machine_anew_us(&self->machine);
		self->missed = false;
	} else if (event->kind == VRRP_EVENT_ADVERT) {
		self->missed = false;
		with.took_over = self->paired && vrrp_judge_step_of(event->priority) > self->step;
	}
	return with;
}

gsize vrrp_candidate_step(VrrpCandidate *self, const VrrpEvent *event, gint64 now_us, VrrpStep ret_steps[static VRRP_MAX_STEPS])
{
	VrrpEvent with = with_known(self, event, now_us);
	bool due = false, begins;
	gsize n;

	if (waits_to_leave(self, event, now_us, &begins)) {
		if (!begins)
			return 0;
		self->renewed_us = 0;
		ret_steps[0] = (VrrpStep){ .kind = VRRP_STEP_DROP };
		return 1;
	}
	vrrp_candidate_judge(self, now_us);
	n = vrrp_machine_step(&self->machine, &with, now_us, ret_steps);
	self->resuming = false;
	if (self->leaving)
		n = leave_out(self, ret_steps, n);
	/* The other hears of it by silence alone, and began to count only with our last advert: it must come first. */
	if (self->leaving && self->holding && event->kind == VRRP_EVENT_RESIGN && self->machine.state == VRRP_STATE_BACKUP)
		self->machine.deadline_us += vrrp_machine_down_us(&self->machine);
	/* Another leads, and it need not give up any more; but if it was to end altogether, it is still to. */
	self->leaving &= self->machine.state == VRRP_STATE_MASTER || (self->machine.state == VRRP_STATE_BACKUP && self->leave.kind == VRRP_EVENT_STOP);
	for (gsize i = 0; i < n; i++) {
		self->holding |= ret_steps[i].kind == VRRP_STEP_HOLD;
		due |= renews(self, &ret_steps[i], now_us);
		if (ret_steps[i].kind == VRRP_STEP_STATE)
			state_changed(self);
	}
	if (due && self->renewed_us != 0 && self->renewed_us != now_us) {
		g_assert(n < VRRP_MAX_STEPS);
		ret_steps[n++] = (VrrpStep){ .kind = VRRP_STEP_RENEW };
		self->renewed_us = now_us;
	}
	vrrp_candidate_judge(self, now_us);
	return n;
}

void vrrp_candidate_dropped(VrrpCandidate *self)
{
	self->holding = false;
}

bool vrrp_candidate_left(const VrrpCandidate *self, gint64 now_us, VrrpEvent *ret_event)
{
	if (!self->leaving || (self->machine.state == VRRP_STATE_MASTER && self->holding && now_us < self->leave_until_us))
		return false;
	*ret_event = self->leave;
	return true;
}

void vrrp_candidate_hear(VrrpCandidate *self, guint8 priority, gint64 received_us)
{
	guint heard = vrrp_judge_step_of(priority);

	if (priority == 0)
		return;
	self->master_us = MAX(self->master_us, received_us);
	if (!self->paired)
		return;
	self->heard_us = MAX(self->heard_us, received_us);
	/* A lower one is believed when what was said before it can no longer be under way: else who takes over now would yield to that. */
	if (heard >= self->heard_step || self->heard_step_us == 0)
		self->heard_step_us = received_us;
	if (heard == self->heard_step ||
	    (heard < self->heard_step && received_us - self->heard_step_us <= vrrp_machine_peer_down_us(&self->machine)))
		return;
	/* Known to a restarted process too, so that a device that is killed takes over with a step above it all the same. */
	self->heard_step = heard;
	self->unsaved = true;
	/* Ordered to lead before anything was heard of a Master: now it is known how high that is. Once an order, so that two that are both
	 * ordered do not outbid each other without end; and at once, before the other can have come after us. */
	if (self->ordered && received_us < self->raise_until_us && self->machine.state == VRRP_STATE_MASTER && heard >= self->step) {
		self->step = vrrp_judge_next_step(heard, self->step);
		self->raise_until_us = 0;
	}
}

bool vrrp_candidate_gate(const VrrpCandidate *self, gint64 now_us, VrrpEvent *ret_event)
{
	bool open = !self->deaf && !vrrp_holds_any(&self->holds) && vrrp_link_watch_settled(&self->watch, now_us);

	if (open == self->machine.open)
		return false;
	*ret_event = (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = open };
	return true;
}

bool vrrp_candidate_link(const VrrpCandidate *self, const char *unusable, const char *up_reason, VrrpEvent *ret_event)
{
	if ((self->machine.state == VRRP_STATE_INIT) == (unusable != NULL))
		return false;
	*ret_event = (VrrpEvent){ .kind = unusable ? VRRP_EVENT_STOP : VRRP_EVENT_START, .reason = unusable ? unusable : up_reason };
	return true;
}

/* As long as another leads. When nobody does (a switch that fails takes both links), one that may go again is better than none. */
bool vrrp_candidate_distrusts_link(const VrrpCandidate *self, gint64 now_us)
{
	gint64 wait_us = MAX(VRRP_FLAP_FIRST_US, vrrp_machine_down_us(&self->machine));

	return !vrrp_link_watch_stable(&self->watch, now_us) &&
	       (now_us - self->watch.up_us < wait_us || (self->master_us != 0 && now_us - self->master_us < wait_us));
}

VrrpTick vrrp_candidate_tick(VrrpCandidate *self, bool heard, gint64 now_us)
{
	VrrpTick tick = { 0 };
	bool steady;

	tick.probe = vrrp_link_watch_frames(&self->watch, heard, now_us);
	steady = vrrp_link_watch_steady(&self->watch, now_us);
	if (steady != self->steady)
		self->unsaved = tick.tell = true;
	self->steady = steady;
	if (vrrp_holds_tick(&self->holds, self->machine.state == VRRP_STATE_MASTER, now_us))
		self->unsaved = tick.tell = true;
	bring_back_step(self, now_us);
	vrrp_candidate_judge(self, now_us);
	return tick;
}

/* ---- Orders ---- */

void vrrp_candidate_order(VrrpCandidate *self, gint64 now_us)
{
	/* A Master that serves is above one that has yet to start: without this the order would be lost to its next advert. */
	if (self->machine.state != VRRP_STATE_BACKUP)
		return;
	self->ordered = true;
	self->raise_until_us = self->heard_us == 0 ? now_us + vrrp_machine_peer_down_us(&self->machine) : 0;
}

bool vrrp_candidate_serve(VrrpCandidate *self, bool serving, gint64 now_us)
{
	if (self->machine.state != VRRP_STATE_MASTER || self->serving == serving)
		return false;
	self->serving = serving;
	self->served |= serving;
	self->ordered = false;
	self->unsaved = true;
	vrrp_candidate_judge(self, now_us);
	return true;
}

void vrrp_candidate_pair(VrrpCandidate *self, bool paired, guint offset, bool follows, bool is_master, gint64 now_us)
{
	bool newly = paired && !self->paired;

	self->paired = paired;
	self->offset = offset;
	if (newly && is_master && self->machine.state == VRRP_STATE_BACKUP)
		vrrp_candidate_hear(self, self->machine.master_priority, now_us);
	follows = follows && self->machine.state == VRRP_STATE_MASTER;
	if (follows && !self->follows)
		self->follows_us = now_us;
	self->follows = follows;
	bring_back_step(self, now_us);
	self->unsaved = true;
	vrrp_candidate_judge(self, now_us);
}

bool vrrp_candidate_speaks_to_peer(const VrrpCandidate *self, gint64 now_us)
{
	return vrrp_judge_speaks_to_peer(self->watch.carrier, vrrp_link_watch_alive(&self->watch, now_us), self->served && !self->serving);
}

/* ---- Restart ---- */

bool vrrp_candidate_may_resume(const VrrpCandidate *self, VrrpState role, gint64 last_advert_us, gint64 now_us)
{
	gint64 age_us = now_us - last_advert_us;

	return role == VRRP_STATE_MASTER && age_us >= 0 && age_us < vrrp_machine_peer_down_us(&self->machine);
}

void vrrp_candidate_resume(VrrpCandidate *self, bool serving, bool served, bool steady, gint64 now_us)
{
	self->serving = serving;
	self->served = served;
	self->steady = steady;
	self->resuming = true;
	self->heard_us = now_us; /* perhaps it was: what the peer last said may still be under way */
	vrrp_link_watch_resume(&self->watch, steady, now_us);
}
