/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-role.c - the role machine, named by rule: booting, taking over, losing, orders, health. */
#include <glib.h>
#include <string.h>

#include "test-role.h"

/* ---- Standalone ---- */

static void test_standalone_runs_applications(void)
{
	Device device = paired("a");
	device.facts.redundant = device.facts.paired = false;
	device.facts.election = ELECTION_INIT;
	look(&device);
	expect_role(&device, ROLE_STANDALONE);
	g_assert_cmpint(device.posture.drop, ==, DROP_NONE);
	g_assert_cmpint(device.posture.sync, ==, SYNC_LEAD);
	g_assert_true(device.posture.may_run);
	g_assert_false(device.posture.run_applications); /* the files are settled first */
	device.facts.sync_settled = true;
	look(&device);
	g_assert_true(device.posture.run_applications);
	g_assert_false(device.posture.hold_passive || device.posture.hold_cold_boot || device.posture.hold_first_sync);
}

static void test_standalone_does_not_wait_for_ever(void)
{
	Device device = paired("a");
	device.facts.redundant = false;
	look(&device);
	g_assert_cmpint(device.posture.next_us, >, 0);
	device.now_us = device.posture.next_us;
	look(&device);
	g_assert_true(device.posture.run_applications);
}

/* Forced: what it has counts from now on, also after the next power loss. */
static void test_join_ends_where_it_leads(void)
{
	Device device = paired("a");
	device.facts.joining = true;
	look(&device);
	g_assert_true(device.posture.hold_first_sync);
	g_assert_false(device.once.joined);
	elect(&device);
	g_assert_true(device.once.joined);
	look(&device);
	g_assert_false(device.once.joined);

	device = master("a"); /* of nobody, when it joins: that does not decide */
	device.facts.joining = true;
	look(&device);
	g_assert_false(device.once.joined);
}

static void test_join_stops_applications_and_holds(void)
{
	Device device = paired("a");
	device.facts.redundant = device.facts.paired = false;
	device.facts.sync_settled = true;
	look(&device);
	later(&device, 60 * S);
	device.facts = (RoleFacts){ .redundant = true, .paired = true, .joining = true, .cold_boot_wait_us = 15 * S, .first_answer_us = 30 * S,
				    .election = ELECTION_UNKNOWN, .carrier = true, .election_reason = "test", .apps_ready = true };
	look(&device);
	expect_role(&device, ROLE_INIT);
	g_assert_false(device.posture.run_applications || device.posture.may_run);
	g_assert_true(device.posture.hold_first_sync);
	g_assert_cmpint(device.posture.sync, ==, SYNC_KEEP); /* nothing is applied under running applications */
	device.facts.apps_stopped = true;
	device.facts.election = ELECTION_BACKUP;
	look(&device);
	expect_role(&device, ROLE_BACKUP);
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
	device.facts.joining = false;
	look(&device);
	g_assert_false(device.posture.hold_first_sync);
}

/* ---- Cold boot ---- */

static void test_cold_boot_waits_for_the_peer(void)
{
	Device device = paired("a");
	look(&device);
	g_assert_true(device.posture.hold_cold_boot);
	later(&device, 14 * S);
	g_assert_true(device.posture.hold_cold_boot);
	later(&device, 1 * S);
	g_assert_false(device.posture.hold_cold_boot); /* alone, it leads */
}

static void test_cold_boot_unpaired_does_not_wait(void)
{
	Device device = paired("a");
	device.facts.paired = false;
	look(&device);
	g_assert_false(device.posture.hold_cold_boot);
}

static void test_cold_boot_hearing_a_master(void)
{
	Device device = paired("a");
	device.facts.master_heard = true;
	look(&device);
	g_assert_false(device.posture.hold_cold_boot);
	Device other = paired("a");
	hear(&other, ROLE_TAKING_OVER, 3, "b");
	look(&other);
	g_assert_false(other.posture.hold_cold_boot);
}

static void set_known(Device *device, guint64 number, const char *id)
{
	device->machine.known.number = number;
	g_strlcpy(device->machine.known.id, id, sizeof device->machine.known.id);
	device->machine.line = device->facts.own_line = device->machine.known;
	device->facts.own_line_known = true;
}

static void test_cold_boot_fresher_leads(void)
{
	static const struct {
		guint64 ours;
		const char *our_id;
		guint64 theirs;
		const char *their_id;
		bool same_data;
		gint64 own_boot_ms;
		bool lead;
	} cases[] = {
		{ 5, "a", 4, "b", false, 9000, true },  { 4, "b", 5, "a", false, 1000, false },
		{ 5, "a", 5, "a", false, 9000, true },	{ 5, "b", 5, "b", false, 1000, false }, /* who led last has what it wrote last */
		{ 5, "a", 5, "a", true, 9000, false },	{ 5, "b", 5, "b", true, 1000, true },	/* the same: who was up first */
		{ 0, "", 0, "", false, 1000, true },	{ 0, "", 0, "", false, 9000, false },
	};
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		Device device = paired("a");
		set_known(&device, cases[i].ours, cases[i].our_id);
		hear(&device, ROLE_BACKUP, cases[i].theirs, cases[i].their_id);
		device.facts.peer_same_data = cases[i].same_data;
		device.facts.own_boot_ms = cases[i].own_boot_ms;
		look(&device);
		g_assert_cmpint(!device.posture.hold_cold_boot, ==, cases[i].lead);
	}
}

/* The peer is heard of through syncd, which may have said nothing else yet. */
static void test_cold_boot_own_data_unknown(void)
{
	Device device = paired("a");
	device.facts.own_line_known = false;
	hear(&device, ROLE_BACKUP, 0, "");
	device.facts.own_boot_ms = 1000;
	look(&device);
	g_assert_true(device.posture.hold_cold_boot);
	device.facts.own_line_known = true;
	look(&device);
	g_assert_false(device.posture.hold_cold_boot);
}

static void test_cold_boot_never_both_give_way(void)
{
	/* Whatever the two know, at least one of them leads before the wait is over. */
	for (guint64 bits = 0; bits < 64; bits++) {
		Device a = paired("a"), b = paired("b");
		set_known(&a, 1 + (bits & 1), bits & 2 ? "a" : "b");
		set_known(&b, 1 + (bits >> 2 & 1), bits & 8 ? "a" : "b");
		a.facts.peer_same_data = b.facts.peer_same_data = bits & 16;
		Term of_a = a.machine.known, of_b = b.machine.known;
		hear(&a, ROLE_BACKUP, of_b.number, of_b.id);
		hear(&b, ROLE_BACKUP, of_a.number, of_a.id);
		a.facts.own_boot_ms = b.facts.peer_boot_ms = 5000;
		b.facts.own_boot_ms = a.facts.peer_boot_ms = bits & 32 ? 5000 : 6000;
		look(&a);
		look(&b);
		g_assert_true(!a.posture.hold_cold_boot || !b.posture.hold_cold_boot);
	}
}

/* The other comes at the last moment, and has the newer data: it leads, unless it does not come to it. */
static void test_cold_boot_fresher_comes_late(void)
{
	Device device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "b" }, 5, false);
	look(&device);
	later(&device, 14 * S);
	hear(&device, ROLE_INIT, 4, "b");
	look(&device);
	g_assert_cmpint(device.posture.cold_boot_until_us, ==, device.now_us + 10 * S);
	later(&device, 1 * S);
	g_assert_true(device.posture.hold_cold_boot);
	g_assert_cmpint(device.posture.next_us, ==, device.now_us + 9 * S);

	Device other = device;
	later(&other, 9 * S);
	g_assert_false(other.posture.hold_cold_boot);
	other = device;
	other.facts.peer_role = ROLE_MASTER;
	look(&other);
	g_assert_false(other.posture.hold_cold_boot);
	other = device;
	other.facts.peer_fresh = false; /* gone again: as long as it was */
	later(&other, 9 * S);
	g_assert_false(other.posture.hold_cold_boot);

	/* One that will not lead by itself is not waited for. */
	for (guint i = 0; i < 2; i++) {
		device = paired("a");
		role_remember(&device.machine, &(Term){ 4, "b" }, 5, false);
		look(&device);
		later(&device, 14 * S);
		hear(&device, i ? ROLE_FAULT : ROLE_BACKUP, 4, "b");
		device.facts.peer_mode = i ? MODE_ACTIVE : MODE_PASSIVE;
		later(&device, 1 * S);
		g_assert_false(device.posture.hold_cold_boot);
	}
}

/* ---- Taking over ---- */

static void test_takeover_in_order(void)
{
	Device device = backup("a");
	g_assert_cmpint(device.posture.drop, ==, DROP_ALWAYS);
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
	elect(&device);
	expect_role(&device, ROLE_TAKING_OVER);
	g_assert_true(device.once.role_changed && device.once.term_changed);
	g_assert_cmpint(device.posture.drop, ==, DROP_TIMED);
	g_assert_cmpint(device.posture.sync, ==, SYNC_LEAD);
	g_assert_false(device.posture.run_applications || device.posture.serving);
	device.facts.sync_settled = true;
	look(&device);
	g_assert_true(device.posture.run_applications);
	device.facts.apps_stopped = false;
	look(&device);
	expect_role(&device, ROLE_TAKING_OVER);
	device.facts.apps_ready = true;
	look(&device);
	expect_role(&device, ROLE_MASTER);
	g_assert_true(device.once.announce && device.posture.serving);
	g_assert_cmpint(device.posture.drop, ==, DROP_NONE);
}

static void test_takeover_does_not_wait_for_syncd(void)
{
	Device device = backup("a");
	elect(&device);
	later(&device, 199 * MS);
	g_assert_false(device.posture.run_applications);
	g_assert_cmpint(device.posture.next_us, ==, device.now_us + 1 * MS);
	later(&device, 1 * MS);
	g_assert_true(device.posture.run_applications);
}

static void test_takeover_waits_for_an_apply_past_its_mark(void)
{
	Device device = backup("a");
	device.facts.sync_applying = true;
	elect(&device);
	later(&device, 500 * MS);
	g_assert_false(device.posture.run_applications);
	device.facts.sync_applying = false;
	device.facts.sync_settled = true;
	look(&device);
	g_assert_true(device.posture.run_applications);
}

static void test_takeover_late_applications(void)
{
	Device device = backup("a");
	elect(&device);
	later(&device, 30 * S);
	expect_role(&device, ROLE_MASTER);
	g_assert_false(device.posture.serving);
	g_assert_cmpint(device.posture.drop, ==, DROP_NONE);
	device.facts.apps_ready = true;
	look(&device);
	g_assert_true(device.posture.serving);
}

static void test_took_as_told(void)
{
	Device device = backup("a");
	look_with(&device, ROLE_EVENT_TAKE_EXPECTED);
	later(&device, 1 * S);
	elect(&device);
	g_assert_true(device.once.took_as_told);

	device = backup("a");
	look_with(&device, ROLE_EVENT_TAKE_EXPECTED);
	later(&device, 11 * S); /* it did not come to it */
	elect(&device);
	g_assert_false(device.once.took_as_told);
}

/* ---- Losing ---- */

static void test_lost_election_stops_applications_before_following(void)
{
	Device device = master("a");
	device.facts.election = ELECTION_BACKUP;
	device.facts.election_reason = "priority-lost";
	look(&device);
	expect_role(&device, ROLE_BACKUP);
	g_assert_cmpstr(device.machine.reason, ==, "priority-lost");
	g_assert_false(device.posture.run_applications || device.posture.may_run || device.posture.serving);
	g_assert_cmpint(device.posture.drop, ==, DROP_ALWAYS);
	g_assert_cmpint(device.posture.sync, ==, SYNC_KEEP);
	device.facts.apps_stopped = true;
	look(&device);
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
}

static void test_master_file_outlives_the_applications(void)
{
	Device device = master("a");
	g_assert_true(role_wants_master_file(&device.posture, false, false));
	device.facts.election = ELECTION_BACKUP;
	look(&device);
	g_assert_true(role_wants_master_file(&device.posture, true, false));
	g_assert_false(role_wants_master_file(&device.posture, true, true));
	g_assert_false(role_wants_master_file(&device.posture, false, false)); /* of one that has not led, whatever runs there */
}

static void test_link_loss_is_a_fault(void)
{
	Device device = master("a");
	device.facts.election = ELECTION_INIT;
	device.facts.carrier = false;
	look(&device);
	expect_role(&device, ROLE_FAULT);
	g_assert_false(device.posture.run_applications);
	device.facts.election = ELECTION_BACKUP;
	device.facts.carrier = true;
	look(&device);
	expect_role(&device, ROLE_BACKUP);
}

static void test_starting_without_link(void)
{
	Device device = paired("a");
	device.facts.election = ELECTION_INIT;
	device.facts.carrier = false; /* not looked at yet, perhaps */
	look(&device);
	expect_role(&device, ROLE_INIT);
	later(&device, 1 * S);
	expect_role(&device, ROLE_FAULT);
}

static void test_vrrpd_restart_changes_nothing(void)
{
	Device device = master("a");
	device.facts.election = ELECTION_UNKNOWN;
	look(&device);
	later(&device, 4 * S);
	expect_role(&device, ROLE_MASTER);
	g_assert_true(device.posture.run_applications && device.posture.serving);
	device.facts.election = ELECTION_INIT;
	look(&device);
	expect_role(&device, ROLE_INIT); /* too long ago that it was known */

	device = master("a");
	device.facts.election = ELECTION_UNKNOWN;
	look(&device);
	device.facts.election = ELECTION_INIT;
	later(&device, 20 * MS);
	expect_role(&device, ROLE_MASTER);
	device.facts.election = ELECTION_MASTER;
	later(&device, 20 * MS);
	expect_role(&device, ROLE_MASTER);
	g_assert_false(device.once.role_changed);
	/* Once more, later: that counts from then. */
	later(&device, 10 * S);
	device.facts.election = ELECTION_UNKNOWN;
	look(&device);
	later(&device, 4 * S);
	expect_role(&device, ROLE_MASTER);
}

/* It was away for longer than the other waits: the applications do not run on both until it is missed for good. */
static void test_vrrpd_away_and_superseded(void)
{
	static const Election elections[] = { ELECTION_UNKNOWN, ELECTION_INIT };
	for (gsize i = 0; i < G_N_ELEMENTS(elections); i++) {
		Device device = master("a");
		hear(&device, ROLE_BACKUP, 5, "a");
		device.facts.election = elections[i];
		look(&device);
		expect_role(&device, ROLE_MASTER);
		hear(&device, ROLE_TAKING_OVER, 6, "b");
		look(&device);
		expect_role(&device, ROLE_FAULT);
		g_assert_false(device.posture.run_applications);
		g_assert_cmpint(device.posture.sync, !=, SYNC_LEAD);
		device.facts.election = ELECTION_BACKUP;
		look(&device);
		expect_role(&device, ROLE_BACKUP);
	}
}

static Device superseded(void)
{
	Device device = master("a");
	hear(&device, ROLE_BACKUP, 5, "a");
	device.facts.election = ELECTION_UNKNOWN;
	look(&device);
	hear(&device, ROLE_MASTER, 6, "b");
	look(&device);
	expect_role(&device, ROLE_FAULT);
	device.facts.apps_ready = device.facts.sync_settled = false;
	device.facts.apps_stopped = true;
	device.facts.election = ELECTION_MASTER; /* it goes on where it stopped, and has heard nobody yet */
	look(&device);
	return device;
}

static void test_superseded_is_not_won_again(void)
{
	Device device = superseded();
	expect_role(&device, ROLE_FAULT);
	g_assert_null(device.once.resign);
	g_assert_cmpint(device.posture.next_us, ==, device.now_us + 3 * S);
	device.facts.election = ELECTION_BACKUP;
	later(&device, 10 * MS);
	expect_role(&device, ROLE_BACKUP);
	device.facts.election = ELECTION_MASTER; /* won after that */
	look(&device);
	expect_role(&device, ROLE_TAKING_OVER);
	g_assert_cmpuint(device.machine.known.number, ==, 7);

	/* The other yields. */
	device = superseded();
	device.facts.peer_role = ROLE_BACKUP;
	look(&device);
	expect_role(&device, ROLE_TAKING_OVER);

	/* Nobody does: the one that serves goes on, and ours says so again. */
	device = superseded();
	later(&device, 3 * S);
	g_assert_cmpstr(device.once.resign, ==, "superseded");
	look(&device);
	g_assert_null(device.once.resign);
	later(&device, 3 * S);
	g_assert_cmpstr(device.once.resign, ==, "superseded");

	/* Also by the next supervisor. */
	device = superseded();
	role_resume(&device.machine, device.now_us);
	look(&device);
	expect_role(&device, ROLE_FAULT);
}

/* While our vrrpd is away nobody knows whether it is still ours: no term but our own is led in. */
static void test_vrrpd_away_and_a_newer_term(void)
{
	Device device = master("a");
	hear(&device, ROLE_BACKUP, 9, "b");
	device.facts.election = ELECTION_UNKNOWN;
	look(&device);
	expect_role(&device, ROLE_MASTER);
	g_assert_cmpstr(device.machine.known.id, ==, "a");
	g_assert_cmpuint(device.machine.known.number, ==, 5);

	Device back = device;
	back.facts.election = ELECTION_MASTER;
	look(&back);
	g_assert_cmpuint(back.machine.known.number, ==, 10);
	g_assert_cmpstr(back.machine.known.id, ==, "a");

	later(&device, 5 * S);
	expect_role(&device, ROLE_FAULT);
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 9);
	g_assert_cmpstr(device.machine.known.id, ==, "b");
}

static void test_vrrpd_gone_is_a_fault(void)
{
	Device device = master("a");
	device.facts.election = ELECTION_UNKNOWN;
	look(&device);
	g_assert_cmpint(device.posture.next_us, ==, device.now_us + 5 * S);
	later(&device, 5 * S);
	expect_role(&device, ROLE_FAULT);
}

/* ---- Orders ---- */

static void test_swap_hands_over(void)
{
	Device device = master("a");
	hear(&device, ROLE_BACKUP, 5, "a");
	look_with(&device, ROLE_EVENT_HAND_OVER);
	expect_role(&device, ROLE_HANDING_OVER);
	g_assert_false(device.posture.run_applications || device.posture.serving);
	g_assert_true(device.posture.may_run);
	g_assert_cmpint(device.posture.drop, ==, DROP_TIMED);
	g_assert_cmpint(device.posture.sync, ==, SYNC_LEAD); /* the final commit is still to come */
	device.facts.apps_stopped = true;
	device.facts.apps_ready = false;
	device.facts.election = ELECTION_BACKUP;
	look(&device);
	expect_role(&device, ROLE_BACKUP);
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
}

static void test_swap_failed_serves_again(void)
{
	Device device = master("a");
	guint64 term = device.machine.known.number;
	look_with(&device, ROLE_EVENT_HAND_OVER);
	device.facts.apps_ready = false;
	look_with(&device, ROLE_EVENT_HAND_OVER_ABORT);
	expect_role(&device, ROLE_TAKING_OVER);
	g_assert_true(device.posture.run_applications);
	device.facts.apps_ready = true;
	look(&device);
	expect_role(&device, ROLE_MASTER);
	g_assert_cmpuint(device.machine.known.number, ==, term);
}

static void test_swap_only_on_the_master(void)
{
	Device device = backup("a");
	look_with(&device, ROLE_EVENT_HAND_OVER);
	expect_role(&device, ROLE_BACKUP);
}

static void test_passive_holds_and_take_lifts(void)
{
	Device device = backup("a");
	device.facts.mode = MODE_PASSIVE;
	look(&device);
	g_assert_true(device.posture.hold_passive);
	look_with(&device, ROLE_EVENT_TAKE_EXPECTED);
	g_assert_false(device.posture.hold_passive);
	later(&device, 9 * S);
	g_assert_false(device.posture.hold_passive);
	later(&device, 1 * S);
	g_assert_true(device.posture.hold_passive); /* nothing came of it */
}

static void test_passive_does_not_touch_a_master(void)
{
	Device device = master("a");
	device.facts.mode = MODE_PASSIVE;
	look(&device);
	g_assert_false(device.posture.hold_passive);
}

/* ---- Health ---- */

static void test_health_gives_up_once(void)
{
	Device device = master("a");
	device.facts.apps_failed = true;
	device.facts.apps_ready = false;
	look(&device);
	g_assert_null(device.once.resign); /* nobody is there to take it */
	g_assert_false(device.posture.serving);
	hear(&device, ROLE_BACKUP, 5, "a");
	device.facts.peer_mode = MODE_PASSIVE;
	look(&device);
	g_assert_null(device.once.resign);
	device.facts.peer_mode = MODE_ACTIVE;
	look(&device);
	g_assert_cmpstr(device.once.resign, ==, "application-failed");
	look(&device);
	g_assert_null(device.once.resign);
	look_with(&device, ROLE_EVENT_HEALTH_RESET);
	g_assert_cmpstr(device.once.resign, ==, "application-failed");
}

static void test_isolated_gives_up_only_to_one_who_is_not(void)
{
	Device device = master("a");
	device.facts.witness_lost = true;
	look(&device);
	g_assert_null(device.once.resign); /* nobody is there */
	hear(&device, ROLE_BACKUP, 5, "a");
	look(&device);
	g_assert_null(device.once.resign); /* as isolated as we are */
	device.facts.peer_has_witness = true;
	device.facts.peer_mode = MODE_PASSIVE;
	look(&device);
	g_assert_null(device.once.resign);
	device.facts.peer_mode = MODE_ACTIVE;
	device.facts.peer_fresh = false;
	look(&device);
	g_assert_null(device.once.resign);
	later(&device, 10 * S);
	g_assert_null(device.once.resign);
	device.facts.peer_fresh = true;
	device.facts.witness_lost = false;
	look(&device);
	g_assert_null(device.once.resign);
	/* Lost at both, perhaps: the other's word may be on its way. */
	device.facts.witness_lost = true;
	look(&device);
	g_assert_null(device.once.resign);
	later(&device, 3 * S - 1);
	g_assert_null(device.once.resign);
	later(&device, 1);
	g_assert_cmpstr(device.once.resign, ==, "isolated");
	look(&device);
	g_assert_null(device.once.resign);
	later(&device, 59 * S);
	g_assert_null(device.once.resign);
	later(&device, 2 * S);
	g_assert_cmpstr(device.once.resign, ==, "isolated");
}

static void test_health_not_to_one_that_failed_alike(void)
{
	Device device = master("a");
	hear(&device, ROLE_BACKUP, 5, "a");
	device.facts.apps_failed = device.facts.peer_failed_alike = true;
	device.facts.apps_ready = false;
	look(&device);
	g_assert_null(device.once.resign);
	look_with(&device, ROLE_EVENT_HEALTH_RESET);
	g_assert_null(device.once.resign);
	device.facts.peer_failed_alike = false; /* somebody has mended it there */
	look(&device);
	g_assert_cmpstr(device.once.resign, ==, "application-failed");
}

static void test_health_a_restart_is_tolerated(void)
{
	Device device = master("a");
	hear(&device, ROLE_BACKUP, 5, "a");
	device.facts.apps_ready = false;
	look(&device);
	expect_role(&device, ROLE_MASTER);
	g_assert_true(device.posture.serving);
	g_assert_null(device.once.resign);
}

/* ---- The supervisor's own death ---- */

static void test_resume_in_every_role(void)
{
	for (Role role = ROLE_STANDALONE; role < ROLE_N; role++) {
		Device device = master("a");
		device.machine.role = role;
		device.facts.redundant = role != ROLE_STANDALONE;
		device.facts.apps_ready = role == ROLE_MASTER || role == ROLE_STANDALONE;
		device.facts.election = role == ROLE_TAKING_OVER || role == ROLE_MASTER || role == ROLE_HANDING_OVER ? ELECTION_MASTER :
					role == ROLE_BACKUP ? ELECTION_BACKUP : ELECTION_INIT;
		device.facts.carrier = role != ROLE_FAULT;
		if (role == ROLE_INIT)
			device.machine.election_missing_us = device.now_us;
		guint64 sequence = device.machine.sequence;
		role_resume(&device.machine, device.now_us);
		/* At first nothing is connected. */
		RoleFacts facts = device.facts;
		device.facts.election = ELECTION_UNKNOWN;
		device.facts.peer_fresh = device.facts.sync_settled = false;
		look(&device);
		expect_role(&device, role);
		device.facts = facts;
		later(&device, 20 * MS);
		expect_role(&device, role);
		g_assert_cmpuint(device.machine.sequence, ==, sequence);
		g_assert_cmpint(device.posture.run_applications, ==,
				role == ROLE_STANDALONE || role == ROLE_MASTER || role == ROLE_TAKING_OVER);
	}
}

/* Any facts in any order: never two minds. */
static void test_any_facts(void)
{
	Device device = paired("a");
	for (int i = 0; i < 200000; i++) {
		RoleFacts *facts = &device.facts;
		guint32 bits = g_test_rand_int();
		facts->redundant = (bits & 15) != 0;
		facts->paired = (bits & 0x70) != 0;
		facts->mode = bits & 0x80 ? MODE_PASSIVE : MODE_ACTIVE;
		facts->joining = (bits & 0x700) == 0x700;
		facts->election = (bits >> 11) & 3;
		facts->carrier = bits & 0x2000;
		facts->peer_fresh = bits & 0x4000;
		facts->peer_role = (bits >> 15) % ROLE_N;
		facts->apps_ready = bits & 0x40000;
		facts->apps_stopped = !facts->apps_ready && (bits & 0x80000);
		facts->apps_failed = (bits & 0x300000) == 0x300000;
		facts->sync_settled = bits & 0x400000;
		facts->peer_term.number = (bits >> 23) & 7;
		g_strlcpy(facts->peer_term.id, bits & 0x4000000 ? "a" : "b", sizeof facts->peer_term.id);
		Term before = device.machine.known;
		device.now_us += (bits >> 27) * 100 * MS;
		look_with(&device, (RoleEvent)(g_test_rand_int_range(0, 20) > 4 ? 0 : g_test_rand_int_range(0, 5)));
		const RolePosture *posture = &device.posture;
		bool leads = device.machine.role == ROLE_TAKING_OVER || device.machine.role == ROLE_MASTER || device.machine.role == ROLE_HANDING_OVER;
		g_assert_true(posture->may_run || !posture->run_applications);
		g_assert_true(leads || !posture->serving);
		g_assert_false(leads && facts->election == ELECTION_BACKUP);
		g_assert_false(posture->sync == SYNC_FOLLOW && (posture->run_applications || !facts->apps_stopped));
		g_assert_false(posture->drop == DROP_NONE && leads && device.machine.role != ROLE_MASTER);
		g_assert_cmpint(term_compare(&device.machine.known, &before), >=, 0);
		g_assert_cmpuint(device.machine.reserved, >=, device.machine.reserved ? device.machine.known.number : 0);
		g_assert_true(posture->next_us == 0 || posture->next_us > device.now_us);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/role/standalone/runs-applications", test_standalone_runs_applications);
	g_test_add_func("/role/standalone/does-not-wait-for-ever", test_standalone_does_not_wait_for_ever);
	g_test_add_func("/role/join/stops-applications-and-holds", test_join_stops_applications_and_holds);
	g_test_add_func("/role/join/ends-where-it-leads", test_join_ends_where_it_leads);
	g_test_add_func("/role/cold-boot/waits-for-the-peer", test_cold_boot_waits_for_the_peer);
	g_test_add_func("/role/cold-boot/unpaired-does-not-wait", test_cold_boot_unpaired_does_not_wait);
	g_test_add_func("/role/cold-boot/hearing-a-master", test_cold_boot_hearing_a_master);
	g_test_add_func("/role/cold-boot/fresher-leads", test_cold_boot_fresher_leads);
	g_test_add_func("/role/cold-boot/own-data-unknown", test_cold_boot_own_data_unknown);
	g_test_add_func("/role/cold-boot/never-both-give-way", test_cold_boot_never_both_give_way);
	g_test_add_func("/role/cold-boot/fresher-comes-late", test_cold_boot_fresher_comes_late);
	g_test_add_func("/role/takeover/in-order", test_takeover_in_order);
	g_test_add_func("/role/takeover/does-not-wait-for-syncd", test_takeover_does_not_wait_for_syncd);
	g_test_add_func("/role/takeover/waits-for-an-apply-past-its-mark", test_takeover_waits_for_an_apply_past_its_mark);
	g_test_add_func("/role/takeover/late-applications", test_takeover_late_applications);
	g_test_add_func("/role/swap/took-as-told", test_took_as_told);
	g_test_add_func("/role/lost/applications-stop-before-following", test_lost_election_stops_applications_before_following);
	g_test_add_func("/role/lost/master-file-outlives-the-applications", test_master_file_outlives_the_applications);
	g_test_add_func("/role/lost/link-is-a-fault", test_link_loss_is_a_fault);
	g_test_add_func("/role/lost/starting-without-link", test_starting_without_link);
	g_test_add_func("/role/lost/vrrpd-restart-changes-nothing", test_vrrpd_restart_changes_nothing);
	g_test_add_func("/role/lost/vrrpd-away-and-superseded", test_vrrpd_away_and_superseded);
	g_test_add_func("/role/lost/superseded-is-not-won-again", test_superseded_is_not_won_again);
	g_test_add_func("/role/lost/vrrpd-away-and-a-newer-term", test_vrrpd_away_and_a_newer_term);
	g_test_add_func("/role/lost/vrrpd-gone-is-a-fault", test_vrrpd_gone_is_a_fault);
	g_test_add_func("/role/swap/hands-over", test_swap_hands_over);
	g_test_add_func("/role/swap/failed-serves-again", test_swap_failed_serves_again);
	g_test_add_func("/role/swap/only-on-the-master", test_swap_only_on_the_master);
	g_test_add_func("/role/passive/holds-and-take-lifts", test_passive_holds_and_take_lifts);
	g_test_add_func("/role/passive/does-not-touch-a-master", test_passive_does_not_touch_a_master);
	g_test_add_func("/role/health/gives-up-once", test_health_gives_up_once);
	g_test_add_func("/role/health/isolated-gives-up-only-to-one-who-is-not", test_isolated_gives_up_only_to_one_who_is_not);
	g_test_add_func("/role/health/not-to-one-that-failed-alike", test_health_not_to_one_that_failed_alike);
	g_test_add_func("/role/health/restart-is-tolerated", test_health_a_restart_is_tolerated);
	g_test_add_func("/role/resume/in-every-role", test_resume_in_every_role);
	g_test_add_func("/role/any-facts", test_any_facts);
	return g_test_run();
}
