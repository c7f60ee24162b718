/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/lease.c - the main loop's own poll function, around which the timer is set. */
#include "supervisor/lease.h"

#include <sys/timerfd.h>

#include "supervisor/keeper/wire.h"

#define LEASE_MS (KEEPER_LEASE_US / G_TIME_SPAN_MILLISECOND)
#define SLEEP_MS (KEEPER_SLEEP_US / G_TIME_SPAN_MILLISECOND)

static struct {
	int fd;
	GPollFunc poll;
	void (*lapsed)(gpointer user_data);
	gpointer user_data;
} lease = { .fd = -1 };

static gboolean on_lapsed(gpointer user_data)
{
	lease.lapsed(lease.user_data);
	return G_SOURCE_REMOVE;
}

static void set(gint64 ms)
{
	struct itimerspec former, spec = { .it_value = { ms / 1000, ms % 1000 * 1000000 } };
	if (timerfd_settime(lease.fd, 0, &spec, &former) == 0 && former.it_value.tv_sec == 0 && former.it_value.tv_nsec == 0)
		g_idle_add_full(G_PRIORITY_HIGH, on_lapsed, NULL, NULL);
}

static gint lease_poll(GPollFD *fds, guint n, gint timeout_ms)
{
	gint sleep_ms = timeout_ms < 0 ? (gint)SLEEP_MS : MIN(timeout_ms, (gint)SLEEP_MS);
	if (sleep_ms > 0)
		set(sleep_ms + LEASE_MS);
	gint ready = lease.poll(fds, n, sleep_ms); /* woken sooner than it asked for, the loop asks again */
	set(LEASE_MS);
	return ready;
}

void lease_begin(int fd, void (*lapsed)(gpointer user_data), gpointer user_data)
{
	lease.fd = fd;
	lease.lapsed = lapsed;
	lease.user_data = user_data;
	lease.poll = g_main_context_get_poll_func(NULL);
	g_main_context_set_poll_func(NULL, lease_poll);
}

int lease_fd(void)
{
	return lease.fd;
}
