/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/output.c - log files and journal streams. */
#include "supervisor/processes/output.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_BYTES (4 * 1024 * 1024) /* of one file */
#define KEEP_BYTES (64 * 1024)
#define MAX_ALL_MB 64
#define LAST_BYTES 800
#define JOURNAL_MS 1000

/* systemd says by JOURNAL_STREAM which device and inode our own stream has; it may have been redirected since. */
static bool own_output_is_journal(void)
{
	const char *stream = g_getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat own;
	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &own) == 0 &&
	       own.st_dev == device && own.st_ino == inode;
}

static int open_journal(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/stdout" };
	/* identifier, unit, priority, parse level prefixes, forward to syslog, kmsg, console */
	g_autofree char *header = g_strdup_printf("%s\n\n6\n1\n0\n0\n0\n", name);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	    write(fd, header, strlen(header)) == (ssize_t)strlen(header))
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int output_open(const char *name)
{
	int fd = own_output_is_journal() ? open_journal(name) : -1;
	if (fd < 0) {
		g_autofree char *path = g_build_filename(OUTPUT_DIR, name, NULL);
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	}
	return fd >= 0 ? fd : open("/dev/null", O_WRONLY | O_CLOEXEC);
}

void output_prepare(void)
{
	struct stat own, above;
	if (stat(OUTPUT_DIR, &own) < 0 || stat(OUTPUT_DIR "/..", &above) < 0 || own.st_dev != above.st_dev)
		return; /* it has been done */
	if (mount("tmpfs", OUTPUT_DIR, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=" G_STRINGIFY(MAX_ALL_MB) "m") < 0)
		g_info("%s gets no size of its own: %s", OUTPUT_DIR, g_strerror(errno));
}

/* The end of a file; transfer full, with its length. */
static char *read_end(int fd, off_t size, gsize n_bytes, gsize *ret_length)
{
	char *text = g_malloc(n_bytes + 1);
	ssize_t n = pread(fd, text, n_bytes, MAX(0, size - (off_t)n_bytes));
	*ret_length = n > 0 ? (gsize)n : 0;
	text[*ret_length] = '\0';
	return text;
}

bool output_trim(void)
{
	g_autoptr(GDir) folder = g_dir_open(OUTPUT_DIR, 0, NULL);
	const char *name;
	bool trimmed = false;
	while (folder && (name = g_dir_read_name(folder))) {
		g_autofree char *path = g_build_filename(OUTPUT_DIR, name, NULL);
		struct stat found;
		if (stat(path, &found) < 0 || !S_ISREG(found.st_mode) || found.st_size <= MAX_BYTES)
			continue;
		trimmed = true;
		/* Its writers append, so they go on at the new end. */
		int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
		gsize length = 0;
		g_autofree char *end = fd >= 0 ? read_end(fd, found.st_size, KEEP_BYTES, &length) : NULL;
		if (fd < 0 || ftruncate(fd, 0) < 0 || write(fd, end, length) < 0)
			g_debug("%s cannot be shortened", path);
		if (fd >= 0)
			close(fd);
	}
	return trimmed;
}

/* ---- The last lines ---- */

char *output_last_lines(const char *text, guint n_lines, gsize n_bytes)
{
	gsize length = strlen(text);
	while (length > 0 && text[length - 1] == '\n')
		length--;
	gsize begin = length;
	for (guint i = 0; i < n_lines && begin > 0; i++) {
		gsize at = begin - 1; /* the end of the line before */
		while (at > 0 && text[at - 1] != '\n')
			at--;
		if (length - at > n_bytes)
			break;
		begin = at;
	}
	if (begin == length && length > 0)
		begin = length > n_bytes ? length - n_bytes : 0; /* one line that is too long: its end */
	g_autofree char *lines = g_strndup(text + begin, length - begin);
	g_autofree char *valid = g_utf8_make_valid(lines, -1);
	for (char *at = valid; *at; at++)
		if ((guchar)*at < ' ' && *at != '\n')
			*at = ' ';
	return *valid ? g_strconcat(valid, "\n", NULL) : g_strdup("");
}

typedef struct {
	OutputLastCb done;
	gpointer user_data;
	GCancellable *cancel;
	guint timer;
} Asking;

static gboolean on_journal_late(gpointer user_data)
{
	Asking *asking = user_data;
	asking->timer = 0;
	g_cancellable_cancel(asking->cancel);
	return G_SOURCE_REMOVE;
}

static void on_journal(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Asking *asking = user_data;
	g_autofree char *text = NULL;
	(void)g_subprocess_communicate_utf8_finish(G_SUBPROCESS(source), result, &text, NULL, NULL);
	if (!text)
		g_subprocess_force_exit(G_SUBPROCESS(source));
	g_autofree char *lines = output_last_lines(text ? text : "", OUTPUT_LAST_LINES, LAST_BYTES);
	if (asking->timer)
		g_source_remove(asking->timer);
	asking->done(lines, asking->user_data);
	g_object_unref(asking->cancel);
	g_free(asking);
}

static bool ask_journal(const char *name, const char *unit, OutputLastCb done, gpointer user_data)
{
	const char *argv[] = { "/usr/bin/journalctl", "--quiet", "--no-pager", "--output=cat", "--lines=" G_STRINGIFY(OUTPUT_LAST_LINES),
			       unit ? "--unit" : "--identifier", unit ? unit : name, NULL };
	g_autoptr(GSubprocess) process = g_subprocess_newv(argv, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL);
	if (!process)
		return false;
	Asking *asking = g_new0(Asking, 1);
	*asking = (Asking){ .done = done, .user_data = user_data, .cancel = g_cancellable_new() };
	asking->timer = g_timeout_add(JOURNAL_MS, on_journal_late, asking);
	g_subprocess_communicate_utf8_async(process, NULL, asking->cancel, on_journal, asking);
	return true;
}

void output_last(const char *name, const char *unit, OutputLastCb done, gpointer user_data)
{
	if ((unit || own_output_is_journal()) && ask_journal(name, unit, done, user_data))
		return;
	g_autofree char *path = g_build_filename(OUTPUT_DIR, name, NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat found = { 0 };
	gsize length = 0;
	g_autofree char *end = fd >= 0 && fstat(fd, &found) == 0 ? read_end(fd, found.st_size, 2 * LAST_BYTES, &length) : NULL;
	if (fd >= 0)
		close(fd);
	g_autofree char *lines = output_last_lines(end ? end : "", OUTPUT_LAST_LINES, LAST_BYTES);
	done(lines, user_data);
}
