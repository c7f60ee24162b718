/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-service.h - a small daemon-like thing to call: one interface that has a bit of everything. */
#pragma once

#include "dbus/bus-object.h"

#define TEST_NAME            "org.understudy.Test1"
#define TEST_ROOT            "/org/understudy/Test1"
#define TEST_INTERFACE       "org.understudy.Test1"
#define TEST_CHILD_INTERFACE "org.understudy.TestChild1"

typedef struct {
	BusTree *tree;
	BusObject *root;
	gint32 number;
	char *text;    /* NULL: the property is absent */
	gint32 quiet;  /* EmitsChangedSignal=false */
	gint32 vague;  /* EmitsChangedSignal=invalidates */
	BusCall *kept; /* by Keep: answered by the test */
	guint n_kept;
	GQueue all_kept; /* of BusCall*; for who answers them all */
	guint n_reads; /* of Number */
	char *caller;  /* of the last WhoAmI */
} TestService;

TestService *test_service_new(void);
void test_service_free(TestService *service);

/* Changes and announces. */
void test_service_set_number(TestService *service, gint32 number);
void test_service_set_text(TestService *service, const char *text);

/* A child object at TEST_ROOT/child/<name>; its Label is @name. */
BusObject *test_service_add_child(TestService *service, const char *name);
