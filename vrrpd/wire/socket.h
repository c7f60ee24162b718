/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/socket.h - where adverts come in and go out.
 *
 * A path has three sockets. The election's own sees, by a filter in the kernel, only our group id from next door (from the peer alone once
 * there is one), so a flood from others can neither delay nor displace what counts. The bell rings for whatever among these is not, byte for byte,
 * what was said last: a Backup that does not listen to every advert sleeps through repetitions and nothing else, neither priority 0 nor a flood that bears
 * the peer's address. What rang it is read in its turn from the first. The rest goes to the third, which is read at
 * leisure and only counted.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"
#include "vrrpd/kernel/worker.h"

typedef struct VrrpSocket VrrpSocket;

/* One packet, IP header first; over IPv6 it is written anew from what the kernel tells beside the message. @received_us as the kernel stamped it, in CLOCK_BOOTTIME. */
typedef void (*VrrpPacketCb)(const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data);

typedef struct {
	const char *device;
	int index;
	IpAddress address;     /* ours there: the source of what we send by unicast, and which family this is */
	bool multicast;        /* join the VRRP group: done by @worker, because the kernel's lock may be held by others */
	VrrpWorker *worker;
	guint8 vrid;
	bool only_peers;
	const IpAddress *peers;
	gsize n_peers;
} VrrpSocketConfig;

VrrpSocket *vrrp_socket_new(const VrrpSocketConfig *config, VrrpPacketCb received, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_socket_free(VrrpSocket *socket); /* NULL is fine */

/* False when it hears no multicast: with @error because it could not join the group, without because it is about to. */
bool vrrp_socket_hears(VrrpSocket *socket, GError **error);

/* From now on these are the peers, and packets are told to @user_data: the group stays joined, and nothing that comes meanwhile is lost. */
bool vrrp_socket_believe(VrrpSocket *socket, bool only_peers, const IpAddress *peers, gsize n_peers, gpointer user_data) G_GNUC_WARN_UNUSED_RESULT;

/* Reads everything the election's socket holds now; returns how many. */
guint vrrp_socket_drain(VrrpSocket *socket);

/* Quiet: the usual that the election's socket gets wakes nobody; it is read with whatever else does (hot.h), or by drain. */
void vrrp_socket_quiet(VrrpSocket *socket, bool quiet);

/* @message, from its VRRP header on, is what the peer says until it says something else. */
void vrrp_socket_usual(VrrpSocket *socket, const guint8 *message, gsize length);

/* Whether the packet that is being told was received when it is said to have been, and may not be older. */
bool vrrp_socket_dates(const VrrpSocket *socket);

/* Whether the kernel may have had no room for something that counts, or looks so, since @since_us or since this was asked (room.h). (Over IPv6 it also
 * counts as such what it drops for a wrong sum.) */
bool vrrp_socket_ran_over(VrrpSocket *socket, gint64 since_us);

/* How many of the rest the kernel has dropped, because they came faster than they are read. */
guint64 vrrp_socket_unread(const VrrpSocket *socket);

/* Sends a whole packet of the socket's family to @destination. False when the kernel would not take it. */
bool vrrp_socket_send(VrrpSocket *socket, const guint8 *packet, gsize length, const IpAddress *destination);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpSocket, vrrp_socket_free)
