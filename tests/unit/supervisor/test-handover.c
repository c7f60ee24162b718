/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-handover.c - a swap: each step, each way out of it, each refusal. */
#include <glib.h>

#include "supervisor/role/handover.h"

static const RoleFacts ready = { .redundant = true, .paired = true, .peer_fresh = true, .peer_role = ROLE_BACKUP, .election = ELECTION_MASTER };

static void to(Handover *handover, HandoverEvent event, Role role, const RoleFacts *facts, HandoverStep step)
{
	HandoverStep before = handover->step;
	g_assert_cmpint(handover_step(handover, event, role, facts), ==, before != step);
	g_assert_cmpint(handover->step, ==, step);
}

static Handover at(HandoverStep step)
{
	return (Handover){ .step = step };
}

static void test_whole(void)
{
	Handover handover = { 0 };
	RoleFacts facts = ready;
	to(&handover, HANDOVER_EVENT_FACTS, ROLE_MASTER, &facts, HANDOVER_PREPARE);
	to(&handover, HANDOVER_EVENT_OK, ROLE_MASTER, &facts, HANDOVER_COMMIT);
	to(&handover, HANDOVER_EVENT_OK, ROLE_MASTER, &facts, HANDOVER_APPLY);
	to(&handover, HANDOVER_EVENT_OK, ROLE_MASTER, &facts, HANDOVER_STOP);
	to(&handover, HANDOVER_EVENT_FACTS, ROLE_HANDING_OVER, &facts, HANDOVER_STOP); /* they are still stopping */
	facts.apps_stopped = true;
	to(&handover, HANDOVER_EVENT_FACTS, ROLE_HANDING_OVER, &facts, HANDOVER_LAST_COMMIT);
	to(&handover, HANDOVER_EVENT_OK, ROLE_HANDING_OVER, &facts, HANDOVER_LAST_APPLY);
	to(&handover, HANDOVER_EVENT_OK, ROLE_HANDING_OVER, &facts, HANDOVER_TAKE);
	to(&handover, HANDOVER_EVENT_OK, ROLE_HANDING_OVER, &facts, HANDOVER_RESIGN);
	to(&handover, HANDOVER_EVENT_OK, ROLE_HANDING_OVER, &facts, HANDOVER_LEADS);
	facts.peer_role = ROLE_TAKING_OVER;
	to(&handover, HANDOVER_EVENT_FACTS, ROLE_BACKUP, &facts, HANDOVER_LEADS);
	facts.peer_role = ROLE_MASTER;
	to(&handover, HANDOVER_EVENT_FACTS, ROLE_BACKUP, &facts, HANDOVER_DONE);
	g_assert_false(handover.give_back);
	to(&handover, HANDOVER_EVENT_LATE, ROLE_BACKUP, &facts, HANDOVER_DONE);
}

static void test_refused_gives_back_what_was_stopped(void)
{
	for (HandoverStep step = HANDOVER_PREPARE; step < HANDOVER_DONE; step++) {
		Handover handover = at(step);
		to(&handover, HANDOVER_EVENT_REFUSED, ROLE_MASTER, &ready, HANDOVER_FAILED);
		g_assert_cmpint(handover.give_back, ==, step >= HANDOVER_STOP && step < HANDOVER_RESIGN);
		g_assert_null(handover.error);
	}
}

static void test_cancelled_only_while_serving(void)
{
	for (HandoverStep step = HANDOVER_PREPARE; step < HANDOVER_DONE; step++) {
		Handover handover = at(step);
		to(&handover, HANDOVER_EVENT_CANCEL, ROLE_MASTER, &ready, step < HANDOVER_STOP ? HANDOVER_CANCELLED : step);
	}
}

static void test_another_leads_meanwhile(void)
{
	for (HandoverStep step = HANDOVER_PREPARE; step < HANDOVER_RESIGN; step++) {
		Handover handover = at(step);
		to(&handover, HANDOVER_EVENT_FACTS, ROLE_BACKUP, &ready, HANDOVER_FAILED);
		g_assert_true(g_str_has_prefix(handover.error, "not-master: "));
	}
}

static void test_peer_does_not_come(void)
{
	Handover handover = at(HANDOVER_LEADS);
	to(&handover, HANDOVER_EVENT_FACTS, ROLE_BACKUP, &ready, HANDOVER_LEADS);
	to(&handover, HANDOVER_EVENT_FACTS, ROLE_TAKING_OVER, &ready, HANDOVER_FAILED);
	g_assert_true(g_str_has_prefix(handover.error, "peer-late: "));
	handover = at(HANDOVER_LEADS);
	to(&handover, HANDOVER_EVENT_LATE, ROLE_BACKUP, &ready, HANDOVER_FAILED);
	g_assert_true(g_str_has_prefix(handover.error, "peer-late: "));
	g_assert_false(handover.give_back);
	/* The election never let go: the service is ours still, and nobody else's. */
	handover = at(HANDOVER_LEADS);
	to(&handover, HANDOVER_EVENT_LATE, ROLE_HANDING_OVER, &ready, HANDOVER_FAILED);
	g_assert_true(handover.give_back);
}

/* The modes change places with the roles: a device is never passive while the other may be, nor active by a swap while it holds on to its role. */
static void test_modes_go_with_the_roles(void)
{
	for (Role role = ROLE_STANDALONE; role < ROLE_N; role++)
		for (Role peer_role = ROLE_STANDALONE; peer_role < ROLE_N; peer_role++)
			for (guint fresh = 0; fresh < 2; fresh++)
				for (Mode peer_mode = MODE_ACTIVE; peer_mode <= MODE_PASSIVE; peer_mode++) {
					RoleFacts facts = ready;
					facts.peer_role = peer_role;
					facts.peer_fresh = fresh;
					facts.peer_mode = peer_mode;
					g_assert_cmpint(handover_mode_is_ours(role, &facts, MODE_ACTIVE), ==, role == ROLE_BACKUP);
					g_assert_cmpint(handover_mode_is_ours(role, &facts, MODE_PASSIVE), ==,
							role == ROLE_BACKUP && fresh && peer_role == ROLE_MASTER && peer_mode == MODE_ACTIVE);
				}
}

/* Who was passive, led by order and hands over, may lose its link before it hears that the other takes over: it stays what it is, and the other stays active. */
static void test_nobody_is_passive_beside_a_passive_one(void)
{
	RoleFacts facts = ready;
	facts.peer_mode = MODE_PASSIVE;
	g_assert_true(handover_may_be(&facts, MODE_ACTIVE));
	g_assert_false(handover_may_be(&facts, MODE_PASSIVE));
	facts.peer_mode = MODE_ACTIVE;
	g_assert_true(handover_may_be(&facts, MODE_ACTIVE));
	g_assert_true(handover_may_be(&facts, MODE_PASSIVE));
	facts.peer_fresh = false; /* it was, when it was last heard */
	g_assert_true(handover_may_be(&facts, MODE_ACTIVE));
	g_assert_false(handover_may_be(&facts, MODE_PASSIVE));
}

static void test_nobody_finishes(void)
{
	RoleFacts facts = ready;
	g_assert_true(handover_nobody_finishes(ROLE_HANDING_OVER, &facts));
	g_assert_false(handover_nobody_finishes(ROLE_MASTER, &facts));
	facts.election = ELECTION_BACKUP; /* it resigned before it died */
	g_assert_false(handover_nobody_finishes(ROLE_HANDING_OVER, &facts));
	facts.election = ELECTION_MASTER; /* a vrrpd that is stopped says so still */
	facts.peer_role = ROLE_TAKING_OVER;
	g_assert_false(handover_nobody_finishes(ROLE_HANDING_OVER, &facts));
	facts.peer_role = ROLE_MASTER;
	g_assert_false(handover_nobody_finishes(ROLE_HANDING_OVER, &facts));
	facts.peer_fresh = false;
	g_assert_true(handover_nobody_finishes(ROLE_HANDING_OVER, &facts));
}

static void expect_refusal(const char *refusal, const char *code)
{
	if (!code)
		g_assert_null(refusal);
	else
		g_assert_true(refusal && g_str_has_prefix(refusal, code));
}

static void test_refusals(void)
{
	RoleFacts facts = ready;
	expect_refusal(handover_refusal(ROLE_MASTER, &facts, true, true), NULL);
	expect_refusal(handover_refusal(ROLE_BACKUP, &facts, true, true), "not-master: ");
	expect_refusal(handover_refusal(ROLE_STANDALONE, &facts, true, true), "standalone: ");
	expect_refusal(handover_refusal(ROLE_MASTER, &facts, false, true), "version-differs: ");
	expect_refusal(handover_refusal(ROLE_MASTER, &facts, true, false), "settings-differ: ");
	facts.peer_role = ROLE_FAULT;
	expect_refusal(handover_refusal(ROLE_MASTER, &facts, true, true), "peer-not-backup: ");
	facts.peer_fresh = false;
	expect_refusal(handover_refusal(ROLE_MASTER, &facts, true, true), "peer-absent: ");

	facts = (RoleFacts){ .redundant = true, .election = ELECTION_BACKUP, .apps_stopped = true };
	expect_refusal(handover_take_refusal(ROLE_BACKUP, &facts, true, true), NULL);
	expect_refusal(handover_take_refusal(ROLE_MASTER, &facts, true, true), "peer-not-backup: ");
	expect_refusal(handover_take_refusal(ROLE_BACKUP, &facts, false, true), "version-differs: ");
	expect_refusal(handover_take_refusal(ROLE_BACKUP, &facts, true, false), "settings-differ: ");
	facts.apps_stopped = false;
	expect_refusal(handover_take_refusal(ROLE_BACKUP, &facts, true, true), "applications-stopping: ");
	facts.apps_stopped = true;
	facts.joining = true;
	expect_refusal(handover_take_refusal(ROLE_BACKUP, &facts, true, true), "first-sync: ");
	facts.joining = false;
	facts.election = ELECTION_UNKNOWN;
	expect_refusal(handover_take_refusal(ROLE_BACKUP, &facts, true, true), "no-election: ");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/handover/whole", test_whole);
	g_test_add_func("/handover/refused-gives-back", test_refused_gives_back_what_was_stopped);
	g_test_add_func("/handover/cancelled-only-while-serving", test_cancelled_only_while_serving);
	g_test_add_func("/handover/another-leads-meanwhile", test_another_leads_meanwhile);
	g_test_add_func("/handover/peer-does-not-come", test_peer_does_not_come);
	g_test_add_func("/handover/modes-go-with-the-roles", test_modes_go_with_the_roles);
	g_test_add_func("/handover/nobody-is-passive-beside-a-passive-one", test_nobody_is_passive_beside_a_passive_one);
	g_test_add_func("/handover/nobody-finishes", test_nobody_finishes);
	g_test_add_func("/handover/refusals", test_refusals);
	return g_test_run();
}
