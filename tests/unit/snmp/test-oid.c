/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and the order of a walk; texts and times as SNMP has them. */
#include <string.h>

#include "snmp/oid.h"
#include "snmp/text.h"

static Oid oid(const char *text)
{
	Oid result;

	g_assert_true(oid_parse(text, &result));
	return result;
}

static void test_parse(void)
{
	static const char *const bad[] = { "", "1", ".1.3", "1..3", "1.3.", "1.x", "1.-3", "1.4294967296", "1.3 " };
	Oid good = oid("1.3.6.1.4.4294967295"), unchanged = good;
	g_autofree char *text = oid_text(&good);
	GString *longest = g_string_new("1");

	g_assert_cmpstr(text, ==, "1.3.6.1.4.4294967295");
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(oid_parse(bad[i], &unchanged));
	g_assert_cmpint(oid_compare(&good, &unchanged), ==, 0);
	for (guint i = 1; i < OID_MAX; i++)
		g_string_append(longest, ".1");
	g_assert_true(oid_parse(longest->str, &good));
	oid_add(&good, 1); /* passed over */
	g_assert_cmpuint(good.n, ==, OID_MAX);
	g_string_append(longest, ".1");
	g_assert_false(oid_parse(longest->str, &good));
	g_string_free(longest, TRUE);
}

static void test_order(void)
{
	static const char *const sorted[] = { "1.2", "1.3", "1.3.1", "1.3.1.4294967295", "1.3.2", "1.10", "2.0" };

	for (guint i = 0; i < G_N_ELEMENTS(sorted); i++) {
		for (guint k = 0; k < G_N_ELEMENTS(sorted); k++) {
			Oid a = oid(sorted[i]), b = oid(sorted[k]);

			g_assert_cmpint(oid_compare(&a, &b), ==, i < k ? -1 : i > k);
		}
	}
	Oid head = oid("1.3"), longer = oid("1.3.1"), other = oid("1.4.1");
	g_assert_true(oid_begins_with(&longer, &head) && oid_begins_with(&head, &head));
	g_assert_false(oid_begins_with(&head, &longer) || oid_begins_with(&other, &head));
}

static void test_text_index(void)
{
	Oid index = { 0 }, expected = oid("3.97.195.164");

	oid_add_text(&index, "a\xC3\xA4");
	g_assert_cmpint(oid_compare(&index, &expected), ==, 0);
}

static void test_view(void)
{
	g_autoptr(MibView) view = mib_view_new();
	const Oid names[] = { oid("1.3.3"), oid("1.3.1"), oid("1.3.2.1"), oid("1.3.1") }, none = { 0 };
	const Oid *found;

	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		mib_view_add_number(view, &names[i], MIB_INTEGER, i);
	mib_view_sort(view);
	g_assert_cmpuint(mib_view_n(view), ==, 3);
	g_assert_cmpuint(mib_view_get(view, &names[1])->number, ==, 1); /* the first stays */
	Oid at = oid("1.3.2");
	g_assert_null(mib_view_get(view, &at));
	g_assert_cmpuint(mib_view_next(view, &at, false, &none, &found)->number, ==, 2);
	g_assert_cmpint(oid_compare(found, &names[2]), ==, 0);
	g_assert_cmpuint(mib_view_next(view, &names[2], true, &none, &found)->number, ==, 2);
	g_assert_cmpuint(mib_view_next(view, &names[2], false, &none, &found)->number, ==, 0);
	g_assert_null(mib_view_next(view, &names[2], false, &names[0], &found)); /* the end itself is beyond */
	g_assert_null(mib_view_next(view, &names[0], false, &none, &found));
}

static void test_texts(void)
{
	static const struct {
		const char *text;
		gsize most;
		const char *clean;
	} rows[] = { { "", 5, "" }, { "a\nb\tc\x7f", 20, "a b c " }, { "a\xC3\xA4", 2, "a" }, { "a\xC3\xA4", 3, "a\xC3\xA4" }, { "\xff", 9, "\xEF\xBF\xBD" },
		     { "\xE2\x82\xAC\xE2\x82\xAC", 5, "\xE2\x82\xAC" } };

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *clean = snmp_clean_text(rows[i].text, rows[i].most);

		g_assert_cmpstr(clean, ==, rows[i].clean);
	}
}

static void test_times(void)
{
	static const guint8 expected[] = { 2023 >> 8, 2023 & 255, 11, 14, 22, 13, 20, 9, '+', 0, 0 };
	guint8 bytes[SNMP_TIME_BYTES];

	snmp_time(1700000000987, bytes);
	g_assert_cmpmem(bytes, sizeof(bytes), expected, sizeof(expected));
	snmp_time(G_MAXINT64, bytes); /* no such date */
	g_assert_cmpuint(bytes[2], ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/snmp/oid/parse", test_parse);
	g_test_add_func("/snmp/oid/order", test_order);
	g_test_add_func("/snmp/oid/text-index", test_text_index);
	g_test_add_func("/snmp/oid/view", test_view);
	g_test_add_func("/snmp/text/clean", test_texts);
	g_test_add_func("/snmp/text/time", test_times);
	return g_test_run();
}
