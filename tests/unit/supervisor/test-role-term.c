/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-role-term.c - the role machine and the data: terms, who is fresher, and whom a Backup follows. */
#include <glib.h>
#include <string.h>

#include "test-role.h"

/* ---- Terms ---- */

static void test_term_is_reserved_in_advance(void)
{
	Device device = backup("a");
	g_assert_cmpuint(device.machine.known.number, ==, 4);
	g_assert_cmpuint(device.machine.reserved, ==, 5);
	elect(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 5);
	g_assert_cmpstr(device.machine.known.id, ==, "a");
}

static void test_term_winner_takes_the_greater_plus_one(void)
{
	Device device = master("a");
	hear(&device, ROLE_BACKUP, 9, "b");
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 10);
	g_assert_cmpstr(device.machine.known.id, ==, "a");
	g_assert_true(device.once.term_changed);
	/* And stays there: the peer has learned it. */
	hear(&device, ROLE_BACKUP, 10, "a");
	look(&device);
	g_assert_false(device.once.term_changed);
}

static void test_term_equal_number_of_another_device(void)
{
	Device device = master("a"); /* term 5 of a */
	hear(&device, ROLE_BACKUP, 5, "b");
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 6);
}

/* A LAN dead between two that still have their peer link: each would outbid the other as fast as the link carries it. */
static void test_term_of_two_that_lead_rests(void)
{
	Device a = master("a"), b = master("b");
	guint64 first = MAX(a.machine.known.number, b.machine.known.number);

	for (guint i = 0; i < 100; i++) {
		hear(&a, b.machine.role, b.machine.known.number, "b");
		look(&a);
		hear(&b, a.machine.role, a.machine.known.number, "a");
		look(&b);
	}
	g_assert_cmpuint(MAX(a.machine.known.number, b.machine.known.number), ==, first);
	/* The one that gives way ends it. */
	hear(&a, ROLE_BACKUP, b.machine.known.number, "b");
	look(&a);
	g_assert_cmpint(term_compare(&a.machine.known, &b.machine.known), >, 0);
	g_assert_cmpstr(a.machine.known.id, ==, "a");
}

static void test_term_of_the_loser_follows(void)
{
	Device device = master("a");
	device.facts.election = ELECTION_BACKUP;
	hear(&device, ROLE_MASTER, 7, "b");
	look(&device);
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 7);
	g_assert_cmpstr(device.machine.known.id, ==, "b");
	g_assert_cmpuint(device.machine.reserved, ==, 8);
}

/* A number that was reserved may have been led in just before the power went. */
static void test_term_reserved_is_not_taken_again(void)
{
	Device device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "b" }, 5, false);
	look(&device);
	g_assert_true(device.once.term_changed);
	later(&device, 16 * S);
	elect(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 6);
	g_assert_cmpuint(device.machine.reserved, ==, 7);
}

static void test_term_forgotten_is_raised(void)
{
	Device device = master("a"); /* term 5 of a; the peer remembers more of us than we do */
	hear(&device, ROLE_BACKUP, 9, "a");
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 10);
}

/* Nobody dies for it meanwhile: the old term goes on until the new one is on disk. */
static void test_term_raised_once_it_is_stored(void)
{
	Device device = master("a");
	device.facts.stored = 6;
	hear(&device, ROLE_BACKUP, 9, "b");
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 5);
	g_assert_cmpuint(device.machine.reserved, ==, 10);
	g_assert_cmpint(device.posture.next_us, ==, device.now_us + 1 * S);
	device.facts.stored = 10;
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 10);
	g_assert_false(device.once.unstored);

	hear(&device, ROLE_BACKUP, 19, "b");
	look(&device);
	later(&device, 1 * S); /* a disk that takes nothing is waited for no longer */
	g_assert_cmpuint(device.machine.known.number, ==, 20);
	g_assert_true(device.once.unstored);
	g_assert_true(device.posture.mark_unstored);
}

static void test_term_not_stored_goes_ahead(void)
{
	Device device = backup("a");
	device.facts.stored = 4;
	elect(&device);
	expect_role(&device, ROLE_TAKING_OVER);
	g_assert_cmpuint(device.machine.known.number, ==, 5);
	g_assert_true(device.once.unstored);
	g_assert_true(device.posture.mark_unstored);
	look(&device);
	g_assert_false(device.once.unstored);
	device.facts.stored = 6;
	look(&device);
	g_assert_false(device.posture.mark_unstored);
}

/* Before it comes to lead: the power may go right behind a takeover. */
static void test_term_mark_in_advance(void)
{
	Device device = backup("a"); /* term 4 of other */
	device.facts.stored = 4;
	look(&device);
	g_assert_false(device.posture.mark_unstored);
	g_assert_cmpint(device.posture.next_us, ==, device.now_us + 1 * S);
	later(&device, 1 * S);
	g_assert_true(device.posture.mark_unstored);
	device.facts.stored = 5;
	look(&device);
	g_assert_false(device.posture.mark_unstored);
}

static void test_term_in_doubt_waits(void)
{
	Device device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "b" }, 5, true);
	look(&device);
	g_assert_true(device.posture.hold_cold_boot);
	g_assert_cmpint(device.posture.cold_boot_until_us, ==, 0);
	later(&device, 3600 * S);
	g_assert_true(device.posture.hold_cold_boot);
	g_assert_true(device.posture.mark_unstored);
	hear(&device, ROLE_BACKUP, 8, "a");
	look(&device);
	g_assert_cmpuint(device.machine.reserved, ==, 9);
	later(&device, 16 * S);
	g_assert_false(device.posture.hold_cold_boot);
	g_assert_false(device.posture.mark_unstored);

	/* Not a Master that is heard, whose own end would let it lead in a term it has led in before. */
	device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "b" }, 5, true);
	device.facts.master_heard = true;
	look(&device);
	g_assert_true(device.posture.hold_cold_boot);

	/* Or the administrator's order. */
	device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "b" }, 5, true);
	look(&device);
	elect(&device);
	look(&device);
	expect_role(&device, ROLE_TAKING_OVER);
	g_assert_false(device.posture.hold_cold_boot);
	g_assert_cmpuint(device.machine.known.number, ==, 6);
}

/* ---- A fresher one comes later ---- */

/* Led in term 6 after it had booted alone with the data of term 4. */
static Device alone(void)
{
	Device device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "a" }, 5, false);
	look(&device);
	later(&device, 15 * S);
	elect(&device);
	device.facts.sync_settled = device.facts.apps_ready = true;
	device.facts.apps_stopped = false;
	look(&device);
	expect_role(&device, ROLE_MASTER);
	return device;
}

static void test_fresher_gives_way(void)
{
	Device device = alone();
	later(&device, 60 * S);
	hear(&device, ROLE_INIT, 5, "b"); /* its vrrpd comes up */
	look(&device);
	g_assert_null(device.once.resign);
	hear(&device, ROLE_BACKUP, 5, "b");
	look(&device);
	g_assert_cmpstr(device.once.resign, ==, "fresher-peer");
	g_assert_cmpuint(device.machine.known.number, ==, 6);
	look(&device);
	g_assert_null(device.once.resign);

	/* Nor again when the other does not come to lead. */
	device.facts.election = ELECTION_BACKUP;
	look(&device);
	device.facts.election = ELECTION_MASTER;
	look(&device);
	look(&device);
	g_assert_null(device.once.resign);
}

static void test_fresher_waits_for_the_phones(void)
{
	Device device = alone();
	hear(&device, ROLE_BACKUP, 9, "b");
	device.facts.calls_asked = device.facts.calls_up = true;
	look(&device);
	g_assert_null(device.once.resign);
	device.facts.calls_asked = device.facts.calls_up = false;
	look(&device);
	g_assert_cmpstr(device.once.resign, ==, "fresher-peer");

	device = alone();
	hear(&device, ROLE_BACKUP, 9, "b");
	device.facts.calls_asked = device.facts.calls_up = true;
	look(&device);
	later(&device, 10 * S);
	g_assert_null(device.once.resign);
	g_assert_true(device.once.fresher_peer);
}

static void test_fresher_but_goes_on(void)
{
	for (guint i = 0; i < 6; i++) {
		Device device = alone();
		hear(&device, i == 4 ? ROLE_FAULT : ROLE_BACKUP, 9, "b");
		if (i == 0)
			device.facts.committed = true;
		else if (i == 1)
			device.facts.calls_up = true;
		else if (i == 2)
			device.now_us += 600 * S;
		else if (i == 3)
			device.facts.peer_mode = MODE_PASSIVE;
		else if (i == 5)
			device.facts.peer_role = ROLE_INIT;
		look(&device);
		if (i == 5)
			later(&device, 10 * S); /* its vrrpd does not come */
		g_assert_null(device.once.resign);
		g_assert_true(device.once.fresher_peer);
		g_assert_cmpuint(device.machine.known.number, ==, 10);
		look(&device);
		g_assert_false(device.once.fresher_peer);
	}
}

static void test_fresher_is_not(void)
{
	/* Older, the same, or a line of its own since the same boot; and one that was met before is not met again. */
	static const struct {
		guint64 number;
		const char *id;
		bool same_data;
	} cases[] = { { 3, "b", false }, { 4, "a", false }, { 4, "a", true }, { 4, "c", false } };
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
		Device device = alone();
		hear(&device, ROLE_BACKUP, cases[i].number, cases[i].id);
		device.facts.peer_same_data = cases[i].same_data;
		look(&device);
		g_assert_null(device.once.resign);
		g_assert_false(device.once.fresher_peer);
		hear(&device, ROLE_BACKUP, 19, "b");
		look(&device);
		g_assert_null(device.once.resign);
	}
}

/* ---- Commits tell in which term they were made ---- */

/* It led in term 6, and lost its power before that was on disk; what it committed then was. */
static void test_term_in_the_commits(void)
{
	Device device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "b" }, 5, false);
	device.facts.own_line_known = true;
	device.facts.own_line = (Term){ 6, "a" };
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 6);
	g_assert_cmpuint(device.machine.reserved, ==, 7);
	g_assert_true(device.once.term_changed);
	elect(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 7);
}

/* syncd comes up after the takeover: nothing is committed in the older term, and the next one is newer. */
static void test_term_in_the_commits_is_read_late(void)
{
	Device device = paired("a");
	role_remember(&device.machine, &(Term){ 4, "b" }, 5, false);
	look(&device);
	later(&device, 15 * S);
	elect(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 6);
	device.facts.own_line_known = true;
	device.facts.own_line = (Term){ 9, "b" };
	device.facts.stored = 6;
	look(&device);
	g_assert_cmpint(device.posture.sync, ==, SYNC_KEEP);
	device.facts.stored = 10;
	look(&device);
	g_assert_cmpuint(device.machine.known.number, ==, 10);
	g_assert_cmpstr(device.machine.known.id, ==, "a");
	g_assert_cmpint(device.posture.sync, ==, SYNC_LEAD);
}

/* Led in term 5 for a moment and wrote nothing: the one that wrote last in term 4 has more. */
static void test_line_is_what_was_written(void)
{
	Device device = paired("a");
	role_remember(&device.machine, &(Term){ 5, "a" }, 6, false);
	device.facts.own_line_known = true;
	device.facts.own_line = (Term){ 4, "b" };
	hear(&device, ROLE_BACKUP, 5, "a");
	device.facts.peer_line = (Term){ 4, "b" };
	device.facts.own_boot_ms = 1000;
	look(&device);
	g_assert_true(device.posture.hold_cold_boot);
	Device other = device;
	other.facts.peer_line = (Term){ 3, "b" };
	look(&other);
	g_assert_false(other.posture.hold_cold_boot);
	/* Nor anything at all, ever. */
	device.facts.own_line = (Term){ 0 };
	device.facts.peer_line = (Term){ 1, "b" };
	look(&device);
	g_assert_true(device.posture.hold_cold_boot);
}

static void test_backup_does_not_follow_an_older_line(void)
{
	Device device = backup("a"); /* term 4 of other */
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
	hear(&device, ROLE_MASTER, 3, "other");
	look(&device);
	g_assert_cmpint(device.posture.sync, ==, SYNC_KEEP);
	hear(&device, ROLE_MASTER, 5, "other");
	look(&device);
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
}

/* A device that has just booted may have the newer line itself: it asks before it takes another. */
static void test_booted_follows_once_it_has_heard(void)
{
	Device device = paired("a");
	device.facts.master_heard = true;
	look(&device);
	g_assert_cmpint(device.posture.sync, ==, SYNC_KEEP);
	hear(&device, ROLE_MASTER, 4, "b");
	look(&device);
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
	device.facts.peer_fresh = false;
	look(&device);
	g_assert_cmpint(device.posture.sync, ==, SYNC_FOLLOW);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/role/term/reserved-in-advance", test_term_is_reserved_in_advance);
	g_test_add_func("/role/term/winner-takes-greater-plus-one", test_term_winner_takes_the_greater_plus_one);
	g_test_add_func("/role/term/equal-number-of-another", test_term_equal_number_of_another_device);
	g_test_add_func("/role/term/two-that-lead-rest", test_term_of_two_that_lead_rests);
	g_test_add_func("/role/term/loser-follows", test_term_of_the_loser_follows);
	g_test_add_func("/role/term/reserved-is-not-taken-again", test_term_reserved_is_not_taken_again);
	g_test_add_func("/role/term/forgotten-is-raised", test_term_forgotten_is_raised);
	g_test_add_func("/role/term/raised-once-stored", test_term_raised_once_it_is_stored);
	g_test_add_func("/role/term/not-stored-goes-ahead", test_term_not_stored_goes_ahead);
	g_test_add_func("/role/term/mark-in-advance", test_term_mark_in_advance);
	g_test_add_func("/role/term/in-doubt-waits", test_term_in_doubt_waits);
	g_test_add_func("/role/fresher/gives-way", test_fresher_gives_way);
	g_test_add_func("/role/fresher/waits-for-the-phones", test_fresher_waits_for_the_phones);
	g_test_add_func("/role/fresher/goes-on", test_fresher_but_goes_on);
	g_test_add_func("/role/fresher/is-not", test_fresher_is_not);
	g_test_add_func("/role/term/in-the-commits", test_term_in_the_commits);
	g_test_add_func("/role/term/in-the-commits-read-late", test_term_in_the_commits_is_read_late);
	g_test_add_func("/role/term/line-is-what-was-written", test_line_is_what_was_written);
	g_test_add_func("/role/follow/not-an-older-line", test_backup_does_not_follow_an_older_line);
	g_test_add_func("/role/follow/booted-once-it-has-heard", test_booted_follows_once_it_has_heard);
	return g_test_run();
}
