/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/follow.c - the follower: fetches by commit, keeps what is its own aside, applies. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "engine-private.h"
#include "error.h"
#include "syncd/apply/places.h"
#include "syncd/files/disk.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "syncd/files/snapshot.h"
#include "syncd/peer/get.h"
#include "syncd/repository/change.h"
#include "syncd/repository/pack.h"
#include "syncd/repository/receive.h"
#include "syncd/unite/apart.h"

enum { CHECK_S = 3600, TRIES = 3 };

static GPtrArray *entries_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
}

/* ---- fetching ---- */

/* Reads the peer's word for @line; false when it has nothing there. */
static bool target_of(const SyncPullCall *pull, const SyncLine *line, git_oid *ret_id)
{
	const char *hex;

	return g_variant_lookup(pull->stored, line->name, "&s", &hex) && strlen(hex) == GIT_OID_HEXSZ && git_oid_fromstr(ret_id, hex) == 0;
}

static bool pushed_on_disk(SyncLine *line, GError **error)
{
	bool gathers = line->pushed_gathers;

	line->pushed_gathers = false;
	if (gathers && sync_disk_gathered() < 0) {
		sync_error_from_errno(error, errno, "%s", line->repo->path);
		return false;
	}
	return !line->objects || sync_objects_settle(line->objects, error);
}

bool sync_follow_keep(SyncLine *line, GError **error)
{
	if (git_oid_is_zero(&line->pushed))
		return true;
	if (!pushed_on_disk(line, error) || !sync_repo_set_ref(line->repo, "fetched", line->name, &line->pushed, error))
		return false;
	line->pushed = (git_oid){ 0 };
	sync_voice_came(line);
	sync_line_tell(line);
	return true;
}

/* The pack that the leader has made of a change. */
static bool fetch_pack(SyncLine *line, const SyncPullCall *pull, const char *name, GCancellable *cancellable, GError **error)
{
	SyncFetchSource source = { .host = pull->hosts[0], .port = pull->port, .key = pull->key, .pin = pull->pin };
	g_autofree char *path = sync_pack_path("/repo.git", name);

	if (!path || !source.host) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "no pack, or no address of the peer");
		return false;
	}
	sync_line_tell_activity(line, "fetching");
	g_autoptr(GBytes) pack = sync_get(&source, path, SYNC_PACK_MAX, cancellable, error);
	return pack && sync_receive_pack(line->repo->git, pack, error);
}

static bool take_change(SyncLine *line, const SyncPullCall *pull, GVariant *change, GCancellable *cancellable, GError **error)
{
	const char *pack = sync_change_pack(change);

	return (!pack || fetch_pack(line, pull, pack, cancellable, error)) && sync_change_take(line->repo, change, error);
}

/* Whether what came with the news of it leads from what is here to @target. All of it is here then, but no ref has it, and the disk may not yet. */
static bool take_changes(SyncLine *line, const SyncPullCall *pull, const git_oid *target, GCancellable *cancellable)
{
	git_oid head, fetched, at = { 0 };
	bool has_head = sync_repo_get_ref(line->repo, "heads", line->name, &head);
	bool has_fetched = sync_repo_get_ref(line->repo, "fetched", line->name, &fetched);

	if (line->doubtful || g_atomic_int_get(&line->damaged) || (has_head && git_oid_equal(&head, target)) ||
	    (has_fetched && git_oid_equal(&fetched, target)))
		return false;
	for (guint i = 0; i < pull->changes->len; i++) {
		g_autoptr(GError) error = NULL;
		git_oid before, commit;

		if (!sync_change_read(pull->changes->pdata[i], &before, &commit) ||
		    !((has_head && git_oid_equal(&before, &head)) || (has_fetched && git_oid_equal(&before, &fetched)) || git_oid_equal(&before, &at)))
			continue;
		if (take_change(line, pull, pull->changes->pdata[i], cancellable, &error))
			at = commit;
		else
			g_message("a change of the peer is fetched instead: %s", error->message);
	}
	return git_oid_equal(&at, target);
}

static bool fetch(SyncLine *line, const SyncPullCall *pull, GCancellable *cancellable, GError **error)
{
	git_oid target, have;

	if (!target_of(pull, line, &target))
		return true;
	if (!line->doubtful && !g_atomic_int_get(&line->damaged) && ((sync_repo_get_ref(line->repo, "heads", line->name, &have) && git_oid_equal(&have, &target)) ||
				(sync_repo_get_ref(line->repo, "fetched", line->name, &have) && git_oid_equal(&have, &target))))
		return true;
	sync_line_tell_activity(line, "fetching");
	g_autoptr(GError) problem = NULL;
	for (guint i = 0; pull->hosts[i]; i++) {
		SyncFetchSource source = { .host = pull->hosts[i], .port = pull->port, .key = pull->key, .pin = pull->pin };

		g_clear_error(&problem);
		if (g_atomic_int_get(&line->damaged) && !sync_mend_fetch(line, &source, &target, cancellable, &problem))
			continue;
		if (line->objects ? sync_voice_fetch(line, &source, &target, cancellable, &problem) :
				    sync_fetch(line->repo, &source, "fetched", line->name, &target, cancellable, &problem)) {
			sync_line_tell(line);
			sync_line_tidy(line);
			return true;
		}
		if (g_cancellable_is_cancelled(cancellable) || g_error_matches(problem, SYNC_ERROR, SYNC_ERROR_REFUSED))
			break;
	}
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	else
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "no address of the peer is known");
	return false;
}

/* ---- planning ---- */

/* Entries of a database set must be that database, nothing else: the names in a commit choose no files here. */
static bool database_entries_ok(const SyncSet *set, GPtrArray *entries)
{
	for (guint i = 0; i < entries->len; i++) {
		const SyncEntry *entry = entries->pdata[i];

		if (!g_str_equal(entry->path, set->database) || entry->meta->kind != SYNC_KIND_FILE)
			return false;
	}
	return entries->len <= 1;
}

void sync_follow_drop_excluded(const SyncSet *set, GPtrArray *entries)
{
	for (guint i = entries->len; i-- > 0;) {
		const SyncEntry *entry = entries->pdata[i];

		if (sync_set_leaves_out(set, entry->path, entry->meta->kind == SYNC_KIND_FOLDER))
			g_ptr_array_remove_index(entries, i);
	}
}

/* Rows that a killed application left beside its database. They are known: what is on the files was copied with them. */
static bool has_rows_beside(const SyncSet *set)
{
	static const char *const suffixes[] = { "-wal", "-journal" };
	struct stat st;

	for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *path = g_strconcat(set->root, "/", set->database, suffixes[i], NULL);

		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
			return true;
	}
	return false;
}

static bool plan_set(SyncLine *line, SyncPlan *plan, const SyncSet *set, const git_oid *from, const git_oid *to, GError **error)
{
	g_autoptr(GPtrArray) old = entries_new();
	g_autoptr(GPtrArray) new_ = entries_new();

	if (!sync_repo_compare(line->repo, from, to, set->name, old, new_, error))
		return false;
	if (!set->database) {
		sync_follow_drop_excluded(set, new_);
		sync_follow_drop_excluded(set, old);
		sync_plan_add(plan, set->name, old, new_);
		return true;
	}
	if (!database_entries_ok(set, new_)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the commit cannot be applied: %s is not one database", set->name);
		return false;
	}
	g_autofree char *path = g_build_filename(set->root, set->database, NULL);
	if (new_->len == 0) {
		/* One that led before and has the same: the application of a takeover shall not have to bring them in while phones wait. */
		if (!has_rows_beside(set) || sync_snapshot_in_use(path))
			return true;
		if (!sync_repo_compare(line->repo, NULL, to, set->name, old, new_, error))
			return false;
		if (!database_entries_ok(set, new_) || new_->len == 0)
			return true;
	} else if (sync_snapshot_in_use(path)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "in-use: the database of %s is open in a process of this Backup", set->name);
		return false;
	}
	/* A new database beside an old -wal would open with the old rows. What these hold was looked at before. */
	for (guint i = 0; sync_database_suffixes[i]; i++) {
		g_autofree char *companion = g_strconcat(set->database, sync_database_suffixes[i], NULL);
		sync_plan_add_unlink(plan, set->name, companion);
	}
	sync_plan_add(plan, set->name, old, new_);
	return true;
}

static bool plan_line(SyncLine *line, const git_oid *from, const git_oid *to, SyncPlan *plan, GError **error)
{
	g_auto(GStrv) sets = sync_repo_sets(line->repo, to, error);

	if (!sets)
		return false;
	for (guint i = 0; sets[i]; i++) {
		/* A set that is not declared here is not for here. One that the commit lacks is left alone. */
		const SyncSet *set = sync_sets_find(line->sets, line->ref, sets[i]);

		if (set && !plan_set(line, plan, set, from, to, error))
			return false;
	}
	return true;
}

/* ---- what is our own ---- */

typedef struct {
	const SyncSet *set;
	bool differs;
} Content;

static bool is_content(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data)
{
	Content *content = user_data;

	/* What this device leaves out is not gone. Folders come and go with their files; the set's own folder alone is nothing. */
	if (was && sync_set_leaves_out(content->set, path, was->kind == SYNC_KIND_FOLDER))
		was = NULL;
	bool file = becomes && becomes->kind != SYNC_KIND_FOLDER;
	content->differs = file ? !was || was->kind != becomes->kind || !git_oid_equal(was_id, id) : was && was->kind != SYNC_KIND_FOLDER;
	return !content->differs;
}

/* Whether @tree holds content that @base has not: owners, modes and times alone are not worth keeping aside. */
static bool content_differs(SyncLine *line, const git_oid *base, const git_oid *tree, bool *ret_differs, GError **error)
{
	*ret_differs = false;
	for (guint i = 0; i < line->sets->len && !*ret_differs; i++) {
		Content content = { .set = line->sets->pdata[i] };

		if (content.set->ref != line->ref)
			continue;
		if (!sync_repo_each_difference(line->repo, base, tree, content.set->name, is_content, &content, error))
			return false;
		*ret_differs = content.differs;
	}
	return true;
}

static bool keep_aside(SyncLine *line, const git_oid *commit, const char *title, guint8 priority, const char *what, GError **error)
{
	g_autofree char *name = sync_repo_park(line->repo, line->engine->device, commit, error);

	if (!name)
		return false;
	sync_line_tell_diverged(line);
	sync_line_notice(line, title, priority, "%s kept as %s", what, name);
	return true;
}

/* A line that parted from the leader's is to be united with it. One that has nothing in common with it, what a joiner had before, is not. */
static bool keep_apart(SyncLine *line, const git_oid *own, const git_oid *target, GError **error)
{
	git_oid base;

	if (!sync_apart_wanted(line->settings, line->ref) ||
	    (line->ref == SYNC_REF_VOLATILE ? !sync_apart_is_snapshot(line->repo, line->engine->device, own, target) :
					      !sync_apart_fork(line->repo, target, own, &base)))
		return true;
	if (!sync_apart_keep(line->repo, line->ref, own, error))
		return false;
	sync_line_tell_apart(line);
	return true;
}

/* Before anything is replaced: what only this device has gets a name. @files is what @head (NULL: nothing is applied) has put there (migrate.h). */
static bool keep_own(SyncLine *line, const git_oid *head, const git_oid *files, const git_oid *target, const git_oid *target_tree, GError **error)
{
	git_oid head_tree, disk, own;
	bool edited, new_to_target = false;

	if (head && !sync_repo_tree_of(line->repo, files, &head_tree, error))
		return false;
	if (!sync_picture_write(line->picture, line->repo, head ? &head_tree : NULL, NULL, &disk, error) ||
	    !content_differs(line, head ? &head_tree : NULL, &disk, &edited, error) ||
	    (edited && !content_differs(line, target_tree, &disk, &new_to_target, error)))
		return false;
	/* Volatile state has one truth, the leader's. */
	if (line->ref == SYNC_REF_VOLATILE)
		return !head || keep_apart(line, head, target, error);
	bool in_line = head && (line->objects ? sync_voice_goes_on_from(line, target, head) : sync_repo_contains(line->repo, target, head));
	bool fresh = edited && new_to_target && !git_oid_equal(&disk, &line->parked_tree);
	if (!fresh && (!head || in_line))
		return true;
	if (fresh) {
		if (!sync_repo_commit(line->repo, &disk, head ? files : NULL, "system", "What was on this device when it was replaced", &line->term, &own, error))
			return false;
	} else {
		own = *head;
	}
	bool kept;
	if (!head)
		kept = keep_aside(line, &own, "own data kept", 1, "What this device had before it joined is", error);
	else if (in_line)
		kept = keep_aside(line, &own, "local edit kept", 2, "A change made on this Backup was replaced by the Master's; it is", error);
	else
		kept = keep_apart(line, &own, target, error) &&
		       keep_aside(line, &own, "divergence", 3, "This device had commits that the Master has not; they are", error);
	/* Not before it has its name: else the next try would take it for kept. */
	if (kept && fresh)
		line->parked_tree = disk;
	return kept;
}

bool sync_follow_keep_overtaken(const git_oid *tree, const git_oid *parent, gpointer user_data, GError **error)
{
	SyncLine *line = user_data;
	git_oid own;

	return sync_repo_commit(line->repo, tree, parent, "system", "What was written on this device just when it was replaced", &line->term, &own, error) &&
	       keep_aside(line, &own, "local edit kept", 2, "What was written into a file just when it was replaced is", error);
}

static void tell_beside(const char *path, gpointer user_data)
{
	sync_line_notice(user_data, "local edit kept", 2, "What stood at %s and is not part of the data set lies beside what came there, as .understudy-aside.*", path);
}

/* What the steps of @plan are going to replace, as it was looked at: what is there by then may be something else. */
static void note_what_is_there(SyncLine *line, SyncPlan *plan)
{
	for (guint i = 0; i < plan->steps->len; i++) {
		SyncStep *step = plan->steps->pdata[i];
		const SyncSet *set = step->stage ? sync_sets_find(line->sets, line->ref, step->set) : NULL;

		if (set)
			step->was = sync_picture_was(line->picture, set, step->path);
	}
}

/* ---- applying ---- */

SyncApply sync_line_apply(SyncLine *line)
{
	return (SyncApply){
		.sets = line->sets,
		.ref = line->ref,
		.repo = line->repo,
		.objects = line->objects,
		.ahead = line->ahead,
		.journal = line->journal,
		.gate = line->gate,
		/* Volatile state has one truth, the leader's. */
		.keep = line->ref == SYNC_REF_VOLATILE ? NULL : sync_follow_keep_overtaken,
		.beside = tell_beside,
		.user_data = line,
	};
}

void sync_follow_end_ahead(SyncLine *line)
{
	if (!line->ahead)
		return;
	g_clear_pointer(&line->ahead, sync_ahead_free);
	SyncApply apply = sync_line_apply(line);
	sync_places_leave_ahead(&apply);
}

/* Looks at the folders that the commit is going to change, so that an edit there is seen before it is replaced. @draft: what is to be done if the
 * disk is *ret_disk; zero: it is none. */
static bool look_at_affected(SyncLine *line, const git_oid *target_tree, SyncPlan *draft, git_oid *ret_disk, GCancellable *cancellable, GError **error)
{
	gint64 now_us = g_get_monotonic_time();

	if (line->checked_us == 0 || now_us - line->checked_us > CHECK_S * (gint64)G_USEC_PER_SEC) {
		sync_picture_mark_all(line->picture);
		if (!sync_picture_refresh(line->picture, line->repo, cancellable, error))
			return false;
		line->checked_us = now_us;
		*ret_disk = (git_oid){ 0 };
		return true;
	}
	if (!sync_picture_write(line->picture, line->repo, NULL, NULL, ret_disk, error) ||
	    !plan_line(line, ret_disk, target_tree, draft, error))
		return false;
	for (guint i = 0; i < draft->steps->len; i++) {
		const SyncStep *step = draft->steps->pdata[i];
		g_autofree char *parent = sync_path_parent(step->path);

		sync_picture_mark(line->picture, sync_sets_find(line->sets, line->ref, step->set), parent);
	}
	return sync_picture_refresh(line->picture, line->repo, cancellable, error);
}

/* After the files have changed by our own hand: the picture follows without reading them again. What it has taken of the plan goes from that: both
 * may be of everything there is. */
static bool follow_picture(SyncLine *line, SyncPlan *plan, GError **error)
{
	for (guint i = 0; i < plan->steps->len; i++) {
		g_autoptr(SyncEntry) step = g_steal_pointer(&plan->steps->pdata[i]);
		const SyncSet *set = sync_sets_find(line->sets, line->ref, step->set);
		g_autofree char *parent = sync_path_parent(step->path);
		git_oid id;

		if (step->kind == SYNC_STEP_PLACE && step->meta->kind == SYNC_KIND_FILE && git_oid_fromstr(&id, step->id) == 0)
			sync_picture_adopt(line->picture, set, step->path, &id, step->staged_ns);
		sync_picture_mark(line->picture, set, parent);
		if (step->kind == SYNC_STEP_ATTR)
			sync_picture_mark(line->picture, set, step->path);
	}
	g_ptr_array_set_size(plan->steps, 0);
	return sync_picture_refresh(line->picture, line->repo, NULL, error);
}

static void report_owners(SyncLine *line, GPtrArray *unknown)
{
	for (guint i = 0; i < unknown->len; i++) {
		g_autofree char *name = sync_printable(unknown->pdata[i]);

		if (g_hash_table_add(line->strangers, g_strdup(name)))
			sync_line_notice(line, "owner unknown", 2, "There is no user or group %s here: its files belong to root", name);
	}
}

/* Whether the picture, which has followed, has the content of @tree. */
static bool compare_picture(SyncLine *line, const git_oid *tree, GError **error)
{
	git_oid disk;

	return sync_picture_write(line->picture, line->repo, NULL, NULL, &disk, error) && content_differs(line, tree, &disk, &line->unlike, error);
}

static bool stage_and_apply_once(SyncLine *line, const git_oid *target, GCancellable *cancellable, GError **error)
{
	g_autofree char *hex = sync_oid_text(target);
	g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
	SyncApply apply = sync_line_apply(line);
	git_oid head, here, here_tree, files, files_tree, disk, drafted;
	bool has_head = sync_repo_get_ref(line->repo, "heads", line->name, &head);
	bool same = has_head && git_oid_equal(&head, target);

	if (same && !line->unlike && line->checked_us && g_get_monotonic_time() - line->checked_us <= CHECK_S * (gint64)G_USEC_PER_SEC)
		return true;
	if (has_head)
		sync_migrate_files(line->repo, line->name, &head, &here);
	if (!sync_trial_files(line, target, same, cancellable, &files, error))
		return false;
	same = same && git_oid_equal(&files, &here);
	if (!sync_repo_tree_of(line->repo, &files, &files_tree, error) ||
	    (has_head && !sync_repo_tree_of(line->repo, &here, &here_tree, error)) ||
	    (!same && !sync_trial_pass(line, has_head ? &here_tree : NULL, &files_tree, target, cancellable, error)))
		return false;
	sync_line_tell_activity(line, "staging");
	line->unlike = true; /* until it is known better: what ends on the way is not taken for done by the next pull */
	sync_picture_set_base(line->picture, has_head ? &here_tree : NULL);
	g_autoptr(SyncPlan) draft = sync_plan_new(line->name, hex);
	if (!look_at_affected(line, &files_tree, draft, &drafted, cancellable, error) ||
	    !keep_own(line, has_head ? &head : NULL, &here, target, &files_tree, error) ||
	    !sync_picture_write(line->picture, line->repo, NULL, NULL, &disk, error))
		return false;
	g_autoptr(SyncPlan) plan = git_oid_equal(&disk, &drafted) ? g_steal_pointer(&draft) : sync_plan_new(line->name, hex);
	if (draft && !plan_line(line, &disk, &files_tree, plan, error))
		return false;
	if (same && plan->steps->len == 0) {
		line->unlike = false;
		return true;
	}
	if (!git_oid_equal(&files, target))
		plan->migrated = sync_oid_text(&files);
	note_what_is_there(line, plan);
	/* What is fetched is on the disk. */
	sync_apply_make_late(plan);
	if (!sync_apply_stage(&apply, plan, unknown, cancellable, error)) {
		line->doubtful = line->objects != NULL;
		return false;
	}
	report_owners(line, unknown);
	if (!pushed_on_disk(line, error) || g_cancellable_set_error_if_cancelled(cancellable, error))
		return false; /* the staging is discarded by whoever settles */
	sync_line_tell_activity(line, "applying");
	line->making = hex;
	bool applied = sync_apply_commit(&apply, plan, cancellable, error);
	line->making = NULL;
	if (!applied) {
		sync_picture_mark_all(line->picture);
		line->checked_us = 0;
		return false;
	}
	line->pushed = (git_oid){ 0 };
	sync_voice_came(line);
	sync_line_tell(line);
	sync_line_tell_applied(line, hex, plan->steps->len);
	sync_trial_over(line);
	sync_trial_act(line, plan);
	if (line->objects && has_head && !git_oid_equal(&head, target) && !sync_repo_contains(line->repo, target, &head))
		sync_line_past_ended(line);
	sync_voice_changed(line);
	guint n = plan->steps->len;
	bool ok = follow_picture(line, plan, error) && compare_picture(line, &files_tree, error);
	sync_line_rest(n);
	return ok;
}

/* Again, where somebody has changed what had just come. Who goes on doing so is seen to with the next pull. */
static bool stage_and_apply(SyncLine *line, const git_oid *target, GCancellable *cancellable, GError **error)
{
	bool ok = true;

	for (guint tries = 0; ok && (tries == 0 || line->unlike) && tries < TRIES; tries++)
		ok = stage_and_apply_once(line, target, cancellable, error);
	return ok;
}

static bool apply_line(SyncLine *line, const git_oid *target, GCancellable *cancellable, GError **error)
{
	g_autoptr(GError) problem = NULL;

	sync_line_store_begin(line);
	bool ok = stage_and_apply(line, target, cancellable, error);
	/* Recordings that are here are stored, whatever has become of them. */
	bool kept = sync_follow_keep(line, &problem);
	line->pushed = (git_oid){ 0 };
	sync_line_store_end(line);
	sync_follow_end_ahead(line);
	if (!kept)
		g_message("%s", problem->message);
	return ok;
}

/* The recordings of a commit that came with the news of it, when they are few; where that fails they are fetched as any, and it is told why. */
static bool fetch_little(SyncLine *line, const SyncPullCall *pull, const git_oid *target, GCancellable *cancellable)
{
	if (!pull->hosts[0])
		return false;
	SyncFetchSource source = { .host = pull->hosts[0], .port = pull->port, .key = pull->key, .pin = pull->pin };
	sync_line_tell_activity(line, "fetching");
	return sync_voice_fetch_little(line, &source, target, cancellable, NULL);
}

/* *ret_done: it is on the files, or cannot be. */
static bool apply_pushed(SyncLine *line, const SyncPullCall *pull, const git_oid *target, GCancellable *cancellable, bool *ret_done, GError **error)
{
	g_autoptr(GError) problem = NULL;
	bool ok = true, kept = true;

	/* From the first object on, until a ref has them. They are waited for with what is staged. */
	sync_line_store_begin(line);
	sync_disk_gather();
	line->pushed_gathers = true;
	bool taken = take_changes(line, pull, target, cancellable);
	*ret_done = taken && (!line->objects || fetch_little(line, pull, target, cancellable));
	if (*ret_done) {
		line->pushed = *target;
		ok = stage_and_apply(line, target, cancellable, error);
		kept = ok || sync_follow_keep(line, &problem);
		line->pushed = (git_oid){ 0 };
	} else if (taken) {
		/* Its recordings have yet to come. */
		kept = pushed_on_disk(line, &problem) && sync_repo_set_ref(line->repo, "incoming", line->name, target, &problem);
	}
	kept = pushed_on_disk(line, kept ? &problem : NULL) && kept;
	sync_line_store_end(line);
	if (!kept)
		g_message("%s", problem->message);
	if (taken)
		sync_line_tidy(line);
	return ok;
}

static bool mend_leader(SyncLine *line, const SyncPullCall *pull, GCancellable *cancellable, GError **error)
{
	git_oid target;

	if (!target_of(pull, line, &target))
		return true;
	for (guint i = 0; pull->hosts[i]; i++) {
		SyncFetchSource source = { .host = pull->hosts[i], .port = pull->port, .key = pull->key, .pin = pull->pin };

		g_clear_error(error);
		if (sync_mend_leader(line, &source, pull->peer_id, &target, cancellable, error))
			return true;
	}
	return false;
}

bool sync_follow_pull(SyncLine *line, const SyncPullCall *pull, GCancellable *cancellable, GError **error)
{
	SyncApply apply = sync_line_apply(line);
	git_oid target;
	bool moved;

	if (line->role == SYNC_ROLE_LEAD && g_atomic_int_get(&line->damaged))
		return mend_leader(line, pull, cancellable, error);
	if (line->role != SYNC_ROLE_FOLLOW) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "not-follower: this device does not follow");
		return false;
	}
	g_free(line->peer);
	line->peer = g_strdup(pull->peer_id);
	if (!sync_apply_settle(&apply, &moved, error))
		return false;
	if (moved) {
		sync_voice_came(line);
		sync_line_tell(line);
	}
	bool any = target_of(pull, line, &target), done = false;
	if (any && pull->changes->len && !apply_pushed(line, pull, &target, cancellable, &done, error))
		return false;
	return done || (fetch(line, pull, cancellable, error) && (!any || apply_line(line, &target, cancellable, error)));
}

/* ---- what the leader puts on its own files ---- */

bool sync_line_put(SyncLine *line, const git_oid *disk, const git_oid *tree, const git_oid *commit, const char *message, GError **error)
{
	SyncApply apply = sync_line_apply(line);
	g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *hex = sync_oid_text(commit);
	g_autoptr(SyncPlan) plan = sync_plan_new(line->name, hex);

	if (!plan_line(line, disk, tree, plan, error))
		return false;
	note_what_is_there(line, plan);
	if (!sync_apply_stage(&apply, plan, unknown, NULL, error))
		return false;
	report_owners(line, unknown);
	if (!sync_apply_commit(&apply, plan, NULL, error)) {
		sync_picture_mark_all(line->picture);
		return false;
	}
	sync_line_tell(line);
	sync_line_tell_committed(line, hex, message, plan->steps->len);
	sync_trial_act(line, plan);
	return follow_picture(line, plan, error);
}

bool sync_follow_park_fetched(SyncLine *line, GError **error)
{
	git_oid fetched, head;

	if (line->objects)
		sync_voice_taken_over(line);
	if (!sync_repo_get_ref(line->repo, "fetched", line->name, &fetched))
		return true;
	bool applied = sync_repo_get_ref(line->repo, "heads", line->name, &head) && git_oid_equal(&fetched, &head);
	if (!applied && line->ref != SYNC_REF_VOLATILE) {
		g_autofree char *name = sync_repo_park(line->repo, line->peer ? line->peer : "peer", &fetched, error);
		if (!name)
			return false;
		sync_line_tell_diverged(line);
		sync_line_notice(line, "commit not applied", 2,
				 "The takeover came before the Master's last commit was on the files; it is kept as %s", name);
	}
	sync_repo_drop_ref(line->repo, "fetched", line->name);
	return true;
}
