/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/state.c - the files of run-time state. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vrrpd/rules/judge.h"

struct VrrpStore {
	char *path;
	char *path_new;
	char *path_advert;
	char *problem, *advert_problem;
	char *boot_id;
	gint64 *advert;      /* shared with the file */
	gint64 nowhere;      /* in its place when the file system is full */
};

/* Of each failure once, and not again before it has gone well. */
static void set_problem(VrrpStore *store, char **problem, const char *path)
{
	int reason = errno;

	if (*problem)
		return;
	*problem = g_strdup_printf("state-not-kept: %s: %s; a restart would not be gone on from", path, g_strerror(reason));
	g_warning("%s", *problem);
}

static void map_advert(VrrpStore *store)
{
	int fd = open(store->path_advert, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	/* Reserved first: a page that the file system has no room for would be SIGBUS when written. */
	int reason = fd < 0 ? errno : posix_fallocate(fd, 0, sizeof(gint64));
	void *at = MAP_FAILED;

	if (reason == 0) {
		at = mmap(NULL, sizeof(gint64), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		reason = errno;
	}
	if (fd >= 0)
		close(fd);
	if (at == MAP_FAILED) {
		errno = reason;
		set_problem(store, &store->advert_problem, store->path_advert);
		return;
	}
	store->advert = at;
	g_clear_pointer(&store->advert_problem, g_free);
}

VrrpStore *vrrp_store_new(const char *dir)
{
	VrrpStore *store = g_new0(VrrpStore, 1);

	store->path = g_build_filename(dir, "state", NULL);
	store->path_new = g_strconcat(store->path, ".new", NULL);
	store->path_advert = g_build_filename(dir, "last-advert", NULL);
	store->advert = &store->nowhere;
	if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &store->boot_id, NULL, NULL))
		store->boot_id = g_strdup("");
	g_strstrip(store->boot_id);
	(void)g_mkdir_with_parents(dir, 0755);
	map_advert(store);
	return store;
}

const char *vrrp_store_problem(const VrrpStore *store)
{
	return store->problem ? store->problem : store->advert_problem;
}

void vrrp_store_free(VrrpStore *store)
{
	if (!store)
		return;
	if (store->advert != &store->nowhere)
		munmap(store->advert, sizeof(gint64));
	g_free(store->path);
	g_free(store->path_new);
	g_free(store->path_advert);
	g_free(store->problem);
	g_free(store->advert_problem);
	g_free(store->boot_id);
	g_free(store);
}

void vrrp_saved_clear(VrrpSaved *saved)
{
	g_clear_pointer(&saved->device, g_free);
	g_clear_pointer(&saved->reason, g_free);
	g_clear_pointer(&saved->peer, g_free);
}

static bool role_from_name(const char *name, VrrpState *ret_role)
{
	for (int i = VRRP_STATE_INIT; i <= VRRP_STATE_MASTER; i++) {
		if (g_strcmp0(name, vrrp_state_name((VrrpState)i)) == 0) {
			*ret_role = (VrrpState)i;
			return true;
		}
	}
	return false;
}

static void load_holds(GKeyFile *file, VrrpHolds *holds)
{
	for (guint i = 0; i < VRRP_N_HOLDS; i++) {
		g_autofree char *group = g_strconcat("hold ", vrrp_hold_name((VrrpHold)i), NULL);
		g_autofree char *reason = g_key_file_get_string(file, group, "reason", NULL);

		if (!reason)
			continue;
		vrrp_holds_set(holds, (VrrpHold)i, reason, g_key_file_get_int64(file, group, "until_us", NULL),
			       g_key_file_get_int64(file, group, "since_us", NULL));
	}
}

/* What was written by ourselves is whole or not at all; anything else has been tampered with, and is not to be believed in part. (What a former version
 * did not write may be missing.) */
static bool is_believable(GKeyFile *file, const VrrpSaved *saved)
{
	static const struct {
		const char *key;
		gint64 most;
	} needed[] = {
		{ "group_id", 255 }, { "version", 3 }, { "sequence", G_MAXINT64 }, { "since_us", G_MAXINT64 },
		{ "step", VRRP_MAX_STEP }, { "heard_step", VRRP_MAX_STEP },
	};

	for (guint i = 0; i < G_N_ELEMENTS(needed); i++) {
		g_autoptr(GError) error = NULL;
		gint64 value = g_key_file_get_int64(file, "state", needed[i].key, &error);

		if (error || value < 0 || value > needed[i].most)
			return false;
	}
	return saved->device && saved->reason;
}

bool vrrp_store_load(VrrpStore *store, VrrpSaved *ret_saved)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *boot_id = NULL, *role = NULL;

	memset(ret_saved, 0, sizeof *ret_saved);
	if (!g_key_file_load_from_file(file, store->path, G_KEY_FILE_NONE, NULL))
		return false;
	boot_id = g_key_file_get_string(file, "state", "boot_id", NULL);
	role = g_key_file_get_string(file, "state", "role", NULL);
	if (g_strcmp0(boot_id, store->boot_id) != 0 || !role_from_name(role, &ret_saved->role))
		return false;
	ret_saved->group_id = (guint)g_key_file_get_integer(file, "state", "group_id", NULL);
	ret_saved->version = (guint)g_key_file_get_integer(file, "state", "version", NULL);
	ret_saved->family = (guint)g_key_file_get_integer(file, "state", "family", NULL);
	ret_saved->pseudo_header = g_key_file_get_boolean(file, "state", "pseudo_header", NULL);
	ret_saved->device = g_key_file_get_string(file, "state", "device", NULL);
	ret_saved->reason = g_key_file_get_string(file, "state", "reason", NULL);
	ret_saved->sequence = g_key_file_get_uint64(file, "state", "sequence", NULL);
	ret_saved->since_us = g_key_file_get_int64(file, "state", "since_us", NULL);
	ret_saved->step = (guint)g_key_file_get_integer(file, "state", "step", NULL);
	ret_saved->heard_step = (guint)g_key_file_get_integer(file, "state", "heard_step", NULL);
	ret_saved->serving = g_key_file_get_boolean(file, "state", "serving", NULL);
	ret_saved->steady = g_key_file_get_boolean(file, "state", "steady", NULL);
	ret_saved->served = g_key_file_get_boolean(file, "state", "served", NULL);
	ret_saved->peer = g_key_file_get_string(file, "state", "peer", NULL);
	load_holds(file, &ret_saved->holds);
	ret_saved->last_advert_us = __atomic_load_n(store->advert, __ATOMIC_RELAXED);
	if (is_believable(file, ret_saved))
		return true;
	g_warning("%s is not as it was written: begun anew", store->path);
	vrrp_saved_clear(ret_saved);
	memset(ret_saved, 0, sizeof *ret_saved);
	return false;
}

void vrrp_store_save(VrrpStore *store, const VrrpSaved *saved)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *text = NULL;
	gsize length = 0;
	int fd;
	bool written;

	if (store->advert == &store->nowhere)
		map_advert(store); /* there may be room now */
	g_key_file_set_string(file, "state", "boot_id", store->boot_id);
	g_key_file_set_integer(file, "state", "group_id", (gint)saved->group_id);
	g_key_file_set_integer(file, "state", "version", (gint)saved->version);
	g_key_file_set_integer(file, "state", "family", (gint)saved->family);
	g_key_file_set_boolean(file, "state", "pseudo_header", saved->pseudo_header);
	g_key_file_set_string(file, "state", "device", saved->device ? saved->device : "");
	g_key_file_set_string(file, "state", "role", vrrp_state_name(saved->role));
	g_key_file_set_string(file, "state", "reason", saved->reason ? saved->reason : "");
	g_key_file_set_uint64(file, "state", "sequence", saved->sequence);
	g_key_file_set_int64(file, "state", "since_us", saved->since_us);
	g_key_file_set_integer(file, "state", "step", (gint)saved->step);
	g_key_file_set_integer(file, "state", "heard_step", (gint)saved->heard_step);
	g_key_file_set_boolean(file, "state", "serving", saved->serving);
	g_key_file_set_boolean(file, "state", "served", saved->served);
	g_key_file_set_boolean(file, "state", "steady", saved->steady);
	if (saved->peer)
		g_key_file_set_string(file, "state", "peer", saved->peer);
	for (guint i = 0; i < VRRP_N_HOLDS; i++) {
		g_autofree char *group = g_strconcat("hold ", vrrp_hold_name((VrrpHold)i), NULL);

		if (!saved->holds.hold[i].set)
			continue;
		g_key_file_set_string(file, group, "reason", saved->holds.hold[i].reason);
		g_key_file_set_int64(file, group, "since_us", saved->holds.hold[i].since_us);
		g_key_file_set_int64(file, group, "until_us", saved->holds.hold[i].until_us);
	}
	text = g_key_file_to_data(file, &length, NULL);

	/* g_file_set_contents() would fsync: nothing to win on a tmpfs, and a wait if it is none. */
	fd = open(store->path_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	written = fd >= 0 && write(fd, text, length) == (gssize)length;
	if (fd >= 0)
		close(fd);
	if (written && rename(store->path_new, store->path) == 0) {
		g_clear_pointer(&store->problem, g_free);
		return;
	}
	set_problem(store, &store->problem, store->path);
	/* It took a place that others may need. */
	(void)unlink(store->path_new);
}

void vrrp_store_advert(VrrpStore *store, gint64 at_us)
{
	/* One store: a reader sees the old time or the new one. */
	__atomic_store_n(store->advert, at_us, __ATOMIC_RELAXED);
}
