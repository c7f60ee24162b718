/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/kernel/worker.h - a thread that carries out, in order, what the loop must not wait for.
 *
 * The kernel changes links, addresses and routes under one lock for the whole machine. Whoever holds it may be an ordinary process that waits for a
 * processor, or one that takes network namespaces down for seconds, and an advert behind a change would come too late. So the loop puts a job
 * together, this thread does it, and the loop is told when it is done.
 *
 * What the thread works on belongs to it from the first job on; what the loop shall know of it is handed over under a lock by whoever owns it
 * (address-kernel.h, netlink.h).
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VrrpWorker VrrpWorker;
/* Whether the loop is to be told. */
typedef bool (*VrrpJob)(gpointer data, gpointer more);

/* @done runs in the loop after one job or several of which it is to be told. */
VrrpWorker *vrrp_worker_new(void (*done)(gpointer user_data), gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_worker_free(VrrpWorker *worker); /* when all is done; NULL is fine */

/* Behind all that was asked before. The same once more at the end of the queue is one. Returns its number: they grow. */
guint64 vrrp_worker_ask(VrrpWorker *worker, VrrpJob job, gpointer data, gpointer more);

/* Closes a socket, which may have to wait: for the kernel's lock one that has joined a group, one of packets until no processor looks at it any more. */
void vrrp_worker_close(VrrpWorker *worker, int fd);

/* The number of the last that is done. */
guint64 vrrp_worker_done(VrrpWorker *worker);

/* Since when it has been at the one job it is at, in vrrp_now_us(); 0: it has none. */
gint64 vrrp_worker_busy_us(VrrpWorker *worker);

/* Waits until everything asked is done. Only for who elects no more, or not yet. */
void vrrp_worker_settle(VrrpWorker *worker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpWorker, vrrp_worker_free)
