/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions of a master, as RFC 2741 has them, and our answers byte by byte. */
#include <string.h>

#include "snmp/agentx.h"

static MibView *view_of_three(void)
{
	MibView *view = mib_view_new();
	const struct {
		const char *name;
		MibType type;
		guint64 number;
	} numbers[] = { { "1.3.1.0", MIB_INTEGER, (guint64)-2 }, { "1.3.2.0", MIB_COUNTER64, 0x0102030405060708 } };
	Oid oid;

	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++) {
		g_assert_true(oid_parse(numbers[i].name, &oid));
		mib_view_add_number(view, &oid, numbers[i].type, numbers[i].number);
	}
	g_assert_true(oid_parse("1.3.3.0", &oid));
	mib_view_add_text(view, &oid, "hello", 100);
	mib_view_sort(view);
	return view;
}

/* What follows the header, in hex; blanks are for the eye. */
static GByteArray *from_hex(const char *hex)
{
	GByteArray *bytes = g_byte_array_new();

	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		guint8 byte = (guint8)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
		g_byte_array_append(bytes, &byte, 1);
		hex++;
	}
	return bytes;
}

static char *to_hex(const guint8 *data, gsize n)
{
	GString *text = g_string_new(NULL);

	for (gsize i = 0; i < n; i++)
		g_string_append_printf(text, "%02x", data[i]);
	return g_string_free(text, FALSE);
}

/* The answer's payload in hex; NULL: there is none. */
static char *ask(AgentxType type, guint8 flags, const char *hex)
{
	g_autoptr(MibView) view = view_of_three();
	g_autoptr(GByteArray) payload = from_hex(hex);
	const AgentxHeader header = { .type = type, .flags = flags, .session = 7, .transaction = 8, .packet = 9, .length = payload->len };
	AgentxHeader answered;
	GByteArray *answer = agentx_answer(view, &header, payload->data);

	if (!answer)
		return NULL;
	g_assert_true(agentx_parse_header(answer->data, &answered));
	g_assert_cmpuint(answered.type, ==, AGENTX_RESPONSE);
	g_assert_cmpuint(answered.session, ==, 7);
	g_assert_cmpuint(answered.transaction, ==, 8);
	g_assert_cmpuint(answered.packet, ==, 9);
	g_assert_cmpuint(answered.length, ==, answer->len - AGENTX_HEADER);
	char *text = to_hex(answer->data + AGENTX_HEADER, answered.length);
	g_byte_array_unref(answer);
	return text;
}

#define OID_(sub) "04000000 00000001 00000003 0000000" sub " 00000000 "
#define OID_INCLUDED(sub) "04000100 00000001 00000003 0000000" sub " 00000000 "
#define NO_END "00000000 "
#define OK "00000000" "00000000"

static const struct {
	const char *name;
	AgentxType type;
	guint8 flags;
	const char *question, *answer;
} rows[] = {
	{ "get", AGENTX_GET, 0x10, OID_("1") NO_END, OK "00020000" "04000000000000010000000300000001" "00000000" "fffffffe" },
	{ "get-64", AGENTX_GET, 0x10, OID_("2") NO_END, OK "00460000" "04000000000000010000000300000002" "00000000" "0102030405060708" },
	{ "get-text", AGENTX_GET, 0x10, OID_("3") NO_END, OK "00040000" "04000000000000010000000300000003" "00000000" "00000005" "68656c6c6f000000" },
	{ "get-little-endian", AGENTX_GET, 0, "04000000 01000000 03000000 01000000 00000000 " NO_END,
	  OK "00020000" "04000000000000010000000300000001" "00000000" "fffffffe" },
	{ "get-in-a-context", AGENTX_GET, 0x18, "00000003 61626300 " OID_("1") NO_END, OK "00020000" "04000000000000010000000300000001" "00000000" "fffffffe" },
	{ "get-no-object", AGENTX_GET, 0x10, OID_("9") NO_END, OK "00800000" "04000000000000010000000300000009" "00000000" },
	{ "get-no-instance", AGENTX_GET, 0x10, "03000000 00000001 00000003 00000002 " NO_END, OK "00810000" "03000000000000010000000300000002" },
	{ "next", AGENTX_GET_NEXT, 0x10, OID_("1") NO_END, OK "00460000" "04000000000000010000000300000002" "00000000" "0102030405060708" },
	{ "next-included", AGENTX_GET_NEXT, 0x10, OID_INCLUDED("1") NO_END, OK "00020000" "04000000000000010000000300000001" "00000000" "fffffffe" },
	{ "next-ends", AGENTX_GET_NEXT, 0x10, OID_("3") NO_END, OK "00820000" "04000000000000010000000300000003" "00000000" },
	{ "next-before-the-end", AGENTX_GET_NEXT, 0x10, OID_("1") OID_("2"), OK "00820000" "04000000000000010000000300000001" "00000000" },
	{ "next-by-prefix", AGENTX_GET_NEXT, 0x10, "00040000 " NO_END, OK "00820000" "05000000" "0000000100000003000000060000000100000004" },
	{ "bulk", AGENTX_GET_BULK, 0x10, "00000005 " OID_("2") NO_END,
	  OK "00040000" "04000000000000010000000300000003" "00000000" "00000005" "68656c6c6f000000" "00820000" "04000000000000010000000300000003" "00000000" },
	{ "set", AGENTX_TEST_SET, 0x10, "00020000 " OID_("1") "00000001", "00000000" "00110001" },
	{ "unknown", (AgentxType)99, 0x10, "", "00000000" "00050000" },
	{ "cleanup", AGENTX_CLEANUP_SET, 0x10, "", NULL },
	{ "half-an-oid", AGENTX_GET, 0x10, "04000000 00000001 ", "00000000" "010a0000" },
	{ "half-a-range", AGENTX_GET, 0x10, OID_("1"), "00000000" "010a0000" },
	{ "a-context-beyond", AGENTX_GET, 0x18, "ffffffff ", "00000000" "010a0000" },
	{ "too-long-an-oid", AGENTX_GET, 0x10, "ff000000 00000001 ", "00000000" "010a0000" },
	{ "bulk-of-nothing", AGENTX_GET_BULK, 0x10, "", "00000000" "010a0000" },
};

static void test_answer(gconstpointer data)
{
	const typeof(rows[0]) *row = data;
	g_autofree char *answer = ask(row->type, row->flags, row->question);

	g_assert_cmpstr(answer, ==, row->answer);
}

static void test_headers(void)
{
	static const struct {
		const char *hex;
		bool ok;
	} headers[] = {
		{ "01051000 00000001 00000002 00000003 00000008", true },  { "01050000 01000000 02000000 03000000 08000000", true },
		{ "02051000 00000001 00000002 00000003 00000008", false }, { "01051000 00000001 00000002 00000003 00000007", false },
		{ "01051000 00000001 00000002 00000003 7ffffffc", false },
	};

	for (guint i = 0; i < G_N_ELEMENTS(headers); i++) {
		g_autoptr(GByteArray) bytes = from_hex(headers[i].hex);
		AgentxHeader header;

		g_assert_cmpuint(bytes->len, ==, AGENTX_HEADER);
		g_assert_true(agentx_parse_header(bytes->data, &header) == headers[i].ok);
		if (headers[i].ok)
			g_assert_true(header.session == 1 && header.transaction == 2 && header.packet == 3 && header.length == 8);
	}
}

static void test_responses(void)
{
	const AgentxHeader header = { .type = AGENTX_RESPONSE, .flags = 0x10, .length = 8 }, shorter = { .type = AGENTX_RESPONSE, .flags = 0x10, .length = 4 };
	g_autoptr(GByteArray) bytes = from_hex("00000001 01070000");
	guint error = 0;

	g_assert_true(agentx_parse_response(&header, bytes->data, &error));
	g_assert_cmpuint(error, ==, AGENTX_DUPLICATE_REGISTRATION);
	g_assert_false(agentx_parse_response(&shorter, bytes->data, &error));
}

/* A bulk request for everything there is, again and again, is answered within a bound. */
static void test_bulk_is_bounded(void)
{
	g_autoptr(MibView) view = mib_view_new();
	g_autofree char *text = g_strnfill(1000, 'x');
	g_autoptr(GByteArray) payload = from_hex("0000ffff 01000000 00000001 00000000");
	const AgentxHeader header = { .type = AGENTX_GET_BULK, .flags = 0x10, .length = payload->len };
	Oid oid = { .n = 2, .ids = { 1, 3 } };

	for (guint i = 0; i < 1000; i++) {
		oid.ids[1] = i;
		mib_view_add_text(view, &oid, text, 1000);
	}
	mib_view_sort(view);
	g_autoptr(GByteArray) answer = agentx_answer(view, &header, payload->data);
	g_assert_cmpuint(answer->len, >, 40000);
	g_assert_cmpuint(answer->len, <, 60000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path = g_strdup_printf("/snmp/agentx/%s", rows[i].name);

		g_test_add_data_func(path, &rows[i], test_answer);
	}
	g_test_add_func("/snmp/agentx/headers", test_headers);
	g_test_add_func("/snmp/agentx/responses", test_responses);
	g_test_add_func("/snmp/agentx/bulk-is-bounded", test_bulk_is_bounded);
	return g_test_run();
}
