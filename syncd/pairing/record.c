/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/pairing/record.c - the pairing record, as JSON on disk. */
#include "syncd/pairing/record.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/files/file.h"
#include "syncd/files/path.h"
#include "settings/ip.h"

enum { TEXT_MAX = 256, PAIR_CONF_MAX = 128 * 1024, ADDRESSES_MAX = 32, FINGERPRINT_LENGTH = 64 };

void sync_record_free(SyncRecord *record)
{
	if (!record)
		return;
	g_free(record->id);
	g_free(record->name);
	g_free(record->model);
	g_free(record->version);
	g_free(record->pairing);
	g_free(record->fingerprint);
	g_free(record->next);
	g_strfreev(record->before);
	g_free(record->place);
	g_clear_pointer(&record->addresses, g_variant_unref);
	g_free(record->pair_conf);
	g_free(record);
}

/* "192.0.2.1/24" or "2001:db8::1": the host, if it is an address at all. */
static char *host_of(const char *address)
{
	g_autofree char *host = g_strndup(address, strcspn(address, "/"));
	char normal[IP_TEXT_SIZE];
	IpAddress ip;

	return ip_parse(host, &ip) ? g_strdup(ip_text(&ip, normal)) : NULL;
}

static bool addresses_ok(GVariant *addresses)
{
	GVariantIter iter;
	const char *name;
	GVariant *list;
	gsize n = 0;

	g_variant_iter_init(&iter, addresses);
	while (g_variant_iter_next(&iter, "{&s@as}", &name, &list)) {
		g_autofree const char **hosts = g_variant_get_strv(list, NULL);

		for (guint i = 0; hosts[i]; i++, n++) {
			g_autofree char *host = host_of(hosts[i]);

			if (!host) {
				g_variant_unref(list);
				return false;
			}
		}
		g_variant_unref(list);
	}
	return n > 0 && n <= ADDRESSES_MAX;
}

static char *text_of(GVariant *description, const char *key, gsize max)
{
	const char *text;

	if (!g_variant_lookup(description, key, "&s", &text) || strlen(text) > max)
		return NULL;
	return g_strdup(text);
}

SyncRecord *sync_record_new(GVariant *description, const char *fingerprint, bool joined, GError **error)
{
	g_autoptr(SyncRecord) record = g_new0(SyncRecord, 1);

	record->id = text_of(description, "id", TEXT_MAX);
	record->name = text_of(description, "name", TEXT_MAX);
	record->model = text_of(description, "model", TEXT_MAX);
	record->version = text_of(description, "version", TEXT_MAX);
	record->pair_conf = joined ? text_of(description, "pair_conf", PAIR_CONF_MAX) : NULL;
	record->addresses = g_variant_lookup_value(description, "addresses", G_VARIANT_TYPE("a{sas}"));
	record->pairing = g_strdup(fingerprint);
	record->fingerprint = g_strdup(fingerprint);
	record->before = g_new0(char *, 1);
	record->offset = joined ? 0 : 1;
	record->joined = joined;
	record->first_sync_done = !joined;
	if (!record->id || *record->id == '\0' || !record->name || !record->model || !record->version || !record->addresses ||
	    !addresses_ok(record->addresses)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the other device's description is incomplete");
		return NULL;
	}
	return g_steal_pointer(&record);
}

/* Escapes like "\ud83d" alone make strings that are not UTF-8, which neither GVariant nor the bus can hold. */
static const char *string_of(JsonNode *node)
{
	if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
		return NULL;
	const char *text = json_node_get_string(node);
	return text && g_utf8_validate(text, -1, NULL) ? text : NULL;
}

static char *member(JsonObject *object, const char *name)
{
	return g_strdup(string_of(json_object_get_member(object, name)));
}

/* {"lan": ["192.0.2.11/24"]} as a{sas}; NULL when it is anything else. */
static GVariant *read_addresses(JsonNode *node)
{
	g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{sas}"));
	JsonObjectIter iter;
	const char *name;
	JsonNode *list;

	if (!JSON_NODE_HOLDS_OBJECT(node))
		return NULL;
	json_object_iter_init(&iter, json_node_get_object(node));
	while (json_object_iter_next(&iter, &name, &list)) {
		g_autoptr(GStrvBuilder) hosts = g_strv_builder_new();

		if (!g_utf8_validate(name, -1, NULL) || !JSON_NODE_HOLDS_ARRAY(list))
			return NULL;
		JsonArray *array = json_node_get_array(list);
		for (guint i = 0; i < json_array_get_length(array); i++) {
			const char *host = string_of(json_array_get_element(array, i));
			if (!host)
				return NULL;
			g_strv_builder_add(hosts, host);
		}
		g_auto(GStrv) all = g_strv_builder_end(hosts);
		g_variant_builder_add(&builder, "{s^as}", name, all);
	}
	return g_variant_ref_sink(g_variant_builder_end(&builder));
}

/* ["192.0.2.11"]; absent, or anything else: none. */
static char **read_hosts(JsonNode *node)
{
	g_autoptr(GStrvBuilder) hosts = g_strv_builder_new();

	for (guint i = 0; node && JSON_NODE_HOLDS_ARRAY(node) && i < json_array_get_length(json_node_get_array(node)); i++) {
		const char *host = string_of(json_array_get_element(json_node_get_array(node), i));

		if (host)
			g_strv_builder_add(hosts, host);
	}
	return g_strv_builder_end(hosts);
}

static bool member_flag(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_boolean(node);
}

SyncRecord *sync_record_load(const char *path, GError **error)
{
	g_autofree char *text = NULL;
	gsize length;
	g_autoptr(GError) problem = NULL;

	if (!g_file_get_contents(path, &text, &length, &problem)) {
		if (!g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
			g_propagate_error(error, g_steal_pointer(&problem));
		return NULL;
	}
	g_autoptr(JsonParser) parser = json_parser_new();
	if (!json_parser_load_from_data(parser, text, length, &problem)) {
		/* The parser quotes what it stumbled over, even half a character. */
		g_autofree char *reason = sync_printable(problem->message);
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "%s: %s", path, reason);
		return NULL;
	}
	JsonNode *root = json_parser_get_root(parser);
	JsonNode *addresses = root && JSON_NODE_HOLDS_OBJECT(root) ? json_object_get_member(json_node_get_object(root), "peer_addresses") : NULL;
	if (!addresses) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "%s: not a pairing record", path);
		return NULL;
	}
	JsonObject *object = json_node_get_object(root);
	g_autoptr(SyncRecord) record = g_new0(SyncRecord, 1);
	record->id = member(object, "peer_id");
	record->name = member(object, "peer_name");
	record->model = member(object, "peer_model");
	record->version = member(object, "peer_version");
	record->fingerprint = member(object, "peer_fingerprint");
	record->pairing = member(object, "pairing");
	if (!record->pairing) /* the record of an older version: nothing has changed since */
		record->pairing = g_strdup(record->fingerprint);
	record->next = member(object, "peer_fingerprint_next");
	record->place = member(object, "place");
	record->before = read_hosts(json_object_get_member(object, "before"));
	record->revoked = member_flag(object, "revoked");
	record->pair_conf = member(object, "pair_conf");
	record->joined = member_flag(object, "joined");
	record->first_sync_done = member_flag(object, "first_sync_done");
	record->offset = record->joined ? 0 : 1;
	record->addresses = read_addresses(addresses);
	if (!record->addresses || !record->id || !record->fingerprint || strlen(record->fingerprint) != FINGERPRINT_LENGTH ||
	    (record->next && strlen(record->next) != FINGERPRINT_LENGTH)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "%s: not a whole pairing record", path);
		return NULL;
	}
	return g_steal_pointer(&record);
}

static void add_text(JsonBuilder *builder, const char *name, const char *value)
{
	if (!value)
		return;
	json_builder_set_member_name(builder, name);
	json_builder_add_string_value(builder, value);
}

/* Transfer full. */
static char *as_text(const SyncRecord *record)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();

	json_builder_begin_object(builder);
	add_text(builder, "peer_id", record->id);
	add_text(builder, "peer_name", record->name);
	add_text(builder, "peer_model", record->model);
	add_text(builder, "peer_version", record->version);
	add_text(builder, "peer_fingerprint", record->fingerprint);
	add_text(builder, "pairing", record->pairing);
	add_text(builder, "peer_fingerprint_next", record->next);
	add_text(builder, "place", record->place);
	add_text(builder, "pair_conf", record->pair_conf);
	json_builder_set_member_name(builder, "joined");
	json_builder_add_boolean_value(builder, record->joined);
	json_builder_set_member_name(builder, "first_sync_done");
	json_builder_add_boolean_value(builder, record->first_sync_done);
	json_builder_set_member_name(builder, "revoked");
	json_builder_add_boolean_value(builder, record->revoked);
	json_builder_set_member_name(builder, "before");
	json_builder_begin_array(builder);
	for (guint i = 0; record->before[i]; i++)
		json_builder_add_string_value(builder, record->before[i]);
	json_builder_end_array(builder);
	json_builder_set_member_name(builder, "peer_addresses");
	json_builder_add_value(builder, json_gvariant_serialize(record->addresses));
	json_builder_end_object(builder);
	g_autoptr(JsonNode) root = json_builder_get_root(builder);
	return json_to_string(root, TRUE);
}

/* One writes at a time, and nothing older over something newer. */
static GMutex saving;
static gint newest; /* atomic: the number of the last order */

bool sync_record_save(const SyncRecord *record, const char *path, GError **error)
{
	g_autofree char *text = as_text(record);

	g_atomic_int_inc(&newest);
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&saving);
	return sync_file_write(path, text, strlen(text), 0600, error);
}

void sync_record_save_no_more(void)
{
	g_atomic_int_inc(&newest);
	g_mutex_lock(&saving);
	g_mutex_unlock(&saving);
}

typedef struct {
	char *text, *path;
	gint number;
	SyncRecordSaved done;
	gpointer user_data;
} Saving;

static void saving_free(gpointer data)
{
	Saving *order = data;

	g_free(order->text);
	g_free(order->path);
	g_free(order);
}

static void save_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const Saving *order = data;
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&saving);
	GError *error = NULL;

	if (g_atomic_int_get(&newest) == order->number && !sync_file_write(order->path, order->text, strlen(order->text), 0600, &error))
		g_task_return_error(task, error);
	else
		g_task_return_boolean(task, TRUE);
}

static void saved(GObject *source, GAsyncResult *result, gpointer unused)
{
	const Saving *order = g_task_get_task_data(G_TASK(result));
	g_autoptr(GError) error = NULL;

	(void)g_task_propagate_boolean(G_TASK(result), &error);
	order->done(error, order->user_data);
}

void sync_record_save_soon(const SyncRecord *record, const char *path, SyncRecordSaved done, gpointer user_data)
{
	g_autoptr(GTask) task = g_task_new(NULL, NULL, saved, NULL);
	Saving *order = g_new(Saving, 1);

	*order = (Saving){ .text = as_text(record), .path = g_strdup(path), .number = g_atomic_int_add(&newest, 1) + 1, .done = done, .user_data = user_data };
	g_task_set_task_data(task, order, saving_free);
	g_task_run_in_thread(task, save_thread);
}

GVariant *sync_record_to_variant(const SyncRecord *record)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
	if (record) {
		g_variant_builder_add(&builder, "{sv}", "peer_id", g_variant_new_string(record->id));
		g_variant_builder_add(&builder, "{sv}", "peer_name", g_variant_new_string(record->name ? record->name : ""));
		g_variant_builder_add(&builder, "{sv}", "peer_model", g_variant_new_string(record->model ? record->model : ""));
		g_variant_builder_add(&builder, "{sv}", "peer_version", g_variant_new_string(record->version ? record->version : ""));
		g_variant_builder_add(&builder, "{sv}", "peer_fingerprint", g_variant_new_string(record->fingerprint));
		g_variant_builder_add(&builder, "{sv}", "offset", g_variant_new_byte(record->offset));
		g_variant_builder_add(&builder, "{sv}", "peer_addresses", record->addresses);
		g_variant_builder_add(&builder, "{sv}", "pairing", g_variant_new_string(record->pairing));
		g_variant_builder_add(&builder, "{sv}", "revoked", g_variant_new_boolean(record->revoked));
		g_variant_builder_add(&builder, "{sv}", "joined", g_variant_new_boolean(record->joined));
		if (record->pair_conf)
			g_variant_builder_add(&builder, "{sv}", "pair_conf", g_variant_new_string(record->pair_conf));
	}
	return g_variant_builder_end(&builder);
}

/* The hosts of @addresses, those of the interface "peer" first. */
static GPtrArray *hosts_of(GVariant *addresses)
{
	GPtrArray *hosts = g_ptr_array_new_with_free_func(g_free);
	guint first = 0;
	GVariantIter iter;
	const char *name;
	GVariant *list;

	g_variant_iter_init(&iter, addresses);
	while (g_variant_iter_next(&iter, "{&s@as}", &name, &list)) {
		g_autofree const char **texts = g_variant_get_strv(list, NULL);

		for (guint i = 0; texts[i]; i++) {
			char *host = host_of(texts[i]);

			if (host)
				g_ptr_array_insert(hosts, g_str_equal(name, "peer") ? (int)first++ : -1, host);
		}
		g_variant_unref(list);
	}
	return hosts;
}

static bool is_among(const GPtrArray *hosts, const char *host)
{
	return host && g_ptr_array_find_with_equal_func((GPtrArray *)hosts, host, g_str_equal, NULL);
}

static void add_host(GPtrArray *hosts, const char *host)
{
	if (host && !is_among(hosts, host))
		g_ptr_array_add(hosts, g_strdup(host));
}

static void add_hosts(GPtrArray *hosts, const GPtrArray *more)
{
	for (guint i = 0; i < more->len; i++)
		add_host(hosts, more->pdata[i]);
}

bool sync_record_is_told(const SyncRecord *record, const char *host)
{
	g_autoptr(GPtrArray) told = hosts_of(record->addresses);

	return is_among(told, host);
}

bool sync_record_take_addresses(SyncRecord *record, GVariant *addresses)
{
	if (!addresses_ok(addresses) || g_variant_equal(addresses, record->addresses))
		return false;
	g_autoptr(GPtrArray) old = hosts_of(record->addresses), now = hosts_of(addresses);
	g_autoptr(GPtrArray) before = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < old->len; i++)
		if (!is_among(now, old->pdata[i]))
			add_host(before, old->pdata[i]);
	g_ptr_array_add(before, NULL);
	g_strfreev(record->before);
	record->before = (char **)g_ptr_array_free(g_steal_pointer(&before), FALSE);
	g_variant_unref(record->addresses);
	record->addresses = g_variant_ref(addresses);
	return true;
}

bool sync_record_settle(SyncRecord *record, const char *const *configured)
{
	bool place = record->place && sync_record_is_told(record, record->place);
	g_autoptr(GStrvBuilder) still = g_strv_builder_new();
	guint n = 0;

	for (guint i = 0; record->before[i]; i++) {
		if (configured && g_strv_contains(configured, record->before[i]))
			g_strv_builder_add(still, record->before[i]);
		else
			n++;
	}
	if (n == 0 && !place)
		return false;
	g_strfreev(record->before);
	record->before = g_strv_builder_end(still);
	if (place)
		g_clear_pointer(&record->place, g_free);
	return true;
}

char *sync_record_pin(const SyncRecord *record)
{
	return record->next ? g_strdup_printf("%s %s", record->fingerprint, record->next) : g_strdup(record->fingerprint);
}

char **sync_record_hosts(const SyncRecord *record, const char *const *configured)
{
	g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) told = hosts_of(record->addresses);
	bool moved = !configured || !configured[0];

	add_host(hosts, record->place);
	for (guint i = 0; configured && configured[i]; i++) {
		g_autofree char *host = host_of(configured[i]);

		add_host(hosts, host);
		moved = moved || (host && g_strv_contains((const char *const *)record->before, host));
	}
	if (moved)
		add_hosts(hosts, told);
	for (guint i = 0; record->before[i]; i++)
		add_host(hosts, record->before[i]);
	g_ptr_array_add(hosts, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&hosts), FALSE);
}
