/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dbus/bus-value.c - GVariant tuples into and out of DBusMessage bodies, descriptors included.
 *
 * libdbus aborts the process when it is handed an invalid string, path or signature, so everything is proved here
 * before it is appended. GVariant guarantees UTF-8 and object paths; its idea of signatures, depth and size is wider
 * than D-Bus's.
 */
#include "bus-value.h"

#include <string.h>
#include <unistd.h>

#include "bus-error.h"

#define MAX_TEXT 1000

typedef struct {
	const int *fds;
	gsize n_fds;
	gsize budget; /* bytes left before the message is refused */
	GError **error;
} Writer;

static bool refuse(Writer *writer, const char *why)
{
	g_set_error_literal(writer->error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, why);
	return false;
}

static bool spend(Writer *writer, gsize bytes)
{
	if (bytes > writer->budget)
		return refuse(writer, "the value is too large for one message");
	writer->budget -= bytes;
	return true;
}

/* Only running out of memory makes libdbus refuse a checked value. */
static bool appended(Writer *writer, dbus_bool_t ok)
{
	return ok ? true : refuse(writer, "the value could not be put into a message");
}

static bool write_text(Writer *writer, DBusMessageIter *iter, GVariant *value, int type)
{
	gsize length;
	const char *text = g_variant_get_string(value, &length);

	if (type == DBUS_TYPE_SIGNATURE && !dbus_signature_validate(text, NULL))
		return refuse(writer, "a signature is not valid on D-Bus");
	if (!spend(writer, length + 8))
		return false;
	return appended(writer, dbus_message_iter_append_basic(iter, type, &text));
}

static bool write_fd(Writer *writer, DBusMessageIter *iter, GVariant *value)
{
	gint32 handle = g_variant_get_handle(value);

	if (handle < 0 || (gsize)handle >= writer->n_fds || writer->fds[handle] < 0)
		return refuse(writer, "a value refers to a file descriptor that was not given");
	return appended(writer, dbus_message_iter_append_basic(iter, DBUS_TYPE_UNIX_FD, &writer->fds[handle]));
}

static bool write_value(Writer *writer, DBusMessageIter *iter, GVariant *value, guint depth);

static bool write_children(Writer *writer, DBusMessageIter *iter, GVariant *value, guint depth)
{
	gsize n = g_variant_n_children(value);

	for (gsize i = 0; i < n; i++) {
		g_autoptr(GVariant) child = g_variant_get_child_value(value, i);
		if (!write_value(writer, iter, child, depth))
			return false;
	}
	return true;
}

static bool write_container(Writer *writer, DBusMessageIter *iter, GVariant *value, int type, guint depth)
{
	DBusMessageIter inner;
	const char *inside = NULL;
	g_autoptr(GVariant) boxed = NULL;

	if (depth >= BUS_VALUE_MAX_DEPTH)
		return refuse(writer, "the value is nested too deeply");
	if (!spend(writer, 16))
		return false;

	if (type == DBUS_TYPE_VARIANT) {
		boxed = g_variant_get_variant(value);
		inside = g_variant_get_type_string(boxed);
		if (!dbus_signature_validate_single(inside, NULL))
			return refuse(writer, "the value has a type that D-Bus lacks");
		if (!spend(writer, strlen(inside)))
			return false;
	} else if (type == DBUS_TYPE_ARRAY) {
		inside = g_variant_get_type_string(value) + 1;
	}

	if (!appended(writer, dbus_message_iter_open_container(iter, type, inside, &inner)))
		return false;

	bool ok;
	if (type == DBUS_TYPE_ARRAY && strcmp(inside, "y") == 0) {
		gsize n;
		const guint8 *bytes = g_variant_get_fixed_array(value, &n, 1);
		ok = spend(writer, n) &&
		     appended(writer, dbus_message_iter_append_fixed_array(&inner, DBUS_TYPE_BYTE, &bytes, (int)n));
	} else if (boxed) {
		ok = write_value(writer, &inner, boxed, depth + 1);
	} else {
		ok = write_children(writer, &inner, value, depth + 1);
	}

	if (!ok) {
		dbus_message_iter_abandon_container(iter, &inner);
		return false;
	}
	return appended(writer, dbus_message_iter_close_container(iter, &inner));
}

static bool write_value(Writer *writer, DBusMessageIter *iter, GVariant *value, guint depth)
{
	/* One cell for every fixed type: libdbus reads as many bytes as the type has. */
	union {
		guint8 y;
		dbus_bool_t b;
		gint16 n;
		guint16 q;
		gint32 i;
		guint32 u;
		gint64 x;
		guint64 t;
		double d;
	} cell;
	int type = DBUS_TYPE_INVALID;

	switch (g_variant_classify(value)) {
	case G_VARIANT_CLASS_BYTE:
		type = DBUS_TYPE_BYTE;
		cell.y = g_variant_get_byte(value);
		break;
	case G_VARIANT_CLASS_BOOLEAN:
		type = DBUS_TYPE_BOOLEAN;
		cell.b = g_variant_get_boolean(value) ? TRUE : FALSE;
		break;
	case G_VARIANT_CLASS_INT16:
		type = DBUS_TYPE_INT16;
		cell.n = g_variant_get_int16(value);
		break;
	case G_VARIANT_CLASS_UINT16:
		type = DBUS_TYPE_UINT16;
		cell.q = g_variant_get_uint16(value);
		break;
	case G_VARIANT_CLASS_INT32:
		type = DBUS_TYPE_INT32;
		cell.i = g_variant_get_int32(value);
		break;
	case G_VARIANT_CLASS_UINT32:
		type = DBUS_TYPE_UINT32;
		cell.u = g_variant_get_uint32(value);
		break;
	case G_VARIANT_CLASS_INT64:
		type = DBUS_TYPE_INT64;
		cell.x = g_variant_get_int64(value);
		break;
	case G_VARIANT_CLASS_UINT64:
		type = DBUS_TYPE_UINT64;
		cell.t = g_variant_get_uint64(value);
		break;
	case G_VARIANT_CLASS_DOUBLE:
		type = DBUS_TYPE_DOUBLE;
		cell.d = g_variant_get_double(value);
		break;
	case G_VARIANT_CLASS_HANDLE:
		return write_fd(writer, iter, value);
	case G_VARIANT_CLASS_STRING:
		return write_text(writer, iter, value, DBUS_TYPE_STRING);
	case G_VARIANT_CLASS_OBJECT_PATH:
		return write_text(writer, iter, value, DBUS_TYPE_OBJECT_PATH);
	case G_VARIANT_CLASS_SIGNATURE:
		return write_text(writer, iter, value, DBUS_TYPE_SIGNATURE);
	case G_VARIANT_CLASS_VARIANT:
		return write_container(writer, iter, value, DBUS_TYPE_VARIANT, depth);
	case G_VARIANT_CLASS_ARRAY:
		return write_container(writer, iter, value, DBUS_TYPE_ARRAY, depth);
	case G_VARIANT_CLASS_TUPLE:
		return write_container(writer, iter, value, DBUS_TYPE_STRUCT, depth);
	case G_VARIANT_CLASS_DICT_ENTRY:
		return write_container(writer, iter, value, DBUS_TYPE_DICT_ENTRY, depth);
	case G_VARIANT_CLASS_MAYBE:
		break;
	}
	if (type == DBUS_TYPE_INVALID)
		return refuse(writer, "the value has a type that D-Bus lacks");
	return spend(writer, 8) && appended(writer, dbus_message_iter_append_basic(iter, type, &cell));
}

bool bus_value_append(DBusMessage *message, GVariant *tuple, const int *fds, gsize n_fds, GError **error)
{
	Writer writer = { fds, n_fds, BUS_VALUE_MAX_BYTES, error };
	DBusMessageIter iter;

	if (n_fds > BUS_VALUE_MAX_FDS)
		return refuse(&writer, "too many file descriptors for one message");
	if (!tuple)
		return true;
	g_return_val_if_fail(g_variant_is_of_type(tuple, G_VARIANT_TYPE_TUPLE), false);

	/* The signature as a whole is proved first, so that the types inside arrays need no further look. */
	const char *type = g_variant_get_type_string(tuple);
	g_autofree char *signature = g_strndup(type + 1, strlen(type) - 2);
	if (!dbus_signature_validate(signature, NULL))
		return refuse(&writer, "the value has a type that D-Bus lacks");

	dbus_message_iter_init_append(message, &iter);
	return write_children(&writer, &iter, tuple, 0);
}

static GVariant *read_value(DBusMessageIter *iter, GArray *fds);

static GVariant *read_fd(DBusMessageIter *iter, GArray *fds)
{
	int fd = -1;

	dbus_message_iter_get_basic(iter, &fd); /* a duplicate, ours to close */
	if (fd < 0)
		return g_variant_new_handle(-1);
	if (!fds) {
		close(fd);
		return g_variant_new_handle(-1);
	}
	g_array_append_val(fds, fd);
	return g_variant_new_handle((gint32)fds->len - 1);
}

static GVariant *read_array(DBusMessageIter *iter, GArray *fds)
{
	DBusMessageIter inner;

	dbus_message_iter_recurse(iter, &inner);
	if (dbus_message_iter_get_element_type(iter) == DBUS_TYPE_BYTE) {
		const guint8 *bytes = NULL;
		int n = 0;
		dbus_message_iter_get_fixed_array(&inner, &bytes, &n);
		return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, (gsize)n, 1);
	}

	char *signature = dbus_message_iter_get_signature(iter);
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE(signature));
	dbus_free(signature);
	for (; dbus_message_iter_get_arg_type(&inner) != DBUS_TYPE_INVALID; dbus_message_iter_next(&inner))
		g_variant_builder_add_value(&builder, read_value(&inner, fds));
	return g_variant_builder_end(&builder);
}

static GVariant *read_tuple(DBusMessageIter *iter, GArray *fds)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE_TUPLE);
	for (; dbus_message_iter_get_arg_type(iter) != DBUS_TYPE_INVALID; dbus_message_iter_next(iter))
		g_variant_builder_add_value(&builder, read_value(iter, fds));
	return g_variant_builder_end(&builder);
}

/* libdbus has validated the message, so what it holds is well formed and at most 64 containers deep. */
static GVariant *read_value(DBusMessageIter *iter, GArray *fds)
{
	DBusBasicValue cell;
	DBusMessageIter inner;
	int type = dbus_message_iter_get_arg_type(iter);

	if (type == DBUS_TYPE_UNIX_FD)
		return read_fd(iter, fds);
	if (dbus_type_is_basic(type))
		dbus_message_iter_get_basic(iter, &cell);

	switch (type) {
	case DBUS_TYPE_BYTE:
		return g_variant_new_byte(cell.byt);
	case DBUS_TYPE_BOOLEAN:
		return g_variant_new_boolean(cell.bool_val);
	case DBUS_TYPE_INT16:
		return g_variant_new_int16(cell.i16);
	case DBUS_TYPE_UINT16:
		return g_variant_new_uint16(cell.u16);
	case DBUS_TYPE_INT32:
		return g_variant_new_int32(cell.i32);
	case DBUS_TYPE_UINT32:
		return g_variant_new_uint32(cell.u32);
	case DBUS_TYPE_INT64:
		return g_variant_new_int64(cell.i64);
	case DBUS_TYPE_UINT64:
		return g_variant_new_uint64(cell.u64);
	case DBUS_TYPE_DOUBLE:
		return g_variant_new_double(cell.dbl);
	case DBUS_TYPE_STRING:
		return g_variant_new_string(cell.str);
	case DBUS_TYPE_OBJECT_PATH:
		return g_variant_new_object_path(cell.str);
	case DBUS_TYPE_SIGNATURE:
		return g_variant_new_signature(cell.str);
	case DBUS_TYPE_ARRAY:
		return read_array(iter, fds);
	default:
		break;
	}

	dbus_message_iter_recurse(iter, &inner);
	if (type == DBUS_TYPE_STRUCT)
		return read_tuple(&inner, fds);
	if (type == DBUS_TYPE_VARIANT)
		return g_variant_new_variant(read_value(&inner, fds));

	g_assert(type == DBUS_TYPE_DICT_ENTRY);
	GVariant *key = read_value(&inner, fds);
	dbus_message_iter_next(&inner);
	return g_variant_new_dict_entry(key, read_value(&inner, fds));
}

GVariant *bus_value_read(DBusMessage *message, GArray *fds)
{
	DBusMessageIter iter;

	dbus_message_iter_init(message, &iter); /* false for an empty body, whose iterator is at its end */
	return g_variant_ref_sink(read_tuple(&iter, fds));
}

GArray *bus_value_fds_new(void)
{
	return g_array_new(false, false, sizeof(int));
}

void bus_value_fds_free(GArray *fds)
{
	for (guint i = 0; fds && i < fds->len; i++) {
		int fd = g_array_index(fds, int, i);
		if (fd >= 0)
			close(fd);
	}
	if (fds)
		g_array_unref(fds);
}

int bus_value_fds_take(GArray *fds, gint32 handle, GError **error)
{
	int fd = -1;

	if (fds && handle >= 0 && (guint)handle < fds->len) {
		fd = g_array_index(fds, int, handle);
		g_array_index(fds, int, handle) = -1;
	}
	if (fd < 0)
		g_set_error(error, BUS_ERROR, BUS_ERROR_INVALID_ARGS, "there is no file descriptor %d in this message",
			    handle);
	return fd;
}

char *bus_value_clean_text(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);
	GString *clean = g_string_new(NULL);
	int n = 0;

	for (const char *p = valid; *p && n < MAX_TEXT; p = g_utf8_next_char(p), n++) {
		gunichar c = g_utf8_get_char(p);
		g_string_append_unichar(clean, g_unichar_iscntrl(c) ? ' ' : c);
	}
	return g_string_free(clean, false);
}
