/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The thread that writes, on a disk that answers when the test says so: nobody else waits for it, and what was answered is there after a kill. */
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notifyd/writer.h"

#define DEADLINE_US (20 * G_TIME_SPAN_SECOND)

/* ---- The disk: this program's own fsync() stands before the C library's ---- */

int fsync(int fd);
int fdatasync(int fd);

static GMutex disk_lock;
static GCond disk_changed;
static bool disk_stuck;
static gint64 disk_takes_us; /* each time */
static guint n_waiting, n_syncs;
static gint64 synced_us[8]; /* when, the first of them */

static void wait_for_disk(void)
{
	g_mutex_lock(&disk_lock);
	n_waiting++;
	if (n_syncs < G_N_ELEMENTS(synced_us))
		synced_us[n_syncs] = g_get_monotonic_time();
	n_syncs++;
	g_cond_broadcast(&disk_changed);
	while (disk_stuck)
		g_cond_wait(&disk_changed, &disk_lock);
	n_waiting--;
	gint64 until_us = g_get_monotonic_time() + disk_takes_us;
	while (disk_takes_us > 0 && g_cond_wait_until(&disk_changed, &disk_lock, until_us))
		;
	g_mutex_unlock(&disk_lock);
}

int fsync(int fd)
{
	wait_for_disk();
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	wait_for_disk();
	return (int)syscall(SYS_fdatasync, fd);
}

static void disk_takes(gint64 time_us)
{
	g_mutex_lock(&disk_lock);
	disk_takes_us = time_us;
	g_mutex_unlock(&disk_lock);
}

static void disk_stops(void)
{
	g_mutex_lock(&disk_lock);
	disk_stuck = true;
	n_syncs = 0;
	g_mutex_unlock(&disk_lock);
}

static guint disk_goes_on(void)
{
	guint n;

	g_mutex_lock(&disk_lock);
	disk_stuck = false;
	n = n_syncs;
	n_syncs = 0;
	g_cond_broadcast(&disk_changed);
	g_mutex_unlock(&disk_lock);
	return n;
}

static void somebody_waits(void)
{
	gint64 end_us = g_get_monotonic_time() + DEADLINE_US;
	bool waits = true;

	g_mutex_lock(&disk_lock);
	while (n_waiting == 0 && waits)
		waits = g_cond_wait_until(&disk_changed, &disk_lock, end_us);
	g_mutex_unlock(&disk_lock);
	g_assert_true(waits);
}

/* ---- A store ---- */

typedef struct {
	char *folder, *path;
	NotifyWriter *writer;
	GString *answered; /* "a b !c": names, in their order */
	guint n_answered;
	bool told; /* since the last answer */
	GPtrArray *notes;
} Place;

typedef struct {
	NotifyOrder order;
	Place *place;
	NotifyNew new;
	bool fails;
	int report; /* a pipe to which the id is written; -1: none */
} Adding;

static bool add_work(NotifyStore *store, NotifyOrder *order, GError **error)
{
	Adding *adding = (Adding *)order;

	if (!adding->fails)
		return notify_store_add_all(store, &adding->new, 1, error);
	g_set_error_literal(error, NOTIFY_ERROR, NOTIFY_ERROR_STORE, "as ordered");
	return false;
}

static void add_done(NotifyOrder *order, const GError *error);

static Adding *adding_new(Place *place, const char *name)
{
	Adding *adding = g_new0(Adding, 1);

	adding->order = (NotifyOrder){ .work = add_work, .done = add_done };
	adding->place = place;
	adding->new.event = notify_event_new("SIP", name, 1, "", "", "dev-a", 1000);
	adding->report = -1;
	return adding;
}

static void add(Place *place, const char *name)
{
	notify_writer_order(place->writer, &adding_new(place, name)->order);
}

/* One after the other, each answer told to a pipe. */
static void add_for_ever(Place *place, int report)
{
	Adding *adding = adding_new(place, "x");

	adding->report = report;
	notify_writer_order(place->writer, &adding->order);
}

static void add_done(NotifyOrder *order, const GError *error)
{
	Adding *adding = (Adding *)order;
	Place *place = adding->place;

	g_string_append_printf(place->answered, "%s%s%s", place->answered->len ? " " : "", error ? "!" : "", adding->new.event->name);
	place->n_answered++;
	place->told = false;
	if (!error)
		g_assert_cmpuint(notify_store_count(notify_writer_reader(place->writer)), >, 0);
	if (adding->report >= 0) {
		if (write(adding->report, &adding->new.ret_id, sizeof adding->new.ret_id) < 0)
			_exit(1);
		add_for_ever(place, adding->report);
	}
	notify_event_free(adding->new.event);
	g_free(adding);
}

static void on_note(const NotifyEvent *event, gpointer user_data)
{
	g_ptr_array_add(((Place *)user_data)->notes, g_strdup(event->name));
}

static void on_told(gpointer user_data)
{
	((Place *)user_data)->told = true;
}

static void begin(Place *place)
{
	g_autoptr(GError) error = NULL;
	NotifyStore *store = notify_store_open(place->path, 100000, "dev-a", &error);

	g_assert_no_error(error);
	place->writer = notify_writer_new(store);
	notify_writer_watch(place->writer, on_note, on_told, place);
}

static void place_setup(Place *place, gconstpointer data)
{
	place->folder = g_dir_make_tmp("understudy-writer-XXXXXX", NULL);
	place->path = g_build_filename(place->folder, "events.db", NULL);
	place->answered = g_string_new(NULL);
	place->notes = g_ptr_array_new_with_free_func(g_free);
	begin(place);
}

static void place_teardown(Place *place, gconstpointer data)
{
	g_autoptr(GDir) dir = NULL;
	const char *name;

	notify_writer_free(place->writer);
	dir = g_dir_open(place->folder, 0, NULL);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(place->folder, name, NULL);

		(void)g_remove(path);
	}
	(void)g_rmdir(place->folder);
	g_string_free(place->answered, TRUE);
	g_ptr_array_unref(place->notes);
	g_free(place->folder);
	g_free(place->path);
}

static gboolean on_deadline(gpointer user_data)
{
	g_error("nothing was answered");
	return G_SOURCE_REMOVE;
}

/* Runs the main loop until so many are answered. */
static void answered(Place *place, guint n)
{
	guint deadline = g_timeout_add(DEADLINE_US / 1000, on_deadline, NULL);

	while (place->n_answered < n)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(place->n_answered, ==, n);
	g_assert_true(place->told);
	g_source_remove(deadline);
}

static guint n_listed(Place *place)
{
	NotifyFilter filter = { .count = 100000, .before = G_MAXUINT64, .acknowledged = -1, .since_ms = G_MININT64 };
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) events = notify_store_list(notify_writer_reader(place->writer), &filter, &error);

	g_assert_no_error(error);
	return events->len;
}

/* ---- Tests ---- */

static void test_nobody_else_waits(Place *place, gconstpointer data)
{
	NotifyStore *reader = notify_writer_reader(place->writer);
	guint64 known = 0, least, most;

	add(place, "a");
	answered(place, 1);
	disk_stops();
	Adding *keyed = adding_new(place, "b");
	keyed->new.event->key = g_strdup("k");
	notify_writer_order(place->writer, &keyed->order);
	somebody_waits();

	/* It is written, and not on disk: nobody is told of it, nor sees it, nor waits for it. */
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpstr(place->answered->str, ==, "a");
	g_assert_cmpuint(n_listed(place), ==, 1);
	g_assert_cmpuint(notify_store_count(reader), ==, 1);
	g_assert_true(notify_store_find_key(reader, "k", &known, NULL));
	g_assert_cmpuint(known, ==, 0);
	g_assert_true(notify_store_range(reader, &least, &most, NULL));
	g_assert_cmpuint(most, ==, 1);

	(void)disk_goes_on();
	answered(place, 2);
	g_assert_cmpuint(n_listed(place), ==, 2);
	g_assert_true(notify_store_find_key(reader, "k", &known, NULL));
	g_assert_cmpuint(known, ==, 2);
}

/* What has come while the disk was waited for waits for it once. */
static void test_a_group_waits_once(Place *place, gconstpointer data)
{
	add(place, "first");
	answered(place, 1);
	disk_stops();
	add(place, "slow");
	somebody_waits();
	for (guint i = 0; i < 60; i++)
		add(place, "x");
	g_assert_cmpuint(disk_goes_on(), ==, 1);
	answered(place, 62);
	g_assert_cmpuint(disk_goes_on(), ==, 1);
	g_assert_cmpuint(n_listed(place), ==, 62);
}

/* As many as a flood has, while the disk stands still. */
static void flood(Place *place, guint n)
{
	disk_stops();
	add(place, "slow");
	somebody_waits();
	for (guint i = 0; i < n; i++)
		add(place, "x");
}

/* It comes in groups of 64, and between two of them the processors are others'. */
static void test_a_flood_is_slowed_down(Place *place, gconstpointer data)
{
	flood(place, 192);
	gint64 begun_us = g_get_monotonic_time();
	(void)disk_goes_on();
	answered(place, 193);
	g_assert_cmpuint(disk_goes_on(), >, 1);
	g_assert_cmpint(synced_us[1] - begun_us, >=, 20000);
	g_assert_cmpuint(n_listed(place), ==, 193);
}

/* Each answer brings the next call: so they do not come all at once, but spread over the time until the next group. */
static void test_a_flood_is_answered_few_at_a_time(Place *place, gconstpointer data)
{
	guint deadline = g_timeout_add(DEADLINE_US / 1000, on_deadline, NULL);
	gint64 begun_us = 0;

	flood(place, 64);
	(void)disk_goes_on();
	while (place->n_answered < 65) {
		guint n = place->n_answered;

		g_main_context_iteration(NULL, TRUE);
		g_assert_cmpuint(place->n_answered - n, <=, 4);
		if (n <= 1)
			begun_us = g_get_monotonic_time();
	}
	g_assert_cmpint(g_get_monotonic_time() - begun_us, >=, 15000);
	g_source_remove(deadline);
}

/* Where the disk is what slows it down, groups grow: of 64, 128 and 256. */
static void test_a_flood_on_a_slow_disk(Place *place, gconstpointer data)
{
	flood(place, 448);
	disk_takes(25000);
	g_assert_cmpuint(disk_goes_on(), ==, 1);
	answered(place, 449);
	disk_takes(0);
	g_assert_cmpuint(disk_goes_on(), ==, 3);
	g_assert_cmpuint(n_listed(place), ==, 449);
}

static void test_one_of_a_group_fails(Place *place, gconstpointer data)
{
	disk_stops();
	add(place, "a");
	somebody_waits();
	add(place, "b");
	Adding *failing = adding_new(place, "c");
	failing->fails = true;
	notify_writer_order(place->writer, &failing->order);
	add(place, "d");
	(void)disk_goes_on();
	answered(place, 4);
	g_assert_cmpstr(place->answered->str, ==, "a b !c d");
	g_assert_cmpuint(n_listed(place), ==, 3);
	g_assert_cmpuint(notify_store_count(notify_writer_reader(place->writer)), ==, 3);
}

static void test_finish(Place *place, gconstpointer data)
{
	for (guint i = 0; i < 1000; i++)
		add(place, "x");
	notify_writer_finish(place->writer);
	g_assert_cmpuint(place->n_answered, ==, 1000);
	add(place, "y");
	notify_writer_free(place->writer);
	g_assert_cmpuint(place->n_answered, ==, 1001);
	begin(place);
	g_assert_cmpuint(n_listed(place), ==, 1001);
}

static void test_removed_while_open(Place *place, gconstpointer data)
{
	add(place, "a");
	answered(place, 1);
	g_assert_cmpuint(n_listed(place), ==, 1);
	g_assert_cmpint(g_unlink(place->path), ==, 0);
	g_test_expect_message("understudy-notifyd", G_LOG_LEVEL_WARNING, "*removed or replaced*");
	g_assert_cmpuint(n_listed(place), ==, 0);
	g_test_assert_expected_messages();
	add(place, "b");
	answered(place, 2);
	g_assert_cmpuint(n_listed(place), ==, 1);
	g_assert_cmpuint(notify_store_count(notify_writer_reader(place->writer)), ==, 1);
}

/* It is the one that reads who meets the damage; the one that writes begins another. */
static void test_damaged_while_open(Place *place, gconstpointer data)
{
	g_autofree char *text = g_strnfill(4096, 'x'), *before = NULL, *content = NULL;
	gsize size;

	for (guint i = 0; i < 1000; i++) {
		Adding *adding = adding_new(place, "big");

		g_free(adding->new.event->description);
		adding->new.event->description = g_strdup(text);
		notify_writer_order(place->writer, &adding->order);
	}
	notify_writer_finish(place->writer);
	notify_writer_free(place->writer); /* all is in the main file, and nothing in memory */
	begin(place);
	before = g_strdup(notify_store_id(notify_writer_reader(place->writer)));
	g_assert_true(g_file_get_contents(place->path, &content, &size, NULL));
	memset(content + 4096, 0x5a, size - 4096);
	FILE *file = g_fopen(place->path, "r+"); /* in its place */
	g_assert_cmpuint(fwrite(content, 1, size, file), ==, size);
	g_assert_cmpint(fclose(file), ==, 0);

	g_test_expect_message("understudy-notifyd", G_LOG_LEVEL_WARNING, "*moved aside*");
	g_assert_cmpuint(n_listed(place), ==, 1);
	g_test_assert_expected_messages();
	g_assert_cmpstr(notify_store_id(notify_writer_reader(place->writer)), !=, before);
	add(place, "after");
	answered(place, 1001);
	g_assert_cmpuint(place->notes->len, ==, 1);
	g_assert_cmpstr(place->notes->pdata[0], ==, "event store replaced");
	g_assert_cmpuint(n_listed(place), ==, 2);
}

/* Somebody looks into it with sqlite3 as we start: it is shared, and nobody is locked out. */
static void test_somebody_has_it_open(Place *place, gconstpointer data)
{
	int told[2], end[2];
	char byte = 0;

	add(place, "a");
	answered(place, 1);
	g_clear_pointer(&place->writer, notify_writer_free);
	g_assert_cmpint(pipe(told), ==, 0);
	g_assert_cmpint(pipe(end), ==, 0);
	pid_t pid = fork();
	if (pid == 0) {
		sqlite3 *db;

		if (sqlite3_open(place->path, &db) != SQLITE_OK || sqlite3_exec(db, "SELECT count(*) FROM events", NULL, NULL, NULL) != SQLITE_OK ||
		    write(told[1], "x", 1) != 1 || read(end[0], &byte, 1) != 1)
			_exit(1);
		_exit(sqlite3_exec(db, "SELECT count(*) FROM events", NULL, NULL, NULL) != SQLITE_OK);
	}
	close(told[1]);
	g_assert_cmpint(read(told[0], &byte, 1), ==, 1);
	begin(place);
	add(place, "b");
	answered(place, 2);
	g_assert_cmpuint(n_listed(place), ==, 2);
	g_assert_cmpint(write(end[1], "x", 1), ==, 1);
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	close(told[0]);
	close(end[0]);
	close(end[1]);
}

/* A child has many under way all the time and says what was answered; it is killed at some instant. */
static void child(Place *place, int report)
{
	begin(place);
	for (guint i = 0; i < 64; i++)
		add_for_ever(place, report);
	for (;;)
		g_main_context_iteration(NULL, TRUE);
}

static void test_killed(Place *place, gconstpointer data)
{
	g_autoptr(GHashTable) confirmed = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	NotifyFilter filter = { .count = G_MAXUINT, .before = G_MAXUINT64, .acknowledged = -1, .since_ms = G_MININT64 };

	g_clear_pointer(&place->writer, notify_writer_free);
	for (guint round = 0; round < 5; round++) {
		guint enough = g_hash_table_size(confirmed) + 30 + 17 * round;
		bool killed = false;
		int fds[2];
		guint64 id;
		pid_t pid;

		g_assert_cmpint(pipe(fds), ==, 0);
		pid = fork();
		if (pid == 0)
			child(place, fds[1]);
		close(fds[1]);
		while (read(fds[0], &id, sizeof id) == sizeof id) {
			g_assert_true(g_hash_table_add(confirmed, g_memdup2(&id, sizeof id)));
			if (!killed && g_hash_table_size(confirmed) >= enough)
				killed = kill(pid, SIGKILL) == 0;
		}
		g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
		close(fds[0]);
		g_assert_true(killed);
	}
	begin(place);
	for (;;) {
		g_autoptr(GPtrArray) events = notify_store_list(notify_writer_reader(place->writer), &filter, NULL);

		for (guint i = 0; i < events->len; i++) {
			filter.before = ((NotifyEvent *)events->pdata[i])->id;
			(void)g_hash_table_remove(confirmed, &filter.before);
		}
		if (events->len == 0)
			break;
	}
	g_assert_cmpuint(g_hash_table_size(confirmed), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/notifyd/writer/" name, Place, NULL, place_setup, function, place_teardown)
	ADD("nobody-else-waits", test_nobody_else_waits);
	ADD("a-group-waits-once", test_a_group_waits_once);
	ADD("a-flood-is-slowed-down", test_a_flood_is_slowed_down);
	ADD("a-flood-is-answered-few-at-a-time", test_a_flood_is_answered_few_at_a_time);
	ADD("a-flood-on-a-slow-disk", test_a_flood_on_a_slow_disk);
	ADD("one-of-a-group-fails", test_one_of_a_group_fails);
	ADD("finish", test_finish);
	ADD("removed-while-open", test_removed_while_open);
	ADD("damaged-while-open", test_damaged_while_open);
	ADD("somebody-has-it-open", test_somebody_has_it_open);
	ADD("killed", test_killed);
	return g_test_run();
}
