/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts of an SMS, templates, and what a gateway's answer means. */
#include <string.h>

#include "notifyd/sms/judge.h"
#include "notifyd/sms/template.h"
#include "notifyd/sms/text.h"

static char *repeat(const char *piece, guint n, const char *end)
{
	GString *text = g_string_new(NULL);

	while (n--)
		g_string_append(text, piece);
	g_string_append(text, end);
	return g_string_free(text, FALSE);
}

static void test_parts(void)
{
	static const struct {
		const char *piece;
		guint n;
		const char *end;
		bool seven_bit;
		guint units, parts;
	} rows[] = {
		{ "", 0, "", true, 0, 1 },
		{ "a", 160, "", true, 160, 1 },
		{ "a", 161, "", true, 161, 2 },
		{ "a", 306, "", true, 306, 2 },
		{ "a", 307, "", true, 307, 3 },
		{ "a", 159, "\xE2\x82\xAC", true, 161, 2 },	     /* the euro sign is two */
		{ "[", 80, "", true, 160, 1 },
		{ "[", 81, "", true, 162, 2 },
		{ "a", 152, "[aaaaaaaaa", true, 163, 2 },	     /* an escape is not torn: 152, and the rest */
		{ "[", 153, "", true, 306, 3 },			     /* 76 in a part, not 76 and a half */
		{ "\xC3\xA4", 160, "", true, 160, 1 },		     /* in the alphabet */
		{ "\xC3\xA7", 70, "", false, 70, 1 },		     /* not in it, the capital is */
		{ "\xC3\xA7", 71, "", false, 71, 2 },
		{ "\xC3\xA7", 134, "", false, 134, 2 },
		{ "\xC3\xA7", 135, "", false, 135, 3 },
		{ "a", 159, "\xD0\x96", false, 160, 3 },	     /* one character makes it all UCS-2 */
		{ "\xF0\x9F\x93\x9E", 35, "", false, 70, 1 },	     /* pairs of surrogates */
		{ "\xF0\x9F\x93\x9E", 36, "", false, 72, 2 },
		{ "\xF0\x9F\x93\x9E", 67, "", false, 134, 3 },	     /* 33 in a part */
		{ "`", 1, "", false, 1, 1 },
		{ "\xCE\x94_@$\n", 32, "", true, 160, 1 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *text = repeat(rows[i].piece, rows[i].n, rows[i].end);
		SmsSize size = sms_measure(text);

		g_test_message("row %u", i);
		g_assert_cmpint(size.seven_bit, ==, rows[i].seven_bit);
		g_assert_cmpuint(size.units, ==, rows[i].units);
		g_assert_cmpuint(size.parts, ==, rows[i].parts);
	}
}

/* 128 in the alphabet without the escape, ten behind it. */
static void test_alphabet(void)
{
	guint one = 0, two = 0;

	for (gunichar c = 0; c < 0x11000; c++) {
		one += sms_septets(c) == 1;
		two += sms_septets(c) == 2;
	}
	g_assert_cmpuint(one, ==, 127);
	g_assert_cmpuint(two, ==, 10);
}

static void test_seven_bit(void)
{
	static const struct {
		const char *text, *plain;
	} rows[] = {
		{ "Größe: 5 €", "Größe: 5 €" },
		{ "façade ç", "facade c" },
		{ "“don’t” – …", "\"don't\" - ..." },
		{ "Резерв отключён", "Rezerv otklyuchen" },
		{ "Щука", "Shchuka" },
		{ "Київ", "Kiyiv" },
		{ "e\xCC\x81", "é" }, /* composed first */
		{ "a\xE2\x80\x8B" "b", "ab" },
		{ "日本", "??" },
		{ "`x`", "'x'" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *plain = sms_to_seven_bit(rows[i].text);
		g_assert_cmpstr(plain, ==, rows[i].plain);
		g_assert_true(sms_measure(plain).seven_bit);
	}
}

static void test_fit(void)
{
	static const struct {
		const char *piece;
		guint n, max_parts;
		bool seven_bit;
		guint characters, units, parts;
	} rows[] = {
		{ "a", 160, 1, false, 160, 160, 1 },
		{ "a", 161, 1, false, 160, 160, 1 },
		{ "a", 1000, 3, false, 459, 459, 3 },
		{ "a", 10000000, 10, false, 1530, 1530, 10 },
		{ "\xD0\x96", 100, 1, false, 70, 70, 1 },
		{ "\xD0\x96", 1000, 3, false, 201, 201, 3 },
		{ "\xD0\x96", 75, 1, true, 150, 150, 1 },
		{ "[", 100, 1, false, 81, 159, 1 },
		{ "\xF0\x9F\x93\x9E", 100, 1, false, 36, 69, 1 },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *text = repeat(rows[i].piece, rows[i].n, "");
		SmsSize size;
		g_autofree char *fit = sms_fit(text, rows[i].max_parts, rows[i].seven_bit, &size);

		g_test_message("row %u", i);
		g_assert_cmpuint(g_utf8_strlen(fit, -1), ==, rows[i].characters);
		g_assert_cmpuint(size.units, ==, rows[i].units);
		g_assert_cmpuint(size.parts, ==, rows[i].parts);
	}
	SmsSize size;
	g_autofree char *cleaned = sms_fit(" a\r\nb\rc\x1b[2J\xff\n", 1, false, &size);
	g_assert_cmpstr(cleaned, ==, "a\nb\nc [2J\xEF\xBF\xBD");
}

static void test_numbers(void)
{
	static const struct {
		const char *text, *number;
	} rows[] = {
		{ "+49 (151) 123-45.67/8", "+4915112345678" }, { "0151 1234567", "01511234567" }, { "112", "112" }, { "11", NULL },
		{ "", NULL },	  { "+", NULL },	{ "++49151", NULL }, { "49+151", NULL }, { "123456789012345678901", NULL },
		{ "123&to=456", NULL }, { "123\n456", NULL }, { "\xD9\xA1\xD9\xA2\xD9\xA3", NULL },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *number = sms_number(rows[i].text, &error);

		g_assert_cmpstr(number, ==, rows[i].number);
		g_assert_true((number != NULL) == (error == NULL));
	}
}

static void test_template(void)
{
	static const SmsValue values[] = { { "to", "+49 1" }, { "text", "a&b={to}\"\\\n\xC3\xA4/../?#%" }, { "user", NULL }, { "dots", ".." }, { NULL, NULL } };
	static const struct {
		SmsPlace place;
		const char *template, *filled; /* NULL: an error */
	} rows[] = {
		{ SMS_PLACE_URL, "https://g.test/?to={to}", "https://g.test/?to=%2B49%201" },
		{ SMS_PLACE_URL, "x={text}", "x=a%26b%3D%7Bto%7D%22%5C%0A%C3%A4%2F..%2F%3F%23%25" },
		{ SMS_PLACE_FORM, "{to}&{user}&{to}", "%2B49%201&&%2B49%201" },
		{ SMS_PLACE_JSON, "{\"to\":\"{to}\",\"m\":{\"t\":\"{text}\"}}",
		  "{\"to\":\"+49 1\",\"m\":{\"t\":\"a&b={to}\\\"\\\\\\n\xC3\xA4/../?#%\"}}" },
		{ SMS_PLACE_HEADER, "X: {text}", "X: a&b={to}\"\\ ?\?/../?#%" },
		{ SMS_PLACE_URL, "{}{ }{to{to}}{1}{", "{}{ }{to%2B49%201}{1}{" },
		{ SMS_PLACE_URL, "/a/{dots}/b", "/a/__/b" },
		{ SMS_PLACE_URL, "{nothing}", NULL },
		{ SMS_PLACE_URL, "{TO}", NULL },
		{ SMS_PLACE_URL, "{tot}", NULL },
		{ SMS_PLACE_URL, "", "" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *filled = sms_template_fill(rows[i].template, rows[i].place, values, &error);

		g_assert_cmpstr(filled, ==, rows[i].filled);
		g_assert_true((filled != NULL) == (error == NULL));
	}
}

static void test_judge(void)
{
	static const char usual[] = "^(HTTP/[0-9.]+ )?2[0-9][0-9]";
	static const struct {
		const char *pattern;
		guint status;
		const char *line, *text;
		DeliveryOutcome outcome;
	} rows[] = {
		{ NULL, 200, "HTTP/1.1 200 OK", "", DELIVERY_ACCEPTED },
		{ NULL, 202, "HTTP/2 202 ", "", DELIVERY_ACCEPTED },
		{ usual, 202, "HTTP/2 202 ", "", DELIVERY_ACCEPTED },
		{ usual, 403, "HTTP/1.1 403 No", "200 messages left\n200", DELIVERY_REFUSED },
		{ "0: Accepted", 202, "HTTP/1.1 202 Accepted", "0: Accepted for delivery", DELIVERY_ACCEPTED },
		{ "0: Accepted", 202, "HTTP/1.1 202 Accepted", "3: Queued for later delivery", DELIVERY_REFUSED },
		{ "(?m)^OK$", 200, "HTTP/1.1 200 OK", "x\nOK\n", DELIVERY_ACCEPTED },
		{ "(?m)^OK$", 200, "HTTP/1.1 200 OK", "NOK", DELIVERY_REFUSED },
		{ NULL, 301, "HTTP/1.1 301 x", "", DELIVERY_REFUSED },
		{ NULL, 400, "HTTP/1.1 400 x", "", DELIVERY_REFUSED },
		{ NULL, 408, "HTTP/1.1 408 x", "", DELIVERY_RETRY },
		{ NULL, 429, "HTTP/1.1 429 x", "", DELIVERY_RETRY },
		{ NULL, 500, "HTTP/1.1 500 x", "", DELIVERY_RETRY },
		{ NULL, 503, "HTTP/1.1 503 x", "", DELIVERY_RETRY },
		{ "no balance", 500, "HTTP/1.1 500 x", "\xff", DELIVERY_RETRY },
	};

	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GRegex) pattern = rows[i].pattern ? sms_success_pattern(rows[i].pattern, NULL) : NULL;

		g_test_message("row %u", i);
		g_assert_cmpint(sms_judge(rows[i].status, rows[i].line, rows[i].text, pattern), ==, rows[i].outcome);
	}
	g_autoptr(GError) error = NULL;
	g_assert_null(sms_success_pattern("(", &error));
	g_assert_error(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED);
	g_autofree char *words = sms_words("HTTP/1.1 403 Forbidden", "bad login");
	g_assert_cmpstr(words, ==, "403 Forbidden: bad login");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notifyd/sms/parts", test_parts);
	g_test_add_func("/notifyd/sms/alphabet", test_alphabet);
	g_test_add_func("/notifyd/sms/seven-bit", test_seven_bit);
	g_test_add_func("/notifyd/sms/fit", test_fit);
	g_test_add_func("/notifyd/sms/numbers", test_numbers);
	g_test_add_func("/notifyd/sms/template", test_template);
	g_test_add_func("/notifyd/sms/judge", test_judge);
	return g_test_run();
}
