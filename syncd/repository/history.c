/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/history.c - who changed what and when, from the commits. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/path.h"
#include "syncd/repository/repo.h"

enum { COUNT_MAX = 1000, CHANGED_MAX = 100, WALK_MAX = 100000 };

static void add_text(GVariantBuilder *builder, const char *key, const char *text)
{
	g_autofree char *printable = sync_printable(text ? text : "");

	g_variant_builder_add(builder, "{sv}", key, g_variant_new_string(printable));
}

static bool touches(const char *path, const char *below)
{
	gsize length = strlen(below);

	return length == 0 || (strncmp(path, below, length) == 0 && (path[length] == '\0' || path[length] == '/'));
}

/* The paths that differ from the first parent; a manifest that changed alone stands for its folder. Transfer full. */
static char **changed_paths(git_repository *git, git_commit *commit, GError **error)
{
	g_autoptr(GStrvBuilder) paths = g_strv_builder_new();
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL); /* folders of paths already in */
	g_autoptr(git_commit) parent = NULL;
	g_autoptr(git_tree) old = NULL;
	g_autoptr(git_tree) new_ = NULL;
	g_autoptr(git_diff) diff = NULL;
	guint n = 0;

	if ((git_commit_parentcount(commit) > 0 && (git_commit_parent(&parent, commit, 0) < 0 || git_commit_tree(&old, parent) < 0)) ||
	    git_commit_tree(&new_, commit) < 0 || git_diff_tree_to_tree(&diff, git, old, new_, NULL) < 0) {
		sync_git_error(error, "reading the history");
		return NULL;
	}
	for (int pass = 0; pass < 2; pass++) {
		for (gsize i = 0; i < git_diff_num_deltas(diff) && n < CHANGED_MAX; i++) {
			const git_diff_delta *delta = git_diff_get_delta(diff, i);
			const char *path = delta->new_file.path ? delta->new_file.path : delta->old_file.path;
			bool manifest = g_str_equal(sync_path_last(path), SYNC_MANIFEST_NAME);
			g_autofree char *folder = sync_path_parent(path);

			if (manifest != (pass == 1) || (manifest && g_hash_table_contains(told, folder)))
				continue;
			g_autofree char *shown = sync_printable(manifest ? folder : path);
			g_strv_builder_add(paths, shown);
			g_hash_table_add(told, g_steal_pointer(&folder));
			n++;
		}
	}
	return g_strv_builder_end(paths);
}

static bool add_commit(GVariantBuilder *list, git_repository *git, const git_oid *id, const char *below, guint *n, GError **error)
{
	g_autoptr(git_commit) commit = NULL;
	g_auto(SyncTerm) term = { 0 };

	if (git_commit_lookup(&commit, git, id) < 0)
		return sync_git_error(error, "reading the history");
	g_auto(GStrv) changed = changed_paths(git, commit, error);
	if (!changed)
		return false;
	bool wanted = *below == '\0';
	for (guint i = 0; changed[i] && !wanted; i++)
		wanted = touches(changed[i], below);
	if (!wanted)
		return true;

	g_autofree char *hex = sync_oid_text(id);
	const git_oid *parent_id = git_commit_parentcount(commit) > 0 ? git_commit_parent_id(commit, 0) : NULL;
	g_autofree char *parent = parent_id ? sync_oid_text(parent_id) : g_strdup("");
	g_autofree char *message = sync_term_strip(git_commit_message(commit));
	sync_term_parse(git_commit_message(commit), &term);
	g_variant_builder_open(list, G_VARIANT_TYPE_VARDICT);
	add_text(list, "commit", hex);
	add_text(list, "parent", parent);
	g_variant_builder_add(list, "{sv}", "time_ms", g_variant_new_int64((gint64)git_commit_time(commit) * 1000));
	add_text(list, "author", git_commit_author(commit)->name);
	add_text(list, "message", message);
	add_text(list, "device", term.device);
	g_variant_builder_add(list, "{sv}", "term", g_variant_new_uint64(term.number));
	g_variant_builder_add(list, "{sv}", "changed", g_variant_new_strv((const char *const *)changed, -1));
	g_variant_builder_close(list);
	(*n)++;
	return true;
}

/* "config", or a name of Diverged; nothing else may be read from outside. */
static char *full_name(const char *ref, GError **error)
{
	if (g_str_equal(ref, "config") || g_str_equal(ref, "volatile"))
		return g_strconcat("refs/heads/", ref, NULL);
	if (g_str_has_prefix(ref, "refs/diverged/"))
		return g_strdup(ref);
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "ref is \"config\", \"volatile\" or a name of Diverged");
	return NULL;
}

GVariant *sync_repo_history(const char *path, const char *ref, const char *below, guint count, GError **error)
{
	g_autofree char *name = full_name(ref, error);
	g_autoptr(SyncRepo) repo = name ? sync_repo_open(path, error) : NULL;
	g_autoptr(git_revwalk) walk = NULL;
	git_oid id;
	guint n = 0, walked = 0;

	if (!repo)
		return NULL;
	g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
	if (git_reference_name_to_id(&id, repo->git, name) < 0) {
		if (!g_str_has_prefix(name, "refs/diverged/"))
			return g_variant_builder_end(&list);
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "no such line is kept");
		return NULL;
	}
	if (git_revwalk_new(&walk, repo->git) < 0 || git_revwalk_push(walk, &id) < 0) {
		sync_git_error(error, "reading the history");
		return NULL;
	}
	/* The line itself, not what was merged: there are no merges. Clocks are not asked. */
	git_revwalk_simplify_first_parent(walk);
	git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL);
	for (count = MIN(count, COUNT_MAX); n < count && walked < WALK_MAX && git_revwalk_next(&id, walk) == 0; walked++)
		if (!add_commit(&list, repo->git, &id, below, &n, error))
			return NULL;
	return g_variant_builder_end(&list);
}
