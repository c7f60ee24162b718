/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/fresh.c - a place for objects in front of libgit2's own, and the pack that comes of it. */
#include "syncd/repository/fresh.h"

#include <git2/sys/odb_backend.h>
#include <string.h>

#include "syncd/repository/pack.h"
#include "syncd/repository/repo.h"

enum {
	PRIORITY = 10,      /* before files and packs */
	OBJECT_MAX = 256 * 1024, /* larger ones are worth a file each */
	HELD_MAX = 2 << 20, /* bytes in memory, */
	TRIES = 5,
	HELD_EACH = 200,    /* so many for an object beside its content */
	FEW = 32,           /* so many are worth a file each, too: there may be but so many packs */
};

typedef struct {
	git_object_t kind;
	GBytes *content;
} Object;

struct SyncFresh {
	GHashTable *objects; /* git_oid* -> Object* */
	git_odb_backend *files;
	gsize bytes;
	bool holds;
	char *pack; /* the last; NULL: none since the last begin, or since then files */
};

typedef struct {
	git_odb_backend parent;
	SyncFresh *fresh;
} Front;

static guint oid_hash(gconstpointer key)
{
	guint hash;

	memcpy(&hash, ((const git_oid *)key)->id, sizeof hash);
	return hash;
}

static gboolean oid_equal(gconstpointer a, gconstpointer b)
{
	return git_oid_equal(a, b);
}

static void object_free(gpointer data)
{
	Object *object = data;

	g_bytes_unref(object->content);
	g_free(object);
}

SyncFresh *sync_fresh_new(void)
{
	SyncFresh *fresh = g_new0(SyncFresh, 1);

	fresh->objects = g_hash_table_new_full(oid_hash, oid_equal, g_free, object_free);
	return fresh;
}

void sync_fresh_free(SyncFresh *fresh)
{
	if (!fresh)
		return;
	g_hash_table_unref(fresh->objects);
	if (fresh->files)
		fresh->files->free(fresh->files);
	g_free(fresh->pack);
	g_free(fresh);
}

/* ---- the pack ---- */

static bool write_pack(SyncFresh *fresh, git_odb *odb, const char *git, GError **error)
{
	g_autofree char *folder = g_build_filename(git, "objects/pack", NULL);
	g_autoptr(SyncPack) pack = sync_pack_new(folder, g_hash_table_size(fresh->objects), error);
	GHashTableIter iter;
	const git_oid *id;
	const Object *object;

	g_hash_table_iter_init(&iter, fresh->objects);
	while (pack && g_hash_table_iter_next(&iter, (gpointer *)&id, (gpointer *)&object)) {
		gsize length;
		const void *data = g_bytes_get_data(object->content, &length);

		if (!sync_pack_add(pack, object->kind, id, data, length, error))
			return false;
	}
	fresh->pack = pack ? sync_pack_end(pack, error) : NULL;
	/* What is in it is not looked for in vain, and stored again. */
	return fresh->pack && (git_odb_refresh(odb) == 0 || sync_git_error(error, "opening a pack"));
}

/* Between the making of its folder and the rename into it git may remove that, as an empty one: who tidies does not wait for who only reads. */
static int write_file(SyncFresh *fresh, const git_oid *id, const void *data, gsize length, git_object_t kind)
{
	int rc = -1;

	for (guint tries = 0; tries < TRIES && rc < 0; tries++)
		rc = fresh->files->write(fresh->files, id, data, length, kind);
	return rc;
}

static bool write_files(SyncFresh *fresh, GError **error)
{
	GHashTableIter iter;
	const git_oid *id;
	const Object *object;

	g_hash_table_iter_init(&iter, fresh->objects);
	while (g_hash_table_iter_next(&iter, (gpointer *)&id, (gpointer *)&object)) {
		gsize length;
		const void *data = g_bytes_get_data(object->content, &length);

		if (write_file(fresh, id, data ? data : "", length, object->kind) < 0)
			return sync_git_error(error, "storing an object");
	}
	return true;
}

static bool flush(SyncFresh *fresh, git_repository *git, GError **error)
{
	g_autoptr(git_odb) odb = NULL;

	if (g_hash_table_size(fresh->objects) == 0)
		return true;
	if (git_repository_odb(&odb, git) < 0)
		return sync_git_error(error, "storing objects");
	g_clear_pointer(&fresh->pack, g_free);
	if (!(g_hash_table_size(fresh->objects) > FEW ? write_pack(fresh, odb, git_repository_path(git), error) : write_files(fresh, error)))
		return false;
	g_hash_table_remove_all(fresh->objects);
	fresh->bytes = 0;
	return true;
}

/* False: it is to be written at once. @git is NULL when libgit2 asks for it: it holds its lock then, and a pack cannot be written; the next that comes from us
 * makes room. */
static bool hold(SyncFresh *fresh, git_repository *git, const git_oid *id, const void *data, gsize length, git_object_t kind)
{
	if (!fresh->holds || length > OBJECT_MAX)
		return false;
	if (g_hash_table_contains(fresh->objects, id))
		return true;
	if (git && fresh->bytes + length + HELD_EACH > HELD_MAX && !flush(fresh, git, NULL))
		return false;
	Object *object = g_new(Object, 1);
	*object = (Object){ kind, g_bytes_new(data, length) };
	g_hash_table_insert(fresh->objects, g_memdup2(id, sizeof *id), object);
	fresh->bytes += length + HELD_EACH;
	return true;
}

/* ---- in front of the others ---- */

static const Object *find(git_odb_backend *backend, const git_oid *id)
{
	return g_hash_table_lookup(((Front *)backend)->fresh->objects, id);
}

static int front_exists(git_odb_backend *backend, const git_oid *id)
{
	return find(backend, id) != NULL;
}

static int front_read_header(size_t *ret_size, git_object_t *ret_kind, git_odb_backend *backend, const git_oid *id)
{
	const Object *object = find(backend, id);

	if (!object)
		return GIT_ENOTFOUND;
	*ret_size = g_bytes_get_size(object->content);
	*ret_kind = object->kind;
	return 0;
}

static int front_read(void **ret_data, size_t *ret_size, git_object_t *ret_kind, git_odb_backend *backend, const git_oid *id)
{
	const Object *object = find(backend, id);
	gsize length;

	if (!object)
		return GIT_ENOTFOUND;
	const void *data = g_bytes_get_data(object->content, &length);
	/* Text that is read out of it ends with a zero, as of libgit2's own. */
	char *copy = git_odb_backend_data_alloc(backend, length + 1);
	if (!copy)
		return GIT_ERROR;
	if (length)
		memcpy(copy, data, length);
	copy[length] = '\0';
	*ret_data = copy;
	*ret_size = length;
	*ret_kind = object->kind;
	return 0;
}

static int front_write(git_odb_backend *backend, const git_oid *id, const void *data, size_t length, git_object_t kind)
{
	Front *front = (Front *)backend;

	return hold(front->fresh, NULL, id, data, length, kind) ? 0 : write_file(front->fresh, id, data, length, kind);
}

static int front_write_stream(git_odb_stream **unused, git_odb_backend *backend, git_object_size_t size, git_object_t kind)
{
	return GIT_ERROR;
}

static void front_free(git_odb_backend *backend)
{
	g_free(backend);
}

bool sync_fresh_attach(SyncFresh *fresh, git_repository *git, GError **error)
{
	g_autoptr(git_odb) odb = NULL;
	g_autofree char *folder = g_build_filename(git_repository_path(git), "objects", NULL);

	if (!fresh->files && git_odb_backend_loose(&fresh->files, folder, -1, true, 0, 0) < 0)
		return sync_git_error(error, "opening the repository");
	Front *front = g_new0(Front, 1);
	git_odb_init_backend(&front->parent, GIT_ODB_BACKEND_VERSION);
	front->parent.read = front_read;
	front->parent.read_header = front_read_header;
	front->parent.exists = front_exists;
	front->parent.write = front_write;
	front->parent.writestream = front_write_stream;
	front->parent.free = front_free;
	front->fresh = fresh;
	if (git_repository_odb(&odb, git) == 0 && git_odb_add_backend(odb, &front->parent, PRIORITY) == 0)
		return true;
	g_free(front);
	return sync_git_error(error, "opening the repository");
}

/* ---- from beginning to end ---- */

void sync_fresh_begin(SyncFresh *fresh)
{
	fresh->holds = true;
	g_clear_pointer(&fresh->pack, g_free);
}

bool sync_fresh_has(const SyncFresh *fresh, const git_oid *id)
{
	return g_hash_table_contains(fresh->objects, id);
}

const char *sync_fresh_pack(const SyncFresh *fresh)
{
	return fresh->pack;
}

bool sync_fresh_end(SyncFresh *fresh, git_repository *git, GError **error)
{
	fresh->holds = false;
	return flush(fresh, git, error);
}

bool sync_fresh_store(SyncFresh *fresh, git_repository *git, const void *data, gsize length, git_object_t kind, git_oid *ret_id, GError **error)
{
	g_autoptr(git_odb) odb = NULL;

	if (git_repository_odb(&odb, git) < 0)
		return sync_git_error(error, "storing an object");
	/* A new one is not looked for again and again in packs that somebody may have made meanwhile. What is there already is not compressed again, but
	 * touched: who removes what nobody needs sees that somebody does. */
	if (fresh->holds && git_odb_hash(ret_id, data, length, kind) == 0 && !git_odb_exists_ext(odb, ret_id, GIT_ODB_LOOKUP_NO_REFRESH) &&
	    hold(fresh, git, ret_id, data, length, kind))
		return true;
	return git_odb_write(ret_id, odb, data, length, kind) == 0 || sync_git_error(error, "storing an object");
}
