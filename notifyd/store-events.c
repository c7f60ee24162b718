/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/store-events.c - events in the store: several in one transaction, pages, the oldest that go. */
#include <string.h>

#include "store-events.h"

#define LIST_MAX_BYTES (3 << 20) /* the binding sends 4 MiB at most; a page shows far less */
#define DAY_MS         (24 * 3600 * 1000LL)
#define KEPT_PART      10 /* of what is kept, the newest part of either device's numbers */
#define FEW            1000 /* events that may be sorted for a page */

/* Within a transaction. SQLITE_DONE: it was known. */
int store_insert_event(NotifyStore *store, const NotifyEvent *event, const char *origin_store, guint64 origin, guint64 *ret_id)
{
	int code = store_run(store,
			     "INSERT INTO events(time_ms, priority, application, name, description, reference, device, key, shown, read,"
			     " about, recovery, origin_store, origin) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			     "iissssssiisisi", event->time_ms, (gint64)event->priority, event->application, event->name, event->description,
			     event->reference, event->device, event->key, (gint64)event->shown, (gint64)event->read, event->about, (gint64)event->recovery, origin_store,
			     (gint64)origin);

	/* Not RETURNING id: for that SQLite makes a table of its own, each time. */
	if (code != SQLITE_OK || sqlite3_changes(store->db) == 0)
		return code == SQLITE_OK ? SQLITE_DONE : code;
	*ret_id = (guint64)sqlite3_last_insert_rowid(store->db);
	store->count++;
	store->unread += !event->read;
	store->shown[MIN(event->priority, NOTIFY_PRIORITY_MAX)] += event->shown && !event->read;
	if (origin == 0)
		store->newest = *ret_id;
	return SQLITE_OK;
}

static int find_key(NotifyStore *store, const char *key, guint64 *ret_id)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT id FROM events WHERE key = ?", "s", key);

	*ret_id = 0;
	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_id = (guint64)sqlite3_column_int64(statement, 0);
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

void store_uncount(NotifyStore *store, sqlite3_stmt *row, int priority_column, int shown_column)
{
	store->unread--;
	if (sqlite3_column_int(row, shown_column))
		store->shown[CLAMP(sqlite3_column_int(row, priority_column), 0, NOTIFY_PRIORITY_MAX)]--;
}

/* Takes @statement over. */
static int drop(NotifyStore *store, StoreStatement *statement)
{
	g_autoptr(StoreStatement) rows = statement;
	int code;

	while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
		store->count--;
		if (!sqlite3_column_int(rows, 0))
			store_uncount(store, rows, 1, 2);
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

/*
 * What happened first goes first, wherever it was raised; of what happened at once, in an order that is the same on both devices. But the newest of
 * either device's numbers stay whatever their time says, because clocks may be wrong.
 */
static int drop_most(NotifyStore *store, guint n)
{
	guint64 stays = store->capacity / KEPT_PART, peer_newest = 0;
	g_autofree char *peer = NULL;
	StoreStatement *statement = NULL;
	int code = store_peer(store, &peer, &peer_newest);

	if (code == SQLITE_OK)
		code = store_prepare(store, &statement,
				     "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE NOT (origin = 0 AND id > ?) AND NOT (origin > ? AND origin_store = ?)"
				     " ORDER BY time_ms, device, CASE origin WHEN 0 THEN id ELSE origin END LIMIT ?) RETURNING read, priority, shown",
				     "iisi", (gint64)(store->newest - MIN(stays, store->newest)), (gint64)(peer_newest - MIN(stays, peer_newest)), peer, (gint64)n);
	return code == SQLITE_OK ? drop(store, statement) : code;
}

int store_drop_old(NotifyStore *store, gint64 now_ms)
{
	StoreStatement *statement = NULL;
	int code = SQLITE_OK;

	if (store->count > store->capacity)
		code = drop_most(store, store->count - store->capacity);
	/* What is old goes a hundred at a time. */
	if (code == SQLITE_OK && store->keep_days) {
		code = store_prepare(store, &statement,
				     "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time_ms < ? ORDER BY time_ms LIMIT 100) RETURNING read, priority, shown",
				     "i", now_ms - store->keep_days * DAY_MS);
		if (code == SQLITE_OK)
			code = drop(store, statement);
	}
	return code;
}

typedef struct {
	NotifyNew *news;
	gsize n_news;
} Adding;

static int add_all(NotifyStore *store, gpointer data)
{
	Adding *adding = data;
	int code = SQLITE_OK;

	for (gsize i = 0; code == SQLITE_OK && i < adding->n_news; i++) {
		NotifyNew *each = &adding->news[i];

		each->ret_added = true;
		code = store_insert_event(store, each->event, "", 0, &each->ret_id);
		if (code == SQLITE_DONE) {
			each->ret_added = false;
			code = find_key(store, each->event->key, &each->ret_id);
			if (code == SQLITE_OK && each->ret_id == 0)
				code = SQLITE_CORRUPT; /* the index has a row the table has not */
			continue;
		}
		for (guint k = 0; code == SQLITE_OK && each->rows && k < each->rows->len; k++) {
			OutboxRow *row = each->rows->pdata[k];

			row->event = each->ret_id;
			code = store_insert_row(store, row);
		}
	}
	return code == SQLITE_OK ? store_drop_old(store, g_get_real_time() / 1000) : code;
}

bool notify_store_add_all(NotifyStore *store, NotifyNew *news, gsize n_news, GError **error)
{
	Adding adding = { news, n_news };

	return store_transact(store, add_all, &adding, "storing an event", error);
}

bool notify_store_add(NotifyStore *store, const NotifyEvent *event, guint64 *ret_id, bool *ret_added, GError **error)
{
	NotifyNew one = { .event = (NotifyEvent *)event };

	if (!notify_store_add_all(store, &one, 1, error))
		return false;
	*ret_id = one.ret_id;
	*ret_added = one.ret_added;
	return true;
}

typedef struct {
	const char *key;
	guint64 *ret_id;
} Finding;

static int find(NotifyStore *store, gpointer data)
{
	Finding *finding = data;

	return find_key(store, finding->key, finding->ret_id);
}

bool notify_store_find_key(NotifyStore *store, const char *key, guint64 *ret_id, GError **error)
{
	Finding finding = { key, ret_id };

	return store_read(store, find, &finding, "looking for a key", error);
}

/* ---- Pages ---- */

NotifyEvent *store_read_event(sqlite3_stmt *row)
{
	NotifyEvent *event = notify_event_new(store_text(row, 4), store_text(row, 5), (guint8)sqlite3_column_int(row, 3), store_text(row, 6),
					      store_text(row, 7), store_text(row, 8), sqlite3_column_int64(row, 2));

	event->id = (guint64)sqlite3_column_int64(row, 0);
	event->read = sqlite3_column_int(row, 1) != 0;
	event->shown = sqlite3_column_int(row, 9) != 0;
	event->ack_ms = sqlite3_column_int64(row, 10);
	event->ack_by = g_strdup(store_text(row, 11));
	event->about = g_strdup((const char *)sqlite3_column_text(row, 12));
	event->recovery = sqlite3_column_int(row, 13) != 0;
	return event;
}

static int bind_value(sqlite3_stmt *statement, int index, GVariant *value)
{
	if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT64))
		return sqlite3_bind_int64(statement, index, g_variant_get_int64(value));
	return sqlite3_bind_text(statement, index, g_variant_get_string(value, NULL), -1, SQLITE_STATIC);
}

typedef struct {
	const NotifyFilter *filter;
	GPtrArray *events;
} Listing;

/* Times grow with the ids, nearly: where many are as new, the newest ids are among them; where few are, their index finds them. */
static int look_at_time(NotifyStore *store, NotifyFilter *filter)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code;

	filter->few_since = false;
	if (filter->since_ms == G_MININT64)
		return SQLITE_OK;
	code = store_prepare(store, &statement, "SELECT count(*) FROM (SELECT 1 FROM events WHERE time_ms >= ? LIMIT ?)", "ii", filter->since_ms,
			     (gint64)FEW);
	if (code != SQLITE_OK || (code = sqlite3_step(statement)) != SQLITE_ROW)
		return code;
	filter->few_since = sqlite3_column_int(statement, 0) < FEW;
	return SQLITE_OK;
}

static int list(NotifyStore *store, gpointer data)
{
	Listing *listing = data;
	NotifyFilter filter = *listing->filter;
	int code = look_at_time(store, &filter);
	if (code != SQLITE_OK)
		return code;

	g_autoptr(GPtrArray) values = NULL;
	g_autofree char *where = notify_filter_sql(&filter, &values);
	g_autofree char *sql = g_strdup_printf("SELECT " STORE_EVENT_COLUMNS " FROM events %s ORDER BY id DESC LIMIT ?", where);
	g_autoptr(sqlite3_stmt) statement = NULL;
	gsize size = 0;

	code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
	g_ptr_array_set_size(listing->events, 0);
	for (guint i = 0; code == SQLITE_OK && i < values->len; i++)
		code = bind_value(statement, (int)i + 1, values->pdata[i]);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, (int)values->len + 1, listing->filter->count);
	while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		NotifyEvent *event = store_read_event(statement);

		g_ptr_array_add(listing->events, event);
		size += notify_event_size(event);
		if (size > (filter.bytes ? filter.bytes : LIST_MAX_BYTES))
			return SQLITE_OK;
		code = SQLITE_OK;
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

GPtrArray *notify_store_list(NotifyStore *store, const NotifyFilter *filter, GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free);
	Listing listing = { filter, events };

	return store_read(store, list, &listing, "reading events", error) ? g_steal_pointer(&events) : NULL;
}

typedef struct {
	gint64 least, most;
} Range;

static int range(NotifyStore *store, gpointer data)
{
	Range *found = data;
	int code = store_int(store, "SELECT coalesce(min(id), 0) FROM events", &found->least);

	return code == SQLITE_OK ? store_int(store, "SELECT coalesce(max(id), 0) FROM events", &found->most) : code;
}

bool notify_store_range(NotifyStore *store, guint64 *ret_least, guint64 *ret_most, GError **error)
{
	Range found = { 0 };

	if (!store_read(store, range, &found, "reading events", error))
		return false;
	*ret_least = (guint64)found.least;
	*ret_most = (guint64)found.most;
	return true;
}
