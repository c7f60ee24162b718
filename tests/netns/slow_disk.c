/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/netns/slow_disk.c - a disk that takes its time, for chosen programs: preloaded into every process of a device, it makes each call that
 * waits for the disk last longer by what /run/slow-disk says, and tells of it on standard error.
 *
 *	understudy-supervisor 2000      program, milliseconds; read anew at every call
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ORDERS "/run/slow-disk"

static long ordered_ms(void)
{
	char text[1024], *rest = text, *line;
	int fd = open(ORDERS, O_RDONLY | O_CLOEXEC);
	long ms = 0;

	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof text - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		char name[64];
		long value;

		if (sscanf(line, "%63s %ld", name, &value) == 2 && strcmp(name, program_invocation_short_name) == 0)
			ms = value;
	}
	return ms;
}

static void wait_for_disk(const char *call, int fd)
{
	int saved_errno = errno;
	long ms = ordered_ms();

	if (ms > 0) {
		char link[32], path[256], text[512];
		struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		ssize_t n = readlink(link, path, sizeof path - 1);
		path[n < 0 ? 0 : n] = '\0';
		int length = snprintf(text, sizeof text, "slow-disk: %s %s %s %s\n", program_invocation_short_name,
				      getpid() == syscall(SYS_gettid) ? "main" : "thread", call, path);
		(void)!write(STDERR_FILENO, text, (size_t)length);
		while (nanosleep(&left, &left) < 0 && errno == EINTR)
			continue;
	}
	errno = saved_errno;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int fsync(int fd)
{
	wait_for_disk("fsync", fd);
	return NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
	wait_for_disk("fdatasync", fd);
	return NEXT(fdatasync)(fd);
}

int syncfs(int fd)
{
	wait_for_disk("syncfs", fd);
	return NEXT(syncfs)(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned flags)
{
	wait_for_disk("sync_file_range", fd);
	return NEXT(sync_file_range)(fd, offset, length, flags);
}

void sync(void)
{
	wait_for_disk("sync", -1);
	NEXT(sync)();
}
