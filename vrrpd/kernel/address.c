/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/address.c - the loop's half of the service addresses: asks the thread, remembers what that has said, announces. */
#include "vrrpd/kernel/address.h"

#include <string.h>

#include "vrrpd/wire/nd.h"
#include "vrrpd/loop/timer.h"

#define SLOW_US G_USEC_PER_SEC /* a job that takes so long waits for somebody else */

struct VrrpAddresses {
	GPtrArray *members;        /* of VrrpMember* */
	VrrpNetlink *netlink;
	VrrpAddressKernel *kernel; /* the thread's half */
	GPtrArray *list;           /* of VrrpServiceAddress* */
	GArray *places;            /* of VrrpSeenPlace */
	GPtrArray *problems;       /* of char* */
	guint64 asked;             /* the last job that somebody waits for */
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
	self->kernel = vrrp_address_kernel_new(members, lifetime_s, vrrp_netlink_rtnl(netlink), sysctl);
	self->list = g_ptr_array_new_with_free_func(service_address_free);
	self->places = g_array_new(FALSE, TRUE, sizeof(VrrpSeenPlace));
	g_array_set_size(self->places, members->len);
	self->problems = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < members->len; i++) {
		const VrrpMember *member = members->pdata[i];

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

static guint64 ask(VrrpAddresses *self, VrrpJob job, gpointer more)
{
	return vrrp_worker_ask(vrrp_netlink_worker(self->netlink), job, self->kernel, more);
}

void vrrp_addresses_free(VrrpAddresses *self)
{
	if (!self)
		return;
	(void)ask(self, vrrp_address_kernel_end, NULL); /* behind what is still under way for it */
	g_ptr_array_unref(self->list);
	g_array_unref(self->places);
	g_ptr_array_unref(self->problems);
	g_ptr_array_unref(self->members);
	g_free(self);
}

/* ---- What the thread has done ---- */

static void learn_address(VrrpServiceAddress *address, VrrpSeenAddress *seen, VrrpLearned *learned)
{
	learned->changed |= seen->held != address->held || g_strcmp0(seen->problem, address->problem) != 0;
	learned->up |= seen->held && !address->held;
	address->held = seen->held;
	g_free(address->problem);
	address->problem = g_steal_pointer(&seen->problem);
}

VrrpLearned vrrp_addresses_learn(VrrpAddresses *self)
{
	VrrpSeen *seen = vrrp_address_kernel_seen(self->kernel);
	VrrpLearned learned = { 0 };

	if (!seen)
		return learned;
	for (guint i = 0; i < self->list->len; i++)
		learn_address(self->list->pdata[i], &g_array_index(seen->addresses, VrrpSeenAddress, i), &learned);
	for (guint i = 0; i < self->places->len; i++)
		g_array_index(self->places, VrrpSeenPlace, i) = g_array_index(seen->places, VrrpSeenPlace, i);
	g_ptr_array_unref(self->problems);
	self->problems = g_ptr_array_ref(seen->problems);
	learned.up |= seen->lost;
	learned.missing = g_steal_pointer(&seen->missing);
	vrrp_seen_free(seen);
	return learned;
}

bool vrrp_addresses_pending(const VrrpAddresses *self)
{
	return vrrp_worker_done(vrrp_netlink_worker(self->netlink)) < self->asked;
}

void vrrp_addresses_settle(VrrpAddresses *self)
{
	VrrpLearned learned;

	vrrp_worker_settle(vrrp_netlink_worker(self->netlink));
	learned = vrrp_addresses_learn(self);
	g_free(learned.missing);
}

/* ---- What is asked of it ---- */

/* From the first question on changes are told (netlink.h). */
static void watch_virtual(VrrpAddresses *self)
{
	for (guint i = 0; i < self->members->len; i++) {
		VrrpLink link;

		(void)vrrp_netlink_link(self->netlink, ((const VrrpMember *)self->members->pdata[i])->virtual_device, &link);
	}
}

void vrrp_addresses_prepare(VrrpAddresses *self, bool clean)
{
	watch_virtual(self);
	self->asked = ask(self, clean ? vrrp_address_kernel_clean : vrrp_address_kernel_prepare, NULL);
}

void vrrp_addresses_repair(VrrpAddresses *self, GArray *taken)
{
	watch_virtual(self);
	vrrp_address_kernel_want(self->kernel, true);
	self->asked = ask(self, vrrp_address_kernel_repair, taken);
}

void vrrp_addresses_lead(VrrpAddresses *self, gint64 until_us)
{
	vrrp_address_kernel_lead(self->kernel, until_us);
}

void vrrp_addresses_hold(VrrpAddresses *self)
{
	vrrp_address_kernel_want(self->kernel, true);
	self->asked = ask(self, vrrp_address_kernel_hold, NULL);
}

/* Nobody waits for that. */
void vrrp_addresses_renew(VrrpAddresses *self)
{
	(void)ask(self, vrrp_address_kernel_renew, NULL);
}

void vrrp_addresses_prefer(VrrpAddresses *self, GArray *between)
{
	self->asked = ask(self, vrrp_address_kernel_prefer, between);
}

void vrrp_addresses_drop(VrrpAddresses *self)
{
	vrrp_address_kernel_want(self->kernel, false);
	self->asked = ask(self, vrrp_address_kernel_drop, NULL);
}

void vrrp_addresses_drop_routes(VrrpAddresses *self)
{
	(void)ask(self, vrrp_address_kernel_drop_routes, NULL);
}

void vrrp_addresses_rest(VrrpAddresses *self)
{
	(void)ask(self, vrrp_address_kernel_rest, NULL);
}

/* What both have is still there, and nobody is told otherwise between. */
static void take_over_view(VrrpAddresses *self, const VrrpAddresses *former)
{
	for (guint i = 0; i < self->list->len; i++) {
		VrrpServiceAddress *address = self->list->pdata[i];

		for (guint k = 0; k < former->list->len; k++) {
			const VrrpServiceAddress *other = former->list->pdata[k];

			if (ip_equal(&other->address, &address->address) && other->prefix == address->prefix &&
			    strcmp(other->interface, address->interface) == 0)
				address->held = other->held;
		}
	}
}

void vrrp_addresses_retire(VrrpAddresses *self, VrrpAddresses *next)
{
	take_over_view(next, self);
	vrrp_address_kernel_want(self->kernel, false);
	next->asked = ask(self, vrrp_address_kernel_retire, next->kernel);
}

void vrrp_addresses_remove(VrrpAddresses *self)
{
	vrrp_address_kernel_want(self->kernel, false);
	self->asked = ask(self, vrrp_address_kernel_remove, NULL);
}

/* ---- At once ---- */

static bool announce(const VrrpSeenPlace *place, const VrrpServiceAddress *address, VrrpEther *ether)
{
	VrrpArp arp = { .sender = address->address, .target = address->address };

	if (place->parent == 0)
		return false;
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

		if (address->held && announce(&g_array_index(self->places, VrrpSeenPlace, address->place), address, ether))
			sent++;
	}
	return sent;
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
	gint64 busy_us = vrrp_worker_busy_us(vrrp_netlink_worker(self->netlink));

	for (guint i = 0; i < self->problems->len; i++)
		g_ptr_array_add(problems, g_strdup(self->problems->pdata[i]));
	if (busy_us != 0 && vrrp_now_us() - busy_us > SLOW_US)
		g_ptr_array_add(problems, g_strdup("kernel-busy: links, addresses and routes cannot be changed; others have held the kernel's lock for "
						   "more than a second"));
}
