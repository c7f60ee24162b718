/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/source.c - own addresses, kept for whoever dials. */
#include "syncd/peer/source.h"

static GMutex lock;
static GArray *own; /* of SettingsAddress, without the texts; as the kernel's routes these are the device's, not a connection's */

static void add(const SettingsAddress *address)
{
	SettingsAddress plain = { .ip = address->ip, .prefix = address->prefix };

	if (ip_is_set(&plain.ip))
		g_array_append_val(own, plain);
}

void sync_source_set(const Settings *settings)
{
	g_mutex_lock(&lock);
	if (!own)
		own = g_array_new(FALSE, FALSE, sizeof(SettingsAddress));
	g_array_set_size(own, 0);
	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *interface = settings->interfaces->pdata[i];

		add(&interface->address);
		add(&interface->address6);
	}
	g_mutex_unlock(&lock);
}

static GSocketAddress *address_for(const char *host)
{
	GSocketAddress *found = NULL;
	IpAddress ip;

	if (!ip_parse(host, &ip))
		return NULL;
	g_mutex_lock(&lock);
	for (guint i = 0; own && i < own->len && !found; i++) {
		const SettingsAddress *each = &g_array_index(own, SettingsAddress, i);
		char text[IP_TEXT_SIZE];

		if (ip_same_network(&each->ip, &ip, each->prefix))
			found = g_inet_socket_address_new_from_string(ip_text(&each->ip, text), 0);
	}
	g_mutex_unlock(&lock);
	return found;
}

GSocketClient *sync_source_client(const char *host)
{
	GSocketClient *client = g_socket_client_new();
	g_autoptr(GSocketAddress) from = address_for(host);

	g_socket_client_set_enable_proxy(client, FALSE);
	if (from)
		g_socket_client_set_local_address(client, from);
	return client;
}
