/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/unite/test-unite.c - what two devices recorded apart, made one: nothing lost, nothing overwritten, nothing twice. */
#include <glib.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unite/unite.h"

typedef struct {
	char *top, *theirs, *base, *live;
	UnitePlace place;
	UniteCount count;
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	f->top = g_dir_make_tmp("unite-XXXXXX", NULL);
	f->theirs = g_build_filename(f->top, "theirs", NULL);
	f->base = g_build_filename(f->top, "base", NULL);
	f->live = g_build_filename(f->top, "live", NULL);
	g_assert_cmpint(g_mkdir(f->theirs, 0755) | g_mkdir(f->base, 0755) | g_mkdir(f->live, 0755), ==, 0);
	f->place = (UnitePlace){ f->theirs, f->base, f->live };
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

	for (const char *name; dir && (name = g_dir_read_name(dir));) {
		g_autofree char *inner = g_build_filename(path, name, NULL);
		remove_tree(inner);
	}
	(void)g_remove(path);
}

static void tear_down(Fixture *f, gconstpointer data)
{
	remove_tree(f->top);
	g_free(f->top);
	g_free(f->theirs);
	g_free(f->base);
	g_free(f->live);
}

static void put(const char *top, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(top, name, NULL), *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* As it is in base: what it was, and no more. */
static void put_pointer(const char *top, const char *name, const char *text)
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
	g_autofree char *pointer = g_strdup_printf("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %zu\n", sum, strlen(text));

	put(top, name, pointer);
}

static void check(const char *top, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(top, name, NULL), *found = NULL;

	if (!text) {
		g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
		return;
	}
	g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
	g_assert_cmpstr(found, ==, text);
}

#define BOX "default/1001/INBOX/"
#define TEXT(who, id) "[message]\norigmailbox=1001\ncallerid=" who "\norigtime=1700000000\nmsg_id=" id "\nduration=3\n"

static void put_message(const char *top, const char *stem, const char *sound, const char *text, bool pointers)
{
	g_autofree char *wav = g_strconcat(stem, ".wav", NULL), *txt = g_strconcat(stem, ".txt", NULL);

	(pointers ? put_pointer : put)(top, wav, sound);
	(pointers ? put_pointer : put)(top, txt, text);
}

static void check_message(const char *top, const char *stem, const char *sound, const char *text)
{
	g_autofree char *wav = g_strconcat(stem, ".wav", NULL), *txt = g_strconcat(stem, ".txt", NULL);

	check(top, wav, sound);
	check(top, txt, text);
}

/* Every file, in order. */
static char *names_in(const char *top)
{
	g_auto(GStrv) names = unite_list(top);

	return g_strjoinv(" ", names);
}

static void messages(Fixture *f, guint expected)
{
	g_autoptr(GError) error = NULL;

	f->count = (UniteCount){ 0 };
	g_assert_true(unite_messages(&f->place, &f->count, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(f->count.messages, ==, expected);
}

static void test_both_wrote_the_same_number(Fixture *f, gconstpointer data)
{
	put_message(f->live, BOX "msg0000", "old", TEXT("a", "1-0"), false);
	put_message(f->live, BOX "msg0001", "ours", TEXT("b", "2-0"), false);
	put_message(f->theirs, BOX "msg0001", "theirs", TEXT("c", "3-0"), false);
	put_message(f->theirs, BOX "msg0002", "theirs too", TEXT("d", "4-0"), false);
	messages(f, 2);
	check_message(f->live, BOX "msg0000", "old", TEXT("a", "1-0"));
	check_message(f->live, BOX "msg0001", "ours", TEXT("b", "2-0"));
	check_message(f->live, BOX "msg0002", "theirs", TEXT("c", "3-0"));
	check_message(f->live, BOX "msg0003", "theirs too", TEXT("d", "4-0"));
	messages(f, 0); /* again, as after kill -9 */
	g_autofree char *names = names_in(f->live);
	g_assert_cmpstr(names, ==, BOX "msg0000.txt " BOX "msg0000.wav " BOX "msg0001.txt " BOX "msg0001.wav " BOX "msg0002.txt " BOX "msg0002.wav "
				   BOX "msg0003.txt " BOX "msg0003.wav");
}

static void test_what_was_known_before_does_not_come_back(Fixture *f, gconstpointer data)
{
	/* Both had two; theirs deleted the first, so the second moved up, and another came after it. Ours deleted both. */
	put_message(f->base, BOX "msg0000", "first", TEXT("a", "1-0"), true);
	put_message(f->base, BOX "msg0001", "second", TEXT("b", "2-0"), true);
	put_message(f->theirs, BOX "msg0000", "second", TEXT("b", "2-0"), false);
	put_message(f->theirs, BOX "msg0001", "third", TEXT("c", "3-0"), false);
	messages(f, 1);
	check_message(f->live, BOX "msg0000", "third", TEXT("c", "3-0"));
	check(f->live, BOX "msg0001.txt", NULL);
}

static void test_what_was_listened_to_is_not_there_twice(Fixture *f, gconstpointer data)
{
	put_message(f->live, "default/1001/Old/msg0000", "same", TEXT("a", "1-0"), false);
	put_message(f->theirs, BOX "msg0004", "same", TEXT("a", "1-0"), false);
	messages(f, 0);
	/* In another mailbox it is another message. */
	put_message(f->theirs, "default/1002/INBOX/msg0000", "same", TEXT("a", "1-0"), false);
	messages(f, 1);
	check_message(f->live, "default/1002/INBOX/msg0000", "same", TEXT("a", "1-0"));
}

static void test_an_id_that_both_gave_is_given_once(Fixture *f, gconstpointer data)
{
	g_autofree char *text = NULL, *path = g_build_filename(f->live, BOX "msg0001.txt", NULL);

	put_message(f->live, BOX "msg0000", "ours", TEXT("a", "7-0"), false);
	put_message(f->theirs, BOX "msg0000", "theirs", TEXT("b", "7-0"), false);
	messages(f, 1);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "\nmsg_id=7-0-"));
	g_assert_nonnull(strstr(text, "callerid=b\norigtime=1700000000\n"));
	g_assert_true(g_str_has_suffix(text, "\nduration=3\n"));
	messages(f, 0);
}

static void test_a_half_placed_message_is_gone_on_with(Fixture *f, gconstpointer data)
{
	put_message(f->live, BOX "msg0000", "ours", TEXT("a", "1-0"), false);
	put_message(f->theirs, BOX "msg0000", "theirs", TEXT("b", "2-0"), false);
	/* As kill -9 leaves it: the sound, a temporary file, and the lock. */
	put(f->live, BOX "msg0001.wav", "theirs");
	put(f->live, BOX UNITE_TEMPORARY "4711", "");
	put(f->live, BOX UNITE_TEMPORARY "new", "thei");
	g_autofree char *own = g_build_filename(f->live, BOX UNITE_TEMPORARY "4711", NULL), *lock = g_build_filename(f->live, BOX ".lock", NULL);
	g_assert_cmpint(link(own, lock), ==, 0);
	messages(f, 1);
	check_message(f->live, BOX "msg0001", "theirs", TEXT("b", "2-0"));
	g_assert_false(g_file_test(lock, G_FILE_TEST_EXISTS) || g_file_test(own, G_FILE_TEST_EXISTS));
	check(f->live, BOX UNITE_TEMPORARY "new", NULL);
	/* Somebody else's sound without a text keeps its number. */
	put(f->live, BOX "msg0002.wav", "being recorded");
	put_message(f->theirs, BOX "msg0001", "another", TEXT("c", "3-0"), false);
	messages(f, 1);
	check(f->live, BOX "msg0002.txt", NULL);
	check_message(f->live, BOX "msg0003", "another", TEXT("c", "3-0"));
}

static void test_a_lock_of_asterisk_is_respected(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;

	put(f->live, BOX ".lock", "");
	put_message(f->theirs, BOX "msg0000", "theirs", TEXT("b", "2-0"), false);
	g_assert_false(unite_messages(&f->place, &f->count, &error));
	g_assert_nonnull(strstr(error->message, ".lock"));
	g_autofree char *names = names_in(f->live);
	g_assert_cmpstr(names, ==, BOX ".lock");
}

static gpointer unlock(gpointer path)
{
	(void)unlink(path);
	return NULL;
}

static void test_a_lock_of_asterisk_goes(Fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *lock = g_build_filename(f->live, BOX ".lock", NULL);

	put(f->live, BOX ".lock", "");
	put_message(f->theirs, BOX "msg0000", "theirs", TEXT("b", "2-0"), false);
	GThread *asterisk = g_thread_new("asterisk", unlock, lock);
	g_assert_true(unite_messages(&f->place, &f->count, &error));
	g_assert_no_error(error);
	g_thread_join(asterisk);
	check_message(f->live, BOX "msg0000", "theirs", TEXT("b", "2-0"));
}

static void test_greetings_and_incomplete_messages(Fixture *f, gconstpointer data)
{
	put(f->live, "default/1001/unavail.wav", "ours");
	put(f->theirs, "default/1001/unavail.wav", "theirs");
	put(f->theirs, "default/1001/busy.wav", "busy");
	put(f->theirs, BOX "msg0000.wav", "no text");
	messages(f, 0);
	g_assert_cmpuint(f->count.files, ==, 2);
	g_assert_cmpuint(f->count.incomplete, ==, 1);
	check(f->live, "default/1001/unavail.wav", "ours");
	check(f->live, "default/1001/busy.wav", "busy");
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "theirs", -1);
	g_autofree char *beside = g_strdup_printf("default/1001/unavail.%.8s.wav", sum);
	check(f->live, beside, "theirs");
	messages(f, 0);
	g_assert_cmpuint(f->count.files, ==, 0);
}

static void test_files_keep_owner_rights_and_time(Fixture *f, gconstpointer data)
{
	g_autofree char *from = g_build_filename(f->theirs, "a.wav", NULL), *to = g_build_filename(f->live, "a.wav", NULL);
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1600000000, .tv_nsec = 5 } };
	struct stat st;
	g_autoptr(GError) error = NULL;

	put(f->theirs, "a.wav", "sound");
	g_assert_cmpint(chmod(from, 0640), ==, 0);
	g_assert_cmpint(utimensat(-1, from, times, 0), ==, 0);
	g_assert_true(unite_files(&f->place, &f->count, &error));
	g_assert_cmpint(stat(to, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0640);
	g_assert_cmpint(st.st_mtim.tv_sec, ==, 1600000000);
	g_assert_cmpint(st.st_mtim.tv_nsec, ==, 5);
	/* One that was there before and is gone here was deleted. */
	put_pointer(f->base, "gone.wav", "gone");
	put(f->theirs, "gone.wav", "gone");
	g_assert_true(unite_files(&f->place, &f->count, &error));
	check(f->live, "gone.wav", NULL);
	g_assert_cmpuint(f->count.files, ==, 1);
}

static void lines(Fixture *f, guint expected)
{
	g_autoptr(GError) error = NULL;

	f->count = (UniteCount){ 0 };
	g_assert_true(unite_lines(&f->place, &f->count, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(f->count.lines, ==, expected);
}

static void test_lines(Fixture *f, gconstpointer data)
{
	const struct { bool pointer; } *row = data;

	(row->pointer ? put_pointer : put)(f->base, "Master.csv", "one\ntwo\n");
	put(f->live, "Master.csv", "one\ntwo\nours\nboth\n");
	put(f->theirs, "Master.csv", "one\ntwo\ntheirs\nboth\ntheirs\n");
	lines(f, 2);
	check(f->live, "Master.csv", "one\ntwo\nours\nboth\ntheirs\ntheirs\n");
	lines(f, 0);
	/* A line that was cut off by kill -9 is not gone on with, but begun anew. */
	put(f->live, "Master.csv", "one\ntwo\nours\nboth\ntheirs\nthei");
	lines(f, 1);
	check(f->live, "Master.csv", "one\ntwo\nours\nboth\ntheirs\nthei\ntheirs\n");
	/* What was rotated away is not missing. */
	put(f->live, "Master.csv.1", "one\ntwo\ntheirs\ntheirs\nboth\n");
	put(f->live, "Master.csv", "new\n");
	lines(f, 0);
	put(f->theirs, "1001.csv", "another\n");
	lines(f, 0);
	g_assert_cmpuint(f->count.files, ==, 1);
	check(f->live, "1001.csv", "another\n");
}

static void sql(const char *folder, const char *statements)
{
	g_autofree char *path = g_build_filename(folder, "cdr.sqlite", NULL);
	sqlite3 *db;

	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, statements, NULL, NULL, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
}

static int add_text(void *data, int n, char **values, char **names)
{
	g_string_append_printf(data, "%s ", values[0]);
	return 0;
}

static char *sql_text(const char *folder, const char *query)
{
	g_autofree char *path = g_build_filename(folder, "cdr.sqlite", NULL);
	GString *text = g_string_new(NULL);
	sqlite3 *db;

	g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(db, query, add_text, text, NULL), ==, SQLITE_OK);
	sqlite3_close(db);
	return g_string_free(text, FALSE);
}

#define TABLE "create table \"a cc\" (id integer primary key, callid text, time integer, note text);"

static void rows(Fixture *f, const char *columns, guint expected)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *live = g_build_filename(f->live, "cdr.sqlite", NULL);
	UnitePlace place = { f->theirs, f->base, live };

	f->count = (UniteCount){ 0 };
	g_assert_true(unite_rows(&place, "a cc", columns, &f->count, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(f->count.rows, ==, expected);
}

static void test_rows(Fixture *f, gconstpointer data)
{
	rows(f, NULL, 0); /* of another ref: nothing of it is there */
	sql(f->base, TABLE "insert into \"a cc\" values (1, 'deleted here', 1, 'x'), (2, 'both', 2, null)");
	/* Both gave the number 3. */
	sql(f->live, TABLE "insert into \"a cc\" values (2, 'both', 2, null), (3, 'ours', 3, null)");
	sql(f->theirs, TABLE "insert into \"a cc\" values (1, 'deleted here', 1, 'x'), (2, 'both', 2, null), (3, 'theirs', 3, null), (4, 'ours', 3, null)");
	rows(f, NULL, 1);
	g_autofree char *all = sql_text(f->live, "select callid from \"a cc\" order by id");
	g_assert_cmpstr(all, ==, "both ours theirs ");
	rows(f, NULL, 0);
	/* By named columns: the note may be another. */
	sql(f->theirs, "insert into \"a cc\" values (5, 'ours', 3, 'noted'), (6, 'late', 9, 'noted')");
	rows(f, "callid,time", 1);
	g_autofree char *then = sql_text(f->live, "select callid || note from \"a cc\" where note is not null order by id");
	g_assert_cmpstr(then, ==, "latenoted ");
}

static void test_rows_that_cannot_be(Fixture *f, gconstpointer data)
{
	g_autofree char *live = g_build_filename(f->live, "cdr.sqlite", NULL);
	UnitePlace place = { f->theirs, f->base, live };
	g_autoptr(GError) error = NULL;

	sql(f->live, "create table other (x)");
	sql(f->theirs, TABLE);
	g_assert_false(unite_rows(&place, "a cc", NULL, &f->count, &error));
	g_assert_nonnull(strstr(error->message, "there is no table a cc here"));
	g_clear_error(&error);
	sql(f->live, TABLE);
	g_assert_false(unite_rows(&place, "a cc", "callid,when", &f->count, &error));
	g_assert_nonnull(strstr(error->message, "has no column when"));
}

static void test_words(Fixture *f, gconstpointer data)
{
	static const char *const bad[] = { "", "messages", "messages:mail", "messages:mail:relative", "messages:mail:/x:y", "things:mail:/x", "rows:cdr:/x", "files:../x:/y" };
	UniteCount count = { .messages = 2, .rows = 1 };
	g_autofree char *text = unite_count_text(&count), *word = g_strdup_printf("files:mail:%s", f->live);

	g_assert_cmpstr(text, ==, "2 messages, 1 row");
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(unite_word(bad[i], f->base, f->theirs, &count, &error));
		g_assert_nonnull(error);
	}
	put(f->theirs, "mail/a.wav", "a");
	g_autoptr(GError) error = NULL;
	g_assert_true(unite_word(word, f->base, f->theirs, &f->count, &error));
	check(f->live, "a.wav", "a");
	g_autofree char *done = unite_count_text(&f->count);
	g_assert_cmpstr(done, ==, "1 file");
}

int main(int argc, char **argv)
{
	static const struct { bool pointer; } as_text = { false }, as_pointer = { true };

	g_test_init(&argc, &argv, NULL);
#define ADD(path, data, function) g_test_add("/unite/" path, Fixture, data, set_up, function, tear_down)
	ADD("messages/same-number", NULL, test_both_wrote_the_same_number);
	ADD("messages/known-before", NULL, test_what_was_known_before_does_not_come_back);
	ADD("messages/listened-to", NULL, test_what_was_listened_to_is_not_there_twice);
	ADD("messages/same-id", NULL, test_an_id_that_both_gave_is_given_once);
	ADD("messages/half-placed", NULL, test_a_half_placed_message_is_gone_on_with);
	ADD("messages/locked", NULL, test_a_lock_of_asterisk_is_respected);
	ADD("messages/unlocked", NULL, test_a_lock_of_asterisk_goes);
	ADD("messages/others", NULL, test_greetings_and_incomplete_messages);
	ADD("files", NULL, test_files_keep_owner_rights_and_time);
	ADD("lines/text", &as_text, test_lines);
	ADD("lines/pointer", &as_pointer, test_lines);
	ADD("rows", NULL, test_rows);
	ADD("rows/bad", NULL, test_rows_that_cannot_be);
	ADD("words", NULL, test_words);
	return g_test_run();
}
