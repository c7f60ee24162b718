/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election-send.c - what an election says: adverts on every path, announcements, and questions to neighbours. */
#include <string.h>

#include "election-private.h"

#define REFRESH_ANNOUNCE_US (60 * G_USEC_PER_SEC) /* switches forget a MAC after minutes; only the electing interface carries adverts */
#define NEIGHBOURS_EVERY_US G_USEC_PER_SEC /* asked for only while nobody is heard: who has come since is the one to ask */
#define PROBES_PER_TICK 3

/* Whose addresses an advert on @path lists: by unicast the electing group's. NULL when that has none of the path's family. */
const VrrpMember *vrrp_election_member_of(const VrrpElection *self, const VrrpPath *path)
{
	for (guint i = 0; i < self->members->len; i++) {
		const VrrpMember *member = self->members->pdata[i];

		if (path->name ? member->advertises && strcmp(member->path, path->name) == 0 :
				 member->family == path->family && strcmp(member->group, self->group->name) == 0)
			return member;
	}
	return NULL;
}

static bool sums_pseudo_header(const VrrpElection *self)
{
	switch (self->settings->checksum) {
	case SETTINGS_CHECKSUM_AUTO:
		return self->pseudo_header;
	case SETTINGS_CHECKSUM_RFC:
		return false;
	case SETTINGS_CHECKSUM_PSEUDO_HEADER:
		return true;
	}
	g_return_val_if_reached(false);
}

static void fill_advert(const VrrpElection *self, const VrrpPath *path, const VrrpMember *member, guint8 priority, VrrpAdvert *ret_advert)
{
	memset(ret_advert, 0, offsetof(VrrpAdvert, addresses));
	ret_advert->version = self->candidate.machine.version;
	ret_advert->vrid = (guint8)self->settings->group_id;
	ret_advert->priority = priority;
	ret_advert->interval_cs = self->candidate.machine.interval_cs;
	ret_advert->pseudo_header = sums_pseudo_header(self);
	for (guint i = 0; member && i < member->addresses->len && ret_advert->n_addresses < VRRP_MAX_ADDRESSES; i++)
		ret_advert->addresses[ret_advert->n_addresses++] = g_array_index(member->addresses, VrrpMemberAddress, i).ip;
	/* An IPv6-only set told over an IPv4 cable, or the other way round: an advert without any address would not count. */
	if (ret_advert->n_addresses == 0)
		ret_advert->addresses[ret_advert->n_addresses++] = path->family == AF_INET6 ?
								   settings_derived_link_local(self->settings) : path->own;
}

/* Stopped between two sends and woken later: what was true then is not to be said now. */
bool vrrp_election_is_stale(const VrrpElection *self, gint64 now_us)
{
	return vrrp_now_us() - now_us > vrrp_machine_peer_down_us(&self->candidate.machine);
}

static void send_on(VrrpElection *self, VrrpPath *path, guint8 priority)
{
	const VrrpMember *member = vrrp_election_member_of(self, path);
	bool unicast = path->kind == VRRP_PATH_UNICAST || !self->settings->multicast;
	VrrpAdvert advert;

	/* What is sent to one host without a carrier waits in the kernel until that host's MAC is known, for seconds: a priority 0 would be heard when we
	 * lead again. */
	if (!path->link.carrier) {
		self->counters.send_failed += unicast ? path->n_peers : 1;
		return;
	}
	fill_advert(self, path, member, priority, &advert);
	if (unicast) {
		self->counters.sent_unicast += path->n_peers;
		self->counters.send_failed += vrrp_path_tell(path, self->ether, &advert);
	} else if (vrrp_path_multicast(path, self->ether, member && self->settings->virtual_mac ? member->virtual_mac : path->link.mac, &advert)) {
		if (path->kind == VRRP_PATH_ELECTOR)
			self->counters.sent++;
		else
			self->counters.sent_followers++;
	} else {
		self->counters.send_failed++;
	}
}

void vrrp_election_send(VrrpElection *self, guint8 priority, gint64 now_us)
{
	/* Priority 0 always goes everywhere: it says that we no longer are what silence would say, only sooner. Without a peer nobody takes a
	 * follower's adverts for a sign of life. */
	bool everywhere = priority == 0 || !self->peer.paired || vrrp_candidate_speaks_to_peer(&self->candidate, now_us);

	for (guint i = 0; i < self->paths->len; i++) {
		VrrpPath *path = self->paths->pdata[i];

		if (path->kind != VRRP_PATH_ELECTOR && !everywhere)
			continue;
		if (i > 0 && vrrp_election_is_stale(self, now_us))
			return;
		send_on(self, path, priority);
	}
	if (priority == 0)
		self->counters.sent_zero++;
	vrrp_store_advert(self->store, priority == 0 ? 0 : now_us);
}

/* Who has slept for longer than a Backup waits may have been replaced, and listens first: with one frame it would draw to itself what is the other's. */
bool vrrp_election_is_awake_master(const VrrpElection *self, gint64 now_us)
{
	const VrrpMachine *machine = &self->candidate.machine;

	return machine->state == VRRP_STATE_MASTER && !machine->listening &&
	       now_us - machine->last_sent_us <= vrrp_machine_peer_down_us(machine);
}

void vrrp_election_announce_from(VrrpElection *self, gint64 now_us)
{
	/* Not before they are there. */
	self->announce_owed = self->holding_anew || !vrrp_election_is_awake_master(self, now_us);
	if (self->announce_owed)
		return;
	self->counters.announcements += vrrp_addresses_announce(self->addresses, self->ether);
	self->announce_us[0] = now_us + 200000;
	self->announce_us[1] = now_us + 1000000;
	self->announce_us[2] = now_us + 5000000;
	self->announce_us[3] = now_us + REFRESH_ANNOUNCE_US;
	self->ask_owed = true;
	vrrp_election_mind_contest(self, now_us);
}

void vrrp_election_announce_again(VrrpElection *self, gint64 now_us)
{
	bool due = false;

	if (!vrrp_election_is_awake_master(self, now_us))
		return;
	for (guint i = 0; i < G_N_ELEMENTS(self->announce_us); i++) {
		if (self->announce_us[i] == 0 || now_us < self->announce_us[i])
			continue;
		due = true;
		self->announce_us[i] = 0;
	}
	if (!due)
		return;
	self->counters.announcements += vrrp_addresses_announce(self->addresses, self->ether);
	if (self->announce_us[3] == 0) {
		self->announce_us[3] = now_us + REFRESH_ANNOUNCE_US;
		self->ask_owed = true;
	}
}

void vrrp_election_reclaim(gpointer user_data)
{
	VrrpElection *self = user_data;
	gint64 now_us = vrrp_now_us();

	/* What is about to be announced for the first time is announced then. */
	if (vrrp_reclaim_due(&self->reclaim, now_us) && !self->announce_owed && !self->candidate.leaving &&
	    vrrp_election_is_awake_master(self, now_us)) {
		self->counters.reclaimed++;
		self->counters.announcements += vrrp_addresses_announce(self->addresses, self->ether);
	}
	vrrp_timer_set(self->reclaim_timer, self->reclaim.due_us);
}

/* By ARP or by neighbour discovery; the answer is a frame. */
static void ask(VrrpElection *self, const IpAddress *target)
{
	const VrrpPath *lan = self->paths->pdata[0];
	VrrpArp arp = { .sender = self->interface->address.ip, .target = *target };

	memcpy(arp.from, self->link.mac, 6);
	if (target->family == AF_INET && ip_is_set(&arp.sender))
		self->counters.probes += vrrp_ether_arp(self->ether, self->link.index, &arp);
	else if (target->family == AF_INET6 && lan->family == AF_INET6 && ip_is_set(&lan->own))
		self->counters.probes += vrrp_nd_solicit(self->ether, self->link.index, self->link.mac, &lan->own, target);
}

void vrrp_election_probe(VrrpElection *self, gint64 now_us)
{
	IpAddress peers[VRRP_PEER_MAX_ADDRESSES];
	gsize n = vrrp_peer_addresses(&self->peer, self->interface->name, peers, G_N_ELEMENTS(peers));

	for (gsize i = 0; i < n; i++)
		ask(self, &peers[i]);
	if (now_us - self->neighbours_us >= NEIGHBOURS_EVERY_US || self->n_neighbours == 0) {
		self->neighbours_us = now_us;
		self->n_neighbours = vrrp_netlink_neighbours(self->netlink, self->link.index, self->settings->family, self->neighbours,
							     VRRP_MAX_NEIGHBOURS);
	}
	for (gsize i = 0; i < MIN(self->n_neighbours, PROBES_PER_TICK); i++)
		ask(self, &self->neighbours[self->next_neighbour++ % self->n_neighbours]);
}
