/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-knock.h - finds out, without waiting, whether anybody answers at a D-Bus address. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef struct BusKnock BusKnock;
typedef void (*BusKnockCb)(bool answered, gpointer user_data);

/* @done runs once, from the loop, when somebody has answered or it is certain that nobody will; while the far side is
 * merely frozen it waits. Addresses that are not Unix sockets are taken as answered. */
BusKnock *bus_knock_new(const char *address, BusKnockCb done, gpointer user_data);
void bus_knock_free(BusKnock *knock); /* @done will not run (any more); NULL is fine */
