/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-whole.c - what is read out of syncd's marks. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/whole.h"
#include "syncd/apply/marks.h"

typedef struct {
	char *folder, *path;
} Place;

static void place_init(Place *place)
{
	place->folder = g_dir_make_tmp("whole-XXXXXX", NULL);
	place->path = g_build_filename(place->folder, "files", NULL);
}

static void place_clear(Place *place)
{
	(void)g_unlink(place->path);
	g_assert_cmpint(g_rmdir(place->folder), ==, 0);
	g_free(place->folder);
	g_free(place->path);
}

static void test_marks(void)
{
	static const struct {
		const char *marks;
		Whole wanted;
	} rows[] = {
		{ "---", WHOLE_YES },     { "", WHOLE_UNKNOWN },    { "???", WHOLE_UNKNOWN }, { "--?", WHOLE_UNKNOWN }, { "?*-", WHOLE_NOT },
		{ "*--", WHOLE_NOT },     { "--*", WHOLE_NOT },     { "***", WHOLE_NOT },     { "nonsense", WHOLE_UNKNOWN },
	};
	Place place;

	place_init(&place);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_UNKNOWN); /* no syncd was ever there */
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_test_message("%s", rows[i].marks);
		g_assert_true(g_file_set_contents(place.path, rows[i].marks, -1, NULL));
		g_assert_cmpint(whole_look(place.path), ==, rows[i].wanted);
	}
	place_clear(&place);
}

static void test_what_syncd_marks(void)
{
	SyncMarks marks;
	Place place;

	place_init(&place);
	g_assert_true(sync_marks_open(&marks, place.path, "/nonexistent", 2, NULL));
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_UNKNOWN);
	sync_marks_whole(&marks, 0);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_UNKNOWN);
	sync_marks_whole(&marks, 1);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_YES);
	g_assert_true(sync_marks_begin(&marks, 0, true, NULL)); /* looking has left no lock */
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_NOT);
	sync_marks_close(&marks);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_NOT);
	place_clear(&place);
}

/* One that is about to write its mark has not seen yet that applications may run. */
static void test_about_to_mark(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 1 };
	Place place;

	place_init(&place);
	g_assert_true(g_file_set_contents(place.path, "---", -1, NULL));
	int fd = open(place.path, O_RDWR | O_CLOEXEC);
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_NOT);
	close(fd);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_YES);
	place_clear(&place);
}

/* What else somebody could put there. */
static void test_no_file(void)
{
	Place place;

	place_init(&place);
	g_assert_cmpint(symlink("/etc/passwd", place.path), ==, 0);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_UNKNOWN);
	g_assert_cmpint(g_unlink(place.path), ==, 0);
	g_assert_cmpint(mkfifo(place.path, 0600), ==, 0);
	g_assert_cmpint(whole_look(place.path), ==, WHOLE_UNKNOWN);
	place_clear(&place);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/whole/marks", test_marks);
	g_test_add_func("/whole/what-syncd-marks", test_what_syncd_marks);
	g_test_add_func("/whole/about-to-mark", test_about_to_mark);
	g_test_add_func("/whole/no-file", test_no_file);
	return g_test_run();
}
