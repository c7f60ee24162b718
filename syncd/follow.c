/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/follow.c - the follower: fetches by commit, keeps what is its own aside, applies. */
#include <string.h>

#include "engine-private.h"
#include "error.h"
#include "git-stream.h"
#include "path.h"
#include "snapshot.h"

enum { CHECK_S = 3600 };

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

static bool fetch(SyncEngine *engine, const SyncPullCall *pull, GCancellable *cancellable, GError **error)
{
	const char *names[SYNC_N_REFS];
	git_oid ids[SYNC_N_REFS];
	guint n = 0;

	for (guint i = 0; i < SYNC_N_REFS; i++) {
		git_oid target, have;

		if (!target_of(pull, &engine->lines[i], &target))
			continue;
		if ((sync_repo_get_ref(engine->repo, "heads", engine->lines[i].name, &have) && git_oid_equal(&have, &target)) ||
		    (sync_repo_get_ref(engine->repo, "fetched", engine->lines[i].name, &have) && git_oid_equal(&have, &target)))
			continue;
		names[n] = engine->lines[i].name;
		ids[n++] = target;
	}
	if (n == 0)
		return true;
	sync_engine_tell_activity(engine, "fetching");
	g_autoptr(GError) problem = NULL;
	for (guint i = 0; pull->hosts[i]; i++) {
		SyncFetchSource source = { .host = pull->hosts[i], .port = pull->port, .key = pull->key, .pin = pull->pin };

		g_clear_error(&problem);
		if (sync_fetch(engine->repo, &source, names, ids, n, cancellable, &problem)) {
			sync_engine_tell_lines(engine);
			sync_engine_tidy(engine);
			return true;
		}
		if (g_cancellable_is_cancelled(cancellable))
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

static void drop_excluded(const SyncSet *set, GPtrArray *entries)
{
	for (guint i = entries->len; i-- > 0;) {
		const SyncEntry *entry = entries->pdata[i];
		g_autofree char *path = g_strdup(entry->path);
		bool drop = false;

		/* With everything below an excluded folder. */
		while (*path && !drop) {
			drop = sync_path_excluded(path, (const char *const *)set->exclude);
			char *above = sync_path_parent(path);
			g_free(path);
			path = above;
		}
		if (drop)
			g_ptr_array_remove_index(entries, i);
	}
}

static bool plan_set(SyncEngine *engine, SyncPlan *plan, const SyncSet *set, const git_oid *from, const git_oid *to, GError **error)
{
	g_autoptr(GPtrArray) old = entries_new();
	g_autoptr(GPtrArray) new_ = entries_new();

	if (!sync_repo_compare(engine->repo, from, to, set->name, old, new_, error))
		return false;
	if (!set->database) {
		drop_excluded(set, new_);
		drop_excluded(set, old);
		sync_plan_add(plan, set->name, old, new_);
		return true;
	}
	if (!database_entries_ok(set, new_)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the commit cannot be applied: %s is not one database", set->name);
		return false;
	}
	if (new_->len == 0)
		return true;
	g_autofree char *path = g_build_filename(set->root, set->database, NULL);
	if (sync_snapshot_in_use(path)) {
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

static bool plan_line(SyncEngine *engine, const SyncLine *line, const git_oid *from, const git_oid *to, SyncPlan *plan, GError **error)
{
	g_auto(GStrv) sets = sync_repo_sets(engine->repo, to, error);

	if (!sets)
		return false;
	for (guint i = 0; sets[i]; i++) {
		/* A set that is not declared here is not for here. One that the commit lacks is left alone. */
		const SyncSet *set = sync_sets_find(engine->sets, line->ref, sets[i]);

		if (set && !plan_set(engine, plan, set, from, to, error))
			return false;
	}
	return true;
}

/* ---- what is our own ---- */

/* Whether @tree holds content that @base has not: owners, modes and times alone are not worth keeping aside. */
static bool content_differs(SyncEngine *engine, const SyncLine *line, const git_oid *base, const git_oid *tree, bool *ret_differs, GError **error)
{
	*ret_differs = false;
	for (guint i = 0; i < engine->sets->len; i++) {
		const SyncSet *set = engine->sets->pdata[i];
		g_autoptr(GPtrArray) old = entries_new();
		g_autoptr(GPtrArray) new_ = entries_new();
		g_autoptr(GHashTable) was = g_hash_table_new(g_str_hash, g_str_equal);

		if (set->ref != line->ref)
			continue;
		if (!sync_repo_compare(engine->repo, base, tree, set->name, old, new_, error))
			return false;
		drop_excluded(set, old);
		for (guint k = 0; k < old->len; k++)
			g_hash_table_insert(was, ((SyncEntry *)old->pdata[k])->path, old->pdata[k]);
		for (guint k = 0; k < new_->len; k++) {
			const SyncEntry *entry = new_->pdata[k];
			const SyncEntry *before = g_hash_table_lookup(was, entry->path);

			/* Folders come and go with their files; the set's own folder alone is nothing. */
			if (entry->meta->kind != SYNC_KIND_FOLDER &&
			    (!before || before->meta->kind != entry->meta->kind || g_strcmp0(before->id, entry->id) != 0))
				*ret_differs = true;
			g_hash_table_remove(was, entry->path);
		}
		GHashTableIter iter;
		const SyncEntry *gone;
		g_hash_table_iter_init(&iter, was);
		while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&gone))
			if (gone->meta->kind != SYNC_KIND_FOLDER)
				*ret_differs = true;
	}
	return true;
}

static bool keep_aside(SyncEngine *engine, const git_oid *commit, const char *title, guint8 priority, const char *what, GError **error)
{
	g_autofree char *name = sync_repo_park(engine->repo, engine->device, commit, error);

	if (!name)
		return false;
	sync_engine_tell_diverged(engine);
	sync_engine_notice(engine, title, priority, "%s kept as %s", what, name);
	return true;
}

/* Before anything is replaced: what only this device has gets a name. @disk is the state of the files. */
static bool keep_own(SyncEngine *engine, SyncLine *line, const git_oid *head, const git_oid *target, const git_oid *target_tree, GError **error)
{
	git_oid head_tree, disk, own;
	bool edited, new_to_target;

	if (head && !sync_repo_tree_of(engine->repo, head, &head_tree, error))
		return false;
	if (!sync_picture_write(line->picture, engine->repo, head ? &head_tree : NULL, NULL, &disk, error) ||
	    !content_differs(engine, line, head ? &head_tree : NULL, &disk, &edited, error) ||
	    !content_differs(engine, line, target_tree, &disk, &new_to_target, error))
		return false;
	/* Volatile state has one truth, the leader's. */
	if (line->ref == SYNC_REF_VOLATILE)
		return true;
	bool in_line = head && sync_repo_contains(engine->repo, target, head);
	if (edited && new_to_target && !git_oid_equal(&disk, &line->parked_tree)) {
		if (!sync_repo_commit(engine->repo, &disk, head, "system", "What was on this device when it was replaced", &engine->term, &own, error))
			return false;
		line->parked_tree = disk;
		if (!head)
			return keep_aside(engine, &own, "own data kept", 1, "What this device had before it joined is", error);
		if (in_line)
			return keep_aside(engine, &own, "local edit kept", 2, "A change made on this Backup was replaced by the Master's; it is",
					  error);
	} else if (head) {
		own = *head;
	}
	if (!head || in_line)
		return true;
	return keep_aside(engine, &own, "divergence", 3, "This device had commits that the Master has not; they are", error);
}

/* ---- applying ---- */

/* Looks at the folders that the commit is going to change, so that an edit there is seen before it is replaced. */
static bool look_at_affected(SyncEngine *engine, SyncLine *line, const git_oid *target_tree, GCancellable *cancellable, GError **error)
{
	g_autoptr(SyncPlan) draft = sync_plan_new(line->name, "");
	git_oid disk;
	gint64 now_us = g_get_monotonic_time();

	if (line->checked_us == 0 || now_us - line->checked_us > CHECK_S * (gint64)G_USEC_PER_SEC) {
		sync_picture_mark_all(line->picture);
		if (!sync_picture_refresh(line->picture, engine->repo, cancellable, error))
			return false;
		line->checked_us = now_us;
		return true;
	}
	if (!sync_picture_write(line->picture, engine->repo, NULL, NULL, &disk, error) ||
	    !plan_line(engine, line, &disk, target_tree, draft, error))
		return false;
	for (guint i = 0; i < draft->steps->len; i++) {
		const SyncStep *step = draft->steps->pdata[i];
		g_autofree char *parent = sync_path_parent(step->path);

		sync_picture_mark(line->picture, sync_sets_find(engine->sets, line->ref, step->set), parent);
	}
	return sync_picture_refresh(line->picture, engine->repo, cancellable, error);
}

/* After the files have changed by our own hand: the picture follows without reading them again. */
static bool follow_picture(SyncEngine *engine, SyncLine *line, const SyncPlan *plan, GError **error)
{
	for (guint i = 0; i < plan->steps->len; i++) {
		const SyncStep *step = plan->steps->pdata[i];
		const SyncSet *set = sync_sets_find(engine->sets, line->ref, step->set);
		g_autofree char *parent = sync_path_parent(step->path);
		git_oid id;

		if (step->kind == SYNC_STEP_PLACE && step->meta->kind == SYNC_KIND_FILE && git_oid_fromstr(&id, step->id) == 0)
			sync_picture_adopt(line->picture, set, step->path, &id);
		sync_picture_mark(line->picture, set, parent);
		if (step->kind == SYNC_STEP_ATTR)
			sync_picture_mark(line->picture, set, step->path);
	}
	return sync_picture_refresh(line->picture, engine->repo, NULL, error);
}

static void report_owners(SyncEngine *engine, GPtrArray *unknown)
{
	for (guint i = 0; i < unknown->len; i++) {
		g_autofree char *name = sync_printable(unknown->pdata[i]);

		if (g_hash_table_add(engine->strangers, g_strdup(name)))
			sync_engine_notice(engine, "owner unknown", 2, "There is no user or group %s here: its files belong to root", name);
	}
}

static bool apply_line(SyncEngine *engine, SyncLine *line, const git_oid *target, GCancellable *cancellable, GError **error)
{
	g_autofree char *hex = sync_oid_text(target);
	g_autoptr(SyncPlan) plan = sync_plan_new(line->name, hex);
	g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
	SyncApply apply = sync_engine_apply(engine);
	git_oid head, target_tree, disk;
	bool has_head = sync_repo_get_ref(engine->repo, "heads", line->name, &head);
	bool same = has_head && git_oid_equal(&head, target);

	if (same && line->checked_us && g_get_monotonic_time() - line->checked_us <= CHECK_S * (gint64)G_USEC_PER_SEC)
		return true;
	sync_engine_tell_activity(engine, "staging");
	if (!sync_repo_tree_of(engine->repo, target, &target_tree, error) ||
	    !look_at_affected(engine, line, &target_tree, cancellable, error) ||
	    !keep_own(engine, line, has_head ? &head : NULL, target, &target_tree, error) ||
	    !sync_picture_write(line->picture, engine->repo, NULL, NULL, &disk, error) ||
	    !plan_line(engine, line, &disk, &target_tree, plan, error))
		return false;
	if (same && plan->steps->len == 0)
		return true;
	if (!sync_apply_stage(&apply, plan, unknown, cancellable, error))
		return false;
	report_owners(engine, unknown);
	if (g_cancellable_set_error_if_cancelled(cancellable, error))
		return false; /* the staging is discarded by whoever settles */
	sync_engine_tell_activity(engine, "applying");
	if (!sync_apply_commit(&apply, plan, error)) {
		sync_picture_mark_all(line->picture);
		line->checked_us = 0;
		return false;
	}
	sync_engine_tell_lines(engine);
	sync_engine_tell_applied(engine, line->name, hex, plan->steps->len);
	return follow_picture(engine, line, plan, error);
}

bool sync_follow_pull(SyncEngine *engine, const SyncPullCall *pull, GCancellable *cancellable, GError **error)
{
	SyncApply apply = sync_engine_apply(engine);
	g_autofree char *settled = NULL;
	bool ok = true;

	if (engine->role != SYNC_ROLE_FOLLOW) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "not-follower: this device does not follow");
		return false;
	}
	g_free(engine->peer);
	engine->peer = g_strdup(pull->peer_id);
	if (!sync_apply_settle(&apply, &settled, error) || !fetch(engine, pull, cancellable, error))
		return false;
	/* Each ref for itself: trouble with one must not hold the other back. */
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		git_oid target;
		g_autoptr(GError) problem = NULL;

		if (!target_of(pull, &engine->lines[i], &target) || apply_line(engine, &engine->lines[i], &target, cancellable, &problem))
			continue;
		if (ok)
			g_propagate_error(error, g_steal_pointer(&problem));
		ok = false;
	}
	return ok;
}

/* ---- the leader's way back ---- */

bool sync_restore(SyncEngine *engine, const char *commit, const char *author, const char *message, git_oid *ret_commit, GError **error)
{
	SyncLine *line = &engine->lines[SYNC_REF_CONFIG];
	SyncApply apply = sync_engine_apply(engine);
	g_autoptr(GPtrArray) unknown = g_ptr_array_new_with_free_func(g_free);
	git_oid target, head, tree, disk;

	if (strlen(commit) != GIT_OID_HEXSZ || git_oid_fromstr(&target, commit) != 0) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "a commit is %d hex digits", GIT_OID_HEXSZ);
		return false;
	}
	/* What is on disk now has its place in the line before it is replaced. */
	if (!sync_lead_commit(engine, "system", NULL, error))
		return false;
	if (!sync_repo_get_ref(engine->repo, "heads", line->name, &head) || !sync_repo_contains(engine->repo, &head, &target)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "no such commit is in the line of the configuration");
		return false;
	}
	if (!sync_repo_tree_of(engine->repo, &target, &tree, error) || !sync_repo_tree_of(engine->repo, &head, &disk, error))
		return false;
	if (git_oid_equal(&tree, &disk)) {
		*ret_commit = head;
		return true;
	}
	if (!sync_repo_commit(engine->repo, &tree, &head, author, message, &engine->term, ret_commit, error))
		return false;
	g_autofree char *hex = sync_oid_text(ret_commit);
	g_autoptr(SyncPlan) plan = sync_plan_new(line->name, hex);
	if (!plan_line(engine, line, &disk, &tree, plan, error) || !sync_apply_stage(&apply, plan, unknown, NULL, error))
		return false;
	report_owners(engine, unknown);
	if (!sync_apply_commit(&apply, plan, error)) {
		sync_picture_mark_all(line->picture);
		return false;
	}
	sync_engine_tell_lines(engine);
	sync_engine_tell_committed(engine, line->name, hex, message, plan->steps->len);
	return follow_picture(engine, line, plan, error);
}

bool sync_follow_park_fetched(SyncEngine *engine, GError **error)
{
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &engine->lines[i];
		git_oid fetched, head;

		if (!sync_repo_get_ref(engine->repo, "fetched", line->name, &fetched))
			continue;
		bool applied = sync_repo_get_ref(engine->repo, "heads", line->name, &head) && git_oid_equal(&fetched, &head);
		if (!applied && line->ref == SYNC_REF_CONFIG) {
			g_autofree char *name = sync_repo_park(engine->repo, engine->peer ? engine->peer : "peer", &fetched, error);
			if (!name)
				return false;
			sync_engine_tell_diverged(engine);
			sync_engine_notice(engine, "commit not applied", 2,
					   "The takeover came before the Master's last commit was on the files; it is kept as %s", name);
		}
		sync_repo_drop_ref(engine->repo, "fetched", line->name);
	}
	return true;
}
