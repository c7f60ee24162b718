/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The outbox on a real file: rows with their event or not at all, what two devices tell each other, files of the version before. */
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

#include "notifyd/store.h"

typedef struct {
	char *folder;
	NotifyStore *a, *b; /* two devices */
} Place;

static NotifyStore *open_store(Place *place, const char *device)
{
	g_autofree char *path = g_strdup_printf("%s/%s.db", place->folder, device);
	g_autoptr(GError) error = NULL;
	NotifyStore *store = notify_store_open(path, 1000, device, &error);

	g_assert_no_error(error);
	return store;
}

static void place_setup(Place *place, gconstpointer data)
{
	place->folder = g_dir_make_tmp("understudy-outbox-XXXXXX", NULL);
	place->a = open_store(place, "dev-a");
	place->b = open_store(place, "dev-b");
}

static void place_teardown(Place *place, gconstpointer data)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;

	notify_store_close(place->a);
	notify_store_close(place->b);
	dir = g_dir_open(place->folder, 0, NULL);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(place->folder, name, NULL);

		(void)g_remove(path);
	}
	(void)g_rmdir(place->folder);
	g_free(place->folder);
}

/* An event with one row for each of @targets. */
static void add(NotifyStore *store, const char *device, const char *name, const char *const *targets, gint64 now_ms)
{
	g_autoptr(NotifyEvent) event = notify_event_new("SIP", name, 2, "text", "", device, now_ms);
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_row_free);
	NotifyNew new = { .event = event, .rows = rows };
	g_autoptr(GError) error = NULL;

	for (; *targets; targets++)
		g_ptr_array_add(rows, outbox_row_new(*targets, (const char *const[]){ "one", "two", NULL }, "[job]\n", device, now_ms));
	g_assert_true(notify_store_add_all(store, &new, 1, &error));
	g_assert_no_error(error);
}

static const char *const BOSS[] = { "mail:boss", NULL };

static OutboxRow *next(NotifyStore *store, const char *target, const char *owner)
{
	OutboxRow *row = NULL;

	g_assert_true(notify_store_next(store, target, owner, &row, NULL));
	return row;
}

static guint waiting(NotifyStore *store, const char *target)
{
	guint n = 0;

	g_assert_true(notify_store_waiting(store, target, &n, NULL));
	return n;
}

/* Everything that @from has and @to has not. */
static guint tell(NotifyStore *from, NotifyStore *to)
{
	bool more = true;
	guint n = 0;

	while (more) {
		guint64 event, change;
		g_autoptr(GPtrArray) events = NULL;
		g_autoptr(GVariant) told = NULL;

		g_assert_true(notify_store_seen(to, notify_store_id(from), &event, &change, NULL));
		told = g_variant_ref_sink(notify_store_tell(from, event, change, NULL));
		g_assert_cmpuint(g_variant_get_size(told), <, 252 * 1024);
		g_assert_true(notify_store_learn(to, told, &events, &more, NULL));
		n += events->len;
	}
	return n;
}

static void test_answers(Place *place, gconstpointer data)
{
	g_autoptr(OutboxRow) row = NULL, after = NULL;
	guint left = 9;

	add(place->a, "dev-a", "x", BOSS, 1000);
	row = next(place->a, "mail:boss", "dev-a");
	g_assert_true(notify_store_attempt(place->a, row->id, 3000, NULL));
	g_assert_true(notify_store_answer(place->a, row->id, "one", OUTBOX_ACCEPTED, "250", 2000, &left, NULL));
	g_assert_cmpuint(left, ==, 1);
	g_assert_true(notify_store_answer(place->a, row->id, "stranger", OUTBOX_ACCEPTED, "250", 2000, &left, NULL));
	g_assert_cmpuint(left, ==, 1);
	g_assert_cmpuint(waiting(place->a, "mail:boss"), ==, 1);
	notify_store_close(place->a);
	place->a = open_store(place, "dev-a");
	after = next(place->a, "mail:boss", "dev-a");
	g_assert_cmpstr(after->message, ==, row->message);
	g_assert_cmpuint(after->attempts, ==, 1);
	g_assert_cmpint(after->due_ms, ==, 3000);
	g_assert_cmpuint(g_strv_length(after->to), ==, 1);
	g_assert_cmpstr(after->to[0], ==, "two");
	g_assert_true(notify_store_answer(place->a, row->id, "two", OUTBOX_REFUSES, "550", 2500, &left, NULL));
	g_assert_cmpuint(left, ==, 0);
	g_assert_null(next(place->a, "mail:boss", "dev-a"));
}

static void test_expire_and_shift(Place *place, gconstpointer data)
{
	static const char *const both[] = { "mail:boss", "sms:duty", NULL };
	g_autoptr(OutboxRow) row = NULL;
	guint n = 0;

	add(place->a, "dev-a", "old", both, 1000);
	add(place->a, "dev-a", "new", both, 5000);
	g_assert_true(notify_store_shift(place->a, 100000, 103000, NULL)); /* not beyond now */
	row = next(place->a, "mail:boss", "dev-a");
	g_assert_cmpint(row->created_ms, ==, 101000);
	g_assert_true(notify_store_expire(place->a, "mail:boss", 102000, "421", 9000, &n, NULL));
	g_assert_cmpuint(n, ==, 1);
	g_assert_cmpuint(waiting(place->a, "mail:boss"), ==, 1);
	g_assert_cmpuint(waiting(place->a, "sms:duty"), ==, 2);
}

static void test_a_target_has_a_limit(Place *place, gconstpointer data)
{
	g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)outbox_row_free);

	for (guint i = 0; i < OUTBOX_TARGET_MAX + 5; i++)
		g_ptr_array_add(rows, outbox_row_new("mail:boss", (const char *const[]){ "one", NULL }, "[job]\n", "dev-a", 1000));
	g_assert_true(notify_store_add_rows(place->a, rows, NULL));
	g_assert_cmpuint(waiting(place->a, "mail:boss"), ==, OUTBOX_TARGET_MAX);
}

static void test_two_devices(Place *place, gconstpointer data)
{
	g_autoptr(OutboxRow) here = NULL, there = NULL;
	guint n = 0, left;

	for (guint i = 0; i < 100; i++)
		add(place->a, "dev-a", "x", BOSS, 1000);
	add(place->b, "dev-b", "y", BOSS, 1000);
	g_assert_cmpuint(tell(place->a, place->b), ==, 100);
	g_assert_cmpuint(tell(place->a, place->b), ==, 0);
	g_assert_cmpuint(tell(place->b, place->a), ==, 1); /* nothing goes back to whom it came from */
	g_assert_cmpuint(waiting(place->b, "mail:boss"), ==, 101);
	g_assert_cmpuint(waiting(place->a, "mail:boss"), ==, 101);
	here = next(place->a, "mail:boss", "dev-a");
	/* B takes over, delivers, and A learns it. */
	g_assert_true(notify_store_claim(place->b, "dev-b", NULL, &n, NULL));
	g_assert_cmpuint(n, ==, 100);
	for (there = next(place->b, "mail:boss", "dev-b"); !g_str_equal(there->message, here->message); there = next(place->b, "mail:boss", "dev-b")) {
		g_assert_true(notify_store_settle(place->b, there->id, OUTBOX_DELIVERED, 0, "250", 2000, NULL));
		outbox_row_free(there);
	}
	g_assert_true(notify_store_answer(place->b, there->id, "one", OUTBOX_ACCEPTED, "250", 2000, &left, NULL));
	g_assert_true(notify_store_answer(place->b, there->id, "two", OUTBOX_ACCEPTED, "250", 2000, &left, NULL));
	(void)tell(place->b, place->a);
	g_assert_cmpuint(waiting(place->a, "mail:boss"), ==, waiting(place->b, "mail:boss"));
	g_assert_null(next(place->a, "mail:boss", "dev-a"));
}

static void test_a_new_database_is_learnt_anew(Place *place, gconstpointer data)
{
	g_autofree char *path = g_strdup_printf("%s/dev-a.db", place->folder);

	add(place->a, "dev-a", "one", BOSS, 1000);
	g_assert_cmpuint(tell(place->a, place->b), ==, 1);
	notify_store_close(place->a);
	(void)g_remove(path);
	place->a = open_store(place, "dev-a");
	add(place->a, "dev-a", "two", BOSS, 1000); /* its number is the one's */
	g_assert_cmpuint(tell(place->a, place->b), ==, 1);
	g_assert_cmpuint(notify_store_count(place->b), ==, 2);
}

static void test_learns_no_nonsense(Place *place, gconstpointer data)
{
	static const char *const told[] = {
		"{'store': <'x'>}",
		"{'store': <''>, 'events': <@a(tbxyssssssbb) []>, 'rows': <@a(tssassuybbuxxxss) []>}",
		"{'store': <'a b'>, 'events': <@a(tbxyssssssbb) []>, 'rows': <@a(tssassuybbuxxxss) []>}",
		"{'store': <'x'>, 'events': <1>, 'rows': <@a(tssassuybbuxxxss) []>}",
	};
	g_autoptr(GVariant) rude = g_variant_ref_sink(g_variant_new_parsed(
		"{'store': <'x'>, 'events': <[(uint64 1, false, int64 5, byte 9, 'a', 'b', 'c', '', 'd', '', false, false), (uint64 2, false, 5, byte 1, 'a', '\\u001b[2J', 'c', '', 'd', '', false, false)]>,"
		" 'rows': <[(uint64 7, 'no uuid', 't', ['r'], 'o', uint32 0, byte 0, false, false, uint32 0, int64 0, int64 0, int64 0, 'w', 't')]>}"));
	g_autoptr(GPtrArray) events = NULL;
	bool more;

	for (gsize i = 0; i < G_N_ELEMENTS(told); i++) {
		g_autoptr(GVariant) value = g_variant_parse(G_VARIANT_TYPE_VARDICT, told[i], NULL, NULL, NULL);
		g_autoptr(GError) error = NULL;

		g_assert_nonnull(value);
		g_assert_false(notify_store_learn(place->a, value, &events, &more, &error));
		g_assert_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID);
	}
	g_assert_true(notify_store_learn(place->a, rude, &events, &more, NULL));
	g_assert_cmpuint(events->len, ==, 0);
	g_assert_cmpuint(notify_store_count(place->a), ==, 0);
	g_assert_cmpuint(waiting(place->a, "t"), ==, 0);
}

/* As the version before this one left it. */
static void test_version_1(Place *place, gconstpointer data)
{
	g_autofree char *path = g_strdup_printf("%s/old.db", place->folder);
	g_autoptr(NotifyStore) store = NULL;
	NotifyFilter filter = { .count = 10, .before = G_MAXUINT64, .acknowledged = -1, .since_ms = G_MININT64 };
	g_autoptr(GPtrArray) events = NULL;
	sqlite3 *db = NULL;

	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db,
				     "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, read INTEGER NOT NULL DEFAULT 0, time_ms INTEGER NOT NULL,"
				     " priority INTEGER NOT NULL, application TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,"
				     " reference TEXT NOT NULL, device TEXT NOT NULL, key TEXT UNIQUE) STRICT;"
				     "CREATE INDEX unread ON events(id) WHERE read = 0;"
				     "INSERT INTO events VALUES(7, 1, 1000, 3, 'SIP', 'kept', 'text', '', 'dev-a', 'k');"
				     "PRAGMA user_version = 1;",
				     NULL, NULL, NULL),
			==, SQLITE_OK);
	sqlite3_close(db);
	store = open_store(place, "old");
	g_assert_cmpuint(notify_store_count(store), ==, 1);
	g_assert_cmpuint(notify_store_unread(store), ==, 0);
	add(store, "old", "next", BOSS, 1000);
	events = notify_store_list(store, &filter, NULL);
	g_assert_cmpuint(events->len, ==, 2);
	g_assert_cmpstr(((NotifyEvent *)events->pdata[1])->name, ==, "kept");
	g_assert_cmpuint(((NotifyEvent *)events->pdata[0])->id, ==, 8);
}

static void test_kept_for_days(Place *place, gconstpointer data)
{
	gint64 now_ms = g_get_real_time() / 1000, day_ms = 24 * 3600 * 1000LL;

	notify_store_keep(place->a, 100, 2);
	for (gint64 days = 9; days > 0; days -= 2)
		add(place->a, "dev-a", "x", (const char *const[]){ NULL }, now_ms - days * day_ms);
	add(place->a, "dev-a", "x", (const char *const[]){ NULL }, now_ms);
	g_assert_cmpuint(notify_store_count(place->a), ==, 2);
	g_assert_cmpuint(notify_store_unread(place->a), ==, 2);
}

#define ADD(name, function) g_test_add("/notifyd/store-outbox/" name, Place, NULL, place_setup, function, place_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("answers", test_answers);
	ADD("expire-and-shift", test_expire_and_shift);
	ADD("target-limit", test_a_target_has_a_limit);
	ADD("two-devices", test_two_devices);
	ADD("new-database", test_a_new_database_is_learnt_anew);
	ADD("nonsense", test_learns_no_nonsense);
	ADD("version-1", test_version_1);
	ADD("days", test_kept_for_days);
	return g_test_run();
}
