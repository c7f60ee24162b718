/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/machine.c - the VRRP state machine, without any input or output of its own. */
#include "vrrpd/rules/machine.h"

#include <string.h>

#include "vrrpd/rules/judge.h"

#define CENTISECOND_US 10000
#define LEAST_PRIORITY 1 /* of any that leads */

typedef struct {
	VrrpStep *steps;
	gsize n;
} Steps;

const char *vrrp_state_name(VrrpState state)
{
	switch (state) {
	case VRRP_STATE_INIT:
		return "init";
	case VRRP_STATE_BACKUP:
		return "backup";
	case VRRP_STATE_MASTER:
		return "master";
	}
	g_return_val_if_reached("init");
}

void vrrp_machine_init(VrrpMachine *machine, guint8 version, guint interval_cs, IpAddress address, guint8 priority, guint8 skew_priority)
{
	memset(machine, 0, sizeof *machine);
	machine->version = version;
	machine->interval_cs = interval_cs;
	machine->address = address;
	machine->priority = priority;
	machine->skew_priority = skew_priority;
	machine->master_interval_cs = interval_cs;
	machine->open = true;
}

/* 3768 6.1: ((256 - Priority) / 256) seconds; 9568 6.1: (((256 - Priority) * Active_Adver_Interval) / 256). */
static gint64 skew_us(guint8 version, guint8 priority, guint interval_cs)
{
	guint unit_cs = version == 2 ? 100 : interval_cs;

	return (256 - priority) * (gint64)unit_cs * CENTISECOND_US / 256;
}

static gint64 interval_us(guint interval_cs)
{
	return (gint64)interval_cs * CENTISECOND_US;
}

gint64 vrrp_machine_skew_us(const VrrpMachine *machine)
{
	return skew_us(machine->version, machine->skew_priority, machine->master_interval_cs);
}

gint64 vrrp_machine_down_us(const VrrpMachine *machine)
{
	return 3 * interval_us(machine->master_interval_cs) + vrrp_machine_skew_us(machine);
}

gint64 vrrp_machine_anew_us(const VrrpMachine *machine)
{
	guint interval_cs = MAX(machine->master_interval_cs, machine->interval_cs);

	return 3 * interval_us(interval_cs) + skew_us(machine->version, machine->skew_priority, interval_cs);
}

gint64 vrrp_machine_peer_down_us(const VrrpMachine *machine)
{
	return 3 * interval_us(machine->interval_cs) +
	       skew_us(machine->version, VRRP_SKEW_PRIORITY, machine->interval_cs);
}

bool vrrp_machine_would_lead(const VrrpMachine *machine, gint64 now_us)
{
	return machine->state == VRRP_STATE_BACKUP && (machine->master_gone || (machine->deadline_us != 0 && now_us >= machine->deadline_us));
}

bool vrrp_machine_knows_another(const VrrpMachine *machine, const VrrpEvent *event)
{
	return event->kind == VRRP_EVENT_ADVERT ? event->priority != 0 : machine->state == VRRP_STATE_BACKUP && machine->master_priority != 0;
}

static void add(Steps *out, VrrpStep step)
{
	g_assert(out->n < VRRP_MAX_STEPS);
	out->steps[out->n++] = step;
}

static void add_kind(Steps *out, VrrpStepKind kind)
{
	add(out, (VrrpStep){ .kind = kind });
}

static void say(VrrpMachine *machine, guint8 priority, gint64 now_us, Steps *out)
{
	add(out, (VrrpStep){ .kind = VRRP_STEP_SEND, .priority = priority });
	machine->last_sent_us = now_us;
}

static void announce(VrrpMachine *machine, gint64 now_us, Steps *out)
{
	add_kind(out, VRRP_STEP_ANNOUNCE);
	machine->announced_us = now_us;
}

static void enter(VrrpMachine *machine, VrrpState state, const char *reason, Steps *out)
{
	machine->state = state;
	machine->listening = false;
	machine->listened = false;
	machine->master_gone = false;
	machine->resigned = false;
	add(out, (VrrpStep){ .kind = VRRP_STEP_STATE, .state = state, .reason = reason });
}

static void become_master(VrrpMachine *machine, const char *reason, gint64 now_us, Steps *out)
{
	say(machine, machine->priority, now_us, out);
	add_kind(out, VRRP_STEP_HOLD);
	announce(machine, now_us, out);
	enter(machine, VRRP_STATE_MASTER, reason, out);
	machine->deadline_us = now_us + interval_us(machine->interval_cs);
}

static void become_backup(VrrpMachine *machine, const char *reason, gint64 now_us, Steps *out)
{
	enter(machine, VRRP_STATE_BACKUP, reason, out);
	machine->deadline_us = now_us + vrrp_machine_down_us(machine);
}

/* What may be older than what was heard before it takes nothing back. */
static void learn_interval(VrrpMachine *machine, const VrrpEvent *event)
{
	if (machine->version == 3)
		machine->master_interval_cs = event->undated ? MAX(event->interval_cs, machine->master_interval_cs) : event->interval_cs;
}

static void hear(VrrpMachine *machine, const VrrpEvent *event)
{
	machine->master_priority = event->priority;
	machine->master_address = event->source;
	learn_interval(machine, event);
}

static void give_up(VrrpMachine *machine, gint64 now_us, Steps *out)
{
	add_kind(out, VRRP_STEP_DROP);
	say(machine, 0, now_us, out);
	machine->master_interval_cs = machine->interval_cs;
	machine->zero_us = 0; /* whoever resigned before may lead anew from here on */
}

/* One sleep is one, whatever it made late: what was due before the last wake-up belongs to that. */
static void woke_late(VrrpMachine *machine, gint64 due_us, gint64 now_us)
{
	if (machine->woke_us != 0 && due_us < machine->woke_us)
		return;
	machine->late_wake_ups++;
	machine->woke_us = now_us;
}

/* A Backup that has slept, or was told more than it had room for, knows no more than one that begins: what the Master said meanwhile, of a longer
 * interval too, may never have reached it. */
static void wait_anew(VrrpMachine *machine, gint64 now_us)
{
	machine->master_gone = false;
	machine->master_interval_cs = MAX(machine->master_interval_cs, machine->interval_cs);
	machine->deadline_us = now_us + vrrp_machine_down_us(machine);
}

/* ---- Init ---- */

static void step_init(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, Steps *out)
{
	switch (event->kind) {
	case VRRP_EVENT_START:
		machine->master_interval_cs = MAX(machine->master_interval_cs, machine->interval_cs);
		become_backup(machine, event->reason, now_us, out);
		break;
	case VRRP_EVENT_RESUME:
		/* No STATE step: for everybody else nothing happened. */
		machine->state = VRRP_STATE_MASTER;
		say(machine, machine->priority, now_us, out);
		add_kind(out, VRRP_STEP_HOLD);
		announce(machine, now_us, out);
		machine->deadline_us = now_us + interval_us(machine->interval_cs);
		break;
	case VRRP_EVENT_GATE:
		machine->open = event->open;
		break;
	case VRRP_EVENT_ADVERT:
		/* Its link is not trusted yet, and somebody leads: not to wait for him would be to preempt him. */
		if (event->priority != 0)
			learn_interval(machine, event);
		break;
	case VRRP_EVENT_STOP:
	case VRRP_EVENT_TIMER:
	case VRRP_EVENT_RESIGN:
	case VRRP_EVENT_TAKE:
		break; /* without a link there is nothing to hold or to lead */
	}
}

/* ---- Backup ---- */

static void backup_advert(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, Steps *out)
{
	gint64 from_us = CLAMP(event->received_us, now_us - vrrp_machine_down_us(machine), now_us);

	machine->listened = false;
	if (event->priority == 0) {
		/* 6.4.2: Set the Active_Down_Timer to Skew_Time. */
		machine->resigned = true;
		machine->master_priority = 0;
		machine->master_address = event->source;
		machine->master_gone = false; /* one there was, and others may come before us */
		machine->deadline_us = from_us + vrrp_machine_skew_us(machine);
		return;
	}
	/* Preempt_Mode is false: any Master keeps us Backup. */
	hear(machine, event);
	machine->resigned = false;
	machine->master_gone = false;
	machine->deadline_us = from_us + vrrp_machine_down_us(machine);
	/* It lay in the queue while we slept, and the queue may have run over: what came after it is lost, not unsaid. */
	if (now_us - event->received_us > interval_us(machine->master_interval_cs)) {
		woke_late(machine, event->received_us, now_us);
		machine->listened = true;
		wait_anew(machine, now_us);
	} else if (event->undated) {
		wait_anew(machine, now_us);
	}
}

/* True when it waits once more: late, once; and as often as it cannot know whether the Master spoke. */
static bool waits_anew(VrrpMachine *machine, const VrrpEvent *event, gint64 due_us, gint64 now_us)
{
	bool late = !machine->listened && now_us - due_us > interval_us(machine->master_interval_cs);

	if (late) {
		woke_late(machine, due_us, now_us);
		machine->listened = true;
	}
	machine->ran_over += event->ran_over;
	if (late || event->ran_over)
		wait_anew(machine, now_us);
	return late || event->ran_over;
}

static void backup_timer(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, Steps *out)
{
	if (!vrrp_machine_would_lead(machine, now_us) || waits_anew(machine, event, machine->master_gone ? now_us : machine->deadline_us, now_us) ||
	    machine->master_gone)
		return;
	if (!machine->open) {
		machine->master_gone = true;
		machine->deadline_us = 0;
		return;
	}
	become_master(machine, machine->resigned ? "master-resigned" : "master-down", now_us, out);
}

static void step_backup(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, Steps *out)
{
	switch (event->kind) {
	case VRRP_EVENT_ADVERT:
		backup_advert(machine, event, now_us, out);
		break;
	case VRRP_EVENT_TIMER:
		backup_timer(machine, event, now_us, out);
		break;
	case VRRP_EVENT_GATE:
		machine->open = event->open;
		/* What was lost is told once: it is minded whether it is let now or not, and also when its timer has yet to come. */
		if (!vrrp_machine_would_lead(machine, now_us) || waits_anew(machine, event, now_us, now_us))
			break;
		if (machine->open && machine->master_gone)
			become_master(machine, machine->resigned ? "master-resigned" : "master-down", now_us, out);
		break;
	case VRRP_EVENT_TAKE:
		become_master(machine, event->reason, now_us, out);
		break;
	case VRRP_EVENT_STOP:
		machine->deadline_us = 0;
		machine->master_interval_cs = machine->interval_cs;
		enter(machine, VRRP_STATE_INIT, event->reason, out);
		break;
	case VRRP_EVENT_START:
	case VRRP_EVENT_RESUME:
	case VRRP_EVENT_RESIGN:
		break;
	}
}

/* ---- Master ---- */

static void master_advert(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, Steps *out)
{
	bool higher = event->priority > machine->priority ||
		      (event->priority == machine->priority && ip_compare(&event->source, &machine->address) > 0);

	if (event->priority == 0) {
		if (machine->listening)
			return;
		/* 6.4.3: Send an ADVERTISEMENT; reset the Adver_Timer. */
		say(machine, machine->priority, now_us, out);
		machine->deadline_us = now_us + interval_us(machine->interval_cs);
		return;
	}
	if (higher || machine->listening) {
		/* The one that stays may not have heard of this one, which spoke to hosts, and announces its addresses when it does; whatever has
		 * become of its priority meanwhile, it is not to yield in turn. One that was late says no more than it must. */
		if (!machine->listening || (!event->took_over && (higher || event->priority > LEAST_PRIORITY)))
			say(machine, LEAST_PRIORITY, now_us, out);
		hear(machine, event);
		add_kind(out, VRRP_STEP_DROP);
		become_backup(machine, machine->listening ? "late-wake-up" : "heard-higher", now_us, out);
		return;
	}
	/* 9568 6.4.3: discard, and send at once, so that bridges and the sender learn who leads. Hosts need to learn it too, but a sender
	 * that cannot hear us must not make us flood the LAN. */
	say(machine, machine->priority, now_us, out);
	machine->deadline_us = now_us + interval_us(machine->interval_cs);
	if (now_us - machine->announced_us >= interval_us(machine->interval_cs))
		announce(machine, now_us, out);
}

static void master_timer(VrrpMachine *machine, gint64 now_us, Steps *out)
{
	if (now_us < machine->deadline_us)
		return;
	if (machine->listening) {
		/* Nobody took our place. The addresses may have expired meanwhile. */
		machine->listening = false;
		say(machine, machine->priority, now_us, out);
		add_kind(out, VRRP_STEP_HOLD);
		announce(machine, now_us, out);
	} else {
		say(machine, machine->priority, now_us, out);
	}
	/* Keep the beat; after a delay of more than a beat begin a new one. */
	machine->deadline_us += interval_us(machine->interval_cs);
	if (machine->deadline_us <= now_us)
		machine->deadline_us = now_us + interval_us(machine->interval_cs);
}

static void step_master(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, Steps *out)
{
	/* Whatever wakes us first after a long sleep: we may have been replaced. Also when it came in the midst of listening. */
	gint64 due_us = machine->listening ? machine->deadline_us : machine->last_sent_us + interval_us(machine->interval_cs);
	bool slept = machine->listening ? now_us - due_us > interval_us(machine->interval_cs) :
					  now_us - machine->last_sent_us > vrrp_machine_peer_down_us(machine);

	if (slept && (event->kind == VRRP_EVENT_TIMER || event->kind == VRRP_EVENT_ADVERT)) {
		machine->listening = true;
		woke_late(machine, due_us, now_us);
		machine->deadline_us = now_us + interval_us(machine->interval_cs);
	}

	switch (event->kind) {
	case VRRP_EVENT_ADVERT:
		master_advert(machine, event, now_us, out);
		break;
	case VRRP_EVENT_TIMER:
		master_timer(machine, now_us, out);
		break;
	case VRRP_EVENT_GATE:
		machine->open = event->open; /* a hold does not make a Master give up */
		break;
	case VRRP_EVENT_RESIGN:
		give_up(machine, now_us, out);
		become_backup(machine, event->reason, now_us, out);
		break;
	case VRRP_EVENT_STOP:
		give_up(machine, now_us, out);
		machine->deadline_us = 0;
		enter(machine, VRRP_STATE_INIT, event->reason, out);
		break;
	case VRRP_EVENT_START:
	case VRRP_EVENT_RESUME:
	case VRRP_EVENT_TAKE:
		break;
	}
}

/* Adverts come by several paths, and a slow path may bring one that was sent before the priority 0 of a faster one. Nobody who has
 * resigned leads again within half an interval, unless we have resigned since. And a priority 0 that may be older than all that lies beside it is none. */
static bool says_nothing(VrrpMachine *machine, const VrrpEvent *event)
{
	if (event->kind != VRRP_EVENT_ADVERT)
		return false;
	if (event->priority == 0 && event->undated)
		return true;
	if (event->priority == 0) {
		/* By two paths, read one after the other: the later counts. */
		machine->zero_us = ip_equal(&event->source, &machine->zero_source) ? MAX(machine->zero_us, event->received_us) : event->received_us;
		machine->zero_source = event->source;
		return false;
	}
	return machine->zero_us != 0 && ip_equal(&event->source, &machine->zero_source) &&
	       event->received_us - machine->zero_us < interval_us(machine->interval_cs) / 2;
}

gsize vrrp_machine_step(VrrpMachine *machine, const VrrpEvent *event, gint64 now_us, VrrpStep ret_steps[static VRRP_MAX_STEPS])
{
	Steps out = { .steps = ret_steps };

	if (says_nothing(machine, event))
		return 0;
	switch (machine->state) {
	case VRRP_STATE_INIT:
		step_init(machine, event, now_us, &out);
		break;
	case VRRP_STATE_BACKUP:
		step_backup(machine, event, now_us, &out);
		break;
	case VRRP_STATE_MASTER:
		step_master(machine, event, now_us, &out);
		break;
	}
	return out.n;
}
