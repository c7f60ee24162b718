/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/pair-orders.c - orders: the swap as swap.c carries it out, the mode and takeover as service.c does. */
#include <string.h>

#include "pair.h"

#define LEADS_US (10000 * SIM_MS)

typedef struct {
	PairAskKind kind;
	guint session, number;
	Mode mode;
	const char *refusal; /* of an answer */
} Message;

static void end_order(Sim *sim, PairOrder *order, PairOrderResult result, const char *why)
{
	if (order->result != ORDER_RUNS)
		return;
	order->result = result;
	order->why = why;
	sim_say(sim, "%c  order ends: %s", 'a' + order->device, result == ORDER_DONE ? "done" : why ? why : "refused");
}

void pair_order_end(Sim *sim, PairOrder *order, const char *why)
{
	end_order(sim, order, why ? ORDER_REFUSED : ORDER_DONE, why);
}

static bool same_settings(const PairDevice *device)
{
	return device->settings.text == device->peer.settings_text;
}

void pair_ask(Sim *sim, PairDevice *device, PairAskKind kind, guint number, gint64 timeout_us, Mode mode)
{
	Message *message = g_new0(Message, 1);

	*message = (Message){ kind, pair.session, number, mode, NULL };
	pair_later(sim, device, timeout_us, kind == ASK_MODE ? PAIR_ORDER_LATE : PAIR_SWAP_TIME, number, NULL);
	pair_later(sim, pair_other(device), pair_delay_us(sim, 1 - device->index), PAIR_ASK, 0, message);
}

/* ---- Swap, the Master's side ---- */

static void swap_step(Sim *sim, PairDevice *device, HandoverEvent event, const char *why);

static void resign(Sim *sim, PairDevice *device)
{
	device->not_resigned = device->v->condition != SIM_RUNS;
	if (device->not_resigned)
		return;
	sim_device_resign(sim, device->v);
	pair_election_changed(sim, device);
}

static void exchange_modes(PairDevice *device)
{
	device->promised = false;
	device->mode = device->disk.mode = device->swap_peer_mode;
}

static void swap_enter(Sim *sim, PairDevice *device)
{
	guint number = ++device->swap_number;
	PairOrder *order = device->swap;
	bool give_back = device->handover.give_back;

	switch (device->handover.step) {
	case HANDOVER_PREPARE:
		pair_ask(sim, device, ASK_PREPARE, number, 2000 * SIM_MS, device->mode);
		break;
	case HANDOVER_COMMIT:
	case HANDOVER_LAST_COMMIT:
		pair_later(sim, device, 1 * SIM_MS + sim_upto(sim, 30 * SIM_MS), PAIR_COMMITTED, number, NULL);
		pair_later(sim, device, 5000 * SIM_MS, PAIR_SWAP_TIME, number, NULL);
		break;
	case HANDOVER_APPLY:
	case HANDOVER_LAST_APPLY:
		pair_later(sim, device, device->handover.step == HANDOVER_APPLY ? 60000 * SIM_MS : 5000 * SIM_MS, PAIR_SWAP_TIME, number, NULL);
		pair_swap_look(sim, device);
		break;
	case HANDOVER_STOP:
		pair_think(sim, device, ROLE_EVENT_HAND_OVER);
		break;
	case HANDOVER_TAKE:
		if (device->mode == MODE_PASSIVE && device->swap_peer_mode == MODE_ACTIVE)
			device->disk.mode = MODE_ACTIVE;
		pair_ask(sim, device, ASK_TAKE, number, 1000 * SIM_MS, device->mode);
		break;
	case HANDOVER_RESIGN:
		device->promised = true;
		resign(sim, device);
		swap_step(sim, device, HANDOVER_EVENT_OK, NULL);
		break;
	case HANDOVER_LEADS:
		pair_later(sim, device, LEADS_US, PAIR_SWAP_TIME, number, NULL);
		break;
	case HANDOVER_DONE:
		if (device->promised && handover_may_be(&device->facts, device->swap_peer_mode))
			exchange_modes(device);
		device->not_resigned = false;
		device->swap = NULL;
		end_order(sim, order, ORDER_DONE, NULL);
		pair_check_swapped(sim, order);
		pair_think(sim, device, ROLE_EVENT_FACTS);
		break;
	case HANDOVER_FAILED:
	case HANDOVER_CANCELLED:
		device->disk.mode = device->mode;
		device->promised = device->not_resigned = false;
		device->swap = NULL;
		end_order(sim, order, ORDER_REFUSED, device->handover.error);
		if (give_back)
			pair_think(sim, device, ROLE_EVENT_HAND_OVER_ABORT);
		break;
	}
}

static void swap_step(Sim *sim, PairDevice *device, HandoverEvent event, const char *why)
{
	if (!device->swap || !handover_step(&device->handover, event, device->role.role, &device->facts))
		return;
	if (!device->handover.error)
		device->handover.error = why;
	sim_say(sim, "%s  swap: step %d", device->id, device->handover.step);
	swap_enter(sim, device);
}

/* As take_given_mode() in swap.c. True when it has. */
static bool take_given_mode(Sim *sim, PairDevice *device)
{
	gint64 until_us = device->given_until_us;
	bool in_time = pair_clock(sim, device) < until_us;

	if (until_us == 0 || !handover_may_be(&device->facts, device->mode_given))
		return false;
	device->given_until_us = 0;
	if (in_time)
		device->mode = device->disk.mode = device->mode_given;
	return in_time;
}

void pair_swap_taken(Sim *sim, PairDevice *device)
{
	device->given_until_us = pair_clock(sim, device) + LEADS_US;
	(void)take_given_mode(sim, device);
}

void pair_swap_look(Sim *sim, PairDevice *device)
{
	HandoverStep step = device->handover.step;

	if (device->supervisor_runs && device->promised && handover_mode_is_ours(device->role.role, &device->facts, device->swap_peer_mode)) {
		exchange_modes(device);
		pair_think(sim, device, ROLE_EVENT_FACTS); /* as supervisor_set_mode(): vrrpd is told at once; and looks here again */
		return;
	}
	if (device->supervisor_runs && take_given_mode(sim, device)) {
		pair_think(sim, device, ROLE_EVENT_FACTS);
		return;
	}
	if (!device->swap) {
		if (!device->supervisor_runs)
			return;
		/* A supervisor before this one may have died in the midst of a swap. */
		if (handover_nobody_finishes(device->role.role, &device->facts))
			pair_think(sim, device, ROLE_EVENT_HAND_OVER_ABORT);
		else if (device->role.role == ROLE_TAKING_OVER || device->role.role == ROLE_MASTER)
			device->promised = false;
		return;
	}
	if (device->not_resigned && device->role.role == ROLE_HANDING_OVER && device->facts.election == ELECTION_MASTER)
		resign(sim, device);
	if ((step == HANDOVER_APPLY || step == HANDOVER_LAST_APPLY) && device->facts.peer_fresh && pair_contains(device->peer.head, device->swap_target))
		swap_step(sim, device, HANDOVER_EVENT_OK, NULL);
	else
		swap_step(sim, device, HANDOVER_EVENT_FACTS, NULL);
}

static void committed(Sim *sim, PairDevice *device)
{
	if (!device->sync_runs || device->sync_role != SYNC_LEAD) {
		swap_step(sim, device, HANDOVER_EVENT_REFUSED, "commit-failed: syncd is not there");
		return;
	}
	pair_sync_commit(sim, device);
	device->swap_target = device->head;
	swap_step(sim, device, HANDOVER_EVENT_OK, NULL);
}

void pair_swap_forget(Sim *sim, PairDevice *device, const char *why)
{
	if (device->swap)
		end_order(sim, device->swap, ORDER_REFUSED, why);
	device->swap = NULL;
	device->swap_number++;
	for (guint i = 0; i < pair.n_orders; i++)
		if (pair.order[i].device == device->index)
			end_order(sim, &pair.order[i], ORDER_REFUSED, why);
}

static bool swaps(const Sim *sim, const PairDevice *device)
{
	return device->swap || device->promised || pair_clock(sim, device) < device->given_until_us;
}

/* An order in the midst of a swap goes to the one or the other, as it comes. */
static void note_mode(const Sim *sim, const PairDevice *device)
{
	const PairDevice *other = pair_other(device);

	pair.both_passive = (device->disk.mode == MODE_PASSIVE && other->disk.mode == MODE_PASSIVE) || swaps(sim, device) || swaps(sim, other);
}

/* ---- The other side ---- */

static void answer(Sim *sim, PairDevice *device, const SimEvent *event)
{
	const Message *asked = event->data;
	const char *refusal = NULL;
	Message *message;

	if (!pair_can_arrive(sim, device, event, asked->session, sizeof *asked) || !device->sync_runs || !device->supervisor_runs)
		return;
	if (asked->kind == ASK_MODE) {
		device->mode = device->disk.mode = asked->mode;
		note_mode(sim, device);
		pair_think(sim, device, ROLE_EVENT_FACTS);
	} else {
		pair_think(sim, device, ROLE_EVENT_FACTS);
		refusal = handover_take_refusal(device->role.role, &device->facts, true, same_settings(device));
	}
	if (asked->kind == ASK_TAKE && !refusal) {
		device->mode_given = asked->mode;
		device->given_until_us = 0;
		device->ordered_until_us = pair_awake_us(sim, device) + 16 * G_USEC_PER_SEC;
		pair_think(sim, device, ROLE_EVENT_TAKE_EXPECTED);
	}
	message = g_new0(Message, 1);
	*message = *asked;
	message->refusal = refusal;
	pair_later(sim, pair_other(device), pair_delay_us(sim, 1 - device->index), PAIR_ANSWER, 0, message);
}

static void answered(Sim *sim, PairDevice *device, const SimEvent *event)
{
	const Message *message = event->data;

	if (!pair_can_arrive(sim, device, event, message->session, sizeof *message) || !device->sync_runs || !device->supervisor_runs)
		return;
	if (message->kind == ASK_MODE)
		end_order(sim, &pair.order[message->number], ORDER_DONE, NULL);
	else if (device->swap && message->number == device->swap_number)
		swap_step(sim, device, message->refusal ? HANDOVER_EVENT_REFUSED : HANDOVER_EVENT_OK, message->refusal);
}

/* ---- Orders ---- */

static const char *begin_swap(Sim *sim, PairDevice *device, PairOrder *order)
{
	const char *refusal = handover_refusal(device->role.role, &device->facts, true, same_settings(device));

	if (device->swap)
		return "busy: a swap is under way";
	if (refusal)
		return refusal;
	device->swap = order;
	for (guint i = 0; i < 2; i++)
		order->before[i] = pair.device[i].mode;
	device->handover = (Handover){ 0 };
	device->swap_peer_mode = device->facts.peer_mode;
	device->n_health = 0;
	swap_enter(sim, device);
	pair_undo_reset(sim, device);
	return NULL;
}

static const char *set_mode(Sim *sim, PairDevice *device, PairOrder *order, Mode mode)
{
	if (pair_leads(device->role.role)) {
		if (!pair.link || !device->sync_runs)
			return "peer-absent: the mode is the Backup's, and it is not connected";
		pair_ask(sim, device, ASK_MODE, (guint)(order - pair.order), 2000 * SIM_MS, mode);
		return NULL;
	}
	device->mode = device->disk.mode = mode;
	note_mode(sim, device);
	end_order(sim, order, ORDER_DONE, NULL);
	pair_think(sim, device, ROLE_EVENT_FACTS);
	return NULL;
}

static const char *take_over(Sim *sim, PairDevice *device, PairOrder *order, bool force)
{
	const RoleFacts *facts = &device->facts;

	if (facts->election == ELECTION_MASTER)
		return "is-master: this device leads already";
	if (facts->election == ELECTION_UNKNOWN || device->v->condition != SIM_RUNS)
		return "election-absent: vrrpd does not answer";
	if (!force && facts->peer_fresh && pair_leads(facts->peer_role))
		return "master-alive: the Master is there; swap, or force";
	if (!force && device->disk.joining)
		return "first-sync: the first synchronisation is not done; or force";
	if (device->v->candidate.machine.state == VRRP_STATE_INIT)
		return "no-link: the election does not run";
	device->ordered_until_us = pair_awake_us(sim, device) + 6 * G_USEC_PER_SEC;
	device->excused |= device->role.doubtful;
	device->n_health = 0;
	pair_undo_reset(sim, device);
	sim_device_take(sim, device->v);
	pair_election_changed(sim, device);
	end_order(sim, order, ORDER_DONE, NULL);
	return NULL;
}

void pair_order(Sim *sim, PairOrderKind kind, PairDevice *device, guint amount)
{
	static const char *const names[] = { "swap", "mode", "takeover", "settings" };
	PairOrder *order;
	const char *refusal = NULL;

	if (pair.n_orders == G_N_ELEMENTS(pair.order))
		return;
	order = &pair.order[pair.n_orders++];
	*order = (PairOrder){ .kind = kind, .device = device->index, .at_us = sim->now_us };
	sim_say(sim, "%s  is ordered: %s (%u)", device->id, names[kind], amount);
	if (!device->supervisor_runs || device->v->condition == SIM_SUSPENDED) {
		end_order(sim, order, ORDER_REFUSED, "not-reachable: nobody answers");
		return;
	}
	pair_think(sim, device, ROLE_EVENT_FACTS);
	switch (kind) {
	case ORDER_SWAP:
		refusal = begin_swap(sim, device, order);
		break;
	case ORDER_MODE:
		refusal = set_mode(sim, device, order, amount & 1 ? MODE_PASSIVE : MODE_ACTIVE);
		break;
	case ORDER_TAKE:
		refusal = take_over(sim, device, order, amount & 1);
		break;
	case ORDER_SETTINGS:
		refusal = pair_settings_order(sim, device, order, amount);
		break;
	}
	if (refusal)
		end_order(sim, order, ORDER_REFUSED, refusal);
}

void pair_order_event(Sim *sim, PairDevice *device, const SimEvent *event)
{
	bool mine = device->swap && event->generation == device->swap_number;
	PairEventKind what = event->what;

	if (what == PAIR_COMMITTED && mine)
		committed(sim, device);
	else if (what == PAIR_SWAP_TIME && mine)
		swap_step(sim, device, device->handover.step == HANDOVER_LEADS ? HANDOVER_EVENT_LATE : HANDOVER_EVENT_REFUSED,
			  "too-late: no answer in time");
	else if (what == PAIR_ASK)
		answer(sim, device, event);
	else if (what == PAIR_ANSWER)
		answered(sim, device, event);
	else if (what == PAIR_ORDER_LATE)
		end_order(sim, &pair.order[event->generation], ORDER_REFUSED, "peer-absent: no answer in time");
}
