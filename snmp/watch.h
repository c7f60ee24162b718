/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snmp/watch.h - what the daemons say, kept in memory: asked over their private sockets at each connection, after each signal, and now and then.
 *
 * Nobody who asks by SNMP is ever waited for by a daemon, nor waits for one. What has not been heard for 12 s, or from a daemon that is not there, is not
 * known.
 */
#pragma once

#include "snmp/mib.h"

typedef struct Watch Watch;

/* @folder: of the private sockets. */
Watch *watch_new(const char *folder);
void watch_free(Watch *watch); /* NULL is fine */

/* vrrpd has answered, or is gone. */
void watch_on_election(Watch *watch, void (*changed)(gpointer user_data), gpointer user_data);

/* Has notifyd store an event of our own; @done says, from the loop, whether it has. One after the other. */
void watch_raise(Watch *watch, const char *name, guint8 priority, const char *description, void (*done)(bool good, gpointer user_data), gpointer user_data);
void watch_raise_cancel(Watch *watch); /* @done will not run */

/* What is known now; borrowed until the loop runs again. */
void watch_facts(Watch *watch, MibFacts *ret_facts);
gint64 watch_boot_us(void); /* the clock of what they say of times */
/* Grows with each answer, and when something is no longer known. */
guint64 watch_serial(const Watch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Watch, watch_free)
