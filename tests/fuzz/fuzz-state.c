/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-state.c - vrrpd's state of this boot; what it reads it can save and read again. */
#include <glib/gstdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "vrrpd/state.h"

static char *folder;
static char *boot;
static VrrpStore *store;

static void end(void)
{
	static const char *const names[] = { "state", "state.new", "last-advert" };

	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(folder, names[i], NULL);
		(void)g_unlink(path);
	}
	(void)g_rmdir(folder);
	vrrp_store_free(store);
	g_free(folder);
	g_free(boot);
}

static void begin(void)
{
	/* In memory, as /run is: a disk would be most of the time. */
	folder = g_build_filename(g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : g_get_tmp_dir(), "understudy-fuzz-XXXXXX", NULL);
	g_assert_nonnull(g_mkdtemp(folder));
	g_assert_true(g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL));
	g_strchomp(boot);
	store = vrrp_store_new(folder);
	g_assert_nonnull(store);
	atexit(end);
}

/* @data after a beginning that says: of this boot. */
static void write_state(const uint8_t *data, size_t size)
{
	g_autofree char *path = g_build_filename(folder, "state", NULL);
	FILE *file = g_fopen(path, "we");

	g_assert_nonnull(file);
	g_assert_cmpint(fprintf(file, "[state]\nboot_id=%s\n", boot), >, 0);
	g_assert_cmpuint(fwrite(data, 1, size, file), ==, size);
	g_assert_cmpint(fclose(file), ==, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_auto(VrrpSaved) saved = { 0 }, again = { 0 };

	if (!store)
		begin();
	write_state(data, size);
	if (!vrrp_store_load(store, &saved))
		return 0;
	g_assert_true(saved.role >= VRRP_STATE_INIT && saved.role <= VRRP_STATE_MASTER);
	vrrp_store_save(store, &saved);
	g_assert_null(vrrp_store_problem(store));
	g_assert_true(vrrp_store_load(store, &again));
	g_assert_true(again.role == saved.role && again.sequence == saved.sequence && again.since_us == saved.since_us &&
		      again.serving == saved.serving && again.group_id == saved.group_id && again.version == saved.version);
	g_assert_cmpstr(again.peer, ==, saved.peer);
	return 0;
}
