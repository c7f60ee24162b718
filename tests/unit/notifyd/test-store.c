/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event store on a real file: what was confirmed stays, what is bounded stays bounded, damage is met once. */
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notifyd/store.h"

typedef struct {
	char *folder, *path;
} Place;

static void place_setup(Place *place, gconstpointer data)
{
	place->folder = g_dir_make_tmp("understudy-store-XXXXXX", NULL);
	place->path = g_build_filename(place->folder, "notify", "events.db", NULL);
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		remove_tree(child);
	}
	(void)g_remove(path);
}

static void place_teardown(Place *place, gconstpointer data)
{
	remove_tree(place->folder);
	g_free(place->folder);
	g_free(place->path);
}

static NotifyStore *open_store(Place *place, guint capacity)
{
	g_autoptr(GError) error = NULL;
	NotifyStore *store = notify_store_open(place->path, capacity, "dev-a", &error);

	g_assert_no_error(error);
	g_assert_nonnull(store);
	return store;
}

static guint64 add(NotifyStore *store, const char *application, const char *name, guint8 priority, const char *key,
		   bool *ret_added)
{
	g_autoptr(NotifyEvent) event =
		notify_event_new(application, name, priority, "Что-то случилось", "ref", "dev-a", 1000);
	g_autoptr(GError) error = NULL;
	guint64 id = 0;
	bool added = false;

	event->key = g_strdup(key);
	g_assert_true(notify_store_add(store, event, &id, &added, &error));
	g_assert_no_error(error);
	if (ret_added)
		*ret_added = added;
	return id;
}

/* The names of the events a filter (GVariant text) selects, joined. */
static char *listed(NotifyStore *store, const char *filter_text)
{
	g_autoptr(GVariant) value = g_variant_parse(G_VARIANT_TYPE_VARDICT, filter_text, NULL, NULL, NULL);
	g_auto(NotifyFilter) filter = { 0 };
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) events = NULL;
	g_autoptr(GString) names = g_string_new(NULL);

	g_assert_true(notify_filter_parse(value, &filter, &error));
	events = notify_store_list(store, &filter, &error);
	g_assert_no_error(error);
	for (guint i = 0; i < events->len; i++) {
		NotifyEvent *event = events->pdata[i];

		g_string_append_printf(names, "%s%s", i ? " " : "", event->name);
	}
	return g_string_free(g_steal_pointer(&names), FALSE);
}

static void assert_listed(NotifyStore *store, const char *filter, const char *names)
{
	g_autofree char *found = listed(store, filter);

	g_assert_cmpstr(found, ==, names);
}

static void test_add_list_mark(Place *place, gconstpointer data)
{
	g_autoptr(NotifyStore) store = open_store(place, 100);
	g_autoptr(GArray) changed = NULL, again = NULL, rest = NULL;
	g_autoptr(GError) error = NULL;
	guint64 a = add(store, "SIP", "a", 1, NULL, NULL), b = add(store, "SIP", "b", 2, NULL, NULL);
	guint64 c = add(store, "REDUNDANCY", "c", 3, NULL, NULL);

	g_assert_cmpuint(a, <, b);
	g_assert_cmpuint(b, <, c);
	g_assert_cmpuint(notify_store_count(store), ==, 3);
	g_assert_cmpuint(notify_store_unread(store), ==, 3);
	assert_listed(store, "{}", "c b a");
	assert_listed(store, "{'count': <uint32 2>}", "c b");
	assert_listed(store, "{'application': <'SIP'>}", "b a");
	assert_listed(store, "{'min_priority': <byte 2>}", "c b");
	assert_listed(store, "{'text': <'СЛУЧИЛОСЬ'>, 'min_priority': <byte 3>}", "c");
	assert_listed(store, "{'text': <'%'>}", "");
	assert_listed(store, "{'since_ms': <int64 1001>}", "");

	guint64 wanted[] = { b, 999, b, G_MAXUINT64 };
	g_assert_true(notify_store_mark_read(store, wanted, 4, &changed, &error));
	g_assert_cmpuint(changed->len, ==, 1);
	g_assert_cmpuint(g_array_index(changed, guint64, 0), ==, b);
	g_assert_cmpuint(notify_store_unread(store), ==, 2);
	assert_listed(store, "{'status': <'new'>}", "c a");
	assert_listed(store, "{'status': <'read'>}", "b");
	g_assert_true(notify_store_mark_read(store, wanted, 1, &again, &error));
	g_assert_cmpuint(again->len, ==, 0);
	g_assert_true(notify_store_mark_read(store, NULL, 0, &rest, &error));
	g_assert_cmpuint(rest->len, ==, 2);
	g_assert_cmpuint(notify_store_unread(store), ==, 0);
}

/* Times that go back and forth: whichever way it is looked for, the same is found. */
static void test_since(Place *place, gconstpointer data)
{
	g_autoptr(NotifyStore) store = open_store(place, 10000);
	g_autoptr(GError) error = NULL;

	g_assert_true(notify_store_begin(store, NULL)); /* waits for the disk once */
	for (guint i = 0; i < 1500; i++) {
		g_autofree char *name = g_strdup_printf("e%u", i);
		g_autoptr(NotifyEvent) event = notify_event_new("SIP", name, 1, "", "", "dev-a", i == 700 ? 9000 : i % 100 ? i : 0);
		guint64 id;
		bool added;

		g_assert_true(notify_store_add(store, event, &id, &added, &error));
	}
	g_assert_true(notify_store_commit(store, NULL));
	assert_listed(store, "{'since_ms': <int64 9001>}", "");
	assert_listed(store, "{'since_ms': <int64 1498>}", "e1499 e1498 e700");
	assert_listed(store, "{'since_ms': <int64 1498>, 'count': <uint32 1>}", "e1499");
	assert_listed(store, "{'since_ms': <int64 1498>, 'before': <uint64 1499>}", "e700");
	assert_listed(store, "{'since_ms': <int64 1498>, 'application': <'MG'>}", "");
	assert_listed(store, "{'since_ms': <int64 1>, 'count': <uint32 2>}", "e1499 e1498");
	assert_listed(store, "{'since_ms': <int64 0>, 'before': <uint64 3>}", "e1 e0");
}

static void test_key(Place *place, gconstpointer data)
{
	NotifyStore *store = open_store(place, 100);
	bool added;
	guint64 first = add(store, "SIP", "a", 1, "k", &added);

	g_assert_true(added);
	g_assert_cmpuint(add(store, "SIP", "a", 1, "k", &added), ==, first);
	g_assert_false(added);
	notify_store_close(store);
	store = open_store(place, 100);
	g_assert_cmpuint(add(store, "SIP", "other", 1, "k", &added), ==, first);
	g_assert_false(added);
	g_assert_cmpuint(notify_store_count(store), ==, 1);
	add(store, "SIP", "b", 1, NULL, &added); /* no key is not a key */
	add(store, "SIP", "b", 1, NULL, &added);
	g_assert_true(added);
	assert_listed(store, "{}", "b b a");
	notify_store_close(store);
}

static void test_capacity(Place *place, gconstpointer data)
{
	NotifyStore *store = open_store(place, 5);

	for (guint i = 0; i < 12; i++) {
		g_autofree char *name = g_strdup_printf("e%u", i);

		add(store, "SIP", name, 1, NULL, NULL);
		g_assert_cmpuint(notify_store_count(store), ==, MIN(i + 1, 5));
	}
	assert_listed(store, "{}", "e11 e10 e9 e8 e7");
	notify_store_close(store);
	store = open_store(place, 3); /* a smaller capacity takes effect with the next event */
	g_assert_cmpuint(notify_store_unread(store), ==, 5);
	add(store, "SIP", "e12", 1, NULL, NULL);
	assert_listed(store, "{}", "e12 e11 e10");
	notify_store_close(store);
}

static void test_paging(Place *place, gconstpointer data)
{
	g_autoptr(NotifyStore) store = open_store(place, 10000);
	g_autofree char *text = g_strnfill(4096, 'x');
	guint64 before = G_MAXUINT64;
	guint total = 0, pages = 0;
	g_autoptr(GError) error = NULL;

	g_assert_true(notify_store_begin(store, NULL));
	for (guint i = 0; i < 1500; i++) { /* 6.6 MiB: more than one answer holds */
		g_autoptr(NotifyEvent) event = notify_event_new("SIP", "big", 1, text, "", "dev-a", i);
		guint64 id;
		bool added;

		g_assert_true(notify_store_add(store, event, &id, &added, &error));
	}
	g_assert_true(notify_store_commit(store, NULL));
	for (;;) {
		NotifyFilter filter = { .count = 1500, .before = before, .since_ms = G_MININT64 };
		g_autoptr(GPtrArray) events = notify_store_list(store, &filter, &error);

		if (events->len == 0)
			break;
		before = ((NotifyEvent *)events->pdata[events->len - 1])->id;
		total += events->len;
		pages++;
	}
	g_assert_cmpuint(total, ==, 1500);
	g_assert_cmpuint(pages, ==, 3);

	/* Who asks over the bus gets smaller ones: others wait while an answer is made. */
	g_autoptr(GVariant) wanted = g_variant_ref_sink(g_variant_new_parsed("{'count': <uint32 1500>}"));
	g_auto(NotifyFilter) asked = { 0 };
	g_assert_true(notify_filter_parse(wanted, &asked, &error));
	g_autoptr(GPtrArray) page = notify_store_list(store, &asked, &error);
	gsize size = page->len * notify_event_size(page->pdata[0]);
	g_assert_cmpuint(size, >, NOTIFY_PAGE_BYTES / 2);
	g_assert_cmpuint(size, <, NOTIFY_PAGE_BYTES + 8192);
}

/* A child adds events and reports each confirmed id through a pipe; it is killed at some instant; all that was confirmed is there. */
static void test_killed(Place *place, gconstpointer data)
{
	guint64 last = 0;
	guint confirmed = 0;

	for (guint round = 0; round < 5; round++) {
		int pipe_fds[2];
		guint64 id;
		pid_t pid;

		g_assert_cmpint(pipe(pipe_fds), ==, 0);
		pid = fork();
		if (pid == 0) {
			g_autoptr(NotifyStore) store = notify_store_open(place->path, 10000, "dev-a", NULL);

			for (;;) {
				g_autoptr(NotifyEvent) event = notify_event_new("SIP", "e", 1, "", "", "dev-a", 1);
				bool added;

				if (!store || !notify_store_add(store, event, &id, &added, NULL) ||
				    write(pipe_fds[1], &id, sizeof(id)) < 0)
					_exit(1);
			}
		}
		close(pipe_fds[1]);
		for (guint i = 0; i < 20 + 7 * round && read(pipe_fds[0], &id, sizeof(id)) == sizeof(id); i++) {
			last = id;
			confirmed++;
		}
		kill(pid, SIGKILL);
		while (read(pipe_fds[0], &id, sizeof(id)) == sizeof(id)) {
			last = id;
			confirmed++;
		}
		g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
		close(pipe_fds[0]);
	}
	g_autoptr(NotifyStore) store = open_store(place, 10000);
	NotifyFilter filter = { .count = 10000, .before = last + 1, .since_ms = G_MININT64 };
	g_autoptr(GPtrArray) events = notify_store_list(store, &filter, NULL);
	g_assert_cmpuint(events->len, >=, confirmed);
	g_assert_cmpuint(((NotifyEvent *)events->pdata[0])->id, ==, last);
}

static guint count_set_aside(Place *place)
{
	g_autofree char *folder = g_path_get_dirname(place->path);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	const char *name;
	guint n = 0;

	while ((name = g_dir_read_name(dir)))
		n += g_str_has_prefix(name, "events.db.damaged-") && !strstr(name, "-wal") && !strstr(name, "-shm");
	return n;
}

static void expect_replaced(void)
{
	g_test_expect_message("understudy-notifyd", G_LOG_LEVEL_WARNING, "*moved aside*");
}

static void test_not_a_database(Place *place, gconstpointer data)
{
	g_autofree char *folder = g_path_get_dirname(place->path);

	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(place->path, "this is no database, and was never one", -1, NULL));
	expect_replaced();
	g_autoptr(NotifyStore) store = open_store(place, 100);
	g_test_assert_expected_messages();
	g_assert_cmpuint(count_set_aside(place), ==, 1);
	assert_listed(store, "{'application': <'NOTIFY'>, 'min_priority': <byte 2>}", "event store replaced");
	add(store, "SIP", "a", 1, NULL, NULL);
	g_assert_cmpuint(notify_store_count(store), ==, 2);
}

static void test_newer_version(Place *place, gconstpointer data)
{
	NotifyStore *store = open_store(place, 100);
	sqlite3 *db;

	add(store, "SIP", "precious", 1, NULL, NULL);
	notify_store_close(store);
	g_assert_cmpint(sqlite3_open(place->path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
	expect_replaced();
	store = open_store(place, 100);
	g_test_assert_expected_messages();
	g_assert_cmpuint(count_set_aside(place), ==, 1);
	assert_listed(store, "{}", "event store replaced");
	notify_store_close(store);
}

/* Overwrites everything past the first page, in the middle of its use. */
static void damage(Place *place)
{
	FILE *file = fopen(place->path, "r+");
	char junk[4096];

	g_assert_nonnull(file);
	memset(junk, 0x5a, sizeof(junk));
	g_assert_cmpint(fseek(file, 0, SEEK_END), ==, 0);
	long size = ftell(file);
	g_assert_cmpint(size, >, 8192);
	for (long at = 4096; at < size; at += 4096) {
		g_assert_cmpint(fseek(file, at, SEEK_SET), ==, 0);
		g_assert_cmpuint(fwrite(junk, 1, sizeof(junk), file), ==, sizeof(junk));
	}
	g_assert_cmpint(fclose(file), ==, 0);
}

static void test_damaged_pages(Place *place, gconstpointer data)
{
	NotifyStore *store = open_store(place, 100);

	for (guint i = 0; i < 50; i++)
		add(store, "SIP", "a", 1, NULL, NULL);
	notify_store_close(store); /* checkpoints: all is in the main file */
	damage(place);
	expect_replaced();
	store = open_store(place, 100);
	g_test_assert_expected_messages();
	g_assert_cmpuint(count_set_aside(place), ==, 1);
	g_assert_cmpuint(notify_store_count(store), ==, 1);
	notify_store_close(store);
}

static void count_note(const NotifyEvent *event, gpointer user_data)
{
	g_assert_cmpstr(event->application, ==, "NOTIFY");
	g_assert_cmpuint(event->id, >, 0);
	++*(guint *)user_data;
}

static void test_damaged_while_open(Place *place, gconstpointer data)
{
	NotifyStore *store = open_store(place, 10000);
	g_autofree char *text = g_strnfill(4096, 'x');
	guint notes = 0;

	g_assert_true(notify_store_begin(store, NULL));
	for (guint i = 0; i < 1000; i++) { /* more than the page cache holds */
		g_autoptr(NotifyEvent) event = notify_event_new("SIP", "big", 1, text, "", "dev-a", i);
		guint64 id;
		bool added;

		g_assert_true(notify_store_add(store, event, &id, &added, NULL));
	}
	g_assert_true(notify_store_commit(store, NULL));
	notify_store_close(store);
	store = open_store(place, 10000);
	notify_store_on_note(store, count_note, &notes);
	damage(place);
	expect_replaced();
	assert_listed(store, "{'count': <uint32 1000>}", "event store replaced");
	g_test_assert_expected_messages();
	g_assert_cmpuint(notes, ==, 1);
	add(store, "SIP", "after", 1, NULL, NULL);
	assert_listed(store, "{}", "after event store replaced");
	notify_store_close(store);
}

static void test_set_aside_is_bounded(Place *place, gconstpointer data)
{
	g_autofree char *folder = g_path_get_dirname(place->path);
	gint64 before_ms = 0;

	g_assert_cmpint(g_mkdir(folder, 0700), ==, 0);
	for (guint i = 0; i < 6; i++) {
		while (g_get_real_time() / 1000 == before_ms) /* one name a millisecond */
			g_usleep(100);
		before_ms = g_get_real_time() / 1000;
		g_assert_true(g_file_set_contents(place->path, "this is no database, and was never one", -1, NULL));
		expect_replaced();
		notify_store_close(open_store(place, 100));
		g_test_assert_expected_messages();
	}
	g_assert_cmpuint(count_set_aside(place), ==, 3);
}

static void test_removed_while_open(Place *place, gconstpointer data)
{
	g_autoptr(NotifyStore) store = open_store(place, 100);

	add(store, "SIP", "a", 1, NULL, NULL);
	g_assert_cmpint(g_unlink(place->path), ==, 0);
	g_test_expect_message("understudy-notifyd", G_LOG_LEVEL_WARNING, "*removed or replaced*");
	add(store, "SIP", "b", 1, NULL, NULL);
	g_test_assert_expected_messages();
	notify_store_close(g_steal_pointer(&store));
	store = open_store(place, 100);
	assert_listed(store, "{'application': <'SIP'>, 'count': <uint32 1>}", "b");
}

static void test_no_folder(Place *place, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(notify_store_open("/nonexistent/parent/events.db", 10, "dev-a", &error));
	g_assert_error(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/notifyd/store/" name, Place, NULL, place_setup, function, place_teardown)
	ADD("add-list-mark", test_add_list_mark);
	ADD("since", test_since);
	ADD("key", test_key);
	ADD("capacity", test_capacity);
	ADD("paging", test_paging);
	ADD("killed", test_killed);
	ADD("not-a-database", test_not_a_database);
	ADD("newer-version", test_newer_version);
	ADD("damaged-pages", test_damaged_pages);
	ADD("damaged-while-open", test_damaged_while_open);
	ADD("set-aside-is-bounded", test_set_aside_is_bounded);
	ADD("removed-while-open", test_removed_while_open);
	ADD("no-folder", test_no_folder);
	return g_test_run();
}
