/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-mirror.c - a remote object's properties, kept up to date.
 *
 * Truth is GetAll; PropertiesChanged is applied only to what GetAll gave. Messages of one connection come in order,
 * so a change that arrives before the answer is in the answer.
 */
#include "bus-link-private.h"

#define GET_ALL_TIMEOUT_MS 2000
#define RETRY_MS           500

struct BusMirror {     /* a reference-counted box */
	BusLink *link; /* a reference, so that either may be freed first; NULL once freed */
	char *destination, *path, *interface;
	BusName *owner; /* on a bus */
	BusSubscription *subscription;
	BusPending *get_all;
	GSource *retry;
	GHashTable *values; /* property -> GVariant */
	bool fresh;
	BusMirrorCb changed;
	gpointer user_data;
};

static void ask(BusMirror *mirror);

static void mirror_clear(gpointer data)
{
	BusMirror *mirror = data;

	g_hash_table_unref(mirror->values);
	g_free(mirror->destination);
	g_free(mirror->path);
	g_free(mirror->interface);
}

static void mirror_unref(gpointer mirror)
{
	g_rc_box_release_full(mirror, mirror_clear);
}

static void stop_asking(BusMirror *mirror)
{
	bus_pending_cancel(mirror->get_all);
	mirror->get_all = NULL;
	if (mirror->retry) {
		g_source_destroy(mirror->retry);
		g_clear_pointer(&mirror->retry, g_source_unref);
	}
}

static void make_stale(BusMirror *mirror)
{
	bool was_fresh = mirror->fresh;

	stop_asking(mirror);
	mirror->fresh = false;
	if (was_fresh)
		mirror->changed(mirror, mirror->user_data);
}

static gboolean on_retry(gpointer user_data)
{
	BusMirror *mirror = user_data;

	g_clear_pointer(&mirror->retry, g_source_unref);
	ask(mirror);
	return G_SOURCE_REMOVE;
}

/* @table: a{sv} */
static void take_values(BusMirror *mirror, GVariant *table)
{
	GVariantIter iter;
	const char *name;
	GVariant *value;

	g_variant_iter_init(&iter, table);
	while (g_variant_iter_next(&iter, "{&sv}", &name, &value))
		g_hash_table_insert(mirror->values, g_strdup(name), value);
}

static void on_get_all(GVariant *values, const GError *error, gpointer user_data)
{
	BusMirror *mirror = user_data;

	mirror->get_all = NULL;
	if (values && g_variant_is_of_type(values, G_VARIANT_TYPE("(a{sv})"))) {
		g_autoptr(GVariant) table = g_variant_get_child_value(values, 0);
		g_hash_table_remove_all(mirror->values);
		take_values(mirror, table);
		mirror->fresh = true;
		mirror->changed(mirror, mirror->user_data);
		return;
	}

	/* Not there yet, or busy: as long as the connection stands it is asked again. */
	mirror->retry = g_timeout_source_new(RETRY_MS);
	g_source_set_priority(mirror->retry, BUS_PRIORITY);
	g_source_set_callback(mirror->retry, on_retry, mirror, NULL);
	g_source_attach(mirror->retry, g_main_context_get_thread_default());
	if (mirror->fresh) {
		mirror->fresh = false;
		mirror->changed(mirror, mirror->user_data);
	}
}

static void ask(BusMirror *mirror)
{
	stop_asking(mirror);
	if (!bus_link_is_usable(mirror->link))
		return;
	mirror->get_all =
		bus_link_call(mirror->link, mirror->destination, mirror->path, DBUS_INTERFACE_PROPERTIES, "GetAll",
			      g_variant_new("(s)", mirror->interface), GET_ALL_TIMEOUT_MS, on_get_all, mirror);
}

static void on_properties_changed(const char *path, const char *member, GVariant *args, gpointer user_data)
{
	BusMirror *mirror = user_data;

	if (!mirror->fresh || !g_variant_is_of_type(args, G_VARIANT_TYPE("(sa{sv}as)")))
		return;
	g_autoptr(GVariant) changed = g_variant_get_child_value(args, 1);
	g_autoptr(GVariant) invalidated = g_variant_get_child_value(args, 2);
	gsize n_invalidated = g_variant_n_children(invalidated);

	take_values(mirror, changed);
	for (gsize i = 0; i < n_invalidated; i++) {
		g_autoptr(GVariant) name = g_variant_get_child_value(invalidated, i);
		g_hash_table_remove(mirror->values, g_variant_get_string(name, NULL));
	}
	/* What was only said to have changed is asked for; an answer under way already has it. */
	if (n_invalidated > 0 && !mirror->get_all)
		ask(mirror);
	mirror->changed(mirror, mirror->user_data);
}

BusMirror *bus_mirror_new(BusLink *link, const char *destination, const char *path, const char *interface,
			  BusMirrorCb changed, gpointer user_data)
{
	g_return_val_if_fail((destination != NULL) == (link->kind == LINK_BUS), NULL);
	BusMirror *mirror = g_rc_box_new0(BusMirror);

	mirror->link = bus_link_ref(link);
	mirror->destination = g_strdup(destination);
	mirror->path = g_strdup(path);
	mirror->interface = g_strdup(interface);
	mirror->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
	mirror->changed = changed;
	mirror->user_data = user_data;
	g_ptr_array_add(link->mirrors, mirror);
	mirror->subscription = bus_link_subscribe_arg0(link, destination, path, DBUS_INTERFACE_PROPERTIES,
						       "PropertiesChanged", interface, on_properties_changed, mirror);
	if (destination)
		mirror->owner = bus_name_use(link, destination);

	/* On a bus the answer about the owner starts it, unless that is known already. */
	if (!mirror->owner || mirror->owner->owner)
		ask(mirror);
	return mirror;
}

void bus_mirror_free(BusMirror *mirror)
{
	if (!mirror)
		return;
	BusLink *link = mirror->link;
	stop_asking(mirror);
	bus_subscription_free(mirror->subscription);
	bus_name_release(mirror->owner);
	(void)g_ptr_array_remove(link->mirrors, mirror);
	mirror->link = NULL;
	mirror_unref(mirror);
	bus_link_unref(link);
}

bool bus_mirror_is_fresh(const BusMirror *mirror)
{
	return mirror->fresh;
}

GVariant *bus_mirror_get(const BusMirror *mirror, const char *property, const char *type)
{
	GVariant *value = mirror->fresh ? g_hash_table_lookup(mirror->values, property) : NULL;

	return value && g_variant_is_of_type(value, G_VARIANT_TYPE(type)) ? value : NULL;
}

/* ---- With the link ---- */

static GPtrArray *copy_mirrors(BusLink *link)
{
	GPtrArray *copy = g_ptr_array_new_with_free_func(mirror_unref);

	for (guint i = 0; i < link->mirrors->len; i++)
		g_ptr_array_add(copy, g_rc_box_acquire(link->mirrors->pdata[i]));
	return copy;
}

void bus_mirrors_up(BusLink *link)
{
	for (guint i = 0; i < link->mirrors->len; i++) {
		BusMirror *mirror = link->mirrors->pdata[i];
		if (!mirror->owner)
			ask(mirror);
	}
}

void bus_mirrors_down(BusLink *link)
{
	g_autoptr(GPtrArray) copy = copy_mirrors(link);

	for (guint i = 0; i < copy->len; i++) {
		BusMirror *mirror = copy->pdata[i];
		if (mirror->link)
			make_stale(mirror);
	}
}

void bus_mirrors_stop(BusLink *link)
{
	for (guint i = 0; i < link->mirrors->len; i++) {
		BusMirror *mirror = link->mirrors->pdata[i];
		stop_asking(mirror);
		mirror->fresh = false;
	}
}

void bus_mirrors_owner_changed(BusLink *link, const char *name, bool present)
{
	g_autoptr(GPtrArray) copy = copy_mirrors(link);

	for (guint i = 0; i < copy->len; i++) {
		BusMirror *mirror = copy->pdata[i];
		if (!mirror->link || g_strcmp0(mirror->destination, name) != 0)
			continue;
		g_autoptr(GPtrArray) keep = g_ptr_array_new_with_free_func(mirror_unref);
		g_ptr_array_add(keep, g_rc_box_acquire(mirror));
		make_stale(mirror); /* also when one owner took over from another */
		if (mirror->link && present)
			ask(mirror);
	}
}
