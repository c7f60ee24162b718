/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/unite/together.c - what the two devices say of lines that are to be united, under the topic `sync`.
 *
 * Who follows says what it has apart; who leads unites that and says what is done; who follows then lets go of it. Each says a state, not a
 * message, so whoever is restarted goes on, and what was done already is found to be so.
 */
#include "syncd/service-private.h"
#include "syncd/unite/apart.h"
#include "syncd/unite/unite.h"

static void take(char ***place, char **list)
{
	g_strfreev(*place);
	*place = list;
}

void sync_together_apart(const char *const *names, gpointer user_data)
{
	SyncService *service = user_data;

	if (g_strv_equal(names, (const char *const *)service->apart))
		return;
	take(&service->apart, g_strdupv((char **)names));
	sync_service_tell_peer(service);
}

void sync_together_united(gpointer user_data)
{
	sync_service_tell_peer(user_data);
}

void sync_together_tell(SyncService *service, GVariantBuilder *builder)
{
	g_auto(GStrv) united = service->role == SYNC_ROLE_LEAD ? sync_engine_united(service->engine) : g_new0(char *, 1);

	g_variant_builder_add(builder, "{sv}", "apart", g_variant_new_strv((const char *const *)service->apart, -1));
	g_variant_builder_add(builder, "{sv}", "united", g_variant_new_strv((const char *const *)united, -1));
}

void sync_together_look(SyncService *service)
{
	if (service->role != SYNC_ROLE_LEAD || service->peer_leads || !service->record || !sync_link_is_connected(service->link)) {
		sync_engine_unite_stop(service->engine);
		return;
	}
	g_auto(GStrv) hosts = sync_link_hosts(service->link);
	g_autofree char *pin = sync_record_pin(service->record);
	SyncPull where = {
		.hosts = (const char *const *)hosts,
		.port = service->settings->peer_port,
		.key = service->key,
		.pin = pin,
	};
	sync_engine_unite(service->engine, service->settings, &where, (const char *const *)service->peer_apart);
}

void sync_together_peer_said(SyncService *service, GVariant *value)
{
	g_auto(GStrv) apart = NULL, united = NULL;

	(void)g_variant_lookup(value, "apart", "^as", &apart);
	(void)g_variant_lookup(value, "united", "^as", &united);
	take(&service->peer_apart, apart ? g_steal_pointer(&apart) : g_new0(char *, 1));
	sync_together_look(service);
	if (service->role == SYNC_ROLE_LEAD || !united || !*united || !sync_apart_drop(service->repository, (const char *const *)united))
		return;
	g_autoptr(SyncRepo) repo = sync_repo_open(service->repository, NULL);
	g_auto(GStrv) left = repo ? sync_apart_list(repo) : g_new0(char *, 1);
	sync_together_apart((const char *const *)left, service);
}
