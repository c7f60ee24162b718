/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-plan.c - which steps, in which order; and the journal. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/apply/plan.h"

static void entry(GPtrArray *list, SyncKind kind, const char *path, const char *id)
{
	g_autoptr(SyncMeta) meta = sync_meta_new(kind, kind == SYNC_KIND_FOLDER ? 0755 : 0640, "root", "root", 1, NULL);

	g_ptr_array_add(list, sync_entry_new(path, meta, id));
}

static GPtrArray *list_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
}

static char *describe(const SyncPlan *plan)
{
	static const char *const words[] = { "unlink", "rmdir", "mkdir", "place", "attr" };
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < plan->steps->len; i++) {
		const SyncStep *step = plan->steps->pdata[i];
		g_string_append_printf(text, "%s%s %s", i ? ", " : "", words[step->kind], step->path);
	}
	return g_string_free(text, FALSE);
}

static void test_order(void)
{
	g_autoptr(GPtrArray) old = list_new();
	g_autoptr(GPtrArray) new_ = list_new();
	g_autoptr(SyncPlan) plan = sync_plan_new("config", "c");

	entry(old, SYNC_KIND_FOLDER, "gone", NULL);
	entry(old, SYNC_KIND_FOLDER, "gone/deep", NULL);
	entry(old, SYNC_KIND_FILE, "gone/deep/file", "1");
	entry(old, SYNC_KIND_FILE, "kept", "1");
	entry(new_, SYNC_KIND_FILE, "come/deep/file", "2");
	entry(new_, SYNC_KIND_FOLDER, "come/deep", NULL);
	entry(new_, SYNC_KIND_FOLDER, "come", NULL);
	entry(new_, SYNC_KIND_FILE, "kept", "2");
	sync_plan_add(plan, "pbx.etc", old, new_);
	g_autofree char *text = describe(plan);
	g_assert_cmpstr(text, ==,
			"unlink gone/deep/file, rmdir gone/deep, rmdir gone, mkdir come, mkdir come/deep, place come/deep/file, place kept");
}

static void test_kinds(void)
{
	static const struct {
		SyncKind from, to;
		const char *steps;
	} cases[] = {
		{ SYNC_KIND_FILE, SYNC_KIND_FILE, "place x" },
		{ SYNC_KIND_FILE, SYNC_KIND_LINK, "place x" },
		{ SYNC_KIND_LINK, SYNC_KIND_FILE, "place x" },
		{ SYNC_KIND_FILE, SYNC_KIND_FOLDER, "unlink x, mkdir x" },
		{ SYNC_KIND_LINK, SYNC_KIND_FOLDER, "unlink x, mkdir x" },
		{ SYNC_KIND_FOLDER, SYNC_KIND_FILE, "rmdir x, place x" },
		{ SYNC_KIND_FOLDER, SYNC_KIND_LINK, "rmdir x, place x" },
		{ SYNC_KIND_FOLDER, SYNC_KIND_FOLDER, "attr x" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GPtrArray) old = list_new();
		g_autoptr(GPtrArray) new_ = list_new();
		g_autoptr(SyncPlan) plan = sync_plan_new("config", "c");

		entry(old, cases[i].from, "x", "1");
		entry(new_, cases[i].to, "x", "2");
		sync_plan_add(plan, "s", old, new_);
		g_autofree char *text = describe(plan);
		g_assert_cmpstr(text, ==, cases[i].steps);
	}
}

static void test_root_stays(void)
{
	g_autoptr(GPtrArray) old = list_new();
	g_autoptr(GPtrArray) new_ = list_new();
	g_autoptr(SyncPlan) plan = sync_plan_new("config", "c");

	entry(old, SYNC_KIND_FOLDER, "", NULL);
	entry(old, SYNC_KIND_FILE, "a", "1");
	sync_plan_add(plan, "s", old, new_);
	g_autofree char *text = describe(plan);
	g_assert_cmpstr(text, ==, "unlink a");
}

static void test_stages_differ(void)
{
	g_autoptr(GPtrArray) old = list_new();
	g_autoptr(GPtrArray) new_ = list_new();
	g_autoptr(SyncPlan) plan = sync_plan_new("config", "c");
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

	entry(new_, SYNC_KIND_FILE, "a", "1");
	entry(new_, SYNC_KIND_LINK, "b", "1");
	sync_plan_add(plan, "one", old, new_);
	sync_plan_add_unlink(plan, "two", "db-wal");
	entry(new_, SYNC_KIND_FILE, "a", "1");
	entry(new_, SYNC_KIND_LINK, "b", "1");
	sync_plan_add(plan, "two", old, new_);
	for (guint i = 0; i < plan->steps->len; i++) {
		const SyncStep *step = plan->steps->pdata[i];
		if (step->kind == SYNC_STEP_PLACE)
			g_assert_true(g_hash_table_add(seen, GUINT_TO_POINTER(step->stage)));
	}
	g_assert_cmpuint(g_hash_table_size(seen), ==, 4);
}

static SyncPlan *sample(void)
{
	g_autoptr(GPtrArray) old = list_new();
	g_autoptr(GPtrArray) new_ = list_new();
	SyncPlan *plan = sync_plan_new("volatile", "0123456789012345678901234567890123456789");

	entry(old, SYNC_KIND_FILE, "old file", "1");
	entry(old, SYNC_KIND_FOLDER, "dir", NULL);
	entry(new_, SYNC_KIND_FOLDER, "dir", NULL);
	entry(new_, SYNC_KIND_FOLDER, "new\ndir", NULL);
	entry(new_, SYNC_KIND_FILE, "new\ndir/\xff", "2");
	entry(new_, SYNC_KIND_FOLDER, "", NULL);
	sync_plan_add(plan, "pbx.etc", old, new_);
	return plan;
}

static void test_journal(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncPlan) plan = sample();
	g_autofree char *text = sync_plan_to_journal(plan);
	g_autoptr(SyncPlan) back = sync_plan_from_journal(text, &error);

	g_assert_no_error(error);
	g_autofree char *again = sync_plan_to_journal(back);
	g_assert_cmpstr(again, ==, text);
	g_assert_cmpstr(back->ref, ==, "volatile");
	g_assert_cmpuint(back->steps->len, ==, plan->steps->len);
	g_assert_null(back->migrated);
}

static void test_journal_migrated(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncPlan) plan = sample();
	plan->migrated = g_strdup("abcdefabcdefabcdefabcdefabcdefabcdefabcd");
	g_autofree char *text = sync_plan_to_journal(plan);
	g_autoptr(SyncPlan) back = sync_plan_from_journal(text, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(back->migrated, ==, plan->migrated);
	g_assert_cmpuint(back->steps->len, ==, plan->steps->len);
}

/* A journal that was not written to its end, or was changed, is no mark. */
static void test_journal_refused(void)
{
	g_autoptr(SyncPlan) plan = sample();
	g_autofree char *text = sync_plan_to_journal(plan);

	for (gsize cut = 0; cut < strlen(text); cut++) {
		g_autofree char *part = g_strndup(text, cut);
		g_autoptr(SyncPlan) back = sync_plan_from_journal(part, NULL);
		g_assert_null(back);
	}
	static const char *const lines[] = { "unlink s ../x", "unlink s /x", "erase s x", "unlink s", "place s x", "unlink s .git/x", NULL };
	for (guint i = 0; lines[i]; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *bad = g_strdup_printf("understudy-journal 1\nref config\ncommit c\n%s\nend\n", lines[i]);
		g_autoptr(SyncPlan) back = sync_plan_from_journal(bad, &error);

		g_assert_null(back);
		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/plan/order", test_order);
	g_test_add_func("/sync/plan/kinds", test_kinds);
	g_test_add_func("/sync/plan/root-stays", test_root_stays);
	g_test_add_func("/sync/plan/stages-differ", test_stages_differ);
	g_test_add_func("/sync/plan/journal", test_journal);
	g_test_add_func("/sync/plan/journal-migrated", test_journal_migrated);
	g_test_add_func("/sync/plan/journal-refused", test_journal_refused);
	return g_test_run();
}
