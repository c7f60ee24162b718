/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/device.c - device.conf: this device's identity, its interfaces, and where it reaches its peer; pure. */
#include "settings/settings-private.h"

#include <string.h>

#include "settings/value.h"

static const ScannerRule rules[] = {
	{ "device", false, { "id", "name", "model" } },
	{ "interface", true, { "device", "address" } },
	{ "peer", false, { "addresses" } },
	{ 0 },
};

/* What the kernel takes as an interface's name (dev_valid_name()). */
static bool is_link_name(const char *text)
{
	gsize n = strlen(text);
	return n > 0 && n < 16 && strcspn(text, "/: \t") == n && !g_str_equal(text, ".") && !g_str_equal(text, "..");
}

static bool read_interface(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	SettingsInterface *interface = g_new0(SettingsInterface, 1);
	interface->name = g_strdup(section->name);
	g_ptr_array_add(settings->interfaces, interface); /* freed with the rest on failure */

	if (!value_require(file, section, "device", error) || !value_require(file, section, "address", error))
		return false;
	const ScannerKey *device = scanner_key(section, "device"), *address = scanner_key(section, "address");
	g_autofree char *reason = NULL;

	value_text(section, "device", &interface->device);
	if (!is_link_name(interface->device))
		return scanner_error(error, file->file, device->line, "\"%s\" is no name of a network interface", interface->device);
	if (!value_parse_address(address->value, &interface->address, &reason))
		return scanner_error(error, file->file, address->line, "%s", reason);

	for (guint i = 0; i + 1 < settings->interfaces->len; i++) {
		const SettingsInterface *other = g_ptr_array_index(settings->interfaces, i);
		if (g_str_equal(other->device, interface->device))
			return scanner_error(error, file->file, device->line, "%s is already the device of interface %s", other->device,
					     other->name);
		if (other->address.ipv4_be == interface->address.ipv4_be)
			return scanner_error(error, file->file, address->line, "%s is already the address of interface %s",
					     other->address.host, other->name);
	}
	return true;
}

static bool read_peer(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	value_list(section, "addresses", ",; \t", &settings->peer_addresses);
	const ScannerKey *key = scanner_key(section, "addresses");

	for (guint i = 0; settings->peer_addresses[i]; i++) {
		const char *text = settings->peer_addresses[i];
		g_autofree char *reason = NULL;
		guint32 ipv4_be = 0;
		if (!value_parse_host(text, &ipv4_be, &reason))
			return scanner_error(error, file->file, key->line, "%s", reason);
		for (guint j = 0; j < i; j++)
			if (g_str_equal(settings->peer_addresses[j], text))
				return scanner_error(error, file->file, key->line, "%s is there twice", text);
		for (guint j = 0; j < settings->interfaces->len; j++) {
			const SettingsInterface *interface = g_ptr_array_index(settings->interfaces, j);
			if (interface->address.ipv4_be == ipv4_be)
				return scanner_error(error, file->file, key->line, "%s is this device's own address on interface %s, not the peer's",
						     text, interface->name);
		}
	}
	return true;
}

bool device_read(Settings *settings, const char *file_name, const char *text, const char *host_name, GError **error)
{
	g_autoptr(ScannerFile) file = scanner_read(file_name, text, rules, error);
	if (!file)
		return false;

	const ScannerSection *device = scanner_section(file, "device"), *peer = scanner_section(file, "peer");
	if (!device)
		return scanner_error(error, file_name, 1, "section [device] is missing");
	settings->name = g_strdup(host_name);
	settings->model = g_strdup("");
	if (!value_require(file, device, "id", error) || !value_name(file, device, "id", &settings->id, error))
		return false;
	if (scanner_key(device, "name") && !value_require(file, device, "name", error))
		return false;
	value_text(device, "name", &settings->name);
	value_text(device, "model", &settings->model);

	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);
		if (g_str_equal(section->kind, "interface") && !read_interface(settings, file, section, error))
			return false;
	}
	/* After the interfaces, wherever it stands: it is checked against them. */
	return !peer || read_peer(settings, file, peer, error);
}
