/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/world.c - chance, time and the network of a simulated world. */
#include <stdarg.h>
#include <string.h>

#include "sim.h"

/* splitmix64: any seed is a good one. */
guint64 sim_random(guint64 *state)
{
	guint64 z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

guint sim_below(Sim *sim, guint limit)
{
	return (guint)(sim_random(&sim->chance) % limit);
}

gint64 sim_upto(Sim *sim, gint64 limit_us)
{
	return limit_us <= 0 ? 0 : (gint64)(sim_random(&sim->chance) % (guint64)limit_us);
}

/* ---- Events ---- */

static bool earlier(const SimEvent *a, const SimEvent *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void sim_push(Sim *sim, SimEvent event)
{
	gsize at = sim->n_events++;

	event.number = sim->n_pushed++;
	if (sim->n_events > sim->room) {
		sim->room = MAX(256, 2 * sim->room);
		sim->events = g_renew(SimEvent, sim->events, sim->room);
	}
	while (at > 0 && earlier(&event, &sim->events[(at - 1) / 2])) {
		sim->events[at] = sim->events[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	sim->events[at] = event;
}

bool sim_pop(Sim *sim, SimEvent *ret_event)
{
	gsize at = 0;
	SimEvent last;

	if (sim->n_events == 0)
		return false;
	*ret_event = sim->events[0];
	last = sim->events[--sim->n_events];
	for (;;) {
		gsize next = 2 * at + 1;

		if (next >= sim->n_events)
			break;
		if (next + 1 < sim->n_events && earlier(&sim->events[next + 1], &sim->events[next]))
			next++;
		if (!earlier(&sim->events[next], &last))
			break;
		sim->events[at] = sim->events[next];
		at = next;
	}
	sim->events[at] = last;
	return true;
}

/* ---- Clocks ---- */

gint64 sim_clock_at(const SimDevice *device, gint64 at_us)
{
	return device->offset_us + at_us + at_us * device->ppm / 1000000;
}

gint64 sim_clock(const Sim *sim, const SimDevice *device)
{
	return sim_clock_at(device, sim->now_us);
}

/* The first one. */
gint64 sim_moment(const SimDevice *device, gint64 clock_us)
{
	gint64 at_us = (clock_us - device->offset_us) * 1000000 / (1000000 + device->ppm);

	while (sim_clock_at(device, at_us) < clock_us)
		at_us++;
	return at_us;
}

/* That moment, or now. */
gint64 sim_when(const Sim *sim, const SimDevice *device, gint64 clock_us)
{
	return MAX(sim_moment(device, clock_us), sim->now_us);
}

/* ---- Network ---- */

sa_family_t sim_family(const Sim *sim, SimPathKind path)
{
	if (path == SIM_FOLLOWER && sim->version == 3)
		return sim->family == AF_INET ? AF_INET6 : AF_INET;
	return path == SIM_PEER ? AF_INET : sim->family;
}

guint sim_header(const Sim *sim, SimPathKind path)
{
	return sim_family(sim, path) == AF_INET ? VRRP_IP_HEADER : VRRP_IPV6_HEADER;
}

static IpAddress address_on(const Sim *sim, SimPathKind path, guint8 last)
{
	static const guint32 networks[] = { 0xc0000200u, 0xcb007100u, 0xc6336400u };
	guint8 link_local[16] = { 0xfe, 0x80, [13] = (guint8)path, [14] = 1, [15] = last };

	return sim_family(sim, path) == AF_INET ? ip_v4(networks[path] + last) : ip_v6(link_local);
}

IpAddress sim_address(const Sim *sim, guint device, SimPathKind path)
{
	return address_on(sim, path, (guint8)(10 + device));
}

IpAddress sim_service(const Sim *sim, SimPathKind path)
{
	return address_on(sim, path, 100);
}

static bool port_forwards(const Sim *sim, guint device)
{
	return sim->device[device].no_carrier == 0 && sim->now_us >= sim->device[device].learning_until_us;
}

bool sim_is_on_lan(const Sim *sim, SimPathKind path)
{
	return path == SIM_LAN || (path == SIM_FOLLOWER && sim->follower_on_lan);
}

bool sim_reaches(const Sim *sim, SimPathKind path, guint from, guint to)
{
	if (sim_is_on_lan(sim, path)) {
		if (!port_forwards(sim, to) || (from < sim->n_devices && !port_forwards(sim, from)))
			return false;
	}
	return from >= sim->n_devices || sim->cut[path][from][to] == 0;
}

static void carry(Sim *sim, const SimPacket *packet, guint to)
{
	SimPacket *copy;

	if (sim_below(sim, 1000) < sim->loss)
		return;
	if (packet->from < sim->n_devices && sim->path_loss[packet->path][packet->from][to] != 0 &&
	    sim_below(sim, 1000) < sim->path_loss[packet->path][packet->from][to])
		return;
	copy = g_memdup2(packet, offsetof(SimPacket, bytes) + packet->length);
	if (sim_below(sim, 1000) < sim->damage) {
		guint header = sim_header(sim, packet->path), bit = sim_below(sim, (guint)(packet->length - header) * 8);

		copy->bytes[header + bit / 8] ^= (guint8)(1u << bit % 8);
		copy->damaged = true;
	}
	sim_push(sim, (SimEvent){ .at_us = sim->now_us + 50 + sim_upto(sim, 200) + sim_upto(sim, sim->jitter_us),
				  .kind = SIM_EVENT_ARRIVAL, .device = to, .packet = copy });
}

void sim_send(Sim *sim, guint from, SimPathKind path, const VrrpAdvert *advert, const SimClaim *claim)
{
	static SimPacket packet; /* large; whole again each time but for its bytes */

	/* Each answers the other's answer, on every path: that grows without end. */
	if (sim->n_events > SIM_MAX_EVENTS)
		sim_break(sim, "storm", "%" G_GSIZE_FORMAT " adverts are under way", sim->n_events);
	packet.path = path;
	packet.from = from;
	packet.sent_us = sim->now_us;
	packet.claim = *claim;
	packet.interval_cs = advert->interval_cs;

	packet.length = vrrp_packet_build(advert, packet.bytes);
	for (guint to = 0; to < sim->n_devices; to++) {
		if (to == from || !sim_reaches(sim, path, from, to))
			continue;
		carry(sim, &packet, to);
		while (sim_below(sim, 1000) < sim->duplicate)
			carry(sim, &packet, to);
	}
}

void sim_forge(Sim *sim, guint to)
{
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		VrrpAdvert advert = {
			.version = sim->version, .vrid = SIM_VRID, .priority = 254, .interval_cs = sim->interval_cs,
			.source = sim_address(sim, 1 - to, path), .destination = vrrp_group_address(sim_family(sim, path)), .n_addresses = 1,
			.addresses = { sim_service(sim, path) },
		};
		SimPacket packet = { .path = path, .from = SIM_MAX_DEVICES, .damaged = true, .forged = true, .interval_cs = sim->interval_cs };

		if (path == SIM_FOLLOWER && !sim->follower)
			continue;
		packet.length = vrrp_packet_build(&advert, packet.bytes);
		packet.bytes[packet.length - 1] ^= 1; /* of the address: its sum is wrong */
		for (guint i = 0; i < SIM_SOCKET_PACKETS; i++)
			sim_push(sim, (SimEvent){ .at_us = sim->now_us, .kind = SIM_EVENT_ARRIVAL, .device = to,
						  .packet = g_memdup2(&packet, offsetof(SimPacket, bytes) + packet.length) });
	}
}

void sim_say(Sim *sim, const char *format, ...)
{
	va_list arguments;

	if (!sim->trace)
		return;
	g_string_append_printf(sim->trace, "%12.3f ms  ", (double)sim->now_us / 1000);
	va_start(arguments, format);
	g_string_append_vprintf(sim->trace, format, arguments);
	va_end(arguments);
	g_string_append_c(sim->trace, '\n');
}
