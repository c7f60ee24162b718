/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-error.c - the one table between GError and D-Bus error names. */
#include "bus-error.h"

#include <dbus/dbus.h>

#define UNDERSTUDY(name)  BUS_ERROR_PREFIX "." name
#define FREEDESKTOP(name) "org.freedesktop.DBus.Error." name

static const char *const own_names[BUS_N_ERRORS] = {
	[BUS_ERROR_FAILED] = UNDERSTUDY("Failed"),
	[BUS_ERROR_INVALID_ARGS] = FREEDESKTOP("InvalidArgs"),
	[BUS_ERROR_ACCESS_DENIED] = FREEDESKTOP("AccessDenied"),
	[BUS_ERROR_UNKNOWN_OBJECT] = FREEDESKTOP("UnknownObject"),
	[BUS_ERROR_UNKNOWN_INTERFACE] = FREEDESKTOP("UnknownInterface"),
	[BUS_ERROR_UNKNOWN_METHOD] = FREEDESKTOP("UnknownMethod"),
	[BUS_ERROR_UNKNOWN_PROPERTY] = FREEDESKTOP("UnknownProperty"),
	[BUS_ERROR_PROPERTY_READ_ONLY] = FREEDESKTOP("PropertyReadOnly"),
	[BUS_ERROR_REFUSED] = UNDERSTUDY("Refused"),
	[BUS_ERROR_BUSY] = UNDERSTUDY("Busy"),
	[BUS_ERROR_NOT_FOUND] = UNDERSTUDY("NotFound"),
	[BUS_ERROR_NOT_REACHABLE] = UNDERSTUDY("NotReachable"),
	[BUS_ERROR_TIMED_OUT] = UNDERSTUDY("TimedOut"),
	[BUS_ERROR_GONE] = UNDERSTUDY("Gone"),
};

/* What libdbus and the bus itself say when nobody answered. */
static const struct {
	const char *name;
	BusError error;
} foreign_names[] = {
	{ FREEDESKTOP("NoReply"), BUS_ERROR_TIMED_OUT },
	{ FREEDESKTOP("Timeout"), BUS_ERROR_TIMED_OUT },
	{ FREEDESKTOP("TimedOut"), BUS_ERROR_TIMED_OUT },
	{ FREEDESKTOP("Disconnected"), BUS_ERROR_NOT_REACHABLE },
	{ FREEDESKTOP("ServiceUnknown"), BUS_ERROR_NOT_REACHABLE },
	{ FREEDESKTOP("NameHasNoOwner"), BUS_ERROR_NOT_REACHABLE },
	{ FREEDESKTOP("NoServer"), BUS_ERROR_NOT_REACHABLE },
	{ FREEDESKTOP("NoNetwork"), BUS_ERROR_NOT_REACHABLE },
	{ FREEDESKTOP("InvalidSignature"), BUS_ERROR_INVALID_ARGS },
	{ FREEDESKTOP("LimitsExceeded"), BUS_ERROR_BUSY },
};

static const BusErrorMapping io_rows[] = {
	{ G_IO_ERROR_NOT_FOUND, BUS_ERROR_NOT_FOUND },
	{ G_IO_ERROR_INVALID_ARGUMENT, BUS_ERROR_INVALID_ARGS },
	{ G_IO_ERROR_INVALID_DATA, BUS_ERROR_INVALID_ARGS },
	{ G_IO_ERROR_PERMISSION_DENIED, BUS_ERROR_ACCESS_DENIED },
	{ G_IO_ERROR_BUSY, BUS_ERROR_BUSY },
	{ G_IO_ERROR_PENDING, BUS_ERROR_BUSY },
	{ G_IO_ERROR_TIMED_OUT, BUS_ERROR_TIMED_OUT },
	{ G_IO_ERROR_CONNECTION_REFUSED, BUS_ERROR_NOT_REACHABLE },
	{ G_IO_ERROR_HOST_UNREACHABLE, BUS_ERROR_NOT_REACHABLE },
	{ G_IO_ERROR_NETWORK_UNREACHABLE, BUS_ERROR_NOT_REACHABLE },
	{ G_IO_ERROR_NOT_CONNECTED, BUS_ERROR_NOT_REACHABLE },
	{ G_IO_ERROR_CLOSED, BUS_ERROR_GONE },
	{ G_IO_ERROR_CANCELLED, BUS_ERROR_GONE },
	{ G_IO_ERROR_FAILED, BUS_ERROR_FAILED },
};

typedef struct {
	GQuark domain;
	const BusErrorMapping *rows;
	gsize n_rows;
} Domain;

static GArray *domains; /* of Domain; registered before the loop starts, alive until the process ends */

GQuark bus_error_quark(void)
{
	return g_quark_from_static_string("understudy-bus-error-quark");
}

void bus_error_register(GQuark domain, const BusErrorMapping *rows, gsize n_rows)
{
	if (!domains)
		domains = g_array_new(false, false, sizeof(Domain));

	for (gsize i = 0; i < n_rows; i++)
		g_return_if_fail(rows[i].error < BUS_N_ERRORS);

	Domain entry = { domain, rows, n_rows };
	for (guint i = 0; i < domains->len; i++) {
		Domain *known = &g_array_index(domains, Domain, i);
		if (known->domain == domain) {
			*known = entry;
			return;
		}
	}
	g_array_append_val(domains, entry);
}

static bool find_row(const BusErrorMapping *rows, gsize n_rows, int code, BusError *ret_error)
{
	for (gsize i = 0; i < n_rows; i++) {
		if (rows[i].code != code)
			continue;
		*ret_error = rows[i].error;
		return true;
	}
	return false;
}

/* A code that nobody mapped is a gap in a table: said once, so that a client hammering on it does not fill the log. */
static void warn_unmapped(const GError *error)
{
	static GHashTable *warned;

	if (!warned)
		warned = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	char *key = g_strdup_printf("%s/%d", g_quark_to_string(error->domain), error->code);
	if (g_hash_table_add(warned, key))
		g_warning("no D-Bus name for error %s", key);
}

const char *bus_error_name(const GError *error)
{
	BusError code = BUS_ERROR_FAILED;

	if (error->domain == BUS_ERROR) {
		if (error->code >= 0 && error->code < BUS_N_ERRORS)
			code = (BusError)error->code;
		return own_names[code];
	}

	for (guint i = 0; domains && i < domains->len; i++) {
		const Domain *entry = &g_array_index(domains, Domain, i);
		if (entry->domain == error->domain && find_row(entry->rows, entry->n_rows, error->code, &code))
			return own_names[code];
	}

	if (error->domain == G_IO_ERROR && find_row(io_rows, G_N_ELEMENTS(io_rows), error->code, &code))
		return own_names[code];

	warn_unmapped(error);
	return own_names[BUS_ERROR_FAILED];
}

GError *bus_error_from_message(const char *name, const char *text)
{
	const char *words = text && *text ? text : name ? name : "no reason given";

	for (gsize i = 0; name && i < BUS_N_ERRORS; i++) {
		if (strcmp(name, own_names[i]) == 0)
			return g_error_new_literal(BUS_ERROR, (int)i, words);
	}
	for (gsize i = 0; name && i < G_N_ELEMENTS(foreign_names); i++) {
		if (strcmp(name, foreign_names[i].name) == 0)
			return g_error_new_literal(BUS_ERROR, foreign_names[i].error, words);
	}
	return g_error_new_literal(BUS_ERROR, BUS_ERROR_FAILED, words);
}
