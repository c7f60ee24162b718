/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-reply.h - making a call and waiting for its answer; writing down what comes, in order. */
#pragma once

#include "dbus/bus-link.h"

#define CALL_TIMEOUT_MS 10000

/* One answer. */
typedef struct {
	guint n; /* how often it was answered */
	GVariant *values;
	GError *error;
	char *text; /* the values, printed */
} Reply;

void reply_cb(GVariant *values, const GError *error, gpointer user_data);
void reply_clear(Reply *reply);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reply, reply_clear)

/* Calls a method of TEST_INTERFACE on the root object, and waits. */
Reply test_call(BusLink *link, const char *destination, const char *method, GVariant *args);
Reply test_call_at(BusLink *link, const char *destination, const char *path, const char *interface, const char *method,
		   GVariant *args);

/* Frees what is still subscribed to on @link. */
void test_unsubscribe_all(BusLink *link);

/* Signals and answers in the order in which they came: one line each. */
GPtrArray *test_log_new(void);
void test_log_signal(const char *path, const char *member, GVariant *args, gpointer log);
void test_log_reply(GVariant *values, const GError *error, gpointer log);
void test_log_is(GPtrArray *log, const char *expected); /* the lines, joined by newlines */
