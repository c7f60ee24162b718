/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/strangers.h - who else speaks our group id, and what is wrong or odd with it, told without a storm; pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "settings/ip.h"

typedef struct VrrpStrangers VrrpStrangers;

VrrpStrangers *vrrp_strangers_new(void);
void vrrp_strangers_free(VrrpStrangers *strangers); /* NULL is fine */

/* Counts @n packets; @cause is a constant. True when it is to be told now: the first of (address, cause), then at most once a minute,
 * and no more than 16 a minute of all together. The table is bounded: past 64 pairs the one not seen for longest is forgotten. */
bool vrrp_strangers_note(VrrpStrangers *strangers, IpAddress address, const char *cause, guint n, gint64 now_us, guint64 *ret_count);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpStrangers, vrrp_strangers_free)
