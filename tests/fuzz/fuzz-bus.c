/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-bus.c - bodies of D-Bus messages, any that libdbus lets through, into values and back. */
#include "dbus/bus-value.h"
#include "fuzz.h"

static DBusMessage *message_of(const uint8_t *data, size_t size)
{
	DBusError failed = DBUS_ERROR_INIT;
	int needed = dbus_message_demarshal_bytes_needed((const char *)data, (int)MIN(size, G_MAXINT));
	DBusMessage *message = NULL;

	/* libdbus wants its bytes aligned; a copy is. */
	g_autofree char *copy = g_malloc(size ? size : 1);
	if (size)
		memcpy(copy, data, size);
	if (needed > 0 && (size_t)needed <= size)
		message = dbus_message_demarshal(copy, needed, &failed);
	dbus_error_free(&failed);
	return message;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	DBusMessage *message = message_of(data, size);
	g_autoptr(GError) error = NULL;

	if (!message)
		return 0;
	g_autoptr(GVariant) value = bus_value_read(message, NULL);
	dbus_message_unref(message);
	if (!value)
		return 0;
	g_assert_false(g_variant_is_floating(value));
	g_assert_true(g_variant_is_normal_form(value));
	g_assert_true(g_variant_is_of_type(value, G_VARIANT_TYPE_TUPLE));

	DBusMessage *again = dbus_message_new_signal("/a", "a.b", "C");
	if (bus_value_append(again, value, NULL, 0, &error)) {
		g_autoptr(GVariant) same = bus_value_read(again, NULL);
		g_assert_true(same && g_variant_equal(same, value));
	} else {
		fuzz_check_error(error); /* too deep, or with descriptors that are not there */
	}
	dbus_message_unref(again);
	return 0;
}
