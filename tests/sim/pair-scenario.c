/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/pair-scenario.c - faults and orders from a seed, and what they do to a pair. */
#include <string.h>

#include "pair.h"

#define CALM_BUSY_US (2 * SIM_MS)
#define TOLD_WITHIN_US (10 * SIM_MS) /* vrrpd by its supervisor; one that was stopped may act first when it goes on */
#define SETTLED_AFTER_US (75 * G_USEC_PER_SEC) /* a cold boot, an application that is tried again every 30 s, a swap */

typedef enum {
	PAIR_FAULT_SPLIT,       /* every path, or one */
	PAIR_FAULT_CUT,         /* one direction of a path */
	PAIR_FAULT_CARRIER,
	PAIR_FAULT_LOSS,
	PAIR_FAULT_BUSY,
	PAIR_FAULT_POWER,
	PAIR_FAULT_POWER_BOTH,  /* and they come back each at its time */
	PAIR_FAULT_POWER_TAKING, /* the moment it begins a term, which its disk may not have yet */
	PAIR_FAULT_SUSPEND,
	PAIR_FAULT_FREEZE,      /* vrrpd */
	PAIR_FAULT_KILL_VRRPD,
	PAIR_FAULT_KILL_SUPERVISOR,
	PAIR_FAULT_KILL_SYNC,
	PAIR_FAULT_APPLICATION,
	PAIR_FAULT_DISK_FULL,
	PAIR_FAULT_DISK_SLOW,
	PAIR_FAULT_SWAP,        /* from here on: orders */
	PAIR_FAULT_MODE,
	PAIR_FAULT_TAKE,
	PAIR_FAULT_SETTINGS,
	PAIR_N_FAULTS,
	PAIR_FAULT_WITNESS,     /* it does not answer this device; only where there is one */
	PAIR_FAULT_CONFIG,      /* somebody changes it; only where people do */
} PairFaultKind;

Pair pair;
const gint64 sim_scenarios = 2000;
const guint64 sim_known[] = { 0 };

const char *sim_fault_name(SimFaultKind kind)
{
	static const char *const names[] = { "split", "cut", "no-carrier", "loss", "busy", "power", "power-both", "power-taking", "suspend", "freeze", "kill-vrrpd",
					     "kill-supervisor", "kill-syncd", "application", "disk-full", "disk-slow", "swap", "mode", "take-over", "settings", "",
					     "no-witness", "configuration" };

	return names[kind];
}

void sim_fault_describe(const Sim *sim, const SimFault *fault, GString *out)
{
	g_string_append_printf(out, "%s of %c, path %u, amount %u, from %.3f to %.3f ms", sim_fault_name(fault->kind), 'A' + (int)fault->device,
			       fault->path, fault->amount, (double)fault->from_us / 1000, (double)fault->until_us / 1000);
}

/* ---- Making ---- */

static void make(Sim *sim)
{
	static const guint intervals_cs[] = { 10, 10, 10, 50, 100 };
	gint64 length_us;

	sim->paired = true;
	sim->n_devices = 2;
	sim->version = 3;
	sim->family = AF_INET;
	sim->interval_cs = sim->own_cs = sim->shortest_cs = intervals_cs[sim_below(sim, G_N_ELEMENTS(intervals_cs))];
	sim->busy_us = CALM_BUSY_US;
	sim->keeper = -1;
	memset(&pair, 0, sizeof pair);
	for (guint i = 0; i < 2; i++) {
		PairDevice *device = &pair.device[i];
		SimDevice *v = &sim->device[i];

		v->index = i;
		v->name = (char)('A' + i);
		v->condition = SIM_OFF;
		v->offset_us = 1000000 * G_GINT64_CONSTANT(1000) + sim_upto(sim, 1000000 * G_GINT64_CONSTANT(1000));
		v->ppm = (gint64)sim_below(sim, 401) - 200;
		v->configured_priority = 100;
		v->offset = i;
		v->own_interval_cs = v->interval_cs = v->wanted_interval_cs = sim->interval_cs;
		device->index = i;
		device->id[0] = (char)('a' + i);
		device->v = v;
		device->disk.mode = sim_below(sim, 6) ? MODE_ACTIVE : MODE_PASSIVE;
		if (i == 1 && pair.device[0].disk.mode == MODE_PASSIVE)
			device->disk.mode = MODE_ACTIVE;
		device->disk.joining = i == 1 && pair.device[0].disk.mode == MODE_ACTIVE && sim_below(sim, 8) == 0;
		pair_later(sim, device, sim_below(sim, 2) ? 0 : sim_upto(sim, 20000 * SIM_MS), PAIR_POWER_ON, 0, NULL);
	}
	length_us = (25000 + (gint64)sim_below(sim, 150000)) * SIM_MS;
	sim->round_ends_us = length_us;
	sim->n_faults = 1 + sim_below(sim, sim_below(sim, 3) ? 24 : 5);
	for (guint i = 0; i < sim->n_faults; i++) {
		SimFault *fault = &sim->fault[i];

		fault->kind = (SimFaultKind)sim_below(sim, PAIR_N_FAULTS);
		if (sim_below(sim, 6) == 0) /* what needs something else besides */
			fault->kind = (SimFaultKind)(sim_below(sim, 2) ? PAIR_FAULT_POWER_BOTH : PAIR_FAULT_POWER_TAKING);
		if (sim_below(sim, 8) == 0)
			fault->kind = (SimFaultKind)PAIR_FAULT_SETTINGS;
		fault->from_us = sim_below(sim, 8) ? sim_upto(sim, length_us) : sim_upto(sim, 20000 * SIM_MS);
		/* Close behind another: what follows from it is under way. */
		if (i > 0 && sim_below(sim, 3) == 0) {
			gint64 behind_us = sim->fault[i - 1].from_us + sim_upto(sim, 1500 * SIM_MS);

			fault->from_us = MIN(behind_us, length_us - 1);
		}
		fault->until_us = fault->from_us + ((gint64)(10 * SIM_MS) << sim_below(sim, 13));
		fault->until_us = MIN(fault->until_us, length_us);
		fault->device = sim_below(sim, 2);
		fault->other = 1 - fault->device;
		fault->path = sim_below(sim, SIM_N_PATHS + 1);
		fault->amount = sim_below(sim, 512);
	}
	pair_witness_make(sim, PAIR_FAULT_WITNESS);
	pair_undo_make(sim, PAIR_FAULT_CONFIG);
}

/* ---- Doing ---- */

static void set_cuts(Sim *sim, const SimFault *fault, int by)
{
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		if (fault->path != SIM_N_PATHS && fault->path != path)
			continue;
		sim->cut[path][fault->device][fault->other] += (guint)by;
		if ((PairFaultKind)fault->kind == PAIR_FAULT_SPLIT)
			sim->cut[path][fault->other][fault->device] += (guint)by;
	}
}

static void stop_running(Sim *sim, PairDevice *device, SimCondition condition)
{
	if (device->v->condition != SIM_RUNS)
		return;
	device->v->condition = condition;
	device->v->asleep_us = sim_clock(sim, device->v);
	device->asleep_us = sim->now_us;
}

static void wake(Sim *sim, PairDevice *device, SimCondition from)
{
	if (device->v->condition != from)
		return;
	pair_device_wakes(sim, device);
	sim_device_wake(sim, device->v);
	pair_election_changed(sim, device);
}

static void look_at_carrier(Sim *sim, PairDevice *device)
{
	if (device->v->condition != SIM_RUNS)
		return;
	sim_device_check_link(sim, device->v);
	pair_election_changed(sim, device);
}

static void begin_fault(Sim *sim, const SimFault *fault)
{
	PairDevice *device = &pair.device[fault->device];

	switch ((PairFaultKind)fault->kind) {
	case PAIR_FAULT_SPLIT:
	case PAIR_FAULT_CUT:
		set_cuts(sim, fault, 1);
		break;
	case PAIR_FAULT_CARRIER:
		device->v->no_carrier++;
		look_at_carrier(sim, device);
		break;
	case PAIR_FAULT_LOSS:
		sim->loss = fault->amount;
		break;
	case PAIR_FAULT_BUSY:
		sim->busy_us = MAX((gint64)sim->interval_cs * 10 * fault->amount, CALM_BUSY_US); /* never calmer than at other times */
		break;
	case PAIR_FAULT_POWER:
	case PAIR_FAULT_POWER_BOTH:
		pair_device_off(sim, device);
		if ((PairFaultKind)fault->kind == PAIR_FAULT_POWER_BOTH)
			pair_device_off(sim, pair_other(device));
		break;
	case PAIR_FAULT_POWER_TAKING:
		device->doomed = true;
		device->disk_slow += fault->amount & 1;
		device->disk_full += fault->amount >> 1 & 1;
		break;
	case PAIR_FAULT_SUSPEND:
		stop_running(sim, device, SIM_SUSPENDED);
		break;
	case PAIR_FAULT_FREEZE:
		stop_running(sim, device, SIM_FROZEN);
		break;
	case PAIR_FAULT_KILL_VRRPD:
		if (device->v->condition == SIM_RUNS) {
			sim_device_end(sim, device->v, false);
			pair_election_changed(sim, device);
		}
		break;
	case PAIR_FAULT_KILL_SUPERVISOR:
		pair_kill_supervisor(sim, device);
		break;
	case PAIR_FAULT_KILL_SYNC:
		pair_kill_sync(sim, device);
		break;
	case PAIR_FAULT_APPLICATION:
		device->broken++;
		pair_break_applications(sim, device);
		break;
	case PAIR_FAULT_DISK_FULL:
		device->disk_full++;
		break;
	case PAIR_FAULT_DISK_SLOW:
		device->disk_slow++;
		break;
	case PAIR_FAULT_SWAP:
		pair_order(sim, ORDER_SWAP, pair_leads(device->role.role) || fault->amount % 4 == 0 ? device : pair_other(device), fault->amount);
		break;
	case PAIR_FAULT_MODE:
		pair_order(sim, ORDER_MODE, device, fault->amount);
		break;
	case PAIR_FAULT_TAKE:
		pair_order(sim, ORDER_TAKE, device, fault->amount);
		break;
	case PAIR_FAULT_SETTINGS:
		pair_order(sim, ORDER_SETTINGS, device, fault->amount);
		if (fault->amount & 256) /* each side of a split has its own */
			pair_order(sim, ORDER_SETTINGS, pair_other(device), fault->amount >> 1);
		break;
	case PAIR_FAULT_WITNESS:
		device->no_witness++;
		break;
	case PAIR_FAULT_CONFIG:
		pair_change_config(sim, device, fault->amount);
		break;
	case PAIR_N_FAULTS:
		g_assert_not_reached();
	}
}

static void end_fault(Sim *sim, const SimFault *fault)
{
	PairDevice *device = &pair.device[fault->device];

	switch ((PairFaultKind)fault->kind) {
	case PAIR_FAULT_SPLIT:
	case PAIR_FAULT_CUT:
		set_cuts(sim, fault, -1);
		break;
	case PAIR_FAULT_CARRIER:
		device->v->no_carrier--;
		look_at_carrier(sim, device);
		break;
	case PAIR_FAULT_LOSS:
		sim->loss = 0;
		break;
	case PAIR_FAULT_BUSY:
		sim->busy_us = CALM_BUSY_US;
		break;
	case PAIR_FAULT_POWER:
		pair_device_on(sim, device);
		break;
	case PAIR_FAULT_POWER_TAKING:
		device->doomed = false;
		device->disk_slow -= fault->amount & 1;
		device->disk_full -= fault->amount >> 1 & 1;
		break;
	case PAIR_FAULT_POWER_BOTH:
		pair_device_on(sim, device);
		pair_later(sim, pair_other(device), sim_upto(sim, sim_below(sim, 3) ? 2000 * SIM_MS : 25000 * SIM_MS), PAIR_POWER_ON, 0, NULL);
		break;
	case PAIR_FAULT_SUSPEND:
		wake(sim, device, SIM_SUSPENDED);
		break;
	case PAIR_FAULT_FREEZE:
		wake(sim, device, SIM_FROZEN);
		break;
	case PAIR_FAULT_KILL_VRRPD:
		if (device->v->condition == SIM_KILLED && device->on) {
			sim_device_start(sim, device->v);
			pair_election_changed(sim, device);
		}
		break;
	case PAIR_FAULT_APPLICATION:
		device->broken--;
		break;
	case PAIR_FAULT_DISK_FULL:
		device->disk_full--;
		break;
	case PAIR_FAULT_DISK_SLOW:
		device->disk_slow--;
		break;
	case PAIR_FAULT_WITNESS:
		device->no_witness--;
		break;
	case PAIR_FAULT_KILL_SUPERVISOR:
	case PAIR_FAULT_KILL_SYNC:
	case PAIR_FAULT_SWAP:
	case PAIR_FAULT_MODE:
	case PAIR_FAULT_TAKE:
	case PAIR_FAULT_SETTINGS:
	case PAIR_FAULT_CONFIG:
	case PAIR_N_FAULTS:
		break;
	}
}

static void on_fault(Sim *sim, const SimEvent *event)
{
	SimFault *fault = &sim->fault[event->generation];
	bool begins = event->kind == SIM_EVENT_FAULT;
	bool counts = (PairFaultKind)fault->kind < PAIR_FAULT_SWAP || (PairFaultKind)fault->kind == PAIR_FAULT_WITNESS;
	g_autoptr(GString) text = g_string_new(NULL);

	if (sim->trace) {
		sim_fault_describe(sim, fault, text);
		sim_say(sim, "** %s %s", begins ? "begins:" : "ends:  ", text->str);
	}
	if (begins) {
		pair.n_faults_active += counts;
		begin_fault(sim, fault);
		sim_push(sim, (SimEvent){ .at_us = fault->until_us, .kind = SIM_EVENT_FAULT_ENDS, .generation = event->generation });
	} else {
		end_fault(sim, fault);
		pair.n_faults_active -= counts;
		pair.whole_us = sim->now_us;
		pair.mended_us = counts ? sim->now_us : pair.mended_us;
	}
}

/* vrrpd's own, as in scenario.c; its supervisor is ours. */
static void on_vrrpd(Sim *sim, const SimEvent *event)
{
	SimDevice *v = &sim->device[event->device];

	if (v->condition != SIM_RUNS || event->generation != v->generation)
		return;
	if (event->kind == SIM_EVENT_READABLE) {
		sim_device_readable(sim, v);
	} else if (event->kind == SIM_EVENT_TICK && event->what == v->n_ticks) {
		sim_device_tick(sim, v);
		pair_witness_tick(sim, &pair.device[v->index]);
	}
}

static void on_own(Sim *sim, SimEvent *event)
{
	PairDevice *device = &pair.device[event->device];
	gint64 left_us;
	bool asleep;

	if (event->what == PAIR_CHECK) {
		if (pair.settled_us) {
			sim->ended = true;
			return;
		}
		pair_check_end(sim);
		pair.settled_us = sim->now_us;
		pair_later(sim, device, 5000 * SIM_MS, PAIR_CHECK, 0, NULL);
		return;
	}
	/* What sleep has put off comes later by as much. */
	asleep = device->v->condition == SIM_SUSPENDED;
	left_us = event->due_us - pair_awake_us(sim, device);
	if ((asleep || left_us > 0) && event->what != PAIR_LOOK_AT_LINK) {
		event->at_us = sim->now_us + MAX(left_us, asleep ? 20 * SIM_MS : 0);
		sim_push(sim, *event);
		event->data = NULL;
		return;
	}
	pair_device_event(sim, device, event);
	g_clear_pointer(&event->data, g_free);
}

static void election_changed(Sim *sim, PairDevice *device)
{
	if (device->v->candidate.machine.state == VRRP_STATE_MASTER) {
		device->won_joining = device->disk.joining && pair_awake_us(sim, device) > device->ordered_until_us;
		device->won_passive = device->mode == MODE_PASSIVE && device->passive_us != 0 && sim->now_us - device->passive_us > TOLD_WITHIN_US &&
				      pair_awake_us(sim, device) > device->ordered_until_us;
	}
	pair_election_changed(sim, device);
}

static void on_event(Sim *sim, SimEvent *event)
{
	VrrpState before[2];

	for (guint i = 0; i < 2; i++)
		before[i] = sim->device[i].candidate.machine.state;
	switch (event->kind) {
	case SIM_EVENT_ARRIVAL:
		if (pair_settings_finding(&pair.device[0]) == pair_settings_finding(&pair.device[1]))
			sim_device_arrival(sim, &sim->device[event->device], g_steal_pointer(&event->packet));
		g_clear_pointer(&event->packet, g_free);
		break;
	case SIM_EVENT_TIMER:
		if (sim->device[event->device].condition == SIM_RUNS && sim->device[event->device].timer_generation == event->generation)
			sim_device_timer(sim, &sim->device[event->device]);
		break;
	case SIM_EVENT_READABLE:
	case SIM_EVENT_TICK:
	case SIM_EVENT_SUPERVISOR:
	case SIM_EVENT_SERVES:
		on_vrrpd(sim, event);
		break;
	case SIM_EVENT_FAULT:
	case SIM_EVENT_FAULT_ENDS:
		on_fault(sim, event);
		break;
	case SIM_EVENT_QUIET:
		sim->quiet_us = sim->now_us;
		for (guint i = 0; i < 2; i++)
			pair_device_on(sim, &pair.device[i]);
		if (pair.people)
			pair_later(sim, &pair.device[0], 10000 * SIM_MS, PAIR_MEND, 0, NULL);
		sim_say(sim, "-- nothing is broken any more");
		break;
	case SIM_EVENT_OWN:
		on_own(sim, event);
		break;
	case SIM_EVENT_STRANGER:
	case SIM_EVENT_SETTLED:
	case SIM_EVENT_ROUND:
		break;
	}
	for (guint i = 0; i < 2; i++)
		if (sim->device[i].condition == SIM_RUNS && sim->device[i].candidate.machine.state != before[i])
			election_changed(sim, &pair.device[i]);
	for (guint i = 0; i < 2; i++)
		if (pair.device[i].mode != MODE_PASSIVE || sim->device[i].condition != SIM_RUNS)
			pair.device[i].passive_us = 0;
		else if (pair.device[i].passive_us == 0)
			pair.device[i].passive_us = sim->now_us;
	pair_check_always(sim);
}

void sim_run(Sim *sim, guint64 seed, const SimLess *less, GString *trace)
{
	SimEvent event;

	memset(sim, 0, sizeof *sim);
	sim->seed = sim->chance = seed;
	sim->trace = trace;
	make(sim);
	sim_say(sim, "-- seed %" G_GUINT64_FORMAT ": an advert every %u ms", seed, sim->interval_cs * 10);
	for (guint i = 0; i < sim->n_faults; i++) {
		SimFault *fault = &sim->fault[i];

		if (less) {
			fault->off = less[i].off;
			fault->until_us = fault->from_us + ((fault->until_us - fault->from_us) >> less[i].halved);
		}
		if (!fault->off)
			sim_push(sim, (SimEvent){ .at_us = fault->from_us, .kind = SIM_EVENT_FAULT, .generation = i });
	}
	pair_later(sim, &pair.device[0], 0, PAIR_LOOK_AT_LINK, 0, NULL);
	pair_later(sim, &pair.device[0], sim->round_ends_us + SETTLED_AFTER_US, PAIR_CHECK, 0, NULL);
	sim_push(sim, (SimEvent){ .at_us = sim->round_ends_us + 1, .kind = SIM_EVENT_QUIET });
	while (!sim->broken && !sim->ended && sim_pop(sim, &event)) {
		sim->now_us = event.at_us;
		on_event(sim, &event);
	}
	for (gsize i = 0; i < sim->n_events; i++) {
		g_free(sim->events[i].packet);
		g_free(sim->events[i].data);
	}
	g_clear_pointer(&sim->events, g_free);
	for (guint i = 0; i < 2; i++)
		sim_device_forget(&sim->device[i]);
}
