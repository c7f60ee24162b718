/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/orders/swap-rules.h - all that stands in the way of a swap, and what is given up where it is forced. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "supervisor/role/role.h"

typedef struct {
	const char *refusal;  /* "code: text" */
	const char *gives_up; /* by force; NULL: it cannot be forced */
} SwapObstacle;

/* Ended by a NULL refusal; of what lies behind one that cannot be forced nothing is said. */
#define SWAP_OBSTACLES_MAX 4
void swap_rules_judge(Role role, const RoleFacts *facts, bool same_version, bool same_settings,
		      SwapObstacle ret_obstacles[SWAP_OBSTACLES_MAX]);

/* Why a swap is refused, or NULL. */
const char *swap_rules_refusal(const SwapObstacle *obstacles, bool force);

/* Whether nothing refuses it but the role that the peer told last: a word of another one may be on its way. */
bool swap_rules_may_pass(const SwapObstacle *obstacles, bool force);
