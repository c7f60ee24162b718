/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/growing.c - which recordings are open, and since when. */
#include "syncd/voice/growing.h"

enum { PATIENCE_US = 60 * G_USEC_PER_SEC };

typedef struct {
	const SyncSet *set;
	char *path;
	gint64 since_us;
} Growth;

struct SyncGrowing {
	GHashTable *files; /* of Growth*, which are their own keys */
};

static guint growth_hash(gconstpointer data)
{
	const Growth *growth = data;

	return g_str_hash(growth->path) ^ g_direct_hash(growth->set);
}

static gboolean growth_equal(gconstpointer a, gconstpointer b)
{
	const Growth *x = a, *y = b;

	return x->set == y->set && g_str_equal(x->path, y->path);
}

static void growth_free(gpointer data)
{
	Growth *growth = data;

	g_free(growth->path);
	g_free(growth);
}

SyncGrowing *sync_growing_new(void)
{
	SyncGrowing *growing = g_new0(SyncGrowing, 1);

	growing->files = g_hash_table_new_full(growth_hash, growth_equal, growth_free, NULL);
	return growing;
}

void sync_growing_free(SyncGrowing *growing)
{
	if (!growing)
		return;
	g_hash_table_unref(growing->files);
	g_free(growing);
}

void sync_growing_clear(SyncGrowing *growing)
{
	g_hash_table_remove_all(growing->files);
}

static Growth *find(const SyncGrowing *growing, const SyncSet *set, const char *path)
{
	const Growth key = { .set = set, .path = (char *)path };

	return g_hash_table_lookup(growing->files, &key);
}

void sync_growing_told(SyncGrowing *growing, const SyncSet *set, const char *path, bool writing, gint64 now_us)
{
	Growth *growth = find(growing, set, path);

	if (!writing && growth)
		g_hash_table_remove(growing->files, growth);
	if (!writing || growth)
		return;
	growth = g_new(Growth, 1);
	*growth = (Growth){ set, g_strdup(path), now_us };
	g_hash_table_add(growing->files, growth);
}

bool sync_growing_leaves(SyncGrowing *growing, const SyncSet *set, const char *path, gint64 now_us)
{
	Growth *growth = find(growing, set, path);

	if (!growth)
		return false;
	if (now_us - growth->since_us < PATIENCE_US)
		return true;
	growth->since_us = now_us;
	return false;
}

gint64 sync_growing_due_us(const SyncGrowing *growing)
{
	GHashTableIter iter;
	gpointer value;
	gint64 due_us = 0;

	g_hash_table_iter_init(&iter, growing->files);
	while (g_hash_table_iter_next(&iter, &value, NULL)) {
		gint64 at_us = ((const Growth *)value)->since_us + PATIENCE_US;

		due_us = due_us ? MIN(due_us, at_us) : at_us;
	}
	return due_us;
}

void sync_growing_each_due(const SyncGrowing *growing, gint64 now_us, SyncGrowingVisit visit, gpointer user_data)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, growing->files);
	while (g_hash_table_iter_next(&iter, &value, NULL)) {
		const Growth *growth = value;

		if (now_us - growth->since_us >= PATIENCE_US)
			visit(growth->set, growth->path, user_data);
	}
}

void sync_growing_forget_due(SyncGrowing *growing, gint64 now_us)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, growing->files);
	while (g_hash_table_iter_next(&iter, &value, NULL))
		if (now_us - ((const Growth *)value)->since_us >= PATIENCE_US)
			g_hash_table_iter_remove(&iter);
}
