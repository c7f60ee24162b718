/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/keeper/policy.c - the keeper's decisions as functions of time. */
#include "supervisor/keeper/policy.h"

#include <string.h>

#include "supervisor/keeper/wire.h"

void keeper_policy_init(KeeperPolicy *policy, gint64 now_us)
{
	*policy = (KeeperPolicy){ .due_us = now_us, .start_at_us = now_us };
}

void keeper_policy_started(KeeperPolicy *policy, gint64 now_us)
{
	policy->running = true;
	policy->up = policy->hung = false;
	policy->started_us = now_us;
	policy->lapsed_us = 0;
}

void keeper_policy_up(KeeperPolicy *policy)
{
	policy->up = true;
}

bool keeper_policy_woke(KeeperPolicy *policy, bool lapsed, gint64 now_us)
{
	/* Whoever slept late himself cannot say that the other was silent. */
	bool late = policy->due_us != G_MAXINT64 && now_us - policy->due_us > KEEPER_LATE_US;
	if (!policy->running || !lapsed) {
		policy->lapsed_us = 0;
		if (policy->running && policy->alone && policy->up && now_us - policy->started_us >= KEEPER_GROWN_US) {
			policy->alone = false;
			policy->n_failed = 0;
		}
		return false;
	}
	if (policy->lapsed_us == 0 || late)
		policy->lapsed_us = now_us;
	if (now_us - policy->lapsed_us < KEEPER_GRACE_US)
		return false;
	/* Its last turn was before that age. */
	policy->hung |= policy->lapsed_us - policy->started_us < KEEPER_GROWN_US + KEEPER_LEASE_US;
	policy->lapsed_us = 0;
	return true;
}

bool keeper_policy_waits(const KeeperPolicy *policy)
{
	return policy->running && policy->lapsed_us == 0;
}

bool keeper_policy_ended(KeeperPolicy *policy, bool killed, gint64 now_us)
{
	bool failed = !policy->up || policy->hung || (!killed && now_us - policy->started_us < KEEPER_GROWN_US);
	policy->running = false;
	policy->start_at_us = now_us;
	if (!failed)
		return false;
	if (policy->alone) {
		policy->start_at_us = now_us + KEEPER_RETRY_US;
		return true;
	}

	/* On a clock that stands still while a failing start is under way: one that hangs takes seconds, and five of them are as bad. */
	policy->hung_us += now_us - policy->started_us;
	gint64 at_us = now_us - policy->hung_us;
	while (policy->n_failed > 0 && (policy->n_failed == KEEPER_FAILED_STARTS || at_us - policy->failed_us[0] > KEEPER_FAILED_WITHIN_US))
		memmove(policy->failed_us, policy->failed_us + 1, --policy->n_failed * sizeof(gint64));
	policy->failed_us[policy->n_failed++] = at_us;
	if (policy->n_failed == KEEPER_FAILED_STARTS) {
		policy->alone = true;
		policy->start_at_us = now_us + KEEPER_RETRY_US;
		return true;
	}
	policy->start_at_us = now_us + KEEPER_FAILED_PAUSE_US;
	return false;
}

gint64 keeper_policy_next(KeeperPolicy *policy)
{
	if (!policy->running)
		policy->due_us = policy->start_at_us;
	else if (policy->lapsed_us)
		policy->due_us = policy->lapsed_us + KEEPER_GRACE_US;
	else if (policy->alone && policy->up)
		policy->due_us = policy->started_us + KEEPER_GROWN_US;
	else
		policy->due_us = G_MAXINT64;
	return policy->due_us;
}
