/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/oid.c - object identifiers, and a MIB as a sorted list of instances. */
#include "snmp/oid.h"

#include <string.h>

/* ---- Names ---- */

int oid_compare(const Oid *a, const Oid *b)
{
	guint n = MIN(a->n, b->n);

	for (guint i = 0; i < n; i++)
		if (a->ids[i] != b->ids[i])
			return a->ids[i] < b->ids[i] ? -1 : 1;
	return a->n == b->n ? 0 : a->n < b->n ? -1 : 1;
}

bool oid_begins_with(const Oid *oid, const Oid *head)
{
	return oid->n >= head->n && memcmp(oid->ids, head->ids, head->n * sizeof(head->ids[0])) == 0;
}

bool oid_parse(const char *text, Oid *ret_oid)
{
	g_auto(GStrv) parts = g_strsplit(text, ".", -1);
	Oid oid = { 0 };

	for (guint i = 0; parts[i]; i++) {
		guint64 id;

		if (i >= OID_MAX || !g_ascii_string_to_unsigned(parts[i], 10, 0, G_MAXUINT32, &id, NULL))
			return false;
		oid.ids[oid.n++] = (guint32)id;
	}
	if (oid.n < 2)
		return false;
	*ret_oid = oid;
	return true;
}

char *oid_text(const Oid *oid)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < oid->n; i++)
		g_string_append_printf(text, "%s%u", i ? "." : "", oid->ids[i]);
	return g_string_free(text, FALSE);
}

void oid_add(Oid *oid, guint32 id)
{
	if (oid->n < OID_MAX)
		oid->ids[oid->n++] = id;
}

void oid_add_text(Oid *oid, const char *text)
{
	gsize n = strlen(text);

	oid_add(oid, (guint32)n);
	for (gsize i = 0; i < n; i++)
		oid_add(oid, (guint8)text[i]);
}

/* ---- Instances ---- */

/* The name with no more room than it needs: there are thousands. */
typedef struct {
	Oid *oid; /* only as much of it as it needs is allocated */
	MibValue value;
	guint order;
} Instance;

struct MibView {
	GArray *instances;
};

static void instance_clear(gpointer data)
{
	Instance *instance = data;

	g_free(instance->oid);
	g_clear_pointer(&instance->value.octets, g_bytes_unref);
}

MibView *mib_view_new(void)
{
	MibView *view = g_new0(MibView, 1);

	view->instances = g_array_new(FALSE, FALSE, sizeof(Instance));
	g_array_set_clear_func(view->instances, instance_clear);
	return view;
}

void mib_view_free(MibView *view)
{
	if (!view)
		return;
	g_array_unref(view->instances);
	g_free(view);
}

static void add(MibView *view, const Oid *oid, MibType type, guint64 number, GBytes *octets)
{
	Instance instance = {
		.oid = g_memdup2(oid, offsetof(Oid, ids) + oid->n * sizeof(oid->ids[0])),
		.value = { .type = type, .number = number, .octets = octets },
		.order = view->instances->len,
	};

	g_array_append_val(view->instances, instance);
}

void mib_view_add_number(MibView *view, const Oid *oid, MibType type, guint64 number)
{
	add(view, oid, type, number, NULL);
}

void mib_view_add_octets(MibView *view, const Oid *oid, MibType type, const void *data, gsize n)
{
	add(view, oid, type, 0, g_bytes_new(data, n));
}

void mib_view_add_text(MibView *view, const Oid *oid, const char *text, gsize most)
{
	gsize n = strlen(text);

	if (n > most) {
		n = most;
		while (n > 0 && ((guint8)text[n] & 0xc0) == 0x80)
			n--;
	}
	mib_view_add_octets(view, oid, MIB_OCTETS, text, n);
}

static int compare(const void *a, const void *b)
{
	const Instance *one = a, *other = b;
	int order = oid_compare(one->oid, other->oid);

	return order ? order : one->order < other->order ? -1 : 1;
}

void mib_view_sort(MibView *view)
{
	GArray *all = view->instances;

	g_array_sort(all, compare);
	for (guint i = 1; i < all->len;) {
		if (oid_compare(g_array_index(all, Instance, i - 1).oid, g_array_index(all, Instance, i).oid) == 0)
			g_array_remove_index(all, i);
		else
			i++;
	}
}

guint mib_view_n(const MibView *view)
{
	return view->instances->len;
}

/* The first that is not before @oid. */
static guint find(const MibView *view, const Oid *oid)
{
	guint low = 0, high = view->instances->len;

	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (oid_compare(g_array_index(view->instances, Instance, middle).oid, oid) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const MibValue *mib_view_get(const MibView *view, const Oid *oid)
{
	guint at = find(view, oid);

	if (at == view->instances->len || oid_compare(g_array_index(view->instances, Instance, at).oid, oid) != 0)
		return NULL;
	return &g_array_index(view->instances, Instance, at).value;
}

const MibValue *mib_view_next(const MibView *view, const Oid *start, bool include, const Oid *end, const Oid **ret_oid)
{
	guint at = find(view, start);

	if (at < view->instances->len && !include && oid_compare(g_array_index(view->instances, Instance, at).oid, start) == 0)
		at++;
	if (at == view->instances->len)
		return NULL;

	const Instance *found = &g_array_index(view->instances, Instance, at);
	if (end->n > 0 && oid_compare(found->oid, end) >= 0)
		return NULL;
	*ret_oid = found->oid;
	return &found->value;
}
