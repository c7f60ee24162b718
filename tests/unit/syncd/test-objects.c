/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-objects.c - the store of recordings: what comes in is what its name says, or it does not come in. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/voice/objects.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" /* sha256 of "hello" */

static char *top;

static void setup(void)
{
	top = g_dir_make_tmp("understudy-objects-XXXXXX", NULL);
	g_assert_nonnull(top);
}

static void teardown(void)
{
	sync_file_remove_tree(AT_FDCWD, top);
	g_clear_pointer(&top, g_free);
}

static SyncObjects *store(void)
{
	g_autofree char *folder = g_build_filename(top, "lfs", NULL);
	g_autoptr(GError) error = NULL;
	SyncObjects *objects = sync_objects_open(folder, &error);

	g_assert_no_error(error);
	return objects;
}

static int file_with(const char *data, gsize length)
{
	g_autofree char *path = g_build_filename(top, "file", NULL);

	g_assert_true(g_file_set_contents(path, data, (gssize)length, NULL));
	return open(path, O_RDWR | O_CLOEXEC);
}

static SyncPointer put(SyncObjects *objects, const char *data, gsize length)
{
	sync_autofd fd = file_with(data, length);
	g_autoptr(GError) error = NULL;
	SyncPointer pointer;

	g_assert_true(sync_objects_put(objects, fd, NULL, &pointer, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(pointer.size, ==, length);
	return pointer;
}

static guint count(const char *name)
{
	g_autofree char *folder = g_build_filename(top, "lfs", name, NULL);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	guint n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

static void test_put_and_take(void)
{
	setup();
	g_autoptr(SyncObjects) objects = store();
	g_autoptr(GError) error = NULL;
	SyncPointer pointer = put(objects, "hello", 5), empty = put(objects, "", 0);
	g_autofree char *path = sync_objects_path(objects, HELLO), *expected = g_build_filename(top, "lfs/objects/2c/f2", HELLO, NULL);
	g_autofree char *text = NULL;
	struct stat st;

	g_assert_cmpstr(pointer.id, ==, HELLO);
	g_assert_cmpstr(path, ==, expected);
	g_assert_true(sync_objects_has(objects, &pointer) && sync_objects_has(objects, &empty));
	g_assert_true(sync_objects_settle(objects, &error));
	g_assert_no_error(error);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0400);
	/* Twice is once; a file of its own comes out. */
	(void)put(objects, "hello", 5);
	g_assert_cmpuint(count("incomplete"), ==, 0);
	sync_autofd fd = file_with("", 0);
	g_assert_true(sync_objects_take(objects, &pointer, fd, NULL, &error));
	g_assert_cmpint(pwrite(fd, "J", 1, 0), ==, 1);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "hello");
	/* Not whole, not there. */
	pointer.size = 6;
	g_assert_false(sync_objects_has(objects, &pointer));
	g_assert_false(sync_objects_take(objects, &pointer, fd, NULL, NULL));
	memset(pointer.id, '0', SYNC_OBJECT_ID);
	g_assert_false(sync_objects_take(objects, &pointer, fd, NULL, &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_FAILED);
	teardown();
}

/* More than goes through memory at once, and more than is fsynced one by one. */
static void test_large_and_many(void)
{
	setup();
	g_autoptr(SyncObjects) objects = store();
	gsize size = (5 << 20) + 3;
	g_autofree char *data = g_malloc(size), *back = NULL, *mark = g_build_filename(top, "lfs/unsettled", NULL);
	g_autofree char *out = g_build_filename(top, "out", NULL);
	gsize length;

	for (gsize i = 0; i < size; i++)
		data[i] = (char)(i * 7 >> 3);
	SyncPointer large = put(objects, data, size);
	sync_autofd fd = open(out, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	g_assert_true(sync_objects_take(objects, &large, fd, NULL, NULL));
	g_assert_true(g_file_get_contents(out, &back, &length, NULL));
	g_assert_cmpmem(back, length, data, size);
	for (char c = 'a'; c <= 'z'; c++)
		(void)put(objects, &c, 1);
	g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
	g_assert_true(sync_objects_settle(objects, NULL));
	g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
	/* Begun by another thread, and waited for here. */
	for (char c = 'A'; c <= 'Z'; c++)
		(void)put(objects, &c, 1);
	g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
	sync_objects_settle_soon(objects);
	g_assert_true(sync_objects_settle(objects, NULL));
	g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
	teardown();
}

static bool receive(SyncObjects *objects, const SyncPointer *pointer, const char *data, bool *ret_finished, GError **error)
{
	g_autoptr(SyncReceipt) receipt = sync_receipt_new(objects, pointer, NULL, error);

	*ret_finished = false;
	if (!receipt || !sync_receipt_add(receipt, (const guint8 *)data, strlen(data), error))
		return false;
	if (sync_receipt_at(receipt) < pointer->size)
		return true;
	*ret_finished = true;
	return sync_receipt_finish(receipt, error);
}

static void test_receive(void)
{
	setup();
	g_autoptr(SyncObjects) objects = store();
	g_autoptr(GError) error = NULL;
	SyncPointer pointer = { .id = HELLO, .size = 5 };
	bool finished;

	/* In two pieces, with a restart of this process in between. */
	g_assert_true(receive(objects, &pointer, "he", &finished, &error));
	g_assert_false(finished || sync_objects_has(objects, &pointer));
	g_clear_pointer(&objects, sync_objects_free);
	objects = store();
	g_assert_true(receive(objects, &pointer, "llo", &finished, &error));
	g_assert_no_error(error);
	g_assert_true(finished && sync_objects_has(objects, &pointer));
	g_assert_cmpuint(count("incomplete"), ==, 0);
	teardown();
}

static void test_receive_wrong(void)
{
	setup();
	g_autoptr(SyncObjects) objects = store();
	g_autoptr(GError) error = NULL;
	SyncPointer pointer = { .id = HELLO, .size = 5 };
	bool finished;

	g_assert_false(receive(objects, &pointer, "jello", &finished, &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	g_assert_true(finished);
	g_clear_error(&error);
	/* Nothing of it is left to go on from. */
	g_assert_cmpuint(count("incomplete"), ==, 0);
	g_assert_false(sync_objects_has(objects, &pointer));
	g_assert_false(receive(objects, &pointer, "hello!", &finished, &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	g_clear_error(&error);
	/* More than the whole, left by somebody: from the beginning. */
	g_autofree char *part = g_build_filename(top, "lfs/incomplete", HELLO, NULL);
	g_assert_true(g_file_set_contents(part, "much too much", -1, NULL));
	g_assert_true(receive(objects, &pointer, "hello", &finished, &error));
	g_assert_no_error(error);
	g_assert_true(sync_objects_has(objects, &pointer));
	/* Larger than any disk: refused before a byte is asked for. */
	memset(pointer.id, 'a', SYNC_OBJECT_ID);
	pointer.size = G_MAXINT64;
	g_assert_false(receive(objects, &pointer, "hello", &finished, &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_FAILED);
	teardown();
}

static bool copy_while_received(SyncObjects *objects, const SyncPointer *pointer, const char *data, int copy_fd)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncReceipt) receipt = sync_receipt_new(objects, pointer, NULL, &error);

	g_assert_no_error(error);
	if (!sync_receipt_copy(receipt, copy_fd))
		return false;
	g_assert_true(sync_receipt_add(receipt, (const guint8 *)data, 2, NULL) && sync_receipt_add(receipt, (const guint8 *)data + 2, strlen(data) - 2, NULL));
	g_assert_true(sync_receipt_finish(receipt, NULL));
	return sync_receipt_is_copied(receipt);
}

static void test_receive_copied(void)
{
	setup();
	g_autoptr(SyncObjects) objects = store();
	SyncPointer pointer = { .id = HELLO, .size = 5 };
	g_autofree char *path = g_build_filename(top, "copy", NULL), *found = NULL, *object = sync_objects_path(objects, HELLO);
	sync_autofd full_fd = open("/dev/full", O_WRONLY | O_CLOEXEC), copy_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool finished;

	/* Where the copy has no room the object comes all the same. */
	g_assert_false(copy_while_received(objects, &pointer, "hello", full_fd));
	g_assert_true(sync_objects_has(objects, &pointer));
	g_assert_cmpint(unlink(object), ==, 0);
	/* One that has begun, and one that begins anew, is copied in the end. */
	g_assert_true(receive(objects, &pointer, "he", &finished, NULL));
	g_assert_false(copy_while_received(objects, &pointer, "hello", copy_fd));
	g_autoptr(SyncReceipt) receipt = sync_receipt_new(objects, &pointer, NULL, NULL);
	g_assert_true(sync_receipt_restart(receipt, NULL));
	if (!sync_receipt_copy(receipt, copy_fd)) { /* the two share their bytes on this file system: there is nothing to copy */
		g_clear_pointer(&receipt, sync_receipt_free);
		g_assert_false(copy_while_received(objects, &pointer, "hello", copy_fd));
		g_assert_true(sync_objects_has(objects, &pointer));
		teardown();
		return;
	}
	g_assert_true(sync_receipt_add(receipt, (const guint8 *)"he", 2, NULL) && sync_receipt_restart(receipt, NULL));
	g_assert_false(sync_receipt_is_copied(receipt));
	g_clear_pointer(&receipt, sync_receipt_free);
	g_assert_cmpint(ftruncate(copy_fd, 0), ==, 0);
	g_assert_cmpint(lseek(copy_fd, 0, SEEK_SET), ==, 0);
	g_assert_true(copy_while_received(objects, &pointer, "hello", copy_fd));
	g_assert_true(sync_objects_has(objects, &pointer));
	g_assert_true(g_file_get_contents(path, &found, NULL, NULL));
	g_assert_cmpstr(found, ==, "hello");
	teardown();
}

static void test_sweep(void)
{
	setup();
	g_autoptr(SyncObjects) objects = store();
	g_autoptr(GHashTable) keep = g_hash_table_new(g_str_hash, g_str_equal);
	SyncPointer kept = put(objects, "hello", 5), gone = put(objects, "other", 5), coming = { .size = 9 };
	g_autofree char *part = NULL;
	bool finished;
	guint n;
	guint64 bytes;

	memset(coming.id, 'b', SYNC_OBJECT_ID);
	g_assert_true(receive(objects, &coming, "some", &finished, NULL));
	g_hash_table_add(keep, kept.id);
	g_hash_table_add(keep, coming.id);
	sync_objects_sweep(objects, keep, &n, &bytes);
	g_assert_cmpuint(n, ==, 1);
	g_assert_cmpuint(bytes, ==, 5);
	g_assert_true(sync_objects_has(objects, &kept));
	g_assert_false(sync_objects_has(objects, &gone));
	g_assert_cmpuint(count("incomplete"), ==, 1);
	g_hash_table_remove_all(keep);
	sync_objects_sweep(objects, keep, &n, &bytes);
	g_assert_cmpuint(n, ==, 2);
	g_assert_cmpuint(count("incomplete"), ==, 0);
	g_assert_cmpuint(count("objects"), ==, 0);
	g_assert_true(sync_objects_settle(objects, NULL));
	/* And everything is there again for the next one. */
	kept = put(objects, "hello", 5);
	g_assert_true(sync_objects_has(objects, &kept) && sync_objects_settle(objects, NULL));
	teardown();
}

static void test_power_lost(void)
{
	setup();
	g_autoptr(SyncObjects) objects = store();
	SyncPointer sound = put(objects, "hello", 5), ruined = put(objects, "other", 5);
	g_autofree char *path = sync_objects_path(objects, ruined.id), *mark = g_build_filename(top, "lfs/unsettled", NULL);
	g_autofree char *copy = g_build_filename(top, "lfs/incomplete/new-7", NULL);

	g_clear_pointer(&objects, sync_objects_free);
	g_assert_cmpint(chmod(path, 0600), ==, 0);
	g_assert_true(g_file_set_contents(path, "\0\0\0\0\0", 5, NULL));
	g_assert_true(g_file_set_contents(mark, "another-boot", -1, NULL));
	g_assert_true(g_file_set_contents(copy, "half", -1, NULL));
	g_test_expect_message("understudy-syncd", G_LOG_LEVEL_WARNING, "1 recordings had not come*");
	objects = store();
	g_test_assert_expected_messages();
	g_assert_true(sync_objects_has(objects, &sound));
	g_assert_false(sync_objects_has(objects, &ruined));
	g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(count("incomplete"), ==, 0);
	teardown();
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/objects/put-and-take", test_put_and_take);
	g_test_add_func("/objects/large-and-many", test_large_and_many);
	g_test_add_func("/objects/receive", test_receive);
	g_test_add_func("/objects/receive-wrong", test_receive_wrong);
	g_test_add_func("/objects/receive-copied", test_receive_copied);
	g_test_add_func("/objects/sweep", test_sweep);
	g_test_add_func("/objects/power-lost", test_power_lost);
	return g_test_run();
}
