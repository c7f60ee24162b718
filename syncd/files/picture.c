/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/picture.c - what a picture is told and asked, and the trees that come of it. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"
#include "syncd/files/picture-private.h"
#include "syncd/files/store.h"

static void view_free(gpointer data)
{
	SyncSetView *view = data;

	sync_folder_free(view->root);
	g_hash_table_unref(view->marked);
	g_free(view);
}

SyncPicture *sync_picture_new(GPtrArray *sets, SyncRef ref, const char *scratch, SyncObjects *objects)
{
	SyncPicture *picture = g_new0(SyncPicture, 1);

	picture->scratch = g_strdup(scratch);
	picture->objects = objects;
	picture->unreadable = g_ptr_array_new_with_free_func(g_free);
	picture->views = g_ptr_array_new_with_free_func(view_free);
	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];

		if (set->ref != ref)
			continue;
		SyncSetView *view = g_new0(SyncSetView, 1);
		view->set = set;
		view->all = true;
		view->marked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		g_ptr_array_add(picture->views, view);
	}
	return picture;
}

void sync_picture_free(SyncPicture *picture)
{
	if (!picture)
		return;
	g_ptr_array_unref(picture->views);
	g_ptr_array_unref(picture->unreadable);
	g_free(picture->scratch);
	g_free(picture);
}

void sync_picture_on_folder(SyncPicture *picture, SyncPictureFolder callback, gpointer user_data)
{
	picture->on_folder = callback;
	picture->user_data = user_data;
}

void sync_picture_set_base(SyncPicture *picture, const git_oid *tree)
{
	picture->base = tree ? *tree : (git_oid){ 0 };
}

const GPtrArray *sync_picture_unreadable(const SyncPicture *picture)
{
	return picture->unreadable;
}

void sync_picture_on_file(SyncPicture *picture, SyncPictureLeave callback, gpointer user_data)
{
	picture->leave = callback;
	picture->leave_data = user_data;
}

static SyncSetView *view_of(SyncPicture *picture, const SyncSet *set)
{
	for (guint i = 0; i < picture->views->len; i++)
		if (((SyncSetView *)picture->views->pdata[i])->set == set)
			return picture->views->pdata[i];
	return NULL;
}

void sync_picture_mark(SyncPicture *picture, const SyncSet *set, const char *path)
{
	SyncSetView *view = view_of(picture, set);

	if (view)
		g_hash_table_add(view->marked, g_strdup(path));
}

void sync_picture_mark_all(SyncPicture *picture)
{
	for (guint i = 0; i < picture->views->len; i++)
		((SyncSetView *)picture->views->pdata[i])->all = true;
}

bool sync_picture_mark_missing(SyncPicture *picture)
{
	bool any = false;

	for (guint i = 0; i < picture->views->len; i++) {
		SyncSetView *view = picture->views->pdata[i];

		if (view->root)
			continue;
		view->all = any = true;
	}
	return any;
}
void sync_picture_adopt(SyncPicture *picture, const SyncSet *set, const char *path, const git_oid *id, gint64 mtime_ns)
{
	SyncSetView *view = view_of(picture, set);
	g_autofree char *parent = sync_path_parent(path);

	if (view && !view->root) {
		view->root = sync_folder_new();
		view->all = true;
	}
	SyncFolder *folder = view ? sync_folder_have(view->root, set->database ? "" : parent) : NULL;
	if (!folder)
		return;
	SyncItem *item = sync_item_new(sync_path_last(path));
	item->id = *id;
	item->adopted = true;
	item->look.mtime_ns = mtime_ns;
	sync_folder_put(folder, item);
}

SyncWas *sync_picture_was(SyncPicture *picture, const SyncSet *set, const char *path)
{
	SyncSetView *view = view_of(picture, set);
	g_autofree char *parent = sync_path_parent(path);
	SyncFolder *folder = view && view->root ? sync_folder_find(view->root, set->database ? "" : parent, false) : NULL;
	const SyncItem *item = folder ? sync_folder_item(folder, sync_path_last(path)) : NULL;

	if (!item || item->is_folder)
		return NULL;
	/* The content of a database is that of its copy. */
	bool sure = !item->adopted && (!item->racy || set->database);
	SyncWas *was = g_new0(SyncWas, 1);
	if (set->database && !sure)
		g_strlcpy(was->id, "*", sizeof was->id);
	else
		(void)git_oid_tostr(was->id, sizeof was->id, &item->id);
	if (!sure)
		return was;
	was->inode = item->look.ino;
	was->size = item->look.size;
	was->mtime_ns = item->look.mtime_ns;
	return was;
}
static bool insert(git_treebuilder *builder, const char *name, const git_oid *id, git_filemode_t mode, GError **error)
{
	if (git_treebuilder_insert(NULL, builder, name, id, mode) < 0)
		return sync_git_error(error, "writing a folder");
	return true;
}

static SyncMeta *meta_of(const SyncLook *look, const char *name, bool database)
{
	SyncKind kind = S_ISDIR(look->mode) ? SYNC_KIND_FOLDER : S_ISLNK(look->mode) ? SYNC_KIND_LINK : SYNC_KIND_FILE;

	/* A database's time says nothing that its content does not. */
	return sync_meta_new(kind, look->mode & 07777, sync_owner_user(look->uid), sync_owner_group(look->gid),
			     database ? 0 : MAX(look->mtime_ns, 0), name);
}

static bool write_folder(SyncRepo *repo, SyncFolder *folder, const SyncSet *set, GError **error)
{
	g_autoptr(GPtrArray) metas = g_ptr_array_new_with_free_func((GDestroyNotify)sync_meta_free);
	g_autoptr(git_treebuilder) builder = NULL;
	GHashTableIter iter;
	gpointer key;
	git_oid manifest_id;

	if (folder->written)
		return true;
	if (git_treebuilder_new(&builder, repo->git, NULL) < 0)
		return sync_git_error(error, "writing a folder");
	g_hash_table_iter_init(&iter, folder->items);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		SyncItem *item = sync_item_of(key);
		git_filemode_t mode = S_ISLNK(item->look.mode)	? GIT_FILEMODE_LINK :
				      item->look.mode & S_IXUSR ? GIT_FILEMODE_BLOB_EXECUTABLE :
								  GIT_FILEMODE_BLOB;

		if (item->is_folder && (!write_folder(repo, item->folder, set, error) ||
					!insert(builder, item->name, &item->folder->id, GIT_FILEMODE_TREE, error)))
			return false;
		if (item->is_folder)
			continue;
		if (!insert(builder, item->name, &item->id, mode, error))
			return false;
		g_ptr_array_add(metas, meta_of(&item->look, item->name, set->database != NULL));
	}
	/* The folder that a database lies in is not the set's. */
	if (!set->database)
		g_ptr_array_add(metas, meta_of(&folder->look, ".", false));
	g_autofree char *manifest = sync_manifest_build(metas);
	if (!sync_store_data(repo, manifest, strlen(manifest), &manifest_id, error) ||
	    !insert(builder, SYNC_MANIFEST_NAME, &manifest_id, GIT_FILEMODE_BLOB, error))
		return false;
	if (git_treebuilder_write(&folder->id, builder) < 0)
		return sync_git_error(error, "writing a folder");
	folder->written = true;
	return true;
}

/* So that stock git-lfs knows what to fetch. */
static bool insert_attributes(git_treebuilder *builder, SyncRepo *repo, GError **error)
{
	static const char text[] = "* filter=lfs diff=lfs merge=lfs -text\n" SYNC_MANIFEST_NAME " !filter !diff !merge\n" SYNC_ATTRIBUTES_NAME " !filter !diff !merge\n";
	git_oid id;

	return sync_store_data(repo, text, strlen(text), &id, error) && insert(builder, SYNC_ATTRIBUTES_NAME, &id, GIT_FILEMODE_BLOB, error);
}

bool sync_picture_write(SyncPicture *picture, SyncRepo *repo, const git_oid *before_id, GPtrArray *missing, git_oid *ret_tree, GError **error)
{
	g_autoptr(git_treebuilder) builder = NULL;
	g_autoptr(git_tree) before = NULL;

	if ((before_id && git_tree_lookup(&before, repo->git, before_id) < 0) || git_treebuilder_new(&builder, repo->git, NULL) < 0)
		return sync_git_error(error, "writing a tree");
	for (guint i = 0; i < picture->views->len; i++) {
		SyncSetView *view = picture->views->pdata[i];
		const char *name = view->set->name;
		const git_tree_entry *entry = before ? git_tree_entry_byname(before, name) : NULL;

		if (view->root) {
			if (!write_folder(repo, view->root, view->set, error) || !insert(builder, name, &view->root->id, GIT_FILEMODE_TREE, error))
				return false;
			continue;
		}
		if (missing && entry)
			g_ptr_array_add(missing, g_strdup(name));
		if (entry && !insert(builder, name, git_tree_entry_id(entry), GIT_FILEMODE_TREE, error))
			return false;
	}
	if (picture->objects && !insert_attributes(builder, repo, error))
		return false;
	if (git_treebuilder_write(ret_tree, builder) < 0)
		return sync_git_error(error, "writing a tree");
	return true;
}
