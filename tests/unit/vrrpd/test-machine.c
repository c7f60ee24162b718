/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-machine.c - the state tables of RFC 3768 6.4 and RFC 9568 6.4, row by row, and our few departures. */
#include <string.h>

#include "vrrpd/rules/judge.h"
#include "vrrpd/rules/machine.h"

#define MS 1000
#define US ip_v4(0xc000020b)
#define LOWER ip_v4(0xc000020a)
#define HIGHER ip_v4(0xc000020c)

/* One machine, its clock, and the steps of the last event as letters: S<n> send, H hold, D drop, A announce, T state. */
typedef struct {
	VrrpMachine machine;
	gint64 now_us;
	char said[64];
	const char *reason;
} World;

static void step(World *world, VrrpEvent event)
{
	VrrpStep steps[VRRP_MAX_STEPS];
	gsize n = vrrp_machine_step(&world->machine, &event, world->now_us, steps);
	GString *said = g_string_new("");

	for (gsize i = 0; i < n; i++) {
		switch (steps[i].kind) {
		case VRRP_STEP_SEND:
			g_string_append_printf(said, "S%u ", steps[i].priority);
			break;
		case VRRP_STEP_RENEW:
			g_assert_not_reached();
		case VRRP_STEP_HOLD:
			g_string_append(said, "H ");
			break;
		case VRRP_STEP_DROP:
			g_string_append(said, "D ");
			break;
		case VRRP_STEP_ANNOUNCE:
			g_string_append(said, "A ");
			break;
		case VRRP_STEP_STATE:
			g_string_append_printf(said, "T:%s ", vrrp_state_name(steps[i].state));
			world->reason = steps[i].reason;
			break;
		}
	}
	g_strlcpy(world->said, g_strchomp(said->str), sizeof world->said);
	g_string_free(said, TRUE);
}

static void hear(World *world, guint8 priority, IpAddress source, guint interval_cs)
{
	step(world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = priority, .source = source, .interval_cs = interval_cs,
				 .received_us = world->now_us });
}

/* To the deadline, exactly. */
static void expire(World *world)
{
	world->now_us = world->machine.deadline_us;
	step(world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
}

static World backup(guint8 version)
{
	World world = { .now_us = 1000000 * MS };

	vrrp_machine_init(&world.machine, version, version == 2 ? 100 : 10, US, 100, 100);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_START, .reason = "started" });
	return world;
}

static World master(guint8 version)
{
	World world = backup(version);

	expire(&world);
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	return world;
}

#define SAID(world, text) g_assert_cmpstr((world).said, ==, text)
#define DUE_IN(world, us) g_assert_cmpint((world).machine.deadline_us - (world).now_us, ==, us)

/* ---- 6.4.1 Initialize ---- */

static void test_init_startup(void)
{
	World world = backup(3);

	SAID(world, "T:backup");
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	world = backup(2);
	DUE_IN(world, 3000 * MS + 156 * 1000000LL / 256); /* 3609 ms */
}

static void test_init_ignores(void)
{
	static const VrrpEventKind kinds[] = { VRRP_EVENT_STOP, VRRP_EVENT_ADVERT, VRRP_EVENT_TIMER, VRRP_EVENT_RESIGN, VRRP_EVENT_TAKE };
	World world = { .now_us = 5 };

	vrrp_machine_init(&world.machine, 3, 10, US, 100, 100);
	for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
		step(&world, (VrrpEvent){ .kind = kinds[i], .priority = 1, .interval_cs = 10, .reason = "x" });
		SAID(world, "");
		g_assert_cmpint(world.machine.state, ==, VRRP_STATE_INIT);
		g_assert_cmpint(world.machine.deadline_us, ==, 0);
	}
}

/* Its link is not trusted yet, and what is heard on it meanwhile is not forgotten: the Master speaks less often than we would. */
static void test_init_learns_interval(void)
{
	World world = backup(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "no-carrier" });
	hear(&world, 200, HIGHER, 100);
	hear(&world, 200, HIGHER, 50);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_START, .reason = "carrier" });
	DUE_IN(world, 1500 * MS + 156 * 500000LL / 256);
	/* More often: for now it is our own, as ever; and who has resigned says nothing of it. */
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "no-carrier" });
	hear(&world, 200, HIGHER, 1);
	hear(&world, 0, HIGHER, 100);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_START, .reason = "carrier" });
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	/* What was heard before the link went is. */
	hear(&world, 200, HIGHER, 100);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "no-carrier" });
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_START, .reason = "carrier" });
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
}

static void test_init_resume(void)
{
	World world = { .now_us = 5 * MS };

	vrrp_machine_init(&world.machine, 3, 10, US, 100, 100);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESUME });
	SAID(world, "S100 H A"); /* no state step: to everybody else nothing happened */
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	DUE_IN(world, 100 * MS);
}

/* ---- 6.4.2 Backup ---- */

static void test_backup_timer(void)
{
	World world = backup(3);

	expire(&world);
	SAID(world, "S100 H A T:master");
	g_assert_cmpstr(world.reason, ==, "master-down");
	DUE_IN(world, 100 * MS);
}

static void test_backup_early_timer(void)
{
	World world = backup(3);

	world.now_us = world.machine.deadline_us - 1;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "");
}

static void test_backup_priority_zero(void)
{
	World world = backup(3);

	world.now_us += 10 * MS;
	hear(&world, 0, HIGHER, 10);
	SAID(world, "");
	DUE_IN(world, 156 * 100000 / 256);
	expire(&world);
	g_assert_cmpstr(world.reason, ==, "master-resigned");
}

static void test_backup_higher_resets(void)
{
	World world = backup(3);

	world.now_us += 250 * MS;
	hear(&world, 200, HIGHER, 10);
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
}

/* Preempt_Mode false: a lower priority also resets the timer. */
static void test_backup_lower_resets(void)
{
	World world = backup(3);

	world.now_us += 250 * MS;
	hear(&world, 1, LOWER, 10);
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
}

static void test_backup_learns_interval(void)
{
	World world = backup(3);

	hear(&world, 200, HIGHER, 100);
	DUE_IN(world, 3000 * MS + 156 * 1000000LL / 256);
	g_assert_cmpint(vrrp_machine_skew_us(&world.machine), ==, 156 * 1000000LL / 256);
	/* Version 2 has none to learn. */
	world = backup(2);
	hear(&world, 200, HIGHER, 10);
	DUE_IN(world, 3000 * MS + 156 * 1000000LL / 256);
}

static void test_backup_counts_from_reception(void)
{
	World world = backup(3);
	gint64 received_us = world.now_us + 5 * MS;

	world.now_us += 45 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 1, .source = LOWER, .interval_cs = 10, .received_us = received_us });
	g_assert_cmpint(world.machine.deadline_us, ==, received_us + 300 * MS + 156 * 100000 / 256);
}

static void test_backup_shutdown(void)
{
	World world = backup(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "no-carrier" });
	SAID(world, "T:init");
	g_assert_cmpint(world.machine.deadline_us, ==, 0);
}

static void test_backup_held(void)
{
	World world = backup(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = false });
	expire(&world);
	SAID(world, "");
	g_assert_cmpint(world.machine.deadline_us, ==, 0);
	world.now_us += 3600000 * (gint64)MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = true });
	SAID(world, "S100 H A T:master");
}

static void test_backup_held_master_returns(void)
{
	World world = backup(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = false });
	expire(&world);
	hear(&world, 5, LOWER, 10);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = true });
	SAID(world, "");
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
}

/* One that has waited in vain for a Master, and is held, hears one resign: its skew counts from then. */
static void test_backup_held_master_resigns(void)
{
	World world = backup(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = false });
	expire(&world);
	hear(&world, 0, HIGHER, 10);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = true });
	SAID(world, "");
	DUE_IN(world, 156 * 100000 / 256);
	expire(&world);
	SAID(world, "S100 H A T:master");
	g_assert_cmpstr(world.reason, ==, "master-resigned");
}

static void test_backup_take(void)
{
	World world = backup(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = false });
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TAKE, .reason = "ordered" });
	SAID(world, "S100 H A T:master");
	g_assert_cmpstr(world.reason, ==, "ordered");
}

static void test_backup_late(void)
{
	World world = backup(3);

	world.now_us = world.machine.deadline_us + 101 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "");
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	expire(&world);
	SAID(world, "S100 H A T:master");
	/* A little late is not asleep. */
	world = backup(3);
	world.now_us = world.machine.deadline_us + 99 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "S100 H A T:master");
}

/* A queue that ran over while we slept holds the oldest adverts only; the Master may be alive all the same. */
static void test_backup_late_queue(void)
{
	World world = backup(3);
	gint64 received_us = world.now_us + 50 * MS;

	world.now_us += 5000 * MS;
	for (guint i = 0; i < 3; i++)
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 10,
					  .received_us = received_us + i * 100 * MS });
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	g_assert_cmpint(world.machine.late_wake_ups, ==, 1);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "");
	/* It is, an advert late by more than an interval, and all is as ever. */
	world.now_us += 260 * MS;
	hear(&world, 200, HIGHER, 10);
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	expire(&world);
	SAID(world, "S100 H A T:master");
}

/* Somebody set the clock while they lay there: the Master may have led again since, and speak less often. */
static void test_backup_undated(void)
{
	World world = backup(3);

	hear(&world, 200, HIGHER, 10);
	world.now_us += 200 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .source = HIGHER, .received_us = world.now_us, .undated = true });
	DUE_IN(world, 100 * MS + 156 * 100000 / 256);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 1, .received_us = world.now_us, .undated = true });
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 20, .received_us = world.now_us, .undated = true });
	DUE_IN(world, 600 * MS + 156 * 200000 / 256);
	/* By another path, and perhaps older than what was heard. */
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 150, .source = HIGHER, .interval_cs = 10, .received_us = world.now_us, .undated = true });
	DUE_IN(world, 600 * MS + 156 * 200000 / 256);
	g_assert_cmpint(world.machine.late_wake_ups, ==, 0);
	hear(&world, 200, HIGHER, 1);
	DUE_IN(world, 30 * MS + 156 * 10000 / 256);
	/* A Master hears in it another Master all the same. */
	world = master(3);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 1, .received_us = world.now_us, .undated = true });
	SAID(world, "S1 D T:backup");
	world = master(3);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .source = HIGHER, .received_us = world.now_us, .undated = true });
	SAID(world, "");
}

/* It woke on time, and the kernel had no room for what came: a Master that speaks may not have been heard, as often as that is so. */
static void test_backup_ran_over(void)
{
	World world = backup(3);

	hear(&world, 200, HIGHER, 1);
	for (guint i = 1; i < 4; i++) {
		world.now_us = world.machine.deadline_us;
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = true });
		SAID(world, "");
		DUE_IN(world, 300 * MS + 156 * 100000 / 256); /* it may have said, too, that it speaks less often now */
		g_assert_cmpint(world.machine.ran_over, ==, i);
	}
	g_assert_cmpint(world.machine.late_wake_ups, ==, 0);
	expire(&world);
	SAID(world, "S100 H A T:master");
	/* Before it is due that is of no meaning. */
	world = backup(3);
	world.now_us = world.machine.deadline_us - 1;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = true });
	DUE_IN(world, 1);
	g_assert_cmpint(world.machine.ran_over, ==, 0);
	expire(&world);
	SAID(world, "S100 H A T:master");
	/* Who may not take over waits anew all the same, and when it may. */
	world = backup(3);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = false });
	expire(&world);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	DUE_IN(world, -world.now_us);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = true });
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	expire(&world);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = true, .ran_over = true });
	SAID(world, "");
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	expire(&world);
	SAID(world, "S100 H A T:master");
	/* It is asked whenever it would lead: also when its timer is due and has yet to come, whether it is let or held then. */
	for (guint open = 0; open < 2; open++) {
		world = backup(3);
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = !open });
		world.now_us = world.machine.deadline_us;
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = open, .ran_over = true });
		SAID(world, "");
		DUE_IN(world, 300 * MS + 156 * 100000 / 256);
		g_assert_cmpint(world.machine.ran_over, ==, 1);
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
		SAID(world, "");
	}
	/* Not for being let alone: the timer finds the queues drained. */
	world = backup(3);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = false });
	world.now_us = world.machine.deadline_us;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = true });
	SAID(world, "");
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "S100 H A T:master");
}

/* What ran over may also have told of a longer interval: one that has slept knows no more than one that begins. */
static void test_backup_late_forgets_a_short_interval(void)
{
	World world = backup(3);

	hear(&world, 200, HIGHER, 1);
	DUE_IN(world, 30 * MS + 156 * 10000 / 256);
	world.now_us += 5000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 1,
				  .received_us = world.now_us - 4000 * MS });
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	hear(&world, 200, HIGHER, 1);
	DUE_IN(world, 30 * MS + 156 * 10000 / 256);
	world.now_us += 5000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
	/* A longer one it knows stays known. */
	hear(&world, 200, HIGHER, 100);
	world.now_us += 9000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	DUE_IN(world, 3000 * MS + 156 * 1000000 / 256);
}

/* Woken by its timer, then the queue: that was one sleep. The next is another. */
static void test_one_sleep_is_one_count(void)
{
	World world = backup(3);
	gint64 asleep_us = world.now_us + 50 * MS;

	world.now_us += 5000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	world.now_us += 1;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 10, .received_us = asleep_us });
	g_assert_cmpint(world.machine.late_wake_ups, ==, 1);
	asleep_us = world.now_us + 50 * MS;
	world.now_us += 5000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 10, .received_us = asleep_us });
	g_assert_cmpint(world.machine.late_wake_ups, ==, 2);
	/* A Master that was replaced finds the adverts of its successor, oldest first. */
	world = master(3);
	asleep_us = world.now_us + 400 * MS;
	world.now_us += 5000 * MS;
	for (guint i = 0; i < 3; i++)
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 200, .source = HIGHER, .interval_cs = 10,
					  .received_us = asleep_us + i * 100 * MS });
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_BACKUP);
	g_assert_cmpint(world.machine.late_wake_ups, ==, 1);
}

static void test_backup_overtaken(void)
{
	World world = backup(3);

	world.machine.skew_priority = VRRP_SKEW_PRIORITY;
	hear(&world, 0, HIGHER, 10);
	expire(&world);
	/* The other path delivers what was sent before the priority 0. */
	hear(&world, 254, HIGHER, 10);
	SAID(world, "");
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	/* Somebody else's counts, and its own a while later. */
	world.now_us += 60 * MS;
	hear(&world, 254, HIGHER, 10);
	SAID(world, "S1 D T:backup");
	/* By two paths, of which the quicker is read last: the later priority 0 counts. */
	world = backup(3);
	world.now_us += 100 * MS;
	hear(&world, 0, HIGHER, 10);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .source = HIGHER, .received_us = world.now_us - 40 * MS });
	world.now_us += 20 * MS;
	hear(&world, 254, HIGHER, 10);
	g_assert_cmpuint(world.machine.master_priority, ==, 0);
	/* Also who heard it without a link on the LAN, and has one since. */
	world = (World){ .now_us = 1000000 * MS };
	vrrp_machine_init(&world.machine, 3, 10, US, 100, VRRP_SKEW_PRIORITY);
	hear(&world, 0, HIGHER, 10);
	world.now_us += 20 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_START, .reason = "carrier" });
	world.now_us += 10 * MS;
	hear(&world, 254, HIGHER, 10);
	DUE_IN(world, 290 * MS + 2 * 100000 / 256);
}

/* Who has given up itself since knows that the other may lead anew, however short the while. */
static void test_resigned_to_and_fro(void)
{
	World world = backup(3);

	world.machine.skew_priority = VRRP_SKEW_PRIORITY;
	hear(&world, 0, HIGHER, 10);
	expire(&world);
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	world.now_us += 10 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
	world.now_us += 10 * MS;
	hear(&world, 200, HIGHER, 50);
	DUE_IN(world, 1500 * MS + 2 * 500000 / 256);
	g_assert_cmpuint(world.machine.master_priority, ==, 200);
}

/* ---- 6.4.3 Master ---- */

static void test_master_timer(void)
{
	World world = master(3);

	for (int i = 0; i < 5; i++) {
		expire(&world);
		SAID(world, "S100");
		DUE_IN(world, 100 * MS);
	}
}

static void test_master_keeps_the_beat(void)
{
	World world = master(3);
	gint64 due_us = world.machine.deadline_us;

	world.now_us = due_us + 30 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_cmpint(world.machine.deadline_us, ==, due_us + 100 * MS);
	world.now_us = due_us + 250 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	DUE_IN(world, 100 * MS);
}

static void test_master_priority_zero(void)
{
	World world = master(3);

	world.now_us += 40 * MS;
	hear(&world, 0, HIGHER, 10);
	SAID(world, "S100");
	DUE_IN(world, 100 * MS);
}

static void test_master_higher(void)
{
	World world = master(3);

	hear(&world, 101, LOWER, 20);
	SAID(world, "S1 D T:backup"); /* so that the higher one knows that hosts may think otherwise */
	g_assert_cmpstr(world.reason, ==, "heard-higher");
	DUE_IN(world, 600 * MS + 156 * 200000 / 256);
}

static void test_master_equal_higher_address(void)
{
	World world = master(3);

	hear(&world, 100, HIGHER, 10);
	SAID(world, "S1 D T:backup");
}

static void test_master_equal_lower_address(void)
{
	World world = master(3);

	world.now_us += 40 * MS;
	hear(&world, 100, LOWER, 10);
	SAID(world, "S100");
}

/* 9568: discards and answers at once; the hosts are told again too, but at most once an interval. */
static void test_master_lower(void)
{
	World world = master(3);

	world.now_us += 50 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	hear(&world, 99, HIGHER, 10);
	SAID(world, "S100");
	DUE_IN(world, 100 * MS);
	world.now_us += 60 * MS;
	hear(&world, 99, HIGHER, 10);
	SAID(world, "S100 A");
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
}

static void test_master_shutdown(void)
{
	World world = master(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "stopped" });
	SAID(world, "D S0 T:init");
	g_assert_cmpint(world.machine.deadline_us, ==, 0);
}

static void test_master_resign(void)
{
	World world = master(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "swap" });
	SAID(world, "D S0 T:backup");
	g_assert_cmpstr(world.reason, ==, "swap");
	DUE_IN(world, 300 * MS + 156 * 100000 / 256);
}

static void test_master_hold_is_no_reason_to_go(void)
{
	World world = master(3);

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = false });
	SAID(world, "");
	expire(&world);
	SAID(world, "S100");
}

static void test_master_late_alone(void)
{
	World world = master(3);

	world.now_us += 302 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "");
	DUE_IN(world, 100 * MS);
	hear(&world, 0, HIGHER, 10);
	SAID(world, "");
	expire(&world);
	SAID(world, "S100 H A");
	g_assert_cmpint(world.machine.late_wake_ups, ==, 1);
	expire(&world);
	SAID(world, "S100");
}

/* Asleep again before it has listened to the end. */
static void test_master_late_twice(void)
{
	World world = master(3);

	world.now_us += 5000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "");
	world.now_us += 5000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "");
	DUE_IN(world, 100 * MS);
	g_assert_cmpint(world.machine.late_wake_ups, ==, 2);
	expire(&world);
	SAID(world, "S100 H A");
}

/* Even a lower one: it has led while we slept. */
static void test_master_late_replaced(void)
{
	World world = master(3);

	world.now_us += 5000 * MS;
	hear(&world, 1, LOWER, 10);
	SAID(world, "D T:backup"); /* its own last word would win */
	g_assert_cmpstr(world.reason, ==, "late-wake-up");
	/* Both led before, and hosts may have been told of us last: the other is to tell them again. */
	world = master(3);
	world.now_us += 5000 * MS;
	hear(&world, 50, LOWER, 10);
	SAID(world, "S1 D T:backup");
	g_assert_cmpstr(world.reason, ==, "late-wake-up");
	/* Which it has, if it took over from us. */
	world = master(3);
	world.now_us += 5000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = 50, .source = LOWER, .interval_cs = 10, .received_us = world.now_us, .took_over = true });
	SAID(world, "D T:backup");
}

static void test_master_not_late(void)
{
	World world = master(3);

	world.now_us += 300 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	SAID(world, "S100");
}

/* Every event in every state, many times, in any order: no state without its timer, no address in two minds. */
static void test_random_walk(void)
{
	World world = { .now_us = 1 };
	bool held = false;

	vrrp_machine_init(&world.machine, 3, 10, US, 100, 254);
	for (int i = 0; i < 1000000; i++) {
		VrrpEvent event = {
			.kind = (VrrpEventKind)g_random_int_range(0, VRRP_EVENT_TAKE + 1),
			.priority = (guint8)g_random_int_range(0, 256),
			.interval_cs = (guint)g_random_int_range(1, 20),
			.source = g_random_boolean() ? LOWER : HIGHER,
			.open = g_random_boolean(),
			.reason = "random",
		};

		world.now_us += g_random_int_range(0, i % 100 ? 120 * MS : 2000 * MS);
		event.received_us = world.now_us - g_random_int_range(0, 50 * MS);
		step(&world, event);
		if (strchr(world.said, 'H'))
			held = true;
		if (strchr(world.said, 'D'))
			held = false;
		g_assert_true(held == (world.machine.state == VRRP_STATE_MASTER));
		if (world.machine.state == VRRP_STATE_MASTER)
			g_assert_cmpint(world.machine.deadline_us, !=, 0);
		else if (strstr(world.said, "S"))
			g_assert_true(strstr(world.said, "S0") || g_str_equal(world.said, "S1 D T:backup")); /* yields */
		if (world.machine.state == VRRP_STATE_BACKUP)
			g_assert_true(world.machine.deadline_us != 0 || world.machine.master_gone);
		if (world.machine.state == VRRP_STATE_INIT)
			g_assert_cmpint(world.machine.deadline_us, ==, 0);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/machine/9568-6.4.1/init/startup", test_init_startup);
	g_test_add_func("/vrrp/machine/9568-6.4.1/init/everything-else-ignored", test_init_ignores);
	g_test_add_func("/vrrp/machine/init/learns-interval", test_init_learns_interval);
	g_test_add_func("/vrrp/machine/restart/resume", test_init_resume);
	g_test_add_func("/vrrp/machine/9568-6.4.2/backup/timer", test_backup_timer);
	g_test_add_func("/vrrp/machine/9568-6.4.2/backup/timer-not-due", test_backup_early_timer);
	g_test_add_func("/vrrp/machine/9568-6.4.2/backup/priority-zero", test_backup_priority_zero);
	g_test_add_func("/vrrp/machine/9568-6.4.2/backup/higher-resets", test_backup_higher_resets);
	g_test_add_func("/vrrp/machine/9568-6.4.2/backup/lower-resets-without-preemption", test_backup_lower_resets);
	g_test_add_func("/vrrp/machine/9568-6.1/backup/learns-interval", test_backup_learns_interval);
	g_test_add_func("/vrrp/machine/backup/counts-from-reception", test_backup_counts_from_reception);
	g_test_add_func("/vrrp/machine/9568-6.4.2/backup/shutdown", test_backup_shutdown);
	g_test_add_func("/vrrp/machine/holds/backup-waits", test_backup_held);
	g_test_add_func("/vrrp/machine/holds/master-returns", test_backup_held_master_returns);
	g_test_add_func("/vrrp/machine/holds/master-resigns", test_backup_held_master_resigns);
	g_test_add_func("/vrrp/machine/orders/take", test_backup_take);
	g_test_add_func("/vrrp/machine/late/backup", test_backup_late);
	g_test_add_func("/vrrp/machine/late/backup-queue-ran-over", test_backup_late_queue);
	g_test_add_func("/vrrp/machine/late/backup-ran-over", test_backup_ran_over);
	g_test_add_func("/vrrp/machine/late/backup-undated", test_backup_undated);
	g_test_add_func("/vrrp/machine/late/backup-forgets-a-short-interval", test_backup_late_forgets_a_short_interval);
	g_test_add_func("/vrrp/machine/late/one-sleep-is-one-count", test_one_sleep_is_one_count);
	g_test_add_func("/vrrp/machine/paths/overtaken-advert", test_backup_overtaken);
	g_test_add_func("/vrrp/machine/paths/resigned-to-and-fro", test_resigned_to_and_fro);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/timer", test_master_timer);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/keeps-the-beat", test_master_keeps_the_beat);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/priority-zero", test_master_priority_zero);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/higher", test_master_higher);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/equal-higher-address", test_master_equal_higher_address);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/equal-lower-address", test_master_equal_lower_address);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/lower", test_master_lower);
	g_test_add_func("/vrrp/machine/9568-6.4.3/master/shutdown", test_master_shutdown);
	g_test_add_func("/vrrp/machine/orders/resign", test_master_resign);
	g_test_add_func("/vrrp/machine/holds/master-stays", test_master_hold_is_no_reason_to_go);
	g_test_add_func("/vrrp/machine/late/master-alone", test_master_late_alone);
	g_test_add_func("/vrrp/machine/late/master-twice", test_master_late_twice);
	g_test_add_func("/vrrp/machine/late/master-replaced", test_master_late_replaced);
	g_test_add_func("/vrrp/machine/late/master-not-late", test_master_not_late);
	g_test_add_func("/vrrp/machine/random-walk", test_random_walk);
	return g_test_run();
}
