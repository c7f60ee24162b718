/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/message.c - messages as GVariant in little-endian normal form, and the table of topics of docs/contracts.md. */
#include "syncd/peer/message.h"

#include <string.h>

#include "syncd/error.h"

#define TYPE "(yssts@a{sv})"

enum { LAST_KIND = SYNC_MESSAGE_NO, VALUE_MAX = SYNC_MESSAGE_MAX - 4096 };

typedef struct {
	const char *key;
	const char *type;
} TopicKey;

/* Keys that are not here may be sent too (a newer version's); those that are must have their type, or be absent. */
static const TopicKey state_keys[] = {
	{ "id", "s" },       { "name", "s" },      { "version", "s" },   { "model", "s" },         { "role", "s" },
	{ "mode", "s" },     { "term", "t" },      { "term_id", "s" },   { "pair_hash", "s" },     { "pair_revision", "(tst)" }, { "pair_finding", "s" },
	{ "serving", "b" },  { "boot_ms", "x" },   { "addresses", "a{sas}" }, { "stored", "a{ss}" }, { "applied", "a{ss}" },
	{ "link_alive", "b" }, { "link_locals", "a{ss}" }, { NULL, NULL },
};
static const TopicKey sync_keys[] = {
	{ "stored", "a{ss}" }, { "applied", "a{ss}" }, { "role", "s" }, { "term", "t" }, { "term_id", "s" },
	{ "numbers", "a{st}" }, { "changes", "a{sv}" }, { NULL, NULL },
};
static const TopicKey swap_keys[] = { { "phase", "s" }, { NULL, NULL } };
static const TopicKey mode_keys[] = { { "mode", "s" }, { NULL, NULL } };
static const TopicKey timeline_keys[] = { { "transitions", "aa{sv}" }, { NULL, NULL } };
static const TopicKey doctor_keys[] = { { "findings", "aa{sv}" }, { "applications", "a{ss}" }, { NULL, NULL } };
static const TopicKey clock_keys[] = { { "time_ms", "x" }, { NULL, NULL } };
static const TopicKey drill_keys[] = { { "phase", "s" }, { "report", "a{sv}" }, { NULL, NULL } };
static const TopicKey settings_keys[] = { { "phase", "s" }, { "pair_conf", "s" }, { "revision", "(tst)" }, { "hash", "s" }, { NULL, NULL } };

static const TopicKey device_keys[] = {
	{ "key", "s" }, { "next", "s" }, { "accepts", "as" }, { "addresses", "a{sas}" }, { "knows", "a{sas}" }, { NULL, NULL },
};
static const TopicKey verify_keys[] = { { "ask", "t" }, { "answer", "t" }, { "progress", "d" }, { "sets", "aa{sv}" }, { NULL, NULL } };
static const TopicKey events_keys[] = { { "store", "s" }, { "newest", "t" }, { "change", "t" }, { NULL, NULL } };
static const TopicKey outbox_keys[] = {
	{ "store", "s" }, { "event", "t" }, { "change", "t" }, { "events", "a(tbxyssssssbb)" }, { "rows", "a(tssassuybbuxxxss)" }, { "more", "b" }, { NULL, NULL },
};
static const TopicKey unpair_keys[] = { { NULL, NULL } };

static const struct {
	const char *topic;
	bool published;
	const TopicKey *keys;
	bool own;
} topics[] = {
	{ "state", true, state_keys },	      { "sync", true, sync_keys, true },
	{ "swap", false, swap_keys },	      { "mode", false, mode_keys },
	{ "timeline", false, timeline_keys }, { "settings", false, settings_keys },
	{ "doctor", true, doctor_keys },      { "clock", false, clock_keys },
	{ "drill", false, drill_keys },	      { "events", true, events_keys },
	{ "outbox", false, outbox_keys },
	{ "device", true, device_keys, true }, { "unpair", false, unpair_keys, true },
	{ "verify", true, verify_keys, true },
};

void sync_message_clear(SyncMessage *message)
{
	g_clear_pointer(&message->topic, g_free);
	g_clear_pointer(&message->run, g_free);
	g_clear_pointer(&message->error, g_free);
	g_clear_pointer(&message->value, g_variant_unref);
}

static int topic_index(const char *topic)
{
	for (guint i = 0; i < G_N_ELEMENTS(topics); i++)
		if (g_str_equal(topic, topics[i].topic))
			return i;
	return -1;
}

bool sync_topic_is_published(const char *topic)
{
	int i = topic_index(topic);

	return i >= 0 && topics[i].published;
}

bool sync_topic_is_requested(const char *topic)
{
	int i = topic_index(topic);

	return i >= 0 && !topics[i].published;
}

bool sync_topic_is_own(const char *topic)
{
	int i = topic_index(topic);

	return i >= 0 && topics[i].own;
}

bool sync_topic_check(const char *topic, GVariant *value, GError **error)
{
	int i = topic_index(topic);

	if (i < 0) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "there is no such topic");
		return false;
	}
	if (g_variant_get_size(value) > VALUE_MAX) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "a value of %s is too large", topics[i].topic);
		return false;
	}
	for (const TopicKey *key = topics[i].keys; key->key; key++) {
		g_autoptr(GVariant) found = g_variant_lookup_value(value, key->key, NULL);

		if (found && !g_variant_is_of_type(found, G_VARIANT_TYPE(key->type))) {
			g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "%s of %s must be of type %s", key->key, topics[i].topic, key->type);
			return false;
		}
	}
	return true;
}

GBytes *sync_message_encode(SyncMessageKind kind, const char *topic, const char *run, guint64 serial, const char *error_name,
			    GVariant *value, GError **error)
{
	g_autoptr(GVariant) dict = g_variant_ref_sink(value ? value : g_variant_new("a{sv}", NULL));
	g_autoptr(GVariant) whole = g_variant_ref_sink(g_variant_new(TYPE, (guchar)kind, topic ? topic : "", run ? run : "", serial,
								     error_name ? error_name : "", dict));

	if (g_variant_get_size(whole) > SYNC_MESSAGE_MAX) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "a message of %" G_GSIZE_FORMAT " bytes is too large",
			    g_variant_get_size(whole));
		return NULL;
	}
	g_autoptr(GVariant) wire = g_variant_get_normal_form(whole);
	if (G_BYTE_ORDER == G_BIG_ENDIAN) {
		GVariant *swapped = g_variant_byteswap(wire);
		g_variant_unref(wire);
		wire = swapped;
	}
	return g_variant_get_data_as_bytes(wire);
}

static bool bad(GError **error, const char *reason)
{
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "malformed message: %s", reason);
	return false;
}

bool sync_message_decode(GBytes *bytes, SyncMessage *ret_message, GError **error)
{
	if (g_bytes_get_size(bytes) > SYNC_MESSAGE_MAX)
		return bad(error, "too large");
	/* GVariant wants its data aligned to 8; a copy always is. */
	g_autoptr(GBytes) copy = g_bytes_new(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
	g_autoptr(GVariant) whole = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE("(ysstsa{sv})"), copy, FALSE));
	if (!g_variant_is_normal_form(whole))
		return bad(error, "not in normal form");
	if (G_BYTE_ORDER == G_BIG_ENDIAN) {
		GVariant *swapped = g_variant_byteswap(whole);
		g_variant_unref(whole);
		whole = swapped;
	}
	guchar kind;
	g_auto(SyncMessage) message = { 0 };
	g_variant_get(whole, TYPE, &kind, &message.topic, &message.run, &message.serial, &message.error, &message.value);
	if (kind > LAST_KIND)
		return bad(error, "unknown kind");
	message.kind = kind;
	if (kind == SYNC_MESSAGE_PUBLISH || kind == SYNC_MESSAGE_REQUEST) {
		if (sync_topic_is_published(message.topic) != (kind == SYNC_MESSAGE_PUBLISH) && topic_index(message.topic) >= 0)
			return bad(error, "topic is not used like this");
		if (!sync_topic_check(message.topic, message.value, error))
			return false;
	}
	*ret_message = message;
	memset(&message, 0, sizeof message);
	return true;
}
