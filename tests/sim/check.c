/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/check.c - what must hold in every simulated world. None of it asks the code under test what is right. */
#include <stdarg.h>

#include "device.h"

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

static gint64 interval_us(guint interval_cs)
{
	return (gint64)interval_cs * 10000;
}

/* 3768 6.1, 9568 6.1; who is paired waits as if it had priority 254. */
static gint64 skew_us(const Sim *sim, const SimDevice *device, guint interval_cs)
{
	gint64 priority = device->candidate.paired ? 254 : device->configured_priority;

	return (256 - priority) * interval_us(sim->version == 2 ? 100 : interval_cs) / 256;
}

gint64 sim_down_us(const Sim *sim, const SimDevice *device, guint interval_cs)
{
	return 3 * interval_us(interval_cs) + skew_us(sim, device, interval_cs);
}

static bool is_master(const SimDevice *device)
{
	return device->condition == SIM_RUNS && device->candidate.machine.state == VRRP_STATE_MASTER;
}

/* A Backup leads by itself only when it has heard no Master for the whole down interval, or one has resigned. */
static void check_silence(Sim *sim, const SimDevice *device, const char *reason)
{
	gint64 now_us = sim_clock(sim, device);
	bool heard = device->heard_master_us != 0 && device->heard_master_us > device->heard_zero_us;

	if (g_str_equal(reason, "master-resigned")) {
		if (device->heard_zero_us == 0 || heard)
			sim_break(sim, "resigned-without-zero", "%c: no Master has resigned", device->name);
		else if (now_us - device->heard_zero_us < skew_us(sim, device, device->zero_interval_cs) - 2)
			sim_break(sim, "too-early", "%c leads %" G_GINT64_FORMAT " us after priority 0, before its skew", device->name,
				  now_us - device->heard_zero_us);
		return;
	}
	if (heard && now_us - device->heard_master_us < 3 * interval_us(device->heard_interval_cs))
		sim_break(sim, "preempts", "%c takes over %" G_GINT64_FORMAT " us after an advert of the Master (%s)", device->name,
			  now_us - device->heard_master_us, reason);
	/* Of a longer interval than any it knows it cannot know, if that went with its buffer. */
	if (device->lost_us > device->heard_master_us &&
	    now_us - device->lost_us < 3 * interval_us(MIN(device->lost_interval_cs, MAX(device->interval_cs, device->heard_interval_cs))))
		sim_break(sim, "preempts", "%c takes over %" G_GINT64_FORMAT " us after an advert for which its buffer had no room", device->name,
			  now_us - device->lost_us);
	if (device->resigned)
		sim_break(sim, "resignation-ignored", "%c heard a Master resign, and waits as if it had not", device->name);
	if (device->wait_us > device->heard_zero_us &&
	    now_us - device->wait_us < 3 * interval_us(device->wait_interval_cs) + skew_us(sim, device, device->wait_interval_cs) - 2)
		sim_break(sim, "too-early", "%c leads %" G_GINT64_FORMAT " us after it heard a Master or began, before its skew", device->name,
			  now_us - device->wait_us);
}

/* The last moment at which it must lead for what it heard. For want of room it waits once more, when it would lead and when it is let, for what was
 * lost since it heard the Master, or was last asked; that cannot have been longer ago than it waits. */
static gint64 latest_us(const Sim *sim, const SimDevice *device, gint64 from_us, gint64 wait_us)
{
	gint64 again_us = sim_down_us(sim, device, MAX(device->heard_interval_cs, device->interval_cs));

	if (device->full_us < from_us)
		return from_us + wait_us;
	return MAX(from_us + wait_us, MAX(device->full_us + again_us, device->opened_us)) + again_us;
}

/* Nor later: whatever it has slept through, it counts from what it heard. Who was frozen or kept busy may be later, and who learns from what it
 * has slept through that the Master speaks more often than it did. */
static void check_promptness(Sim *sim, const SimDevice *device, const char *reason)
{
	bool resigned = g_str_equal(reason, "master-resigned");
	gint64 from_us = resigned ? device->heard_zero_us : device->heard_master_us;
	gint64 wait_us = resigned ? skew_us(sim, device, device->zero_interval_cs) : sim_down_us(sim, device, device->heard_interval_cs);
	gint64 late_us = sim_clock(sim, device) - device->late_us - latest_us(sim, device, from_us, wait_us), longest_us = interval_us(sim->interval_cs) * 8;

	if (from_us == 0 || sim->shortest_cs != sim->interval_cs || device->paired_us >= from_us || device->thawed_us > from_us - longest_us || sim->busy_us > SIM_CALM_BUSY_US ||
	    (sim->busy_until_us != 0 && sim->now_us - sim->busy_until_us < 2 * longest_us))
		return;
	if (late_us > 10 * SIM_CALM_BUSY_US)
		sim_break(sim, "too-late", "%c leads %" G_GINT64_FORMAT " us later than it should after what it heard (%s)", device->name, late_us, reason);
}

/* A link that flaps is left alone while another leads. */
static void check_link(Sim *sim, const SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device), up_us = now_us - device->up_us;
	bool led = device->led_us != 0 && now_us - device->led_us < 1000 * SIM_MS;

	if (device->losses > 1 && (up_us < 1000 * SIM_MS || (led && up_us < 1000 * SIM_MS << MIN(device->losses - 2, 4))))
		sim_break(sim, "trusts-a-flapping-link", "%c has lost its carrier %u times, and is back after %" G_GINT64_FORMAT " us", device->name,
			  device->losses, up_us);
}

static void check_takeover(Sim *sim, const SimDevice *device, const char *reason, const VrrpEvent *event)
{
	gint64 now_us = sim_clock(sim, device);

	if (g_str_equal(reason, "order"))
		return;
	if (device->candidate.holds.hold[VRRP_HOLD_PASSIVE].set)
		sim_break(sim, "passive-takes-over", "%c is held as passive and leads for %s", device->name, reason);
	for (guint i = 0; i < VRRP_N_HOLDS; i++)
		if (device->candidate.holds.hold[i].set)
			sim_break(sim, "held-takes-over", "%c is held (%s) and leads for %s", device->name, vrrp_hold_name(i), reason);
	if (device->deaf)
		sim_break(sim, "deaf-takes-over", "%c hears no adverts, because its sockets have yet to join, and leads for %s", device->name, reason);
	if (MAX(device->frame_us, device->lan_advert_us) < device->up_us && now_us - device->up_us < 3000 * SIM_MS)
		sim_break(sim, "unsettled-takes-over", "%c leads %" G_GINT64_FORMAT " us after its link came up, and has heard nothing on it",
			  device->name, now_us - device->up_us);
	check_silence(sim, device, reason);
	if (event->kind == VRRP_EVENT_TIMER)
		check_promptness(sim, device, reason);
}

/* Every transition has a cause: the event that brings it, and the world. */
static bool has_cause(const SimDevice *device, VrrpState old, const char *reason, const VrrpEvent *event)
{
	VrrpState new = device->candidate.machine.state;

	switch (event->kind) {
	case VRRP_EVENT_START:
		return old == VRRP_STATE_INIT && new == VRRP_STATE_BACKUP && device->no_carrier == 0;
	case VRRP_EVENT_STOP:
		return new == VRRP_STATE_INIT && (g_str_equal(reason, "settings") || ((g_str_equal(reason, "no-carrier") || g_str_equal(reason, "no-interface")) &&
									(device->no_carrier > 0 || device->leaves_for_carrier)));
	case VRRP_EVENT_TAKE:
		return old == VRRP_STATE_BACKUP && new == VRRP_STATE_MASTER && g_str_equal(reason, "order");
	case VRRP_EVENT_RESIGN:
		return old == VRRP_STATE_MASTER && new == VRRP_STATE_BACKUP && g_str_equal(reason, "order");
	case VRRP_EVENT_ADVERT:
		return old == VRRP_STATE_MASTER && new == VRRP_STATE_BACKUP && event->priority != 0 &&
		       (g_str_equal(reason, "heard-higher") || g_str_equal(reason, "late-wake-up"));
	case VRRP_EVENT_TIMER:
	case VRRP_EVENT_GATE:
		return old == VRRP_STATE_BACKUP && new == VRRP_STATE_MASTER &&
		       (g_str_equal(reason, "master-down") || g_str_equal(reason, "master-resigned"));
	case VRRP_EVENT_RESUME:
		return false;
	}
	return false;
}

void sim_check_step(Sim *sim, SimDevice *device, VrrpState old, const char *reason, const VrrpEvent *event)
{
	if (!reason || !*reason || !has_cause(device, old, reason, event))
		sim_break(sim, "no-cause", "%c: %s -> %s for no cause (%s)", device->name, vrrp_state_name(old),
			  vrrp_state_name(device->candidate.machine.state), reason ? reason : "no reason");
	else if (device->candidate.machine.state == VRRP_STATE_MASTER)
		check_takeover(sim, device, reason, event);
	if (event->kind == VRRP_EVENT_START)
		check_link(sim, device);
	device->transitions++;
	if (sim->quiet_us && (event->kind == VRRP_EVENT_RESIGN || event->kind == VRRP_EVENT_TAKE))
		sim->quiet_orders++;
	if (sim->quiet_us && event->kind != VRRP_EVENT_START && event->kind != VRRP_EVENT_STOP)
		device->quiet_transitions++;
	/* A link that has flapped may be waited for longer than the others need. */
	if (sim->settled_us && !(event->kind == VRRP_EVENT_START && device->losses > 1))
		sim_break(sim, "restless", "%c changes its state in a quiet network: %s", device->name, reason ? reason : "");
	/* Up, down and up again would be a livelock even if it ended. An order changes each of the two once; how many the supervisors give has checks of its own. */
	if (device->quiet_transitions > 4 + sim->quiet_orders)
		sim_break(sim, "livelock", "%c has changed its state %u times since the network is quiet", device->name, device->quiet_transitions);
}

/* A Master that has said nothing for longer than a Backup waits. */
bool sim_has_slept(const Sim *sim, const SimDevice *device)
{
	return device->candidate.machine.state == VRRP_STATE_MASTER && device->said_us != 0 &&
	       sim_clock(sim, device) - device->said_us > 3 * interval_us(device->interval_cs) + interval_us(sim->version == 2 ? 100 : device->interval_cs) / 128;
}

static void check_yield(Sim *sim, const SimDevice *device, const SimClaim *mine, const SimClaim *other)
{
	if (other->standing < mine->standing)
		sim_break(sim, "yields-to-worse", "%c is %s and yields to one that is %s", device->name, vrrp_standing_name(mine->standing),
			  vrrp_standing_name(other->standing));
	else if (other->standing == mine->standing && mine->comparable && other->comparable && mine->knew_reign == other->reign)
		sim_break(sim, "yields-to-older", "%c took over from the very Master it yields to", device->name);
}

static void check_keep(Sim *sim, const SimDevice *device, const SimClaim *mine, const SimClaim *other)
{
	if (other->standing > mine->standing)
		sim_break(sim, "keeps-against-better", "%c is %s and goes on against one that is %s", device->name,
			  vrrp_standing_name(mine->standing), vrrp_standing_name(other->standing));
	else if (other->standing == mine->standing && mine->comparable && other->comparable && other->knew_reign == mine->reign)
		sim_break(sim, "keeps-against-newer", "%c goes on against the one that took over from it", device->name);
}

/* A Master has heard another. The one that is just waking up yields to anybody; else the better right decides, as the facts say. */
void sim_check_advert(Sim *sim, const SimDevice *device, const SimPacket *packet, const VrrpAdvert *advert, const SimClaim *mine, bool slept)
{
	bool yields = device->candidate.machine.state == VRRP_STATE_BACKUP;

	if (slept != (yields && g_str_equal(device->reason, "late-wake-up"))) {
		sim_break(sim, slept ? "sleeper-leads" : "no-cause", "%c %s", device->name,
			  slept ? "has slept, hears another Master, and goes on" : "yields as one that has slept, and has not");
	} else if (slept && sim->keeper == (int)device->index) {
		sim->keeper = -1; /* kept from waking since before the network was whole: it did not serve any more */
	} else if (!slept && device->candidate.paired && !packet->claim.paired) {
		return; /* it does not know the bands yet */
	} else if (!slept && device->candidate.paired) {
		if (yields)
			check_yield(sim, device, mine, &packet->claim);
		else
			check_keep(sim, device, mine, &packet->claim);
	} else if (!slept && !device->candidate.ordered && !mine->ordered) {
		bool higher = advert->priority > device->configured_priority ||
			      (advert->priority == device->configured_priority && packet->from > device->index);

		if (higher != yields)
			sim_break(sim, yields ? "yields-to-lower" : "keeps-against-higher", "%c, of priority %u, hears priority %u", device->name,
				  device->configured_priority, advert->priority);
	}
}

/* What a device may say, and where. */
void sim_check_say(Sim *sim, const SimDevice *device, guint8 priority, bool everywhere)
{
	gint64 now_us = sim_clock(sim, device), unheard_us = now_us - device->frame_us;
	gint64 window_us = MAX(3 * interval_us(device->interval_cs), 300 * SIM_MS);

	if (priority == 0 && sim_device_holds_addresses(sim, device))
		sim_break(sim, "addresses-before-zero", "%c says priority 0 with the addresses still there", device->name);
	if (priority == 0)
		return;
	if (sim_has_slept(sim, device) && now_us - device->woke_us < interval_us(device->interval_cs) * 99 / 100)
		sim_break(sim, "speaks-after-sleep", "%c has slept, and speaks %" G_GINT64_FORMAT " us after it woke up", device->name,
			  now_us - device->woke_us);
	if (!device->candidate.paired)
		return;
	if (everywhere && unheard_us > window_us + 2)
		sim_break(sim, "alive-though-isolated", "%c has heard nothing on the LAN for %" G_GINT64_FORMAT " us and says elsewhere that it lives",
			  device->name, unheard_us);
	if (!everywhere && device->saw_carrier && unheard_us < window_us / 2 && device->frame_us >= device->up_us &&
	    (device->candidate.serving || !device->candidate.served))
		sim_break(sim, "silent-though-alive", "%c is on the LAN, and says so nowhere else", device->name);
}

/* World; since when, or from when on, it listens to the other. Told that this one has resigned, by what the network still carried when it became whole, it
 * takes what that says in the next half interval for older. */
static gint64 listens_us(const Sim *sim, const SimDevice *device)
{
	if (device->last_zero_us == 0 || device->zero_sent_us >= sim->quiet_us)
		return 0;
	return sim->now_us - (sim_clock(sim, device) - device->last_zero_us - interval_us(device->interval_cs) / 2);
}

/* For a client there may be two of them until each has heard the other, and no longer. */
void sim_check_twice(Sim *sim)
{
	gint64 longest_us = 0, from_us = sim->twice_us;
	guint n = 0;

	for (guint i = 0; i < sim->n_devices; i++) {
		longest_us = MAX(longest_us, interval_us(sim->device[i].interval_cs));
		n += sim->device[i].condition == SIM_RUNS && sim_device_holds_addresses(sim, &sim->device[i]);
		from_us = MAX(from_us, listens_us(sim, &sim->device[i]));
	}
	if (n < 2 || sim->quiet_us == 0 || (sim->busy_until_us != 0 && sim->now_us - sim->busy_until_us < 4 * longest_us))
		sim->twice_us = 0;
	else if (sim->twice_us == 0)
		sim->twice_us = sim->now_us;
	else if (sim->now_us - from_us > longest_us * 101 / 100 + SIM_MS)
		sim_break(sim, "addresses-twice", "%u hold the addresses, for %" G_GINT64_FORMAT " us in a network that is whole", n,
			  sim->now_us - sim->twice_us);
}

void sim_check_always(Sim *sim)
{
	for (guint i = 0; i < sim->n_devices; i++) {
		const SimDevice *device = &sim->device[i];

		if (device->condition == SIM_RUNS && device->candidate.machine.state != VRRP_STATE_MASTER && sim_device_holds_addresses(sim, device) &&
		    !device->jobs.dropping)
			sim_break(sim, "addresses-without-role", "%c is %s and holds the addresses", device->name,
				  vrrp_state_name(device->candidate.machine.state));
		if (is_master(device) && device->told_us != 0 && sim->now_us >= sim->late_until_us && sim_clock(sim, device) - device->told_us >
		    SIM_ADDRESS_LIFE_US + 1000 * SIM_MS + 2 * MAX(sim->busy_us, 0))
			sim_break(sim, "stays", "%c was told to give up, and still leads when its addresses would have ended by themselves", device->name);
		/* After a sleep the kernel may have let them go; they are put up again with the next advert or not at all. */
		if (is_master(device) && sim->settled_us && !sim_device_holds_addresses(sim, device))
			sim_break(sim, "master-without-addresses", "%c", device->name);
	}
}

static bool says_it_serves(const SimPacket *packet, const SimDevice *from)
{
	return packet->from == from->index && packet->claim.standing == VRRP_STANDING_SERVING;
}

/* What @to has yet to hear of @from: that it serves people, as it did when it said so, whatever it would say now. */
static bool is_to_hear_that_it_serves(const Sim *sim, const SimDevice *to, const SimDevice *from)
{
	for (gsize i = 0; i < sim->n_events; i++) {
		const SimEvent *event = &sim->events[i];

		if (event->kind == SIM_EVENT_ARRIVAL && event->device == to->index && says_it_serves(event->packet, from))
			return true;
	}
	for (guint path = 0; path < SIM_N_PATHS; path++)
		for (const GList *l = to->received[path].head; l; l = l->next)
			if (says_it_serves(l->data, from))
				return true;
	return false;
}

/* Its applications do, and people are within its reach, now and not only when it last said so: it is not kept busy until it must doubt that. Who was
 * ordered to lead has yet to begin. */
static bool serves_people(const Sim *sim, const SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device), looks_us = MAX(device->tick_at_us, now_us + MAX(sim->late_until_us - sim->now_us, 0));

	return device->candidate.serving && device->candidate.watch.carrier && device->claim.standing == VRRP_STANDING_SERVING &&
	       sim_device_standing(sim, device) == VRRP_STANDING_SERVING && looks_us - device->frame_us < sim_device_window_us(device);
}

/* The moment the network is whole again: who serves people now, alone, must still do so in the end. Not where an order waits to be read, or is being
 * obeyed, that gives the role away: to give up, to take over from it, and another interval, which is another election. */
void sim_check_quiet(Sim *sim)
{
	int keeper = -1;
	guint n = 0;

	sim->quiet_us = sim->now_us;
	for (guint i = 0; i < sim->n_devices; i++)
		n += is_master(&sim->device[i]) && !sim->device[i].candidate.machine.listening && sim->device[i].told_us == 0 && !sim->device[i].changing;
	sim->split = n > 1;
	for (guint i = 0; sim->paired && i < sim->n_devices; i++) {
		const SimDevice *device = &sim->device[i], *other = &sim->device[1 - i];

		if (is_master(device) && is_master(other) && !device->candidate.machine.listening && serves_people(sim, device) &&
		    other->claim.standing != VRRP_STANDING_SERVING && !is_to_hear_that_it_serves(sim, device, other) && other->candidate.serving &&
		    device->told_us == 0 && !device->changing && device->wanted_interval_cs == device->interval_cs &&
		    sim_clock(sim, other) - other->frame_us >= MAX(3 * interval_us(other->interval_cs), 300 * SIM_MS))
			keeper = (int)i;
	}
	for (guint i = 0; i < sim->n_devices; i++)
		sim->waits_for_link |= sim->device[i].losses > 1;
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
	for (guint i = 0; sim->split && master >= 0 && i < sim->n_devices; i++)
		if (sim->device[i].announced_us > sim->device[master].announced_us)
			sim_break(sim, "led-astray", "hosts were told last that the addresses are at %c, and %c leads", sim->device[i].name,
				  sim->device[master].name);
	if (sim->keeper >= 0 && master >= 0 && master != sim->keeper)
		sim_break(sim, "split-winner", "%c served people through the split, and %c leads", sim->device[sim->keeper].name,
			  sim->device[master].name);
	sim_say(sim, "-- from here on nothing may change");
}

void sim_check_end(Sim *sim)
{
	(void)only_master(sim);
	sim_check_always(sim);
}
