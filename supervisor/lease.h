/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/lease.h - the sign of life: a timer that the keeper and vrrpd wait for, set anew at each turn of the main loop.
 *
 * Before the loop sleeps, for as long as it means to and KEEPER_LEASE_US; when it wakes, for that alone. So nobody is woken by a supervisor
 * that lives, and whatever it hangs in, the timer runs out.
 */
#pragma once

#include <glib.h>

/* From now on. @fd: the keeper's timer, kept. @lapsed is called by the loop when the timer had run out before it could be set anew: who waits for
 * it has let it go. */
void lease_begin(int fd, void (*lapsed)(gpointer user_data), gpointer user_data);
int lease_fd(void); /* -1: not begun */
