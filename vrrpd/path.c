/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/path.c - paths and their sockets. */
#include "path.h"

static void packet_cb(const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data)
{
	VrrpPath *path = user_data;

	path->received(path, packet, length, received_us, counts, path->user_data);
}

VrrpPath *vrrp_path_new(const SettingsInterface *interface, bool electing, const VrrpPeer *peer, VrrpPathCb received, gpointer user_data)
{
	VrrpPath *path = g_new0(VrrpPath, 1);

	path->role = g_strdup(interface->name);
	path->device = g_strdup(interface->device);
	path->electing = electing;
	path->own = interface->address.ip;
	path->n_peers = vrrp_peer_addresses(peer, interface->name, path->peers, VRRP_PATH_MAX_PEERS);
	path->received = received;
	path->user_data = user_data;
	return path;
}

void vrrp_path_free(VrrpPath *path)
{
	if (!path)
		return;
	vrrp_socket_free(path->socket);
	g_free(path->role);
	g_free(path->device);
	g_free(path->problem);
	g_free(path);
}

void vrrp_path_refresh(VrrpPath *path, VrrpNetlink *netlink, guint8 vrid, bool multicast, bool only_peers)
{
	VrrpLink link;
	bool present = vrrp_netlink_link(netlink, path->device, &link);
	VrrpSocketConfig config = {
		.device = path->device,
		.address = path->own,
		.multicast = path->electing && multicast,
		.vrid = vrid,
		.only_peers = only_peers,
		.peers = path->peers,
		.n_peers = path->n_peers,
	};
	GError *error = NULL;

	if (present && path->socket && path->index == link.index)
		return;
	g_clear_pointer(&path->socket, vrrp_socket_free);
	g_clear_pointer(&path->problem, g_free);
	path->index = 0;
	if (!present) {
		path->problem = g_strdup_printf("%s: there is no interface %s", path->electing ? "no-interface" : "no-peer-path",
						path->device);
		return;
	}
	config.index = link.index;
	path->socket = vrrp_socket_new(&config, packet_cb, path, &error);
	if (!path->socket) {
		path->problem = g_strdup_printf("%s: %s", path->electing ? "no-socket" : "no-peer-path", error->message);
		g_error_free(error);
		return;
	}
	path->index = link.index;
}

void vrrp_path_heard(VrrpPath *path, const IpAddress *source, gint64 at_us)
{
	for (gsize i = 0; i < path->n_peers; i++)
		if (ip_equal(&path->peers[i], source))
			path->heard_us[i] = at_us;
	if (path->n_peers == 0)
		path->heard_us[0] = at_us;
}

guint vrrp_path_tell(VrrpPath *path, VrrpAdvert *advert)
{
	guint8 packet[VRRP_MAX_PACKET];
	guint failed = 0;

	for (gsize i = 0; i < path->n_peers; i++) {
		advert->source = path->own;
		advert->destination = path->peers[i];
		if (!path->socket ||
		    !vrrp_socket_send(path->socket, packet, vrrp_packet_build(advert, packet), &path->peers[i]))
			failed++;
	}
	return failed;
}
