/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/apply.c - the steps, and the journals. */
#include "syncd/apply/apply.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/apply/migrate.h"
#include "syncd/apply/overtaken.h"
#include "syncd/apply/stage.h"
#include "syncd/error.h"
#include "syncd/files/disk.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"

enum { FOLDER_MODE = 0755, PATIENCE_US = 30000, EXCHANGE_TRIES = 6 };

/* ---- steps ---- */

static bool step_failed(const SyncStep *step, GError **error)
{
	g_autofree char *path = sync_printable(step->path);

	sync_error_from_errno(error, errno, "data set %s: %s", step->set, path);
	return false;
}

/* Something stands where something else must come: it is taken out of the way, and what it is is seen to at the end (overtaken.h). @depth: it stands at the
 * place of a folder above the step's (see there); 0: at its own. */
static bool take_away(SyncPlaces *places, const SyncStep *step, guint depth, int folder_fd, const char *name)
{
	g_autofree char *kept = sync_overtaken_name(step, depth);

	/* The journals of an earlier version have no number for a folder. */
	if (!step->stage)
		return sync_overtaken_put_aside(folder_fd, name, folder_fd, name);
	sync_places_have_staging(places, step->set);
	int staging_fd = sync_places_staging(places, step->set, false, NULL);
	return staging_fd >= 0 && renameat(folder_fd, name, staging_fd, kept) == 0;
}

/* What stood in the step's place is @staged in our own folder now. It goes, unless it is not what was looked at: with the folder, once everything has its
 * place, where it will be known from what is staged when this is done again. */
static bool put_away(const SyncStep *step, int staging_fd, const char *staged, const struct stat *st)
{
	g_autofree char *kept = sync_overtaken_name(step, 0);

	/* Sockets, pipes and devices belong to a process, not to the data. */
	if (!S_ISDIR(st->st_mode) && (sync_overtaken_is_as_it_was(step, st) || (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))))
		return (step->staged_inode && !g_str_equal(staged, kept)) || unlinkat(staging_fd, staged, 0) == 0;
	return g_str_equal(staged, kept) || renameat(staging_fd, staged, staging_fd, kept) == 0;
}

/* A file system that cannot exchange two names has to do without: what comes between the look and this is gone. */
static bool place_over(SyncPlaces *places, const SyncStep *step, int staging_fd, const char *staged, int folder_fd, const char *name)
{
	for (int tries = 0; tries < 2; tries++) {
		if (renameat(staging_fd, staged, folder_fd, name) == 0)
			return true;
		if ((errno != EISDIR && errno != ENOTEMPTY && errno != EEXIST) || !take_away(places, step, 0, folder_fd, name))
			break;
	}
	return false;
}

static bool place(SyncPlaces *places, const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	g_autofree char *staged = g_strdup_printf("%u", step->stage);
	int staging_fd = sync_places_staging(places, step->set, false, error);
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

static bool unlink_step(SyncPlaces *places, const SyncStep *step, int folder_fd, const char *name, GError **error)
{
	g_autofree char *kept = sync_overtaken_name(step, 0);
	struct stat st;

	if (!step->stage || !step->was)
		return remove_name(step, folder_fd, name, error);
	sync_places_have_staging(places, step->set);
	int staging_fd = sync_places_staging(places, step->set, false, error);
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

static bool set_folder(SyncPlaces *places, int fd, const SyncMeta *meta)
{
	uid_t uid;
	gid_t gid;

	sync_places_owner(places, meta, &uid, &gid);
	return fchown(fd, uid, gid) == 0 && fchmod(fd, meta->mode) == 0;
}

static bool make_folder(SyncPlaces *places, const SyncStep *step, int folder_fd, const char *name, bool make, GError **error)
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
	if (fd < 0 || !set_folder(places, fd, step->meta))
		return step_failed(step, error);
	return true;
}

static bool make_step(SyncPlaces *places, const SyncStep *step, int folder_fd, const char *name, GError **error)
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
static int have_folder(SyncPlaces *places, const SyncStep *step, int root_fd, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	sync_autofd at = sync_file_open_beneath(root_fd, "", O_RDONLY | O_DIRECTORY);

	for (guint i = 0; at >= 0 && names[i]; i++) {
		const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
		int next = openat(at, names[i], flags);

		if (next < 0 && (errno == ENOENT || ((errno == ENOTDIR || errno == ELOOP) && take_away(places, step, i + 1, at, names[i]))) && mkdirat(at, names[i], FOLDER_MODE) == 0 && fsync(at) == 0)
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

static bool run_step(SyncPlaces *places, const SyncStep *step, GError **error)
{
	g_autofree char *parent = sync_path_parent(step->path);
	const char *name = sync_path_last(step->path);
	g_autoptr(GError) problem = NULL;
	int root_fd = sync_places_root(places, step->set, true, &problem);

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
	if (plan->steps->len > SYNC_FEW_STEPS && !plan->boot)
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
static void keep_overtaken(const SyncApply *apply, const SyncPlan *plan, SyncPlaces *places)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)sync_overtaken_free);

	for (guint i = 0; i < apply->sets->len; i++) {
		const SyncSet *set = apply->sets->pdata[i];
		int staging_fd = set->ref == apply->ref ? sync_places_staging(places, set->name, false, NULL) : -1;

		if (staging_fd >= 0)
			sync_overtaken_find(plan, set, staging_fd, list);
	}
	if (list->len)
		sync_overtaken_keep(apply, plan->ref, list);
}

static bool run(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	g_auto(SyncPlaces) places = { 0 };
	git_oid commit;

	if (!sync_places_init(&places, apply->sets, plan->ref, error))
		return false;
	places.few = plan->steps->len <= SYNC_FEW_STEPS;
	/* None is before another for its sake: all can be made again. */
	bool ok = true;
	sync_disk_gather();
	for (guint i = 0; ok && i < plan->steps->len; i++)
		ok = run_step(&places, plan->steps->pdata[i], error);
	ok = ok && (places.few || plan->boot || sync_places_on_disk(&places, error));
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
	/* Where the disk is told of all that is freed, each file that was replaced takes it a millisecond. */
	if (plan->steps->len > SYNC_FEW_STEPS)
		sync_places_leave(apply);
	else
		sync_places_discard(apply);
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
		sync_places_discard(apply);
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
static bool restore_content(const SyncApply *apply, SyncPlaces *places, git_tree *tree, SyncStep *step, GError **error)
{
	const SyncSet *set = sync_sets_find(places->sets, places->ref, step->set);
	SyncStaging staging = { .apply = apply, .places = places };
	git_oid wanted, found;

	if (!set || step->kind != SYNC_STEP_PLACE || step->meta->kind != SYNC_KIND_FILE || !blob_of(apply, tree, step, &wanted))
		return true;
	g_autofree char *path = g_build_filename(set->root, step->path, NULL);
	if (blob_of_file(apply, path, &found) && git_oid_equal(&found, &wanted))
		return true;
	(void)git_oid_tostr(step->id, sizeof step->id, &wanted);
	return sync_stage_step(&staging, step, error) && run_step(places, step, error);
}

static bool make_again(const SyncApply *apply, const SyncPlan *plan, GError **error)
{
	g_auto(SyncPlaces) places = { 0 };
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
	if (!sync_places_init(&places, apply->sets, plan->ref, error))
		return false;
	places.few = true;
	for (guint i = 0; i < plan->steps->len; i++)
		sync_places_have_staging(&places, ((const SyncStep *)plan->steps->pdata[i])->set);
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
	sync_places_discard(apply);
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
		sync_places_discard(apply);
		return true;
	}
	sync_gate_stuck(apply->gate);
	g_autoptr(SyncPlan) plan = sync_plan_from_journal(text, error);
	if (!plan || (is_lost(plan) ? !make_good(apply, plan, error) : !finish(apply, plan, error)))
		return false;
	*ret_moved = true;
	return true;
}
