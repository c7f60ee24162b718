/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-device.c - device.conf. */
#include "fuzz.h"
#include "settings/settings.h"

static void check_address(const SettingsAddress *address, sa_family_t family)
{
	g_assert_true(g_hostname_is_ip_address(address->host));
	g_assert_cmpint(address->ip.family, ==, family);
	g_assert_cmpuint(address->prefix, <=, 8 * ip_length(&address->ip));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const none[] = { NULL };
	g_autofree char *text = fuzz_text(data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_parse(text, NULL, none, none, &error);

	if (!settings) {
		fuzz_check_error(error);
		return 0;
	}
	g_assert_no_error(error);
	g_assert_true(*settings->id && strlen(settings->id) <= 64 && settings->name && settings->model);
	g_assert_false(settings->has_pair);
	for (guint i = 0; i < settings->interfaces->len; i++) {
		const SettingsInterface *interface = settings->interfaces->pdata[i];

		g_assert_true(settings_interface(settings, interface->name) == interface); /* no name twice */
		g_assert_true(interface->address.host || interface->address6.host);
		if (interface->address.host)
			check_address(&interface->address, AF_INET);
		if (interface->address6.host)
			check_address(&interface->address6, AF_INET6);
		g_assert_false(strchr(interface->device, '/') != NULL); /* it becomes part of paths below /proc/sys */
	}
	for (guint i = 0; settings->peer_addresses[i]; i++)
		g_assert_true(g_hostname_is_ip_address(settings->peer_addresses[i]));
	return 0;
}
