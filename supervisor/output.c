/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/output.c - log files and journal streams. */
#include "supervisor/output.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_BYTES (4 * 1024 * 1024)

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

void output_trim(void)
{
	g_autoptr(GDir) folder = g_dir_open(OUTPUT_DIR, 0, NULL);
	const char *name;
	while (folder && (name = g_dir_read_name(folder))) {
		g_autofree char *path = g_build_filename(OUTPUT_DIR, name, NULL);
		struct stat found;
		/* Its writers append, so they go on at the new end. */
		if (stat(path, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > MAX_BYTES && truncate(path, 0) < 0)
			g_debug("%s cannot be emptied", path);
	}
}
