/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/loop/warm.h - reads the settings in a thread, so that the loop may read them after it without waiting for a disk.
 *
 * What has just been read is in the kernel's cache. The thread allocates nothing and keeps nothing: it is not scheduled in real time, and a lock
 * that it held (malloc's) would make the loop wait for its turn.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VrrpWarm VrrpWarm;

/* @folder must live as long. */
VrrpWarm *vrrp_warm_new(const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_warm_free(VrrpWarm *warm); /* does not wait for a thread that does; NULL is fine */

/* @done runs in the loop when every file was read after this was asked. Those who ask meanwhile are served by one more reading. */
void vrrp_warm_read(VrrpWarm *warm, void (*done)(gpointer user_data), gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpWarm, vrrp_warm_free)
