/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/device.c - one device: the shipped machine, judge, holds and link watch, wired as election*.c wires them, without I/O: what is decided, and what
 * is done for it. */
#include <string.h>

#include "device.h"

/* ---- Run-time state ---- */

/* As vrrp_election_save(). */
void sim_device_save(SimDevice *device)
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

void sim_device_save_changes(SimDevice *device)
{
	if (device->candidate.unsaved)
		sim_device_save(device);
}

/* As long as on the LAN nobody has been heard at all for it to count as silent. */
gint64 sim_device_window_us(const SimDevice *device)
{
	return MAX(3 * (gint64)device->interval_cs * 10000, 300 * SIM_MS);
}

/* By the facts, not by what the code under test makes of them. */
VrrpStanding sim_device_standing(const Sim *sim, const SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device);

	if (device->candidate.ordered)
		return VRRP_STANDING_SERVING;
	if (!vrrp_candidate_leads(&device->candidate) || !device->candidate.serving)
		return VRRP_STANDING_NOT_SERVING;
	return device->frame_us >= device->up_us && now_us - device->frame_us < sim_device_window_us(device) &&
	       now_us - device->frames_since_us >= sim_device_window_us(device) ? VRRP_STANDING_SERVING : VRRP_STANDING_ALONE;
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
		if (device->stale && sim_is_on_lan(sim, path))
			continue;
		advert.version = device->candidate.machine.version;
		advert.vrid = SIM_VRID;
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
void sim_device_announce_again(Sim *sim, SimDevice *device)
{
	for (guint i = 0; i < G_N_ELEMENTS(device->announce_us); i++) {
		if (device->announce_us[i] == 0 || sim_clock(sim, device) < device->announce_us[i])
			continue;
		device->announce_us[i] = 0;
		device->announced_us = sim->now_us;
	}
}

/* As address-kernel.c, and vrrp_election_kernel_done(). */
void sim_device_do_jobs(Sim *sim, SimDevice *device)
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
void sim_device_ask(Sim *sim, SimDevice *device, VrrpStepKind kind)
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
		sim_device_do_jobs(sim, device);
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
		sim_device_ask(sim, device, VRRP_STEP_HOLD);
		break;
	case VRRP_STEP_RENEW:
		sim_device_ask(sim, device, VRRP_STEP_HOLD);
		break;
	case VRRP_STEP_DROP:
		device->jobs.dropping = true;
		device->announce_owed = false;
		memset(device->announce_us, 0, sizeof device->announce_us);
		sim_device_ask(sim, device, VRRP_STEP_DROP);
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
	device->heard_master_us = device->heard_zero_us = device->wait_us = device->lost_us = device->full_us = device->undated_us = device->taken_us = 0;
	device->heard_interval_cs = device->interval_cs;
	device->zero_reign = 0;
	device->resigned = false;
}

void sim_device_forget_heard(SimDevice *device)
{
	forget_heard(device);
	device->last_zero_us = 0;
}

static void state_changed(Sim *sim, SimDevice *device, VrrpState old, const char *reason, const VrrpEvent *event)
{
	guint before_cs = device->heard_interval_cs;

	if (device->candidate.machine.state == VRRP_STATE_MASTER) {
		sim->n_takeovers++;
		sim_push(sim, (SimEvent){ .at_us = sim->now_us + 50 * SIM_MS + sim_upto(sim, 1000 * SIM_MS), .kind = SIM_EVENT_SERVES,
					  .device = device->index, .generation = device->generation });
	}
	device->reason = reason;
	if (device->candidate.machine.state != VRRP_STATE_MASTER)
		device->resigned = false;
	device->claim.standing = sim_device_standing(sim, device);
	sim_device_save(device);
	sim_say(sim, "%c  %s -> %s (%s)", device->name, vrrp_state_name(old), vrrp_state_name(device->candidate.machine.state), reason);
	sim_check_step(sim, device, old, reason, event);
	if (event->kind == VRRP_EVENT_START)
		device->leaves_for_carrier = false;
	/* And who gives up itself knows that the other may lead anew, however soon. */
	if (old == VRRP_STATE_MASTER && (event->kind == VRRP_EVENT_RESIGN || event->kind == VRRP_EVENT_STOP))
		sim_device_forget_heard(device);
	else if (event->kind == VRRP_EVENT_START)
		forget_heard(device);
	/* It begins with its own interval, whoever spoke before its link was lost; but not when it has heard since of a longer one. */
	if (event->kind == VRRP_EVENT_STOP)
		device->heard_interval_cs = device->interval_cs;
	else if (event->kind == VRRP_EVENT_START)
		device->heard_interval_cs = MAX(before_cs, device->interval_cs);
	if (device->candidate.machine.state == VRRP_STATE_BACKUP) {
		device->wait_us = sim_clock(sim, device);
		device->wait_interval_cs = device->heard_interval_cs;
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
void sim_device_plan(Sim *sim, SimDevice *device, gint64 now_us)
{
	vrrp_sleep_plan(&device->sleep, &device->candidate.machine, false, device->tick_at_us, now_us);
	set_timer(sim, device);
}

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

void sim_device_step_at(Sim *sim, SimDevice *device, const VrrpEvent *event, gint64 now_us)
{
	VrrpStep steps[VRRP_MAX_STEPS];
	VrrpState old = device->candidate.machine.state;
	SimClaim next = next_reign(device);
	gsize n;

	if (device->died)
		return;
	device->claim.standing = sim_device_standing(sim, device);
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
	sim_device_save_changes(device);
	sim_device_plan(sim, device, now_us);
	sim_check_always(sim);
	sim_device_go_on_leaving(sim, device);
}

void sim_device_go_on_leaving(Sim *sim, SimDevice *device)
{
	VrrpEvent event;

	if (vrrp_candidate_left(&device->candidate, sim_clock(sim, device), &event))
		sim_device_step(sim, device, &event);
}

void sim_device_step(Sim *sim, SimDevice *device, const VrrpEvent *event)
{
	sim_device_step_at(sim, device, event, sim_clock(sim, device));
}

void sim_device_push_tick(Sim *sim, SimDevice *device, gint64 after_us)
{
	sim_push(sim, (SimEvent){ .at_us = sim->now_us + after_us, .kind = SIM_EVENT_TICK, .device = device->index, .generation = device->generation,
				  .what = ++device->n_ticks });
}

/* As in election.c: asked when a Backup would lead, and each time for what came since. */
bool sim_device_ran_over(const Sim *sim, SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device), since_us = vrrp_sleep_lost_since_us(&device->sleep, &device->candidate.machine, now_us);
	bool any = false;

	if (!vrrp_machine_would_lead(&device->candidate.machine, now_us))
		return false;
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		if (vrrp_room_is_crowded(&device->room[path], since_us))
			vrrp_room_count(&device->room[path], device->dropped[path], now_us);
		any |= vrrp_room_ran_over(&device->room[path], since_us);
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
		sim_device_push_tick(sim, device, 0);
		device->tick_at_us = 0;
	}
	sim_device_step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = sim_device_ran_over(sim, device) });
}

/* Whatever else wakes it, it reads first what it has let lie: as serve_quiet() in hot.c. */
void sim_device_wake_up(Sim *sim, SimDevice *device)
{
	if (device->sleep.quiet)
		sim_device_drain(sim, device);
}

void sim_device_update_gate(Sim *sim, SimDevice *device)
{
	VrrpEvent event;

	if (!vrrp_candidate_gate(&device->candidate, sim_clock(sim, device), &event))
		return;
	sim_say(sim, "%c  may %stake over", device->name, event.open ? "" : "not ");
	device->opened_us = event.open ? sim_clock(sim, device) : device->opened_us;
	event.ran_over = sim_device_ran_over(sim, device);
	sim_device_step(sim, device, &event);
}
