/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-warm.c - the loop goes on while a disk does not answer. The linker puts our openat() before the C library's. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <string.h>

#include "vrrpd/loop/warm.h"

static pthread_t loop_thread;
static bool disk_hangs;
static sem_t disk;
static GMutex lock;
static GString *opened; /* by the thread, with the lock */
static guint n_done;

int __real_openat64(int folder, const char *name, int flags, ...);
int __wrap_openat64(int folder, const char *name, int flags, ...);

int __wrap_openat64(int folder, const char *name, int flags, ...)
{
	if (!pthread_equal(pthread_self(), loop_thread)) {
		g_autofree char *base = g_path_get_basename(name);

		g_mutex_lock(&lock);
		g_string_append_printf(opened, "%s ", base);
		g_mutex_unlock(&lock);
		if (disk_hangs && strcmp(name, "pair.conf") == 0)
			sem_wait(&disk);
	}
	return __real_openat64(folder, name, flags);
}

static void done_cb(gpointer user_data)
{
	n_done++;
}

static gboolean turn_cb(gpointer user_data)
{
	return ++*(guint *)user_data < 20 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static bool has_opened(const char *what)
{
	bool found;

	g_mutex_lock(&lock);
	found = strstr(opened->str, what);
	g_mutex_unlock(&lock);
	return found;
}

static void wait_done(guint n)
{
	gint64 deadline_us = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;

	while (n_done < n && g_get_monotonic_time() < deadline_us)
		g_main_context_iteration(NULL, FALSE);
	g_assert_cmpuint(n_done, ==, n);
}

static char *folder_new(void)
{
	char *folder = g_dir_make_tmp("warm-XXXXXX", NULL);
	g_autofree char *pair = g_build_filename(folder, "pair.conf", NULL), *deeper = g_build_filename(folder, "applications.d", NULL);
	g_autofree char *application = g_build_filename(deeper, "pbx.conf", NULL), *hidden = g_build_filename(folder, ".hidden", NULL);

	g_assert_true(g_file_set_contents(pair, "[pair]\n", -1, NULL));
	g_assert_true(g_file_set_contents(hidden, "x", -1, NULL));
	g_assert_cmpint(g_mkdir(deeper, 0700), ==, 0);
	g_assert_true(g_file_set_contents(application, "x", -1, NULL));
	return folder;
}

static void folder_free(const char *folder)
{
	static const char *const names[] = { "pair.conf", ".hidden", "applications.d/pbx.conf", "applications.d", "" };

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(folder, names[i], NULL);

		g_assert_cmpint(g_remove(path), ==, 0);
	}
}

static void test_disk_hangs(void)
{
	g_autofree char *folder = folder_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(VrrpWarm) warm = vrrp_warm_new(folder, &error);
	guint turns = 0;

	g_assert_no_error(error);
	g_string_truncate(opened, 0);
	n_done = 0;
	disk_hangs = true;
	vrrp_warm_read(warm, done_cb, NULL);
	while (!has_opened("pair.conf"))
		g_main_context_iteration(NULL, FALSE);
	g_timeout_add(1, turn_cb, &turns);
	while (turns < 20)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(n_done, ==, 0);
	/* Whoever asks now wants what is written now: that is another reading. */
	vrrp_warm_read(warm, done_cb, NULL);
	vrrp_warm_read(warm, done_cb, NULL);
	sem_post(&disk);
	wait_done(1);
	sem_post(&disk);
	wait_done(3);
	g_assert_true(has_opened("pbx.conf"));
	g_assert_false(has_opened(".hidden"));
	disk_hangs = false;
	folder_free(folder);
}

static void test_gone(void)
{
	g_autoptr(VrrpWarm) warm = vrrp_warm_new("/nowhere/at/all", NULL);

	n_done = 0;
	vrrp_warm_read(warm, done_cb, NULL);
	wait_done(1); /* the loop finds out what is wrong */
}

/* At the end of the process nobody waits for the disk. */
static void test_freed_while_it_reads(void)
{
	g_autofree char *folder = folder_new();
	VrrpWarm *warm = vrrp_warm_new(folder, NULL);

	g_string_truncate(opened, 0);
	n_done = 0;
	disk_hangs = true;
	vrrp_warm_read(warm, done_cb, NULL);
	while (!has_opened("pair.conf"))
		g_main_context_iteration(NULL, FALSE);
	vrrp_warm_free(warm);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(n_done, ==, 0);
	disk_hangs = false;
	sem_post(&disk);
	while (!has_opened("pbx.conf"))
		g_main_context_iteration(NULL, FALSE);
	folder_free(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	loop_thread = pthread_self();
	opened = g_string_new(NULL);
	sem_init(&disk, 0, 0);
	g_test_add_func("/vrrp/warm/disk-hangs", test_disk_hangs);
	g_test_add_func("/vrrp/warm/gone", test_gone);
	g_test_add_func("/vrrp/warm/freed-while-it-reads", test_freed_while_it_reads);
	return g_test_run();
}
