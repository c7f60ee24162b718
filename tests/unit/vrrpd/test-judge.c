/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-judge.c - priorities, holds, the link, the peer's dictionary, strangers and run-time state. */
#include <glib/gstdio.h>
#include <string.h>

#include "vrrpd/rules/holds.h"
#include "vrrpd/rules/judge.h"
#include "vrrpd/rules/link-watch.h"
#include "vrrpd/rules/peer.h"
#include "vrrpd/state.h"
#include "vrrpd/rules/strangers.h"

#define MS 1000

/* ---- Judge ---- */

static void test_bands(void)
{
	static const struct {
		VrrpStanding standing;
		guint step, offset, priority;
	} rows[] = {
		{ VRRP_STANDING_NOT_SERVING, 0, 0, 1 }, { VRRP_STANDING_NOT_SERVING, 0, 1, 2 }, { VRRP_STANDING_NOT_SERVING, 41, 1, 84 },
		{ VRRP_STANDING_ALONE, 0, 0, 85 },      { VRRP_STANDING_ALONE, 41, 1, 168 },    { VRRP_STANDING_SERVING, 0, 0, 169 },
		{ VRRP_STANDING_SERVING, 1, 0, 171 },   { VRRP_STANDING_SERVING, 41, 1, 252 },  { VRRP_STANDING_SERVING, 99, 0, 251 },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
		g_assert_cmpuint(vrrp_judge_priority(rows[i].standing, rows[i].step, rows[i].offset), ==, rows[i].priority);
}

/* The whole order: standing before step before offset; never 0 or 255; never the same for the two devices; and back again. */
static void test_order(void)
{
	for (int s = VRRP_STANDING_NOT_SERVING; s <= VRRP_STANDING_SERVING; s++) {
		for (guint k = 0; k <= VRRP_MAX_STEP; k++) {
			guint8 low = vrrp_judge_priority((VrrpStanding)s, k, 0), high = vrrp_judge_priority((VrrpStanding)s, k, 1);

			g_assert_cmpuint(low, >, 0);
			g_assert_cmpuint(high, <, 255);
			g_assert_cmpuint(high, ==, low + 1u);
			g_assert_cmpuint(vrrp_judge_step_of(low), ==, k);
			g_assert_cmpuint(vrrp_judge_step_of(high), ==, k);
			if (k < VRRP_MAX_STEP)
				g_assert_cmpuint(vrrp_judge_priority((VrrpStanding)s, k + 1, 0), >, high);
			if (s < VRRP_STANDING_SERVING)
				g_assert_cmpuint(vrrp_judge_priority((VrrpStanding)(s + 1), 0, 0), >, high);
		}
	}
	g_assert_cmpuint(vrrp_judge_step_of(0), ==, 0);
	g_assert_cmpuint(vrrp_judge_step_of(255), ==, VRRP_MAX_STEP);
}

static void test_next_step(void)
{
	g_assert_cmpuint(vrrp_judge_next_step(0, 0), ==, 1);
	g_assert_cmpuint(vrrp_judge_next_step(5, 2), ==, 6);
	g_assert_cmpuint(vrrp_judge_next_step(2, 5), ==, 6);
	g_assert_cmpuint(vrrp_judge_next_step(VRRP_MAX_STEP, 0), ==, VRRP_MAX_STEP);
}

static void test_standing(void)
{
	g_assert_cmpint(vrrp_judge_standing(true, true), ==, VRRP_STANDING_SERVING);
	g_assert_cmpint(vrrp_judge_standing(true, false), ==, VRRP_STANDING_ALONE);
	g_assert_cmpint(vrrp_judge_standing(false, true), ==, VRRP_STANDING_NOT_SERVING);
	g_assert_cmpint(vrrp_judge_standing(false, false), ==, VRRP_STANDING_NOT_SERVING);
	g_assert_true(vrrp_judge_speaks_to_peer(true, true, false));
	g_assert_false(vrrp_judge_speaks_to_peer(false, true, false));
	g_assert_false(vrrp_judge_speaks_to_peer(true, false, false));
	g_assert_false(vrrp_judge_speaks_to_peer(true, true, true));
}

/* ---- Holds ---- */

static void test_holds(void)
{
	VrrpHolds holds = { .supervised_until_us = G_MAXINT64 };
	VrrpHold hold;

	for (guint i = 0; i < VRRP_N_HOLDS; i++) {
		g_assert_true(vrrp_hold_from_name(vrrp_hold_name((VrrpHold)i), &hold));
		g_assert_cmpint(hold, ==, (VrrpHold)i);
	}
	g_assert_false(vrrp_hold_from_name("lunch", &hold));
	g_assert_false(vrrp_holds_any(&holds));
	vrrp_holds_set(&holds, VRRP_HOLD_COLD_BOOT, "waiting", 500, 100);
	vrrp_holds_set(&holds, VRRP_HOLD_COLD_BOOT, "still waiting", 900, 200);
	g_assert_cmpint(holds.hold[VRRP_HOLD_COLD_BOOT].since_us, ==, 100);
	g_assert_cmpstr(holds.hold[VRRP_HOLD_COLD_BOOT].reason, ==, "still waiting");
	g_assert_false(vrrp_holds_tick(&holds, false, 899));
	g_assert_true(vrrp_holds_tick(&holds, false, 900));
	g_assert_false(vrrp_holds_any(&holds));
}

static void test_supervisor(void)
{
	VrrpHolds holds = { .supervised_until_us = 1000 };

	g_assert_false(vrrp_holds_tick(&holds, false, 999));
	g_assert_false(vrrp_holds_tick(&holds, true, 9000));
	g_assert_true(vrrp_holds_tick(&holds, false, 1000));
	g_assert_true(holds.hold[VRRP_HOLD_NO_SUPERVISOR].set);
	g_assert_false(vrrp_holds_tick(&holds, false, 1001));
	vrrp_holds_supervise(&holds, 2000);
	g_assert_false(vrrp_holds_any(&holds));
	g_assert_false(vrrp_holds_tick(&holds, false, 1999));
	g_assert_true(vrrp_holds_tick(&holds, false, 2000));
}

static void test_hold_reason_is_cut_between_characters(void)
{
	g_autofree char *reason = g_strnfill(126, 'x');
	g_autofree char *longer = g_strconcat(reason, "\xc3\xa9\xc3\xa9", NULL);
	VrrpHolds holds = { 0 };

	vrrp_holds_set(&holds, VRRP_HOLD_PASSIVE, longer, 0, 0);
	g_assert_cmpstr(holds.hold[VRRP_HOLD_PASSIVE].reason, ==, reason);
}

/* ---- Link ---- */

static void test_link(void)
{
	VrrpLinkWatch watch;

	vrrp_link_watch_init(&watch, 10 * MS);
	g_assert_cmpint(watch.window_us, ==, 300 * MS);
	vrrp_link_watch_init(&watch, 1000 * MS);
	g_assert_cmpint(watch.window_us, ==, 3000 * MS);
	vrrp_link_watch_init(&watch, 100 * MS);
	g_assert_false(vrrp_link_watch_settled(&watch, 9999 * MS));
	g_assert_true(vrrp_link_watch_state(&watch, true, true, 1000 * MS));
	g_assert_false(vrrp_link_watch_state(&watch, true, true, 1100 * MS));
	/* Nothing heard: not alive; settled in the end all the same. */
	g_assert_true(vrrp_link_watch_frames(&watch, false, 1100 * MS));
	g_assert_false(vrrp_link_watch_settled(&watch, 1100 * MS));
	g_assert_true(vrrp_link_watch_settled(&watch, 4000 * MS));
	g_assert_false(vrrp_link_watch_alive(&watch, 4000 * MS));
	/* Heard: both, at once. */
	g_assert_false(vrrp_link_watch_frames(&watch, true, 1200 * MS));
	g_assert_true(vrrp_link_watch_settled(&watch, 1200 * MS));
	g_assert_true(vrrp_link_watch_alive(&watch, 1499 * MS));
	g_assert_false(vrrp_link_watch_alive(&watch, 1500 * MS));
	/* The cable out and in: what was heard before does not count. */
	g_assert_true(vrrp_link_watch_state(&watch, true, false, 1600 * MS));
	g_assert_false(vrrp_link_watch_frames(&watch, true, 1650 * MS));
	g_assert_false(vrrp_link_watch_alive(&watch, 1650 * MS));
	g_assert_true(vrrp_link_watch_state(&watch, true, true, 1700 * MS));
	g_assert_false(vrrp_link_watch_settled(&watch, 1700 * MS));
	g_assert_false(vrrp_link_watch_alive(&watch, 1700 * MS));
	/* An advert shows that the way to here is open, and no more. */
	vrrp_link_watch_advert(&watch);
	g_assert_true(vrrp_link_watch_settled(&watch, 1700 * MS));
	g_assert_false(vrrp_link_watch_alive(&watch, 1700 * MS));
	(void)vrrp_link_watch_state(&watch, true, false, 1800 * MS);
	vrrp_link_watch_advert(&watch);
	(void)vrrp_link_watch_state(&watch, true, true, 1900 * MS);
	g_assert_false(vrrp_link_watch_settled(&watch, 1900 * MS));
}

static gint64 flap(VrrpLinkWatch *watch, gint64 at)
{
	(void)vrrp_link_watch_state(watch, true, false, at);
	(void)vrrp_link_watch_state(watch, true, true, at + 10 * MS);
	return at + 10 * MS;
}

/* The first loss is believed to be over when it is; each further one costs the double, up to a bound, and all are forgiven in the end. */
static void test_link_flapping(void)
{
	static const gint64 wait[] = { 0, 1000 * MS, 2000 * MS, 4000 * MS, 8000 * MS, 16000 * MS, 16000 * MS, 16000 * MS };
	gint64 at = 1000 * MS, up;
	VrrpLinkWatch watch;

	vrrp_link_watch_init(&watch, 100 * MS);
	g_assert_false(vrrp_link_watch_stable(&watch, at));
	(void)vrrp_link_watch_state(&watch, true, true, at);
	g_assert_true(vrrp_link_watch_stable(&watch, at));
	for (guint i = 0; i < G_N_ELEMENTS(wait); i++) {
		up = flap(&watch, at);
		g_assert_true(wait[i] == 0 || !vrrp_link_watch_stable(&watch, up + wait[i] - 1));
		g_assert_true(vrrp_link_watch_stable(&watch, up + wait[i]));
		at = up + 100 * MS;
	}
	for (guint i = 0; i < 100; i++)
		at = flap(&watch, at);
	g_assert_true(vrrp_link_watch_stable(&watch, at + 16000 * MS));
	up = flap(&watch, at + 60000 * MS);
	g_assert_true(vrrp_link_watch_stable(&watch, up));
}

/* After a silence a link is alive at once, and steady when another Master on it would have been heard. */
static void test_link_steady(void)
{
	VrrpLinkWatch watch;

	vrrp_link_watch_init(&watch, 1000 * MS);
	(void)vrrp_link_watch_state(&watch, true, true, 10000 * MS);
	for (gint64 at = 10100 * MS; at <= 13100 * MS; at += 100 * MS) {
		(void)vrrp_link_watch_frames(&watch, true, at);
		g_assert_true(vrrp_link_watch_alive(&watch, at));
		g_assert_true(vrrp_link_watch_steady(&watch, at) == (at >= 13100 * MS));
	}
	/* A pause is no silence. */
	(void)vrrp_link_watch_frames(&watch, false, 16000 * MS);
	g_assert_true(vrrp_link_watch_steady(&watch, 16000 * MS));
	(void)vrrp_link_watch_frames(&watch, true, 16050 * MS);
	g_assert_true(vrrp_link_watch_steady(&watch, 16050 * MS));
	g_assert_false(vrrp_link_watch_steady(&watch, 19050 * MS));
	(void)vrrp_link_watch_frames(&watch, true, 19100 * MS);
	g_assert_false(vrrp_link_watch_steady(&watch, 19100 * MS));
	/* A link that was away is a new one, however short the while and whatever an advert says of it. */
	(void)vrrp_link_watch_state(&watch, true, false, 19200 * MS);
	(void)vrrp_link_watch_state(&watch, true, true, 19300 * MS);
	vrrp_link_watch_advert(&watch);
	g_assert_false(vrrp_link_watch_alive(&watch, 19300 * MS));
	(void)vrrp_link_watch_frames(&watch, true, 19400 * MS);
	g_assert_false(vrrp_link_watch_steady(&watch, 22200 * MS));
	/* A restarted process goes on with what the former knew. */
	vrrp_link_watch_init(&watch, 1000 * MS);
	vrrp_link_watch_resume(&watch, true, 20000 * MS);
	g_assert_true(vrrp_link_watch_steady(&watch, 20000 * MS));
	vrrp_link_watch_init(&watch, 1000 * MS);
	vrrp_link_watch_resume(&watch, false, 20000 * MS);
	g_assert_false(vrrp_link_watch_alive(&watch, 20000 * MS));
}

/* ---- Peer ---- */

static bool parse_peer(const char *text, VrrpPeer *ret_peer)
{
	g_autoptr(GVariant) dict = g_variant_ref_sink(g_variant_new_parsed(text));
	g_autoptr(GError) error = NULL;

	return vrrp_peer_parse(dict, ret_peer, &error);
}

static void test_peer(void)
{
	VrrpPeer peer;
	IpAddress addresses[4], expected = ip_v4(0xc000020c);

	g_assert_true(parse_peer("@a{sv} {}", &peer));
	g_assert_false(peer.paired);
	g_assert_true(parse_peer("{'id': <'b'>, 'offset': <byte 1>, 'follows': <true>,"
				 " 'addresses': <{'lan': ['192.0.2.12/24', 'fe80::1%eth0'], 'peer': ['10.0.0.2']}>}", &peer));
	g_assert_true(peer.paired && peer.follows);
	g_assert_cmpuint(peer.offset, ==, 1);
	g_assert_cmpuint(vrrp_peer_addresses(&peer, "lan", addresses, 4), ==, 2);
	g_assert_true(ip_equal(&addresses[0], &expected));
	g_assert_true(ip_is_link_local(&addresses[1]));
	g_assert_cmpuint(vrrp_peer_addresses(&peer, "wan", addresses, 4), ==, 0);
	/* Refused, and nothing changed. */
	g_assert_false(parse_peer("{'id': <'b'>, 'addresses': <{'lan': ['192.0.2.12']}>}", &peer));
	g_assert_false(parse_peer("{'offset': <byte 2>, 'addresses': <{'lan': ['192.0.2.12']}>}", &peer));
	g_assert_false(parse_peer("{'offset': <byte 1>}", &peer));
	g_assert_false(parse_peer("{'offset': <byte 1>, 'addresses': <{'lan': ['192.0.2.256']}>}", &peer));
	g_assert_false(parse_peer("{'offset': <'1'>, 'addresses': <{'lan': ['192.0.2.12']}>}", &peer));
	g_assert_cmpuint(peer.n_addresses, ==, 3);
}

/* As many interfaces as a device may well have, with an address of each kind, and names as long as they may be. */
static void test_peer_large(void)
{
	g_autofree char *name = g_strnfill(64, 'x');
	g_autoptr(GString) text = g_string_new("{'offset': <byte 0>, 'addresses': <{");
	IpAddress addresses[4];
	VrrpPeer peer;

	for (guint i = 0; i < 20; i++)
		g_string_append_printf(text, "'if%u': ['192.0.2.%u', '2001:db8::%u', 'fe80::%u'], ", i, i + 1, i + 1, i + 1);
	g_string_append_printf(text, "'%s': ['10.0.0.2']}>}", name);
	g_assert_true(parse_peer(text->str, &peer));
	g_assert_cmpuint(vrrp_peer_addresses(&peer, "if19", addresses, 4), ==, 3);
	g_assert_cmpuint(vrrp_peer_addresses(&peer, name, addresses, 4), ==, 1);
}

/* ---- Strangers ---- */

static void test_strangers(void)
{
	g_autoptr(VrrpStrangers) strangers = vrrp_strangers_new();
	gint64 minute_us = 60 * G_USEC_PER_SEC;
	guint64 count;
	guint n_told = 0;

	g_assert_true(vrrp_strangers_note(strangers, ip_v4(1), "stranger", 1, 1, &count));
	g_assert_false(vrrp_strangers_note(strangers, ip_v4(1), "stranger", 1, 2, &count));
	g_assert_true(vrrp_strangers_note(strangers, ip_v4(1), "checksum", 1, 3, &count));
	g_assert_true(vrrp_strangers_note(strangers, ip_v4(1), "stranger", 1, 1 + minute_us, &count));
	g_assert_cmpuint(count, ==, 3);
	/* A flood of addresses, anybody's to invent, does not grow the table; the oldest go. Nor is each of them told. */
	for (guint32 i = 100; i < 100000; i++)
		n_told += vrrp_strangers_note(strangers, ip_v4(i), "stranger", 1, 3 * minute_us + i, &count);
	g_assert_cmpuint(n_told, ==, 16);
	g_assert_false(vrrp_strangers_note(strangers, ip_v4(99999), "stranger", 1, 3 * minute_us + 100000, &count));
	g_assert_cmpuint(count, ==, 2);
	/* Told when there is room again. */
	g_assert_true(vrrp_strangers_note(strangers, ip_v4(99999), "stranger", 1, 5 * minute_us, &count));
}

/* ---- Run-time state ---- */

static char *replaced(const char *text, const char *from, const char *to)
{
	g_auto(GStrv) parts = g_strsplit(text, from, 2);

	return g_strjoinv(to, parts);
}

static void test_state_that_cannot_be_kept(void)
{
	VrrpSaved out = { .group_id = 51, .version = 3, .device = (char *)"eth0", .role = VRRP_STATE_MASTER, .reason = (char *)"master-down" };
	g_auto(VrrpSaved) in = { 0 };
	VrrpStore *store;

	g_test_expect_message("understudy-vrrpd", G_LOG_LEVEL_WARNING, "state-not-kept: *");
	store = vrrp_store_new("/proc/no-such-place");
	g_test_expect_message("understudy-vrrpd", G_LOG_LEVEL_WARNING, "state-not-kept: *");
	for (guint i = 0; i < 3; i++) { /* said once */
		vrrp_store_save(store, &out);
		vrrp_store_advert(store, 42);
	}
	g_test_assert_expected_messages();
	g_assert_true(g_str_has_prefix(vrrp_store_problem(store), "state-not-kept: /proc/no-such-place/"));
	g_assert_false(vrrp_store_load(store, &in));
	vrrp_store_free(store);
}

static void test_state(void)
{
	static const struct {
		const char *from, *to;
	} spoilt[] = {
		{ "reason=master-down\n", "" },       { "device=eth0\n", "" },        { "step=3\n", "" },           { "step=3", "step=1000000" },
		{ "step=3", "step=-1" },              { "heard_step=2", "heard_step=x" }, { "group_id=51", "group_id=256" }, { "sequence=7", "sequence=" },
		{ "since_us=123456789012\n", "" },    { "version=3\n", "" },
	};
	g_autofree char *folder = g_dir_make_tmp("vrrp-state-XXXXXX", NULL);
	g_autofree char *dir = g_build_filename(folder, "vrrpd", NULL);
	g_autofree char *file = g_build_filename(dir, "state", NULL), *advert = g_build_filename(dir, "last-advert", NULL);
	g_autoptr(VrrpStore) store = vrrp_store_new(dir);
	VrrpSaved out = { .group_id = 51, .version = 3, .device = (char *)"eth0", .role = VRRP_STATE_MASTER, .reason = (char *)"master-down",
			  .sequence = 7, .since_us = 123456789012, .step = 3, .heard_step = 2, .serving = true, .served = true, .steady = true,
			  .peer = (char *)"{'id': <'b'>}" };
	g_auto(VrrpSaved) in = { 0 };

	g_assert_nonnull(store);
	g_assert_false(vrrp_store_load(store, &in));
	vrrp_holds_set(&out.holds, VRRP_HOLD_PASSIVE, "ordered \"so\"\n[hold x]", 0, 55);
	vrrp_store_save(store, &out);
	g_assert_null(vrrp_store_problem(store));
	vrrp_store_advert(store, 987654321098);
	vrrp_store_advert(store, 42);
	g_assert_true(vrrp_store_load(store, &in));
	g_assert_cmpuint(in.group_id, ==, 51);
	g_assert_cmpstr(in.device, ==, "eth0");
	g_assert_cmpint(in.role, ==, VRRP_STATE_MASTER);
	g_assert_cmpstr(in.reason, ==, "master-down");
	g_assert_cmpuint(in.sequence, ==, 7);
	g_assert_cmpint(in.since_us, ==, 123456789012);
	g_assert_cmpuint(in.step, ==, 3);
	g_assert_true(in.serving && in.served && in.steady);
	g_assert_cmpstr(in.peer, ==, "{'id': <'b'>}");
	g_assert_true(in.holds.hold[VRRP_HOLD_PASSIVE].set);
	g_assert_cmpstr(in.holds.hold[VRRP_HOLD_PASSIVE].reason, ==, "ordered \"so\"\n[hold x]");
	g_assert_cmpint(in.holds.hold[VRRP_HOLD_PASSIVE].since_us, ==, 55);
	g_assert_cmpint(in.last_advert_us, ==, 42);
	/* Another boot's is nothing. */
	vrrp_saved_clear(&in);
	g_assert_true(g_file_set_contents(file, "[state]\nboot_id=other\nrole=master\n", -1, NULL));
	g_assert_false(vrrp_store_load(store, &in));
	g_assert_true(g_file_set_contents(file, "nonsense", -1, NULL));
	g_assert_false(vrrp_store_load(store, &in));
	/* Each part of what is needed, missing or beyond its bounds. */
	for (guint i = 0; i < G_N_ELEMENTS(spoilt); i++) {
		g_autofree char *text = NULL, *other = NULL;

		vrrp_store_save(store, &out);
		g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
		other = replaced(text, spoilt[i].from, spoilt[i].to);
		g_assert_cmpstr(text, !=, other);
		g_assert_true(g_file_set_contents(file, other, -1, NULL));
		g_test_expect_message("understudy-vrrpd", G_LOG_LEVEL_WARNING, "*begun anew*");
		g_assert_false(vrrp_store_load(store, &in));
		g_test_assert_expected_messages();
		g_assert_null(in.reason);
	}
	g_assert_cmpint(g_unlink(file) | g_unlink(advert) | g_rmdir(dir) | g_rmdir(folder), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/judge/bands", test_bands);
	g_test_add_func("/vrrp/judge/order", test_order);
	g_test_add_func("/vrrp/judge/next-step", test_next_step);
	g_test_add_func("/vrrp/judge/standing", test_standing);
	g_test_add_func("/vrrp/holds/lease", test_holds);
	g_test_add_func("/vrrp/holds/supervisor", test_supervisor);
	g_test_add_func("/vrrp/holds/reason", test_hold_reason_is_cut_between_characters);
	g_test_add_func("/vrrp/link-watch", test_link);
	g_test_add_func("/vrrp/link-watch/steady", test_link_steady);
	g_test_add_func("/vrrp/link-watch/flapping", test_link_flapping);
	g_test_add_func("/vrrp/peer", test_peer);
	g_test_add_func("/vrrp/peer-large", test_peer_large);
	g_test_add_func("/vrrp/strangers", test_strangers);
	g_test_add_func("/vrrp/state", test_state);
	g_test_add_func("/vrrp/state/not-kept", test_state_that_cannot_be_kept);
	return g_test_run();
}
