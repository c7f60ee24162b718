/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/verifying.c - Verify of Sync1: this device and its peer, each its own files; the peer is asked by the topic `verify`. */
#include "service-private.h"
#include "verify.h"

enum { TELL_MS = 500 };

struct SyncVerifying {
	SyncService *service;
	SyncVerify *own, *for_peer; /* NULL: not now */
	GVariant *report, *peer_report;
	BusCall *call;              /* who waits for both */
	guint64 ask;                /* what we asked the peer; 0: nothing */
	guint64 asked;              /* what it asked us last */
	guint64 answered;           /* and what we have answered */
	GVariant *answer;
	double peer_progress;
	guint timer;
};

static void tell(SyncVerifying *verifying)
{
	GVariantBuilder builder;

	if (!verifying->service->link)
		return;
	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "ask", g_variant_new_uint64(verifying->ask));
	g_variant_builder_add(&builder, "{sv}", "answer", g_variant_new_uint64(verifying->answered));
	g_variant_builder_add(&builder, "{sv}", "progress",
			      g_variant_new_double(verifying->for_peer ? sync_verify_progress(verifying->for_peer) : 0));
	if (verifying->answer)
		g_variant_builder_add(&builder, "{sv}", "sets", verifying->answer);
	sync_link_publish(verifying->service->link, "verify", g_variant_builder_end(&builder));
}

static void end(SyncVerifying *verifying)
{
	g_clear_pointer(&verifying->own, sync_verify_free);
	g_clear_pointer(&verifying->report, g_variant_unref);
	g_clear_pointer(&verifying->peer_report, g_variant_unref);
	verifying->ask = 0;
	tell(verifying);
	bus_object_changed(verifying->service->object, SYNC_INTERFACE, "VerifyProgress");
}

static void fail(SyncVerifying *verifying, const char *why)
{
	BusCall *call = g_steal_pointer(&verifying->call);

	if (!call)
		return;
	end(verifying);
	bus_call_fail_literal(call, BUS_ERROR_NOT_REACHABLE, "%s", why);
}

static void look(SyncVerifying *verifying)
{
	if (!verifying->call || !verifying->report || !verifying->peer_report)
		return;
	BusCall *call = g_steal_pointer(&verifying->call);
	g_autoptr(GVariant) sets = g_variant_ref_sink(sync_verify_merge(verifying->report, verifying->peer_report));

	end(verifying);
	bus_call_reply(call, g_variant_new("(@aa{sv})", sets));
}

static gboolean on_timer(gpointer user_data)
{
	SyncVerifying *verifying = user_data;

	if (verifying->for_peer)
		tell(verifying);
	if (verifying->call)
		bus_object_changed(verifying->service->object, SYNC_INTERFACE, "VerifyProgress");
	if (verifying->for_peer || verifying->call)
		return G_SOURCE_CONTINUE;
	verifying->timer = 0;
	return G_SOURCE_REMOVE;
}

static void on_own(GVariant *sets, gpointer user_data)
{
	SyncVerifying *verifying = user_data;

	verifying->report = g_variant_ref(sets);
	if (sync_verify_is_store_damaged(sets))
		sync_engine_doubt(verifying->service->engine);
	look(verifying);
}

static void on_for_peer(GVariant *sets, gpointer user_data)
{
	SyncVerifying *verifying = user_data;

	g_clear_pointer(&verifying->answer, g_variant_unref);
	verifying->answer = g_variant_ref(sets);
	if (sync_verify_is_store_damaged(sets))
		sync_engine_doubt(verifying->service->engine);
	verifying->answered = verifying->asked;
	g_clear_pointer(&verifying->for_peer, sync_verify_free);
	tell(verifying);
}

static SyncVerify *begin(SyncVerifying *verifying, const char *scratch_name, SyncVerifyDone done)
{
	SyncService *service = verifying->service;
	g_autoptr(GPtrArray) sets = sync_sets_new(service->settings);
	g_autofree char *scratch = g_build_filename(service->folder, "scratch", scratch_name, NULL);

	if (!verifying->timer)
		verifying->timer = g_timeout_add(TELL_MS, on_timer, verifying);
	return sync_verify_new(service->repository, sets, scratch, done, verifying);
}

void sync_verifying_peer_said(SyncService *service, GVariant *value)
{
	SyncVerifying *verifying = service->verifying;
	guint64 ask = 0, answer = 0;

	(void)g_variant_lookup(value, "ask", "t", &ask);
	(void)g_variant_lookup(value, "answer", "t", &answer);
	(void)g_variant_lookup(value, "progress", "d", &verifying->peer_progress);
	if (ask != verifying->asked) {
		g_clear_pointer(&verifying->for_peer, sync_verify_free); /* nobody waits for it any more */
		verifying->asked = ask;
		if (ask)
			verifying->for_peer = begin(verifying, "verify-peer", on_for_peer);
	}
	if (verifying->call && answer == verifying->ask && !verifying->peer_report) {
		g_autoptr(GVariant) sets = g_variant_lookup_value(value, "sets", G_VARIANT_TYPE("aa{sv}"));

		verifying->peer_report = g_steal_pointer(&sets);
		look(verifying);
	}
}

void sync_verifying_peer_gone(SyncService *service)
{
	fail(service->verifying, "the peer went away");
}

void sync_verifying_verify(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	SyncVerifying *verifying = service->verifying;

	if (verifying->call) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "busy: a verification is under way");
		return;
	}
	if (!sync_link_is_connected(service->link)) {
		bus_call_fail_literal(call, BUS_ERROR_NOT_REACHABLE, "the peer is not connected");
		return;
	}
	verifying->call = call;
	verifying->peer_progress = 0;
	verifying->ask = (guint64)g_random_int() << 32 | g_random_int_range(1, G_MAXINT32);
	verifying->own = begin(verifying, "verify", on_own);
	tell(verifying);
	bus_object_changed(service->object, SYNC_INTERFACE, "VerifyProgress");
}

GVariant *sync_verifying_progress(gpointer user_data)
{
	SyncVerifying *verifying = ((SyncService *)user_data)->verifying;
	double own = verifying->report ? 1 : verifying->own ? sync_verify_progress(verifying->own) : 0;

	return g_variant_ref_sink(g_variant_new_double(verifying->call ? MIN(own, verifying->peer_report ? 1 : verifying->peer_progress) : -1));
}

SyncVerifying *sync_verifying_new(SyncService *service)
{
	SyncVerifying *verifying = g_new0(SyncVerifying, 1);

	verifying->service = service;
	return verifying;
}

void sync_verifying_free(SyncVerifying *verifying)
{
	if (!verifying)
		return;
	if (verifying->call)
		bus_call_fail_literal(verifying->call, BUS_ERROR_GONE, "the service ends");
	g_clear_handle_id(&verifying->timer, g_source_remove);
	sync_verify_free(verifying->own);
	sync_verify_free(verifying->for_peer);
	g_clear_pointer(&verifying->report, g_variant_unref);
	g_clear_pointer(&verifying->peer_report, g_variant_unref);
	g_clear_pointer(&verifying->answer, g_variant_unref);
	g_free(verifying);
}
