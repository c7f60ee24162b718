/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/addresses.c - the peer's addresses from what it told, now and before. */
#include "supervisor/addresses.h"

#include <string.h>

#include "settings/ip.h"

static bool is_link_local(const char *text)
{
	IpAddress ip;

	return ip_parse(text, &ip) && ip.family == AF_INET6 && ip_is_link_local(&ip);
}

/* Told now, else known from before. Owned by its container. */
static const char *find_link_local(const char *role, GVariant *link_locals, GVariant *known)
{
	const char *text;
	g_autofree const char **before = NULL;

	if (link_locals && g_variant_lookup(link_locals, role, "&s", &text) && is_link_local(text))
		return text;
	if (known && g_variant_lookup(known, role, "^a&s", &before))
		for (guint i = 0; before[i]; i++)
			if (is_link_local(before[i]))
				return before[i];
	return NULL;
}

static bool is_address(const char *text)
{
	g_autofree char *host = g_strndup(text, strcspn(text, "/"));
	IpAddress ip;

	return ip_parse(host, &ip) && !is_link_local(host);
}

GVariant *addresses_of_peer(GVariant *told, GVariant *link_locals, GVariant *known)
{
	GVariantBuilder all;
	GVariantIter roles;
	const char *role;
	GVariant *list;

	g_variant_builder_init(&all, G_VARIANT_TYPE("a{sas}"));
	g_variant_iter_init(&roles, told);
	while (g_variant_iter_next(&roles, "{&s@as}", &role, &list)) {
		g_autofree const char **hosts = g_variant_get_strv(list, NULL);
		const char *link_local = find_link_local(role, link_locals, known);
		GVariantBuilder own;

		g_variant_builder_init(&own, G_VARIANT_TYPE_STRING_ARRAY);
		for (guint i = 0; hosts[i]; i++)
			if (is_address(hosts[i]))
				g_variant_builder_add(&own, "s", hosts[i]);
		if (link_local)
			g_variant_builder_add(&own, "s", link_local);
		g_variant_builder_add(&all, "{sas}", role, &own);
		g_variant_unref(list);
	}
	return g_variant_builder_end(&all);
}
