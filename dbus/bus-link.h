/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-link.h - one connection that comes back by itself, and what a client does on it.
 *
 * A link leads to a message bus or to the private socket of one daemon. Nothing here blocks: connecting, names,
 * matches and calls are all asynchronous (the system bus is tried from a worker-free state machine; see README). When
 * the far side goes away every pending call fails with NOT_REACHABLE, `down` is called, and the link tries again
 * after 10 ms, doubling to 1 s. Subscriptions, mirrors, the published tree and the bus name are set up again before
 * `up` is called.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "bus-object.h"

typedef struct BusLink BusLink;
typedef struct BusPending BusPending;
typedef struct BusSubscription BusSubscription;
typedef struct BusMirror BusMirror;

typedef void (*BusLinkCb)(BusLink *link, gpointer user_data);

/* @address: a D-Bus address ("unix:path=..."), or NULL for the system bus (DBUS_SYSTEM_BUS_ADDRESS is honoured). A
 * bus wants Hello, a private socket Ping (bus-server.h). The first attempt is made from the main loop, at once. */
BusLink *bus_link_new_bus(const char *address);
BusLink *bus_link_new_private(const char *address);
/* A private socket of somebody else's, systemd's, which answers no Ping: up as soon as we are authenticated, and its first call has no descriptors. */
BusLink *bus_link_new_foreign(const char *address);

/* Pending calls are dropped without their callback, and their handles with them. Subscriptions and mirrors fall
 * silent and are freed by whoever made them, before or after. NULL is fine. */
void bus_link_free(BusLink *link);

/* Either may be NULL. `up` runs after every successful (re)connection, `down` after every loss, never re-entrantly. */
void bus_link_on_change(BusLink *link, BusLinkCb up, BusLinkCb down, gpointer user_data);
bool bus_link_is_up(const BusLink *link);

/* Shows @tree on this link (at most one), and on a bus asks for @name (NULL for none) once the tree is there. */
void bus_link_publish(BusLink *link, BusTree *tree, const char *name);

/* ---- Calls ---- */

/* The answer: @values on success (a tuple, valid during the callback), else @error in the BUS_ERROR domain. */
typedef void (*BusReplyCb)(GVariant *values, const GError *error, gpointer user_data);

/* @destination: bus name, NULL on a private link. @args: tuple, or NULL; consumed when floating. @timeout_ms > 0.
 * @done may be NULL: then no reply is asked for. On a link that is down @done is called from the loop with
 * NOT_REACHABLE. The handle is valid until @done has run or it was cancelled; NULL is returned only when @done is
 * NULL. */
BusPending *bus_link_call(BusLink *link, const char *destination, const char *path, const char *interface,
			  const char *method, GVariant *args, int timeout_ms, BusReplyCb done, gpointer user_data);

/* The same with descriptors for 'h' values (duplicated; the caller closes its own). */
BusPending *bus_link_call_fds(BusLink *link, const char *destination, const char *path, const char *interface,
			      const char *method, GVariant *args, const int *fds, gsize n_fds, int timeout_ms,
			      BusReplyCb done, gpointer user_data);

/* During @done: takes descriptor @handle of the answer, which the caller then closes. -1 and @error when there is
 * none. */
int bus_pending_take_fd(BusPending *pending, gint32 handle, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void bus_pending_cancel(BusPending *pending); /* @done will not run; NULL is fine */

/* ---- Signals ---- */

typedef void (*BusSignalCb)(const char *path, const char *member, GVariant *args, gpointer user_data);

/* @sender (NULL on a private link), @path and @member may be NULL for any. Survives reconnection. Names are
 * validated; an invalid one is a programming error. The callback may drop its own subscription. */
BusSubscription *bus_link_subscribe(BusLink *link, const char *sender, const char *path, const char *interface,
				    const char *member, BusSignalCb callback, gpointer user_data);
void bus_subscription_free(BusSubscription *subscription); /* NULL is fine */

/* ---- A remote object's properties, kept up to date ---- */

typedef void (*BusMirrorCb)(BusMirror *mirror, gpointer user_data);

/* Begins with GetAll at each connection, follows PropertiesChanged (and on a bus NameOwnerChanged of @destination).
 * @changed runs after every batch, and when the mirror becomes stale. */
BusMirror *bus_mirror_new(BusLink *link, const char *destination, const char *path, const char *interface,
			  BusMirrorCb changed, gpointer user_data);
void bus_mirror_free(BusMirror *mirror); /* NULL is fine */
bool bus_mirror_is_fresh(const BusMirror *mirror); /* GetAll answered on the present connection */

/* The last known value of @property if it has @type and the mirror is fresh, else NULL. Borrowed until the loop runs
 * again. */
GVariant *bus_mirror_get(const BusMirror *mirror, const char *property, const char *type);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusLink, bus_link_free)
