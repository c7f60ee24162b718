/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-server.h - a private D-Bus socket, so that a dead or frozen message bus delays nobody.
 *
 * Every daemon shows its tree both on the system bus and on /run/understudy/private/<name>. On the private socket there are no names, matches
 * or Hello: every signal of the tree reaches every client, and the far side is known by the kernel's credentials.
 * Until a client's first message is answered none may carry descriptors (Hello sees to that on a bus; here org.freedesktop.DBus.Peer.Ping does):
 * libdbus reads the end of the authentication without them, and drops the connection when a message with some came along with it.
 */
#pragma once

#include "bus-object.h"

typedef struct BusServer BusServer;

/* Listens at @socket_path (a stale socket there is replaced; parent folders must exist; mode 0666, the uid check decides) and shows @tree to
 * root and our own user, who count as
 * "administer", and to @viewers, who may only look: they count as "view", and for nothing else that depends on who is connected. */
BusServer *bus_server_new(const char *socket_path, BusTree *tree, const guint32 *viewers, gsize n_viewers,
			  GError **error) G_GNUC_WARN_UNUSED_RESULT;
void bus_server_free(BusServer *server); /* NULL is fine */
gsize bus_server_n_clients(const BusServer *server); /* the viewers not */

/* Of the calls of one client that wait for their answers, about so many bytes are held; the next ones are read when some have been answered. For a daemon
 * that keeps calls waiting, and is flooded. */
void bus_server_hold(BusServer *server, gsize bytes);

/* Runs whenever the first client has come or the last has gone; for a daemon that must know whether anybody steers it. */
void bus_server_on_clients(BusServer *server, void (*changed)(gsize n_clients, gpointer user_data), gpointer user_data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BusServer, bus_server_free)
