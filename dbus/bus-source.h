/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-source.h - one GSource per DBusConnection or DBusServer on the GLib main loop. */
#pragma once

#include <dbus/dbus.h>
#include <gio/gio.h>
#include <stdbool.h>

/* Below everything that keeps time: VRRP timers run at G_PRIORITY_HIGH, ordinary ones at G_PRIORITY_DEFAULT. */
#define BUS_PRIORITY (G_PRIORITY_DEFAULT + 10)

/* Property changes go out before the next message is looked at. */
#define BUS_PRIORITY_FLUSH (G_PRIORITY_DEFAULT + 5)

/* What one connection may hold: larger messages, or a reader that never reads, end it. */
#define BUS_MAX_MESSAGE  (8 * 1024 * 1024)
#define BUS_MAX_RECEIVED (16 * 1024 * 1024)
#define BUS_MAX_OUTGOING (16 * 1024 * 1024)

typedef struct BusSource BusSource;
typedef void (*BusSourceCb)(gpointer user_data);

/* Puts @connection on the thread-default main context and bounds its messages. @authenticated (may be NULL) runs once
 * from the loop when the two sides know each other; it may detach the source. */
BusSource *bus_source_attach(DBusConnection *connection, BusSourceCb authenticated, gpointer user_data);
BusSource *bus_source_attach_server(DBusServer *server);

/* Takes it off again; allowed from inside its own dispatch. NULL is fine. Does not close the connection. */
void bus_source_detach(BusSource *source);

/* Sends @message, unless the far side has stopped reading: then the connection is closed, which its filter hears of
 * from the loop. */
void bus_source_send(DBusConnection *connection, DBusMessage *message);
