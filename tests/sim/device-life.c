/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/device-life.c - a device's days: link, housekeeping, beginnings and ends, sleep, and what it is ordered. */
#include <string.h>

#include "device.h"

/* ---- Housekeeping: election-life.c ---- */

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

/* Those of an interface that is no more, with what is in them, and others if there is another. */
static void renew_sockets(Sim *sim, SimDevice *device)
{
	device->stale = false;
	for (guint path = 0; path < SIM_N_PATHS; path++)
		if (sim_is_on_lan(sim, path))
			g_queue_clear_full(&device->received[path], g_free);
	if (device->no_interface == 0)
		join(sim, device);
}

void sim_device_check_link(Sim *sim, SimDevice *device)
{
	gint64 now_us = sim_clock(sim, device);
	VrrpEvent event;

	const char *unusable = NULL;

	sim_device_wake_up(sim, device);
	if (device->stale)
		renew_sockets(sim, device);
	device->saw_carrier = device->no_carrier == 0;
	if (device->saw_carrier && !device->candidate.watch.carrier)
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
		sim_device_step(sim, device, &event);
	sim_device_update_gate(sim, device);
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
	sim_device_push_tick(sim, device, sim_when(sim, device, device->tick_at_us) - sim->now_us + sim_upto(sim, sim->busy_us));
	sim_device_plan(sim, device, sim_clock(sim, device));
}

static void begin_next(Sim *sim, SimDevice *device);

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
	sim_device_update_gate(sim, device);
}

void sim_device_kernel(Sim *sim, SimDevice *device)
{
	if (device->starts)
		sim_device_start(sim, device);
	if (device->condition != SIM_RUNS)
		return;
	sim_device_wake_up(sim, device);
	hear_again(sim, device);
	sim_device_do_jobs(sim, device);
	sim_device_go_on_leaving(sim, device);
	begin_next(sim, device);
	sim_check_always(sim);
}

void sim_device_tick(Sim *sim, SimDevice *device)
{
	bool heard = hears_frames(sim, device);

	sim_device_wake_up(sim, device);
	sim_device_go_on_leaving(sim, device);
	begin_next(sim, device);
	if (heard && device->no_carrier == 0) {
		if (device->frame_us < device->up_us || sim_clock(sim, device) - device->frame_us >= sim_device_window_us(device))
			device->frames_since_us = sim_clock(sim, device);
		device->frame_us = sim_clock(sim, device);
	}
	(void)vrrp_candidate_tick(&device->candidate, heard, sim_clock(sim, device));
	device->claim.standing = sim_device_standing(sim, device);
	if (device->candidate.machine.state == VRRP_STATE_MASTER)
		sim_device_announce_again(sim, device);
	sim_device_save_changes(device);
	sim_device_update_gate(sim, device);
	if (device->candidate.machine.state == VRRP_STATE_INIT && device->candidate.watch.carrier)
		sim_device_check_link(sim, device);
	plan_tick(sim, device, vrrp_sleep_tick_us(vrrp_sleep_hears(&device->candidate.machine, sim_clock(sim, device)), device->candidate.watch.window_us));
}

/* The Master it was: of its link it knows no more than whether that was steady. */
static void resume(Sim *sim, SimDevice *device, bool serving, bool served, bool steady)
{
	gint64 now_us = sim_clock(sim, device);

	vrrp_candidate_resume(&device->candidate, serving, served, steady, now_us);
	device->saw_carrier = true;
	device->up_us = now_us;
	device->frame_us = steady ? now_us : 0;
	device->frames_since_us = now_us - sim_device_window_us(device);
	sim_device_step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_RESUME });
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
	sim_device_open_sockets(sim, device);
	device->ear = false;
	memset(candidate, 0, sizeof *candidate);
	device->sleep = (VrrpSleep){ 0 };
	memset(device->usual, 0, sizeof device->usual);
	device->thawed_us = device->paired_us = 0;
	device->deaf = device->stale = device->announce_owed = false;
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
	device->interval_cs = device->heard_interval_cs = device->wanted_interval_cs;
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
	sim_device_save(device);
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
	sim_device_forget_heard(device);
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

/* Its virtual interface goes with it, and nothing comes to its sockets any more; those made anew have yet to join. Who sleeps meanwhile looks when it wakes. */
void sim_device_interface(Sim *sim, SimDevice *device, bool there)
{
	if (!there)
		device->addresses_until_us = 0;
	device->stale = device->condition == SIM_FROZEN || device->condition == SIM_SUSPENDED;
	if (device->condition != SIM_RUNS)
		return;
	renew_sockets(sim, device);
	sim_device_check_link(sim, device);
}

void sim_device_set_clock(Sim *sim, SimDevice *device, gint64 by_us)
{
	device->wall_us += by_us;
	device->wall_sets++;
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
		sim_device_begin_to_wait(device, device->candidate.machine.deadline_us, sim_clock(sim, device), device->wait_interval_cs);
	/* A nap in the midst of listening may pass unnoticed. */
	if (sim_clock(sim, device) - device->asleep_us > 2 * (gint64)device->interval_cs * 10000)
		device->woke_us = sim_clock(sim, device);
	device->generation++;
	device->timer_generation++;
	device->timer_at_us = 0;
	if (device->no_kernel == 0) {
		hear_again(sim, device);
		sim_device_do_jobs(sim, device);
	}
	sim_check_always(sim);
	if (sim_below(sim, 2) && due)
		sim_device_timer(sim, device);
	sim_device_drain(sim, device);
	if (sim_below(sim, 2))
		sim_device_check_link(sim, device);
	sim_device_step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = sim_device_ran_over(sim, device) });
	sim_device_check_link(sim, device);
	plan_tick(sim, device, 0);
	schedule(sim, device, SIM_EVENT_SUPERVISOR, sim_upto(sim, 10 * SIM_MS));
	schedule(sim, device, SIM_EVENT_SERVES, 10 * SIM_MS);
	sim_device_settings(sim, device, device->wanted_interval_cs);
}

/* ---- Orders ---- */

void sim_device_set_passive(Sim *sim, SimDevice *device, bool passive)
{
	sim_device_wake_up(sim, device);
	if (passive)
		vrrp_holds_set(&device->candidate.holds, VRRP_HOLD_PASSIVE, "mode", 0, sim_clock(sim, device));
	else
		vrrp_holds_lift(&device->candidate.holds, VRRP_HOLD_PASSIVE);
	sim_device_update_gate(sim, device);
	sim_device_save(device);
}

void sim_device_set_serving(Sim *sim, SimDevice *device, bool serving)
{
	sim_device_wake_up(sim, device);
	if (!vrrp_candidate_serve(&device->candidate, serving, sim_clock(sim, device)))
		return;
	device->claim.standing = sim_device_standing(sim, device);
	sim_device_save(device);
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

	sim_device_wake_up(sim, device);
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
	sim_device_update_gate(sim, device);
	sim_device_save(device);
}

void sim_device_resign(Sim *sim, SimDevice *device)
{
	sim_device_wake_up(sim, device);
	sim_device_step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
}

void sim_device_take(Sim *sim, SimDevice *device)
{
	sim_device_wake_up(sim, device);
	if (device->candidate.machine.state == VRRP_STATE_INIT)
		return;
	/* An order comes from a supervisor, whose first word is who the peer is. */
	if (sim->paired && !device->candidate.paired) {
		if (device->no_supervisor)
			return;
		sim_device_supervisor(sim, device);
	}
	vrrp_candidate_order(&device->candidate, sim_clock(sim, device));
	sim_device_step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_TAKE, .reason = "order" });
}

void sim_device_hold(Sim *sim, SimDevice *device, gint64 lease_us)
{
	gint64 now_us = sim_clock(sim, device);

	sim_device_wake_up(sim, device);
	if (lease_us)
		vrrp_holds_set(&device->candidate.holds, VRRP_HOLD_ADMINISTRATOR, "by hand", now_us + lease_us, now_us);
	else
		vrrp_holds_lift(&device->candidate.holds, VRRP_HOLD_ADMINISTRATOR);
	sim_device_update_gate(sim, device);
	sim_device_save(device);
}

void sim_device_set_hold(Sim *sim, SimDevice *device, VrrpHold hold, bool held, gint64 lease_us)
{
	gint64 now_us = sim_clock(sim, device);

	sim_device_wake_up(sim, device);
	if (held)
		vrrp_holds_set(&device->candidate.holds, hold, "told", lease_us ? now_us + lease_us : 0, now_us);
	else
		vrrp_holds_lift(&device->candidate.holds, hold);
	sim_device_update_gate(sim, device);
	sim_device_save(device);
}

static void begin_election(Sim *sim, SimDevice *device, guint interval_cs)
{
	device->interval_cs = interval_cs;
	sim_say(sim, "%c  an advert every %u ms", device->name, interval_cs * 10);
	sim_device_forget_heard(device);
	sim_device_open_sockets(sim, device);
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
		sim_device_step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "settings" });
	begin_election(sim, device, interval_cs);
	vrrp_candidate_judge(&device->candidate, sim_clock(sim, device));
	sim_device_check_link(sim, device);
	sim_device_save(device);
}

/* As reload_as_master(): one that leads goes on leading in the new election, as after a restart. */
static bool reload_as_master(Sim *sim, SimDevice *device)
{
	VrrpCandidate before = device->candidate;

	if (sim_plain || before.machine.state != VRRP_STATE_MASTER || before.machine.listening || before.leaving || !before.watch.carrier)
		return false;
	device->jobs.dropping = false;
	sim_device_ask(sim, device, VRRP_STEP_DROP);
	begin_election(sim, device, device->wanted_interval_cs);
	resume(sim, device, before.serving, before.served, before.steady);
	sim_device_save(device);
	return true;
}

/* As vrrp_election_reload(): another interval is another election. */
void sim_device_settings(Sim *sim, SimDevice *device, guint interval_cs)
{
	device->wanted_interval_cs = interval_cs;
	if (device->changing || device->interval_cs == interval_cs || device->condition != SIM_RUNS)
		return;
	sim_device_wake_up(sim, device);
	if (reload_as_master(sim, device))
		return;
	device->changing = true;
	if (device->candidate.machine.state != VRRP_STATE_INIT)
		sim_device_step(sim, device, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "settings" });
	begin_next(sim, device);
}
