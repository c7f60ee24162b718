/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/syncd/test-pulse.c - when a path to the peer is asked, when it owes an answer, and when it is lost. */
#include "syncd/peer/pulse.h"

#define MS 1000
#define TIMEOUT 3000
#define BEGIN (100 * G_USEC_PER_SEC)

/* Asked when it was opened, and answered at once. */
static SyncPulse answered(gint64 at_us)
{
	SyncPulse pulse;

	sync_pulse_begin(&pulse, at_us);
	sync_pulse_ask(&pulse, at_us);
	sync_pulse_answer(&pulse, at_us);
	return pulse;
}

/* When the path is asked next, and how often it was looked at until then. */
static gint64 next_question(const SyncPulse *pulse, bool in_use, gint64 from_us, guint *ret_looks)
{
	gint64 now_us = from_us;

	*ret_looks = 0;
	while (!sync_pulse_is_due(pulse, in_use, 0, TIMEOUT, now_us)) {
		gint64 at_us = sync_pulse_wake_us(pulse, in_use, TIMEOUT, now_us);

		g_assert_cmpint(at_us, >, now_us);
		now_us = at_us;
		++*ret_looks;
	}
	return now_us;
}

static void test_the_one_in_use_is_asked_each_beat(void)
{
	SyncPulse pulse = answered(BEGIN);
	guint looks;

	g_assert_cmpint(next_question(&pulse, true, BEGIN, &looks), ==, BEGIN + 1000 * MS);
	g_assert_cmpuint(looks, ==, 1);
	/* What the other says of itself is no answer. */
	sync_pulse_hear(&pulse, BEGIN + 900 * MS);
	g_assert_cmpint(next_question(&pulse, true, BEGIN + 900 * MS, &looks), ==, BEGIN + 1000 * MS);
}

static void test_a_spare_one_is_let_alone(void)
{
	SyncPulse pulse = answered(BEGIN);
	guint looks;

	g_assert_cmpint(next_question(&pulse, false, BEGIN, &looks), ==, BEGIN + 5000 * MS);
	g_assert_cmpuint(looks, ==, 1);
	/* The other has asked. */
	sync_pulse_hear(&pulse, BEGIN + 4000 * MS);
	g_assert_cmpint(next_question(&pulse, false, BEGIN + 4000 * MS, &looks), ==, BEGIN + 9000 * MS);
}

static void test_all_are_asked_when_one_owes_an_answer(void)
{
	SyncPulse pulse = answered(BEGIN), spare = answered(BEGIN);
	gint64 asked_us = BEGIN + 1000 * MS;

	sync_pulse_ask(&pulse, asked_us);
	g_assert_false(sync_pulse_is_doubtful(&pulse, TIMEOUT, asked_us));
	g_assert_cmpint(sync_pulse_wake_us(&pulse, true, TIMEOUT, asked_us), ==, asked_us + 500 * MS);
	g_assert_true(sync_pulse_is_doubtful(&pulse, TIMEOUT, asked_us + 500 * MS));

	g_assert_false(sync_pulse_is_due(&spare, false, 0, TIMEOUT, asked_us + 500 * MS));
	g_assert_true(sync_pulse_is_due(&spare, false, pulse.asked_us, TIMEOUT, asked_us + 500 * MS));
	sync_pulse_ask(&spare, asked_us + 500 * MS);
	g_assert_false(sync_pulse_is_due(&spare, false, pulse.asked_us, TIMEOUT, asked_us + 501 * MS)); /* once */
	sync_pulse_answer(&spare, asked_us + 502 * MS);
	g_assert_false(sync_pulse_is_due(&spare, false, pulse.asked_us, TIMEOUT, asked_us + 503 * MS));
}

static void test_lost_when_it_has_been_silent_for_so_long(void)
{
	SyncPulse pulse = answered(BEGIN);

	sync_pulse_ask(&pulse, BEGIN + 1000 * MS);
	sync_pulse_ask(&pulse, BEGIN + 2000 * MS); /* changes nothing: the first one waits */
	g_assert_false(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + 2999 * MS));
	g_assert_cmpint(sync_pulse_wake_us(&pulse, true, TIMEOUT, BEGIN + 2000 * MS), ==, BEGIN + TIMEOUT * MS);
	g_assert_true(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + TIMEOUT * MS));

	/* Something else came: it lives, and the answer may be behind it. */
	sync_pulse_hear(&pulse, BEGIN + 2500 * MS);
	g_assert_false(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + TIMEOUT * MS));

	/* One that was never answered, and one that nobody has asked. */
	sync_pulse_begin(&pulse, BEGIN);
	g_assert_false(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + TIMEOUT * MS));
	sync_pulse_ask(&pulse, BEGIN);
	g_assert_false(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + 2999 * MS));
	g_assert_true(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + TIMEOUT * MS));
}

/* It has all the time that it is due once it is asked. */
static void test_a_spare_one_asked_late(void)
{
	SyncPulse pulse = answered(BEGIN);

	sync_pulse_ask(&pulse, BEGIN + 5000 * MS);
	g_assert_false(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + 6999 * MS));
	g_assert_true(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + 7000 * MS));
}

static void test_asleep_ourselves(void)
{
	SyncPulse pulse = answered(BEGIN), never;

	sync_pulse_ask(&pulse, BEGIN + 1000 * MS);
	sync_pulse_sleep(&pulse, 60000 * MS);
	g_assert_false(sync_pulse_is_lost(&pulse, TIMEOUT, BEGIN + 62000 * MS));
	g_assert_false(sync_pulse_is_doubtful(&pulse, TIMEOUT, BEGIN + 61400 * MS));
	sync_pulse_begin(&never, BEGIN);
	sync_pulse_sleep(&never, 60000 * MS);
	g_assert_cmpint(never.answered_us, ==, 0);
	g_assert_cmpint(never.asked_us, ==, 0);
}

/* Two questions fit into the shortest time that can be set, and a beat is never longer than a second. */
static void test_beats(void)
{
	g_assert_cmpint(sync_pulse_beat_us(500), ==, 166 * MS);
	g_assert_cmpint(sync_pulse_beat_us(3000), ==, 1000 * MS);
	g_assert_cmpint(sync_pulse_beat_us(600000), ==, 1000 * MS);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pulse/the-one-in-use-is-asked-each-beat", test_the_one_in_use_is_asked_each_beat);
	g_test_add_func("/pulse/a-spare-one-is-let-alone", test_a_spare_one_is_let_alone);
	g_test_add_func("/pulse/all-are-asked-when-one-owes-an-answer", test_all_are_asked_when_one_owes_an_answer);
	g_test_add_func("/pulse/lost-when-it-has-been-silent-for-so-long", test_lost_when_it_has_been_silent_for_so_long);
	g_test_add_func("/pulse/a-spare-one-asked-late", test_a_spare_one_asked_late);
	g_test_add_func("/pulse/asleep-ourselves", test_asleep_ourselves);
	g_test_add_func("/pulse/beats", test_beats);
	return g_test_run();
}
