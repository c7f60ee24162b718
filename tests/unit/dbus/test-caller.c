/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/dbus/test-caller.c - point 15: from a user id and groups to a level and a text. */
#include <unistd.h>

#include "dbus/bus-caller.h"

static void test_levels(void)
{
	static const struct {
		guint32 uid;
		guint32 gids[3];
		gsize n_gids;
		BusLevel level;
		const char *text;
	} rows[] = {
		{ 0, { 0 }, 0, BUS_LEVEL_ADMINISTER, "root" },
		{ 3000000001, { 0 }, 0, BUS_LEVEL_VIEW, "uid 3000000001" },
		{ 3000000001, { 1, 2 }, 2, BUS_LEVEL_VIEW, "uid 3000000001" },
		{ 3000000001, { 1, 70001 }, 2, BUS_LEVEL_VIEW, "uid 3000000001" },
		{ 3000000001, { 70002 }, 1, BUS_LEVEL_OPERATE, "uid 3000000001" },
		{ 3000000001, { 70003, 70001, 70002 }, 3, BUS_LEVEL_ADMINISTER, "uid 3000000001" },
	};

	bus_caller_set_groups(70001, 70002, 70003);
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		BusCaller *caller = bus_caller_new_for_user(rows[i].uid, rows[i].gids, rows[i].n_gids);
		g_assert_cmpuint(caller->uid, ==, rows[i].uid);
		g_assert_cmpint(caller->level, ==, rows[i].level);
		g_assert_cmpstr(caller->text, ==, rows[i].text);
		bus_caller_unref(caller);
	}
	bus_caller_unref(NULL);
}

/* Our own user may do everything, also one that is not listed anywhere. */
static void test_own_user(void)
{
	BusCaller *caller = bus_caller_new_for_user((guint32)geteuid(), NULL, 0);

	g_assert_cmpint(caller->level, ==, BUS_LEVEL_ADMINISTER);
	bus_caller_unref(caller);
}

/* A group that does not exist has the number -1, which no member of anything has. */
static void test_no_groups(void)
{
	static const guint32 gids[] = { 0, 70001, 0xffffffff };

	bus_caller_set_groups(-1, -1, -1);
	BusCaller *told = bus_caller_new_for_user(3000000001, gids, G_N_ELEMENTS(gids));
	BusCaller *looked_up = bus_caller_new_for_user(3000000001, NULL, 0);
	g_assert_cmpint(told->level, ==, BUS_LEVEL_VIEW);
	g_assert_cmpint(looked_up->level, ==, BUS_LEVEL_VIEW);
	bus_caller_unref(told);
	bus_caller_unref(looked_up);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dbus/15/levels", test_levels);
	g_test_add_func("/dbus/15/own-user", test_own_user);
	g_test_add_func("/dbus/15/no-groups", test_no_groups);
	return g_test_run();
}
