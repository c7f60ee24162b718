/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/apply.c - staging, journal, steps. */
#include "syncd/apply/apply.h"
#include "syncd/apply/migrate.h"
#include "syncd/apply/overtaken.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/files/disk.h"
#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"
#include "syncd/repository/large.h"

enum { WRITE_CHUNK = 1 << 20, FEW_STEPS = 12, ROOT_MODE = 0755, PATIENCE_US = 30000, JOURNAL_PART = 64 * 1024, EXCHANGE_TRIES = 6 };

/* Folders of the sets that a plan touches, held open. */
typedef struct {
	GHashTable *roots;   /* set name -> descriptor + 1 */
	GHashTable *stagings;
	GPtrArray *sets;
	SyncRef ref;
	bool few; /* a handful of fsyncs is cheaper than waiting for whatever else the file system holds */
} Places;

static void close_value(gpointer value)
{
	(void)close(GPOINTER_TO_INT(value) - 1);
}

static void places_clear(Places *places)
{
	g_clear_pointer(&places->roots, g_hash_table_unref);
	g_clear_pointer(&places->stagings, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Places, places_clear)

static bool places_init(Places *places, GPtrArray *sets, const char *ref, GError **error)
{
	places->roots = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_value);
	places->stagings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, close_value);
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

/* The set's own folder. With @make it is made, parents and all: an empty one harms nobody. -1 and @error; -1 without when the set is not
 * declared here any more. */
static int root_of(Places *places, const char *name, bool make, GError **error)
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

static int staging_of(Places *places, const char *name, bool make, GError **error)
{
	int fd = GPOINTER_TO_INT(g_hash_table_lookup(places->stagings, name)) - 1;
	const SyncSet *set = sync_sets_find(places->sets, places->ref, name);

	if (fd >= 0 || !set)
		return fd;
	int root_fd = root_of(places, name, make, error);
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

static void discard_stagings(const SyncApply *apply)
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

static bool sync_roots(Places *places, GError **error)
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

/* ---- staging ---- */

typedef struct {
	const SyncApply *apply;
	Places *places;
	GPtrArray *unknown_owners;
	GCancellable *cancellable;
} Staging;

static void owner_of(const SyncMeta *meta, GPtrArray *unknown, uid_t *ret_uid, gid_t *ret_gid)
{
	bool user = sync_owner_uid(meta->owner, ret_uid);
	bool group = sync_owner_gid(meta->group, ret_gid);

	if (unknown && !user)
		g_ptr_array_add(unknown, g_strdup(meta->owner));
	if (unknown && !group)
		g_ptr_array_add(unknown, g_strdup(meta->group));
}

static void times_of(const SyncMeta *meta, struct timespec ret_times[2])
{
	ret_times[0] = ret_times[1] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (meta->mtime_ns > 0)
		ret_times[1] = (struct timespec){ meta->mtime_ns / 1000000000, meta->mtime_ns % 1000000000 };
}

static bool write_content(int fd, const char *data, gsize length, GCancellable *cancellable, GError **error)
{
	while (length > 0) {
		ssize_t n = write(fd, data, MIN(length, WRITE_CHUNK));

		if (g_cancellable_set_error_if_cancelled(cancellable, error))
			return false;
		if (n < 0 && errno != EINTR) {
			sync_error_from_errno(error, errno, "staging a file");
			return false;
		}
		data += MAX(n, 0);
		length -= MAX(n, 0);
	}
	return true;
}

/* @blob NULL: it is large. */
static bool fill(Staging *staging, int fd, const git_oid *id, git_blob *blob, GError **error)
{
	const SyncObjects *objects = staging->apply->objects;

	if (!blob)
		return sync_large_write(staging->apply->repo, id, fd, staging->cancellable, error);
	const char *content = git_blob_rawcontent(blob);
	gsize length = git_blob_rawsize(blob);
	SyncPointer pointer;

	if (!objects)
		return write_content(fd, content, length, staging->cancellable, error);
	return sync_pointer_parse(content, length, &pointer, error) && sync_objects_take(objects, &pointer, fd, staging->cancellable, error);
}

static bool stage_file(Staging *staging, SyncStep *step, int folder_fd, const char *name, const git_oid *id, git_blob *blob, GError **error)
{
	struct timespec times[2];
	uid_t uid;
	gid_t gid;

	/* Owner and mode first, and nobody else's folder around it: a secret is never readable by the wrong one. */
	sync_autofd fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	owner_of(step->meta, staging->unknown_owners, &uid, &gid);
	times_of(step->meta, times);
	if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, step->meta->mode) < 0) {
		sync_error_from_errno(error, errno, "staging a file");
		return false;
	}
	if (!fill(staging, fd, id, blob, error))
		return false;
	struct stat st;
	if (futimens(fd, times) < 0 || fstat(fd, &st) < 0 || (staging->places->few && fsync(fd) < 0)) {
		sync_error_from_errno(error, errno, "staging a file");
		return false;
	}
	step->staged_ns = (gint64)st.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_mtim.tv_nsec;
	step->staged_inode = st.st_ino;
	return true;
}

static bool stage_link(Staging *staging, SyncStep *step, int folder_fd, const char *name, git_blob *blob, GError **error)
{
	g_autofree char *target = g_strndup(git_blob_rawcontent(blob), git_blob_rawsize(blob));
	struct timespec times[2];
	uid_t uid;
	gid_t gid;

	owner_of(step->meta, staging->unknown_owners, &uid, &gid);
	times_of(step->meta, times);
	if (*target == '\0' || strlen(target) >= PATH_MAX || strlen(target) != (gsize)git_blob_rawsize(blob)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the commit cannot be applied: a malformed link");
		return false;
	}
	struct stat st;
	if (symlinkat(target, folder_fd, name) < 0 || fchownat(folder_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(folder_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		sync_error_from_errno(error, errno, "staging a link");
		return false;
	}
	step->staged_inode = st.st_ino;
	return true;
}

/* A mount below the set would make the rename fail after the mark; it is found here instead. */
static bool same_file_system(int root_fd, const char *path, GError **error)
{
	g_autofree char *parent = sync_path_parent(path);
	struct stat root, st;

	/* The folder may come with this very plan; then it is on the file system of the nearest one that exists. */
	while (*parent) {
		sync_autofd fd = sync_file_open_beneath(root_fd, parent, O_PATH | O_DIRECTORY);

		if (fd >= 0 && fstat(fd, &st) == 0 && fstat(root_fd, &root) == 0) {
			if (st.st_dev == root.st_dev)
				return true;
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "another file system is mounted inside a data set");
			return false;
		}
		char *above = sync_path_parent(parent);
		g_free(parent);
		parent = above;
	}
	return true;
}

static bool stage_step(Staging *staging, SyncStep *step, GError **error)
{
	g_autoptr(git_blob) blob = NULL;
	g_autofree char *name = g_strdup_printf("%u", step->stage);
	git_oid id;

	if (g_cancellable_set_error_if_cancelled(staging->cancellable, error))
		return false;
	int folder_fd = staging_of(staging->places, step->set, true, error);
	if (folder_fd < 0)
		return false;
	if (!same_file_system(root_of(staging->places, step->set, false, NULL), step->path, error))
		return false;
	if (git_oid_fromstr(&id, step->id) < 0)
		return sync_git_error(error, "reading a file of the commit");
	bool large = step->meta->kind == SYNC_KIND_FILE && !staging->apply->objects && sync_large_is(staging->apply->repo, &id);
	if (!large && git_blob_lookup(&blob, staging->apply->repo->git, &id) < 0)
		return sync_git_error(error, "reading a file of the commit");
	if (step->meta->kind == SYNC_KIND_LINK)
		return stage_link(staging, step, folder_fd, name, blob, error);
	return stage_file(staging, step, folder_fd, name, &id, blob, error);
}

static bool sync_stagings(Places *places, GError **error)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, places->stagings);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		if (fsync(GPOINTER_TO_INT(value) - 1) < 0) {
			sync_error_from_errno(error, errno, "staging");
			return false;
		}
	}
	return true;
}

/* Piece by piece: that of a first synchronisation is long. */
static bool write_journal(int fd, gconstpointer plan)
{
	g_autoptr(GString) text = g_string_new(NULL);
	bool ok = true;

	for (guint at = 0; ok && sync_plan_journal_part(plan, &at, JOURNAL_PART, text); g_string_truncate(text, 0))
		ok = sync_file_append(fd, text->str, text->len);
	return ok;
}

/* It has its content, and not yet its name. */
static bool write_mark(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	g_autofree char *written = sync_file_write_beside(apply->journal, write_journal, plan, 0600, error);

	return written != NULL;
}

bool sync_apply_stage(const SyncApply *apply, const SyncPlan *plan, GPtrArray *unknown_owners, GCancellable *cancellable, GError **error)
{
	g_auto(Places) places = { 0 };
	Staging staging = { .apply = apply, .places = &places, .unknown_owners = unknown_owners, .cancellable = cancellable };
	bool ok = places_init(&places, apply->sets, plan->ref, error);

	places.few = plan->steps->len <= FEW_STEPS;
	sync_disk_gather();
	for (guint i = 0; ok && i < plan->steps->len; i++) {
		SyncStep *step = plan->steps->pdata[i];

		if (step->kind == SYNC_STEP_PLACE)
			ok = stage_step(&staging, step, error);
		else if (step->kind == SYNC_STEP_MKDIR)
			ok = root_of(&places, step->set, true, error) >= 0;
	}
	ok = ok && (places.few ? sync_stagings(&places, error) : plan->boot || sync_roots(&places, error)) && write_mark(apply, plan, error);
	if (sync_disk_gathered() < 0 && ok) {
		sync_error_from_errno(error, errno, "staging");
		ok = false;
	}
	if (!ok)
		discard_stagings(apply);
	return ok;
}

/* ---- steps ---- */

static bool step_failed(const SyncStep *step, GError **error)
{
	g_autofree char *path = sync_printable(step->path);

	sync_error_from_errno(error, errno, "data set %s: %s", step->set, path);
	return false;
}

/* What is left of it, or an empty one. */
static void have_staging(Places *places, const char *name)
{
	const SyncSet *set = sync_sets_find(places->sets, places->ref, name);
	int root_fd = set ? root_of(places, name, true, NULL) : -1;

	if (root_fd < 0)
		return;
	g_autofree char *staging = staging_name(set);
	(void)mkdirat(root_fd, staging, 0700);
}

/* Something stands where something else must come: it is taken out of the way, and what it is is seen to at the end (overtaken.h). @depth: it stands at the
 * place of a folder above the step's (see there); 0: at its own. */
static bool take_away(Places *places, const SyncStep *step, guint depth, int folder_fd, const char *name)
{
	g_autofree char *kept = sync_overtaken_name(step, depth);

	/* The journals of an earlier version have no number for a folder. */
	if (!step->stage)
		return sync_overtaken_put_aside(folder_fd, name, folder_fd, name);
	have_staging(places, step->set);
	int staging_fd = staging_of(places, step->set, false, NULL);
	return staging_fd >= 0 && renameat(folder_fd, name, staging_fd, kept) == 0;
}

/* What stood in the step's place is @staged in our own folder now. It goes, unless it is not what was looked at. */
static bool put_away(const SyncStep *step, int staging_fd, const char *staged, const struct stat *st)
{
	g_autofree char *kept = sync_overtaken_name(step, 0);

	/* Sockets, pipes and devices belong to a process, not to the data. */
	if (!S_ISDIR(st->st_mode) && (sync_overtaken_is_as_it_was(step, st) || (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))))
		return unlinkat(staging_fd, staged, 0) == 0;
	return g_str_equal(staged, kept) || renameat(staging_fd, staged, staging_fd, kept) == 0;
}

/* A file system that cannot exchange two names has to do without: what comes between the look and this is gone. */
static bool place_over(Places *places, const SyncStep *step, int staging_fd, const char *staged, int folder_fd, const char *name)
{
	for (int tries = 0; tries < 2; tries++) {
		if (renameat(staging_fd, staged, folder_fd, name) == 0)
			return true;
		if ((errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST) || !take_away(places, step, 0, folder_fd, name))
			break;
	}
	return false;
}

static bool place(Places *places, const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	g_autofree char *staged = g_strdup_printf("%u", step->stage);
	int staging_fd = staging_of(places, step->set, false, error);
	struct stat st;

	if (staging_fd < 0)
		return false;
	/* Made before the crash: the staged file is in its place. */
	if (fstatat(staging_fd, staged, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || step_failed(step, error);
	/* Else they have changed places already. */
	bool comes = !step->staged_inode || st.st_ino == step->staged_inode;
	for (guint tries = 0; comes && tries < EXCHANGE_TRIES; tries++) {
		bool exchange = (step->was != NULL) == (tries % 2 == 0);

		if (renameat2(staging_fd, staged, folder_fd, name, exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE) == 0) {
			if (!exchange)
				return true;
			comes = false;
		} else if (errno != EEXIST && errno != ENOENT) {
			break;
		}
	}
	if (comes)
		return ((errno == EINVAL || errno == ENOSYS) && place_over(places, step, staging_fd, staged, folder_fd, name)) || step_failed(step, error);
	if (fstatat(staging_fd, staged, &st, AT_SYMLINK_NOFOLLOW) < 0 || !put_away(step, staging_fd, staged, &st))
		return step_failed(step, error);
	return true;
}

static bool remove_name(const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	/* A folder there is not what was to go; what comes in its place will put it aside. */
	return unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT || errno == EISDIR ? true : step_failed(step, error);
}

static bool unlink_step(Places *places, const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	g_autofree char *kept = sync_overtaken_name(step, 0);
	struct stat st;

	if (!step->stage || !step->was)
		return remove_name(step, folder_fd, name, error);
	have_staging(places, step->set);
	int staging_fd = staging_of(places, step->set, false, error);
	if (staging_fd < 0)
		return false;
	if (fstatat(staging_fd, kept, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (renameat(folder_fd, name, staging_fd, kept) < 0)
			return errno == ENOENT || remove_name(step, folder_fd, name, error);
		if (fstatat(staging_fd, kept, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return step_failed(step, error);
		if (S_ISDIR(st.st_mode))
			return renameat2(staging_fd, kept, folder_fd, name, RENAME_NOREPLACE) == 0 || step_failed(step, error);
	}
	return put_away(step, staging_fd, kept, &st) || step_failed(step, error);
}

static bool set_folder(int fd, const SyncMeta *meta)
{
	uid_t uid;
	gid_t gid;

	owner_of(meta, NULL, &uid, &gid);
	return fchown(fd, uid, gid) == 0 && fchmod(fd, meta->mode) == 0;
}

static bool make_folder(Places *places, const SyncStep *step, int folder_fd, const char *name, bool make, GError **error)
{
	if (make && *name && mkdirat(folder_fd, name, 0700) < 0) {
		struct stat st;

		if (errno != EEXIST)
			return step_failed(step, error);
		if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
		    (!take_away(places, step, 0, folder_fd, name) || mkdirat(folder_fd, name, 0700) < 0))
			return step_failed(step, error);
	}
	sync_autofd fd = openat(folder_fd, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) && !make)
		return true;
	if (fd < 0 || !set_folder(fd, step->meta))
		return step_failed(step, error);
	return true;
}

static bool make_step(Places *places, const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	switch (step->kind) {
	case SYNC_STEP_UNLINK:
		return unlink_step(places, step, folder_fd, name, error);
	case SYNC_STEP_RMDIR:
		return unlinkat(folder_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST ||
				       errno == ENOTDIR ?
			       true :
			       step_failed(step, error);
	case SYNC_STEP_MKDIR:
		return make_folder(places, step, folder_fd, name, true, error);
	case SYNC_STEP_PLACE:
		return place(places, step, folder_fd, name, error);
	case SYNC_STEP_ATTR:
		return make_folder(places, step, folder_fd, name, false, error);
	}
	g_assert_not_reached();
}

/* The folder @path. Somebody may have taken it away since it was looked at: what is to be in it has one all the same, and what stands in its place is
 * taken out of the way. Who owns it is seen to at the next look. */
static int have_folder(Places *places, const SyncStep *step, int root_fd, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	sync_autofd at = sync_file_open_beneath(root_fd, "", O_RDONLY | O_DIRECTORY);

	for (guint i = 0; at >= 0 && names[i]; i++) {
		const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
		int next = openat(at, names[i], flags);

		if (next < 0 && (errno == ENOENT || ((errno == ENOTDIR || errno == ELOOP) && take_away(places, step, i + 1, at, names[i]))) && mkdirat(at, names[i], ROOT_MODE) == 0 && fsync(at) == 0)
			next = openat(at, names[i], flags);
		int number = errno;
		sync_fd_close(&at);
		errno = number;
		at = next;
	}
	int fd = at;
	at = -1;
	return fd;
}

static bool run_step(Places *places, const SyncStep *step, GError **error)
{
	g_autofree char *parent = sync_path_parent(step->path);
	const char *name = sync_path_last(step->path);
	g_autoptr(GError) problem = NULL;
	int root_fd = root_of(places, step->set, true, &problem);

	if (root_fd < 0) {
		if (problem)
			g_propagate_error(error, g_steal_pointer(&problem));
		return problem == NULL && sync_sets_find(places->sets, places->ref, step->set) == NULL;
	}
	sync_autofd folder_fd = sync_file_open_beneath(root_fd, parent, O_RDONLY | O_DIRECTORY);
	if (folder_fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
		/* There is nothing to be taken away from it. */
		if (step->kind == SYNC_STEP_UNLINK || step->kind == SYNC_STEP_RMDIR || step->kind == SYNC_STEP_ATTR)
			return true;
		folder_fd = have_folder(places, step, root_fd, parent);
	}
	if (folder_fd < 0)
		return step_failed(step, error);
	bool ok = make_step(places, step, folder_fd, name, error);
	if (ok && places->few && fsync(folder_fd) < 0)
		return step_failed(step, error);
	return ok;
}

/* ---- journals whose steps are made, and the disk may not have it ---- */

static const char *this_boot(void)
{
	static char *id;

	if (g_once_init_enter(&id)) {
		char *text = NULL;

		(void)g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL);
		g_once_init_leave(&id, text ? g_strstrip(text) : g_strdup("unknown"));
	}
	return id;
}

typedef struct {
	char *path;
	gint64 made_us;
	bool here; /* in this boot */
} Made;

static void made_free(gpointer data)
{
	Made *made = data;

	g_free(made->path);
	g_free(made);
}

static gint compare_made(gconstpointer a, gconstpointer b)
{
	const Made *x = *(const Made *const *)a, *y = *(const Made *const *)b;

	return x->made_us < y->made_us ? -1 : x->made_us > y->made_us;
}

/* "journal.made.<time>.<boot>", oldest first. */
static GPtrArray *made_list(const SyncApply *apply)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(made_free);
	g_autofree char *folder = g_path_get_dirname(apply->journal), *base = g_path_get_basename(apply->journal);
	g_autofree char *prefix = g_strconcat(base, ".made.", NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *end;

		if (!g_str_has_prefix(name, prefix))
			continue;
		Made *made = g_new0(Made, 1);
		made->path = g_build_filename(folder, name, NULL);
		made->made_us = g_ascii_strtoll(name + strlen(prefix), &end, 10);
		made->here = *end == '.' && g_str_equal(end + 1, this_boot());
		g_ptr_array_add(list, made);
	}
	g_ptr_array_sort(list, compare_made);
	return list;
}

void sync_apply_make_late(SyncPlan *plan)
{
	if (plan->steps->len > FEW_STEPS && !plan->boot)
		plan->boot = g_strdup(this_boot());
}

/* Removes the journal, or keeps it until the disk has everything. */
static bool put_journal_away(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	if (!plan->boot && sync_disk_is_lasting(PATIENCE_US))
		return sync_file_remove(apply->journal, error);
	g_autofree char *made = g_strdup_printf("%s.made.%" G_GINT64_FORMAT ".%s", apply->journal, g_get_monotonic_time(), this_boot());
	if (rename(apply->journal, made) == 0)
		return true;
	sync_error_from_errno(error, errno, "%s", made);
	return false;
}

bool sync_apply_waits_for_disk(const SyncApply *apply, gint64 since_us)
{
	g_autoptr(GPtrArray) list = made_list(apply);

	return list->len > 0 && ((const Made *)list->pdata[list->len - 1])->made_us > since_us;
}

void sync_apply_lasting(const SyncApply *apply, gint64 until_us)
{
	g_autoptr(GPtrArray) list = made_list(apply);

	for (guint i = 0; i < list->len; i++) {
		const Made *made = list->pdata[i];
		g_autoptr(GError) error = NULL;

		if (made->here && made->made_us <= until_us && !sync_file_remove(made->path, &error))
			g_warning("%s", error->message);
	}
}

void sync_apply_ask_disk(const SyncApply *apply)
{
	for (guint i = 0; i <= apply->sets->len; i++) {
		const SyncSet *set = i < apply->sets->len ? apply->sets->pdata[i] : NULL;
		sync_autofd fd = open(set ? set->root : apply->repo->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd >= 0 && sync_disk_file_system(fd) < 0)
			g_warning("%s: %s", set ? set->root : apply->repo->path, g_strerror(errno));
	}
}

/* What somebody has put into the place of a step after the look, this time or before a crash. */
static void keep_overtaken(const SyncApply *apply, const SyncPlan *plan, Places *places)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)sync_overtaken_free);

	for (guint i = 0; i < apply->sets->len; i++) {
		const SyncSet *set = apply->sets->pdata[i];
		int staging_fd = set->ref == apply->ref ? staging_of(places, set->name, false, NULL) : -1;

		if (staging_fd >= 0)
			sync_overtaken_find(plan, set, staging_fd, list);
	}
	if (list->len)
		sync_overtaken_keep(apply, plan->ref, list);
}

static bool run(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	g_auto(Places) places = { 0 };
	git_oid commit;

	if (!places_init(&places, apply->sets, plan->ref, error))
		return false;
	places.few = plan->steps->len <= FEW_STEPS;
	/* None is before another for its sake: all can be made again. */
	bool ok = true;
	sync_disk_gather();
	for (guint i = 0; ok && i < plan->steps->len; i++)
		ok = run_step(&places, plan->steps->pdata[i], error);
	ok = ok && (places.few || plan->boot || sync_roots(&places, error));
	if (sync_disk_gathered() < 0 && ok) {
		sync_error_from_errno(error, errno, "applying");
		ok = false;
	}
	/* This is: what it keeps goes from its place only then. */
	if (ok)
		keep_overtaken(apply, plan, &places);
	if (!ok)
		return false;
	if (git_oid_fromstr(&commit, plan->commit) < 0)
		return sync_git_error(error, "the journal's commit");
	if (!sync_migrate_end(apply->repo, plan, error) || !sync_repo_set_ref(apply->repo, "heads", plan->ref, &commit, error))
		return false;
	sync_repo_drop_ref(apply->repo, "fetched", plan->ref);
	return true;
}

/* From the first step on. */
static bool finish(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	if (!run(apply, plan, error) || !put_journal_away(apply, plan, error)) {
		sync_gate_stuck(apply->gate);
		return false;
	}
	sync_gate_leave(apply->gate);
	discard_stagings(apply);
	return true;
}

bool sync_apply_commit(const SyncApply *apply, const SyncPlan *plan, GCancellable *cancellable, GError **error)
{
	g_autofree char *written = sync_file_beside(apply->journal);
	bool ok = sync_migrate_begin(apply->repo, plan, error) && sync_gate_mark(apply->gate, written, cancellable, error);

	/* The steps must not be on the disk before the mark is. When the disk will not have it, it is taken away again. */
	if (ok && !sync_file_settle_folder(apply->journal, error)) {
		(void)sync_gate_take(apply->gate, NULL);
		ok = false;
	}
	if (!ok || !sync_gate_enter(apply->gate, cancellable, error)) {
		discard_stagings(apply);
		return false;
	}
	return finish(apply, plan, error);
}

/* What the commit has at a step's place; false: it has no file there. */
static bool blob_of(const SyncApply *apply, git_tree *tree, const SyncStep *step, git_oid *ret_id)
{
	g_autofree char *path = sync_path_join(step->set, step->path);
	git_tree_entry *entry = NULL;

	if (git_tree_entry_bypath(&entry, tree, path) < 0)
		return false;
	*ret_id = *git_tree_entry_id(entry);
	bool file = git_tree_entry_type(entry) == GIT_OBJECT_BLOB;
	git_tree_entry_free(entry);
	return file;
}

/* What stands for the file @path in a commit. */
static bool blob_of_file(const SyncApply *apply, const char *path, git_oid *ret_id)
{
	SyncPointer pointer;

	if (!apply->objects)
		return git_odb_hashfile(ret_id, path, GIT_OBJECT_BLOB) == 0;
	sync_autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !sync_objects_hash(fd, NULL, &pointer, NULL))
		return false;
	g_autofree char *text = sync_pointer_text(&pointer);
	return git_odb_hash(ret_id, text, strlen(text), GIT_OBJECT_BLOB) == 0;
}

/* A file whose new name came to the disk, and its content did not. */
static bool restore_content(const SyncApply *apply, Places *places, git_tree *tree, SyncStep *step, GError **error)
{
	const SyncSet *set = sync_sets_find(places->sets, places->ref, step->set);
	Staging staging = { .apply = apply, .places = places };
	git_oid wanted, found;

	if (!set || step->kind != SYNC_STEP_PLACE || step->meta->kind != SYNC_KIND_FILE || !blob_of(apply, tree, step, &wanted))
		return true;
	g_autofree char *path = g_build_filename(set->root, step->path, NULL);
	if (blob_of_file(apply, path, &found) && git_oid_equal(&found, &wanted))
		return true;
	(void)git_oid_tostr(step->id, sizeof step->id, &wanted);
	return stage_step(&staging, step, error) && run_step(places, step, error);
}

static bool make_again(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	g_auto(Places) places = { 0 };
	g_autoptr(git_tree) tree = NULL;
	git_oid commit, files, head, tree_id;
	bool has_head = sync_repo_get_ref(apply->repo, "heads", plan->ref, &head), ok = git_oid_fromstr(&commit, plan->commit) == 0;
	/* What newer ones that came after it left alone may be lost all the same. */
	bool newer = ok && has_head && !git_oid_equal(&head, &commit) && sync_repo_contains(apply->repo, &head, &commit);

	ok = ok && git_oid_fromstr(&files, plan->migrated ? plan->migrated : plan->commit) == 0;
	if (newer)
		sync_migrate_files(apply->repo, plan->ref, &head, &files);
	if (!ok || !sync_repo_tree_of(apply->repo, &files, &tree_id, NULL) ||
	    git_tree_lookup(&tree, apply->repo->git, &tree_id) < 0) {
		g_warning("commit %s did not come to the disk; its files are as they are", plan->commit);
		return true;
	}
	if (!places_init(&places, apply->sets, plan->ref, error))
		return false;
	places.few = true;
	for (guint i = 0; i < plan->steps->len; i++)
		have_staging(&places, ((const SyncStep *)plan->steps->pdata[i])->set);
	if (!newer && !run(apply, plan, error))
		return false;
	for (guint i = 0; i < plan->steps->len; i++)
		if (!restore_content(apply, &places, tree, plan->steps->pdata[i], error))
			return false;
	return true;
}

/* After a loss of power. */
static bool settle_made(const SyncApply *apply, GError **error)
{
	g_autoptr(GPtrArray) list = made_list(apply);

	for (guint i = 0; i < list->len; i++) {
		const Made *made = list->pdata[i];
		g_autofree char *text = NULL;

		if (made->here || !g_file_get_contents(made->path, &text, NULL, NULL))
			continue;
		g_autoptr(SyncPlan) plan = sync_plan_from_journal(text, NULL);
		if (plan && !make_again(apply, plan, error))
			return false;
		sync_apply_ask_disk(apply);
		if (!sync_file_remove(made->path, error))
			return false;
	}
	return true;
}

/* Whether the disk may not have what was staged for it. */
static bool is_lost(const SyncPlan *plan)
{
	return plan->boot && !g_str_equal(plan->boot, this_boot());
}

static bool make_good(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	if (!make_again(apply, plan, error))
		return false;
	sync_apply_ask_disk(apply);
	if (!sync_file_remove(apply->journal, error))
		return false;
	sync_gate_leave(apply->gate);
	discard_stagings(apply);
	return true;
}

bool sync_apply_settle(const SyncApply *apply, bool *ret_moved, GError **error)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) problem = NULL;

	*ret_moved = false;
	if (!settle_made(apply, error))
		return false;
	if (!g_file_get_contents(apply->journal, &text, NULL, &problem)) {
		if (!g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return false;
		}
		sync_gate_leave(apply->gate);
		discard_stagings(apply);
		return true;
	}
	sync_gate_stuck(apply->gate);
	g_autoptr(SyncPlan) plan = sync_plan_from_journal(text, error);
	if (!plan || (is_lost(plan) ? !make_good(apply, plan, error) : !finish(apply, plan, error)))
		return false;
	*ret_moved = true;
	return true;
}
