/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/change.c - the objects of a commit that the one before it has not, into a message and out of it. */
#include "syncd/repository/change.h"

#include <string.h>

#include "syncd/error.h"

enum { DEPTH_MAX = 64 };

/* Called for each object; false and @error ends it. */
typedef struct {
	SyncRepo *repo;
	git_odb *odb;
	bool (*visit)(const git_oid *id, gpointer user_data, GError **error);
	gpointer user_data;
} Walk;

static bool walk_tree(const Walk *walk, const git_oid *old_id, const git_oid *new_id, guint depth, GError **error)
{
	g_autoptr(git_tree) old = NULL;
	g_autoptr(git_tree) new_ = NULL;

	if (depth > DEPTH_MAX) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "a tree is too deep");
		return false;
	}
	if (!walk->visit(new_id, walk->user_data, error))
		return false;
	if (git_tree_lookup(&new_, walk->repo->git, new_id) < 0 || (old_id && git_tree_lookup(&old, walk->repo->git, old_id) < 0))
		return sync_git_error(error, "reading a folder");
	for (gsize i = 0; i < git_tree_entrycount(new_); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(new_, i);
		const git_tree_entry *before = old ? git_tree_entry_byname(old, git_tree_entry_name(entry)) : NULL;
		const git_oid *id = git_tree_entry_id(entry);

		if (before && git_oid_equal(git_tree_entry_id(before), id))
			continue;
		if (git_tree_entry_type(entry) == GIT_OBJECT_TREE) {
			const git_oid *inner = before && git_tree_entry_type(before) == GIT_OBJECT_TREE ? git_tree_entry_id(before) : NULL;

			if (!walk_tree(walk, inner, id, depth + 1, error))
				return false;
		} else if (!walk->visit(id, walk->user_data, error)) {
			return false;
		}
	}
	return true;
}

static bool walk_commit(const Walk *walk, const git_oid *before, const git_oid *commit, GError **error)
{
	git_oid old_tree, new_tree;

	return walk->visit(commit, walk->user_data, error) && sync_repo_tree_of(walk->repo, before, &old_tree, error) &&
	       sync_repo_tree_of(walk->repo, commit, &new_tree, error) && walk_tree(walk, &old_tree, &new_tree, 0, error);
}

/* ---- giving ---- */

typedef struct {
	git_odb *odb;
	GVariantBuilder objects;
	gsize left;
} Gift;

static bool add(const git_oid *id, gpointer user_data, GError **error)
{
	Gift *gift = user_data;
	git_odb_object *object = NULL;
	git_object_t kind;
	size_t size;

	if (git_odb_read_header(&size, &kind, gift->odb, id) < 0)
		return sync_git_error(error, "reading an object");
	if (size > gift->left) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "too large");
		return false;
	}
	if (git_odb_read(&object, gift->odb, id) < 0)
		return sync_git_error(error, "reading an object");
	gift->left -= size;
	g_variant_builder_add(&gift->objects, "(y@ay)", (guchar)kind,
			      g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, git_odb_object_data(object), git_odb_object_size(object), 1));
	git_odb_object_free(object);
	return true;
}

GVariant *sync_change_new(SyncRepo *repo, const git_oid *before, const git_oid *commit, gsize most)
{
	g_autoptr(git_odb) odb = NULL;
	g_autofree char *from = sync_oid_text(before), *to = sync_oid_text(commit);
	Gift gift = { .left = most };

	if (git_repository_odb(&odb, repo->git) < 0)
		return NULL;
	gift.odb = odb;
	g_variant_builder_init(&gift.objects, G_VARIANT_TYPE("a(yay)"));
	Walk walk = { repo, odb, add, &gift };
	if (walk_commit(&walk, before, commit, NULL))
		return g_variant_ref_sink(g_variant_new("(ss@a(yay))", from, to, g_variant_builder_end(&gift.objects)));
	g_variant_builder_clear(&gift.objects);
	return NULL;
}

static bool is_fresh(const git_oid *id, gpointer user_data, GError **error)
{
	if (sync_fresh_has(user_data, id))
		return true;
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "it was there before");
	return false;
}

bool sync_change_is_fresh(SyncRepo *repo, const git_oid *before, const git_oid *commit)
{
	Walk walk = { .repo = repo, .visit = is_fresh, .user_data = repo->fresh };

	return walk_commit(&walk, before, commit, NULL);
}

GVariant *sync_change_of_pack(const git_oid *before, const git_oid *commit, const char *pack)
{
	g_autofree char *from = sync_oid_text(before), *to = sync_oid_text(commit);

	return g_variant_ref_sink(g_variant_new(SYNC_CHANGE_PACK_TYPE, from, to, pack));
}

/* ---- taking ---- */

static bool read_id(const char *text, git_oid *ret_id)
{
	return strlen(text) == GIT_OID_HEXSZ && git_oid_fromstr(ret_id, text) == 0;
}

bool sync_change_read(GVariant *change, git_oid *ret_before, git_oid *ret_commit)
{
	g_autoptr(GVariant) before = NULL;
	g_autoptr(GVariant) commit = NULL;

	if (!g_variant_is_of_type(change, G_VARIANT_TYPE(SYNC_CHANGE_TYPE)) && !g_variant_is_of_type(change, G_VARIANT_TYPE(SYNC_CHANGE_PACK_TYPE)))
		return false;
	before = g_variant_get_child_value(change, 0);
	commit = g_variant_get_child_value(change, 1);
	return read_id(g_variant_get_string(before, NULL), ret_before) && read_id(g_variant_get_string(commit, NULL), ret_commit);
}

const char *sync_change_pack(GVariant *change)
{
	const char *pack = NULL;

	if (g_variant_is_of_type(change, G_VARIANT_TYPE(SYNC_CHANGE_PACK_TYPE)))
		g_variant_get(change, "(&s&s&s)", NULL, NULL, &pack);
	return pack;
}

static bool is_here(const git_oid *id, gpointer user_data, GError **error)
{
	if (git_odb_exists(user_data, id))
		return true;
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the change lacks an object");
	return false;
}

/* What refers to others comes after them: git takes a commit that is here for one that is here whole, and would not fetch the rest. */
static bool store_objects(git_odb *odb, GVariant *objects, GError **error)
{
	git_oid id;

	for (git_object_t now = GIT_OBJECT_BLOB; now >= GIT_OBJECT_COMMIT; now--) {
		for (gsize i = 0; i < g_variant_n_children(objects); i++) {
			g_autoptr(GVariant) content = NULL;
			guchar kind;
			gsize size;

			g_variant_get_child(objects, i, "(y@ay)", &kind, &content);
			const void *data = g_variant_get_fixed_array(content, &size, 1);
			if (kind != GIT_OBJECT_COMMIT && kind != GIT_OBJECT_TREE && kind != GIT_OBJECT_BLOB) {
				g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "an object of no kind");
				return false;
			}
			if ((git_object_t)kind == now && git_odb_write(&id, odb, size ? data : "", size, kind) < 0)
				return sync_git_error(error, "storing a change");
		}
	}
	return true;
}

bool sync_change_take(SyncRepo *repo, GVariant *change, GError **error)
{
	g_autoptr(git_odb) odb = NULL;
	git_oid before, commit;

	if (!sync_change_read(change, &before, &commit)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "not a change");
		return false;
	}
	if (git_repository_odb(&odb, repo->git) < 0)
		return sync_git_error(error, "storing a change");
	if (!sync_change_pack(change)) {
		g_autoptr(GVariant) objects = g_variant_get_child_value(change, 2);

		if (!store_objects(odb, objects, error))
			return false;
	}
	Walk walk = { repo, odb, is_here, odb };
	return walk_commit(&walk, &before, &commit, error);
}
