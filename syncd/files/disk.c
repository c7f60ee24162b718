/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/files/disk.c - the threads that wait for the disk, and our fsync() in front of the C library's. */
#include "syncd/files/disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Descriptors that wait in haste; beyond that, the whole is written at once. */
enum { WAITING_MAX = 256 };
/* What is gathered: so many are waited for one by one, which is sooner done than all that the file system holds. */
enum { FEW = 24 };

typedef struct {
	int fd;              /* our own copy; -1: only to tell somebody */
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
	GThread *thread;
} Lane;

static GMutex lock;
static GCond progress;
static guint hurries;
static Lane lanes[2] = { { .waits = G_QUEUE_INIT }, { .waits = G_QUEUE_INIT } };
static _Thread_local Lane *own = &lanes[0];
static _Thread_local bool gathering;
static _Thread_local guint gathered;

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

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	if (all)
		sync();
	if (wait->fd < 0)
		return 0;
	return (wait->file_system ? syncfs(wait->fd) : real(wait->fd)) < 0 ? errno : 0;
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
		if (wait->fd >= 0)
			(void)close(wait->fd);
		if (wait->then)
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
static void give(Wait *wait)
{
	if (!own->thread)
		own->thread = g_thread_new("disk", work, own);
	g_queue_push_tail(&own->waits, wait);
	g_cond_signal(&own->more);
}

static int ask(int fd, bool file_system)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0), error = 0;

	if (copy < 0 && errno == EBADF)
		return -1;
	g_mutex_lock(&lock);
	if (copy < 0 || (hurries && g_queue_get_length(&own->waits) >= WAITING_MAX)) {
		if (copy >= 0)
			(void)close(copy);
		own->everything = true;
		Wait *wait = g_new0(Wait, 1);
		wait->fd = -1;
		give(wait);
	} else {
		Wait *wait = g_new0(Wait, 1);
		*wait = (Wait){ .fd = copy, .file_system = file_system, .awaited = true };
		give(wait);
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

/* In the place of the C library's, for libgit2 too. */
int fsync(int fd)
{
	if (gathering && gathered++ >= FEW)
		return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
	return ask(fd, false);
}

void sync_disk_gather(void)
{
	gathering = true;
	gathered = 0;
}

int sync_disk_gathered(int fd)
{
	gathering = false;
	return gathered > FEW ? ask(fd, true) : 0;
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

void sync_disk_then(GMainContext *context, GSourceFunc function, gpointer data)
{
	Wait *wait = g_new0(Wait, 1);

	*wait = (Wait){ .fd = -1, .context = context, .then = function, .data = data };
	g_mutex_lock(&lock);
	give(wait);
	g_mutex_unlock(&lock);
}
