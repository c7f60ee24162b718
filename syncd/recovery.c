/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/recovery.c - the recovery point, live: what the Backup lacks of the Master's commits, and what a takeover lost. */
#include "syncd/repository/repo.h"
#include "service-private.h"
#include "syncd/files/set.h"

static void changed(SyncService *service, const char *property)
{
	bus_object_changed(service->object, SYNC_INTERFACE, property);
}

static const char *commit_of(GVariant *commits, guint ref)
{
	const char *commit = NULL;

	(void)g_variant_lookup(commits, sync_ref_names[ref], "&s", &commit);
	return commit;
}

/* The one that is behind is the other device when we count our own commits, else this one. */
static SyncBehind behind(SyncService *service, guint ref, bool applied)
{
	GVariant *theirs = applied ? service->peer_applied : service->peer_stored;
	GVariant *ours = applied ? service->applied : service->stored;

	if (service->counts_own && !service->record)
		return (SyncBehind){ .exact = true };
	return sync_point_behind(service->points[ref], commit_of(service->counts_own ? theirs : ours, ref));
}

/* ---- the limit ---- */

static gboolean look(gpointer user_data)
{
	SyncService *service = user_data;

	service->behind_timer = 0;
	sync_recovery_look(service);
	return G_SOURCE_REMOVE;
}

void sync_recovery_look(SyncService *service)
{
	gint64 limit_us = service->settings->recovery_limit_s * (gint64)G_USEC_PER_SEC, oldest_us = 0;
	guint64 n = 0;

	changed(service, "RecoveryPoint");
	g_clear_handle_id(&service->behind_timer, g_source_remove);
	for (guint ref = 0; service->counts_own && ref < SYNC_N_REFS; ref++) {
		SyncBehind at = behind(service, ref, true);

		n += at.changes;
		if (at.since_us && (!oldest_us || at.since_us < oldest_us))
			oldest_us = at.since_us;
	}
	if (oldest_us == 0) {
		if (service->behind_told)
			sync_service_notice(service, "backup caught up", 3, "The Backup has applied everything that the Master has");
		service->behind_told = false;
		return;
	}
	gint64 left_us = oldest_us + limit_us - g_get_monotonic_time();
	if (limit_us == 0 || service->behind_told)
		return;
	if (left_us > 0) {
		service->behind_timer = g_timeout_add(left_us / 1000 + 1, look, service);
		return;
	}
	service->behind_told = true;
	sync_service_notice(service, "backup behind", 2,
			    "The Backup lacks %" G_GUINT64_FORMAT " change%s of the Master, the oldest for %u s: a takeover now would lose them", n,
			    n == 1 ? "" : "s", service->settings->recovery_limit_s);
}

/* ---- what is told of ---- */

void sync_recovery_own(SyncService *service)
{
	for (guint ref = 0; service->counts_own && ref < SYNC_N_REFS; ref++) {
		const char *commit = commit_of(service->applied, ref);

		if (commit)
			sync_point_add(service->points[ref], commit, 0, g_get_monotonic_time());
	}
	sync_recovery_look(service);
}

void sync_recovery_peer_said(SyncService *service, GVariant *value)
{
	g_autoptr(GVariant) numbers = g_variant_lookup_value(value, "numbers", G_VARIANT_TYPE("a{st}"));

	for (guint ref = 0; !service->counts_own && service->peer_leads && ref < SYNC_N_REFS; ref++) {
		const char *commit = commit_of(service->peer_stored, ref);
		guint64 number = 0;

		if (numbers)
			(void)g_variant_lookup(numbers, sync_ref_names[ref], "t", &number);
		if (commit)
			sync_point_add(service->points[ref], commit, number, g_get_monotonic_time());
	}
	sync_recovery_look(service);
}

GVariant *sync_recovery_numbers(SyncService *service)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
	for (guint ref = 0; service->counts_own && ref < SYNC_N_REFS; ref++)
		if (sync_point_number(service->points[ref]))
			g_variant_builder_add(&builder, "{st}", sync_ref_names[ref], sync_point_number(service->points[ref]));
	return g_variant_builder_end(&builder);
}

bool sync_recovery_is_applied(SyncService *service, GVariant *commits)
{
	for (guint ref = 0; ref < SYNC_N_REFS; ref++) {
		const char *wanted = commit_of(commits, ref), *there = commit_of(service->peer_applied, ref);

		if (wanted && (!there || !sync_point_reached(service->points[ref], wanted, there)))
			return false;
	}
	return true;
}

/* ---- roles ---- */

static GVariant *lost_of(SyncService *service, gint64 now_us)
{
	GVariantBuilder all, refs;

	g_variant_builder_init(&refs, G_VARIANT_TYPE("a{sa{sv}}"));
	for (guint ref = 0; ref < SYNC_N_REFS; ref++) {
		SyncBehind at = behind(service, ref, true);
		GVariantDict dict;

		g_variant_dict_init(&dict, NULL);
		g_variant_dict_insert(&dict, "changes", "t", at.changes);
		g_variant_dict_insert(&dict, "exact", "b", at.exact);
		g_variant_dict_insert(&dict, "span_ms", "t", (guint64)(at.since_us ? (now_us - at.since_us) / 1000 : 0));
		g_variant_builder_add(&refs, "{s@a{sv}}", sync_ref_names[ref], g_variant_dict_end(&dict));
	}
	gint64 heard_us = sync_link_heard_us(service->link);
	g_variant_builder_init(&all, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&all, "{sv}", "term", g_variant_new_uint64(service->term));
	g_variant_builder_add(&all, "{sv}", "term_id", g_variant_new_string(service->term_id));
	g_variant_builder_add(&all, "{sv}", "heard", g_variant_new_boolean(heard_us != 0));
	g_variant_builder_add(&all, "{sv}", "silent_ms", g_variant_new_uint64(heard_us ? (now_us - heard_us) / 1000 : 0));
	g_variant_builder_add(&all, "{sv}", "refs", g_variant_builder_end(&refs));
	return g_variant_ref_sink(g_variant_builder_end(&all));
}

void sync_recovery_role(SyncService *service, bool followed)
{
	bool own = service->role != SYNC_ROLE_FOLLOW;

	if (service->role == SYNC_ROLE_LEAD && followed && service->record) {
		g_variant_unref(service->lost);
		service->lost = lost_of(service, g_get_monotonic_time());
		changed(service, "Lost");
	}
	if (own == service->counts_own)
		return;
	service->counts_own = own;
	for (guint ref = 0; ref < SYNC_N_REFS; ref++)
		sync_point_clear(service->points[ref]);
	if (own) {
		sync_recovery_own(service);
		sync_service_tell_peer(service); /* the numbers */
	} else {
		GVariant *said = g_hash_table_lookup(service->published, "sync");

		if (said)
			sync_recovery_peer_said(service, said);
	}
}

/* ---- properties ---- */

/* By the wall clock, for people. */
static gint64 shown_ms(gint64 at_us)
{
	return at_us ? (g_get_real_time() - (g_get_monotonic_time() - at_us)) / 1000 : 0;
}

GVariant *sync_recovery_point(SyncService *service)
{
	GVariantBuilder refs;

	g_variant_builder_init(&refs, G_VARIANT_TYPE("a{sa{sv}}"));
	for (guint ref = 0; ref < SYNC_N_REFS; ref++) {
		SyncBehind stored = behind(service, ref, false), applied = behind(service, ref, true);
		GVariantDict dict;

		g_variant_dict_init(&dict, NULL);
		g_variant_dict_insert(&dict, "stored_changes", "t", stored.changes);
		g_variant_dict_insert(&dict, "stored_since_ms", "x", shown_ms(stored.since_us));
		g_variant_dict_insert(&dict, "applied_changes", "t", applied.changes);
		g_variant_dict_insert(&dict, "applied_since_ms", "x", shown_ms(applied.since_us));
		g_variant_dict_insert(&dict, "exact", "b", stored.exact && applied.exact);
		g_variant_builder_add(&refs, "{s@a{sv}}", sync_ref_names[ref], g_variant_dict_end(&dict));
	}
	return g_variant_builder_end(&refs);
}

GVariant *sync_recovery_heard_ms(SyncService *service)
{
	return g_variant_new_int64(shown_ms(sync_link_heard_us(service->link)));
}
