/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-candidate.c - what machine, judge, holds and link watch make of each other's word. */
#include "vrrpd/rules/candidate.h"

#define MS 1000
#define NOW (1000000 * G_GINT64_CONSTANT(1000))
#define DOWN (300 * MS + 2 * 100000 / 256)

typedef struct {
	VrrpCandidate candidate;
	VrrpStep steps[VRRP_MAX_STEPS];
	gsize n;
	gint64 now_us;
} World;

static void step(World *world, VrrpEvent event)
{
	world->n = vrrp_candidate_step(&world->candidate, &event, world->now_us, world->steps);
}

static bool did(const World *world, VrrpStepKind kind)
{
	for (gsize i = 0; i < world->n; i++)
		if (world->steps[i].kind == kind)
			return true;
	return false;
}

/* An advert of the peer that counts. */
static void hear(World *world, guint8 priority)
{
	vrrp_candidate_hear(&world->candidate, priority, world->now_us);
	step(world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = priority, .interval_cs = 10, .source = ip_v4(0xc000020b),
				 .received_us = world->now_us });
}

static void tick(World *world, gint64 until_us)
{
	VrrpEvent event;

	for (; world->now_us < until_us; world->now_us += 100 * MS) {
		(void)vrrp_candidate_tick(&world->candidate, true, world->now_us);
		if (vrrp_candidate_gate(&world->candidate, world->now_us, &event))
			step(world, event);
	}
}

/* A Backup that may lead, on a link on which others are heard. */
static World backup(bool paired)
{
	World world = { .now_us = NOW };
	VrrpEvent event;

	world.candidate.holds.supervised_until_us = G_MAXINT64;
	vrrp_candidate_begin(&world.candidate, 3, 10, ip_v4(0xc000020a), 100);
	vrrp_candidate_pair(&world.candidate, paired, 0, false, false, NOW);
	g_assert_true(vrrp_link_watch_state(&world.candidate.watch, true, true, NOW));
	g_assert_true(vrrp_candidate_link(&world.candidate, NULL, "started", &event));
	step(&world, event);
	g_assert_false(vrrp_candidate_link(&world.candidate, NULL, "started", &event));
	(void)vrrp_candidate_tick(&world.candidate, true, NOW);
	g_assert_true(vrrp_candidate_gate(&world.candidate, NOW, &event));
	step(&world, event);
	return world;
}

static World master(void)
{
	World world = backup(true);

	world.now_us = world.candidate.machine.deadline_us;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_MASTER);
	return world;
}

static void take(World *world)
{
	vrrp_candidate_order(&world->candidate, world->now_us);
	step(world, (VrrpEvent){ .kind = VRRP_EVENT_TAKE, .reason = "ordered" });
}

static void test_priority(void)
{
	World world = backup(true);

	g_assert_cmpuint(world.candidate.machine.priority, ==, 3); /* what it would begin with: not serving, step 1 */
	world = backup(false);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 100);
	world = master();
	g_assert_cmpuint(world.candidate.machine.priority, ==, 3);
	g_assert_true(vrrp_candidate_serve(&world.candidate, true, world.now_us));
	g_assert_false(vrrp_candidate_serve(&world.candidate, true, world.now_us));
	g_assert_cmpuint(world.candidate.machine.priority, ==, 85 + 2);
	tick(&world, world.now_us + 400 * MS);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 169 + 2);
	g_assert_cmpint(world.candidate.standing, ==, VRRP_STANDING_SERVING);
	/* What is shown is what is said: both change when it is judged anew, not before. */
	world.now_us += 1000 * MS;
	g_assert_cmpint(vrrp_candidate_standing(&world.candidate, world.now_us), ==, VRRP_STANDING_ALONE);
	g_assert_cmpint(world.candidate.standing, ==, VRRP_STANDING_SERVING);
	vrrp_candidate_judge(&world.candidate, world.now_us);
	g_assert_cmpint(world.candidate.standing, ==, VRRP_STANDING_ALONE);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 85 + 2);
	tick(&world, world.now_us + 400 * MS);
	/* It follows: no older one is left. */
	vrrp_candidate_pair(&world.candidate, true, 0, true, false, world.now_us);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 169);
}

/* What it said as Master may still be under way when it says that it follows: the step comes back after that. */
static void test_follows(void)
{
	World world = backup(true);

	tick(&world, world.now_us + 400 * MS);
	hear(&world, 169 + 1);
	take(&world);
	(void)vrrp_candidate_serve(&world.candidate, true, world.now_us);
	vrrp_candidate_pair(&world.candidate, true, 0, true, false, world.now_us);
	g_assert_cmpuint(world.candidate.step, ==, 1);
	world.now_us += 150 * MS;
	hear(&world, 169 + 1);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_MASTER);
	world.now_us += 250 * MS;
	(void)vrrp_candidate_tick(&world.candidate, true, world.now_us);
	g_assert_cmpuint(world.candidate.step, ==, 1);
	world.now_us += 100 * MS;
	(void)vrrp_candidate_tick(&world.candidate, true, world.now_us);
	g_assert_cmpuint(world.candidate.step, ==, 0);
	g_assert_true(world.candidate.unsaved);
	/* It has led anew since it said so: a word of before does not make that forgotten. */
	hear(&world, 2 * 3 + 2);
	world.now_us += 400 * MS;
	vrrp_candidate_pair(&world.candidate, true, 0, true, false, world.now_us);
	world.now_us += 400 * MS;
	(void)vrrp_candidate_tick(&world.candidate, true, world.now_us);
	g_assert_cmpuint(world.candidate.heard_step, ==, 3);
}

/* The step heard last is told to a restarted process at once. */
static void test_heard_step_is_saved(void)
{
	World world = backup(true);

	world.candidate.unsaved = false;
	hear(&world, 169 + 2 * 5 + 1);
	g_assert_true(world.candidate.unsaved);
	g_assert_cmpuint(world.candidate.heard_step, ==, 5);
	world.candidate.unsaved = false;
	hear(&world, 169 + 2 * 5 + 1);
	g_assert_false(world.candidate.unsaved);
	/* A resignation says nothing of it. */
	hear(&world, 0);
	g_assert_cmpuint(world.candidate.heard_step, ==, 5);
	g_assert_false(world.candidate.unsaved);
}

/* The Master has brought its step back, and what it said before that comes late: who takes over now is above that too. */
static void test_overtaken_step(void)
{
	World world = backup(true);

	tick(&world, world.now_us + 400 * MS);
	hear(&world, 169 + 2 * 1 + 1);
	world.now_us += 100 * MS;
	hear(&world, 169 + 1);
	world.now_us += 10 * MS;
	take(&world);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 169 + 2 * 2);
	hear(&world, 169 + 2 * 1 + 1);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_MASTER);
	/* A down interval later nothing of it is under way, */
	world = backup(true);
	hear(&world, 169 + 2 * 5 + 1);
	for (guint i = 0; i < 4; i++) {
		g_assert_cmpuint(world.candidate.heard_step, ==, 5);
		world.now_us += 100 * MS;
		hear(&world, 169 + 2 * 3 + 1);
	}
	g_assert_cmpuint(world.candidate.heard_step, ==, 3);
	/* and what a former process has heard may just have been said. */
	world = backup(true);
	world.candidate.heard_step = 5;
	hear(&world, 169 + 2 * 3 + 1);
	g_assert_cmpuint(world.candidate.heard_step, ==, 5);
}

/* Ordered before anything was heard of the Master: its next advert does not undo the order. */
static void test_order_before_anything_was_heard(void)
{
	World world = backup(true);

	take(&world);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 169 + 2);
	hear(&world, 169 + 2 * 7 + 1);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_MASTER);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 169 + 2 * 8);
	g_assert_true(did(&world, VRRP_STEP_SEND));
	/* Once: the other may have been ordered since. */
	hear(&world, 169 + 2 * 9 + 1);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_BACKUP);
	/* Much later it is somebody who came after us. */
	world = backup(true);
	take(&world);
	world.now_us += DOWN;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	hear(&world, 169 + 2 * 7 + 1);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_BACKUP);
}

/* Heard while there was no peer yet: its step is known from the moment of pairing. */
static void test_pairing_knows_the_master(void)
{
	World world = backup(false);

	hear(&world, 169 + 2 * 7 + 1);
	g_assert_cmpuint(world.candidate.heard_step, ==, 0);
	vrrp_candidate_pair(&world.candidate, true, 0, false, true, world.now_us);
	take(&world);
	g_assert_cmpuint(world.candidate.machine.priority, ==, 169 + 2 * 8);
}

static void test_addresses_are_renewed_with_adverts(void)
{
	World world = master();
	guint n_renewed = 0;

	/* With the last before half the shortest life, which is 3 s. */
	for (guint i = 0; i < 42; i++) {
		world.now_us = world.candidate.machine.deadline_us;
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
		g_assert_true(did(&world, VRRP_STEP_SEND));
		n_renewed += did(&world, VRRP_STEP_RENEW);
	}
	g_assert_cmpuint(n_renewed, ==, 3);
	/* Not by one that has slept: it listens, then puts them up anew. */
	world.now_us += 2000 * MS;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_cmpuint(world.n, ==, 0);
	world.now_us = world.candidate.machine.deadline_us;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_true(did(&world, VRRP_STEP_HOLD) && !did(&world, VRRP_STEP_RENEW));
}

static void test_restart(void)
{
	World world = { .now_us = NOW };

	vrrp_candidate_begin(&world.candidate, 3, 10, ip_v4(0xc000020a), 100);
	g_assert_true(vrrp_candidate_may_resume(&world.candidate, VRRP_STATE_MASTER, NOW - 300 * MS, NOW));
	g_assert_false(vrrp_candidate_may_resume(&world.candidate, VRRP_STATE_MASTER, NOW - 301 * MS, NOW));
	g_assert_false(vrrp_candidate_may_resume(&world.candidate, VRRP_STATE_MASTER, NOW + 1, NOW));
	g_assert_false(vrrp_candidate_may_resume(&world.candidate, VRRP_STATE_BACKUP, NOW, NOW));
	world.candidate.paired = true;
	world.candidate.step = 4;
	vrrp_candidate_resume(&world.candidate, true, true, true, NOW);
	g_assert_true(vrrp_candidate_leads(&world.candidate));
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESUME });
	g_assert_cmpuint(world.steps[0].priority, ==, 169 + 2 * 4);
	g_assert_true(world.candidate.serving && world.candidate.served);
	/* An isolated one is not at once among people for having been restarted. */
	world = (World){ .now_us = NOW };
	vrrp_candidate_begin(&world.candidate, 3, 10, ip_v4(0xc000020a), 100);
	world.candidate.paired = true;
	vrrp_candidate_resume(&world.candidate, true, true, false, NOW);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESUME });
	g_assert_cmpuint(world.steps[0].priority, ==, 85);
	g_assert_false(vrrp_candidate_speaks_to_peer(&world.candidate, NOW));
}

static void test_gate(void)
{
	World world = backup(true);
	VrrpEvent event;

	vrrp_holds_set(&world.candidate.holds, VRRP_HOLD_PASSIVE, "mode", 0, NOW);
	g_assert_true(vrrp_candidate_gate(&world.candidate, NOW, &event) && !event.open);
	step(&world, event);
	g_assert_false(vrrp_candidate_gate(&world.candidate, NOW, &event));
	world.now_us = world.candidate.machine.deadline_us;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_BACKUP);
	vrrp_holds_lift(&world.candidate.holds, VRRP_HOLD_PASSIVE);
	g_assert_true(vrrp_candidate_gate(&world.candidate, NOW, &event) && event.open);
	step(&world, event);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_MASTER);
	g_assert_true(vrrp_candidate_link(&world.candidate, "no-carrier", "carrier", &event));
	g_assert_cmpint(event.kind, ==, VRRP_EVENT_STOP);
	g_assert_cmpstr(event.reason, ==, "no-carrier");
}

/* A link that comes and goes is left alone as long as somebody leads without it; when nobody does, waiting helps nobody. */
static void test_flapping_link(bool paired)
{
	World world = backup(paired);
	VrrpCandidate *candidate = &world.candidate;
	gint64 up_us;

	for (guint i = 0; i < 8; i++) {
		(void)vrrp_link_watch_state(&candidate->watch, true, false, world.now_us);
		world.now_us += 10 * MS;
		(void)vrrp_link_watch_state(&candidate->watch, true, true, world.now_us);
	}
	up_us = world.now_us;
	g_assert_true(vrrp_candidate_distrusts_link(candidate, up_us + 999 * MS));
	g_assert_false(vrrp_candidate_distrusts_link(candidate, up_us + 1000 * MS));
	vrrp_candidate_hear(candidate, 0, up_us + 900 * MS);
	g_assert_false(vrrp_candidate_distrusts_link(candidate, up_us + 1000 * MS));
	vrrp_candidate_hear(candidate, 100, up_us + 900 * MS);
	g_assert_true(vrrp_candidate_distrusts_link(candidate, up_us + 1000 * MS));
	g_assert_false(vrrp_candidate_distrusts_link(candidate, up_us + 1900 * MS));
	vrrp_candidate_hear(candidate, 100, up_us + 15900 * MS);
	g_assert_true(vrrp_candidate_distrusts_link(candidate, up_us + 15999 * MS));
	g_assert_false(vrrp_candidate_distrusts_link(candidate, up_us + 16000 * MS));
}

static void test_flapping(void)
{
	test_flapping_link(true);
	test_flapping_link(false);
}

/* ---- Giving up while the kernel takes its time ---- */

static bool said_zero(const World *world)
{
	for (gsize i = 0; i < world->n; i++)
		if (world->steps[i].kind == VRRP_STEP_SEND && world->steps[i].priority == 0)
			return true;
	return false;
}

/* A Master's next advert, when it is due. */
static void advert(World *world)
{
	world->now_us = world->candidate.machine.deadline_us;
	step(world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
}

static void test_leaving(void)
{
	World world = master();
	VrrpEvent event;

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
	g_assert_cmpuint(world.n, ==, 1);
	g_assert_true(did(&world, VRRP_STEP_DROP));
	for (guint i = 0; i < 20; i++) {
		advert(&world);
		g_assert_true(did(&world, VRRP_STEP_SEND) && !said_zero(&world));
		g_assert_false(did(&world, VRRP_STEP_RENEW));
		g_assert_false(vrrp_candidate_left(&world.candidate, world.now_us, &event));
	}
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
	g_assert_cmpuint(world.n, ==, 0);
	vrrp_candidate_dropped(&world.candidate);
	g_assert_true(vrrp_candidate_left(&world.candidate, world.now_us, &event));
	step(&world, event);
	g_assert_true(said_zero(&world) && !did(&world, VRRP_STEP_DROP));
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_BACKUP);
	g_assert_false(vrrp_candidate_left(&world.candidate, world.now_us, &event));
}

/* The kernel does not let it: then it is silent, and says nothing that is not so. */
static void test_leaving_ends(void)
{
	World world = master();
	gint64 until_us = world.now_us + VRRP_LEAVE_US;
	VrrpEvent event;

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
	while (world.candidate.machine.deadline_us < until_us)
		advert(&world);
	world.now_us = until_us - 1;
	g_assert_false(vrrp_candidate_left(&world.candidate, world.now_us, &event));
	world.now_us = until_us;
	g_assert_true(vrrp_candidate_left(&world.candidate, world.now_us, &event));
	step(&world, event);
	g_assert_cmpuint(world.n, ==, 1);
	g_assert_true(did(&world, VRRP_STEP_STATE));
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_BACKUP);
	/* The other is first, as it may have heard the last advert a moment ago. */
	g_assert_cmpint(world.candidate.machine.deadline_us, ==, world.now_us + 2 * DOWN);
}

/* Whoever ends altogether does not stay a Backup because it was told that first. */
static void test_stopped_while_leaving(void)
{
	World world = master();
	VrrpEvent event;

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "stopped" });
	g_assert_cmpuint(world.n, ==, 0);
	vrrp_candidate_dropped(&world.candidate);
	g_assert_true(vrrp_candidate_left(&world.candidate, world.now_us, &event));
	step(&world, event);
	g_assert_true(said_zero(&world));
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_INIT);
}

/* Another leads already: there is nothing to wait for. */
static void test_yields_while_leaving(void)
{
	World world = master();
	VrrpEvent event;

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = "order" });
	hear(&world, 253);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_BACKUP);
	g_assert_false(said_zero(&world));
	g_assert_false(vrrp_candidate_left(&world.candidate, world.now_us + VRRP_LEAVE_US, &event));
}

/* But who was told to end altogether (its link is gone) ends all the same, and is no Backup that an order could make lead. */
static void test_yields_while_ending(void)
{
	World world = master();
	VrrpEvent event;

	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "no-carrier" });
	hear(&world, 253);
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_BACKUP);
	g_assert_true(vrrp_candidate_left(&world.candidate, world.now_us, &event));
	step(&world, event);
	g_assert_false(said_zero(&world) || did(&world, VRRP_STEP_DROP));
	g_assert_cmpint(world.candidate.machine.state, ==, VRRP_STATE_INIT);
	g_assert_false(world.candidate.leaving);
	g_assert_false(vrrp_candidate_left(&world.candidate, world.now_us + VRRP_LEAVE_US, &event));
}

static bool said_least(const World *world)
{
	for (gsize i = 0; i < world->n; i++)
		if (world->steps[i].kind == VRRP_STEP_SEND && world->steps[i].priority == 1)
			return true;
	return false;
}

/* It has slept while another led. One that took over from it told the hosts after it; one that led beside it did not hear of it, and is to tell them again. */
static void test_slept_while_another_led(void)
{
	World world = master();

	world.now_us += 5000 * MS;
	hear(&world, vrrp_judge_priority(VRRP_STANDING_NOT_SERVING, world.candidate.step + 1, 1));
	g_assert_true(did(&world, VRRP_STEP_DROP) && !said_least(&world));
	world = master();
	world.now_us += 5000 * MS;
	hear(&world, vrrp_judge_priority(VRRP_STANDING_SERVING, world.candidate.step, 1));
	g_assert_true(did(&world, VRRP_STEP_DROP) && said_least(&world));
	world = master();
	world.candidate.paired = false;
	world.now_us += 5000 * MS;
	hear(&world, 50);
	g_assert_true(did(&world, VRRP_STEP_DROP) && said_least(&world));
}

/* Silence means nothing to who does not hear; nor right after. */
static void test_deaf(void)
{
	World world = backup(true);
	VrrpEvent event;

	hear(&world, 171);
	vrrp_candidate_hears(&world.candidate, false, world.now_us);
	g_assert_true(vrrp_candidate_gate(&world.candidate, world.now_us, &event) && !event.open);
	step(&world, event);
	world.now_us = world.candidate.machine.deadline_us;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_cmpuint(world.n, ==, 0);
	/* For longer than an interval: the Master may have spoken all the while. */
	vrrp_candidate_hears(&world.candidate, true, world.now_us);
	g_assert_true(vrrp_candidate_gate(&world.candidate, world.now_us, &event) && event.open);
	step(&world, event);
	g_assert_cmpuint(world.n, ==, 0);
	g_assert_cmpint(world.candidate.machine.deadline_us, ==, world.now_us + DOWN);
	world.now_us += DOWN;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_true(did(&world, VRRP_STEP_HOLD));
	/* For a moment: it has lost nothing. */
	world = backup(true);
	vrrp_candidate_hears(&world.candidate, false, world.now_us);
	world.now_us += 100 * MS;
	vrrp_candidate_hears(&world.candidate, true, world.now_us);
	g_assert_false(vrrp_candidate_gate(&world.candidate, world.now_us, &event));
	world.now_us = world.candidate.machine.deadline_us;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_true(did(&world, VRRP_STEP_HOLD));
	/* Heard since, and all is as ever. */
	world = backup(true);
	vrrp_candidate_hears(&world.candidate, false, world.now_us);
	world.now_us += 200 * MS;
	vrrp_candidate_hears(&world.candidate, true, world.now_us);
	hear(&world, 171);
	world.now_us += DOWN;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_true(did(&world, VRRP_STEP_HOLD));
}

/* Held for some other reason when it hears again: whoever leads has spoken by the time it is let, or nobody does. */
static void test_deaf_long_ago(void)
{
	for (guint early = 0; early < 2; early++) {
		World world = backup(true);
		VrrpEvent event;

		vrrp_candidate_hears(&world.candidate, false, world.now_us);
		vrrp_holds_set(&world.candidate.holds, VRRP_HOLD_ADMINISTRATOR, "by hand", 0, world.now_us);
		g_assert_true(vrrp_candidate_gate(&world.candidate, world.now_us, &event) && !event.open);
		step(&world, event);
		world.now_us = world.candidate.machine.deadline_us;
		step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
		vrrp_candidate_hears(&world.candidate, true, world.now_us);
		g_assert_false(vrrp_candidate_gate(&world.candidate, world.now_us, &event));
		world.now_us += DOWN - early;
		vrrp_holds_lift(&world.candidate.holds, VRRP_HOLD_ADMINISTRATOR);
		g_assert_true(vrrp_candidate_gate(&world.candidate, world.now_us, &event) && event.open);
		step(&world, event);
		g_assert_true(did(&world, VRRP_STEP_HOLD) == !early);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/candidate/priority", test_priority);
	g_test_add_func("/vrrp/candidate/follows", test_follows);
	g_test_add_func("/vrrp/candidate/heard-step-is-saved", test_heard_step_is_saved);
	g_test_add_func("/vrrp/candidate/overtaken-step", test_overtaken_step);
	g_test_add_func("/vrrp/candidate/order-before-anything-was-heard", test_order_before_anything_was_heard);
	g_test_add_func("/vrrp/candidate/pairing-knows-the-master", test_pairing_knows_the_master);
	g_test_add_func("/vrrp/candidate/addresses-are-renewed-with-adverts", test_addresses_are_renewed_with_adverts);
	g_test_add_func("/vrrp/candidate/restart", test_restart);
	g_test_add_func("/vrrp/candidate/gate", test_gate);
	g_test_add_func("/vrrp/candidate/deaf", test_deaf);
	g_test_add_func("/vrrp/candidate/deaf/long-ago", test_deaf_long_ago);
	g_test_add_func("/vrrp/candidate/flapping-link", test_flapping);
	g_test_add_func("/vrrp/candidate/leaving/waits-for-the-kernel", test_leaving);
	g_test_add_func("/vrrp/candidate/leaving/not-for-ever", test_leaving_ends);
	g_test_add_func("/vrrp/candidate/leaving/stopped", test_stopped_while_leaving);
	g_test_add_func("/vrrp/candidate/leaving/another-leads", test_yields_while_leaving);
	g_test_add_func("/vrrp/candidate/slept-while-another-led", test_slept_while_another_led);
	g_test_add_func("/vrrp/candidate/leaving/another-leads-and-it-ends", test_yields_while_ending);
	return g_test_run();
}
