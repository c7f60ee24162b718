/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/pair-check.c - what must hold of a pair in every simulated world. None of it asks the code under test what is right. */
#include "pair.h"

/* So long the two may need to tell each other what they are. */
#define TOLD_US (1 * G_USEC_PER_SEC)

/* They stop one after the other, who needs before what is needed, and each that does not is killed after ten seconds; before that the election decides. */
#define TWICE_US ((PAIR_APPS * 10 + 5) * G_USEC_PER_SEC)

/* Each time of leading has a number of its own, greater than all the device ever had. */
static void check_term(Sim *sim, PairDevice *device, const RoleMachine *before, const RoleOnce *once)
{
	const Term *known = &device->role.known;
	bool begins = once->role_changed && device->role.role == ROLE_TAKING_OVER && !pair_leads(before->role);
	bool raises = pair_leads(before->role) && pair_leads(device->role.role) && known->number != before->known.number;

	if (before->doubtful && !device->role.doubtful && !(device->facts.peer_fresh && device->facts.peer_term.number >= device->greatest))
		device->excused = true; /* its disk took nothing, and nobody was there: an administrator, or a peer who knows no better */
	if (!begins && !raises)
		return;
	if (device->doomed) {
		PairDevice *other = pair_other(device);

		device->doomed = false;
		pair_later(sim, device, 2 * SIM_MS + sim_upto(sim, sim_below(sim, 2) ? 10 * SIM_MS : 3000 * SIM_MS), PAIR_POWER_OFF, device->boots, NULL);
		if (sim_below(sim, 2))
			pair_later(sim, other, sim_upto(sim, 4000 * SIM_MS), PAIR_POWER_OFF, other->boots, NULL);
	}
	if (!g_str_equal(known->id, device->id))
		sim_break(sim, "term-of-another", "%s leads in a term of %s", device->id, known->id);
	if (known->number <= before->known.number)
		sim_break(sim, "term-not-newer", "%s knew term %" G_GUINT64_FORMAT " and leads in %" G_GUINT64_FORMAT, device->id,
			  before->known.number, known->number);
	if (known->number <= device->greatest && !device->excused)
		sim_break(sim, "term-twice", "%s has led in term %" G_GUINT64_FORMAT " and begins %" G_GUINT64_FORMAT, device->id,
			  device->greatest, known->number);
	device->greatest_before = device->greatest;
	device->greatest = MAX(device->greatest, known->number);
	device->began_us = pair_awake_us(sim, device);
}

/* Leading comes before writing: a number in which it led for no longer than a write takes, and of which nothing and nobody tells, was not used. */
void pair_check_power(Sim *sim, PairDevice *device)
{
	const Term *heard = &pair_other(device)->role.known;
	bool is_heard = heard->number == device->greatest && g_str_equal(heard->id, device->id);

	if (pair_awake_us(sim, device) - device->began_us > PAIR_WRITE_US || is_heard)
		return;
	for (guint i = 1; i <= pair.n_commits; i++)
		if (pair.commit[i].term.number == device->greatest && g_str_equal(pair.commit[i].term_id, device->id))
			return;
	device->greatest = device->greatest_before;
}

/* Both have come up, nobody led, nothing stood between them: who begins to lead has all that the other has. */
static void check_cold_boot(Sim *sim, const PairDevice *device)
{
	const PairDevice *other = &pair.device[1 - device->index];
	bool newer, same;

	if (device->led_since_boot || device->heard_since_boot || other->led_since_boot || other->heard_since_boot || !other->on ||
	    !other->supervisor_runs || other->mode == MODE_PASSIVE || device->mode == MODE_PASSIVE || other->disk.joining ||
	    pair_awake_us(sim, device) < device->ordered_until_us || other->role.doubtful || device->role.doubtful || pair.n_faults_active ||
	    !pair.link || sim->now_us - pair.link_since_us < 1000 * SIM_MS ||
	    sim->now_us - other->supervisor_since_us < 1000 * SIM_MS || sim->now_us - pair.whole_us < 2000 * SIM_MS ||
	    pair.whole_us > device->booted_us + 3000 * SIM_MS || pair.whole_us > other->booted_us + 3000 * SIM_MS)
		return;
	/* What only the other has may also be what it could not pass on before it was replaced. Of two that led in the same number none is newer. */
	newer = pair.commit[other->head].term.number > pair.commit[device->head].term.number;
	same = sync_term_compare(&pair.commit[other->head].term, &pair.commit[device->head].term) == 0;
	if (newer || (same && !pair_contains(device->head, other->head)))
		sim_break(sim, "older-leads", "%s leads with commit %u after both came up; %s, who is there, has %u", device->id, device->head,
			  other->id, other->head);
}

void pair_check_step(Sim *sim, PairDevice *device, const RoleMachine *before, const RoleOnce *once)
{
	bool takes = once->role_changed && device->role.role == ROLE_TAKING_OVER && !pair_leads(before->role);

	check_term(sim, device, before, once);
	pair_witness_check(sim, device, once);
	pair_undo_check(sim, device, once);
	if (once->role_changed && pair.settled_us)
		sim_break(sim, "restless", "%s becomes %s (%s) in a quiet pair", device->id, role_name(device->role.role), device->role.reason);
	if (takes && device->won_passive)
		sim_break(sim, "passive-takes-over", "%s is passive and takes over unordered (%s)", device->id, device->role.reason);
	if (takes && device->won_joining)
		sim_break(sim, "unsynced-takes-over", "%s has not had all there is once, and takes over unordered (%s)", device->id, device->role.reason);
	if (takes)
		check_cold_boot(sim, device);
	device->n_health += once->resign && g_str_equal(once->resign, "application-failed");
	if (device->n_health > 1)
		sim_break(sim, "health-twice", "%s gives up for its applications once more", device->id);
	if (device->posture.run_applications && !device->posture.may_run)
		sim_break(sim, "may-not-run", "%s runs applications where they may not be", device->id);
	if (device->posture.sync == SYNC_FOLLOW && pair_runs_applications(device))
		sim_break(sim, "applied-under-applications", "%s follows while applications run on the files", device->id);
	device->led_since_boot |= pair_leads(device->role.role);
	device->heard_since_boot |= device->facts.master_heard || (device->facts.peer_fresh && pair_leads(device->facts.peer_role));
}

/* Nothing is broken, and nobody is to lead or to have a mode by another order, since @from_us. */
static bool is_alone(const PairOrder *swap, gint64 from_us)
{
	for (guint i = 0; i < pair.n_orders; i++)
		if (&pair.order[i] != swap && pair.order[i].kind != ORDER_SETTINGS && pair.order[i].at_us >= from_us)
			return false;
	return pair.n_faults_active == 0 && pair.mended_us < from_us;
}

void pair_check_swapped(const Sim *sim, const PairOrder *order)
{
	pair.swapped = order;
	pair.swapped_us = sim->now_us;
}

/* Each has the other's mode then. */
static void check_modes(Sim *sim)
{
	const PairOrder *order = pair.swapped;

	if (!order || sim->now_us - pair.swapped_us <= TOLD_US)
		return;
	pair.swapped = NULL;
	if (is_alone(order, order->at_us - TOLD_US) && (pair.device[0].mode != order->before[1] || pair.device[1].mode != order->before[0]))
		sim_break(sim, "modes-stay", "a and b were %s and %s, have swapped, and are %s and %s", mode_name(order->before[0]), mode_name(order->before[1]),
			  mode_name(pair.device[0].mode), mode_name(pair.device[1].mode));
}

void pair_check_always(Sim *sim)
{
	static const char names[] = "ab";
	const PairDevice *a = &pair.device[0], *b = &pair.device[1];
	bool both = pair_runs_applications(a) && pair_runs_applications(b);

	pair_witness_always(sim);
	pair_undo_always(sim);
	check_modes(sim);
	if (!both || pair.n_faults_active)
		pair.twice_us = 0;
	else if (pair.twice_us == 0)
		pair.twice_us = sim->now_us;
	if (pair.twice_us && sim->now_us - pair.twice_us > TWICE_US)
		sim_break(sim, "applications-twice", "applications run on both, and nothing has stood between the two for %" G_GINT64_FORMAT " s",
			  (sim->now_us - pair.twice_us) / G_USEC_PER_SEC);
	for (guint i = 0; i < 2; i++) {
		const PairDevice *device = &pair.device[i];

		if (device->swap && device->handover.step > HANDOVER_STOP && device->handover.step < HANDOVER_RESIGN &&
		    device->role.role == ROLE_HANDING_OVER && pair_runs_applications(device))
			sim_break(sim, "hands-over-running", "%c is past the stop of its applications in a swap, and they run", names[i]);
	}
}

static void check_commits(Sim *sim, const PairDevice *master)
{
	guint next = master->head;

	for (guint i = pair.n_commits; i > 0; i--) {
		if (i == next) {
			next = pair.commit[i].parent;
			continue;
		}
		if (pair.commit[i].applied == 3)
			sim_break(sim, "applied-on-both-lost", "commit %u was applied on both and is not in the line of %s", i, master->id);
		else if (!pair.commit[i].parked)
			sim_break(sim, "nameless", "commit %u is neither in the line of %s nor kept by name", i, master->id);
	}
}

void pair_check_end(Sim *sim)
{
	PairDevice *a = &pair.device[0], *b = &pair.device[1], *master, *backup;

	for (guint i = 0; i < pair.n_orders; i++)
		if (pair.order[i].result == ORDER_RUNS)
			sim_break(sim, "order-without-end", "the order %u to %c, of %" G_GINT64_FORMAT " ms, has not ended", i,
				  'a' + pair.order[i].device, pair.order[i].at_us / 1000);
		else if (pair.order[i].result == ORDER_REFUSED && (!pair.order[i].why || !strchr(pair.order[i].why, ':')))
			sim_break(sim, "nameless-refusal", "the order %u was refused for no reason that has a name", i);
	pair_settings_check_end(sim);
	if (a->mode == MODE_PASSIVE && b->mode == MODE_PASSIVE && !pair.both_passive)
		sim_break(sim, "both-passive", "both are passive, and nobody has ordered so");
	if (!pair_leads(a->role.role) && !pair_leads(b->role.role)) {
		if ((a->mode != MODE_PASSIVE && !a->disk.joining) || (b->mode != MODE_PASSIVE && !b->disk.joining))
			sim_break(sim, "nobody-leads", "a is %s and b is %s", role_name(a->role.role), role_name(b->role.role));
		return;
	}
	master = pair_leads(a->role.role) ? a : b;
	backup = pair_other(master);
	if (master->role.role != ROLE_MASTER || !master->process[0].ready || !master->process[1].ready)
		sim_break(sim, "does-not-serve", "%s is %s, its applications %s and %s", master->id, role_name(master->role.role),
			  app_state_name(master->app[0].state), app_state_name(master->app[1].state));
	else if (backup->role.role != ROLE_BACKUP || pair_runs_applications(backup))
		sim_break(sim, "no-backup", "%s is %s%s", backup->id, role_name(backup->role.role), pair_runs_applications(backup) ? " and runs applications" : "");
	else if (term_compare(&master->role.known, &backup->role.known) != 0)
		sim_break(sim, "terms-differ", "%s leads in term %" G_GUINT64_FORMAT ", %s knows %" G_GUINT64_FORMAT " of %s", master->id,
			  master->role.known.number, backup->id, backup->role.known.number, backup->role.known.id);
	else if (backup->disk.joining)
		sim_break(sim, "still-joining", "%s follows, and its first synchronisation is not done", backup->id);
	else if (master->head != backup->head)
		sim_break(sim, "does-not-follow", "%s has commit %u, %s has %u", master->id, master->head, backup->id, backup->head);
	else if (master->sync_role != SYNC_LEAD || backup->sync_role != SYNC_FOLLOW)
		sim_break(sim, "sync-roles", "syncd of %s does not lead, or that of %s does not follow", master->id, backup->id);
	check_commits(sim, master);
}
