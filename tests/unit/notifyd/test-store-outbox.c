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
		NotifySeen seen;
		g_auto(NotifyLearnt) learnt = { 0 };
		g_autoptr(GVariant) told = NULL;

		g_assert_true(notify_store_seen(to, notify_store_id(from), &seen, NULL));
		told = g_variant_ref_sink(notify_store_tell(from, &seen, NULL));
		g_assert_cmpuint(g_variant_get_size(told), <, 252 * 1024);
		g_assert_true(notify_store_learn(to, told, &learnt, NULL));
		n += learnt.events->len;
		more = learnt.more;
	}
	return n;
}

/* Whoever has been told everything is where the other says it is: it does not ask again. */
static void assert_knows_all(NotifyStore *who, NotifyStore *of)
{
	NotifySeen seen;

	g_assert_true(notify_store_seen(who, notify_store_id(of), &seen, NULL));
	g_assert_cmpuint(seen.event, >=, notify_store_newest(of));
	g_assert_cmpuint(seen.change, >=, notify_store_change(of));
	g_assert_cmpuint(seen.mark, >=, notify_store_mark(of));
}

/* Until neither has anything that the other has not: that ends. */
static void tell_both(Place *place)
{
	guint64 a, b;

	for (guint i = 0; i < 4; i++) {
		a = notify_store_mark(place->a);
		b = notify_store_mark(place->b);
		(void)tell(place->a, place->b);
		(void)tell(place->b, place->a);
	}
	g_assert_cmpuint(notify_store_mark(place->a), ==, a);
	g_assert_cmpuint(notify_store_mark(place->b), ==, b);
	assert_knows_all(place->a, place->b);
	assert_knows_all(place->b, place->a);
}

static void test_answers(Place *place, gconstpointer data)
{
	g_autoptr(OutboxRow) row = NULL, after = NULL;
	bool begun = true;
	guint left = 9;

	add(place->a, "dev-a", "x", BOSS, 1000);
	row = next(place->a, "mail:boss", "dev-a");
	g_assert_true(notify_store_attempt(place->a, row->id, "dev-b", 3000, &begun, NULL));
	g_assert_false(begun); /* another's task */
	g_assert_true(notify_store_attempt(place->a, row->id, "dev-a", 3000, &begun, NULL));
	g_assert_true(begun);
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
	g_assert_true(notify_store_attempt(place->a, row->id, "dev-a", 3000, &begun, NULL));
	g_assert_false(begun); /* it is settled */
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

static void test_refuse(Place *place, gconstpointer data)
{
	static const char *const both[] = { "mail:boss", "sms:duty", NULL };

	add(place->a, "dev-a", "one", both, 1000);
	add(place->a, "dev-a", "two", both, 1000);
	g_assert_true(notify_store_refuse(place->a, "mail:boss", "dev-b", "no such target", 2000, NULL));
	g_assert_cmpuint(waiting(place->a, "mail:boss"), ==, 2);
	g_assert_true(notify_store_refuse(place->a, "mail:boss", "dev-a", "no such target", 2000, NULL));
	g_assert_cmpuint(waiting(place->a, "mail:boss"), ==, 0);
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
	g_auto(NotifyLearnt) learnt = { 0 };

	for (gsize i = 0; i < G_N_ELEMENTS(told); i++) {
		g_autoptr(GVariant) value = g_variant_parse(G_VARIANT_TYPE_VARDICT, told[i], NULL, NULL, NULL);
		g_autoptr(GError) error = NULL;

		g_assert_nonnull(value);
		g_assert_false(notify_store_learn(place->a, value, &learnt, &error));
		g_assert_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID);
	}
	g_assert_true(notify_store_learn(place->a, rude, &learnt, NULL));
	g_assert_cmpuint(learnt.events->len, ==, 0);
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

/* ---- Read and acknowledged ---- */

static const char *const NOBODY[] = { NULL };

static GPtrArray *all_of(NotifyStore *store)
{
	NotifyFilter filter = { .count = 10000, .before = G_MAXUINT64, .acknowledged = -1, .since_ms = G_MININT64 };
	GPtrArray *events = notify_store_list(store, &filter, NULL);

	g_assert_nonnull(events);
	return events;
}

static guint64 id_of(NotifyStore *store, const char *name)
{
	g_autoptr(GPtrArray) events = all_of(store);

	for (guint i = 0; i < events->len; i++)
		if (g_str_equal(((NotifyEvent *)events->pdata[i])->name, name))
			return ((NotifyEvent *)events->pdata[i])->id;
	g_assert_not_reached();
}

/* @n events "prefix000", ..., in one transaction; the first happened at @from_ms, each further one @step_ms later. */
static void add_many(NotifyStore *store, const char *device, const char *prefix, guint n, gint64 from_ms, gint64 step_ms)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)notify_event_free);
	g_autofree NotifyNew *news = g_new0(NotifyNew, n);
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < n; i++) {
		g_autofree char *name = g_strdup_printf("%s%03u", prefix, i);

		g_ptr_array_add(events, notify_event_new("SIP", name, 2, "text", "", device, from_ms + i * step_ms));
		news[i].event = events->pdata[i];
	}
	g_assert_true(notify_store_add_all(store, news, n, &error));
	g_assert_no_error(error);
}

static void mark(NotifyStore *store, const char *name)
{
	guint64 id = id_of(store, name);
	g_autoptr(GArray) changed = NULL;

	g_assert_true(notify_store_mark_read(store, &id, 1, &changed, NULL));
}

static void acknowledge(NotifyStore *store, const char *name, const char *who, gint64 now_ms)
{
	guint64 id = id_of(store, name);
	g_autoptr(GArray) changed = NULL, read = NULL;

	g_assert_true(notify_store_acknowledge(store, &id, 1, who, now_ms, &changed, &read, NULL));
}

static int by_text(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "name" unread, "name-" read, "name+who" acknowledged; in the order of the names. */
static char *states(NotifyStore *store)
{
	g_autoptr(GPtrArray) events = all_of(store), words = g_ptr_array_new_with_free_func(g_free);

	for (guint i = 0; i < events->len; i++) {
		const NotifyEvent *event = events->pdata[i];

		g_ptr_array_add(words, event->ack_ms ? g_strdup_printf("%s+%s", event->name, event->ack_by) : g_strconcat(event->name, event->read ? "-" : "", NULL));
	}
	g_ptr_array_sort(words, by_text);
	g_ptr_array_add(words, NULL);
	return g_strjoinv(" ", (char **)words->pdata);
}

static void assert_both(Place *place, const char *text)
{
	g_autofree char *a = states(place->a), *b = states(place->b);

	g_assert_cmpstr(a, ==, text);
	g_assert_cmpstr(b, ==, text);
	g_assert_cmpuint(notify_store_unread(place->a), ==, notify_store_unread(place->b));
}

static void test_marks(Place *place, gconstpointer data)
{
	g_autoptr(GArray) changed = NULL;

	add(place->a, "dev-a", "a1", NOBODY, 1000);
	add(place->b, "dev-b", "b1", NOBODY, 1000);
	mark(place->b, "b1"); /* before its first copy, and after it */
	add(place->a, "dev-a", "a2", NOBODY, 1000);
	tell_both(place);
	assert_both(place, "a1 a2 b1-");
	mark(place->b, "a1");
	acknowledge(place->b, "a2", "boss", 2000);
	tell_both(place);
	assert_both(place, "a1- a2+boss b1-");
	g_assert_cmpuint(notify_store_unread(place->a), ==, 0);
	acknowledge(place->a, "b1", "duty", 2500);
	tell_both(place);
	assert_both(place, "a1- a2+boss b1+duty");
	/* Apart, both took care of one: who was first. At once: the same on both. */
	add(place->a, "dev-a", "a3", NOBODY, 3000);
	add(place->a, "dev-a", "a4", NOBODY, 3000);
	tell_both(place);
	acknowledge(place->a, "a3", "late", 5000);
	acknowledge(place->b, "a3", "early", 4000);
	acknowledge(place->a, "a4", "anne", 6000);
	acknowledge(place->b, "a4", "bob", 6000);
	tell_both(place);
	assert_both(place, "a1- a2+boss a3+early a4+anne b1+duty");
	/* All of more than one answer holds; the numbers outlive a restart. */
	add_many(place->a, "dev-a", "flood", 700, 7000, 0);
	tell_both(place);
	g_assert_cmpuint(notify_store_unread(place->a), ==, 700);
	g_assert_true(notify_store_mark_read(place->b, NULL, 0, &changed, NULL));
	notify_store_close(place->b);
	place->b = open_store(place, "dev-b");
	tell_both(place);
	g_assert_cmpuint(notify_store_unread(place->a), ==, 0);
}

/* A device that lost its disk learns again what people had done, also to events that it had raised itself before. */
static void test_marks_for_a_new_database(Place *place, gconstpointer data)
{
	g_autofree char *path = g_strdup_printf("%s/dev-b.db", place->folder);

	add(place->a, "dev-a", "a1", NOBODY, 1000);
	tell_both(place);
	acknowledge(place->b, "a1", "boss", 2000);
	tell_both(place);
	notify_store_close(place->b);
	(void)g_remove(path);
	place->b = open_store(place, "dev-b");
	tell_both(place);
	assert_both(place, "a1+boss");
}

static void test_marks_of_nonsense(Place *place, gconstpointer data)
{
	g_autofree char *text = NULL, *now = NULL;
	g_autoptr(GVariant) told = NULL;
	g_auto(NotifyLearnt) learnt = { 0 };

	add(place->a, "dev-a", "a1", NOBODY, 1000);
	text = g_strdup_printf("{'store': <'x'>, 'events': <@a(tbxyssssssbb) []>, 'rows': <@a(tssassuybbuxxxss) []>, 'mark': <uint64 18446744073709551615>, 'marks': <["
			       "(uint64 1, '%s', uint64 99, true, int64 5, 'nobody'), (2, '%s', 1, false, 5, '\\u001b[2J'), (3, '%s', 1, false, -5, 'x'),"
			       "(4, 'stranger', 1, true, 5, 'x'), (5, '%s', 0, true, 5, 'x'), (6, '%s', 18446744073709551615, true, 5, 'x')]>}",
			       notify_store_id(place->a), notify_store_id(place->a), notify_store_id(place->a), notify_store_id(place->a), notify_store_id(place->a));
	told = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);
	g_assert_nonnull(told);
	g_assert_true(notify_store_learn(place->a, told, &learnt, NULL));
	g_assert_cmpuint(learnt.read->len + learnt.acknowledged->len, ==, 0);
	now = states(place->a);
	g_assert_cmpstr(now, ==, "a1");
}

/* ---- The same is kept on both ---- */

static void test_the_newest_that_is_gone(Place *place, gconstpointer data)
{
	gint64 now_ms = g_get_real_time() / 1000;

	notify_store_keep(place->a, 100, 1);
	add(place->a, "dev-a", "old", NOBODY, 1000); /* it goes at once */
	g_assert_cmpuint(notify_store_count(place->a), ==, 0);
	tell_both(place);
	add(place->b, "dev-b", "new", NOBODY, now_ms);
	tell_both(place);
	mark(place->a, "new");
	notify_store_keep(place->a, 100, 0);
	tell_both(place);
	assert_both(place, "new-");
}

static void test_both_keep_the_same(Place *place, gconstpointer data)
{
	notify_store_keep(place->a, 100, 0);
	notify_store_keep(place->b, 100, 0);
	/* Long apart: each has more than is kept, one of them the later half. */
	for (guint i = 0; i < 3; i++) {
		static const char *const a[] = { "a0", "a1", "a2" }, *const b[] = { "b0", "b1", "b2" };

		add_many(place->a, "dev-a", a[i], 50, 1000 + i * 100, 2);
		add_many(place->b, "dev-b", b[i], 50, 1101 + i * 100, 2);
	}
	tell_both(place);
	g_autofree char *both = states(place->a);
	assert_both(place, both);
	g_assert_cmpuint(notify_store_count(place->a), ==, 100);
	g_assert_nonnull(strstr(both, "a2049"));
	g_assert_nonnull(strstr(both, "b2049"));
	g_assert_null(strstr(both, "b0"));
	/* One whose clock is in 1970 is not silent for that: its newest are kept, on both. */
	for (guint i = 0; i < 3; i++) {
		static const char *const z[] = { "z0", "z1", "z2" };

		add_many(place->b, "dev-b", z[i], 10, 10 * i, 1);
		tell_both(place);
	}
	g_autofree char *after = states(place->b);
	assert_both(place, after);
	g_assert_nonnull(strstr(after, "z2000"));
	g_assert_nonnull(strstr(after, "z2009"));
	g_assert_null(strstr(after, "z1009"));
	g_assert_cmpuint(notify_store_count(place->b), ==, 100);
}

/* Which had been read when the numbers came. */
static void test_version_2(Place *place, gconstpointer data)
{
	g_autofree char *path = g_strdup_printf("%s/dev-a.db", place->folder);
	sqlite3 *db = NULL;

	add(place->a, "dev-a", "a1", NOBODY, 1000);
	add(place->a, "dev-a", "a2", NOBODY, 1000);
	tell_both(place);
	mark(place->a, "a1");
	acknowledge(place->a, "a2", "boss", 2000);
	notify_store_close(place->a);
	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "DROP INDEX marks; DROP INDEX by_time; ALTER TABLE events DROP COLUMN mark; DELETE FROM meta WHERE key = 'mark';"
				     "UPDATE meta SET value = rtrim(rtrim(value, '0123456789')) WHERE key = 'peer'; PRAGMA user_version = 2;", NULL, NULL, NULL),
			==, SQLITE_OK);
	sqlite3_close(db);
	place->a = open_store(place, "dev-a");
	g_assert_cmpuint(notify_store_mark(place->a), ==, 2);
	tell_both(place);
	assert_both(place, "a1- a2+boss");
}

#define ADD(name, function) g_test_add("/notifyd/store-outbox/" name, Place, NULL, place_setup, function, place_teardown)

/* What people are shown comes in answers that nobody waits for: each is bounded, and with before there is one after the other until all is told. */
static void test_deliveries_in_pages(Place *place, gconstpointer data)
{
	enum { ROWS = 70, ANSWERS = 10 };
	g_autofree char *words = g_strnfill(500, 'w');
	g_autoptr(GError) error = NULL;
	guint64 before = G_MAXINT64;
	guint n = 0, n_pages = 0, left;

	g_assert_true(notify_store_begin(place->a, &error));
	for (guint i = 0; i < ROWS; i++) {
		add(place->a, "dev-a", "trouble", BOSS, 1000);
		for (guint k = 0; k < ANSWERS; k++)
			g_assert_true(notify_store_answer(place->a, i + 1, "one", OUTBOX_RETRY, words, 2000, &left, &error));
	}
	g_assert_true(notify_store_commit(place->a, &error));
	for (;;) {
		const NotifyDeliveries filter = { .count = 1000, .before = before, .state = -1 };
		g_autoptr(GVariant) page = g_variant_ref_sink(notify_store_deliveries(place->a, &filter, &error));

		g_assert_cmpuint(g_variant_get_size(page), <, NOTIFY_PAGE_BYTES + 8192);
		if (g_variant_n_children(page) == 0)
			break;
		for (gsize i = 0; i < g_variant_n_children(page); i++, n++) {
			g_autoptr(GVariant) row = g_variant_get_child_value(page, i), answers = g_variant_lookup_value(row, "answers", NULL);

			g_assert_true(g_variant_lookup(row, "id", "t", &before));
			g_assert_cmpuint(before, ==, ROWS - n);
			g_assert_cmpuint(g_variant_n_children(answers), ==, ANSWERS);
		}
		n_pages++;
	}
	g_assert_cmpuint(n, ==, ROWS);
	g_assert_cmpuint(n_pages, ==, 2);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("answers", test_answers);
	ADD("deliveries-in-pages", test_deliveries_in_pages);
	ADD("expire-and-shift", test_expire_and_shift);
	ADD("refuse", test_refuse);
	ADD("target-limit", test_a_target_has_a_limit);
	ADD("two-devices", test_two_devices);
	ADD("new-database", test_a_new_database_is_learnt_anew);
	ADD("nonsense", test_learns_no_nonsense);
	ADD("version-1", test_version_1);
	ADD("version-2", test_version_2);
	ADD("marks", test_marks);
	ADD("marks-new-database", test_marks_for_a_new_database);
	ADD("marks-nonsense", test_marks_of_nonsense);
	ADD("newest-gone", test_the_newest_that_is_gone);
	ADD("both-keep-the-same", test_both_keep_the_same);
	ADD("days", test_kept_for_days);
	return g_test_run();
}
