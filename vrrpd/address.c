/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/address.c - service addresses, their virtual interfaces and routes. */
#include "address.h"

#include <stdio.h>
#include <string.h>

/* One group, on one interface. */
typedef struct {
	const SettingsGroup *group;
	char *device;       /* "eth0" */
	char *name;         /* "vrrp42.0", or the device itself without virtual MAC */
	int parent;         /* index of device; 0: not there */
	int index;          /* of name; 0: not there */
	guint8 mac[6];      /* what hosts find the addresses at */
	bool connected;     /* nobody else brings the route to the subnet */
	bool up;
	char *problem;
	GArray *routes;     /* of VrrpRoute, without index */
} Place;

struct VrrpAddresses {
	Settings *settings;
	VrrpNetlink *netlink;
	VrrpSysctl *sysctl;
	Place *places;
	guint n_places;
	GPtrArray *list; /* of VrrpServiceAddress* */
};

static void service_address_free(gpointer data)
{
	VrrpServiceAddress *address = data;

	g_free(address->text);
	g_free(address->group);
	g_free(address->interface);
	g_free(address);
}

/* "default via 203.0.113.1" or "198.51.100.0/24 via 203.0.113.2"; settings/ has checked the form. */
static bool parse_route(const char *text, VrrpRoute *ret_route)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	char *slash;

	memset(ret_route, 0, sizeof *ret_route);
	if (g_strv_length(words) != 3 || strcmp(words[1], "via") != 0 || !ip_parse(words[2], &ret_route->gateway))
		return false;
	if (strcmp(words[0], "default") == 0)
		return true;
	slash = strchr(words[0], '/');
	if (slash)
		*slash = '\0';
	if (!ip_parse(words[0], &ret_route->destination))
		return false;
	ret_route->prefix = slash ? (guint)g_ascii_strtoull(slash + 1, NULL, 10) : 8 * ip_length(&ret_route->destination);
	return true;
}

/* Groups on one interface share its virtual interface: a MAC can be there once. */
static guint name_number(const VrrpAddresses *self, const char *device, guint number)
{
	for (guint i = 0; i < number; i++)
		if (strcmp(self->places[i].device, device) == 0)
			return i;
	return number;
}

static void place_init(VrrpAddresses *self, const SettingsGroup *group, guint number)
{
	const Settings *settings = self->settings;
	Place *place = &self->places[number];
	const SettingsInterface *interface = settings_interface(settings, group->interface);

	place->group = group;
	place->device = g_strdup(interface ? interface->device : "");
	place->name = settings->virtual_mac ?
		      g_strdup_printf("vrrp%u.%u", settings->group_id, name_number(self, place->device, number)) :
		      g_strdup(place->device);
	place->routes = g_array_new(FALSE, FALSE, sizeof(VrrpRoute));
	for (guint i = 0; i < group->routes->len; i++) {
		VrrpRoute route;

		if (!parse_route(group->routes->pdata[i], &route) || route.gateway.family != AF_INET)
			continue;
		for (guint j = 0; j < group->addresses->len && !ip_is_set(&route.source); j++)
			if (((const SettingsAddress *)group->addresses->pdata[j])->ip.family == route.gateway.family)
				route.source = ((const SettingsAddress *)group->addresses->pdata[j])->ip;
		g_array_append_val(place->routes, route);
	}
}

VrrpAddresses *vrrp_addresses_new(const Settings *settings, VrrpNetlink *netlink, VrrpSysctl *sysctl)
{
	VrrpAddresses *self = g_new0(VrrpAddresses, 1);

	self->settings = settings_ref((Settings *)settings);
	self->netlink = netlink;
	self->sysctl = sysctl;
	self->list = g_ptr_array_new_with_free_func(service_address_free);
	self->n_places = settings->groups->len;
	self->places = g_new0(Place, self->n_places);
	for (guint i = 0; i < self->n_places; i++) {
		const SettingsGroup *group = settings->groups->pdata[i];

		place_init(self, group, i);
		for (guint j = 0; j < group->addresses->len; j++) {
			const SettingsAddress *from = group->addresses->pdata[j];
			VrrpServiceAddress *address;

			if (from->ip.family != AF_INET)
				continue;
			address = g_new0(VrrpServiceAddress, 1);
			address->text = g_strdup(from->text);
			address->group = g_strdup(group->name);
			address->interface = g_strdup(self->places[i].name);
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
	for (guint i = 0; i < self->n_places; i++) {
		g_free(self->places[i].device);
		g_free(self->places[i].name);
		g_free(self->places[i].problem);
		g_array_unref(self->places[i].routes);
	}
	g_free(self->places);
	g_ptr_array_unref(self->list);
	settings_unref(self->settings);
	g_free(self);
}

static void complain(Place *place, const char *code, GError *error)
{
	g_free(place->problem);
	place->problem = g_strdup_printf("%s: %s: %s", code, place->name, error->message);
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
	set_sysctl(self, place, "ipv4", place->device, "promote_secondaries", "1", true);
	if (!self->settings->virtual_mac)
		return;
	set_sysctl(self, place, "ipv4", place->device, "arp_ignore", "1", true);
	set_sysctl(self, place, "ipv4", place->device, "arp_announce", "2", true);
}

static void tune_virtual(VrrpAddresses *self, Place *place)
{
	/* No link-local address of its own: the Backup's interface has the same MAC, and they would collide. */
	set_sysctl(self, place, "ipv6", place->name, "addr_gen_mode", "1", false);
	set_sysctl(self, place, "ipv6", place->name, "accept_dad", "0", false);
	set_sysctl(self, place, "ipv4", place->name, "arp_ignore", "1", false);
	set_sysctl(self, place, "ipv4", place->name, "arp_announce", "2", false);
	/* What comes in here is answered by way of the parent: loose. (2 also overrides a strict "all".) */
	set_sysctl(self, place, "ipv4", place->name, "rp_filter", "2", false);
	set_sysctl(self, place, "ipv4", place->name, "promote_secondaries", "1", false);
}

static void prepare_virtual(VrrpAddresses *self, Place *place, bool clean)
{
	GError *error = NULL;
	VrrpLink link;

	vrrp_virtual_mac((guint8)self->settings->group_id, place->mac);
	if (vrrp_netlink_link(self->netlink, place->name, &link)) {
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
	if (!vrrp_netlink_macvlan_add(self->netlink, place->name, place->parent, place->mac, &error)) {
		complain(place, "no-virtual-mac", error);
		return;
	}
	place->up = false;
	if (vrrp_netlink_link(self->netlink, place->name, &link))
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

		if (!vrrp_netlink_link(self->netlink, place->device, &parent)) {
			place->parent = place->index = 0;
			place->up = false;
			g_free(place->problem);
			place->problem = g_strdup_printf("no-interface: %s: there is no interface %s", place->group->name, place->device);
			continue;
		}
		if (place->parent == parent.index && place->index && !clean)
			continue;
		g_clear_pointer(&place->problem, g_free);
		place->parent = parent.index;
		tune_parent(self, place);
		if (self->settings->virtual_mac) {
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

static void hold_place(VrrpAddresses *self, guint n)
{
	Place *place = &self->places[n];
	bool first = true, fresh = false;
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
		if (first && !address->held) {
			place->connected = !vrrp_netlink_subnet_present(self->netlink, place->index, &address->address, address->prefix);
			fresh = true;
		}
		first = false;
		if (!vrrp_netlink_address_set(self->netlink, place->index, &address->address, address->prefix,
					      VRRP_ADDRESS_LIFETIME_S, place->connected, &error)) {
			address->held = false;
			complain(place, "no-address", error);
			return;
		}
		address->held = true;
	}
	for (guint i = 0; i < place->routes->len; i++) {
		VrrpRoute route = g_array_index(place->routes, VrrpRoute, i);

		route.index = place->index;
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
	for (guint i = 0; place->index && i < place->routes->len; i++) {
		VrrpRoute route = g_array_index(place->routes, VrrpRoute, i);
		g_autoptr(GError) error = NULL;

		route.index = place->index;
		if (!vrrp_netlink_route_delete(self->netlink, &route, &error))
			g_debug("route of %s: %s", place->name, error->message);
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
		if (strcmp(self->places[i].name, place->name) == 0 && strcmp(self->places[i].device, place->device) == 0)
			return true;
	return false;
}

static void delete_virtual(VrrpAddresses *self, Place *place)
{
	g_autoptr(GError) error = NULL;

	if (!self->settings->virtual_mac || !place->index)
		return;
	if (!vrrp_netlink_link_delete(self->netlink, place->index, &error))
		g_debug("%s: %s", place->name, error->message);
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

		if (!self->settings->virtual_mac || !place->up)
			continue;
		if (place->index && !vrrp_netlink_link_up(self->netlink, place->index, false, &error))
			complain(place, "no-virtual-mac", error);
		place->up = false;
	}
}

guint vrrp_addresses_announce(VrrpAddresses *self, VrrpEther *ether)
{
	guint sent = 0;

	for (guint i = 0; i < self->list->len; i++) {
		const VrrpServiceAddress *address = self->list->pdata[i];
		const Place *place = &self->places[address->place];
		VrrpArp arp = { .sender = address->address, .target = address->address };

		if (!address->held)
			continue;
		memcpy(arp.from, place->mac, 6);
		if (vrrp_ether_arp(ether, place->parent, &arp))
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
