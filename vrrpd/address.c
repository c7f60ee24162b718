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
	char *problem;
} Place;

struct VrrpAddresses {
	GPtrArray *members; /* of VrrpMember* */
	bool virtual_mac;
	VrrpNetlink *netlink;
	VrrpSysctl *sysctl;
	Place *places;      /* as many as members */
	guint n_places;
	GPtrArray *list;    /* of VrrpServiceAddress* */
};

static void service_address_free(gpointer data)
{
	VrrpServiceAddress *address = data;

	g_free(address->text);
	g_free(address->group);
	g_free(address->interface);
	g_free(address);
}

VrrpAddresses *vrrp_addresses_new(GPtrArray *members, bool virtual_mac, VrrpNetlink *netlink, VrrpSysctl *sysctl)
{
	VrrpAddresses *self = g_new0(VrrpAddresses, 1);

	self->members = g_ptr_array_ref(members);
	self->virtual_mac = virtual_mac;
	self->netlink = netlink;
	self->sysctl = sysctl;
	self->list = g_ptr_array_new_with_free_func(service_address_free);
	self->n_places = members->len;
	self->places = g_new0(Place, self->n_places);
	for (guint i = 0; i < self->n_places; i++) {
		const VrrpMember *member = members->pdata[i];

		self->places[i].member = member;
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

void vrrp_addresses_free(VrrpAddresses *self)
{
	if (!self)
		return;
	for (guint i = 0; i < self->n_places; i++)
		g_free(self->places[i].problem);
	g_free(self->places);
	g_ptr_array_unref(self->list);
	g_ptr_array_unref(self->members);
	g_free(self);
}

static void complain(Place *place, const char *code, GError *error)
{
	g_free(place->problem);
	place->problem = g_strdup_printf("%s: %s: %s", code, place->member->virtual_device, error->message);
	g_error_free(error);
}

static void set_sysctl(VrrpAddresses *self, Place *place, const char *family, const char *device, const char *name, const char *value,
		       bool lasting)
{
	g_autofree char *key = g_strdup_printf("%s/conf/%s/%s", family, device, name);
	GError *error = NULL;

	if (!vrrp_sysctl_set(self->sysctl, key, value, lasting, &error))
		complain(place, "sysctl-refused", error);
}

/* Either of arp_ignore and arp_announce alone lets hosts learn the physical MAC for a service address. */
static void tune_parent(VrrpAddresses *self, Place *place)
{
	if (place->member->family == AF_INET6) /* the kernel answers a solicitation only where the address is */
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "promote_secondaries", "1", true);
	if (!self->virtual_mac)
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "arp_ignore", "1", true);
	set_sysctl(self, place, "ipv4", place->member->device, "arp_announce", "2", true);
}

static void tune_virtual(VrrpAddresses *self, Place *place)
{
	/* No link-local address of its own: the Backup's interface has the same MAC, and they would collide. */
	set_sysctl(self, place, "ipv6", place->member->virtual_device, "addr_gen_mode", "1", false);
	set_sysctl(self, place, "ipv6", place->member->virtual_device, "accept_dad", "0", false);
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
			complain(place, "no-virtual-mac", error);
			return;
		}
	}
	if (!vrrp_netlink_macvlan_add(self->netlink, place->member->virtual_device, place->parent, place->mac, &error)) {
		complain(place, "no-virtual-mac", error);
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

void vrrp_addresses_prepare(VrrpAddresses *self, bool clean)
{
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
		if (place->parent == parent.index && place->index && !clean)
			continue;
		g_clear_pointer(&place->problem, g_free);
		place->parent = parent.index;
		tune_parent(self, place);
		if (self->virtual_mac) {
			prepare_virtual(self, place, clean);
		} else {
			memcpy(place->mac, parent.mac, 6);
			place->index = parent.index;
			place->up = true;
		}
		if (clean)
			delete_addresses(self, i);
	}
}

static bool is_ipv6_link_local(const IpAddress *ip)
{
	return ip->family == AF_INET6 && ip_is_link_local(ip);
}

/* With the preferred source that replies need: the first address that can be used beyond the link. */
static VrrpRoute route_of(const Place *place, guint n)
{
	const VrrpMemberRoute *from = &g_array_index(place->member->routes, VrrpMemberRoute, n);
	VrrpRoute route = { .destination = from->destination, .prefix = from->prefix, .gateway = from->gateway, .index = place->index };

	for (guint i = 0; i < place->member->addresses->len && !ip_is_set(&route.source); i++) {
		const IpAddress *ip = &g_array_index(place->member->addresses, VrrpMemberAddress, i).ip;

		if (!is_ipv6_link_local(ip))
			route.source = *ip;
	}
	return route;
}

static void hold_place(VrrpAddresses *self, guint n)
{
	Place *place = &self->places[n];
	bool first = true, fresh = false, decided = false;
	GError *error = NULL;

	if (!place->up) {
		if (!vrrp_netlink_link_up(self->netlink, place->index, true, &error)) {
			complain(place, "no-virtual-mac", error);
			return;
		}
		place->up = true;
	}
	for (guint i = 0; i < self->list->len; i++) {
		VrrpServiceAddress *address = self->list->pdata[i];

		if (address->place != n)
			continue;
		if (first && !address->held)
			fresh = true;
		/* The first decides for all; but each interface has its own route to its link-local network. */
		if (fresh && !decided && !is_ipv6_link_local(&address->address)) {
			place->connected = !vrrp_netlink_subnet_present(self->netlink, place->index, &address->address, address->prefix);
			decided = true;
		}
		first = false;
		if (!vrrp_netlink_address_set(self->netlink, place->index, &address->address, address->prefix,
					      VRRP_ADDRESS_LIFETIME_S,
					      place->connected || is_ipv6_link_local(&address->address), &error)) {
			address->held = false;
			complain(place, "no-address", error);
			return;
		}
		address->held = true;
	}
	for (guint i = 0; i < place->member->routes->len; i++) {
		VrrpRoute route = route_of(place, i);

		if (!vrrp_netlink_route_add(self->netlink, &route, &error)) {
			complain(place, "no-route", error);
			return;
		}
	}
	if (fresh)
		g_clear_pointer(&place->problem, g_free);
}

void vrrp_addresses_hold(VrrpAddresses *self)
{
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			hold_place(self, i);
}

static void delete_routes(VrrpAddresses *self, Place *place)
{
	for (guint i = 0; place->index && i < place->member->routes->len; i++) {
		VrrpRoute route = route_of(place, i);
		g_autoptr(GError) error = NULL;

		if (!vrrp_netlink_route_delete(self->netlink, &route, &error))
			g_debug("route of %s: %s", place->member->virtual_device, error->message);
	}
}

void vrrp_addresses_drop(VrrpAddresses *self)
{
	for (guint i = 0; i < self->n_places; i++) {
		delete_routes(self, &self->places[i]);
		delete_addresses(self, i);
	}
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

	if (!self->virtual_mac || !place->index)
		return;
	if (!vrrp_netlink_link_delete(self->netlink, place->index, &error))
		g_debug("%s: %s", place->member->virtual_device, error->message);
	place->index = 0;
	place->up = false;
}

void vrrp_addresses_retire(VrrpAddresses *self, const VrrpAddresses *next)
{
	for (guint i = 0; i < self->n_places; i++) {
		delete_routes(self, &self->places[i]);
		if (!has_place(next, &self->places[i]))
			delete_virtual(self, &self->places[i]);
	}
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

		if (!self->virtual_mac || !place->up)
			continue;
		if (place->index && !vrrp_netlink_link_up(self->netlink, place->index, false, &error))
			complain(place, "no-virtual-mac", error);
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

void vrrp_addresses_problems(const VrrpAddresses *self, GPtrArray *problems)
{
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].problem)
			g_ptr_array_add(problems, g_strdup(self->places[i].problem));
}
