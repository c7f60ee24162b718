/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election.c - events in, steps out: what the machine decides is done here; and the orders of the supervisor. */
#include <gio/gio.h>
#include <string.h>

#include "election-private.h"

#define ODD_AFTER_US (5 * G_USEC_PER_SEC)

/* ---- Run-time state ---- */

void vrrp_election_save(VrrpElection *self)
{
	g_autofree char *peer = self->peer_dict ? g_variant_print(self->peer_dict, TRUE) : NULL;
	VrrpSaved saved = {
		.group_id = self->group ? self->settings->group_id : 0,
		.version = self->group ? self->settings->vrrp_version : 0,
		.family = self->group ? self->settings->family : 0,
		.device = self->interface ? self->interface->device : NULL,
		.role = self->candidate.machine.state,
		.reason = self->reason,
		.sequence = self->sequence,
		.since_us = self->since_us,
		.step = self->candidate.step,
		.heard_step = self->candidate.heard_step,
		.steady = self->candidate.steady,
		.serving = self->candidate.serving,
		.served = self->candidate.served,
		.holds = self->candidate.holds,
		.peer = peer,
		.pseudo_header = self->pseudo_header,
	};

	self->candidate.unsaved = false;
	if (self->form_unsaved) {
		self->form_unsaved = false;
		self->form_saved_us = vrrp_now_us();
	}
	vrrp_store_save(self->store, &saved);
}

void vrrp_election_tell(VrrpElection *self)
{
	if (self->listener.changed)
		self->listener.changed(self->user_data);
}

/* ---- Steps ---- */

static GVariant *evidence_new(VrrpElection *self, gint64 now_us)
{
	GVariantDict dict;

	g_variant_dict_init(&dict, NULL);
	g_variant_dict_insert_value(&dict, "last_heard", vrrp_election_last_heard(self));
	g_variant_dict_insert(&dict, "carrier", "b", self->candidate.watch.carrier);
	g_variant_dict_insert(&dict, "link_alive", "b", vrrp_link_watch_alive(&self->candidate.watch, now_us));
	g_variant_dict_insert(&dict, "priority_heard", "y", self->candidate.machine.master_priority);
	g_variant_dict_insert(&dict, "priority", "y", self->candidate.machine.priority);
	g_variant_dict_insert(&dict, "step", "u", self->candidate.step);
	g_variant_dict_insert(&dict, "scheduling_delay_us", "x", self->delay_us);
	return g_variant_dict_end(&dict);
}

/* Others are told of a change of state when the addresses have followed it: who is told of a Master finds them there, and who is told of a
 * Backup finds them gone. On the wire everything goes on meanwhile. */
typedef struct {
	VrrpTransition transition;
	char *reason;
	GVariant *evidence;
} Untold;

static void untold_free(gpointer data)
{
	Untold *untold = data;

	g_free(untold->reason);
	g_variant_unref(untold->evidence);
	g_free(untold);
}

void vrrp_election_forget_transitions(VrrpElection *self)
{
	g_queue_clear_full(self->untold, untold_free);
}

static void tell_transition(VrrpElection *self, Untold *untold)
{
	if (untold->transition.new == VRRP_STATE_MASTER && self->addresses_up_us != 0) {
		GVariantDict dict;

		g_variant_dict_init(&dict, untold->evidence);
		g_variant_dict_insert(&dict, "addresses_up_us", "x", self->addresses_up_us);
		g_variant_unref(untold->evidence);
		untold->evidence = g_variant_ref_sink(g_variant_dict_end(&dict));
	}
	untold->transition.reason = untold->reason;
	untold->transition.evidence = untold->evidence;
	self->shown.state = untold->transition.new;
	g_free(self->shown.reason);
	self->shown.reason = g_strdup(untold->reason);
	self->shown.sequence = untold->transition.sequence;
	self->shown.since_us = untold->transition.time_us;
	vrrp_election_tell(self);
	if (self->listener.state_changed)
		self->listener.state_changed(&untold->transition, self->user_data);
}

/* Only the last may still have to wait. */
static bool waits_for_addresses(const VrrpElection *self, const Untold *untold, gint64 now_us)
{
	if (self->untold->length > 1)
		return false;
	return untold->transition.new == VRRP_STATE_MASTER ? self->holding_anew :
							     self->dropping && now_us - untold->transition.time_us < VRRP_TICK_US;
}

void vrrp_election_tell_transitions(VrrpElection *self)
{
	gint64 now_us = vrrp_now_us();
	Untold *untold;

	while ((untold = g_queue_peek_head(self->untold)) && !waits_for_addresses(self, untold, now_us)) {
		tell_transition(self, untold);
		untold_free(g_queue_pop_head(self->untold));
	}
}

static void state_changed(VrrpElection *self, VrrpState old, const char *reason, gint64 now_us)
{
	Untold *untold;

	if (self->restoring && self->candidate.machine.state == VRRP_STATE_BACKUP)
		return;
	if (g_queue_is_empty(self->untold)) {
		self->shown.state = old;
		g_free(self->shown.reason);
		self->shown.reason = g_strdup(self->reason);
		self->shown.sequence = self->sequence;
		self->shown.since_us = self->since_us;
	}
	g_free(self->reason);
	self->reason = g_strdup(reason);
	self->sequence++;
	self->since_us = now_us;
	self->counters.transitions++;
	self->counters.became_master += self->candidate.machine.state == VRRP_STATE_MASTER;
	vrrp_election_save(self);

	g_message("%s -> %s (%s)", vrrp_state_name(old), vrrp_state_name(self->candidate.machine.state), self->reason);
	untold = g_new0(Untold, 1);
	untold->transition = (VrrpTransition){ .old = old, .new = self->candidate.machine.state, .sequence = self->sequence, .time_us = now_us };
	untold->reason = g_strdup(self->reason);
	untold->evidence = g_variant_ref_sink(evidence_new(self, now_us));
	g_queue_push_tail(self->untold, untold);
	vrrp_election_tell_transitions(self);
	vrrp_timer_set(self->tick, self->tick_timer_us = now_us);
}

static void do_step(VrrpElection *self, const VrrpStep *step, gint64 now_us)
{
	switch (step->kind) {
	case VRRP_STEP_SEND:
		vrrp_election_send(self, step->priority, now_us);
		if (step->priority != 0)
			vrrp_addresses_lead(self->addresses, now_us + vrrp_machine_peer_down_us(&self->candidate.machine));
		break;
	case VRRP_STEP_RENEW:
		vrrp_addresses_renew(self->addresses);
		break;
	case VRRP_STEP_HOLD:
		vrrp_addresses_hold(self->addresses);
		self->holding_anew = true;
		self->dropping = false;
		self->dropped_us = self->addresses_up_us = 0;
		break;
	case VRRP_STEP_DROP:
		vrrp_addresses_drop(self->addresses);
		self->dropping = true;
		self->holding_anew = self->announce_owed = false;
		self->dropped_us = now_us;
		memset(self->announce_us, 0, sizeof self->announce_us);
		self->ask_owed = false;
		self->contested_until_us = 0;
		break;
	case VRRP_STEP_ANNOUNCE:
		vrrp_election_announce_from(self, now_us);
		break;
	case VRRP_STEP_STATE:
		break; /* after all others */
	}
}

static void step_at(VrrpElection *self, const VrrpEvent *event, gint64 now_us)
{
	VrrpStep steps[VRRP_MAX_STEPS];
	VrrpState old = self->candidate.machine.state;
	VrrpEvent left;
	bool dropped = false, another = vrrp_machine_knows_another(&self->candidate.machine, event);
	gsize n;

	n = vrrp_candidate_step(&self->candidate, event, now_us, steps);
	if (another && self->candidate.machine.state == VRRP_STATE_MASTER && (old != VRRP_STATE_MASTER || event->kind == VRRP_EVENT_ADVERT))
		vrrp_election_contest(self, now_us);
	for (gsize i = 0; i < n; i++) {
		do_step(self, &steps[i], now_us);
		dropped |= steps[i].kind == VRRP_STEP_DROP;
	}
	/* The other device may lead from when the addresses are gone; what is left need not keep it waiting. */
	if (dropped)
		vrrp_addresses_drop_routes(self->addresses);
	for (gsize i = 0; i < n; i++)
		if (steps[i].kind == VRRP_STEP_STATE)
			state_changed(self, old, steps[i].reason, now_us);
	if (self->candidate.unsaved)
		vrrp_election_save(self);
	vrrp_election_plan(self, now_us);
	if (vrrp_candidate_left(&self->candidate, now_us, &left))
		step_at(self, &left, now_us);
}

void vrrp_election_step(VrrpElection *self, const VrrpEvent *event)
{
	step_at(self, event, vrrp_now_us());
}

/* ---- When to wake ---- */

#define ON_TIME_US 1000

bool vrrp_election_hears(const VrrpElection *self, gint64 now_us)
{
	return vrrp_sleep_hears(&self->candidate.machine, now_us) && self->dropped_us == 0;
}

void vrrp_election_plan(VrrpElection *self, gint64 now_us)
{
	vrrp_sleep_plan(&self->sleep, &self->candidate.machine, self->dropped_us != 0, self->tick_at_us, now_us);
	for (guint i = 0; i < self->paths->len; i++) {
		VrrpPath *path = self->paths->pdata[i];

		if (path->socket)
			vrrp_socket_quiet(path->socket, self->sleep.quiet);
	}
	vrrp_hot_timer(self->sleep.wake_us, vrrp_election_timer, self);
}

static void drain(VrrpElection *self)
{
	for (guint i = 0; i < self->paths->len; i++) {
		VrrpPath *path = self->paths->pdata[i];

		if (path->socket)
			vrrp_sleep_note(&self->sleep, vrrp_socket_drain(path->socket), vrrp_now_us());
	}
}

/* Housekeeping that is nearly due needs no wake-up of its own: it moves to the nearer of two adverts (tick_cb() for the other half). */
static void tick_along(VrrpElection *self)
{
	bool master = self->candidate.machine.state == VRRP_STATE_MASTER;
	gint64 own_us = self->candidate.machine.interval_cs * G_GINT64_CONSTANT(10000);
	gint64 interval_us = MIN(master ? own_us : self->candidate.machine.master_interval_cs * G_GINT64_CONSTANT(10000), VRRP_TICK_US);

	if (self->tick_at_us - vrrp_now_us() <= interval_us * 6 / 10)
		vrrp_election_tick(self);
}

/* Asked when a Backup would lead, and each time for what came since. */
static bool ran_over(VrrpElection *self)
{
	gint64 now_us = vrrp_now_us(), since_us = vrrp_sleep_lost_since_us(&self->sleep, &self->candidate.machine, now_us);
	bool any = false;

	if (!vrrp_machine_would_lead(&self->candidate.machine, now_us))
		return false;
	for (guint i = 0; i < self->paths->len; i++) {
		VrrpPath *path = self->paths->pdata[i];

		any |= path->socket && vrrp_socket_ran_over(path->socket, since_us);
	}
	return any;
}

void vrrp_election_timer(gpointer user_data)
{
	VrrpElection *self = user_data;
	gint64 due_us = self->candidate.machine.deadline_us;

	self->delay_us = due_us ? MAX(vrrp_now_us() - due_us, 0) : 0;
	/* What has come must be heard before silence is judged, or is broken. A Master on time has just heard all: the wait that ended with its
	 * deadline served every queue that was not empty (hot.c), so it need not ask each one again at each advert. */
	if (self->candidate.machine.state != VRRP_STATE_MASTER || self->delay_us > ON_TIME_US)
		drain(self);
	vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_TIMER, .ran_over = ran_over(self) });
	tick_along(self);
}

/* Whether this device may take over changed? */
void vrrp_election_update_gate(VrrpElection *self, gint64 now_us)
{
	VrrpEvent event;

	if (!self->group || !vrrp_candidate_gate(&self->candidate, now_us, &event))
		return;
	event.ran_over = ran_over(self);
	vrrp_election_step(self, &event);
}

/* ---- Receiving ---- */

/* Counts it, and tells of it when it is time: @who and how it was noticed. */
static void note(VrrpElection *self, const IpAddress *address, const char *who, const char *cause, guint n, const char *what)
{
	gint64 now_us = vrrp_now_us();
	guint64 count;
	bool tell = vrrp_strangers_note(self->strangers, *address, cause, n, now_us, &count);

	g_strlcpy(self->last_stranger.who, who, sizeof self->last_stranger.who);
	self->last_stranger.cause = cause;
	self->last_stranger.count = count;
	self->last_stranger.at_us = now_us;
	if (!tell)
		return;
	g_message("%s %s: %s (%" G_GUINT64_FORMAT ")", who, what, cause, count);
	if (self->listener.stranger)
		self->listener.stranger(who, cause, count, self->user_data);
}

static void note_stranger(VrrpElection *self, const IpAddress *address, const char *cause, bool counts)
{
	char text[IP_TEXT_SIZE];

	note(self, address, ip_text(address, text), cause, 1, counts ? "sends adverts that count, but are not as ours" : "sends adverts that do not count");
}

void vrrp_election_note_clash(VrrpElection *self, const IpAddress *address, const char *who)
{
	note(self, address, who, "address-clash", 1, "is not this pair's");
}

void vrrp_election_note_forged(VrrpElection *self, const IpAddress *own, const char *who, guint n)
{
	self->counters.received += n;
	self->counters.drop[VRRP_DROP_OWN] += n;
	note(self, own, who, vrrp_drop_name(VRRP_DROP_OWN), n, "sends adverts that do not count");
}

static bool same_addresses(const VrrpMember *member, const VrrpAdvert *advert)
{
	if (advert->n_addresses != member->addresses->len)
		return false;
	for (guint i = 0; i < advert->n_addresses; i++) {
		bool found = false;

		for (guint j = 0; j < member->addresses->len && !found; j++)
			found = ip_equal(&advert->addresses[i], &g_array_index(member->addresses, VrrpMemberAddress, j).ip);
		if (!found)
			return false;
	}
	return true;
}

/* What RFC 9568 7.1 lets count and wants to be told. While a change of pair.conf goes from one device to the other they differ by right. */
static void note_oddities(VrrpElection *self, VrrpPath *path, const VrrpAdvert *advert, gint64 now_us)
{
	const VrrpMember *member = vrrp_election_member_of(self, path);
	bool interval = advert->interval_cs != self->candidate.machine.interval_cs, addresses = member && !same_addresses(member, advert);

	self->counters.interval_mismatch += interval;
	self->counters.address_mismatch += addresses;
	if (!interval && !addresses) {
		path->odd_us = 0;
		return;
	}
	if (path->odd_us == 0)
		path->odd_us = now_us;
	if (self->peer.paired && now_us - path->odd_us < ODD_AFTER_US)
		return;
	if (interval)
		note_stranger(self, &advert->source, "interval-mismatch", true);
	if (addresses)
		note_stranger(self, &advert->source, "address-mismatch", true);
}

/* By whichever path an advert came, its sender is one router: with its address on the LAN, which the tie rule compares. */
static IpAddress primary_address(const VrrpElection *self, const VrrpPath *path, IpAddress source)
{
	const VrrpPath *lan = self->paths->pdata[0];

	return path->kind == VRRP_PATH_ELECTOR || lan->n_peers == 0 ? source : lan->peers[0];
}

/* A follower's adverts are a sign of the peer's life, when it is known which are the peer's. Anybody else is judged by the elector's alone. */
static bool is_input(const VrrpElection *self, const VrrpPath *path)
{
	return path->kind != VRRP_PATH_FOLLOWER || (self->peer.paired && path->n_peers > 0);
}

/* Which form the other end uses; also after a restart, because to it our adverts in the other form are broken. */
static void note_checksum(VrrpElection *self, bool pseudo_header, gint64 now_us)
{
	self->counters.pseudo_header += pseudo_header;
	if (self->pseudo_header == pseudo_header)
		return;
	self->pseudo_header = pseudo_header;
	self->form_unsaved = true;
	if (self->form_saved_us == 0 || now_us - self->form_saved_us >= VRRP_FORM_SAVED_US)
		vrrp_election_save(self);
}

void vrrp_election_received(VrrpPath *path, const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data)
{
	VrrpElection *self = user_data;
	VrrpExpect expect = {
		.version = self->candidate.machine.version,
		.vrid = (guint8)self->settings->group_id,
		.interval_cs = self->candidate.machine.interval_cs,
		.own_address = path->own,
		.checksum = (VrrpChecksum)self->settings->checksum,
		.only_peers = path->only_peers,
		.peers = path->peers,
		.n_peers = vrrp_path_believes(path, received_us),
	};
	VrrpEvent event = { .kind = VRRP_EVENT_ADVERT, .received_us = received_us };
	guint8 priority = self->candidate.machine.master_priority;
	IpAddress address = self->candidate.machine.master_address;
	VrrpAdvert advert;
	VrrpDrop drop;

	expect.own_address.family = path->family; /* also while there is none */
	drop = vrrp_packet_parse(packet, length, &expect, &advert);
	self->counters.received++;
	if (drop != VRRP_DROP_NONE) {
		self->counters.drop[drop]++;
		if (drop != VRRP_DROP_VRID) /* another group id on the same LAN is somebody else's good right */
			note_stranger(self, &advert.source, vrrp_drop_name(drop), false);
		return;
	}
	if (!counts) /* queued among the rest before the filter knew the peer: too old to say anything */
		return;
	if (advert.priority != 0 && path->socket) {
		gsize header = path->family == AF_INET ? (packet[0] & 0xfu) * 4u : VRRP_IPV6_HEADER;

		vrrp_socket_usual(path->socket, packet + header, length - header);
	}
	if (!is_input(self, path)) {
		self->counters.followers++;
		return;
	}
	self->counters.counted++;
	self->counters.received_zero += advert.priority == 0;
	if (path->kind == VRRP_PATH_ELECTOR)
		vrrp_link_watch_advert(&self->candidate.watch);
	note_oddities(self, path, &advert, received_us);
	if (path->family == AF_INET)
		note_checksum(self, advert.pseudo_header, received_us);
	vrrp_path_heard(path, &advert.source, received_us);
	vrrp_candidate_hear(&self->candidate, advert.priority, received_us);
	event.undated = path->socket && !vrrp_socket_dates(path->socket);
	event.priority = advert.priority;
	event.interval_cs = advert.interval_cs;
	event.source = primary_address(self, path, advert.source);
	if (!vrrp_sleep_counts(&self->sleep, &self->candidate.machine, advert.priority, received_us)) {
		if (self->candidate.unsaved) /* of how high it was, it may tell all the same */
			vrrp_election_save(self);
		return;
	}
	step_at(self, &event, vrrp_sleep_heard_at(&self->sleep, &self->candidate.machine, received_us, vrrp_now_us()));
	tick_along(self);
	if (self->candidate.machine.master_priority != priority || !ip_equal(&self->candidate.machine.master_address, &address))
		vrrp_election_tell(self);
}

/* ---- Orders ---- */

void vrrp_election_hold(VrrpElection *self, VrrpHold hold, const char *reason, guint lease_ms)
{
	gint64 now_us = vrrp_now_us();

	vrrp_holds_set(&self->candidate.holds, hold, reason, lease_ms ? now_us + (gint64)lease_ms * 1000 : 0, now_us);
	vrrp_election_update_gate(self, now_us);
	vrrp_election_save(self);
	vrrp_election_tell(self);
}

void vrrp_election_lift(VrrpElection *self, VrrpHold hold)
{
	vrrp_holds_lift(&self->candidate.holds, hold);
	vrrp_election_update_gate(self, vrrp_now_us());
	vrrp_election_save(self);
	vrrp_election_tell(self);
}

void vrrp_election_supervise(VrrpElection *self, bool supervised)
{
	bool held = self->candidate.holds.hold[VRRP_HOLD_NO_SUPERVISOR].set;
	gint64 now_us = vrrp_now_us();

	if (!supervised) {
		self->candidate.holds.supervised_until_us = now_us;
		vrrp_election_tick(self); /* which holds, unless we lead */
		return;
	}
	vrrp_holds_supervise(&self->candidate.holds, G_MAXINT64);
	if (!held)
		return;
	vrrp_election_update_gate(self, now_us);
	vrrp_election_save(self);
	vrrp_election_tell(self);
}

void vrrp_election_resign(VrrpElection *self, const char *reason)
{
	if (self->candidate.leaving)
		return;
	g_free(self->leave_reason);
	self->leave_reason = g_strdup(reason); /* it may be long until then */
	vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_RESIGN, .reason = self->leave_reason });
}

bool vrrp_election_take(VrrpElection *self, const char *reason, GError **error)
{
	if (!self->group) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "standalone: this device elects nothing");
		return false;
	}
	if (self->candidate.machine.state == VRRP_STATE_INIT) {
		const char *because = vrrp_election_unusable(self);

		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s: %s cannot be used", because ? because : "init", self->interface->device);
		return false;
	}
	vrrp_candidate_order(&self->candidate, vrrp_now_us());
	vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_TAKE, .reason = reason });
	return true;
}

/* Towards clients the service address speaks from when the applications first serve: before that answers to it are dropped. */
void vrrp_election_prefer(VrrpElection *self)
{
	GArray *between;

	if (!self->group || !self->candidate.served || !vrrp_candidate_leads(&self->candidate) || self->candidate.leaving)
		return;
	between = g_array_new(FALSE, FALSE, sizeof(VrrpBetween));
	for (gsize i = 0; i < self->peer.n_addresses; i++) {
		const IpAddress *peer = &self->peer.addresses[i].address;
		const SettingsInterface *interface = settings_interface(self->settings, self->peer.addresses[i].role);
		const SettingsAddress *own = interface ? settings_own_address(interface, peer->family) : NULL;

		if (own && !ip_is_link_local(peer)) {
			VrrpBetween one = { .own = own->ip, .peer = *peer };

			g_strlcpy(one.role, interface->name, sizeof one.role);
			g_array_append_val(between, one);
		}
	}
	vrrp_addresses_prefer(self->addresses, between);
}

void vrrp_election_set_serving(VrrpElection *self, bool serving)
{
	if (!vrrp_candidate_serve(&self->candidate, serving, vrrp_now_us()))
		return;
	vrrp_election_prefer(self);
	vrrp_election_save(self);
	vrrp_election_tell(self);
}

static bool same_paths(const VrrpPeer *a, const VrrpPeer *b)
{
	if (a->paired != b->paired || a->n_addresses != b->n_addresses)
		return false;
	for (gsize i = 0; i < a->n_addresses; i++)
		if (!ip_equal(&a->addresses[i].address, &b->addresses[i].address) || strcmp(a->addresses[i].role, b->addresses[i].role) != 0)
			return false;
	return true;
}

static bool is_peer(const VrrpPeer *peer, const IpAddress *address)
{
	for (gsize i = 0; i < peer->n_addresses; i++)
		if (ip_equal(&peer->addresses[i].address, address))
			return true;
	return false;
}

static bool is_us(const VrrpElection *self, const VrrpPeer *peer)
{
	for (guint i = 0; self->settings && i < self->settings->interfaces->len; i++) {
		const SettingsInterface *interface = self->settings->interfaces->pdata[i];

		for (gsize k = 0; k < peer->n_addresses; k++)
			if (ip_equal(&peer->addresses[k].address, &interface->address.ip) ||
			    ip_equal(&peer->addresses[k].address, &interface->address6.ip))
				return true;
	}
	return false;
}

bool vrrp_election_set_peer(VrrpElection *self, GVariant *dict, GError **error)
{
	VrrpPeer peer;
	bool same, same_peer;

	if (!vrrp_peer_parse(dict, &peer, error))
		return false;
	if (is_us(self, &peer)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "peer: an address is this device's own");
		return false;
	}
	same = same_paths(&self->peer, &peer);
	same_peer = strcmp(self->peer.id, peer.id) == 0;
	self->peer = peer;
	g_clear_pointer(&self->peer_dict, g_variant_unref);
	self->peer_dict = g_variant_ref(dict);
	vrrp_candidate_pair(&self->candidate, peer.paired, peer.offset, peer.follows, is_peer(&peer, &self->candidate.machine.master_address),
			    vrrp_now_us());
	if (self->group && (!same || !same_peer || self->paths->len == 0)) {
		vrrp_election_open_paths(self, same_peer);
		vrrp_election_prefer(self);
	}
	vrrp_election_save(self);
	vrrp_election_tell(self);
	return true;
}

void vrrp_election_announce(VrrpElection *self)
{
	if (self->group && self->candidate.machine.state == VRRP_STATE_MASTER)
		vrrp_election_announce_from(self, vrrp_now_us());
}

void vrrp_election_add_problem(VrrpElection *self, const char *problem)
{
	g_ptr_array_add(self->lasting_problems, g_strdup(problem));
}
