/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election.c - events in, steps out: everything the machine decides is done here. */
#include "election.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <sched.h>
#include <string.h>

#include "arp.h"
#include "ear.h"
#include "link-watch.h"
#include "netlink.h"
#include "path.h"
#include "peer.h"
#include "state.h"
#include "strangers.h"
#include "sysctl.h"
#include "timer.h"

#define TICK_US 100000
#define REFRESH_ANNOUNCE_US (60 * G_USEC_PER_SEC) /* switches forget a MAC after minutes; only the electing interface carries adverts */
#define NEIGHBOURS_EVERY_US (10 * G_USEC_PER_SEC)
#define MAX_NEIGHBOURS 16
#define PROBES_PER_TICK 3

typedef struct {
	guint64 sent, sent_zero, sent_unicast, send_failed, received, counted, transitions, announcements, probes;
	guint64 address_mismatch, pseudo_header, resumed;
	guint64 drop[VRRP_N_DROPS];
} Counters;

struct VrrpElection {
	VrrpElectionListener listener;
	gpointer user_data;

	Settings *settings;
	const SettingsGroup *group;         /* NULL: standalone */
	const SettingsInterface *interface;
	char virtual_mac[18];

	VrrpNetlink *netlink;
	VrrpEther *ether;
	VrrpSysctl *sysctl;
	VrrpStore *store;
	VrrpTimer *timer, *tick;
	VrrpAddresses *addresses;
	GPtrArray *paths;                   /* of VrrpPath*; [0] is the LAN */
	VrrpStrangers *strangers;

	VrrpMachine machine;
	VrrpHolds holds;
	VrrpLinkWatch watch;
	VrrpLink link;                      /* of the electing interface */
	VrrpEar *ear;                       /* on it */
	int ear_index;
	VrrpPeer peer;
	GVariant *peer_dict;

	char *reason;
	guint64 sequence;
	gint64 since_us;
	guint step, heard_step;
	bool serving, served;
	bool ordered;                       /* told to lead while a Master is there: until it serves, judged as if it did */
	bool resuming;                      /* about to be the Master we were before a restart */
	bool restoring;                     /* about to be the Backup we were */
	bool pseudo_header;                 /* the other end sums that way; we answer in kind */

	gint64 addresses_up_us, renewed_us, dropped_us;
	gint64 announce_us[4];              /* repetitions still due; 0: done */
	gint64 neighbours_us;
	guint32 neighbours_be[MAX_NEIGHBOURS];
	gsize n_neighbours, next_neighbour;
	gint64 delay_us;                    /* how late the last timer was */

	GPtrArray *lasting_problems;
	GVariant *problems;                 /* as; as last told */
	Counters counters;
};

/* ---- Priority ---- */

static bool leads(const VrrpElection *self)
{
	return self->machine.state == VRRP_STATE_MASTER || self->resuming;
}

static VrrpStanding standing(const VrrpElection *self, gint64 now_us)
{
	if (!leads(self))
		return VRRP_STANDING_NOT_SERVING;
	return vrrp_judge_standing(self->serving, vrrp_link_watch_alive(&self->watch, now_us));
}

/* As Master what we advertise, before that what we would begin with. */
static void update_priority(VrrpElection *self, gint64 now_us)
{
	VrrpMachine *machine = &self->machine;

	if (!self->group)
		return;
	machine->skew_priority = self->peer.paired ? VRRP_SKEW_PRIORITY : (guint8)self->settings->priority;
	if (!self->peer.paired)
		machine->priority = self->ordered ? VRRP_SKEW_PRIORITY : (guint8)self->settings->priority;
	else if (leads(self))
		machine->priority = vrrp_judge_priority(self->ordered ? VRRP_STANDING_SERVING : standing(self, now_us), self->step,
							self->peer.offset);
	else
		machine->priority = vrrp_judge_priority(self->ordered ? VRRP_STANDING_SERVING : VRRP_STANDING_NOT_SERVING, vrrp_judge_next_step(self->heard_step, self->step),
							self->peer.offset);
}

/* ---- Run-time state ---- */

static void save_state(VrrpElection *self)
{
	g_autofree char *peer = self->peer_dict ? g_variant_print(self->peer_dict, TRUE) : NULL;
	VrrpSaved saved = {
		.group_id = self->group ? self->settings->group_id : 0,
		.version = self->group ? self->settings->vrrp_version : 0,
		.device = self->interface ? self->interface->device : NULL,
		.role = self->machine.state,
		.reason = self->reason,
		.sequence = self->sequence,
		.since_us = self->since_us,
		.step = self->step,
		.heard_step = self->heard_step,
		.serving = self->serving,
		.served = self->served,
		.holds = self->holds,
		.peer = peer,
	};
	GError *error = NULL;

	if (!vrrp_store_save(self->store, &saved, &error)) {
		g_warning("%s", error->message);
		g_error_free(error);
	}
}

static void tell_changed(VrrpElection *self)
{
	if (self->listener.changed)
		self->listener.changed(self->user_data);
}

/* ---- Sending ---- */

static void fill_advert(const VrrpElection *self, guint8 priority, VrrpAdvert *ret_advert)
{
	memset(ret_advert, 0, sizeof *ret_advert);
	ret_advert->version = self->machine.version;
	ret_advert->vrid = (guint8)self->settings->group_id;
	ret_advert->priority = priority;
	ret_advert->interval_cs = self->machine.interval_cs;
	ret_advert->pseudo_header = self->pseudo_header;
	ret_advert->source = self->machine.address;
	ret_advert->destination = VRRP_GROUP_ADDRESS;
	for (guint i = 0; i < self->group->addresses->len && i < VRRP_MAX_ADDRESSES; i++)
		ret_advert->addresses[ret_advert->n_addresses++] =
			g_ntohl(((const SettingsAddress *)self->group->addresses->pdata[i])->ipv4_be);
}

/* Stopped between two sends and woken later: what was true then is not to be said now. */
static bool is_stale(const VrrpElection *self, gint64 now_us)
{
	return vrrp_now_us() - now_us > vrrp_machine_peer_down_us(&self->machine);
}

static void send_adverts(VrrpElection *self, guint8 priority, gint64 now_us)
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
		if (is_stale(self, now_us))
			return;
		self->counters.sent_unicast += path->n_peers;
		self->counters.send_failed += vrrp_path_tell(path, &advert);
	}
	if (priority == 0)
		self->counters.sent_zero++;
	vrrp_store_advert(self->store, priority == 0 ? 0 : now_us);
}

static void announce(VrrpElection *self, gint64 now_us)
{
	self->counters.announcements += vrrp_addresses_announce(self->addresses, self->ether);
	self->announce_us[0] = now_us + 200000;
	self->announce_us[1] = now_us + 1000000;
	self->announce_us[2] = now_us + 5000000;
	self->announce_us[3] = now_us + REFRESH_ANNOUNCE_US;
}

static void announce_again(VrrpElection *self, gint64 now_us)
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

static void probe_neighbours(VrrpElection *self, gint64 now_us)
{
	guint32 peers[VRRP_PEER_MAX_ADDRESSES];
	gsize n = vrrp_peer_addresses(&self->peer, self->interface->name, peers, G_N_ELEMENTS(peers));
	VrrpArp arp = { .sender_be = g_htonl(self->machine.address) };

	memcpy(arp.from, self->link.mac, 6);
	for (gsize i = 0; i < n; i++) {
		arp.target_be = g_htonl(peers[i]);
		self->counters.probes += vrrp_ether_arp(self->ether, self->link.index, &arp);
	}
	if (now_us - self->neighbours_us >= NEIGHBOURS_EVERY_US || self->n_neighbours == 0) {
		self->neighbours_us = now_us;
		self->n_neighbours = vrrp_netlink_neighbours(self->netlink, self->link.index, self->neighbours_be, MAX_NEIGHBOURS);
	}
	for (gsize i = 0; i < MIN(self->n_neighbours, PROBES_PER_TICK); i++) {
		arp.target_be = self->neighbours_be[self->next_neighbour++ % self->n_neighbours];
		self->counters.probes += vrrp_ether_arp(self->ether, self->link.index, &arp);
	}
}

/* ---- Steps ---- */

static GVariant *evidence_new(VrrpElection *self, gint64 now_us)
{
	GVariantDict dict;

	g_variant_dict_init(&dict, NULL);
	g_variant_dict_insert_value(&dict, "last_heard", vrrp_election_last_heard(self));
	g_variant_dict_insert(&dict, "carrier", "b", self->watch.carrier);
	g_variant_dict_insert(&dict, "link_alive", "b", vrrp_link_watch_alive(&self->watch, now_us));
	g_variant_dict_insert(&dict, "priority_heard", "y", self->machine.master_priority);
	g_variant_dict_insert(&dict, "priority", "y", self->machine.priority);
	g_variant_dict_insert(&dict, "step", "u", self->step);
	g_variant_dict_insert(&dict, "scheduling_delay_us", "x", self->delay_us);
	if (self->machine.state == VRRP_STATE_MASTER)
		g_variant_dict_insert(&dict, "addresses_up_us", "x", self->addresses_up_us);
	return g_variant_dict_end(&dict);
}

static void state_changed(VrrpElection *self, VrrpState old, const char *reason, gint64 now_us)
{
	g_autoptr(GVariant) evidence = NULL;
	VrrpTransition transition = { .old = old, .new = self->machine.state };

	if (self->restoring && self->machine.state == VRRP_STATE_BACKUP)
		return;
	if (self->machine.state == VRRP_STATE_MASTER)
		self->step = vrrp_judge_next_step(self->heard_step, self->step);
	else
		self->ordered = false;
	self->serving = self->served = false;
	g_free(self->reason);
	self->reason = g_strdup(reason);
	self->sequence++;
	self->since_us = now_us;
	self->counters.transitions++;
	update_priority(self, now_us);
	save_state(self);

	evidence = g_variant_ref_sink(evidence_new(self, now_us));
	g_message("%s -> %s (%s)", vrrp_state_name(old), vrrp_state_name(self->machine.state), self->reason);
	transition.reason = self->reason;
	transition.sequence = self->sequence;
	transition.time_us = now_us;
	transition.evidence = evidence;
	tell_changed(self);
	if (self->listener.state_changed)
		self->listener.state_changed(&transition, self->user_data);
}

static void do_step(VrrpElection *self, const VrrpStep *step, gint64 now_us)
{
	switch (step->kind) {
	case VRRP_STEP_SEND:
		send_adverts(self, step->priority, now_us);
		/* Renewed with the adverts and nowhere else: one who has been asleep must listen first. */
		if (step->priority != 0 && self->machine.state == VRRP_STATE_MASTER && self->renewed_us != 0 && !is_stale(self, now_us) &&
		    now_us - self->renewed_us >= VRRP_ADDRESS_RENEW_US) {
			self->renewed_us = now_us;
			vrrp_addresses_hold(self->addresses);
		}
		break;
	case VRRP_STEP_HOLD:
		vrrp_addresses_hold(self->addresses);
		self->renewed_us = now_us;
		self->dropped_us = 0;
		self->addresses_up_us = vrrp_now_us();
		break;
	case VRRP_STEP_DROP:
		vrrp_addresses_drop(self->addresses);
		self->renewed_us = 0;
		self->dropped_us = now_us;
		memset(self->announce_us, 0, sizeof self->announce_us);
		break;
	case VRRP_STEP_ANNOUNCE:
		announce(self, now_us);
		break;
	case VRRP_STEP_STATE:
		break; /* after all others */
	}
}

static void election_step(VrrpElection *self, const VrrpEvent *event)
{
	VrrpStep steps[VRRP_MAX_STEPS];
	VrrpState old = self->machine.state;
	gint64 now_us = vrrp_now_us();
	gsize n;

	update_priority(self, now_us);
	n = vrrp_machine_step(&self->machine, event, now_us, steps);
	for (gsize i = 0; i < n; i++)
		do_step(self, &steps[i], now_us);
	for (gsize i = 0; i < n; i++)
		if (steps[i].kind == VRRP_STEP_STATE)
			state_changed(self, old, steps[i].reason, now_us);
	vrrp_timer_set(self->timer, self->machine.deadline_us);
}

static void drain(VrrpElection *self)
{
	for (guint i = 0; i < self->paths->len; i++) {
		VrrpPath *path = self->paths->pdata[i];

		if (path->socket)
			vrrp_socket_drain(path->socket);
	}
}

static void timer_cb(gpointer user_data)
{
	VrrpElection *self = user_data;
	gint64 due_us = self->machine.deadline_us;

	self->delay_us = due_us ? MAX(vrrp_now_us() - due_us, 0) : 0;
	drain(self);
	election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_TIMER });
}

/* Whether this device may take over changed? */
static void update_gate(VrrpElection *self, gint64 now_us)
{
	bool open = self->group && !vrrp_holds_any(&self->holds) && vrrp_link_watch_settled(&self->watch, now_us);

	if (open != self->machine.open)
		election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_GATE, .open = open });
}

/* ---- Receiving ---- */

static void note_stranger(VrrpElection *self, guint32 address, VrrpDrop cause)
{
	guint32 address_be = g_htonl(address);
	char text[INET_ADDRSTRLEN];
	guint64 count;

	/* Another group id on the same LAN is somebody else's good right. */
	if (cause == VRRP_DROP_VRID || !vrrp_strangers_note(self->strangers, address, cause, vrrp_now_us(), &count))
		return;
	inet_ntop(AF_INET, &address_be, text, sizeof text);
	g_message("advert of %s does not count: %s (%" G_GUINT64_FORMAT ")", text, vrrp_drop_name(cause), count);
	if (self->listener.stranger)
		self->listener.stranger(text, vrrp_drop_name(cause), count, self->user_data);
}

static bool same_addresses(const VrrpElection *self, const VrrpAdvert *advert)
{
	if (advert->n_addresses != self->group->addresses->len)
		return false;
	for (guint i = 0; i < advert->n_addresses; i++) {
		bool found = false;

		for (guint j = 0; j < advert->n_addresses && !found; j++)
			found = g_htonl(advert->addresses[i]) == ((const SettingsAddress *)self->group->addresses->pdata[j])->ipv4_be;
		if (!found)
			return false;
	}
	return true;
}

/* By whichever path an advert came, its sender is one router: with its address on the LAN, which the tie rule compares. */
static guint32 primary_address(const VrrpElection *self, const VrrpPath *path, guint32 source)
{
	const VrrpPath *lan = self->paths->pdata[0];

	return path->electing || lan->n_peers == 0 ? source : lan->peers[0];
}

static void received_cb(VrrpPath *path, const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data)
{
	VrrpElection *self = user_data;
	VrrpExpect expect = {
		.version = self->machine.version,
		.vrid = (guint8)self->settings->group_id,
		.interval_cs = self->machine.interval_cs,
		.own_address = path->own,
		.only_peers = self->peer.paired || !path->electing,
		.peers = path->peers,
		.n_peers = path->n_peers,
	};
	VrrpEvent event = { .kind = VRRP_EVENT_ADVERT, .received_us = received_us };
	guint8 priority = self->machine.master_priority;
	guint32 address = self->machine.master_address;
	VrrpAdvert advert;
	VrrpDrop drop = vrrp_packet_parse(packet, length, &expect, &advert);

	self->counters.received++;
	if (drop != VRRP_DROP_NONE) {
		self->counters.drop[drop]++;
		note_stranger(self, advert.source, drop);
		return;
	}
	if (!counts) /* queued among the rest before the filter knew the peer: too old to say anything */
		return;
	self->counters.counted++;
	if (!same_addresses(self, &advert))
		self->counters.address_mismatch++; /* the two may be between versions of pair.conf: no reason not to hear */
	if (advert.pseudo_header)
		self->counters.pseudo_header++;
	self->pseudo_header = advert.pseudo_header;
	vrrp_path_heard(path, advert.source, received_us);
	if (advert.priority != 0 && self->peer.paired)
		self->heard_step = vrrp_judge_step_of(advert.priority);
	event.priority = advert.priority;
	event.interval_cs = advert.interval_cs;
	event.source = primary_address(self, path, advert.source);
	election_step(self, &event);
	if (self->machine.master_priority != priority || self->machine.master_address != address)
		tell_changed(self);
}

/* ---- Links ---- */

static void open_ear(VrrpElection *self)
{
	GError *error = NULL;

	if (self->ear && self->ear_index == self->link.index)
		return;
	g_clear_pointer(&self->ear, vrrp_ear_free);
	if (self->link.index == 0)
		return;
	self->ear_index = self->link.index;
	self->ear = vrrp_ear_new(self->link.index, &error);
	if (!self->ear) {
		g_warning("%s: %s", self->interface->device, error->message);
		g_error_free(error);
	}
}

static void check_link(VrrpElection *self, const char *up_reason)
{
	gint64 now_us = vrrp_now_us();
	bool present;

	if (!self->group)
		return;
	present = vrrp_netlink_link(self->netlink, self->interface->device, &self->link);
	for (guint i = 0; i < self->paths->len; i++)
		vrrp_path_refresh(self->paths->pdata[i], self->netlink, (guint8)self->settings->group_id, self->settings->multicast,
				  self->peer.paired || i > 0);
	if (vrrp_link_watch_state(&self->watch, present, present && self->link.carrier, now_us))
		tell_changed(self);
	open_ear(self);
	vrrp_addresses_prepare(self->addresses, false);
	if (self->watch.carrier && self->machine.state == VRRP_STATE_INIT)
		election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_START, .reason = up_reason });
	else if (!self->watch.carrier && self->machine.state != VRRP_STATE_INIT)
		election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = present ? "no-carrier" : "no-interface" });
	update_gate(self, now_us);
}

static void links_changed_cb(gpointer user_data)
{
	check_link(user_data, "carrier");
}

/* ---- Housekeeping ---- */

static GVariant *problems_now(VrrpElection *self)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
	GVariantBuilder builder;

	for (guint i = 0; i < self->lasting_problems->len; i++)
		g_ptr_array_add(list, g_strdup(self->lasting_problems->pdata[i]));
	if (self->group) {
		if (self->watch.present && !self->watch.carrier)
			g_ptr_array_add(list, g_strdup_printf("no-carrier: %s has no link", self->interface->device));
		for (guint i = 0; i < self->paths->len; i++) {
			const VrrpPath *path = self->paths->pdata[i];

			if (path->problem)
				g_ptr_array_add(list, g_strdup(path->problem));
		}
		vrrp_addresses_problems(self->addresses, list);
		if (sched_getscheduler(0) == SCHED_OTHER)
			g_ptr_array_add(list, g_strdup("no-realtime: not scheduled in real time; under load adverts may be late"));
	}
	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	for (guint i = 0; i < list->len; i++)
		g_variant_builder_add(&builder, "s", list->pdata[i]);
	return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static void check_problems(VrrpElection *self)
{
	g_autoptr(GVariant) now = problems_now(self);

	if (self->problems && g_variant_equal(now, self->problems))
		return;
	g_clear_pointer(&self->problems, g_variant_unref);
	self->problems = g_steal_pointer(&now);
	tell_changed(self);
}

static void tick_cb(gpointer user_data)
{
	VrrpElection *self = user_data;
	gint64 now_us = vrrp_now_us();
	guint8 priority = self->machine.priority;
	bool alive = vrrp_link_watch_alive(&self->watch, now_us);
	guint heard_step = self->heard_step;

	vrrp_timer_set(self->tick, now_us + TICK_US);
	if (self->group) {
		if (vrrp_link_watch_frames(&self->watch, self->ear && vrrp_ear_heard(self->ear), now_us))
			probe_neighbours(self, now_us);
		if (self->machine.state == VRRP_STATE_MASTER)
			announce_again(self, now_us);
		else if (self->dropped_us != 0 && now_us - self->dropped_us >= TICK_US / 2) {
			self->dropped_us = 0;
			vrrp_addresses_rest(self->addresses);
		}
		update_priority(self, now_us);
	}
	if (vrrp_holds_tick(&self->holds, self->machine.state == VRRP_STATE_MASTER, now_us)) {
		save_state(self);
		tell_changed(self);
	}
	if (self->group)
		update_gate(self, now_us);
	check_problems(self);
	if (priority != self->machine.priority || heard_step != self->heard_step ||
	    alive != vrrp_link_watch_alive(&self->watch, now_us))
		tell_changed(self);
}

/* ---- Life ---- */

VrrpElection *vrrp_election_new(const VrrpElectionListener *listener, gpointer user_data, GError **error)
{
	g_autoptr(VrrpElection) self = g_new0(VrrpElection, 1);

	self->listener = *listener;
	self->user_data = user_data;
	self->paths = g_ptr_array_new_with_free_func((GDestroyNotify)vrrp_path_free);
	self->lasting_problems = g_ptr_array_new_with_free_func(g_free);
	self->strangers = vrrp_strangers_new();
	self->reason = g_strdup("starting");
	self->store = vrrp_store_new(VRRP_STATE_DIR, error);
	if (!self->store)
		return NULL;
	self->sysctl = vrrp_sysctl_new(VRRP_STATE_DIR "/sysctl");
	self->netlink = vrrp_netlink_new(links_changed_cb, self, error);
	if (!self->netlink)
		return NULL;
	self->ether = vrrp_ether_new(error);
	if (!self->ether)
		return NULL;
	self->timer = vrrp_timer_new(G_PRIORITY_HIGH, timer_cb, self, error);
	if (!self->timer)
		return NULL;
	self->tick = vrrp_timer_new(G_PRIORITY_DEFAULT, tick_cb, self, error);
	if (!self->tick)
		return NULL;
	return g_steal_pointer(&self);
}

void vrrp_election_free(VrrpElection *self)
{
	if (!self)
		return;
	vrrp_timer_free(self->timer);
	vrrp_timer_free(self->tick);
	g_ptr_array_unref(self->paths);
	vrrp_addresses_free(self->addresses);
	vrrp_netlink_free(self->netlink);
	vrrp_ether_free(self->ether);
	vrrp_ear_free(self->ear);
	vrrp_sysctl_free(self->sysctl);
	vrrp_store_free(self->store);
	vrrp_strangers_free(self->strangers);
	g_clear_pointer(&self->peer_dict, g_variant_unref);
	g_clear_pointer(&self->problems, g_variant_unref);
	g_ptr_array_unref(self->lasting_problems);
	settings_unref(self->settings);
	g_free(self->reason);
	g_free(self);
}

/* Paths as settings and peer make them: the LAN first, then every other interface on which the peer has an address. */
static void open_paths(VrrpElection *self)
{
	g_ptr_array_set_size(self->paths, 0);
	g_ptr_array_add(self->paths, vrrp_path_new(self->interface, true, &self->peer, received_cb, self));
	for (guint i = 0; i < self->settings->interfaces->len; i++) {
		const SettingsInterface *interface = self->settings->interfaces->pdata[i];
		VrrpPath *path;

		if (interface == self->interface)
			continue;
		path = vrrp_path_new(interface, false, &self->peer, received_cb, self);
		if (path->n_peers)
			g_ptr_array_add(self->paths, path);
		else
			vrrp_path_free(path);
	}
	for (guint i = 0; i < self->paths->len; i++)
		vrrp_path_refresh(self->paths->pdata[i], self->netlink, (guint8)self->settings->group_id, self->settings->multicast,
				  self->peer.paired || i > 0);
}

static void take_settings(VrrpElection *self, Settings *settings)
{
	Settings *former = self->settings;

	self->settings = settings_ref(settings);
	self->group = settings->has_pair && settings->enabled ? settings_electing_group(settings) : NULL;
	self->interface = self->group ? settings_interface(settings, self->group->interface) : NULL;
	self->virtual_mac[0] = '\0';
	if (self->group && settings->virtual_mac)
		g_snprintf(self->virtual_mac, sizeof self->virtual_mac, "00:00:5e:00:01:%02x", settings->group_id);
	settings_unref(former);
}

static void begin(VrrpElection *self, bool clean)
{
	const Settings *settings = self->settings;

	vrrp_machine_init(&self->machine, (guint8)settings->vrrp_version, settings->advert_interval_ms / 10,
			  g_ntohl(self->interface->address.ipv4_be), (guint8)settings->priority, (guint8)settings->priority);
	self->machine.open = false;
	vrrp_link_watch_init(&self->watch, (gint64)settings->advert_interval_ms * 1000);
	self->addresses = vrrp_addresses_new(settings, self->netlink, self->sysctl);
	vrrp_addresses_prepare(self->addresses, clean);
	open_paths(self);
	if (self->listener.addresses_replaced)
		self->listener.addresses_replaced(self->user_data);
}

static void end(VrrpElection *self)
{
	g_ptr_array_set_size(self->paths, 0);
	g_clear_pointer(&self->ear, vrrp_ear_free);
	if (!self->addresses)
		return;
	vrrp_addresses_remove(self->addresses);
	g_clear_pointer(&self->addresses, vrrp_addresses_free);
	if (self->listener.addresses_replaced)
		self->listener.addresses_replaced(self->user_data);
	vrrp_sysctl_restore(self->sysctl);
}

static void restore_peer(VrrpElection *self, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) dict = text ? g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error) : NULL;

	if (!dict)
		return;
	if (!vrrp_peer_parse(dict, &self->peer, &error)) {
		g_warning("run-time state: %s", error->message);
		return;
	}
	self->peer_dict = g_steal_pointer(&dict);
}

/* "Still believed": the peer waits at least its down time for us. */
static bool may_resume(const VrrpElection *self, const VrrpSaved *saved, gint64 now_us)
{
	gint64 age_us = now_us - saved->last_advert_us;

	return saved->role == VRRP_STATE_MASTER && saved->group_id == self->settings->group_id &&
	       saved->version == self->settings->vrrp_version && g_strcmp0(saved->device, self->interface->device) == 0 &&
	       age_us >= 0 && age_us < vrrp_machine_peer_down_us(&self->machine);
}

void vrrp_election_start(VrrpElection *self, Settings *settings)
{
	g_auto(VrrpSaved) saved = { 0 };
	gint64 now_us = vrrp_now_us();
	bool known = vrrp_store_load(self->store, &saved);

	take_settings(self, settings);
	self->since_us = now_us;
	self->holds.heartbeat_us = now_us;
	if (known) {
		self->holds = saved.holds;
		self->holds.heartbeat_us = now_us; /* it may not have noticed yet that we were away */
		self->sequence = saved.sequence;
		self->step = saved.step;
		self->heard_step = saved.heard_step;
		restore_peer(self, saved.peer);
	} else {
		vrrp_holds_set(&self->holds, VRRP_HOLD_NO_SUPERVISOR, "started anew; no word of the supervisor yet", 0, now_us);
	}
	vrrp_timer_set(self->tick, now_us);
	if (!self->group) {
		g_free(self->reason);
		self->reason = g_strdup("standalone");
		save_state(self);
		return;
	}

	vrrp_machine_init(&self->machine, (guint8)settings->vrrp_version, settings->advert_interval_ms / 10, 0, 0, 0);
	if (known && may_resume(self, &saved, now_us)) {
		begin(self, false);
		if (vrrp_netlink_link(self->netlink, self->interface->device, &self->link) && self->link.carrier) {
			g_free(self->reason);
			self->reason = g_strdup(saved.reason);
			self->since_us = saved.since_us;
			self->serving = saved.serving;
			self->served = saved.served;
			self->counters.resumed++;
			(void)vrrp_link_watch_state(&self->watch, true, true, now_us);
			/* The link was in use a moment ago; the judgement goes on from there. */
			(void)vrrp_link_watch_frames(&self->watch, true, now_us);
			open_ear(self);
			self->resuming = true;
			election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_RESUME });
			self->resuming = false;
			g_message("still master: last advert %" G_GINT64_FORMAT " us ago", now_us - saved.last_advert_us);
			return;
		}
		end(self);
	}
	begin(self, true);
	update_priority(self, now_us);
	g_free(self->reason);
	self->reason = g_strdup("no-carrier");
	if (known && saved.role == VRRP_STATE_BACKUP) {
		/* A restart of this process is no change of role, and is not told as one. */
		g_free(self->reason);
		self->reason = g_strdup(saved.reason);
		self->since_us = saved.since_us;
		self->restoring = true;
	}
	check_link(self, "started");
	self->restoring = false;
	save_state(self);
}

void vrrp_election_stop(VrrpElection *self, const char *reason)
{
	if (!self->group)
		return;
	election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = reason });
	end(self);
	save_state(self);
}

static bool same_election(const Settings *a, const Settings *b)
{
	const SettingsGroup *group_a = settings_electing_group(a), *group_b = settings_electing_group(b);
	const SettingsInterface *at_a, *at_b;

	if (!a->has_pair || !b->has_pair || a->enabled != b->enabled || !group_a || !group_b)
		return false;
	at_a = settings_interface(a, group_a->interface);
	at_b = settings_interface(b, group_b->interface);
	return at_a && at_b && a->group_id == b->group_id && a->vrrp_version == b->vrrp_version &&
	       a->advert_interval_ms == b->advert_interval_ms && a->virtual_mac == b->virtual_mac && a->multicast == b->multicast &&
	       strcmp(at_a->device, at_b->device) == 0 && at_a->address.ipv4_be == at_b->address.ipv4_be;
}

void vrrp_election_reload(VrrpElection *self, Settings *settings)
{
	bool was_electing = self->group != NULL;

	if (was_electing && same_election(self->settings, settings)) {
		bool master = self->machine.state == VRRP_STATE_MASTER;

		vrrp_addresses_drop(self->addresses);
		vrrp_addresses_remove(self->addresses);
		vrrp_addresses_free(self->addresses);
		take_settings(self, settings);
		self->addresses = vrrp_addresses_new(self->settings, self->netlink, self->sysctl);
		vrrp_addresses_prepare(self->addresses, !master);
		if (master) {
			vrrp_addresses_hold(self->addresses);
			announce(self, vrrp_now_us());
		}
		open_paths(self);
		update_priority(self, vrrp_now_us());
		if (self->listener.addresses_replaced)
			self->listener.addresses_replaced(self->user_data);
		tell_changed(self);
		return;
	}
	if (was_electing)
		vrrp_election_stop(self, settings->has_pair && settings->enabled ? "settings" : "standalone");
	take_settings(self, settings);
	if (self->group) {
		begin(self, true);
		update_priority(self, vrrp_now_us());
		check_link(self, "settings");
	}
	save_state(self);
	tell_changed(self);
}

/* ---- Orders ---- */

void vrrp_election_hold(VrrpElection *self, VrrpHold hold, const char *reason, guint lease_ms)
{
	gint64 now_us = vrrp_now_us();

	vrrp_holds_set(&self->holds, hold, reason, lease_ms ? now_us + (gint64)lease_ms * 1000 : 0, now_us);
	update_gate(self, now_us);
	save_state(self);
	tell_changed(self);
}

void vrrp_election_lift(VrrpElection *self, VrrpHold hold)
{
	vrrp_holds_lift(&self->holds, hold);
	update_gate(self, vrrp_now_us());
	save_state(self);
	tell_changed(self);
}

void vrrp_election_heartbeat(VrrpElection *self)
{
	bool held = self->holds.hold[VRRP_HOLD_NO_SUPERVISOR].set;
	gint64 now_us = vrrp_now_us();

	vrrp_holds_heartbeat(&self->holds, now_us);
	if (!held)
		return;
	update_gate(self, now_us);
	save_state(self);
	tell_changed(self);
}

void vrrp_election_resign(VrrpElection *self, const char *reason)
{
	election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = reason });
}

bool vrrp_election_take(VrrpElection *self, const char *reason, GError **error)
{
	if (!self->group) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "standalone: this device elects nothing");
		return false;
	}
	if (self->machine.state == VRRP_STATE_INIT) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "no-carrier: %s has no link", self->interface->device);
		return false;
	}
	/* A Master that serves is above one that has yet to start: without this the order would be lost to its next advert. */
	if (self->machine.state == VRRP_STATE_BACKUP)
		self->ordered = true;
	election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_TAKE, .reason = reason });
	return true;
}

void vrrp_election_set_serving(VrrpElection *self, bool serving)
{
	if (self->machine.state != VRRP_STATE_MASTER || self->serving == serving)
		return;
	self->serving = serving;
	self->served |= serving;
	self->ordered = false;
	update_priority(self, vrrp_now_us());
	save_state(self);
	tell_changed(self);
}

static bool same_paths(const VrrpPeer *a, const VrrpPeer *b)
{
	if (a->paired != b->paired || a->n_addresses != b->n_addresses)
		return false;
	for (gsize i = 0; i < a->n_addresses; i++)
		if (a->addresses[i].address != b->addresses[i].address || strcmp(a->addresses[i].role, b->addresses[i].role) != 0)
			return false;
	return true;
}

bool vrrp_election_set_peer(VrrpElection *self, GVariant *dict, GError **error)
{
	VrrpPeer peer;
	bool same;

	if (!vrrp_peer_parse(dict, &peer, error))
		return false;
	same = same_paths(&self->peer, &peer);
	self->peer = peer;
	g_clear_pointer(&self->peer_dict, g_variant_unref);
	self->peer_dict = g_variant_ref(dict);
	/* The peer follows: there is no older Master left to be above of. */
	if (peer.follows && self->machine.state == VRRP_STATE_MASTER)
		self->step = self->heard_step = 0;
	if (self->group && !same)
		open_paths(self);
	update_priority(self, vrrp_now_us());
	save_state(self);
	tell_changed(self);
	return true;
}

void vrrp_election_announce(VrrpElection *self)
{
	if (self->group && self->machine.state == VRRP_STATE_MASTER)
		announce(self, vrrp_now_us());
}

void vrrp_election_add_problem(VrrpElection *self, const char *problem)
{
	g_ptr_array_add(self->lasting_problems, g_strdup(problem));
}

/* ---- Seeing ---- */

VrrpElectionStatus vrrp_election_status(VrrpElection *self)
{
	gint64 now_us = vrrp_now_us();

	return (VrrpElectionStatus){
		.state = self->machine.state,
		.reason = self->reason,
		.sequence = self->sequence,
		.since_us = self->since_us,
		.holds = &self->holds,
		.standing = standing(self, now_us),
		.carrier = self->watch.carrier,
		.link_alive = vrrp_link_watch_alive(&self->watch, now_us),
		.machine = &self->machine,
		.step = self->step,
		.settings = self->settings,
		.interface = self->interface ? self->interface->device : "",
		.virtual_mac = self->virtual_mac,
	};
}

const VrrpAddresses *vrrp_election_addresses(VrrpElection *self)
{
	return self->addresses;
}

GVariant *vrrp_election_last_heard(VrrpElection *self)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sx}"));
	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];
		gint64 lan_us = 0;

		for (gsize j = 0; j < MAX(path->n_peers, 1); j++) {
			guint32 address_be = g_htonl(path->peers[j]);
			char text[INET_ADDRSTRLEN];

			if (path->electing) {
				lan_us = MAX(lan_us, path->heard_us[j]);
			} else if (path->heard_us[j]) {
				inet_ntop(AF_INET, &address_be, text, sizeof text);
				g_variant_builder_add(&builder, "{sx}", text, path->heard_us[j]);
			}
		}
		if (lan_us)
			g_variant_builder_add(&builder, "{sx}", "lan", lan_us);
	}
	return g_variant_builder_end(&builder);
}

GVariant *vrrp_election_counters(VrrpElection *self)
{
	const Counters *counters = &self->counters;
	const struct {
		const char *name;
		guint64 value;
	} rows[] = {
		{ "sent", counters->sent },
		{ "sent-unicast", counters->sent_unicast },
		{ "sent-priority-zero", counters->sent_zero },
		{ "send-failed", counters->send_failed },
		{ "received", counters->received },
		{ "counted", counters->counted },
		{ "transitions", counters->transitions },
		{ "announcements", counters->announcements },
		{ "probes", counters->probes },
		{ "address-mismatch", counters->address_mismatch },
		{ "pseudo-header", counters->pseudo_header },
		{ "late-wake-ups", self->machine.late_wake_ups },
		{ "resumed", counters->resumed },
	};
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
	for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
		g_variant_builder_add(&builder, "{st}", rows[i].name, rows[i].value);
	for (guint i = VRRP_DROP_NONE + 1; i < VRRP_N_DROPS; i++) {
		g_autofree char *name = g_strconcat("drop-", vrrp_drop_name((VrrpDrop)i), NULL);

		g_variant_builder_add(&builder, "{st}", name, counters->drop[i]);
	}
	return g_variant_builder_end(&builder);
}

GVariant *vrrp_election_problems(VrrpElection *self)
{
	return problems_now(self);
}
