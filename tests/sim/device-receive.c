/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/sim/device-receive.c - a device's sockets: what comes, what there is no room for, and what is made of it when it is read. */
#include <string.h>

#include "device.h"

/* As the filters in socket.c: what the election's sees, */
static bool counts_for_filter(const Sim *sim, const SimDevice *device, const SimPacket *packet)
{
	return packet->bytes[sim_header(sim, packet->path) + 1] == SIM_VRID &&
	       (!device->candidate.paired || packet->from < sim->n_devices || packet->forged);
}

/* and of it the bell. */
static bool rings(const Sim *sim, const SimDevice *device, const SimPacket *packet)
{
	guint header = sim_header(sim, packet->path);
	gsize length = packet->length - header;

	if (!counts_for_filter(sim, device, packet))
		return false;
	return length != device->usual[packet->path].length || memcmp(packet->bytes + header, device->usual[packet->path].bytes, length) != 0;
}

/* As vrrp_socket_usual(). */
static void learn(const Sim *sim, SimDevice *device, const SimPacket *packet)
{
	guint header = sim_header(sim, packet->path);

	device->usual[packet->path].length = packet->length - header;
	memcpy(device->usual[packet->path].bytes, packet->bytes + header, packet->length - header);
}

void sim_device_arrival(Sim *sim, SimDevice *device, SimPacket *packet)
{
	if (device->condition == SIM_SUSPENDED || device->condition == SIM_OFF || device->condition == SIM_KILLED ||
	    !sim_reaches(sim, packet->path, packet->from, device->index) || (device->stale && sim_is_on_lan(sim, packet->path))) {
		g_free(packet);
		return;
	}
	if (device->deaf && packet->path != SIM_PEER) {
		if (device->candidate.paired && packet->from < sim->n_devices && !packet->damaged && packet->bytes[sim_header(sim, packet->path) + 2] != 0) {
			device->deaf_lost_us = sim_clock(sim, device);
			device->lost_interval_cs = packet->interval_cs;
		}
		g_free(packet);
		return;
	}
	if (device->received[packet->path].length >= SIM_SOCKET_PACKETS) {
		/* Lost here and not on the way: the Master works all the same, unless it said priority 0. */
		if (device->candidate.paired && packet->from < sim->n_devices && !packet->damaged) {
			device->lost_us = packet->bytes[sim_header(sim, packet->path) + 2] != 0 ? sim_clock(sim, device) : 0;
			device->lost_interval_cs = packet->interval_cs;
		}
		if (counts_for_filter(sim, device, packet)) {
			device->dropped[packet->path]++;
		}
		g_free(packet);
		return;
	}
	packet->received_us = sim_clock(sim, device);
	packet->stamp_us = packet->received_us + device->wall_us;
	packet->dropped = device->dropped[packet->path];
	if (packet->path == SIM_LAN)
		device->ear = true;
	g_queue_push_tail(&device->received[packet->path], packet);
	device->rung |= rings(sim, device, packet);
	if (device->condition == SIM_RUNS && (!device->sleep.quiet || device->rung))
		sim_push(sim, (SimEvent){ .at_us = sim->now_us + sim_upto(sim, sim->busy_us), .kind = SIM_EVENT_READABLE,
					  .device = device->index, .generation = device->generation });
}

/* When a Backup that hears must wake at the latest: who goes on from there is not late, however long adverts have lain in its queues. */
static gint64 wakes_us(const Sim *sim, const SimDevice *device)
{
	gint64 down_us = device->wait_us + sim_down_us(sim, device, device->wait_interval_cs);

	if ((gint64)device->wait_interval_cs * 10000 > 100 * SIM_MS)
		return 0;
	return device->tick_at_us ? MIN(down_us, device->tick_at_us) : down_us;
}

/* For a Master last known of @from_us ago; one that finds itself late waits as one that begins. */
void sim_device_begin_to_wait(SimDevice *device, gint64 from_us, gint64 now_us, guint interval_cs)
{
	gint64 interval_us = (gint64)interval_cs * 10000;
	bool late = device->reads_late && now_us - from_us > interval_us;

	device->wait_us = late ? now_us : from_us;
	device->wait_interval_cs = late ? MAX(interval_cs, device->interval_cs) : interval_cs;
}

/* As the shipped code makes it of the kernel's stamp. Never earlier than it came; and later only of what lay there when a step was noticed, or for very long. */
static gint64 received_us(Sim *sim, SimDevice *device, const SimPacket *packet)
{
	gint64 now_us = sim_clock(sim, device), *last_us = &device->stamped_us[packet->path], *distrust_us = &device->distrust_us[packet->path];
	gint64 at_us = vrrp_stamp_received(&device->stamp[packet->path], packet->stamp_us, device->wall_sets, now_us + device->wall_us, now_us);

	if (device->stepped_us != 0 && device->stepped_us >= *last_us)
		*distrust_us = now_us;
	*last_us = now_us;
	if (at_us < packet->received_us || at_us > now_us ||
	    (at_us > packet->received_us && packet->received_us > *distrust_us && now_us - packet->received_us < VRRP_STAMP_OLDEST_US))
		sim_break(sim, "misdated", "%c takes an advert for received %" G_GINT64_FORMAT " us later than it was", device->name,
			  at_us - packet->received_us);
	return at_us;
}

static void receive(Sim *sim, SimDevice *device, const SimPacket *packet, gint64 at_us)
{
	static const char *const names[] = { "LAN", "follower's path", "peer path" };
	IpAddress peer = sim_address(sim, 1 - device->index, packet->path);
	VrrpExpect expect = {
		.version = device->candidate.machine.version, .vrid = SIM_VRID, .interval_cs = device->candidate.machine.interval_cs,
		.own_address = sim_address(sim, device->index, packet->path),
		.only_peers = device->candidate.paired || packet->path == SIM_PEER, .peers = &peer, .n_peers = device->candidate.paired ? 1 : 0,
	};
	VrrpEvent event = { .kind = VRRP_EVENT_ADVERT, .received_us = at_us, .undated = !device->stamp[packet->path].dated };
	VrrpState old = device->candidate.machine.state;
	SimClaim mine = device->claim;
	bool overtaken, outdated = false, slept, ghost, leaving = device->candidate.leaving; /* it yields to anybody then */
	gint64 due_us;
	VrrpAdvert advert;

	if (vrrp_packet_parse(packet->bytes, packet->length, &expect, &advert) != VRRP_DROP_NONE)
		return;
	if (packet->damaged)
		sim_break(sim, "damaged-counts", "%c counts a damaged advert", device->name);
	if (packet->from >= sim->n_devices) {
		if (device->candidate.paired)
			sim_break(sim, "stranger-counts", "%c, paired, counts a stranger's advert", device->name);
		return; /* not yet paired: plain RFC behaviour, but strangers are for the paired here */
	}
	if (advert.priority != 0)
		learn(sim, device, packet);
	if (packet->path == SIM_FOLLOWER && !device->candidate.paired)
		return; /* as is_input() */
	/* An advert overtaken by its sender's own priority 0 says nothing. */
	overtaken = device->last_zero_us != 0 && packet->from == device->zero_from &&
		    packet->received_us - device->last_zero_us < (gint64)device->interval_cs * 10000 / 2;
	/* And a resignation says nothing that a slower path has brought after what its sender said when it led again. */
	if (advert.priority == 0 && (event.undated || at_us < device->undated_us - (gint64)device->interval_cs * 10000 / 2)) {
		; /* says nothing: its sender may have led again since */
	} else if (advert.priority == 0 && packet->received_us < device->heard_master_us - (gint64)device->interval_cs * 10000 / 2) {
		outdated = true;
	} else if (advert.priority == 0) {
		device->zero_from = packet->from;
		device->heard_zero_us = packet->received_us;
		if (packet->received_us >= device->last_zero_us)
			device->zero_sent_us = packet->sent_us;
		device->last_zero_us = MAX(packet->received_us, device->last_zero_us);
		device->heard_master_us = MIN(device->heard_master_us, device->heard_zero_us); /* that it has overtaken, too */
		device->late_us = MAX(at_us - packet->received_us, 0);
		device->resigned = old == VRRP_STATE_BACKUP;
		device->zero_reign = packet->claim.reign;
		device->zero_interval_cs = device->candidate.machine.master_interval_cs;
	} else if (!overtaken && packet->received_us >= device->heard_master_us) { /* else another path has brought more since */
		device->heard_master_us = packet->received_us;
		/* Of one that yielded to it before it knows nothing that may be newer than what it reads later. */
		if (old == VRRP_STATE_MASTER && device->interval_read_us != sim_clock(sim, device))
			device->heard_interval_cs = 0;
		device->interval_read_us = sim_clock(sim, device);
		device->heard_interval_cs = sim->version == 2 ? device->interval_cs :
					    event.undated ? MAX(advert.interval_cs, device->heard_interval_cs) : advert.interval_cs;
		device->resigned = false;
		if (old == VRRP_STATE_BACKUP)
			sim_device_begin_to_wait(device, at_us, sim_clock(sim, device),
				      event.undated ? MAX(device->heard_interval_cs, device->interval_cs) : device->heard_interval_cs);
		if (device->candidate.paired) /* before that it does not know who speaks, and takes no step from it */
			device->heard_reign = packet->claim.reign;
	}
	/* Which may be newer than a priority 0 that another path has brought. */
	if (advert.priority != 0 && event.undated) {
		device->undated_us = at_us;
		device->resigned = false;
	}
	if (advert.priority != 0)
		device->led_us = MAX(packet->received_us, device->led_us);
	/* The last that it has heard is for it what it takes for that, whichever path has brought more since. */
	if (advert.priority != 0 && !overtaken) {
		device->taken_us = MAX(at_us, device->taken_us);
		device->late_us = MAX(device->taken_us - device->heard_master_us, 0);
	}
	if (packet->path == SIM_LAN) {
		vrrp_link_watch_advert(&device->candidate.watch);
		device->lan_advert_us = sim_clock(sim, device);
	}
	vrrp_candidate_hear(&device->candidate, advert.priority, at_us);
	event.priority = advert.priority;
	event.interval_cs = advert.interval_cs;
	event.source = sim_address(sim, packet->from, SIM_LAN);
	sim_say(sim, "%c  hears %c on the %s: priority %u%s", device->name, sim->device[packet->from].name,
		names[packet->path], advert.priority,
		sim_clock(sim, device) - packet->received_us > 10 * SIM_MS ? ", queued" : "");
	mine.standing = sim_device_standing(sim, device);
	mine.ordered = device->candidate.ordered;
	ghost = advert.priority != 0 && !event.undated && packet->claim.reign == device->zero_reign && device->zero_reign != 0 &&
		packet->received_us - device->heard_zero_us < (gint64)device->interval_cs * 10000 / 2;
	due_us = device->candidate.machine.deadline_us;
	slept = sim_has_slept(sim, device);
	if (!vrrp_sleep_counts(&device->sleep, &device->candidate.machine, advert.priority, at_us)) {
		sim_device_save_changes(device);
		return;
	}
	if (outdated)
		sim_break(sim, "ghost-counts", "%c counts a resignation older than what its sender has said since", device->name);
	sim_device_step_at(sim, device, &event,
		vrrp_sleep_heard_at(&device->sleep, &device->candidate.machine, at_us, sim_clock(sim, device)));
	if (device->died)
		return;
	if (ghost && device->candidate.machine.deadline_us != due_us)
		sim_break(sim, "ghost-counts", "%c counts an advert of one whose priority 0 it has heard", device->name);
	if (old == VRRP_STATE_MASTER && advert.priority != 0 && !overtaken && !leaving)
		sim_check_advert(sim, device, packet, &advert, &mine, slept);
}

/* One path after the other, as drain() in election.c. */
void sim_device_drain(Sim *sim, SimDevice *device)
{
	device->rung = false;
	device->reads_late = sim_clock(sim, device) - wakes_us(sim, device) > (gint64)device->wait_interval_cs * 10000;
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		SimPacket *packet;
		guint n = 0;

		if (device->dropped[path] != device->known_dropped[path])
			device->full_us = sim_clock(sim, device);
		device->known_dropped[path] = device->dropped[path];
		for (; (packet = g_queue_pop_head(&device->received[path])); n++) {
			gint64 at_us = received_us(sim, device, packet);

			if (vrrp_room_read(&device->room[path], packet->dropped, at_us, sim_clock(sim, device)))
				vrrp_room_count(&device->room[path], device->dropped[path], sim_clock(sim, device));
			receive(sim, device, packet, at_us);
			g_free(packet);
		}
		vrrp_sleep_note(&device->sleep, n, sim_clock(sim, device));
	}
}

/* What came while it was awake may find it asleep. */
void sim_device_readable(Sim *sim, SimDevice *device)
{
	if (!device->sleep.quiet || device->rung)
		sim_device_drain(sim, device);
}

void sim_device_forget(SimDevice *device)
{
	device->rung = false;
	memset(device->room, 0, sizeof device->room);
	memset(device->dropped, 0, sizeof device->dropped);
	memset(device->known_dropped, 0, sizeof device->known_dropped);
	for (guint path = 0; path < SIM_N_PATHS; path++)
		g_queue_clear_full(&device->received[path], g_free);
}

/* Other sockets, and nothing in them. */
void sim_device_open_sockets(Sim *sim, SimDevice *device)
{
	sim_device_forget(device);
	for (guint path = 0; path < SIM_N_PATHS; path++) {
		vrrp_stamp_begin(&device->stamp[path], device->wall_sets, sim_clock(sim, device) + device->wall_us, sim_clock(sim, device));
		device->stamped_us[path] = sim_clock(sim, device);
		device->distrust_us[path] = 0;
	}
}
