/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/stage.c - writing the files of a plan, and its journal. */
#include "syncd/apply/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/error.h"
#include "syncd/files/disk.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "syncd/repository/large.h"

enum {
	WRITE_CHUNK = 1 << 20,
	JOURNAL_PART = 64 * 1024,
	BEGIN_EACH = 8192, /* so many files are begun to be written while the next are staged */
};

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

/* @blob NULL: it is large; @pointer: not NULL where the blob is one. */
static bool fill(SyncStaging *staging, int fd, const git_oid *id, git_blob *blob, const SyncPointer *pointer, GError **error)
{
	if (pointer)
		return sync_objects_take(staging->apply->objects, pointer, fd, staging->cancellable, error);
	return blob ? write_content(fd, git_blob_rawcontent(blob), git_blob_rawsize(blob), staging->cancellable, error) :
		      sync_large_write(staging->apply->repo, id, fd, staging->cancellable, error);
}

static bool stage_file(SyncStaging *staging, SyncStep *step, int folder_fd, const char *name, const git_oid *id, git_blob *blob, GError **error)
{
	const SyncApply *apply = staging->apply;
	struct timespec times[2];
	SyncPointer pointer;
	uid_t uid;
	gid_t gid;

	if (apply->objects && !sync_pointer_parse(git_blob_rawcontent(blob), git_blob_rawsize(blob), &pointer, error))
		return false;
	/* Owner and mode first, and nobody else's folder around it: a secret is never readable by the wrong one. */
	sync_autofd fd = apply->objects ? sync_ahead_take(apply->ahead, step->set, &pointer, folder_fd, name) : -1;
	bool filled = fd >= 0;
	if (!filled)
		fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	sync_places_owner(staging->places, step->meta, &uid, &gid);
	times_of(step->meta, times);
	if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, step->meta->mode) < 0) {
		sync_error_from_errno(error, errno, "staging a file");
		return false;
	}
	if (!filled && !fill(staging, fd, id, blob, apply->objects ? &pointer : NULL, error))
		return false;
	struct stat st;
	if (futimens(fd, times) < 0 || fstat(fd, &st) < 0 || (staging->places->few && fsync(fd) < 0)) {
		sync_error_from_errno(error, errno, "staging a file");
		return false;
	}
	/* Of many recordings the disk has little left to do when it is waited for. */
	if (apply->objects && !filled && !staging->places->few)
		(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	step->staged_ns = (gint64)st.st_mtim.tv_sec * G_GINT64_CONSTANT(1000000000) + st.st_mtim.tv_nsec;
	step->staged_inode = st.st_ino;
	return true;
}

static bool stage_link(SyncStaging *staging, SyncStep *step, int folder_fd, const char *name, git_blob *blob, GError **error)
{
	g_autofree char *target = g_strndup(git_blob_rawcontent(blob), git_blob_rawsize(blob));
	struct timespec times[2];
	uid_t uid;
	gid_t gid;

	sync_places_owner(staging->places, step->meta, &uid, &gid);
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
static bool same_file_system(SyncPlaces *places, const SyncStep *step, GError **error)
{
	g_autofree char *parent = sync_path_parent(step->path), *folder = sync_path_join(step->set, parent);
	int root_fd = sync_places_root(places, step->set, false, NULL);
	struct stat root, st;

	/* Those of one folder come one after the other. */
	if (g_strcmp0(places->seen, folder) == 0)
		return true;
	/* The folder may come with this very plan; then it is on the file system of the nearest one that exists. */
	while (*parent) {
		sync_autofd fd = sync_file_open_beneath(root_fd, parent, O_PATH | O_DIRECTORY);

		if (fd >= 0 && fstat(fd, &st) == 0 && fstat(root_fd, &root) == 0) {
			if (st.st_dev == root.st_dev)
				break;
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "another file system is mounted inside a data set");
			return false;
		}
		char *above = sync_path_parent(parent);
		g_free(parent);
		parent = above;
	}
	g_free(places->seen);
	places->seen = g_steal_pointer(&folder);
	return true;
}

bool sync_stage_step(SyncStaging *staging, SyncStep *step, GError **error)
{
	g_autoptr(git_blob) blob = NULL;
	g_autofree char *name = g_strdup_printf("%u", step->stage);
	git_oid id;

	if (g_cancellable_set_error_if_cancelled(staging->cancellable, error))
		return false;
	int folder_fd = sync_places_staging(staging->places, step->set, true, error);
	if (folder_fd < 0)
		return false;
	if (!same_file_system(staging->places, step, error))
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

static bool sync_stagings(SyncPlaces *places, GError **error)
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

/* Nobody waits for so many files; but what is left of them when they have their places keeps the disk from whoever waits for it then. */
static void begin_writing(const SyncPlan *plan, SyncPlaces *places, const SyncStep *step, guint n_staged)
{
	if (plan->boot && n_staged % BEGIN_EACH == 0)
		sync_disk_begin(sync_places_staging(places, step->set, false, NULL));
}

bool sync_apply_stage(const SyncApply *apply, const SyncPlan *plan, GPtrArray *unknown_owners, GCancellable *cancellable, GError **error)
{
	g_auto(SyncPlaces) places = { 0 };
	SyncStaging staging = { .apply = apply, .places = &places, .cancellable = cancellable };
	bool ok = sync_places_init(&places, apply->sets, plan->ref, error);
	guint n_staged = 0;

	places.few = plan->steps->len <= SYNC_FEW_STEPS;
	places.unknown = unknown_owners;
	sync_disk_gather();
	for (guint i = 0; ok && i < plan->steps->len; i++) {
		SyncStep *step = plan->steps->pdata[i];

		if (step->kind == SYNC_STEP_PLACE) {
			ok = sync_stage_step(&staging, step, error);
			if (ok)
				begin_writing(plan, &places, step, ++n_staged);
		} else if (step->kind == SYNC_STEP_MKDIR) {
			ok = sync_places_root(&places, step->set, true, error) >= 0;
		}
	}
	ok = ok && (places.few ? sync_stagings(&places, error) : plan->boot || sync_places_on_disk(&places, error)) && write_mark(apply, plan, error);
	if (sync_disk_gathered() < 0 && ok) {
		sync_error_from_errno(error, errno, "staging");
		ok = false;
	}
	if (!ok)
		sync_places_discard(apply);
	return ok;
}
