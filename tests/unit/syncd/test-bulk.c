/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written in bulk is what was given, however its pieces lie, and wherever the file system will not have it past the memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "syncd/files/bulk.h"
#include "syncd/files/file.h"

enum { BLOCK = SYNC_BULK_ALIGNMENT, ROOM = 64 * BLOCK };

static const gsize pieces[][6] = {
	{ 1 },
	{ BLOCK },
	{ 3 * BLOCK + 1104 },
	{ 16 * BLOCK, 16 * BLOCK, 4 * BLOCK + 77 },
	{ 5, BLOCK, BLOCK - 5, 2 * BLOCK, BLOCK },
	{ BLOCK - 1, 1, 8 * BLOCK, 1, 2 * BLOCK },
};

static void write_in_pieces(const char *folder, const gsize *lengths, gsize shift)
{
	g_autofree char *path = g_build_filename(folder, "bulk-XXXXXX", NULL), *found = NULL;
	char *data = aligned_alloc(BLOCK, ROOM + BLOCK), *expected = g_malloc(ROOM);
	int fd = g_mkstemp(path);
	gsize at = 0, n;

	g_assert_cmpint(fd, >=, 0);
	for (; *lengths; lengths++) {
		for (gsize i = 0; i < *lengths; i++)
			data[shift + i] = expected[at + i] = (char)g_test_rand_int();
		gssize held = sync_bulk_write(fd, at, data + shift, *lengths);
		g_assert_cmpint(held, >=, shift ? (gssize)*lengths : 0);
		g_assert_cmpint(held, <=, *lengths);
		at += *lengths;
		g_assert_cmpint(fcntl(fd, F_GETFL) & O_DIRECT, ==, 0);
		g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, at);
	}
	g_assert_true(g_file_get_contents(path, &found, &n, NULL));
	g_assert_cmpmem(found, n, expected, at);
	(void)unlink(path);
	(void)close(fd);
	free(data);
	g_free(expected);
}

static void test_pieces(void)
{
	/* A disk, and what is only memory. */
	static const char *const folders[] = { "/var/tmp", "/dev/shm" };

	for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
		for (guint j = 0; j < G_N_ELEMENTS(pieces); j++) {
			write_in_pieces(folders[i], pieces[j], 0);
			write_in_pieces(folders[i], pieces[j], 16);
		}
	}
}

/* What the disk of /var/tmp takes past the memory goes there, and nothing else is said of it than of what it does not take. */
static void test_past_memory(void)
{
	g_autofree char *path = g_strdup("/var/tmp/bulk-XXXXXX");
	char *data = aligned_alloc(BLOCK, 4 * BLOCK);
	sync_autofd fd = g_mkstemp(path);
	bool takes_blocks = fcntl(fd, F_SETFL, O_DIRECT) == 0 && write(fd, memset(data, 1, 4 * BLOCK), BLOCK) == BLOCK;
	gsize length = 3 * BLOCK + 1104;

	(void)unlink(path);
	g_assert_cmpint(fcntl(fd, F_SETFL, 0), ==, 0);
	g_assert_cmpint(lseek(fd, BLOCK, SEEK_SET), ==, BLOCK);
	g_assert_cmpint(sync_bulk_write(fd, BLOCK, memset(data, 1, 4 * BLOCK), length), ==, takes_blocks ? 1104 : length);
	free(data);
}

static void test_full(void)
{
	char *data = aligned_alloc(BLOCK, 2 * BLOCK);
	sync_autofd fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	memset(data, 0, 2 * BLOCK);
	g_assert_cmpint(sync_bulk_write(fd, 0, data, 2 * BLOCK), ==, -1);
	g_assert_cmpint(errno, ==, ENOSPC);
	free(data);
}

int main(int argc, char *argv[])
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/bulk/pieces", test_pieces);
	g_test_add_func("/bulk/past-memory", test_past_memory);
	g_test_add_func("/bulk/full", test_full);
	return g_test_run();
}
