/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/held.c - commits that are held back, here and by the peer, and the commands that say so, on the bus. */
#include "syncd/files/path.h"
#include "syncd/service-private.h"

enum { HELD_TEXT_MAX = 2000 };

static void changed(SyncService *service, const char *property)
{
	bus_object_changed(service->object, SYNC_INTERFACE, property);
}

static void take(GVariant **place, GVariant *value)
{
	g_variant_ref(value);
	g_variant_unref(*place);
	*place = value;
}

/* What the peer holds back of @commits; NULL: nothing. */
const char *sync_held_of(SyncService *service, GVariant *commits)
{
	GVariantIter iter;
	const char *ref, *commit, *held, *why;

	g_variant_iter_init(&iter, commits);
	while (g_variant_iter_next(&iter, "{&s&s}", &ref, &commit))
		if (g_variant_lookup(service->peer_held, ref, "(&s&s)", &held, &why) && g_str_equal(held, commit))
			return why;
	return NULL;
}

/* What it says is for people: a commit's digits, and text. */
void sync_held_peer_said(SyncService *service, GVariant *value)
{
	g_autoptr(GVariant) said = g_variant_lookup_value(value, "held", G_VARIANT_TYPE("a{s(ss)}"));
	g_autoptr(GVariant) held = said ? g_steal_pointer(&said) : g_variant_ref_sink(g_variant_new("a{s(ss)}", NULL));
	GVariantIter iter;
	const char *ref, *commit, *why, *before;

	if (g_variant_equal(held, service->peer_held))
		return;
	g_variant_iter_init(&iter, held);
	while (service->role == SYNC_ROLE_LEAD && g_variant_iter_next(&iter, "{&s(&s&s)}", &ref, &commit, &why)) {
		g_autofree char *text = g_strndup(why, HELD_TEXT_MAX), *shown = sync_printable(text), *digits = g_strndup(commit, 10);
		g_autofree char *id = sync_printable(digits);

		if (!g_variant_lookup(service->peer_held, ref, "(&s&s)", &before, NULL) || !g_str_equal(before, commit))
			sync_service_notice(service, "commit held back", 3,
					    "The Backup has not applied commit %s and goes on with the one before: %s", id, shown);
	}
	take(&service->peer_held, held);
	changed(service, "PeerHeld");
}

void sync_held_here(const char *ref, const char *commit, const char *why, gpointer user_data)
{
	SyncService *service = user_data;
	GVariantBuilder builder;

	/* One ref can be held back. */
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{s(ss)}"));
	if (*commit)
		g_variant_builder_add(&builder, "{s(ss)}", ref, commit, why);
	g_autoptr(GVariant) held = g_variant_ref_sink(g_variant_builder_end(&builder));
	if (g_variant_equal(held, service->held))
		return;
	take(&service->held, held);
	changed(service, "Held");
	if (*commit)
		sync_service_notice(service, "commit held back", 3, "The Master's commit %.10s is not applied here, the one before stays: %s", commit, why);
	sync_service_tell_peer(service);
}

void sync_held_hooks(gpointer user_data)
{
	changed(user_data, "Hooks");
}

void sync_held_hook_done(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *text;
	guint64 serial;
	gboolean ok;

	g_variant_get(args, "(tb&s)", &serial, &ok, &text);
	if (sync_engine_hook_ended(service->engine, serial, ok, text))
		bus_call_reply(call, NULL);
	else
		bus_call_fail_literal(call, BUS_ERROR_NOT_FOUND, "no such hook is wanted");
}

GVariant *sync_held_get(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->held);
}

GVariant *sync_held_get_peer(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->peer_held);
}

GVariant *sync_held_get_hooks(gpointer user_data)
{
	return g_variant_ref_sink(sync_engine_hooks(((SyncService *)user_data)->engine));
}
