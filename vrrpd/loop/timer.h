/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/loop/timer.h - one deadline in CLOCK_BOOTTIME microseconds on the GLib loop. (That of the adverts is in hot.h.) */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VrrpTimer VrrpTimer;

/* CLOCK_BOOTTIME: goes on while the machine is suspended, so a late wake-up shows. */
gint64 vrrp_now_us(void);

VrrpTimer *vrrp_timer_new(void (*fired)(gpointer user_data), gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_timer_free(VrrpTimer *timer); /* NULL is fine */
void vrrp_timer_set(VrrpTimer *timer, gint64 at_us); /* 0: never; the past: at once */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpTimer, vrrp_timer_free)
