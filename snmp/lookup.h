/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/lookup.h - values out of a{sv} that may be NULL, lack the key, or have another type there: then the fallback. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

const char *lookup_text(GVariant *dictionary, const char *key);
gint64 lookup_number(GVariant *dictionary, const char *key, gint64 fallback); /* of any integer type, and d */
bool lookup_flag(GVariant *dictionary, const char *key);
/* Transfer full; NULL when it is not there with this type. */
GVariant *lookup_value(GVariant *dictionary, const char *key, const char *type);
/* dictionary[key][name] of an a{ss}; "" when it is not there. Borrowed from @dictionary. */
const char *lookup_named(GVariant *dictionary, const char *key, const char *name);
