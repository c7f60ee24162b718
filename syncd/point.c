/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/point.c - the newest commits of a line, in order, with the time each was told of. */
#include "point.h"

enum { MOST = 8192 };

typedef struct {
	char *commit;
	guint64 number;
	gint64 since_us;
} Entry;

struct SyncPoint {
	GPtrArray *entries; /* of Entry*, oldest first */
	GHashTable *known;  /* commit -> Entry* */
};

static void entry_free(gpointer data)
{
	Entry *entry = data;

	g_free(entry->commit);
	g_free(entry);
}

SyncPoint *sync_point_new(void)
{
	SyncPoint *point = g_new0(SyncPoint, 1);

	point->entries = g_ptr_array_new_with_free_func(entry_free);
	point->known = g_hash_table_new(g_str_hash, g_str_equal);
	return point;
}

void sync_point_free(SyncPoint *point)
{
	if (!point)
		return;
	g_hash_table_unref(point->known);
	g_ptr_array_unref(point->entries);
	g_free(point);
}

void sync_point_clear(SyncPoint *point)
{
	g_hash_table_remove_all(point->known);
	g_ptr_array_set_size(point->entries, 0);
}

static const Entry *newest(const SyncPoint *point)
{
	return point->entries->len ? point->entries->pdata[point->entries->len - 1] : NULL;
}

/* The older half goes; a table of ids is not worth keeping beyond what anybody asks for. */
static void shorten(SyncPoint *point)
{
	for (guint i = 0; i < MOST / 2; i++) {
		Entry *entry = point->entries->pdata[i];

		if (g_hash_table_lookup(point->known, entry->commit) == entry)
			g_hash_table_remove(point->known, entry->commit);
	}
	g_ptr_array_remove_range(point->entries, 0, MOST / 2);
}

void sync_point_add(SyncPoint *point, const char *commit, guint64 number, gint64 now_us)
{
	const Entry *last = newest(point);

	if (last && g_str_equal(last->commit, commit) && (number == 0 || number == last->number))
		return;
	number = number ? number : last ? last->number + 1 : 1;
	/* A line that goes back to a commit it had (a volatile state that comes again) has it twice; the newer one counts. */
	if (last && number <= last->number)
		sync_point_clear(point);
	else if (point->entries->len >= MOST)
		shorten(point);
	Entry *entry = g_new0(Entry, 1);
	entry->commit = g_strdup(commit);
	entry->number = number;
	entry->since_us = now_us;
	g_ptr_array_add(point->entries, entry);
	g_hash_table_replace(point->known, entry->commit, entry);
}

guint64 sync_point_number(const SyncPoint *point)
{
	const Entry *last = newest(point);

	return last ? last->number : 0;
}

SyncBehind sync_point_behind(const SyncPoint *point, const char *at)
{
	const Entry *last = newest(point);
	const Entry *here = at ? g_hash_table_lookup(point->known, at) : NULL;

	if (!last || here == last)
		return (SyncBehind){ .exact = true };
	if (!here) {
		const Entry *first = point->entries->pdata[0];

		return (SyncBehind){ .changes = last->number - first->number + 1, .since_us = first->since_us };
	}
	const Entry *next = last;
	for (guint i = point->entries->len; i-- > 0 && ((Entry *)point->entries->pdata[i])->number > here->number;)
		next = point->entries->pdata[i];
	return (SyncBehind){ .changes = last->number - here->number, .since_us = next->since_us, .exact = true };
}

bool sync_point_reached(const SyncPoint *point, const char *wanted, const char *at)
{
	const Entry *want = g_hash_table_lookup(point->known, wanted);
	const Entry *there = g_hash_table_lookup(point->known, at);

	return g_str_equal(wanted, at) || (want && there && there->number >= want->number);
}
