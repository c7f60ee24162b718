/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/wire/path.c - paths and their sockets. */
#include "vrrpd/wire/path.h"

#include <string.h>

#include "vrrpd/loop/timer.h"
#include "vrrpd/wire/nd.h"

#define MAX_LINK_LOCALS 8
#define FORMER_US (10 * G_USEC_PER_SEC)
#define BELIEVE_US (3 * FORMER_US)
#define MEET_EVERY_US G_USEC_PER_SEC
#define MEET_AGAIN_US (20 * G_USEC_PER_SEC)

static void packet_cb(const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data)
{
	VrrpPath *path = user_data;

	path->received(path, packet, length, received_us, counts, path->user_data);
}

/* The peer's addresses on @role that are of @family, and over IPv6 link-local ones or not. */
static gsize peers_of(const VrrpPeer *peer, const char *role, sa_family_t family, bool link_local, IpAddress *ret_peers)
{
	IpAddress all[VRRP_PEER_MAX_ADDRESSES];
	gsize n_all = vrrp_peer_addresses(peer, role, all, G_N_ELEMENTS(all)), n = 0;

	for (gsize i = 0; i < n_all && n < VRRP_PATH_MAX_PEERS; i++)
		if (all[i].family == family && ip_is_ipv6_link_local(&all[i]) == link_local)
			ret_peers[n++] = all[i];
	return n;
}

/* One cable is one way, whatever is spoken on it: IPv4 where there is such an address, else IPv6. */
static bool choose_unicast(VrrpPath *path, const SettingsInterface *interface, const VrrpPeer *peer, guint version)
{
	const SettingsAddress *own = settings_own_address(interface, AF_INET), *own6 = settings_own_address(interface, AF_INET6);

	path->family = AF_INET;
	path->n_peers = own ? peers_of(peer, path->role, AF_INET, false, path->peers) : 0;
	if (path->n_peers > 0) {
		path->own = own->ip;
		return true;
	}
	if (version == 2)
		return false;
	path->family = AF_INET6;
	path->n_peers = own6 ? peers_of(peer, path->role, AF_INET6, false, path->peers) : 0;
	if (path->n_peers > 0) {
		path->own = own6->ip;
		return true;
	}
	path->link_local = true;
	path->n_peers = peers_of(peer, path->role, AF_INET6, true, path->peers);
	return path->n_peers > 0;
}

VrrpPath *vrrp_path_new(const SettingsInterface *interface, const VrrpMember *member, const VrrpPeer *peer, guint version, VrrpPathCb received,
			gpointer user_data)
{
	g_autoptr(VrrpPath) path = g_new0(VrrpPath, 1);

	path->role = g_strdup(interface->name);
	path->device = g_strdup(interface->device);
	path->received = received;
	path->user_data = user_data;
	if (!member) {
		path->kind = VRRP_PATH_UNICAST;
		path->only_peers = true;
		return choose_unicast(path, interface, peer, version) ? g_steal_pointer(&path) : NULL;
	}
	path->kind = member->elects ? VRRP_PATH_ELECTOR : VRRP_PATH_FOLLOWER;
	path->name = g_strdup(member->path);
	path->family = member->family;
	/* 5798 5.1.2.1: over IPv6 adverts come from link-local addresses. */
	path->link_local = member->family == AF_INET6;
	if (!path->link_local && settings_own_address(interface, AF_INET))
		path->own = settings_own_address(interface, AF_INET)->ip;
	path->n_peers = peers_of(peer, path->role, path->family, path->link_local, path->peers);
	/* The peer's link-local address is learned, not configured: before that the elector must not be deaf, and nobody is a stranger. */
	path->only_peers = peer->paired && (path->n_peers > 0 || (member->elects && path->family == AF_INET));
	return g_steal_pointer(&path);
}

void vrrp_path_free(VrrpPath *path)
{
	if (!path)
		return;
	vrrp_socket_free(path->socket);
	vrrp_claims_free(path->claims);
	g_free(path->name);
	g_free(path->role);
	g_free(path->device);
	g_free(path->problem);
	g_free(path);
}

static bool is_among(const VrrpPath *path, const IpAddress *peer)
{
	for (gsize i = 0; i < path->n_peers + path->n_former; i++)
		if (ip_equal(&path->peers[i], peer))
			return true;
	return false;
}

void vrrp_path_inherit(VrrpPath *path, const VrrpPath *former)
{
	if (!path->link_local || !former->link_local || path->kind != former->kind || strcmp(path->device, former->device) != 0)
		return;
	path->own = former->own;
	path->former = former->former;
	path->former_until_us = former->former_until_us;
	for (gsize i = 0; i < former->n_peers + former->n_former; i++) {
		gsize n = path->n_peers + path->n_former;

		if (path->n_peers == 0 || n == VRRP_PATH_MAX_PEERS || is_among(path, &former->peers[i]))
			continue;
		path->peers[n] = former->peers[i];
		path->n_former++;
		path->believe_until_us = vrrp_now_us() + BELIEVE_US;
	}
}

gsize vrrp_path_believes(const VrrpPath *path, gint64 now_us)
{
	return path->n_peers + (now_us < path->believe_until_us ? path->n_former : 0);
}

IpAddress vrrp_path_find_link_local(VrrpNetlink *netlink, int index, const GPtrArray *members, const IpAddress *known)
{
	IpAddress found[MAX_LINK_LOCALS];
	gsize n = vrrp_netlink_link_locals(netlink, index, found, G_N_ELEMENTS(found));

	for (gsize i = 0; i < n; i++)
		if (ip_equal(&found[i], known))
			return *known;
	for (gsize i = 0; i < n; i++)
		if (!vrrp_members_have(members, &found[i]))
			return found[i];
	return (IpAddress){ 0 };
}

static void no_socket(VrrpPath *path, const char *why)
{
	g_free(path->problem);
	path->problem = g_strdup_printf("%s: %s", path->kind == VRRP_PATH_UNICAST ? "no-peer-path" : "no-socket", why);
	path->link.index = 0; /* tried again when links change */
}

static void look_whether_it_hears(VrrpPath *path)
{
	g_autoptr(GError) error = NULL;

	path->joining = path->socket && !vrrp_socket_hears(path->socket, &error) && !error;
	if (path->joining && !path->problem)
		path->problem = g_strdup_printf("no-socket: %s hears no adverts yet, because the kernel is busy", path->device);
	if (!error)
		return;
	g_clear_pointer(&path->socket, vrrp_socket_free);
	no_socket(path, error->message);
}

static void open_socket(VrrpPath *path, VrrpWorker *worker, guint8 vrid, bool multicast)
{
	VrrpSocketConfig config = {
		.device = path->device,
		.index = path->link.index,
		.address = { .family = path->family },
		.worker = worker,
		.multicast = path->kind != VRRP_PATH_UNICAST && multicast,
		.vrid = vrid,
		.only_peers = path->only_peers,
		.peers = path->peers,
		.n_peers = path->n_peers + path->n_former,
	};
	g_autoptr(GError) error = NULL;

	path->socket = vrrp_socket_new(&config, packet_cb, path, &error);
	if (!path->socket)
		no_socket(path, error->message);
}

static void met_cb(const VrrpClaim *claim, gpointer user_data)
{
	VrrpPath *path = user_data;

	for (gsize i = 0; i < path->n_peers; i++) {
		if (!ip_equal(&path->peers[i], &claim->address))
			continue;
		memcpy(path->macs[i], claim->mac, 6);
		path->met_us[i] = vrrp_now_us();
	}
}

/* By unicast the MAC is ours to know: what the kernel is given for a neighbour whose MAC it does not know waits until it does, for seconds, and is then
 * said all at once; a priority 0 as well, when it may be true no longer. */
static void listen_for_macs(VrrpPath *path, VrrpWorker *worker)
{
	g_autoptr(GArray) peers = g_array_new(FALSE, FALSE, sizeof(IpAddress));
	g_autoptr(GError) error = NULL;

	memset(path->met_us, 0, sizeof path->met_us);
	path->asked_us = 0;
	g_array_append_vals(peers, path->peers, (guint)path->n_peers);
	path->claims = vrrp_claims_new(path->link.index, peers, G_PRIORITY_DEFAULT, met_cb, path, worker, &error);
	if (!path->claims)
		g_warning("%s: %s", path->device, error->message); /* the kernel sends what is for it then */
}

void vrrp_path_meet(VrrpPath *path, VrrpEther *ether, gint64 now_us)
{
	if (!path->claims || !path->link.carrier || !ip_is_set(&path->own) || (path->asked_us != 0 && now_us - path->asked_us < MEET_EVERY_US))
		return;
	for (gsize i = 0; i < path->n_peers; i++) {
		VrrpArp arp = { .sender = path->own, .target = path->peers[i] };

		if (path->met_us[i] != 0 && now_us - path->met_us[i] < MEET_AGAIN_US)
			continue;
		path->asked_us = now_us;
		memcpy(arp.from, path->link.mac, 6);
		if (path->family == AF_INET)
			(void)vrrp_ether_arp(ether, path->link.index, &arp);
		else
			(void)vrrp_nd_solicit(ether, path->link.index, path->link.mac, &path->own, &path->peers[i]);
	}
}

bool vrrp_path_is_deaf(const VrrpPath *path)
{
	return !path->socket || !vrrp_socket_hears(path->socket, NULL);
}

/* When the same peer was heard on the same way. */
static void remember_heard(VrrpPath *path, const VrrpPath *former)
{
	if (path->n_peers == 0 && former->n_peers == 0)
		path->heard_us[0] = MAX(path->heard_us[0], former->heard_us[0]);
	for (gsize i = 0; i < path->n_peers; i++)
		for (gsize k = 0; k < former->n_peers; k++)
			if (ip_equal(&path->peers[i], &former->peers[k]))
				path->heard_us[i] = MAX(path->heard_us[i], former->heard_us[k]);
}

void vrrp_path_adopt(VrrpPath *path, VrrpPath *former)
{
	if (path->kind != former->kind || path->family != former->family || strcmp(path->device, former->device) != 0)
		return;
	remember_heard(path, former);
	if (path->socket || !former->socket ||
	    !vrrp_socket_believe(former->socket, path->only_peers, path->peers, path->n_peers + path->n_former, path))
		return;
	path->socket = g_steal_pointer(&former->socket);
	path->link = former->link;
}

static void take_link_local(VrrpPath *path, const IpAddress *own)
{
	if (ip_is_set(&path->own) && ip_is_set(own) && !ip_equal(&path->own, own) && path->n_peers > 0) {
		path->former = path->own;
		path->former_until_us = vrrp_now_us() + FORMER_US;
	}
	path->own = *own;
}

void vrrp_path_refresh(VrrpPath *path, VrrpNetlink *netlink, guint8 vrid, bool multicast, const GPtrArray *members)
{
	VrrpLink link;
	bool present = vrrp_netlink_link(netlink, path->device, &link);
	IpAddress own;

	g_clear_pointer(&path->problem, g_free);
	if (!present || !link.carrier || path->link.index != link.index) /* another cable, another peer */
		g_clear_pointer(&path->claims, vrrp_claims_free);
	if (!present || !path->socket || path->link.index != link.index) {
		g_clear_pointer(&path->socket, vrrp_socket_free);
		path->link = link;
		if (present)
			open_socket(path, vrrp_netlink_worker(netlink), vrid, multicast);
		else
			path->problem = g_strdup_printf("%s: there is no interface %s",
							path->kind == VRRP_PATH_UNICAST ? "no-peer-path" : "no-interface", path->device);
	} else {
		path->link = link;
	}
	look_whether_it_hears(path);
	if (!path->claims && path->link.index != 0 && path->link.carrier && path->n_peers > 0 && (path->kind == VRRP_PATH_UNICAST || !multicast))
		listen_for_macs(path, vrrp_netlink_worker(netlink));
	if (!path->link_local)
		return;
	own = present ? vrrp_path_find_link_local(netlink, link.index, members, &path->own) : (IpAddress){ 0 };
	take_link_local(path, &own);
	if (present && !path->problem && !ip_is_set(&path->own))
		path->problem = g_strdup_printf("no-link-local: %s has no link-local IPv6 address", path->device);
}

void vrrp_path_heard(VrrpPath *path, const IpAddress *source, gint64 at_us)
{
	for (gsize i = 0; i < path->n_peers; i++)
		if (ip_equal(&path->peers[i], source))
			path->heard_us[i] = at_us;
	if (path->n_peers == 0)
		path->heard_us[0] = at_us;
}

gint64 vrrp_path_last_heard(const VrrpPath *path)
{
	gint64 last_us = 0;

	for (gsize i = 0; i < MAX(path->n_peers, 1); i++)
		last_us = MAX(last_us, path->heard_us[i]);
	return last_us;
}

/* Where it has heard no MAC (a tunnel has none) the kernel may know how it goes there; and whether it does without our own address. */
static bool tell_one(VrrpPath *path, VrrpEther *ether, gsize i, VrrpAdvert *advert)
{
	guint8 packet[VRRP_MAX_PACKET];
	gsize length;

	if (!path->socket || !ip_is_set(&path->own))
		return false;
	advert->source = path->own;
	advert->destination = path->peers[i];
	length = vrrp_packet_build(advert, packet);
	if (path->met_us[i] != 0 && !path->own_missing)
		return vrrp_ether_packet(ether, path->link.index, path->link.mac, path->macs[i], packet, length);
	return vrrp_socket_send(path->socket, packet, length, &path->peers[i]);
}

guint vrrp_path_tell(VrrpPath *path, VrrpEther *ether, VrrpAdvert *advert)
{
	guint failed = 0;

	for (gsize i = 0; i < path->n_peers; i++)
		failed += !tell_one(path, ether, i, advert);
	return failed;
}

bool vrrp_path_multicast(VrrpPath *path, VrrpEther *ether, const guint8 mac[static 6], VrrpAdvert *advert)
{
	guint8 packet[VRRP_MAX_PACKET];

	if (!ip_is_set(&path->own))
		return false;
	advert->source = path->former_until_us != 0 && vrrp_now_us() < path->former_until_us ? path->former : path->own;
	advert->destination = vrrp_group_address(path->family);
	return vrrp_ether_multicast(ether, path->link.index, mac, packet, vrrp_packet_build(advert, packet));
}
