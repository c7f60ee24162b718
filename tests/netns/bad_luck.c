/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/netns/bad_luck.c - bad luck at a chosen moment, for chosen programs: preloaded into every process of a device, it counts the calls that change
 * something below /var/lib, and at the one that /run/bad-luck names the process dies, or the disk is full from then on. Each is noted in /run/bad-luck.log.
 *
 *	understudy-syncd kill 17 1      program; count, kill or full; at which call; a number that is another one in each order
 *	understudy-syncd hold 0 1 x.cfg   the renames to that name wait until there is another order
 *	understudy-syncd watches 3 1    the kernel gives no more than three inotify watches
 *	understudy-syncd clock -5 1     the wall clock is five seconds slow
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/inotify.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ORDERS "/run/bad-luck"
#define LOG "/run/bad-luck.log"
#define BELOW "/var/lib/"
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

typedef enum { NOTHING, COUNT, KILL, FULL, HOLD, WATCHES, CLOCK } Luck;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counted, serial, watches;

static Luck ordered(long *ret_at, long *ret_serial)
{
	char text[512], *rest = text, *line;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, ORDERS, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NOTHING;
	ssize_t n = syscall(SYS_read, fd, text, sizeof text - 1);
	(void)close(fd);
	text[n < 0 ? 0 : n] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		char name[64], what[16];

		if (sscanf(line, "%63s %15s %ld %ld", name, what, ret_at, ret_serial) == 4 && strcmp(name, program_invocation_short_name) == 0)
			return strcmp(what, "kill") == 0    ? KILL :
			       strcmp(what, "full") == 0    ? FULL :
			       strcmp(what, "hold") == 0    ? HOLD :
			       strcmp(what, "watches") == 0 ? WATCHES :
			       strcmp(what, "clock") == 0   ? CLOCK :
							      COUNT;
	}
	return NOTHING;
}

/* Whether it is below the folder that counts; by the name of an open folder or file. */
static int is_below(int fd, const char *path)
{
	char link[64], name[PATH_MAX];

	if (path && *path == '/')
		return strncmp(path, BELOW, strlen(BELOW)) == 0;
	if (fd == AT_FDCWD)
		(void)snprintf(link, sizeof link, "/proc/self/cwd");
	else
		(void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof name - 1);
	name[n < 0 ? 0 : n] = '\0';
	return strncmp(name, BELOW, strlen(BELOW)) == 0;
}

static void tell(const char *text, size_t length)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0)
		return;
	(void)syscall(SYS_write, fd, text, length);
	(void)close(fd);
}

/* Before a call that changes something. Not 0: it fails for want of room. */
static int step(const char *call, int fd, const char *path, int needs_room)
{
	int saved_errno = errno, refused = 0;
	long at, number;
	char text[PATH_MAX + 128];

	if (!is_below(fd, path)) {
		errno = saved_errno;
		return 0;
	}
	(void)pthread_mutex_lock(&lock);
	Luck luck = ordered(&at, &number);
	if (luck == COUNT || luck == KILL || luck == FULL) {
		if (number != serial)
			counted = 0;
		serial = number;
		counted++;
		if (luck == COUNT || counted == at) {
			int length = snprintf(text, sizeof text, "bad-luck: %s step %ld.%ld %s %s\n", program_invocation_short_name, serial, counted, call,
					      path ? path : "");
			tell(text, (size_t)length);
		}
		if (luck == KILL && counted == at)
			(void)kill(getpid(), SIGKILL);
		refused = luck == FULL && counted >= at && needs_room;
	}
	(void)pthread_mutex_unlock(&lock);
	errno = refused ? ENOSPC : saved_errno;
	return refused;
}

/* Before a rename to the name that is held: waits. Also from inside a process that dies meanwhile. */
static void hold(const char *to)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	long at, number, first = -1;
	char text[PATH_MAX + 128], name[256];
	int saved_errno = errno;

	for (;;) {
		char order[512], program[64];
		int fd = (int)syscall(SYS_openat, AT_FDCWD, ORDERS, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : syscall(SYS_read, fd, order, sizeof order - 1);

		if (fd >= 0)
			(void)close(fd);
		order[n < 0 ? 0 : n] = '\0';
		if (sscanf(order, "%63s hold %ld %ld %255s", program, &at, &number, name) != 4 || strcmp(program, program_invocation_short_name) != 0 ||
		    strcmp(name, to) != 0 || (first >= 0 && number != first))
			break;
		if (first < 0)
			tell(text, (size_t)snprintf(text, sizeof text, "bad-luck: %s held %ld %s\n", program, number, to));
		first = number;
		(void)syscall(SYS_nanosleep, &pause, NULL);
	}
	errno = saved_errno;
}

#define OPEN(name)                                                                                          \
	mode_t mode = 0;                                                                                    \
	if (flags & (O_CREAT | O_TMPFILE)) {                                                                \
		va_list args;                                                                               \
		va_start(args, flags);                                                                      \
		mode = va_arg(args, mode_t);                                                                \
		va_end(args);                                                                               \
	}

int open(const char *path, int flags, ...)
{
	OPEN(open)
	return (flags & O_CREAT) && step("open", AT_FDCWD, path, 1) ? -1 : NEXT(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN(open64)
	return (flags & O_CREAT) && step("open", AT_FDCWD, path, 1) ? -1 : NEXT(open64)(path, flags, mode);
}

int openat(int fd, const char *path, int flags, ...)
{
	OPEN(openat)
	return (flags & O_CREAT) && step("openat", fd, path, 1) ? -1 : NEXT(openat)(fd, path, flags, mode);
}

int openat64(int fd, const char *path, int flags, ...)
{
	OPEN(openat64)
	return (flags & O_CREAT) && step("openat", fd, path, 1) ? -1 : NEXT(openat64)(fd, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t length)
{
	return step("write", fd, NULL, 1) ? -1 : NEXT(write)(fd, data, length);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at)
{
	return step("pwrite", fd, NULL, 1) ? -1 : NEXT(pwrite64)(fd, data, length, at);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags)
{
	return step("copy_file_range", to, NULL, 1) ? -1 : NEXT(copy_file_range)(from, from_at, to, to_at, length, flags);
}

int fsync(int fd)
{
	return step("fsync", fd, NULL, 0) ? -1 : NEXT(fsync)(fd);
}

int syncfs(int fd)
{
	return step("syncfs", fd, NULL, 0) ? -1 : NEXT(syncfs)(fd);
}

int mkdir(const char *path, mode_t mode)
{
	return step("mkdir", AT_FDCWD, path, 1) ? -1 : NEXT(mkdir)(path, mode);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	return step("mkdirat", fd, path, 1) ? -1 : NEXT(mkdirat)(fd, path, mode);
}

int rename(const char *from, const char *to)
{
	return step("rename", AT_FDCWD, to, 0) ? -1 : NEXT(rename)(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	hold(to);
	return step("renameat", to_fd, to, 0) ? -1 : NEXT(renameat)(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	hold(to);
	return step("renameat2", to_fd, to, 0) ? -1 : NEXT(renameat2)(from_fd, from, to_fd, to, flags);
}

int link(const char *from, const char *to)
{
	return step("link", AT_FDCWD, to, 1) ? -1 : NEXT(link)(from, to);
}

int unlink(const char *path)
{
	return step("unlink", AT_FDCWD, path, 0) ? -1 : NEXT(unlink)(path);
}

int unlinkat(int fd, const char *path, int flags)
{
	return step("unlinkat", fd, path, 0) ? -1 : NEXT(unlinkat)(fd, path, flags);
}

int symlinkat(const char *target, int fd, const char *path)
{
	return step("symlinkat", fd, path, 1) ? -1 : NEXT(symlinkat)(target, fd, path);
}

int inotify_add_watch(int fd, const char *path, uint32_t events)
{
	long most, number;

	if (ordered(&most, &number) == WATCHES && __atomic_add_fetch(&watches, 1, __ATOMIC_SEQ_CST) > most) {
		errno = ENOSPC;
		return -1;
	}
	return NEXT(inotify_add_watch)(fd, path, events);
}

/* ---- the clock ---- */

static long slow_s(void)
{
	int saved_errno = errno;
	long seconds, number;

	if (ordered(&seconds, &number) != CLOCK)
		seconds = 0;
	errno = saved_errno;
	return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	int rc = (int)syscall(SYS_clock_gettime, clock, ret_now);

	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret_now->tv_sec += slow_s();
	return rc;
}

time_t time(time_t *ret_now)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (ret_now)
		*ret_now = now.tv_sec;
	return now.tv_sec;
}

int gettimeofday(struct timeval *ret_now, void *zone)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	*ret_now = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
	return 0;
}
