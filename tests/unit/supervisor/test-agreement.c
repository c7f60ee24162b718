/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-agreement.c - two devices and one version of the pair's settings: who may change it, who agrees, who holds. */
#include "supervisor/settings/agreement.h"

#define SECOND G_TIME_SPAN_SECOND
#define NOW (100 * SECOND)

static const Revision old = { 5, "a", 1 }, new = { 5, "a", 2 };

static const struct {
	const char *name;
	ChangeFacts facts;
	ChangeWay way;
} ways[] = {
	{ "single", { .role = ROLE_STANDALONE }, CHANGE_HERE },
	{ "master-of-nobody", { .role = ROLE_MASTER }, CHANGE_HERE },
	{ "backup-of-nobody", { .role = ROLE_BACKUP }, CHANGE_HERE },
	{ "master", { .role = ROLE_MASTER, .paired = true, .peer_fresh = true, .peer_role = ROLE_BACKUP, .own = old, .peer = old }, CHANGE_BOTH },
	{ "master-of-a-late-backup", { .role = ROLE_MASTER, .paired = true, .peer_fresh = true, .own = new, .peer = old }, CHANGE_BOTH },
	{ "master-that-is-late", { .role = ROLE_MASTER, .paired = true, .peer_fresh = true, .own = old, .peer = new }, CHANGE_PEER_NEWER },
	/* Not there: a moment of patience, but not for what changes nothing. */
	{ "peer-missed", { .role = ROLE_MASTER, .paired = true }, CHANGE_WAIT },
	{ "peer-missed-a-while", { .role = ROLE_MASTER, .paired = true, .missed_us = NOW - 4 * SECOND }, CHANGE_WAIT },
	{ "peer-missed-for-long", { .role = ROLE_MASTER, .paired = true, .missed_us = NOW - AGREEMENT_MISSED_US }, CHANGE_ALONE },
	{ "peer-down", { .role = ROLE_MASTER, .paired = true, .peer_down = true }, CHANGE_ALONE },
	{ "peer-missed-but-tried", { .role = ROLE_MASTER, .paired = true, .dry_run = true }, CHANGE_TRIED },
	{ "tried", { .role = ROLE_MASTER, .paired = true, .peer_fresh = true, .own = old, .peer = old, .dry_run = true }, CHANGE_TRIED },
	/* A Backup: its Master's business. What the peer was before it went away does not count. */
	{ "backup", { .role = ROLE_BACKUP, .paired = true, .peer_fresh = true, .peer_role = ROLE_MASTER }, CHANGE_FORWARD },
	{ "backup-tries", { .role = ROLE_BACKUP, .paired = true, .peer_fresh = true, .peer_role = ROLE_MASTER, .dry_run = true }, CHANGE_FORWARD },
	{ "backup-master-away", { .role = ROLE_BACKUP, .paired = true, .peer_role = ROLE_MASTER, .peer_down = true }, CHANGE_NO_MASTER },
	{ "both-backup", { .role = ROLE_BACKUP, .paired = true, .peer_fresh = true, .peer_role = ROLE_BACKUP }, CHANGE_NO_MASTER },
	{ "booting", { .role = ROLE_INIT, .paired = true }, CHANGE_NO_MASTER },
	{ "fault", { .role = ROLE_FAULT, .paired = true }, CHANGE_NO_MASTER },
	{ "redundancy-off", { .role = ROLE_STANDALONE, .paired = true, .peer_fresh = true, .peer_role = ROLE_STANDALONE }, CHANGE_BOTH },
	{ "redundancy-off-here", { .role = ROLE_STANDALONE, .paired = true, .peer_fresh = true, .peer_role = ROLE_MASTER }, CHANGE_FORWARD },
	{ "taking-over", { .role = ROLE_TAKING_OVER, .paired = true, .peer_down = true }, CHANGE_ROLE_CHANGES },
	{ "handing-over", { .role = ROLE_HANDING_OVER, .paired = true, .peer_fresh = true, .peer_role = ROLE_BACKUP }, CHANGE_ROLE_CHANGES },
};

static void test_way(gconstpointer data)
{
	gsize i = GPOINTER_TO_SIZE(data);

	g_assert_cmpint(agreement_way(&ways[i].facts, NOW), ==, ways[i].way);
}

/* Newer than all that either device can have in use, whoever gives it. */
static void test_number(void)
{
	Revision first = revision_of(0, NULL, 0);

	for (guint64 term = 0; term < 8; term++)
		for (guint64 last = 0; last < 8; last++) {
			Revision number = agreement_number(&new, term, last, "b");
			g_assert_cmpint(revision_compare(&number, &new), >, 0);
			g_assert_cmpuint(number.n, >, last);
			g_assert_cmpuint(number.term, ==, MAX(term, 5));
			g_assert_cmpstr(number.device, ==, "b");
			number = agreement_number(&first, term, last, "b");
			g_assert_cmpint(revision_compare(&number, &first), >, 0);
		}
}

static void test_prepare(void)
{
	for (Role role = 0; role < ROLE_N; role++) {
		PrepareAnswer fine = role_leads(role) ? PREPARE_LEADS : PREPARE_AGREED;
		g_assert_cmpint(agreement_prepare(role, false, false, &old, &new), ==, fine);
		g_assert_cmpint(agreement_may_commit(role), ==, role == ROLE_MASTER || role == ROLE_STANDALONE);
	}
	g_assert_cmpint(agreement_prepare(ROLE_BACKUP, true, false, &old, &new), ==, PREPARE_BUSY);
	g_assert_cmpint(agreement_prepare(ROLE_BACKUP, true, true, &old, &new), ==, PREPARE_BUSY);
	g_assert_cmpint(agreement_prepare(ROLE_BACKUP, false, true, &old, &new), ==, PREPARE_WAIT);
	g_assert_cmpint(agreement_prepare(ROLE_BACKUP, false, false, &new, &new), ==, PREPARE_NEWER);
	g_assert_cmpint(agreement_prepare(ROLE_BACKUP, false, false, &new, &old), ==, PREPARE_NEWER);
}

static void test_commit(void)
{
	g_assert_cmpint(agreement_commit(&old, "h1", &new, "h2", &new, "h2"), ==, COMMIT_ADOPT);
	g_assert_cmpint(agreement_commit(&new, "h2", &new, NULL, &new, "h2"), ==, COMMIT_HAS);
	g_assert_cmpint(agreement_commit(&old, "h1", &new, NULL, &new, "h2"), ==, COMMIT_UNKNOWN);
	g_assert_cmpint(agreement_commit(&old, "h1", &new, "other", &new, "h2"), ==, COMMIT_UNKNOWN);
	g_assert_cmpint(agreement_commit(&old, "h1", &(Revision){ 5, "a", 3 }, "h2", &new, "h2"), ==, COMMIT_UNKNOWN);
	g_assert_cmpint(agreement_commit(&new, "another", &new, NULL, &new, "h2"), ==, COMMIT_UNKNOWN);
}

/* What the other never had is not thrown away, unless it says the same. */
static void test_adopt(void)
{
	g_assert_cmpint(agreement_adopt(&old, true, false, &new), ==, ADOPT_IT);
	g_assert_cmpint(agreement_adopt(&old, false, true, &new), ==, ADOPT_IT);
	g_assert_cmpint(agreement_adopt(&old, false, false, &new), ==, ADOPT_IT_AND_KEEP_OWN);
	g_assert_cmpint(agreement_adopt(&new, false, false, &new), ==, ADOPT_NOTHING);
	g_assert_cmpint(agreement_adopt(&new, false, false, &old), ==, ADOPT_NOTHING);
}

static void test_hold(void)
{
	HoldFacts facts = { .connected = true, .peer_timeout_us = 3 * SECOND };
	gint64 until_us;

	g_assert_cmpint(agreement_hold(&facts, 0, NOW), ==, 0);
	g_assert_cmpint(agreement_hold(&facts, NOW + SECOND, NOW), ==, 0);
	facts.prepared_differs = true;
	until_us = agreement_hold(&facts, 0, NOW);
	g_assert_cmpint(until_us, ==, NOW + 5 * SECOND);
	/* As long as it is connected; then it runs out, and is not begun again. */
	g_assert_cmpint(agreement_hold(&facts, until_us, NOW + SECOND), ==, until_us + SECOND);
	facts.connected = false;
	g_assert_cmpint(agreement_hold(&facts, until_us, NOW + SECOND), ==, until_us);
	g_assert_cmpint(agreement_hold(&facts, until_us, until_us + SECOND), ==, until_us);
	/* The Master is in another election than we are; one that does not lead may be in any. */
	facts = (HoldFacts){ .connected = true, .peer_fresh = true, .peer_role = ROLE_MASTER, .peer_differs = true, .peer_timeout_us = 3 * SECOND };
	g_assert_cmpint(agreement_hold(&facts, 0, NOW), ==, NOW + 5 * SECOND);
	facts.peer_role = ROLE_BACKUP;
	g_assert_cmpint(agreement_hold(&facts, until_us, NOW), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(ways); i++) {
		g_autofree char *path = g_strconcat("/agreement/way/", ways[i].name, NULL);
		g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_way);
	}
	g_test_add_func("/agreement/number", test_number);
	g_test_add_func("/agreement/prepare", test_prepare);
	g_test_add_func("/agreement/commit", test_commit);
	g_test_add_func("/agreement/adopt", test_adopt);
	g_test_add_func("/agreement/hold", test_hold);
	return g_test_run();
}
