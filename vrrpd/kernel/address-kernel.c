/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/address-kernel.c - service addresses, as the thread puts them up and takes them down; the jobs. */
#include <string.h>

#include "vrrpd/kernel/address-kernel-private.h"
#include "vrrpd/kernel/lock.h"
#include "vrrpd/loop/timer.h"

static void held_free(gpointer data)
{
	VrrpHeld *held = data;

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
	self->places = g_new0(VrrpPlace, self->n_places);
	vrrp_lock_init(&self->lock);
	for (guint i = 0; i < self->n_places; i++) {
		const VrrpMember *member = members->pdata[i];

		self->places[i].member = member;
		self->places[i].no_route = g_new0(char *, member->routes->len);
		for (guint j = 0; j < member->addresses->len; j++) {
			const VrrpMemberAddress *from = &g_array_index(member->addresses, VrrpMemberAddress, j);
			VrrpHeld *held = g_new0(VrrpHeld, 1);

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
		g_clear_pointer(&((VrrpHeld *)self->list->pdata[i])->problem, g_free);
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

bool vrrp_kernel_may_hold(VrrpAddressKernel *self)
{
	return g_atomic_int_get(&self->wanted) && vrrp_now_us() <= __atomic_load_n(&self->until_us, __ATOMIC_RELAXED);
}

void vrrp_kernel_complain(char **problem, const char *code, const char *what, GError *error)
{
	g_free(*problem);
	*problem = g_strdup_printf("%s: %s: %s", code, what, error->message);
	g_error_free(error);
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
		const VrrpPlace *place = &self->places[i];
		VrrpSeenPlace to = { .parent = place->parent };

		memcpy(to.mac, place->mac, sizeof to.mac);
		g_array_append_val(seen->places, to);
		add_problem(seen->problems, place->problem);
		add_problem(seen->problems, place->refused);
		for (guint k = 0; k < place->member->routes->len; k++)
			add_problem(seen->problems, place->no_route[k]);
	}
	for (guint i = 0; i < self->list->len; i++) {
		const VrrpHeld *held = self->list->pdata[i];
		VrrpSeenAddress to = { .held = held->held, .problem = g_strdup(held->problem) };

		g_array_append_val(seen->addresses, to);
		add_problem(seen->problems, held->problem);
	}
	return seen;
}

void vrrp_kernel_tell(VrrpAddressKernel *self, const VrrpHeld *missing, bool lost)
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

void vrrp_kernel_delete_addresses(VrrpAddressKernel *self, guint n)
{
	VrrpPlace *place = &self->places[n];

	for (guint i = 0; i < self->list->len; i++) {
		VrrpHeld *address = self->list->pdata[i];
		g_autoptr(GError) error = NULL;

		if (address->place != n)
			continue;
		if (place->index && !vrrp_rtnl_address_delete(self->rtnl, place->index, &address->address, address->prefix, &error))
			g_debug("%s: %s", address->text, error->message);
		address->held = false;
	}
}

/* ---- Holding ---- */

static void hold_address(VrrpAddressKernel *self, VrrpPlace *place, VrrpHeld *held)
{
	GError *error = NULL;

	held->held = vrrp_rtnl_address_set(self->rtnl, place->index, &held->address, held->prefix, self->lifetime_s,
					   place->connected || ip_is_ipv6_link_local(&held->address), &error);
	g_clear_pointer(&held->problem, g_free);
	if (!held->held)
		vrrp_kernel_complain(&held->problem, "no-address", held->text, error);
}

/* What fails is named, and the rest of the group goes on. */
static void hold_place(VrrpAddressKernel *self, guint n)
{
	VrrpPlace *place = &self->places[n];
	bool first = true, fresh = false, decided = false;

	if (!vrrp_kernel_may_hold(self) || !vrrp_kernel_bring_up(self, place))
		return;
	for (guint i = 0; i < self->list->len; i++) {
		VrrpHeld *held = self->list->pdata[i];

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
		if (!vrrp_kernel_may_hold(self))
			return;
		hold_address(self, place, held);
	}
}

/* Addresses first: the source of a route may be another group's. */
static void hold(VrrpAddressKernel *self)
{
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			hold_place(self, i);
	for (guint i = 0; i < self->n_places; i++)
		if (self->places[i].index)
			vrrp_kernel_hold_routes(self, i);
}

bool vrrp_address_kernel_hold(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	hold(self);
	vrrp_kernel_tell(self, NULL, false);
	return true;
}

/* All is up, and nothing of it was refused. */
static bool is_whole(const VrrpAddressKernel *self)
{
	for (guint i = 0; i < self->n_places; i++) {
		const VrrpPlace *place = &self->places[i];

		if (place->index == 0 || !place->up)
			return false;
		for (guint k = 0; k < place->member->routes->len; k++)
			if (place->no_route[k])
				return false;
	}
	for (guint i = 0; i < self->list->len; i++)
		if (!((const VrrpHeld *)self->list->pdata[i])->held)
			return false;
	return true;
}

/* As long as all goes well it is one message, the same each time, and nothing that the loop need hear of. */
bool vrrp_address_kernel_renew(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	if (vrrp_kernel_may_hold(self) && vrrp_rtnl_batch_again(self->rtnl, self))
		return false;
	if (is_whole(self)) {
		vrrp_rtnl_batch_begin(self->rtnl);
		hold(self);
		if (vrrp_rtnl_batch_end(self->rtnl, vrrp_kernel_may_hold(self), self))
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
static const VrrpHeld *find_missing(VrrpAddressKernel *self, const GArray *taken)
{
	g_autoptr(GArray) present = vrrp_rtnl_addresses(self->rtnl);
	const VrrpHeld *missing = NULL;

	for (guint i = 0; i < self->list->len; i++) {
		VrrpHeld *held = self->list->pdata[i];

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

	(void)vrrp_kernel_prepare(self, true);
	vrrp_kernel_tell(self, NULL, false);
	return true;
}

bool vrrp_address_kernel_prepare(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	(void)vrrp_kernel_prepare(self, false);
	vrrp_kernel_tell(self, NULL, false);
	return true;
}

bool vrrp_address_kernel_repair(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;
	g_autoptr(GArray) taken = more;
	bool lost = vrrp_kernel_prepare(self, false);
	const VrrpHeld *missing = find_missing(self, taken);

	hold(self);
	vrrp_kernel_tell(self, lost ? NULL : missing, lost || missing);
	return true;
}

bool vrrp_address_kernel_drop(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	for (guint i = 0; i < self->n_places; i++)
		vrrp_kernel_delete_addresses(self, i);
	forget_problems(self);
	vrrp_kernel_tell(self, NULL, false);
	return true;
}

static bool has_address(const VrrpAddressKernel *self, const VrrpHeld *address, const char *device)
{
	for (guint i = 0; i < self->list->len; i++) {
		const VrrpHeld *own = self->list->pdata[i];

		if (ip_equal(&own->address, &address->address) && own->prefix == address->prefix && strcmp(self->places[own->place].member->virtual_device, device) == 0)
			return true;
	}
	return false;
}

static bool has_place(const VrrpAddressKernel *self, const VrrpPlace *place)
{
	for (guint i = 0; i < self->n_places; i++)
		if (strcmp(self->places[i].member->virtual_device, place->member->virtual_device) == 0 &&
		    strcmp(self->places[i].member->device, place->member->device) == 0)
			return true;
	return false;
}

bool vrrp_address_kernel_retire(gpointer data, gpointer following)
{
	VrrpAddressKernel *self = data, *next = following;
	g_autoptr(GArray) routes = vrrp_kernel_routes(self), kept = NULL;

	next->between = g_steal_pointer(&self->between);
	kept = vrrp_kernel_routes(next);
	vrrp_kernel_delete_routes(self, routes, kept);
	for (guint i = 0; i < self->n_places; i++)
		if (!has_place(next, &self->places[i]))
			vrrp_kernel_delete_virtual(self, &self->places[i]);
	for (guint i = 0; i < self->list->len; i++) {
		VrrpHeld *address = self->list->pdata[i];
		int index = self->places[address->place].index;
		g_autoptr(GError) error = NULL;

		if (address->held && index && !has_address(next, address, self->places[address->place].member->virtual_device) &&
		    !vrrp_rtnl_address_delete(self->rtnl, index, &address->address, address->prefix, &error))
			g_debug("%s: %s", address->text, error->message);
	}
	return true;
}

bool vrrp_address_kernel_end(gpointer data, gpointer more)
{
	vrrp_address_kernel_free(data);
	return true;
}
