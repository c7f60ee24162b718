/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is told of a watched folder, and how often that wakes us. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "syncd/files/watch.h"

#define DEADLINE_US (10 * G_TIME_SPAN_SECOND)

typedef struct {
	guint done, writing;
	char *last;
} Told;

static void on_told(const SyncSet *set, const char *folder, const char *name, SyncWatchWhat what, gpointer user_data)
{
	Told *told = user_data;

	g_assert_cmpstr(set->name, ==, "pbx.etc");
	g_assert_cmpstr(folder, ==, "there");
	*(what == SYNC_WATCH_DONE ? &told->done : &told->writing) += 1;
	g_free(told->last);
	told->last = g_strdup(name);
}

/* Whether somebody who writes wakes whoever waits for @context. */
static bool listens(GMainContext *context, int fd)
{
	GPollFD fds[8];
	gint priority, timeout;
	bool listens = false;

	g_assert_true(g_main_context_acquire(context));
	(void)g_main_context_prepare(context, &priority);
	gint n = g_main_context_query(context, priority, &timeout, fds, G_N_ELEMENTS(fds));
	g_assert_cmpint(n, <=, (gint)G_N_ELEMENTS(fds));
	for (gint i = 0; i < n; i++)
		listens = listens || (fds[i].fd == fd && fds[i].events & G_IO_IN);
	(void)g_main_context_check(context, priority, fds, n);
	g_main_context_release(context);
	return listens;
}

static void test_one_wake_for_many(void)
{
	g_autoptr(GMainContext) context = g_main_context_new();
	g_autofree char *root = g_dir_make_tmp("watch-XXXXXX", NULL), *path = g_build_filename(root, "file", NULL);
	SyncSet set = { .name = (char *)"pbx.etc", .root = root };
	int folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int next = dup(folder); /* the lowest free number: the watch's comes after it */
	Told told = { 0 };
	g_autoptr(GError) error = NULL;
	SyncWatch *watch = sync_watch_new(context, on_told, &told, &error);

	g_assert_no_error(error);
	g_assert_true(sync_watch_add(watch, &set, "there", folder));
	g_assert_true(listens(context, next + 1));

	/* The first is told at once, and then nobody is woken for a moment. */
	g_assert_true(g_file_set_contents(path, "one", -1, NULL));
	g_assert_true(g_main_context_iteration(context, TRUE));
	g_assert_cmpuint(told.done + told.writing, >, 0);
	g_assert_false(listens(context, next + 1));

	/* What came in that moment is told after it, and at last everything is as it was. */
	g_assert_true(g_file_set_contents(path, "two", -1, NULL));
	g_assert_cmpint(g_unlink(path), ==, 0);
	for (gint64 until_us = g_get_monotonic_time() + DEADLINE_US; !listens(context, next + 1);) {
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
		(void)g_main_context_iteration(context, TRUE);
	}
	g_assert_cmpstr(told.last, ==, "file");

	sync_watch_free(watch);
	g_free(told.last);
	close(next);
	close(folder);
	g_assert_cmpint(g_rmdir(root), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/watch/one-wake-for-many", test_one_wake_for_many);
	return g_test_run();
}
