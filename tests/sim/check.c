/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/check.c - what must hold in every simulated world. None of it asks the code under test what is right. */
#include <stdarg.h>

#include "sim.h"

void sim_break(Sim *sim, const char *invariant, const char *format, ...)
{
	va_list arguments;

	if (sim->broken)
		return;
	sim->broken = true;
	sim->invariant = invariant;
	va_start(arguments, format);
	g_vsnprintf(sim->detail, sizeof sim->detail, format, arguments);
	va_end(arguments);
	sim_say(sim, "!! %s: %s", invariant, sim->detail);
}

static gint64 interval_us(const Sim *sim)
{
	return (gint64)sim->interval_cs * 10000;
}

static bool is_master(const SimDevice *device)
{
	return device->condition == SIM_RUNS && device->candidate.machine.state == VRRP_STATE_MASTER;
}

/* One Backup less than three whole intervals after it received an advert of a Master does not lead by itself. */
static void check_takeover(Sim *sim, const SimDevice *device, const char *reason)
{
	gint64 now_us = sim_clock(sim, device);

	if (g_str_equal(reason, "order"))
		return;
	if (device->candidate.holds.hold[VRRP_HOLD_PASSIVE].set)
		sim_break(sim, "passive-takes-over", "%c is held as passive and leads for %s", device->name, reason);
	if (g_str_equal(reason, "master-resigned")) {
		if (device->heard_zero_us == 0 || device->heard_master_us - device->heard_zero_us >= interval_us(sim))
			sim_break(sim, "resigned-without-zero", "%c: no Master has resigned", device->name);
		return;
	}
	if (device->heard_master_us != 0 && device->heard_master_us > device->heard_zero_us &&
	    now_us - device->heard_master_us < 3 * interval_us(sim))
		sim_break(sim, "preempts", "%c takes over %" G_GINT64_FORMAT " us after an advert of the Master (%s)", device->name,
			  now_us - device->heard_master_us, reason);
}

void sim_check_step(Sim *sim, SimDevice *device, VrrpState old, const char *reason)
{
	if (!reason || !*reason)
		sim_break(sim, "no-reason", "%c changed its state without a reason", device->name);
	else if (device->candidate.machine.state == VRRP_STATE_MASTER)
		check_takeover(sim, device, reason);
	device->transitions++;
	if (sim->quiet_us)
		device->quiet_transitions++;
	if (sim->settled_us)
		sim_break(sim, "restless", "%c changes its state in a quiet network: %s", device->name, reason ? reason : "");
	/* Up, down and up again would be a livelock even if it ended. */
	if (device->quiet_transitions > 4)
		sim_break(sim, "livelock", "%c has changed its state %u times since the network is quiet", device->name, device->quiet_transitions);
}

/* A Master that is not just waking up yields only to one that has the better right, as the facts say. */
void sim_check_yield(Sim *sim, const SimDevice *device, const SimPacket *packet, const SimClaim *mine)
{
	const SimClaim *other = &packet->claim;

	if (!sim->paired || !device->candidate.paired)
		return; /* the RFC's order of priorities, and the settled state says whether it was kept */
	if (other->standing < mine->standing)
		sim_break(sim, "yields-to-worse", "%c is %s and yields to one that is %s", device->name, vrrp_standing_name(mine->standing),
			  vrrp_standing_name(other->standing));
	else if (other->standing == mine->standing && mine->comparable && other->comparable && mine->knew_reign == other->reign)
		sim_break(sim, "yields-to-older", "%c took over from the very Master it yields to", device->name);
}

void sim_check_always(Sim *sim)
{
	for (guint i = 0; i < sim->n_devices; i++) {
		const SimDevice *device = &sim->device[i];

		if (device->condition == SIM_RUNS && device->candidate.machine.state != VRRP_STATE_MASTER && sim_device_holds_addresses(sim, device))
			sim_break(sim, "addresses-without-role", "%c is %s and holds the addresses", device->name,
				  vrrp_state_name(device->candidate.machine.state));
		/* After a sleep the kernel may have let them go; they are put up again with the next advert or not at all. */
		if (is_master(device) && sim->settled_us && !sim_device_holds_addresses(sim, device))
			sim_break(sim, "master-without-addresses", "%c", device->name);
	}
}

/* The moment the network is whole again: who serves people now, alone, must still do so in the end. */
void sim_check_quiet(Sim *sim)
{
	int keeper = -1;

	sim->quiet_us = sim->now_us;
	for (guint i = 0; sim->paired && i < sim->n_devices; i++) {
		const SimDevice *device = &sim->device[i], *other = &sim->device[1 - i];

		if (is_master(device) && is_master(other) && !device->candidate.machine.listening && device->claim.standing == VRRP_STANDING_SERVING &&
		    other->claim.standing != VRRP_STANDING_SERVING && device->candidate.watch.carrier && other->candidate.serving &&
		    !vrrp_link_watch_alive(&other->candidate.watch, sim_clock(sim, other)))
			keeper = (int)i;
	}
	sim->keeper = keeper;
	sim_say(sim, "-- the network is whole and quiet%s", keeper < 0 ? "" : keeper == 0 ? "; A serves people" : "; B serves people");
}

static int only_master(Sim *sim)
{
	int master = -1;
	guint n = 0;
	bool free = false;

	for (guint i = 0; i < sim->n_devices; i++) {
		const SimDevice *device = &sim->device[i];

		free |= !device->passive;
		if (!is_master(device))
			continue;
		n++;
		master = (int)i;
	}
	if (n > 1 || (n == 0 && free))
		sim_break(sim, "one-master", "%u Masters after three down intervals of quiet", n);
	return n == 1 ? master : -1;
}

void sim_check_settled(Sim *sim)
{
	int master = only_master(sim);

	sim->settled_us = sim->now_us;
	if (sim->keeper >= 0 && master >= 0 && master != sim->keeper)
		sim_break(sim, "split-winner", "%c served people through the split, and %c leads", sim->device[sim->keeper].name,
			  sim->device[master].name);
	sim_say(sim, "-- from here on nothing may change");
}

void sim_check_end(Sim *sim)
{
	int master = only_master(sim);

	sim_check_always(sim);
	for (guint i = 0; i < sim->n_devices; i++)
		if ((int)i != master && sim_device_holds_addresses(sim, &sim->device[i]))
			sim_break(sim, "addresses-twice", "%c holds the addresses and does not lead", sim->device[i].name);
}
