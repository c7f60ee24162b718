/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-gate.c - an apply and a takeover, in every order. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "syncd/apply/gate.h"

typedef struct {
	char *folder, *written, *journal, *file, *master;
	SyncMarks marks;
	SyncGate *gate;
	GCancellable *cancellable;
	guint whole;
} Case;

static void on_whole(gpointer user_data)
{
	((Case *)user_data)->whole++;
}

/* What a supervisor reads. */
static void assert_marks(const Case *c, const char *wanted)
{
	g_autofree char *found = NULL;

	g_assert_true(g_file_get_contents(c->file, &found, NULL, NULL));
	g_assert_cmpstr(found, ==, wanted);
}

/* Of three refs, the middle one's. */
static void begin(Case *c)
{
	g_assert_true(sync_marks_open(&c->marks, c->file, c->master, 3, NULL));
	c->gate = sync_gate_new(c->journal, &c->marks, 1, on_whole, c);
}

static void end(Case *c)
{
	g_clear_pointer(&c->gate, sync_gate_free);
	sync_marks_close(&c->marks);
}

static void case_init(Case *c)
{
	*c = (Case){ .folder = g_dir_make_tmp("gate-XXXXXX", NULL), .cancellable = g_cancellable_new() };
	c->written = g_build_filename(c->folder, "journal.new", NULL);
	c->journal = g_build_filename(c->folder, "journal", NULL);
	c->file = g_build_filename(c->folder, "files", NULL);
	c->master = g_build_filename(c->folder, "master", NULL);
	begin(c);
	g_assert_true(g_file_set_contents(c->written, "mark", -1, NULL));
}

static void case_clear(Case *c)
{
	(void)g_unlink(c->written);
	(void)g_unlink(c->journal);
	(void)g_unlink(c->master);
	end(c);
	(void)g_unlink(c->file);
	g_assert_cmpint(g_rmdir(c->folder), ==, 0);
	g_object_unref(c->cancellable);
	g_free(c->folder);
	g_free(c->written);
	g_free(c->journal);
	g_free(c->file);
	g_free(c->master);
}

static bool is_there(const char *path)
{
	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void test_alone(void)
{
	Case c;

	case_init(&c);
	assert_marks(&c, "???");
	g_assert_true(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	g_assert_true(is_there(c.journal));
	assert_marks(&c, "?*?");
	g_assert_true(sync_gate_enter(c.gate, c.cancellable, NULL));
	assert_marks(&c, "?*?");
	sync_gate_leave(c.gate);
	assert_marks(&c, "?-?");
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
	assert_marks(&c, "?-?");
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
	assert_marks(&c, "?-?");
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
	assert_marks(&c, "?*?");
	g_assert_true(sync_gate_enter(c.gate, NULL, NULL));
	sync_gate_leave(c.gate);
	g_assert_cmpuint(c.whole, ==, 1);
	case_clear(&c);
}

/* Whoever dies says nothing more: the next one finds what was true. */
static void test_killed(void)
{
	Case c;

	case_init(&c);
	g_assert_true(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	end(&c);
	begin(&c);
	assert_marks(&c, "?*?");
	sync_gate_leave(c.gate); /* who settles finds it made, or makes it */
	end(&c);
	begin(&c);
	assert_marks(&c, "?-?");
	case_clear(&c);
}

/* A supervisor that has read them before counts on it. Who leads puts an earlier state on its files all the same. */
static void test_applications_may_run(void)
{
	g_autoptr(GError) error = NULL;
	Case c;

	case_init(&c);
	sync_gate_leave(c.gate);
	g_assert_true(g_file_set_contents(c.master, "", 0, NULL));
	g_assert_false(sync_gate_mark(c.gate, c.written, c.cancellable, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_assert_false(is_there(c.journal));
	assert_marks(&c, "?-?");
	g_assert_true(sync_gate_mark(c.gate, c.written, NULL, NULL));
	assert_marks(&c, "?*?");
	case_clear(&c);
}

/* Its supervisor looks at this moment: one of the two has to stand back. */
static void test_looked_at(void)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	Case c;

	case_init(&c);
	int fd = open(c.file, O_RDONLY | O_CLOEXEC);
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
	g_assert_false(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	assert_marks(&c, "???");
	close(fd);
	g_assert_true(sync_gate_mark(c.gate, c.written, c.cancellable, NULL));
	assert_marks(&c, "?*?");
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
	g_test_add_func("/sync/gate/killed", test_killed);
	g_test_add_func("/sync/gate/applications-may-run", test_applications_may_run);
	g_test_add_func("/sync/gate/looked-at", test_looked_at);
	return g_test_run();
}
