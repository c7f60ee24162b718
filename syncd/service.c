/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/service.c - Sync1: handlers, and the engine's news made public. */
#include "service.h"

#include <string.h>

#include "error.h"
#include "export.h"
#include "syncd/repository/repo.h"
#include "syncd/unite/unite.h"
#include "syncd/files/set.h"
#include "service-private.h"
#include "syncd/peer/source.h"

enum { HURRY_MS = 15000, RETRY_FIRST_MS = 250, RETRY_LAST_MS = 30000, WAIT_MAX_MS = 3600 * 1000 };

static const BusErrorMapping ERRORS[] = {
	{ SYNC_ERROR_FAILED, BUS_ERROR_FAILED },     { SYNC_ERROR_BAD, BUS_ERROR_INVALID_ARGS },
	{ SYNC_ERROR_REFUSED, BUS_ERROR_REFUSED },   { SYNC_ERROR_DENIED, BUS_ERROR_REFUSED },
	{ SYNC_ERROR_NOT_FOUND, BUS_ERROR_NOT_FOUND }, { SYNC_ERROR_NOT_REACHABLE, BUS_ERROR_NOT_REACHABLE },
	{ SYNC_ERROR_TIMED_OUT, BUS_ERROR_TIMED_OUT },
};

/* Somebody waits until the peer has applied these. */
typedef struct {
	SyncService *service;
	BusCall *call;
	GVariant *commits;
	guint timer;
} Waiter;

static void changed(SyncService *service, const char *property)
{
	bus_object_changed(service->object, SYNC_INTERFACE, property);
}

void sync_service_notice(SyncService *service, const char *name, guint8 priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	g_message("%s: %s", name, text);
	bus_object_emit(service->object, SYNC_INTERFACE, "Notice", g_variant_new("(sys)", name, priority, text));
}

/* ---- who has what ---- */

static GVariant *no_commits(void)
{
	return g_variant_ref_sink(g_variant_new("a{ss}", NULL));
}

static void take(GVariant **place, GVariant *value)
{
	g_variant_ref(value);
	g_variant_unref(*place);
	*place = value;
}

static gint64 now_ms(void)
{
	return g_get_real_time() / 1000;
}

static void synchronised(SyncService *service)
{
	service->last_sync_ms = now_ms();
	changed(service, "LastSyncMs");
}

/* ---- waiters ---- */

static void waiter_free(gpointer data)
{
	Waiter *waiter = data;

	g_clear_handle_id(&waiter->timer, g_source_remove);
	if (waiter->call)
		bus_call_fail_literal(waiter->call, BUS_ERROR_GONE, "the service ends");
	g_variant_unref(waiter->commits);
	g_free(waiter);
}

static void waiter_end(Waiter *waiter, BusError code, const char *text)
{
	BusCall *call = g_steal_pointer(&waiter->call);

	g_ptr_array_remove(waiter->service->waiters, waiter);
	if (text)
		bus_call_fail_literal(call, code, "%s", text);
	else
		bus_call_reply(call, NULL);
}

static gboolean waiter_late(gpointer user_data)
{
	Waiter *waiter = user_data;

	waiter->timer = 0;
	waiter_end(waiter, BUS_ERROR_TIMED_OUT, "the peer has not applied it in time");
	return G_SOURCE_REMOVE;
}

static void look_at_waiters(SyncService *service)
{
	for (guint i = service->waiters->len; i-- > 0;) {
		Waiter *waiter = service->waiters->pdata[i];

		const char *why = sync_held_of(service, waiter->commits);

		/* What is on its files and cannot be migrated there is held back all the same. */
		if (why) {
			g_autofree char *text = g_strconcat("held: the peer holds it back: ", why, NULL);

			waiter_end(waiter, BUS_ERROR_REFUSED, text);
		} else if (sync_recovery_is_applied(service, waiter->commits)) {
			waiter_end(waiter, BUS_ERROR_FAILED, NULL);
		}
	}
}

static void wait_applied(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GVariant) commits = NULL;
	guint timeout_ms;

	g_variant_get(args, "(@a{ss}u)", &commits, &timeout_ms);
	const char *why = sync_held_of(service, commits);
	if (why) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "held: the peer holds it back: %s", why);
		return;
	}
	if (sync_recovery_is_applied(service, commits)) {
		bus_call_reply(call, NULL);
		return;
	}
	if (!sync_link_is_connected(service->link)) {
		bus_call_fail_literal(call, BUS_ERROR_NOT_REACHABLE, "the peer is not connected");
		return;
	}
	Waiter *waiter = g_new0(Waiter, 1);
	waiter->service = service;
	waiter->call = call;
	waiter->commits = g_steal_pointer(&commits);
	waiter->timer = g_timeout_add(MIN(timeout_ms, WAIT_MAX_MS), waiter_late, waiter);
	g_ptr_array_add(service->waiters, waiter);
}

/* ---- the peer ---- */

void sync_service_tell_peer(SyncService *service)
{
	GVariantBuilder builder, changes;

	if (!service->link)
		return;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "stored", service->stored);
	g_variant_builder_add(&builder, "{sv}", "applied", service->applied);
	g_variant_builder_add(&builder, "{sv}", "role", g_variant_new_string(sync_role_text(service->role)));
	g_variant_builder_add(&builder, "{sv}", "term", g_variant_new_uint64(service->term));
	g_variant_builder_add(&builder, "{sv}", "term_id", g_variant_new_string(service->term_id));
	g_variant_builder_add(&builder, "{sv}", "numbers", sync_recovery_numbers(service));
	g_variant_builder_add(&builder, "{sv}", "held", service->held);
	g_variant_builder_add(&builder, "{sv}", "hurry", g_variant_new_boolean(service->hurries));
	g_variant_builder_init(&changes, G_VARIANT_TYPE_VARDICT);
	for (guint ref = 0; ref < SYNC_N_REFS; ref++) {
		if (service->changes[ref])
			g_variant_builder_add(&changes, "{sv}", sync_ref_names[ref], service->changes[ref]);
		g_clear_pointer(&service->changes[ref], g_variant_unref);
	}
	g_variant_builder_add(&builder, "{sv}", "changes", g_variant_builder_end(&changes));
	sync_together_tell(service, &builder);
	sync_link_publish(service->link, "sync", g_variant_builder_end(&builder));
}

static void pull(SyncService *service, GVariant *changes, SyncEngineDone done, gpointer user_data);

static gboolean pull_again(gpointer user_data)
{
	SyncService *service = user_data;

	service->retry = 0;
	pull(service, NULL, NULL, NULL);
	return G_SOURCE_REMOVE;
}

typedef struct {
	SyncService *service;
	SyncEngineDone done;
	gpointer user_data;
} Pulling;

static void pulled(const GError *error, gpointer user_data)
{
	Pulling *pulling = user_data;
	SyncService *service = pulling->service;

	if (!error) {
		service->retry_ms = 0;
		synchronised(service);
		sync_peer_first_sync_done(service);
	} else if (service->role == SYNC_ROLE_FOLLOW && !service->retry && !g_error_matches(error, SYNC_ERROR, SYNC_ERROR_REFUSED)) {
		service->retry_ms = service->retry_ms ? MIN(service->retry_ms * 2, RETRY_LAST_MS) : RETRY_FIRST_MS;
		service->retry = g_timeout_add(service->retry_ms, pull_again, service);
	}
	if (pulling->done)
		pulling->done(error, pulling->user_data);
	g_free(pulling);
}

/* @changes: a{sv} or NULL. */
static void pull(SyncService *service, GVariant *changes, SyncEngineDone done, gpointer user_data)
{
	const SyncTerm own = { .number = service->term, .id = service->term_id };
	g_autoptr(GError) error = NULL;

	if (service->role != SYNC_ROLE_FOLLOW)
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_REFUSED, "not-follower: this device does not follow");
	else if (service->record && service->record->revoked)
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_REFUSED, "revoked: the peer has ended the pairing");
	else if (!service->record || !sync_link_is_connected(service->link))
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "the peer is not connected");
	else if (!service->peer_leads)
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_REFUSED, "no-leader: the peer does not lead");
	else if (!sync_term_may_follow(&own, &service->peer_term))
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_REFUSED, "older-leader: the peer leads in an older term than this device knows");
	if (error) {
		if (done)
			done(error, user_data);
		return;
	}
	g_auto(GStrv) hosts = sync_link_hosts(service->link);
	g_autofree char *pin = sync_record_pin(service->record);
	SyncPull wish = {
		.hosts = (const char *const *)hosts,
		.port = service->settings->peer_port,
		.key = service->key,
		.pin = pin,
		.peer_id = service->record->id,
		.stored = service->peer_stored,
		.changes = changes,
		.hurry = service->peer_hurries,
	};
	Pulling *pulling = g_new0(Pulling, 1);
	pulling->service = service;
	pulling->done = done;
	pulling->user_data = user_data;
	g_clear_handle_id(&service->retry, g_source_remove);
	sync_engine_pull(service->engine, &wish, pulled, pulling);
}

void sync_service_pull(SyncService *service)
{
	pull(service, NULL, NULL, NULL);
}

static gboolean interval_over(gpointer user_data)
{
	pull(user_data, NULL, NULL, NULL);
	return G_SOURCE_CONTINUE;
}

void sync_service_peer_said(SyncService *service, GVariant *value)
{
	g_autoptr(GVariant) stored = g_variant_lookup_value(value, "stored", G_VARIANT_TYPE("a{ss}"));
	g_autoptr(GVariant) applied = g_variant_lookup_value(value, "applied", G_VARIANT_TYPE("a{ss}"));
	const char *role = "";

	(void)g_variant_lookup(value, "role", "&s", &role);
	sync_term_clear(&service->peer_term);
	(void)g_variant_lookup(value, "term", "t", &service->peer_term.number);
	(void)g_variant_lookup(value, "term_id", "s", &service->peer_term.id);
	gboolean hurry = FALSE;
	(void)g_variant_lookup(value, "hurry", "b", &hurry);
	service->peer_leads = g_str_equal(role, "lead");
	service->peer_hurries = hurry;
	if (stored)
		take(&service->peer_stored, stored);
	if (applied)
		take(&service->peer_applied, applied);
	changed(service, "PeerStored");
	changed(service, "PeerApplied");
	sync_recovery_peer_said(service, value);
	sync_held_peer_said(service, value);
	sync_together_peer_said(service, value);
	look_at_waiters(service);
	sync_engine_peer_has(service->engine, service->peer_applied);
	if (service->role == SYNC_ROLE_LEAD && sync_recovery_is_applied(service, service->stored))
		synchronised(service);
	sync_mending_look(service);
	g_autoptr(GVariant) changes = g_variant_lookup_value(value, "changes", G_VARIANT_TYPE_VARDICT);
	if (service->role == SYNC_ROLE_FOLLOW)
		pull(service, changes, NULL, NULL);
}

void sync_service_peer_connected(SyncService *service, bool connected)
{
	service->retry_ms = 0;
	if (!connected) {
		sync_verifying_peer_gone(service);
		sync_engine_peer_has(service->engine, NULL);
		while (service->waiters->len > 0)
			waiter_end(service->waiters->pdata[0], BUS_ERROR_NOT_REACHABLE, "the peer went away");
	} else if (service->role == SYNC_ROLE_FOLLOW) {
		pull(service, NULL, NULL, NULL);
	}
	/* What it said may have come before the first answer to a ping. */
	sync_together_look(service);
	if (connected)
		sync_mending_look(service);
}

/* ---- the engine's news ---- */

static void on_lines(GVariant *stored, GVariant *applied, GVariant *term, gpointer user_data)
{
	SyncService *service = user_data;

	if (g_variant_equal(stored, service->stored) && g_variant_equal(applied, service->applied))
		return;
	take(&service->stored, stored);
	take(&service->applied, applied);
	take(&service->applied_term, term);
	sync_recovery_own(service);
	changed(service, "Stored");
	changed(service, "Applied");
	changed(service, "AppliedTerm");
	sync_service_tell_peer(service);
}

static void on_change(const char *ref, GVariant *change, gpointer user_data)
{
	SyncService *service = user_data;

	for (guint i = 0; i < SYNC_N_REFS; i++) {
		if (!g_str_equal(ref, sync_ref_names[i]))
			continue;
		g_clear_pointer(&service->changes[i], g_variant_unref);
		service->changes[i] = g_variant_ref(change);
	}
}

static void on_diverged(const char *const *names, gpointer user_data)
{
	SyncService *service = user_data;

	g_strfreev(service->diverged);
	service->diverged = g_strdupv((char **)names);
	changed(service, "Diverged");
}

static void on_activity(const char *activity, gpointer user_data)
{
	SyncService *service = user_data;

	g_free(service->activity);
	service->activity = g_strdup(activity);
	changed(service, "Activity");
}

static void on_committed(const char *ref, const char *commit, const char *message, guint n_changes, gpointer user_data)
{
	SyncService *service = user_data;

	bus_object_emit(service->object, SYNC_INTERFACE, "Committed", g_variant_new("(sssu)", ref, commit, message, n_changes));
}

static void on_applied(const char *ref, const char *commit, guint n_changes, gpointer user_data)
{
	SyncService *service = user_data;

	bus_object_emit(service->object, SYNC_INTERFACE, "AppliedHere", g_variant_new("(ssu)", ref, commit, n_changes));
}

static void on_notice(const char *name, guint8 priority, const char *description, gpointer user_data)
{
	sync_service_notice(user_data, name, priority, "%s", description);
}

static void on_problem(const char *text, gpointer user_data)
{
	SyncService *service = user_data;

	if (g_str_equal(text, service->problem))
		return;
	if (*text)
		g_message("%s", text);
	g_free(service->problem);
	service->problem = g_strdup(text);
	changed(service, "LastError");
}

static const SyncEngineEvents engine_events = {
	.lines = on_lines,
	.change = on_change,
	.diverged = on_diverged,
	.activity = on_activity,
	.committed = on_committed,
	.applied = on_applied,
	.notice = on_notice,
	.held = sync_held_here,
	.hooks = sync_held_hooks,
	.damaged = sync_mending_look,
	.apart = sync_together_apart,
	.united = sync_together_united,
	.problem = on_problem,
};

/* ---- methods ---- */

static void answer(const GError *error, gpointer user_data)
{
	if (error)
		bus_call_fail(user_data, error);
	else
		bus_call_reply(user_data, NULL);
}

typedef struct {
	SyncService *service;
	BusCall *call;
	SyncRole role;
	bool followed;
} RoleChange;

static void role_changed(const GError *error, gpointer user_data)
{
	RoleChange *change = user_data;

	/* Of two orders that follow each other closely the later one counts. */
	if (!error && change->service->role == change->role)
		sync_recovery_role(change->service, change->followed);
	answer(error, change->call);
	g_free(change);
}

/* ---- haste ---- */

static void set_hurry(SyncService *service, bool hurries);

static gboolean hurry_over(gpointer user_data)
{
	SyncService *service = user_data;

	service->hurry_timer = 0;
	set_hurry(service, false);
	return G_SOURCE_REMOVE;
}

/* The follower hears of it at once, and leaves what it waits for. */
static void set_hurry(SyncService *service, bool hurries)
{
	g_clear_handle_id(&service->hurry_timer, g_source_remove);
	if (hurries)
		service->hurry_timer = g_timeout_add(HURRY_MS, hurry_over, service);
	if (hurries == service->hurries)
		return;
	service->hurries = hurries;
	sync_service_tell_peer(service);
}

static void set_role(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *text, *term_id;
	guint64 term;
	SyncRole role;

	g_variant_get(args, "(&st&s)", &text, &term, &term_id);
	for (role = SYNC_ROLE_IDLE; role <= SYNC_ROLE_FOLLOW; role++)
		if (g_str_equal(text, sync_role_text(role)))
			break;
	if (role > SYNC_ROLE_FOLLOW) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "role is lead, follow or idle");
		return;
	}
	if (role != service->role)
		g_message("role: %s -> %s (term %" G_GUINT64_FORMAT ")", sync_role_text(service->role), text, term);
	bool followed = service->role == SYNC_ROLE_FOLLOW;
	service->role = role;
	service->term = term;
	g_free(service->term_id);
	service->term_id = g_strdup(term_id);
	g_clear_handle_id(&service->retry, g_source_remove);
	set_hurry(service, false);
	RoleChange *change = g_new(RoleChange, 1);
	*change = (RoleChange){ service, call, role, followed };
	changed(service, "Role");
	sync_engine_set_role(service->engine, role, term, term_id, role_changed, change); /* which may answer at once */
	sync_together_look(service);
	sync_service_tell_peer(service);
	if (role == SYNC_ROLE_FOLLOW)
		pull(service, NULL, NULL, NULL);
}

static void answer_commit(GVariant *commits, const GError *error, gpointer user_data)
{
	if (error)
		bus_call_fail(user_data, error);
	else
		bus_call_reply(user_data, g_variant_new("(@a{ss})", commits));
}

static void commit(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *author, *message;

	g_variant_get(args, "(&s&s)", &author, &message);
	sync_engine_commit(service->engine, *author ? author : bus_call_caller(call), message, answer_commit, call);
}

static void commit_last(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *author, *message;

	g_variant_get(args, "(&s&s)", &author, &message);
	if (service->role == SYNC_ROLE_LEAD)
		set_hurry(service, true);
	sync_engine_commit_last(service->engine, *author ? author : bus_call_caller(call), message, answer_commit, call);
}

static void sync_now(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;

	sync_engine_try_again(service->engine);
	pull(service, NULL, answer, call);
}

static void start_interval(SyncService *service)
{
	g_clear_handle_id(&service->interval, g_source_remove);
	service->interval = g_timeout_add_seconds(MAX(service->settings->sync_interval_s, 1), interval_over, service);
}

static void reload(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;
	Settings *settings = settings_load(service->settings_dir, &error);

	if (!settings) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s", error->message);
		return;
	}
	settings_unref(service->settings);
	service->settings = settings;
	sync_source_set(settings);
	sync_recovery_look(service);
	sync_engine_reload(service->engine, settings);
	sync_together_look(service);
	sync_engine_unite_again(service->engine);
	start_interval(service);
	sync_upkeep_reload(service);
	bus_call_reply(call, NULL);
}

/* ---- properties ---- */

static GVariant *get_role(gpointer user_data)
{
	return g_variant_new_string(sync_role_text(((SyncService *)user_data)->role));
}

static GVariant *get_stored(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->stored);
}

static GVariant *get_applied(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->applied);
}

static GVariant *get_applied_term(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->applied_term);
}

static GVariant *get_peer_stored(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->peer_stored);
}

static GVariant *get_peer_applied(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->peer_applied);
}

static GVariant *get_first_sync_done(gpointer user_data)
{
	SyncService *service = user_data;

	return g_variant_new_boolean(!service->record || (service->record->first_sync_done && !service->first_sync_saving));
}

static GVariant *get_last_sync_ms(gpointer user_data)
{
	return g_variant_new_int64(((SyncService *)user_data)->last_sync_ms);
}

static GVariant *get_activity(gpointer user_data)
{
	return g_variant_new_string(((SyncService *)user_data)->activity);
}

static GVariant *get_last_error(gpointer user_data)
{
	return g_variant_new_string(((SyncService *)user_data)->problem);
}

static GVariant *get_diverged(gpointer user_data)
{
	return g_variant_new_strv((const char *const *)((SyncService *)user_data)->diverged, -1);
}

static GVariant *get_recovery_point(gpointer user_data)
{
	return sync_recovery_point(user_data);
}

static GVariant *get_peer_heard_ms(gpointer user_data)
{
	return sync_recovery_heard_ms(user_data);
}

static GVariant *get_lost(gpointer user_data)
{
	return g_variant_ref(((SyncService *)user_data)->lost);
}

const BusMember sync_members[] = {
	{ "SetRole", .method = set_role },
	{ "Commit", .method = commit },
	{ "CommitLast", .method = commit_last },
	{ "Restore", .method = sync_past_restore },
	{ "RestoreFrom", .method = sync_past_restore_from },
	{ "Difference", .method = sync_past_difference },
	{ "Export", .method = sync_transfer_export },
	{ "Import", .method = sync_transfer_import },
	{ "WaitApplied", .method = wait_applied },
	{ "SyncNow", .method = sync_now },
	{ "Tidy", .method = sync_mending_tidy },
	{ "Verify", .method = sync_verifying_verify },
	{ "HookDone", .method = sync_held_hook_done },
	{ "History", .method = sync_past_history },
	{ "Reload", .method = reload },
	{ "Role", .get = get_role },
	{ "Stored", .get = get_stored },
	{ "Applied", .get = get_applied },
	{ "AppliedTerm", .get = get_applied_term },
	{ "PeerStored", .get = get_peer_stored },
	{ "PeerApplied", .get = get_peer_applied },
	{ "FirstSyncDone", .get = get_first_sync_done },
	{ "LastSyncMs", .get = get_last_sync_ms },
	{ "Activity", .get = get_activity },
	{ "LastError", .get = get_last_error },
	{ "Diverged", .get = get_diverged },
	{ "VerifyProgress", .get = sync_verifying_progress },
	{ "Held", .get = sync_held_get },
	{ "PeerHeld", .get = sync_held_get_peer },
	{ "Hooks", .get = sync_held_get_hooks },
	{ "RecoveryPoint", .get = get_recovery_point },
	{ "PeerHeardMs", .get = get_peer_heard_ms },
	{ "Lost", .get = get_lost },
	{ 0 },
};

static const BusInterface interfaces[] = {
	{ SYNC_INTERFACE, sync_members },
	{ PEER_INTERFACE, peer_members },
	{ 0 },
};

/* ---- the whole ---- */

SyncService *sync_service_new(BusTree *tree, const char *folder, const char *settings_dir, Settings *settings, GError **error)
{
	g_autoptr(SyncService) service = g_new0(SyncService, 1);

	bus_error_register(SYNC_ERROR, ERRORS, G_N_ELEMENTS(ERRORS));
	service->folder = g_strdup(folder);
	service->settings_dir = g_strdup(settings_dir);
	service->repository = g_build_filename(folder, "repo.git", NULL);
	service->record_path = g_build_filename(folder, "peer.json", NULL);
	service->settings = settings_ref(settings);
	sync_source_set(settings);
	service->term_id = g_strdup("");
	service->stored = no_commits();
	service->applied_term = g_variant_ref_sink(g_variant_new("(ts)", (guint64)0, ""));
	service->applied = no_commits();
	service->peer_stored = no_commits();
	service->peer_applied = no_commits();
	service->held = g_variant_ref_sink(g_variant_new("a{s(ss)}", NULL));
	service->peer_held = g_variant_ref(service->held);
	service->verifying = sync_verifying_new(service);
	service->diverged = g_new0(char *, 1);
	service->apart = g_new0(char *, 1);
	service->peer_apart = g_new0(char *, 1);
	service->activity = g_strdup("idle");
	service->problem = g_strdup("");
	service->lost = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
	service->counts_own = true;
	for (guint ref = 0; ref < SYNC_N_REFS; ref++)
		service->points[ref] = sync_point_new();
	service->waiters = g_ptr_array_new_with_free_func(waiter_free);
	sync_export_clean(folder);
	service->engine = sync_engine_new(folder, settings, &engine_events, service, error);
	if (!service->engine)
		return NULL;
	service->key = sync_key_load(folder, error);
	if (!service->key || !sync_peer_init(service, error))
		return NULL;
	service->object = bus_object_publish(tree, SYNC_PATH, interfaces, service, error);
	if (!service->object)
		return NULL;
	service->jobs = jobs_new(tree, SYNC_PATH, "syncd", NULL, NULL);
	start_interval(service);
	sync_peer_reopen(service);
	return g_steal_pointer(&service);
}

void sync_service_free(SyncService *service)
{
	if (!service)
		return;
	sync_peer_clear(service); /* first: the end of the link is news to those who wait */
	g_clear_handle_id(&service->interval, g_source_remove);
	g_clear_handle_id(&service->retry, g_source_remove);
	g_clear_handle_id(&service->hurry_timer, g_source_remove);
	g_clear_pointer(&service->waiters, g_ptr_array_unref);
	sync_verifying_free(service->verifying);
	sync_engine_free(service->engine);
	jobs_free(service->jobs);
	bus_object_withdraw(service->object);
	sync_key_unref(service->key);
	settings_unref(service->settings);
	g_variant_unref(service->stored);
	g_variant_unref(service->applied_term);
	sync_term_clear(&service->peer_term);
	g_variant_unref(service->applied);
	g_variant_unref(service->peer_stored);
	g_variant_unref(service->peer_applied);
	g_clear_handle_id(&service->behind_timer, g_source_remove);
	g_variant_unref(service->lost);
	for (guint ref = 0; ref < SYNC_N_REFS; ref++) {
		sync_point_free(service->points[ref]);
		g_clear_pointer(&service->changes[ref], g_variant_unref);
	}
	g_variant_unref(service->held);
	g_variant_unref(service->peer_held);
	g_strfreev(service->diverged);
	g_strfreev(service->apart);
	g_strfreev(service->peer_apart);
	g_free(service->activity);
	g_free(service->problem);
	g_free(service->term_id);
	g_free(service->folder);
	g_free(service->settings_dir);
	g_free(service->repository);
	g_free(service->record_path);
	g_free(service);
}
