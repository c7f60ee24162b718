/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/wants.c - collecting and ordering. */
#include "syncd/voice/wants.h"

#include "syncd/error.h"
#include "syncd/files/path.h"

enum { NAMED_MAX = 8, SMALL = 1 << 20 };

struct SyncWants {
	GHashTable *by_id; /* pointer.id -> SyncWant* */
};

static void want_free(gpointer data)
{
	SyncWant *want = data;

	g_free(want->path);
	g_free(want);
}

SyncWants *sync_wants_new(void)
{
	SyncWants *wants = g_new0(SyncWants, 1);

	wants->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, want_free);
	return wants;
}

void sync_wants_free(SyncWants *wants)
{
	if (!wants)
		return;
	g_hash_table_unref(wants->by_id);
	g_free(wants);
}

bool sync_wants_add(SyncWants *wants, const SyncPointer *pointer, gint64 mtime_ns, const char *path, GError **error)
{
	SyncWant *want = g_hash_table_lookup(wants->by_id, pointer->id);

	if (want && want->pointer.size != pointer->size) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the commit cannot be applied: one object of two sizes");
		return false;
	}
	if (want && want->mtime_ns >= mtime_ns)
		return true;
	if (!want) {
		want = g_new0(SyncWant, 1);
		want->pointer = *pointer;
		g_hash_table_insert(wants->by_id, want->pointer.id, want);
	}
	want->mtime_ns = mtime_ns;
	g_free(want->path);
	want->path = g_strdup(path);
	return true;
}

guint sync_wants_n(const SyncWants *wants)
{
	return g_hash_table_size(wants->by_id);
}

guint64 sync_wants_bytes(const SyncWants *wants)
{
	GHashTableIter iter;
	guint64 bytes = 0;
	gpointer want;

	g_hash_table_iter_init(&iter, wants->by_id);
	while (g_hash_table_iter_next(&iter, NULL, &want))
		bytes += MIN(((const SyncWant *)want)->pointer.size, G_MAXUINT64 - bytes);
	return bytes;
}

static guint class_of(guint64 size)
{
	guint class = 0;

	for (guint64 most = SMALL; size > most && most < G_MAXUINT64 / 4; most *= 4)
		class++;
	return class;
}

static gint compare(gconstpointer a, gconstpointer b)
{
	const SyncWant *x = *(const SyncWant *const *)a, *y = *(const SyncWant *const *)b;
	guint x_class = class_of(x->pointer.size), y_class = class_of(y->pointer.size);

	if (x_class != y_class)
		return x_class < y_class ? -1 : 1;
	if (x->mtime_ns != y->mtime_ns)
		return x->mtime_ns > y->mtime_ns ? -1 : 1;
	return g_strcmp0(x->path, y->path);
}

GPtrArray *sync_wants_order(const SyncWants *wants)
{
	GPtrArray *list = g_ptr_array_new();
	GHashTableIter iter;
	gpointer want;

	g_hash_table_iter_init(&iter, wants->by_id);
	while (g_hash_table_iter_next(&iter, NULL, &want))
		g_ptr_array_add(list, want);
	g_ptr_array_sort(list, compare);
	return list;
}

char *sync_wants_text(const SyncWants *wants)
{
	g_autoptr(GPtrArray) list = sync_wants_order(wants);
	GString *text = g_string_new(NULL);

	g_string_append_printf(text, "%u recording%s", list->len, list->len == 1 ? "" : "s");
	for (guint i = 0; i < list->len && i < NAMED_MAX; i++) {
		g_autofree char *path = sync_printable(((const SyncWant *)list->pdata[i])->path);
		g_string_append_printf(text, "%s%s", i ? ", " : ": ", path);
	}
	if (list->len > NAMED_MAX)
		g_string_append(text, ", …");
	return g_string_free(text, FALSE);
}
