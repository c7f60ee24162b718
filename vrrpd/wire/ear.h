/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/ear.h - whether anybody speaks on an interface.
 *
 * A counter of the interface would also count what the switch itself says (spanning tree, LLDP, multicast listener queries) on a port whose LAN is
 * dead. Counted here: ARP, IPv4, and IPv6 to one host.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/kernel/worker.h"

typedef struct VrrpEar VrrpEar;

VrrpEar *vrrp_ear_new(int index, VrrpWorker *worker, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_ear_free(VrrpEar *ear); /* NULL is fine */

/* True when at least one frame came in since the last time. */
bool vrrp_ear_heard(VrrpEar *ear);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpEar, vrrp_ear_free)
