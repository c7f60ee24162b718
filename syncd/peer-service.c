/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer-service.c - Peer1: pairing, the link, topics. */
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixinputstream.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "syncd/files/file.h"
#include "syncd/peer/message.h"
#include "syncd/peer/place.h"
#include "syncd/pairing/proof.h"
#include "service-private.h"

enum { LIFETIME_MAX_S = 24 * 3600, REQUEST_MAX_MS = 600 * 1000, REFUSED_MAX = 64, REFUSED_TELL_S = 60, CODE_MAX = 256 };

/* Somebody with another key, by address. */
typedef struct {
	guint count;
	guint told;
	gint64 told_us;
} Refusal;

static void changed(SyncService *service, const char *property)
{
	bus_object_changed(service->object, PEER_INTERFACE, property);
}

/* ---- the link ---- */

static char **own_hosts(const Settings *settings)
{
	g_autoptr(GStrvBuilder) hosts = g_strv_builder_new();

	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *interface = settings->interfaces->pdata[i];

		if (interface->address.host)
			g_strv_builder_add(hosts, interface->address.host);
		if (interface->address6.host)
			g_strv_builder_add(hosts, interface->address6.host);
	}
	return g_strv_builder_end(hosts);
}

static gboolean reopen(gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;

	service->reopen = 0;
	if (!service->record || service->record->revoked || (service->settings->has_pair && !service->settings->enabled)) {
		sync_link_close(service->link);
		return G_SOURCE_REMOVE;
	}
	g_auto(GStrv) own = own_hosts(service->settings);
	g_auto(GStrv) peer = sync_record_hosts(service->record, (const char *const *)service->settings->peer_addresses);
	g_autofree char *pin = sync_record_pin(service->record);
	SyncLinkConfig config = {
		.own_hosts = (const char *const *)own,
		.peer_hosts = (const char *const *)peer,
		.port = service->settings->peer_port,
		.port_before = service->settings->port_before,
		.timeout_ms = service->settings->peer_timeout_ms,
		.key = service->key,
		.pin = pin,
	};
	if (!sync_link_open(service->link, &config, &error))
		sync_service_notice(service, "peer link", 3, "The link to the peer cannot be opened: %s", error->message);
	return G_SOURCE_REMOVE;
}

void sync_peer_reopen(SyncService *service)
{
	/* From the loop, never from inside one of the link's own callbacks. */
	if (!service->reopen)
		service->reopen = g_idle_add(reopen, service);
}

static void on_connected(bool connected, gpointer user_data)
{
	SyncService *service = user_data;

	g_message("peer: %s", connected ? "connected" : "gone");
	changed(service, "Connected");
	sync_service_peer_connected(service, connected);
}

static void on_published(const char *topic, GVariant *value, gpointer user_data)
{
	SyncService *service = user_data;

	g_hash_table_insert(service->published, g_strdup(topic), g_variant_ref(value));
	changed(service, "Published");
	bus_object_emit(service->object, PEER_INTERFACE, "PeerPublished", g_variant_new("(s@a{sv})", topic, value));
	if (g_str_equal(topic, "sync"))
		sync_service_peer_said(service, value);
	else if (g_str_equal(topic, "verify"))
		sync_verifying_peer_said(service, value);
	else if (g_str_equal(topic, "device"))
		sync_upkeep_look(service);
}

static void refuse(SyncService *service, guint64 serial, const char *why)
{
	g_autoptr(GError) error = NULL;
	GVariantDict text;

	g_variant_dict_init(&text, NULL);
	g_variant_dict_insert(&text, "text", "s", why);
	if (!sync_link_answer(service->link, serial, BUS_ERROR_PREFIX ".NotReachable", g_variant_dict_end(&text), &error))
		g_debug("%s", error->message);
}

static void on_requested(guint64 serial, const char *topic, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;

	if (g_str_equal(topic, "unpair")) {
		sync_upkeep_unpaired(service, serial);
		return;
	}
	if (!g_hash_table_contains(service->served, topic)) {
		refuse(service, serial, "nobody answers this topic there");
		return;
	}
	bus_object_emit(service->object, PEER_INTERFACE, "Requested", g_variant_new("(ts@a{sv})", serial, topic, args));
}

static void on_refused(const char *host, gpointer user_data)
{
	SyncService *service = user_data;
	Refusal *refusal = g_hash_table_lookup(service->refused, host);
	gint64 now_us = g_get_monotonic_time();

	if (!refusal) {
		if (g_hash_table_size(service->refused) >= REFUSED_MAX)
			return;
		refusal = g_new0(Refusal, 1);
		g_hash_table_insert(service->refused, g_strdup(host), refusal);
	}
	refusal->count++;
	if (refusal->told && now_us - refusal->told_us < REFUSED_TELL_S * (gint64)G_USEC_PER_SEC)
		return;
	refusal->told = refusal->count;
	refusal->told_us = now_us;
	sync_service_notice(service, "peer key refused", 3, "A device at %s showed a key that is not the peer's (%u time%s)", host, refusal->count,
			    refusal->count == 1 ? "" : "s");
}

static const SyncLinkEvents link_events = {
	.connected = on_connected,
	.published = on_published,
	.requested = on_requested,
	.refused = on_refused,
};

/* ---- pairing ---- */

static guint pairing_port(const SyncService *service)
{
	return service->settings->peer_port + 1;
}

GVariant *sync_peer_addresses(const Settings *settings)
{
	GVariantBuilder addresses;

	g_variant_builder_init(&addresses, G_VARIANT_TYPE("a{sas}"));
	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *interface = settings->interfaces->pdata[i];
		const char *list[3] = { NULL };
		guint n = 0;

		if (interface->address.text)
			list[n++] = interface->address.text;
		if (interface->address6.text)
			list[n++] = interface->address6.text;
		g_variant_builder_add(&addresses, "{s^as}", interface->name, list);
	}
	return g_variant_builder_end(&addresses);
}

static GVariant *description(const SyncService *service, bool with_pair_conf)
{
	const Settings *settings = service->settings;
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(&builder, "{sv}", "id", g_variant_new_string(settings->id));
	g_variant_builder_add(&builder, "{sv}", "name", g_variant_new_string(settings->name));
	g_variant_builder_add(&builder, "{sv}", "model", g_variant_new_string(settings->model));
	g_variant_builder_add(&builder, "{sv}", "version", g_variant_new_string(UNDERSTUDY_VERSION));
	g_variant_builder_add(&builder, "{sv}", "addresses", sync_peer_addresses(settings));
	if (with_pair_conf && settings->has_pair)
		g_variant_builder_add(&builder, "{sv}", "pair_conf", g_variant_new_string(settings->pair_text));
	return g_variant_builder_end(&builder);
}

void sync_peer_take_record(SyncService *service, SyncRecord *record)
{
	/* Whoever was the peer is out from this moment. */
	sync_link_close(service->link);
	sync_record_free(service->record);
	service->record = record;
	g_hash_table_remove_all(service->published);
	g_hash_table_remove_all(service->refused);
	changed(service, "Paired");
	changed(service, "PairRecord");
	changed(service, "Published");
	bus_object_changed(service->object, SYNC_INTERFACE, "FirstSyncDone");
	if (record)
		sync_upkeep_paired(service);
	sync_upkeep_tell(service);
	sync_peer_reopen(service);
}

static void pairing_over(SyncRecord *record, const char *outcome, const char *text, gpointer user_data)
{
	SyncService *service = user_data;

	sync_pairing_free(g_steal_pointer(&service->pairing));
	service->pairing_until_ms = 0;
	changed(service, "PairingUntilMs");
	if (record)
		sync_peer_take_record(service, record);
	g_message("pairing: %s (%s)", outcome, text);
	bus_object_emit(service->object, PEER_INTERFACE, "Pairing", g_variant_new("(ss)", outcome, text));
}

static bool write_code(int fd, const char *code)
{
	g_autofree char *line = g_strconcat(code, "\n", NULL);

	/* A reader that does not read must not stop us: a code fits into any pipe. */
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return write(fd, line, strlen(line)) == (ssize_t)strlen(line);
}

static void pair(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;
	gint32 handle;
	guint lifetime_s;

	g_variant_get(args, "(hu)", &handle, &lifetime_s);
	sync_autofd fd = bus_call_take_fd(call, handle, &error);
	if (fd < 0) {
		bus_call_fail(call, error);
		return;
	}
	if (lifetime_s == 0 || lifetime_s > LIFETIME_MAX_S) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "lifetime_s is 1 to %d", LIFETIME_MAX_S);
		return;
	}
	/* Who asks for a code has none: the older one may be lost, or in the wrong hands. */
	if (service->pairing && !sync_pairing_withdraw(service->pairing)) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY, "a device is being paired now");
		return;
	}
	if (service->pairing)
		pairing_over(NULL, "failed", "a newer code was asked for", service);
	g_autofree char *code = sync_code_new();
	g_autofree char *normalised = sync_code_normalise(code, &error);
	g_auto(GStrv) hosts = own_hosts(service->settings);
	service->pairing = sync_pairing_new((const char *const *)hosts, pairing_port(service), service->key, normalised, lifetime_s,
					    description(service, true), service->record_path, pairing_over, service, &error);
	if (!service->pairing) {
		bus_call_fail(call, error);
		return;
	}
	if (!write_code(fd, code)) {
		sync_pairing_free(g_steal_pointer(&service->pairing));
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "the code cannot be written");
		return;
	}
	service->pairing_until_ms = g_get_real_time() / 1000 + (gint64)lifetime_s * 1000;
	changed(service, "PairingUntilMs");
	bus_call_reply(call, NULL);
}

typedef struct {
	SyncService *service;
	BusCall *call;
	char *host;
	guint port;
} Joining;

static void joining_end(Joining *joining, const GError *error)
{
	joining->service->joining = false;
	if (error)
		bus_call_fail(joining->call, error);
	else
		bus_call_reply(joining->call, NULL);
	g_free(joining->host);
	g_free(joining);
}

static void joined(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Joining *joining = user_data;
	g_autoptr(GError) error = NULL;
	SyncRecord *record = sync_join_finish(result, &error);

	if (record) {
		sync_peer_take_record(joining->service, record);
		g_message("joined %s", record->id);
	}
	joining_end(joining, error);
}

static void have_code(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Joining *joining = user_data;
	SyncService *service = joining->service;
	g_autoptr(GError) error = NULL;
	gsize length;
	g_autofree char *line = g_data_input_stream_read_line_finish(G_DATA_INPUT_STREAM(source), result, &length, &error);
	g_autofree char *code = NULL;

	if (!error)
		code = sync_code_normalise(line && length <= CODE_MAX ? line : "", &error);
	if (!code) {
		joining_end(joining, error);
		return;
	}
	sync_join_async(joining->host, joining->port, service->key, code, description(service, false), service->record_path, joined, joining);
}

static void join(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GError) error = NULL;
	g_autofree char *host = NULL;
	const char *address;
	gint32 handle;
	guint port;

	g_variant_get(args, "(&sh)", &address, &handle);
	sync_autofd fd = bus_call_take_fd(call, handle, &error);
	if (fd < 0) {
		bus_call_fail(call, error);
	} else if (!sync_place_parse(address, pairing_port(service), &host, &port, &error)) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s", error->message);
	} else if (service->record && !service->record->revoked) {
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "paired: this device is paired; unpair it first");
	} else if (service->joining) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY, "joining already");
	} else {
		Joining *joining = g_new0(Joining, 1);
		joining->service = service;
		joining->call = call;
		joining->host = g_steal_pointer(&host);
		joining->port = port;
		service->joining = true;
		g_autoptr(GInputStream) raw = g_unix_input_stream_new(fd, TRUE);
		fd = -1; /* the stream's now */
		g_autoptr(GDataInputStream) lines = g_data_input_stream_new(raw);
		g_data_input_stream_read_line_async(lines, G_PRIORITY_DEFAULT, NULL, have_code, joining);
	}
}

static void first_sync_saved(const GError *error, gpointer user_data)
{
	SyncService *service = user_data;

	service->first_sync_saving = false;
	if (error)
		g_warning("%s", error->message);
	if (error && service->record)
		service->record->first_sync_done = false; /* the next pull says it again */
	else
		bus_object_changed(service->object, SYNC_INTERFACE, "FirstSyncDone");
}

void sync_peer_first_sync_done(SyncService *service)
{
	if (!service->record || service->record->first_sync_done)
		return;
	service->record->first_sync_done = service->first_sync_saving = true;
	sync_record_save_soon(service->record, service->record_path, first_sync_saved, service);
}

/* ---- topics ---- */

static void publish(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GVariant) value = NULL;
	g_autoptr(GError) error = NULL;
	const char *topic;

	g_variant_get(args, "(&s@a{sv})", &topic, &value);
	if (!sync_topic_check(topic, value, &error)) {
		bus_call_fail(call, error);
	} else if (!sync_topic_is_published(topic) || sync_topic_is_own(topic)) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "topic %s is not yours to publish", topic);
	} else {
		sync_link_publish(service->link, topic, value);
		bus_call_reply(call, NULL);
	}
}

static void answered(const char *error_name, const GError *error, GVariant *values, gpointer user_data)
{
	BusCall *call = user_data;

	if (error) {
		bus_call_fail(call, error);
	} else if (*error_name) {
		const char *text = "";
		(void)g_variant_lookup(values, "text", "&s", &text);
		g_autoptr(GError) theirs = bus_error_from_message(error_name, text);
		bus_call_fail(call, theirs);
	} else {
		bus_call_reply(call, g_variant_new("(@a{sv})", values));
	}
}

static void request(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GVariant) values = NULL;
	g_autoptr(GError) error = NULL;
	const char *topic;
	guint timeout_ms;

	g_variant_get(args, "(&s@a{sv}u)", &topic, &values, &timeout_ms);
	if (!sync_topic_check(topic, values, &error))
		bus_call_fail(call, error);
	else if (!sync_topic_is_requested(topic) || sync_topic_is_own(topic) || timeout_ms == 0)
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "topic %s is not requested, or there is no time for it", topic);
	else
		sync_link_request(service->link, topic, values, MIN(timeout_ms, REQUEST_MAX_MS), answered, call);
}

static void on_left_behind(guint64 serial, gpointer user_data)
{
	refuse(user_data, serial, "who was to answer there has ended");
}

static void serve(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autofree const char **topics = NULL;

	g_variant_get(args, "(^a&s)", &topics);
	for (guint i = 0; topics[i]; i++) {
		if ((!sync_topic_is_requested(topics[i]) && !sync_topic_is_published(topics[i])) || sync_topic_is_own(topics[i])) {
			bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "there is no topic %s", topics[i]);
			return;
		}
	}
	for (guint i = 0; topics[i]; i++) {
		g_hash_table_add(service->served, g_strdup(topics[i]));
		/* An owner says so when it begins: it has heard of none that waits. */
		sync_link_each_waiting(service->link, topics[i], on_left_behind, service);
	}
	bus_call_reply(call, NULL);
}

static void answer(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	g_autoptr(GVariant) values = NULL;
	g_autoptr(GError) error = NULL;
	const char *error_name;
	guint64 serial;

	g_variant_get(args, "(t&s@a{sv})", &serial, &error_name, &values);
	if (*error_name && !g_dbus_is_interface_name(error_name))
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "error is no D-Bus error name");
	else if (!sync_link_answer(service->link, serial, error_name, values, &error))
		bus_call_fail(call, error);
	else
		bus_call_reply(call, NULL);
}

/* ---- properties ---- */

static GVariant *get_paired(gpointer user_data)
{
	return g_variant_new_boolean(((SyncService *)user_data)->record != NULL);
}

static GVariant *get_pair_record(gpointer user_data)
{
	return sync_record_to_variant(((SyncService *)user_data)->record);
}

static GVariant *get_connected(gpointer user_data)
{
	return g_variant_new_boolean(sync_link_is_connected(((SyncService *)user_data)->link));
}

static GVariant *get_fingerprint(gpointer user_data)
{
	return g_variant_new_string(((SyncService *)user_data)->key->fingerprint);
}

static GVariant *get_next_fingerprint(gpointer user_data)
{
	const SyncService *service = user_data;

	return g_variant_new_string(service->next_key ? service->next_key : "");
}

static GVariant *get_peer_urls(gpointer user_data)
{
	const SyncService *service = user_data;
	g_auto(GStrv) hosts = sync_link_hosts(service->link);
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_STRING_ARRAY);
	for (guint i = 0; service->record && hosts[i]; i++) {
		g_autofree char *place = sync_place_text(hosts[i], service->settings->peer_port);

		g_variant_builder_add_value(&builder, g_variant_new_take_string(g_strdup_printf("https://%s/repo.git", place)));
	}
	return g_variant_builder_end(&builder);
}

static GVariant *get_untold(gpointer user_data)
{
	const SyncService *service = user_data;

	return g_variant_new_string(service->unpaired ? service->unpaired->id : "");
}

static GVariant *get_published(gpointer user_data)
{
	SyncService *service = user_data;
	GVariantBuilder builder;
	GHashTableIter iter;
	const char *topic;
	GVariant *value;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sa{sv}}"));
	g_hash_table_iter_init(&iter, service->published);
	while (g_hash_table_iter_next(&iter, (gpointer *)&topic, (gpointer *)&value))
		g_variant_builder_add(&builder, "{s@a{sv}}", topic, value);
	return g_variant_builder_end(&builder);
}

static GVariant *get_pairing_until_ms(gpointer user_data)
{
	return g_variant_new_int64(((SyncService *)user_data)->pairing_until_ms);
}

const BusMember peer_members[] = {
	{ "Pair", .method = pair },
	{ "Join", .method = join },
	{ "Unpair", .method = sync_upkeep_unpair },
	{ "RotateKey", .method = sync_upkeep_rotate_key },
	{ "SetPeerAddress", .method = sync_upkeep_set_peer_address },
	{ "Publish", .method = publish },
	{ "Request", .method = request },
	{ "Serve", .method = serve },
	{ "Answer", .method = answer },
	{ "Paired", .get = get_paired },
	{ "PairRecord", .get = get_pair_record },
	{ "Connected", .get = get_connected },
	{ "Fingerprint", .get = get_fingerprint },
	{ "NextFingerprint", .get = get_next_fingerprint },
	{ "PeerUrls", .get = get_peer_urls },
	{ "Untold", .get = get_untold },
	{ "Published", .get = get_published },
	{ "PairingUntilMs", .get = get_pairing_until_ms },
	{ 0 },
};

bool sync_peer_init(SyncService *service, GError **error)
{
	g_autoptr(GError) problem = NULL;

	service->published = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_variant_unref);
	service->served = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	service->refused = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	service->link = sync_link_new(service->repository, &link_events, service);
	service->record = sync_record_load(service->record_path, &problem);
	if (problem) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return false;
	}
	sync_service_tell_peer(service);
	return sync_upkeep_init(service, error);
}

void sync_peer_clear(SyncService *service)
{
	g_clear_handle_id(&service->reopen, g_source_remove);
	g_clear_pointer(&service->pairing, sync_pairing_free);
	sync_upkeep_clear(service);
	g_clear_pointer(&service->link, sync_link_free);
	g_clear_pointer(&service->record, sync_record_free);
	g_clear_pointer(&service->published, g_hash_table_unref);
	g_clear_pointer(&service->served, g_hash_table_unref);
	g_clear_pointer(&service->refused, g_hash_table_unref);
}
