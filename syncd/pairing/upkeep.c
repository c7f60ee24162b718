/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/pairing/upkeep.c - Peer1: a pairing kept up while keys and addresses change, and ended with a word. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/peer/listen.h"
#include "syncd/peer/place.h"
#include "syncd/pairing/rotation.h"
#include "syncd/service-private.h"

enum { LATER_MS = 250, MOVE_MS = 2000, SETTLE_MS = 1000, HEARD_MS = 50, PROOF_S = 5, CLOSE_MS = 1000, FINGERPRINT_LENGTH = 64 };

static void changed(SyncService *service, const char *property)
{
	if (service->object) /* else this is its beginning */
		bus_object_changed(service->object, PEER_INTERFACE, property);
}

/* ---- what the two tell each other: topic "device" ---- */

void sync_upkeep_tell(SyncService *service)
{
	GVariantBuilder builder;
	const SyncRecord *record = service->record;
	const char *accepts[3] = { record ? record->fingerprint : NULL, record ? record->next : NULL, NULL };

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "key", g_variant_new_string(service->key->fingerprint));
	g_variant_builder_add(&builder, "{sv}", "next", g_variant_new_string(service->next_key ? service->next_key : ""));
	g_variant_builder_add(&builder, "{sv}", "accepts", g_variant_new_strv(accepts, -1));
	g_variant_builder_add(&builder, "{sv}", "addresses", service->own_addresses);
	if (record)
		g_variant_builder_add(&builder, "{sv}", "knows", record->addresses);
	sync_link_publish(service->link, "device", g_variant_builder_end(&builder));
}

static bool is_fingerprint(const char *text)
{
	return strlen(text) == FINGERPRINT_LENGTH && strspn(text, "0123456789abcdef") == FINGERPRINT_LENGTH;
}

static bool save_record(SyncService *service)
{
	g_autoptr(GError) error = NULL;

	if (sync_record_save(service->record, service->record_path, &error))
		return true;
	/* Not on disk is not told: the peer waits, and is asked again at the next connection. */
	g_warning("%s", error->message);
	return false;
}

static void record_saved(const GError *error, gpointer unused)
{
	if (error)
		g_warning("%s", error->message);
}

/* What counts as it is in memory, and is told again after a restart if the disk does not have it. */
static void save_record_soon(SyncService *service)
{
	sync_record_save_soon(service->record, service->record_path, record_saved, NULL);
}

/* ---- keys ---- */

static gboolean look_again(gpointer user_data)
{
	SyncService *service = user_data;

	service->look = 0;
	sync_upkeep_look(service);
	return G_SOURCE_REMOVE;
}

static bool load_key(SyncService *service, GError **error)
{
	SyncKey *key = sync_key_load(service->folder, error);

	if (!key)
		return false;
	sync_key_unref(service->key);
	service->key = key;
	g_clear_pointer(&service->next_key, g_free);
	changed(service, "Fingerprint");
	changed(service, "NextFingerprint");
	g_message("this device's key is %s now", key->fingerprint);
	return true;
}

static bool turn(SyncService *service, GError **error)
{
	return sync_key_turn(service->folder, error) && load_key(service, error);
}

/* Whether anything has changed. */
static bool take_keys(SyncService *service, GVariant *said)
{
	SyncRecord *record = service->record;
	g_autoptr(GError) error = NULL;
	g_autofree const char **accepts = NULL;
	SyncRotationWord word = { 0 };
	SyncRotationState state = { service->key->fingerprint, service->next_key, record->fingerprint, record->next };
	bool any = false;

	(void)g_variant_lookup(said, "key", "&s", &word.key);
	(void)g_variant_lookup(said, "next", "&s", &word.next);
	(void)g_variant_lookup(said, "accepts", "^a&s", &accepts);
	word.accepts = accepts;
	if (word.next && *word.next && !is_fingerprint(word.next))
		return false;
	guint steps = sync_rotation_step(&state, &word);
	if (steps & (SYNC_ROTATION_NARROW | SYNC_ROTATION_ACCEPT)) {
		g_autofree char *pin = g_steal_pointer(&record->fingerprint), *next = g_steal_pointer(&record->next);

		record->fingerprint = g_strdup(steps & SYNC_ROTATION_NARROW ? next : pin);
		record->next = g_strdup(steps & SYNC_ROTATION_ACCEPT ? word.next : steps & SYNC_ROTATION_NARROW ? NULL : next);
		any = save_record(service);
		if (any) {
			g_message("the peer's key is %s%s%s", record->fingerprint, record->next ? ", or " : "", record->next ? record->next : "");
			changed(service, "PairRecord");
		} else {
			g_free(record->fingerprint);
			g_free(record->next);
			record->fingerprint = g_steal_pointer(&pin);
			record->next = g_steal_pointer(&next);
		}
	}
	if (!(steps & SYNC_ROTATION_TURN))
		return any;
	/* Who joins now has seen the key of now; who waits for an answer shall have it. */
	if (service->pairing || service->joining || sync_link_is_busy(service->link)) {
		if (!service->look)
			service->look = g_timeout_add(LATER_MS, look_again, service);
		return any;
	}
	if (!turn(service, &error)) {
		sync_service_notice(service, "key rotation failed", 3, "This device's new key cannot be put to use: %s", error->message);
		return any;
	}
	return true;
}

void sync_upkeep_rotate_key(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;

	if (service->pairing || service->joining) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY, "a pairing is open; its keys are those of now");
		return;
	}
	if (!sync_key_make_next(service->folder, &error)) {
		bus_call_fail(call, error);
		return;
	}
	g_free(service->next_key);
	service->next_key = sync_key_next(service->folder, &error);
	/* Nobody has to be told. */
	bool alone = !service->record || service->record->revoked;
	if (!service->next_key || (alone && !turn(service, &error))) {
		bus_call_fail(call, error);
		return;
	}
	changed(service, "NextFingerprint");
	if (alone)
		sync_peer_reopen(service);
	sync_upkeep_tell(service);
	bus_call_reply(call, NULL);
}

/* ---- addresses ---- */

static void set_own_addresses(SyncService *service)
{
	g_clear_pointer(&service->own_addresses, g_variant_unref);
	service->own_addresses = g_variant_ref_sink(sync_peer_addresses(service->settings));
}

static void move(SyncService *service)
{
	g_clear_handle_id(&service->moving, g_source_remove);
	sync_peer_reopen(service);
}

static gboolean move_late(gpointer user_data)
{
	SyncService *service = user_data;

	service->moving = 0;
	move(service);
	return G_SOURCE_REMOVE;
}

void sync_upkeep_reload(SyncService *service)
{
	g_autoptr(GVariant) before = g_variant_ref(service->own_addresses);

	set_own_addresses(service);
	if (g_variant_equal(before, service->own_addresses)) {
		sync_peer_reopen(service);
		return;
	}
	/* The peer first: it looks for us at the new addresses too before we are gone from the old ones. */
	sync_upkeep_tell(service);
	g_clear_handle_id(&service->moving, g_source_remove);
	if (sync_link_is_connected(service->link))
		service->moving = g_timeout_add(MOVE_MS, move_late, service);
	else
		move(service);
}

/* At one of the addresses where it says that it is. */
static bool is_found(const SyncService *service)
{
	g_auto(GStrv) hosts = sync_record_hosts(service->record, NULL);

	for (guint i = 0; hosts[i]; i++)
		if (sync_record_is_told(service->record, hosts[i]) && sync_link_is_heard_at(service->link, hosts[i]))
			return true;
	return false;
}

static gboolean settle(gpointer user_data)
{
	SyncService *service = user_data;

	if (service->record && (service->record->before[0] || service->record->place)) {
		if (!is_found(service))
			return G_SOURCE_CONTINUE;
		if (sync_record_settle(service->record, (const char *const *)service->settings->peer_addresses)) {
			save_record_soon(service);
			sync_peer_reopen(service);
		}
	}
	service->settling = 0;
	return G_SOURCE_REMOVE;
}

static void begin_settling(SyncService *service)
{
	if (!service->settling)
		service->settling = g_timeout_add(SETTLE_MS, settle, service);
}

/* Whether anything has changed. */
static bool take_addresses(SyncService *service, GVariant *said)
{
	g_autoptr(GVariant) addresses = g_variant_lookup_value(said, "addresses", G_VARIANT_TYPE("a{sas}"));
	g_autoptr(GVariant) knows = g_variant_lookup_value(said, "knows", G_VARIANT_TYPE("a{sas}"));

	if (service->moving && knows && g_variant_equal(knows, service->own_addresses))
		move(service);
	if (!addresses || !sync_record_take_addresses(service->record, addresses))
		return false;
	save_record_soon(service);
	changed(service, "PairRecord");
	begin_settling(service);
	for (guint i = 0; service->settings->peer_addresses[i]; i++)
		if (g_strv_contains((const char *const *)service->record->before, service->settings->peer_addresses[i]))
			sync_service_notice(service, "peer moved", 2, "The peer is no longer at %s, which device.conf names in [peer] addresses",
					    service->settings->peer_addresses[i]);
	return true;
}

void sync_upkeep_look(SyncService *service)
{
	GVariant *said = service->record ? g_hash_table_lookup(service->published, "device") : NULL;

	if (!said || service->record->revoked)
		return;
	bool keys = take_keys(service, said);
	bool addresses = take_addresses(service, said);
	if (!keys && !addresses)
		return;
	sync_upkeep_tell(service);
	sync_peer_reopen(service);
}

/* ---- where people say that the peer is ---- */

typedef struct {
	SyncService *service;
	BusCall *call;
	char *host;
	gint64 until_us;
} Search;

static void search_end(Search *search, const GError *error)
{
	search->service->searching = false;
	if (error)
		bus_call_fail(search->call, error);
	else
		bus_call_reply(search->call, NULL);
	g_free(search->host);
	g_free(search);
}

static gboolean heard_yet(gpointer user_data)
{
	Search *search = user_data;
	g_autoptr(GError) error = NULL;

	if (!sync_link_is_heard_at(search->service->link, search->host)) {
		if (g_get_monotonic_time() < search->until_us)
			return G_SOURCE_CONTINUE;
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE,
					    "the peer is there, but does not answer this device: it may have been paired with another one");
	}
	search_end(search, error);
	return G_SOURCE_REMOVE;
}

static void found(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Search *search = user_data;
	SyncService *service = search->service;
	g_autoptr(GError) problem = NULL, error = NULL;
	g_autoptr(GIOStream) tls = sync_dial_finish(result, NULL, &problem);

	if (tls)
		(void)g_io_stream_close(tls, NULL, NULL);
	if (!tls && (g_error_matches(problem, G_TLS_ERROR, G_TLS_ERROR_BAD_CERTIFICATE) || g_error_matches(problem, SYNC_ERROR, SYNC_ERROR_DENIED)))
		error = g_error_new(SYNC_ERROR, SYNC_ERROR_REFUSED, "wrong-key: the device at %s is not the peer", search->host);
	else if (!tls)
		error = g_error_new(SYNC_ERROR, SYNC_ERROR_NOT_REACHABLE, "nobody answers at %s: %s", search->host, problem->message);
	else if (!service->record)
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_REFUSED, "not-paired: this device has no peer any more");
	if (error) {
		search_end(search, error);
		return;
	}
	g_free(service->record->place);
	service->record->place = g_strdup(search->host);
	save_record_soon(service);
	begin_settling(service);
	sync_peer_reopen(service);
	search->until_us = g_get_monotonic_time() + PROOF_S * (gint64)G_USEC_PER_SEC;
	g_timeout_add(HEARD_MS, heard_yet, search);
}

void sync_upkeep_set_peer_address(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;
	g_autofree char *host = NULL, *pin = NULL;
	const char *address;
	guint port;

	g_variant_get(args, "(&s)", &address);
	if (!sync_place_parse(address, service->settings->peer_port, &host, &port, &error)) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s", error->message);
	} else if (port != service->settings->peer_port) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "the port is peer-port of pair.conf on both devices");
	} else if (!service->record || service->record->revoked) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "not-paired: this device has no peer");
	} else if (service->settings->has_pair && !service->settings->enabled) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "disabled: redundancy is turned off, and the two do not talk");
	} else if (service->searching) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY, "the peer is being looked for already");
	} else {
		Search *search = g_new0(Search, 1);

		*search = (Search){ .service = service, .call = call, .host = g_steal_pointer(&host) };
		service->searching = true;
		pin = sync_record_pin(service->record);
		sync_dial_async(search->host, port, PROOF_S, service->key, pin, NULL, found, search);
	}
}

/* ---- the end ---- */

static void told(bool heard, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;

	if (heard)
		g_message("%s knows that it is unpaired", service->unpaired->id);
	g_clear_pointer(&service->farewell, sync_farewell_free);
	g_clear_pointer(&service->unpaired, sync_record_free);
	if (!sync_file_remove(service->unpaired_path, &error))
		g_warning("%s", error->message);
	changed(service, "Untold");
}

static void say_farewell(SyncService *service)
{
	g_auto(GStrv) hosts = sync_record_hosts(service->unpaired, (const char *const *)service->settings->peer_addresses);

	service->farewell = sync_farewell_new(service->unpaired, (const char *const *)hosts, service->settings->peer_port, service->key, told, service);
	changed(service, "Untold");
}

void sync_upkeep_unpair(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;

	if (!service->record) {
		bus_call_reply(call, NULL);
		return;
	}
	sync_record_save_no_more();
	if (service->record->revoked) {
		/* It knows: it was the one to say so. */
		if (!sync_file_remove(service->record_path, &error)) {
			bus_call_fail(call, error);
			return;
		}
	} else {
		if (!sync_file_rename(service->record_path, service->unpaired_path, &error)) {
			bus_call_fail(call, error);
			return;
		}
		g_clear_pointer(&service->farewell, sync_farewell_free);
		g_clear_pointer(&service->unpaired, sync_record_free);
		service->unpaired = g_steal_pointer(&service->record);
	}
	sync_peer_take_record(service, NULL);
	if (service->unpaired && !service->farewell)
		say_farewell(service);
	bus_call_reply(call, NULL);
}

static gboolean close_link(gpointer user_data)
{
	SyncService *service = user_data;

	service->closing = 0;
	sync_peer_reopen(service);
	return G_SOURCE_REMOVE;
}

void sync_upkeep_unpaired(SyncService *service, guint64 serial)
{
	g_autoptr(GError) error = NULL;

	if (service->record && !service->record->revoked) {
		service->record->revoked = true;
		if (!save_record(service)) {
			service->record->revoked = false;
			return; /* unanswered, so it will say so again */
		}
		changed(service, "PairRecord");
		sync_service_notice(service, "unpaired by the peer", 3,
				    "%s has ended the pairing. Unpair this device too, or pair the two anew", service->record->id);
	}
	if (!sync_link_answer(service->link, serial, "", NULL, &error))
		g_debug("%s", error->message);
	/* The answer goes first. */
	if (!service->closing)
		service->closing = g_timeout_add(CLOSE_MS, close_link, service);
}

void sync_upkeep_paired(SyncService *service)
{
	/* It may have been the one that was unpaired before. */
	if (service->unpaired && (g_str_equal(service->unpaired->fingerprint, service->record->fingerprint) ||
				  g_strcmp0(service->unpaired->next, service->record->fingerprint) == 0))
		told(false, service);
}

/* ---- the whole ---- */

bool sync_upkeep_init(SyncService *service, GError **error)
{
	g_autoptr(GError) problem = NULL;

	service->unpaired_path = g_build_filename(service->folder, "unpaired.json", NULL);
	set_own_addresses(service);
	service->next_key = sync_key_next(service->folder, &problem);
	if (problem) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	service->unpaired = sync_record_load(service->unpaired_path, &problem);
	if (problem)
		g_warning("%s", problem->message); /* somebody will not be told */
	if (service->unpaired)
		say_farewell(service);
	if (service->record)
		begin_settling(service);
	sync_upkeep_tell(service);
	return true;
}

void sync_upkeep_clear(SyncService *service)
{
	g_clear_handle_id(&service->look, g_source_remove);
	g_clear_handle_id(&service->moving, g_source_remove);
	g_clear_handle_id(&service->settling, g_source_remove);
	g_clear_handle_id(&service->closing, g_source_remove);
	g_clear_pointer(&service->farewell, sync_farewell_free);
	g_clear_pointer(&service->unpaired, sync_record_free);
	g_clear_pointer(&service->unpaired_path, g_free);
	g_clear_pointer(&service->next_key, g_free);
	g_clear_pointer(&service->own_addresses, g_variant_unref);
}
