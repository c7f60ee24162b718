/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/worker.c - one thread, one queue of jobs. */
#include "vrrpd/kernel/worker.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vrrpd/kernel/lock.h"
#include "vrrpd/loop/timer.h"

#define STACK_BYTES (40 * 1024) /* all of it is locked in memory; 11 were seen to be used */

typedef struct {
	VrrpJob job;
	gpointer data, more;
} Asked;

struct VrrpWorker {
	int told_fd;
	guint source;
	void (*done)(gpointer user_data);
	gpointer user_data;
	guint64 n_asked; /* the loop's */

	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t asked, idle;
	/* Under the lock. */
	GArray *queue; /* of Asked */
	guint64 n_done;
	gint64 busy_us;
	bool quit;
};

/* ---- The thread ---- */

/* Below the loop: a job is never in the way of an advert. */
static void step_back(void)
{
	struct sched_param param;
	int policy = sched_getscheduler(getpid()) & ~SCHED_RESET_ON_FORK;

	if ((policy != SCHED_FIFO && policy != SCHED_RR) || sched_getparam(getpid(), &param) < 0)
		return;
	param.sched_priority = MAX(param.sched_priority - 1, 1);
	(void)pthread_setschedparam(pthread_self(), policy, &param);
}

static void *run(void *data)
{
	static const guint64 one = 1;
	VrrpWorker *self = data;

	step_back();
	pthread_mutex_lock(&self->lock);
	for (;;) {
		Asked asked;
		bool tell;

		if (self->queue->len == 0) {
			if (self->quit)
				break;
			pthread_cond_wait(&self->asked, &self->lock);
			continue;
		}
		asked = g_array_index(self->queue, Asked, 0);
		g_array_remove_index(self->queue, 0);
		self->busy_us = vrrp_now_us();
		pthread_mutex_unlock(&self->lock);
		tell = asked.job(asked.data, asked.more);
		pthread_mutex_lock(&self->lock);
		self->busy_us = 0;
		self->n_done++;
		if (tell)
			(void)!write(self->told_fd, &one, sizeof one);
		pthread_cond_signal(&self->idle);
	}
	pthread_mutex_unlock(&self->lock);
	return NULL;
}

/* ---- The loop ---- */

static gboolean told_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpWorker *self = user_data;
	guint64 count;

	if (read(fd, &count, sizeof count) == (gssize)sizeof count)
		self->done(self->user_data);
	return G_SOURCE_CONTINUE;
}

/* Signals are the loop's to answer. */
static int start(VrrpWorker *self)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int reason;

	pthread_attr_init(&attributes);
	(void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	reason = pthread_create(&self->thread, &attributes, run, self);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	self->running = reason == 0;
	return reason;
}

VrrpWorker *vrrp_worker_new(void (*done)(gpointer user_data), gpointer user_data, GError **error)
{
	VrrpWorker *self = g_new0(VrrpWorker, 1);
	GSource *source;
	int reason;

	self->done = done;
	self->user_data = user_data;
	self->queue = g_array_new(FALSE, FALSE, sizeof(Asked));
	vrrp_lock_init(&self->lock);
	pthread_cond_init(&self->asked, NULL);
	pthread_cond_init(&self->idle, NULL);
	self->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	reason = self->told_fd >= 0 ? start(self) : errno;
	if (reason != 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(reason), "thread for links and addresses: %s", g_strerror(reason));
		vrrp_worker_free(self);
		return NULL;
	}
	source = g_unix_fd_source_new(self->told_fd, G_IO_IN);
	g_source_set_priority(source, G_PRIORITY_HIGH);
	g_source_set_callback(source, G_SOURCE_FUNC(told_cb), self, NULL);
	g_source_set_can_recurse(source, TRUE); /* as in timer.c */
	self->source = g_source_attach(source, NULL);
	g_source_unref(source);
	return self;
}

void vrrp_worker_free(VrrpWorker *self)
{
	if (!self)
		return;
	if (self->running) {
		pthread_mutex_lock(&self->lock);
		self->quit = true;
		pthread_cond_signal(&self->asked);
		pthread_mutex_unlock(&self->lock);
		pthread_join(self->thread, NULL);
	}
	if (self->source)
		g_source_remove(self->source);
	if (self->told_fd >= 0)
		close(self->told_fd);
	pthread_cond_destroy(&self->idle);
	pthread_cond_destroy(&self->asked);
	pthread_mutex_destroy(&self->lock);
	g_array_unref(self->queue);
	g_free(self);
}

guint64 vrrp_worker_ask(VrrpWorker *self, VrrpJob job, gpointer data, gpointer more)
{
	Asked asked = { .job = job, .data = data, .more = more };
	const Asked *last;

	pthread_mutex_lock(&self->lock);
	last = self->queue->len ? &g_array_index(self->queue, Asked, self->queue->len - 1) : NULL;
	if (!last || last->job != job || last->data != data || last->more != more) {
		g_array_append_val(self->queue, asked);
		self->n_asked++;
	}
	pthread_mutex_unlock(&self->lock);
	/* Only now: woken under the lock, it would have to wait for that once more. */
	pthread_cond_signal(&self->asked);
	return self->n_asked;
}

static bool close_job(gpointer data, gpointer more)
{
	(void)close(GPOINTER_TO_INT(data));
	return false;
}

void vrrp_worker_close(VrrpWorker *self, int fd)
{
	if (fd >= 0)
		(void)vrrp_worker_ask(self, close_job, GINT_TO_POINTER(fd), NULL);
}

guint64 vrrp_worker_done(VrrpWorker *self)
{
	guint64 n_done;

	pthread_mutex_lock(&self->lock);
	n_done = self->n_done;
	pthread_mutex_unlock(&self->lock);
	return n_done;
}

gint64 vrrp_worker_busy_us(VrrpWorker *self)
{
	gint64 busy_us;

	pthread_mutex_lock(&self->lock);
	busy_us = self->busy_us;
	pthread_mutex_unlock(&self->lock);
	return busy_us;
}

void vrrp_worker_settle(VrrpWorker *self)
{
	pthread_mutex_lock(&self->lock);
	while (self->n_done < self->n_asked)
		pthread_cond_wait(&self->idle, &self->lock);
	pthread_mutex_unlock(&self->lock);
}
