/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/check.c - reads whatever the refs lead to. */
#include "syncd/repository/check.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "syncd/repository/large.h"
#include "syncd/repository/manifest.h"
#include "syncd/repository/repo.h"
#include "syncd/voice/objects.h"
#include "syncd/voice/pointer.h"

#define VOICE "refs/heads/voice"

enum { DEPTH_MAX = 64, TRIES = 5, SEEN_MIN = 1 << 10 };

/* There may be millions of objects. The first eight bytes tell one from another; none of them is 0, which is a free place. */
typedef struct {
	guint64 *places;
	gsize n_places, n; /* n_places: a power of two, at least twice n */
} Seen;

typedef struct {
	SyncRepo *repo;
	git_odb *odb;
	const char *store, *ref;
	const gint *stop;
	bool voice; /* files are pointers */
	Seen seen;
	GHashTable *again;      /* of git_oid: seen, and to be looked at once more */
	GArray *objects;        /* of git_oid: of each fault, what is not right, or the pointer to that */
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

/* Of the object @object; with @recording (NULL: none) of that, to which it is the pointer. */
static void add_fault(Walk *walk, SyncFaultKind kind, const git_oid *object, const char *recording)
{
	SyncFault *fault = g_new0(SyncFault, 1);

	*fault = (SyncFault){ .kind = kind, .recording = recording != NULL, .id = recording ? g_strdup(recording) : sync_oid_text(object),
			      .ref = g_strdup(walk->ref) };
	g_ptr_array_add(walk->check->faults, fault);
	g_array_append_val(walk->objects, *object);
}

static bool put(guint64 *places, gsize n_places, guint64 value)
{
	for (gsize at = value & (n_places - 1);; at = (at + 1) & (n_places - 1)) {
		if (places[at] == value)
			return false;
		if (places[at] == 0) {
			places[at] = value;
			return true;
		}
	}
}

static bool see(Seen *seen, const git_oid *id)
{
	guint64 value;

	if (seen->n * 2 >= seen->n_places) {
		gsize n_places = MAX((gsize)SEEN_MIN, seen->n_places * 2);
		guint64 *places = g_new0(guint64, n_places);

		for (gsize i = 0; i < seen->n_places; i++)
			if (seen->places[i])
				(void)put(places, n_places, seen->places[i]);
		g_free(seen->places);
		*seen = (Seen){ places, n_places, seen->n };
	}
	memcpy(&value, id->id, sizeof value);
	bool is_new = put(seen->places, seen->n_places, value ? value : 1);
	seen->n += is_new;
	return is_new;
}

/* Whether it was not looked at yet. */
static bool is_new(Walk *walk, const git_oid *id)
{
	if (walk->stop && g_atomic_int_get(walk->stop))
		return false;
	return g_hash_table_remove(walk->again, id) || see(&walk->seen, id);
}

/* NULL: it is told of, or large, and looked at by other means. */
static git_odb_object *read_object(Walk *walk, const git_oid *id)
{
	git_odb_object *object = NULL;
	git_object_t kind;
	size_t size;
	int rc = git_odb_read_header(&size, &kind, walk->odb, id);

	walk->check->objects++;
	if (rc == 0 && kind == GIT_OBJECT_BLOB && sync_large_is(walk->repo, id)) {
		if (!sync_large_is_whole(walk->repo, id, walk->stop))
			add_fault(walk, SYNC_FAULT_CORRUPT, id, NULL);
		walk->check->bytes += size;
		return NULL;
	}
	if (rc == 0)
		rc = git_odb_read(&object, walk->odb, id);
	if (rc < 0) {
		add_fault(walk, rc == GIT_ENOTFOUND ? SYNC_FAULT_MISSING : SYNC_FAULT_CORRUPT, id, NULL);
		return NULL;
	}
	walk->check->bytes += git_odb_object_size(object);
	return object;
}

/* One recording has one pointer, wherever it is. */
static void walk_recording(Walk *walk, const git_oid *object, const SyncPointer *pointer)
{
	if (pointer->size == 0)
		return;
	g_autofree char *path = sync_objects_path_in(walk->store, pointer->id);
	sync_autofd fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	SyncPointer found;

	walk->check->objects++;
	walk->check->bytes += pointer->size;
	if (fd < 0)
		add_fault(walk, SYNC_FAULT_MISSING, object, pointer->id);
	else if (!sync_objects_hash(fd, NULL, &found, NULL) || found.size != pointer->size || !g_str_equal(found.id, pointer->id))
		add_fault(walk, SYNC_FAULT_CORRUPT, object, pointer->id);
}

static void walk_blob(Walk *walk, const git_oid *id, bool pointer)
{
	SyncPointer found;

	if (!is_new(walk, id))
		return;
	git_odb_object *object = read_object(walk, id);
	if (object && pointer && sync_pointer_parse(git_odb_object_data(object), git_odb_object_size(object), &found, NULL))
		walk_recording(walk, id, &found);
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
		add_fault(walk, SYNC_FAULT_CORRUPT, id, NULL);
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
			add_fault(walk, SYNC_FAULT_CORRUPT, &id, NULL);
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
	for (guint i = n_before; i < walk->objects->len; i++)
		g_hash_table_add(walk->again, g_memdup2(&g_array_index(walk->objects, git_oid, i), sizeof(git_oid)));
	g_ptr_array_set_size(walk->check->faults, (gint)n_before);
	g_array_set_size(walk->objects, n_before);
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
	git_oid voice;

	*ret_check = (SyncCheck){ .faults = g_ptr_array_new_with_free_func(fault_free) };
	Walk walk = { .repo = repo, .store = store, .stop = stop, .check = ret_check };
	if (!repo || git_repository_odb(&walk.odb, repo->git) < 0 || git_reference_iterator_new(&iterator, repo->git) < 0) {
		SyncFault *fault = g_new0(SyncFault, 1);

		*fault = (SyncFault){ .kind = SYNC_FAULT_CORRUPT, .id = g_strdup("repository"), .ref = g_strdup("") };
		g_ptr_array_add(ret_check->faults, fault);
		git_odb_free(walk.odb);
		return;
	}
	walk.again = g_hash_table_new_full(hash_id, same_id, g_free, NULL);
	walk.objects = g_array_new(FALSE, FALSE, sizeof(git_oid));
	/* Before the others, which may lead to the same pointers: of those the recordings need not be there. */
	walk.ref = VOICE;
	walk.voice = true;
	if (git_reference_name_to_id(&voice, repo->git, VOICE) == 0)
		walk_ref(&walk, &voice);
	walk.voice = false;
	while (git_reference_next(&reference, iterator) == 0) {
		const git_oid *target = git_reference_target(reference);

		walk.ref = git_reference_name(reference);
		if (target)
			walk_ref(&walk, target);
		git_reference_free(reference);
	}
	git_reference_iterator_free(iterator);
	git_odb_free(walk.odb);
	g_free(walk.seen.places);
	g_hash_table_unref(walk.again);
	g_array_free(walk.objects, TRUE);
}

void sync_check_clear(SyncCheck *check)
{
	g_clear_pointer(&check->faults, g_ptr_array_unref);
}
