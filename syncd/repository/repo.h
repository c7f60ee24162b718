/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/repository/repo.h - the bare git repository, by libgit2 and without an index.
 *
 *	refs/heads/<ref>                this device's line; on a Backup: what is applied to its files
 *	refs/migrated/config            this device's own form of the line's last commit (apply/migrate.h)
 *	refs/fetched/<ref>              complete, but not yet applied
 *	refs/diverged/<device>/<n>      lines kept aside; those of recordings not for ever (voice/aside.c)
 *
 * A handle belongs to one thread.
 */
#pragma once

#include <gio/gio.h>
#include <git2.h>
#include <stdbool.h>

#include "syncd/apply/plan.h"
#include "syncd/repository/fresh.h"
#include "syncd/repository/term.h"

typedef struct {
	git_repository *git;
	SyncFresh *fresh;
	char *path;
} SyncRepo;

/* Once per process, before any other use. */
void sync_repo_library_init(void);

/* Opens the repository at @path, making it when it is not there. */
SyncRepo *sync_repo_open(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_repo_free(SyncRepo *repo); /* NULL is fine */
bool sync_repo_reopen(SyncRepo *repo, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* others have put its objects in order */

/* After an unclean stop: removes locks, half received packs and empty objects that would else count as present for ever, and refs that lead to nothing that
 * can be read. A repository of which no ref can be is put aside ("repo.git.broken") and a new one made: the files on disk, or the peer, have everything.
 * True: something was not right. */
bool sync_repo_heal(const char *path);

/* What the repository at @from has in packs is moved to that at @path, in the same file system. */
bool sync_repo_adopt_packs(const char *path, const char *from, GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool sync_repo_get_ref(SyncRepo *repo, const char *space, const char *ref, git_oid *ret_id);
bool sync_repo_set_ref(SyncRepo *repo, const char *space, const char *ref, const git_oid *id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_repo_drop_ref(SyncRepo *repo, const char *space, const char *ref);

/* @parent NULL: without. The refs are not touched. */
bool sync_repo_commit(SyncRepo *repo, const git_oid *tree, const git_oid *parent, const char *author, const char *message,
		      const SyncTerm *term, git_oid *ret_id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sync_repo_tree_of(SyncRepo *repo, const git_oid *commit, git_oid *ret_tree, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sync_repo_term_of(SyncRepo *repo, const git_oid *commit, SyncTerm *ret_term, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether @commit is @ancestor or comes after it. */
bool sync_repo_contains(SyncRepo *repo, const git_oid *commit, const git_oid *ancestor);

/* Keeps @commit under a name of its own, or finds the one it has. Transfer full. */
char *sync_repo_park(SyncRepo *repo, const char *device, const git_oid *commit, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char **sync_repo_diverged(SyncRepo *repo); /* names; transfer full */

/* The commit that people mean by @name: at least 4 of its hex digits, or a name of sync_repo_diverged(). */
bool sync_repo_find(SyncRepo *repo, const char *name, git_oid *ret_id, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The data sets (top folders) of a tree. Transfer full. */
char **sync_repo_sets(SyncRepo *repo, const git_oid *tree, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Called with each path in a data set that differs between two trees, in the order of the trees. @was, @becomes: NULL: it is not there. The ids are of
 * objects, and NULL for folders. What changed between folder and not comes twice, with the one and with the other. False: that is enough. */
typedef bool (*SyncDiffers)(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data);

/* What differs in data set @set between two trees, either of which may be NULL (nothing). Refuses a tree whose names, kinds or manifests are not what
 * sync_picture_write() makes. */
bool sync_repo_each_difference(SyncRepo *repo, const git_oid *old_tree, const git_oid *new_tree, const char *set, SyncDiffers differs, gpointer user_data,
			       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same as lists: SyncEntry* are appended to @old and @new_. */
bool sync_repo_compare(SyncRepo *repo, const git_oid *old_tree, const git_oid *new_tree, const char *set, GPtrArray *old, GPtrArray *new_,
		       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* History of Sync1 (aa{sv}); opens a handle of its own, so any thread may ask. Floating. */
GVariant *sync_repo_history(const char *path, const char *ref, const char *below, guint count, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What @to has that @from (NULL or "": what it was made from) has not, and the other way, below @below, as a patch. Opens a handle of its own.
 * Transfer full. */
char *sync_repo_difference(const char *repository, const char *from, const char *to, const char *below, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Sets @error from libgit2's last one. Always false. */
bool sync_git_error(GError **error, const char *what);

char *sync_oid_text(const git_oid *id); /* 40 digits; transfer full */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncRepo, sync_repo_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tree, git_tree_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_tree_entry, git_tree_entry_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_commit, git_commit_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_blob, git_blob_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_signature, git_signature_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_reference, git_reference_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_remote, git_remote_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_treebuilder, git_treebuilder_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_config, git_config_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_odb, git_odb_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_revwalk, git_revwalk_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(git_diff, git_diff_free)
