/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-swap-rules.c - all that stands in the way of a swap, and what force can do about it. */
#include <glib.h>
#include <string.h>

#include "supervisor/orders/swap-rules.h"

static const RoleFacts possible = { .redundant = true, .paired = true, .peer_fresh = true, .peer_role = ROLE_BACKUP };

static char *code_of(const char *refusal)
{
	return refusal ? g_strndup(refusal, strcspn(refusal, ":")) : g_strdup("");
}

/* The codes for which it is refused, without and with force; "" where it is not. */
static void expect(Role role, RoleFacts facts, bool same_version, bool same_settings, const char *refused, const char *refused_by_force)
{
	SwapObstacle obstacles[SWAP_OBSTACLES_MAX];
	swap_rules_judge(role, &facts, same_version, same_settings, obstacles);
	g_autofree char *without = code_of(swap_rules_refusal(obstacles, false)), *with = code_of(swap_rules_refusal(obstacles, true));
	g_assert_cmpstr(without, ==, refused);
	g_assert_cmpstr(with, ==, refused_by_force);
}

static void test_refusals(void)
{
	RoleFacts facts = possible;
	expect(ROLE_MASTER, facts, true, true, "", "");
	for (Role role = ROLE_STANDALONE; role < ROLE_N; role++) {
		if (role != ROLE_MASTER)
			expect(role, facts, true, true, role == ROLE_STANDALONE ? "standalone" : "not-master", role == ROLE_STANDALONE ? "standalone" : "not-master");
		facts.peer_role = role;
		if (role != ROLE_BACKUP)
			expect(ROLE_MASTER, facts, true, true, "peer-not-backup", "peer-not-backup");
		facts = possible;
	}
	facts.peer_fresh = false;
	expect(ROLE_MASTER, facts, false, false, "peer-absent", "peer-absent"); /* of one that is not there nothing is said */
}

static void test_force(void)
{
	RoleFacts facts = possible;
	expect(ROLE_MASTER, facts, false, true, "version-differs", "");
	expect(ROLE_MASTER, facts, true, false, "settings-differ", "");
	SwapObstacle obstacles[SWAP_OBSTACLES_MAX];
	swap_rules_judge(ROLE_MASTER, &facts, false, false, obstacles);
	g_assert_nonnull(obstacles[0].gives_up);
	g_assert_true(g_str_has_prefix(obstacles[1].refusal, "settings-differ: "));
	g_assert_nonnull(obstacles[1].gives_up);
	g_assert_null(obstacles[2].refusal);
	facts.peer_role = ROLE_FAULT; /* one that cannot be forced behind those that can */
	expect(ROLE_MASTER, facts, false, false, "version-differs", "peer-not-backup");
}

static void test_may_pass(void)
{
	SwapObstacle obstacles[SWAP_OBSTACLES_MAX];
	RoleFacts facts = possible;
	swap_rules_judge(ROLE_MASTER, &facts, true, true, obstacles);
	g_assert_false(swap_rules_may_pass(obstacles, false));
	facts.peer_role = ROLE_FAULT;
	swap_rules_judge(ROLE_MASTER, &facts, true, true, obstacles);
	g_assert_true(swap_rules_may_pass(obstacles, false));
	swap_rules_judge(ROLE_MASTER, &facts, false, true, obstacles); /* its role is not all */
	g_assert_false(swap_rules_may_pass(obstacles, false));
	g_assert_true(swap_rules_may_pass(obstacles, true));
	facts.peer_fresh = false;
	swap_rules_judge(ROLE_MASTER, &facts, true, true, obstacles);
	g_assert_false(swap_rules_may_pass(obstacles, true));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/swap-rules/refusals", test_refusals);
	g_test_add_func("/swap-rules/force", test_force);
	g_test_add_func("/swap-rules/may-pass", test_may_pass);
	return g_test_run();
}
