/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/fuzz/replay.c - feeds one fuzz target without a fuzzing engine: the same inputs in the same order, every time.
 *
 *	fuzz-NAME CORPUS-FOLDER   every file, every truncation of it, and every byte of it flipped in several ways; TAP
 *	fuzz-NAME FILE...         only these
 *
 * An input that ends the process is named and kept, as fuzz-NAME.crash in the working folder.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "fuzz.h"

enum { MOST_PLACES = 1000 }; /* of one file; in a longer one places are left out, evenly */

static const guint8 flips[] = { 0x01, 0x20, 0x80, 0xff };

/* Sanitizers end a process by themselves, and tell this function first. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static struct {
	char what[512];   /* "pair.conf, byte 12 ^ 0x80" */
	char kept_as[128];
	const guint8 *data;
	gsize size;
	guint n;
} now;

static void say_what(void)
{
	int fd;
	bool kept;

	if (!now.data) /* at the end: leaks, of nobody knows which input */
		return;
	fd = open(now.kept_as, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	kept = fd >= 0 && write(fd, now.data, now.size) == (gssize)now.size;

	if (write(STDERR_FILENO, "# this input: ", 14) < 0 || write(STDERR_FILENO, now.what, strlen(now.what)) < 0 ||
	    write(STDERR_FILENO, kept ? "; kept as " : "; could not be kept as ", kept ? 10 : 23) < 0 ||
	    write(STDERR_FILENO, now.kept_as, strlen(now.kept_as)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(1);
}

static void on_signal(int number)
{
	say_what();
	signal(number, SIG_DFL);
	raise(number);
}

static void run(const guint8 *data, gsize size)
{
	/* A copy that ends where the input ends, so that a sanitizer sees the first byte too many. */
	g_autofree guint8 *copy = g_malloc(size ? size : 1);

	if (size)
		memcpy(copy, data, size);
	now.data = copy;
	now.size = size;
	now.n++;
	LLVMFuzzerTestOneInput(copy, size);
	now.data = NULL;
	now.size = 0;
}

static void run_changed(const char *name, guint8 *data, gsize size)
{
	gsize stride = size / MOST_PLACES + 1;

	g_snprintf(now.what, sizeof now.what, "%s", name);
	run(data, size);
	for (gsize i = 0; i < size; i += stride) {
		g_snprintf(now.what, sizeof now.what, "%s, the first %" G_GSIZE_FORMAT " bytes", name, i);
		run(data, i);
		for (guint f = 0; f < G_N_ELEMENTS(flips); f++) {
			g_snprintf(now.what, sizeof now.what, "%s, byte %" G_GSIZE_FORMAT " ^ 0x%02x", name, i, flips[f]);
			data[i] ^= flips[f];
			run(data, size);
			data[i] ^= flips[f];
		}
	}
}

static bool read_file(const char *path, guint8 **ret_data, gsize *ret_size)
{
	g_autoptr(GError) error = NULL;

	if (g_file_get_contents(path, (char **)ret_data, ret_size, &error))
		return true;
	printf("# %s\n", error->message);
	return false;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool run_folder(const char *folder, guint *ret_n_files)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) dir = g_dir_open(folder, 0, &error);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	*ret_n_files = 0;
	for (const char *name; dir && (name = g_dir_read_name(dir));)
		g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, by_name);
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
		g_autofree guint8 *data = NULL;
		gsize size;

		if (!read_file(path, &data, &size))
			return false;
		run_changed(names->pdata[i], data, size);
	}
	*ret_n_files = names->len;
	if (names->len == 0)
		printf("# %s: no corpus%s%s\n", folder, error ? ": " : "", error ? error->message : "");
	return names->len > 0;
}

int main(int argc, char **argv)
{
	g_autofree char *name = g_path_get_basename(argv[0]);
	bool ok = argc > 1;
	guint n_files = 0;

	g_snprintf(now.kept_as, sizeof now.kept_as, "%s.crash", name);
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(say_what);
		signal(SIGABRT, on_signal);
	} else {
		static const int fatal[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
		for (guint i = 0; i < G_N_ELEMENTS(fatal); i++)
			signal(fatal[i], on_signal);
	}

	printf("1..1\n");
	fflush(stdout);
	if (argc == 2 && g_file_test(argv[1], G_FILE_TEST_IS_DIR)) {
		ok = run_folder(argv[1], &n_files);
	} else {
		for (int i = 1; i < argc && ok; i++) {
			g_autofree guint8 *data = NULL;
			gsize size;

			ok = read_file(argv[i], &data, &size);
			if (!ok)
				break;
			g_snprintf(now.what, sizeof now.what, "%s", argv[i]);
			run(data, size);
			n_files++;
		}
	}
	printf("# %u inputs, made of %u files\n%s 1 - %s\n", now.n, n_files, ok ? "ok" : "not ok", name);
	return ok ? 0 : 1;
}
