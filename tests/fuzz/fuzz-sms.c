/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-sms.c - any text as an SMS, as a value in a template, and as the template. */
#include "fuzz.h"
#include "notifyd/sms/template.h"
#include "notifyd/sms/text.h"

static void check_fit(const char *text, guint max_parts, bool seven_bit)
{
	SmsSize size, again;
	g_autofree char *fit = sms_fit(text, max_parts, seven_bit, &size);

	again = sms_measure(fit);
	g_assert_true(g_utf8_validate(fit, -1, NULL));
	g_assert_cmpuint(size.parts, <=, max_parts);
	g_assert_cmpuint(size.parts, ==, again.parts);
	g_assert_true(!seven_bit || size.seven_bit);
	g_assert_cmpuint(size.units, <=, size.parts * (size.seven_bit ? 160 : 70));
}

/* A value is what it was, and nothing beside it has changed. */
static void check_value(const char *text)
{
	const SmsValue values[] = { { "text", text }, { "to", "123" }, { NULL, NULL } };
	g_autofree char *url = sms_template_fill("https://g.test/{text}/x?to={to}&text={text}&end", SMS_PLACE_URL, values, NULL);
	g_autofree char *header = sms_template_fill("X: {text}", SMS_PLACE_HEADER, values, NULL);
	g_autofree char *json = sms_template_fill("{\"a\":\"{text}\"}", SMS_PLACE_JSON, values, NULL);
	g_auto(GStrv) ends = g_strsplit(url, "&text=", -1);
	g_autofree char *back = NULL;

	g_assert_cmpuint(g_strv_length(ends), ==, 2);
	g_assert_true(g_str_has_suffix(ends[1], "&end") && strchr(ends[1], '&') == ends[1] + strlen(ends[1]) - 4);
	g_assert_true(strchr(url, '?') && strchr(strchr(url, '?') + 1, '?') == NULL && !strchr(url, '#'));
	ends[1][strlen(ends[1]) - 4] = '\0';
	back = g_uri_unescape_string(ends[1], NULL);
	if (strcmp(text, ".") != 0 && strcmp(text, "..") != 0)
		g_assert_cmpstr(back, ==, text);
	g_assert_false(strstr(url, "/./") || strstr(url, "/../"));
	for (const char *p = header; *p; p++)
		g_assert_true(*p >= ' ' && *p <= '~');
	g_assert_true(g_utf8_validate(json, -1, NULL));
	/* One string, that ends where the template ends it. */
	for (const char *p = json + 6; *p != '"' || p[1]; p++) {
		g_assert_true((guchar)*p >= ' ');
		if (*p == '\\')
			p++;
		else if (*p == '"') {
			g_assert_cmpstr(p, ==, "\"}");
			break;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const SmsValue values[] = { { "text", "x" }, { "to", "1" }, { NULL, NULL } };
	g_autofree char *text = fuzz_text(data, size);
	g_autoptr(GError) error = NULL, number_error = NULL;
	g_autofree char *filled = sms_template_fill(text, SMS_PLACE_URL, values, &error);
	g_autofree char *number = sms_number(text, &number_error);

	check_fit(text, 1, false);
	check_fit(text, 3, true);
	check_value(text);
	if (!filled)
		fuzz_check_error(error);
	else
		g_assert_false(strstr(filled, "{text}") || strstr(filled, "{to}"));
	if (number)
		g_assert_cmpuint(strspn(number, "+0123456789"), ==, strlen(number));
	return 0;
}
