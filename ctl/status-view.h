/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/status-view.h - what the daemons said of themselves, as one page for people or one value for programs. Pure. */
#pragma once

#include "render.h"

/* Properties as GetAll answered, a{sv}; NULL: that daemon did not answer. */
typedef struct {
	GVariant *supervisor;
	GPtrArray *applications; /* of GVariant a{sv}, each an Application1 */
	GVariant *sync;
	GVariant *peer_link; /* Peer1 */
	GVariant *election;  /* Election1 */
	GVariant *vrrp;      /* Vrrp1 */
	gint64 now_ms;       /* since 1970 */
	gint64 now_boot_us;  /* CLOCK_BOOTTIME */
	GVariant *notify;    /* Notify1 */
} StatusView;

char *status_view_text(const StatusView *view, const RenderStyle *style);

/* a{sv}, floating; keys as in the interfaces, in snake_case. */
GVariant *status_view_value(const StatusView *view);
