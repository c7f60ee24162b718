/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-message.c - messages of the peer link, and the description that pairing takes out of one. */
#include "fuzz.h"
#include "syncd/peer/message.h"
#include "syncd/pairing/record.h"

static void check_description(GVariant *description)
{
	static const char fingerprint[] = "0000000000000000000000000000000000000000000000000000000000000000";
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncRecord) record = sync_record_new(description, fingerprint, true, &error);

	if (!record) {
		fuzz_check_error(error);
		return;
	}
	g_autoptr(GVariant) shown = g_variant_ref_sink(sync_record_to_variant(record));
	g_assert_true(g_variant_is_normal_form(shown));
	g_auto(GStrv) hosts = sync_record_hosts(record, NULL);
	g_assert_nonnull(hosts[0]);
	for (guint i = 0; hosts[i]; i++)
		g_assert_true(g_hostname_is_ip_address(hosts[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GBytes) bytes = g_bytes_new(data, size);
	g_autoptr(GError) error = NULL;
	g_auto(SyncMessage) message = { 0 };

	if (!sync_message_decode(bytes, &message, &error)) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	if (message.kind == SYNC_MESSAGE_PUBLISH)
		g_assert_true(sync_topic_is_published(message.topic));
	if (message.kind == SYNC_MESSAGE_REQUEST)
		g_assert_true(sync_topic_is_requested(message.topic));
	g_autoptr(GBytes) again = sync_message_encode(message.kind, message.topic, message.run, message.serial, message.error,
						      message.value, &error);
	g_assert_no_error(error);
	g_assert_true(g_bytes_equal(again, bytes)); /* the normal form is the only one */
	check_description(message.value);
	return 0;
}
