/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/check.c - reads whatever the refs lead to. */
#include "syncd/repository/check.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "syncd/repository/manifest.h"
#include "syncd/repository/repo.h"
#include "syncd/voice/objects.h"
#include "syncd/voice/pointer.h"

enum { DEPTH_MAX = 64, LARGE = 64 << 20, TRIES = 5 };

typedef struct {
	SyncRepo *repo;
	git_odb *odb;
	const char *store, *ref;
	const gint *stop;
	bool voice; /* files are pointers */
	GHashTable *seen;       /* of git_oid */
	GHashTable *recordings; /* ids */
	SyncCheck *check;
} Walk;

static guint hash_id(gconstpointer key)
{
	guint hash;

	memcpy(&hash, ((const git_oid *)key)->id, sizeof hash);
	return hash;
}

static gboolean same_id(gconstpointer a, gconstpointer b)
{
	return git_oid_equal(a, b);
}

static void fault_free(gpointer data)
{
	SyncFault *fault = data;

	g_free(fault->id);
	g_free(fault->ref);
	g_free(fault);
}

static void add_fault(Walk *walk, SyncFaultKind kind, bool recording, char *id)
{
	SyncFault *fault = g_new0(SyncFault, 1);

	*fault = (SyncFault){ .kind = kind, .recording = recording, .id = id, .ref = g_strdup(walk->ref) };
	g_ptr_array_add(walk->check->faults, fault);
}

/* Whether it was not looked at yet. */
static bool is_new(Walk *walk, const git_oid *id)
{
	return (!walk->stop || !g_atomic_int_get(walk->stop)) && g_hash_table_add(walk->seen, g_memdup2(id, sizeof *id));
}

/* NULL: it is told of, or too large to be read. */
static git_odb_object *read_object(Walk *walk, const git_oid *id)
{
	git_odb_object *object = NULL;
	git_object_t kind;
	size_t size;
	int rc = git_odb_read_header(&size, &kind, walk->odb, id);

	walk->check->objects++;
	if (rc == 0 && size > LARGE) {
		walk->check->bytes += size;
		return NULL;
	}
	if (rc == 0)
		rc = git_odb_read(&object, walk->odb, id);
	if (rc < 0) {
		add_fault(walk, rc == GIT_ENOTFOUND ? SYNC_FAULT_MISSING : SYNC_FAULT_CORRUPT, false, sync_oid_text(id));
		return NULL;
	}
	walk->check->bytes += git_odb_object_size(object);
	return object;
}

static void walk_recording(Walk *walk, const SyncPointer *pointer)
{
	if (pointer->size == 0 || !g_hash_table_add(walk->recordings, g_strdup(pointer->id)))
		return;
	g_autofree char *path = sync_objects_path_in(walk->store, pointer->id);
	sync_autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	SyncPointer found;

	walk->check->objects++;
	walk->check->bytes += pointer->size;
	if (fd < 0)
		add_fault(walk, SYNC_FAULT_MISSING, true, g_strdup(pointer->id));
	else if (!sync_objects_hash(fd, NULL, &found, NULL) || found.size != pointer->size || !g_str_equal(found.id, pointer->id))
		add_fault(walk, SYNC_FAULT_CORRUPT, true, g_strdup(pointer->id));
}

static void walk_blob(Walk *walk, const git_oid *id, bool pointer)
{
	SyncPointer found;

	if (!is_new(walk, id))
		return;
	git_odb_object *object = read_object(walk, id);
	if (object && pointer && sync_pointer_parse(git_odb_object_data(object), git_odb_object_size(object), &found, NULL))
		walk_recording(walk, &found);
	git_odb_object_free(object);
}

static void walk_tree(Walk *walk, const git_oid *id, guint depth)
{
	g_autoptr(git_tree) tree = NULL;

	if (depth > DEPTH_MAX || !is_new(walk, id))
		return;
	git_odb_object *object = read_object(walk, id);
	bool there = object != NULL;
	git_odb_object_free(object);
	if (!there)
		return;
	if (git_tree_lookup(&tree, walk->repo->git, id) < 0) {
		add_fault(walk, SYNC_FAULT_CORRUPT, false, sync_oid_text(id));
		return;
	}
	for (gsize i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *entry = git_tree_entry_byindex(tree, i);

		if (git_tree_entry_type(entry) == GIT_OBJECT_TREE)
			walk_tree(walk, git_tree_entry_id(entry), depth + 1);
		else if (git_tree_entry_type(entry) == GIT_OBJECT_BLOB)
			walk_blob(walk, git_tree_entry_id(entry),
				  walk->voice && depth > 0 && !g_str_equal(git_tree_entry_name(entry), SYNC_MANIFEST_NAME) &&
					  git_tree_entry_filemode(entry) != GIT_FILEMODE_LINK);
	}
}

/* With everything before it. The recordings are those of the newest: older ones go by and by. */
static void walk_commit(Walk *walk, const git_oid *from)
{
	g_autoptr(GArray) todo = g_array_new(FALSE, FALSE, sizeof(git_oid));

	g_array_append_val(todo, *from);
	for (bool first = true; todo->len > 0; first = false) {
		git_oid id = g_array_index(todo, git_oid, todo->len - 1);
		g_autoptr(git_commit) commit = NULL;

		g_array_set_size(todo, todo->len - 1);
		if (!is_new(walk, &id))
			continue;
		git_odb_object *object = read_object(walk, &id);
		bool there = object != NULL;
		git_odb_object_free(object);
		if (!there)
			continue;
		if (git_commit_lookup(&commit, walk->repo->git, &id) < 0) {
			add_fault(walk, SYNC_FAULT_CORRUPT, false, sync_oid_text(&id));
			continue;
		}
		bool voice = walk->voice;
		walk->voice = voice && first;
		walk_tree(walk, git_commit_tree_id(commit), 0);
		walk->voice = voice;
		for (guint i = 0; i < git_commit_parentcount(commit); i++)
			g_array_append_val(todo, *git_commit_parent_id(commit, i));
	}
}

/* What is missing of a state that has gone meanwhile is no fault. True: there is another one to look at. */
static bool has_moved(Walk *walk, guint n_before, git_oid *at)
{
	git_oid now;

	if (walk->check->faults->len == n_before || git_reference_name_to_id(&now, walk->repo->git, walk->ref) < 0 || git_oid_equal(&now, at))
		return false;
	for (guint i = n_before; i < walk->check->faults->len; i++) {
		const SyncFault *fault = walk->check->faults->pdata[i];
		git_oid id;

		if (fault->recording)
			g_hash_table_remove(walk->recordings, fault->id);
		else if (git_oid_fromstr(&id, fault->id) == 0)
			g_hash_table_remove(walk->seen, &id);
	}
	g_ptr_array_set_size(walk->check->faults, (gint)n_before);
	*at = now;
	return true;
}

static void walk_ref(Walk *walk, const git_oid *target)
{
	git_oid at = *target;
	guint n_before = walk->check->faults->len, tries = 0;

	do
		walk_commit(walk, &at);
	while (tries++ < TRIES && has_moved(walk, n_before, &at));
}

void sync_check(const char *repository, const char *store, const gint *stop, SyncCheck *ret_check)
{
	g_autoptr(SyncRepo) repo = sync_repo_open(repository, NULL);
	git_reference_iterator *iterator = NULL;
	git_reference *reference;

	*ret_check = (SyncCheck){ .faults = g_ptr_array_new_with_free_func(fault_free) };
	Walk walk = { .repo = repo, .store = store, .stop = stop, .ref = "", .check = ret_check };
	if (!repo || git_repository_odb(&walk.odb, repo->git) < 0 || git_reference_iterator_new(&iterator, repo->git) < 0) {
		add_fault(&walk, SYNC_FAULT_CORRUPT, false, g_strdup("repository"));
		git_odb_free(walk.odb);
		return;
	}
	walk.seen = g_hash_table_new_full(hash_id, same_id, g_free, NULL);
	walk.recordings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	while (git_reference_next(&reference, iterator) == 0) {
		const git_oid *target = git_reference_target(reference);

		walk.ref = git_reference_name(reference);
		walk.voice = g_str_equal(walk.ref, "refs/heads/voice");
		if (target)
			walk_ref(&walk, target);
		git_reference_free(reference);
	}
	git_reference_iterator_free(iterator);
	git_odb_free(walk.odb);
	g_hash_table_unref(walk.seen);
	g_hash_table_unref(walk.recordings);
}

void sync_check_clear(SyncCheck *check)
{
	g_clear_pointer(&check->faults, g_ptr_array_unref);
}
