/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/device.c - one device: the shipped machine, judge, holds and link watch, wired as election*.c wires them, without I/O. */
#include <string.h>

#include "sim.h"

#define VRID 42

static void update_gate(Sim *sim, SimDevice *device);

/* ---- Run-time state ---- */

/* As vrrp_election_save(). */
static void save(SimDevice *device)
{
	const VrrpCandidate *candidate = &device->candidate;

	if (device->died)
		return;
	device->candidate.unsaved = false;
	device->saved = true;
	device->store.role = candidate->machine.state;
	device->store.step = candidate->step;
	device->store.heard_step = candidate->heard_step;
	device->store.serving = candidate->serving;
	device->store.served = candidate->served;
	device->store.steady = candidate->steady;
	device->store.paired = candidate->paired;
	device->store.holds = candidate->holds;
}

static void save_changes(SimDevice *device)
{
	if (device->candidate.unsaved)
		save(device);
}

/* As long as on the LAN nobody has been heard at all for it to count as silent. */
static gint64 window_us(const SimDevice *device)
{
	return MAX(3 * (gint64)device->interval_cs * 10000, 300 * SIM_MS);
}

/* By the facts, not by what the code under test makes of them. */
static VrrpStanding standing(const Sim *sim, const SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device);

	if (device->candidate.ordered)
		return VRRP_STANDING_SERVING;
	if (!vrrp_candidate_leads(&device->candidate) || !device->candidate.serving)
		return VRRP_STANDING_NOT_SERVING;
	return device->frame_us >= device->up_us && now_us - device->frame_us < window_us(device) &&
	       now_us - device->frames_since_us >= window_us(device) ? VRRP_STANDING_SERVING : VRRP_STANDING_ALONE;
}

bool sim_device_holds_addresses(const Sim *sim, const SimDevice *device)
{
	return device->addresses_until_us > sim_clock(sim, device);
}

/* ---- Steps ---- */

/* As vrrp_election_send(): a follower's multicast and unicast to the peer say that we live; without a peer nobody takes the former for that. */
static void send_advert(Sim *sim, SimDevice *device, guint8 priority, gint64 now_us)
{
	bool everywhere = priority == 0 || !device->candidate.paired || vrrp_candidate_speaks_to_peer(&device->candidate, now_us);
	static VrrpAdvert advert; /* large, and for a moment */

	device->in_a_row = sim->now_us - device->in_a_row_us < SIM_MS ? device->in_a_row + 1 : 0;
	device->in_a_row_us = sim->now_us;
	if (device->in_a_row > SIM_MAX_IN_A_ROW)
		sim_break(sim, "storm", "%c says advert after advert", device->name);
	device->claim.paired = device->candidate.paired;
	device->said = device->claim;
	/* Who yields says the least there is, whatever it was. */
	device->said.paired &= priority == 0 || priority == device->candidate.machine.priority;
	sim_check_say(sim, device, priority, everywhere);
	sim_say(sim, "%c  says priority %u%s", device->name, priority, everywhere ? "" : ", on the LAN alone");
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		if (path != SIM_LAN && (!everywhere || (path == SIM_FOLLOWER ? !sim->follower : !device->candidate.paired)))
			continue;
		advert.version = device->candidate.machine.version;
		advert.vrid = VRID;
		advert.priority = priority;
		advert.interval_cs = device->candidate.machine.interval_cs;
		advert.source = sim_address(sim, device->index, path);
		advert.destination = vrrp_group_address(sim_family(sim, path));
		advert.n_addresses = 1;
		advert.addresses[0] = sim_service(sim, path);
		if (path == SIM_PEER)
			advert.destination = sim_address(sim, 1 - device->index, path);
		sim_send(sim, device->index, path, &advert, &device->said);
	}
	device->said_us = priority == 0 ? 0 : now_us;
	device->store.last_advert_us = priority == 0 ? 0 : now_us;
}

/* As vrrp_election_announce_from(): now if they are there, and a few times more. */
static void announce(Sim *sim, SimDevice *device)
{
	static const gint64 again_us[] = { 200 * SIM_MS, 1000 * SIM_MS, 5000 * SIM_MS };

	device->announce_owed = !sim_device_holds_addresses(sim, device);
	if (device->announce_owed)
		return;
	device->announced_us = sim->now_us;
	for (guint i = 0; i < G_N_ELEMENTS(again_us); i++)
		device->announce_us[i] = sim_clock(sim, device) + again_us[i];
}

/* As vrrp_election_announce_again(). */
static void announce_again(Sim *sim, SimDevice *device)
{
	for (guint i = 0; i < G_N_ELEMENTS(device->announce_us); i++) {
		if (device->announce_us[i] == 0 || sim_clock(sim, device) < device->announce_us[i])
			continue;
		device->announce_us[i] = 0;
		device->announced_us = sim->now_us;
	}
}

/* As address-kernel.c, and vrrp_election_kernel_done(). */
static void do_jobs(Sim *sim, SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device);

	for (guint i = 0; i < device->jobs.n; i++) {
		if (device->jobs.kind[i] == VRRP_STEP_DROP)
			device->addresses_until_us = 0;
		else if (device->jobs.wanted && now_us <= device->jobs.until_us)
			device->addresses_until_us = now_us + SIM_ADDRESS_LIFE_US;
	}
	device->jobs.n = 0;
	if (device->jobs.dropping)
		vrrp_candidate_dropped(&device->candidate);
	device->jobs.dropping = false;
	if (device->announce_owed && device->candidate.machine.state == VRRP_STATE_MASTER && !device->candidate.leaving)
		announce(sim, device);
}

/* The same twice at the end of the queue is one (worker.h). */
static void ask(Sim *sim, SimDevice *device, VrrpStepKind kind)
{
	device->jobs.wanted = kind == VRRP_STEP_HOLD;
	if (device->jobs.n == 0 || device->jobs.kind[device->jobs.n - 1] != kind) {
		if (device->jobs.n == SIM_MAX_JOBS) { /* two that do not agree for long: the end is the same */
			device->jobs.kind[0] = VRRP_STEP_DROP;
			device->jobs.n = 1;
		}
		device->jobs.kind[device->jobs.n++] = kind;
	}
	if (device->no_kernel == 0)
		do_jobs(sim, device);
}

static void do_step(Sim *sim, SimDevice *device, const VrrpStep *step, gint64 now_us)
{
	switch (step->kind) {
	case VRRP_STEP_SEND:
		send_advert(sim, device, step->priority, now_us);
		if (step->priority != 0)
			device->jobs.until_us = now_us + vrrp_machine_peer_down_us(&device->candidate.machine);
		break;
	case VRRP_STEP_HOLD:
		device->jobs.dropping = false;
		ask(sim, device, VRRP_STEP_HOLD);
		break;
	case VRRP_STEP_RENEW:
		ask(sim, device, VRRP_STEP_HOLD);
		break;
	case VRRP_STEP_DROP:
		device->jobs.dropping = true;
		device->announce_owed = false;
		memset(device->announce_us, 0, sizeof device->announce_us);
		ask(sim, device, VRRP_STEP_DROP);
		break;
	case VRRP_STEP_ANNOUNCE:
		announce(sim, device);
		break;
	case VRRP_STEP_STATE:
		break;
	}
}

/* What it had heard goes with its process; who has resigned last is known for longer than a link is away. */
static void forget_heard(SimDevice *device)
{
	device->heard_master_us = device->heard_zero_us = device->wait_us = device->lost_us = device->full_us = device->undated_us = 0;
	device->heard_interval_cs = 0;
	device->zero_reign = 0;
	device->resigned = false;
}

static void forget(SimDevice *device)
{
	forget_heard(device);
	device->last_zero_us = 0;
}

static void state_changed(Sim *sim, SimDevice *device, VrrpState old, const char *reason, const VrrpEvent *event)
{
	if (device->candidate.machine.state == VRRP_STATE_MASTER) {
		sim->n_takeovers++;
		sim_push(sim, (SimEvent){ .at_us = sim->now_us + 50 * SIM_MS + sim_upto(sim, 1000 * SIM_MS), .kind = SIM_EVENT_SERVES,
					  .device = device->index, .generation = device->generation });
	}
	device->reason = reason;
	if (device->candidate.machine.state != VRRP_STATE_MASTER)
		device->resigned = false;
	device->claim.standing = standing(sim, device);
	save(device);
	sim_say(sim, "%c  %s -> %s (%s)", device->name, vrrp_state_name(old), vrrp_state_name(device->candidate.machine.state), reason);
	sim_check_step(sim, device, old, reason, event);
	/* It begins with its own interval, whoever spoke before. */
	if (event->kind == VRRP_EVENT_START)
		device->leaves_for_carrier = false;
	/* And who gives up itself knows that the other may lead anew, however soon. */
	if (old == VRRP_STATE_MASTER && (event->kind == VRRP_EVENT_RESIGN || event->kind == VRRP_EVENT_STOP))
		forget(device);
	else if (event->kind == VRRP_EVENT_START)
		forget_heard(device);
	if (device->candidate.machine.state == VRRP_STATE_BACKUP) {
		device->wait_us = sim_clock(sim, device);
		device->wait_interval_cs = event->kind == VRRP_EVENT_ADVERT && sim->version == 3 ? event->interval_cs : device->interval_cs;
	}
	if (device->candidate.machine.state != VRRP_STATE_MASTER)
		device->said_us = 0;
}

/* What it would know if it took over now. */
static SimClaim next_reign(const SimDevice *device)
{
	const VrrpCandidate *before = &device->candidate;

	return (SimClaim){
		.knew_reign = device->heard_reign,
		/* Ordered before it had heard anything, it may outbid whom it then hears. */
		.comparable = before->paired && !device->step_lost && !(before->ordered && before->heard_us == 0) &&
			      vrrp_judge_next_step(before->heard_step, before->step) < VRRP_MAX_STEP,
	};
}

/* A timer that is put off fires when it was due before, and is set again then: so there is one event and not one an advert. */
static void set_timer(Sim *sim, SimDevice *device)
{
	gint64 at_us;

	if (device->sleep.wake_us == 0)
		return;
	at_us = sim_when(sim, device, device->sleep.wake_us);
	if (device->timer_at_us != 0 && device->timer_at_us <= at_us)
		return;
	device->timer_generation++;
	device->timer_at_us = at_us;
	sim_push(sim, (SimEvent){ .at_us = at_us + sim_upto(sim, sim->busy_us), .kind = SIM_EVENT_TIMER, .device = device->index,
				  .generation = device->timer_generation });
}

/* As vrrp_election_plan(). */
static void plan(Sim *sim, SimDevice *device, gint64 now_us)
{
	vrrp_sleep_plan(&device->sleep, &device->candidate.machine, false, device->tick_at_us, now_us);
	set_timer(sim, device);
}

static void step(Sim *sim, SimDevice *device, const VrrpEvent *event);
static void go_on_leaving(Sim *sim, SimDevice *device);

/* True when it is no more. */
static bool dies(Sim *sim, SimDevice *device, const VrrpStep *steps, gsize n, gint64 now_us)
{
	bool changes = false;

	for (gsize i = 0; i < n; i++)
		changes |= steps[i].kind == VRRP_STEP_STATE;
	if (!changes || device->dies_after == 0)
		return false;
	for (gsize i = 0; i < n && i + 1 < device->dies_after; i++)
		do_step(sim, device, &steps[i], now_us);
	sim_say(sim, "%c  dies in the midst of becoming %s", device->name, vrrp_state_name(device->candidate.machine.state));
	device->condition = SIM_KILLED;
	device->died = device->step_lost = true;
	device->dies_after = 0;
	return true;
}

static void step_at(Sim *sim, SimDevice *device, const VrrpEvent *event, gint64 now_us)
{
	VrrpStep steps[VRRP_MAX_STEPS];
	VrrpState old = device->candidate.machine.state;
	SimClaim next = next_reign(device);
	gsize n;

	if (device->died)
		return;
	device->claim.standing = standing(sim, device);
	n = vrrp_candidate_step(&device->candidate, event, now_us, steps);
	sim->n_steps++;
	if (device->candidate.machine.state != VRRP_STATE_MASTER)
		device->told_us = 0;
	else if ((event->kind == VRRP_EVENT_RESIGN || event->kind == VRRP_EVENT_STOP) && device->told_us == 0)
		device->told_us = now_us;
	if (old != VRRP_STATE_MASTER && device->candidate.machine.state == VRRP_STATE_MASTER && event->kind != VRRP_EVENT_RESUME)
		device->claim = (SimClaim){ .standing = device->claim.standing, .reign = ++sim->reigns, .knew_reign = next.knew_reign,
					    .comparable = next.comparable };
	device->step_lost &= device->candidate.machine.state != VRRP_STATE_MASTER;
	if (dies(sim, device, steps, n, now_us))
		return;
	for (gsize i = 0; i < n; i++)
		do_step(sim, device, &steps[i], now_us);
	for (gsize i = 0; i < n; i++)
		if (steps[i].kind == VRRP_STEP_STATE)
			state_changed(sim, device, old, steps[i].reason, event);
	save_changes(device);
	plan(sim, device, now_us);
	sim_check_always(sim);
	if (event->kind == VRRP_EVENT_RESIGN || event->kind == VRRP_EVENT_STOP)
		go_on_leaving(sim, device);
}

static void go_on_leaving(Sim *sim, SimDevice *device)
{
	VrrpEvent event;

	if (vrrp_candidate_left(&device->candidate, sim_clock(sim, device), &event))
		step(sim, device, &event);
}

static void step(Sim *sim, SimDevice *device, const VrrpEvent *event)
{
	step_at(sim, device, event, sim_clock(sim, device));
}

static void push_tick(Sim *sim, SimDevice *device, gint64 after_us)
{
	sim_push(sim, (SimEvent){ .at_us = sim->now_us + after_us, .kind = SIM_EVENT_TICK, .device = device->index, .generation = device->generation,
				  .what = ++device->n_ticks });
}

/* As in election.c: asked when a Backup would lead, and each time for what came since. */
static bool ran_over(const Sim *sim, SimDevice *device)
{
	bool any = false;

	if (!vrrp_machine_would_lead(&device->candidate.machine, sim_clock(sim, device)))
		return false;
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		if (vrrp_room_is_crowded(&device->room[path], device->sleep.said_us))
			vrrp_room_count(&device->room[path], device->dropped[path], sim_clock(sim, device));
		any |= vrrp_room_ran_over(&device->room[path], device->sleep.said_us);
	}
	return any;
}

/* Housekeeping that is due as well is done then and not once more. */
void sim_device_timer(Sim *sim, SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device);

	device->timer_at_us = 0;
	if (device->sleep.wake_us == 0 || now_us < device->sleep.wake_us) {
		set_timer(sim, device);
		return;
	}
	sim_device_drain(sim, device);
	if (device->tick_at_us != 0 && now_us >= device->tick_at_us) {
		push_tick(sim, device, 0);
		device->tick_at_us = 0;
	}
	step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = ran_over(sim, device) });
}

/* Whatever else wakes it, it reads first what it has let lie: as serve_quiet() in hot.c. */
static void wake_up(Sim *sim, SimDevice *device)
{
	if (device->sleep.quiet)
		sim_device_drain(sim, device);
}

static void update_gate(Sim *sim, SimDevice *device)
{
	VrrpEvent event;

	if (!vrrp_candidate_gate(&device->candidate, sim_clock(sim, device), &event))
		return;
	sim_say(sim, "%c  may %stake over", device->name, event.open ? "" : "not ");
	device->opened_us = event.open ? sim_clock(sim, device) : device->opened_us;
	event.ran_over = ran_over(sim, device);
	step(sim, device, &event);
}

/* ---- Receiving ---- */

/* As the filters in socket.c: what the election's sees, */
static bool counts_for_filter(const Sim *sim, const SimDevice *device, const SimPacket *packet)
{
	return packet->bytes[sim_header(sim, packet->path) + 1] == VRID &&
	       (!device->candidate.paired || packet->from < sim->n_devices || packet->forged);
}

/* and of it the bell. */
static bool rings(const Sim *sim, const SimDevice *device, const SimPacket *packet)
{
	guint header = sim_header(sim, packet->path);
	gsize length = packet->length - header;

	if (!counts_for_filter(sim, device, packet))
		return false;
	return length != device->usual[packet->path].length || memcmp(packet->bytes + header, device->usual[packet->path].bytes, length) != 0;
}

/* As vrrp_socket_usual(). */
static void learn(const Sim *sim, SimDevice *device, const SimPacket *packet)
{
	guint header = sim_header(sim, packet->path);

	device->usual[packet->path].length = packet->length - header;
	memcpy(device->usual[packet->path].bytes, packet->bytes + header, packet->length - header);
}

void sim_device_arrival(Sim *sim, SimDevice *device, SimPacket *packet)
{
	if (device->condition == SIM_SUSPENDED || device->condition == SIM_OFF || device->condition == SIM_KILLED ||
	    !sim_reaches(sim, packet->path, packet->from, device->index)) {
		g_free(packet);
		return;
	}
	if (device->deaf && packet->path != SIM_PEER) {
		if (device->candidate.paired && packet->from < sim->n_devices && !packet->damaged && packet->bytes[sim_header(sim, packet->path) + 2] != 0) {
			device->deaf_lost_us = sim_clock(sim, device);
			device->lost_interval_cs = packet->interval_cs;
		}
		g_free(packet);
		return;
	}
	if (device->received[packet->path].length >= SIM_SOCKET_PACKETS) {
		/* Lost here and not on the way: the Master works all the same, unless it said priority 0. */
		if (device->candidate.paired && packet->from < sim->n_devices && !packet->damaged) {
			device->lost_us = packet->bytes[sim_header(sim, packet->path) + 2] != 0 ? sim_clock(sim, device) : 0;
			device->lost_interval_cs = packet->interval_cs;
		}
		if (counts_for_filter(sim, device, packet)) {
			device->dropped[packet->path]++;
		}
		g_free(packet);
		return;
	}
	packet->received_us = sim_clock(sim, device);
	packet->stamp_us = packet->received_us + device->wall_us;
	packet->dropped = device->dropped[packet->path];
	if (packet->path == SIM_LAN)
		device->ear = true;
	g_queue_push_tail(&device->received[packet->path], packet);
	device->rung |= rings(sim, device, packet);
	if (device->condition == SIM_RUNS && (!device->sleep.quiet || device->rung))
		sim_push(sim, (SimEvent){ .at_us = sim->now_us + sim_upto(sim, sim->busy_us), .kind = SIM_EVENT_READABLE,
					  .device = device->index, .generation = device->generation });
}

/* When a Backup that hears must wake at the latest: who goes on from there is not late, however long adverts have lain in its queues. */
static gint64 wakes_us(const Sim *sim, const SimDevice *device)
{
	gint64 down_us = device->wait_us + sim_down_us(sim, device, device->wait_interval_cs);

	if ((gint64)device->wait_interval_cs * 10000 > 100 * SIM_MS)
		return 0;
	return device->tick_at_us ? MIN(down_us, device->tick_at_us) : down_us;
}

/* For a Master last known of @from_us ago; one that finds itself late waits as one that begins. */
static void begin_to_wait(SimDevice *device, gint64 from_us, gint64 now_us, guint interval_cs)
{
	gint64 interval_us = (gint64)interval_cs * 10000;
	bool late = device->reads_late && now_us - from_us > interval_us;

	device->wait_us = late ? now_us : from_us;
	device->wait_interval_cs = late ? MAX(interval_cs, device->interval_cs) : interval_cs;
}

/* As the shipped code makes it of the kernel's stamp. Never earlier than it came; and later only of what lay there when a step was noticed, or for very long. */
static gint64 received_us(Sim *sim, SimDevice *device, const SimPacket *packet)
{
	gint64 now_us = sim_clock(sim, device), *last_us = &device->stamped_us[packet->path], *distrust_us = &device->distrust_us[packet->path];
	gint64 at_us = vrrp_stamp_received(&device->stamp[packet->path], packet->stamp_us, now_us + device->wall_us, now_us);

	if (device->stepped_us != 0 && device->stepped_us >= *last_us)
		*distrust_us = now_us;
	*last_us = now_us;
	if (at_us < packet->received_us || at_us > now_us ||
	    (at_us > packet->received_us && packet->received_us > *distrust_us && now_us - packet->received_us < VRRP_STAMP_OLDEST_US))
		sim_break(sim, "misdated", "%c takes an advert for received %" G_GINT64_FORMAT " us later than it was", device->name,
			  at_us - packet->received_us);
	return at_us;
}

static void receive(Sim *sim, SimDevice *device, const SimPacket *packet, gint64 at_us)
{
	static const char *const names[] = { "LAN", "follower's path", "peer path" };
	IpAddress peer = sim_address(sim, 1 - device->index, packet->path);
	VrrpExpect expect = {
		.version = device->candidate.machine.version, .vrid = VRID, .interval_cs = device->candidate.machine.interval_cs,
		.own_address = sim_address(sim, device->index, packet->path),
		.only_peers = device->candidate.paired || packet->path == SIM_PEER, .peers = &peer, .n_peers = device->candidate.paired ? 1 : 0,
	};
	VrrpEvent event = { .kind = VRRP_EVENT_ADVERT, .received_us = at_us, .undated = !device->stamp[packet->path].dated };
	VrrpState old = device->candidate.machine.state;
	SimClaim mine = device->claim;
	bool overtaken, outdated = false, slept, ghost, leaving = device->candidate.leaving; /* it yields to anybody then */
	gint64 due_us;
	VrrpAdvert advert;

	if (vrrp_packet_parse(packet->bytes, packet->length, &expect, &advert) != VRRP_DROP_NONE)
		return;
	if (packet->damaged)
		sim_break(sim, "damaged-counts", "%c counts a damaged advert", device->name);
	if (packet->from >= sim->n_devices) {
		if (device->candidate.paired)
			sim_break(sim, "stranger-counts", "%c, paired, counts a stranger's advert", device->name);
		return; /* not yet paired: plain RFC behaviour, but strangers are for the paired here */
	}
	if (advert.priority != 0)
		learn(sim, device, packet);
	if (packet->path == SIM_FOLLOWER && !device->candidate.paired)
		return; /* as is_input() */
	/* An advert overtaken by its sender's own priority 0 says nothing. */
	overtaken = device->last_zero_us != 0 && packet->from == device->zero_from &&
		    packet->received_us - device->last_zero_us < (gint64)device->interval_cs * 10000 / 2;
	/* And a resignation says nothing that a slower path has brought after what its sender said when it led again. */
	if (advert.priority == 0 && (event.undated || at_us < device->undated_us - (gint64)device->interval_cs * 10000 / 2)) {
		; /* says nothing: its sender may have led again since */
	} else if (advert.priority == 0 && packet->received_us < device->heard_master_us - (gint64)device->interval_cs * 10000 / 2) {
		outdated = true;
	} else if (advert.priority == 0) {
		device->zero_from = packet->from;
		device->heard_zero_us = packet->received_us;
		device->last_zero_us = MAX(packet->received_us, device->last_zero_us);
		device->heard_master_us = MIN(device->heard_master_us, device->heard_zero_us); /* that it has overtaken, too */
		device->late_us = MAX(at_us - packet->received_us, 0);
		device->resigned = old == VRRP_STATE_BACKUP;
		device->zero_reign = packet->claim.reign;
		device->zero_interval_cs = device->candidate.machine.master_interval_cs;
	} else if (!overtaken && packet->received_us >= device->heard_master_us) { /* else another path has brought more since */
		device->heard_master_us = packet->received_us;
		device->late_us = MAX(at_us - packet->received_us, 0);
		device->heard_interval_cs = sim->version == 3 ? advert.interval_cs : device->interval_cs;
		device->resigned = false;
		if (old == VRRP_STATE_BACKUP)
			begin_to_wait(device, at_us, sim_clock(sim, device),
				      event.undated ? MAX(device->heard_interval_cs, device->interval_cs) : device->heard_interval_cs);
		if (device->candidate.paired) /* before that it does not know who speaks, and takes no step from it */
			device->heard_reign = packet->claim.reign;
	}
	/* Which may be newer than a priority 0 that another path has brought. */
	if (advert.priority != 0 && event.undated) {
		device->undated_us = at_us;
		device->resigned = false;
	}
	if (advert.priority != 0)
		device->led_us = MAX(packet->received_us, device->led_us);
	if (packet->path == SIM_LAN) {
		vrrp_link_watch_advert(&device->candidate.watch);
		device->lan_advert_us = sim_clock(sim, device);
	}
	vrrp_candidate_hear(&device->candidate, advert.priority, at_us);
	event.priority = advert.priority;
	event.interval_cs = advert.interval_cs;
	event.source = sim_address(sim, packet->from, SIM_LAN);
	sim_say(sim, "%c  hears %c on the %s: priority %u%s", device->name, sim->device[packet->from].name,
		names[packet->path], advert.priority,
		sim_clock(sim, device) - packet->received_us > 10 * SIM_MS ? ", queued" : "");
	mine.standing = standing(sim, device);
	mine.ordered = device->candidate.ordered;
	ghost = advert.priority != 0 && !event.undated && packet->claim.reign == device->zero_reign && device->zero_reign != 0 &&
		packet->received_us - device->heard_zero_us < (gint64)device->interval_cs * 10000 / 2;
	due_us = device->candidate.machine.deadline_us;
	slept = sim_has_slept(sim, device);
	if (!vrrp_sleep_counts(&device->sleep, &device->candidate.machine, advert.priority, at_us))
		return;
	if (outdated)
		sim_break(sim, "ghost-counts", "%c counts a resignation older than what its sender has said since", device->name);
	step_at(sim, device, &event,
		vrrp_sleep_heard_at(&device->sleep, &device->candidate.machine, at_us, sim_clock(sim, device)));
	if (device->died)
		return;
	if (ghost && device->candidate.machine.deadline_us != due_us)
		sim_break(sim, "ghost-counts", "%c counts an advert of one whose priority 0 it has heard", device->name);
	if (old == VRRP_STATE_MASTER && advert.priority != 0 && !overtaken && !leaving)
		sim_check_advert(sim, device, packet, &advert, &mine, slept);
}

/* One path after the other, as drain() in election.c. */
void sim_device_drain(Sim *sim, SimDevice *device)
{
	device->rung = false;
	device->reads_late = sim_clock(sim, device) - wakes_us(sim, device) > (gint64)device->wait_interval_cs * 10000;
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		SimPacket *packet;
		guint n = 0;

		if (device->dropped[path] != device->known_dropped[path])
			device->full_us = sim_clock(sim, device);
		device->known_dropped[path] = device->dropped[path];
		for (; (packet = g_queue_pop_head(&device->received[path])); n++) {
			gint64 at_us = received_us(sim, device, packet);

			if (vrrp_room_read(&device->room[path], packet->dropped, at_us, sim_clock(sim, device)))
				vrrp_room_count(&device->room[path], device->dropped[path], sim_clock(sim, device));
			receive(sim, device, packet, at_us);
			g_free(packet);
		}
		vrrp_sleep_note(&device->sleep, n, sim_clock(sim, device));
	}
}

/* What came while it was awake may find it asleep. */
void sim_device_readable(Sim *sim, SimDevice *device)
{
	if (!device->sleep.quiet || device->rung)
		sim_device_drain(sim, device);
}

void sim_device_forget(SimDevice *device)
{
	device->rung = false;
	memset(device->room, 0, sizeof device->room);
	memset(device->dropped, 0, sizeof device->dropped);
	memset(device->known_dropped, 0, sizeof device->known_dropped);
	for (guint path = 0; path < SIM_N_PATHS; path++)
		g_queue_clear_full(&device->received[path], g_free);
}

/* Other sockets, and nothing in them. */
static void open_sockets(Sim *sim, SimDevice *device)
{
	sim_device_forget(device);
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		vrrp_stamp_begin(&device->stamp[path], sim_clock(sim, device) + device->wall_us, sim_clock(sim, device));
		device->stamped_us[path] = sim_clock(sim, device);
		device->distrust_us[path] = 0;
	}
}

/* ---- Housekeeping: election-life.c ---- */

void sim_device_check_link(Sim *sim, SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device);
	VrrpEvent event;

	const char *unusable = NULL;

	wake_up(sim, device);
	if (device->no_carrier == 0 && !device->candidate.watch.carrier)
		device->up_us = now_us;
	if (device->no_carrier > 0 && device->candidate.watch.carrier) {
		device->losses = device->losses == 0 || now_us - device->loss_us >= VRRP_FLAP_FORGIVEN_US ? 1 : device->losses + 1;
		device->loss_us = now_us;
	}
	(void)vrrp_link_watch_state(&device->candidate.watch, device->no_interface == 0, device->no_carrier == 0, now_us);
	/* As vrrp_election_unusable(). */
	if (!device->candidate.watch.present)
		unusable = "no-interface";
	else if (!device->candidate.watch.carrier)
		unusable = "no-carrier";
	else if (device->candidate.machine.state == VRRP_STATE_INIT && vrrp_candidate_distrusts_link(&device->candidate, now_us))
		unusable = "link-flapping";
	device->leaves_for_carrier |= device->no_carrier > 0;
	if (vrrp_candidate_link(&device->candidate, unusable, "carrier", &event))
		step(sim, device, &event);
	update_gate(sim, device);
}

/* Hosts on the LAN speak now and then; the other device answers when asked. */
static bool hears_frames(Sim *sim, SimDevice *device)
{
	bool heard = device->ear || (device->no_hosts == 0 && device->no_carrier == 0 && sim->now_us >= device->learning_until_us && sim_below(sim, 1000) >= sim->loss);

	device->ear = false;
	for (guint i = 0; i < sim->n_devices && !heard; i++)
		heard = i != device->index && (sim->device[i].condition == SIM_RUNS || sim->device[i].condition == SIM_FROZEN ||
					       sim->device[i].condition == SIM_KILLED) &&
			sim_reaches(sim, SIM_LAN, device->index, i) && sim_reaches(sim, SIM_LAN, i, device->index);
	return heard;
}

static void plan_tick(Sim *sim, SimDevice *device, gint64 after_us)
{
	device->tick_at_us = sim_clock(sim, device) + after_us;
	push_tick(sim, device, sim_when(sim, device, device->tick_at_us) - sim->now_us + sim_upto(sim, sim->busy_us));
	plan(sim, device, sim_clock(sim, device));
}

static void begin_next(Sim *sim, SimDevice *device);

/* New sockets join their groups: at once, unless somebody else holds the kernel's lock. */
static void join(Sim *sim, SimDevice *device)
{
	device->deaf = device->no_kernel > 0;
	if (!device->candidate.deaf) {
		device->deaf_us = sim_clock(sim, device);
		device->deaf_lost_us = 0;
	}
	vrrp_candidate_hears(&device->candidate, !device->deaf, sim_clock(sim, device));
}

/* As look_who_hears(). What came in less than an interval is no more than a network loses. */
static void hear_again(Sim *sim, SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device);

	if (!device->deaf)
		return;
	device->deaf = false;
	if (now_us - device->deaf_us > (gint64)device->interval_cs * 10000) {
		device->lost_us = MAX(device->lost_us, device->deaf_lost_us);
		device->full_us = now_us;
	}
	vrrp_candidate_hears(&device->candidate, true, now_us);
	update_gate(sim, device);
}

void sim_device_kernel(Sim *sim, SimDevice *device)
{
	if (device->starts)
		sim_device_start(sim, device);
	if (device->condition != SIM_RUNS)
		return;
	wake_up(sim, device);
	hear_again(sim, device);
	do_jobs(sim, device);
	go_on_leaving(sim, device);
	begin_next(sim, device);
	sim_check_always(sim);
}

void sim_device_tick(Sim *sim, SimDevice *device)
{
	bool heard = hears_frames(sim, device);

	wake_up(sim, device);
	go_on_leaving(sim, device);
	begin_next(sim, device);
	if (heard && device->no_carrier == 0) {
		if (device->frame_us < device->up_us || sim_clock(sim, device) - device->frame_us >= window_us(device))
			device->frames_since_us = sim_clock(sim, device);
		device->frame_us = sim_clock(sim, device);
	}
	(void)vrrp_candidate_tick(&device->candidate, heard, sim_clock(sim, device));
	device->claim.standing = standing(sim, device);
	if (device->candidate.machine.state == VRRP_STATE_MASTER)
		announce_again(sim, device);
	save_changes(device);
	update_gate(sim, device);
	if (device->candidate.machine.state == VRRP_STATE_INIT && device->candidate.watch.carrier)
		sim_device_check_link(sim, device);
	plan_tick(sim, device, vrrp_sleep_tick_us(vrrp_sleep_hears(&device->candidate.machine, sim_clock(sim, device)), device->candidate.watch.window_us));
}

/* The Master it was: of its link it knows no more than whether that was steady. */
static void resume(Sim *sim, SimDevice *device, bool serving, bool served, bool steady)
{
	gint64 now_us = sim_clock(sim, device);

	vrrp_candidate_resume(&device->candidate, serving, served, steady, now_us);
	device->up_us = now_us;
	device->frame_us = steady ? now_us : 0;
	device->frames_since_us = now_us - window_us(device);
	step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_RESUME });
}

static void schedule(Sim *sim, SimDevice *device, SimEventKind kind, gint64 after_us)
{
	sim_push(sim, (SimEvent){ .at_us = sim->now_us + after_us, .kind = kind, .device = device->index, .generation = device->generation });
}

void sim_device_start(Sim *sim, SimDevice *device)
{
	VrrpCandidate *candidate = &device->candidate;
	gint64 now_us = sim_clock(sim, device);

	device->starts = device->no_kernel > 0;
	if (device->starts)
		return;
	device->generation++;
	device->condition = SIM_RUNS;
	open_sockets(sim, device);
	device->ear = false;
	memset(candidate, 0, sizeof *candidate);
	device->sleep = (VrrpSleep){ 0 };
	memset(device->usual, 0, sizeof device->usual);
	device->thawed_us = device->paired_us = 0;
	device->deaf = device->announce_owed = false;
	device->dies_after = 0;
	memset(device->announce_us, 0, sizeof device->announce_us);
	candidate->offset = device->offset;
	if (device->saved) {
		candidate->holds = device->store.holds;
		candidate->step = device->store.step;
		candidate->heard_step = device->store.heard_step;
		candidate->paired = device->store.paired;
	} else {
		vrrp_holds_set(&candidate->holds, VRRP_HOLD_NO_SUPERVISOR, "started anew", 0, now_us);
	}
	candidate->holds.supervised_until_us = now_us + VRRP_LEASE_US;
	device->interval_cs = device->wanted_interval_cs;
	device->woke_us = now_us;
	vrrp_candidate_begin(candidate, sim->version, device->interval_cs, sim_address(sim, device->index, SIM_LAN), device->configured_priority);
	plan_tick(sim, device, 0);
	schedule(sim, device, SIM_EVENT_SUPERVISOR, sim_upto(sim, 300 * SIM_MS));
	if (device->saved && device->no_carrier == 0 &&
	    vrrp_candidate_may_resume(candidate, device->store.role, device->store.last_advert_us, now_us)) {
		sim_say(sim, "%c  starts, still Master", device->name);
		resume(sim, device, device->store.serving, device->store.served, device->store.steady);
		schedule(sim, device, SIM_EVENT_SERVES, 100 * SIM_MS);
		return;
	}
	device->addresses_until_us = 0;
	vrrp_candidate_judge(candidate, now_us);
	sim_say(sim, "%c  starts", device->name);
	sim_device_check_link(sim, device);
	save(device);
}

void sim_device_end(Sim *sim, SimDevice *device, bool lose_state)
{
	device->generation++;
	device->timer_generation++;
	device->timer_at_us = 0;
	sim_device_forget(device);
	device->condition = lose_state ? SIM_OFF : SIM_KILLED;
	device->jobs.n = 0;
	device->jobs.dropping = device->changing = false;
	device->told_us = 0;
	/* What the next process must know is where it looks for it. */
	if (!lose_state && !device->died && (device->store.role != device->candidate.machine.state || device->store.step != device->candidate.step ||
			    device->store.heard_step != device->candidate.heard_step || device->store.serving != device->candidate.serving ||
			    device->store.steady != device->candidate.steady))
		sim_break(sim, "unsaved", "%c is killed, and what it knew is not saved", device->name);
	forget(device);
	device->died = false;
	device->losses = 0;
	device->led_us = 0;
	if (lose_state) {
		device->saved = false;
		memset(&device->store, 0, sizeof device->store);
		device->addresses_until_us = 0;
		device->heard_reign = 0;
	}
}

void sim_device_bury(Sim *sim, SimDevice *device)
{
	if (device->died)
		sim_device_end(sim, device, false);
}

/* Its sockets and its virtual interface go with it; those made anew have yet to join. */
void sim_device_interface(Sim *sim, SimDevice *device, bool there)
{
	if (device->condition != SIM_RUNS)
		return;
	if (there) {
		join(sim, device);
	} else {
		for (guint path = 0; path < SIM_N_PATHS; path++)
			if (path == SIM_LAN || (path == SIM_FOLLOWER && sim->follower_on_lan))
				g_queue_clear_full(&device->received[path], g_free);
		device->addresses_until_us = 0;
	}
	sim_device_check_link(sim, device);
}

void sim_device_set_clock(Sim *sim, SimDevice *device, gint64 by_us)
{
	device->wall_us += by_us;
	device->stepped_us = sim_clock(sim, device);
}

static bool is_empty(const SimDevice *device)
{
	for (guint path = 0; path < SIM_N_PATHS; path++)
		if (device->received[path].length > 0)
			return false;
	return true;
}

/* Thawed: what is due is done in one order or the other. */
void sim_device_wake(Sim *sim, SimDevice *device)
{
	bool due = device->candidate.machine.deadline_us != 0 && sim_clock(sim, device) >= device->candidate.machine.deadline_us;

	device->condition = SIM_RUNS;
	device->thawed_us = sim_clock(sim, device);
	device->reads_late = true;
	if (device->told_us != 0)
		device->told_us = sim_clock(sim, device);
	/* Nothing was said while it slept, as far as it knows: it waits as one that begins. */
	if (device->candidate.machine.state == VRRP_STATE_BACKUP && due && !device->candidate.machine.listened &&
	    is_empty(device) &&
	    sim_clock(sim, device) - device->candidate.machine.deadline_us > (gint64)device->wait_interval_cs * 10000)
		begin_to_wait(device, device->candidate.machine.deadline_us, sim_clock(sim, device), device->wait_interval_cs);
	/* A nap in the midst of listening may pass unnoticed. */
	if (sim_clock(sim, device) - device->asleep_us > 2 * (gint64)device->interval_cs * 10000)
		device->woke_us = sim_clock(sim, device);
	device->generation++;
	device->timer_generation++;
	device->timer_at_us = 0;
	if (device->no_kernel == 0) {
		hear_again(sim, device);
		do_jobs(sim, device);
	}
	sim_check_always(sim);
	if (sim_below(sim, 2) && due)
		sim_device_timer(sim, device);
	sim_device_drain(sim, device);
	if (sim_below(sim, 2))
		sim_device_check_link(sim, device);
	step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = ran_over(sim, device) });
	sim_device_check_link(sim, device);
	plan_tick(sim, device, 0);
	schedule(sim, device, SIM_EVENT_SUPERVISOR, sim_upto(sim, 10 * SIM_MS));
	schedule(sim, device, SIM_EVENT_SERVES, 10 * SIM_MS);
	sim_device_settings(sim, device, device->wanted_interval_cs);
}

/* ---- Orders ---- */

void sim_device_set_passive(Sim *sim, SimDevice *device, bool passive)
{
	wake_up(sim, device);
	if (passive)
		vrrp_holds_set(&device->candidate.holds, VRRP_HOLD_PASSIVE, "mode", 0, sim_clock(sim, device));
	else
		vrrp_holds_lift(&device->candidate.holds, VRRP_HOLD_PASSIVE);
	update_gate(sim, device);
	save(device);
}

void sim_device_set_serving(Sim *sim, SimDevice *device, bool serving)
{
	wake_up(sim, device);
	if (!vrrp_candidate_serve(&device->candidate, serving, sim_clock(sim, device)))
		return;
	device->claim.standing = standing(sim, device);
	save(device);
	sim_say(sim, "%c  %s", device->name, serving ? "serves" : "does not serve");
}

/* The link between the supervisors takes whatever path there is. */
static bool is_connected(const Sim *sim)
{
	for (guint path = 0; path < SIM_N_PATHS; path++)
		if (sim_reaches(sim, path, 0, 1) && sim_reaches(sim, path, 1, 0))
			return true;
	return false;
}

/* The supervisor's word, every second: who the peer is, our mode, and that it lives. */
void sim_device_supervisor(Sim *sim, SimDevice *device)
{
	IpAddress peer = sim_address(sim, 1 - device->index, SIM_LAN);
	bool follows = false;

	wake_up(sim, device);
	if (sim->paired) {
		const SimDevice *other = &sim->device[1 - device->index];

		device->word.backup = device->candidate.machine.state == VRRP_STATE_BACKUP;
		device->word.reign = device->heard_reign;
		device->word.at_us = is_connected(sim) ? sim->now_us : device->word.at_us;
		/* Of our time as Master, and not older than the supervisors believe each other. */
		follows = other->word.backup && other->word.at_us != 0 && sim->now_us - other->word.at_us < 3000 * SIM_MS &&
			  other->word.reign == device->claim.reign && device->candidate.machine.state == VRRP_STATE_MASTER;
	}
	if (sim->paired && !device->candidate.paired)
		device->paired_us = sim_clock(sim, device);
	vrrp_candidate_pair(&device->candidate, sim->paired, device->offset, follows,
			    sim->paired && ip_equal(&device->candidate.machine.master_address, &peer), sim_clock(sim, device));
	if (device->passive != device->candidate.holds.hold[VRRP_HOLD_PASSIVE].set)
		sim_device_set_passive(sim, device, device->passive);
	vrrp_holds_supervise(&device->candidate.holds, sim_clock(sim, device) + VRRP_LEASE_US);
	update_gate(sim, device);
	save(device);
}

void sim_device_resign(Sim *sim, SimDevice *device)
{
	wake_up(sim, device);
	step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
}

void sim_device_take(Sim *sim, SimDevice *device)
{
	wake_up(sim, device);
	if (device->candidate.machine.state == VRRP_STATE_INIT)
		return;
	/* An order comes from a supervisor, whose first word is who the peer is. */
	if (sim->paired && !device->candidate.paired) {
		if (device->no_supervisor)
			return;
		sim_device_supervisor(sim, device);
	}
	vrrp_candidate_order(&device->candidate, sim_clock(sim, device));
	step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_TAKE, .reason = "order" });
}

void sim_device_hold(Sim *sim, SimDevice *device, gint64 lease_us)
{
	gint64 now_us = sim_clock(sim, device);

	wake_up(sim, device);
	if (lease_us)
		vrrp_holds_set(&device->candidate.holds, VRRP_HOLD_ADMINISTRATOR, "by hand", now_us + lease_us, now_us);
	else
		vrrp_holds_lift(&device->candidate.holds, VRRP_HOLD_ADMINISTRATOR);
	update_gate(sim, device);
	save(device);
}

void sim_device_set_hold(Sim *sim, SimDevice *device, VrrpHold hold, bool held, gint64 lease_us)
{
	gint64 now_us = sim_clock(sim, device);

	wake_up(sim, device);
	if (held)
		vrrp_holds_set(&device->candidate.holds, hold, "told", lease_us ? now_us + lease_us : 0, now_us);
	else
		vrrp_holds_lift(&device->candidate.holds, hold);
	update_gate(sim, device);
	save(device);
}

static void begin_election(Sim *sim, SimDevice *device, guint interval_cs)
{
	device->interval_cs = interval_cs;
	sim_say(sim, "%c  an advert every %u ms", device->name, interval_cs * 10);
	forget(device);
	open_sockets(sim, device);
	device->losses = 0;
	device->led_us = 0;
	vrrp_candidate_begin(&device->candidate, sim->version, interval_cs, sim_address(sim, device->index, SIM_LAN), device->configured_priority);
	join(sim, device);
}

/* As begin_next() of the election. */
static void begin_next(Sim *sim, SimDevice *device)
{
	guint interval_cs = device->wanted_interval_cs;

	if (!device->changing || device->candidate.leaving)
		return;
	device->changing = false;
	if (device->candidate.machine.state != VRRP_STATE_INIT) /* heard a higher one while it was leaving */
		step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "settings" });
	begin_election(sim, device, interval_cs);
	vrrp_candidate_judge(&device->candidate, sim_clock(sim, device));
	sim_device_check_link(sim, device);
	save(device);
}

/* As reload_as_master(): one that leads goes on leading in the new election, as after a restart. */
static bool reload_as_master(Sim *sim, SimDevice *device)
{
	VrrpCandidate before = device->candidate;

	if (sim_plain || before.machine.state != VRRP_STATE_MASTER || before.machine.listening || before.leaving || !before.watch.carrier)
		return false;
	device->jobs.dropping = false;
	ask(sim, device, VRRP_STEP_DROP);
	begin_election(sim, device, device->wanted_interval_cs);
	resume(sim, device, before.serving, before.served, before.steady);
	save(device);
	return true;
}

/* As vrrp_election_reload(): another interval is another election. */
void sim_device_settings(Sim *sim, SimDevice *device, guint interval_cs)
{
	device->wanted_interval_cs = interval_cs;
	if (device->changing || device->interval_cs == interval_cs || device->condition != SIM_RUNS)
		return;
	wake_up(sim, device);
	if (reload_as_master(sim, device))
		return;
	device->changing = true;
	if (device->candidate.machine.state != VRRP_STATE_INIT)
		step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "settings" });
	begin_next(sim, device);
}
