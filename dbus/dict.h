/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/dict.h - values out of an a{sv} that somebody else filled. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A default stands in for what is absent or of another type, and for a NULL @dict. Strings are borrowed from @dict. */
const char *dict_string(GVariant *dict, const char *key, const char *fallback);
gint64 dict_int(GVariant *dict, const char *key, gint64 fallback); /* any integer type */
double dict_double(GVariant *dict, const char *key, double fallback);
bool dict_bool(GVariant *dict, const char *key);
GVariant *dict_value(GVariant *dict, const char *key, const char *type); /* NULL when absent; transfer full */
