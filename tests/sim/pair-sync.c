/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/pair-sync.c - a model of syncd: commits, following, the apply that is finished once past its mark, what is kept by name; and the link. */
#include <string.h>

#include "pair.h"

#define ROLE_PATIENCE_US (5 * SIM_MS)

bool pair_link_is_up(void)
{
	return pair.link;
}

/* ---- Commits ---- */

bool pair_contains(guint head, guint commit)
{
	while (head > commit)
		head = pair.commit[head].parent;
	return head == commit;
}

static guint new_commit(Sim *sim, PairDevice *device)
{
	PairCommit *commit;

	if (pair.n_commits + 1 >= PAIR_COMMITS)
		return 0;
	commit = &pair.commit[++pair.n_commits];
	*commit = (PairCommit){ .parent = device->head, .device = device->index, .term = { .number = device->sync_term.number },
				.at_us = sim->now_us };
	g_strlcpy(commit->term_id, device->sync_term.id, sizeof commit->term_id);
	commit->term.id = commit->term_id;
	pair_config_committed(device, pair.n_commits);
	sim_say(sim, "%s  commit %u after %u, term %" G_GUINT64_FORMAT " of %s", device->id, pair.n_commits, commit->parent,
		commit->term.number, commit->term_id);
	return pair.n_commits;
}

static void move_to(Sim *sim, PairDevice *device, guint head)
{
	guint before = device->head;

	device->head = head;
	pair_config_in_use(sim, device, before);
	for (guint i = head; i != 0 && !(pair.commit[i].applied & 1u << device->index); i = pair.commit[i].parent)
		pair.commit[i].applied |= 1u << device->index;
}

void pair_sync_commit(Sim *sim, PairDevice *device)
{
	guint commit;

	if (!device->sync_runs || device->sync_role != SYNC_LEAD || !device->dirty)
		return;
	commit = new_commit(sim, device);
	device->dirty = false;
	if (commit == 0)
		return;
	/* A line grows in newer and newer terms, or in the same. */
	if (pair.commit[commit].parent && !device->excused && sync_term_compare(&pair.commit[pair.commit[commit].parent].term, &pair.commit[commit].term) > 0)
		sim_break(sim, "older-on-newer", "%s commits in term %" G_GUINT64_FORMAT " of %s on what was made in a newer one", device->id,
			  pair.commit[commit].term.number, pair.commit[commit].term_id);
	move_to(sim, device, commit);
	pair_tell_state(sim, device);
}

static void park(Sim *sim, PairDevice *device, guint head, guint line)
{
	const PairState *leader = &device->peer;
	SyncTerm theirs = { .number = leader->term.number, .id = (char *)leader->term.id };

	/* Who goes on has taken a newer term than any that the other knows. */
	if (leader->there && pair_leads(leader->role) && device->supervisor_runs && sync_term_compare(&theirs, &pair.commit[head].term) < 0)
		sim_break(sim, "follows-older", "%s gives up commit %u of term %" G_GUINT64_FORMAT " for a line of term %" G_GUINT64_FORMAT, device->id,
			  head, pair.commit[head].term.number, leader->term.number);
	sim_say(sim, "%s  keeps commit %u aside", device->id, head);
	for (guint i = head; i != 0 && !pair_contains(line, i); i = pair.commit[i].parent)
		pair.commit[i].parked |= 1u << device->index;
}

/* ---- Role and following ---- */

typedef struct {
	SyncRole role;
	Term term;
} Wanted;

void pair_sync_role(Sim *sim, PairDevice *device)
{
	SyncRole wanted = device->posture.sync;
	const Term *term = &device->role.known;
	Wanted *copy;

	if (!device->sync_runs) {
		if (wanted == SYNC_FOLLOW || wanted == SYNC_IDLE)
			device->sync_settled = false;
		return;
	}
	if (wanted == SYNC_KEEP || (wanted == device->sync_asked && term_compare(term, &device->sync_asked_term) == 0))
		return;
	if (wanted != SYNC_LEAD || device->sync_asked != SYNC_LEAD)
		device->sync_settled = false;
	if (wanted == SYNC_LEAD && device->sync_asked != SYNC_LEAD && device->role.role == ROLE_TAKING_OVER) {
		device->lead_head = device->head;
		device->lead_head_known = true;
	}
	device->sync_asked = wanted;
	device->sync_asked_term = *term;
	copy = g_new(Wanted, 1);
	*copy = (Wanted){ wanted, *term };
	pair_later(sim, device, 200 + sim_upto(sim, 10 * SIM_MS), PAIR_ROLE_SET, device->sync, copy);
}

bool pair_sync_is_whole(const PairDevice *device)
{
	return device->role.role == ROLE_TAKING_OVER && device->master_file && device->sync_marks && device->work != SYNC_RUNS_APPLY;
}

static bool may_follow(const PairDevice *device)
{
	SyncTerm own = { .number = device->sync_term.number, .id = (char *)device->sync_term.id };
	SyncTerm leader = { .number = device->peer.sync_term.number, .id = (char *)device->peer.sync_term.id };

	return sync_term_may_follow(&own, &leader);
}

static void pull(Sim *sim, PairDevice *device)
{
	if (!device->sync_runs || device->sync_role != SYNC_FOLLOW || !pair.link || !device->peer.sync_leads || !may_follow(device) ||
	    device->work != SYNC_RUNS_NOTHING)
		return;
	if (device->peer.head == device->head) {
		pair_first_sync_done(sim, device);
		return;
	}
	device->work = SYNC_RUNS_FETCH;
	device->work_target = device->peer.head;
	pair_later(sim, device, 2 * SIM_MS + sim_upto(sim, 150 * SIM_MS), PAIR_SYNC_DONE, ++device->work_number, NULL);
}

static bool is_reachable(const Sim *sim)
{
	static const SimPathKind paths[] = { SIM_LAN, SIM_PEER };

	if (sim->device[0].condition == SIM_SUSPENDED || sim->device[1].condition == SIM_SUSPENDED)
		return false;

	for (guint i = 0; i < G_N_ELEMENTS(paths); i++)
		if (sim_reaches(sim, paths[i], 0, 1) && sim_reaches(sim, paths[i], 1, 0))
			return true;
	return false;
}

/* From its mark on to the last step. */
static void apply_ends(Sim *sim, PairDevice *device)
{
	device->work = SYNC_RUNS_NOTHING;
	if (pair_runs_applications(device))
		sim_break(sim, "applied-under-applications", "%s applies %u while applications run on the files", device->id, device->work_target);
	move_to(sim, device, device->work_target);
}

static void work_done(Sim *sim, PairDevice *device)
{
	guint own = device->head;

	if (device->work == SYNC_RUNS_FETCH) {
		if (pair.link && !is_reachable(sim)) { /* it takes that long, or the connection is given up */
			pair_later(sim, device, 20 * SIM_MS, PAIR_SYNC_DONE, device->work_number, NULL);
			return;
		}
		device->work = SYNC_RUNS_NOTHING;
		if (!pair.link || device->master_file)
			return;
		device->work = SYNC_RUNS_APPLY;
		if (device->dirty && (own = new_commit(sim, device)) == 0)
			own = device->head;
		device->dirty = false;
		if (own && !pair_contains(device->work_target, own))
			park(sim, device, own, device->work_target);
		pair_later(sim, device, 2 * SIM_MS + sim_upto(sim, 300 * SIM_MS), PAIR_SYNC_DONE, ++device->work_number, NULL);
		return;
	}
	if (device->work != SYNC_RUNS_APPLY)
		return;
	apply_ends(sim, device);
	sim_say(sim, "%s  has applied %u", device->id, device->head);
	pair_tell_state(sim, device);
	pair_think(sim, device, ROLE_EVENT_FACTS);
	pull(sim, device);
}

static void role_set(Sim *sim, PairDevice *device, const Wanted *wanted)
{
	if (device->work == SYNC_RUNS_APPLY) { /* past its mark it is finished first; a fetch is cancelled */
		pair_later(sim, device, ROLE_PATIENCE_US, PAIR_ROLE_SET, device->sync, g_memdup2(wanted, sizeof *wanted));
		return;
	}
	if (wanted->role != device->sync_asked || term_compare(&wanted->term, &device->sync_asked_term) != 0)
		return; /* another is on its way */
	device->sync_role = wanted->role;
	device->sync_term = wanted->term;
	device->work = SYNC_RUNS_NOTHING;
	device->work_number++;
	if (wanted->role == SYNC_LEAD) {
		device->sync_settled = true;
		pair_sync_commit(sim, device);
	}
	pair_tell_state(sim, device);
	pair_think(sim, device, ROLE_EVENT_FACTS);
	pull(sim, device);
}

void pair_sync_start(Sim *sim, PairDevice *device)
{
	device->sync_runs = true;
	device->sync_role = device->sync_asked = SYNC_KEEP;
	if (device->work == SYNC_RUNS_APPLY) /* it was past its mark */
		apply_ends(sim, device);
	device->sync_marks = true;
	pair_think(sim, device, ROLE_EVENT_FACTS);
	pair_look_at_link(sim);
}

void pair_kill_sync(Sim *sim, PairDevice *device)
{
	if (!device->sync_runs)
		return;
	sim_say(sim, "%s  syncd ends", device->id);
	device->sync_runs = false;
	device->sync++;
	device->work_number++;
	device->sync_role = device->sync_asked = SYNC_KEEP;
	device->told.there = device->sync_knows = false;
	if (device->work == SYNC_RUNS_FETCH)
		device->work = SYNC_RUNS_NOTHING;
	if (device->on)
		pair_later(sim, device, 5 * SIM_MS + sim_upto(sim, 300 * SIM_MS), PAIR_START_SYNC, device->boots, NULL);
	pair_look_at_link(sim);
}

/* ---- The link ---- */

typedef struct {
	PairState state;
	guint session, number;
} Told;

void pair_look_at_link(Sim *sim)
{
	bool lives = pair.device[0].sync_runs && pair.device[1].sync_runs;
	bool reachable = lives && is_reachable(sim);

	if (pair.link && reachable)
		pair.link_lost_us = 0;
	else if (pair.link && pair.link_lost_us == 0)
		pair.link_lost_us = sim->now_us;
	if (pair.link && (!lives || (pair.link_lost_us && sim->now_us - pair.link_lost_us >= PAIR_LINK_TIMEOUT_US))) {
		pair.link = false;
		sim_say(sim, "-- the peer link is down");
	} else if (!pair.link && reachable && sim_below(sim, 3) == 0) {
		pair.link = true;
		pair.session++;
		pair.link_since_us = sim->now_us;
		pair.link_lost_us = 0;
		pair.device[0].said = pair.device[1].said = (PairState){ 0 };
		sim_say(sim, "-- the peer link is up");
		pair_tell_state(sim, &pair.device[0]);
		pair_tell_state(sim, &pair.device[1]);
	} else {
		return;
	}
	for (guint i = 0; i < 2; i++)
		pair_later(sim, &pair.device[i], sim_upto(sim, 5 * SIM_MS), PAIR_THINK, pair.device[i].supervisor, NULL);
}

gint64 pair_delay_us(Sim *sim, guint to)
{
	gint64 at_us = sim->now_us + 500 + sim_upto(sim, 10 * SIM_MS);

	pair.arrives_us[to] = at_us = MAX(at_us, pair.arrives_us[to] + 1);
	return at_us - sim->now_us;
}

bool pair_can_arrive(Sim *sim, PairDevice *device, const SimEvent *event, guint session, gsize size)
{
	if (!pair.link || session != pair.session)
		return false;
	if (is_reachable(sim))
		return true;
	/* It is sent again until it arrives, or the connection is given up. */
	pair_later(sim, device, pair_delay_us(sim, device->index) + 20 * SIM_MS, event->what, event->generation, g_memdup2(event->data, size));
	return false;
}

void pair_tell_state(Sim *sim, PairDevice *device)
{
	PairState *told = &device->told;
	Told *message;

	if (!device->sync_runs)
		return;
	if (device->supervisor_runs)
		*told = (PairState){ .there = true, .role = device->role.role, .mode = device->mode, .term = device->role.known,
				     .line = device->role.line, .boot_ms = device->booted_us / 1000, .failed = device->failed,
				     .settings = device->settings.own, .settings_text = device->settings.text };
	told->witness = device->witness;
	told->head = device->head;
	told->sync_leads = device->sync_role == SYNC_LEAD;
	told->sync_term = device->sync_term;
	if (!pair.link || memcmp(told, &device->said, sizeof *told) == 0)
		return;
	device->said = *told;
	message = g_new0(Told, 1);
	*message = (Told){ *told, pair.session, ++device->n_said };
	pair_later(sim, pair_other(device), pair_delay_us(sim, 1 - device->index), PAIR_STATE, 0, message);
}

static void hear_state(Sim *sim, PairDevice *device, const SimEvent *event)
{
	const Told *message = event->data;

	if (!pair_can_arrive(sim, device, event, message->session, sizeof *message) || !device->sync_runs || message->number < device->n_heard)
		return; /* one connection carries them in order: what was sent again comes too late */
	device->n_heard = message->number;
	if (message->state.there) {
		device->peer = message->state;
		device->sync_knows = true;
	}
	device->peer.head = message->state.head;
	device->peer.sync_leads = message->state.sync_leads;
	device->peer.sync_term = message->state.sync_term;
	pull(sim, device);
	pair_think(sim, device, ROLE_EVENT_FACTS);
}

void pair_sync_event(Sim *sim, PairDevice *device, const SimEvent *event)
{
	PairEventKind what = event->what;

	if (what == PAIR_STATE) {
		hear_state(sim, device, event);
	} else if (what == PAIR_LOOK_AT_LINK) {
		pair_look_at_link(sim);
		pair_later(sim, device, 100 * SIM_MS, PAIR_LOOK_AT_LINK, 0, NULL);
	} else if (what == PAIR_START_SYNC) {
		if (event->generation == device->boots && !device->sync_runs)
			pair_sync_start(sim, device);
	} else if (what == PAIR_ROLE_SET) {
		if (device->sync_runs && event->generation == device->sync)
			role_set(sim, device, event->data);
	} else if (what == PAIR_SYNC_DONE) {
		if (device->sync_runs && event->generation == device->work_number)
			work_done(sim, device);
	}
}
