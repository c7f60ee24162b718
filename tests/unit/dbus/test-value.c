/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/dbus/test-value.c - points 8, 9, 18: GVariants into messages and back. */
#include <fcntl.h>
#include <unistd.h>

#include "dbus/bus-error.h"
#include "dbus/bus-value.h"

static DBusMessage *message_new(void)
{
	DBusMessage *message = dbus_message_new_method_call("org.understudy.Test1", "/a", "a.b", "C");

	dbus_message_set_serial(message, 1);
	return message;
}

/* Through the bytes of the wire, so that libdbus's own validation sees it. */
static GVariant *round_trip(GVariant *value)
{
	g_autoptr(GError) error = NULL;
	DBusError problem = DBUS_ERROR_INIT;
	DBusMessage *message = message_new();
	char *bytes;
	int length;

	g_assert_true(bus_value_append(message, value, NULL, 0, &error));
	g_assert_no_error(error);
	g_assert_true(dbus_message_marshal(message, &bytes, &length));
	dbus_message_unref(message);
	DBusMessage *copy = dbus_message_demarshal(bytes, length, &problem);
	dbus_free(bytes);
	g_assert_nonnull(copy);
	GVariant *back = bus_value_read(copy, NULL);
	dbus_message_unref(copy);
	return back;
}

static void test_round_trips(void)
{
	static const char *const texts[] = {
		"()",
		"(byte 0xff,)",
		"(true, false)",
		"(int16 -3, uint16 65535)",
		"(-1, uint32 4294967295)",
		"(int64 -9223372036854775808, uint64 18446744073709551615)",
		"(1.5, -0.0)",
		"('', 'p\303\244\303\237')",
		"(objectpath '/', objectpath '/a/b_1')",
		"(signature '', signature 'a{sv}(ii)')",
		"(@ay [], [byte 1, 2, 3])",
		"([true, false, true],)",
		"(@ab [],)",
		"([1, 2, 3], ['a', 'b'], [0.5])",
		"(<1>, <<'deep'>>, <@ay []>)",
		"(@a{sv} {}, {'a': <1>, 'b': <[('x', true)]>})",
		"({1: 'one', 2: 'two'}, @a{sa{sv}} {'i': {}})",
		"((1, ('two', [(3, {'four': <5>})])),)",
		"([[[1], @ai []], @aai []],)",
		"(@a(sb) [],)",
		"(@aay [[], [1]],)",
	};

	for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(GVariant) value = g_variant_parse(NULL, texts[i], NULL, NULL, &error);
		g_assert_no_error(error);
		g_autoptr(GVariant) back = round_trip(value);
		if (!g_variant_equal(value, back)) {
			g_autofree char *text = g_variant_print(back, true);
			g_error("%s came back as %s", texts[i], text);
		}
	}
}

/* bool, gboolean and dbus_bool_t have different sizes; only a dbus_bool_t may reach libdbus. */
static void test_booleans(void)
{
	g_autoptr(GError) error = NULL;
	DBusMessage *message = message_new();
	g_autoptr(GVariant) body = g_variant_ref_sink(g_variant_new_parsed("(true, false)"));
	dbus_bool_t a = 7, b = 7;

	g_assert_true(bus_value_append(message, body, NULL, 0, &error));
	g_assert_true(
		dbus_message_get_args(message, NULL, DBUS_TYPE_BOOLEAN, &a, DBUS_TYPE_BOOLEAN, &b, DBUS_TYPE_INVALID));
	g_assert_cmpuint(a, ==, TRUE);
	g_assert_cmpuint(b, ==, FALSE);
	dbus_message_unref(message);
}

static void check_refused(GVariant *value)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) owned = g_variant_ref_sink(value);
	DBusMessage *message = message_new();

	g_assert_false(bus_value_append(message, owned, NULL, 0, &error));
	g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	dbus_message_unref(message);
}

/* What GVariant has and D-Bus lacks would abort in libdbus. */
static void test_refused(void)
{
	check_refused(g_variant_new("(ms)", "maybe"));
	check_refused(g_variant_new("(v)", g_variant_new("ms", NULL)));
	check_refused(g_variant_new("(v)", g_variant_new("()")));
	check_refused(g_variant_new_parsed("([@mi nothing],)"));
	check_refused(g_variant_new("(g)", "()"));
	check_refused(g_variant_new("(g)", "{sv}"));
	check_refused(
		g_variant_new("(v)", g_variant_new_dict_entry(g_variant_new_string("a"), g_variant_new_int32(1))));
	check_refused(g_variant_new("(h)", 0)); /* no descriptor was given */
}

static void test_depth(void)
{
	GVariant *value = g_variant_new_int32(1);

	for (int i = 0; i < BUS_VALUE_MAX_DEPTH; i++)
		value = g_variant_new_variant(value);
	g_autoptr(GVariant) deep = g_variant_ref_sink(g_variant_new_tuple(&value, 1));
	g_autoptr(GVariant) back = round_trip(deep);
	g_assert_true(g_variant_equal(deep, back));

	g_autoptr(GVariant) inside = g_variant_get_child_value(deep, 0);
	value = g_variant_new_variant(inside);
	check_refused(g_variant_new_tuple(&value, 1));
}

static GVariant *bytes_of(gsize n)
{
	g_autofree guint8 *bytes = g_malloc0(n);
	GVariant *array = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, n, 1);

	return g_variant_new_tuple(&array, 1);
}

static void test_size(void)
{
	g_autoptr(GVariant) large = g_variant_ref_sink(bytes_of(BUS_VALUE_MAX_BYTES - 100));
	g_autoptr(GVariant) back = round_trip(large);

	g_assert_true(g_variant_equal(large, back));
	check_refused(bytes_of(BUS_VALUE_MAX_BYTES));

	/* Small in GVariant, large on the wire: every element is aligned to eight bytes. */
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(y)"));
	for (gsize i = 0; i < BUS_VALUE_MAX_BYTES / 16; i++)
		g_variant_builder_add(&builder, "(y)", 0);
	GVariant *array = g_variant_builder_end(&builder);
	check_refused(g_variant_new_tuple(&array, 1));
}

static void test_fds(void)
{
	g_autoptr(GError) error = NULL;
	DBusMessage *message = message_new();
	int ends[2], n_open = 0;

	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	g_autoptr(GVariant) sent = g_variant_ref_sink(g_variant_new_parsed("(handle 1, <handle 0>, 'x', [handle 1])"));
	g_assert_true(bus_value_append(message, sent, ends, 2, &error));
	g_assert_no_error(error);

	GArray *fds = bus_value_fds_new();
	g_autoptr(GVariant) body = bus_value_read(message, fds);
	g_autofree char *text = g_variant_print(body, true);
	g_assert_cmpstr(text, ==, "(handle 0, <handle 1>, 'x', [handle 2])");
	g_assert_cmpuint(fds->len, ==, 3);

	/* They are duplicates, in the order in which the value names them. */
	int writing = bus_value_fds_take(fds, 0, &error), reading = bus_value_fds_take(fds, 1, &error);
	g_assert_no_error(error);
	g_assert_cmpint(writing, !=, ends[1]);
	char byte = 'x';
	g_assert_cmpint(write(writing, &byte, 1), ==, 1);
	byte = 0;
	g_assert_cmpint(read(reading, &byte, 1), ==, 1);
	g_assert_cmpint(byte, ==, 'x');
	g_assert_cmpint(bus_value_fds_take(fds, 0, &error), ==, -1); /* once */
	g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	g_clear_error(&error);
	g_assert_cmpint(bus_value_fds_take(fds, 3, NULL), ==, -1);
	g_assert_cmpint(bus_value_fds_take(fds, -1, NULL), ==, -1);
	close(writing);
	close(reading);

	int left = g_array_index(fds, int, 2);
	bus_value_fds_free(fds);
	g_assert_cmpint(fcntl(left, F_GETFD), ==, -1); /* closed with the array */

	/* Nobody wants them: closed at once. */
	g_autoptr(GVariant) unwanted = bus_value_read(message, NULL);
	g_assert_true(g_variant_is_of_type(unwanted, G_VARIANT_TYPE("(hvsah)")));
	dbus_message_unref(message);
	close(ends[0]);
	close(ends[1]);
	for (int fd = 3; fd < 100; fd++)
		n_open += fcntl(fd, F_GETFD) != -1 && fd > left;
	g_assert_cmpint(n_open, ==, 0);
}

static void test_too_many_fds(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) body = g_variant_ref_sink(g_variant_new("(h)", 0));
	DBusMessage *message = message_new();
	int fds[BUS_VALUE_MAX_FDS + 1] = { 0 };

	g_assert_false(bus_value_append(message, body, fds, G_N_ELEMENTS(fds), &error));
	g_assert_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS);
	dbus_message_unref(message);
}

static void check_clean(const char *text, const char *expected)
{
	g_autofree char *clean = bus_value_clean_text(text);

	g_assert_true(g_utf8_validate(clean, -1, NULL));
	if (expected)
		g_assert_cmpstr(clean, ==, expected);
	g_assert_cmpint(g_utf8_strlen(clean, -1), <=, 1000);
}

static void test_clean_text(void)
{
	g_autofree char *long_text = g_strnfill(5000, 'x');

	check_clean("plain", "plain");
	check_clean("gr\303\274n", "gr\303\274n");
	check_clean(NULL, "");
	check_clean("two\nlines\ttab\033[31m\302\205", "two lines tab [31m ");
	check_clean("bad \xff\xfe bytes", NULL);
	check_clean("cut \303", NULL);
	check_clean(long_text, NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dbus/8/round-trips", test_round_trips);
	g_test_add_func("/dbus/8/refused", test_refused);
	g_test_add_func("/dbus/8/depth", test_depth);
	g_test_add_func("/dbus/8/clean-text", test_clean_text);
	g_test_add_func("/dbus/9/booleans", test_booleans);
	g_test_add_func("/dbus/18/size", test_size);
	g_test_add_func("/dbus/18/fds", test_fds);
	g_test_add_func("/dbus/18/too-many-fds", test_too_many_fds);
	return g_test_run();
}
