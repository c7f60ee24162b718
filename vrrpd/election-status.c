/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election-status.c - an election as seen from outside: problems, status, counters. */
#include <sched.h>
#include <string.h>

#include "election-private.h"

static void add_no_own_address(const VrrpPath *path, GPtrArray *list)
{
	char text[IP_TEXT_SIZE];

	g_ptr_array_add(list, g_strdup_printf("no-own-address: %s does not have %s, as device.conf says; by unicast it hears and says nothing",
					      path->device, ip_text(&path->own, text)));
}

/* When the two share a wire, one cut takes both ways at once, and each believes that the other is dead. */
static void add_no_peer_path(const VrrpElection *self, GPtrArray *list)
{
	const char *shared = NULL;

	if (!self->peer.paired)
		return;
	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];

		if (path->n_peers == 0 || strcmp(path->device, self->interface->device) == 0)
			continue;
		if (path->link.index == 0) /* told by the path itself */
			return;
		if (path->link.lower == 0 || (path->link.lower != self->link.index && path->link.lower != self->link.lower))
			return;
		shared = path->device;
	}
	if (shared)
		g_ptr_array_add(list, g_strdup_printf("no-peer-path: %s and %s are one wire, and a cut takes both: join the two devices by a cable of its own",
						      shared, self->interface->device));
	else
		g_ptr_array_add(list, g_strdup("no-peer-path: the two devices hear each other by the service LAN alone: join them by a cable of its own, "
					       "and name it in both device.conf as an [interface]"));
}

static void add_witness_lost(const VrrpElection *self, GPtrArray *list)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char ip[IP_TEXT_SIZE];

	if (vrrp_election_witness(self) != VRRP_WITNESS_LOST)
		return;
	for (guint i = 0; i < self->settings->witnesses->len; i++)
		g_string_append_printf(text, "%s%s", i ? ", " : "", ip_text(&g_array_index(self->settings->witnesses, IpAddress, i), ip));
	g_ptr_array_add(list, g_strdup_printf("witness-lost: no answer on %s from %s", self->interface->device, text->str));
}

static GVariant *problems_now(VrrpElection *self)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
	GVariantBuilder builder;

	for (guint i = 0; i < self->lasting_problems->len; i++)
		g_ptr_array_add(list, g_strdup(self->lasting_problems->pdata[i]));
	if (vrrp_store_problem(self->store))
		g_ptr_array_add(list, g_strdup(vrrp_store_problem(self->store)));
	if (self->group) {
		if (self->candidate.watch.present && !self->candidate.watch.carrier)
			g_ptr_array_add(list, g_strdup_printf("no-carrier: %s has no link", self->interface->device));
		if (self->candidate.machine.state == VRRP_STATE_INIT && self->candidate.watch.carrier &&
		    vrrp_candidate_distrusts_link(&self->candidate, vrrp_now_us()))
			g_ptr_array_add(list, g_strdup_printf("link-flapping: %s has lost its carrier %u times; waiting until it stays",
							      self->interface->device, self->candidate.watch.losses));
		for (guint i = 0; i < self->paths->len; i++) {
			const VrrpPath *path = self->paths->pdata[i];

			if (path->problem)
				g_ptr_array_add(list, g_strdup(path->problem));
			else if (path->own_missing)
				add_no_own_address(path, list);
			else if (path->kind != VRRP_PATH_ELECTOR && !path->link.carrier)
				g_ptr_array_add(list, g_strdup_printf("%s: %s has no link",
								      path->kind == VRRP_PATH_UNICAST ? "no-peer-path" : "no-carrier", path->device));
			if (path->kind == VRRP_PATH_ELECTOR && self->peer.paired && !path->only_peers)
				g_ptr_array_add(list, g_strdup_printf("no-peer-link-local: the peer's link-local address on %s is not known yet; anybody's adverts count",
								      path->device));
		}
		if (self->addresses) /* not while it ends */
			vrrp_addresses_problems(self->addresses, list);
		add_no_peer_path(self, list);
		add_witness_lost(self, list);
		if (self->clash && vrrp_now_us() - self->clash_us < VRRP_REMOVED_US)
			g_ptr_array_add(list, g_strdup(self->clash));
		if (self->removed && vrrp_now_us() - self->removed_us < VRRP_REMOVED_US)
			g_ptr_array_add(list, g_strdup(self->removed));
		if (sched_getscheduler(0) == SCHED_OTHER)
			g_ptr_array_add(list, g_strdup("no-realtime: not scheduled in real time; under load adverts may be late"));
	}
	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	for (guint i = 0; i < list->len; i++)
		g_variant_builder_add(&builder, "s", list->pdata[i]);
	return g_variant_ref_sink(g_variant_builder_end(&builder));
}

void vrrp_election_check_problems(VrrpElection *self)
{
	g_autoptr(GVariant) now = problems_now(self);

	if (self->problems && g_variant_equal(now, self->problems))
		return;
	g_clear_pointer(&self->problems, g_variant_unref);
	self->problems = g_steal_pointer(&now);
	vrrp_election_tell(self);
}

VrrpElectionStatus vrrp_election_status(VrrpElection *self)
{
	gint64 now_us = vrrp_now_us();
	bool told = g_queue_is_empty(self->untold);

	return (VrrpElectionStatus){
		.state = told ? self->candidate.machine.state : self->shown.state,
		.reason = told ? self->reason : self->shown.reason,
		.sequence = told ? self->sequence : self->shown.sequence,
		.since_us = told ? self->since_us : self->shown.since_us,
		.holds = &self->candidate.holds,
		.standing = self->candidate.standing,
		.carrier = self->candidate.watch.carrier,
		.link_alive = vrrp_link_watch_alive(&self->candidate.watch, now_us),
		.machine = &self->candidate.machine,
		.step = self->candidate.step,
		.settings = self->settings,
		.interface = self->interface ? self->interface->device : "",
		.virtual_mac = self->virtual_mac,
	};
}

const VrrpAddresses *vrrp_election_addresses(VrrpElection *self)
{
	return self->addresses;
}

bool vrrp_election_is_settled(const VrrpElection *self)
{
	return !self->candidate.leaving && !self->next && g_queue_is_empty(self->untold) &&
	       !(self->addresses && vrrp_addresses_pending(self->addresses));
}

GVariant *vrrp_election_last_heard(VrrpElection *self)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sx}"));
	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];

		if (path->name) {
			if (vrrp_path_last_heard(path))
				g_variant_builder_add(&builder, "{sx}", path->name, vrrp_path_last_heard(path));
			continue;
		}
		for (gsize j = 0; j < path->n_peers; j++) {
			char text[IP_TEXT_SIZE];

			if (path->heard_us[j])
				g_variant_builder_add(&builder, "{sx}", ip_text(&path->peers[j], text), path->heard_us[j]);
		}
	}
	return g_variant_builder_end(&builder);
}

static guint64 unread_now(const VrrpElection *self)
{
	guint64 unread = 0;

	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];

		unread += path->socket ? vrrp_socket_unread(path->socket) : 0;
	}
	return unread;
}

/* Where adverts come from. */
static const IpAddress *link_local_at(const VrrpElection *self, const SettingsInterface *interface)
{
	static const IpAddress none;

	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];

		if (path->link_local && strcmp(path->device, interface->device) == 0)
			return &path->own;
	}
	return &none;
}

GVariant *vrrp_election_link_locals(VrrpElection *self)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
	for (guint i = 0; i < self->settings->interfaces->len; i++) {
		const SettingsInterface *interface = self->settings->interfaces->pdata[i];
		char text[IP_TEXT_SIZE];
		VrrpLink link;
		IpAddress ip = { 0 };

		if (vrrp_netlink_link(self->netlink, interface->device, &link))
			ip = vrrp_path_find_link_local(self->netlink, link.index, self->members, link_local_at(self, interface));
		if (ip_is_set(&ip))
			g_variant_builder_add(&builder, "{ss}", interface->name, ip_text(&ip, text));
	}
	return g_variant_builder_end(&builder);
}

void vrrp_election_check_link_locals(VrrpElection *self)
{
	g_autoptr(GVariant) now = g_variant_ref_sink(vrrp_election_link_locals(self));

	if (self->link_locals && g_variant_equal(now, self->link_locals))
		return;
	g_clear_pointer(&self->link_locals, g_variant_unref);
	self->link_locals = g_steal_pointer(&now);
	vrrp_election_tell(self);
}

static void add_path(GVariantBuilder *builder, const VrrpPath *path, const IpAddress *peer, gint64 heard_us)
{
	char own[IP_TEXT_SIZE], text[IP_TEXT_SIZE];

	g_variant_builder_open(builder, G_VARIANT_TYPE_VARDICT);
	g_variant_builder_add(builder, "{sv}", "name", g_variant_new_string(path->name ? path->name : ""));
	g_variant_builder_add(builder, "{sv}", "interface", g_variant_new_string(path->role));
	g_variant_builder_add(builder, "{sv}", "device", g_variant_new_string(path->device));
	g_variant_builder_add(builder, "{sv}", "address", g_variant_new_string(ip_text(&path->own, own)));
	g_variant_builder_add(builder, "{sv}", "peer", g_variant_new_string(ip_text(peer, text)));
	g_variant_builder_add(builder, "{sv}", "electing", g_variant_new_boolean(path->kind == VRRP_PATH_ELECTOR));
	g_variant_builder_add(builder, "{sv}", "open", g_variant_new_boolean(path->socket != NULL));
	g_variant_builder_add(builder, "{sv}", "heard_us", g_variant_new_int64(heard_us));
	g_variant_builder_close(builder);
}

GVariant *vrrp_election_paths(VrrpElection *self)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("aa{sv}"));
	for (guint i = 0; i < self->paths->len; i++) {
		const VrrpPath *path = self->paths->pdata[i];

		for (gsize j = 0; j < path->n_peers; j++)
			add_path(&builder, path, &path->peers[j], path->heard_us[j]);
		if (path->n_peers == 0)
			add_path(&builder, path, &(IpAddress){ 0 }, path->heard_us[0]);
	}
	return g_variant_builder_end(&builder);
}

GVariant *vrrp_election_last_stranger(VrrpElection *self)
{
	return g_variant_new("(sstx)", self->last_stranger.who, self->last_stranger.cause ? self->last_stranger.cause : "",
			     self->last_stranger.count, self->last_stranger.at_us);
}

char *vrrp_election_priority_reason(VrrpElection *self)
{
	const char *words = vrrp_standing_name(self->candidate.ordered ? VRRP_STANDING_SERVING : self->candidate.standing);

	if (!self->group)
		return g_strdup("standalone");
	if (!self->peer.paired)
		return g_strdup(self->candidate.ordered ? "ordered to lead" : "configured, there is no peer");
	return g_strdup_printf("%s%s, step %u, offset %u", words, self->candidate.ordered ? " (ordered to lead)" : "",
			       vrrp_judge_step_of(self->candidate.machine.priority), self->peer.offset);
}

GVariant *vrrp_election_counters(VrrpElection *self)
{
	const VrrpCounters *counters = &self->counters;
	const struct {
		const char *name;
		guint64 value;
	} rows[] = {
		{ "sent", counters->sent },
		{ "sent-unicast", counters->sent_unicast },
		{ "sent-followers", counters->sent_followers },
		{ "sent-priority-zero", counters->sent_zero },
		{ "send-failed", counters->send_failed },
		{ "received", counters->received },
		{ "counted", counters->counted },
		{ "received-priority-zero", counters->received_zero },
		{ "followers", counters->followers },
		{ "transitions", counters->transitions },
		{ "became-master", counters->became_master },
		{ "announcements", counters->announcements },
		{ "probes", counters->probes },
		{ "reclaimed", counters->reclaimed },
		{ "address-mismatch", counters->address_mismatch },
		{ "interval-mismatch", counters->interval_mismatch },
		{ "pseudo-header", counters->pseudo_header },
		{ "late-wake-ups", self->candidate.machine.late_wake_ups },
		{ "ran-over", self->candidate.machine.ran_over },
		{ "resumed", counters->resumed },
		{ "put-back", counters->put_back },
		{ "address-clash", counters->address_clash },
		{ "unread", unread_now(self) },
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

gint64 vrrp_election_counted_since_us(const VrrpElection *self)
{
	return self->counters.since_us;
}

GVariant *vrrp_election_problems(VrrpElection *self)
{
	return problems_now(self);
}
