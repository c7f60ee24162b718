/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/bus/test-bus.h - a message bus of one's own, in a temporary folder, for one test. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <sys/types.h>

/* Generous: it decides only how long a failure takes. */
#define TEST_DEADLINE_MS 20000

typedef struct {
	char *folder; /* mode 0755, so that a client of another uid can reach the socket */
	char *config;
	char *socket;
	char *address; /* "unix:path=..." */
	GPid pid;      /* 0 while it is not running */
} TestBus;

/* Starts a dbus-daemon that denies by default and carries dbus/org.understudy.conf and, for the tests, names below
 * org.understudy.Test1 open to all users. Aborts the test when that fails. */
TestBus *test_bus_new(void);
void test_bus_start(TestBus *bus); /* after test_bus_kill(), at the same address */
void test_bus_kill(TestBus *bus);
void test_bus_freeze(TestBus *bus);
void test_bus_thaw(TestBus *bus);
void test_bus_free(TestBus *bus);

/* Runs the main loop until @condition, and fails the test when that takes too long. */
#define test_until(condition)                                                                                          \
	G_STMT_START                                                                                                   \
	{                                                                                                              \
		gpointer test_timer = test_deadline_new();                                                             \
		while (!(condition)) {                                                                                 \
			if (test_deadline_passed(test_timer))                                                          \
				g_error("%s:%d: waited in vain for %s", __FILE__, __LINE__, #condition);               \
			g_main_context_iteration(NULL, true);                                                          \
		}                                                                                                      \
		test_deadline_free(test_timer);                                                                        \
	}                                                                                                              \
	G_STMT_END

gpointer test_deadline_new(void);
bool test_deadline_passed(gpointer timer);
void test_deadline_free(gpointer timer);

/* Runs the main loop for @duration_us of real time: to see that something does not happen, or how often the loop
 * turns. */
void test_run_for(gint64 duration_us);

/* A folder of the test's own; removed with all that is in it by test_folder_remove(). */
char *test_folder_new(void);
void test_folder_remove(char *folder);
