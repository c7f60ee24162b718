/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election-life.c - beginning, going on after a restart, changing settings, ending; links and housekeeping between. */
#include <string.h>

#include "election-private.h"

#define PROBLEMS_EVERY_US (2 * G_USEC_PER_SEC)

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
	self->ear = vrrp_ear_new(self->link.index, vrrp_netlink_worker(self->netlink), &error);
	if (!self->ear) {
		g_warning("%s: %s", self->interface->device, error->message);
		g_error_free(error);
	}
}

/* @taken: "192.0.2.10/24 was taken from eth0" */
static void note_removed(VrrpElection *self, const char *taken, gint64 now_us)
{
	self->counters.put_back++;
	if (self->removed && now_us - self->removed_us < VRRP_REMOVED_US)
		return;
	self->removed_us = now_us;
	g_free(self->removed);
	self->removed = g_strdup_printf("address-removed: %s by somebody else, and put back", taken);
	g_warning("%s", self->removed);
}

/* The device's own, which unicast needs. */
static void check_own_addresses(VrrpElection *self, const GArray *present)
{
	for (guint i = 0; i < self->paths->len; i++) {
		VrrpPath *path = self->paths->pdata[i];

		path->own_missing = ip_is_set(&path->own);
		for (guint k = 0; k < present->len && path->own_missing; k++)
			path->own_missing = !ip_equal(&g_array_index(present, VrrpPresent, k).ip, &path->own);
	}
}

/* Whatever changed may have cost a held address, or with the last address of an interface all its routes. */
static void repair(VrrpElection *self, gint64 now_us)
{
	g_autoptr(GArray) taken = vrrp_netlink_taken(self->netlink);

	/* (One that has slept listens first: what it misses has expired, and may be another's now.) */
	if (vrrp_election_is_awake_master(self, now_us) && !self->candidate.leaving)
		vrrp_addresses_repair(self->addresses, g_steal_pointer(&taken));
	else
		vrrp_addresses_prepare(self->addresses, false);
}

/* The other election that was asked for, now that nothing of this one is up any more. */
static void begin_next(VrrpElection *self);

/* A Master that was told to give up, and has its addresses down. */
static void go_on_leaving(VrrpElection *self)
{
	VrrpEvent event;

	if (vrrp_candidate_left(&self->candidate, vrrp_now_us(), &event))
		vrrp_election_step(self, &event);
	if (self->next && !self->candidate.leaving)
		begin_next(self);
}

static void refresh_paths(VrrpElection *self)
{
	const VrrpPath *elector = self->paths->pdata[0];

	for (guint i = 0; i < self->paths->len; i++)
		vrrp_path_refresh(self->paths->pdata[i], self->netlink, (guint8)self->settings->group_id, self->settings->multicast,
				  self->members);
	if (ip_is_set(&elector->own))
		self->candidate.machine.address = elector->own;
	vrrp_candidate_hears(&self->candidate, !vrrp_path_is_deaf(elector), vrrp_now_us());
}

/* Groups that were to be joined. */
static void look_who_hears(VrrpElection *self)
{
	bool any = false;

	for (guint i = 0; i < self->paths->len; i++)
		any |= ((const VrrpPath *)self->paths->pdata[i])->joining;
	if (!any)
		return;
	refresh_paths(self);
	self->problems_us = 0;
	vrrp_election_update_gate(self, vrrp_now_us());
}

void vrrp_election_kernel_done(gpointer user_data)
{
	VrrpElection *self = user_data;
	g_autofree char *missing = NULL;
	gint64 now_us = vrrp_now_us();
	VrrpLearned learned;

	if (!self->addresses) {
		if (self->listener.settled)
			self->listener.settled(self->user_data);
		return;
	}
	look_who_hears(self);
	learned = vrrp_addresses_learn(self->addresses);
	missing = learned.missing;
	if (missing)
		note_removed(self, missing, now_us);
	if (!vrrp_addresses_pending(self->addresses)) {
		if (self->holding_anew)
			self->addresses_up_us = now_us;
		self->holding_anew = false;
		if (self->dropping) {
			self->dropping = false;
			self->dropped_us = now_us;
			vrrp_candidate_dropped(&self->candidate);
		}
	}
	if (self->candidate.machine.state == VRRP_STATE_MASTER && !self->candidate.leaving && (learned.up || self->announce_owed))
		vrrp_election_announce_from(self, now_us);
	go_on_leaving(self);
	if (learned.changed)
		vrrp_election_tell(self);
	vrrp_election_tell_transitions(self);
	if (self->listener.settled)
		self->listener.settled(self->user_data);
}

/* By multicast it speaks without having an address of its own; by unicast it does not. */
static bool can_speak(const VrrpElection *self)
{
	bool nobody = true;

	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];

		if (path->socket && path->n_peers > 0 && !path->own_missing)
			return true;
		nobody &= path->n_peers == 0;
	}
	return nobody || self->settings->multicast;
}

const char *vrrp_election_unusable(const VrrpElection *self)
{
	const VrrpPath *elector = self->paths->pdata[0];

	if (!self->candidate.watch.present)
		return "no-interface";
	if (!self->candidate.watch.carrier)
		return "no-carrier";
	/* Only from coming back: one that leads has a carrier. */
	if (self->candidate.machine.state == VRRP_STATE_INIT && vrrp_candidate_distrusts_link(&self->candidate, vrrp_now_us()))
		return "link-flapping";
	if (!ip_is_set(&elector->own))
		return "no-link-local";
	return can_speak(self) ? NULL : "no-address";
}

/* In init the reason is what keeps it there now; no change of state, and so nothing that is signalled as one. */
static void note_unusable(VrrpElection *self, const char *because)
{
	if (self->candidate.machine.state != VRRP_STATE_INIT || !because || strcmp(self->reason, because) == 0)
		return;
	g_free(self->reason);
	self->reason = g_strdup(because);
	vrrp_election_save(self);
	vrrp_election_tell(self);
}

static void check_link(VrrpElection *self, const char *up_reason)
{
	gint64 now_us = vrrp_now_us();
	bool present;
	const char *because;
	VrrpEvent event;

	if (!self->group)
		return;
	present = vrrp_netlink_link(self->netlink, self->interface->device, &self->link);
	refresh_paths(self);
	if (vrrp_link_watch_state(&self->candidate.watch, present, present && self->link.carrier, now_us))
		vrrp_election_tell(self);
	open_ear(self);
	check_own_addresses(self, vrrp_netlink_addresses(self->netlink));
	vrrp_election_open_neighbours(self);
	because = vrrp_election_unusable(self);
	if (vrrp_candidate_link(&self->candidate, because, up_reason, &event))
		vrrp_election_step(self, &event);
	else
		note_unusable(self, because);
	repair(self, now_us);
	vrrp_election_update_gate(self, now_us);
	self->problems_us = 0;
	vrrp_timer_set(self->tick, self->tick_timer_us = now_us);
}

static void links_changed_cb(gpointer user_data)
{
	check_link(user_data, "carrier");
	vrrp_election_check_link_locals(user_data);
}

/* ---- Housekeeping ---- */

/* While adverts go or come faster than this is needed, they bring it along, and its own timer stands behind them, rarely set. */
static void next_tick(VrrpElection *self, gint64 now_us)
{
	const VrrpMachine *machine = &self->candidate.machine;
	bool master = machine->state == VRRP_STATE_MASTER;
	gint64 interval_us = (master ? machine->interval_cs : machine->master_interval_cs) * G_GINT64_CONSTANT(10000);
	bool hearing = vrrp_election_hears(self, now_us);

	self->tick_at_us = now_us + vrrp_sleep_tick_us(hearing, self->candidate.watch.window_us);
	if (self->group && (master || hearing) && interval_us <= VRRP_TICK_US) {
		if (self->tick_timer_us - now_us < VRRP_BEHIND_US / 2)
			self->tick_timer_us = now_us + VRRP_BEHIND_US;
	} else {
		self->tick_timer_us = self->tick_at_us;
	}
	vrrp_timer_set(self->tick, self->tick_timer_us);
	if (self->group)
		vrrp_election_plan(self, now_us);
}

static void keep_house(VrrpElection *self)
{
	gint64 now_us = vrrp_now_us();
	guint8 priority = self->candidate.machine.priority;
	bool alive = vrrp_link_watch_alive(&self->candidate.watch, now_us);
	VrrpTick tick;
	guint heard_step = self->candidate.heard_step;

	tick = vrrp_candidate_tick(&self->candidate, self->ear && vrrp_ear_heard(self->ear), now_us);
	if (self->group) {
		if (tick.probe)
			vrrp_election_probe(self, now_us);
		if (self->candidate.machine.state == VRRP_STATE_MASTER)
			vrrp_election_announce_again(self, now_us);
		else if (self->dropped_us != 0 && !self->dropping && now_us - self->dropped_us >= VRRP_TICK_US / 2) {
			self->dropped_us = 0;
			vrrp_addresses_rest(self->addresses);
		}
		for (guint i = 0; i < self->paths->len; i++)
			vrrp_path_meet(self->paths->pdata[i], self->ether, now_us);
		vrrp_election_mind_contest(self, now_us);
		vrrp_election_ask_witnesses(self, now_us);
		vrrp_election_tell_transitions(self);
	}
	if (self->candidate.unsaved || (self->form_unsaved && now_us - self->form_saved_us >= VRRP_FORM_SAVED_US))
		vrrp_election_save(self);
	vrrp_election_update_gate(self, now_us);
	if (self->group && self->candidate.machine.state == VRRP_STATE_INIT && self->candidate.watch.carrier)
		check_link(self, "carrier");
	if (now_us - self->problems_us >= PROBLEMS_EVERY_US) {
		self->problems_us = now_us;
		vrrp_election_count_forged(self);
		vrrp_election_check_problems(self);
	}
	next_tick(self, now_us);
	if (tick.tell || priority != self->candidate.machine.priority || heard_step != self->candidate.heard_step ||
	    alive != vrrp_link_watch_alive(&self->candidate.watch, now_us))
		vrrp_election_tell(self);
}

void vrrp_election_tick(VrrpElection *self)
{
	/* First: an election that begins learns at once whether its link lives. */
	if (self->group)
		go_on_leaving(self);
	keep_house(self);
}

static void tick_cb(gpointer user_data)
{
	VrrpElection *self = user_data;
	gint64 now_us = vrrp_now_us(), advert_us = self->candidate.machine.deadline_us;
	gint64 interval_us = MIN(self->candidate.machine.interval_cs * G_GINT64_CONSTANT(10000), VRRP_TICK_US);

	if (self->candidate.machine.state == VRRP_STATE_MASTER && advert_us > now_us && advert_us - now_us <= interval_us * 4 / 10) {
		/* With the next advert; and soon if that should not come. */
		self->tick_at_us = advert_us;
		self->tick_timer_us = advert_us + VRRP_TICK_US / 5;
		vrrp_timer_set(self->tick, self->tick_timer_us);
		return;
	}
	vrrp_election_tick(self);
}

/* ---- Life ---- */

VrrpElection *vrrp_election_new(const VrrpElectionListener *listener, gpointer user_data, GError **error)
{
	g_autoptr(VrrpElection) self = g_new0(VrrpElection, 1);

	self->untold = g_queue_new();
	self->listener = *listener;
	self->user_data = user_data;
	self->paths = g_ptr_array_new_with_free_func((GDestroyNotify)vrrp_path_free);
	self->lasting_problems = g_ptr_array_new_with_free_func(g_free);
	self->strangers = vrrp_strangers_new();
	vrrp_election_close_neighbours(self);
	self->reason = g_strdup("starting");
	self->counters.since_us = vrrp_now_us();
	self->store = vrrp_store_new(VRRP_STATE_DIR);
	self->sysctl = vrrp_sysctl_new(VRRP_STATE_DIR "/sysctl");
	self->netlink = vrrp_netlink_new(&(VrrpNetlinkListener){ .changed = links_changed_cb, .done = vrrp_election_kernel_done }, self, error);
	if (!self->netlink)
		return NULL;
	self->ether = vrrp_ether_new(error);
	if (!self->ether)
		return NULL;
	self->tick = vrrp_timer_new(tick_cb, self, error);
	self->reclaim_timer = self->tick ? vrrp_timer_new(vrrp_election_reclaim, self, error) : NULL;
	if (!self->reclaim_timer)
		return NULL;
	return g_steal_pointer(&self);
}

void vrrp_election_free(VrrpElection *self)
{
	if (!self)
		return;
	if (self->watched)
		vrrp_election_close_neighbours(self);
	g_clear_pointer(&self->watched, g_ptr_array_unref);
	vrrp_hot_timer(0, NULL, NULL);
	vrrp_timer_free(self->tick);
	vrrp_timer_free(self->reclaim_timer);
	g_ptr_array_unref(self->paths);
	vrrp_addresses_free(self->addresses);
	vrrp_ear_free(self->ear);
	vrrp_netlink_free(self->netlink); /* whose thread closes what was open */
	vrrp_election_forget_transitions(self);
	g_queue_free(self->untold);
	g_free(self->shown.reason);
	g_free(self->leave_reason);
	vrrp_ether_free(self->ether);
	vrrp_sysctl_free(self->sysctl);
	vrrp_store_free(self->store);
	vrrp_strangers_free(self->strangers);
	g_clear_pointer(&self->peer_dict, g_variant_unref);
	g_clear_pointer(&self->problems, g_variant_unref);
	g_clear_pointer(&self->link_locals, g_variant_unref);
	g_ptr_array_unref(self->lasting_problems);
	g_clear_pointer(&self->members, g_ptr_array_unref);
	settings_unref(self->settings);
	settings_unref(self->next);
	g_free(self->reason);
	g_free(self->removed);
	g_free(self->clash);
	g_free(self);
}

static void add_path(VrrpElection *self, const SettingsInterface *interface, const VrrpMember *member)
{
	VrrpPath *path = vrrp_path_new(interface, member, &self->peer, self->settings->vrrp_version, vrrp_election_received, self);

	if (path)
		g_ptr_array_add(self->paths, path);
}

static bool is_followed(const VrrpElection *self, const char *role)
{
	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];

		if (path->kind == VRRP_PATH_FOLLOWER && path->n_peers > 0 && strcmp(path->role, role) == 0)
			return true;
	}
	return false;
}

/* Paths as settings and peer make them: the elector's own first, then those of the members that advertise, then every interface on which the
 * elector is not and the peer has an address. */
void vrrp_election_open_paths(VrrpElection *self, bool same_peer)
{
	g_autoptr(GPtrArray) former = self->paths;

	self->paths = g_ptr_array_new_with_free_func((GDestroyNotify)vrrp_path_free);
	add_path(self, self->interface, vrrp_members_elector(self->members));
	for (guint i = 0; i < self->members->len; i++) {
		const VrrpMember *member = self->members->pdata[i];
		const SettingsInterface *interface = settings_interface(self->settings, member->role);

		if (member->advertises && !member->elects && interface)
			add_path(self, interface, member);
	}
	for (guint i = 0; i < self->settings->interfaces->len; i++) {
		const SettingsInterface *interface = self->settings->interfaces->pdata[i];

		/* Where a follower is heard already, unicast is the same cable once more. */
		if (interface != self->interface && !is_followed(self, interface->name))
			add_path(self, interface, NULL);
	}
	for (guint i = 0; i < former->len; i++) {
		for (guint k = 0; k < self->paths->len; k++) {
			if (same_peer) /* else where it was is of no meaning */
				vrrp_path_inherit(self->paths->pdata[k], former->pdata[i]);
			vrrp_path_adopt(self->paths->pdata[k], former->pdata[i]);
		}
	}
	g_ptr_array_set_size(former, 0); /* two sockets at once would hear everything twice */
	refresh_paths(self);
	check_own_addresses(self, vrrp_netlink_addresses(self->netlink));
}

static void take_settings(VrrpElection *self, Settings *settings)
{
	Settings *former = self->settings;

	self->settings = settings_ref(settings);
	self->group = settings->has_pair && settings->enabled ? settings_electing_group(settings) : NULL;
	self->interface = self->group ? settings_interface(settings, self->group->interface) : NULL;
	self->virtual_mac[0] = '\0';
	if (self->group && settings->virtual_mac)
		g_snprintf(self->virtual_mac, sizeof self->virtual_mac, "00:00:5e:00:%02x:%02x", settings->family == AF_INET6 ? 2 : 1,
			   settings->group_id);
	g_clear_pointer(&self->members, g_ptr_array_unref);
	self->members = vrrp_members_new(settings);
	settings_unref(former);
}

static void begin(VrrpElection *self, bool clean)
{
	const Settings *settings = self->settings;

	/* Its address is its path's, once that is open. */
	vrrp_candidate_begin(&self->candidate, (guint8)settings->vrrp_version, settings->advert_interval_ms / 10, (IpAddress){ 0 },
			     (guint8)settings->priority);
	self->addresses = vrrp_addresses_new(self->members, vrrp_addresses_lifetime_s(settings->advert_interval_ms),
					     self->netlink, self->sysctl);
	vrrp_addresses_prepare(self->addresses, clean);
	self->holding_anew = self->announce_owed = self->dropping = false;
	self->dropped_us = 0;
	vrrp_election_open_paths(self, true);
	if (self->listener.addresses_replaced)
		self->listener.addresses_replaced(self->user_data);
}

static void end(VrrpElection *self)
{
	g_ptr_array_set_size(self->paths, 0);
	g_clear_pointer(&self->ear, vrrp_ear_free);
	vrrp_election_close_neighbours(self);
	if (!self->addresses)
		return;
	self->dropping = self->holding_anew = self->announce_owed = false;
	vrrp_election_tell_transitions(self);
	vrrp_addresses_remove(self->addresses);
	g_clear_pointer(&self->addresses, vrrp_addresses_free);
	if (self->listener.addresses_replaced)
		self->listener.addresses_replaced(self->user_data);
}

/* False when what is said of the peer makes no sense: then nothing that stands beside it does. */
static bool restore_peer(VrrpElection *self, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) dict = text ? g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error) : NULL;

	if (!text)
		return true;
	if (!dict || !vrrp_peer_parse(dict, &self->peer, &error)) {
		g_warning("run-time state: %s", error->message);
		return false;
	}
	self->peer_dict = g_steal_pointer(&dict);
	self->candidate.paired = self->peer.paired;
	self->candidate.offset = self->peer.offset;
	return true;
}

/* The same election, and still believed. */
static bool may_resume(const VrrpElection *self, const VrrpSaved *saved, gint64 now_us)
{
	return saved->group_id == self->settings->group_id &&
	       saved->version == self->settings->vrrp_version && saved->family == self->settings->family &&
	       g_strcmp0(saved->device, self->interface->device) == 0 &&
	       vrrp_candidate_may_resume(&self->candidate, saved->role, saved->last_advert_us, now_us);
}

void vrrp_election_start(VrrpElection *self, Settings *settings)
{
	g_auto(VrrpSaved) saved = { 0 };
	gint64 now_us = vrrp_now_us();
	bool known = vrrp_store_load(self->store, &saved) && restore_peer(self, saved.peer);

	take_settings(self, settings);
	self->since_us = now_us;
	if (known) {
		self->candidate.holds = saved.holds;
		self->sequence = saved.sequence;
		self->candidate.step = saved.step;
		self->candidate.heard_step = saved.heard_step;
		self->pseudo_header = saved.pseudo_header;
	} else {
		vrrp_holds_set(&self->candidate.holds, VRRP_HOLD_NO_SUPERVISOR, "started anew; no word of the supervisor yet", 0, now_us);
	}
	self->candidate.holds.supervised_until_us = now_us + VRRP_LEASE_US; /* it may not have noticed yet that we were away */
	vrrp_timer_set(self->tick, self->tick_timer_us = now_us);
	if (!self->group) {
		g_free(self->reason);
		self->reason = g_strdup("standalone");
		vrrp_election_save(self);
		return;
	}

	vrrp_candidate_begin(&self->candidate, (guint8)settings->vrrp_version, settings->advert_interval_ms / 10, (IpAddress){ 0 },
			     (guint8)settings->priority);
	if (known && may_resume(self, &saved, now_us)) {
		begin(self, false);
		if (vrrp_netlink_link(self->netlink, self->interface->device, &self->link) && self->link.carrier &&
		    ip_is_set(&self->candidate.machine.address)) {
			g_free(self->reason);
			self->reason = g_strdup(saved.reason);
			self->since_us = saved.since_us;
			self->counters.resumed++;
			open_ear(self);
			vrrp_candidate_resume(&self->candidate, saved.serving, saved.served, saved.steady, now_us);
			vrrp_election_prefer(self);
			vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_RESUME });
			vrrp_election_open_neighbours(self);
			g_message("still master: last advert %" G_GINT64_FORMAT " us ago", now_us - saved.last_advert_us);
			return;
		}
		end(self);
	}
	begin(self, true);
	vrrp_addresses_settle(self->addresses); /* nobody waits for us yet */
	vrrp_candidate_judge(&self->candidate, now_us);
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
	if (self->candidate.machine.state == VRRP_STATE_INIT && vrrp_election_unusable(self)) {
		g_free(self->reason);
		self->reason = g_strdup(vrrp_election_unusable(self));
	}
	self->restoring = false;
	vrrp_election_save(self);
}

void vrrp_election_stop(VrrpElection *self, const char *reason)
{
	if (!self->group)
		return;
	g_clear_pointer(&self->next, settings_unref);
	vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = reason });
	while (self->candidate.leaving)
		g_main_context_iteration(NULL, TRUE);
	end(self);
	vrrp_election_save(self);
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
	       a->family == b->family && strcmp(at_a->device, at_b->device) == 0 &&
	       (a->family == AF_INET6 || ip_equal(&at_a->address.ip, &at_b->address.ip));
}

static bool same_interfaces(const Settings *a, const Settings *b)
{
	if (a->interfaces->len != b->interfaces->len)
		return false;
	for (guint i = 0; i < a->interfaces->len; i++) {
		const SettingsInterface *x = a->interfaces->pdata[i], *y = b->interfaces->pdata[i];

		if (strcmp(x->name, y->name) != 0 || strcmp(x->device, y->device) != 0 ||
		    !ip_equal(&x->address.ip, &y->address.ip) || x->address.prefix != y->address.prefix ||
		    !ip_equal(&x->address6.ip, &y->address6.ip) || x->address6.prefix != y->address6.prefix)
			return false;
	}
	return true;
}

static bool same_texts(const GPtrArray *a, const GPtrArray *b, const char *(*text_of)(gconstpointer))
{
	if (a->len != b->len)
		return false;
	for (guint i = 0; i < a->len; i++)
		if (strcmp(text_of(a->pdata[i]), text_of(b->pdata[i])) != 0)
			return false;
	return true;
}

static const char *route_text(gconstpointer route)
{
	return route;
}

static const char *address_text(gconstpointer address)
{
	return ((const SettingsAddress *)address)->text;
}

static bool same_groups(const Settings *a, const Settings *b)
{
	if (a->groups->len != b->groups->len)
		return false;
	for (guint i = 0; i < a->groups->len; i++) {
		const SettingsGroup *x = a->groups->pdata[i], *y = b->groups->pdata[i];

		if (strcmp(x->name, y->name) != 0 || strcmp(x->interface, y->interface) != 0 || x->elects != y->elects || x->adverts != y->adverts ||
		    !same_texts(x->addresses, y->addresses, address_text) || !same_texts(x->routes, y->routes, route_text))
			return false;
	}
	return true;
}

/* The same election with other addresses, routes, or paths to the peer: what stays is not touched. */
static void reload_within(VrrpElection *self, Settings *settings)
{
	bool same_places = same_interfaces(self->settings, settings), same_addresses = same_places && same_groups(self->settings, settings);
	g_autoptr(GPtrArray) former_members = g_ptr_array_ref(self->members);

	take_settings(self, settings);
	if (!same_addresses) {
		VrrpAddresses *former = self->addresses;

		self->addresses = vrrp_addresses_new(self->members, vrrp_addresses_lifetime_s(settings->advert_interval_ms), self->netlink, self->sysctl);
		vrrp_addresses_prepare(self->addresses, false);
		vrrp_addresses_retire(former, self->addresses);
		vrrp_addresses_free(former);
		if (self->candidate.machine.state == VRRP_STATE_MASTER && !self->candidate.leaving) {
			vrrp_addresses_lead(self->addresses, self->candidate.machine.last_sent_us + vrrp_machine_peer_down_us(&self->candidate.machine));
			vrrp_election_prefer(self);
			vrrp_addresses_hold(self->addresses);
			self->holding_anew = true;
			vrrp_election_announce_from(self, vrrp_now_us());
		}
		if (self->listener.addresses_replaced)
			self->listener.addresses_replaced(self->user_data);
	}
	if (!same_places || !vrrp_members_same_paths(former_members, self->members))
		vrrp_election_open_paths(self, true);
	vrrp_election_close_neighbours(self); /* other addresses, other witnesses */
	vrrp_election_open_neighbours(self);
	self->candidate.configured_priority = (guint8)settings->priority;
	vrrp_candidate_judge(&self->candidate, vrrp_now_us());
	vrrp_election_save(self);
	vrrp_election_tell(self);
}

/* Another version, group or interval: one that leads goes on leading, in the new election, as after a restart of this process. It says no
 * goodbye in the old one: whoever listens there and is told of the change in time waits, and the others take over as from any lost Master. */
static bool reload_as_master(VrrpElection *self, Settings *settings)
{
	VrrpCandidate *candidate = &self->candidate;
	bool serving = candidate->serving, served = candidate->served, steady = candidate->steady;
	gint64 now_us = vrrp_now_us();

	const SettingsInterface *interface = settings_interface(settings, settings_electing_group(settings)->interface);

	/* Nor who is about to give up: that order would be lost. */
	if (candidate->machine.state != VRRP_STATE_MASTER || candidate->machine.listening || candidate->leaving || !self->link.carrier ||
	    strcmp(interface->device, self->interface->device) != 0)
		return false;
	end(self);
	take_settings(self, settings);
	begin(self, true);
	if (!ip_is_set(&candidate->machine.address)) { /* the other family has no address here yet */
		candidate->machine.state = VRRP_STATE_MASTER; /* as everybody has been told */
		vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "settings" });
		check_link(self, "settings");
		vrrp_election_save(self);
		vrrp_election_tell(self);
		return true;
	}
	open_ear(self);
	vrrp_candidate_resume(candidate, serving, served, steady, now_us);
	vrrp_election_prefer(self);
	vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_RESUME });
	vrrp_election_open_neighbours(self);
	vrrp_election_announce_from(self, now_us);
	vrrp_election_save(self);
	vrrp_election_tell(self);
	return true;
}

static void begin_next(VrrpElection *self)
{
	g_autoptr(Settings) settings = g_steal_pointer(&self->next);
	bool was_electing = self->group != NULL;

	if (was_electing) {
		if (self->candidate.machine.state != VRRP_STATE_INIT) /* heard a higher one while it was leaving */
			vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_STOP, .reason = "settings" });
		end(self);
	}
	take_settings(self, settings);
	if (self->group) {
		begin(self, true);
		vrrp_candidate_judge(&self->candidate, vrrp_now_us());
		check_link(self, "settings");
	}
	vrrp_election_save(self);
	vrrp_election_tell(self);
	if (self->listener.settled)
		self->listener.settled(self->user_data);
}

void vrrp_election_reload(VrrpElection *self, Settings *settings)
{
	bool was_electing = self->group != NULL;

	if (self->next) { /* still leaving for one */
		settings_unref(self->next);
		self->next = settings_ref(settings);
		return;
	}
	if (was_electing && same_election(self->settings, settings)) {
		reload_within(self, settings);
		return;
	}
	if (was_electing && settings->has_pair && settings->enabled && reload_as_master(self, settings))
		return;
	self->next = settings_ref(settings);
	if (was_electing)
		vrrp_election_step(self, &(VrrpEvent){ .kind = VRRP_EVENT_STOP,
						       .reason = settings->has_pair && settings->enabled ? "settings" : "standalone" });
	if (!self->candidate.leaving)
		begin_next(self);
}
