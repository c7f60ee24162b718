/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/lookup.h - beside dbus/dict.h: a name among those that a dictionary has under a key. Pure. */
#pragma once

#include <glib.h>

/* dictionary[key][name] of an a{ss}; "" when it is not there. Borrowed from @dictionary. */
const char *lookup_named(GVariant *dictionary, const char *key, const char *name);
