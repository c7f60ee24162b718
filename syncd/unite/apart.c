/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/unite/apart.c - names of lines that are to be united, and where two lines parted. */
#include "syncd/unite/apart.h"

#include <string.h>

#include "syncd/engine-private.h"
#include "syncd/unite/unite.h"

#define SPACE "apart"

enum { SNAPSHOTS_MAX = 4, DEVICES_MAX = 4 };

bool sync_apart_wanted(const Settings *settings, SyncRef ref)
{
	g_autoptr(GPtrArray) sets = sync_sets_new(settings);

	for (guint i = 0; i < settings->applications->len; i++)
		if (sync_unite_concerns(settings->applications->pdata[i], sets, ref))
			return true;
	return false;
}

/* Snapshots are kept by nothing else: the oldest go, by the order of their names, which is as good as any. */
static void drop_some(SyncRepo *repo)
{
	g_auto(GStrv) list = sync_apart_list(repo);
	guint n = 0;

	for (guint i = 0; list[i]; i++)
		if (g_str_has_prefix(list[i], "volatile/") && ++n >= SNAPSHOTS_MAX)
			sync_repo_drop_ref(repo, SPACE, list[i]);
}

bool sync_apart_keep(SyncRepo *repo, SyncRef ref, const git_oid *commit, GError **error)
{
	g_autofree char *hex = sync_oid_text(commit), *name = g_strdup_printf("%s/%s", sync_ref_names[ref], hex);

	if (ref == SYNC_REF_VOLATILE)
		drop_some(repo);
	return sync_repo_set_ref(repo, SPACE, name, commit, error);
}

char **sync_apart_list(SyncRepo *repo)
{
	g_autoptr(GStrvBuilder) list = g_strv_builder_new();
	git_reference_iterator *iterator = NULL;
	const char *name;

	if (git_reference_iterator_glob_new(&iterator, repo->git, "refs/" SPACE "/*") == 0) {
		while (git_reference_next_name(&name, iterator) == 0)
			g_strv_builder_add(list, name + strlen("refs/" SPACE "/"));
		git_reference_iterator_free(iterator);
	}
	return g_strv_builder_end(list);
}

bool sync_apart_drop(const char *repository, const char *const *commits)
{
	g_autoptr(SyncRepo) repo = sync_repo_open(repository, NULL);
	g_auto(GStrv) list = repo ? sync_apart_list(repo) : NULL;
	bool any = false;

	for (guint i = 0; list && list[i]; i++) {
		const char *slash = strchr(list[i], '/');

		if (!slash || !g_strv_contains(commits, slash + 1))
			continue;
		sync_repo_drop_ref(repo, SPACE, list[i]);
		any = true;
	}
	return any;
}

bool sync_apart_parse(const char *text, SyncRef *ret_ref, git_oid *ret_commit)
{
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		gsize length = strlen(sync_ref_names[i]);

		if (strncmp(text, sync_ref_names[i], length) != 0 || text[length] != '/' || strlen(text + length + 1) != GIT_OID_HEXSZ ||
		    git_oid_fromstr(ret_commit, text + length + 1) < 0)
			continue;
		*ret_ref = i;
		return true;
	}
	return false;
}

/* "commit:device commit:device" */
static char **ids_of(const char *goes_on)
{
	g_auto(GStrv) words = g_strsplit(goes_on ? goes_on : "", " ", -1);
	g_autoptr(GStrvBuilder) ids = g_strv_builder_new();

	for (guint i = 0; words[i]; i++)
		if (strlen(words[i]) > GIT_OID_HEXSZ && words[i][GIT_OID_HEXSZ] == ':') {
			g_autofree char *id = g_strndup(words[i], GIT_OID_HEXSZ);

			g_strv_builder_add(ids, id);
		}
	return g_strv_builder_end(ids);
}

static bool fork_before(SyncRepo *repo, const git_oid *line, const git_oid *other, git_oid *ret_base)
{
	g_autofree char *goes_on = sync_voice_goes_on(repo, line);
	g_auto(GStrv) ids = ids_of(goes_on);

	for (guint i = 0; ids[i]; i++) {
		git_oid id;

		/* What is not in this repository any more has no place in the other line that could be found. */
		if (git_oid_fromstr(&id, ids[i]) == 0 && git_merge_base(ret_base, repo->git, &id, other) == 0)
			return true;
	}
	return false;
}

bool sync_apart_fork(SyncRepo *repo, const git_oid *ours, const git_oid *theirs, git_oid *ret_base)
{
	return git_merge_base(ret_base, repo->git, ours, theirs) == 0 || fork_before(repo, ours, theirs, ret_base) ||
	       fork_before(repo, theirs, ours, ret_base);
}

char *sync_apart_goes_on(SyncRepo *repo, const git_oid *head)
{
	g_autofree char *hex = sync_oid_text(head);
	g_auto(SyncTerm) term = { 0 };
	guint n = 1;

	if (!sync_repo_term_of(repo, head, &term, NULL))
		return NULL;
	GString *text = g_string_new(NULL);
	g_string_append_printf(text, "%s:%s", hex, term.device);
	g_auto(GStrv) earlier = g_strsplit(term.goes_on ? term.goes_on : "", " ", -1);
	for (guint i = 0; earlier[i] && n < DEVICES_MAX; i++) {
		const char *device = strchr(earlier[i], ':');

		if (!device || g_str_equal(device + 1, term.device))
			continue;
		g_string_append_printf(text, " %s", earlier[i]);
		n++;
	}
	return g_string_free(text, FALSE);
}

bool sync_apart_is_snapshot(SyncRepo *repo, const char *device, const git_oid *head, const git_oid *target)
{
	g_autofree char *hex = sync_oid_text(head);
	g_auto(SyncTerm) own = { 0 }, other = { 0 };

	if (git_oid_equal(head, target) || !sync_repo_term_of(repo, head, &own, NULL) || !sync_repo_term_of(repo, target, &other, NULL) ||
	    g_strcmp0(own.device, device) != 0 || !other.goes_on)
		return false;
	g_auto(GStrv) ids = ids_of(other.goes_on);
	return !g_strv_contains((const char *const *)ids, hex);
}
