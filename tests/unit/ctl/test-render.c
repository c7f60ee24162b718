/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ages, times, bars, cleaning and tables. */
#include <math.h>

#include "dbus/dict.h"
#include "ctl/render.h"

static const RenderStyle PLAIN = { .utf8 = true }, ASCII = { 0 }, COLOUR = { .colour = true, .utf8 = true };

/* Takes @actual. */
static void assert_text(char *actual, const char *expected)
{
	g_assert_cmpstr(actual, ==, expected);
	g_free(actual);
}

static void test_age(void)
{
	static const struct {
		gint64 ms;
		const char *text;
	} rows[] = {
		{ -5, "0 ms" },           { 0, "0 ms" },
		{ 999, "999 ms" },        { 1000, "1 s" },
		{ 59999, "59 s" },        { 60000, "1 min 0 s" },
		{ 192000, "3 min 12 s" }, { 3599999, "59 min 59 s" },
		{ 3600000, "1 h 0 min" }, { 86399999, "23 h 59 min" },
		{ 86400000, "1 d 0 h" },  { 349200000, "4 d 1 h" },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
		assert_text(render_age(rows[i].ms), rows[i].text);
}

static void test_time(void)
{
	g_autoptr(GTimeZone) utc = g_time_zone_new_utc(), kolkata = g_time_zone_new_offset(19800);

	assert_text(render_time(1700000000123, utc, false), "2023-11-14 22:13:20");
	assert_text(render_time(1700000000123, utc, true), "2023-11-14 22:13:20.123");
	assert_text(render_time(1700000000007, kolkata, true), "2023-11-15 03:43:20.007");
	assert_text(render_time(0, utc, true), "-");
	assert_text(render_time(-1, utc, false), "-");
	assert_text(render_time(G_MAXINT64, utc, false), "-"); /* past the calendar */
}

static void test_small(void)
{
	assert_text(render_hash("0123456789abcdef"), "01234567");
	assert_text(render_hash("0123"), "0123");
	assert_text(render_hash(""), "-");
	assert_text(render_hash(NULL), "-");
	assert_text(render_duration(0.04), "0.0 ms");
	assert_text(render_duration(312.44), "312.4 ms");
	assert_text(render_duration(12345), "12.35 s");
	assert_text(render_snake_case("RoleSinceMs"), "role_since_ms");
	assert_text(render_snake_case("pid"), "pid");
}

static void test_clean(void)
{
	assert_text(render_clean("two\nlines\tand a tab"), "two lines and a tab");
	assert_text(render_clean("\033[2Jgone\a"), "?[2Jgone?");
	assert_text(render_clean("c1 \xc2\x9b, reversed \xe2\x80\xae"), "c1 ?, reversed ?");
	assert_text(render_clean("bad \xff byte"), "bad \xef\xbf\xbd byte");
	assert_text(render_clean("Линия молчит"), "Линия молчит");
	g_assert_cmpuint(render_columns("Линия"), ==, 5);
	g_assert_cmpuint(render_columns("電話"), ==, 4);
	g_assert_cmpuint(render_columns("e\xcc\x81"), ==, 1);
}

static void test_bar(void)
{
	assert_text(render_bar(&PLAIN, 0.5, 8), "[▇▇▇▇    ]");
	assert_text(render_bar(&ASCII, 1, 4), "[####]");
	assert_text(render_bar(&ASCII, 0.99, 4), "[### ]"); /* full only when it is done */
	assert_text(render_bar(&ASCII, -3, 4), "[    ]");
	assert_text(render_bar(&ASCII, 7, 4), "[####]");
	assert_text(render_bar(&ASCII, NAN, 4), "[    ]");
}

static void test_span(void)
{
	assert_text(render_span(&ASCII, 0, 50, 0, 100, 10), "#####     ");
	assert_text(render_span(&ASCII, 50, 100, 0, 100, 10), "     #####");
	assert_text(render_span(&ASCII, 99.9, 100, 0, 100, 10), "         #");
	assert_text(render_span(&ASCII, 30, 30, 0, 100, 10), "   #      "); /* short, never unseen */
	assert_text(render_span(&ASCII, 100, 100, 0, 100, 10), "         #");
	assert_text(render_span(&ASCII, -300, 0, -300, 100, 4), "### ");
	assert_text(render_span(&ASCII, 0, 0, 0, 0, 4), "#   ");
	assert_text(render_span(&ASCII, 80, 20, 0, 100, 5), "    #"); /* an end before its beginning */
}

static void test_colour(void)
{
	assert_text(render_coloured(&PLAIN, RENDER_BAD, "x"), "x");
	assert_text(render_coloured(&COLOUR, RENDER_PLAIN, "x"), "x");
	assert_text(render_coloured(&COLOUR, RENDER_BAD, "x"), "\033[31mx\033[0m");
	g_assert_cmpint(render_role_colour("master"), ==, RENDER_GOOD);
	g_assert_cmpint(render_role_colour("taking-over"), ==, RENDER_WARNING);
	g_assert_cmpint(render_role_colour("fault"), ==, RENDER_BAD);
	g_assert_cmpint(render_application_colour("backoff"), ==, RENDER_WARNING);
	g_assert_cmpint(render_priority_colour(3), ==, RENDER_BAD);
}

static void test_table(void)
{
	g_autoptr(RenderTable) table = render_table_new(3);

	render_table_add(table, RENDER_PLAIN, "a");
	render_table_add(table, RENDER_GOOD, "линия");
	render_table_add(table, RENDER_PLAIN, "last");
	render_table_add(table, RENDER_PLAIN, "wider");
	render_table_add(table, RENDER_PLAIN, "");
	render_table_addf(table, RENDER_PLAIN, "n %d", 5);
	render_table_add(table, RENDER_PLAIN, "end");
	render_table_add(table, RENDER_PLAIN, "");
	render_table_add(table, RENDER_PLAIN, "");
	assert_text(render_table_text(table, &PLAIN, 1), " a      линия  last\n wider         n 5\n end\n");
	assert_text(render_table_text(table, &COLOUR, 0),
		    "a      \033[32mлиния\033[0m  last\nwider         n 5\nend\n");
}

static void test_table_wraps(void)
{
	g_autoptr(RenderTable) table = render_table_new(2);
	const RenderStyle narrow = { .width = 30 }, tiny = { .width = 10 };

	render_table_add(table, RENDER_PLAIN, "key");
	render_table_add(table, RENDER_PLAIN, "one two three four five six seven");
	render_table_add(table, RENDER_PLAIN, "k");
	render_table_add(table, RENDER_PLAIN, "aaaaaaaaaabbbbbbbbbbccccccccccd");
	assert_text(render_table_text(table, &narrow, 0),
		    "key  one two three four five\n     six seven\nk    aaaaaaaaaabbbbbbbbbbccccc\n     cccccd\n");
	/* Where there is no room for a column, the terminal may break lines itself. */
	assert_text(render_table_text(table, &tiny, 0),
		    "key  one two three four five six seven\nk    aaaaaaaaaabbbbbbbbbbccccccccccd\n");
}

static void test_dict(void)
{
	g_autoptr(GVariant) dict = g_variant_ref_sink(
		g_variant_new_parsed("{'s': <'text'>, 'y': <byte 7>, 't': <uint64 18446744073709551615>, 'x': <int64 "
				     "-3>, 'b': <true>, 'd': <1.5>}"));
	g_autoptr(GVariant) missing = dict_value(dict, "s", "as"), present = dict_value(dict, "b", "b");

	g_assert_cmpstr(dict_string(dict, "s", "-"), ==, "text");
	g_assert_cmpstr(dict_string(dict, "y", "-"), ==, "-");
	g_assert_cmpstr(dict_string(NULL, "s", "-"), ==, "-");
	g_assert_cmpint(dict_int(dict, "y", 0), ==, 7);
	g_assert_cmpint(dict_int(dict, "t", 0), ==, G_MAXINT64);
	g_assert_cmpint(dict_int(dict, "x", 0), ==, -3);
	g_assert_cmpint(dict_int(dict, "s", 9), ==, 9);
	g_assert_cmpint(dict_int(NULL, "s", 9), ==, 9);
	g_assert_true(dict_bool(dict, "b"));
	g_assert_false(dict_bool(dict, "s"));
	g_assert_cmpfloat(dict_double(dict, "d", 0), ==, 1.5);
	g_assert_null(missing);
	g_assert_nonnull(present);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ctl/render/age", test_age);
	g_test_add_func("/ctl/render/time", test_time);
	g_test_add_func("/ctl/render/small", test_small);
	g_test_add_func("/ctl/render/clean", test_clean);
	g_test_add_func("/ctl/render/bar", test_bar);
	g_test_add_func("/ctl/render/span", test_span);
	g_test_add_func("/ctl/render/colour", test_colour);
	g_test_add_func("/ctl/render/table", test_table);
	g_test_add_func("/ctl/render/table-wraps", test_table_wraps);
	g_test_add_func("/ctl/dict", test_dict);
	return g_test_run();
}
