/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-reply.c - making a call and waiting for its answer; writing down what comes, in order. */
#include "test-reply.h"

#include "dbus/bus-link-private.h"
#include "test-bus.h"
#include "test-service.h"

void reply_cb(GVariant *values, const GError *error, gpointer user_data)
{
	Reply *reply = user_data;

	reply->n++;
	g_assert_true((values == NULL) != (error == NULL));
	if (values) {
		g_assert_true(g_variant_is_of_type(values, G_VARIANT_TYPE_TUPLE));
		reply->values = g_variant_ref(values);
		reply->text = g_variant_print(values, false);
	} else {
		g_assert_true(error->domain == BUS_ERROR);
		reply->error = g_error_copy(error);
	}
}

void reply_clear(Reply *reply)
{
	g_clear_pointer(&reply->values, g_variant_unref);
	g_clear_error(&reply->error);
	g_clear_pointer(&reply->text, g_free);
}

Reply test_call_at(BusLink *link, const char *destination, const char *path, const char *interface, const char *method,
		   GVariant *args)
{
	Reply reply = { 0 };

	g_assert_nonnull(
		bus_link_call(link, destination, path, interface, method, args, CALL_TIMEOUT_MS, reply_cb, &reply));
	test_until(reply.n > 0);
	g_assert_cmpuint(reply.n, ==, 1);
	return reply;
}

Reply test_call(BusLink *link, const char *destination, const char *method, GVariant *args)
{
	return test_call_at(link, destination, TEST_ROOT, TEST_INTERFACE, method, args);
}

void test_unsubscribe_all(BusLink *link)
{
	while (link->subscriptions->len > 0)
		bus_subscription_free(link->subscriptions->pdata[0]);
}

GPtrArray *test_log_new(void)
{
	return g_ptr_array_new_with_free_func(g_free);
}

void test_log_signal(const char *path, const char *member, GVariant *args, gpointer log)
{
	g_autofree char *text = g_variant_print(args, false);

	g_ptr_array_add(log, g_strdup_printf("%s %s", member, text));
}

void test_log_reply(GVariant *values, const GError *error, gpointer log)
{
	g_autofree char *text = values ? g_variant_print(values, false) : NULL;

	g_ptr_array_add(log, g_strdup_printf("reply %s", error ? bus_error_name(error) : text));
}

void test_log_is(GPtrArray *log, const char *expected)
{
	g_autoptr(GString) lines = g_string_new(NULL);

	for (guint i = 0; i < log->len; i++)
		g_string_append_printf(lines, "%s%s", i > 0 ? "\n" : "", (const char *)log->pdata[i]);
	g_assert_cmpstr(lines->str, ==, expected);
	g_ptr_array_set_size(log, 0);
}
