/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-gate.c - an apply and a takeover, in every order. */
#include <glib/gstdio.h>

#include "syncd/apply/gate.h"

typedef struct {
	char *folder, *written, *journal;
	SyncGate *gate;
	GCancellable *cancellable;
	guint whole;
} Case;

static void on_whole(gpointer user_data)
{
	((Case *)user_data)->whole++;
}

static void case_init(Case *c)
{
	*c = (Case){ .folder = g_dir_make_tmp("gate-XXXXXX", NULL), .cancellable = g_cancellable_new() };
	c->written = g_build_filename(c->folder, "journal.new", NULL);
	c->journal = g_build_filename(c->folder, "journal", NULL);
	c->gate = sync_gate_new(c->journal, on_whole, c);
	g_assert_true(g_file_set_contents(c->written, "mark", -1, NULL));
}

static void case_clear(Case *c)
{
	(void)g_unlink(c->written);
	(void)g_unlink(c->journal);
	g_assert_cmpint(g_rmdir(c->folder), ==, 0);
	sync_gate_free(c->gate);
	g_object_unref(c->cancellable);
	g_free(c->folder);
	g_free(c->written);
	g_free(c->journal);
}

static bool is_there(const char *path)
{
	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void test_alone(void)
{
	Case c;

	case_init(&c);
	g_assert_true(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	g_assert_true(is_there(c.journal));
	g_assert_true(sync_gate_enter(c.gate, c.cancellable, NULL));
	sync_gate_leave(c.gate);
	g_assert_true(sync_gate_take(c.gate, NULL));
	g_assert_cmpuint(c.whole, ==, 0);
	case_clear(&c);
}

static void test_taken_while_staging(void)
{
	Case c;

	case_init(&c);
	g_assert_true(sync_gate_take(c.gate, c.cancellable));
	g_assert_false(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	g_assert_false(is_there(c.journal));
	case_clear(&c);
}

/* The mark waits for the disk: it is gone before the takeover has its answer, whenever the disk answers. */
static void test_taken_between_mark_and_steps(void)
{
	Case c;

	case_init(&c);
	g_assert_true(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	g_assert_true(sync_gate_take(c.gate, c.cancellable));
	g_assert_false(is_there(c.journal));
	g_assert_false(sync_gate_enter(c.gate, c.cancellable, NULL));
	g_assert_true(sync_gate_take(c.gate, NULL));
	case_clear(&c);
}

/* A change of role that asks nothing: the steps do not begin, and no mark stays that nobody has made good. */
static void test_cancelled_between_mark_and_steps(void)
{
	Case c;

	case_init(&c);
	g_assert_true(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	g_cancellable_cancel(c.cancellable);
	g_assert_false(sync_gate_enter(c.gate, c.cancellable, NULL));
	g_assert_false(is_there(c.journal));
	case_clear(&c);
}

static void test_taken_during_the_steps(void)
{
	Case c;

	case_init(&c);
	g_assert_true(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	g_assert_true(sync_gate_enter(c.gate, c.cancellable, NULL));
	g_assert_false(sync_gate_take(c.gate, c.cancellable));
	g_assert_cmpuint(c.whole, ==, 0);
	sync_gate_leave(c.gate);
	g_assert_cmpuint(c.whole, ==, 1);
	g_assert_true(sync_gate_take(c.gate, NULL));
	case_clear(&c);
}

/* Steps that failed are made by whoever settles; the takeover hears of it then. */
static void test_stuck(void)
{
	Case c;

	case_init(&c);
	g_assert_true(sync_gate_mark(c.gate, c.written, NULL, NULL));
	g_assert_true(sync_gate_enter(c.gate, NULL, NULL));
	sync_gate_stuck(c.gate);
	g_assert_false(sync_gate_take(c.gate, c.cancellable));
	g_assert_true(is_there(c.journal));
	g_assert_true(sync_gate_enter(c.gate, NULL, NULL));
	sync_gate_leave(c.gate);
	g_assert_cmpuint(c.whole, ==, 1);
	case_clear(&c);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/gate/alone", test_alone);
	g_test_add_func("/sync/gate/taken-while-staging", test_taken_while_staging);
	g_test_add_func("/sync/gate/taken-between-mark-and-steps", test_taken_between_mark_and_steps);
	g_test_add_func("/sync/gate/cancelled-between-mark-and-steps", test_cancelled_between_mark_and_steps);
	g_test_add_func("/sync/gate/taken-during-the-steps", test_taken_during_the_steps);
	g_test_add_func("/sync/gate/stuck", test_stuck);
	return g_test_run();
}
