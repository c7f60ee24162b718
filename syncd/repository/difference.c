/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/difference.c - what differs between two commits, as people read it. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/path.h"
#include "syncd/repository/repo.h"

enum { TEXT_MAX = 1 << 20 };

static git_tree *tree_named(SyncRepo *repo, const git_oid *commit_id, bool of_parent, GError **error)
{
	g_autoptr(git_commit) commit = NULL;
	g_autoptr(git_commit) parent = NULL;
	git_tree *tree = NULL;

	if (git_commit_lookup(&commit, repo->git, commit_id) < 0 ||
	    (of_parent && git_commit_parentcount(commit) > 0 && git_commit_parent(&parent, commit, 0) < 0) ||
	    (!(of_parent && !parent) && git_commit_tree(&tree, of_parent ? parent : commit) < 0))
		sync_git_error(error, "reading a commit");
	return tree;
}

/* Owners, modes and times change with every file; they are told of where nothing else changed. */
static bool is_noise(git_diff *diff, const char *path)
{
	if (!g_str_equal(sync_path_last(path), SYNC_MANIFEST_NAME))
		return false;
	g_autofree char *folder = sync_path_parent(path);
	for (gsize i = 0; i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *delta = git_diff_get_delta(diff, i);
		const char *other = delta->new_file.path ? delta->new_file.path : delta->old_file.path;
		g_autofree char *parent = sync_path_parent(other);

		if (!g_str_equal(sync_path_last(other), SYNC_MANIFEST_NAME) && g_str_equal(parent, folder))
			return true;
	}
	return false;
}

static bool print_diff(git_diff *diff, GString *text, GError **error)
{
	for (gsize i = 0; i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *delta = git_diff_get_delta(diff, i);
		git_patch *patch = NULL;
		git_buf buffer = GIT_BUF_INIT;

		if (is_noise(diff, delta->new_file.path ? delta->new_file.path : delta->old_file.path))
			continue;
		bool ok = git_patch_from_diff(&patch, diff, i) == 0 && patch && git_patch_to_buf(&buffer, patch) == 0;
		if (ok && text->len + buffer.size <= TEXT_MAX)
			g_string_append_len(text, buffer.ptr, buffer.size);
		else if (ok)
			g_string_append_printf(text, "%s: not shown, the whole would be too long; name a path\n", delta->new_file.path);
		git_buf_dispose(&buffer);
		git_patch_free(patch);
		if (!ok)
			return sync_git_error(error, "comparing");
		if (text->len > TEXT_MAX)
			break;
	}
	return true;
}

char *sync_repo_difference(const char *repository, const char *from, const char *to, const char *below, GError **error)
{
	g_autoptr(SyncRepo) repo = sync_repo_open(repository, error);
	g_autoptr(git_tree) old = NULL;
	g_autoptr(git_tree) new_ = NULL;
	g_autoptr(git_diff) diff = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	git_diff_options options = GIT_DIFF_OPTIONS_INIT;
	char *paths[] = { (char *)below };
	g_autoptr(GError) problem = NULL;
	git_oid a, b;

	if (!repo || !sync_repo_find(repo, to, &b, error) || (*from && !sync_repo_find(repo, from, &a, error)))
		return NULL;
	old = tree_named(repo, *from ? &a : &b, !*from, &problem);
	new_ = problem ? NULL : tree_named(repo, &b, false, &problem);
	if (problem) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return NULL;
	}
	options.flags = GIT_DIFF_DISABLE_PATHSPEC_MATCH;
	if (*below)
		options.pathspec = (git_strarray){ paths, 1 };
	if (git_diff_tree_to_tree(&diff, repo->git, old, new_, &options) < 0) {
		sync_git_error(error, "comparing");
		return NULL;
	}
	if (!print_diff(diff, text, error))
		return NULL;
	return g_utf8_make_valid(text->str, text->len);
}
