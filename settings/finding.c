/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* settings/finding.c - the keys by which the two devices find and understand each other; pure. */
#include "settings/settings.h"

#define VALUE(name, expression)                                \
	static guint name(const Settings *settings)            \
	{                                                      \
		return (guint)(expression);                    \
	}
VALUE(enabled, settings->enabled)
VALUE(group_id, settings->group_id)
VALUE(vrrp_version, settings->vrrp_version)
VALUE(advert_interval, settings->advert_interval_ms)
VALUE(family, settings->family)
VALUE(multicast, settings->multicast)
VALUE(virtual_mac, settings->virtual_mac)
VALUE(peer_port, settings->peer_port)
#undef VALUE

/* A device with other values than its peer's does not hear it, or is not understood: they are changed on both, or by somebody who knows. */
static const struct {
	const char *key;
	guint (*value)(const Settings *settings);
} keys[] = {
	{ "enabled", enabled },	  { "group-id", group_id },   { "vrrp-version", vrrp_version }, { "advert-interval-ms", advert_interval },
	{ "family", family },	  { "multicast", multicast }, { "virtual-mac", virtual_mac },	{ "peer-port", peer_port },
};

char *settings_finding(const Settings *settings)
{
	GString *text = g_string_new(settings->has_pair ? NULL : "none");

	for (gsize i = 0; settings->has_pair && i < G_N_ELEMENTS(keys); i++)
		g_string_append_printf(text, "%s%s=%u", i ? " " : "", keys[i].key, keys[i].value(settings));
	return g_string_free(text, FALSE);
}

char **settings_finding_differs(const Settings *a, const Settings *b)
{
	GPtrArray *differ = g_ptr_array_new();

	for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
		if (keys[i].value(a) != keys[i].value(b))
			g_ptr_array_add(differ, g_strdup(keys[i].key));
	g_ptr_array_add(differ, NULL);
	return (char **)g_ptr_array_free(differ, FALSE);
}
