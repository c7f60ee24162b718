/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/dict.c - values out of an a{sv} that somebody else filled. */
#include "dbus/dict.h"

const char *dict_string(GVariant *dict, const char *key, const char *fallback)
{
	const char *text;

	return dict && g_variant_lookup(dict, key, "&s", &text) ? text : fallback;
}

gint64 dict_int(GVariant *dict, const char *key, gint64 fallback)
{
	g_autoptr(GVariant) value = dict ? g_variant_lookup_value(dict, key, NULL) : NULL;

	if (!value)
		return fallback;
	switch (g_variant_classify(value)) {
	case G_VARIANT_CLASS_BYTE:
		return g_variant_get_byte(value);
	case G_VARIANT_CLASS_INT16:
		return g_variant_get_int16(value);
	case G_VARIANT_CLASS_UINT16:
		return g_variant_get_uint16(value);
	case G_VARIANT_CLASS_INT32:
		return g_variant_get_int32(value);
	case G_VARIANT_CLASS_UINT32:
		return g_variant_get_uint32(value);
	case G_VARIANT_CLASS_INT64:
		return g_variant_get_int64(value);
	case G_VARIANT_CLASS_UINT64:
		return (gint64)MIN(g_variant_get_uint64(value), (guint64)G_MAXINT64);
	case G_VARIANT_CLASS_BOOLEAN:
	case G_VARIANT_CLASS_HANDLE:
	case G_VARIANT_CLASS_DOUBLE:
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

double dict_double(GVariant *dict, const char *key, double fallback)
{
	double number;

	return dict && g_variant_lookup(dict, key, "d", &number) ? number : fallback;
}

bool dict_bool(GVariant *dict, const char *key)
{
	gboolean value = FALSE;

	return dict && g_variant_lookup(dict, key, "b", &value) && value;
}

GVariant *dict_value(GVariant *dict, const char *key, const char *type)
{
	return dict ? g_variant_lookup_value(dict, key, G_VARIANT_TYPE(type)) : NULL;
}
