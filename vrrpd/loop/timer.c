/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/loop/timer.c - a timerfd as a GSource. GLib's own time-outs count CLOCK_MONOTONIC milliseconds: too coarse, and blind to suspension. */
#include "vrrpd/loop/timer.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct VrrpTimer {
	int fd;
	guint source;
	gint64 at_us;
	bool ran_out;
	void (*fired)(gpointer user_data);
	gpointer user_data;
};

gint64 vrrp_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* Not read: whoever is called sets it anew, and that takes back that it has run out. */
static gboolean timer_ready_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpTimer *timer = user_data;

	/* Another callback of this turn has set it anew. */
	if (timer->at_us == 0 || vrrp_now_us() < timer->at_us)
		return G_SOURCE_CONTINUE;
	timer->ran_out = true;
	timer->fired(timer->user_data);
	if (timer->ran_out)
		vrrp_timer_set(timer, 0);
	return G_SOURCE_CONTINUE;
}

VrrpTimer *vrrp_timer_new(void (*fired)(gpointer user_data), gpointer user_data, GError **error)
{
	g_autoptr(VrrpTimer) timer = g_new0(VrrpTimer, 1);
	GSource *source;

	timer->fired = fired;
	timer->user_data = user_data;
	timer->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (timer->fd < 0) {
		g_set_error(error, G_IO_ERROR, (gint)g_io_error_from_errno(errno), "timerfd: %s", g_strerror(errno));
		return NULL;
	}
	source = g_unix_fd_source_new(timer->fd, G_IO_IN);
	g_source_set_callback(source, G_SOURCE_FUNC(timer_ready_cb), timer, NULL);
	/* Else GLib takes the descriptor out of its poll for the time of the callback, and wakes itself up twice for that. */
	g_source_set_can_recurse(source, TRUE);
	timer->source = g_source_attach(source, NULL);
	g_source_unref(source);
	return g_steal_pointer(&timer);
}

void vrrp_timer_free(VrrpTimer *timer)
{
	if (!timer)
		return;
	if (timer->source)
		g_source_remove(timer->source);
	if (timer->fd >= 0)
		close(timer->fd);
	g_free(timer);
}

void vrrp_timer_set(VrrpTimer *timer, gint64 at_us)
{
	struct itimerspec spec = { 0 };

	if (at_us == timer->at_us && !timer->ran_out)
		return;
	timer->at_us = at_us;
	timer->ran_out = false;
	spec.it_value.tv_sec = at_us / G_USEC_PER_SEC;
	spec.it_value.tv_nsec = at_us % G_USEC_PER_SEC * 1000;
	(void)timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}
