/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/known.c - the folders that are known, and what is in them. */
#include "syncd/files/known.h"

#include <string.h>
#include <time.h>

enum {
	RACY_MS = 50, /* a file changed this shortly before it was read may change again under the same time stamp */
};

void sync_folder_free(SyncFolder *folder)
{
	if (!folder)
		return;
	g_hash_table_unref(folder->items);
	g_free(folder);
}

SyncItem *sync_item_new(const char *name)
{
	gsize length = strlen(name);
	SyncItem *item = g_malloc0(offsetof(SyncItem, name) + length + 1);

	memcpy(item->name, name, length);
	return item;
}

SyncItem *sync_item_of(gpointer name)
{
	return name ? (SyncItem *)((char *)name - offsetof(SyncItem, name)) : NULL;
}

void sync_item_free(SyncItem *item)
{
	if (item && item->is_folder)
		sync_folder_free(item->folder);
	g_free(item);
}

static void drop_item(gpointer name)
{
	sync_item_free(sync_item_of(name));
}

SyncItem *sync_folder_item(SyncFolder *folder, const char *name)
{
	return sync_item_of(g_hash_table_lookup(folder->items, name));
}

void sync_folder_put(SyncFolder *folder, SyncItem *item)
{
	g_hash_table_add(folder->items, item->name);
}

SyncFolder *sync_folder_new(void)
{
	SyncFolder *folder = g_new0(SyncFolder, 1);

	folder->look.mode = S_IFDIR; /* until it is looked at */
	folder->items = g_hash_table_new_full(g_str_hash, g_str_equal, drop_item, NULL);
	return folder;
}

SyncFolder *sync_folder_find(SyncFolder *root, const char *path, bool forget)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	SyncFolder *folder = root;

	for (guint i = 0; folder && names[i]; i++) {
		if (folder->opaque)
			return NULL;
		if (forget)
			folder->written = false;
		SyncItem *item = sync_folder_item(folder, names[i]);
		folder = item && item->is_folder ? item->folder : NULL;
	}
	if (folder && folder->opaque)
		return NULL;
	if (folder && forget)
		folder->written = false;
	return folder;
}

SyncFolder *sync_folder_have(SyncFolder *root, const char *path)
{
	g_auto(GStrv) names = g_strsplit(path, "/", -1);
	SyncFolder *folder = root;

	for (guint i = 0; names[i] && !folder->opaque; i++) {
		SyncItem *item = sync_folder_item(folder, names[i]);

		folder->written = false;
		if (!item || !item->is_folder) {
			item = sync_item_new(names[i]);
			item->is_folder = item->adopted = true;
			item->folder = sync_folder_new();
			sync_folder_put(folder, item);
		}
		folder = item->folder;
	}
	folder->written = false;
	return folder->opaque ? NULL : folder;
}

gint64 sync_stamp_ns(struct timespec stamp)
{
	return (gint64)stamp.tv_sec * G_GINT64_CONSTANT(1000000000) + stamp.tv_nsec;
}

SyncLook sync_look_of(const struct stat *st)
{
	return (SyncLook){ .ino = st->st_ino, .size = st->st_size, .mtime_ns = sync_stamp_ns(st->st_mtim), .ctime_ns = sync_stamp_ns(st->st_ctim),
		       .dev = (guint32)st->st_dev, .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid };
}

bool sync_look_equal(const SyncLook *a, const SyncLook *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool sync_look_is_racy(const SyncLook *look)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	gint64 age_ns = sync_stamp_ns(now) - look->ctime_ns;
	return age_ns < RACY_MS * G_GINT64_CONSTANT(1000000); /* a clock set back makes files racy, never the other way */
}
