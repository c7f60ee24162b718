/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/address-kernel-routes.c - the routes of the settings, and the preferred source towards clients. */
#include <string.h>

#include "vrrpd/kernel/address-kernel-private.h"

/* With the preferred source that replies need; over IPv4 the route ends with it. */
static VrrpRoute route_of(const VrrpPlace *place, guint n, guint lifetime_s)
{
	const VrrpMemberRoute *from = &g_array_index(place->member->routes, VrrpMemberRoute, n);

	return (VrrpRoute){ .destination = from->destination, .prefix = from->prefix, .gateway = from->gateway, .source = place->member->source,
			    .index = place->index, .lifetime_s = lifetime_s };
}

/* ---- Preferred source towards clients ---- */

static void add_route(GArray *routes, const VrrpPlace *place, const IpAddress *destination, guint prefix, const IpAddress *source)
{
	VrrpRoute route = { .destination = ip_network(destination, prefix), .prefix = prefix, .source = *source, .index = place->parent,
			    .metric = destination->family == AF_INET6 ? VRRP_METRIC_BEFORE_KERNEL : 0 };

	g_array_append_val(routes, route);
}

static bool is_first_in_its_network(const VrrpAddressKernel *self, const VrrpHeld *address)
{
	for (guint i = 0; i < self->list->len && self->list->pdata[i] != address; i++) {
		const VrrpHeld *before = self->list->pdata[i];

		if (before->place == address->place && ip_same_network(&before->address, &address->address, address->prefix))
			return false;
	}
	return true;
}

/* A second route to the network of @address beside that of the device's own address, in front of it and with the service address as source. It needs
 * nobody to take it away: when the address goes, by whatever hand or because its life has ended, the kernel drops the routes that bear it as source
 * (of IPv6 the preference alone, which leaves a route like the other). The two devices speak to each other as themselves, or their link would
 * break with every change of role. */
static GArray *preference_of(const VrrpAddressKernel *self, const VrrpHeld *address)
{
	const VrrpPlace *place = &self->places[address->place];
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

static void set_preference(VrrpAddressKernel *self, guint n)
{
	for (guint i = 0; i < self->list->len; i++) {
		const VrrpHeld *address = self->list->pdata[i];
		g_autoptr(GArray) routes = NULL;

		if (address->place != n || !address->held)
			continue;
		routes = preference_of(self, address);
		for (guint k = 0; k < routes->len; k++) {
			g_autoptr(GError) error = NULL;

			if (vrrp_kernel_may_hold(self) && !vrrp_rtnl_route_add(self->rtnl, &g_array_index(routes, VrrpRoute, k), &error))
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

GArray *vrrp_kernel_routes(const VrrpAddressKernel *self)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(VrrpRoute));

	for (guint i = 0; i < self->n_places; i++) {
		const VrrpPlace *place = &self->places[i];

		for (guint k = 0; place->index && k < place->member->routes->len; k++) {
			VrrpRoute route = route_of(place, k, 0), gateway;

			g_array_append_val(all, route);
			if (to_gateway(&route, &gateway))
				g_array_append_val(all, gateway);
		}
	}
	for (guint i = 0; self->between && i < self->list->len; i++) {
		const VrrpHeld *address = self->list->pdata[i];
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

void vrrp_kernel_delete_routes(VrrpAddressKernel *self, const GArray *routes, const GArray *keep)
{
	for (guint i = 0; i < routes->len; i++) {
		const VrrpRoute *route = &g_array_index(routes, VrrpRoute, i);
		g_autoptr(GError) error = NULL;

		if (!is_among(keep, route) && !vrrp_rtnl_route_delete(self->rtnl, route, &error))
			g_debug("%s", error->message);
	}
}

bool vrrp_address_kernel_prefer(gpointer data, gpointer between)
{
	VrrpAddressKernel *self = data;
	g_autoptr(GArray) before = vrrp_kernel_routes(self), after = NULL;

	g_clear_pointer(&self->between, g_array_unref);
	self->between = between;
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			set_preference(self, i);
	after = vrrp_kernel_routes(self);
	vrrp_kernel_delete_routes(self, before, after); /* to where the peer was */
	return true;
}

/* ---- Holding ---- */

static void hold_route(VrrpAddressKernel *self, VrrpPlace *place, guint n)
{
	VrrpRoute route = route_of(place, n, self->lifetime_s), gateway;
	GError *error = NULL;
	bool added = (!to_gateway(&route, &gateway) || vrrp_rtnl_route_add(self->rtnl, &gateway, &error)) &&
		     vrrp_rtnl_route_add(self->rtnl, &route, &error);

	g_clear_pointer(&place->no_route[n], g_free);
	if (!added) {
		char to[IP_TEXT_SIZE], via[IP_TEXT_SIZE];
		g_autofree char *text = route.prefix ? g_strdup_printf("%s/%u via %s", ip_text(&route.destination, to), route.prefix,
								       ip_text(&route.gateway, via)) :
						       g_strdup_printf("default via %s", ip_text(&route.gateway, via));

		vrrp_kernel_complain(&place->no_route[n], "no-route", text, error);
	}
}

void vrrp_kernel_hold_routes(VrrpAddressKernel *self, guint n)
{
	VrrpPlace *place = &self->places[n];

	for (guint i = 0; place->up && i < place->member->routes->len && vrrp_kernel_may_hold(self); i++)
		hold_route(self, place, i);
	if (self->between)
		set_preference(self, n);
}

bool vrrp_address_kernel_drop_routes(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;
	g_autoptr(GArray) all = vrrp_kernel_routes(self);

	vrrp_kernel_delete_routes(self, all, NULL);
	g_clear_pointer(&self->between, g_array_unref);
	return true;
}
