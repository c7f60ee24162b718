/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/repo.c - opening, healing, refs and commits. Comparing trees is in compare.c, history in history.c. */
#include "syncd/repository/repo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/repository/receive.h"

G_LOCK_DEFINE_STATIC(packed_refs);
G_LOCK_DEFINE_STATIC(diverged);

/* Of packs, as they are mapped, and of trees, as they were read last. */
enum { WINDOW = 1 << 20, MAPPED_MAX = 4 << 20, CACHED_MAX = 1 << 20, DIVERGED_MAX = 100000 };

bool sync_git_error(GError **error, const char *what)
{
	const git_error *last = git_error_last();
	g_autofree char *text = g_utf8_make_valid(last && last->message ? last->message : "unknown", -1);

	g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "%s: %s", what, text);
	return false;
}

char *sync_oid_text(const git_oid *id)
{
	char text[GIT_OID_HEXSZ + 1];

	return g_strdup(git_oid_tostr(text, sizeof text, id));
}

void sync_repo_library_init(void)
{
	git_libgit2_init();
	/* Objects and refs are on disk before anybody is told of them; packs are mapped in pieces, whatever their size. */
	git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	/* What we put into a tree we have stored ourselves, or found in one: to look for each of a thousand names again took longer than the rest. */
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 0);
	git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)WINDOW);
	git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)MAPPED_MAX);
	git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)CACHED_MAX);
	/* No configuration but the repository's own. */
	for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
		git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
}

/* What git itself must know when it serves or tidies the repository; written at each start, so an update changes it too. */
static bool configure(git_repository *git, GError **error)
{
	static const struct {
		const char *name, *value;
	} settings[] = {
		{ "uploadpack.allowAnySHA1InWant", "true" }, /* the peer fetches by commit, also one that a newer snapshot replaced */
		{ "gc.auto", "0" },                          /* tidied by our own clock */
		{ "repack.writeBitmaps", "false" },          /* with bitmaps the next databases went out whole, not as deltas */
		{ "core.logAllRefUpdates", "false" },
		/* The link is a LAN and the time counts: packing harder took longer than sending more. */
		{ "pack.compression", "1" },
		{ "pack.window", "3" },
	};
	g_autoptr(git_config) config = NULL;

	if (git_repository_config(&config, git) < 0)
		return sync_git_error(error, "repository settings");
	for (guint i = 0; i < G_N_ELEMENTS(settings); i++) {
		git_buf present = GIT_BUF_INIT;
		bool same = git_config_get_string_buf(&present, config, settings[i].name) == 0 && g_str_equal(present.ptr, settings[i].value);

		git_buf_dispose(&present);
		if (!same && git_config_set_string(config, settings[i].name, settings[i].value) < 0)
			return sync_git_error(error, "repository settings");
	}
	return true;
}

SyncRepo *sync_repo_open(const char *path, GError **error)
{
	git_repository *git = NULL;

	if (git_repository_open_bare(&git, path) < 0 && git_repository_init(&git, path, true) < 0) {
		sync_git_error(error, "opening the repository");
		return NULL;
	}
	g_autoptr(SyncFresh) fresh = sync_fresh_new();
	if (!configure(git, error) || !sync_fresh_attach(fresh, git, error) || !sync_receive_attach(git, error)) {
		git_repository_free(git);
		return NULL;
	}
	/* It holds telephone passwords in clear, for ever. */
	(void)g_chmod(path, 0700);
	/* Where stock git-lfs looks for the recordings that `voice` points to; of a repository that it clones as files it reads no lfs.storage. */
	g_autofree char *link = g_build_filename(path, "lfs", NULL);
	(void)symlink("../lfs", link);
	SyncRepo *repo = g_new0(SyncRepo, 1);
	repo->git = git;
	repo->fresh = g_steal_pointer(&fresh);
	repo->path = g_strdup(path);
	return repo;
}

bool sync_repo_reopen(SyncRepo *repo, GError **error)
{
	git_repository *git = NULL;

	if (git_repository_open_bare(&git, repo->path) < 0)
		return sync_git_error(error, "opening the repository");
	if (!sync_fresh_attach(repo->fresh, git, error) || !sync_receive_attach(git, error)) {
		git_repository_free(git);
		return false;
	}
	git_repository_free(repo->git);
	repo->git = git;
	return true;
}

void sync_repo_free(SyncRepo *repo)
{
	if (!repo)
		return;
	git_repository_free(repo->git);
	sync_fresh_free(repo->fresh);
	g_free(repo->path);
	g_free(repo);
}

/* ---- healing ---- */

static bool is_rubbish(const char *name)
{
	return g_str_has_suffix(name, ".lock") || g_str_has_prefix(name, "pack_git2_") || g_str_has_prefix(name, "tmp_") || g_str_has_prefix(name, ".tmp-");
}

/* Removes rubbish below @fd, and in the folder of objects also empty files, of which *ret_empty tells. */
static void sweep(int fd, bool objects, guint depth, bool *ret_empty)
{
	DIR *dir = fdopendir(fd);

	if (!dir) {
		(void)close(fd);
		return;
	}
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		struct stat st;

		if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, "..") || fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth == 0 && g_str_has_prefix(entry->d_name, SYNC_RECEIVING)) {
			sync_file_remove_tree(fd, entry->d_name);
		} else if (S_ISDIR(st.st_mode) && depth < 8) {
			int inner = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (inner >= 0)
				sweep(inner, objects || g_str_equal(entry->d_name, "objects"), depth + 1, ret_empty);
		} else if (S_ISREG(st.st_mode) && (is_rubbish(entry->d_name) || (objects && st.st_size == 0))) {
			*ret_empty = *ret_empty || !is_rubbish(entry->d_name);
			(void)unlinkat(fd, entry->d_name, 0);
		}
	}
	(void)closedir(dir);
}

static bool is_readable(git_reference *reference)
{
	g_autoptr(git_commit) commit = NULL;
	g_autoptr(git_tree) tree = NULL;

	return git_reference_peel((git_object **)&commit, reference, GIT_OBJECT_COMMIT) == 0 && git_commit_tree(&tree, commit) == 0;
}

/* The names of the refs that cannot be read are added to @lost. False: not one can be, or nothing at all. */
static bool readable(const char *path, GPtrArray *lost)
{
	g_autoptr(SyncRepo) repo = NULL;
	git_reference_iterator *iterator = NULL;
	git_reference *reference;
	guint n = 0;

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return true;
	repo = sync_repo_open(path, NULL);
	if (!repo || git_reference_iterator_new(&iterator, repo->git) < 0)
		return false;
	while (git_reference_next(&reference, iterator) == 0) {
		n++;
		if (!is_readable(reference))
			g_ptr_array_add(lost, g_strdup(git_reference_name(reference)));
		git_reference_free(reference);
	}
	git_reference_iterator_free(iterator);
	for (guint i = 0; i < lost->len && lost->len < n; i++) {
		g_warning("%s leads to nothing that can be read", (const char *)lost->pdata[i]);
		(void)git_reference_remove(repo->git, lost->pdata[i]);
	}
	return n == 0 || lost->len < n;
}

bool sync_repo_heal(const char *path)
{
	g_autoptr(GPtrArray) lost = g_ptr_array_new_with_free_func(g_free);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool empty = false;

	if (fd >= 0)
		sweep(fd, false, 0, &empty);
	if (readable(path, lost))
		return empty || lost->len > 0;
	g_autofree char *aside = g_strconcat(path, ".broken", NULL);
	g_autofree char *name = g_path_get_basename(aside);
	g_autofree char *folder = g_path_get_dirname(aside);
	sync_autofd folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	g_warning("the repository cannot be read; it is put aside as %s", aside);
	sync_file_remove_tree(folder_fd, name);
	if (rename(path, aside) < 0)
		g_warning("%s: %s", aside, g_strerror(errno));
	return false; /* there is nothing that could be damaged */
}

bool sync_repo_adopt_packs(const char *path, const char *from, GError **error)
{
	static const char *const endings[] = { ".pack", ".idx" }; /* in this order: what has an index has a pack */
	g_autofree char *theirs = g_build_filename(from, "objects/pack", NULL), *ours = g_build_filename(path, "objects/pack", NULL);

	for (guint i = 0; i < G_N_ELEMENTS(endings); i++) {
		g_autoptr(GDir) dir = g_dir_open(theirs, 0, error);
		const char *name;

		if (!dir)
			return false;
		while ((name = g_dir_read_name(dir))) {
			g_autofree char *old = g_build_filename(theirs, name, NULL), *new_ = g_build_filename(ours, name, NULL);

			if (g_str_has_suffix(name, endings[i]) && !sync_file_rename(old, new_, error))
				return false;
		}
	}
	return true;
}

/* ---- refs ---- */

static char *ref_name(const char *space, const char *ref)
{
	return g_strdup_printf("refs/%s/%s", space, ref);
}

bool sync_repo_get_ref(SyncRepo *repo, const char *space, const char *ref, git_oid *ret_id)
{
	g_autofree char *name = ref_name(space, ref);

	return git_reference_name_to_id(ret_id, repo->git, name) == 0;
}

bool sync_repo_set_ref(SyncRepo *repo, const char *space, const char *ref, const git_oid *id, GError **error)
{
	g_autofree char *name = ref_name(space, ref);
	g_autoptr(git_reference) reference = NULL;

	if (git_reference_create(&reference, repo->git, name, id, true, NULL) < 0)
		return sync_git_error(error, name);
	return true;
}

void sync_repo_drop_ref(SyncRepo *repo, const char *space, const char *ref)
{
	g_autofree char *name = ref_name(space, ref);

	/* A ref that was packed goes by a new file of all packed refs, for which there is but one lock. */
	G_LOCK(packed_refs);
	(void)git_reference_remove(repo->git, name);
	G_UNLOCK(packed_refs);
}

/* ---- commits ---- */

bool sync_repo_commit(SyncRepo *repo, const git_oid *tree_id, const git_oid *parent_id, const char *author, const char *message,
		      const SyncTerm *term, git_oid *ret_id, GError **error)
{
	g_autoptr(git_signature) signature = NULL;
	g_autoptr(git_tree) tree = NULL;
	g_autoptr(git_commit) parent = NULL;
	g_autofree char *text = sync_term_message(message, term);
	/* git forbids these in names; everything else a caller says is kept. */
	g_autofree char *name = g_strdelimit(g_strdup(*author ? author : "system"), "<>\n", ' ');
	git_oid id;

	if (git_signature_now(&signature, name, term->device && *term->device ? term->device : "understudy") < 0 ||
	    git_tree_lookup(&tree, repo->git, tree_id) < 0 || (parent_id && git_commit_lookup(&parent, repo->git, parent_id) < 0))
		return sync_git_error(error, "committing");
	const git_commit *parents[] = { parent };
	if (git_commit_create(&id, repo->git, NULL, signature, signature, NULL, text, tree, parent ? 1 : 0, parents) < 0)
		return sync_git_error(error, "committing");
	*ret_id = id;
	return true;
}

bool sync_repo_tree_of(SyncRepo *repo, const git_oid *commit_id, git_oid *ret_tree, GError **error)
{
	g_autoptr(git_commit) commit = NULL;

	if (git_commit_lookup(&commit, repo->git, commit_id) < 0)
		return sync_git_error(error, "reading a commit");
	*ret_tree = *git_commit_tree_id(commit);
	return true;
}

bool sync_repo_term_of(SyncRepo *repo, const git_oid *commit_id, SyncTerm *ret_term, GError **error)
{
	g_autoptr(git_commit) commit = NULL;

	if (git_commit_lookup(&commit, repo->git, commit_id) < 0)
		return sync_git_error(error, "reading a commit");
	sync_term_parse(git_commit_message(commit), ret_term);
	return true;
}

bool sync_repo_contains(SyncRepo *repo, const git_oid *commit, const git_oid *ancestor)
{
	return git_oid_equal(commit, ancestor) || git_graph_descendant_of(repo->git, commit, ancestor) == 1;
}

/* ---- lines kept aside ---- */

static char *ref_safe(const char *device)
{
	char *safe = g_strdup(*device ? device : "unknown");

	for (char *p = safe; *p; p++)
		if (!g_ascii_isalnum(*p) && *p != '-' && *p != '_')
			*p = '-';
	return safe;
}

char **sync_repo_diverged(SyncRepo *repo)
{
	g_autoptr(GStrvBuilder) names = g_strv_builder_new();
	git_reference_iterator *iterator = NULL;
	const char *name;

	if (git_reference_iterator_glob_new(&iterator, repo->git, "refs/diverged/*") == 0) {
		while (git_reference_next_name(&name, iterator) == 0)
			g_strv_builder_add(names, name);
		git_reference_iterator_free(iterator);
	}
	return g_strv_builder_end(names);
}

bool sync_repo_find(SyncRepo *repo, const char *name, git_oid *ret_id, GError **error)
{
	gsize length = strspn(name, "0123456789abcdef");
	g_autoptr(git_commit) commit = NULL;
	git_oid id;
	int rc;

	if (g_str_has_prefix(name, "refs/diverged/")) {
		rc = git_reference_name_to_id(ret_id, repo->git, name);
	} else if (length < GIT_OID_MINPREFIXLEN || length > GIT_OID_HEXSZ || name[length] != '\0') {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "a commit is 4 to %d hex digits, or a name of a line kept aside", GIT_OID_HEXSZ);
		return false;
	} else {
		rc = git_oid_fromstrn(&id, name, length);
		rc = rc < 0 ? rc : git_commit_lookup_prefix(&commit, repo->git, &id, length);
		if (rc == 0)
			*ret_id = *git_commit_id(commit);
	}
	if (rc == GIT_EAMBIGUOUS)
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "more than one commit begins so; say more digits");
	else if (rc < 0)
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "there is no such commit");
	return rc == 0;
}

static char *park(SyncRepo *repo, const char *device, const git_oid *commit, GError **error)
{
	g_autofree char *safe = ref_safe(device);
	g_auto(GStrv) names = sync_repo_diverged(repo);

	for (guint i = 0; names[i]; i++) {
		git_oid id;

		if (git_reference_name_to_id(&id, repo->git, names[i]) == 0 && git_oid_equal(&id, commit))
			return g_strdup(names[i]);
	}
	for (guint n = 1; n < DIVERGED_MAX; n++) {
		g_autofree char *name = g_strdup_printf("refs/diverged/%s/%u", safe, n);
		g_autoptr(git_reference) reference = NULL;
		int rc = git_reference_create(&reference, repo->git, name, commit, false, NULL);

		if (rc == 0)
			return g_steal_pointer(&name);
		if (rc != GIT_EEXISTS) {
			sync_git_error(error, name);
			return NULL;
		}
	}
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "too many lines are kept aside");
	return NULL;
}

char *sync_repo_park(SyncRepo *repo, const char *device, const git_oid *commit, GError **error)
{
	/* The threads of the refs look for a free name each; the second to come would fail where the first is just taking its own. */
	G_LOCK(diverged);
	char *name = park(repo, device, commit, error);
	G_UNLOCK(diverged);
	return name;
}
