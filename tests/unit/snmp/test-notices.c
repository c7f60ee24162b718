/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When the notifications of the VRRP MIBs are due, and what they say. */
#include <string.h>

#include "snmp/notices.h"

typedef struct {
	gint64 at_s;
	const char *state, *reason; /* NULL: vrrpd is not there */
	guint sequence;
	gint64 since_s;
	guint ttl, version, checksum, vrid;
	bool new_master;
	ProtocolError error;
	int master_reason; /* as it is known then */
} Row;

static GVariant *dictionary(const char *format, ...) G_GNUC_PRINTF(1, 2);
static GVariant *dictionary(const char *format, ...)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	GVariant *value;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	value = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);
	g_assert_no_error(error);
	return value;
}

static void run(const Row *rows, gsize n)
{
	Notices notices;

	notices_init(&notices);
	for (gsize i = 0; i < n; i++) {
		const Row *row = &rows[i];
		g_autoptr(GVariant) election = row->state ? dictionary("{'State': <'%s'>, 'Reason': <'%s'>, 'Sequence': <uint64 %u>, 'SinceUs': <int64 %d000000>}", row->state,
								       row->reason, row->sequence, (int)row->since_s) : NULL;
		g_autoptr(GVariant) vrrp = row->state ? dictionary("{'Counters': <{'drop-ttl': uint64 %u, 'drop-version': %u, 'drop-checksum': %u, 'drop-vrid': %u}>}", row->ttl,
								   row->version, row->checksum, row->vrid) : NULL;
		const MibFacts facts = { .election = election, .vrrp = vrrp, .boot_us = row->at_s * G_USEC_PER_SEC };
		NoticesDue due = notices_look(&notices, &facts, row->at_s * G_USEC_PER_SEC);

		if (due.new_master != row->new_master || due.error != row->error || notices.master_reason != row->master_reason)
			g_error("row %zu: new master %d, error %d, reason %d", i, due.new_master, (int)due.error, notices.master_reason);
	}
}
#define RUN(...) run((const Row[]){ __VA_ARGS__ }, sizeof((const Row[]){ __VA_ARGS__ }) / sizeof(Row))

static void test_new_master(void)
{
	RUN({ 100, "backup", "started", 4, 50, 0, 0, 0, 0, false, PROTOCOL_NO_ERROR, -1 },
	    { 101, "master", "master-down", 5, 101, 0, 0, 0, 0, true, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE },
	    { 102, "master", "master-down", 5, 101, 0, 0, 0, 0, false, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE },
	    { 103, "backup", "swap", 6, 103, 0, 0, 0, 0, false, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE },
	    { 104, "master", "master-resigned", 7, 104, 0, 0, 0, 0, true, PROTOCOL_NO_ERROR, MASTER_REASON_PRIORITY },
	    /* To and fro between two looks. */
	    { 109, "master", "master-down", 9, 108, 0, 0, 0, 0, true, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE });
}

/* Who begins to look, or vrrpd that comes back, tells of no transition of long ago; but of one just now. */
static void test_begin(void)
{
	RUN({ 1000, "master", "master-down", 5, 100, 0, 0, 0, 0, false, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE },
	    { 1001, NULL, NULL, 0, 0, 0, 0, 0, 0, false, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE },
	    { 1002, "master", "master-down", 1, 100, 7, 0, 0, 0, false, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE },
	    { 1003, "master", "master-down", 1, 100, 7, 0, 0, 0, false, PROTOCOL_NO_ERROR, MASTER_REASON_NO_RESPONSE });
	RUN({ 1000, "master", "master-resigned", 5, 995, 0, 0, 0, 0, true, PROTOCOL_NO_ERROR, MASTER_REASON_PRIORITY });
	RUN({ 1000, NULL, NULL, 0, 0, 0, 0, 0, 0, false, PROTOCOL_NO_ERROR, -1 });
}

/* Each kind once an hour; two at once, one after the other; another group on the LAN is no error. */
static void test_errors(void)
{
	RUN({ 100, "backup", "", 1, 1, 5, 0, 0, 9, false, PROTOCOL_NO_ERROR, -1 },
	    { 105, "backup", "", 1, 1, 5, 0, 0, 99, false, PROTOCOL_NO_ERROR, -1 },
	    { 110, "backup", "", 1, 1, 6, 0, 0, 99, false, PROTOCOL_TTL, -1 },
	    { 115, "backup", "", 1, 1, 9, 0, 0, 99, false, PROTOCOL_NO_ERROR, -1 },
	    { 120, "backup", "", 1, 1, 9, 2, 1, 99, false, PROTOCOL_VERSION, -1 },
	    { 125, "backup", "", 1, 1, 9, 2, 1, 99, false, PROTOCOL_CHECKSUM, -1 },
	    { 3700, "backup", "", 1, 1, 10, 2, 1, 99, false, PROTOCOL_NO_ERROR, -1 },
	    { 3720, "backup", "", 1, 1, 11, 2, 1, 99, false, PROTOCOL_TTL, -1 });
}

static const MibValue *object(const MibView *view, const char *text)
{
	Oid oid;

	g_assert_true(oid_parse(text, &oid));
	return mib_view_get(view, &oid);
}

static void check_name(const Oid *name, const char *expected)
{
	g_autofree char *text = oid_text(name);

	g_assert_cmpstr(text, ==, expected);
}

static void test_objects(void)
{
	g_autoptr(GVariant) supervisor = dictionary("{'ServiceAddresses': <@as []>}");
	g_autoptr(GVariant) election = dictionary("{'State': <'master'>, 'Paths': <[{'electing': <true>, 'interface': <'lan'>, 'address': <'192.0.2.11'>}]>}");
	g_autoptr(GVariant) v2 = dictionary("{'GroupId': <byte 51>, 'Version': <uint32 2>}"), v3 = dictionary("{'GroupId': <byte 51>, 'Version': <uint32 3>}");
	MibFacts facts = { .supervisor = supervisor, .election = election, .vrrp = v3, .interface = 7, .master_reason = MASTER_REASON_NO_RESPONSE, .protocol_error = PROTOCOL_TTL };
	g_autoptr(MibView) master = NULL, error = NULL, old = NULL;
	Oid name;
	gsize n;

	master = mib_vrrp_new_master(&facts, &name);
	check_name(&name, "1.3.6.1.2.1.207.0.1");
	g_assert_cmpuint(mib_view_n(master), ==, 2);
	g_assert_cmpmem(g_bytes_get_data(object(master, "1.3.6.1.2.1.207.1.1.1.1.3.7.51.1")->octets, &n), n, "\xc0\0\2\x0b", 4);
	g_assert_cmpuint(object(master, "1.3.6.1.2.1.207.1.2.5.1.2.7.51.1")->number, ==, 3);
	error = mib_vrrp_protocol_error(&facts, &name);
	check_name(&name, "1.3.6.1.2.1.207.0.2");
	g_assert_cmpuint(object(error, "1.3.6.1.2.1.207.1.2.5.1.6.7.51.1")->number, ==, 1);

	facts.vrrp = v2;
	old = mib_vrrp_new_master(&facts, &name);
	check_name(&name, "1.3.6.1.2.1.68.0.1");
	g_assert_cmpuint(mib_view_n(old), ==, 1);
	g_assert_true(object(old, "1.3.6.1.2.1.68.1.3.1.7.7.51")->type == MIB_IP_ADDRESS);
	g_assert_null(mib_vrrp_protocol_error(&facts, &name));
	facts.vrrp = NULL;
	g_assert_null(mib_vrrp_new_master(&facts, &name));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/snmp/notices/new-master", test_new_master);
	g_test_add_func("/snmp/notices/begin", test_begin);
	g_test_add_func("/snmp/notices/errors", test_errors);
	g_test_add_func("/snmp/notices/objects", test_objects);
	return g_test_run();
}
