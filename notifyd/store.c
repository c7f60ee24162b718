/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/store.c - the event store on SQLite. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store-private.h"

#define BUSY_TIMEOUT_MS 1000      /* somebody looks into the file with sqlite3 while we write */
#define MAX_SET_ASIDE   3         /* damaged databases kept; a disk that damages them daily must not fill itself */

static const char *const SCHEMA_1 = "CREATE TABLE events ("
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
				    "CREATE INDEX unread ON events(id) WHERE read = 0;";

/* What version 2 adds: acknowledged, shown, the other device's events, and what is to be told. An index for each way to ask for a page. */
static const char *const SCHEMA_2 = "ALTER TABLE events ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;"
				    "ALTER TABLE events ADD COLUMN ack_ms INTEGER NOT NULL DEFAULT 0;"
				    "ALTER TABLE events ADD COLUMN ack_by TEXT NOT NULL DEFAULT '';"
				    "ALTER TABLE events ADD COLUMN about TEXT;"
				    "ALTER TABLE events ADD COLUMN recovery INTEGER NOT NULL DEFAULT 0;"
				    "ALTER TABLE events ADD COLUMN origin_store TEXT NOT NULL DEFAULT '';"
				    "ALTER TABLE events ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;"
				    "CREATE UNIQUE INDEX origins ON events(origin_store, origin) WHERE origin > 0;"
				    "CREATE INDEX by_application ON events(application, id);"
				    "CREATE INDEX of_2 ON events(id) WHERE priority >= 2;"
				    "CREATE INDEX of_3 ON events(id) WHERE priority >= 3;"
				    "CREATE INDEX unacknowledged ON events(id) WHERE ack_ms = 0;"
				    "CREATE INDEX shown ON events(priority) WHERE read = 0 AND shown = 1;"
				    "CREATE TABLE outbox ("
				    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
				    " message TEXT NOT NULL UNIQUE,"
				    " event INTEGER NOT NULL,"
				    " target TEXT NOT NULL,"
				    " recipients TEXT NOT NULL,"
				    " text TEXT NOT NULL,"
				    " owner TEXT NOT NULL,"
				    " hand INTEGER NOT NULL,"
				    " state INTEGER NOT NULL,"
				    " refused INTEGER NOT NULL,"
				    " about INTEGER NOT NULL,"
				    " attempts INTEGER NOT NULL,"
				    " created_ms INTEGER NOT NULL,"
				    " due_ms INTEGER NOT NULL,"
				    " done_ms INTEGER NOT NULL,"
				    " words TEXT NOT NULL,"
				    " change INTEGER NOT NULL) STRICT;"
				    "CREATE INDEX outbox_waiting ON outbox(target, owner, due_ms) WHERE state = 0;"
				    "CREATE INDEX outbox_change ON outbox(change);"
				    "CREATE INDEX outbox_target ON outbox(target, id);"
				    "CREATE TABLE log ("
				    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
				    " time_ms INTEGER NOT NULL,"
				    " message TEXT NOT NULL,"
				    " recipient TEXT NOT NULL,"
				    " outcome TEXT NOT NULL,"
				    " words TEXT NOT NULL) STRICT;"
				    "CREATE INDEX log_message ON log(message, id);"
				    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;"
				    "INSERT INTO meta VALUES('store', lower(hex(randomblob(16))));"
				    "PRAGMA user_version = 2;";

/* What version 3 adds: a number for each event that somebody has read or acknowledged, for the other device; and which happened first. */
static const char *const SCHEMA_3 = "ALTER TABLE events ADD COLUMN mark INTEGER NOT NULL DEFAULT 0;"
				    "UPDATE events SET mark = id WHERE read = 1 OR ack_ms <> 0;"
				    "INSERT INTO meta SELECT 'mark', CAST(coalesce(max(mark), 0) AS TEXT) FROM events;"
				    "CREATE INDEX marks ON events(mark) WHERE mark > 0;"
				    "CREATE INDEX by_time ON events(time_ms);"
				    "PRAGMA user_version = 3;";

static const char *const *const SCHEMAS[] = { &SCHEMA_1, &SCHEMA_2, &SCHEMA_3 };
#define SCHEMA_VERSION ((gint64)G_N_ELEMENTS(SCHEMAS))

/* What came later and changes nothing for who does not know it. Each page that can be asked for begins at an index: a filter that selects few, or none, must
 * not read all to find that out. */
static const char *const INDEXES = "CREATE INDEX IF NOT EXISTS already_read ON events(id) WHERE read = 1;"
				   "CREATE INDEX IF NOT EXISTS acknowledged ON events(id) WHERE ack_ms <> 0;";

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

/* ---- Statements ---- */

static void finalize(gpointer statement)
{
	(void)sqlite3_finalize(statement);
}

/* Compiled once: with an event that is stored in 20 microseconds, that would be most of the time. */
static int compiled(NotifyStore *store, sqlite3_stmt **ret_statement, const char *sql)
{
	sqlite3_stmt *statement = g_hash_table_lookup(store->statements, sql);
	int code;

	if (!statement) {
		code = sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
		if (code != SQLITE_OK)
			return code;
		g_hash_table_insert(store->statements, g_strdup(sql), statement);
	}
	*ret_statement = statement;
	return sqlite3_stmt_busy(statement) ? SQLITE_MISUSE : SQLITE_OK;
}

void store_statement_done(StoreStatement *statement)
{
	if (!statement)
		return;
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement); /* the values do not live longer */
}

static int prepare_list(NotifyStore *store, StoreStatement **ret_statement, const char *sql, const char *types, va_list values)
{
	StoreStatement *statement = NULL;
	int code = compiled(store, &statement, sql);

	for (int i = 0; code == SQLITE_OK && types[i]; i++)
		code = types[i] == 'i' ? sqlite3_bind_int64(statement, i + 1, va_arg(values, gint64))
				       : sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		*ret_statement = statement;
	else if (code != SQLITE_MISUSE)
		store_statement_done(statement);
	return code;
}

int store_prepare(NotifyStore *store, StoreStatement **ret_statement, const char *sql, const char *types, ...)
{
	va_list values;
	int code;

	va_start(values, types);
	code = prepare_list(store, ret_statement, sql, types, values);
	va_end(values);
	return code;
}

int store_run(NotifyStore *store, const char *sql, const char *types, ...)
{
	g_autoptr(StoreStatement) statement = NULL;
	va_list values;
	int code;

	va_start(values, types);
	code = prepare_list(store, &statement, sql, types, values);
	va_end(values);
	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		;
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

int store_int(NotifyStore *store, const char *sql, gint64 *ret_value)
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

const char *store_text(sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	return text ? text : "";
}

static int refresh_id(NotifyStore *store)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT value FROM meta WHERE key = 'store'", "");

	if (code != SQLITE_OK || (code = sqlite3_step(statement)) != SQLITE_ROW)
		return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
	g_free(store->id);
	store->id = g_strdup(store_text(statement, 0));
	return SQLITE_OK;
}

int store_refresh(NotifyStore *store)
{
	gint64 count = 0, unread = 0, change = 0, newest = 0, mark = 0, shown[NOTIFY_PRIORITY_MAX + 1] = { 0 };
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_int(store, "SELECT count(*) FROM events", &count);

	if (code == SQLITE_OK)
		code = store_int(store, "SELECT count(*) FROM events WHERE read = 0", &unread);
	if (code == SQLITE_OK)
		code = store_int(store, "SELECT coalesce(max(change), 0) FROM outbox", &change);
	if (code == SQLITE_OK)
		code = store_int(store, "SELECT coalesce(max(id), 0) FROM events WHERE origin = 0", &newest);
	if (code == SQLITE_OK)
		code = store_int(store, "SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'mark'), 0)", &mark);
	if (code == SQLITE_OK)
		code = store_prepare(store, &statement, "SELECT priority, count(*) FROM events WHERE read = 0 AND shown = 1 GROUP BY priority", "");
	while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		shown[CLAMP(sqlite3_column_int(statement, 0), 0, NOTIFY_PRIORITY_MAX)] = sqlite3_column_int64(statement, 1);
		code = SQLITE_OK;
	}
	if (code != SQLITE_DONE)
		return code;
	store->count = (guint)count;
	store->unread = (guint)unread;
	store->change = (guint64)change;
	store->newest = (guint64)newest;
	store->mark = (guint64)mark;
	for (guint i = 0; i <= NOTIFY_PRIORITY_MAX; i++)
		store->shown[i] = (guint)shown[i];
	return SQLITE_OK;
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
	int code = store_int(store, "PRAGMA user_version", &version);

	if (code == SQLITE_OK)
		code = store_int(store, "SELECT count(*) FROM sqlite_schema", &objects);
	if (code == SQLITE_OK && version > 0 && version <= SCHEMA_VERSION)
		code = check_whole(store);
	if (code == SQLITE_OK && version == SCHEMA_VERSION) {
		code = run(store, INDEXES);
		return is_damage(code) ? code : SQLITE_OK; /* a full disk: without them it is slower */
	}
	if (code != SQLITE_OK)
		return code;
	if (version > SCHEMA_VERSION || (version == 0 && objects != 0))
		return SQLITE_NOTADB; /* a newer version's, or not ours at all: not to be written into */
	code = run(store, "BEGIN IMMEDIATE");
	for (; code == SQLITE_OK && version < SCHEMA_VERSION; version++)
		code = run(store, *SCHEMAS[version]);
	if (code == SQLITE_OK)
		code = run(store, INDEXES);
	if (code == SQLITE_OK)
		code = run(store, "COMMIT");
	if (code != SQLITE_OK)
		(void)run(store, "ROLLBACK");
	return code;
}

static void close_db(NotifyStore *store)
{
	g_hash_table_remove_all(store->statements);
	store->in_group = false;
	if (store->db)
		(void)sqlite3_close_v2(store->db);
	store->db = NULL;
}

/*
 * As the only process: what its connections tell each other lies in memory then, and not in a file beside the database, where even a reader's store into a
 * mapped page may wait for the disk. Where somebody else has it open, with sqlite3 or for a backup, it is shared.
 */
static int open_file(NotifyStore *store, int flags)
{
	int code = sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE | flags, store->is_shared ? NULL : "unix-excl");

	if (code != SQLITE_OK)
		return code;
	(void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	return sqlite3_create_function(store->db, "contains", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, contains, NULL, NULL);
}

static int open_for_writing(NotifyStore *store, bool shared)
{
	int code;

	close_db(store);
	store->is_shared = shared;
	code = open_file(store, SQLITE_OPEN_CREATE);
	return code == SQLITE_OK ? run(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;") : code;
}

/* Opens the file as it is; the connection stays open on failure, for its message. */
static int open_db(NotifyStore *store)
{
	int code = open_for_writing(store, false);

	if ((code & 0xff) == SQLITE_BUSY)
		code = open_for_writing(store, true);
	if (code == SQLITE_OK)
		code = prepare_schema(store);
	if (code == SQLITE_OK)
		code = refresh_id(store);
	if (code == SQLITE_OK)
		code = store_refresh(store);
	(void)sqlite3_db_release_memory(store->db); /* it has been read from end to end */
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

static int open_for_reading(NotifyStore *store)
{
	int code = open_file(store, 0);

	return code == SQLITE_OK ? run(store, "PRAGMA query_only = 1; PRAGMA cache_size = -512;") : code;
}

/* Of one that only reads: the one that writes looks at the file first, and begins another where there is a reason @why. */
static bool reopen(NotifyStore *store, const char *why, GError **error)
{
	g_autofree char *reason = g_strdup(why);
	int code;

	close_db(store);
	if (!store->mend(reason, store->mend_data, error))
		return false;
	code = open_for_reading(store);
	if (code == SQLITE_OK)
		return true;
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

	if (store->in_group)
		return true; /* looked at as it began */
	if (store->db && sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK &&
	    moved) {
		if (!store->mend)
			g_warning("%s was removed or replaced by somebody; opening what is there now", store->path);
		close_db(store);
	}
	if (store->db)
		return true;
	return store->mend ? reopen(store, NULL, error) : open_or_replace(store, error);
}

/* Memory when it is needed and not before: a page cache begins with twenty pages of its own, and a connection with slots for small things, used or not. */
static gpointer configure_library(gpointer data)
{
	(void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	(void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	return NULL;
}

NotifyStore *notify_store_open(const char *path, guint capacity, const char *device, GError **error)
{
	static GOnce once = G_ONCE_INIT;
	g_autoptr(NotifyStore) store = g_new0(NotifyStore, 1);
	g_autofree char *folder = g_path_get_dirname(path);

	(void)g_once(&once, configure_library, NULL);
	store->path = g_strdup(path);
	store->device = g_strdup(device);
	store->capacity = capacity;
	store->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, finalize);
	if (g_mkdir(folder, 0700) < 0 && errno != EEXIST) {
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "%s: cannot be made: %s", folder,
			    g_strerror(errno));
		return NULL;
	}
	if (!open_or_replace(store, error))
		return NULL;
	return g_steal_pointer(&store);
}

NotifyStore *notify_store_open_reader(const NotifyStore *writer, NotifyStoreMend mend, gpointer user_data)
{
	NotifyStore *store = g_new0(NotifyStore, 1);

	store->path = g_strdup(writer->path);
	store->device = g_strdup(writer->device);
	store->capacity = writer->capacity;
	store->id = g_strdup(writer->id);
	store->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, finalize);
	store->mend = mend;
	store->mend_data = user_data;
	store->is_shared = writer->is_shared;
	if (open_for_reading(store) != SQLITE_OK)
		close_db(store); /* its first use says why */
	return store;
}

void notify_store_close(NotifyStore *store)
{
	if (!store)
		return;
	close_db(store);
	g_hash_table_unref(store->statements);
	g_free(store->path);
	g_free(store->device);
	g_free(store->id);
	g_free(store);
}

void notify_store_on_note(NotifyStore *store, NotifyStoreNote note, gpointer user_data)
{
	store->note = note;
	store->note_data = user_data;
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

	if (!damage || store->in_group)
		fail(store, code, doing, error);
	if (store->in_group)
		return false; /* all of it is undone, and done one by one */
	roll_back(store);
	if (store->mend)
		return damage && reopen(store, why, error);
	if (!damage)
		(void)store_refresh(store);
	return damage && replace(store, why, error);
}

static int transact(NotifyStore *store, StoreWork work, gpointer data)
{
	int code;

	if (store->in_group)
		return work(store, data);
	code = store_run(store, "BEGIN IMMEDIATE", "");

	if (code == SQLITE_OK)
		code = work(store, data);
	return code == SQLITE_OK ? store_run(store, "COMMIT", "") : code;
}

static bool attempt(NotifyStore *store, int (*way)(NotifyStore *, StoreWork, gpointer), StoreWork work, gpointer data, const char *doing,
		    GError **error)
{
	int code;

	if (!ensure_open(store, error))
		return false;
	code = way(store, work, data);
	if (code == SQLITE_OK)
		return true;
	if (!recover(store, code, doing, error))
		return false;
	code = way(store, work, data);
	if (code == SQLITE_OK)
		return true;
	fail(store, code, doing, error);
	roll_back(store);
	return false;
}

bool store_transact(NotifyStore *store, StoreWork work, gpointer data, const char *doing, GError **error)
{
	return attempt(store, transact, work, data, doing, error);
}

static int only_read(NotifyStore *store, StoreWork work, gpointer data)
{
	return work(store, data);
}

bool store_read(NotifyStore *store, StoreWork work, gpointer data, const char *doing, GError **error)
{
	return attempt(store, only_read, work, data, doing, error);
}

/* ---- Several as one ---- */

bool notify_store_begin(NotifyStore *store, GError **error)
{
	int code;

	if (!ensure_open(store, error))
		return false;
	code = store_run(store, "BEGIN IMMEDIATE", "");
	if (code != SQLITE_OK)
		return fail(store, code, "beginning", error);
	store->in_group = true;
	return true;
}

bool notify_store_commit(NotifyStore *store, GError **error)
{
	int code;

	g_assert(store->in_group);
	/* An error of some kinds has undone all by itself. */
	code = sqlite3_get_autocommit(store->db) ? SQLITE_ABORT : store_run(store, "COMMIT", "");
	if (code != SQLITE_OK)
		return fail(store, code, "storing", error);
	store->in_group = false;
	return true;
}

void notify_store_roll_back(NotifyStore *store)
{
	store->in_group = false;
	if (!store->db)
		return;
	roll_back(store);
	(void)store_refresh(store);
}

bool notify_store_mend(NotifyStore *store, const char *id, const char *why, GError **error)
{
	if (!ensure_open(store, error))
		return false;
	if (!why || !g_str_equal(id, store->id))
		return true;
	if (store->in_group) /* another file is begun between transactions */
		return fail(store, SQLITE_MISUSE, "beginning a new one", error);
	return replace(store, why, error);
}

void notify_store_counts(const NotifyStore *store, NotifyCounts *ret_counts)
{
	*ret_counts = (NotifyCounts){ .count = store->count, .unread = store->unread, .change = store->change, .newest = store->newest, .mark = store->mark };
	ret_counts->is_shared = store->is_shared;
	g_strlcpy(ret_counts->id, store->id, sizeof ret_counts->id);
	memcpy(ret_counts->shown, store->shown, sizeof ret_counts->shown);
}

void notify_store_take_counts(NotifyStore *store, const NotifyCounts *counts)
{
	store->count = counts->count;
	store->unread = counts->unread;
	store->change = counts->change;
	store->newest = counts->newest;
	store->mark = counts->mark;
	store->is_shared = counts->is_shared;
	memcpy(store->shown, counts->shown, sizeof store->shown);
	if (!g_str_equal(store->id, counts->id)) {
		g_free(store->id);
		store->id = g_strdup(counts->id);
	}
}

void notify_store_keep(NotifyStore *store, guint capacity, guint days)
{
	store->capacity = MAX(capacity, 1);
	store->keep_days = days;
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

guint notify_store_shown(const NotifyStore *store, guint8 *ret_priority)
{
	guint n = 0;

	*ret_priority = 0;
	for (guint8 i = 0; i <= NOTIFY_PRIORITY_MAX; i++) {
		n += store->shown[i];
		if (store->shown[i])
			*ret_priority = i;
	}
	return n;
}

const char *notify_store_id(const NotifyStore *store)
{
	return store->id;
}

guint64 notify_store_newest(const NotifyStore *store)
{
	return store->newest;
}

guint64 notify_store_change(const NotifyStore *store)
{
	return store->change;
}

guint64 notify_store_mark(const NotifyStore *store)
{
	return store->mark;
}
