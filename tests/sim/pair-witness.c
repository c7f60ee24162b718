/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/pair-witness.c - worlds with a witness: a host on the LAN that both devices ask whether they are on it. */
#include "pair.h"

#define ONE_IN 16                              /* worlds has one */
#define GONE_US (2 * G_USEC_PER_SEC)           /* as vrrpd's: no answer for so long */
#define ISOLATED_US (3 * G_USEC_PER_SEC)       /* as role.c's: and for so long no witness */
#define ONCE_IN_US G_GINT64_CONSTANT(60000000) /* it gives up for that */
#define AT_LAST_US (3 * G_USEC_PER_SEC)        /* what takes time between: a heartbeat, the link, a slow moment */

static bool answers(const Sim *sim, const PairDevice *device)
{
	return device->v->no_carrier == 0 && device->no_witness == 0 && sim->now_us >= device->v->learning_until_us;
}

void pair_witness_make(Sim *sim, guint kind)
{
	guint n;

	pair.witness = sim->seed % ONE_IN == 11;
	if (!pair.witness)
		return;
	n = 1 + sim_below(sim, 4);
	for (guint i = 0; i < n && sim->n_faults < SIM_MOST_FAULTS; i++) {
		SimFault *fault = &sim->fault[sim->n_faults++];

		fault->kind = (SimFaultKind)kind;
		fault->from_us = sim_upto(sim, sim->round_ends_us);
		fault->until_us = MIN(fault->from_us + 1000 * SIM_MS + sim_upto(sim, 30000 * SIM_MS), sim->round_ends_us);
		fault->device = sim_below(sim, 2);
		fault->other = 1 - fault->device;
	}
}

/* As vrrp_election_witness(). */
static PairWitness seen(const Sim *sim, const PairDevice *device)
{
	gint64 now_us = sim_clock(sim, device->v);

	if (!pair.witness || device->v->condition == SIM_OFF || device->v->condition == SIM_KILLED || device->witness_begin_us == 0)
		return PAIR_WITNESS_UNKNOWN;
	if (now_us - device->witness_begin_us < GONE_US)
		return device->witness_heard_us ? PAIR_WITNESS_REACHED : PAIR_WITNESS_UNKNOWN;
	return now_us - device->witness_heard_us < GONE_US ? PAIR_WITNESS_REACHED : PAIR_WITNESS_LOST;
}

void pair_witness_tick(Sim *sim, PairDevice *device)
{
	PairWitness now;

	if (!pair.witness)
		return;
	if (device->witness_generation != device->v->generation) {
		device->witness_generation = device->v->generation;
		device->witness_begin_us = sim_clock(sim, device->v);
		device->witness_heard_us = 0;
	}
	if (answers(sim, device))
		device->witness_heard_us = sim_clock(sim, device->v);
	now = seen(sim, device);
	if (now == device->witness)
		return;
	device->witness = now;
	sim_say(sim, "%s  the witness %s", device->id, now == PAIR_WITNESS_REACHED ? "answers" : now == PAIR_WITNESS_LOST ? "is silent" : "is not known of");
	pair_tell_state(sim, device);
	pair_think(sim, device, ROLE_EVENT_FACTS);
}

void pair_witness_facts(const PairDevice *device, RoleFacts *facts)
{
	facts->witness_lost = device->witness == PAIR_WITNESS_LOST;
	facts->peer_has_witness = facts->peer_fresh && device->peer.witness == PAIR_WITNESS_REACHED;
}

static bool is_healthy_backup(const Sim *sim, const PairDevice *device)
{
	return device->on && device->supervisor_runs && device->sync_runs && device->v->condition == SIM_RUNS && device->role.role == ROLE_BACKUP &&
	       device->mode == MODE_ACTIVE && answers(sim, device) && device->witness == PAIR_WITNESS_REACHED;
}

/* Who gives up for being cut off knows that the other is not, and does not do so at every turn of a bad cable. */
void pair_witness_check(Sim *sim, PairDevice *device, const RoleOnce *once)
{
	if (!once->resign || !g_str_equal(once->resign, "isolated"))
		return;
	if (device->witness != PAIR_WITNESS_LOST || sim->now_us - device->deaf_us < ISOLATED_US * 99 / 100) /* by another clock */
		sim_break(sim, "isolated-nowhere", "%s gives up as isolated, and has not been for long", device->id);
	else if (!device->peer.there || device->peer.role != ROLE_BACKUP || device->peer.mode != MODE_ACTIVE || device->peer.witness != PAIR_WITNESS_REACHED)
		sim_break(sim, "isolated-to-nobody", "%s gives up as isolated, and knows nobody who is better off", device->id);
	else if (device->isolated_us != 0 && device->isolated_boot == device->boots && pair_awake_us(sim, device) - device->isolated_us < ONCE_IN_US * 99 / 100)
		sim_break(sim, "isolated-again", "%s gives up as isolated once more after %" G_GINT64_FORMAT " s", device->id,
			  (pair_awake_us(sim, device) - device->isolated_us) / G_USEC_PER_SEC);
	device->isolated_us = pair_awake_us(sim, device);
	device->isolated_boot = device->boots;
}

/* Nothing else is wrong, the other is well and on the LAN, and this one is not. */
static void check_leads(Sim *sim, PairDevice *device)
{
	const PairDevice *other = pair_other(device);
	bool better = pair.n_faults_active == device->no_witness && pair_link_is_up() && device->supervisor_runs && device->sync_runs &&
		      device->v->condition == SIM_RUNS && device->witness == PAIR_WITNESS_LOST && device->role.role == ROLE_MASTER &&
		      is_healthy_backup(sim, other) && (device->isolated_us == 0 || pair_awake_us(sim, device) - device->isolated_us > ONCE_IN_US);

	if (device->witness != PAIR_WITNESS_LOST)
		device->deaf_us = sim->now_us;
	if (!better)
		device->better_us = 0;
	else if (device->better_us == 0)
		device->better_us = sim->now_us;
	else if (sim->now_us - device->better_us > ISOLATED_US + AT_LAST_US)
		sim_break(sim, "isolated-leads", "%s is cut off from the LAN and leads; %s is on it", device->id, other->id);
}

void pair_witness_always(Sim *sim)
{
	for (guint i = 0; i < 2 && pair.witness; i++)
		check_leads(sim, &pair.device[i]);
}
