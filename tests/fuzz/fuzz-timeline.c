/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-timeline.c - the supervisor's timeline on disk. */
#include "fuzz.h"
#include "supervisor/timeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	Timeline *timeline = timeline_new(text);
	g_autoptr(GVariant) list = g_variant_ref_sink(timeline_list(timeline, TIMELINE_MAX));
	g_autofree char *written = timeline_text(timeline);
	Timeline *again = timeline_new(written);
	g_autoptr(GVariant) list_again = g_variant_ref_sink(timeline_list(again, TIMELINE_MAX));
	g_autofree char *twice = timeline_text(again);

	g_assert_true(g_variant_is_normal_form(list));
	g_assert_cmpuint(g_variant_n_children(list), <=, TIMELINE_MAX);
	g_assert_cmpuint(g_variant_n_children(list_again), ==, g_variant_n_children(list)); /* rewriting the file loses nothing */
	g_assert_cmpstr(written, ==, twice);
	g_autoptr(GVariant) merged = g_variant_ref_sink(timeline_merge(list, list_again, 10));
	g_assert_cmpuint(g_variant_n_children(merged), <=, 10);
	timeline_free(timeline);
	timeline_free(again);
	return 0;
}
