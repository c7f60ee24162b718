/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/orders/swap-rules.c - one refusal of handover.c after the other. */
#include "supervisor/orders/swap-rules.h"

#include "supervisor/role/handover.h"

void swap_rules_judge(Role role, const RoleFacts *facts, bool same_version, bool same_settings,
		      SwapObstacle ret_obstacles[SWAP_OBSTACLES_MAX])
{
	guint n = 0;
	const char *refusal;
	for (guint i = 0; i < SWAP_OBSTACLES_MAX; i++)
		ret_obstacles[i] = (SwapObstacle){ 0 };
	while ((refusal = handover_refusal(role, facts, same_version, same_settings))) {
		SwapObstacle *obstacle = &ret_obstacles[n++];
		obstacle->refusal = refusal;
		if (!same_version && g_str_has_prefix(refusal, "version-differs:")) {
			obstacle->gives_up = "whatever of the configuration the other version does not understand";
			same_version = true;
		} else if (!same_settings && g_str_has_prefix(refusal, "settings-differ:")) {
			obstacle->gives_up = "those changes of pair.conf that the other device does not have";
			same_settings = true;
		} else {
			return;
		}
	}
}

const char *swap_rules_refusal(const SwapObstacle *obstacles, bool force)
{
	for (; obstacles->refusal; obstacles++)
		if (!force || !obstacles->gives_up)
			return obstacles->refusal;
	return NULL;
}

bool swap_rules_may_pass(const SwapObstacle *obstacles, bool force)
{
	const char *refusal = swap_rules_refusal(obstacles, force);
	return refusal && g_str_has_prefix(refusal, "peer-not-backup:");
}
