/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unite/lines.c - files that only grow, a record a line, such as Asterisk's Master.csv.
 *
 * A record is its line. Of each line there shall be as many here as the other device has beyond what both had when they parted, unless there are: two
 * equal lines that both devices wrote count as one record. What was rotated away here (Master.csv.1) still counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <unistd.h>

#include "unite/unite.h"

static void count_lines(GHashTable *counts, const char *data, gsize length)
{
	const char *end = data + length;

	while (data < end) {
		const char *newline = memchr(data, '\n', (gsize)(end - data));
		gsize n = newline ? (gsize)(newline - data) : (gsize)(end - data);

		if (n > 0) {
			char *line = g_strndup(data, n);
			guint before = GPOINTER_TO_UINT(g_hash_table_lookup(counts, line));

			g_hash_table_insert(counts, line, GUINT_TO_POINTER(before + 1));
		}
		data += n + 1;
	}
}

static GHashTable *counts_new(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static guint count_of(GHashTable *counts, const char *line)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(counts, line));
}

/* Of a file in @base that is a pointer only its sum is known: if the file only grew, it is how @theirs begins. */
static gsize common_length(const char *before, const char *theirs, gsize length)
{
	g_autofree char *sum = unite_sum(before), *text = NULL;
	const char *size;
	gsize n;

	if (!sum || !g_file_get_contents(before, &text, NULL, NULL) || !(size = strstr(text, "\nsize ")))
		return 0;
	guint64 said = g_ascii_strtoull(size + 6, NULL, 10);
	if (said > length)
		return 0;
	n = (gsize)said;
	g_autofree char *begins = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)theirs, n);
	return g_str_equal(begins, sum) ? n : 0;
}

static GHashTable *lines_before(const char *before, const char *theirs, gsize length)
{
	GHashTable *counts = counts_new();
	g_autofree char *text = NULL;
	gsize n;

	if (!g_file_get_contents(before, &text, &n, NULL))
		return counts;
	if (g_str_has_prefix(text, "version https://git-lfs.github.com/spec/v1\n"))
		count_lines(counts, theirs, common_length(before, theirs, length));
	else
		count_lines(counts, text, n);
	return counts;
}

/* The file itself, and "name.1", "name.20260101" beside it. */
static GHashTable *lines_here(const char *path)
{
	GHashTable *counts = counts_new();
	g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

	for (const char *each; dir && (each = g_dir_read_name(dir));) {
		gsize n = strlen(name);
		g_autofree char *other = g_build_filename(folder, each, NULL), *text = NULL;
		gsize length;

		if (strncmp(each, name, n) != 0 || (each[n] != '\0' && !(strchr(".-", each[n]) && strspn(each + n + 1, "0123456789") == strlen(each + n + 1))))
			continue;
		if (g_file_get_contents(other, &text, &length, NULL))
			count_lines(counts, text, length);
	}
	return counts;
}

static bool append(const char *path, const GString *text, GError **error)
{
	int fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	char last = '\n';

	if (fd < 0)
		return unite_errno(error, path);
	off_t end = lseek(fd, 0, SEEK_END);
	if (end > 0 && pread(fd, &last, 1, end - 1) != 1)
		last = '\n';
	g_autofree char *all = g_strconcat(last == '\n' ? "" : "\n", text->str, NULL);
	/* In one piece: who writes at the end at the same time comes before or after it. */
	ssize_t n = write(fd, all, strlen(all));
	bool ok = n == (ssize_t)strlen(all) && fsync(fd) == 0;
	if (n >= 0 && n < (ssize_t)strlen(all))
		errno = ENOSPC;
	int saved = errno;
	(void)close(fd);
	errno = saved;
	return ok || unite_errno(error, path);
}

static bool unite_one(const UnitePlace *place, const char *name, UniteCount *count, GError **error)
{
	g_autofree char *from = g_build_filename(place->theirs, name, NULL), *to = g_build_filename(place->live, name, NULL);
	g_autofree char *base = g_build_filename(place->base, name, NULL), *text = NULL;
	g_autoptr(GString) missing = g_string_new(NULL);
	gsize length;

	if (!g_file_test(to, G_FILE_TEST_EXISTS))
		return unite_one_file(place, name, count, error);
	if (!g_file_get_contents(from, &text, &length, error))
		return false;
	g_autoptr(GHashTable) before = lines_before(base, text, length), here = lines_here(to), theirs = counts_new();
	for (const char *line = text, *end = text + length; line < end;) {
		gsize n = strcspn(line, "\n");
		g_autofree char *one = g_strndup(line, n);

		line += n + 1;
		if (n == 0)
			continue;
		guint so_far = count_of(theirs, one) + 1;
		g_hash_table_insert(theirs, g_strdup(one), GUINT_TO_POINTER(so_far));
		/* Here there are those of before (unless somebody took them away), and what came since. */
		guint shared = count_of(before, one), has = count_of(here, one);
		if (so_far <= shared || so_far - shared <= (has > shared ? has - shared : 0))
			continue;
		g_string_append_printf(missing, "%s\n", one);
		count->lines++;
	}
	return missing->len == 0 || append(to, missing, error);
}

bool unite_lines(const UnitePlace *place, UniteCount *count, GError **error)
{
	g_auto(GStrv) names = unite_list(place->theirs);

	for (guint i = 0; names[i]; i++)
		if (!unite_one(place, names[i], count, error))
			return false;
	return true;
}
