/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/election-view.c - who leads, since when and why, on which paths it is heard, and who else is about. */
#include "election-view.h"

#include "dbus/dict.h"

static char *age_of(const ElectionView *view, gint64 since_us)
{
	return render_age((view->now_boot_us - since_us) / 1000);
}

/* ---- For people ---- */

static void add_master(const ElectionView *view, RenderTable *table, const char *state)
{
	const char *address = dict_string(view->vrrp, "MasterAddress", "");

	render_table_add(table, RENDER_DIM, "Master");
	if (g_str_equal(state, "master"))
		render_table_add(table, RENDER_GOOD, "this device");
	else if (!*address)
		render_table_add(table, RENDER_WARNING, "none heard");
	else
		render_table_addf(table, RENDER_PLAIN, "%s, priority %" G_GINT64_FORMAT ", adverts every %" G_GINT64_FORMAT " ms", address,
				  dict_int(view->vrrp, "MasterPriority", 0), dict_int(view->vrrp, "MasterAdvertIntervalMs", 0));
}

static void add_down_time(const ElectionView *view, RenderTable *table)
{
	g_autoptr(GVariant) holds = dict_value(view->election, "Holds", "a(ssx)");
	g_autofree char *down = render_duration((double)dict_int(view->vrrp, "MasterDownIntervalUs", 0) / 1000);

	render_table_add(table, RENDER_DIM, "takes over");
	if (holds && g_variant_n_children(holds))
		render_table_add(table, RENDER_WARNING, "not by itself: it is held");
	else
		render_table_addf(table, RENDER_PLAIN, "after %s without an advert", down);
}

static void add_paths(const ElectionView *view, RenderTable *table)
{
	g_autoptr(GVariant) paths = dict_value(view->election, "Paths", "aa{sv}");

	for (gsize i = 0; paths && i < g_variant_n_children(paths); i++) {
		g_autoptr(GVariant) path = g_variant_get_child_value(paths, i);
		gint64 heard_us = dict_int(path, "heard_us", 0);
		g_autofree char *age = age_of(view, heard_us);
		const char *peer = dict_string(path, "peer", ""), *name = dict_string(path, "name", "");

		render_table_addf(table, RENDER_DIM, "path %s", *name ? name : dict_string(path, "interface", "?"));
		if (!dict_bool(path, "open"))
			render_table_addf(table, RENDER_BAD, "%s cannot be listened to", dict_string(path, "device", "?"));
		else
			render_table_addf(table, RENDER_PLAIN, "%s on %s, %s%s%s", *peer ? peer : "anybody", dict_string(path, "device", "?"),
					  heard_us ? "heard " : "not heard yet", heard_us ? age : "", heard_us ? " ago" : "");
	}
}

static void add_witness(const ElectionView *view, RenderTable *table)
{
	const char *witness = dict_string(view->election, "Witness", "none");

	if (g_str_equal(witness, "none"))
		return;
	render_table_add(table, RENDER_DIM, "witness");
	render_table_add(table, g_str_equal(witness, "lost") ? RENDER_WARNING : RENDER_PLAIN, witness);
}

static void add_stranger(const ElectionView *view, RenderTable *table)
{
	g_autoptr(GVariant) stranger = dict_value(view->election, "LastStranger", "(sstx)");
	const char *address = "", *cause = "";
	g_autofree char *age = NULL;
	guint64 count = 0;
	gint64 at_us = 0;

	if (!stranger)
		return;
	g_variant_get(stranger, "(&s&stx)", &address, &cause, &count, &at_us);
	render_table_add(table, RENDER_DIM, "last stranger");
	if (at_us == 0) {
		render_table_add(table, RENDER_PLAIN, "none");
		return;
	}
	age = age_of(view, at_us);
	render_table_addf(table, RENDER_WARNING, "%s: %s, %" G_GUINT64_FORMAT " times, the last %s ago", *address ? address : "unknown", cause,
			  count, age);
}

/* The few that a person asks for first; election_view_counters() has all. */
static void add_adverts(const ElectionView *view, RenderTable *table)
{
	g_autoptr(GVariant) counters = dict_value(view->vrrp, "Counters", "a{st}");
	guint64 sent = 0, counted = 0, dropped = 0, late = 0, value;
	GVariantIter iter;
	const char *name;

	if (!counters)
		return;
	g_variant_iter_init(&iter, counters);
	while (g_variant_iter_next(&iter, "{&st}", &name, &value)) {
		if (g_str_equal(name, "sent"))
			sent = value;
		else if (g_str_equal(name, "counted"))
			counted = value;
		else if (g_str_equal(name, "late-wake-ups"))
			late = value;
		else if (g_str_has_prefix(name, "drop-"))
			dropped += value;
	}
	render_table_add(table, RENDER_DIM, "adverts");
	render_table_addf(table, RENDER_PLAIN, "%" G_GUINT64_FORMAT " sent, %" G_GUINT64_FORMAT " counted, %" G_GUINT64_FORMAT " dropped; woken late %"
			  G_GUINT64_FORMAT " times", sent, counted, dropped, late);
}

char *election_view_text(const ElectionView *view, const RenderStyle *style)
{
	g_autoptr(RenderTable) table = render_table_new(2);
	const char *state = dict_string(view->election, "State", "");
	g_autofree char *since = age_of(view, dict_int(view->election, "SinceUs", view->now_boot_us));
	g_autofree char *why = NULL;

	if (!*state)
		return g_strdup("");
	why = g_strdup_printf("%s for %s (%s)", state, since, dict_string(view->election, "Reason", "?"));
	render_table_add(table, RENDER_DIM, "state");
	render_table_add(table, render_role_colour(state), why);
	add_master(view, table, state);
	render_table_add(table, RENDER_DIM, "priority");
	render_table_addf(table, RENDER_PLAIN, "%" G_GINT64_FORMAT ": %s", dict_int(view->election, "Priority", 0),
			  dict_string(view->election, "PriorityReason", dict_string(view->election, "Standing", "?")));
	if (view->vrrp && g_str_equal(state, "backup"))
		add_down_time(view, table);
	add_paths(view, table);
	add_witness(view, table);
	add_adverts(view, table);
	add_stranger(view, table);
	return render_table_text(table, style, 2);
}

char *election_view_holds(const ElectionView *view, const RenderStyle *style)
{
	g_autoptr(GVariant) holds = dict_value(view->election, "Holds", "a(ssx)");
	g_autoptr(RenderTable) table = render_table_new(3);
	const char *name, *reason;
	GVariantIter iter;
	gint64 since_us;

	if (!holds || g_variant_n_children(holds) == 0)
		return g_strdup("");
	g_variant_iter_init(&iter, holds);
	while (g_variant_iter_next(&iter, "(&s&sx)", &name, &reason, &since_us)) {
		g_autofree char *age = age_of(view, since_us);

		render_table_add(table, RENDER_WARNING, name);
		render_table_addf(table, RENDER_PLAIN, "for %s", age);
		render_table_add(table, RENDER_PLAIN, reason);
	}
	return render_table_text(table, style, 2);
}

char *election_view_counters(const ElectionView *view, const RenderStyle *style)
{
	g_autoptr(GVariant) counters = dict_value(view->vrrp, "Counters", "a{st}");
	g_autoptr(RenderTable) table = render_table_new(2);
	const char *name;
	GVariantIter iter;
	guint64 value;

	if (!counters)
		return g_strdup("");
	g_variant_iter_init(&iter, counters);
	while (g_variant_iter_next(&iter, "{&st}", &name, &value)) {
		if (value == 0)
			continue;
		render_table_add(table, RENDER_DIM, name);
		render_table_addf(table, RENDER_PLAIN, "%" G_GUINT64_FORMAT, value);
	}
	return render_table_text(table, style, 2);
}

/* ---- For programs ---- */

static void add_age(GVariantBuilder *builder, const ElectionView *view, const char *key, gint64 since_us)
{
	g_variant_builder_add(builder, "{sv}", key, g_variant_new_int64(since_us ? (view->now_boot_us - since_us) / 1000 : -1));
}

static GVariant *paths_value(const ElectionView *view)
{
	g_autoptr(GVariant) paths = dict_value(view->election, "Paths", "aa{sv}");
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (gsize i = 0; paths && i < g_variant_n_children(paths); i++) {
		g_autoptr(GVariant) path = g_variant_get_child_value(paths, i);
		GVariantIter iter;
		const char *key;
		GVariant *value;

		g_variant_builder_open(&builder, G_VARIANT_TYPE_VARDICT);
		g_variant_iter_init(&iter, path);
		while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
			if (!g_str_equal(key, "heard_us"))
				g_variant_builder_add(&builder, "{sv}", key, value);
			g_variant_unref(value);
		}
		add_age(&builder, view, "heard_age_ms", dict_int(path, "heard_us", 0));
		g_variant_builder_close(&builder);
	}
	return g_variant_builder_end(&builder);
}

static GVariant *stranger_value(const ElectionView *view)
{
	g_autoptr(GVariant) stranger = dict_value(view->election, "LastStranger", "(sstx)");
	const char *address = "", *cause = "";
	GVariantBuilder builder;
	guint64 count = 0;
	gint64 at_us = 0;

	if (stranger)
		g_variant_get(stranger, "(&s&stx)", &address, &cause, &count, &at_us);
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "address", g_variant_new_string(address));
	g_variant_builder_add(&builder, "{sv}", "cause", g_variant_new_string(cause));
	g_variant_builder_add(&builder, "{sv}", "count", g_variant_new_uint64(count));
	add_age(&builder, view, "age_ms", at_us);
	return g_variant_builder_end(&builder);
}

static void add_snake_case(GVariantBuilder *builder, GVariant *dict, const char *const *skip)
{
	GVariantIter iter;
	const char *key;
	GVariant *value;

	if (!dict)
		return;
	g_variant_iter_init(&iter, dict);
	while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
		g_autofree char *snake = render_snake_case(key);

		if (!g_strv_contains(skip, key))
			g_variant_builder_add(builder, "{sv}", snake, value);
		g_variant_unref(value);
	}
}

GVariant *election_view_value(const ElectionView *view)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (view->election) {
		add_snake_case(&builder, view->election, (const char *const[]){ "Holds", "Paths", "LastStranger", "SinceUs", NULL });
		add_snake_case(&builder, view->vrrp, (const char *const[]){ NULL });
		add_age(&builder, view, "age_ms", dict_int(view->election, "SinceUs", 0));
		g_variant_builder_add(&builder, "{sv}", "paths", paths_value(view));
		g_variant_builder_add(&builder, "{sv}", "last_stranger", stranger_value(view));
	}
	return g_variant_builder_end(&builder);
}

GVariant *election_view_holds_value(const ElectionView *view)
{
	g_autoptr(GVariant) holds = dict_value(view->election, "Holds", "a(ssx)");
	GVariantBuilder builder;
	GVariantIter iter;
	const char *name, *reason;
	gint64 since_us;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	if (holds) {
		g_variant_iter_init(&iter, holds);
		while (g_variant_iter_next(&iter, "(&s&sx)", &name, &reason, &since_us)) {
			g_variant_builder_open(&builder, G_VARIANT_TYPE_VARDICT);
			g_variant_builder_add(&builder, "{sv}", "name", g_variant_new_string(name));
			g_variant_builder_add(&builder, "{sv}", "reason", g_variant_new_string(reason));
			add_age(&builder, view, "age_ms", since_us);
			g_variant_builder_close(&builder);
		}
	}
	return g_variant_builder_end(&builder);
}
