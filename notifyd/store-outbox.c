/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/store-outbox.c - the rows of the outbox and the log of their attempts. */
#include <string.h>

#include "store-events.h"

#define LOG_MAX        10000 /* lines */
#define DONE_MAX       10000 /* rows that are done */
#define LOG_SHOWN      10    /* lines of one row */
#define DELIVERIES_MAX 1000  /* rows in one answer */
#define ROW_BYTES      420   /* of a row in an answer, but for its texts */
#define ANSWER_BYTES   40    /* of one of its answers, the same */

static char *join(char **list)
{
	return g_strjoinv("\n", list);
}

OutboxRow *store_read_row(sqlite3_stmt *row)
{
	OutboxRow *read = g_new0(OutboxRow, 1);
	const char *recipients = store_text(row, 4);

	read->id = (guint64)sqlite3_column_int64(row, 0);
	read->message = g_strdup(store_text(row, 1));
	read->event = (guint64)sqlite3_column_int64(row, 2);
	read->target = g_strdup(store_text(row, 3));
	read->to = *recipients ? g_strsplit(recipients, "\n", -1) : g_new0(char *, 1);
	read->text = g_strdup(store_text(row, 5));
	read->owner = g_strdup(store_text(row, 6));
	read->hand = (guint)sqlite3_column_int(row, 7);
	read->state = (OutboxState)CLAMP(sqlite3_column_int(row, 8), 0, OUTBOX_N_STATES - 1);
	read->refused = sqlite3_column_int(row, 9) != 0;
	read->about = sqlite3_column_int(row, 10) != 0;
	read->attempts = (guint)sqlite3_column_int(row, 11);
	read->created_ms = sqlite3_column_int64(row, 12);
	read->due_ms = sqlite3_column_int64(row, 13);
	read->done_ms = sqlite3_column_int64(row, 14);
	read->words = g_strdup(store_text(row, 15));
	read->change = (guint64)sqlite3_column_int64(row, 16);
	return read;
}

static int count_waiting(NotifyStore *store, const char *target, guint *ret_n)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT count(*) FROM outbox WHERE state = 0 AND target = ?", "s", target);

	if (code != SQLITE_OK || (code = sqlite3_step(statement)) != SQLITE_ROW)
		return code;
	*ret_n = (guint)sqlite3_column_int64(statement, 0);
	return SQLITE_OK;
}

static int add_log(NotifyStore *store, gint64 now_ms, const char *message, const char *recipient, const char *outcome, const char *words)
{
	int code = store_run(store, "INSERT INTO log(time_ms, message, recipient, outcome, words) VALUES(?, ?, ?, ?, ?)", "issss", now_ms, message,
			     recipient, outcome, words);

	if (code == SQLITE_OK)
		code = store_run(store, "DELETE FROM log WHERE id <= (SELECT max(id) FROM log) - ?", "i", (gint64)LOG_MAX);
	return code;
}

int store_insert_row(NotifyStore *store, OutboxRow *row)
{
	g_autofree char *recipients = join(row->to);
	guint waiting = 0;
	int code = count_waiting(store, row->target, &waiting);

	if (code != SQLITE_OK)
		return code;
	if (row->state == OUTBOX_WAITING && waiting >= OUTBOX_TARGET_MAX) {
		row->state = OUTBOX_EXPIRED;
		row->done_ms = row->created_ms;
		g_free(row->words);
		row->words = g_strdup_printf("not queued: %d wait for this target already", OUTBOX_TARGET_MAX);
	}
	row->change = ++store->change;
	code = store_run(store,
			 "INSERT INTO outbox(message, event, target, recipients, text, owner, hand, state, refused, about, attempts, created_ms, due_ms,"
			 " done_ms, words, change) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			 "sissssiiiiiiiisi", row->message, (gint64)row->event, row->target, recipients,
			 row->state == OUTBOX_WAITING ? row->text : "", row->owner, (gint64)row->hand, (gint64)row->state, (gint64)row->refused,
			 (gint64)row->about, (gint64)row->attempts, row->created_ms, row->due_ms, row->done_ms, row->words, (gint64)row->change);
	if (code == SQLITE_OK)
		row->id = (guint64)sqlite3_last_insert_rowid(store->db);
	if (code == SQLITE_OK)
		code = store_run(store, "DELETE FROM outbox WHERE id <= (SELECT max(id) FROM outbox) - ? AND state <> 0", "i", (gint64)DONE_MAX);
	return code;
}

static int add_rows(NotifyStore *store, gpointer data)
{
	GPtrArray *rows = data;
	int code = SQLITE_OK;

	for (guint i = 0; code == SQLITE_OK && i < rows->len; i++)
		code = store_insert_row(store, rows->pdata[i]);
	return code;
}

bool notify_store_add_rows(NotifyStore *store, GPtrArray *rows, GError **error)
{
	return store_transact(store, add_rows, rows, "storing what is to be told", error);
}

/* ---- What is due ---- */

typedef struct {
	const char *target, *owner;
	OutboxRow *row;
	GPtrArray *names;
	guint *ret_n;
} Looking;

static int next(NotifyStore *store, gpointer data)
{
	Looking *looking = data;
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement,
				 "SELECT " STORE_ROW_COLUMNS " FROM outbox WHERE state = 0 AND target = ? AND owner = ? ORDER BY due_ms, id LIMIT 1", "ss",
				 looking->target, looking->owner);

	g_clear_pointer(&looking->row, outbox_row_free);
	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		looking->row = store_read_row(statement);
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

bool notify_store_next(NotifyStore *store, const char *target, const char *owner, OutboxRow **ret_row, GError **error)
{
	Looking looking = { .target = target, .owner = owner };

	if (!store_read(store, next, &looking, "reading the outbox", error))
		return false;
	*ret_row = looking.row;
	return true;
}

static int targets(NotifyStore *store, gpointer data)
{
	Looking *looking = data;
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT DISTINCT target FROM outbox WHERE state = 0 AND owner = ?", "s", looking->owner);

	g_ptr_array_set_size(looking->names, 0);
	while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		g_ptr_array_add(looking->names, g_strdup(store_text(statement, 0)));
		code = SQLITE_OK;
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

char **notify_store_targets(NotifyStore *store, const char *owner, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	Looking looking = { .owner = owner, .names = names };

	if (!store_read(store, targets, &looking, "reading the outbox", error))
		return NULL;
	g_ptr_array_add(names, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

static int waiting_of(NotifyStore *store, gpointer data)
{
	Looking *looking = data;

	return count_waiting(store, looking->target, looking->ret_n);
}

bool notify_store_waiting(NotifyStore *store, const char *target, guint *ret_n, GError **error)
{
	Looking looking = { .target = target, .ret_n = ret_n };

	return store_read(store, waiting_of, &looking, "reading the outbox", error);
}

/* ---- What becomes of it ---- */

typedef struct {
	guint64 id;
	const char *target, *recipient, *words, *owner, *failed_of;
	OutboxOutcome outcome;
	OutboxState state;
	gint64 due_ms, now_ms, step_ms;
	guint n;
	bool begun;
} Change;

static int begin_attempt(NotifyStore *store, gpointer data)
{
	Change *change = data;
	int code = store_run(store, "UPDATE outbox SET attempts = attempts + 1, due_ms = ?, change = ? WHERE id = ? AND state = 0 AND owner = ?", "iiis",
			     change->due_ms, (gint64)(store->change + 1), (gint64)change->id, change->owner);

	change->begun = code == SQLITE_OK && sqlite3_changes(store->db) > 0;
	store->change += change->begun;
	return code;
}

bool notify_store_attempt(NotifyStore *store, guint64 id, const char *owner, gint64 due_ms, bool *ret_begun, GError **error)
{
	Change change = { .id = id, .owner = owner, .due_ms = due_ms };

	if (!store_transact(store, begin_attempt, &change, "noting an attempt", error))
		return false;
	*ret_begun = change.begun;
	return true;
}

static int row_of(NotifyStore *store, guint64 id, OutboxRow **ret_row)
{
	g_autoptr(StoreStatement) statement = NULL;
	int code = store_prepare(store, &statement, "SELECT " STORE_ROW_COLUMNS " FROM outbox WHERE id = ?", "i", (gint64)id);

	*ret_row = NULL;
	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret_row = store_read_row(statement);
	return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int put_row(NotifyStore *store, OutboxRow *row)
{
	g_autofree char *recipients = join(row->to);

	row->change = ++store->change;
	return store_run(store,
			 "UPDATE outbox SET recipients = ?, text = ?, owner = ?, hand = ?, state = ?, refused = ?, attempts = ?, due_ms = ?, done_ms = ?,"
			 " words = ?, change = ? WHERE message = ?",
			 "sssiiiiiisis", recipients, row->state == OUTBOX_WAITING ? row->text : "", row->owner, (gint64)row->hand, (gint64)row->state,
			 (gint64)row->refused, (gint64)row->attempts, row->due_ms, row->done_ms, row->words, (gint64)row->change, row->message);
}

static bool remove_recipient(OutboxRow *row, const char *recipient)
{
	for (char **each = row->to; *each; each++) {
		if (!g_str_equal(*each, recipient))
			continue;
		g_free(*each);
		memmove(each, each + 1, (g_strv_length(each + 1) + 1) * sizeof *each);
		return true;
	}
	return false;
}

static int answer(NotifyStore *store, gpointer data)
{
	Change *change = data;
	g_autoptr(OutboxRow) row = NULL;
	int code = row_of(store, change->id, &row);

	change->n = row ? g_strv_length(row->to) : 0;
	if (code != SQLITE_OK || !row || row->state != OUTBOX_WAITING || !g_strv_contains((const char *const *)row->to, change->recipient))
		return code;
	code = add_log(store, change->now_ms, row->message, change->recipient, outbox_outcomes[change->outcome], change->words);
	if (change->outcome != OUTBOX_RETRY) {
		(void)remove_recipient(row, change->recipient);
		row->refused |= change->outcome == OUTBOX_REFUSES;
	}
	change->n = g_strv_length(row->to);
	if (change->n == 0) {
		row->state = row->refused ? OUTBOX_REFUSED : OUTBOX_DELIVERED;
		row->done_ms = change->now_ms;
	}
	g_free(row->words);
	row->words = g_strdup(change->words);
	return code == SQLITE_OK ? put_row(store, row) : code;
}

bool notify_store_answer(NotifyStore *store, guint64 id, const char *recipient, OutboxOutcome outcome, const char *words, gint64 now_ms,
			 guint *ret_left, GError **error)
{
	Change change = { .id = id, .recipient = recipient, .outcome = outcome, .words = words, .now_ms = now_ms };

	if (!store_transact(store, answer, &change, "noting an answer", error))
		return false;
	*ret_left = change.n;
	return true;
}

static int settle(NotifyStore *store, gpointer data)
{
	Change *change = data;
	g_autoptr(OutboxRow) row = NULL;
	int code = row_of(store, change->id, &row);

	if (code != SQLITE_OK || !row || row->state != OUTBOX_WAITING)
		return code;
	row->state = change->state;
	row->due_ms = change->due_ms;
	if (change->state != OUTBOX_WAITING)
		row->done_ms = change->now_ms;
	if (change->words) {
		g_free(row->words);
		row->words = g_strdup(change->words);
		code = add_log(store, change->now_ms, row->message, "", outbox_states[change->state], change->words);
	}
	return code == SQLITE_OK ? put_row(store, row) : code;
}

bool notify_store_settle(NotifyStore *store, guint64 id, OutboxState state, gint64 due_ms, const char *words, gint64 now_ms, GError **error)
{
	Change change = { .id = id, .state = state, .due_ms = due_ms, .words = words, .now_ms = now_ms };

	return store_transact(store, settle, &change, "noting an attempt", error);
}

static int refuse(NotifyStore *store, gpointer data)
{
	Change *change = data;
	Looking looking = { .target = change->target, .owner = change->owner };
	int code;

	while ((code = next(store, &looking)) == SQLITE_OK && looking.row) {
		change->id = looking.row->id;
		change->due_ms = looking.row->due_ms;
		code = settle(store, change);
		if (code != SQLITE_OK)
			break;
	}
	outbox_row_free(looking.row);
	return code;
}

bool notify_store_refuse(NotifyStore *store, const char *target, const char *owner, const char *words, gint64 now_ms, GError **error)
{
	Change change = { .target = target, .owner = owner, .state = OUTBOX_REFUSED, .words = words, .now_ms = now_ms };

	return store_transact(store, refuse, &change, "refusing what is for nobody", error);
}

static int expire(NotifyStore *store, gpointer data)
{
	Change *change = data;
	/* A change number of its own for each: the other device is told so many at a time. */
	int code = store_run(store,
			     "UPDATE outbox SET state = ?, done_ms = ?, words = ?, text = '', change = ? + id WHERE state = 0 AND target = ? AND created_ms < ?",
			     "iisisi", (gint64)OUTBOX_EXPIRED, change->now_ms, change->words, (gint64)store->change, change->target, change->due_ms);
	gint64 newest = 0;

	change->n = code == SQLITE_OK ? (guint)sqlite3_changes(store->db) : 0;
	if (code == SQLITE_OK)
		code = store_int(store, "SELECT coalesce(max(change), 0) FROM outbox", &newest);
	store->change = MAX(store->change, (guint64)newest);
	return code;
}

bool notify_store_expire(NotifyStore *store, const char *target, gint64 before_ms, const char *words, gint64 now_ms, guint *ret_n,
			 GError **error)
{
	Change change = { .target = target, .due_ms = before_ms, .words = words, .now_ms = now_ms };

	if (!store_transact(store, expire, &change, "giving up", error))
		return false;
	*ret_n = change.n;
	return true;
}

static int hold(NotifyStore *store, gpointer data)
{
	Change *change = data;

	return store_run(store, "UPDATE outbox SET due_ms = ? WHERE state = 0 AND target = ? AND due_ms < ?", "isi", change->due_ms, change->target,
			 change->due_ms);
}

bool notify_store_hold(NotifyStore *store, const char *target, gint64 due_ms, GError **error)
{
	Change change = { .target = target, .due_ms = due_ms };

	return store_transact(store, hold, &change, "holding a target", error);
}

static int wake(NotifyStore *store, gpointer data)
{
	Change *change = data;

	return store_run(store, "UPDATE outbox SET due_ms = min(due_ms, ?) WHERE state = 0 AND target = ?", "is", change->now_ms, change->target);
}

bool notify_store_wake(NotifyStore *store, const char *target, gint64 now_ms, GError **error)
{
	Change change = { .target = target, .now_ms = now_ms };

	return store_transact(store, wake, &change, "waking a target", error);
}

static int shift(NotifyStore *store, gpointer data)
{
	Change *change = data;

	return store_run(store, "UPDATE outbox SET created_ms = min(created_ms + ?, ?), due_ms = min(due_ms + ?, ?) WHERE state = 0", "iiii", change->step_ms,
			 change->now_ms, change->step_ms, change->now_ms + outbox_delay_ms(OUTBOX_DELAYS, 1));
}

bool notify_store_shift(NotifyStore *store, gint64 step_ms, gint64 now_ms, GError **error)
{
	Change change = { .step_ms = step_ms, .now_ms = now_ms };

	return store_transact(store, shift, &change, "following the clock", error);
}

static int claim(NotifyStore *store, gpointer data)
{
	Change *change = data;
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_row_free);
	g_autoptr(StoreStatement) statement = NULL;
	int code = change->failed_of
			   ? store_prepare(store, &statement, "SELECT " STORE_ROW_COLUMNS " FROM outbox WHERE state = 0 AND owner = ? AND attempts > 0", "s",
					   change->failed_of)
			   : store_prepare(store, &statement, "SELECT " STORE_ROW_COLUMNS " FROM outbox WHERE state = 0 AND owner <> ?", "s", change->owner);

	while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		g_ptr_array_add(rows, store_read_row(statement));
		code = SQLITE_OK;
	}
	if (code != SQLITE_DONE)
		return code;
	code = SQLITE_OK;
	change->n = rows->len;
	for (guint i = 0; code == SQLITE_OK && i < rows->len; i++) {
		OutboxRow *row = rows->pdata[i];

		g_free(row->owner);
		row->owner = g_strdup(change->owner);
		row->hand++;
		row->due_ms = MIN(row->due_ms, change->now_ms); /* what kept the one from telling it need not keep the other */
		code = put_row(store, row);
	}
	return code;
}

bool notify_store_claim(NotifyStore *store, const char *owner, const char *failed_of, guint *ret_n, GError **error)
{
	Change change = { .owner = owner, .failed_of = failed_of, .now_ms = g_get_real_time() / 1000 };

	if (!store_transact(store, claim, &change, "taking over what is to be told", error))
		return false;
	*ret_n = change.n;
	return true;
}

/* ---- For people ---- */

static bool bad_filter(GError **error, const char *key, const char *why)
{
	g_set_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID, "filter %s: %s", key, why);
	return false;
}

static bool parse_state(const char *text, int *ret_state)
{
	for (int i = 0; i < OUTBOX_N_STATES; i++)
		if (g_str_equal(text, outbox_states[i])) {
			*ret_state = i;
			return true;
		}
	return false;
}

bool notify_deliveries_parse(GVariant *filter, NotifyDeliveries *ret_filter, GError **error)
{
	g_auto(NotifyDeliveries) parsed = { .count = 100, .before = G_MAXINT64, .state = -1 };
	GVariantIter iter;
	const char *key;
	GVariant *each;

	g_variant_iter_init(&iter, filter);
	while (g_variant_iter_next(&iter, "{&sv}", &key, &each)) {
		g_autoptr(GVariant) value = each;

		if (g_str_equal(key, "count") && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT32) && g_variant_get_uint32(value) > 0)
			parsed.count = MIN(g_variant_get_uint32(value), DELIVERIES_MAX);
		else if (g_str_equal(key, "before") && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
			parsed.before = MIN(g_variant_get_uint64(value), G_MAXINT64);
		else if (g_str_equal(key, "target") && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) && !parsed.target)
			parsed.target = g_variant_dup_string(value, NULL);
		else if (!g_str_equal(key, "state") || !g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ||
			 !parse_state(g_variant_get_string(value, NULL), &parsed.state))
			return bad_filter(error, key, "there are count (u), before (t), target (s), and state (s: waiting, delivered, refused, expired)");
	}
	*ret_filter = parsed;
	parsed = (NotifyDeliveries){ 0 };
	return true;
}

void notify_deliveries_clear(NotifyDeliveries *filter)
{
	g_clear_pointer(&filter->target, g_free);
}

static int answers_of(NotifyStore *store, const char *message, GVariant **ret_answers, gsize *size)
{
	g_autoptr(StoreStatement) statement = NULL;
	GVariantBuilder builder;
	int code = store_prepare(store, &statement,
				 "SELECT time_ms, recipient, outcome, words FROM (SELECT * FROM log WHERE message = ? ORDER BY id DESC LIMIT ?) ORDER BY id",
				 "si", message, (gint64)LOG_SHOWN);

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(xsss)"));
	while (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		g_variant_builder_add(&builder, "(xsss)", sqlite3_column_int64(statement, 0), store_text(statement, 1), store_text(statement, 2),
				      store_text(statement, 3));
		*size += ANSWER_BYTES + strlen(store_text(statement, 1)) + strlen(store_text(statement, 3));
		code = SQLITE_OK;
	}
	*ret_answers = g_variant_builder_end(&builder);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

static GVariant *row_to_variant(const OutboxRow *row, GVariant *answers)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "id", g_variant_new_uint64(row->id));
	g_variant_builder_add(&builder, "{sv}", "message", g_variant_new_string(row->message));
	g_variant_builder_add(&builder, "{sv}", "event", g_variant_new_uint64(row->event));
	g_variant_builder_add(&builder, "{sv}", "target", g_variant_new_string(row->target));
	g_variant_builder_add(&builder, "{sv}", "state", g_variant_new_string(outbox_states[row->state]));
	g_variant_builder_add(&builder, "{sv}", "left", g_variant_new_strv((const char *const *)row->to, -1));
	g_variant_builder_add(&builder, "{sv}", "device", g_variant_new_string(row->owner));
	g_variant_builder_add(&builder, "{sv}", "attempts", g_variant_new_uint32(row->attempts));
	g_variant_builder_add(&builder, "{sv}", "created_ms", g_variant_new_int64(row->created_ms));
	g_variant_builder_add(&builder, "{sv}", "due_ms", g_variant_new_int64(row->due_ms));
	g_variant_builder_add(&builder, "{sv}", "done_ms", g_variant_new_int64(row->done_ms));
	g_variant_builder_add(&builder, "{sv}", "words", g_variant_new_string(row->words));
	g_variant_builder_add(&builder, "{sv}", "answers", answers);
	return g_variant_builder_end(&builder);
}

/* On the bus, about. */
static gsize size_of(const OutboxRow *row)
{
	gsize size = ROW_BYTES + strlen(row->message) + strlen(row->target) + strlen(row->owner) + strlen(row->words);

	for (char **each = row->to; *each; each++)
		size += strlen(*each) + 8;
	return size;
}

typedef struct {
	const NotifyDeliveries *filter;
	GPtrArray *rows;    /* of OutboxRow* */
	GPtrArray *answers; /* of GVariant* */
} Telling;

static int deliveries(NotifyStore *store, gpointer data)
{
	Telling *telling = data;
	const NotifyDeliveries *filter = telling->filter;
	g_autoptr(StoreStatement) statement = NULL;
	g_autofree char *sql = g_strdup_printf("SELECT " STORE_ROW_COLUMNS " FROM outbox WHERE id < ?1 %s AND (?3 < 0 OR state = ?3) ORDER BY id DESC LIMIT ?4",
					       filter->target ? "AND target = ?2" : "AND ?2 IS NULL");
	int code = store_prepare(store, &statement, sql, "isii", (gint64)filter->before, filter->target, (gint64)filter->state, (gint64)filter->count);
	gsize size = 0;

	g_ptr_array_set_size(telling->rows, 0);
	g_ptr_array_set_size(telling->answers, 0);
	while (code == SQLITE_OK && size < NOTIFY_PAGE_BYTES && (code = sqlite3_step(statement)) == SQLITE_ROW) {
		OutboxRow *row = store_read_row(statement);
		GVariant *answers;

		g_ptr_array_add(telling->rows, row);
		size += size_of(row);
		code = answers_of(store, row->message, &answers, &size);
		g_ptr_array_add(telling->answers, g_variant_ref_sink(answers));
	}
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

GVariant *notify_store_deliveries(NotifyStore *store, const NotifyDeliveries *filter, GError **error)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_row_free);
	g_autoptr(GPtrArray) answers = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	Telling telling = { filter, rows, answers };
	GVariantBuilder builder;

	if (!store_read(store, deliveries, &telling, "reading the outbox", error))
		return NULL;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < rows->len; i++)
		g_variant_builder_add_value(&builder, row_to_variant(rows->pdata[i], answers->pdata[i]));
	return g_variant_builder_end(&builder);
}
