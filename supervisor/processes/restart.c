/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/restart.c - back-off. */
#include "supervisor/processes/restart.h"

gint64 restart_delay_us(const RestartPolicy *policy, RestartState *state, gint64 ran_us)
{
	if (ran_us >= policy->settled_us)
		state->n_row = 0;
	state->n_row++;
	state->n_total++;
	if (state->n_row <= policy->free)
		return 0;
	gint64 delay_us = policy->first_us;
	for (guint i = policy->free + 1; i < state->n_row && delay_us < policy->longest_us; i++)
		delay_us *= 2;
	return MIN(delay_us, policy->longest_us);
}

bool restart_has_failed(const RestartPolicy *policy, const RestartState *state)
{
	return state->n_row > policy->tolerated;
}
