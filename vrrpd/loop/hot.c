/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/loop/hot.c - a poll function that serves hot descriptors itself. */
#include "vrrpd/loop/hot.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "vrrpd/loop/timer.h"

#define MAX_HOT 64 /* more stay with GLib alone */
#define MAX_READY 16

G_STATIC_ASSERT(sizeof(GPollFD) == sizeof(struct pollfd));
G_STATIC_ASSERT(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR && EPOLLHUP == POLLHUP && EPOLLPRI == POLLPRI);

typedef struct {
	int fd;
	GUnixFDSourceFunc callback;
	gpointer user_data;
	bool quiet;
	bool known;  /* to the turn under way, */
	guint place; /* as the so manyth */
} Hot;

static Hot hot[MAX_HOT];
static guint n_hot;
static struct {
	gint64 at_us;
	void (*callback)(gpointer user_data);
	gpointer user_data;
} timer;
static bool installed, leave;
static int epoll = -1; /* what a turn of the loop waits for. To list is cheap; to sleep on each of a dozen descriptors, and be taken off each, is not */

static Hot *find(int fd)
{
	for (guint i = 0; i < n_hot; i++)
		if (hot[i].fd == fd)
			return &hot[i];
	return NULL;
}

static struct epoll_event event_of(int fd, guint place, guint32 events)
{
	return (struct epoll_event){ .events = events, .data.u64 = (guint64)place << 32 | (guint32)fd };
}

/* Every turn anew: a descriptor that was closed and opened again bears the same number, and is another. */
static bool enlist(const GPollFD *fds, guint n)
{
	for (guint i = 0; i < n; i++) {
		Hot *callee = find(fds[i].fd);
		struct epoll_event event = event_of(fds[i].fd, i, fds[i].events);

		if (callee) {
			callee->known = true;
			callee->place = i;
			if (callee->quiet)
				continue;
		}
		if (epoll_ctl(epoll, EPOLL_CTL_MOD, fds[i].fd, &event) < 0 &&
		    (errno != ENOENT || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i].fd, &event) < 0))
			return false;
	}
	return true;
}

/* Serves what is ready and hot; returns how many are left for GLib, with their revents; -1: see errno. */
static gint wait_listed(GPollFD *fds, guint n, const struct timespec *wait)
{
	struct epoll_event ready[MAX_READY];
	gint n_ready = epoll_pwait2(epoll, ready, MAX_READY, wait, NULL), left = 0;

	for (gint i = 0; i < n_ready; i++) {
		guint at = (guint)(ready[i].data.u64 >> 32);
		int fd = (int)(guint32)ready[i].data.u64;
		const Hot *callee = find(fd);

		if (at >= n || fds[at].fd != fd) { /* of a former turn */
			(void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
		} else if (callee) {
			(void)callee->callback(fd, G_IO_IN, callee->user_data);
		} else {
			fds[at].revents = (gushort)ready[i].events;
			left++;
		}
	}
	return n_ready < 0 ? -1 : left;
}

/* The same where epoll does not serve: a kernel without epoll_pwait2(), or a descriptor that it does not take. */
static gint wait_each(GPollFD *fds, guint n, const struct timespec *wait)
{
	gint ready = ppoll((struct pollfd *)fds, n, wait, NULL), left = 0;

	for (guint i = 0; i < n && ready > 0; i++) {
		const Hot *callee = fds[i].revents ? find(fds[i].fd) : NULL;

		if (callee && !(fds[i].revents & G_IO_NVAL)) {
			(void)callee->callback(fds[i].fd, G_IO_IN, callee->user_data);
			fds[i].revents = 0;
		} else if (fds[i].revents) {
			left++;
		}
	}
	return ready < 0 ? -1 : left;
}

/* What came before what woke us is read before it is served. */
static void serve_quiet(void)
{
	for (guint i = 0; i < n_hot; i++)
		if (hot[i].quiet)
			(void)hot[i].callback(hot[i].fd, G_IO_IN, hot[i].user_data);
}

static void serve_timer(void)
{
	if (timer.at_us == 0 || vrrp_now_us() < timer.at_us)
		return;
	timer.at_us = 0;
	timer.callback(timer.user_data);
}

static gint hot_poll(GPollFD *fds, guint n, gint timeout_ms)
{
	gint64 now_us = vrrp_now_us(), until_us = timeout_ms < 0 ? G_MAXINT64 : now_us + (gint64)timeout_ms * 1000;
	bool listed = timeout_ms != 0 && epoll >= 0 && enlist(fds, n); /* who only looks need not */

	for (guint i = 0; i < n; i++)
		fds[i].revents = 0;
	for (;;) {
		gint64 at_us = timer.at_us ? MIN(timer.at_us, until_us) : until_us;
		gint64 wait_us = timeout_ms == 0 ? 0 : MAX(at_us - now_us, 0);
		struct timespec wait = { .tv_sec = wait_us / G_USEC_PER_SEC, .tv_nsec = wait_us % G_USEC_PER_SEC * 1000 };
		const struct timespec *at_most = at_us == G_MAXINT64 ? NULL : &wait;
		gint left;

		leave = false;
		left = listed ? wait_listed(fds, n, at_most) : wait_each(fds, n, at_most);
		if (left < 0 && errno == ENOSYS) {
			epoll = -1;
			listed = false;
			continue;
		}
		if (left < 0)
			return left;
		serve_timer();
		now_us = vrrp_now_us();
		if (left > 0 || leave || timeout_ms == 0 || now_us >= until_us) {
			serve_quiet();
			return left;
		}
	}
}

static void install(void)
{
	if (installed)
		return;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	g_main_context_set_poll_func(NULL, hot_poll);
	installed = true;
}

void vrrp_hot_add(int fd, GUnixFDSourceFunc callback, gpointer user_data)
{
	Hot *at = find(fd);

	install();
	if (!at && n_hot < MAX_HOT)
		at = &hot[n_hot++];
	if (at)
		*at = (Hot){ .fd = fd, .callback = callback, .user_data = user_data };
}

void vrrp_hot_remove(int fd)
{
	Hot *at = find(fd);

	if (at)
		*at = hot[--n_hot];
	/* To close it does not take it out where another process has it open as well. */
	(void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

void vrrp_hot_quiet(int fd, bool quiet)
{
	Hot *at = find(fd);
	struct epoll_event event;

	if (!at || at->quiet == quiet)
		return;
	at->quiet = quiet;
	event = event_of(fd, at->place, EPOLLIN);
	/* Listed without events it would wake nobody either, but cost the sender of each packet a call. */
	if (quiet)
		(void)epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
	else if (at->known)
		(void)epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

void vrrp_hot_timer(gint64 at_us, void (*callback)(gpointer user_data), gpointer user_data)
{
	install();
	timer.at_us = at_us;
	timer.callback = callback;
	timer.user_data = user_data;
}

void vrrp_hot_leave(void)
{
	leave = true;
}
