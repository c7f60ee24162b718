/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/wire/forged.h - IPv4 adverts that come in and bear this device's own address: somebody lies, or a switch sends back what we say.
 *
 * The kernel lets no such packet through to a raw socket. Here it is seen before that, and counted by the kernel: nobody is woken by it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"
#include "vrrpd/kernel/worker.h"

typedef struct VrrpForged VrrpForged;

/* Adverts with @own as their source that come in on @index. */
VrrpForged *vrrp_forged_new(int index, const IpAddress *own, VrrpWorker *worker, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_forged_free(VrrpForged *forged); /* NULL is fine */

/* How many since this was asked last; the MAC that sent one of them. */
guint vrrp_forged_count(VrrpForged *forged, guint8 ret_mac[static 6]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpForged, vrrp_forged_free)
