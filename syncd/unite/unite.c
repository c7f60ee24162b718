/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/unite/unite.c - the thread that fetches a line, writes it as files and has the application take what is missing. */
#include "syncd/unite/unite.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "syncd/engine-private.h"
#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "syncd/unite/apart.h"
#include "syncd/voice/lfs-fetch.h"
#include "syncd/voice/wants.h"

#define SPACE "uniting"

enum { AGAIN_S = 10 };

typedef enum { STATE_FAILED, STATE_DONE } State;

struct SyncUniting {
	SyncEngine *engine;
	GHashTable *states; /* "<ref>/<commit>" -> State */
	char **apart;       /* what the peer said last */
	Settings *settings;
	SyncPull where;     /* copies */
	GThread *thread;    /* NULL: nothing is under way */
	GCancellable *cancellable;
	guint again;        /* timer: after what may pass by itself */
};

/* One line, the thread's. */
typedef struct {
	SyncUniting *uniting;
	SyncEngine *engine;
	char *name; /* "<ref>/<commit>" */
	SyncLine *line; /* of that ref: only to tell of, and what never changes in it */
	git_oid commit;
	Settings *settings;
	GPtrArray *sets;
	char **hosts;
	guint port;
	SyncKey *key;
	char *pin;
	GCancellable *cancellable;
	SyncRepo *repo;
	GError *error;
} Task;

/* Recordings and records. Of two texts that people wrote nobody can make one: that line stays aside, for people to look at. */
static bool takes(const SyncSet *set)
{
	return set->ref != SYNC_REF_CONFIG || set->database;
}

bool sync_unite_concerns(const SettingsApplication *application, GPtrArray *sets, SyncRef ref)
{
	const char *name;

	if (!application->hooks[SETTINGS_HOOK_UNITE].command)
		return false;
	for (guint i = 0; i < sets->len; i++) {
		const SyncSet *set = sets->pdata[i];

		if (set->ref == ref && takes(set) && sync_staged_is_of(set, application->name, &name))
			return true;
	}
	return false;
}

/* ---- what is written ---- */

static GPtrArray *entries_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)sync_entry_free);
}

/* A recording is several files that differ in the end of their names: they come together, also when only one of them is another than before. */
static char *stem_of(const char *path)
{
	const char *last = sync_path_last(path), *dot = strrchr(last, '.');

	return dot && dot > last ? g_strndup(path, (gsize)(dot - path)) : g_strdup(path);
}

static void add_stems(GHashTable *stems, GPtrArray *entries)
{
	for (guint i = 0; i < entries->len; i++) {
		const SyncEntry *entry = entries->pdata[i];

		if (entry->meta->kind != SYNC_KIND_FOLDER)
			g_hash_table_add(stems, stem_of(entry->path));
	}
}

/* All files of @tree (NULL: none) in @set whose stem is in @stems. NULL and @error. */
static GPtrArray *pick(Task *task, const SyncSet *set, const git_oid *tree, GHashTable *stems, GError **error)
{
	g_autoptr(GPtrArray) none = entries_new();
	g_autoptr(GPtrArray) all = entries_new();

	if (tree && !sync_repo_compare(task->repo, NULL, tree, set->name, none, all, error))
		return NULL;
	sync_follow_drop_excluded(set, all);
	for (guint i = all->len; i-- > 0;) {
		const SyncEntry *entry = all->pdata[i];
		g_autofree char *stem = stem_of(entry->path);

		if (entry->meta->kind == SYNC_KIND_FOLDER || !g_hash_table_contains(stems, stem))
			g_ptr_array_remove_index(all, i);
	}
	return g_steal_pointer(&all);
}

/* The recordings of @entries that are not here yet. */
static bool fetch_objects(Task *task, GPtrArray *entries, GError **error)
{
	g_autoptr(SyncWants) wants = sync_wants_new();
	g_autoptr(GError) problem = NULL;

	for (guint i = 0; i < entries->len; i++) {
		const SyncEntry *entry = entries->pdata[i];
		SyncPointer pointer;

		if (entry->meta->kind != SYNC_KIND_FILE)
			continue;
		if (!sync_staged_pointer(task->repo, entry, &pointer, error))
			return false;
		if (!sync_objects_has(task->engine->objects, &pointer) &&
		    !sync_wants_add(wants, &pointer, entry->meta->mtime_ns, entry->path, error))
			return false;
	}
	if (sync_wants_n(wants) == 0)
		return true;
	for (guint i = 0; task->hosts[i]; i++) {
		SyncFetchSource source = { .host = task->hosts[i], .port = task->port, .key = task->key, .pin = task->pin };

		g_clear_error(&problem);
		if (sync_lfs_fetch(task->engine->objects, &source, wants, NULL, NULL, NULL, task->cancellable, &problem))
			return sync_objects_settle(task->engine->objects, error);
		if (g_cancellable_is_cancelled(task->cancellable))
			break;
	}
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	else
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "no address of the peer is known");
	return false;
}

static bool write_side(Task *task, GPtrArray *entries, const char *folder, const char *side, const char *set, SyncObjects *objects, GError **error)
{
	g_autofree char *path = g_build_filename(folder, side, set, NULL);

	if (g_mkdir_with_parents(path, 0755) < 0) {
		sync_error_from_errno(error, errno, "%s", path);
		return false;
	}
	sync_autofd root_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root_fd < 0) {
		sync_error_from_errno(error, errno, "%s", path);
		return false;
	}
	for (guint i = 0; i < entries->len; i++)
		if (g_cancellable_set_error_if_cancelled(task->cancellable, error) ||
		    !sync_staged_put(task->repo, objects, entries->pdata[i], root_fd, task->cancellable, error))
			return false;
	return true;
}

/* *ret_any: there is something. */
static bool write_set(Task *task, const SyncSet *set, const char *name, const char *folder, const git_oid *base, const git_oid *tree, bool *ret_any,
		      GError **error)
{
	g_autoptr(GPtrArray) old = entries_new();
	g_autoptr(GPtrArray) new_ = entries_new();
	g_autoptr(GHashTable) stems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	if (!sync_repo_compare(task->repo, base, tree, set->name, old, new_, error))
		return false;
	add_stems(stems, new_);
	if (g_hash_table_size(stems) == 0)
		return true;
	/* What they moved is in what was there before under another name. */
	add_stems(stems, old);
	g_autoptr(GPtrArray) theirs = pick(task, set, tree, stems, error);
	g_autoptr(GPtrArray) before = theirs ? pick(task, set, base, stems, error) : NULL;
	if (!before)
		return false;
	*ret_any = *ret_any || theirs->len > 0;
	if (set->ref != SYNC_REF_VOICE)
		return write_side(task, theirs, folder, "theirs", name, NULL, error) && write_side(task, before, folder, "base", name, NULL, error);
	/* Of what was there before the recordings may be gone; which they were is what matters, and the pointers say that. */
	return fetch_objects(task, theirs, error) && write_side(task, theirs, folder, "theirs", name, task->engine->objects, error) &&
	       write_side(task, before, folder, "base", name, NULL, error);
}

static char *folder_of(const Task *task, const char *application)
{
	return g_build_filename(task->engine->folder, "uniting", application, NULL);
}

static bool write_application(Task *task, const SettingsApplication *application, const git_oid *base, const git_oid *tree, bool *ret_any, GError **error)
{
	g_autofree char *folder = folder_of(task, application->name);
	bool ok = true;

	sync_file_remove_tree(AT_FDCWD, folder);
	*ret_any = false;
	/* Whoever looks through the store for what is not referred to any more must not find these. */
	g_mutex_lock(&task->engine->sweeping);
	for (guint i = 0; ok && i < task->sets->len; i++) {
		const SyncSet *set = task->sets->pdata[i];
		const char *name;

		if (set->ref == task->line->ref && takes(set) && sync_staged_is_of(set, application->name, &name))
			ok = write_set(task, set, name, folder, base, tree, ret_any, error);
	}
	g_mutex_unlock(&task->engine->sweeping);
	return ok;
}

/* ---- one line ---- */

static bool fetch(Task *task, GError **error)
{
	g_autoptr(GError) problem = NULL;

	for (guint i = 0; task->hosts[i]; i++) {
		SyncFetchSource source = { .host = task->hosts[i], .port = task->port, .key = task->key, .pin = task->pin };

		g_clear_error(&problem);
		if (sync_fetch(task->repo, &source, SPACE, task->line->name, &task->commit, task->cancellable, &problem))
			return true;
		if (g_cancellable_is_cancelled(task->cancellable))
			break;
	}
	if (problem)
		g_propagate_error(error, g_steal_pointer(&problem));
	else
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "no address of the peer is known");
	return false;
}

static bool ask(Task *task, const SettingsApplication *application, GError **error)
{
	g_autofree char *hex = sync_oid_text(&task->commit), *text = NULL;
	g_auto(SyncTerm) term = { 0 };
	SyncHookWish wish = {
		.kind = SETTINGS_HOOK_UNITE,
		.application = application->name,
		.commit = hex,
		.role = sync_role_text(SYNC_ROLE_LEAD),
		.timeout_ms = application->hooks[SETTINGS_HOOK_UNITE].timeout_ms,
	};

	if (!sync_hooks_run(task->engine->hooks, &wish, task->cancellable, &text, error) || !sync_repo_term_of(task->repo, &task->commit, &term, error))
		return false;
	g_autofree char *shown = sync_printable(text), *device = sync_printable(term.device);
	sync_line_notice(task->line, "line united", 1, "What %s had in %s while the two were apart has come into the files here (commit %.10s, application %s): %s",
			 device, task->line->name, hex, application->name, shown);
	return true;
}

static bool unite(Task *task, GError **error)
{
	git_oid head, fork, base, tree;
	bool has_base;

	task->repo = sync_repo_open(task->engine->repository, error);
	if (!task->repo || !fetch(task, error) || !sync_repo_tree_of(task->repo, &task->commit, &tree, error))
		return false;
	has_base = task->line->ref != SYNC_REF_VOLATILE && sync_repo_get_ref(task->repo, "heads", task->line->name, &head) &&
		   sync_apart_fork(task->repo, &head, &task->commit, &fork);
	if (has_base && !sync_repo_tree_of(task->repo, &fork, &base, error))
		return false;
	for (guint i = 0; i < task->settings->applications->len; i++) {
		const SettingsApplication *application = task->settings->applications->pdata[i];
		g_autofree char *folder = folder_of(task, application->name);
		bool any;

		if (!sync_unite_concerns(application, task->sets, task->line->ref))
			continue;
		bool ok = write_application(task, application, has_base ? &base : NULL, &tree, &any, error) && (!any || ask(task, application, error));
		sync_file_remove_tree(AT_FDCWD, folder);
		if (!ok)
			return false;
	}
	return true;
}

static void task_free(Task *task)
{
	g_free(task->name);
	settings_unref(task->settings);
	g_ptr_array_unref(task->sets);
	g_strfreev(task->hosts);
	sync_key_unref(task->key);
	g_free(task->pin);
	g_object_unref(task->cancellable);
	g_clear_error(&task->error);
	g_free(task);
}

static void begin_next(SyncUniting *uniting);

static gboolean on_again(gpointer data)
{
	SyncUniting *uniting = data;

	uniting->again = 0;
	begin_next(uniting);
	return G_SOURCE_REMOVE;
}

static gboolean ended(gpointer data)
{
	Task *task = data;
	SyncUniting *uniting = task->uniting;
	bool cancelled = g_cancellable_is_cancelled(task->cancellable);

	g_thread_join(g_steal_pointer(&uniting->thread));
	if (!task->error) {
		g_hash_table_insert(uniting->states, g_strdup(task->name), GINT_TO_POINTER(STATE_DONE));
		uniting->engine->events->united(uniting->engine->user_data);
	} else if (!cancelled && g_error_matches(task->error, SYNC_ERROR, SYNC_ERROR_REFUSED)) {
		g_hash_table_insert(uniting->states, g_strdup(task->name), GINT_TO_POINTER(STATE_FAILED));
		sync_line_notice(task->line, "line not united", 2,
				 "What the other device had in %s while the two were apart (commit %.10s) has not come into the files here; it stays kept there, and is "
				 "tried again after understudy settings reload: %s", task->line->name, strchr(task->name, '/') + 1, task->error->message);
	} else if (!cancelled) {
		g_message("uniting %s: %s", task->name, task->error->message);
		if (!uniting->again)
			uniting->again = g_timeout_add_seconds(AGAIN_S, on_again, uniting);
		task_free(task);
		return G_SOURCE_REMOVE;
	}
	task_free(task);
	begin_next(uniting);
	return G_SOURCE_REMOVE;
}

static gpointer run(gpointer data)
{
	Task *task = data;

	(void)unite(task, &task->error);
	if (task->repo)
		sync_repo_drop_ref(task->repo, SPACE, task->line->name);
	g_clear_pointer(&task->repo, sync_repo_free);
	sync_engine_post(NULL, G_PRIORITY_DEFAULT, ended, task);
	return NULL;
}

/* ---- which ---- */

static void begin(SyncUniting *uniting, const char *name, SyncRef ref, const git_oid *commit)
{
	Task *task = g_new0(Task, 1);

	task->uniting = uniting;
	task->engine = uniting->engine;
	task->name = g_strdup(name);
	task->line = &uniting->engine->lines[ref];
	task->commit = *commit;
	task->settings = settings_ref(uniting->settings);
	task->sets = sync_sets_new(uniting->settings);
	task->hosts = g_strdupv((char **)uniting->where.hosts);
	task->port = uniting->where.port;
	task->key = sync_key_ref(uniting->where.key);
	task->pin = g_strdup(uniting->where.pin);
	g_set_object(&uniting->cancellable, NULL);
	uniting->cancellable = g_cancellable_new();
	task->cancellable = g_object_ref(uniting->cancellable);
	uniting->thread = g_thread_new("unite", run, task);
}

static void begin_next(SyncUniting *uniting)
{
	for (guint i = 0; !uniting->thread && !uniting->again && uniting->apart && uniting->apart[i]; i++) {
		git_oid commit;
		SyncRef ref;

		if (!g_hash_table_contains(uniting->states, uniting->apart[i]) && sync_apart_parse(uniting->apart[i], &ref, &commit) &&
		    sync_apart_wanted(uniting->settings, ref))
			begin(uniting, uniting->apart[i], ref, &commit);
	}
}

static void forget_where(SyncUniting *uniting)
{
	g_clear_pointer(&uniting->apart, g_strfreev);
	g_clear_pointer(&uniting->settings, settings_unref);
	g_strfreev((char **)uniting->where.hosts);
	sync_key_unref((SyncKey *)uniting->where.key);
	g_free((char *)uniting->where.pin);
	uniting->where = (SyncPull){ 0 };
}

SyncUniting *sync_uniting_new(SyncEngine *engine)
{
	SyncUniting *uniting = g_new0(SyncUniting, 1);

	uniting->engine = engine;
	uniting->states = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	/* What a process before this one left. */
	g_autofree char *folder = g_build_filename(engine->folder, "uniting", NULL);
	sync_file_remove_tree(AT_FDCWD, folder);
	return uniting;
}

void sync_uniting_free(SyncUniting *uniting)
{
	if (!uniting)
		return;
	if (uniting->cancellable)
		g_cancellable_cancel(uniting->cancellable);
	if (uniting->thread)
		g_thread_join(uniting->thread);
	g_clear_handle_id(&uniting->again, g_source_remove);
	g_clear_object(&uniting->cancellable);
	forget_where(uniting);
	g_hash_table_unref(uniting->states);
	g_free(uniting);
}

static gboolean is_gone(gpointer name, gpointer state, gpointer apart)
{
	return !g_strv_contains(apart, name);
}

void sync_engine_unite(SyncEngine *engine, const Settings *settings, const SyncPull *where, const char *const *apart)
{
	SyncUniting *uniting = engine->uniting;

	forget_where(uniting);
	uniting->apart = g_strdupv((char **)apart);
	uniting->settings = settings_ref((Settings *)settings);
	uniting->where = (SyncPull){
		.hosts = (const char *const *)g_strdupv((char **)where->hosts),
		.port = where->port,
		.key = sync_key_ref(where->key),
		.pin = g_strdup(where->pin),
	};
	g_hash_table_foreach_remove(uniting->states, is_gone, (gpointer)apart);
	begin_next(uniting);
}

char **sync_engine_united(SyncEngine *engine)
{
	g_autoptr(GStrvBuilder) list = g_strv_builder_new();
	GHashTableIter iter;
	const char *name;
	gpointer state;

	g_hash_table_iter_init(&iter, engine->uniting->states);
	while (g_hash_table_iter_next(&iter, (gpointer *)&name, &state))
		if (GPOINTER_TO_INT(state) == STATE_DONE)
			g_strv_builder_add(list, strchr(name, '/') + 1);
	return g_strv_builder_end(list);
}

static gboolean has_failed(gpointer name, gpointer state, gpointer unused)
{
	return GPOINTER_TO_INT(state) == STATE_FAILED;
}

void sync_engine_unite_again(SyncEngine *engine)
{
	SyncUniting *uniting = engine->uniting;

	g_hash_table_foreach_remove(uniting->states, has_failed, NULL);
	g_clear_handle_id(&uniting->again, g_source_remove);
	begin_next(uniting);
}

void sync_engine_unite_stop(SyncEngine *engine)
{
	SyncUniting *uniting = engine->uniting;

	g_clear_handle_id(&uniting->again, g_source_remove);
	forget_where(uniting);
	if (uniting->thread)
		g_cancellable_cancel(uniting->cancellable);
}
