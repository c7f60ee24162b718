/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/place.c - HOST:PORT, with the brackets of IPv6. */
#include "syncd/peer/place.h"

#include <string.h>

#include "syncd/error.h"
#include "settings/ip.h"

static bool fail(GError **error, const char *reason)
{
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_BAD, "%s", reason);
	return false;
}

/* Into host and what is behind the ":" that begins a port; NULL when there is none. */
static bool split(const char *text, char **ret_host, const char **ret_port)
{
	const char *colon = strchr(text, ':');

	if (*text == '[') {
		const char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return false;
		*ret_host = g_strndup(text + 1, (gsize)(end - text - 1));
		*ret_port = end[1] ? end + 2 : NULL;
		/* Brackets are there for the colons. */
		return strchr(*ret_host, ':') != NULL;
	}
	if (colon && strchr(colon + 1, ':')) /* more than one: all of it is an IPv6 address */
		colon = NULL;
	*ret_host = colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
	*ret_port = colon ? colon + 1 : NULL;
	return true;
}

bool sync_place_parse(const char *text, guint port, char **ret_host, guint *ret_port, GError **error)
{
	g_autofree char *host = NULL;
	const char *port_text = NULL;
	guint64 number = port;
	char normal[IP_TEXT_SIZE];
	IpAddress ip;

	if (!split(text, &host, &port_text))
		return fail(error, "an address is ADDRESS or ADDRESS:PORT; of IPv6 [ADDRESS]:PORT");
	if (strchr(host, '%'))
		return fail(error, "an address with a zone (\"%\") is link-local; join by the address or address6 in the other's device.conf");
	if (!ip_parse(host, &ip) || (port_text && !g_ascii_string_to_unsigned(port_text, 10, 1, 65535, &number, NULL)))
		return fail(error, "an address is ADDRESS or ADDRESS:PORT; of IPv6 [ADDRESS]:PORT");
	if (ip.family == AF_INET6 && ip_is_link_local(&ip))
		return fail(error, "the address is link-local; join by the address or address6 in the other's device.conf");
	*ret_host = g_strdup(ip_text(&ip, normal));
	*ret_port = (guint)number;
	return true;
}

char *sync_place_text(const char *host, guint port)
{
	return strchr(host, ':') ? g_strdup_printf("[%s]:%u", host, port) : g_strdup_printf("%s:%u", host, port);
}
