/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may be said in an event, and what a filter means. */
#include <string.h>

#include "notifyd/event.h"

static char *repeated(const char *unit, guint n)
{
	GString *text = g_string_new(NULL);

	while (n--)
		g_string_append(text, unit);
	return g_string_free(text, FALSE);
}

static NotifyEvent *good(void)
{
	return notify_event_new("SIP", "ip phone registration rejected", 2, "line one\nline\ttwo", "/phones/12",
				"dev-a", 1700000000000);
}

static void assert_refused(const NotifyEvent *event, const char *mention)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(notify_event_check(event, &error));
	g_assert_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID);
	g_assert_nonnull(strstr(error->message, mention));
}

static void replace(char **field, const char *value)
{
	g_free(*field);
	*field = g_strdup(value);
}

static void test_good(void)
{
	g_autoptr(NotifyEvent) event = good();
	g_autoptr(GError) error = NULL;
	g_autofree char *wide = repeated("ф", 64), *description = repeated("€", 4096), *reference = repeated("x", 1024);

	g_assert_true(notify_event_check(event, &error));
	g_assert_no_error(error);
	replace(&event->application, wide); /* characters count, not bytes */
	replace(&event->name, wide);
	replace(&event->description, description);
	replace(&event->reference, reference);
	event->key = g_strnfill(128, 'k');
	g_assert_true(notify_event_check(event, &error));
	g_assert_no_error(error);
	replace(&event->description, "");
	replace(&event->reference, "");
	g_assert_true(notify_event_check(event, &error));
}

static void test_bad_text(void)
{
	static const struct {
		const char *text, *mention;
	} names[] = {
		{ "", "empty" },
		{ "two\nlines", "U+000A" },
		{ "tab\there", "U+0009" },
		{ "\x1b[31mred", "U+001B" },
		{ "c1 \xc2\x9b", "U+009B" },
		{ "bad \xff", "not UTF-8" },
		{ "overlong \xc0\xaf", "not UTF-8" },
		{ "reversed \xe2\x80\xae", "U+202E" },
	};
	g_autofree char *long_name = repeated("ф", 65), *long_text = repeated("x", 4097),
			*long_reference = repeated("x", 1025);

	for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(NotifyEvent) event = good();

		replace(&event->name, names[i].text);
		assert_refused(event, names[i].mention);
		replace(&event->name, "fine");
		replace(&event->application, names[i].text);
		assert_refused(event, "application");
	}
	g_autoptr(NotifyEvent) event = good();
	replace(&event->name, long_name);
	assert_refused(event, "longer than 64");
	replace(&event->name, "fine");
	replace(&event->description, long_text);
	assert_refused(event, "longer than 4096");
	replace(&event->description, "bell \a");
	assert_refused(event, "U+0007");
	replace(&event->description, "reversed \xe2\x81\xa6");
	assert_refused(event, "U+2066");
	replace(&event->description, "");
	replace(&event->reference, long_reference);
	assert_refused(event, "longer than 1024");
}

static void test_bad_numbers(void)
{
	g_autoptr(NotifyEvent) event = good();

	event->priority = 0;
	assert_refused(event, "priority: 0");
	event->priority = 4;
	assert_refused(event, "priority: 4");
	event->priority = 1;
	event->time_ms = -1;
	assert_refused(event, "time_ms");
	event->time_ms = 0;
	event->key = g_strdup("");
	assert_refused(event, "key");
	g_free(event->key);
	event->key = g_strnfill(129, 'k');
	assert_refused(event, "129");
}

static GVariant *parsed(const char *text)
{
	g_autoptr(GError) error = NULL;
	GVariant *value = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

	g_assert_no_error(error);
	return value;
}

static void test_options(void)
{
	g_autoptr(NotifyEvent) event = good();
	g_autoptr(GVariant) all = parsed("{'time_ms': <int64 42>, 'key': <'boot-7'>}");
	g_autoptr(GError) error = NULL;

	g_assert_true(notify_event_apply_options(event, all, &error));
	g_assert_no_error(error);
	g_assert_cmpint(event->time_ms, ==, 42);
	g_assert_cmpstr(event->key, ==, "boot-7");

	static const char *const bad[] = { "{'time_ms': <42>}", "{'key': <int64 1>}", "{'colour': <'red'>}" };
	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GVariant) options = parsed(bad[i]);

		g_assert_false(notify_event_apply_options(event, options, &error));
		g_assert_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID);
		g_clear_error(&error);
	}
}

static void test_variant(void)
{
	g_autoptr(NotifyEvent) event = good();
	g_autoptr(GVariant) value = NULL;
	g_autofree char *text = NULL;

	event->id = 7;
	event->read = true;
	value = g_variant_ref_sink(notify_event_to_variant(event));
	text = g_variant_print(value, TRUE);
	g_assert_cmpstr(
		text, ==,
		"{'id': <uint64 7>, 'status': <'read'>, 'time_ms': <int64 1700000000000>, 'priority': <byte 0x02>, "
		"'application': <'SIP'>, 'name': <'ip phone registration rejected'>, 'description': <'line "
		"one\\nline\\ttwo'>, "
		"'reference': <'/phones/12'>, 'device': <'dev-a'>}");
}

static void test_filter_sql(void)
{
	static const struct {
		const char *filter, *sql, *values;
	} rows[] = {
		{ "{}", "", "" },
		{ "{'count': <uint32 5>}", "", "" },
		{ "{'before': <uint64 9>}", "WHERE id < ?", "9 " },
		{ "{'before': <uint64 18446744073709551615>}", "", "" },
		{ "{'status': <'new'>}", "WHERE read = 0", "" },
		{ "{'status': <'read'>}", "WHERE read = 1", "" },
		{ "{'min_priority': <byte 1>}", "", "" },
		{ "{'min_priority': <byte 3>, 'application': <\"x' OR 1=1 --\">}",
		  "WHERE application = ? AND priority >= 3", "\"x' OR 1=1 --\" " },
		{ "{'since_ms': <int64 0>}", "WHERE coalesce(time_ms, 0) >= ?", "0 " },
		{ "{'text': <'DowN'>, 'before': <uint64 1>}", "WHERE id < ? AND contains(name, description, ?)",
		  "1 'down' " },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GVariant) value = parsed(rows[i].filter);
		g_auto(NotifyFilter) filter = { 0 };
		g_autoptr(GPtrArray) values = NULL;
		g_autoptr(GString) printed = g_string_new(NULL);
		g_autoptr(GError) error = NULL;
		g_autofree char *sql = NULL;

		g_assert_true(notify_filter_parse(value, &filter, &error));
		g_assert_no_error(error);
		sql = notify_filter_sql(&filter, &values);
		g_assert_cmpstr(sql, ==, rows[i].sql);
		for (guint n = 0; n < values->len; n++) {
			g_variant_print_string(values->pdata[n], printed, FALSE);
			g_string_append_c(printed, ' ');
		}
		g_assert_cmpstr(printed->str, ==, rows[i].values);
	}
}

static void test_filter_bad(void)
{
	static const char *const bad[] = {
		"{'count': <uint32 0>}",    "{'count': <5>}",
		"{'before': <5>}",          "{'status': <'unread'>}",
		"{'status': <1>}",          "{'application': <1>}",
		"{'min_priority': <1>}",    "{'min_priority': <byte 4>}",
		"{'since_ms': <uint64 1>}", "{'text': <1>}",
		"{'limit': <uint32 1>}",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GVariant) value = parsed(bad[i]);
		NotifyFilter filter = { .count = 77 };
		g_autoptr(GError) error = NULL;

		g_assert_false(notify_filter_parse(value, &filter, &error));
		g_assert_error(error, NOTIFY_ERROR, NOTIFY_ERROR_INVALID);
		g_assert_cmpuint(filter.count, ==, 77);
	}
}

static void test_text(void)
{
	g_autofree char *folded = g_utf8_casefold("ЛИНИЯ", -1);

	g_assert_true(notify_text_matches("Вторая линия молчит", folded));
	g_assert_false(notify_text_matches("line", folded));
	g_assert_true(notify_text_matches("anything", ""));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notifyd/event/good", test_good);
	g_test_add_func("/notifyd/event/bad-text", test_bad_text);
	g_test_add_func("/notifyd/event/bad-numbers", test_bad_numbers);
	g_test_add_func("/notifyd/event/options", test_options);
	g_test_add_func("/notifyd/event/variant", test_variant);
	g_test_add_func("/notifyd/filter/sql", test_filter_sql);
	g_test_add_func("/notifyd/filter/bad", test_filter_bad);
	g_test_add_func("/notifyd/filter/text", test_text);
	return g_test_run();
}
