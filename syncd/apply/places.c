/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/places.c - opening the folders of sets, and finding owners. */
#include "syncd/apply/places.h"

#include <errno.h>
#include <fcntl.h>
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

void sync_places_discard(const SyncApply *apply)
{
	g_autofree char *written = sync_file_beside(apply->journal);

	(void)unlink(written);
	for (guint i = 0; i < apply->sets->len; i++) {
		const SyncSet *set = apply->sets->pdata[i];

		if (set->ref != apply->ref)
			continue;
		sync_autofd fd = sync_set_open(set);
		g_autofree char *staging = staging_name(set);

		if (fd >= 0)
			sync_file_remove_tree(fd, staging);
	}
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
