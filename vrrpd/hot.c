/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/hot.c - a poll function that serves hot descriptors itself. */
#include "hot.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>

#include "timer.h"

#define MAX_HOT 64 /* more stay with GLib alone */

G_STATIC_ASSERT(sizeof(GPollFD) == sizeof(struct pollfd));

typedef struct {
	int fd;
	GUnixFDSourceFunc callback;
	gpointer user_data;
} Hot;

static Hot hot[MAX_HOT];
static guint n_hot;
static struct {
	gint64 at_us;
	void (*callback)(gpointer user_data);
	gpointer user_data;
} timer;
static bool installed, leave;

static const Hot *find(int fd)
{
	for (guint i = 0; i < n_hot; i++)
		if (hot[i].fd == fd)
			return &hot[i];
	return NULL;
}

/* Returns how many of the ready ones are left for GLib. */
static gint serve(GPollFD *fds, guint n, gint ready)
{
	gint left = 0;

	for (guint i = 0; i < n && ready > 0; i++) {
		const Hot *at = fds[i].revents ? find(fds[i].fd) : NULL;

		if (!fds[i].revents)
			continue;
		ready--;
		if (at && !(fds[i].revents & G_IO_NVAL)) {
			(void)at->callback(fds[i].fd, G_IO_IN, at->user_data);
			fds[i].revents = 0;
		} else {
			left++;
		}
	}
	return left;
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
	gint64 until_us = timeout_ms < 0 ? G_MAXINT64 : vrrp_now_us() + (gint64)timeout_ms * 1000;

	for (;;) {
		gint64 at_us = timer.at_us ? MIN(timer.at_us, until_us) : until_us;
		gint64 wait_us = timeout_ms == 0 ? 0 : MAX(at_us - vrrp_now_us(), 0);
		struct timespec wait = { .tv_sec = wait_us / G_USEC_PER_SEC, .tv_nsec = wait_us % G_USEC_PER_SEC * 1000 };
		gint ready = ppoll((struct pollfd *)fds, n, at_us == G_MAXINT64 ? NULL : &wait, NULL), left;

		if (ready < 0)
			return ready;
		leave = false;
		left = serve(fds, n, ready);
		serve_timer();
		if (left > 0 || leave || timeout_ms == 0 || vrrp_now_us() >= until_us)
			return left;
	}
}

static void install(void)
{
	if (!installed)
		g_main_context_set_poll_func(NULL, hot_poll);
	installed = true;
}

void vrrp_hot_add(int fd, GUnixFDSourceFunc callback, gpointer user_data)
{
	install();
	if (n_hot < MAX_HOT)
		hot[n_hot++] = (Hot){ .fd = fd, .callback = callback, .user_data = user_data };
}

void vrrp_hot_remove(int fd)
{
	for (guint i = 0; i < n_hot; i++)
		if (hot[i].fd == fd)
			hot[i--] = hot[--n_hot];
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
