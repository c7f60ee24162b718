/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/limit.c - one bucket of tokens a user. */
#include "limit.h"

#define EVERY_US (NOTIFY_LIMIT_EVERY_MS * 1000LL)

/*
 * A bucket is kept as the moment when it will be full again: each event moves that by one interval into the future. Whoever is back at
 * "full" needs no entry, so those are what goes when there are too many users.
 */
struct NotifyLimit {
	GHashTable *full_at_us; /* uid -> gint64 */
};

NotifyLimit *notify_limit_new(void)
{
	NotifyLimit *limit = g_new0(NotifyLimit, 1);

	limit->full_at_us = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return limit;
}

void notify_limit_free(NotifyLimit *limit)
{
	if (!limit)
		return;
	g_hash_table_unref(limit->full_at_us);
	g_free(limit);
}

static gboolean is_full(gpointer uid, gpointer full_at_us, gpointer now_us)
{
	return *(gint64 *)full_at_us <= *(gint64 *)now_us;
}

static gint64 *bucket_of(NotifyLimit *limit, guint32 uid, gint64 now_us)
{
	gint64 *full_at_us = g_hash_table_lookup(limit->full_at_us, GUINT_TO_POINTER(uid));

	if (full_at_us)
		return full_at_us;
	if (g_hash_table_size(limit->full_at_us) >= NOTIFY_LIMIT_MAX_USERS)
		g_hash_table_foreach_remove(limit->full_at_us, is_full, &now_us);
	if (g_hash_table_size(limit->full_at_us) >= NOTIFY_LIMIT_MAX_USERS)
		return NULL;
	full_at_us = g_new(gint64, 1);
	*full_at_us = now_us;
	g_hash_table_insert(limit->full_at_us, GUINT_TO_POINTER(uid), full_at_us);
	return full_at_us;
}

bool notify_limit_take(NotifyLimit *limit, guint32 uid, gint64 now_us)
{
	gint64 *full_at_us = bucket_of(limit, uid, now_us);
	gint64 next_us;

	if (!full_at_us)
		return false;
	next_us = MAX(*full_at_us, now_us) + EVERY_US;
	if (next_us - now_us > NOTIFY_LIMIT_BURST * EVERY_US)
		return false;
	*full_at_us = next_us;
	return true;
}
