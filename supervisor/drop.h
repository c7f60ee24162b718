/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/drop.h - traffic to the service addresses while nobody answers there yet: dropped, not refused, so that phones try again.
 *
 * One nftables table, `inet understudy`. A Backup has the drop always (the addresses are not there); during handing-over, and a takeover when
 * its applications have begun, its set elements have a kernel timeout, so that it ends even if nobody lives to lift it. ICMP, ICMPv6, VRRP,
 * the pages and the peer link pass.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/settings.h"

typedef struct DropRules DropRules;

DropRules *drop_new(void);
void drop_free(DropRules *drop); /* leaves the rules as they are */

/* Addresses and ports; to be called before the others and at every change. NULL: none. */
void drop_configure(DropRules *drop, const Settings *settings);

bool drop_always(DropRules *drop, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool drop_for(DropRules *drop, gint64 duration_us, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool drop_lift(DropRules *drop, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* without rules */
/* Nothing is held any more. The rules stay, and the kernel notes who first sends something to a service address from now on, and when: not ICMP, VRRP, the
 * pages, the peer link. */
bool drop_open(DropRules *drop, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* While all else is held: what comes by UDP for @port waits in the socket that is bound there, as soon as there is one; 0: nothing does. Until the
 * next of the others but drop_for(). Where the kernel cannot do that it is dropped like the rest. */
void drop_queue(DropRules *drop, guint port);
/* Who that was, and how long ago; false: nobody yet. @ret_host: transfer full. */
bool drop_first(DropRules *drop, char **ret_host, gint64 *ret_ago_us);

/* Lets go of what the library keeps from its last command, half a megabyte; to be called when nothing is in a hurry. */
void drop_rest(DropRules *drop);

/* The commands, for tests; transfer full. @timeout_ms 0: always. @queue_port as of drop_queue(). */
char *drop_script(const Settings *settings, gint64 timeout_ms, guint queue_port);
/* @listing: a set as nft lists it. */
bool drop_parse_first(const char *listing, char **ret_host, gint64 *ret_ago_us);
