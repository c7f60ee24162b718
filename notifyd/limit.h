/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/limit.h - how many events one user may raise, so that nobody pushes everybody else's out of the store. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define NOTIFY_LIMIT_BURST     100  /* at once */
#define NOTIFY_LIMIT_EVERY_MS  1000 /* then one in this time */
#define NOTIFY_LIMIT_MAX_USERS 256

typedef struct NotifyLimit NotifyLimit;

NotifyLimit *notify_limit_new(void);
void notify_limit_free(NotifyLimit *limit); /* NULL is fine */

/* Whether @uid may raise one more now, at monotonic @now_us; if so it is counted. */
bool notify_limit_take(NotifyLimit *limit, guint32 uid, gint64 now_us);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(NotifyLimit, notify_limit_free)
