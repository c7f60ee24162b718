/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/sysctl.h - kernel settings per interface that a virtual MAC needs, put back when we leave. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VrrpSysctl VrrpSysctl;

/* @journal: where the values found are written, so that a process that was killed does not take its own for the original ones. */
VrrpSysctl *vrrp_sysctl_new(const char *journal);
void vrrp_sysctl_free(VrrpSysctl *sysctl); /* NULL is fine; restores nothing */

/* @key: "ipv4/conf/eth0/arp_ignore". @lasting: to be restored. A key this kernel does not have is no error. */
bool vrrp_sysctl_set(VrrpSysctl *sysctl, const char *key, const char *value, bool lasting, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_sysctl_restore(VrrpSysctl *sysctl);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpSysctl, vrrp_sysctl_free)
