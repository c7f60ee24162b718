/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-doctor.c - what is found, how bad it is, and how two devices' findings become one list. */
#include <glib.h>
#include <string.h>

#include "supervisor/doctor/doctor.h"

static const char *const none[] = { NULL };

static DoctorFacts healthy(void)
{
	return (DoctorFacts){
		.role = { .redundant = true, .paired = true, .peer_fresh = true, .peer_role = ROLE_BACKUP, .election = ELECTION_MASTER },
		.own_role = ROLE_MASTER,
		.settings_error = "",
		.version = "1", .peer_version = "1", .pair_hash = "a", .peer_pair_hash = "a",
		.missing_programs = none,
		.drill_age_days = -1,
	};
}

/* "error code, warning code": in order. */
static char *codes_of(GVariant *findings)
{
	g_autoptr(GVariant) list = g_variant_ref_sink(findings);
	GString *text = g_string_new(NULL);
	for (gsize i = 0; i < g_variant_n_children(list); i++) {
		g_autoptr(GVariant) finding = g_variant_get_child_value(list, i);
		const char *code, *severity, *action;
		g_assert_true(g_variant_lookup(finding, "code", "&s", &code));
		g_assert_true(g_variant_lookup(finding, "severity", "&s", &severity));
		g_assert_true(g_variant_lookup(finding, "action", "&s", &action));
		g_assert_cmpstr(action, !=, "");
		g_string_append_printf(text, "%s%s %s", i ? ", " : "", severity, code);
	}
	return g_string_free(text, FALSE);
}

#define EXPECT(facts, expected)                                                                         \
	do {                                                                                            \
		g_autofree char *found = codes_of(doctor_examine(&(facts), "alpha", NULL, 1000));       \
		g_assert_cmpstr(found, ==, expected);                                                   \
	} while (0)

static void test_nothing_on_a_healthy_pair(void)
{
	DoctorFacts facts = healthy();
	EXPECT(facts, "");
	facts.own_role = ROLE_BACKUP;
	facts.role.election = ELECTION_BACKUP;
	facts.role.peer_role = ROLE_MASTER;
	EXPECT(facts, "");
}

static void test_a_device_that_is_alone_by_settings_lacks_nothing(void)
{
	DoctorFacts facts = { .settings_error = "", .role.election = ELECTION_UNKNOWN, .drill_age_days = 400, .drill_max_days = 90 };
	EXPECT(facts, "");
}

static void test_the_peer(void)
{
	DoctorFacts facts = healthy();
	facts.role.paired = facts.role.peer_fresh = false;
	EXPECT(facts, "error not-paired");
	facts.role.paired = true;
	facts.peer_version = facts.peer_pair_hash = ""; /* what is not known is not different */
	EXPECT(facts, "error peer-absent");
	facts.revoked = true;
	EXPECT(facts, "error peer-revoked");
	facts = healthy();
	facts.peer_version = "2";
	facts.peer_pair_hash = "b";
	facts.role.peer_mode = MODE_PASSIVE;
	EXPECT(facts, "error peer-passive, warning version-differs, warning settings-differ");
	facts = healthy();
	facts.role.peer_role = ROLE_FAULT;
	EXPECT(facts, "error peer-not-backup");
	facts = healthy();
	facts.clock_known = true;
	facts.clock_ahead_ms = -DOCTOR_CLOCK_MS;
	EXPECT(facts, "warning clock-differs");
	facts.clock_ahead_ms = DOCTOR_CLOCK_MS - 1;
	EXPECT(facts, "");
}

static void test_a_drill_too_old(void)
{
	DoctorFacts facts = healthy();
	facts.drill_max_days = 90;
	facts.drill_age_days = 89;
	EXPECT(facts, "");
	facts.drill_age_days = 90;
	EXPECT(facts, "warning drill-old");
	facts.drill_max_days = 0;
	EXPECT(facts, "");
	facts.drill_failed = true;
	EXPECT(facts, "warning drill-failed");
}

static void test_applications(void)
{
	DoctorFacts facts = healthy();
	const char *const missing[] = { "application a: there is no program /x", NULL }, *const failed[] = { "pbx", NULL };
	g_autoptr(GVariant) ours = g_variant_ref_sink(g_variant_new_parsed("{'pbx': '1', 'same': '2'}"));
	g_autoptr(GVariant) theirs = g_variant_ref_sink(g_variant_new_parsed("{'pbx': '3', 'same': '2', 'gui': '4'}"));
	facts.missing_programs = missing;
	facts.applications = ours;
	facts.peer_applications = theirs;
	facts.failed_before = failed;
	facts.resigned_for_health = true;
	EXPECT(facts, "error failed-before, error program-missing, error application-missing, warning health-used, warning application-differs");
	facts = healthy();
	facts.application_failed = true;
	facts.failed_before = failed; /* it fails now: one finding */
	EXPECT(facts, "error application-failed");
}

static void test_what_vrrpd_says(void)
{
	DoctorFacts facts = healthy();
	const char *const says[] = { "no-realtime: not scheduled", "new-thing: of a newer vrrpd", "address-clash: somebody: else", "odd", NULL };
	const char *const holds[] = { "passive", "first-sync", "administrator", NULL };
	facts.election = says;
	facts.holds = holds;
	facts.stranger = "192.0.2.66";
	EXPECT(facts, "error address-clash, error held, warning no-realtime, warning new-thing, warning election-problem, warning group-id-used");
	facts = healthy();
	facts.stranger = "192.0.2.66";
	facts.stranger_counts = true;
	facts.role.election = ELECTION_UNKNOWN;
	EXPECT(facts, "error election-absent, warning adverts-differ");
}

static void test_the_copy(void)
{
	DoctorFacts facts = healthy();
	facts.commit_held = true;
	facts.sync_error = "held: commit 0123456789: validate of application pbx: no";
	EXPECT(facts, "warning commit-held");
	facts = healthy();
	facts.behind_ms = DOCTOR_BEHIND_MS - 1;
	EXPECT(facts, "");
	facts.behind_ms++;
	facts.sync_error = "no room";
	facts.disk = "/var/lib/understudy";
	EXPECT(facts, "warning sync-error, warning copy-behind, warning disk-low");
}

static gint64 since_of(GVariant *findings, gsize i)
{
	g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
	gint64 since_ms = 0;
	g_assert_true(g_variant_lookup(finding, "since_ms", "x", &since_ms));
	return since_ms;
}

static void test_since_when(void)
{
	DoctorFacts facts = healthy();
	facts.role.mode = MODE_PASSIVE;
	facts.own_role = ROLE_BACKUP;
	g_autoptr(GVariant) first = g_variant_ref_sink(doctor_examine(&facts, "alpha", NULL, 1000));
	facts.disk = "/x";
	g_autoptr(GVariant) second = g_variant_ref_sink(doctor_examine(&facts, "alpha", first, 2000));
	g_assert_cmpint(since_of(second, 0), ==, 1000);
	g_assert_cmpint(since_of(second, 1), ==, 2000);
	g_autoptr(GVariant) problems = g_variant_ref_sink(doctor_problems(second));
	g_autofree char *text = g_variant_print(problems, FALSE);
	g_assert_cmpstr(text, ==, "['passive: this device takes over by order only', 'disk-low: the file system of /x is nearly full']");
}

static void test_both_devices(void)
{
	DoctorFacts master = healthy(), backup = healthy();
	master.role.peer_mode = MODE_PASSIVE;
	master.peer_version = backup.peer_version = "2";
	master.disk = backup.disk = "/x";
	backup.role.mode = MODE_PASSIVE;
	backup.own_role = ROLE_BACKUP;
	g_autoptr(GVariant) ours = g_variant_ref_sink(doctor_examine(&master, "alpha", NULL, 1000));
	g_autoptr(GVariant) theirs = g_variant_ref_sink(doctor_examine(&backup, "beta", NULL, 1000));
	g_autofree char *both = codes_of(doctor_merge(ours, theirs));
	/* The Backup's own word for its mode; what both see once; each one's disk. */
	g_assert_cmpstr(both, ==, "error passive, warning version-differs, warning disk-low, warning disk-low");
	g_autofree char *alone = codes_of(doctor_merge(ours, NULL));
	g_assert_cmpstr(alone, ==, "error peer-passive, warning version-differs, warning disk-low");
	/* Whatever a peer of another version sends. */
	g_autoptr(GVariant) odd = g_variant_ref_sink(g_variant_new_parsed("[{'code': <1>}, {}, {'code': <'x'>, 'action': <'y'>, 'severity': <'warning'>}]"));
	g_autoptr(GVariant) merged = g_variant_ref_sink(doctor_merge(ours, odd));
	g_assert_cmpuint(g_variant_n_children(merged), ==, 6);
}

/* docs/doctor.md is this table. */
static void test_every_code_is_documented(void)
{
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "..", "..", "docs", "doctor.md", NULL), *page = NULL;
	g_assert_true(g_file_get_contents(path, &page, NULL, NULL));
	guint n = 0;
	for (const DoctorCode *each = doctor_codes; each->code; each++, n++) {
		g_autofree char *head = g_strdup_printf("\n| `%s` | %s | ", each->code, each->severity == DOCTOR_ERROR ? "error" : "warning");
		const char *row = strstr(page, head);
		g_test_message("%s", each->code);
		g_assert_nonnull(row);
		g_autofree char *line = g_strndup(row + 1, strcspn(row + 1, "\n")), *end = g_strdup_printf(" | %s |", each->action);
		g_assert_true(g_str_has_suffix(line, end));
		g_assert_true(doctor_code(each->code) == each); /* and none twice */
	}
	g_auto(GStrv) rows = g_strsplit(page, "\n| `", -1);
	g_assert_cmpuint(g_strv_length(rows) - 1, ==, n);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/doctor/healthy", test_nothing_on_a_healthy_pair);
	g_test_add_func("/doctor/alone", test_a_device_that_is_alone_by_settings_lacks_nothing);
	g_test_add_func("/doctor/peer", test_the_peer);
	g_test_add_func("/doctor/drill", test_a_drill_too_old);
	g_test_add_func("/doctor/applications", test_applications);
	g_test_add_func("/doctor/election", test_what_vrrpd_says);
	g_test_add_func("/doctor/copy", test_the_copy);
	g_test_add_func("/doctor/since", test_since_when);
	g_test_add_func("/doctor/both", test_both_devices);
	g_test_add_func("/doctor/documented", test_every_code_is_documented);
	return g_test_run();
}
