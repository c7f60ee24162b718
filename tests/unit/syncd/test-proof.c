/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-proof.c - codes, and what a proof must not prove. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/pairing/proof.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define CODE "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

static void test_code(void)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	bool used[256] = { false };
	guint n_used = 0;

	for (guint i = 0; i < 200; i++) {
		char *code = sync_code_new();
		g_autoptr(GError) error = NULL;
		g_autofree char *plain = sync_code_normalise(code, &error);

		g_assert_no_error(error);
		g_assert_cmpuint(strlen(code), ==, 39);
		g_assert_cmpuint(strlen(plain), ==, 32);
		for (const char *p = plain; *p; p++) {
			n_used += !used[(guchar)*p];
			used[(guchar)*p] = true;
		}
		g_assert_true(g_hash_table_add(seen, code));
	}
	g_assert_cmpuint(n_used, ==, 32); /* all five bits of every character vary */
}

static void test_typed(void)
{
	g_autofree char *code = sync_code_normalise(" abcd-efgh-ijklmnop QRST-UVWX-YZ23-4567\n", NULL);
	g_autofree char *slips = sync_code_normalise("0188AAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL);
	static const char *const bad[] = { "", "ABCD", CODE "A", "ABCDEFGHIJKLMNOPQRSTUVWXYZ23456!", "ABCDEFGHIJKLMNOPQRSTUVWXYZ234569", NULL };

	g_assert_cmpstr(code, ==, CODE);
	g_assert_cmpstr(slips, ==, "OIBBAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	for (guint i = 0; bad[i]; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *none = sync_code_normalise(bad[i], &error);

		g_assert_null(none);
		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	}
}

static void test_proof(void)
{
	g_autofree char *join = sync_proof_make(SYNC_PROOF_JOIN, CODE, A, B);
	g_autofree char *same = sync_proof_make(SYNC_PROOF_JOIN, CODE, A, B);
	g_autofree char *reflected = sync_proof_make(SYNC_PROOF_PAIR, CODE, A, B);
	g_autofree char *relayed = sync_proof_make(SYNC_PROOF_JOIN, CODE, B, A);
	g_autofree char *other = sync_proof_make(SYNC_PROOF_JOIN, "BBCDEFGHIJKLMNOPQRSTUVWXYZ234567", A, B);

	g_assert_cmpuint(strlen(join), ==, 64);
	g_assert_true(sync_proof_equal(join, same));
	g_assert_false(sync_proof_equal(join, reflected));
	g_assert_false(sync_proof_equal(join, relayed));
	g_assert_false(sync_proof_equal(join, other));
	g_assert_false(sync_proof_equal(join, ""));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/proof/code", test_code);
	g_test_add_func("/sync/proof/typed", test_typed);
	g_test_add_func("/sync/proof/proof", test_proof);
	return g_test_run();
}
