/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/address-kernel-links.c - the interfaces that service addresses are on: made, tuned, brought up, removed. */
#include <string.h>

#include "vrrpd/kernel/address-kernel-private.h"

static void set_sysctl(VrrpAddressKernel *self, VrrpPlace *place, const char *family, const char *device, const char *name, const char *value,
		       bool lasting)
{
	g_autofree char *key = g_strdup_printf("%s/conf/%s/%s", family, device, name);
	GError *error = NULL;

	if (!vrrp_sysctl_set(self->sysctl, key, value, lasting, &error))
		vrrp_kernel_complain(&place->refused, "sysctl-refused", place->member->virtual_device, error);
}

/* Either of arp_ignore and arp_announce alone lets hosts learn the physical MAC for a service address. */
static void tune_parent(VrrpAddressKernel *self, VrrpPlace *place)
{
	if (place->member->family == AF_INET6) /* the kernel answers a solicitation only where the address is */
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "promote_secondaries", "1", true);
	if (!place->member->is_virtual)
		return;
	set_sysctl(self, place, "ipv4", place->member->device, "arp_ignore", "1", true);
	set_sysctl(self, place, "ipv4", place->member->device, "arp_announce", "2", true);
}

static void tune_virtual(VrrpAddressKernel *self, VrrpPlace *place)
{
	GError *error = NULL;

	if (place->member->family == AF_INET6)
		set_sysctl(self, place, "ipv6", place->member->virtual_device, "disable_ipv6", "0", false); /* whatever the default says */
	/* No link-local address of its own: the Backup's interface has the same MAC, and they would collide. */
	if (!vrrp_rtnl_link_no_own_address(self->rtnl, place->index, &error))
		vrrp_kernel_complain(&place->refused, "sysctl-refused", place->member->virtual_device, error);
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

static void prepare_virtual(VrrpAddressKernel *self, VrrpPlace *place, bool clean)
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
			vrrp_kernel_complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
			return;
		}
	}
	if (!vrrp_rtnl_macvlan_add(self->rtnl, place->member->virtual_device, place->parent, place->mac, &error)) {
		vrrp_kernel_complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		return;
	}
	place->up = false;
	if (vrrp_rtnl_link(self->rtnl, place->member->virtual_device, &link))
		place->index = link.index;
	tune_virtual(self, place);
}

/* Whether the interface that was prepared is still the one that is there. */
static bool is_as_prepared(VrrpAddressKernel *self, VrrpPlace *place, const VrrpLink *parent, bool *lost)
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

bool vrrp_kernel_prepare(VrrpAddressKernel *self, bool clean)
{
	bool lost = false;

	for (guint i = 0; i < self->n_places; i++) {
		VrrpPlace *place = &self->places[i];
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
			vrrp_kernel_delete_addresses(self, i);
			vrrp_rtnl_routes_clear(self->rtnl, place->parent);
			vrrp_rtnl_routes_clear(self->rtnl, place->index);
		}
	}
	return lost;
}

bool vrrp_kernel_bring_up(VrrpAddressKernel *self, VrrpPlace *place)
{
	GError *error = NULL;

	if (place->up)
		return true;
	if (!vrrp_rtnl_link_up(self->rtnl, place->index, true, &error)) {
		vrrp_kernel_complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		return false;
	}
	place->up = true;
	g_clear_pointer(&place->problem, g_free);
	return true;
}

void vrrp_kernel_delete_virtual(VrrpAddressKernel *self, VrrpPlace *place)
{
	g_autoptr(GError) error = NULL;

	if (!place->member->is_virtual || !place->index)
		return;
	if (!vrrp_rtnl_link_delete(self->rtnl, place->index, &error))
		g_debug("%s: %s", place->member->virtual_device, error->message);
	place->index = 0;
	place->up = false;
}

bool vrrp_address_kernel_rest(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	for (guint i = 0; i < self->n_places; i++) {
		VrrpPlace *place = &self->places[i];
		GError *error = NULL;

		if (!place->member->is_virtual || !place->up)
			continue;
		if (place->index && !vrrp_rtnl_link_up(self->rtnl, place->index, false, &error))
			vrrp_kernel_complain(&place->problem, "no-virtual-mac", place->member->virtual_device, error);
		place->up = false;
	}
	vrrp_kernel_tell(self, NULL, false);
	return true;
}

bool vrrp_address_kernel_remove(gpointer data, gpointer more)
{
	VrrpAddressKernel *self = data;

	for (guint i = 0; i < self->n_places; i++)
		vrrp_kernel_delete_virtual(self, &self->places[i]);
	vrrp_sysctl_restore(self->sysctl);
	return true;
}
