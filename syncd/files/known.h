/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/files/known.h - what is known of the files of a data set: folders in memory, with what lstat said of each name when its content was hashed.
 *
 * Pure but for the clock of sync_look_is_racy(). A picture has one such tree for each set (picture.h); look.c fills it.
 */
#pragma once

#include <glib.h>
#include <git2.h>
#include <stdbool.h>
#include <sys/stat.h>

/* What lstat says of a file; equal means not changed since. There is one for each file of every set, so it is packed. */
typedef struct {
	ino_t ino;
	off_t size;
	gint64 mtime_ns, ctime_ns;
	guint32 dev; /* of which the kernel has no more */
	mode_t mode;
	uid_t uid;
	gid_t gid;
} SyncLook;

typedef struct SyncFolder SyncFolder;

typedef struct {
	SyncLook look;
	union {
		git_oid id;         /* of a file's or link's content */
		SyncFolder *folder; /* of a folder */
	};
	bool is_folder : 1;
	bool racy : 1;    /* must be read again whatever lstat says */
	bool adopted : 1; /* placed by us: id is right, the next look only completes it; of a folder: it is listed */
	bool seen : 1;    /* by the present look at its folder */
	char name[];
} SyncItem;

struct SyncFolder {
	GHashTable *items; /* of SyncItem*, each by its name, which is the key and the value */
	SyncLook look;
	bool opaque;       /* it cannot be read: id is what it was, nothing is known of what is in it */
	bool written;      /* id is its tree */
	git_oid id;
};

SyncLook sync_look_of(const struct stat *st);
bool sync_look_equal(const SyncLook *a, const SyncLook *b);
/* What was looked at may have changed since without another time stamp. */
bool sync_look_is_racy(const SyncLook *look);
gint64 sync_stamp_ns(struct timespec stamp);

SyncItem *sync_item_new(const char *name);
void sync_item_free(SyncItem *item); /* with the folder that it is; NULL is fine */
/* The item that a key of a folder's table is of. NULL is fine. */
SyncItem *sync_item_of(gpointer name);

SyncFolder *sync_folder_new(void);
void sync_folder_free(SyncFolder *folder); /* NULL is fine */
/* NULL: it has none of that name. */
SyncItem *sync_folder_item(SyncFolder *folder, const char *name);
/* Takes @item, in the place of the one that has its name. */
void sync_folder_put(SyncFolder *folder, SyncItem *item);
/* The folder at @path below @root if it is known; when @forget, the trees on the way must be written anew. */
SyncFolder *sync_folder_find(SyncFolder *root, const char *path, bool forget);
/* The same; one that is not known comes into being, and is listed at the next look. NULL: it cannot be read. */
SyncFolder *sync_folder_have(SyncFolder *root, const char *path);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SyncItem, sync_item_free)
