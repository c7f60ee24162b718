/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/pair-device.c - one device of a pair: what supervisor.c, act.c, elect.c, keep.c and applications.c do around the shipped machines. */
#include <string.h>

#include "pair.h"
#include "supervisor/applications/plan.h"

#define COLD_BOOT_US (15 * G_USEC_PER_SEC)
#define FIRST_ANSWER_US (30 * G_USEC_PER_SEC)
#define HEARD_WITHIN_US (2 * G_USEC_PER_SEC)

PairDevice *pair_other(const PairDevice *device)
{
	return &pair.device[1 - device->index];
}

bool pair_leads(Role role)
{
	return role == ROLE_TAKING_OVER || role == ROLE_MASTER || role == ROLE_HANDING_OVER;
}

gint64 pair_awake_us(const Sim *sim, const PairDevice *device)
{
	return (device->v->condition == SIM_SUSPENDED ? device->asleep_us : sim->now_us) - device->slept_us;
}

gint64 pair_clock(const Sim *sim, const PairDevice *device)
{
	return sim_clock_at(device->v, pair_awake_us(sim, device));
}

/* Or loses its power. */
void pair_device_wakes(const Sim *sim, PairDevice *device)
{
	if (device->v->condition == SIM_SUSPENDED)
		device->slept_us += sim->now_us - device->asleep_us;
}

void pair_later(Sim *sim, PairDevice *device, gint64 after_us, PairEventKind what, guint number, gpointer data)
{
	after_us = MAX(after_us, 0);
	sim_push(sim, (SimEvent){ .at_us = sim->now_us + after_us, .kind = SIM_EVENT_OWN, .device = device->index, .generation = number, .what = what,
				  .due_us = pair_awake_us(sim, device) + after_us, .data = data });
}

void pair_at(Sim *sim, PairDevice *device, gint64 clock_us, PairEventKind what, guint number)
{
	pair_later(sim, device, sim_moment(device->v, clock_us) - pair_awake_us(sim, device), what, number, NULL);
}

void pair_think_soon(Sim *sim, PairDevice *device)
{
	pair_later(sim, device, 10, PAIR_THINK, device->supervisor, NULL);
}

/* ---- Applications: applications.c ---- */

static const char *const app_names[PAIR_APPS] = { "database", "pbx" };
static const char *const pbx_needs[] = { "database", NULL };

static void app_do(Sim *sim, PairDevice *device, guint i, AppAction action);

void pair_app_event(Sim *sim, PairDevice *device, guint i, AppEvent event)
{
	AppState old = device->app[i].state;

	app_do(sim, device, i, app_step(&device->app[i], event, pair_clock(sim, device)));
	if (old != device->app[i].state)
		sim_say(sim, "%s  %s: %s -> %s", device->id, app_names[i], app_state_name(old), app_state_name(device->app[i].state));
	if (device->app[i].deadline_us)
		pair_at(sim, device, device->app[i].deadline_us, PAIR_APP_TIME, device->supervisor);
	pair_think_soon(sim, device);
}

static void app_do(Sim *sim, PairDevice *device, guint i, AppAction action)
{
	switch (action) {
	case APP_DO_NOTHING:
		break;
	case APP_DO_SPAWN:
		device->process[i].alive = true;
		device->process[i].ready = false;
		device->process[i].begun_us = sim->now_us;
		device->process[i].number++;
		device->process[i].stubborn = sim_below(sim, 40) == 0;
		pair_app_event(sim, device, i, (AppEvent){ .kind = APP_EVENT_STARTED });
		if (device->broken || pair_config_is_broken(device))
			pair_later(sim, device, 5 * SIM_MS, PAIR_APP_ENDED, device->process[i].number << 1 | i, NULL);
		else
			pair_later(sim, device, 20 * SIM_MS + sim_upto(sim, 300 * SIM_MS), PAIR_APP_READY, device->process[i].number << 1 | i, NULL);
		break;
	case APP_DO_SIGNAL:
		if (device->process[i].stubborn)
			break;
		device->dirty |= device->process[i].ready;
		pair_later(sim, device, 1 * SIM_MS + sim_upto(sim, 200 * SIM_MS), PAIR_APP_ENDED, device->process[i].number << 1 | i, NULL);
		break;
	case APP_DO_KILL:
		pair_later(sim, device, 1 * SIM_MS, PAIR_APP_ENDED, device->process[i].number << 1 | i, NULL);
		break;
	}
}

static void make_plan(const PairDevice *device, PlanEntry plan[PAIR_APPS])
{
	for (guint i = 0; i < PAIR_APPS; i++)
		plan[i] = (PlanEntry){ app_names[i], i == 1 ? pbx_needs : NULL, device->app[i].state == APP_RUNNING,
				       device->app[i].state == APP_STOPPED };
}

static void run_applications(Sim *sim, PairDevice *device, bool run)
{
	for (bool again = true; again;) {
		PlanEntry plan[PAIR_APPS];

		again = false;
		make_plan(device, plan);
		for (guint i = 0; i < PAIR_APPS && !again; i++) {
			AppState state = device->app[i].state;
			AppEventKind kind;

			if (run && !device->app[i].wanted)
				kind = APP_EVENT_WANT;
			else if (run && state == APP_WAITING && plan_may_start(plan, PAIR_APPS, i))
				kind = APP_EVENT_NEEDS_MET;
			else if (!run && (device->app[i].wanted || (state != APP_STOPPED && state != APP_STOPPING)) &&
				 plan_may_stop(plan, PAIR_APPS, i))
				kind = APP_EVENT_UNWANT;
			else
				continue;
			pair_app_event(sim, device, i, (AppEvent){ .kind = kind });
			again = true;
		}
	}
}

static bool all_in(const PairDevice *device, AppState state)
{
	for (guint i = 0; i < PAIR_APPS; i++)
		if (device->app[i].state != state)
			return false;
	return true;
}

bool pair_runs_applications(const PairDevice *device)
{
	return device->process[0].alive || device->process[1].alive;
}

void pair_break_applications(Sim *sim, PairDevice *device)
{
	for (guint i = 0; i < PAIR_APPS; i++)
		if (device->process[i].alive)
			pair_later(sim, device, sim_upto(sim, 50 * SIM_MS), PAIR_APP_ENDED, device->process[i].number << 1 | i, NULL);
}

static void process_ended(Sim *sim, PairDevice *device, guint number)
{
	guint i = number & 1;

	if (!device->process[i].alive || device->process[i].number != number >> 1)
		return;
	device->process[i].alive = device->process[i].ready = false;
	if (!device->supervisor_runs)
		return;
	pair_app_event(sim, device, i, (AppEvent){ .kind = APP_EVENT_ENDED });
	pair_app_event(sim, device, i, (AppEvent){ .kind = APP_EVENT_EMPTY });
}

static void process_ready(Sim *sim, PairDevice *device, guint number)
{
	guint i = number & 1;

	if (!device->process[i].alive || device->process[i].number != number >> 1)
		return;
	device->process[i].ready = true;
	pair_later(sim, device, sim_upto(sim, 2000 * SIM_MS), PAIR_APP_WRITES, number, NULL);
	if (device->supervisor_runs)
		pair_app_event(sim, device, i, (AppEvent){ .kind = APP_EVENT_READY });
}

/* ---- Disk: keep.c and store.c ---- */

static void write_term(Sim *sim, PairDevice *device)
{
	PairDisk *copy = g_new(PairDisk, 1);

	*copy = (PairDisk){ .known = device->role.known, .reserved = device->role.reserved };
	pair_later(sim, device, 1 * SIM_MS + sim_upto(sim, device->disk_slow ? 3000 * SIM_MS : 20 * SIM_MS), PAIR_STORED, device->boots, copy);
}

static void stored(Sim *sim, PairDevice *device, const PairDisk *text)
{
	if (device->disk_full)
		return;
	if (text->reserved < device->disk.reserved)
		return; /* the thread writes in order; here a slow one may be overtaken */
	sim_say(sim, "%s  on disk: term %" G_GUINT64_FORMAT " reserved", device->id, text->reserved);
	device->disk.known = text->known;
	device->disk.reserved = text->reserved;
	if (device->supervisor_runs)
		pair_think_soon(sim, device);
}

static void mark(Sim *sim, PairDevice *device)
{
	if (device->mark_told == device->posture.mark_unstored)
		return;
	device->mark_told = device->posture.mark_unstored;
	pair_later(sim, device, PAIR_WRITE_US, PAIR_MARKED, device->boots << 1 | device->posture.mark_unstored, NULL);
}

/* ---- vrrpd: elect.c ---- */

void pair_election_changed(Sim *sim, PairDevice *device)
{
	pair_later(sim, device, 100 + sim_upto(sim, 3 * SIM_MS), PAIR_ELECTION, device->supervisor, NULL);
}

static void learn_election(Sim *sim, PairDevice *device)
{
	static const Election elections[] = { [VRRP_STATE_INIT] = ELECTION_INIT, [VRRP_STATE_BACKUP] = ELECTION_BACKUP, [VRRP_STATE_MASTER] = ELECTION_MASTER };
	SimCondition condition = device->v->condition;

	if (condition != SIM_FROZEN) /* it says nothing; who has asked it before knows what it said */
		device->election_known = condition == SIM_RUNS;
	if (condition == SIM_RUNS)
		device->election = elections[device->v->candidate.machine.state];
	g_strlcpy(device->election_reason, device->v->reason ? device->v->reason : "started", sizeof device->election_reason);
	pair_think(sim, device, ROLE_EVENT_FACTS);
}

static void tell_hold(Sim *sim, PairDevice *device, VrrpHold hold, bool held, gint64 lease_us)
{
	if (device->held[hold] == held)
		return;
	device->held[hold] = held;
	sim_device_set_hold(sim, device->v, hold, held, held ? lease_us : 0);
}

void pair_tell_vrrpd(Sim *sim, PairDevice *device)
{
	const RolePosture *posture = &device->posture;
	const RoleFacts *facts = &device->facts;
	IpAddress peer = sim_address(sim, 1 - device->index, SIM_LAN);
	gint64 now_us = sim_clock(sim, device->v);
	bool introduced = device->introduced == device->v->generation;
	bool follows = facts->peer_fresh && facts->peer_role == ROLE_BACKUP && term_compare(&facts->peer_term, &device->role.known) == 0 &&
		       g_str_equal(device->role.known.id, device->id);

	if (device->v->condition != SIM_RUNS)
		return;
	vrrp_candidate_pair(&device->v->candidate, true, device->v->offset, follows,
			    ip_equal(&device->v->candidate.machine.master_address, &peer), now_us);
	if (!introduced) {
		device->introduced = device->v->generation;
		device->held[VRRP_HOLD_PASSIVE] = !posture->hold_passive;
		device->held[VRRP_HOLD_COLD_BOOT] = !posture->hold_cold_boot;
		device->held[VRRP_HOLD_FIRST_SYNC] = !posture->hold_first_sync;
	}
	tell_hold(sim, device, VRRP_HOLD_PASSIVE, posture->hold_passive, 0);
	tell_hold(sim, device, VRRP_HOLD_FIRST_SYNC, posture->hold_first_sync, 0);
	if (posture->hold_cold_boot && posture->cold_boot_until_us != device->cold_until_us)
		device->held[VRRP_HOLD_COLD_BOOT] = false; /* for longer than it was told */
	device->cold_until_us = posture->cold_boot_until_us;
	tell_hold(sim, device, VRRP_HOLD_COLD_BOOT, posture->hold_cold_boot,
		  posture->cold_boot_until_us ? MAX(1, posture->cold_boot_until_us - pair_clock(sim, device)) : 0);
	sim_device_set_serving(sim, device->v, posture->serving);
	sim_device_set_hold(sim, device->v, VRRP_HOLD_SETTINGS, device->settings_held, 0); /* said each time: looks at the gate, and saves */
	if (!introduced)
		vrrp_holds_supervise(&device->v->candidate.holds, now_us + VRRP_LEASE_US);
}

static void heartbeat(Sim *sim, PairDevice *device)
{
	if (device->v->condition == SIM_RUNS) {
		vrrp_holds_supervise(&device->v->candidate.holds, sim_clock(sim, device->v) + VRRP_LEASE_US);
		pair_tell_vrrpd(sim, device);
		if (device->v->heard_master_us) /* as monotonic_of() */
			device->heard_us = MAX(device->heard_us, device->v->heard_master_us - (sim_clock(sim, device->v) - pair_clock(sim, device)));
	}
	if (device->disk.reserved < device->role.reserved && !device->disk_full)
		write_term(sim, device);
	pair_later(sim, device, G_USEC_PER_SEC, PAIR_HEARTBEAT, device->supervisor, NULL);
	pair_think(sim, device, ROLE_EVENT_FACTS);
}

/* ---- Deciding: supervisor.c and act.c ---- */

static void gather(Sim *sim, PairDevice *device)
{
	RoleFacts *facts = &device->facts;
	gint64 now_us = pair_clock(sim, device);

	*facts = (RoleFacts){
		.redundant = true, .paired = true, .mode = device->mode, .joining = device->disk.joining, .cold_boot_wait_us = COLD_BOOT_US, .first_answer_us = FIRST_ANSWER_US,
		.election = device->election_known ? device->election : ELECTION_UNKNOWN, .carrier = device->v->no_carrier == 0,
		.election_reason = device->election_reason,
		.master_heard = device->heard_us != 0 && now_us - device->heard_us < HEARD_WITHIN_US,
		.peer_fresh = device->sync_runs && pair_link_is_up() && device->peer.there,
		.own_boot_ms = device->booted_us / 1000, .stored = device->disk.reserved,
		.committed = !device->lead_head_known || device->lead_head != device->head, .calls_up = device->index == 1 && device->posture.serving,
		.apps_ready = all_in(device, APP_RUNNING), .apps_stopped = all_in(device, APP_STOPPED), .apps_failed = pair_undo_gives_up(device),
		.sync_settled = (device->sync_runs && device->sync_settled) || pair_sync_is_whole(device), .sync_applying = device->sync_marks && device->work == SYNC_RUNS_APPLY,
	};
	facts->own_line_known = device->sync_runs;
	if (device->sync_runs && device->head) {
		facts->own_line.number = pair.commit[device->head].term.number;
		g_strlcpy(facts->own_line.id, pair.commit[device->head].term_id, sizeof facts->own_line.id);
	}
	pair_witness_facts(device, facts);
	if (facts->peer_fresh) {
		facts->peer_role = device->peer.role;
		facts->peer_mode = device->peer.mode;
		facts->peer_term = device->peer.term;
		facts->peer_line = device->peer.line;
		facts->peer_same_data = device->peer.head == device->head;
		facts->peer_boot_ms = device->peer.boot_ms;
		facts->peer_failed_alike = (device->peer.failed & device->failed) != 0;
	}
}

static void keep(PairDevice *device)
{
	device->kept = device->role;
	device->is_kept = true;
}

static void act(Sim *sim, PairDevice *device, const RoleOnce *once)
{
	if (once->role_changed) {
		sim_say(sim, "%s  role: %s -> %s (%s), term %" G_GUINT64_FORMAT " of %s", device->id, role_name(once->old_role),
			role_name(device->role.role), device->role.reason, device->role.known.number, device->role.known.id);
		sim->n_takeovers++;
	}
	mark(sim, device);
	keep(device);
	bool there = device->master_file;
	device->master_file = role_wants_master_file(&device->posture, there, device->facts.apps_stopped);
	/* As the supervisor does: of whole files the applications hear first. */
	bool at_once = !there && pair_sync_is_whole(device);
	if (at_once)
		pair_think_soon(sim, device);
	run_applications(sim, device, device->posture.run_applications);
	if (!at_once)
		pair_sync_role(sim, device);
	pair_tell_vrrpd(sim, device);
	if (once->resign && device->v->condition == SIM_RUNS) {
		sim_say(sim, "%s  gives up: %s", device->id, once->resign);
		sim_device_resign(sim, device->v);
		pair_election_changed(sim, device);
	}
	if (once->joined)
		device->disk.joining = false;
	if (once->took_as_told)
		pair_swap_taken(sim, device);
	if (once->term_changed)
		write_term(sim, device);
	pair_tell_state(sim, device);
}

void pair_think(Sim *sim, PairDevice *device, RoleEvent event)
{
	RoleMachine before = device->role;
	gint64 now_us = pair_clock(sim, device);
	RoleOnce once;

	if (!device->supervisor_runs)
		return;
	pair_undo_look(sim, device);
	gather(sim, device);
	role_step(&device->role, &device->facts, event, now_us, &device->posture, &once);
	pair_check_step(sim, device, &before, &once);
	act(sim, device, &once);
	device->think_number++;
	if (device->posture.next_us)
		pair_at(sim, device, device->posture.next_us, PAIR_TIMER, device->think_number);
	pair_swap_look(sim, device);
	if (device->supervisor_runs)
		pair_settings_look(sim, device);
}

/* syncd has had all that the leader has, once. */
void pair_first_sync_done(Sim *sim, PairDevice *device)
{
	if (!device->disk.joining || !device->supervisor_runs)
		return;
	sim_say(sim, "%s  the first synchronisation is done", device->id);
	device->disk.joining = false;
	pair_think_soon(sim, device);
}

/* ---- Life ---- */

static void start_supervisor(Sim *sim, PairDevice *device)
{
	static const SettingsApplication settings = { .ready_timeout_ms = 30000, .stop_timeout_ms = 10000, .restart_delay_ms = 100,
						      .restart = SETTINGS_RESTART_ALWAYS, .critical = true };
	gint64 now_us = pair_clock(sim, device);
	bool stopped = true;

	device->supervisor++;
	device->supervisor_runs = true;
	device->mark_told = device->disk.unstored;
	device->supervisor_since_us = sim->now_us;
	pair_undo_forget(device);
	device->introduced = 0;
	device->election_known = false;
	device->heard_us = 0;
	device->peer.there &= device->sync_knows;
	device->lead_head_known = false;
	device->sync_asked = SYNC_KEEP;
	device->sync_settled = false;
	if (device->is_kept)
		device->disk.mode = device->mode; /* that in /run is the newer one */
	else
		device->mode = device->disk.mode;
	device->given_until_us = 0;
	device->settings_announced_us = now_us;
	device->posture = (RolePosture){ 0 };
	role_init(&device->role, device->id, now_us);
	role_remember(&device->role, &device->disk.known, device->disk.reserved, device->disk.unstored);
	if (device->is_kept) {
		/* As keep.c: what is not kept is as role_init() made it. */
		RoleMachine new = device->role;

		device->role = device->kept;
		memcpy(device->role.id, new.id, sizeof new.id);
		device->role.spent = 0;
		device->role.election_missing_us = device->role.witness_lost_us = 0;
		device->role.reserved = MAX(device->kept.reserved, device->disk.reserved);
		if (term_compare(&new.known, &device->role.known) > 0)
			device->role.known = new.known;
		role_resume(&device->role, now_us);
	}
	for (guint i = 0; i < PAIR_APPS; i++) {
		app_init(&device->app[i], &settings, now_us);
		if (device->process[i].alive)
			app_adopt(&device->app[i], device->process[i].ready, now_us);
		stopped &= !device->process[i].alive;
	}
	if (!stopped)
		device->role.settled = true;
	sim_say(sim, "%s  supervisor starts as %s", device->id, role_name(device->role.role));
	pair_later(sim, device, sim_upto(sim, 5 * SIM_MS), PAIR_ELECTION, device->supervisor, NULL);
	pair_later(sim, device, sim_upto(sim, 20 * SIM_MS), PAIR_HEARTBEAT, device->supervisor, NULL);
	pair_think(sim, device, ROLE_EVENT_FACTS);
}

void pair_kill_supervisor(Sim *sim, PairDevice *device)
{
	if (!device->supervisor_runs)
		return;
	sim_say(sim, "%s  supervisor is killed", device->id);
	device->supervisor_runs = false;
	device->supervisor++;
	pair_swap_forget(sim, device, "supervisor-gone: it was started anew in the middle of it");
	pair_settings_forget(device, false);
	pair_later(sim, device, 5 * SIM_MS + sim_upto(sim, 100 * SIM_MS), PAIR_START_SUPERVISOR, device->boots, NULL);
}

void pair_device_on(Sim *sim, PairDevice *device)
{
	if (device->on)
		return;
	sim_say(sim, "%s  is switched on", device->id);
	device->on = true;
	device->boots++;
	device->booted_us = sim->now_us + 1;
	device->failed = 0;
	device->is_kept = device->led_since_boot = device->heard_since_boot = false;
	device->n_health = 0;
	device->promised = device->sync_marks = device->master_file = false;
	sim_device_start(sim, device->v);
	pair_later(sim, device, sim_upto(sim, 300 * SIM_MS), PAIR_START_SUPERVISOR, device->boots, NULL);
	pair_later(sim, device, sim_upto(sim, 1000 * SIM_MS), PAIR_START_SYNC, device->boots, NULL);
}

void pair_device_off(Sim *sim, PairDevice *device)
{
	if (!device->on)
		return;
	sim_say(sim, "%s  loses its power", device->id);
	pair_check_power(sim, device);
	device->on = false;
	device->boots++;
	device->supervisor_runs = false;
	device->supervisor++;
	pair_swap_forget(sim, device, "device-gone: it lost its power");
	pair_settings_forget(device, true);
	pair_kill_sync(sim, device);
	for (guint i = 0; i < PAIR_APPS; i++) {
		device->process[i].alive = device->process[i].ready = false;
		device->process[i].number++;
	}
	pair_device_wakes(sim, device);
	if (device->v->condition != SIM_OFF)
		sim_device_end(sim, device->v, true);
}

void pair_device_event(Sim *sim, PairDevice *device, const SimEvent *event)
{
	bool mine = device->supervisor_runs && event->generation == device->supervisor;
	guint i = event->generation & 1;

	switch ((PairEventKind)event->what) {
	case PAIR_THINK:
		if (mine)
			pair_think(sim, device, ROLE_EVENT_FACTS);
		break;
	case PAIR_TIMER:
		if (device->supervisor_runs && event->generation == device->think_number)
			pair_think(sim, device, ROLE_EVENT_FACTS);
		break;
	case PAIR_ELECTION:
		if (mine)
			learn_election(sim, device);
		break;
	case PAIR_HEARTBEAT:
		if (mine)
			heartbeat(sim, device);
		break;
	case PAIR_APP_READY:
		process_ready(sim, device, event->generation);
		break;
	case PAIR_APP_ENDED:
		process_ended(sim, device, event->generation);
		break;
	case PAIR_APP_TIME:
		for (guint k = 0; mine && k < PAIR_APPS; k++)
			if (device->app[k].deadline_us && pair_clock(sim, device) >= device->app[k].deadline_us)
				pair_app_event(sim, device, k, (AppEvent){ .kind = APP_EVENT_TIME });
		break;
	case PAIR_APP_WRITES:
		if (!device->process[i].ready || device->process[i].number != event->generation >> 1 || sim->quiet_us)
			break;
		device->dirty = true;
		pair_sync_commit(sim, device);
		pair_later(sim, device, sim_upto(sim, 4000 * SIM_MS), PAIR_APP_WRITES, event->generation, NULL);
		break;
	case PAIR_STORED:
		if (event->generation == device->boots)
			stored(sim, device, event->data);
		break;
	case PAIR_MARKED:
		if (event->generation >> 1 == device->boots) {
			device->disk.unstored = event->generation & 1;
			sim_say(sim, "%s  mark on disk: %u", device->id, event->generation & 1);
		}
		break;
	case PAIR_START_SUPERVISOR:
		if (event->generation == device->boots && !device->supervisor_runs)
			start_supervisor(sim, device);
		break;
	case PAIR_STATE:
	case PAIR_ROLE_SET:
	case PAIR_SYNC_DONE:
	case PAIR_START_SYNC:
	case PAIR_LOOK_AT_LINK:
		pair_sync_event(sim, device, event);
		break;
	case PAIR_COMMITTED:
	case PAIR_SWAP_TIME:
	case PAIR_ASK:
	case PAIR_ANSWER:
	case PAIR_ORDER_LATE:
		pair_order_event(sim, device, event);
		break;
	case PAIR_SETTINGS_ASK:
	case PAIR_SETTINGS_ANSWER:
	case PAIR_SETTINGS_TIME:
	case PAIR_SETTINGS_LATE:
	case PAIR_SHARED_STORED:
		pair_settings_event(sim, device, event);
		break;
	case PAIR_UNDO_ANSWER:
	case PAIR_UNDO_LATER:
	case PAIR_UNDO_CHANGED:
		pair_undo_event(sim, device, event);
		break;
	case PAIR_MEND:
		pair_undo_mend(sim, device);
		break;
	case PAIR_POWER_OFF:
		if (event->generation == device->boots) {
			pair_device_off(sim, device);
			pair_later(sim, device, 100 * SIM_MS + sim_upto(sim, sim_below(sim, 2) ? 500 * SIM_MS : 20000 * SIM_MS), PAIR_POWER_ON, 0, NULL);
		}
		break;
	case PAIR_KILL:
		if (event->generation == device->boots)
			pair_kill_supervisor(sim, device);
		break;
	case PAIR_POWER_ON:
		pair_device_on(sim, device);
		break;
	case PAIR_CHECK:
		break;
	}
}
