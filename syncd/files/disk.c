/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/disk.c - the threads that wait for the disk, and our fsync() in front of the C library's. */
#include "syncd/files/disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors that wait in haste; beyond that, the whole is written at once. */
enum { WAITING_MAX = 256 };
/* What is gathered: so many are waited for, which is sooner done than all that the file system holds. */
enum { FEW = 32 };

typedef struct {
	int fd;              /* our own copy; -1: only to tell somebody, or @together */
	GArray *together;    /* of int, our own copies; NULL: @fd alone */
	bool file_system;
	bool awaited;        /* by who asked, who frees it */
	bool done;
	int error;
	GMainContext *context;
	GSourceFunc then;
	gpointer data;
} Wait;

/* Who waits behind whom. */
typedef struct {
	GQueue waits;    /* of Wait*; the first is being carried out */
	GCond more;
	bool everything; /* some did not fit into the queue */
	int owed;        /* errno of what was only begun: the kernel says it once */
	GThread *thread;
} Lane;

static GMutex lock;
static GCond progress;
static guint hurries;
static Lane lanes[2] = { { .waits = G_QUEUE_INIT }, { .waits = G_QUEUE_INIT } };
static Lane later = { .waits = G_QUEUE_INIT }; /* for which nobody waits */
static _Thread_local Lane *own = &lanes[0];
static _Thread_local guint gathering;  /* how often */
static _Thread_local GArray *gathered; /* of int, our own copies */
static _Thread_local bool many;        /* more than a few: one of each file system stands for all */

static void tell(const Wait *wait)
{
	GSource *source = g_idle_source_new();

	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, wait->then, wait->data, NULL);
	g_source_attach(source, wait->context);
	g_source_unref(source);
}

static int carry_out(const Wait *wait, bool all)
{
	static int (*real)(int);
	int error = 0;

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	if (all)
		sync();
	/* All of them are begun before one is waited for: a file system then writes down the changes of all with those of the first. */
	for (guint i = 0; wait->together && !wait->file_system && i < wait->together->len; i++)
		(void)sync_file_range(g_array_index(wait->together, int, i), 0, 0, SYNC_FILE_RANGE_WRITE);
	for (guint i = 0; wait->together && i < wait->together->len; i++) {
		int fd = g_array_index(wait->together, int, i);

		if ((wait->file_system ? syncfs(fd) : real(fd)) < 0)
			error = errno;
	}
	if (wait->fd < 0)
		return error;
	return (wait->file_system ? syncfs(wait->fd) : real(wait->fd)) < 0 ? errno : error;
}

static void close_all(GArray *fds)
{
	for (guint i = 0; i < fds->len; i++)
		(void)close(g_array_index(fds, int, i));
	g_array_free(fds, TRUE);
}

static gpointer work(gpointer data)
{
	Lane *lane = data;

	g_mutex_lock(&lock);
	for (;;) {
		while (g_queue_is_empty(&lane->waits))
			g_cond_wait(&lane->more, &lock);
		Wait *wait = g_queue_peek_head(&lane->waits);
		bool all = lane->everything;

		lane->everything = false;
		g_mutex_unlock(&lock);
		int error = carry_out(wait, all);
		if (wait->then && error == 0)
			error = lane->owed;
		if (lane == &later)
			lane->owed = wait->then ? 0 : error ? error : lane->owed;
		if (wait->fd >= 0)
			(void)close(wait->fd);
		if (wait->together)
			close_all(wait->together);
		if (wait->then && error == 0)
			tell(wait);
		g_mutex_lock(&lock);
		g_queue_pop_head(&lane->waits);
		wait->error = error;
		wait->done = true;
		if (!wait->awaited) {
			if (error)
				g_warning("the disk: %s", g_strerror(error));
			g_free(wait);
		}
		g_cond_broadcast(&progress);
	}
	return NULL;
}

/* The lock is held. */
static void give(Lane *lane, Wait *wait)
{
	if (!lane->thread)
		lane->thread = g_thread_new("disk", work, lane);
	g_queue_push_tail(&lane->waits, wait);
	g_cond_signal(&lane->more);
}

/* @fd: our own copy, or -1. */
static int wait_for(int fd, GArray *together, bool file_system)
{
	Wait *wait = g_new0(Wait, 1);
	int error = 0;

	*wait = (Wait){ .fd = fd, .together = together, .file_system = file_system, .awaited = true };
	g_mutex_lock(&lock);
	if ((fd < 0 && !together) || (hurries && g_queue_get_length(&own->waits) >= WAITING_MAX)) {
		if (fd >= 0)
			(void)close(fd);
		if (together)
			close_all(together);
		own->everything = true;
		*wait = (Wait){ .fd = -1 };
		give(own, wait);
	} else {
		give(own, wait);
		while (!wait->done && !hurries)
			g_cond_wait(&progress, &lock);
		wait->awaited = false;
		if (wait->done) {
			error = wait->error;
			g_free(wait);
		}
	}
	g_mutex_unlock(&lock);
	errno = error;
	return error ? -1 : 0;
}

static int ask(int fd, bool file_system)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (copy < 0 && errno == EBADF)
		return -1;
	return wait_for(copy, NULL, file_system);
}

/* What is on the disk by one descriptor is by the other: it is the same file, or file system. */
static bool is_same(int fd, int other)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && (many || a.st_ino == b.st_ino);
}

static bool is_gathered(int fd, guint n)
{
	for (guint i = 0; i < n; i++)
		if (is_same(fd, g_array_index(gathered, int, i)))
			return true;
	return false;
}

static void leave_one_of_each(void)
{
	many = true;
	for (guint i = gathered->len; i-- > 1;) {
		int fd = g_array_index(gathered, int, i);

		if (!is_gathered(fd, i))
			continue;
		(void)close(fd);
		g_array_remove_index_fast(gathered, i);
	}
}

/* In the place of the C library's, for libgit2 too. */
int fsync(int fd)
{
	if (!gathering)
		return ask(fd, false);
	if (fcntl(fd, F_GETFD) < 0)
		return -1;
	if (is_gathered(fd, gathered->len))
		return 0;
	if (!many && gathered->len == FEW)
		leave_one_of_each();
	if (is_gathered(fd, gathered->len))
		return 0;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return ask(fd, many);
	g_array_append_val(gathered, copy);
	return 0;
}

void sync_disk_gather(void)
{
	if (gathering++ > 0)
		return;
	gathered = g_array_new(FALSE, FALSE, sizeof(int));
	many = false;
}

int sync_disk_gathered(void)
{
	if (--gathering > 0)
		return 0;
	if (gathered->len > 0)
		return wait_for(-1, g_steal_pointer(&gathered), many);
	close_all(g_steal_pointer(&gathered));
	return 0;
}

int sync_disk_file_system(int fd)
{
	return ask(fd, true);
}

void sync_disk_apart(void)
{
	own = &lanes[1];
}

void sync_disk_hurry(void)
{
	g_mutex_lock(&lock);
	hurries++;
	g_cond_broadcast(&progress);
	g_mutex_unlock(&lock);
}

void sync_disk_calm(void)
{
	g_mutex_lock(&lock);
	hurries--;
	g_mutex_unlock(&lock);
}

bool sync_disk_is_lasting(gint64 patience_us)
{
	gint64 until_us = g_get_monotonic_time() + patience_us;

	g_mutex_lock(&lock);
	while (!g_queue_is_empty(&own->waits) && g_cond_wait_until(&progress, &lock, until_us))
		continue;
	bool lasting = g_queue_is_empty(&own->waits);
	g_mutex_unlock(&lock);
	return lasting;
}

void sync_disk_later(int fd, GMainContext *context, GSourceFunc function, gpointer data)
{
	Wait *wait = g_new0(Wait, 1);

	*wait = (Wait){ .fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .file_system = true, .context = context, .then = function, .data = data };
	g_mutex_lock(&lock);
	later.everything = later.everything || wait->fd < 0;
	give(&later, wait);
	g_mutex_unlock(&lock);
}

void sync_disk_begin(int fd)
{
	g_mutex_lock(&lock);
	int copy = g_queue_is_empty(&later.waits) ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	if (copy >= 0) {
		Wait *wait = g_new0(Wait, 1);

		*wait = (Wait){ .fd = copy, .file_system = true };
		give(&later, wait);
	}
	g_mutex_unlock(&lock);
}

/* What the disk does not have by then stays: nobody waits for it here. */
static void let_go(SyncDiskTrail *trail)
{
	int fd = trail->fds[trail->at] - 1;

	trail->fds[trail->at] = 0;
	if (fd < 0)
		return;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	(void)close(fd);
}

void sync_disk_trail_add(SyncDiskTrail *trail, int fd)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	let_go(trail);
	trail->fds[trail->at] = fcntl(fd, F_DUPFD_CLOEXEC, 0) + 1;
	trail->at = (trail->at + 1) % SYNC_DISK_TRAIL;
}

void sync_disk_trail_end(SyncDiskTrail *trail)
{
	for (trail->at = 0; trail->at < SYNC_DISK_TRAIL; trail->at++)
		let_go(trail);
}
