/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/lookup.c - values out of a{sv}. */
#include "snmp/lookup.h"

GVariant *lookup_value(GVariant *dictionary, const char *key, const char *type)
{
	return dictionary ? g_variant_lookup_value(dictionary, key, (const GVariantType *)type) : NULL;
}

const char *lookup_text(GVariant *dictionary, const char *key)
{
	const char *text = "";

	if (dictionary)
		(void)g_variant_lookup(dictionary, key, "&s", &text);
	return text;
}

bool lookup_flag(GVariant *dictionary, const char *key)
{
	gboolean flag = FALSE;

	if (dictionary)
		(void)g_variant_lookup(dictionary, key, "b", &flag);
	return flag;
}

gint64 lookup_number(GVariant *dictionary, const char *key, gint64 fallback)
{
	g_autoptr(GVariant) value = lookup_value(dictionary, key, NULL);

	if (!value)
		return fallback;
	switch (g_variant_classify(value)) {
	case G_VARIANT_CLASS_BYTE:
		return g_variant_get_byte(value);
	case G_VARIANT_CLASS_INT32:
		return g_variant_get_int32(value);
	case G_VARIANT_CLASS_UINT32:
		return g_variant_get_uint32(value);
	case G_VARIANT_CLASS_INT64:
		return g_variant_get_int64(value);
	case G_VARIANT_CLASS_UINT64:
		return (gint64)MIN(g_variant_get_uint64(value), (guint64)G_MAXINT64);
	case G_VARIANT_CLASS_DOUBLE:
		return (gint64)CLAMP(g_variant_get_double(value), -9e15, 9e15);
	case G_VARIANT_CLASS_BOOLEAN:
	case G_VARIANT_CLASS_INT16:
	case G_VARIANT_CLASS_UINT16:
	case G_VARIANT_CLASS_HANDLE:
	case G_VARIANT_CLASS_STRING:
	case G_VARIANT_CLASS_OBJECT_PATH:
	case G_VARIANT_CLASS_SIGNATURE:
	case G_VARIANT_CLASS_VARIANT:
	case G_VARIANT_CLASS_MAYBE:
	case G_VARIANT_CLASS_ARRAY:
	case G_VARIANT_CLASS_TUPLE:
	case G_VARIANT_CLASS_DICT_ENTRY:
		break;
	}
	return fallback;
}

const char *lookup_named(GVariant *dictionary, const char *key, const char *name)
{
	g_autoptr(GVariant) names = lookup_value(dictionary, key, "a{ss}");
	const char *text = "";

	if (names)
		(void)g_variant_lookup(names, name, "&s", &text);
	return text;
}
