/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/loop/warm.c - a thread for each reading, by system calls alone. */
#include "vrrpd/loop/warm.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_BYTES (32 * 1024) /* all of it is locked in memory */
#define MOST_BYTES (1024 * 1024) /* settings/ refuses less */

typedef struct {
	void (*done)(gpointer user_data);
	gpointer user_data;
} Asker;

struct VrrpWarm {
	gint refs;        /* the owner's and the thread's */
	const char *folder;
	int done_fd;
	guint source;
	bool reading;
	GArray *served, *waiting; /* of Asker: by the reading that is under way, and by the next */
};

/* ---- The thread ---- */

typedef struct {
	guint64 ino;
	gint64 off;
	unsigned short length;
	unsigned char type;
	char name[];
} Entry; /* of getdents64() */

/* As settings_load(): what is no file is opened, and no more. */
static void read_file(int folder, const char *name, char *bytes, gsize size)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	gsize length = 0;
	struct stat st;
	gssize n;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		while (length < MOST_BYTES && (n = read(fd, bytes, size)) > 0)
			length += (gsize)n;
	close(fd);
}

static void read_folder(int at, const char *name, bool deeper)
{
	char entries[4096] __attribute__((aligned(8))), bytes[4096];
	int folder = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n;

	if (folder < 0)
		return;
	while ((n = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
		for (long i = 0; i < n;) {
			const Entry *entry = (const Entry *)(void *)(entries + i);

			if (deeper && strcmp(entry->name, "applications.d") == 0)
				read_folder(folder, entry->name, false);
			else if (entry->name[0] != '.')
				read_file(folder, entry->name, bytes, sizeof bytes);
			i += entry->length;
		}
	}
	close(folder);
}

static void unref(VrrpWarm *self)
{
	if (!g_atomic_int_dec_and_test(&self->refs))
		return;
	if (self->done_fd >= 0)
		close(self->done_fd);
	g_free(self);
}

static void *run(void *data)
{
	static const guint64 one = 1;
	VrrpWarm *self = data; /* of it what never changes */
	struct sched_param ordinary = { 0 };

	(void)pthread_setschedparam(pthread_self(), SCHED_OTHER, &ordinary);
	read_folder(AT_FDCWD, self->folder, true);
	(void)!write(self->done_fd, &one, sizeof one);
	unref(self);
	return NULL;
}

/* ---- The loop ---- */

/* False when there is no thread to be had: then the loop reads as it is. */
static bool start(VrrpWarm *self)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int reason;

	g_atomic_int_inc(&self->refs);
	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's to answer */
	reason = pthread_create(&thread, &attributes, run, self);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (reason != 0)
		unref(self);
	return reason == 0;
}

static void serve(VrrpWarm *self)
{
	g_autoptr(GArray) served = self->served;

	self->served = g_array_new(FALSE, FALSE, sizeof(Asker));
	for (guint i = 0; i < served->len; i++)
		g_array_index(served, Asker, i).done(g_array_index(served, Asker, i).user_data);
}

static void begin(VrrpWarm *self)
{
	GArray *none = self->served;

	self->served = self->waiting;
	self->waiting = none;
	self->reading = start(self);
	if (!self->reading)
		serve(self);
}

static gboolean done_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpWarm *self = user_data;
	guint64 count;

	if (read(fd, &count, sizeof count) != (gssize)sizeof count)
		return G_SOURCE_CONTINUE;
	self->reading = false;
	serve(self);
	if (self->waiting->len > 0 && !self->reading)
		begin(self);
	return G_SOURCE_CONTINUE;
}

VrrpWarm *vrrp_warm_new(const char *folder, GError **error)
{
	VrrpWarm *self = g_new0(VrrpWarm, 1);

	self->refs = 1;
	self->folder = folder;
	self->served = g_array_new(FALSE, FALSE, sizeof(Asker));
	self->waiting = g_array_new(FALSE, FALSE, sizeof(Asker));
	self->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->done_fd < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "reading settings: %s", g_strerror(errno));
		vrrp_warm_free(self);
		return NULL;
	}
	self->source = g_unix_fd_add(self->done_fd, G_IO_IN, done_cb, self);
	return self;
}

void vrrp_warm_free(VrrpWarm *self)
{
	if (!self)
		return;
	if (self->source)
		g_source_remove(self->source);
	g_array_unref(self->served);
	g_array_unref(self->waiting);
	unref(self); /* a thread that waits for a disk may still have it */
}

void vrrp_warm_read(VrrpWarm *self, void (*done)(gpointer user_data), gpointer user_data)
{
	Asker asker = { .done = done, .user_data = user_data };

	g_array_append_val(self->waiting, asker);
	if (!self->reading)
		begin(self);
}
