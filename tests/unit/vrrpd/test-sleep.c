/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-sleep.c - until when a Backup may leave adverts unread. */
#include "vrrpd/rules/sleep.h"

#define MS 1000
#define NOW (G_GINT64_CONSTANT(1000) * G_USEC_PER_SEC)

/* A Backup that has just heard a Master of this interval. */
static VrrpMachine backup(guint interval_cs)
{
	VrrpMachine machine;

	vrrp_machine_init(&machine, 3, interval_cs, ip_v4(0xc000020b), 100, 254);
	machine.state = VRRP_STATE_BACKUP;
	machine.deadline_us = NOW + vrrp_machine_down_us(&machine);
	return machine;
}

typedef struct {
	const char *name;
	guint interval_cs;
	VrrpState state;
	bool closed, busy, unsure; /* unsure: it does not wait since an advert */
	gint64 left_us;            /* of the down time; 0: all of it */
	gint64 tick_us;            /* housekeeping is due so much later; 0: not known */
	gint64 roused_us;          /* so long ago; 0: never */
	bool quiet;
	gint64 wake_us;            /* from now on; 0: with the down time */
} Row;

static const Row rows[] = {
	{ "hears", 1, VRRP_STATE_BACKUP, .tick_us = 200 * MS, .quiet = true },
	{ "hears-fast-as-may-be", 10, VRRP_STATE_BACKUP, .tick_us = 400 * MS, .quiet = true },
	{ "housekeeping-first", 10, VRRP_STATE_BACKUP, .tick_us = 200 * MS, .quiet = true, .wake_us = 200 * MS },
	{ "housekeeping-overdue", 10, VRRP_STATE_BACKUP, .tick_us = -1 * MS, .quiet = true, .wake_us = -1 * MS },
	{ "no-housekeeping-yet", 10, VRRP_STATE_BACKUP, .quiet = true },
	{ "slow-adverts", 11, VRRP_STATE_BACKUP, .tick_us = 200 * MS },
	{ "very-slow-adverts", 100, VRRP_STATE_BACKUP, .tick_us = 200 * MS },
	{ "one-is-missed", 1, VRRP_STATE_BACKUP, .left_us = 10 * MS, .tick_us = 200 * MS },
	{ "none-is-missed", 1, VRRP_STATE_BACKUP, .left_us = 10 * MS + 1, .tick_us = 200 * MS, .quiet = true, .wake_us = 10 * MS + 1 },
	{ "resigned", 1, VRRP_STATE_BACKUP, .left_us = 78, .tick_us = 200 * MS },
	{ "may-not-take-over", 1, VRRP_STATE_BACKUP, .closed = true, .tick_us = 200 * MS },
	{ "heard-nobody-since-it-waits", 1, VRRP_STATE_BACKUP, .unsure = true, .tick_us = 200 * MS },
	{ "has-more-to-do", 1, VRRP_STATE_BACKUP, .busy = true, .tick_us = 200 * MS },
	{ "just-roused", 1, VRRP_STATE_BACKUP, .tick_us = 200 * MS, .roused_us = 1000 * MS },
	{ "roused-long-ago", 1, VRRP_STATE_BACKUP, .tick_us = 200 * MS, .roused_us = 1000 * MS + 1, .quiet = true },
	{ "master", 1, VRRP_STATE_MASTER, .tick_us = 5 * MS },
	{ "init", 1, VRRP_STATE_INIT, .tick_us = 5 * MS },
};

static void test_plan(gconstpointer data)
{
	const Row *row = data;
	VrrpMachine machine = backup(row->interval_cs);
	VrrpSleep sleep = { .roused_us = row->roused_us ? NOW - row->roused_us : 0 };
	gint64 wait_us = vrrp_machine_down_us(&machine);

	machine.state = row->state;
	machine.open = !row->closed;
	if (row->left_us)
		machine.deadline_us = NOW + row->left_us;
	g_assert_true(vrrp_sleep_counts(&sleep, &machine, 100, row->unsure ? NOW - 1 : machine.deadline_us - wait_us));
	vrrp_sleep_plan(&sleep, &machine, row->busy, row->tick_us ? NOW + row->tick_us : 0, NOW);
	g_assert_true(sleep.quiet == row->quiet);
	g_assert_cmpint(sleep.wake_us, ==, row->wake_us ? NOW + row->wake_us : machine.deadline_us);
}

/* Without a Master's word there is no deadline, and no housekeeping of an election wakes it. */
static void test_never(void)
{
	VrrpMachine machine = backup(1);
	VrrpSleep sleep = { 0 };

	machine.state = VRRP_STATE_INIT;
	machine.deadline_us = 0;
	vrrp_sleep_plan(&sleep, &machine, false, NOW + 5 * MS, NOW);
	g_assert_false(sleep.quiet);
	g_assert_cmpint(sleep.wake_us, ==, 0);
}

static VrrpSleep asleep(const VrrpMachine *machine)
{
	VrrpSleep sleep = { 0 };

	g_assert_true(vrrp_sleep_counts(&sleep, machine, 100, NOW));
	vrrp_sleep_plan(&sleep, machine, false, 0, NOW);
	g_assert_true(sleep.quiet);
	return sleep;
}

/* Three that lay in the queue by plan count from when they came. */
static void test_by_plan(void)
{
	VrrpMachine machine = backup(1);
	VrrpSleep sleep = asleep(&machine);
	gint64 woken_us = sleep.wake_us + 50;

	for (guint i = 1; i <= 3; i++) {
		g_assert_cmpint(vrrp_sleep_heard_at(&sleep, &machine, NOW + i * 10 * MS, woken_us), ==, NOW + i * 10 * MS);
		sleep.quiet = i != 1; /* whatever that one changed, */
		sleep.wake_us = NOW; /* also that it should have woken long before */
	}
	/* And one that is read at once, from then. */
	sleep.quiet = false;
	g_assert_cmpint(vrrp_sleep_heard_at(&sleep, &machine, woken_us + 5 * MS, woken_us + 6 * MS), ==, woken_us + 6 * MS);
}

/* A stamp from what is yet to come is none. */
static void test_future(void)
{
	VrrpMachine machine = backup(1);
	VrrpSleep sleep = asleep(&machine);

	g_assert_cmpint(vrrp_sleep_heard_at(&sleep, &machine, NOW + 20 * MS, NOW + 10 * MS), ==, NOW + 10 * MS);
}

/* Woken up to an interval late it is still as planned; later, nothing that lay there is taken as read when it came. */
static void test_late(void)
{
	VrrpMachine machine = backup(1);
	VrrpSleep in_time = asleep(&machine), sleep = in_time;
	gint64 in_time_us = sleep.wake_us + 10 * MS, late_us = in_time_us + 1;

	g_assert_cmpint(vrrp_sleep_heard_at(&in_time, &machine, NOW + 10 * MS, in_time_us), ==, NOW + 10 * MS);
	for (guint i = 1; i <= 3; i++) {
		g_assert_cmpint(vrrp_sleep_heard_at(&sleep, &machine, NOW + i * 10 * MS, late_us), ==, late_us);
		sleep.wake_us = late_us + 30 * MS; /* planned anew meanwhile */
	}
	/* What comes after that does again. */
	g_assert_cmpint(vrrp_sleep_heard_at(&sleep, &machine, late_us + 1, late_us + 30 * MS), ==, late_us + 1);
}

/* Of two paths, read one after the other, the later word counts; and a resignation, unless its sender has led anew since. */
static void test_two_paths(void)
{
	VrrpMachine machine = backup(1);
	VrrpSleep sleep = { 0 };

	g_assert_true(vrrp_sleep_counts(&sleep, &machine, 100, NOW + 10 * MS));
	g_assert_true(vrrp_sleep_counts(&sleep, &machine, 100, NOW + 20 * MS));
	g_assert_false(vrrp_sleep_counts(&sleep, &machine, 100, NOW + 10 * MS + 40));
	g_assert_true(vrrp_sleep_counts(&sleep, &machine, 100, NOW + 20 * MS));
	g_assert_true(vrrp_sleep_counts(&sleep, &machine, 0, NOW + 15 * MS));
	g_assert_false(vrrp_sleep_counts(&sleep, &machine, 0, NOW + 15 * MS - 1));
	g_assert_false(vrrp_sleep_counts(&sleep, &machine, 100, NOW + 20 * MS - 1));
}

static void test_crowd(void)
{
	VrrpMachine machine = backup(1);
	VrrpSleep sleep = asleep(&machine);

	vrrp_sleep_note(&sleep, VRRP_SLEEP_CROWD, NOW);
	vrrp_sleep_plan(&sleep, &machine, false, 0, NOW);
	g_assert_true(sleep.quiet);
	vrrp_sleep_note(&sleep, VRRP_SLEEP_CROWD + 1, NOW);
	vrrp_sleep_plan(&sleep, &machine, false, 0, NOW);
	g_assert_false(sleep.quiet);
}

static void test_tick(void)
{
	g_assert_cmpint(vrrp_sleep_tick_us(false, 300 * MS), ==, VRRP_SLEEP_TICK_US);
	g_assert_cmpint(vrrp_sleep_tick_us(true, 300 * MS), ==, 200 * MS);
	g_assert_cmpint(vrrp_sleep_tick_us(true, 30 * MS), ==, VRRP_SLEEP_TICK_US);
}

/* What was lost before the Master was heard is nothing to wait for, nor what was lost so long ago that he has been silent since for as long as one that
 * begins waits, by the longer interval. */
static void test_lost_since(void)
{
	VrrpMachine machine = backup(1);
	VrrpSleep sleep = { 0 };
	gint64 wait_us = vrrp_machine_down_us(&machine), longer_us = 3000 * MS + 2 * 1000 * MS / 256;

	g_assert_cmpint(vrrp_sleep_lost_since_us(&sleep, &machine, NOW), ==, NOW - wait_us);
	g_assert_true(vrrp_sleep_counts(&sleep, &machine, 100, NOW));
	g_assert_cmpint(vrrp_sleep_lost_since_us(&sleep, &machine, NOW + wait_us), ==, NOW);
	g_assert_cmpint(vrrp_sleep_lost_since_us(&sleep, &machine, NOW + wait_us + 1), ==, NOW + 1);
	machine.interval_cs = 100;
	g_assert_cmpint(vrrp_sleep_lost_since_us(&sleep, &machine, NOW + longer_us), ==, NOW);
	g_assert_cmpint(vrrp_sleep_lost_since_us(&sleep, &machine, NOW + longer_us + 1), ==, NOW + 1);
	g_assert_cmpuint(machine.master_interval_cs, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path = g_strdup_printf("/vrrp/sleep/plan/%s", rows[i].name);

		g_test_add_data_func(path, &rows[i], test_plan);
	}
	g_test_add_func("/vrrp/sleep/never", test_never);
	g_test_add_func("/vrrp/sleep/by-plan", test_by_plan);
	g_test_add_func("/vrrp/sleep/future", test_future);
	g_test_add_func("/vrrp/sleep/late", test_late);
	g_test_add_func("/vrrp/sleep/two-paths", test_two_paths);
	g_test_add_func("/vrrp/sleep/crowd", test_crowd);
	g_test_add_func("/vrrp/sleep/tick", test_tick);
	g_test_add_func("/vrrp/sleep/lost-since", test_lost_since);
	return g_test_run();
}
