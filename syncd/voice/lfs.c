/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/voice/lfs.c - batches and ranges. */
#include "syncd/voice/lfs.h"

#include <json-glib/json-glib.h>
#include <string.h>

#include "syncd/error.h"
#include "syncd/voice/pointer.h"

enum { NAME_MAX_LENGTH = 300, DEPTH_MAX = 8 };

static char *text_of(JsonBuilder *builder)
{
	g_autoptr(JsonNode) root = json_builder_get_root(builder);

	return json_to_string(root, FALSE);
}

static void say(JsonBuilder *builder, const char *name, const char *value)
{
	json_builder_set_member_name(builder, name);
	json_builder_add_string_value(builder, value);
}

static void say_number(JsonBuilder *builder, const char *name, gint64 value)
{
	json_builder_set_member_name(builder, name);
	json_builder_add_int_value(builder, value);
}

/* ---- batches ---- */

static bool bad(GError **error, const char *what)
{
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "not a batch request: %s", what);
	return false;
}

/* json-glib calls itself for each level. */
static bool too_deep(const char *text, gsize length)
{
	bool quoted = false;
	int depth = 0;

	for (gsize i = 0; i < length; i++) {
		if (quoted) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				quoted = false;
			continue;
		}
		if (text[i] == '"')
			quoted = true;
		else if (text[i] == '[' || text[i] == '{')
			depth++;
		else if (text[i] == ']' || text[i] == '}')
			depth--;
		if (depth > DEPTH_MAX)
			return true;
	}
	return false;
}

static const char *string_of(JsonObject *object, const char *name)
{
	JsonNode *node = json_object_get_member(object, name);

	return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

static bool read_object(JsonNode *node, const char **ret_id, gint64 *ret_size, GError **error)
{
	if (!JSON_NODE_HOLDS_OBJECT(node))
		return bad(error, "an object is none");
	JsonObject *object = json_node_get_object(node);
	JsonNode *size = json_object_get_member(object, "size");
	*ret_id = string_of(object, "oid");
	if (!*ret_id || !sync_object_id_ok(*ret_id))
		return bad(error, "an object without a proper id");
	if (!size || json_node_get_value_type(size) != G_TYPE_INT64 || json_node_get_int(size) < 0)
		return bad(error, "an object without a proper size");
	*ret_size = json_node_get_int(size);
	return true;
}

static void answer_object(JsonBuilder *builder, const char *id, gint64 asked, const char *base, SyncBatchSize size_of, gpointer user_data)
{
	guint64 size = 0;
	bool there = size_of(id, &size, user_data) && size == (guint64)asked;

	json_builder_begin_object(builder);
	say(builder, "oid", id);
	say_number(builder, "size", asked);
	json_builder_set_member_name(builder, there ? "actions" : "error");
	json_builder_begin_object(builder);
	if (there) {
		g_autofree char *link = g_strdup_printf("%s/%s", base, id);
		json_builder_set_member_name(builder, "download");
		json_builder_begin_object(builder);
		say(builder, "href", link);
		json_builder_end_object(builder);
	} else {
		say_number(builder, "code", 404);
		say(builder, "message", "the object is not here");
	}
	json_builder_end_object(builder);
	json_builder_end_object(builder);
}

static bool basic_is_offered(JsonObject *request, GError **error)
{
	JsonNode *node = json_object_get_member(request, "transfers");

	/* Without the member it is "basic" that is meant. */
	if (!node)
		return true;
	if (!JSON_NODE_HOLDS_ARRAY(node))
		return bad(error, "transfers");
	JsonArray *transfers = json_node_get_array(node);
	for (guint i = 0; i < json_array_get_length(transfers); i++) {
		JsonNode *each = json_array_get_element(transfers, i);

		if (json_node_get_value_type(each) == G_TYPE_STRING && g_str_equal(json_node_get_string(each), "basic"))
			return true;
	}
	return bad(error, "only the basic transfer is served");
}

char *sync_batch_answer(const char *request, gsize length, const char *base, SyncBatchSize size_of, gpointer user_data, GError **error)
{
	g_autoptr(JsonParser) parser = json_parser_new();
	g_autoptr(JsonBuilder) builder = json_builder_new();

	if (length > SYNC_BATCH_MAX || too_deep(request, length) || memchr(request, '\0', length) || !g_utf8_validate(request, (gssize)length, NULL) ||
	    !json_parser_load_from_data(parser, request, (gssize)length, NULL)) {
		bad(error, "not JSON");
		return NULL;
	}
	JsonNode *root = json_parser_get_root(parser);
	if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
		bad(error, "not an object");
		return NULL;
	}
	JsonObject *top = json_node_get_object(root);
	const char *operation = string_of(top, "operation");
	JsonNode *objects_node = json_object_get_member(top, "objects");
	if (!operation || !objects_node || !JSON_NODE_HOLDS_ARRAY(objects_node)) {
		bad(error, "no operation or no objects");
		return NULL;
	}
	if (!g_str_equal(operation, "download")) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "read-only: objects are only given");
		return NULL;
	}
	JsonArray *objects = json_node_get_array(objects_node);
	if (json_array_get_length(objects) > SYNC_BATCH_OBJECTS_MAX) {
		bad(error, "too many objects");
		return NULL;
	}
	if (!basic_is_offered(top, error))
		return NULL;
	json_builder_begin_object(builder);
	say(builder, "transfer", "basic");
	say(builder, "hash_algo", "sha256");
	json_builder_set_member_name(builder, "objects");
	json_builder_begin_array(builder);
	for (guint i = 0; i < json_array_get_length(objects); i++) {
		const char *id;
		gint64 size;

		if (!read_object(json_array_get_element(objects, i), &id, &size, error))
			return NULL;
		answer_object(builder, id, size, base, size_of, user_data);
	}
	json_builder_end_array(builder);
	json_builder_end_object(builder);
	return text_of(builder);
}

char *sync_batch_error(const char *message)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();

	json_builder_begin_object(builder);
	say(builder, "message", message);
	json_builder_end_object(builder);
	return text_of(builder);
}

bool sync_host_ok(const char *host)
{
	gsize length = strlen(host);

	return length > 0 && length <= NAME_MAX_LENGTH &&
	       strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") == length;
}

/* ---- ranges ---- */

/* Digits only, no sign, no blank. */
static bool number(const char **at, guint64 *ret_number)
{
	gsize digits = strspn(*at, "0123456789");
	g_autofree char *text = g_strndup(*at, digits);

	*at += digits;
	return digits > 0 && g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT64, ret_number, NULL);
}

SyncRangeKind sync_range_parse(const char *text, guint64 size, guint64 *ret_first, guint64 *ret_last)
{
	guint64 first, last = G_MAXINT64;

	*ret_first = 0;
	*ret_last = size ? size - 1 : 0;
	if (!text || !g_str_has_prefix(text, "bytes="))
		return SYNC_RANGE_WHOLE;
	text += strlen("bytes=");
	if (!number(&text, &first) || *text++ != '-' || (*text && !number(&text, &last)) || *text || last < first)
		return SYNC_RANGE_WHOLE;
	if (first >= size)
		return SYNC_RANGE_NONE;
	*ret_first = first;
	*ret_last = MIN(last, size - 1);
	return SYNC_RANGE_PART;
}

bool sync_range_answered(guint status, gint64 length, gint64 first, gint64 total, guint64 from, guint64 size, guint64 *ret_at, GError **error)
{
	if (status == 404) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_NOT_FOUND, "the peer has no such object any more");
		return false;
	}
	if (status != 200 && status != 206) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "the peer answers with status %u", status);
		return false;
	}
	*ret_at = status == 200 ? 0 : from;
	if (length < 0 || (guint64)length != size - *ret_at || (status == 206 && (first < 0 || (guint64)first != from || total < 0 || (guint64)total != size))) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "the peer promises other bytes than were asked for");
		return false;
	}
	return true;
}
