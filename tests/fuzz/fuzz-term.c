/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-term.c - commit messages with a term in them. */
#include "fuzz.h"
#include "syncd/repository/term.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	g_auto(SyncTerm) term = { 0 }, again = { 0 };

	sync_term_parse(text, &term);
	g_assert_true(term.id && term.device && !strchr(term.id, '\n') && !strchr(term.device, '\n'));
	g_autofree char *people = sync_term_strip(text);
	g_autofree char *message = sync_term_message(people, &term);
	sync_term_parse(message, &again);
	g_assert_cmpuint(again.number, ==, term.number);
	g_assert_cmpstr(again.id, ==, term.id);
	g_assert_cmpstr(again.device, ==, term.device);
	g_assert_cmpint(sync_term_compare(&term, &again), ==, 0);
	g_autofree char *people_again = sync_term_strip(message);
	g_assert_cmpstr(people_again, ==, people);
	return 0;
}
