/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/loop/lease.h - the supervisor's sign of life: a timer that both have open, and that the supervisor sets anew again and again.
 *
 * So long as it lives nobody is woken. When it is stopped, killed or hangs, the timer runs out. The keeper has it open as well.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VrrpLease VrrpLease;

/* Takes @fd, also on failure: a timerfd that runs once, for at most @at_most_us from now. @lapsed is called when it has run out; it may free the
 * lease. */
VrrpLease *vrrp_lease_new(int fd, gint64 at_most_us, void (*lapsed)(gpointer user_data), gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_lease_free(VrrpLease *lease); /* NULL is fine */
