/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/store-events.c - events in the store: several in one transaction, pages, read and acknowledged. */
#include <string.h>

#include "store-events.h"

#define LIST_MAX_BYTES (3 << 20) /* the binding sends 4 MiB at most; a page shows far less */
#define DAY_MS         (24 * 3600 * 1000LL)

/* Within a transaction. SQLITE_DONE: it was known. */
int store_insert_event(NotifyStore *store, const NotifyEvent *event, const char *origin_store, guint64 origin, guint64 *ret_id)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = store_prepare(store, &statement,
				 "INSERT INTO events(time_ms, priority, application, name, description, reference, device, key, shown, read,"
				 " about, recovery, origin_store, origin) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
				 "iissssssiisisi", event->time_ms, (gint64)event->priority, event->application, event->name, event->description,
				 event->reference, event->device, event->key, (gint64)event->shown, (gint64)event->read, event->about, (gint64)event->recovery, origin_store,
				 (gint64)origin);

	if (code != SQLITE_OK || (code = sqlite3_step(statement)) != SQLITE_ROW)
		return code;
	*ret_id = (guint64)sqlite3_column_int64(statement, 0);
	code = sqlite3_step(statement);
	if (code != SQLITE_DONE)
		return code;
	store->count++;
	store->unread += !event->read;
	store->shown[MIN(event->priority, NOTIFY_PRIORITY_MAX)] += event->shown && !event->read;
	if (origin == 0)
		store->newest = *ret_id;
	return SQLITE_OK;
}

static int find_key(NotifyStore *store, const char *key, guint64 *ret_id)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT id FROM events WHERE key = ?", "s", key);

	*ret_id = 0;
	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_id = (guint64)sqlite3_column_int64(statement, 0);
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* What was unread and is not there any more, or read now. */
static void uncount(NotifyStore *store, sqlite3_stmt *row, int priority_column, int shown_column)
{
	store->unread--;
	if (sqlite3_column_int(row, shown_column))
		store->shown[CLAMP(sqlite3_column_int(row, priority_column), 0, NOTIFY_PRIORITY_MAX)]--;
}

static int drop(NotifyStore *store, const char *sql, gint64 value)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = store_prepare(store, &statement, sql, "i", value);

	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		store->count--;
		if (!sqlite3_column_int(statement, 0))
			uncount(store, statement, 1, 2);
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

int store_drop_old(NotifyStore *store, gint64 now_ms)
{
	int code = SQLITE_OK;

	if (store->count > store->capacity)
		code = drop(store, "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?) RETURNING read, priority, shown",
			    (gint64)store->count - store->capacity);
	/* Among the oldest only: what is old goes a hundred at a time, and where nothing is to go this looks at no more rows. */
	if (code == SQLITE_OK && store->keep_days)
		code = drop(store,
			    "DELETE FROM events WHERE id IN (SELECT id FROM (SELECT id, time_ms FROM events ORDER BY id LIMIT 100) WHERE time_ms < ?)"
			    " RETURNING read, priority, shown",
			    now_ms - store->keep_days * DAY_MS);
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

static int list(NotifyStore *store, gpointer data)
{
	Listing *listing = data;
	g_autoptr(GPtrArray) values = NULL;
	g_autofree char *where = notify_filter_sql(listing->filter, &values);
	g_autofree char *sql = g_strdup_printf("SELECT " STORE_EVENT_COLUMNS " FROM events %s ORDER BY id DESC LIMIT ?", where);
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);
	gsize size = 0;

	g_ptr_array_set_size(listing->events, 0);
	for (guint i = 0; code == SQLITE_OK && i < values->len; i++)
		code = bind_value(statement, (int)i + 1, values->pdata[i]);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, (int)values->len + 1, listing->filter->count);
	while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		NotifyEvent *event = store_read_event(statement);

		g_ptr_array_add(listing->events, event);
		size += notify_event_size(event);
		if (size > LIST_MAX_BYTES)
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

/* ---- Read, acknowledged ---- */

typedef struct {
	const guint64 *ids;
	gsize n_ids;
	const char *who; /* NULL: read, not acknowledged */
	gint64 now_ms;
	GArray *read, *acknowledged;
} Marking;

static void append(GArray *ids, sqlite3_stmt *row)
{
	guint64 id = (guint64)sqlite3_column_int64(row, 0);

	g_array_append_val(ids, id);
}

/* One row each, or all at once with @id NULL. */
static int mark(NotifyStore *store, const guint64 *id, GArray *changed)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = store_prepare(store, &statement,
				 id ? "UPDATE events SET read = 1 WHERE read = 0 AND id = ? RETURNING id, priority, shown"
				    : "UPDATE events SET read = 1 WHERE read = 0 RETURNING id, priority, shown",
				 id ? "i" : "", id && *id <= G_MAXINT64 ? (gint64)*id : (gint64)-1);

	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		append(changed, statement);
		uncount(store, statement, 1, 2);
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int acknowledge(NotifyStore *store, const Marking *marking, const guint64 *id)
{
	g_autoptr(sqlite3_stmt) statement = NULL;
	int code = store_prepare(store, &statement,
				 id ? "UPDATE events SET ack_ms = ?, ack_by = ? WHERE ack_ms = 0 AND id = ? RETURNING id"
				    : "UPDATE events SET ack_ms = ?, ack_by = ? WHERE ack_ms = 0 RETURNING id",
				 id ? "isi" : "is", marking->now_ms, marking->who, id && *id <= G_MAXINT64 ? (gint64)*id : (gint64)-1);

	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		append(marking->acknowledged, statement);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int mark_all(NotifyStore *store, gpointer data)
{
	Marking *marking = data;
	int code = SQLITE_OK;

	g_array_set_size(marking->read, 0);
	g_array_set_size(marking->acknowledged, 0);
	if (marking->n_ids == 0) {
		code = mark(store, NULL, marking->read);
		if (code == SQLITE_OK && marking->who)
			code = acknowledge(store, marking, NULL);
	}
	for (gsize i = 0; code == SQLITE_OK && i < marking->n_ids; i++) {
		code = mark(store, &marking->ids[i], marking->read);
		if (code == SQLITE_OK && marking->who)
			code = acknowledge(store, marking, &marking->ids[i]);
	}
	return code;
}

static int by_id(gconstpointer a, gconstpointer b)
{
	guint64 left = *(const guint64 *)a, right = *(const guint64 *)b;

	return left < right ? -1 : left > right;
}

static bool run_marking(NotifyStore *store, Marking *marking, GArray **ret_read, GArray **ret_acknowledged, GError **error)
{
	g_autoptr(GArray) read = g_array_new(FALSE, FALSE, sizeof(guint64)), acknowledged = g_array_new(FALSE, FALSE, sizeof(guint64));

	marking->read = read;
	marking->acknowledged = acknowledged;
	if (!store_transact(store, mark_all, marking, "marking events", error))
		return false;
	g_array_sort(read, by_id);
	g_array_sort(acknowledged, by_id);
	*ret_read = g_steal_pointer(&read);
	if (ret_acknowledged)
		*ret_acknowledged = g_steal_pointer(&acknowledged);
	return true;
}

bool notify_store_mark_read(NotifyStore *store, const guint64 *ids, gsize n_ids, GArray **ret_changed, GError **error)
{
	Marking marking = { .ids = ids, .n_ids = n_ids };

	return run_marking(store, &marking, ret_changed, NULL, error);
}

bool notify_store_acknowledge(NotifyStore *store, const guint64 *ids, gsize n_ids, const char *who, gint64 now_ms, GArray **ret_changed,
			      GArray **ret_read, GError **error)
{
	Marking marking = { .ids = ids, .n_ids = n_ids, .who = who, .now_ms = now_ms };

	return run_marking(store, &marking, ret_read, ret_changed, error);
}
