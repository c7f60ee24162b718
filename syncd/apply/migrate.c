/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/migrate.c - the refs of what was migrated, and the commands that make it. */
#include "syncd/apply/migrate.h"

#include <string.h>

#include "syncd/engine-private.h"
#include "syncd/error.h"
#include "syncd/files/path.h"

#define SPACE   "migrated"
#define PRESENT "migrating"

/* ---- refs ---- */

static bool is_after(SyncRepo *repo, const git_oid *migrated, const git_oid *commit)
{
	g_autoptr(git_commit) found = NULL;

	return git_commit_lookup(&found, repo->git, migrated) == 0 && git_commit_parentcount(found) == 1 &&
	       git_oid_equal(git_commit_parent_id(found, 0), commit);
}

void sync_migrate_files(SyncRepo *repo, const char *ref, const git_oid *commit, git_oid *ret_files)
{
	git_oid migrated;

	*ret_files = sync_repo_get_ref(repo, SPACE, ref, &migrated) && is_after(repo, &migrated, commit) ? migrated : *commit;
}

/* Taking away what is not there would read, and lock, all packed refs: at every commit. */
static void drop(SyncRepo *repo, const char *space, const char *ref)
{
	git_oid id;

	if (sync_repo_get_ref(repo, space, ref, &id))
		sync_repo_drop_ref(repo, space, ref);
}

/* Not to be tidied away while a journal leads to it. */
bool sync_migrate_begin(SyncRepo *repo, const SyncPlan *plan, GError **error)
{
	git_oid migrated;

	if (!plan->migrated)
		return true;
	if (git_oid_fromstr(&migrated, plan->migrated) < 0)
		return sync_git_error(error, "the migrated commit");
	return sync_repo_set_ref(repo, PRESENT, plan->ref, &migrated, error);
}

bool sync_migrate_end(SyncRepo *repo, const SyncPlan *plan, GError **error)
{
	git_oid migrated;

	if (plan->migrated && git_oid_fromstr(&migrated, plan->migrated) < 0)
		return sync_git_error(error, "the journal's migrated commit");
	if (plan->migrated && !sync_repo_set_ref(repo, SPACE, plan->ref, &migrated, error))
		return false;
	if (!plan->migrated)
		drop(repo, SPACE, plan->ref);
	drop(repo, PRESENT, plan->ref);
	return true;
}

void sync_migrate_drop(SyncRepo *repo, const char *ref)
{
	drop(repo, SPACE, ref);
}

/* ---- making it ---- */

static bool has_entry(git_tree *tree, const char *set)
{
	return git_tree_entry_byname(tree, set) != NULL;
}

static bool concerns(SyncLine *line, git_tree *tree, const SettingsApplication *application)
{
	for (guint i = 0; i < line->sets->len; i++) {
		const SyncSet *set = line->sets->pdata[i];
		const char *name;

		if (set->ref == line->ref && sync_staged_is_of(set, application->name, &name) && has_entry(tree, set->name))
			return true;
	}
	return false;
}

static bool is_needed(SyncLine *line, git_tree *tree)
{
	for (guint i = 0; i < line->settings->applications->len; i++) {
		const SettingsApplication *application = line->settings->applications->pdata[i];

		if (application->hooks[SETTINGS_HOOK_MIGRATE].command && concerns(line, tree, application))
			return true;
	}
	return false;
}

/* A copy of a database is another file each time; one that was not touched stays what it is. */
static bool is_untouched(const SyncSet *set, git_tree *tree)
{
	g_autofree char *in_tree = g_build_filename(set->name, set->database, NULL), *path = g_build_filename(set->root, set->database, NULL);
	g_autoptr(git_tree_entry) entry = NULL;
	git_oid id;

	for (guint i = 0; sync_database_suffixes[i]; i++) {
		g_autofree char *companion = g_strconcat(path, sync_database_suffixes[i], NULL);

		if (g_file_test(companion, G_FILE_TEST_EXISTS))
			return false;
	}
	return git_tree_entry_bypath(&entry, tree, in_tree) == 0 && git_odb_hashfile(&id, path, GIT_OBJECT_BLOB) == 0 &&
	       git_oid_equal(&id, git_tree_entry_id(entry));
}

/* What the command has left of the application's sets takes their places in @tree. A set that the commit has not stays out of it. */
static bool take_staged(SyncLine *line, const SettingsApplication *application, git_oid *tree_id, GCancellable *cancellable, GError **error)
{
	g_autoptr(GPtrArray) sets = sync_staged_sets(line->engine->staged, line->sets, line->ref, application->name);
	g_autoptr(SyncPicture) picture = sync_picture_new(sets, line->ref, line->engine->scratch, NULL);
	g_autoptr(git_tree) tree = NULL;
	g_autoptr(git_tree) made = NULL;
	g_autoptr(GArray) updates = g_array_new(FALSE, TRUE, sizeof(git_tree_update));
	git_oid made_id;

	if (!sync_picture_refresh(picture, line->repo, cancellable, error) || !sync_picture_write(picture, line->repo, NULL, NULL, &made_id, error))
		return false;
	if (git_tree_lookup(&tree, line->repo->git, tree_id) < 0 || git_tree_lookup(&made, line->repo->git, &made_id) < 0)
		return sync_git_error(error, "reading what was migrated");
	if (sync_picture_unreadable(picture)->len > 0) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "what was migrated cannot be read");
		return false;
	}
	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];
		const git_tree_entry *entry = git_tree_entry_byname(made, set->name);

		if (!entry || !has_entry(tree, set->name) || (set->database && is_untouched(set, tree)))
			continue;
		git_tree_update update = { .action = GIT_TREE_UPDATE_UPSERT, .id = *git_tree_entry_id(entry), .filemode = GIT_FILEMODE_TREE, .path = set->name };
		g_array_append_val(updates, update);
	}
	if (updates->len > 0 && git_tree_create_updated(tree_id, line->repo->git, tree, updates->len, (git_tree_update *)(void *)updates->data) < 0)
		return sync_git_error(error, "storing what was migrated");
	return true;
}

static bool migrate_application(SyncLine *line, const SettingsApplication *application, const char *hex, const char *from, git_oid *tree,
				GCancellable *cancellable, GError **error)
{
	SyncHookWish wish = {
		.kind = SETTINGS_HOOK_MIGRATE,
		.application = application->name,
		.commit = hex,
		.role = sync_role_text(line->role),
		.from = from,
		.to = line->term.firmware,
		.timeout_ms = application->hooks[SETTINGS_HOOK_MIGRATE].timeout_ms,
	};

	sync_line_tell_activity(line, "migrating");
	/* Also what an earlier try has half changed. */
	sync_staged_forget(line->engine->staged, application->name);
	bool ok = sync_staged_make(line->engine->staged, line->repo, line->sets, line->ref, application->name, tree, cancellable, error) &&
		  sync_hooks_run(line->engine->hooks, &wish, cancellable, NULL, error) && take_staged(line, application, tree, cancellable, error);
	sync_staged_forget(line->engine->staged, application->name);
	return ok;
}

/* What was migrated for the commit before this one is right for it, too, when nothing of the application has changed. */
static bool take_earlier(SyncLine *line, const SettingsApplication *application, git_tree *tree, git_oid *tree_id)
{
	g_autoptr(git_tree) before = NULL;
	g_autoptr(git_tree) migrated = NULL;
	g_autoptr(git_tree) into = NULL;
	g_autoptr(GArray) updates = g_array_new(FALSE, TRUE, sizeof(git_tree_update));
	g_auto(SyncTerm) made_for = { 0 };
	git_oid head, files, id;

	if (!sync_repo_get_ref(line->repo, "heads", line->name, &head))
		return false;
	sync_migrate_files(line->repo, line->name, &head, &files);
	if (git_oid_equal(&files, &head) || !sync_repo_term_of(line->repo, &files, &made_for, NULL) ||
	    g_strcmp0(made_for.firmware, line->term.firmware) != 0 || !sync_repo_tree_of(line->repo, &head, &id, NULL) ||
	    git_tree_lookup(&before, line->repo->git, &id) < 0 || !sync_repo_tree_of(line->repo, &files, &id, NULL) ||
	    git_tree_lookup(&migrated, line->repo->git, &id) < 0 || git_tree_lookup(&into, line->repo->git, tree_id) < 0)
		return false;
	for (guint i = 0; i < line->sets->len; i++) {
		const SyncSet *set = line->sets->pdata[i];
		const git_tree_entry *was, *is, *made;
		const char *name;

		if (set->ref != line->ref || !sync_staged_is_of(set, application->name, &name))
			continue;
		was = git_tree_entry_byname(before, set->name);
		is = git_tree_entry_byname(tree, set->name);
		made = git_tree_entry_byname(migrated, set->name);
		if (!was && !is)
			continue;
		if (!was || !is || !made || !git_oid_equal(git_tree_entry_id(was), git_tree_entry_id(is)))
			return false;
		git_tree_update update = { .action = GIT_TREE_UPDATE_UPSERT, .id = *git_tree_entry_id(made), .filemode = GIT_FILEMODE_TREE, .path = set->name };
		g_array_append_val(updates, update);
	}
	return git_tree_create_updated(tree_id, line->repo->git, into, updates->len, (git_tree_update *)(void *)updates->data) == 0;
}

/* What the applications concerned make of @tree, that of @commit, takes its place. */
static bool migrate(SyncLine *line, const git_oid *commit, git_tree *tree, const char *from, GCancellable *cancellable, git_oid *tree_id, GError **error)
{
	g_autofree char *hex = sync_oid_text(commit);

	/* A takeover that comes first finds it by its name. */
	if (!sync_follow_keep(line, error))
		return false;
	for (guint i = 0; i < line->settings->applications->len; i++) {
		const SettingsApplication *application = line->settings->applications->pdata[i];

		if (application->hooks[SETTINGS_HOOK_MIGRATE].command && concerns(line, tree, application) &&
		    !take_earlier(line, application, tree, tree_id) &&
		    !migrate_application(line, application, hex, from, tree_id, cancellable, error))
			return false;
	}
	return true;
}

bool sync_trial_migrate(SyncLine *line, const git_oid *commit, const SyncTerm *term, GCancellable *cancellable, git_oid *ret_files, GError **error)
{
	g_autoptr(git_tree) tree = NULL;
	g_auto(SyncTerm) made_for = { 0 };
	git_oid tree_id;

	*ret_files = *commit;
	if (!sync_term_is_newer(line->term.firmware, term->firmware))
		return true;
	if (!sync_repo_tree_of(line->repo, commit, &tree_id, error))
		return false;
	if (git_tree_lookup(&tree, line->repo->git, &tree_id) < 0)
		return sync_git_error(error, "reading a commit");
	if (!is_needed(line, tree))
		return true;
	sync_migrate_files(line->repo, line->name, commit, ret_files);
	/* Once is enough, until the firmware is another one. */
	if (!git_oid_equal(ret_files, commit) && sync_repo_term_of(line->repo, ret_files, &made_for, NULL) &&
	    g_strcmp0(made_for.firmware, line->term.firmware) == 0)
		return true;
	g_autofree char *hex = sync_oid_text(commit), *from = sync_printable(term->firmware);
	if (!migrate(line, commit, tree, from, cancellable, &tree_id, error))
		return false;
	/* It stays in the term in which it was committed: it is no newer for having another form. */
	SyncTerm own = *term;
	own.device = line->engine->device;
	own.firmware = line->term.firmware;
	own.goes_on = NULL;
	g_autofree char *message = g_strdup_printf("%.10s of firmware %s, migrated to %s", hex, from, line->term.firmware);
	return sync_repo_commit(line->repo, &tree_id, commit, "system", message, &own, ret_files, error);
}

bool sync_trial_migrate_tree(SyncLine *line, const git_oid *commit, const char *firmware, GCancellable *cancellable, git_oid *tree_id, GError **error)
{
	g_autoptr(git_tree) tree = NULL;

	if (!sync_term_is_newer(line->term.firmware, firmware))
		return true;
	if (git_tree_lookup(&tree, line->repo->git, tree_id) < 0)
		return sync_git_error(error, "reading a commit");
	g_autofree char *from = sync_printable(firmware);
	return !is_needed(line, tree) || migrate(line, commit, tree, from, cancellable, tree_id, error);
}
