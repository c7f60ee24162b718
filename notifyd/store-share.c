/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/store-share.c - what the two devices tell each other of their events and outboxes, so that either can go on alone.
 *
 * Each asks for what came after the last it has, by the other's own numbers. A database that was begun anew has another id and is asked from its start.
 * The answer says up to where it is all, since the newest of something may be gone: who waited for that one would ask for ever.
 */
#include <string.h>

#include "store-events.h"

#define ROW_TEXT_BYTES (64 * 1024)
#define TELL_BYTES (90 * 1024) /* of events, and as much of rows; a value of a topic has 252 KiB */

typedef struct {
	NotifySeen after, upto;
	GPtrArray *events; /* of NotifyEvent* */
	GPtrArray *rows;   /* of OutboxRow* */
	GPtrArray *marks;  /* of GVariant */
	bool more;
} Telling;

static int read_events(NotifyStore *store, Telling *telling)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT " STORE_EVENT_COLUMNS " FROM events WHERE origin = 0 AND id > ? ORDER BY id", "i",
				 (gint64)telling->after.event);
	gsize size = 0;

	while (code == SQLITE_OK && size < TELL_BYTES && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		NotifyEvent *event = store_read_event(statement);

		g_ptr_array_add(telling->events, event);
		telling->upto.event = event->id;
		size += notify_event_size(event);
		code = SQLITE_OK;
	}
	telling->more |= code == SQLITE_OK;
	if (code != SQLITE_DONE)
		return code;
	telling->upto.event = MAX(telling->after.event, store->newest);
	return SQLITE_OK;
}

static int read_rows(NotifyStore *store, Telling *telling)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT " STORE_ROW_COLUMNS " FROM outbox WHERE change > ? ORDER BY change", "i",
				 (gint64)telling->after.change);
	gsize size = 0;

	while (code == SQLITE_OK && size < TELL_BYTES && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		OutboxRow *row = store_read_row(statement);

		g_ptr_array_add(telling->rows, row);
		telling->upto.change = row->change;
		size += 512 + strlen(row->text) + strlen(row->words);
		code = SQLITE_OK;
	}
	telling->more |= code == SQLITE_OK;
	if (code != SQLITE_DONE)
		return code;
	telling->upto.change = MAX(telling->after.change, store->change);
	return SQLITE_OK;
}

static int tell(NotifyStore *store, gpointer data)
{
	Telling *telling = data;
	int code;

	g_ptr_array_set_size(telling->events, 0);
	g_ptr_array_set_size(telling->rows, 0);
	g_ptr_array_set_size(telling->marks, 0);
	telling->upto = telling->after;
	telling->more = false;
	code = read_events(store, telling);
	/* A mark comes after its event. */
	if (code == SQLITE_OK && !telling->more)
		code = store_tell_marks(store, telling->after.mark, telling->marks, &telling->upto.mark, &telling->more);
	return code == SQLITE_OK ? read_rows(store, telling) : code;
}

static GVariant *event_out(const NotifyEvent *event)
{
	return g_variant_new("(tbxyssssssbb)", event->id, event->read, event->time_ms, event->priority, event->application, event->name, event->description,
			     event->reference, event->device, event->about ? event->about : "", event->shown, event->recovery);
}

static GVariant *row_out(const OutboxRow *row)
{
	return g_variant_new("(tss^assuybbuxxxss)", row->change, row->message, row->target, row->to, row->owner, row->hand, (guint8)row->state, row->refused,
			     row->about, row->attempts, row->created_ms, row->due_ms, row->done_ms, row->words, row->text);
}

#define EVENT_TYPE "(tbxyssssssbb)"
#define ROW_TYPE   "(tssassuybbuxxxss)"

GVariant *notify_store_tell(NotifyStore *store, const NotifySeen *after, GError **error)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free);
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_row_free);
	g_autoptr(GPtrArray) marks = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	const NotifySeen from = { MIN(after->event, G_MAXINT64), MIN(after->change, G_MAXINT64), MIN(after->mark, G_MAXINT64) };
	Telling telling = { .after = from, .events = events, .rows = rows, .marks = marks };
	GVariantBuilder builder, list;

	if (!store_read(store, tell, &telling, "reading for the other device", error))
		return NULL;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "store", g_variant_new_string(store->id));
	g_variant_builder_init(&list, G_VARIANT_TYPE("a" EVENT_TYPE));
	for (guint i = 0; i < events->len; i++)
		g_variant_builder_add_value(&list, event_out(events->pdata[i]));
	g_variant_builder_add(&builder, "{sv}", "events", g_variant_builder_end(&list));
	g_variant_builder_init(&list, G_VARIANT_TYPE("a" ROW_TYPE));
	for (guint i = 0; i < rows->len; i++)
		g_variant_builder_add_value(&list, row_out(rows->pdata[i]));
	g_variant_builder_add(&builder, "{sv}", "rows", g_variant_builder_end(&list));
	g_variant_builder_add(&builder, "{sv}", "marks", g_variant_new_array(G_VARIANT_TYPE(STORE_MARK_TYPE), (GVariant *const *)marks->pdata, marks->len));
	g_variant_builder_add(&builder, "{sv}", "event", g_variant_new_uint64(telling.upto.event));
	g_variant_builder_add(&builder, "{sv}", "change", g_variant_new_uint64(telling.upto.change));
	g_variant_builder_add(&builder, "{sv}", "mark", g_variant_new_uint64(telling.upto.mark));
	g_variant_builder_add(&builder, "{sv}", "more", g_variant_new_boolean(telling.more));
	return g_variant_builder_end(&builder);
}

/* ---- Learning ---- */

int store_remember(NotifyStore *store, const char *key, const char *value)
{
	return store_run(store, "INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", "ss", key, value);
}

int store_recall(NotifyStore *store, const char *key, char **ret_value)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT value FROM meta WHERE key = ?", "s", key);

	*ret_value = NULL;
	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	*ret_value = g_strdup(code == SQLITE_ROW ? store_text(statement, 0) : "");
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static guint64 number(char **parts, guint i)
{
	return i < g_strv_length(parts) ? MIN(g_ascii_strtoull(parts[i], NULL, 10), G_MAXINT64) : 0;
}

/* "store event change mark"; the version before this one knew no mark. */
static int seen(NotifyStore *store, char **ret_store, NotifySeen *ret_seen)
{
	g_autofree char *value = NULL;
	int code = store_recall(store, "peer", &value);
	g_auto(GStrv) parts = g_strsplit(value ? value : "", " ", 4);

	*ret_store = g_strdup(*parts ? *parts : "");
	*ret_seen = (NotifySeen){ number(parts, 1), number(parts, 2), number(parts, 3) };
	return code;
}

int store_peer(NotifyStore *store, char **ret_store, guint64 *ret_event)
{
	NotifySeen until;
	int code = seen(store, ret_store, &until);

	*ret_event = until.event;
	return code;
}

static int seen_of(NotifyStore *store, const char *peer_store, NotifySeen *ret_seen)
{
	g_autofree char *known = NULL;
	int code = seen(store, &known, ret_seen);

	if (g_strcmp0(known, peer_store) != 0)
		*ret_seen = (NotifySeen){ 0 };
	return code;
}

typedef struct {
	const char *peer_store;
	NotifySeen seen;
	GVariant *told, *events, *rows, *marks;
	NotifyLearnt *learnt;
	const char *key, *value;
	char *recalled;
} Learning;

static int read_seen(NotifyStore *store, gpointer data)
{
	Learning *learning = data;

	return seen_of(store, learning->peer_store, &learning->seen);
}

bool notify_store_seen(NotifyStore *store, const char *peer_store, NotifySeen *ret_seen, GError **error)
{
	Learning learning = { .peer_store = peer_store };

	if (!store_read(store, read_seen, &learning, "reading what the other device told", error))
		return false;
	*ret_seen = learning.seen;
	return true;
}

/* One of the other device is checked as one of anybody: it ends on the same terminals. */
static int learn_event(NotifyStore *store, Learning *learning, GVariant *told)
{
	const char *application, *name, *description, *reference, *device, *about;
	gboolean read, shown, recovery;
	guint64 origin, id = 0;
	gint64 time_ms;
	guint8 priority;
	int code;

	g_variant_get(told, "(tbxy&s&s&s&s&s&sbb)", &origin, &read, &time_ms, &priority, &application, &name, &description, &reference, &device, &about,
		      &shown, &recovery);
	g_autoptr(NotifyEvent) event = notify_event_new(application, name, priority, description, reference, device, time_ms);

	event->read = read;
	event->shown = shown;
	event->recovery = recovery;
	event->about = *about ? g_strdup(about) : NULL;
	learning->seen.event = MAX(learning->seen.event, MIN(origin, G_MAXINT64));
	if (origin == 0 || origin > G_MAXINT64 || !notify_event_check(event, NULL))
		return SQLITE_OK;
	code = store_insert_event(store, event, learning->peer_store, origin, &id);
	if (code == SQLITE_DONE)
		return SQLITE_OK;
	event->id = id;
	if (code == SQLITE_OK)
		g_ptr_array_add(learning->learnt->events, g_steal_pointer(&event));
	return code;
}

static OutboxRow *row_in(GVariant *told)
{
	OutboxRow *row = g_new0(OutboxRow, 1);
	gboolean refused, about;
	guint8 state;

	g_variant_get(told, "(tss^assuybbuxxxss)", &row->change, &row->message, &row->target, &row->to, &row->owner, &row->hand, &state, &refused, &about,
		      &row->attempts, &row->created_ms, &row->due_ms, &row->done_ms, &row->words, &row->text);
	row->state = (OutboxState)MIN(state, OUTBOX_N_STATES - 1);
	row->refused = refused;
	row->about = about;
	return row;
}

static int learn_row(NotifyStore *store, Learning *learning, GVariant *told)
{
	g_autoptr(OutboxRow) there = row_in(told), here = NULL;
	g_autoptr(StoreStatement) statement = NULL;
	g_autofree char *recipients = g_strjoinv("\n", there->to);
	int code = store_prepare(store, &statement, "SELECT " STORE_ROW_COLUMNS " FROM outbox WHERE message = ?", "s", there->message);

	learning->seen.change = MAX(learning->seen.change, MIN(there->change, G_MAXINT64));
	if (code != SQLITE_OK || !g_uuid_string_is_valid(there->message) || !*there->target || strlen(there->text) > ROW_TEXT_BYTES)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_DONE) {
		there->event = 0;
		return store_insert_row(store, there);
	}
	if (code != SQLITE_ROW)
		return code;
	here = store_read_row(statement);
	if (!outbox_takes(here, there))
		return SQLITE_OK;
	return store_run(store,
			 "UPDATE outbox SET recipients = ?, text = ?, owner = ?, hand = ?, state = ?, refused = ?, attempts = ?, due_ms = ?, done_ms = ?,"
			 " words = ?, change = ? WHERE message = ?",
			 "sssiiiiiisis", recipients, there->text, there->owner, (gint64)there->hand, (gint64)there->state, (gint64)there->refused,
			 (gint64)there->attempts, there->due_ms, there->done_ms, there->words, (gint64)++store->change, there->message);
}

/* It has told us everything up to there. */
static void see(Learning *learning)
{
	NotifySeen *seen = &learning->seen, told = *seen;

	(void)g_variant_lookup(learning->told, "event", "t", &told.event);
	(void)g_variant_lookup(learning->told, "change", "t", &told.change);
	(void)g_variant_lookup(learning->told, "mark", "t", &told.mark);
	*seen = (NotifySeen){ MAX(seen->event, MIN(told.event, G_MAXINT64)), MAX(seen->change, MIN(told.change, G_MAXINT64)),
			      MAX(seen->mark, MIN(told.mark, G_MAXINT64)) };
}

static int learn(NotifyStore *store, gpointer data)
{
	Learning *learning = data;
	g_autofree char *value = NULL;
	int code = seen_of(store, learning->peer_store, &learning->seen);

	g_ptr_array_set_size(learning->learnt->events, 0);
	for (gsize i = 0; code == SQLITE_OK && i < g_variant_n_children(learning->events); i++) {
		g_autoptr(GVariant) each = g_variant_get_child_value(learning->events, i);

		code = learn_event(store, learning, each);
	}
	for (gsize i = 0; code == SQLITE_OK && i < g_variant_n_children(learning->rows); i++) {
		g_autoptr(GVariant) each = g_variant_get_child_value(learning->rows, i);

		code = learn_row(store, learning, each);
	}
	if (code == SQLITE_OK)
		code = store_learn_marks(store, learning->marks, learning->learnt);
	see(learning);
	value = g_strdup_printf("%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, learning->peer_store, learning->seen.event,
				learning->seen.change, learning->seen.mark);
	if (code == SQLITE_OK)
		code = store_remember(store, "peer", value);
	return code == SQLITE_OK ? store_drop_old(store, g_get_real_time() / 1000) : code;
}

bool notify_store_learn(NotifyStore *store, GVariant *told, NotifyLearnt *ret_learnt, GError **error)
{
	g_autoptr(GVariant) events = g_variant_lookup_value(told, "events", G_VARIANT_TYPE("a" EVENT_TYPE));
	g_autoptr(GVariant) rows = g_variant_lookup_value(told, "rows", G_VARIANT_TYPE("a" ROW_TYPE));
	g_autoptr(GVariant) marks = g_variant_lookup_value(told, "marks", G_VARIANT_TYPE("a" STORE_MARK_TYPE));
	g_auto(NotifyLearnt) learnt = { .events = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free) };
	Learning learning = { .told = told, .events = events, .rows = rows, .marks = marks, .learnt = &learnt };
	gboolean more = FALSE;

	if (!events || !rows || !g_variant_lookup(told, "store", "&s", &learning.peer_store) || !*learning.peer_store ||
	    strlen(learning.peer_store) > 64 || strchr(learning.peer_store, ' ')) {
		g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID, "told: store (s), events and rows are missing or of another type");
		return false;
	}
	(void)g_variant_lookup(told, "more", "b", &more);
	if (!store_transact(store, learn, &learning, "storing what the other device told", error))
		return false;
	/* An answer that brings nothing new is the last one, whatever it says. */
	learnt.more = more && (g_variant_n_children(events) > 0 || g_variant_n_children(rows) > 0 || (marks && g_variant_n_children(marks) > 0));
	*ret_learnt = learnt;
	learnt = (NotifyLearnt){ 0 };
	return true;
}

static int recall_one(NotifyStore *store, gpointer data)
{
	Learning *learning = data;

	g_clear_pointer(&learning->recalled, g_free);
	return store_recall(store, learning->key, &learning->recalled);
}

char *notify_store_remembered(NotifyStore *store, const char *key)
{
	Learning learning = { .key = key };
	g_autoptr(GError) error = NULL;

	if (!store_read(store, recall_one, &learning, "reading what was remembered", &error))
		g_warning("%s", error->message);
	return learning.recalled ? learning.recalled : g_strdup("");
}

static int remember_one(NotifyStore *store, gpointer data)
{
	Learning *learning = data;

	return store_remember(store, learning->key, learning->value);
}

bool notify_store_remember(NotifyStore *store, const char *key, const char *value, GError **error)
{
	Learning learning = { .key = key, .value = value };

	return store_transact(store, remember_one, &learning, "remembering", error);
}
