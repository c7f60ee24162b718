/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/store.c - the event store on SQLite. */
#include "store.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#define SCHEMA_VERSION  1
#define BUSY_TIMEOUT_MS 1000      /* somebody looks into the file with sqlite3 while we write */
#define LIST_MAX_BYTES  (3 << 20) /* the binding sends 4 MiB at most; a page shows far less */
#define MAX_SET_ASIDE   3         /* damaged databases kept; a disk that damages them daily must not fill itself */

struct NotifyStore {
	sqlite3 *db;
	char *path;
	char *device;
	guint capacity;
	guint count, unread;
	bool replacing; /* a new database that is damaged at once is a broken disk, not a reason to begin another */
	NotifyStoreNote note;
	gpointer note_data;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sqlite3_stmt, sqlite3_finalize)

static const char *const SCHEMA = "CREATE TABLE events ("
				  " id INTEGER PRIMARY KEY AUTOINCREMENT,"
				  " read INTEGER NOT NULL DEFAULT 0,"
				  " time_ms INTEGER NOT NULL,"
				  " priority INTEGER NOT NULL,"
				  " application TEXT NOT NULL,"
				  " name TEXT NOT NULL,"
				  " description TEXT NOT NULL,"
				  " reference TEXT NOT NULL,"
				  " device TEXT NOT NULL,"
				  " key TEXT UNIQUE) STRICT;"
				  "CREATE INDEX unread ON events(id) WHERE read = 0;"
				  "PRAGMA user_version = 1;";

/* Whether the file itself is the trouble, so that only another file helps. */
static bool is_damage(int code)
{
	return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* Fails with what SQLite said last; @code is the extended result. */
static bool fail(NotifyStore *store, int code, const char *doing, GError **error)
{
	g_autofree char *base = g_path_get_basename(store->path);
	const char *text = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
	int system = store->db ? sqlite3_system_errno(store->db) : 0;

	if ((code & 0xff) == SQLITE_FULL || ((code & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT)))
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_NO_SPACE,
			    "%s: no space left on its disk, nothing was stored; make room and try again", base);
	else if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN)
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "%s: %s: %s (%s)", base, doing, text,
			    system ? g_strerror(system) : "no system error");
	else
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "%s: %s: %s", base, doing, text);
	return false;
}

static int run(NotifyStore *store, const char *sql)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL);
}

static int query_int(NotifyStore *store, const char *sql, gint64 *ret_value)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? SQLITE_ERROR : code;
	*ret_value = sqlite3_column_int64(statement, 0);
	return SQLITE_OK;
}

static int refresh_counts(NotifyStore *store)
{
	gint64 count = 0, unread = 0;
	int code = query_int(store, "SELECT count(*) FROM events", &count);

	if (code == SQLITE_OK)
		code = query_int(store, "SELECT count(*) FROM events WHERE read = 0", &unread);
	if (code == SQLITE_OK) {
		store->count = (guint)count;
		store->unread = (guint)unread;
	}
	return code;
}

/* SQL: contains(name, description, folded text) */
static void contains(sqlite3_context *context, int n_args, sqlite3_value **args)
{
	const char *folded = (const char *)sqlite3_value_text(args[2]);
	bool found = false;

	for (int i = 0; i < 2 && !found && folded; i++) {
		const char *text = (const char *)sqlite3_value_text(args[i]);

		found = text && notify_text_matches(text, folded);
	}
	sqlite3_result_int(context, found);
}

/* quick_check reads every page: a page damaged in the middle is found now and not by the one event that needs it. */
static int check_whole(NotifyStore *store)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(store->db, "PRAGMA quick_check(1)", -1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code != SQLITE_ROW)
		return code;
	return g_strcmp0((const char *)sqlite3_column_text(statement, 0), "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
}

static int prepare_schema(NotifyStore *store)
{
	gint64 version = 0, objects = 0;
	int code = query_int(store, "PRAGMA user_version", &version);

	if (code == SQLITE_OK)
		code = query_int(store, "SELECT count(*) FROM sqlite_schema", &objects);
	if (code != SQLITE_OK)
		return code;
	if (version == SCHEMA_VERSION)
		return check_whole(store);
	if (version != 0 || objects != 0)
		return SQLITE_NOTADB; /* a newer version's, or not ours at all: not to be written into */
	code = run(store, "BEGIN IMMEDIATE");
	if (code == SQLITE_OK)
		code = run(store, SCHEMA);
	if (code == SQLITE_OK)
		code = run(store, "COMMIT");
	if (code != SQLITE_OK)
		(void)run(store, "ROLLBACK");
	return code;
}

static void close_db(NotifyStore *store)
{
	if (store->db)
		(void)sqlite3_close_v2(store->db);
	store->db = NULL;
}

/* Opens the file as it is; the connection stays open on failure, for its message. */
static int open_db(NotifyStore *store)
{
	int code = sqlite3_open_v2(store->path, &store->db,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE, NULL);

	if (code != SQLITE_OK)
		return code;
	(void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	code = sqlite3_create_function(store->db, "contains", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, contains,
				       NULL, NULL);
	if (code == SQLITE_OK)
		code = run(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
	if (code == SQLITE_OK)
		code = prepare_schema(store);
	if (code == SQLITE_OK)
		code = refresh_counts(store);
	return code;
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Removes the oldest of those set aside before; names sort by time. */
static void prune_set_aside(const char *folder, const char *prefix)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (g_str_has_prefix(name, prefix) && !g_str_has_suffix(name, "-wal") &&
		    !g_str_has_suffix(name, "-shm"))
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, by_name);
	for (guint i = 0; i + MAX_SET_ASIDE < names->len; i++)
		for (const char *const *suffix = (const char *const[]){ "", "-wal", "-shm", NULL }; *suffix; suffix++) {
			g_autofree char *path = g_strdup_printf("%s/%s%s", folder, (char *)names->pdata[i], *suffix);

			(void)g_unlink(path);
		}
}

/* Moves the database and its journals aside as one, under names that SQLite can still open together. */
static bool set_aside(NotifyStore *store, char **ret_name, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(store->path);
	g_autofree char *base = g_path_get_basename(store->path);
	g_autofree char *prefix = g_strconcat(base, ".damaged-", NULL);
	g_autofree char *name = g_strdup_printf("%s%" G_GINT64_FORMAT, prefix, g_get_real_time() / 1000);

	for (const char *const *suffix = (const char *const[]){ "", "-wal", "-shm", NULL }; *suffix; suffix++) {
		g_autofree char *from = g_strconcat(store->path, *suffix, NULL);
		g_autofree char *to = g_strdup_printf("%s/%s%s", folder, name, *suffix);

		if (g_rename(from, to) < 0 && errno != ENOENT) {
			g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "%s: cannot be moved aside: %s", base,
				    g_strerror(errno));
			return false;
		}
	}
	prune_set_aside(folder, prefix);
	*ret_name = g_steal_pointer(&name);
	return true;
}

static bool add_note(NotifyStore *store, const char *name, const char *description, const char *reference,
		     GError **error)
{
	g_autoptr(NotifyEvent) event =
		notify_event_new("NOTIFY", name, 2, description, reference, store->device, g_get_real_time() / 1000);
	bool added;

	if (!notify_store_add(store, event, &event->id, &added, error))
		return false;
	if (store->note)
		store->note(event, store->note_data);
	return true;
}

/* The present database is beyond use: keeps it under another name and begins a new one. */
static bool replace(NotifyStore *store, const char *why, GError **error)
{
	g_autofree char *reason = g_strdup(why), *aside = NULL, *description = NULL;
	bool noted;
	int code;

	if (store->replacing) {
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "a new event store is damaged too: %s", reason);
		return false;
	}
	close_db(store);
	if (!set_aside(store, &aside, error))
		return false;
	code = open_db(store);
	if (code != SQLITE_OK) {
		fail(store, code, "beginning a new one", error);
		close_db(store);
		return false;
	}
	description = g_strdup_printf(
		"The event store could not be used (%s) and was moved aside as %s; a new one was begun.", reason,
		aside);
	g_warning("%s", description);
	store->replacing = true;
	noted = add_note(store, "event store replaced", description, aside, error);
	store->replacing = false;
	return noted;
}

static bool open_or_replace(NotifyStore *store, GError **error)
{
	int code = open_db(store);

	if (code == SQLITE_OK)
		return true;
	if (is_damage(code))
		return replace(store,
			       code == SQLITE_NOTADB ? "not an event store of this version" : sqlite3_errstr(code),
			       error);
	fail(store, code, "opening", error);
	close_db(store);
	return false;
}

/*
 * Before each use: somebody may have removed or replaced the file under us (a restore, a careless hand); what SQLite then writes goes to a file
 * without a name and would be gone at the next start. Also the retry after an opening that failed.
 */
static bool ensure_open(NotifyStore *store, GError **error)
{
	int moved = 0;

	if (store->db && sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	    moved) {
		g_warning("%s was removed or replaced by somebody; opening what is there now", store->path);
		close_db(store);
	}
	return store->db || open_or_replace(store, error);
}

NotifyStore *notify_store_open(const char *path, guint capacity, const char *device, GError **error)
{
	g_autoptr(NotifyStore) store = g_new0(NotifyStore, 1);
	g_autofree char *folder = g_path_get_dirname(path);

	store->path = g_strdup(path);
	store->device = g_strdup(device);
	store->capacity = capacity;
	if (g_mkdir(folder, 0700) < 0 && errno != EEXIST) {
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "%s: cannot be made: %s", folder,
			    g_strerror(errno));
		return NULL;
	}
	if (!open_or_replace(store, error))
		return NULL;
	return g_steal_pointer(&store);
}

void notify_store_close(NotifyStore *store)
{
	if (!store)
		return;
	close_db(store);
	g_free(store->path);
	g_free(store->device);
	g_free(store);
}

void notify_store_on_note(NotifyStore *store, NotifyStoreNote note, gpointer user_data)
{
	store->note = note;
	store->note_data = user_data;
}

static int bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	return sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC); /* a NULL text binds NULL */
}

/* Within the transaction. SQLITE_DONE: the key was known. */
static int insert(NotifyStore *store, const NotifyEvent *event, guint64 *ret_id)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(
		store->db,
		"INSERT INTO events(time_ms, priority, application, name, description, reference, device, key)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(key) DO NOTHING RETURNING id",
		-1, &statement, NULL);

	if (code != SQLITE_OK)
		return code;
	if ((code = sqlite3_bind_int64(statement, 1, event->time_ms)) ||
	    (code = sqlite3_bind_int(statement, 2, event->priority)) ||
	    (code = bind_text(statement, 3, event->application)) || (code = bind_text(statement, 4, event->name)) ||
	    (code = bind_text(statement, 5, event->description)) ||
	    (code = bind_text(statement, 6, event->reference)) || (code = bind_text(statement, 7, event->device)) ||
	    (code = bind_text(statement, 8, event->key)))
		return code;
	code = sqlite3_step(statement);
	if (code != SQLITE_ROW)
		return code;
	*ret_id = (guint64)sqlite3_column_int64(statement, 0);
	code = sqlite3_step(statement);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int find_key(NotifyStore *store, const char *key, guint64 *ret_id)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(store->db, "SELECT id FROM events WHERE key = ?", -1, &statement, NULL);

	if (code != SQLITE_OK || (code = bind_text(statement, 1, key)) != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code != SQLITE_ROW)
		return code == SQLITE_DONE ? SQLITE_CORRUPT : code; /* the index has a row the table has not */
	*ret_id = (guint64)sqlite3_column_int64(statement, 0);
	return SQLITE_OK;
}

static int drop_oldest(NotifyStore *store)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(store->db,
				      "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT max(0, "
				      "(SELECT count(*) FROM events) - ?))",
				      -1, &statement, NULL);

	if (code != SQLITE_OK || (code = sqlite3_bind_int64(statement, 1, store->capacity)) != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int try_add(NotifyStore *store, const NotifyEvent *event, guint64 *ret_id, bool *ret_added)
{
	guint64 id = 0;
	bool added = true;
	int code = run(store, "BEGIN IMMEDIATE");

	if (code != SQLITE_OK)
		return code;
	code = insert(store, event, &id);
	if (code == SQLITE_DONE) {
		added = false;
		code = find_key(store, event->key, &id);
	} else if (code == SQLITE_OK && store->count >= store->capacity) {
		code = drop_oldest(store);
	}
	if (code == SQLITE_OK)
		code = refresh_counts(store);
	if (code == SQLITE_OK)
		code = run(store, "COMMIT");
	if (code != SQLITE_OK)
		return code;
	*ret_id = id;
	*ret_added = added;
	return SQLITE_OK;
}

static void roll_back(NotifyStore *store)
{
	if (!sqlite3_get_autocommit(store->db))
		(void)run(store, "ROLLBACK");
}

/* After a failed transaction: back to where it was; a damaged database is replaced. True: worth one more try. */
static bool recover(NotifyStore *store, int code, const char *doing, GError **error)
{
	bool damage = is_damage(code);
	g_autofree char *why = g_strdup(sqlite3_errmsg(store->db));

	if (!damage)
		fail(store, code, doing, error);
	roll_back(store);
	if (!damage)
		(void)refresh_counts(store);
	return damage && replace(store, why, error);
}

bool notify_store_add(NotifyStore *store, const NotifyEvent *event, guint64 *ret_id, bool *ret_added, GError **error)
{
	int code;

	if (!ensure_open(store, error))
		return false;
	code = try_add(store, event, ret_id, ret_added);
	if (code == SQLITE_OK)
		return true;
	if (!recover(store, code, "storing an event", error))
		return false;
	code = try_add(store, event, ret_id, ret_added);
	if (code == SQLITE_OK)
		return true;
	fail(store, code, "storing an event", error);
	roll_back(store);
	return false;
}

static NotifyEvent *read_event(sqlite3_stmt *row)
{
	NotifyEvent *event =
		notify_event_new((const char *)sqlite3_column_text(row, 4), (const char *)sqlite3_column_text(row, 5),
				 (guint8)sqlite3_column_int(row, 3), (const char *)sqlite3_column_text(row, 6),
				 (const char *)sqlite3_column_text(row, 7), (const char *)sqlite3_column_text(row, 8),
				 sqlite3_column_int64(row, 2));

	event->id = (guint64)sqlite3_column_int64(row, 0);
	event->read = sqlite3_column_int(row, 1) != 0;
	return event;
}

static int bind_value(sqlite3_stmt *statement, int index, GVariant *value)
{
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT64))
		return sqlite3_bind_int64(statement, index, g_variant_get_int64(value));
	return bind_text(statement, index, g_variant_get_string(value, NULL));
}

static int try_list(NotifyStore *store, const NotifyFilter *filter, GPtrArray *events)
{
	g_autoptr(GPtrArray) values = NULL;
	g_autofree char *where = notify_filter_sql(filter, &values);
	g_autofree char *sql =
		g_strdup_printf("SELECT id, read, time_ms, priority, application, name, description, reference, device"
				" FROM events %s ORDER BY id DESC LIMIT ?",
				where);
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
	gsize size = 0;

	for (guint i = 0; code == SQLITE_OK && i < values->len; i++)
		code = bind_value(statement, (int)i + 1, values->pdata[i]);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, (int)values->len + 1, filter->count);
	while (code == SQLITE_OK || code == SQLITE_ROW) {
		code = sqlite3_step(statement);
		if (code != SQLITE_ROW)
			break;
		g_ptr_array_add(events, read_event(statement));
		size += notify_event_size(events->pdata[events->len - 1]);
		if (size > LIST_MAX_BYTES)
			return SQLITE_OK;
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

GPtrArray *notify_store_list(NotifyStore *store, const NotifyFilter *filter, GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free);
	int code;

	if (!ensure_open(store, error))
		return NULL;
	code = try_list(store, filter, events);
	if (code != SQLITE_OK) {
		if (!recover(store, code, "reading events", error))
			return NULL;
		g_ptr_array_set_size(events, 0);
		code = try_list(store, filter, events);
		if (code != SQLITE_OK) {
			fail(store, code, "reading events", error);
			return NULL;
		}
	}
	return g_steal_pointer(&events);
}

/* One row each, or all at once with @id NULL; what changed is appended. */
static int mark(NotifyStore *store, const guint64 *id, GArray *changed)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(store->db,
				      id ? "UPDATE events SET read = 1 WHERE read = 0 AND id = ? RETURNING id"
					 : "UPDATE events SET read = 1 WHERE read = 0 RETURNING id",
				      -1, &statement, NULL);

	if (code == SQLITE_OK && id)
		code = sqlite3_bind_int64(statement, 1, *id <= G_MAXINT64 ? (gint64)*id : -1);
	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		guint64 row = (guint64)sqlite3_column_int64(statement, 0);

		g_array_append_val(changed, row);
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int try_mark_read(NotifyStore *store, const guint64 *ids, gsize n_ids, GArray *changed)
{
	int code = run(store, "BEGIN IMMEDIATE");

	if (code == SQLITE_OK && n_ids == 0)
		code = mark(store, NULL, changed);
	for (gsize i = 0; code == SQLITE_OK && i < n_ids; i++)
		code = mark(store, &ids[i], changed);
	if (code == SQLITE_OK)
		code = refresh_counts(store);
	if (code == SQLITE_OK)
		code = run(store, "COMMIT");
	return code;
}

static int by_id(gconstpointer a, gconstpointer b)
{
	guint64 left = *(const guint64 *)a, right = *(const guint64 *)b;

	return left < right ? -1 : left > right;
}

bool notify_store_mark_read(NotifyStore *store, const guint64 *ids, gsize n_ids, GArray **ret_changed, GError **error)
{
	g_autoptr(GArray) changed = g_array_new(FALSE, FALSE, sizeof(guint64));
	int code;

	if (!ensure_open(store, error))
		return false;
	code = try_mark_read(store, ids, n_ids, changed);
	if (code != SQLITE_OK) {
		if (!recover(store, code, "marking events", error))
			return false;
		g_array_set_size(changed, 0); /* the new database has none of them */
	}
	g_array_sort(changed, by_id);
	*ret_changed = g_steal_pointer(&changed);
	return true;
}

guint notify_store_count(const NotifyStore *store)
{
	return store->count;
}

guint notify_store_unread(const NotifyStore *store)
{
	return store->unread;
}

guint notify_store_capacity(const NotifyStore *store)
{
	return store->capacity;
}
