/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/files/picture.h - what is on disk in the data sets of one ref, as git objects.
 *
 * The picture remembers for every file what lstat said when its content was hashed, so looking again costs one listing per folder marked, and
 * writing a tree costs the folders on the changed paths. The leader commits the picture; a Backup compares it with what it applied.
 */
#pragma once

#include "syncd/voice/objects.h"
#include "syncd/repository/repo.h"
#include "syncd/files/set.h"

/* Beside the sets in a tree with pointers. */
#define SYNC_ATTRIBUTES_NAME ".gitattributes"

typedef struct SyncPicture SyncPicture;

/* Called with each folder before it is listed, so that what comes into it later is seen by a watch set here. @fd is valid during the call. */
typedef void (*SyncPictureFolder)(const SyncSet *set, const char *path, int fd, gpointer user_data);

/* Everything is marked at first. @sets live longer. @scratch: a folder of ours for copies of databases. @objects (NULL: none) lives longer; with it
 * files are stored there, and the tree has pointers (pointer.h). */
SyncPicture *sync_picture_new(GPtrArray *sets, SyncRef ref, const char *scratch, SyncObjects *objects);
void sync_picture_free(SyncPicture *picture); /* NULL is fine */
void sync_picture_on_folder(SyncPicture *picture, SyncPictureFolder callback, gpointer user_data);

/* Asked of each file that has changed: true: it stays as it was known for now. */
typedef bool (*SyncPictureLeave)(const SyncSet *set, const char *path, gpointer user_data);
void sync_picture_on_file(SyncPicture *picture, SyncPictureLeave callback, gpointer user_data);

/* Says that folder @path of @set must be looked at again (a database: whatever path). */
void sync_picture_mark(SyncPicture *picture, const SyncSet *set, const char *path);
void sync_picture_mark_all(SyncPicture *picture); /* with everything below */

/* Marks the sets that were not there at the last look; false when there are none. */
bool sync_picture_mark_missing(SyncPicture *picture);

/* What cannot be read (rights of a file system that is not ours, a disk with an error) stays in the picture as it was known, or as @tree has it; it is
 * not gone. The tree of before: of a leader what it committed last, of a Backup what is applied. NULL: none. */
void sync_picture_set_base(SyncPicture *picture, const git_oid *tree);
/* Of what the last refresh looked at: "application.set/path". */
const GPtrArray *sync_picture_unreadable(const SyncPicture *picture);

/* Looks at what is marked; contents not known yet are stored as blobs. When it fails or is cancelled everything is marked. */
bool sync_picture_refresh(SyncPicture *picture, SyncRepo *repo, GCancellable *cancellable, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The tree. A set whose folder or database is not there (a disk not mounted) keeps what it has in @before (NULL: nothing): missing is not
 * empty. Sets of which something was kept so are added to @missing (of char*) when that is not NULL. */
bool sync_picture_write(SyncPicture *picture, SyncRepo *repo, const git_oid *before, GPtrArray *missing, git_oid *ret_tree,
			GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What @path was when it was looked at last, a file or a link (plan.h); NULL: nothing. Transfer full. */
SyncWas *sync_picture_was(SyncPicture *picture, const SyncSet *set, const char *path);

/* Says that @path was just placed by us with content @id and modification time @mtime_ns: as long as it has that time it need not be read again.
 * The folder must be marked too. */
void sync_picture_adopt(SyncPicture *picture, const SyncSet *set, const char *path, const git_oid *id, gint64 mtime_ns);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncPicture, sync_picture_free)
