/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/places.c - opening the folders of sets, and finding owners. */
#include "syncd/apply/places.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/error.h"
#include "syncd/files/disk.h"
#include "syncd/files/file.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"

enum { ROOT_MODE = 0755 };

static void close_value(gpointer value)
{
	(void)close(GPOINTER_TO_INT(value) - 1);
}

void sync_places_clear(SyncPlaces *places)
{
	g_clear_pointer(&places->roots, g_hash_table_unref);
	g_clear_pointer(&places->stagings, g_hash_table_unref);
	g_clear_pointer(&places->users, g_hash_table_unref);
	g_clear_pointer(&places->groups, g_hash_table_unref);
	g_clear_pointer(&places->seen, g_free);
}

bool sync_places_init(SyncPlaces *places, GPtrArray *sets, const char *ref, GError **error)
{
	places->roots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_value);
	places->stagings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_value);
	places->users = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	places->groups = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	places->sets = sets;
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		if (g_str_equal(ref, sync_ref_names[i])) {
			places->ref = i;
			return true;
		}
	}
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "unknown ref in the journal");
	return false;
}

static char *staging_name(const SyncSet *set)
{
	return g_strconcat(SYNC_OWN_PREFIX "stage.", set->name, NULL);
}

int sync_places_root(SyncPlaces *places, const char *name, bool make, GError **error)
{
	int fd = GPOINTER_TO_INT(g_hash_table_lookup(places->roots, name)) - 1;
	const SyncSet *set = sync_sets_find(places->sets, places->ref, name);

	if (fd >= 0 || !set)
		return fd;
	fd = sync_set_open(set);
	if (fd < 0 && errno == ENOENT && make && g_mkdir_with_parents(set->root, ROOT_MODE) == 0)
		fd = sync_set_open(set);
	if (fd < 0) {
		sync_error_from_errno(error, errno, "opening data set %s", name);
		return -1;
	}
	g_hash_table_insert(places->roots, g_strdup(name), GINT_TO_POINTER(fd + 1));
	return fd;
}

int sync_places_staging(SyncPlaces *places, const char *name, bool make, GError **error)
{
	int fd = GPOINTER_TO_INT(g_hash_table_lookup(places->stagings, name)) - 1;
	const SyncSet *set = sync_sets_find(places->sets, places->ref, name);

	if (fd >= 0 || !set)
		return fd;
	int root_fd = sync_places_root(places, name, make, error);
	if (root_fd < 0)
		return -1;
	g_autofree char *staging = staging_name(set);
	if (make) {
		sync_file_remove_tree(root_fd, staging);
		(void)mkdirat(root_fd, staging, 0700);
	}
	fd = openat(root_fd, staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		sync_error_from_errno(error, errno, "staging of data set %s", name);
		return -1;
	}
	g_hash_table_insert(places->stagings, g_strdup(name), GINT_TO_POINTER(fd + 1));
	return fd;
}

/* ---- what is left in the staging ---- */

static gint going; /* folders that a thread has yet to remove */

static char *gone_name(const SyncSet *set)
{
	return g_strconcat(SYNC_OWN_PREFIX "gone.", set->name, NULL);
}

typedef struct {
	int root_fd;
	char *outer, *inner;
} Gone;

static void remove_gone(gpointer data, gpointer user_data)
{
	Gone *gone = data;
	sync_autofd outer_fd = openat(gone->root_fd, gone->outer, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (outer_fd >= 0)
		sync_file_remove_tree(outer_fd, gone->inner);
	(void)unlinkat(gone->root_fd, gone->outer, AT_REMOVEDIR);
	(void)close(gone->root_fd);
	g_free(gone->outer);
	g_free(gone->inner);
	g_free(gone);
	g_atomic_int_add(&going, -1);
}

static GThreadPool *remover(void)
{
	static GThreadPool *pool;

	if (g_once_init_enter(&pool))
		g_once_init_leave(&pool, g_thread_pool_new(remove_gone, NULL, 1, FALSE, NULL));
	return pool;
}

/* False: there is none, or it has to be removed here. */
static bool leave_to_remover(int root_fd, const SyncSet *set, const char *name)
{
	static gint serial;
	g_autofree char *outer = gone_name(set);
	g_autofree char *inner = g_strdup_printf("%d", g_atomic_int_add(&serial, 1)), *path = g_strconcat(outer, "/", inner, NULL);

	/* First, so that nobody takes it for what an earlier process has left. */
	g_atomic_int_inc(&going);
	bool ok = (mkdirat(root_fd, outer, 0700) == 0 || errno == EEXIST) && renameat(root_fd, name, root_fd, path) == 0;
	int copy = ok ? fcntl(root_fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (copy < 0) {
		(void)unlinkat(root_fd, outer, AT_REMOVEDIR);
		g_atomic_int_add(&going, -1);
		return ok;
	}
	Gone *gone = g_new(Gone, 1);
	*gone = (Gone){ copy, g_steal_pointer(&outer), g_steal_pointer(&inner) };
	g_thread_pool_push(remover(), gone, NULL);
	return true;
}

void sync_places_leave_ahead(const SyncApply *apply)
{
	for (guint i = 0; i < apply->sets->len; i++) {
		const SyncSet *set = apply->sets->pdata[i];

		if (set->ref != apply->ref)
			continue;
		sync_autofd fd = sync_set_open(set);
		g_autofree char *ahead = sync_ahead_name(set);

		if (fd >= 0 && unlinkat(fd, ahead, AT_REMOVEDIR) < 0 && errno != ENOENT && !leave_to_remover(fd, set, ahead))
			sync_file_remove_tree(fd, ahead);
	}
}

static void clear(const SyncApply *apply, bool soon)
{
	g_autofree char *written = sync_file_beside(apply->journal);

	(void)unlink(written);
	for (guint i = 0; i < apply->sets->len; i++) {
		const SyncSet *set = apply->sets->pdata[i];

		if (set->ref != apply->ref)
			continue;
		sync_autofd fd = sync_set_open(set);
		g_autofree char *staging = staging_name(set), *gone = gone_name(set);

		if (fd < 0 || (soon && leave_to_remover(fd, set, staging)))
			continue;
		sync_file_remove_tree(fd, staging);
		if (g_atomic_int_get(&going) == 0)
			sync_file_remove_tree(fd, gone);
	}
	/* That of a process that ended. */
	if (apply->objects && !apply->ahead)
		sync_places_leave_ahead(apply);
}

void sync_places_discard(const SyncApply *apply)
{
	clear(apply, false);
}

void sync_places_leave(const SyncApply *apply)
{
	clear(apply, true);
}

bool sync_places_on_disk(SyncPlaces *places, GError **error)
{
	g_autoptr(GHashTable) done = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, places->roots);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		int fd = GPOINTER_TO_INT(value) - 1;
		struct stat st;
		g_autofree gint64 *device = g_new0(gint64, 1);

		if (fstat(fd, &st) == 0)
			*device = (gint64)st.st_dev;
		if (g_hash_table_contains(done, device))
			continue;
		if (sync_disk_file_system(fd) < 0) {
			sync_error_from_errno(error, errno, "syncfs");
			return false;
		}
		g_hash_table_add(done, g_steal_pointer(&device));
	}
	return true;
}

static guint number_of(SyncPlaces *places, GHashTable *known, const char *name, bool (*find)(const char *name, guint *ret_number))
{
	gpointer found;
	guint number;

	if (g_hash_table_lookup_extended(known, name, NULL, &found))
		return GPOINTER_TO_UINT(found);
	if (!find(name, &number) && places->unknown)
		g_ptr_array_add(places->unknown, g_strdup(name));
	g_hash_table_insert(known, g_strdup(name), GUINT_TO_POINTER(number));
	return number;
}

void sync_places_owner(SyncPlaces *places, const SyncMeta *meta, uid_t *ret_uid, gid_t *ret_gid)
{
	*ret_uid = number_of(places, places->users, meta->owner, sync_owner_uid);
	*ret_gid = number_of(places, places->groups, meta->group, sync_owner_gid);
}

void sync_places_have_staging(SyncPlaces *places, const char *name)
{
	const SyncSet *set = sync_sets_find(places->sets, places->ref, name);
	int root_fd = set ? sync_places_root(places, name, true, NULL) : -1;

	if (root_fd < 0)
		return;
	g_autofree char *staging = staging_name(set);
	(void)mkdirat(root_fd, staging, 0700);
}
