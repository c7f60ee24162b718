/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/record.c - the pairing record, as JSON on disk. */
#include "record.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "path.h"
#include "settings/ip.h"

enum { TEXT_MAX = 256, PAIR_CONF_MAX = 128 * 1024, ADDRESSES_MAX = 32 };

void sync_record_free(SyncRecord *record)
{
	if (!record)
		return;
	g_free(record->id);
	g_free(record->name);
	g_free(record->model);
	g_free(record->version);
	g_free(record->fingerprint);
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
	record->fingerprint = g_strdup(fingerprint);
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
	record->pair_conf = member(object, "pair_conf");
	record->joined = member_flag(object, "joined");
	record->first_sync_done = member_flag(object, "first_sync_done");
	record->offset = record->joined ? 0 : 1;
	record->addresses = read_addresses(addresses);
	if (!record->addresses || !record->id || !record->fingerprint || strlen(record->fingerprint) != 64) {
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

bool sync_record_save(const SyncRecord *record, const char *path, GError **error)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();

	json_builder_begin_object(builder);
	add_text(builder, "peer_id", record->id);
	add_text(builder, "peer_name", record->name);
	add_text(builder, "peer_model", record->model);
	add_text(builder, "peer_version", record->version);
	add_text(builder, "peer_fingerprint", record->fingerprint);
	add_text(builder, "pair_conf", record->pair_conf);
	json_builder_set_member_name(builder, "joined");
	json_builder_add_boolean_value(builder, record->joined);
	json_builder_set_member_name(builder, "first_sync_done");
	json_builder_add_boolean_value(builder, record->first_sync_done);
	json_builder_set_member_name(builder, "peer_addresses");
	json_builder_add_value(builder, json_gvariant_serialize(record->addresses));
	json_builder_end_object(builder);
	g_autoptr(JsonNode) root = json_builder_get_root(builder);
	g_autofree char *text = json_to_string(root, TRUE);
	return sync_file_write(path, text, strlen(text), 0600, error);
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
		g_variant_builder_add(&builder, "{sv}", "joined", g_variant_new_boolean(record->joined));
		if (record->pair_conf)
			g_variant_builder_add(&builder, "{sv}", "pair_conf", g_variant_new_string(record->pair_conf));
	}
	return g_variant_builder_end(&builder);
}

char **sync_record_hosts(const SyncRecord *record, const char *const *configured)
{
	g_autoptr(GStrvBuilder) first = g_strv_builder_new();
	g_autoptr(GPtrArray) rest = g_ptr_array_new_with_free_func(g_free);
	GVariantIter iter;
	const char *name;
	GVariant *list;

	if (configured && configured[0]) {
		for (guint i = 0; configured[i]; i++) {
			g_autofree char *host = host_of(configured[i]);
			if (host)
				g_strv_builder_add(first, host);
		}
		return g_strv_builder_end(first);
	}
	g_variant_iter_init(&iter, record->addresses);
	while (g_variant_iter_next(&iter, "{&s@as}", &name, &list)) {
		g_autofree const char **hosts = g_variant_get_strv(list, NULL);

		for (guint i = 0; hosts[i]; i++) {
			char *host = host_of(hosts[i]);

			if (host && g_str_equal(name, "peer")) {
				g_strv_builder_add(first, host);
				g_free(host);
			} else if (host) {
				g_ptr_array_add(rest, host);
			}
		}
		g_variant_unref(list);
	}
	for (guint i = 0; i < rest->len; i++)
		g_strv_builder_add(first, rest->pdata[i]);
	return g_strv_builder_end(first);
}
