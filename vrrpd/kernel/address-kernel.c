/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/address-kernel.c - service addresses, their virtual interfaces and routes, as the thread puts them up and takes them down. */
#include "vrrpd/kernel/address-kernel.h"

#include <string.h>

#include "vrrpd/kernel/lock.h"
#include "vrrpd/loop/timer.h"

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

typedef struct {
	char *text;         /* "192.0.2.10/24" */
	IpAddress address;
	guint prefix;
	guint place;
	bool held;
	char *problem;
} Held;

struct VrrpAddressKernel {
	GPtrArray *members; /* of VrrpMember* */
	VrrpRtnl *rtnl;
	VrrpSysctl *sysctl;
	Place *places;      /* as many as members */
	guint n_places;
	GPtrArray *list;    /* of Held*, in the order of the members */
	guint lifetime_s;
	GArray *between;    /* of VrrpBetween; NULL: no preference for the service address as source */

	/* The loop's word, which may come in the midst of a job. */
	gint wanted;        /* atomic: what is put up is still to be */
	gint64 until_us;    /* atomic: so long it may be, the loop has been seen awake */

	pthread_mutex_t lock;
	VrrpSeen *seen;     /* under the lock: not fetched yet; NULL: it was */
};

static void held_free(gpointer data)
{
	Held *held = data;

	g_free(held->text);
	g_free(held->problem);
	g_free(held);
}

VrrpAddressKernel *vrrp_address_kernel_new(GPtrArray *members, guint lifetime_s, VrrpRtnl *rtnl, VrrpSysctl *sysctl)
{
	VrrpAddressKernel *self = g_new0(VrrpAddressKernel, 1);

	self->members = g_ptr_array_ref(members);
	self->rtnl = rtnl;
	self->sysctl = sysctl;
	self->lifetime_s = lifetime_s;
	self->list = g_ptr_array_new_with_free_func(held_free);
	self->n_places = members->len;
	self->places = g_new0(Place, self->n_places);
	vrrp_lock_init(&self->lock);
	for (guint i = 0; i < self->n_places; i++) {
		const VrrpMember *member = members->pdata[i];

		self->places[i].member = member;
		self->places[i].no_route = g_new0(char *, member->routes->len);
		for (guint j = 0; j < member->addresses->len; j++) {
			const VrrpMemberAddress *from = &g_array_index(member->addresses, VrrpMemberAddress, j);
			Held *held = g_new0(Held, 1);

			held->text = g_strdup(from->text);
			held->address = from->ip;
			held->prefix = from->prefix;
			held->place = i;
			g_ptr_array_add(self->list, held);
		}
	}
	return self;
}

/* Of what is held: a Backup holds nothing, and nothing that it holds can fail. */
static void forget_problems(VrrpAddressKernel *self)
{
	for (guint i = 0; i < self->list->len; i++)
		g_clear_pointer(&((Held *)self->list->pdata[i])->problem, g_free);
	for (guint i = 0; i < self->n_places; i++)
		for (guint k = 0; k < self->places[i].member->routes->len; k++)
			g_clear_pointer(&self->places[i].no_route[k], g_free);
}

void vrrp_address_kernel_free(VrrpAddressKernel *self)
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
	vrrp_seen_free(self->seen);
	pthread_mutex_destroy(&self->lock);
	g_free(self);
}

/* ---- What the loop says and is told, whatever is under way ---- */

void vrrp_address_kernel_want(VrrpAddressKernel *self, bool wanted)
{
	g_atomic_int_set(&self->wanted, wanted);
}

void vrrp_address_kernel_lead(VrrpAddressKernel *self, gint64 until_us)
{
	__atomic_store_n(&self->until_us, until_us, __ATOMIC_RELAXED);
}

/* Asked before each request, as every one may have waited for long: a Master that has resigned meanwhile, or slept, puts up nothing more. */
static bool may_hold(VrrpAddressKernel *self)
{
	return g_atomic_int_get(&self->wanted) && vrrp_now_us() <= __atomic_load_n(&self->until_us, __ATOMIC_RELAXED);
}

void vrrp_seen_free(VrrpSeen *seen)
{
	if (!seen)
		return;
	g_array_unref(seen->addresses);
	g_array_unref(seen->places);
	g_ptr_array_unref(seen->problems);
	g_free(seen->missing);
	g_free(seen);
}

static void seen_address_clear(gpointer data)
{
	g_free(((VrrpSeenAddress *)data)->problem);
}

static void add_problem(GPtrArray *problems, const char *problem)
{
	if (problem)
		g_ptr_array_add(problems, g_strdup(problem));
}

static VrrpSeen *seen_new(const VrrpAddressKernel *self)
{
	VrrpSeen *seen = g_new0(VrrpSeen, 1);

	seen->addresses = g_array_new(FALSE, FALSE, sizeof(VrrpSeenAddress));
	g_array_set_clear_func(seen->addresses, seen_address_clear);
	seen->places = g_array_new(FALSE, FALSE, sizeof(VrrpSeenPlace));
	seen->problems = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < self->n_places; i++) {
		const Place *place = &self->places[i];
		VrrpSeenPlace to = { .parent = place->parent };

		memcpy(to.mac, place->mac, sizeof to.mac);
		g_array_append_val(seen->places, to);
		add_problem(seen->problems, place->problem);
		add_problem(seen->problems, place->refused);
		for (guint k = 0; k < place->member->routes->len; k++)
			add_problem(seen->problems, place->no_route[k]);
	}
	for (guint i = 0; i < self->list->len; i++) {
		const Held *held = self->list->pdata[i];
		VrrpSeenAddress to = { .held = held->held, .problem = g_strdup(held->problem) };

		g_array_append_val(seen->addresses, to);
		add_problem(seen->problems, held->problem);
	}
	return seen;
}

/* After each job. What has to be heard of once is kept until it was. */
static void tell(VrrpAddressKernel *self, const Held *missing, bool lost)
{
	VrrpSeen *seen = seen_new(self), *before;

	if (missing)
		seen->missing = g_strdup_printf("%s was taken from %s", missing->text, self->places[missing->place].member->virtual_device);
	seen->lost = lost;
	pthread_mutex_lock(&self->lock);
	before = self->seen;
	if (before && before->missing && !seen->missing)
		seen->missing = g_steal_pointer(&before->missing);
	seen->lost |= before && before->lost;
	self->seen = seen;
	pthread_mutex_unlock(&self->lock);
	vrrp_seen_free(before);
}

VrrpSeen *vrrp_address_kernel_seen(VrrpAddressKernel *self)
{
	VrrpSeen *seen;

	pthread_mutex_lock(&self->lock);
	seen = g_steal_pointer(&self->seen);
	pthread_mutex_unlock(&self->lock);
	return seen;
}

/* ---- Virtual interfaces ---- */

/* Takes @error over. */
static void complain(char **problem, const char *code, const char *what, GError *error)
{
	g_free(*problem);
	*problem = g_strdup_printf("%s: %s: %s", code, what, error->message);
	g_error_free(error);
}

static void set_sysctl(VrrpAddressKernel *self, Place *place, const char *family, const char *device, const char *name, const char *value,
		       bool lasting)
{
	g_autofree char *key = g_strdup_printf("%s/conf/%s/%s", family, device, name);
	GError *error = NULL;

	if (!vrrp_sysctl_set(self->sysctl, key, value, lasting, &error))
		complain(&place->refused, "sysctl-refused", place->member->virtual_device, error);
}

/* Either of arp_ignore and arp_announce alone lets hosts learn the physical MAC for a service address. */
static void tune_parent(VrrpAddressKernel *self, Place *place)
{
	if (place->member->family == AF_INET6) /* the kernel answers a solicitation only where the address is */
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "promote_secondaries", "1", true);
	if (!place->member->is_virtual)
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "arp_ignore", "1", true);
	set_sysctl(self, place, "ipv4", place->member->device, "arp_announce", "2", true);
}

static void tune_virtual(VrrpAddressKernel *self, Place *place)
{
	GError *error = NULL;

	if (place->member->family == AF_INET6)
		set_sysctl(self, place, "ipv6", place->member->virtual_device, "disable_ipv6", "0", false); /* whatever the default says */
	/* No link-local address of its own: the Backup's interface has the same MAC, and they would collide. */
	if (!vrrp_rtnl_link_no_own_address(self->rtnl, place->index, &error))
		complain(&place->refused, "sysctl-refused", place->member->virtual_device, error);
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

static void prepare_virtual(VrrpAddressKernel *self, Place *place, bool clean)
{
	GError *error = NULL;
	VrrpLink link;

	memcpy(place->mac, place->member->virtual_mac, 6);
	if (vrrp_rtnl_link(self->rtnl, place->member->virtual_device, &link)) {
		bool ours = link.macvlan && link.parent == place->parent && memcmp(link.mac, place->mac, 6) == 0;

		if (ours) {
			if (clean && link.up && !vrrp_rtnl_link_up(self->rtnl, link.index, false, &error))
				g_clear_error(&error);
			place->up = link.up && !clean;
			place->index = link.index;
			tune_virtual(self, place);
			return;
		}
		if (!vrrp_rtnl_link_delete(self->rtnl, link.index, &error)) {
			complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
			return;
		}
	}
	if (!vrrp_rtnl_macvlan_add(self->rtnl, place->member->virtual_device, place->parent, place->mac, &error)) {
		complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		return;
	}
	place->up = false;
	if (vrrp_rtnl_link(self->rtnl, place->member->virtual_device, &link))
		place->index = link.index;
	tune_virtual(self, place);
}

static void delete_addresses(VrrpAddressKernel *self, guint n)
{
	Place *place = &self->places[n];

	for (guint i = 0; i < self->list->len; i++) {
		Held *address = self->list->pdata[i];
		g_autoptr(GError) error = NULL;

		if (address->place != n)
			continue;
		if (place->index && !vrrp_rtnl_address_delete(self->rtnl, place->index, &address->address, address->prefix, &error))
			g_debug("%s: %s", address->text, error->message);
		address->held = false;
	}
}

/* Whether the interface that was prepared is still the one that is there. */
static bool is_as_prepared(VrrpAddressKernel *self, Place *place, const VrrpLink *parent, bool *lost)
{
	VrrpLink link;

	if (place->parent != parent->index || place->index == 0)
		return false;
	if (!place->member->is_virtual)
		return true;
	if (!vrrp_rtnl_link(self->rtnl, place->member->virtual_device, &link) || link.index != place->index ||
	    link.parent != place->parent)
		return false;
	if (place->up && !link.up) { /* somebody took it down, and with it its routes */
		place->up = false;
		*lost = true;
	}
	return true;
}

static bool prepare(VrrpAddressKernel *self, bool clean)
{
	bool lost = false;

	for (guint i = 0; i < self->n_places; i++) {
		Place *place = &self->places[i];
		VrrpLink parent;

		if (!vrrp_rtnl_link(self->rtnl, place->member->device, &parent)) {
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
			vrrp_rtnl_routes_clear(self->rtnl, place->parent);
			vrrp_rtnl_routes_clear(self->rtnl, place->index);
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

static bool is_first_in_its_network(const VrrpAddressKernel *self, const Held *address)
{
	for (guint i = 0; i < self->list->len && self->list->pdata[i] != address; i++) {
		const Held *before = self->list->pdata[i];

		if (before->place == address->place && ip_same_network(&before->address, &address->address, address->prefix))
			return false;
	}
	return true;
}

/* A second route to the network of @address beside that of the device's own address, in front of it and with the service address as source. It needs
 * nobody to take it away: when the address goes, by whatever hand or because its life has ended, the kernel drops the routes that bear it as source
 * (of IPv6 the preference alone, which leaves a route like the other). The two devices speak to each other as themselves, or their link would
 * break with every change of role. */
static GArray *preference_of(const VrrpAddressKernel *self, const Held *address)
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

static void set_preference(VrrpAddressKernel *self, guint n)
{
	for (guint i = 0; i < self->list->len; i++) {
		const Held *address = self->list->pdata[i];
		g_autoptr(GArray) routes = NULL;

		if (address->place != n || !address->held)
			continue;
		routes = preference_of(self, address);
		for (guint k = 0; k < routes->len; k++) {
			g_autoptr(GError) error = NULL;

			if (may_hold(self) && !vrrp_rtnl_route_add(self->rtnl, &g_array_index(routes, VrrpRoute, k), &error))
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
static GArray *all_routes(const VrrpAddressKernel *self)
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
		const Held *address = self->list->pdata[i];
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
static void delete_routes(VrrpAddressKernel *self, const GArray *routes, const GArray *keep)
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
	g_autoptr(GArray) before = all_routes(self), after = NULL;

	g_clear_pointer(&self->between, g_array_unref);
	self->between = between;
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			set_preference(self, i);
	after = all_routes(self);
	delete_routes(self, before, after); /* to where the peer was */
	return true;
}

/* ---- Holding ---- */

static void hold_address(VrrpAddressKernel *self, Place *place, Held *held)
{
	GError *error = NULL;

	held->held = vrrp_rtnl_address_set(self->rtnl, place->index, &held->address, held->prefix, self->lifetime_s,
					   place->connected || ip_is_ipv6_link_local(&held->address), &error);
	g_clear_pointer(&held->problem, g_free);
	if (!held->held)
		complain(&held->problem, "no-address", held->text, error);
}

static void hold_route(VrrpAddressKernel *self, Place *place, guint n)
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

		complain(&place->no_route[n], "no-route", text, error);
	}
}

static bool bring_up(VrrpAddressKernel *self, Place *place)
{
	GError *error = NULL;

	if (place->up)
		return true;
	if (!vrrp_rtnl_link_up(self->rtnl, place->index, true, &error)) {
		complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		return false;
	}
	place->up = true;
	g_clear_pointer(&place->problem, g_free);
	return true;
}

/* What fails is named, and the rest of the group goes on. */
static void hold_place(VrrpAddressKernel *self, guint n)
{
	Place *place = &self->places[n];
	bool first = true, fresh = false, decided = false;

	if (!may_hold(self) || !bring_up(self, place))
		return;
	for (guint i = 0; i < self->list->len; i++) {
		Held *held = self->list->pdata[i];

		if (held->place != n)
			continue;
		if (first && !held->held)
			fresh = true;
		/* The first decides for all; but each interface has its own route to its link-local network. */
		if (fresh && !decided && !ip_is_ipv6_link_local(&held->address)) {
			place->connected = !vrrp_rtnl_subnet_present(self->rtnl, place->index, &held->address, held->prefix);
			decided = true;
		}
		first = false;
		if (!may_hold(self))
			return;
		hold_address(self, place, held);
	}
}

static void hold_routes(VrrpAddressKernel *self, guint n)
{
	Place *place = &self->places[n];

	for (guint i = 0; place->up && i < place->member->routes->len && may_hold(self); i++)
		hold_route(self, place, i);
	if (self->between)
		set_preference(self, n);
}

/* Addresses first: the source of a route may be another group's. */
static void hold(VrrpAddressKernel *self)
{
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			hold_place(self, i);
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			hold_routes(self, i);
}

bool vrrp_address_kernel_hold(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	hold(self);
	tell(self, NULL, false);
	return true;
}

/* All is up, and nothing of it was refused. */
static bool is_whole(const VrrpAddressKernel *self)
{
	for (guint i = 0; i < self->n_places; i++) {
		const Place *place = &self->places[i];

		if (place->index == 0 || !place->up)
			return false;
		for (guint k = 0; k < place->member->routes->len; k++)
			if (place->no_route[k])
				return false;
	}
	for (guint i = 0; i < self->list->len; i++)
		if (!((const Held *)self->list->pdata[i])->held)
			return false;
	return true;
}

/* As long as all goes well it is one message, the same each time, and nothing that the loop need hear of. */
bool vrrp_address_kernel_renew(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	if (may_hold(self) && vrrp_rtnl_batch_again(self->rtnl, self))
		return false;
	if (is_whole(self)) {
		vrrp_rtnl_batch_begin(self->rtnl);
		hold(self);
		if (vrrp_rtnl_batch_end(self->rtnl, may_hold(self), self))
			return false;
	}
	return vrrp_address_kernel_hold(self, NULL);
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

/* The first held address that is not there any more; none of the missing counts as held then. */
static const Held *find_missing(VrrpAddressKernel *self, const GArray *taken)
{
	g_autoptr(GArray) present = vrrp_rtnl_addresses(self->rtnl);
	const Held *missing = NULL;

	for (guint i = 0; i < self->list->len; i++) {
		Held *held = self->list->pdata[i];

		int index = self->places[held->place].index;
		bool gone = !is_present(present, index, &held->address);

		if (!held->held || (!gone && !is_present(taken, index, &held->address)))
			continue;
		held->held = !gone;
		if (!missing)
			missing = held;
	}
	return missing;
}

bool vrrp_address_kernel_clean(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	(void)prepare(self, true);
	tell(self, NULL, false);
	return true;
}

bool vrrp_address_kernel_prepare(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	(void)prepare(self, false);
	tell(self, NULL, false);
	return true;
}

bool vrrp_address_kernel_repair(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;
	g_autoptr(GArray) taken = more;
	bool lost = prepare(self, false);
	const Held *missing = find_missing(self, taken);

	hold(self);
	tell(self, lost ? NULL : missing, lost || missing);
	return true;
}

bool vrrp_address_kernel_drop(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	for (guint i = 0; i < self->n_places; i++)
		delete_addresses(self, i);
	forget_problems(self);
	tell(self, NULL, false);
	return true;
}

bool vrrp_address_kernel_drop_routes(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;
	g_autoptr(GArray) all = all_routes(self);

	delete_routes(self, all, NULL);
	g_clear_pointer(&self->between, g_array_unref);
	return true;
}

static bool has_address(const VrrpAddressKernel *self, const Held *address, const char *device)
{
	for (guint i = 0; i < self->list->len; i++) {
		const Held *own = self->list->pdata[i];

		if (ip_equal(&own->address, &address->address) && own->prefix == address->prefix && strcmp(self->places[own->place].member->virtual_device, device) == 0)
			return true;
	}
	return false;
}

static bool has_place(const VrrpAddressKernel *self, const Place *place)
{
	for (guint i = 0; i < self->n_places; i++)
		if (strcmp(self->places[i].member->virtual_device, place->member->virtual_device) == 0 &&
		    strcmp(self->places[i].member->device, place->member->device) == 0)
			return true;
	return false;
}

static void delete_virtual(VrrpAddressKernel *self, Place *place)
{
	g_autoptr(GError) error = NULL;

	if (!place->member->is_virtual || !place->index)
		return;
	if (!vrrp_rtnl_link_delete(self->rtnl, place->index, &error))
		g_debug("%s: %s", place->member->virtual_device, error->message);
	place->index = 0;
	place->up = false;
}

bool vrrp_address_kernel_retire(gpointer data, gpointer following)
{
	VrrpAddressKernel *self = data, *next = following;
	g_autoptr(GArray) routes = all_routes(self), kept = NULL;

	next->between = g_steal_pointer(&self->between);
	kept = all_routes(next);
	delete_routes(self, routes, kept);
	for (guint i = 0; i < self->n_places; i++)
		if (!has_place(next, &self->places[i]))
			delete_virtual(self, &self->places[i]);
	for (guint i = 0; i < self->list->len; i++) {
		Held *address = self->list->pdata[i];
		int index = self->places[address->place].index;
		g_autoptr(GError) error = NULL;

		if (address->held && index && !has_address(next, address, self->places[address->place].member->virtual_device) &&
		    !vrrp_rtnl_address_delete(self->rtnl, index, &address->address, address->prefix, &error))
			g_debug("%s: %s", address->text, error->message);
	}
	return true;
}

bool vrrp_address_kernel_rest(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	for (guint i = 0; i < self->n_places; i++) {
		Place *place = &self->places[i];
		GError *error = NULL;

		if (!place->member->is_virtual || !place->up)
			continue;
		if (place->index && !vrrp_rtnl_link_up(self->rtnl, place->index, false, &error))
			complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		place->up = false;
	}
	tell(self, NULL, false);
	return true;
}

bool vrrp_address_kernel_remove(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	for (guint i = 0; i < self->n_places; i++)
		delete_virtual(self, &self->places[i]);
	vrrp_sysctl_restore(self->sysctl);
	return true;
}

bool vrrp_address_kernel_end(gpointer data, gpointer more)
{
	vrrp_address_kernel_free(data);
	return true;
}
