/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-record.c - what a peer may say of itself, and that it survives a restart. */
#include <glib/gstdio.h>

#include "syncd/error.h"
#include "syncd/peer/key.h"
#include "syncd/pairing/record.h"

#define FINGERPRINT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static GVariant *description(const char *addresses)
{
	g_autofree char *text = g_strdup_printf(
		"{'id': <'alpha'>, 'name': <'Alpha'>, 'model': <''>, 'version': <'1'>, 'addresses': <@a{sas} %s>, 'pair_conf': <'[pair]\\n'>}", addresses);
	g_autoptr(GError) error = NULL;
	GVariant *value = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

	g_assert_no_error(error);
	return value;
}

static void test_keep(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = g_dir_make_tmp("understudy-record-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "peer.json", NULL);
	g_autoptr(GVariant) said = description("{'lan': ['192.0.2.11/24'], 'peer': ['198.51.100.1/30']}");
	g_autoptr(SyncRecord) record = sync_record_new(said, FINGERPRINT, true, &error);

	g_assert_no_error(error);
	g_assert_true(record->joined);
	g_assert_cmpuint(record->offset, ==, 0);
	g_assert_false(record->first_sync_done);
	g_autoptr(GVariant) others = g_variant_ref_sink(g_variant_new_parsed("{'lan': ['192.0.2.12/24']}"));
	g_autoptr(SyncRecord) none = sync_record_load(path, &error);
	g_assert_no_error(error);
	g_assert_null(none);
	g_assert_true(sync_record_save(record, path, &error));
	record->next = g_strdup(FINGERPRINT);
	record->place = g_strdup("10.0.0.7");
	record->revoked = true;
	g_assert_true(sync_record_take_addresses(record, others));
	g_assert_true(sync_record_save(record, path, &error));
	g_autoptr(SyncRecord) back = sync_record_load(path, &error);
	g_assert_no_error(error);
	g_autoptr(GVariant) before = g_variant_ref_sink(sync_record_to_variant(record));
	g_autoptr(GVariant) after = g_variant_ref_sink(sync_record_to_variant(back));
	g_assert_true(g_variant_equal(before, after));
	g_assert_cmpstr(back->next, ==, FINGERPRINT);
	g_assert_cmpstr(back->pairing, ==, FINGERPRINT);
	g_assert_cmpstr(back->place, ==, "10.0.0.7");
	g_assert_true(back->revoked);
	g_assert_cmpstr(back->before[0], ==, record->before[0]);
	g_assert_cmpuint(g_strv_length(back->before), ==, 2);
	g_assert_cmpstr(back->pair_conf, ==, "[pair]\n");
	g_unlink(path);
	g_rmdir(folder);
}

static void count_saved(const GError *error, gpointer n)
{
	g_assert_no_error(error);
	(*(guint *)n)++;
}

/* In the order of the orders, whoever is first; and what has gone does not come back. */
static void test_soon(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = g_dir_make_tmp("understudy-record-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "peer.json", NULL);
	g_autoptr(GVariant) said = description("{'lan': ['192.0.2.11/24']}");
	g_autoptr(SyncRecord) record = sync_record_new(said, FINGERPRINT, true, &error);
	guint n = 0;

	for (guint i = 0; i < 50; i++) {
		g_autofree char *place = g_strdup_printf("10.0.0.%u", i);

		g_free(record->place);
		record->place = g_strdup(place);
		sync_record_save_soon(record, path, count_saved, &n);
		if (i % 7 == 3)
			g_assert_true(sync_record_save(record, path, &error));
	}
	while (n < 50)
		g_main_context_iteration(NULL, TRUE);
	g_autoptr(SyncRecord) back = sync_record_load(path, &error);
	g_assert_cmpstr(back->place, ==, "10.0.0.49");
	sync_record_save_soon(record, path, count_saved, &n);
	sync_record_save_no_more();
	g_unlink(path);
	while (n < 51)
		g_main_context_iteration(NULL, TRUE);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	g_rmdir(folder);
}

static void test_hosts(void)
{
	static const char *const configured[] = { "203.0.113.1", NULL };
	g_autoptr(GVariant) said = description("{'lan': ['192.0.2.11/24'], 'peer': ['198.51.100.1/30']}");
	g_autoptr(SyncRecord) record = sync_record_new(said, FINGERPRINT, false, NULL);
	g_auto(GStrv) own = sync_record_hosts(record, NULL);
	g_auto(GStrv) given = sync_record_hosts(record, configured);

	g_assert_null(record->pair_conf);
	g_assert_cmpuint(record->offset, ==, 1);
	g_assert_cmpstr(own[0], ==, "198.51.100.1");
	g_assert_cmpstr(own[1], ==, "192.0.2.11");
	g_assert_null(own[2]);
	g_assert_cmpstr(given[0], ==, "203.0.113.1");
	g_assert_null(given[1]);
}

static GVariant *places(const char *text)
{
	return g_variant_parse(G_VARIANT_TYPE("a{sas}"), text, NULL, NULL, NULL);
}

static char *hosts(const SyncRecord *record, const char *const *configured)
{
	g_auto(GStrv) all = sync_record_hosts(record, configured);

	return g_strjoinv(" ", all);
}

#define assert_hosts(record, configured, expected) \
	do { \
		g_autofree char *all = hosts(record, configured); \
		g_assert_cmpstr(all, ==, expected); \
	} while (0)

static void test_moved(void)
{
	static const char *const configured[] = { "198.51.100.1", NULL };
	g_autoptr(GVariant) said = description("{'lan': ['192.0.2.11/24'], 'peer': ['198.51.100.1/30']}");
	g_autoptr(GVariant) moved = places("{'lan': ['192.0.2.11/24'], 'peer': ['198.51.100.9/30']}");
	g_autoptr(GVariant) nonsense = places("{'lan': ['there']}");
	g_autoptr(SyncRecord) record = sync_record_new(said, FINGERPRINT, false, NULL);

	g_assert_false(sync_record_take_addresses(record, nonsense));
	g_assert_false(sync_record_settle(record, NULL));
	g_assert_true(sync_record_take_addresses(record, moved));
	g_assert_false(sync_record_take_addresses(record, moved));
	/* Until it is found there, it is looked for at both. */
	assert_hosts(record, NULL, "198.51.100.9 192.0.2.11 198.51.100.1");
	assert_hosts(record, configured, "198.51.100.1 198.51.100.9 192.0.2.11");
	/* What device.conf still names stays known as left. */
	g_assert_false(sync_record_settle(record, configured));
	assert_hosts(record, configured, "198.51.100.1 198.51.100.9 192.0.2.11");
	g_assert_true(sync_record_settle(record, NULL));
	assert_hosts(record, NULL, "198.51.100.9 192.0.2.11");
}

static void test_place(void)
{
	static const char *const configured[] = { "203.0.113.1", NULL };
	g_autoptr(GVariant) said = description("{'lan': ['192.0.2.11/24']}");
	g_autoptr(GVariant) moved = places("{'lan': ['10.0.0.7/8']}");
	g_autoptr(SyncRecord) record = sync_record_new(said, FINGERPRINT, false, NULL);

	record->place = g_strdup("10.0.0.7");
	assert_hosts(record, NULL, "10.0.0.7 192.0.2.11");
	assert_hosts(record, configured, "10.0.0.7 203.0.113.1");
	/* Behind an address translation it never says so itself: kept. */
	g_assert_false(sync_record_settle(record, NULL));
	g_assert_true(sync_record_take_addresses(record, moved));
	g_assert_true(sync_record_settle(record, NULL));
	g_assert_null(record->place);
	assert_hosts(record, NULL, "10.0.0.7");
}

static void test_pins(void)
{
	static const char other[] = "ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	g_autoptr(GVariant) said = description("{'lan': ['192.0.2.11/24']}");
	g_autoptr(SyncRecord) record = sync_record_new(said, FINGERPRINT, false, NULL);
	g_autofree char *one = sync_record_pin(record);

	record->next = g_strdup(other);
	g_autofree char *two = sync_record_pin(record);
	g_assert_true(sync_key_is_pinned(one, FINGERPRINT));
	g_assert_false(sync_key_is_pinned(one, other));
	g_assert_true(sync_key_is_pinned(two, FINGERPRINT) && sync_key_is_pinned(two, other));
	g_assert_false(sync_key_is_pinned(two, "ffff"));
	g_assert_false(sync_key_is_pinned(two, two));
	g_assert_false(sync_key_is_pinned("", FINGERPRINT));
	g_assert_true(sync_key_is_pinned(NULL, FINGERPRINT));
}

static void test_refused(void)
{
	static const char *const addresses[] = { "{}", "{'lan': ['nonsense']}", "{'lan': ['192.0.2.1/24', '']}", NULL };

	for (guint i = 0; addresses[i]; i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GVariant) said = description(addresses[i]);
		g_autoptr(SyncRecord) record = sync_record_new(said, FINGERPRINT, true, &error);

		g_assert_null(record);
		g_assert_error(error, SYNC_ERROR, SYNC_ERROR_BAD);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sync/record/keep", test_keep);
	g_test_add_func("/sync/record/soon", test_soon);
	g_test_add_func("/sync/record/hosts", test_hosts);
	g_test_add_func("/sync/record/moved", test_moved);
	g_test_add_func("/sync/record/place", test_place);
	g_test_add_func("/sync/record/pins", test_pins);
	g_test_add_func("/sync/record/refused", test_refused);
	return g_test_run();
}
