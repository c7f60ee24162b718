/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election-send.c - what an election says: adverts on every path, gratuitous ARP, and questions to neighbours. */
#include <string.h>

#include "election-private.h"

#define REFRESH_ANNOUNCE_US (60 * G_USEC_PER_SEC) /* switches forget a MAC after minutes; only the electing interface carries adverts */
#define NEIGHBOURS_EVERY_US (10 * G_USEC_PER_SEC)
#define PROBES_PER_TICK 3

static void fill_advert(const VrrpElection *self, guint8 priority, VrrpAdvert *ret_advert)
{
	memset(ret_advert, 0, sizeof *ret_advert);
	ret_advert->version = self->machine.version;
	ret_advert->vrid = (guint8)self->settings->group_id;
	ret_advert->priority = priority;
	ret_advert->interval_cs = self->machine.interval_cs;
	ret_advert->pseudo_header = self->pseudo_header;
	ret_advert->source = self->machine.address;
	ret_advert->destination = ip_v4(VRRP_GROUP_IPV4);
	for (guint i = 0; i < self->group->addresses->len && ret_advert->n_addresses < VRRP_MAX_ADDRESSES; i++) {
		const IpAddress *ip = &((const SettingsAddress *)self->group->addresses->pdata[i])->ip;

		if (ip->family == AF_INET)
			ret_advert->addresses[ret_advert->n_addresses++] = *ip;
	}
}

/* Stopped between two sends and woken later: what was true then is not to be said now. */
bool vrrp_election_is_stale(const VrrpElection *self, gint64 now_us)
{
	return vrrp_now_us() - now_us > vrrp_machine_peer_down_us(&self->machine);
}

void vrrp_election_send(VrrpElection *self, guint8 priority, gint64 now_us)
{
	bool to_peer = vrrp_judge_speaks_to_peer(self->watch.carrier, vrrp_link_watch_alive(&self->watch, now_us),
						 self->served && !self->serving);
	VrrpAdvert advert;

	fill_advert(self, priority, &advert);
	if (self->settings->multicast) {
		guint8 packet[VRRP_MAX_PACKET], mac[6];

		memcpy(mac, self->link.mac, 6);
		if (self->settings->virtual_mac)
			vrrp_virtual_mac((guint8)self->settings->group_id, mac);
		if (vrrp_ether_multicast(self->ether, self->link.index, mac, packet, vrrp_packet_build(&advert, packet)))
			self->counters.sent++;
		else
			self->counters.send_failed++;
	}
	for (guint i = 0; i < self->paths->len; i++) {
		VrrpPath *path = self->paths->pdata[i];

		/* Priority 0 always goes everywhere: it says that we no longer are what silence would say, only sooner. */
		if (path->electing ? self->settings->multicast : priority != 0 && !to_peer)
			continue;
		if (vrrp_election_is_stale(self, now_us))
			return;
		self->counters.sent_unicast += path->n_peers;
		self->counters.send_failed += vrrp_path_tell(path, &advert);
	}
	if (priority == 0)
		self->counters.sent_zero++;
	vrrp_store_advert(self->store, priority == 0 ? 0 : now_us);
}

void vrrp_election_announce_from(VrrpElection *self, gint64 now_us)
{
	self->counters.announcements += vrrp_addresses_announce(self->addresses, self->ether);
	self->announce_us[0] = now_us + 200000;
	self->announce_us[1] = now_us + 1000000;
	self->announce_us[2] = now_us + 5000000;
	self->announce_us[3] = now_us + REFRESH_ANNOUNCE_US;
}

void vrrp_election_announce_again(VrrpElection *self, gint64 now_us)
{
	bool due = false;

	for (guint i = 0; i < G_N_ELEMENTS(self->announce_us); i++) {
		if (self->announce_us[i] == 0 || now_us < self->announce_us[i])
			continue;
		due = true;
		self->announce_us[i] = 0;
	}
	if (!due)
		return;
	self->counters.announcements += vrrp_addresses_announce(self->addresses, self->ether);
	if (self->announce_us[3] == 0)
		self->announce_us[3] = now_us + REFRESH_ANNOUNCE_US;
}

void vrrp_election_probe(VrrpElection *self, gint64 now_us)
{
	IpAddress peers[VRRP_PEER_MAX_ADDRESSES];
	gsize n = vrrp_peer_addresses(&self->peer, self->interface->name, peers, G_N_ELEMENTS(peers));
	VrrpArp arp = { .sender = self->machine.address };

	memcpy(arp.from, self->link.mac, 6);
	for (gsize i = 0; i < n; i++) {
		arp.target = peers[i];
		self->counters.probes += vrrp_ether_arp(self->ether, self->link.index, &arp);
	}
	if (now_us - self->neighbours_us >= NEIGHBOURS_EVERY_US || self->n_neighbours == 0) {
		self->neighbours_us = now_us;
		self->n_neighbours = vrrp_netlink_neighbours(self->netlink, self->link.index, AF_INET, self->neighbours, VRRP_MAX_NEIGHBOURS);
	}
	for (gsize i = 0; i < MIN(self->n_neighbours, PROBES_PER_TICK); i++) {
		arp.target = self->neighbours[self->next_neighbour++ % self->n_neighbours];
		self->counters.probes += vrrp_ether_arp(self->ether, self->link.index, &arp);
	}
}
