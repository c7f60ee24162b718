/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-message.c - messages both ways, their limits, the table of topics. */
#include <string.h>

#include "syncd/error.h"
#include "syncd/peer/message.h"

static GVariant *dict(const char *text)
{
	g_autoptr(GError) error = NULL;
	GVariant *value = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

	g_assert_no_error(error);
	return value;
}

static void test_round_trip(void)
{
	for (guint kind = SYNC_MESSAGE_PING; kind <= SYNC_MESSAGE_NO; kind++) {
		g_autoptr(GError) error = NULL;
		g_auto(SyncMessage) back = { 0 };
		const char *topic = kind == SYNC_MESSAGE_PUBLISH ? "state" : kind == SYNC_MESSAGE_REQUEST ? "swap" : "";
		g_autoptr(GVariant) value = dict("{'term': <uint64 7>, 'phase': <'take'>}");
		g_autoptr(GBytes) bytes = sync_message_encode(kind, topic, "run", 42, "a.b", value, &error);

		g_assert_no_error(error);
		g_assert_true(sync_message_decode(bytes, &back, &error));
		g_assert_no_error(error);
		g_assert_cmpint(back.kind, ==, kind);
		g_assert_cmpstr(back.topic, ==, topic);
		g_assert_cmpstr(back.run, ==, "run");
		g_assert_cmpuint(back.serial, ==, 42);
		g_assert_cmpstr(back.error, ==, "a.b");
		g_assert_true(g_variant_equal(back.value, value));
	}
}

static void test_too_large(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *long_text = g_strnfill(SYNC_MESSAGE_MAX, 'x');
	GVariantDict builder;

	g_variant_dict_init(&builder, NULL);
	g_variant_dict_insert(&builder, "x", "s", long_text);
	g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_dict_end(&builder));
	g_autoptr(GBytes) none = sync_message_encode(SYNC_MESSAGE_ANSWER, NULL, NULL, 1, NULL, value, &error);
	g_assert_null(none);
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	g_clear_error(&error);
	g_assert_false(sync_topic_check("state", value, &error));
	g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
}

static void test_topics(void)
{
	static const struct {
		const char *topic, *value;
		bool ok;
	} cases[] = {
		{ "state", "{'term': <uint64 1>, 'role': <'master'>, 'serving': <true>}", true },
		{ "state", "{'of a newer version': <(1, 2)>}", true },
		{ "state", "{'term': <1>}", false },
		{ "state", "{'pair_revision': <(uint64 1, 'a', uint64 2)>, 'addresses': <{'lan': ['192.0.2.1']}>}", true },
		{ "state", "{'pair_revision': <(uint64 1, 'a')>}", false },
		{ "sync", "{'stored': <{'config': 'x'}>}", true },
		{ "sync", "{'stored': <'x'>}", false },
		{ "swap", "{'phase': <'prepare'>}", true },
		{ "swap", "{'phase': <uint32 1>}", false },
		{ "nonsense", "{'a': <1>}", false },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GVariant) value = dict(cases[i].value);
		g_autoptr(GError) error = NULL;

		g_assert_cmpint(sync_topic_check(cases[i].topic, value, &error), ==, cases[i].ok);
		g_assert_cmpint(error == NULL, ==, cases[i].ok);
	}
	g_assert_true(sync_topic_is_published("state") && !sync_topic_is_requested("state"));
	g_assert_true(sync_topic_is_requested("swap") && !sync_topic_is_published("swap"));
	g_assert_false(sync_topic_is_requested("nonsense") || sync_topic_is_published("nonsense"));
}

static void test_misused(void)
{
	static const struct {
		SyncMessageKind kind;
		const char *topic;
	} cases[] = {
		{ SYNC_MESSAGE_PUBLISH, "swap" },
		{ SYNC_MESSAGE_REQUEST, "state" },
		{ SYNC_MESSAGE_PUBLISH, "nonsense" },
		{ SYNC_MESSAGE_REQUEST, "" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_auto(SyncMessage) back = { 0 };
		g_autoptr(GBytes) bytes = sync_message_encode(cases[i].kind, cases[i].topic, "r", 1, NULL, NULL, NULL);

		g_assert_false(sync_message_decode(bytes, &back, &error));
		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	}
}

static void test_mutations(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(2);
	g_autoptr(GVariant) value = dict("{'term': <uint64 7>, 'addresses': <{'lan': ['a', 'b']}>, 'role': <'master'>}");
	g_autoptr(GBytes) bytes = sync_message_encode(SYNC_MESSAGE_PUBLISH, "state", "run", 42, "", value, NULL);
	gsize length;
	const guint8 *data = g_bytes_get_data(bytes, &length);

	for (gsize cut = 0; cut < length; cut++) {
		g_autoptr(GBytes) part = g_bytes_new(data, cut);
		g_auto(SyncMessage) back = { 0 };
		(void)!sync_message_decode(part, &back, NULL);
	}
	for (guint i = 0; i < 20000; i++) {
		g_autofree guint8 *copy = g_memdup2(data, length);
		g_auto(SyncMessage) back = { 0 };
		guint n = g_rand_int_range(rand, 1, 4);

		while (n-- > 0)
			copy[g_rand_int_range(rand, 0, length)] = (guint8)g_rand_int_range(rand, 0, 256);
		g_autoptr(GBytes) changed = g_bytes_new(copy, length);
		(void)!sync_message_decode(changed, &back, NULL);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/message/round-trip", test_round_trip);
	g_test_add_func("/sync/message/too-large", test_too_large);
	g_test_add_func("/sync/message/topics", test_topics);
	g_test_add_func("/sync/message/misused", test_misused);
	g_test_add_func("/sync/message/mutations", test_mutations);
	return g_test_run();
}
