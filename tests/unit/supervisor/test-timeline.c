/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-timeline.c - transitions, their phases, and the file they are kept in. */
#include <glib.h>
#include <string.h>

#include "supervisor/role/role.h"
#include "supervisor/timeline.h"

static char *begin(Timeline *timeline, const char *device, guint64 sequence, gint64 time_ms)
{
	return timeline_begin(timeline, &(TimelineRecord){
						.device = device, .old = "backup", .new = "taking-over", .reason = "master-down",
						.term_id = device, .sequence = sequence, .term = 7, .time_ms = time_ms });
}

static gsize n_phases(GVariant *list, gsize i)
{
	g_autoptr(GVariant) record = g_variant_get_child_value(list, i);
	g_autoptr(GVariant) phases = g_variant_lookup_value(record, "phases", G_VARIANT_TYPE("aa{sv}"));
	return g_variant_n_children(phases);
}

static gint64 time_of(GVariant *list, gsize i)
{
	g_autoptr(GVariant) record = g_variant_get_child_value(list, i);
	gint64 time_ms = 0;
	g_assert_true(g_variant_lookup(record, "time_ms", "x", &time_ms));
	return time_ms;
}

static void test_kept_and_read_again(void)
{
	Timeline *timeline = timeline_new(NULL);
	g_autoptr(GString) file = g_string_new(NULL);
	g_autofree char *first = begin(timeline, "it's \"a\"", 1, 1000);
	timeline_phase(timeline, "detection", -330.5, 0);
	timeline_phase(timeline, "addresses", 0, 1.25);
	g_autofree char *last = timeline_end(timeline);
	g_assert_null(timeline_end(timeline));
	g_string_append(file, first);
	g_string_append(file, last);
	timeline_free(timeline);

	timeline = timeline_new(file->str);
	g_autoptr(GVariant) list = g_variant_ref_sink(timeline_list(timeline, 10));
	g_assert_cmpuint(g_variant_n_children(list), ==, 1); /* the second line replaced the first */
	g_assert_cmpuint(n_phases(list, 0), ==, 2);
	timeline_free(timeline);
}

/* A thousand are more than one message of the peer link holds. */
static void test_pages(void)
{
	Timeline *timeline = timeline_new(NULL);
	for (guint i = 1; i <= TIMELINE_MAX + 5; i++)
		g_free(begin(timeline, "a", i, i * 1000));
	g_autoptr(GVariant) all = NULL;
	guint n_pages = 0, got = 0;
	for (;;) {
		g_autoptr(GVariant) page = g_variant_ref_sink(timeline_page(timeline, got, G_MAXUINT, 64 * 1024));
		guint n = (guint)g_variant_n_children(page);
		if (!n)
			break;
		g_assert_cmpuint(g_variant_get_size(page), <=, 64 * 1024);
		g_autoptr(GVariant) before = all;
		all = g_variant_ref_sink(timeline_merge(page, before, G_MAXUINT));
		got += n;
		n_pages++;
	}
	g_assert_cmpuint(n_pages, >, 1);
	g_assert_cmpuint(g_variant_n_children(all), ==, TIMELINE_MAX);
	for (guint i = 0; i < TIMELINE_MAX; i++)
		g_assert_cmpint(time_of(all, i), ==, (i + 6) * 1000);
	g_autoptr(GVariant) some = g_variant_ref_sink(timeline_page(timeline, 10, 3, G_MAXSIZE));
	g_assert_cmpuint(g_variant_n_children(some), ==, 3);
	g_assert_cmpint(time_of(some, 2), ==, (TIMELINE_MAX + 5 - 10) * 1000);
	timeline_free(timeline);
}

/* As act.c tells of it, of a role machine that is thrown to and fro: by its file, as the next supervisor and the other device read it. */
static void test_reasons_of_a_thousand_real_changes(void)
{
	Timeline *timeline = timeline_new(NULL);
	g_autoptr(GString) file = g_string_new(NULL);
	g_autoptr(GPtrArray) reasons = g_ptr_array_new_with_free_func(g_free);
	RoleMachine machine;
	RoleFacts facts = { .redundant = true, .paired = true, .mode = MODE_ACTIVE, .carrier = true, .stored = G_MAXUINT64, .sync_settled = true,
			    .cold_boot_wait_us = 1, .first_answer_us = 30 * G_USEC_PER_SEC };
	static const char *const turns[] = { "master-down", "master-resigned", "higher-priority", "link-lost" };

	role_init(&machine, "a", 1);
	for (gint64 at_us = 2; reasons->len < TIMELINE_MAX + 200; at_us += G_USEC_PER_SEC) {
		guint turn = (guint)(at_us / G_USEC_PER_SEC) % 5;
		RolePosture posture;
		RoleOnce once;

		facts.election = turn < 3 ? ELECTION_MASTER : ELECTION_BACKUP;
		facts.election_reason = turns[turn % G_N_ELEMENTS(turns)];
		facts.apps_ready = turn == 1 || turn == 2;
		facts.apps_stopped = !facts.apps_ready;
		role_step(&machine, &facts, turn == 2 ? ROLE_EVENT_HAND_OVER : ROLE_EVENT_FACTS, at_us, &posture, &once);
		if (!once.role_changed)
			continue;
		g_autofree char *before = timeline_end(timeline);
		TimelineRecord record = { .device = "a", .old = role_name(once.old_role), .new = role_name(machine.role), .reason = machine.reason,
					  .sequence = machine.sequence, .term = machine.known.number, .term_id = machine.known.id, .time_ms = at_us / 1000 };
		g_autofree char *line = timeline_begin(timeline, &record);
		g_assert_cmpstr(machine.reason, !=, "");
		g_string_append_printf(file, "%s%s", before ? before : "", line);
		g_ptr_array_add(reasons, g_strdup_printf("%s %s", record.new, machine.reason));
	}
	timeline_free(timeline);
	timeline = timeline_new(file->str);
	g_autoptr(GVariant) list = g_variant_ref_sink(timeline_list(timeline, TIMELINE_MAX));
	g_assert_cmpuint(g_variant_n_children(list), ==, TIMELINE_MAX);
	for (guint i = 0; i < TIMELINE_MAX; i++) {
		g_autoptr(GVariant) record = g_variant_get_child_value(list, i);
		const char *new = "", *reason = "";

		g_assert_true(g_variant_lookup(record, "new", "&s", &new) && g_variant_lookup(record, "reason", "&s", &reason));
		g_autofree char *told = g_strdup_printf("%s %s", new, reason);
		g_assert_cmpstr(told, ==, reasons->pdata[i + 200]);
	}
	timeline_free(timeline);
}

static void test_torn_lines_are_left_out(void)
{
	Timeline *timeline = timeline_new(NULL);
	g_autofree char *one = begin(timeline, "a", 1, 1000), *two = begin(timeline, "a", 2, 2000);
	g_autofree char *file = g_strconcat(one, "{'device': <'a", "\n", two, "{'dev", NULL);
	timeline_free(timeline);
	timeline = timeline_new(file);
	g_autoptr(GVariant) list = g_variant_ref_sink(timeline_list(timeline, 10));
	g_assert_cmpuint(g_variant_n_children(list), ==, 2);
	g_assert_cmpuint(n_phases(list, 0), ==, 0); /* the key is there, also of one that was never ended */
	timeline_free(timeline);
}

/* What was being written when the supervisor was killed is written again by the next one. */
static void test_repeated_lines_count_once(void)
{
	Timeline *timeline = timeline_new(NULL);
	g_autofree char *one = begin(timeline, "a", 1, 1000), *two = begin(timeline, "a", 2, 2000);
	g_autofree char *file = g_strconcat(one, two, one, two, NULL);
	timeline_free(timeline);
	timeline = timeline_new(file);
	g_autoptr(GVariant) list = g_variant_ref_sink(timeline_list(timeline, 10));
	g_assert_cmpuint(g_variant_n_children(list), ==, 2);
	g_assert_cmpint(time_of(list, 0), ==, 1000);
	timeline_free(timeline);
}

static GVariant *evidence_of(GVariant *list, gsize i)
{
	g_autoptr(GVariant) record = g_variant_get_child_value(list, i);
	return g_variant_lookup_value(record, "evidence", G_VARIANT_TYPE_VARDICT);
}

/* What is found out later is said where it belongs, and is there in the file. */
static void test_found_out_later(void)
{
	Timeline *timeline = timeline_new(NULL);
	g_autoptr(GString) file = g_string_new(NULL);
	g_autofree char *first = begin(timeline, "a", 1, 1000);
	timeline_phase(timeline, "serving", 5, 5);
	TimelineAddition addition = { .sequence = 1, .time_ms = 1000, .evidence = g_variant_new_parsed("{'lost': <uint32 0>}") };
	g_autofree char *early = timeline_amend(timeline, &addition); /* it is still open */
	g_autofree char *last = timeline_end(timeline), *next = begin(timeline, "a", 2, 2000);
	addition = (TimelineAddition){ .sequence = 1, .time_ms = 1000, .phase = "first phone", .begin_ms = 5, .end_ms = 17 };
	addition.evidence = g_variant_new_parsed("{'first_phone': <'192.0.2.100'>}");
	g_autofree char *later = timeline_amend(timeline, &addition);
	addition.evidence = g_variant_new_parsed("{'contacts_lost': <uint64 0>}");
	addition.phase = NULL;
	g_autofree char *latest = timeline_amend(timeline, &addition);
	g_assert_nonnull(latest);
	addition.evidence = NULL;
	addition.time_ms = 1001;
	g_assert_null(timeline_amend(timeline, &addition));
	addition = (TimelineAddition){ .sequence = 2, .time_ms = 2000, .phase = "first phone", .begin_ms = 3, .end_ms = 4 };
	addition.evidence = g_variant_new_parsed("{'last_output': <'I miss a library'>}");
	g_autofree char *words = timeline_amend(timeline, &addition);
	timeline_phase(timeline, "application a", 1, 9);
	g_autofree char *end = timeline_end(timeline);
	g_assert_true(early && words);
	for (const char *const *line = (const char *const[]){ first, early, last, next, later, latest, words, end, NULL }; *line; line++)
		g_string_append(file, *line);
	Timeline *again = timeline_new(file->str);
	for (Timeline *const *each = (Timeline *const[]){ timeline, again, NULL }; *each; each++) {
		g_autoptr(GVariant) list = g_variant_ref_sink(timeline_list(*each, 10));
		g_autoptr(GVariant) one = evidence_of(list, 0), two = evidence_of(list, 1);
		const char *host = "";
		g_assert_cmpuint(g_variant_n_children(list), ==, 2);
		g_assert_cmpuint(n_phases(list, 0), ==, 2);
		g_assert_cmpuint(g_variant_n_children(one), ==, 3);
		g_assert_true(g_variant_lookup(one, "first_phone", "&s", &host));
		g_assert_cmpstr(host, ==, "192.0.2.100");
		g_assert_cmpuint(n_phases(list, 1), ==, 2);
		g_assert_true(g_variant_lookup(two, "last_output", "&s", &host));
		g_assert_cmpstr(host, ==, "I miss a library");
	}
	/* Of one whose end was not written. */
	Timeline *torn = timeline_new(words);
	g_autoptr(GVariant) left = g_variant_ref_sink(timeline_list(torn, 10)), known = evidence_of(left, 0);
	g_assert_true(g_variant_lookup(known, "last_output", "s", NULL));
	timeline_free(torn);
	timeline_free(again);
	timeline_free(timeline);
}

static void test_is_bounded(void)
{
	Timeline *timeline = timeline_new(NULL);
	for (int i = 0; i < TIMELINE_MAX + 50; i++)
		g_free(begin(timeline, "a", (guint64)i, i));
	g_autoptr(GVariant) list = g_variant_ref_sink(timeline_list(timeline, G_MAXUINT));
	g_assert_cmpuint(g_variant_n_children(list), ==, TIMELINE_MAX);
	g_assert_cmpint(time_of(list, 0), ==, 50);
	g_assert_false(timeline_wants_rewrite(timeline));
	for (int i = 0; i < 3 * TIMELINE_MAX; i++)
		g_free(begin(timeline, "a", (guint64)i, 10000 + i));
	g_assert_true(timeline_wants_rewrite(timeline));
	g_autofree char *text = timeline_text(timeline);
	g_assert_false(timeline_wants_rewrite(timeline));
	Timeline *again = timeline_new(text);
	g_autoptr(GVariant) ours = g_variant_ref_sink(timeline_list(timeline, G_MAXUINT));
	g_autoptr(GVariant) theirs = g_variant_ref_sink(timeline_list(again, G_MAXUINT));
	g_assert_cmpuint(g_variant_n_children(ours), ==, g_variant_n_children(theirs));
	timeline_free(again);
	timeline_free(timeline);
}

static void test_two_devices_in_one(void)
{
	Timeline *a = timeline_new(NULL), *b = timeline_new(NULL);
	g_free(begin(a, "a", 1, 100));
	g_free(begin(a, "a", 2, 300));
	g_free(begin(b, "b", 1, 200));
	g_free(begin(b, "b", 2, 400));
	g_autoptr(GVariant) ours = g_variant_ref_sink(timeline_list(a, 10));
	g_autoptr(GVariant) theirs = g_variant_ref_sink(timeline_list(b, 10));
	g_autoptr(GVariant) both = g_variant_ref_sink(timeline_merge(ours, theirs, 3));
	g_assert_cmpuint(g_variant_n_children(both), ==, 3);
	for (gsize i = 0; i < 3; i++)
		g_assert_cmpint(time_of(both, i), ==, 200 + 100 * (gint64)i);
	g_autoptr(GVariant) alone = g_variant_ref_sink(timeline_merge(ours, NULL, 10));
	g_assert_cmpuint(g_variant_n_children(alone), ==, 2);
	timeline_free(a);
	timeline_free(b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/timeline/kept-and-read-again", test_kept_and_read_again);
	g_test_add_func("/timeline/torn-lines", test_torn_lines_are_left_out);
	g_test_add_func("/timeline/repeated", test_repeated_lines_count_once);
	g_test_add_func("/timeline/bounded", test_is_bounded);
	g_test_add_func("/timeline/two-devices-in-one", test_two_devices_in_one);
	g_test_add_func("/timeline/pages", test_pages);
	g_test_add_func("/timeline/thousand", test_reasons_of_a_thousand_real_changes);
	g_test_add_func("/timeline/found-out-later", test_found_out_later);
	return g_test_run();
}
