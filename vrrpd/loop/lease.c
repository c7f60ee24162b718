/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/loop/lease.c - a timer of somebody else's, waited for. */
#include "vrrpd/loop/lease.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vrrpd/loop/hot.h"

struct VrrpLease {
	int fd;
	guint source;
	void (*lapsed)(gpointer user_data);
	gpointer user_data;
};

/* Nobody reads from it: others wait for it as well. It tells no more once it has been set anew. */
static gboolean ready_cb(gint fd, GIOCondition condition, gpointer user_data)
{
	VrrpLease *lease = user_data;
	struct itimerspec left;

	if (timerfd_gettime(fd, &left) == 0 && (left.it_value.tv_sec != 0 || left.it_value.tv_nsec != 0))
		return G_SOURCE_CONTINUE; /* set anew in the last moment */
	lease->source = 0;
	lease->lapsed(lease->user_data);
	return G_SOURCE_REMOVE;
}

/* Nothing else is taken: to wait for what is no timer, or was never set, would be to wait for ever, or never. */
static bool is_running(int fd, gint64 at_most_us)
{
	struct itimerspec spec;
	int flags = fcntl(fd, F_GETFL);

	if (timerfd_gettime(fd, &spec) < 0 || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return false;
	return (spec.it_value.tv_sec != 0 || spec.it_value.tv_nsec != 0) && spec.it_interval.tv_sec == 0 && spec.it_interval.tv_nsec == 0 &&
	       spec.it_value.tv_sec * G_USEC_PER_SEC + spec.it_value.tv_nsec / 1000 <= at_most_us;
}

VrrpLease *vrrp_lease_new(int fd, gint64 at_most_us, void (*lapsed)(gpointer user_data), gpointer user_data, GError **error)
{
	VrrpLease *lease;

	if (!is_running(fd, at_most_us)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "a lease is a timerfd that runs once, for at most %" G_GINT64_FORMAT " ms",
			    at_most_us / 1000);
		close(fd);
		return NULL;
	}
	lease = g_new0(VrrpLease, 1);
	lease->fd = fd;
	lease->lapsed = lapsed;
	lease->user_data = user_data;
	lease->source = g_unix_fd_add(fd, G_IO_IN, ready_cb, lease);
	return lease;
}

void vrrp_lease_free(VrrpLease *lease)
{
	if (!lease)
		return;
	if (lease->source)
		g_source_remove(lease->source);
	vrrp_hot_remove(lease->fd);
	close(lease->fd);
	g_free(lease);
}
