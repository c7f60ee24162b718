/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/store-marks.c - which events somebody has read or acknowledged, on either device.
 *
 * Each event that is marked gets a number of its own, above all that were given before: this transaction's base and the event's id. The other device asks
 * for what came after the last number that it has. Marks only come, they never go, so the order in which two devices hear of them does not
 * matter; where both acknowledged one event while they were apart, the earlier of the two counts on both.
 */
#include <string.h>

#include "store-events.h"

#define TELL_BYTES (30 * 1024) /* of marks in one answer, beside events and rows */
#define MARK_BYTES 80
#define WHO_CHARS  128

typedef struct {
	const guint64 *ids;
	gsize n_ids;
	const char *who; /* NULL: read, not acknowledged */
	gint64 now_ms;
	GArray *read, *acknowledged;
} Marking;

/* The numbers up to that of @id are given. */
static int give_numbers(NotifyStore *store, gint64 base, guint64 id)
{
	g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, (guint64)base + id);

	if (id == 0)
		return SQLITE_OK;
	store->mark = MAX(store->mark, (guint64)base + id);
	return store_remember(store, "mark", text);
}

static guint64 greatest(const GArray *ids, guint64 most)
{
	for (guint i = 0; i < ids->len; i++)
		most = MAX(most, g_array_index(ids, guint64, i));
	return most;
}

static void append(GArray *ids, sqlite3_stmt *row)
{
	guint64 id = (guint64)sqlite3_column_int64(row, 0);

	g_array_append_val(ids, id);
}

/* One row each, or all at once with @id NULL. */
static int mark(NotifyStore *store, gint64 base, const guint64 *id, GArray *changed)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement,
				 id ? "UPDATE events SET read = 1, mark = ? + id WHERE read = 0 AND id = ? RETURNING id, priority, shown"
				    : "UPDATE events SET read = 1, mark = ? + id WHERE read = 0 RETURNING id, priority, shown",
				 id ? "ii" : "i", base, id && *id <= G_MAXINT64 ? (gint64)*id : (gint64)-1);

	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		append(changed, statement);
		store_uncount(store, statement, 1, 2);
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int acknowledge(NotifyStore *store, gint64 base, const Marking *marking, const guint64 *id)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement,
				 id ? "UPDATE events SET ack_ms = ?, ack_by = ?, mark = ? + id WHERE ack_ms = 0 AND id = ? RETURNING id"
				    : "UPDATE events SET ack_ms = ?, ack_by = ?, mark = ? + id WHERE ack_ms = 0 RETURNING id",
				 id ? "isii" : "isi", marking->now_ms, marking->who, base, id && *id <= G_MAXINT64 ? (gint64)*id : (gint64)-1);

	if (code != SQLITE_OK)
		return code;
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		append(marking->acknowledged, statement);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int mark_all(NotifyStore *store, gpointer data)
{
	Marking *marking = data;
	gint64 base = (gint64)store->mark;
	int code = SQLITE_OK;

	g_array_set_size(marking->read, 0);
	g_array_set_size(marking->acknowledged, 0);
	if (marking->n_ids == 0) {
		code = mark(store, base, NULL, marking->read);
		if (code == SQLITE_OK && marking->who)
			code = acknowledge(store, base, marking, NULL);
	}
	for (gsize i = 0; code == SQLITE_OK && i < marking->n_ids; i++) {
		code = mark(store, base, &marking->ids[i], marking->read);
		if (code == SQLITE_OK && marking->who)
			code = acknowledge(store, base, marking, &marking->ids[i]);
	}
	return code == SQLITE_OK ? give_numbers(store, base, greatest(marking->acknowledged, greatest(marking->read, 0))) : code;
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

/* ---- The other device ---- */

int store_tell_marks(NotifyStore *store, guint64 after, GPtrArray *marks, guint64 *ret_upto, bool *ret_more)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement,
				 "SELECT mark, origin_store, CASE origin WHEN 0 THEN id ELSE origin END, read, ack_ms, ack_by FROM events"
				 " WHERE mark > 0 AND mark > ? ORDER BY mark",
				 "i", (gint64)MIN(after, G_MAXINT64));

	*ret_upto = after;
	for (gsize size = 0; code == SQLITE_OK && size < TELL_BYTES && (code = sqlite3_step(statement)) == SQLITE_ROW;) {
		const char *origin = store_text(statement, 1);

		*ret_upto = (guint64)sqlite3_column_int64(statement, 0);
		g_ptr_array_add(marks, g_variant_ref_sink(g_variant_new(STORE_MARK_TYPE, *ret_upto, *origin ? origin : store->id,
									(guint64)sqlite3_column_int64(statement, 2), sqlite3_column_int(statement, 3) != 0,
									sqlite3_column_int64(statement, 4), store_text(statement, 5))));
		size += MARK_BYTES + strlen(store_text(statement, 5));
		code = SQLITE_OK;
	}
	*ret_more |= code == SQLITE_OK;
	if (code != SQLITE_DONE)
		return code;
	*ret_upto = MAX(after, store->mark); /* those that are missing are gone */
	return SQLITE_OK;
}

/* It ends on terminals. */
static bool is_who(const char *who)
{
	for (const char *at = who; *at; at = g_utf8_next_char(at))
		if (g_unichar_iscntrl(g_utf8_get_char(at)))
			return false;
	return g_utf8_strlen(who, -1) <= WHO_CHARS;
}

static int find(NotifyStore *store, const char *origin_store, guint64 id, sqlite3_stmt **ret_row)
{
	if (g_str_equal(origin_store, store->id))
		return store_prepare(store, ret_row, "SELECT id, read, ack_ms, ack_by, priority, shown FROM events WHERE origin = 0 AND id = ?", "i", (gint64)id);
	return store_prepare(store, ret_row, "SELECT id, read, ack_ms, ack_by, priority, shown FROM events WHERE origin > 0 AND origin_store = ? AND origin = ?",
			     "si", origin_store, (gint64)id);
}

static void acknowledged_free(gpointer data)
{
	NotifyAcknowledged *acknowledged = data;

	g_free(acknowledged->who);
	g_free(acknowledged);
}

static int learn_mark(NotifyStore *store, gint64 base, GVariant *told, NotifyLearnt *learnt, guint64 *greatest_id)
{
	g_autoptr(StoreStatement) row = NULL;
	const char *origin_store, *who;
	guint64 number, origin, id;
	gboolean read;
	gint64 ack_ms;
	int code;

	g_variant_get(told, "(t&stbx&s)", &number, &origin_store, &origin, &read, &ack_ms, &who);
	if (origin == 0 || origin > G_MAXINT64 || ack_ms < 0 || !is_who(who))
		return SQLITE_OK;
	code = find(store, origin_store, origin, &row);
	if (code != SQLITE_OK || (code = sqlite3_step(row)) != SQLITE_ROW)
		return code == SQLITE_DONE ? SQLITE_OK : code; /* it has gone here, and soon will there */
	id = (guint64)sqlite3_column_int64(row, 0);
	gint64 here_ms = sqlite3_column_int64(row, 2);
	bool reads = read && !sqlite3_column_int(row, 1);
	bool acknowledges = ack_ms > 0 && (here_ms == 0 || ack_ms < here_ms || (ack_ms == here_ms && strcmp(who, store_text(row, 3)) < 0));
	if (!reads && !acknowledges)
		return SQLITE_OK;
	code = SQLITE_OK;
	if (reads) {
		store_uncount(store, row, 4, 5);
		append(learnt->read, row);
		code = store_run(store, "UPDATE events SET read = 1, mark = ? WHERE id = ?", "ii", base + (gint64)id, (gint64)id);
	}
	if (acknowledges && code == SQLITE_OK) {
		NotifyAcknowledged *one = g_new0(NotifyAcknowledged, 1);

		*one = (NotifyAcknowledged){ id, g_strdup(who) };
		g_ptr_array_add(learnt->acknowledged, one);
		code = store_run(store, "UPDATE events SET ack_ms = ?, ack_by = ?, mark = ? WHERE id = ?", "isii", ack_ms, who, base + (gint64)id, (gint64)id);
	}
	*greatest_id = MAX(*greatest_id, id);
	return code;
}

int store_learn_marks(NotifyStore *store, GVariant *marks, NotifyLearnt *learnt)
{
	gint64 base = (gint64)store->mark;
	guint64 greatest_id = 0;
	int code = SQLITE_OK;

	if (learnt->read)
		g_array_set_size(learnt->read, 0);
	else
		learnt->read = g_array_new(FALSE, FALSE, sizeof(guint64));
	if (!learnt->acknowledged)
		learnt->acknowledged = g_ptr_array_new_with_free_func(acknowledged_free);
	g_ptr_array_set_size(learnt->acknowledged, 0);
	for (gsize i = 0; marks && code == SQLITE_OK && i < g_variant_n_children(marks); i++) {
		g_autoptr(GVariant) each = g_variant_get_child_value(marks, i);

		code = learn_mark(store, base, each, learnt, &greatest_id);
	}
	return code == SQLITE_OK ? give_numbers(store, base, greatest_id) : code;
}

void notify_learnt_clear(NotifyLearnt *learnt)
{
	g_clear_pointer(&learnt->events, g_ptr_array_unref);
	g_clear_pointer(&learnt->read, g_array_unref);
	g_clear_pointer(&learnt->acknowledged, g_ptr_array_unref);
}
