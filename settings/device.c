/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/device.c - device.conf: this device's identity, its interfaces, and where it reaches its peer; pure. */
#include "settings/settings-private.h"

#include <string.h>
#include <sys/un.h>

#include "settings/value.h"

static const ScannerRule rules[] = {
	{ "device", false, { "id", "name", "model", "firmware", "firmware-file", "reboot-command", "own-files", "disk-budget-mb" } },
	{ "interface", true, { "device", "address", "address6" } },
	{ "peer", false, { "addresses" } },
	{ "snmp", false, { "agentx" } },
	{ 0 },
};

/* What the kernel takes as an interface's name (dev_valid_name()). */
static bool is_link_name(const char *text)
{
	gsize n = strlen(text);
	return n > 0 && n < 16 && strcspn(text, "/: \t") == n && !g_str_equal(text, ".") && !g_str_equal(text, "..");
}

static bool read_own_address(const Settings *settings, const ScannerFile *file, const ScannerSection *section, const char *name,
			     sa_family_t family, SettingsAddress *address, GError **error)
{
	const ScannerKey *key = scanner_key(section, name);
	SettingsAddress read;
	g_autofree char *reason = NULL;

	if (!key)
		return true;
	if (!value_require(file, section, name, error))
		return false;
	if (!value_parse_address(key->value, family, &read, &reason))
		return scanner_error(error, file->file, key->line, "%s", reason);
	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *other = g_ptr_array_index(settings->interfaces, i);
		const SettingsAddress *its = settings_own_address(other, family);

		if (its && ip_equal(&its->ip, &read.ip)) {
			scanner_error(error, file->file, key->line, "%s is already the address of interface %s", read.host, other->name);
			settings_address_clear(&read);
			return false;
		}
	}
	*address = read;
	if (family == AF_INET6 && ip_is_link_local(&address->ip))
		return scanner_error(error, file->file, key->line, "%s is link-local; that one is found without being written here",
				     address->host);
	return true;
}

static bool read_interface(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	SettingsInterface *interface = g_new0(SettingsInterface, 1);
	interface->name = g_strdup(section->name);
	g_ptr_array_add(settings->interfaces, interface); /* freed with the rest on failure */

	if (!value_require(file, section, "device", error))
		return false;
	if (!scanner_key(section, "address") && !scanner_key(section, "address6"))
		return scanner_error(error, file->file, section->line, "section [interface %s] needs the key \"address\" or \"address6\"",
				     section->name);
	const ScannerKey *device = scanner_key(section, "device");

	value_text(section, "device", &interface->device);
	if (!is_link_name(interface->device))
		return scanner_error(error, file->file, device->line, "\"%s\" is no name of a network interface", interface->device);
	for (guint i = 0; i + 1 < settings->interfaces->len; i++) {
		const SettingsInterface *other = g_ptr_array_index(settings->interfaces, i);
		if (g_str_equal(other->device, interface->device))
			return scanner_error(error, file->file, device->line, "%s is already the device of interface %s", other->device,
					     other->name);
	}
	return read_own_address(settings, file, section, "address", AF_INET, &interface->address, error) &&
	       read_own_address(settings, file, section, "address6", AF_INET6, &interface->address6, error);
}

static bool read_peer(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	value_list(section, "addresses", ",; \t", &settings->peer_addresses);
	const ScannerKey *key = scanner_key(section, "addresses");

	for (guint i = 0; settings->peer_addresses[i]; i++) {
		const char *text = settings->peer_addresses[i];
		g_autofree char *reason = NULL;
		IpAddress ip;
		char normal[IP_TEXT_SIZE];
		if (!value_parse_host(text, AF_UNSPEC, &ip, &reason))
			return scanner_error(error, file->file, key->line, "%s", reason);
		if (ip.family == AF_INET6 && ip_is_link_local(&ip))
			return scanner_error(error, file->file, key->line, "%s is link-local; the peer's are learned by themselves", text);
		g_free(settings->peer_addresses[i]);
		settings->peer_addresses[i] = g_strdup(ip_text(&ip, normal));
		text = settings->peer_addresses[i];
		for (guint j = 0; j < i; j++)
			if (g_str_equal(settings->peer_addresses[j], text))
				return scanner_error(error, file->file, key->line, "%s is there twice", text);
		for (guint j = 0; j < settings->interfaces->len; j++) {
			const SettingsInterface *interface = g_ptr_array_index(settings->interfaces, j);
			const SettingsAddress *own = settings_own_address(interface, ip.family);
			if (own && ip_equal(&own->ip, &ip))
				return scanner_error(error, file->file, key->line, "%s is this device's own address on interface %s, not the peer's",
						     text, interface->name);
		}
	}
	return true;
}

/* "unix:/var/agentx/master": where snmpd listens for sub-agents, as it is written in its own settings. */
static bool read_snmp(Settings *settings, const ScannerFile *file, const ScannerSection *section, GError **error)
{
	const ScannerKey *key = scanner_key(section, "agentx");
	const char *path = key ? key->value : SETTINGS_AGENTX;

	if (key && !value_require(file, section, "agentx", error))
		return false;
	if (g_str_has_prefix(path, "unix:"))
		path += strlen("unix:");
	if (!g_path_is_absolute(path) || strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return scanner_error(error, file->file, key->line, "\"%s\" is no path of a socket, as in " SETTINGS_AGENTX, key->value);
	settings->agentx = g_strconcat("unix:", path, NULL);
	return true;
}

bool device_read(Settings *settings, const char *file_name, const char *text, const char *host_name, GError **error)
{
	g_autoptr(ScannerFile) file = scanner_read(file_name, text, rules, error);
	if (!file)
		return false;

	const ScannerSection *device = scanner_section(file, "device"), *peer = scanner_section(file, "peer"), *snmp = scanner_section(file, "snmp");
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
	settings->firmware = g_strdup("");
	value_text(device, "firmware", &settings->firmware);
	const ScannerKey *firmware = scanner_key(device, "firmware-file");
	if (firmware && scanner_key(device, "firmware"))
		return scanner_error(error, file_name, firmware->line, "there is a \"firmware\" already, on line %u: it is one or the other",
				     scanner_key(device, "firmware")->line);
	if (!value_words(file, device, "reboot-command", true, &settings->reboot_command, error) ||
	    !value_path(file, device, "firmware-file", &settings->firmware_file, error) ||
	    !value_paths(file, device, "own-files", &settings->own_files, error) ||
	    !value_uint(file, device, "disk-budget-mb", 0, 1 << 30, &settings->disk_budget_mb, error))
		return false;

	for (guint i = 0; i < file->sections->len; i++) {
		const ScannerSection *section = g_ptr_array_index(file->sections, i);
		if (g_str_equal(section->kind, "interface") && !read_interface(settings, file, section, error))
			return false;
	}
	if (snmp && !read_snmp(settings, file, snmp, error))
		return false;
	/* After the interfaces, wherever it stands: it is checked against them. */
	return !peer || read_peer(settings, file, peer, error);
}
