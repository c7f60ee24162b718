/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-room.c - what a queue had no room for, and whether that may have come since the Master was heard. */
#include "vrrpd/rules/room.h"

#define MS 1000
#define NOW (G_GINT64_CONSTANT(1000) * G_USEC_PER_SEC)

/* @n packets of one moment, one right after the other; asks as the socket does, of a kernel that has dropped @dropped by then. */
static guint read_many(VrrpRoom *room, guint n, guint32 before, gint64 received_us, guint32 dropped, gint64 now_us)
{
	guint asked = 0;

	for (guint i = 0; i < n; i++) {
		if (!vrrp_room_read(room, before, received_us, now_us))
			continue;
		vrrp_room_count(room, dropped, now_us);
		asked++;
	}
	return asked;
}

static void test_crowd(void)
{
	VrrpRoom room = { 0 };

	g_assert_cmpuint(read_many(&room, VRRP_ROOM_CROWD, 0, NOW, 0, NOW), ==, 0);
	g_assert_false(vrrp_room_is_crowded(&room, NOW - 1));
	g_assert_cmpuint(read_many(&room, 1, 0, NOW, 0, NOW), ==, 1);
	g_assert_true(vrrp_room_is_crowded(&room, NOW - 1));
	g_assert_false(vrrp_room_is_crowded(&room, NOW));
	/* Asked once for so many; and a pause makes them single ones. */
	g_assert_cmpuint(read_many(&room, VRRP_ROOM_CROWD - 1, 0, NOW, 0, NOW), ==, 0);
	g_assert_cmpuint(read_many(&room, 1, 0, NOW, 0, NOW), ==, 1);
	for (guint i = 1; i <= 3 * VRRP_ROOM_CROWD; i++)
		g_assert_false(vrrp_room_read(&room, 0, NOW + i * VRRP_ROOM_GAP_US, NOW + i * VRRP_ROOM_GAP_US));
	g_assert_false(vrrp_room_is_crowded(&room, NOW));
	/* A crowd for which there was room. */
	g_assert_false(vrrp_room_ran_over(&room, NOW - 1));
}

/* It was lost between the advert heard last and now; said once, and again for what came since. */
static void test_lost_since(void)
{
	VrrpRoom room = { 0 };

	(void)read_many(&room, 125, 0, NOW, 7, NOW + 50);
	g_assert_true(vrrp_room_ran_over(&room, NOW - 10 * MS));
	g_assert_false(vrrp_room_ran_over(&room, NOW - 10 * MS));
	(void)read_many(&room, 125, 7, NOW + 5 * MS, 7, NOW + 5 * MS);
	g_assert_false(vrrp_room_ran_over(&room, NOW - 10 * MS));
	(void)read_many(&room, 125, 7, NOW + 9 * MS, 8, NOW + 9 * MS);
	g_assert_true(vrrp_room_ran_over(&room, NOW - 10 * MS));
}

/* What was lost long before the Master was heard, by another path, is nothing that it may have said since; whatever crowds have come from there for
 * which there was room. */
static void test_lost_before(void)
{
	VrrpRoom room = { 0 };

	(void)read_many(&room, 125, 0, NOW, 1, NOW + 50);
	(void)read_many(&room, 125, 1, NOW + 500 * MS, 1, NOW + 500 * MS);
	g_assert_true(vrrp_room_is_crowded(&room, NOW + 400 * MS));
	g_assert_false(vrrp_room_ran_over(&room, NOW + 400 * MS));
	/* While it was in doubt whether it was before, it was since. */
	room = (VrrpRoom){ 0 };
	(void)read_many(&room, 125, 0, NOW, 1, NOW + 50);
	g_assert_true(vrrp_room_ran_over(&room, NOW + 49));
}

/* The kernel says beside the advert itself that it was before. */
static void test_lost_before_this(void)
{
	VrrpRoom room = { 0 };

	(void)read_many(&room, 70, 0, NOW, 3, NOW + 200);
	g_assert_cmpint(room.lost_us, ==, NOW + 200);
	(void)read_many(&room, 1, 3, NOW + 100, 3, NOW + 200);
	g_assert_cmpint(room.lost_us, ==, NOW + 100);
	g_assert_false(vrrp_room_ran_over(&room, NOW + 100));
	/* Beside one that came later it says nothing new. */
	(void)read_many(&room, 1, 3, NOW + 150, 3, NOW + 200);
	g_assert_cmpint(room.lost_us, ==, NOW + 100);
}

/* Not asked for, because it came in no crowd, but said beside a packet. */
static void test_said_beside(void)
{
	VrrpRoom room = { 0 };

	g_assert_false(vrrp_room_read(&room, 2, NOW, NOW));
	g_assert_cmpint(room.lost_us, ==, NOW);
	g_assert_false(vrrp_room_ran_over(&room, NOW - 1));
}

static void test_count_begins_anew(void)
{
	VrrpRoom room = { .dropped = G_MAXUINT32 - 1, .told = G_MAXUINT32 - 1, .lost_us = NOW - 1000 * MS };

	(void)read_many(&room, 125, G_MAXUINT32 - 1, NOW, 3, NOW + 50);
	g_assert_cmpuint(room.dropped, ==, 3);
	g_assert_true(vrrp_room_ran_over(&room, NOW));
	/* What was queued before says less. */
	g_assert_false(vrrp_room_read(&room, G_MAXUINT32, NOW + 100 * MS, NOW + 100 * MS));
	g_assert_cmpuint(room.dropped, ==, 3);
	g_assert_cmpint(room.lost_us, ==, NOW + 50);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/room/crowd", test_crowd);
	g_test_add_func("/vrrp/room/lost-since", test_lost_since);
	g_test_add_func("/vrrp/room/lost-before", test_lost_before);
	g_test_add_func("/vrrp/room/lost-before-this", test_lost_before_this);
	g_test_add_func("/vrrp/room/said-beside", test_said_beside);
	g_test_add_func("/vrrp/room/count-begins-anew", test_count_begins_anew);
	return g_test_run();
}
