/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/mending.c - the store, by order and by need: it is tidied, and what it has lost is asked of the peer. */
#include "service-private.h"

void sync_mending_look(gpointer user_data)
{
	SyncService *service = user_data;

	if (service->role == SYNC_ROLE_FOLLOW && sync_engine_is_damaged(service->engine)) {
		sync_service_pull(service);
		return;
	}
	if (service->role != SYNC_ROLE_LEAD || !service->record || service->record->revoked || !sync_engine_is_damaged(service->engine) ||
	    !sync_link_is_connected(service->link) || g_variant_n_children(service->peer_stored) == 0)
		return;
	g_auto(GStrv) hosts = sync_link_hosts(service->link);
	g_autofree char *pin = sync_record_pin(service->record);
	SyncPull wish = {
		.hosts = (const char *const *)hosts,
		.port = service->settings->peer_port,
		.key = service->key,
		.pin = pin,
		.peer_id = service->record->id,
		.stored = service->peer_stored,
	};
	/* What does not come now is asked for again when the peer says something. */
	sync_engine_pull(service->engine, &wish, NULL, NULL);
}

static void tidied(const GError *error, gpointer user_data)
{
	if (error)
		bus_call_fail(user_data, error);
	else
		bus_call_reply(user_data, NULL);
}

void sync_mending_tidy(BusCall *call, GVariant *args, gpointer user_data)
{
	sync_engine_tidy(((SyncService *)user_data)->engine, tidied, call);
}
