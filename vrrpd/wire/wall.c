/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/wall.c - a timer of the wall clock that never runs out, and is cancelled whenever that is set. */
#include "vrrpd/wire/wall.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NEVER_S G_GINT64_CONSTANT(0x7fffffffffff) /* of any year that a clock may be set to */

static int open_timer(void)
{
	struct itimerspec never = { .it_value.tv_sec = NEVER_S };
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

guint vrrp_wall_sets(void)
{
	static bool opened;
	static int fd; /* -1: the kernel has none to spare, and does not tell */
	static guint sets;
	guint64 ran_out;

	if (!opened) {
		opened = true;
		fd = open_timer();
	}
	if (fd >= 0 && read(fd, &ran_out, sizeof ran_out) < 0 && errno == ECANCELED)
		sets++;
	return sets;
}
