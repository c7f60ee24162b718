/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-journal.c - the journal of an update, read back after a crash. */
#include "fuzz.h"
#include "syncd/files/path.h"
#include "syncd/apply/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncPlan) plan = sync_plan_from_journal(text, &error);

	if (!plan) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	g_assert_true(g_str_has_suffix(text, "\nend\n")); /* never a part of one */
	for (guint i = 0; i < plan->steps->len; i++) {
		const SyncStep *step = plan->steps->pdata[i];
		g_assert_true(sync_path_ok(step->path));
		g_assert_true((step->meta->owner != NULL) == sync_step_has_meta(step->kind));
		g_assert_true(step->meta->kind == SYNC_KIND_FOLDER || !(step->meta->mode & 06000));
	}
	g_autofree char *once = sync_plan_to_journal(plan);
	g_autoptr(SyncPlan) again = sync_plan_from_journal(once, &error);
	g_assert_no_error(error);
	g_autofree char *twice = sync_plan_to_journal(again);
	g_assert_cmpstr(once, ==, twice);
	return 0;
}
