/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/scenario.c - from a seed to a world with its faults, from its beginning to a quiet end. */
#include <string.h>

#include "sim.h"

static const char *const names[] = {
	[SIM_FAULT_CUT] = "cut",             [SIM_FAULT_SPLIT] = "split",     [SIM_FAULT_LOSS] = "loss",
	[SIM_FAULT_DUPLICATE] = "duplicate", [SIM_FAULT_DELAY] = "delay",     [SIM_FAULT_DAMAGE] = "damage",
	[SIM_FAULT_BUSY] = "busy",           [SIM_FAULT_FREEZE] = "freeze",   [SIM_FAULT_SUSPEND] = "suspend",
	[SIM_FAULT_KILL] = "kill",           [SIM_FAULT_REBOOT] = "reboot",   [SIM_FAULT_CARRIER] = "no-carrier",
	[SIM_FAULT_HOSTS] = "no-hosts",      [SIM_FAULT_APPLICATION] = "application", [SIM_FAULT_SUPERVISOR] = "no-supervisor",
	[SIM_FAULT_PASSIVE] = "passive",     [SIM_FAULT_RESIGN] = "resign",   [SIM_FAULT_TAKE] = "take",
	[SIM_FAULT_STRANGER] = "stranger",   [SIM_FAULT_HOLD] = "hold",       [SIM_FAULT_SETTINGS] = "settings",
	[SIM_FAULT_SLOW_KERNEL] = "slow-kernel", [SIM_FAULT_CLOCK] = "clock", [SIM_FAULT_DIE] = "die",
	[SIM_FAULT_INTERFACE] = "interface", [SIM_FAULT_LOSSY_PATH] = "lossy-path",
};
G_STATIC_ASSERT(G_N_ELEMENTS(names) == SIM_N_FAULTS);

const char *sim_fault_name(SimFaultKind kind)
{
	return names[kind];
}

void sim_fault_describe(const Sim *sim, const SimFault *fault, GString *out)
{
	g_string_append_printf(out, "round %u: %-13s %9.3f - %9.3f ms  device %c%s", fault->round + 1, names[fault->kind], (double)fault->from_us / 1000,
			       (double)fault->until_us / 1000, 'A' + fault->device, fault->together ? " and all others" : "");
	if (fault->kind == SIM_FAULT_CUT || fault->kind == SIM_FAULT_LOSSY_PATH || fault->kind == SIM_FAULT_SPLIT)
		g_string_append_printf(out, " %s %c, %s", fault->kind == SIM_FAULT_CUT || fault->kind == SIM_FAULT_LOSSY_PATH ? "to" : "from others; first", 'A' + fault->other,
				       fault->path == SIM_LAN ? "LAN" : fault->path == SIM_PEER ? "peer path" :
				       fault->path == SIM_FOLLOWER ? "follower's path" : "all paths");
	if (fault->kind == SIM_FAULT_SETTINGS)
		g_string_append_printf(out, ", an advert every %u ms", fault->amount * 10);
	if (fault->kind == SIM_FAULT_LOSS || fault->kind == SIM_FAULT_LOSSY_PATH || fault->kind == SIM_FAULT_DUPLICATE || fault->kind == SIM_FAULT_DAMAGE)
		g_string_append_printf(out, ", %u of 1000", fault->amount);
}

/* ---- Making ---- */

const gint64 sim_scenarios = 2000;

/* A path that was not heard on again since its queue had run over; who heard priority 0 without a link, and then what was said before that; one that was told
 * to give up and could not before the network was whole; one that waited for what it had lost long before. */
const guint64 sim_known[] = { 70015708, 70176912, 70211542, 70227729, 70228374, 70244545, 70269846, 70219205, 70266751, 888123858, 0 };

static const guint intervals_cs[] = { 1, 10, 10, 100 };

/* Version 2 drops what has another interval than its own; version 3 learns it. */
static guint some_interval(Sim *sim)
{
	return sim->version == 2 ? 100 * (1 + sim_below(sim, 2)) : intervals_cs[sim_below(sim, G_N_ELEMENTS(intervals_cs))];
}

/* How long a round's faults last; the first has devices that start, and holds of seconds. */
static gint64 chaos_us(const Sim *sim, guint round)
{
	return (round == 0 ? 4000 : 1000) * SIM_MS + (gint64)sim->own_cs * 10000 * sim->n_intervals;
}

static void make_fault(Sim *sim, SimFault *fault, gint64 length_of_round_us)
{
	gint64 unit_us = (gint64)sim->interval_cs * 10000, length_us;

	fault->kind = sim_below(sim, SIM_N_OLD_FAULTS);
	if (!sim->paired && (fault->kind == SIM_FAULT_PASSIVE || fault->kind == SIM_FAULT_TAKE || fault->kind == SIM_FAULT_STRANGER))
		fault->kind = SIM_FAULT_SPLIT;
	/* From a tenth of an interval to some hundred, each order of magnitude as often. */
	length_us = unit_us / 10 << sim_below(sim, 11);
	if (sim_below(sim, 8) == 0) /* long enough for a socket's buffer to run over, and for addresses to run out */
		length_us = MAX(length_us, 3000 * SIM_MS);
	if (fault->kind == SIM_FAULT_SLOW_KERNEL && sim_below(sim, 4) == 0)
		length_us = MAX(length_us, 5000 * SIM_MS);
	fault->from_us = sim_upto(sim, length_of_round_us);
	length_us = length_us / 2 + sim_upto(sim, length_us);
	fault->until_us = MIN(fault->from_us + length_us, length_of_round_us);
	fault->device = sim_below(sim, sim->n_devices);
	fault->other = (fault->device + 1 + sim_below(sim, sim->n_devices - 1)) % sim->n_devices;
	fault->path = sim_below(sim, SIM_N_PATHS + 1);
	fault->amount = fault->kind == SIM_FAULT_SETTINGS ? some_interval(sim) : 1u << sim_below(sim, 10);
}

static const SimFaultKind strike_together[] = {
	SIM_FAULT_FREEZE, SIM_FAULT_SUSPEND, SIM_FAULT_KILL, SIM_FAULT_REBOOT, SIM_FAULT_CARRIER, SIM_FAULT_HOSTS, SIM_FAULT_SUPERVISOR,
	SIM_FAULT_SETTINGS, SIM_FAULT_SLOW_KERNEL,
};

/* Of a chance of its own, so that the rest of a seed's world stays what it is without them: half of all worlds have some. */
static void make_more(Sim *sim)
{
	guint64 chance = sim->chance;
	guint n;

	sim->chance = sim->seed ^ SIM_MORE_SALT;
	n = sim_below(sim, 2) ? 1 + sim_below(sim, SIM_MORE_FAULTS) : 0;
	for (guint i = 0; i < n; i++) {
		SimFault *fault = &sim->fault[sim->n_faults];

		fault->round = sim_below(sim, sim->n_rounds);
		make_fault(sim, fault, chaos_us(sim, fault->round));
		fault->together = sim_below(sim, 2);
		fault->kind = fault->together ? strike_together[sim_below(sim, G_N_ELEMENTS(strike_together))] :
						(SimFaultKind)(SIM_N_OLD_FAULTS + sim_below(sim, SIM_N_FAULTS - SIM_N_OLD_FAULTS));
		fault->path = MIN(fault->path, SIM_PEER);
		if (fault->kind == SIM_FAULT_SETTINGS) {
			fault->amount = some_interval(sim);
			sim->interval_cs = MAX(sim->interval_cs, fault->amount);
			sim->shortest_cs = MIN(sim->shortest_cs, fault->amount);
		}
		sim->n_faults++;
	}
	sim->chance = chance;
}

static void make(Sim *sim)
{
	bool differ;
	guint longest_cs = 0, shortest_cs = G_MAXUINT;

	sim->paired = sim_below(sim, 4) != 0;
	sim->n_devices = sim->paired ? 2 : 3 + sim_below(sim, 3);
	sim->version = sim_below(sim, 4) ? 3 : 2;
	sim->family = sim->version == 3 && sim_below(sim, 3) == 0 ? AF_INET6 : AF_INET;
	sim->follower = sim->paired && sim_below(sim, 2) == 0;
	sim->follower_on_lan = sim->follower && sim_below(sim, 2) == 0;
	sim->interval_cs = sim->version == 2 ? 100 : intervals_cs[sim_below(sim, G_N_ELEMENTS(intervals_cs))];
	differ = sim->version == 3 && sim_below(sim, 6) == 0;
	sim->busy_us = SIM_CALM_BUSY_US;
	sim->keeper = -1;
	for (guint i = 0; i < sim->n_devices; i++) {
		SimDevice *device = &sim->device[i];

		device->index = i;
		device->name = (char)('A' + i);
		device->condition = SIM_OFF;
		device->offset_us = 1000000 * G_GINT64_CONSTANT(1000) + sim_upto(sim, 1000000 * G_GINT64_CONSTANT(1000));
		device->ppm = sim_below(sim, 3) ? (gint64)sim_below(sim, 401) - 200 : (gint64)sim_below(sim, 4001) - 2000;
		device->configured_priority = (guint8)(sim_below(sim, 4) ? 1 + sim_below(sim, 254) : 100);
		device->offset = i;
		device->own_interval_cs = differ ? some_interval(sim) : sim->interval_cs;
		longest_cs = MAX(longest_cs, device->own_interval_cs);
		shortest_cs = MIN(shortest_cs, device->own_interval_cs);
		device->interval_cs = device->wanted_interval_cs = device->own_interval_cs;
		device->passive = sim->paired && sim_below(sim, 8) == 0;
		sim_push(sim, (SimEvent){ .at_us = sim_below(sim, 2) ? 0 : sim_upto(sim, 3000 * SIM_MS), .kind = SIM_EVENT_FAULT,
					  .device = i, .generation = SIM_MAX_FAULTS });
	}
	sim->interval_cs = sim->own_cs = longest_cs;
	sim->shortest_cs = shortest_cs;
	sim->n_rounds = 1 + sim_below(sim, SIM_MAX_ROUNDS);
	sim->n_faults = 1 + sim_below(sim, sim_below(sim, 4) ? SIM_MOST_FAULTS : 4);
	sim->n_intervals = 10 + sim_below(sim, 50);
	for (guint i = 0; i < sim->n_faults; i++) {
		sim->fault[i].round = i * sim->n_rounds / sim->n_faults;
		make_fault(sim, &sim->fault[i], chaos_us(sim, sim->fault[i].round));
		if (sim->fault[i].kind == SIM_FAULT_SETTINGS) {
			sim->interval_cs = MAX(sim->interval_cs, sim->fault[i].amount);
			sim->shortest_cs = MIN(sim->shortest_cs, sim->fault[i].amount);
		}
	}
	if (!sim_plain)
		make_more(sim);
}

/* Faults, and then quiet. The first round begins with devices that are off, a later one with an election that has settled. */
static void begin_round(Sim *sim)
{
	sim->quiet_us = sim->settled_us = 0;
	sim->quiet_orders = 0;
	sim->waits_for_link = false;
	sim->keeper = -1;
	sim->round_ends_us = sim->now_us + chaos_us(sim, sim->round);
	for (guint i = 0; i < sim->n_devices; i++)
		sim->device[i].quiet_transitions = 0;
	for (guint i = 0; i < sim->n_faults; i++) {
		SimFault *fault = &sim->fault[i];

		if (fault->round != sim->round)
			continue;
		fault->from_us += sim->now_us;
		fault->until_us += sim->now_us;
		if (!fault->off)
			sim_push(sim, (SimEvent){ .at_us = fault->from_us, .kind = SIM_EVENT_FAULT, .generation = i });
	}
	sim_push(sim, (SimEvent){ .at_us = sim->round_ends_us + 1, .kind = SIM_EVENT_QUIET });
}

/* ---- Doing ---- */

static void set_cuts(Sim *sim, const SimFault *fault, int by)
{
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		if (fault->path != SIM_N_PATHS && fault->path != path)
			continue;
		if (fault->kind == SIM_FAULT_CUT) {
			sim->cut[path][fault->device][fault->other] += (guint)by;
			continue;
		}
		for (guint i = 0; i < sim->n_devices; i++) {
			if (i == fault->device)
				continue;
			sim->cut[path][i][fault->device] += (guint)by;
			sim->cut[path][fault->device][i] += (guint)by;
		}
	}
}

static void wake(Sim *sim, SimDevice *device, SimCondition from)
{
	if (device->condition != from)
		return;
	sim_say(sim, "%c  goes on", device->name);
	sim_device_wake(sim, device);
}

static void set_passive(Sim *sim, SimDevice *device, bool passive)
{
	device->passive = passive;
	if (device->condition == SIM_RUNS)
		sim_device_set_passive(sim, device, passive);
}

static void stop_running(const Sim *sim, SimDevice *device, SimCondition condition)
{
	if (device->condition != SIM_RUNS)
		return;
	device->condition = condition;
	device->asleep_us = sim_clock(sim, device);
}

/* Back and forth, by a thousandth of a second or an hour; never by so little that it cannot be seen. */
static gint64 clock_step_us(Sim *sim, const SimFault *fault)
{
	gint64 step_us = VRRP_STAMP_STEP_US + 1 + sim_upto(sim, (gint64)fault->amount * fault->amount * 16 * SIM_MS);

	return sim_below(sim, 2) ? step_us : -step_us;
}

static void begin_fault(Sim *sim, const SimFault *fault)
{
	SimDevice *device = &sim->device[fault->device];
	bool runs = device->condition == SIM_RUNS;

	switch (fault->kind) {
	case SIM_FAULT_CUT:
	case SIM_FAULT_SPLIT:
		set_cuts(sim, fault, 1);
		break;
	case SIM_FAULT_LOSS:
		sim->loss = fault->amount;
		break;
	case SIM_FAULT_DUPLICATE:
		sim->duplicate = fault->amount;
		break;
	case SIM_FAULT_DAMAGE:
		sim->damage = fault->amount;
		break;
	case SIM_FAULT_DELAY:
		sim->jitter_us = (gint64)sim->shortest_cs * 10 * fault->amount * 4;
		break;
	case SIM_FAULT_BUSY:
		sim->late_until_us = MAX(sim->late_until_us, sim->now_us + sim->busy_us);
		if (sim->busy_us > SIM_CALM_BUSY_US) /* which ends here, whatever follows: it may be as good as none */
			sim->busy_until_us = sim->now_us;
		sim->busy_us = (gint64)sim->shortest_cs * 10 * fault->amount * 4;
		break;
	case SIM_FAULT_FREEZE:
		stop_running(sim, device, SIM_FROZEN);
		break;
	case SIM_FAULT_SUSPEND:
		stop_running(sim, device, SIM_SUSPENDED);
		break;
	case SIM_FAULT_KILL:
		if (runs)
			sim_device_end(sim, device, false);
		break;
	case SIM_FAULT_REBOOT:
		if (runs)
			sim_device_end(sim, device, true);
		break;
	case SIM_FAULT_CARRIER:
		device->no_carrier++;
		if (runs)
			sim_device_check_link(sim, device);
		break;
	case SIM_FAULT_HOSTS:
		device->no_hosts++;
		break;
	case SIM_FAULT_APPLICATION:
		device->app_broken++;
		if (runs)
			sim_device_set_serving(sim, device, false);
		break;
	case SIM_FAULT_SUPERVISOR:
		device->no_supervisor++;
		break;
	case SIM_FAULT_PASSIVE:
		set_passive(sim, device, !device->passive);
		break;
	case SIM_FAULT_RESIGN:
		if (runs)
			sim_device_resign(sim, device);
		break;
	case SIM_FAULT_TAKE:
		if (runs)
			sim_device_take(sim, device);
		break;
	case SIM_FAULT_HOLD:
		if (runs)
			sim_device_hold(sim, device, fault->until_us - fault->from_us);
		break;
	case SIM_FAULT_SETTINGS:
		sim_device_settings(sim, device, fault->amount);
		break;
	case SIM_FAULT_STRANGER:
		sim_push(sim, (SimEvent){ .at_us = sim->now_us, .kind = SIM_EVENT_STRANGER, .generation = (guint)(fault - sim->fault) });
		break;
	case SIM_FAULT_SLOW_KERNEL:
		device->no_kernel++;
		break;
	case SIM_FAULT_CLOCK:
		sim_device_set_clock(sim, device, clock_step_us(sim, fault));
		break;
	case SIM_FAULT_DIE:
		device->dies_after = runs ? 1 + sim_below(sim, VRRP_MAX_STEPS) : 0;
		break;
	case SIM_FAULT_INTERFACE:
		device->no_interface++;
		device->no_carrier++;
		sim_device_interface(sim, device, false);
		break;
	case SIM_FAULT_LOSSY_PATH:
		sim->path_loss[fault->path][fault->device][fault->other] = fault->amount;
		break;
	case SIM_N_FAULTS:
		g_assert_not_reached();
	}
}

static void end_fault(Sim *sim, const SimFault *fault)
{
	SimDevice *device = &sim->device[fault->device];

	switch (fault->kind) {
	case SIM_FAULT_CUT:
	case SIM_FAULT_SPLIT:
		set_cuts(sim, fault, -1);
		break;
	case SIM_FAULT_LOSS:
		sim->loss = 0;
		break;
	case SIM_FAULT_DUPLICATE:
		sim->duplicate = 0;
		break;
	case SIM_FAULT_DAMAGE:
		sim->damage = 0;
		break;
	case SIM_FAULT_DELAY:
		sim->jitter_us = 0;
		break;
	case SIM_FAULT_BUSY:
		sim->late_until_us = MAX(sim->late_until_us, sim->now_us + sim->busy_us);
		sim->busy_us = SIM_CALM_BUSY_US;
		sim->busy_until_us = sim->now_us;
		break;
	case SIM_FAULT_FREEZE:
		wake(sim, device, SIM_FROZEN);
		break;
	case SIM_FAULT_SUSPEND:
		wake(sim, device, SIM_SUSPENDED);
		break;
	case SIM_FAULT_KILL:
	case SIM_FAULT_REBOOT:
		if (device->condition == SIM_KILLED || device->condition == SIM_OFF)
			sim_device_start(sim, device);
		break;
	case SIM_FAULT_CARRIER:
		device->no_carrier--;
		/* Some switches forward nothing before they have learned, for seconds. */
		if (fault->amount > 16) {
			gint64 until_us = sim->now_us + sim_upto(sim, 5000 * SIM_MS);

			device->learning_until_us = MIN(until_us, sim->round_ends_us);
		}
		if (device->condition == SIM_RUNS)
			sim_device_check_link(sim, device);
		break;
	case SIM_FAULT_HOSTS:
		device->no_hosts--;
		break;
	case SIM_FAULT_APPLICATION:
		if (--device->app_broken == 0 && device->condition == SIM_RUNS)
			sim_device_set_serving(sim, device, true);
		break;
	case SIM_FAULT_SUPERVISOR:
		if (--device->no_supervisor == 0 && device->condition == SIM_RUNS)
			sim_device_supervisor(sim, device);
		break;
	case SIM_FAULT_HOLD:
		if (device->condition == SIM_RUNS)
			sim_device_hold(sim, device, 0);
		break;
	case SIM_FAULT_SETTINGS:
		sim_device_settings(sim, device, device->own_interval_cs);
		break;
	case SIM_FAULT_SLOW_KERNEL:
		if (--device->no_kernel == 0)
			sim_device_kernel(sim, device);
		break;
	case SIM_FAULT_DIE:
		device->dies_after = 0;
		if (device->condition == SIM_KILLED)
			sim_device_start(sim, device);
		break;
	case SIM_FAULT_INTERFACE:
		device->no_interface--;
		device->no_carrier--;
		sim_device_interface(sim, device, true);
		break;
	case SIM_FAULT_LOSSY_PATH:
		sim->path_loss[fault->path][fault->device][fault->other] = 0;
		break;
	case SIM_FAULT_CLOCK:
	case SIM_FAULT_PASSIVE:
	case SIM_FAULT_RESIGN:
	case SIM_FAULT_TAKE:
	case SIM_FAULT_STRANGER:
	case SIM_N_FAULTS:
		break;
	}
}

/* All at once, or one. */
static void do_fault(Sim *sim, const SimFault *fault, void (*what)(Sim *sim, const SimFault *fault))
{
	SimFault one = *fault;

	if (!fault->together) {
		what(sim, fault);
		return;
	}
	for (one.device = 0; one.device < sim->n_devices; one.device++)
		what(sim, &one);
}

/* A firewall with our group id at the highest priority there is; or somebody who forges each device's to the other. */
static void stranger(Sim *sim, const SimFault *fault)
{
	VrrpAdvert advert = {
		.version = sim->version, .vrid = SIM_VRID, .priority = fault->amount & 1 ? 0 : 255, .interval_cs = sim->interval_cs,
		.source = sim_address(sim, 190, SIM_LAN), .destination = vrrp_group_address(sim->family), .n_addresses = 1,
		.addresses = { sim_service(sim, SIM_LAN) },
	};
	gint64 period_us = (gint64)sim->interval_cs * 10000;

	if (sim->now_us > fault->until_us)
		return;
	/* Never in step with the adverts. */
	if (sim->paired && fault->amount > 16) {
		period_us += period_us * 3 / 8;
		for (guint i = 0; i < sim->n_devices; i++)
			sim_forge(sim, i);
	} else {
		sim_send(sim, SIM_MAX_DEVICES, SIM_LAN, &advert, &(SimClaim){ 0 });
	}
	sim_push(sim, (SimEvent){ .at_us = sim->now_us + period_us, .kind = SIM_EVENT_STRANGER,
				  .generation = (guint)(fault - sim->fault) });
}

static void say_fault(Sim *sim, const SimFault *fault, const char *what)
{
	g_autoptr(GString) text = NULL;

	if (!sim->trace)
		return;
	text = g_string_new(NULL);
	sim_fault_describe(sim, fault, text);
	sim_say(sim, "** %s %s", what, text->str);
}

static void on_fault(Sim *sim, const SimEvent *event)
{
	SimFault *fault;

	if (event->generation == SIM_MAX_FAULTS) { /* power on */
		if (sim->device[event->device].condition == SIM_OFF)
			sim_device_start(sim, &sim->device[event->device]);
		return;
	}
	fault = &sim->fault[event->generation];
	say_fault(sim, fault, "begins:");
	do_fault(sim, fault, begin_fault);
	sim_push(sim, (SimEvent){ .at_us = fault->until_us, .kind = SIM_EVENT_FAULT_ENDS, .generation = event->generation });
}

static void on_device(Sim *sim, const SimEvent *event)
{
	SimDevice *device = &sim->device[event->device];

	if (device->condition != SIM_RUNS || event->generation != device->generation)
		return;
	if (event->kind == SIM_EVENT_READABLE) {
		sim_device_readable(sim, device);
	} else if (event->kind == SIM_EVENT_TICK && event->what == device->n_ticks) {
		sim_device_tick(sim, device);
	} else if (event->kind == SIM_EVENT_SUPERVISOR) {
		if (device->no_supervisor == 0)
			sim_device_supervisor(sim, device);
		sim_push(sim, (SimEvent){ .at_us = sim->now_us + G_USEC_PER_SEC, .kind = SIM_EVENT_SUPERVISOR, .device = device->index,
					  .generation = device->generation });
	} else if (event->kind == SIM_EVENT_SERVES && device->app_broken == 0) {
		sim_device_set_serving(sim, device, true);
	}
}

static void on_event(Sim *sim, SimEvent *event)
{
	bool last = sim->round + 1 == sim->n_rounds;
	gint64 down_us = (3 * (gint64)sim->interval_cs + MAX(sim->interval_cs, sim->version == 2 ? 100 : 0)) * 10000;

	switch (event->kind) {
	case SIM_EVENT_ARRIVAL:
		sim_device_arrival(sim, &sim->device[event->device], g_steal_pointer(&event->packet));
		break;
	case SIM_EVENT_TIMER:
		if (sim->device[event->device].condition == SIM_RUNS && sim->device[event->device].timer_generation == event->generation)
			sim_device_timer(sim, &sim->device[event->device]);
		break;
	case SIM_EVENT_READABLE:
	case SIM_EVENT_TICK:
	case SIM_EVENT_SUPERVISOR:
	case SIM_EVENT_SERVES:
		on_device(sim, event);
		break;
	case SIM_EVENT_FAULT:
		on_fault(sim, event);
		break;
	case SIM_EVENT_FAULT_ENDS:
		say_fault(sim, &sim->fault[event->generation], "ends:  ");
		do_fault(sim, &sim->fault[event->generation], end_fault);
		break;
	case SIM_EVENT_STRANGER:
		stranger(sim, &sim->fault[event->generation]);
		break;
	case SIM_EVENT_QUIET:
		sim_check_quiet(sim);
		/* What the network still carries, and the supervisor of a device just started; then quiet for a down interval. */
		sim_push(sim, (SimEvent){ .at_us = sim->now_us + (gint64)sim->interval_cs * 10 * 2048 + 1500 * SIM_MS + down_us +
						   (sim->waits_for_link ? MAX(1000 * SIM_MS, down_us) + SIM_TICK_US : 0) +
						   (sim->now_us - sim->busy_until_us < 2 * down_us ? down_us : 0), /* who woke late waits once more */
					  .kind = SIM_EVENT_SETTLED });
		break;
	case SIM_EVENT_SETTLED:
		sim_check_settled(sim);
		sim_push(sim, (SimEvent){ .at_us = sim->now_us + (last ? 3 * down_us + SIM_ADDRESS_LIFE_US : down_us),
					  .kind = SIM_EVENT_ROUND });
		break;
	case SIM_EVENT_ROUND:
		sim_check_end(sim);
		if (++sim->round == sim->n_rounds)
			sim->ended = true;
		else
			begin_round(sim);
		break;
	case SIM_EVENT_OWN:
		break;
	}
	for (guint i = 0; i < sim->n_devices; i++)
		sim_device_bury(sim, &sim->device[i]);
	sim_check_twice(sim);
}

void sim_run(Sim *sim, guint64 seed, const SimLess *less, GString *trace)
{
	SimEvent event;

	memset(sim, 0, sizeof *sim);
	sim->seed = sim->chance = seed;
	sim->trace = trace;
	make(sim);
	sim_say(sim, "-- seed %" G_GUINT64_FORMAT ": %u %s devices, version %u, %s%s, an advert every %u ms at most, %u rounds", seed, sim->n_devices,
		sim->paired ? "paired" : "plain", sim->version, sim->family == AF_INET ? "IPv4" : "IPv6",
		!sim->follower ? "" : sim->follower_on_lan ? ", a follower on the LAN" : ", a follower elsewhere", sim->interval_cs * 10, sim->n_rounds);
	for (guint i = 0; less && i < sim->n_faults; i++) {
		SimFault *fault = &sim->fault[i];

		fault->off = less[i].off;
		fault->until_us = fault->from_us + ((fault->until_us - fault->from_us) >> less[i].halved);
	}
	begin_round(sim);
	while (!sim->broken && !sim->ended && sim_pop(sim, &event)) {
		sim->now_us = event.at_us;
		on_event(sim, &event);
	}
	for (gsize i = 0; i < sim->n_events; i++)
		g_free(sim->events[i].packet);
	g_clear_pointer(&sim->events, g_free);
	for (guint i = 0; i < sim->n_devices; i++)
		sim_device_forget(&sim->device[i]);
}
