/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/loop/hot.h - the few descriptors that carry adverts, and their timer, served without a turn of the GLib loop.
 *
 * A turn asks every source whether it is ready, twice; at 10 ms adverts that is a third of what an election costs. So the loop's poll function
 * calls the callbacks of hot descriptors itself and waits again, as long as nothing else is ready: to the microsecond, and by epoll, which has been told once what the
 * turn is about.
 *
 * A callback that queues work for other sources (D-Bus signals) says so by vrrp_hot_leave(). One that forgets is late by no more than a tick
 * of the election, which is not hot.
 */
#pragma once

#include <glib-unix.h>
#include <stdbool.h>

/* Of the default context, from the first call on. The descriptor is a source of the loop as well, of the highest priority there. */
void vrrp_hot_add(int fd, GUnixFDSourceFunc callback, gpointer user_data);
/* Before it is closed; also one that was not hot, when another process has it open as well. */
void vrrp_hot_remove(int fd);

/* What comes on a quiet one wakes nobody, and calls nobody in the kernel; its callback is called, ready or not, before anything else that has woken the loop is served. The timer's
 * callback sees to it itself. Where there is no epoll_pwait2() it wakes all the same. */
void vrrp_hot_quiet(int fd, bool quiet);

/* One deadline, in vrrp_now_us(); 0: never. It is over when the callback is called. */
void vrrp_hot_timer(gint64 at_us, void (*callback)(gpointer user_data), gpointer user_data);

void vrrp_hot_leave(void);
