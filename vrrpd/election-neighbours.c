/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election-neighbours.c - who else is on the LAN: somebody at a service address, and the witnesses that say whether its link lives. */
#include <string.h>

#include "election-private.h"
#include "vrrpd/wire/nd.h"

#define WITNESS_EVERY_US (500 * G_TIME_SPAN_MILLISECOND)
#define WITNESS_GONE_US (2 * G_USEC_PER_SEC)
#define SETTLE_US (5 * G_TIME_SPAN_MILLISECOND) /* a kernel has answered by then */

/* One interface on which service addresses are watched. */
typedef struct {
	VrrpElection *election;
	char *device;
	char *role;
	VrrpLink link; /* as it was when links changed last */
	VrrpClaims *claims;
	VrrpForged *forged; /* NULL: no IPv4 address of our own there */
	IpAddress own;
} Watched;

static void watched_free(gpointer data)
{
	Watched *watched = data;

	vrrp_claims_free(watched->claims);
	vrrp_forged_free(watched->forged);
	g_free(watched->device);
	g_free(watched->role);
	g_free(watched);
}

/* ---- Somebody else at a service address ---- */

/* Without virtual MAC the Master says so with its own, which the kernel knows when the two have spoken. What is not known accuses nobody. */
static bool may_be_peer(const VrrpElection *self, const Watched *watched, const VrrpClaim *claim)
{
	IpAddress peers[VRRP_PEER_MAX_ADDRESSES];
	gsize n = vrrp_peer_addresses(&self->peer, watched->role, peers, G_N_ELEMENTS(peers));
	guint8 mac[6];
	bool known = false;

	for (gsize i = 0; i < n; i++) {
		if (!vrrp_netlink_neighbour_mac(self->netlink, watched->link.index, &peers[i], mac))
			continue;
		known = true;
		if (memcmp(mac, claim->mac, 6) == 0)
			return true;
	}
	return !known;
}

static bool is_rightful(const VrrpElection *self, const Watched *watched, const VrrpClaim *claim)
{
	for (guint i = 0; i < self->members->len; i++)
		if (memcmp(((const VrrpMember *)self->members->pdata[i])->virtual_mac, claim->mac, 6) == 0)
			return true;
	if (memcmp(watched->link.mac, claim->mac, 6) == 0)
		return true;
	/* Unpaired, a Backup cannot know how the Master of another make does it. */
	if (!self->peer.paired)
		return self->candidate.machine.state != VRRP_STATE_MASTER;
	return !self->settings->virtual_mac && may_be_peer(self, watched, claim);
}

static void reclaim(VrrpElection *self, gint64 settle_us, gint64 now_us)
{
	vrrp_reclaim_note(&self->reclaim, settle_us, now_us);
	vrrp_timer_set(self->reclaim_timer, self->reclaim.due_us);
}

/* Switches and hosts may learn, or have just learned, that the addresses are where they were before: at @twin, the other device as it seems, or at
 * whoever answers a question. What another announces is not answered in kind: he says adverts too, and by them it is decided whose they are. */
static void look_who_misleads(VrrpElection *self, const VrrpClaim *claim, bool twin)
{
	gint64 now_us = vrrp_now_us();

	if (self->candidate.machine.state != VRRP_STATE_MASTER)
		return;
	if (twin && !claim->announced) {
		vrrp_election_contest(self, now_us);
		vrrp_election_mind_contest(self, now_us);
		reclaim(self, 0, now_us);
	} else if (ip_is_set(&claim->asked)) {
		reclaim(self, SETTLE_US, now_us);
	}
}

static void claimed_cb(const VrrpClaim *claim, gpointer user_data)
{
	Watched *watched = user_data;
	VrrpElection *self = watched->election;
	bool claims = ip_is_set(&claim->address), rightful = claims && is_rightful(self, watched, claim);
	bool twin = claim->twin || (rightful && !self->settings->virtual_mac && memcmp(watched->link.mac, claim->mac, 6) != 0);
	char ip[IP_TEXT_SIZE];
	g_autofree char *who = NULL;

	look_who_misleads(self, claim, twin);
	if (!claims || rightful)
		return;
	self->counters.address_clash++;
	who = g_strdup_printf("%s at %02x:%02x:%02x:%02x:%02x:%02x", ip_text(&claim->address, ip), claim->mac[0], claim->mac[1], claim->mac[2],
			      claim->mac[3], claim->mac[4], claim->mac[5]);
	vrrp_election_note_clash(self, &claim->address, who);
	self->clash_us = vrrp_now_us();
	g_free(self->clash);
	self->clash = g_strdup_printf("address-clash: somebody else on %s has the service address %s", watched->device, who);
}

static const VrrpLink *link_of(const VrrpElection *self, const char *device)
{
	for (guint i = 0; i < self->watched->len; i++) {
		const Watched *watched = self->watched->pdata[i];

		if (strcmp(watched->device, device) == 0)
			return &watched->link;
	}
	return NULL;
}

/* The addresses of one whose processes stand still, or are gone, live on in its kernel until their lifetime ends. */
void vrrp_election_contest(VrrpElection *self, gint64 now_us)
{
	self->contested_until_us = now_us + (vrrp_addresses_lifetime_s(self->settings->advert_interval_ms) + 1) * G_USEC_PER_SEC;
}

/* Asked by nobody (RFC 5227 2.1.1), so that no host learns anything: the only ones to answer are those who have the address too. */
static void ask_for_clash(VrrpElection *self)
{
	for (gsize i = 0; i < vrrp_addresses_count(self->addresses); i++) {
		const VrrpServiceAddress *address = vrrp_addresses_at(self->addresses, i);
		const VrrpMember *member = self->members->pdata[address->place];
		const SettingsInterface *interface = settings_interface(self->settings, member->role);
		const SettingsAddress *own = interface ? settings_own_address(interface, AF_INET6) : NULL;
		VrrpArp arp = { .target = address->address };
		const VrrpLink *link = link_of(self, member->device);

		if (!link)
			continue;
		memcpy(arp.from, link->mac, 6);
		if (address->address.family == AF_INET)
			self->counters.probes += vrrp_ether_arp(self->ether, link->index, &arp);
		else if (own)
			self->counters.probes += vrrp_nd_solicit(self->ether, link->index, link->mac, &own->ip, &address->address);
	}
}

/* Questions of others only while they matter: on a large LAN there is always somebody who asks. */
static void hear_what_matters(VrrpElection *self)
{
	bool master = self->candidate.machine.state == VRRP_STATE_MASTER;

	for (guint i = 0; i < self->watched->len; i++) {
		const Watched *watched = self->watched->pdata[i];

		if (watched->claims)
			vrrp_claims_hear(watched->claims, master && self->contested_until_us != 0,
					 master && self->settings->virtual_mac ? (guint8)self->settings->group_id : 0);
	}
}

/* Nobody is asked for a clash while one who led before us may answer, with our virtual MAC: from the answer the switch would learn its port. */
void vrrp_election_mind_contest(VrrpElection *self, gint64 now_us)
{
	if (now_us >= self->contested_until_us)
		self->contested_until_us = 0;
	hear_what_matters(self);
	if (!self->ask_owed || self->contested_until_us != 0)
		return;
	self->ask_owed = false;
	ask_for_clash(self);
}

static GArray *addresses_on(const VrrpElection *self, const char *device)
{
	GArray *addresses = g_array_new(FALSE, FALSE, sizeof(IpAddress));

	for (guint i = 0; i < self->members->len; i++) {
		const VrrpMember *member = self->members->pdata[i];

		for (guint k = 0; k < member->addresses->len && strcmp(member->device, device) == 0; k++)
			g_array_append_val(addresses, g_array_index(member->addresses, VrrpMemberAddress, k).ip);
	}
	return addresses;
}

static void watch_for_forged(VrrpElection *self, Watched *watched)
{
	const SettingsInterface *interface = settings_interface(self->settings, watched->role);
	const SettingsAddress *own = interface ? settings_own_address(interface, AF_INET) : NULL;
	g_autoptr(GError) error = NULL;

	if (!own)
		return;
	watched->own = own->ip;
	watched->forged = vrrp_forged_new(watched->link.index, &own->ip, vrrp_netlink_worker(self->netlink), &error);
	if (!watched->forged)
		g_warning("%s: %s", watched->device, error->message);
}

void vrrp_election_count_forged(VrrpElection *self)
{
	for (guint i = 0; i < self->watched->len; i++) {
		Watched *watched = self->watched->pdata[i];
		char ip[IP_TEXT_SIZE];
		g_autofree char *who = NULL;
		guint8 mac[6];
		guint n = watched->forged ? vrrp_forged_count(watched->forged, mac) : 0;

		if (n == 0)
			continue;
		who = g_strdup_printf("%s at %02x:%02x:%02x:%02x:%02x:%02x", ip_text(&watched->own, ip), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
		vrrp_election_note_forged(self, &watched->own, who, n);
	}
}

static void watch_device(VrrpElection *self, const VrrpMember *member)
{
	g_autoptr(GArray) addresses = NULL;
	g_autoptr(GError) error = NULL;
	Watched *watched;
	VrrpLink link;

	if (link_of(self, member->device) || !vrrp_netlink_link(self->netlink, member->device, &link))
		return;
	addresses = addresses_on(self, member->device);
	watched = g_new0(Watched, 1);
	watched->election = self;
	watched->device = g_strdup(member->device);
	watched->role = g_strdup(member->role);
	watched->link = link;
	watched->claims = vrrp_claims_new(link.index, addresses, G_PRIORITY_LOW, claimed_cb, watched, vrrp_netlink_worker(self->netlink), &error);
	if (!watched->claims)
		g_warning("%s: %s", member->device, error->message);
	watch_for_forged(self, watched);
	g_ptr_array_add(self->watched, watched);
}

/* ---- Witnesses ---- */

static void witnessed_cb(const VrrpClaim *claim, gpointer user_data)
{
	VrrpElection *self = user_data;

	self->witness_heard_us = vrrp_now_us();
}

static void ask_witness(VrrpElection *self, const IpAddress *witness)
{
	const SettingsAddress *own = settings_own_address(self->interface, witness->family);
	VrrpArp arp = { .target = *witness };

	if (!own)
		return;
	arp.sender = own->ip;
	memcpy(arp.from, self->link.mac, 6);
	self->counters.probes += witness->family == AF_INET6 ?
					 vrrp_nd_solicit(self->ether, self->link.index, self->link.mac, &own->ip, witness) :
					 vrrp_ether_arp(self->ether, self->link.index, &arp);
}

VrrpWitness vrrp_election_witness(const VrrpElection *self)
{
	if (!self->group || self->settings->witnesses->len == 0)
		return VRRP_WITNESS_NONE;
	/* The time to answer the first question. */
	if (self->witness_begin_us == 0 || vrrp_now_us() - self->witness_begin_us < WITNESS_GONE_US)
		return self->witness_heard_us ? VRRP_WITNESS_REACHED : VRRP_WITNESS_UNKNOWN;
	return vrrp_now_us() - MAX(self->witness_heard_us, 1) < WITNESS_GONE_US ? VRRP_WITNESS_REACHED : VRRP_WITNESS_LOST;
}

void vrrp_election_ask_witnesses(VrrpElection *self, gint64 now_us)
{
	VrrpWitness witness = vrrp_election_witness(self);

	if (witness != self->witness_told) {
		self->witness_told = witness;
		vrrp_election_tell(self);
	}
	if (witness == VRRP_WITNESS_NONE || now_us - self->witness_asked_us < WITNESS_EVERY_US || !self->candidate.watch.carrier)
		return;
	self->witness_asked_us = now_us;
	if (self->witness_begin_us == 0)
		self->witness_begin_us = now_us;
	for (guint i = 0; i < self->settings->witnesses->len; i++)
		ask_witness(self, &g_array_index(self->settings->witnesses, IpAddress, i));
}

/* ---- Opening ---- */

static void open_witnesses(VrrpElection *self)
{
	g_autoptr(GError) error = NULL;

	if (self->witness_index == self->link.index || self->settings->witnesses->len == 0)
		return;
	g_clear_pointer(&self->witness_claims, vrrp_claims_free);
	self->witness_index = self->link.index;
	self->witness_begin_us = self->witness_heard_us = 0;
	if (self->link.index == 0)
		return;
	self->witness_claims = vrrp_claims_new(self->link.index, self->settings->witnesses, G_PRIORITY_DEFAULT, witnessed_cb, self,
					       vrrp_netlink_worker(self->netlink), &error);
	if (!self->witness_claims)
		g_warning("%s: %s", self->interface->device, error->message);
}

void vrrp_election_open_neighbours(VrrpElection *self)
{
	for (guint i = self->watched->len; i-- > 0;) {
		Watched *watched = self->watched->pdata[i];
		VrrpLink link;

		if (!vrrp_netlink_link(self->netlink, watched->device, &link) || link.index != watched->link.index)
			g_ptr_array_remove_index(self->watched, i);
		else
			watched->link = link;
	}
	for (guint i = 0; i < self->members->len; i++)
		watch_device(self, self->members->pdata[i]);
	open_witnesses(self);
}

void vrrp_election_close_neighbours(VrrpElection *self)
{
	if (self->watched)
		g_ptr_array_set_size(self->watched, 0);
	else
		self->watched = g_ptr_array_new_with_free_func(watched_free);
	g_clear_pointer(&self->witness_claims, vrrp_claims_free);
	self->witness_index = 0;
	self->witness_begin_us = self->witness_heard_us = 0;
}
