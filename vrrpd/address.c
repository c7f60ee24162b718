/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/address.c - service addresses, their virtual interfaces and routes. */
#include "address.h"

#include <string.h>

#include "nd.h"

/* One member of the set, on its interface. */
typedef struct {
	const VrrpMember *member;
	int parent;         /* index of its device; 0: not there */
	int index;          /* of the virtual interface, or the device itself without virtual MAC; 0: not there */
	guint8 mac[6];      /* what hosts find the addresses at */
	bool connected;     /* nobody else brings the route to the subnet */
	bool up;
	char *problem;      /* with the interface itself */
	char *refused;      /* a kernel setting */
	char **no_route;    /* what is wrong with each of the member's routes; NULL: nothing */
} Place;

struct VrrpAddresses {
	GPtrArray *members; /* of VrrpMember* */
	VrrpNetlink *netlink;
	VrrpSysctl *sysctl;
	Place *places;      /* as many as members */
	guint n_places;
	GPtrArray *list;    /* of VrrpServiceAddress* */
	guint lifetime_s;
	bool changed;       /* which are held */
	GArray *between;    /* of VrrpBetween; NULL: no preference for the service address as source */
};

static void service_address_free(gpointer data)
{
	VrrpServiceAddress *address = data;

	g_free(address->text);
	g_free(address->group);
	g_free(address->interface);
	g_free(address->problem);
	g_free(address);
}

guint vrrp_addresses_lifetime_s(guint advert_interval_ms)
{
	return MAX(3, (2 * advert_interval_ms + 999) / 1000 + 1);
}

VrrpAddresses *vrrp_addresses_new(GPtrArray *members, guint lifetime_s, VrrpNetlink *netlink, VrrpSysctl *sysctl)
{
	VrrpAddresses *self = g_new0(VrrpAddresses, 1);

	self->members = g_ptr_array_ref(members);
	self->netlink = netlink;
	self->sysctl = sysctl;
	self->lifetime_s = lifetime_s;
	self->list = g_ptr_array_new_with_free_func(service_address_free);
	self->n_places = members->len;
	self->places = g_new0(Place, self->n_places);
	for (guint i = 0; i < self->n_places; i++) {
		const VrrpMember *member = members->pdata[i];

		self->places[i].member = member;
		self->places[i].no_route = g_new0(char *, member->routes->len);
		for (guint j = 0; j < member->addresses->len; j++) {
			const VrrpMemberAddress *from = &g_array_index(member->addresses, VrrpMemberAddress, j);
			VrrpServiceAddress *address = g_new0(VrrpServiceAddress, 1);

			address->text = g_strdup(from->text);
			address->group = g_strdup(member->group);
			address->interface = g_strdup(member->virtual_device);
			address->address = from->ip;
			address->prefix = from->prefix;
			address->place = i;
			g_ptr_array_add(self->list, address);
		}
	}
	return self;
}

/* Of what is held: a Backup holds nothing, and nothing that it holds can fail. */
static void forget_problems(VrrpAddresses *self)
{
	for (guint i = 0; i < self->list->len; i++)
		g_clear_pointer(&((VrrpServiceAddress *)self->list->pdata[i])->problem, g_free);
	for (guint i = 0; i < self->n_places; i++)
		for (guint k = 0; k < self->places[i].member->routes->len; k++)
			g_clear_pointer(&self->places[i].no_route[k], g_free);
}

void vrrp_addresses_free(VrrpAddresses *self)
{
	if (!self)
		return;
	forget_problems(self);
	for (guint i = 0; i < self->n_places; i++) {
		g_free(self->places[i].problem);
		g_free(self->places[i].refused);
		g_free(self->places[i].no_route);
	}
	g_clear_pointer(&self->between, g_array_unref);
	g_free(self->places);
	g_ptr_array_unref(self->list);
	g_ptr_array_unref(self->members);
	g_free(self);
}

/* Takes @error over. */
static void complain(char **problem, const char *code, const char *what, GError *error)
{
	g_free(*problem);
	*problem = g_strdup_printf("%s: %s: %s", code, what, error->message);
	g_error_free(error);
}

static void set_sysctl(VrrpAddresses *self, Place *place, const char *family, const char *device, const char *name, const char *value,
		       bool lasting)
{
	g_autofree char *key = g_strdup_printf("%s/conf/%s/%s", family, device, name);
	GError *error = NULL;

	if (!vrrp_sysctl_set(self->sysctl, key, value, lasting, &error))
		complain(&place->refused, "sysctl-refused", place->member->virtual_device, error);
}

/* Either of arp_ignore and arp_announce alone lets hosts learn the physical MAC for a service address. */
static void tune_parent(VrrpAddresses *self, Place *place)
{
	if (place->member->family == AF_INET6) /* the kernel answers a solicitation only where the address is */
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "promote_secondaries", "1", true);
	if (!place->member->is_virtual)
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "arp_ignore", "1", true);
	set_sysctl(self, place, "ipv4", place->member->device, "arp_announce", "2", true);
}

static void tune_virtual(VrrpAddresses *self, Place *place)
{
	if (place->member->family == AF_INET6)
		set_sysctl(self, place, "ipv6", place->member->virtual_device, "disable_ipv6", "0", false); /* whatever the default says */
	/* No link-local address of its own: the Backup's interface has the same MAC, and they would collide. */
	set_sysctl(self, place, "ipv6", place->member->virtual_device, "addr_gen_mode", "1", false);
	set_sysctl(self, place, "ipv6", place->member->virtual_device, "accept_dad", "0", false);
	/* MLD version 2 says that it leaves a group some time after an address is gone, from the virtual MAC, when the other may have it already:
	 * switches would learn the wrong port. Version 1 says so at once, while we are still Master. */
	set_sysctl(self, place, "ipv6", place->member->virtual_device, "force_mld_version", "1", false);
	/* What a router tells is for the device, not for an interface whose MAC moves. */
	set_sysctl(self, place, "ipv6", place->member->virtual_device, "accept_ra", "0", false);
	set_sysctl(self, place, "ipv4", place->member->virtual_device, "arp_ignore", "1", false);
	set_sysctl(self, place, "ipv4", place->member->virtual_device, "arp_announce", "2", false);
	/* What comes in here is answered by way of the parent: loose. (2 also overrides a strict "all".) */
	set_sysctl(self, place, "ipv4", place->member->virtual_device, "rp_filter", "2", false);
	set_sysctl(self, place, "ipv4", place->member->virtual_device, "promote_secondaries", "1", false);
}

static void prepare_virtual(VrrpAddresses *self, Place *place, bool clean)
{
	GError *error = NULL;
	VrrpLink link;

	memcpy(place->mac, place->member->virtual_mac, 6);
	if (vrrp_netlink_link(self->netlink, place->member->virtual_device, &link)) {
		bool ours = link.macvlan && link.parent == place->parent && memcmp(link.mac, place->mac, 6) == 0;

		if (ours) {
			if (clean && link.up && !vrrp_netlink_link_up(self->netlink, link.index, false, &error))
				g_clear_error(&error);
			place->up = link.up && !clean;
			place->index = link.index;
			tune_virtual(self, place);
			return;
		}
		if (!vrrp_netlink_link_delete(self->netlink, link.index, &error)) {
			complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
			return;
		}
	}
	if (!vrrp_netlink_macvlan_add(self->netlink, place->member->virtual_device, place->parent, place->mac, &error)) {
		complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		return;
	}
	place->up = false;
	if (vrrp_netlink_link(self->netlink, place->member->virtual_device, &link))
		place->index = link.index;
	tune_virtual(self, place);
}

static void delete_addresses(VrrpAddresses *self, guint n)
{
	Place *place = &self->places[n];

	for (guint i = 0; i < self->list->len; i++) {
		VrrpServiceAddress *address = self->list->pdata[i];
		g_autoptr(GError) error = NULL;

		if (address->place != n)
			continue;
		if (place->index && !vrrp_netlink_address_delete(self->netlink, place->index, &address->address, address->prefix, &error))
			g_debug("%s: %s", address->text, error->message);
		address->held = false;
	}
}

/* Whether the interface that was prepared is still the one that is there. */
static bool is_as_prepared(VrrpAddresses *self, Place *place, const VrrpLink *parent, bool *lost)
{
	VrrpLink link;

	if (place->parent != parent->index || place->index == 0)
		return false;
	if (!place->member->is_virtual)
		return true;
	if (!vrrp_netlink_link(self->netlink, place->member->virtual_device, &link) || link.index != place->index ||
	    link.parent != place->parent)
		return false;
	if (place->up && !link.up) { /* somebody took it down, and with it its routes */
		place->up = false;
		*lost = true;
	}
	return true;
}

bool vrrp_addresses_prepare(VrrpAddresses *self, bool clean)
{
	bool lost = false;

	for (guint i = 0; i < self->n_places; i++) {
		Place *place = &self->places[i];
		VrrpLink parent;

		if (!vrrp_netlink_link(self->netlink, place->member->device, &parent)) {
			place->parent = place->index = 0;
			place->up = false;
			g_free(place->problem);
			place->problem = g_strdup_printf("no-interface: %s: there is no interface %s", place->member->group, place->member->device);
			continue;
		}
		if (!clean && is_as_prepared(self, place, &parent, &lost))
			continue;
		g_clear_pointer(&place->problem, g_free);
		g_clear_pointer(&place->refused, g_free);
		place->parent = parent.index;
		tune_parent(self, place);
		if (place->member->is_virtual) {
			prepare_virtual(self, place, clean);
		} else {
			memcpy(place->mac, parent.mac, 6);
			place->index = parent.index;
			place->up = true;
		}
		lost = true;
		if (clean) {
			delete_addresses(self, i);
			vrrp_netlink_routes_clear(self->netlink, place->parent);
			vrrp_netlink_routes_clear(self->netlink, place->index);
		}
	}
	return lost;
}

/* With the preferred source that replies need; over IPv4 the route ends with it. */
static VrrpRoute route_of(const Place *place, guint n, guint lifetime_s)
{
	const VrrpMemberRoute *from = &g_array_index(place->member->routes, VrrpMemberRoute, n);

	return (VrrpRoute){ .destination = from->destination, .prefix = from->prefix, .gateway = from->gateway, .source = place->member->source,
			    .index = place->index, .lifetime_s = lifetime_s };
}

/* ---- Preferred source towards clients ---- */

static void add_route(GArray *routes, const Place *place, const IpAddress *destination, guint prefix, const IpAddress *source)
{
	VrrpRoute route = { .destination = ip_network(destination, prefix), .prefix = prefix, .source = *source, .index = place->parent,
			    .metric = destination->family == AF_INET6 ? VRRP_METRIC_BEFORE_KERNEL : 0 };

	g_array_append_val(routes, route);
}

static bool is_first_in_its_network(const VrrpAddresses *self, const VrrpServiceAddress *address)
{
	for (guint i = 0; i < self->list->len && self->list->pdata[i] != address; i++) {
		const VrrpServiceAddress *before = self->list->pdata[i];

		if (before->place == address->place && ip_same_network(&before->address, &address->address, address->prefix))
			return false;
	}
	return true;
}

/* A second route to the network of @address beside that of the device's own address, in front of it and with the service address as source. It needs
 * nobody to take it away: when the address goes, by whatever hand or because its life has ended, the kernel drops the routes that bear it as source
 * (of IPv6 the preference alone, which leaves a route like the other). The two devices speak to each other as themselves, or their link would
 * break with every change of role. */
static GArray *preference_of(const VrrpAddresses *self, const VrrpServiceAddress *address)
{
	const Place *place = &self->places[address->place];
	GArray *routes = g_array_new(FALSE, FALSE, sizeof(VrrpRoute));

	/* Alone in its network it brings the route itself, and is its source. (On the interface itself it is the second of two.) */
	if (ip_is_ipv6_link_local(&address->address) || (place->connected && place->member->is_virtual) ||
	    address->prefix + 1 >= 8 * ip_length(&address->address) || !is_first_in_its_network(self, address))
		return routes;
	for (guint i = 0; i < self->between->len; i++) {
		const VrrpBetween *between = &g_array_index(self->between, VrrpBetween, i);

		/* First: not one packet to the peer leaves with the other source. */
		if (strcmp(between->role, place->member->role) == 0 && ip_same_network(&between->peer, &address->address, address->prefix))
			add_route(routes, place, &between->peer, 8 * ip_length(&between->peer), &between->own);
	}
	add_route(routes, place, &address->address, address->prefix, &address->address);
	return routes;
}

static void set_preference(VrrpAddresses *self, guint n)
{
	for (guint i = 0; i < self->list->len; i++) {
		const VrrpServiceAddress *address = self->list->pdata[i];
		g_autoptr(GArray) routes = NULL;

		if (address->place != n || !address->held)
			continue;
		routes = preference_of(self, address);
		for (guint k = 0; k < routes->len; k++) {
			g_autoptr(GError) error = NULL;

			if (!vrrp_netlink_route_add(self->netlink, &g_array_index(routes, VrrpRoute, k), &error))
				g_debug("source towards clients of %s: %s", address->text, error->message);
		}
	}
}

/* IPv6 takes no gateway on an interface other than the one its network is on, which may be the device itself. */
static bool to_gateway(const VrrpRoute *route, VrrpRoute *ret_gateway)
{
	if (route->gateway.family != AF_INET6 || ip_is_link_local(&route->gateway))
		return false;
	*ret_gateway = (VrrpRoute){ .destination = route->gateway, .prefix = 128, .source = route->source, .index = route->index,
				    .lifetime_s = route->lifetime_s };
	return true;
}

/* ---- Taking routes away ---- */

/* All that may be there because of us, of VrrpRoute: the routes of the settings, and those of the preference. */
static GArray *all_routes(const VrrpAddresses *self)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(VrrpRoute));

	for (guint i = 0; i < self->n_places; i++) {
		const Place *place = &self->places[i];

		for (guint k = 0; place->index && k < place->member->routes->len; k++) {
			VrrpRoute route = route_of(place, k, 0), gateway;

			g_array_append_val(all, route);
			if (to_gateway(&route, &gateway))
				g_array_append_val(all, gateway);
		}
	}
	for (guint i = 0; self->between && i < self->list->len; i++) {
		const VrrpServiceAddress *address = self->list->pdata[i];
		g_autoptr(GArray) preference = self->places[address->place].parent ? preference_of(self, address) : NULL;

		if (preference)
			g_array_append_vals(all, preference->data, preference->len);
	}
	return all;
}

static bool is_among(const GArray *routes, const VrrpRoute *route)
{
	for (guint i = 0; routes && i < routes->len; i++) {
		const VrrpRoute *other = &g_array_index(routes, VrrpRoute, i);

		if (other->prefix == route->prefix && other->index == route->index && other->metric == route->metric &&
		    ip_equal(&other->destination, &route->destination) && ip_equal(&other->gateway, &route->gateway) &&
		    ip_equal(&other->source, &route->source))
			return true;
	}
	return false;
}

/* @keep: NULL for none. */
static void delete_routes(VrrpAddresses *self, const GArray *routes, const GArray *keep)
{
	for (guint i = 0; i < routes->len; i++) {
		const VrrpRoute *route = &g_array_index(routes, VrrpRoute, i);
		g_autoptr(GError) error = NULL;

		if (!is_among(keep, route) && !vrrp_netlink_route_delete(self->netlink, route, &error))
			g_debug("%s", error->message);
	}
}

void vrrp_addresses_prefer(VrrpAddresses *self, GArray *between)
{
	g_autoptr(GArray) before = all_routes(self), after = NULL;

	g_clear_pointer(&self->between, g_array_unref);
	self->between = between;
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			set_preference(self, i);
	after = all_routes(self);
	delete_routes(self, before, after); /* to where the peer was */
}

/* ---- Holding ---- */

static void hold_address(VrrpAddresses *self, Place *place, VrrpServiceAddress *address)
{
	GError *error = NULL;
	bool before = address->held;

	address->held = vrrp_netlink_address_set(self->netlink, place->index, &address->address, address->prefix, self->lifetime_s,
						 place->connected || ip_is_ipv6_link_local(&address->address), &error);
	self->changed |= address->held != before;
	g_clear_pointer(&address->problem, g_free);
	if (!address->held)
		complain(&address->problem, "no-address", address->text, error);
}

static void hold_route(VrrpAddresses *self, Place *place, guint n)
{
	VrrpRoute route = route_of(place, n, self->lifetime_s), gateway;
	GError *error = NULL;
	bool added = (!to_gateway(&route, &gateway) || vrrp_netlink_route_add(self->netlink, &gateway, &error)) &&
		     vrrp_netlink_route_add(self->netlink, &route, &error);

	g_clear_pointer(&place->no_route[n], g_free);
	if (!added) {
		char to[IP_TEXT_SIZE], via[IP_TEXT_SIZE];
		g_autofree char *text = route.prefix ? g_strdup_printf("%s/%u via %s", ip_text(&route.destination, to), route.prefix,
								       ip_text(&route.gateway, via)) :
						       g_strdup_printf("default via %s", ip_text(&route.gateway, via));

		complain(&place->no_route[n], "no-route", text, error);
	}
}

/* What fails is named, and the rest of the group goes on. */
static void hold_place(VrrpAddresses *self, guint n)
{
	Place *place = &self->places[n];
	bool first = true, fresh = false, decided = false;

	if (!place->up) {
		GError *error = NULL;

		if (!vrrp_netlink_link_up(self->netlink, place->index, true, &error)) {
			complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
			return;
		}
		place->up = true;
		g_clear_pointer(&place->problem, g_free);
	}
	for (guint i = 0; i < self->list->len; i++) {
		VrrpServiceAddress *address = self->list->pdata[i];

		if (address->place != n)
			continue;
		if (first && !address->held)
			fresh = true;
		/* The first decides for all; but each interface has its own route to its link-local network. */
		if (fresh && !decided && !ip_is_ipv6_link_local(&address->address)) {
			place->connected = !vrrp_netlink_subnet_present(self->netlink, place->index, &address->address, address->prefix);
			decided = true;
		}
		first = false;
		hold_address(self, place, address);
	}
}

static void hold_routes(VrrpAddresses *self, guint n)
{
	Place *place = &self->places[n];

	for (guint i = 0; place->up && i < place->member->routes->len; i++)
		hold_route(self, place, i);
	if (self->between)
		set_preference(self, n);
}

/* Addresses first: the source of a route may be another group's. */
void vrrp_addresses_hold(VrrpAddresses *self)
{
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			hold_place(self, i);
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			hold_routes(self, i);
}

bool vrrp_addresses_changed(VrrpAddresses *self)
{
	bool changed = self->changed;

	self->changed = false;
	return changed;
}

static VrrpRenewalExpect expect(bool works)
{
	return works ? VRRP_RENEWAL_WORKS : VRRP_RENEWAL_REFUSED;
}

static void renew_place(VrrpAddresses *self, guint n)
{
	const Place *place = &self->places[n];

	for (guint i = 0; i < self->list->len; i++) {
		const VrrpServiceAddress *address = self->list->pdata[i];
		g_autoptr(GArray) preference = NULL;

		if (address->place != n)
			continue;
		vrrp_netlink_renew_address(self->netlink, place->index, &address->address, address->prefix, self->lifetime_s,
					   place->connected || ip_is_ipv6_link_local(&address->address), expect(address->held));
		if (!self->between || !address->held)
			continue;
		preference = preference_of(self, address);
		for (guint k = 0; k < preference->len; k++)
			vrrp_netlink_renew_route(self->netlink, &g_array_index(preference, VrrpRoute, k), VRRP_RENEWAL_EITHER);
	}
	for (guint i = 0; i < place->member->routes->len; i++) {
		VrrpRoute route = route_of(place, i, self->lifetime_s), gateway;

		if (to_gateway(&route, &gateway))
			vrrp_netlink_renew_route(self->netlink, &gateway, VRRP_RENEWAL_EITHER);
		vrrp_netlink_renew_route(self->netlink, &route, expect(!place->no_route[i]));
	}
}

void vrrp_addresses_renew(VrrpAddresses *self, gint64 until_us)
{
	bool whole = true;

	for (guint i = 0; i < self->n_places; i++)
		whole &= self->places[i].index == 0 || self->places[i].up;
	if (!whole) {
		vrrp_addresses_hold(self);
		return;
	}
	if (!vrrp_netlink_renew_begin(self->netlink))
		return;
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			renew_place(self, i);
	vrrp_netlink_renew_send(self->netlink, until_us);
}

static bool is_present(const GArray *present, int index, const IpAddress *ip)
{
	for (guint i = 0; i < present->len; i++) {
		const VrrpPresent *each = &g_array_index(present, VrrpPresent, i);

		if (each->index == index && ip_equal(&each->ip, ip))
			return true;
	}
	return false;
}

const VrrpServiceAddress *vrrp_addresses_missing(VrrpAddresses *self, const GArray *present)
{
	const VrrpServiceAddress *missing = NULL;

	for (guint i = 0; i < self->list->len; i++) {
		VrrpServiceAddress *address = self->list->pdata[i];

		if (!address->held || is_present(present, self->places[address->place].index, &address->address))
			continue;
		address->held = false;
		self->changed = true;
		if (!missing)
			missing = address;
	}
	return missing;
}

void vrrp_addresses_drop(VrrpAddresses *self)
{
	for (guint i = 0; i < self->n_places; i++)
		delete_addresses(self, i);
	forget_problems(self);
}

void vrrp_addresses_drop_routes(VrrpAddresses *self)
{
	g_autoptr(GArray) all = all_routes(self);

	delete_routes(self, all, NULL);
	g_clear_pointer(&self->between, g_array_unref);
}

static bool has_address(const VrrpAddresses *self, const VrrpServiceAddress *address)
{
	for (guint i = 0; i < self->list->len; i++) {
		const VrrpServiceAddress *own = self->list->pdata[i];

		if (ip_equal(&own->address, &address->address) && own->prefix == address->prefix &&
		    strcmp(own->interface, address->interface) == 0)
			return true;
	}
	return false;
}

static bool has_place(const VrrpAddresses *self, const Place *place)
{
	for (guint i = 0; i < self->n_places; i++)
		if (strcmp(self->places[i].member->virtual_device, place->member->virtual_device) == 0 &&
		    strcmp(self->places[i].member->device, place->member->device) == 0)
			return true;
	return false;
}

static void delete_virtual(VrrpAddresses *self, Place *place)
{
	g_autoptr(GError) error = NULL;

	if (!place->member->is_virtual || !place->index)
		return;
	if (!vrrp_netlink_link_delete(self->netlink, place->index, &error))
		g_debug("%s: %s", place->member->virtual_device, error->message);
	place->index = 0;
	place->up = false;
}

void vrrp_addresses_retire(VrrpAddresses *self, VrrpAddresses *next)
{
	g_autoptr(GArray) routes = all_routes(self), kept = NULL;

	next->between = g_steal_pointer(&self->between);
	kept = all_routes(next);
	delete_routes(self, routes, kept);
	for (guint i = 0; i < self->n_places; i++)
		if (!has_place(next, &self->places[i]))
			delete_virtual(self, &self->places[i]);
	for (guint i = 0; i < self->list->len; i++) {
		VrrpServiceAddress *address = self->list->pdata[i];
		int index = self->places[address->place].index;
		g_autoptr(GError) error = NULL;

		if (address->held && index && !has_address(next, address) &&
		    !vrrp_netlink_address_delete(self->netlink, index, &address->address, address->prefix, &error))
			g_debug("%s: %s", address->text, error->message);
	}
}

void vrrp_addresses_rest(VrrpAddresses *self)
{
	for (guint i = 0; i < self->n_places; i++) {
		Place *place = &self->places[i];
		GError *error = NULL;

		if (!place->member->is_virtual || !place->up)
			continue;
		if (place->index && !vrrp_netlink_link_up(self->netlink, place->index, false, &error))
			complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		place->up = false;
	}
}

static bool announce(const Place *place, const VrrpServiceAddress *address, VrrpEther *ether)
{
	VrrpArp arp = { .sender = address->address, .target = address->address };

	if (address->address.family == AF_INET6)
		return vrrp_nd_advertise(ether, place->parent, place->mac, &address->address);
	memcpy(arp.from, place->mac, 6);
	return vrrp_ether_arp(ether, place->parent, &arp);
}

guint vrrp_addresses_announce(VrrpAddresses *self, VrrpEther *ether)
{
	guint sent = 0;

	for (guint i = 0; i < self->list->len; i++) {
		const VrrpServiceAddress *address = self->list->pdata[i];
		const Place *place = &self->places[address->place];

		if (address->held && announce(place, address, ether))
			sent++;
	}
	return sent;
}

void vrrp_addresses_remove(VrrpAddresses *self)
{
	for (guint i = 0; i < self->n_places; i++)
		delete_virtual(self, &self->places[i]);
}

gsize vrrp_addresses_count(const VrrpAddresses *self)
{
	return self->list->len;
}

const VrrpServiceAddress *vrrp_addresses_at(const VrrpAddresses *self, gsize i)
{
	return self->list->pdata[i];
}

static void add_problem(GPtrArray *problems, const char *problem)
{
	if (problem)
		g_ptr_array_add(problems, g_strdup(problem));
}

void vrrp_addresses_problems(const VrrpAddresses *self, GPtrArray *problems)
{
	for (guint i = 0; i < self->n_places; i++) {
		const Place *place = &self->places[i];

		add_problem(problems, place->problem);
		add_problem(problems, place->refused);
		for (guint k = 0; k < place->member->routes->len; k++)
			add_problem(problems, place->no_route[k]);
	}
	for (guint i = 0; i < self->list->len; i++)
		add_problem(problems, ((const VrrpServiceAddress *)self->list->pdata[i])->problem);
}
