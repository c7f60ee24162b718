/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-caller.h - who is calling, and what that person may do. */
#pragma once

#include <dbus/dbus.h>
#include <gio/gio.h>
#include <stdbool.h>

#include "bus-contract.h"

/* Shared by the calls of one sender: g_rc_box_acquire(), bus_caller_unref(). */
typedef struct {
	guint32 uid;
	BusLevel level;
	char *text; /* "root", "uid 1000": for logs and histories */
} BusCaller;

void bus_caller_unref(BusCaller *caller); /* NULL is fine */

/* The one at the other end of a private socket, by the kernel's word; BUS_LEVEL_ADMINISTER, since the socket refused
 * the others. NULL when the kernel does not say. */
BusCaller *bus_caller_new_for_socket(DBusConnection *connection);

/* The user of the processes that may look at what the daemons show on their private sockets. False: this device has no such user. */
bool bus_caller_find_viewer(guint32 *ret_uid);

/* A user of the bus. @gids: the process's groups as the kernel told the bus, or NULL when it did not: then the files
 * in /etc decide. */
BusCaller *bus_caller_new_for_user(guint32 uid, const guint32 *gids, gsize n_gids);

/* The groups of the three levels, -1 for one that does not exist. Tests set their own; others read /etc/group at the
 * first question. */
void bus_caller_set_groups(gint64 view, gint64 operate, gint64 administer);

/* ---- The senders of one bus connection ---- */

typedef struct BusCallers BusCallers;

/* Runs once the sender of @message is known, in the order in which that sender's messages came; @caller is NULL when
 * the bus would not say. */
typedef void (*BusCallerCb)(DBusMessage *message, BusCaller *caller, gpointer user_data);

BusCallers *bus_callers_new(DBusConnection *connection, BusCallerCb ready, gpointer user_data);
void bus_callers_free(BusCallers *callers); /* waiting messages are dropped; NULL is fine */

/* Now, when the sender is known, or later. */
void bus_callers_pass(BusCallers *callers, DBusMessage *message);

/* @unique has left the bus. */
void bus_callers_forget(BusCallers *callers, const char *unique);
gsize bus_callers_n_known(const BusCallers *callers);
