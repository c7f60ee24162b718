/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/vrrpd/test-rfc.c - rules of RFC 3768, 5798 and 9568 that docs/vrrp-conformance.md names and the other tests leave out. */
#include <string.h>

#include "vrrpd/wire/arp.h"
#include "vrrpd/rules/machine.h"
#include "vrrpd/wire/packet.h"

#define MS 1000
#define OURS ip_v4(0xc000020c)   /* 192.0.2.12 */
#define LOWER ip_v4(0xc000020b)
#define HIGHER ip_v4(0xc000020d)
#define SERVICE ip_v4(0xc0000264)

/* ---- Packets ---- */

static VrrpExpect expecting(guint8 version)
{
	return (VrrpExpect){ .version = version, .vrid = 51, .interval_cs = 100, .own_address = OURS };
}

static VrrpAdvert advert(guint8 version)
{
	return (VrrpAdvert){ .version = version, .vrid = 51, .priority = 100, .interval_cs = 100, .source = LOWER,
			     .destination = ip_v4(VRRP_GROUP_IPV4), .n_addresses = 1, .addresses = { SERVICE } };
}

typedef struct {
	guint8 bytes[VRRP_MAX_PACKET];
	gsize length;
} Packet;

static Packet packet_of(const VrrpAdvert *from)
{
	Packet packet;

	packet.length = vrrp_packet_build(from, packet.bytes);
	return packet;
}

/* The byte of the VRRP message, and the checksum made right again. */
static void set_byte(Packet *packet, gsize at, guint8 value)
{
	guint8 *message = packet->bytes + VRRP_IP_HEADER;
	guint16 sum;

	message[at] = value;
	message[6] = message[7] = 0;
	sum = vrrp_checksum(message, packet->length - VRRP_IP_HEADER, 0);
	message[6] = (guint8)(sum >> 8);
	message[7] = (guint8)sum;
}

static VrrpDrop parse(const Packet *packet, guint8 version, VrrpAdvert *ret_advert)
{
	VrrpExpect expect = expecting(version);

	return vrrp_packet_parse(packet->bytes, packet->length, &expect, ret_advert);
}

static void test_type_v2(void)
{
	VrrpAdvert from = advert(2), to;

	for (guint type = 0; type < 16; type++) {
		Packet packet = packet_of(&from);

		set_byte(&packet, 0, (guint8)(0x20 | type));
		g_assert_cmpint(parse(&packet, 2, &to), ==, type == 1 ? VRRP_DROP_NONE : VRRP_DROP_TYPE);
	}
}

static void test_auth_types(void)
{
	VrrpAdvert from = advert(2), to;

	for (guint type = 0; type < 256; type++) {
		Packet packet = packet_of(&from);

		set_byte(&packet, 4, (guint8)type);
		g_assert_cmpint(parse(&packet, 2, &to), ==, type == 0 ? VRRP_DROP_NONE : VRRP_DROP_AUTH);
	}
}

static void test_auth_data(void)
{
	static const guint8 zero[8];
	VrrpAdvert from = advert(2), to;
	Packet packet = packet_of(&from);

	g_assert_cmpmem(packet.bytes + packet.length - 8, 8, zero, 8);
	for (gsize i = 0; i < 8; i++)
		set_byte(&packet, packet.length - VRRP_IP_HEADER - 8 + i, 0xa5);
	g_assert_cmpint(parse(&packet, 2, &to), ==, VRRP_DROP_NONE);
	g_assert_cmpuint(to.n_addresses, ==, 1);
}

/* What version 3 lets pass, version 2 does not: there never were two readings. */
static void test_no_pseudo_header(void)
{
	for (guint version = 2; version <= 3; version++) {
		VrrpAdvert from = advert((guint8)version), to;
		Packet packet = packet_of(&from);
		guint8 *message = packet.bytes + VRRP_IP_HEADER;
		gsize length = packet.length - VRRP_IP_HEADER;
		guint32 pseudo = 0xc000 + 0x020b + 0xe000 + 0x0012 + 112 + (guint32)length;
		guint16 sum;

		message[6] = message[7] = 0;
		sum = vrrp_checksum(message, length, pseudo);
		message[6] = (guint8)(sum >> 8);
		message[7] = (guint8)sum;
		g_assert_cmpint(parse(&packet, (guint8)version, &to), ==, version == 2 ? VRRP_DROP_CHECKSUM : VRRP_DROP_NONE);
	}
}

static void test_reserve(void)
{
	VrrpAdvert from = advert(3), to;

	for (guint interval = 1; interval <= 4095; interval += 7) {
		Packet packet;

		from.interval_cs = interval;
		packet = packet_of(&from);
		g_assert_cmpuint(packet.bytes[VRRP_IP_HEADER + 4] & 0xf0, ==, 0);
		set_byte(&packet, 4, packet.bytes[VRRP_IP_HEADER + 4] | 0xf0);
		g_assert_cmpint(parse(&packet, 3, &to), ==, VRRP_DROP_NONE);
		g_assert_cmpuint(to.interval_cs, ==, interval);
	}
}

static void test_interval(void)
{
	VrrpAdvert from = advert(3), to;

	for (guint interval = 0; interval <= 4095; interval++) {
		Packet packet;

		from.interval_cs = interval;
		packet = packet_of(&from);
		g_assert_cmpint(parse(&packet, 3, &to), ==, interval ? VRRP_DROP_NONE : VRRP_DROP_INTERVAL);
		g_assert_cmpuint(to.interval_cs, ==, interval);
	}
}

/* Every single bit that is turned over in the message is seen (here or by a check of its own). */
static void test_every_bit(void)
{
	for (guint version = 2; version <= 3; version++) {
		VrrpAdvert from = advert((guint8)version), to;
		Packet right = packet_of(&from);

		for (gsize bit = 0; bit < 8 * (right.length - VRRP_IP_HEADER); bit++) {
			Packet packet = right;

			packet.bytes[VRRP_IP_HEADER + bit / 8] ^= (guint8)(1 << bit % 8);
			g_assert_cmpint(parse(&packet, (guint8)version, &to), !=, VRRP_DROP_NONE);
		}
	}
}

static void test_order(void)
{
	VrrpAdvert from = advert(3), to;
	Packet packet;

	from.n_addresses = 3;
	from.addresses[0] = ip_v4(0xc0000266);
	from.addresses[1] = ip_v4(0xc0000265);
	from.addresses[2] = ip_v4(0x0a000001);
	packet = packet_of(&from);
	g_assert_cmpint(parse(&packet, 3, &to), ==, VRRP_DROP_NONE);
	for (guint i = 0; i < 3; i++)
		g_assert_true(ip_equal(&to.addresses[i], &from.addresses[i]));
}

static void test_virtual_mac(void)
{
	for (guint vrid = 1; vrid < 256; vrid++) {
		const guint8 expected[6] = { 0, 0, 0x5e, 0, 1, (guint8)vrid };
		guint8 mac[6];

		vrrp_virtual_mac((guint8)vrid, mac);
		g_assert_cmpmem(mac, 6, expected, 6);
	}
}

/* ---- Timers ---- */

static VrrpMachine machine_of(guint8 version, guint interval_cs, guint8 priority)
{
	VrrpMachine machine;

	vrrp_machine_init(&machine, version, interval_cs, OURS, priority, priority);
	return machine;
}

/* priority, interval in centiseconds -> Skew_Time and down interval in microseconds */
typedef struct {
	guint8 priority;
	guint interval_cs;
	gint64 skew_us, down_us;
} TimerRow;

static void check_timers(guint8 version, const TimerRow *rows, gsize n)
{
	for (gsize i = 0; i < n; i++) {
		VrrpMachine machine = machine_of(version, rows[i].interval_cs, rows[i].priority);

		g_assert_cmpint(vrrp_machine_skew_us(&machine), ==, rows[i].skew_us);
		g_assert_cmpint(vrrp_machine_down_us(&machine), ==, rows[i].down_us);
	}
}

/* Of a second, whatever the interval. */
static void test_skew_v2(void)
{
	static const TimerRow rows[] = {
		{ 100, 100, 609375, 3609375 },
		{ 100, 500, 609375, 15609375 },
		{ 1, 100, 996093, 3996093 },
		{ 254, 100, 7812, 3007812 },
		{ 128, 25500, 500000, 765500000 },
	};

	check_timers(2, rows, G_N_ELEMENTS(rows));
}

/* Of the interval. */
static void test_skew_v3(void)
{
	static const TimerRow rows[] = {
		{ 100, 100, 609375, 3609375 },
		{ 100, 10, 60937, 360937 },
		{ 100, 1, 6093, 36093 },
		{ 1, 100, 996093, 3996093 },
		{ 254, 10, 781, 300781 },
		{ 128, 4095, 20475000, 143325000 },
	};

	check_timers(3, rows, G_N_ELEMENTS(rows));
}

/* ---- The machine ---- */

typedef struct {
	VrrpMachine machine;
	gint64 now_us;
	VrrpStep steps[VRRP_MAX_STEPS];
	gsize n;
} World;

static void step(World *world, VrrpEvent event)
{
	world->n = vrrp_machine_step(&world->machine, &event, world->now_us, world->steps);
}

static void hear(World *world, guint8 priority, IpAddress source, guint interval_cs)
{
	step(world, (VrrpEvent){ .kind = VRRP_EVENT_ADVERT, .priority = priority, .source = source, .interval_cs = interval_cs,
				 .received_us = world->now_us });
}

static void expire(World *world)
{
	world->now_us = world->machine.deadline_us;
	step(world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
}

static gint64 due_in(const World *world)
{
	return world->machine.deadline_us - world->now_us;
}

static World backup(guint8 version, guint interval_cs)
{
	World world = { .now_us = 1000 * 1000 * MS };

	world.machine = machine_of(version, interval_cs, 100);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_START, .reason = "started" });
	return world;
}

static World master(guint8 version, guint interval_cs)
{
	World world = backup(version, interval_cs);

	expire(&world);
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	return world;
}

static void test_own_interval_again(void)
{
	World world = backup(3, 10);

	hear(&world, 200, HIGHER, 100);
	g_assert_cmpint(due_in(&world), ==, 3609375);
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "no-carrier" });
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_START, .reason = "carrier" });
	g_assert_cmpint(due_in(&world), ==, 360937);
}

/* What was learned is the other's; as Master we keep our own. */
static void test_own_interval_as_master(void)
{
	World world = backup(3, 10);

	hear(&world, 200, HIGHER, 100);
	expire(&world);
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	g_assert_cmpint(due_in(&world), ==, 100 * MS);
	expire(&world);
	g_assert_cmpint(due_in(&world), ==, 100 * MS);
}

static void test_zero_teaches_nothing(void)
{
	World world = backup(3, 10);

	hear(&world, 0, HIGHER, 4095);
	g_assert_cmpint(due_in(&world), ==, 60937);
	g_assert_cmpuint(world.n, ==, 0);
	g_assert_cmpuint(world.machine.master_interval_cs, ==, 10);
}

static void test_backup_v2(void)
{
	static const guint8 priorities[] = { 1, 99, 100, 101, 254, 255 };
	World world = backup(2, 100);

	for (gsize i = 0; i < G_N_ELEMENTS(priorities); i++) {
		world.now_us += 3000 * MS;
		hear(&world, priorities[i], i % 2 ? LOWER : HIGHER, 100);
		g_assert_cmpuint(world.n, ==, 0); /* a Backup says nothing */
		g_assert_cmpint(due_in(&world), ==, 3609375);
	}
	world.now_us += 1000 * MS;
	hear(&world, 0, HIGHER, 100);
	g_assert_cmpint(due_in(&world), ==, 609375);
	expire(&world);
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	g_assert_cmpint(due_in(&world), ==, 1000 * MS);
}

static void test_master_v2(void)
{
	World world = master(2, 100);

	world.now_us += 300 * MS;
	hear(&world, 99, HIGHER, 100); /* departure "answers-losers" */
	g_assert_cmpint(world.steps[0].kind, ==, VRRP_STEP_SEND);
	g_assert_cmpuint(world.steps[0].priority, ==, 100);
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_MASTER);
	world.now_us += 300 * MS;
	hear(&world, 0, HIGHER, 100);
	g_assert_cmpint(world.steps[0].kind, ==, VRRP_STEP_SEND);
	g_assert_cmpint(due_in(&world), ==, 1000 * MS);
	world.now_us += 600 * MS; /* past the half interval in which a resigned one is not heard */
	hear(&world, 101, LOWER, 100);
	g_assert_cmpint(world.machine.state, ==, VRRP_STATE_BACKUP);
	g_assert_cmpint(due_in(&world), ==, 3609375);
}

/* Woken before it is time, by whatever: nothing is sent and no beat is lost. */
static void test_early_timer(void)
{
	World world = master(3, 10);
	gint64 due_us = world.machine.deadline_us;

	world.now_us = due_us - 1;
	step(&world, (VrrpEvent){ .kind = VRRP_EVENT_TIMER });
	g_assert_cmpuint(world.n, ==, 0);
	g_assert_cmpint(world.machine.deadline_us, ==, due_us);
}

/* 10.0.0.1 < 127.255.255.255 < 128.0.0.0 < 192.0.2.11: a signed comparison, or one of the machine's byte order, says otherwise. */
static void test_address_unsigned(void)
{
	static const struct {
		guint32 ours, theirs;
		VrrpState state;
	} rows[] = {
		{ 0x7fffffff, 0x80000000, VRRP_STATE_BACKUP },
		{ 0x80000000, 0x7fffffff, VRRP_STATE_MASTER },
		{ 0x0a000001, 0xc000020b, VRRP_STATE_BACKUP },
		{ 0xc000020b, 0x0a0000ff, VRRP_STATE_MASTER },
		{ 0xc00002ff, 0xc0000301, VRRP_STATE_BACKUP },
		{ 0xc0000301, 0xc00002ff, VRRP_STATE_MASTER },
	};

	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
		World world = master(3, 10);

		world.machine.address = ip_v4(rows[i].ours);
		hear(&world, 100, ip_v4(rows[i].theirs), 10);
		g_assert_cmpint(world.machine.state, ==, rows[i].state);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vrrp/rfc/3768-5.3.2/type", test_type_v2);
	g_test_add_func("/vrrp/rfc/3768-5.3.6/auth-types", test_auth_types);
	g_test_add_func("/vrrp/rfc/3768-5.3.10/auth-data", test_auth_data);
	g_test_add_func("/vrrp/rfc/3768-5.3.8/no-pseudo-header", test_no_pseudo_header);
	g_test_add_func("/vrrp/rfc/9568-5.2.6/reserve", test_reserve);
	g_test_add_func("/vrrp/rfc/9568-5.2.7/interval", test_interval);
	g_test_add_func("/vrrp/rfc/9568-7.1/every-bit", test_every_bit);
	g_test_add_func("/vrrp/rfc/9568-5.2.9/order", test_order);
	g_test_add_func("/vrrp/rfc/9568-7.3/virtual-mac", test_virtual_mac);
	g_test_add_func("/vrrp/rfc/3768-6.1/skew", test_skew_v2);
	g_test_add_func("/vrrp/rfc/9568-6.1/skew", test_skew_v3);
	g_test_add_func("/vrrp/rfc/9568-6.4.1/own-interval-again", test_own_interval_again);
	g_test_add_func("/vrrp/rfc/9568-6.4.2/own-interval-as-master", test_own_interval_as_master);
	g_test_add_func("/vrrp/rfc/9568-6.4.2/zero-teaches-nothing", test_zero_teaches_nothing);
	g_test_add_func("/vrrp/rfc/3768-6.4.2/backup", test_backup_v2);
	g_test_add_func("/vrrp/rfc/3768-6.4.3/master", test_master_v2);
	g_test_add_func("/vrrp/rfc/9568-6.4.3/early-timer", test_early_timer);
	g_test_add_func("/vrrp/rfc/9568-6.4.3/address-unsigned", test_address_unsigned);
	return g_test_run();
}
