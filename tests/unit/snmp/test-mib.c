/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the daemons have said, as instances: known, unknown, and nonsense. */
#include <string.h>

#include "snmp/mib.h"

static const Oid root = { 2, { 1, 9 } };

static GVariant *dictionary(const char *text)
{
	g_autoptr(GError) error = NULL;
	GVariant *value = g_variant_parse(NULL, text, NULL, NULL, &error);

	g_assert_no_error(error);
	return value;
}

static const MibValue *at(const MibView *view, const char *text)
{
	Oid oid;

	g_assert_true(oid_parse(text, &oid));
	return mib_view_get(view, &oid);
}

static void check_number(const MibView *view, const char *text, guint64 number)
{
	const MibValue *value = at(view, text);

	g_assert_nonnull(value);
	g_assert_cmpuint(value->number, ==, number);
}

static void check_text(const MibView *view, const char *text, const char *expected)
{
	const MibValue *value = at(view, text);
	gsize n;

	g_assert_nonnull(value);
	const char *octets = g_bytes_get_data(value->octets, &n);
	g_assert_cmpmem(octets, n, expected, strlen(expected));
}

/* Nothing is known: the role and mode say so, and so do the four of understudySeen. */
static void test_unknown(void)
{
	g_autoptr(MibView) view = mib_view_new();
	const MibFacts facts = { .now_ms = 1 };

	mib_add_understudy(view, &root, &facts);
	mib_add_vrrp(view, &facts);
	mib_view_sort(view);
	g_assert_cmpuint(mib_view_n(view), ==, 6);
	check_number(view, "1.9.1.1.4.0", 1);
	check_number(view, "1.9.1.1.7.0", 1);
	for (guint i = 1; i <= 4; i++) {
		g_autofree char *name = g_strdup_printf("1.9.1.8.%u.0", i);

		check_number(view, name, 2);
	}
}

static void test_roles(void)
{
	static const char *const roles[] = { "standalone", "init", "backup", "taking-over", "master", "handing-over", "fault", "of another version" };

	for (guint i = 0; i < G_N_ELEMENTS(roles); i++) {
		g_autoptr(MibView) view = mib_view_new();
		g_autofree char *text = g_strdup_printf("{'Role': <'%s'>}", roles[i]);
		g_autoptr(GVariant) supervisor = dictionary(text);
		const MibFacts facts = { .supervisor = supervisor };

		mib_add_understudy(view, &root, &facts);
		mib_view_sort(view);
		check_number(view, "1.9.1.1.4.0", i < 7 ? i + 2 : 1);
	}
}

static void test_sync_and_takeover(void)
{
	g_autoptr(MibView) view = mib_view_new();
	g_autoptr(GVariant) sync = dictionary("{'Stored': <{'config': 'abc'}>, 'RecoveryPoint': <{'config': {'stored_changes': <uint64 3>, 'stored_since_ms': <int64 5000>, "
					      "'applied_changes': <uint64 5000000000>, 'exact': <false>}}>}");
	g_autoptr(GVariant) timeline = dictionary("[{'old': <'taking-over'>, 'new': <'master'>, 'device': <'a'>, 'time_ms': <int64 1000>, 'evidence': <{'took_ms': <41.7>}>},"
						  " {'old': <'master'>, 'new': <'backup'>, 'device': <'a'>},"
						  " {'old': <'taking-over'>, 'new': <'master'>, 'device': <'b'>, 'term': <uint64 9>, 'evidence': <{'took_ms': <99.9>}>},"
						  " {'old': <'init'>, 'new': <'backup'>, 'device': <'a'>}]");
	const MibFacts facts = { .sync = sync, .timeline = timeline, .now_ms = 65000 };

	mib_add_understudy(view, &root, &facts);
	mib_view_sort(view);
	check_text(view, "1.9.1.3.5.1.2.6.99.111.110.102.105.103", "abc");
	check_number(view, "1.9.1.3.5.1.6.6.99.111.110.102.105.103", 3);
	check_number(view, "1.9.1.3.5.1.7.6.99.111.110.102.105.103", G_MAXUINT32);
	check_number(view, "1.9.1.3.5.1.8.6.99.111.110.102.105.103", 60);
	check_number(view, "1.9.1.3.5.1.9.6.99.111.110.102.105.103", 0);
	check_number(view, "1.9.1.3.5.1.10.6.99.111.110.102.105.103", 2);
	g_assert_null(at(view, "1.9.1.3.5.1.2.5.118.111.105.99.101")); /* no voice */
	check_text(view, "1.9.1.5.3.0", "b");
	check_number(view, "1.9.1.5.2.0", 99);
	check_number(view, "1.9.1.5.5.0", 9);
	g_assert_null(at(view, "1.9.1.5.1.0")); /* when is not known */
}

static void test_tables(void)
{
	g_autoptr(MibView) view = mib_view_new();
	g_autoptr(GPtrArray) applications = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	g_autoptr(GVariant) notify = dictionary("{'Unread': <uint32 2>, 'Count': <uint32 3>}");
	g_autoptr(GVariant) events = dictionary("[{'id': <uint64 41>, 'status': <'new'>, 'priority': <byte 3>, 'name': <'down\\n'>}, {'id': <uint64 0>}, {'id': <uint64 4294967296>}]");
	g_autoptr(GVariant) findings = dictionary("[{'code': <'x'>, 'severity': <'error'>}, {'code': <'y'>, 'severity': <'warning'>}]");
	g_autofree char *long_name = g_strnfill(101, 'n'), *long_text = g_strdup_printf("{'Name': <'%s'>}", long_name);

	g_ptr_array_add(applications, dictionary("{'Name': <'ab'>, 'State': <'failed'>, 'Pid': <uint32 77>}"));
	g_ptr_array_add(applications, dictionary(long_text)); /* too long for an index */
	g_ptr_array_add(applications, dictionary("{'Name': <7>}"));
	const MibFacts facts = { .applications = applications, .notify = notify, .events = events, .findings = findings, .raised = { 1, 2, 4294967297 }, .raised_ticks = 77 };

	mib_add_understudy(view, &root, &facts);
	mib_view_sort(view);
	check_number(view, "1.9.1.4.1.1.3.2.97.98", 8);
	check_number(view, "1.9.1.4.1.1.4.2.97.98", 77);
	check_number(view, "1.9.1.6.1.0", 1);
	check_number(view, "1.9.1.6.2.0", 1);
	check_text(view, "1.9.1.6.3.1.2.2", "y");
	check_number(view, "1.9.1.7.1.0", 2);
	check_number(view, "1.9.1.7.6.0", 1); /* a counter wraps */
	check_number(view, "1.9.1.7.10.0", 77);
	check_number(view, "1.9.1.7.7.1.3.41", 1);
	check_number(view, "1.9.1.7.7.1.4.41", 3);
	check_text(view, "1.9.1.7.7.1.6.41", "down ");
	g_assert_null(at(view, "1.9.1.7.7.1.3.0"));
}

#define ELECTION "{'State': <'%s'>, 'Priority': <byte 170>, 'SinceUs': <int64 1000000>, 'Paths': <[{'electing': <false>, 'interface': <'wan'>, 'address': <'198.51.100.1'>}," \
		 "{'electing': <true>, 'interface': <'lan'>, 'address': <'%s'>}]>}"
#define VRRP "{'GroupId': <byte 51>, 'Version': <byte %u>, 'VirtualMac': <'00:00:5e:00:01:33'>, 'AdvertIntervalMs': <uint32 2000>, 'MasterAddress': <'192.0.2.12'>," \
	     "'Counters': <{'received': uint64 5, 'drop-checksum': 4294967298}>}"
#define SUPERVISOR "{'ServiceAddresses': <['192.0.2.10/24 lan', '198.51.100.9/24 wan', '2001:db8::10/64 lan', 'nonsense']>}"

static MibView *router(const char *state, const char *own, guint version)
{
	MibView *view = mib_view_new();
	g_autofree char *election_text = g_strdup_printf(ELECTION, state, own), *vrrp_text = g_strdup_printf(VRRP, version);
	g_autoptr(GVariant) supervisor = dictionary(SUPERVISOR), election = dictionary(election_text), vrrp = dictionary(vrrp_text);
	const MibFacts facts = { .supervisor = supervisor, .election = election, .vrrp = vrrp, .interface = 3, .boot_us = 11000000, .router_ticks = 12345 };

	mib_add_vrrp(view, &facts);
	mib_view_sort(view);
	return view;
}

static void check_address(const MibView *view, const char *text, guint8 last)
{
	const MibValue *value = at(view, text);
	const guint8 expected[] = { 192, 0, 2, last };
	gsize n;

	g_assert_nonnull(value);
	const void *octets = g_bytes_get_data(value->octets, &n);
	g_assert_cmpmem(octets, n, expected, sizeof(expected));
}

static void test_router(void)
{
	g_autoptr(MibView) backup = router("backup", "192.0.2.11", 3), master = router("master", "192.0.2.11", 3), v2 = router("backup", "192.0.2.11", 2);
	g_autoptr(MibView) v6 = router("master", "fe80::1", 3);

	check_number(backup, "1.3.6.1.2.1.207.1.1.1.1.6.3.51.1", 2);
	check_address(backup, "1.3.6.1.2.1.207.1.1.1.1.3.3.51.1", 12);
	check_address(backup, "1.3.6.1.2.1.207.1.1.1.1.4.3.51.1", 11);
	check_number(backup, "1.3.6.1.2.1.207.1.1.1.1.9.3.51.1", 200);
	check_number(backup, "1.3.6.1.2.1.207.1.1.1.1.12.3.51.1", 1000);
	check_number(backup, "1.3.6.1.2.1.207.1.1.1.1.8.3.51.1", 1);
	check_number(backup, "1.3.6.1.2.1.207.1.1.2.1.2.3.51.1.4.192.0.2.10", 1);
	check_number(backup, "1.3.6.1.2.1.207.1.2.1.0", 4294967298);
	check_number(backup, "1.3.6.1.2.1.207.1.2.5.1.3.3.51.1", 5);
	check_number(backup, "1.3.6.1.2.1.207.1.2.4.0", 12345);
	check_number(backup, "1.3.6.1.2.1.207.1.2.5.1.12.3.51.1", 12345);
	check_number(master, "1.3.6.1.2.1.207.1.1.1.1.6.3.51.1", 3);
	check_address(master, "1.3.6.1.2.1.207.1.1.1.1.3.3.51.1", 11); /* ourselves */
	g_assert_nonnull(at(v6, "1.3.6.1.2.1.207.1.1.2.1.2.3.51.2.16.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.16"));

	check_number(v2, "1.3.6.1.2.1.68.1.1.0", 2);
	check_number(v2, "1.3.6.1.2.1.68.1.3.1.3.3.51", 2);
	check_address(v2, "1.3.6.1.2.1.68.1.3.1.7.3.51", 12);
	check_number(v2, "1.3.6.1.2.1.68.1.3.1.11.3.51", 2);
	check_number(v2, "1.3.6.1.2.1.68.1.4.1.2.3.51.192.0.2.10", 1);
	check_number(v2, "1.3.6.1.2.1.68.2.1.0", 2); /* wrapped */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/snmp/mib/unknown", test_unknown);
	g_test_add_func("/snmp/mib/roles", test_roles);
	g_test_add_func("/snmp/mib/sync-and-takeover", test_sync_and_takeover);
	g_test_add_func("/snmp/mib/tables", test_tables);
	g_test_add_func("/snmp/mib/router", test_router);
	return g_test_run();
}
