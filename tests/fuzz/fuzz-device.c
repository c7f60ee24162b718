/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/fuzz/fuzz-device.c - device.conf. */
#include "fuzz.h"
#include "settings/settings.h"

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
		g_assert_true(g_hostname_is_ip_address(interface->address.host));
		g_assert_cmpuint(interface->address.prefix, <=, 32);
		g_assert_false(strchr(interface->device, '/') != NULL); /* it becomes part of paths below /proc/sys */
	}
	for (guint i = 0; settings->peer_addresses[i]; i++)
		g_assert_true(g_hostname_is_ip_address(settings->peer_addresses[i]));
	return 0;
}
