/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/lead.c - the leader: watches its files and commits what changes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "syncd/files/disk.h"
#include "engine-private.h"
#include "error.h"
#include "syncd/files/file.h"
#include "syncd/files/owner.h"
#include "syncd/files/path.h"
#include "syncd/repository/change.h"
#include "syncd/unite/apart.h"

enum {
	QUIET_MS = 5,       /* a change is often several events */
	LONGEST_MS = 100,   /* but is not put off for ever */
	MANY = 64,          /* so many are a copy or an upgrade, of which more comes: */
	MANY_QUIET_MS = 20, /* to commit it in small parts would take longer than the whole */
	MANY_LONGEST_MS = 250,
	WRITING_MS = 2000,  /* a file that stays open is committed this long after its last write, */
	WRITING_LONGEST_MS = 10000,
	DATABASE_MS = 500,  /* a database at most this often; */
	DATABASE_KEPT_MS = 2000, /* where every version is kept, and sent, */
	DATABASE_SHARE = 4, /* and never more of the time than one part in so many */
	RESCAN_S = 3600,
	BLIND_S = 10,       /* when not everything can be watched, */
	BLIND_SHARE = 20,   /* and never more of the time than one part in so many */
	MISSING_S = 5,
	TOLD_MAX = 3,       /* paths named in a message */
};

/* ---- when ---- */

/* The next copy of a database that is written all the time. What takes long must not be all that is done. */
static gint64 copy_due_us(const SyncLine *line)
{
	gint64 pause_us = (line->ref == SYNC_REF_VOLATILE ? DATABASE_MS : DATABASE_KEPT_MS) * 1000;

	return line->snapshot_us + MAX(pause_us, DATABASE_SHARE * line->snapshot_took_us);
}

static gint64 due_us(const SyncLine *line, gint64 now_us)
{
	gint64 due = G_MAXINT64;

	if (line->first_us && line->n_changes > MANY)
		due = MIN(now_us + MANY_QUIET_MS * 1000, line->first_us + MANY_LONGEST_MS * 1000);
	else if (line->first_us)
		due = MIN(now_us + QUIET_MS * 1000, line->first_us + LONGEST_MS * 1000);
	if (line->writing_us)
		due = MIN(due, MIN(now_us + WRITING_MS * 1000, line->writing_us + WRITING_LONGEST_MS * 1000));
	if (line->growing && sync_growing_due_us(line->growing))
		due = MIN(due, sync_growing_due_us(line->growing));
	/* A busy database has no quiet time: the first change decides then. */
	if (line->database_us)
		due = MIN(due, MAX(MIN(now_us + QUIET_MS * 1000, line->database_us + LONGEST_MS * 1000), copy_due_us(line)));
	return due;
}

static void arm(SyncLine *line)
{
	line->told_us = g_get_monotonic_time();
	gint64 due = due_us(line, line->told_us), ready = g_source_get_ready_time(line->timer);

	/* That it is later now is seen when the time has come: thousands of changes would set it thousands of times. */
	if (due == G_MAXINT64 || ready < 0 || due < ready)
		g_source_set_ready_time(line->timer, due == G_MAXINT64 ? -1 : due);
}

/* A database's own files; whatever else is in its folder is not the set's. */
static bool is_of_database(const SyncSet *set, const char *name)
{
	gsize length = strlen(set->database);

	if (strncmp(name, set->database, length) != 0)
		return false;
	return name[length] == '\0' || g_str_equal(name + length, "-wal") || g_str_equal(name + length, "-journal");
}

static void rescan_soon(SyncLine *line)
{
	sync_picture_mark_all(line->picture);
	line->first_us = g_get_monotonic_time();
	arm(line);
}

static void changed(const SyncSet *set, const char *folder, const char *name, SyncWatchWhat what, gpointer user_data)
{
	SyncLine *line = user_data;
	gint64 now_us = g_get_monotonic_time();

	if (what == SYNC_WATCH_LOST) {
		/* Told once an hour at most: what drops once drops again and again. */
		if (!set && (line->overflow_us == 0 || now_us - line->overflow_us > RESCAN_S * (gint64)G_USEC_PER_SEC)) {
			line->overflow_us = now_us;
			sync_line_notice(line, "changes dropped", 1, "More changed in %s than the kernel keeps notices of "
					 "(fs.inotify.max_queued_events): everything is looked at", line->name);
		}
		rescan_soon(line);
		return;
	}
	if (set->database) {
		if (!is_of_database(set, name))
			return;
		g_hash_table_add(line->databases, (gpointer)set);
		line->database_us = line->database_us ? line->database_us : now_us;
		arm(line);
		return;
	}
	g_autofree char *path = sync_path_join(folder, name);
	if (sync_name_is_ours(name) || (*path && sync_path_excluded(path, (const char *const *)set->exclude)))
		return;
	sync_picture_mark(line->picture, set, folder);
	line->n_changes++;
	if (line->growing)
		sync_growing_told(line->growing, set, path, what == SYNC_WATCH_WRITING, now_us);
	if (what != SYNC_WATCH_WRITING)
		line->first_us = line->first_us ? line->first_us : now_us;
	else if (!line->growing) /* which has times of its own */
		line->writing_us = line->writing_us ? line->writing_us : now_us;
	arm(line);
}

/* A recording that is open, and was begun not long ago; any, when there is no room for more. */
static bool leaves_file(const SyncSet *set, const char *path, gpointer user_data)
{
	SyncLine *line = user_data;

	return sync_budget_is_spent(line->engine) || sync_growing_leaves(line->growing, set, path, g_get_monotonic_time());
}

static void mark_growing(const SyncSet *set, const char *path, gpointer user_data)
{
	SyncLine *line = user_data;
	g_autofree char *parent = sync_path_parent(path);

	sync_picture_mark(line->picture, set, parent);
}

/* ---- what ---- */

typedef struct {
	const SyncSet *set;
	GString *text;
	GString *last; /* what was counted last */
	guint n;
} Description;

static bool count(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data)
{
	Description *description = user_data;

	if (description->n > 0 && g_str_equal(path, description->last->str))
		return true;
	g_string_assign(description->last, path);
	if (++description->n > TOLD_MAX)
		return true;
	g_autofree char *full = sync_path_join(description->set->name, path);
	g_autofree char *shown = sync_printable(full);
	g_string_append_printf(description->text, "%s%s", description->text->len ? ", " : "", shown);
	return true;
}

/* "2 changes: a.conf/x, a.conf/y" */
static char *describe(const SyncLine *line, const git_oid *old_tree, const git_oid *new_tree, guint *ret_n)
{
	g_autoptr(GString) text = g_string_new(NULL), last = g_string_new(NULL);
	guint n = 0;

	for (guint i = 0; i < line->sets->len; i++) {
		const SyncSet *set = line->sets->pdata[i];
		Description description = { set, text, last, 0 };

		if (set->ref != line->ref)
			continue;
		if (sync_repo_each_difference(line->repo, old_tree, new_tree, set->name, count, &description, NULL))
			n += description.n;
	}
	*ret_n = n;
	if (n == 0)
		return g_strdup("the sets changed");
	return g_strdup_printf("%u change%s: %s%s", n, n == 1 ? "" : "s", text->str, n > TOLD_MAX ? ", …" : "");
}

/* Once for each set and term of office. */
static void report_missing(SyncLine *line, GPtrArray *missing)
{
	for (guint i = 0; i < missing->len; i++)
		if (g_hash_table_add(line->missing, g_strdup(missing->pdata[i])))
			sync_line_notice(line, "data set missing", 2,
					   "The files of data set %s are not there; what was committed of it before is kept",
					   (const char *)missing->pdata[i]);
}

/* Once, until everything can be read again: a look at part of the files says nothing of the rest, so only a whole one ends it. */
static void report_unreadable(SyncLine *line)
{
	const GPtrArray *paths = sync_picture_unreadable(line->picture);
	g_autoptr(GString) text = g_string_new(NULL);

	if (paths->len == 0)
		return;
	line->unreadable_seen = true;
	if (line->unreadable_told)
		return;
	line->unreadable_told = true;
	for (guint i = 0; i < MIN(paths->len, TOLD_MAX); i++) {
		g_autofree char *shown = sync_printable(paths->pdata[i]);

		g_string_append_printf(text, "%s%s", i ? ", " : "", shown);
	}
	if (paths->len > TOLD_MAX)
		g_string_append_printf(text, " and %u more", paths->len - TOLD_MAX);
	sync_line_notice(line, "data unreadable", 2, "Cannot be read, so what was committed of it before is kept, and tried again every hour and with "
			 "each change beside it: %s", text->str);
}

static void mark_databases(SyncLine *line)
{
	GHashTableIter iter;
	gpointer set;

	g_hash_table_iter_init(&iter, line->databases);
	while (g_hash_table_iter_next(&iter, &set, NULL)) {
		sync_picture_mark(line->picture, set, "");
		g_hash_table_iter_remove(&iter);
		line->snapshot_us = g_get_monotonic_time();
	}
}

/* What a commit is made of, and what it says of itself. */
typedef struct {
	const char *author;
	char *text;
	guint n_changes;
	bool none;    /* nothing has changed */
	bool root;    /* the line begins anew with it */
	git_oid head; /* the one before; of a first one @first is true */
	bool first;
	git_oid id;
	bool in_pack; /* all of it will be in one */
} Making;

/* Looks at what is marked and makes a commit of it. No ref has it yet. */
static bool make(SyncLine *line, Making *making, const char *message, GError **error)
{
	g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);
	git_oid head_tree, tree;
	const git_oid *before = making->first ? NULL : &head_tree;

	if (before && !sync_repo_tree_of(line->repo, &making->head, &head_tree, error))
		return false;
	sync_picture_set_base(line->picture, before);
	bool looked = sync_picture_refresh(line->picture, line->repo, NULL, error);
	report_unreadable(line);
	if (!looked || !sync_picture_write(line->picture, line->repo, before, missing, &tree, error))
		return false;
	report_missing(line, missing);
	making->none = before ? git_oid_equal(&tree, before) : line->objects && !sync_sets_any(line->sets, line->ref);
	if (making->none)
		return true;
	g_autofree char *described = describe(line, before, &tree, &making->n_changes);
	making->text = message && *message ? g_strdup(message) : g_steal_pointer(&described);
	/* A volatile snapshot has no past: nobody will ask for the registrations of last week, and they must not fill the disk. Nor will the names of
	 * recordings that were deleted stay for ever. */
	SyncTerm term = line->term;
	g_autofree char *root = !before ? NULL : line->objects ? sync_voice_root(line, &making->head) :
				line->ref == SYNC_REF_VOLATILE ? sync_apart_goes_on(line->repo, &making->head) : NULL;
	making->root = root != NULL;
	term.goes_on = root;
	return sync_repo_commit(line->repo, &tree, before && line->ref != SYNC_REF_VOLATILE && !root ? &making->head : NULL, making->author, making->text,
				&term, &making->id, error);
}

/* Somebody is there who may have all the rest: the change goes with the news of it. NULL: not so, or it is too large. */
static GVariant *change_of(SyncLine *line, Making *making)
{
	g_mutex_lock(&line->engine->lock);
	bool there = line->peer_has != NULL;
	g_mutex_unlock(&line->engine->lock);
	if (!there || making->first)
		return NULL;
	GVariant *change = sync_change_new(line->repo, &making->head, &making->id, SYNC_CHANGE_MAX);
	making->in_pack = !change && sync_change_is_fresh(line->repo, &making->head, &making->id);
	return change;
}

static bool store_and_commit(SyncLine *line, const char *author, const char *message, GError **error)
{
	Making making = { .author = author };

	making.first = !sync_repo_get_ref(line->repo, "heads", line->name, &making.head);
	/* What was migrated here comes into the line before the first that is made of it. */
	if (!making.first)
		sync_migrate_files(line->repo, line->name, &making.head, &making.head);
	line->first_us = line->writing_us = line->database_us = 0;
	line->n_changes = 0;
	mark_databases(line);
	/* Nobody knows of these objects before a ref has the commit: they need not wait for the disk one by one. */
	sync_disk_gather();
	sync_fresh_begin(line->repo->fresh);
	bool made = make(line, &making, message, error);
	g_autofree char *text = making.text;
	g_autoptr(GVariant) change = made && !making.none ? change_of(line, &making) : NULL;
	made = sync_fresh_end(line->repo->fresh, line->repo->git, made ? error : NULL) && made;
	if (making.in_pack && sync_fresh_pack(line->repo->fresh))
		change = sync_change_of_pack(&making.head, &making.id, sync_fresh_pack(line->repo->fresh));
	if (sync_disk_gathered() < 0 && made) {
		sync_error_from_errno(error, errno, "%s", line->repo->path);
		made = false;
	}
	if (!made)
		return false;
	if (making.none)
		return true;
	if (!sync_repo_set_ref(line->repo, "heads", line->name, &making.id, error))
		return false;
	g_autofree char *hex = sync_oid_text(&making.id);
	sync_migrate_drop(line->repo, line->name);
	sync_line_tell_change(line, change);
	sync_line_tell(line);
	sync_line_tell_committed(line, hex, text, making.n_changes);
	sync_line_rest(making.n_changes);
	sync_line_tidy(line);
	if (making.root)
		sync_line_past_ended(line);
	sync_voice_changed(line);
	return true;
}

static bool commit_line(SyncLine *line, const char *author, const char *message, GError **error)
{
	sync_line_store_begin(line);
	bool ok = store_and_commit(line, author, message, error);
	sync_line_store_end(line);
	return ok;
}

static gboolean line_due(gpointer user_data)
{
	SyncLine *line = user_data;
	g_autoptr(GError) error = NULL;
	gint64 began_us = g_get_monotonic_time(), due = due_us(line, line->told_us);

	g_source_set_ready_time(line->timer, due == G_MAXINT64 || due <= began_us ? -1 : due);
	if (due > began_us)
		return G_SOURCE_CONTINUE;
	sync_line_tell_activity(line, "committing");
	bool copies = g_hash_table_size(line->databases) > 0;
	if (line->growing)
		sync_growing_each_due(line->growing, began_us, mark_growing, line);
	bool ok = commit_line(line, "system", NULL, &error);
	if (line->growing)
		sync_growing_forget_due(line->growing, began_us);
	if (line->looks_at_all)
		line->look_took_us = g_get_monotonic_time() - began_us;
	line->looks_at_all = false;
	if (copies)
		line->snapshot_took_us = g_get_monotonic_time() - began_us;
	sync_line_tell_problem(line, ok ? "" : error->message);
	if (g_error_matches(error, SYNC_ERROR, SYNC_ERROR_FAILED))
		sync_tidy_doubt(line->engine->tidy, false);
	sync_line_tell_activity(line, "idle");
	/* The picture has everything marked; it is tried again with the next change, and soon. */
	if (!ok)
		line->writing_us = g_get_monotonic_time();
	arm(line);
	return G_SOURCE_CONTINUE;
}

static gboolean rescan_due(gpointer user_data)
{
	SyncLine *line = user_data;
	gint64 now_us = g_get_monotonic_time();

	gint64 pause_us = line->blind ? MAX(BLIND_S * (gint64)G_USEC_PER_SEC, BLIND_SHARE * line->look_took_us) : RESCAN_S * (gint64)G_USEC_PER_SEC;

	if (now_us - line->rescanned_us >= pause_us) {
		line->rescanned_us = now_us;
		line->blind = line->watch == NULL; /* there may be more of them now */
		line->looks_at_all = true;
		line->unreadable_told = line->unreadable_told && line->unreadable_seen;
		line->unreadable_seen = false;
		sync_owner_forget();
		rescan_soon(line);
	}
	/* A folder that is not there cannot be watched. */
	if (sync_picture_mark_missing(line->picture)) {
		line->first_us = line->first_us ? line->first_us : now_us;
		arm(line);
	}
	g_source_set_ready_time(line->rescan, now_us + MISSING_S * (gint64)G_USEC_PER_SEC);
	return G_SOURCE_CONTINUE;
}

void sync_lead_look_again(SyncLine *line)
{
	if (line->role == SYNC_ROLE_LEAD && line->timer)
		rescan_soon(line);
}

bool sync_lead_commit(SyncLine *line, const char *author, const char *message, GError **error)
{
	/* Everything: a file may be open and written without an event that says it is complete. */
	sync_picture_mark_all(line->picture);
	if (line->growing)
		sync_growing_clear(line->growing);
	return commit_line(line, author, message, error);
}

/* ---- beginning and end ---- */

static void watch_folder(const SyncSet *set, const char *path, int fd, gpointer user_data)
{
	SyncLine *line = user_data;

	if (!line->watch || sync_watch_add(line->watch, set, path, fd))
		return;
	line->blind = true;
	if (g_hash_table_add(line->missing, g_strdup("watches")))
		sync_line_notice(line, "too few watches", 2,
				   "The kernel gives no more inotify watches (fs.inotify.max_user_watches): everything is looked at every %u s, or less often when that takes long",
				   (guint)BLIND_S);
}

static gboolean dispatch_ready(GSource *source, GSourceFunc callback, gpointer user_data)
{
	return callback ? callback(user_data) : G_SOURCE_REMOVE;
}

static GSource *ready_source(SyncLine *line, GSourceFunc callback)
{
	static GSourceFuncs functions = { .dispatch = dispatch_ready };
	GSource *source = g_source_new(&functions, sizeof(GSource));

	g_source_set_callback(source, callback, line, NULL);
	g_source_set_ready_time(source, -1);
	g_source_attach(source, line->context);
	return source;
}

void sync_lead_begin(SyncLine *line)
{
	g_autoptr(GError) error = NULL;

	sync_lead_end(line);
	line->watch = sync_watch_new(line->context, changed, line, &error);
	if (!line->watch)
		sync_line_notice(line, "too few watches", 2, "Everything is looked at every %u s, or less often when that takes long: %s", (guint)BLIND_S,
				 error->message);
	line->blind = line->watch == NULL;
	line->timer = ready_source(line, line_due);
	sync_picture_on_folder(line->picture, watch_folder, line);
	if (line->growing)
		sync_picture_on_file(line->picture, leaves_file, line);
	line->rescan = ready_source(line, rescan_due);
	line->rescanned_us = g_get_monotonic_time();
	g_source_set_ready_time(line->rescan, line->rescanned_us + MISSING_S * (gint64)G_USEC_PER_SEC);
	sync_line_tell_activity(line, "scanning");
	g_clear_error(&error);
	bool ok = sync_lead_commit(line, "system", NULL, &error);
	sync_line_tell_problem(line, ok ? "" : error->message);
	if (!ok)
		rescan_soon(line);
	sync_line_tell_activity(line, "idle");
}

static void drop_source(GSource **source)
{
	if (!*source)
		return;
	g_source_destroy(*source);
	g_clear_pointer(source, g_source_unref);
}

void sync_lead_end(SyncLine *line)
{
	drop_source(&line->timer);
	sync_picture_on_folder(line->picture, NULL, NULL);
	sync_picture_on_file(line->picture, NULL, NULL);
	if (line->growing)
		sync_growing_clear(line->growing);
	g_hash_table_remove_all(line->databases);
	line->first_us = line->writing_us = line->database_us = line->snapshot_us = 0;
	line->checked_us = 0;
	drop_source(&line->rescan);
	g_hash_table_remove_all(line->missing);
	g_clear_pointer(&line->watch, sync_watch_free);
}
