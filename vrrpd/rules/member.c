/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/member.c - which virtual routers there are. */
#include "vrrpd/rules/member.h"

#include <string.h>

#include "vrrpd/wire/nd.h"

static void clear_address(gpointer data)
{
	g_free(((VrrpMemberAddress *)data)->text);
}

static void member_free(gpointer data)
{
	VrrpMember *member = data;

	g_free(member->group);
	g_free(member->role);
	g_free(member->device);
	g_free(member->path);
	g_free(member->virtual_device);
	g_array_unref(member->addresses);
	g_array_unref(member->routes);
	g_free(member);
}

/* "default via 203.0.113.1" or "2001:db8:5::/48 via fe80::1"; settings/ has checked the form. */
static bool parse_route(const char *text, VrrpMemberRoute *ret_route)
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

static void add_routes(VrrpMember *member, const SettingsGroup *group)
{
	for (guint i = 0; i < group->routes->len; i++) {
		VrrpMemberRoute route;

		if (parse_route(group->routes->pdata[i], &route) && route.gateway.family == member->family)
			g_array_append_val(member->routes, route);
	}
}

/* 5798 5.2.9: over IPv6 the virtual router's link-local address is the first. */
static void add_addresses(VrrpMember *member, const Settings *settings, const SettingsGroup *group)
{
	for (guint i = 0; i < group->addresses->len; i++) {
		const SettingsAddress *from = group->addresses->pdata[i];
		VrrpMemberAddress address = { .ip = from->ip, .prefix = from->prefix };
		bool first = ip_is_ipv6_link_local(&from->ip) &&
			     (member->addresses->len == 0 || !ip_is_ipv6_link_local(&g_array_index(member->addresses, VrrpMemberAddress, 0).ip));

		if (from->ip.family != member->family)
			continue;
		address.text = g_strdup(from->text);
		if (first)
			g_array_prepend_val(member->addresses, address);
		else
			g_array_append_val(member->addresses, address);
	}
	if (member->family == AF_INET6 && member->addresses->len > 0 &&
	    !ip_is_ipv6_link_local(&g_array_index(member->addresses, VrrpMemberAddress, 0).ip)) {
		VrrpMemberAddress address = { .ip = settings_derived_link_local(settings), .prefix = 64 };
		char text[IP_TEXT_SIZE];

		address.text = g_strdup_printf("%s/64", ip_text(&address.ip, text));
		g_array_prepend_val(member->addresses, address);
	}
}

/* Groups on one interface share its virtual interface: a MAC can be there once. */
static guint place_number(const Settings *settings, const char *interface)
{
	guint i = 0;

	while (strcmp(((const SettingsGroup *)settings->groups->pdata[i])->interface, interface) != 0)
		i++;
	return i;
}

static VrrpMember *member_new(const Settings *settings, const SettingsGroup *group, sa_family_t family)
{
	const SettingsInterface *interface = settings_interface(settings, group->interface);
	guint8 vrid = (guint8)settings->group_id;
	VrrpMember *member = g_new0(VrrpMember, 1);

	member->group = g_strdup(group->name);
	member->role = g_strdup(group->interface);
	member->device = g_strdup(interface ? interface->device : "");
	member->family = family;
	member->addresses = g_array_new(FALSE, FALSE, sizeof(VrrpMemberAddress));
	g_array_set_clear_func(member->addresses, clear_address);
	member->routes = g_array_new(FALSE, FALSE, sizeof(VrrpMemberRoute));
	add_addresses(member, settings, group);
	add_routes(member, group);
	if (family == AF_INET6)
		vrrp_virtual_mac6(vrid, member->virtual_mac);
	else
		vrrp_virtual_mac(vrid, member->virtual_mac);
	member->elects = group->elects && family == settings->family;
	/* Version 2 has no IPv6: there it follows. */
	member->advertises = member->elects || ((group->elects || group->adverts) && member->addresses->len > 0 &&
						(settings->vrrp_version != 2 || family == AF_INET));
	member->path = member->elects ? g_strdup("lan") :
		       g_strdup_printf("%s-%s", member->role, family == AF_INET6 ? "ipv6" : "ipv4");
	return member;
}

/* The first address that can be used beyond the link of those that are on the interface: its own group's, else another's. */
static const IpAddress *find_source(const GPtrArray *members, const VrrpMember *member)
{
	for (guint i = 0; i < member->addresses->len; i++)
		if (!ip_is_ipv6_link_local(&g_array_index(member->addresses, VrrpMemberAddress, i).ip))
			return &g_array_index(member->addresses, VrrpMemberAddress, i).ip;
	for (guint i = 0; i < members->len; i++) {
		const VrrpMember *other = members->pdata[i];

		if (other->addresses->len > 0 && other != member && other->family == member->family && strcmp(other->role, member->role) == 0)
			return find_source(members, other);
	}
	return NULL;
}

/* An interface without an address of the family can resolve no gateway, and its routes would have the source of any other. */
static void place(GPtrArray *members, const Settings *settings, VrrpMember *member)
{
	const IpAddress *source = find_source(members, member);
	const SettingsInterface *interface = settings_interface(settings, member->role);
	const SettingsAddress *own = interface ? settings_own_address(interface, member->family) : NULL;

	member->is_virtual = settings->virtual_mac && (source || member->addresses->len > 0);
	member->virtual_device = member->is_virtual ?
				 g_strdup_printf("vrrp%u.%u%s", settings->group_id, place_number(settings, member->role),
						 member->family == AF_INET6 ? "v6" : "") :
				 g_strdup(member->device);
	if (source)
		member->source = *source;
	else if (own && member->addresses->len == 0)
		member->source = own->ip;
}

GPtrArray *vrrp_members_new(const Settings *settings)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	GPtrArray *members = g_ptr_array_new_with_free_func(member_free);

	for (guint i = 0; i < settings->groups->len; i++) {
		for (guint j = 0; j < G_N_ELEMENTS(families); j++) {
			VrrpMember *member = member_new(settings, settings->groups->pdata[i], families[j]);

			if (member->addresses->len > 0 || member->routes->len > 0)
				g_ptr_array_add(members, member);
			else
				member_free(member);
		}
	}
	for (guint i = 0; i < members->len; i++)
		place(members, settings, members->pdata[i]);
	return members;
}

const VrrpMember *vrrp_members_elector(const GPtrArray *members)
{
	for (guint i = 0; i < members->len; i++)
		if (((const VrrpMember *)members->pdata[i])->elects)
			return members->pdata[i];
	return NULL;
}

bool vrrp_members_same_paths(const GPtrArray *a, const GPtrArray *b)
{
	if (a->len != b->len)
		return false;
	for (guint i = 0; i < a->len; i++) {
		const VrrpMember *x = a->pdata[i], *y = b->pdata[i];

		if (x->family != y->family || x->elects != y->elects || x->advertises != y->advertises || strcmp(x->device, y->device) != 0 ||
		    strcmp(x->path, y->path) != 0)
			return false;
	}
	return true;
}

bool vrrp_members_have(const GPtrArray *members, const IpAddress *ip)
{
	for (guint i = 0; i < members->len; i++) {
		const GArray *addresses = ((const VrrpMember *)members->pdata[i])->addresses;

		for (guint j = 0; j < addresses->len; j++)
			if (ip_equal(&g_array_index(addresses, VrrpMemberAddress, j).ip, ip))
				return true;
	}
	return false;
}
