/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/lookup.c - a name among those of a dictionary. */
#include "snmp/lookup.h"

#include "dbus/dict.h"

const char *lookup_named(GVariant *dictionary, const char *key, const char *name)
{
	g_autoptr(GVariant) names = dict_value(dictionary, key, "a{ss}");
	const char *text = "";

	if (names)
		(void)g_variant_lookup(names, name, "&s", &text);
	return text;
}
