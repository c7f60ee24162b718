/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-filter.c - a{sv} off the bus: the filter of List and the options of Raise; and an event's texts. */
#include "fuzz.h"
#include "notifyd/event.h"

static void check_filter(GVariant *dictionary)
{
	g_autoptr(GError) error = NULL;
	g_auto(NotifyFilter) filter = { 0 };
	guint marks = 0;

	if (!notify_filter_parse(dictionary, &filter, &error)) {
		fuzz_check_error(error);
		return;
	}
	g_assert_no_error(error);
	g_autoptr(GPtrArray) values = NULL;
	g_autofree char *sql = notify_filter_sql(&filter, &values);
	for (const char *p = sql; *p; p++) {
		marks += *p == '?';
		g_assert_true(g_ascii_isalnum(*p) || strchr(" ?=<>(),_", *p)); /* nothing of the caller's is in it */
	}
	g_assert_cmpuint(marks, ==, values->len);
	g_assert_true(filter.count > 0 && filter.min_priority <= 3);
	if (filter.text)
		(void)notify_text_matches("Ein PBX ist da", filter.text);
}

static void check_event(GVariant *options, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(NotifyEvent) event = notify_event_new("SIP", "Registered", 2, text, "", "pbx-left", 1);

	if (!notify_event_apply_options(event, options, &error) || !notify_event_check(event, &error)) {
		fuzz_check_error(error);
		return;
	}
	g_assert_no_error(error);
	g_assert_true(g_utf8_validate(event->description, -1, NULL));
	g_assert_cmpint(g_utf8_strlen(event->description, -1), <=, NOTIFY_DESCRIPTION_CHARS);
	for (const char *p = event->description; *p; p++)
		g_assert_true(!g_ascii_iscntrl(*p) || *p == '\n' || *p == '\t');
	g_autoptr(GVariant) shown = g_variant_ref_sink(notify_event_to_variant(event));
	g_assert_true(g_variant_is_normal_form(shown));
	g_assert_cmpuint(g_variant_get_size(shown), <=, notify_event_size(event));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = fuzz_text(data, size);
	g_autoptr(GBytes) bytes = g_bytes_new(data, size);
	g_autoptr(GVariant) any = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, bytes, FALSE));
	/* The bus delivers whole values only. */
	g_autoptr(GVariant) dictionary = g_variant_get_normal_form(any);

	check_filter(dictionary);
	check_event(dictionary, text);
	return 0;
}
