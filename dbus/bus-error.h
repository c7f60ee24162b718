/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-error.h - the errors a client can meet, and how module errors become them. */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#define BUS_ERROR_PREFIX "org.understudy.Error"

/* What a program can act on. Each has one D-Bus name, "org.understudy.Error.<Name>", except those that
 * org.freedesktop.DBus.Error already names (marked *). Texts are for people, names for programs. */
typedef enum {
	BUS_ERROR_FAILED,             /* .Failed: none of the others */
	BUS_ERROR_INVALID_ARGS,       /* * InvalidArgs: an argument or value that can never be right */
	BUS_ERROR_ACCESS_DENIED,      /* * AccessDenied: the caller's group may not do this */
	BUS_ERROR_UNKNOWN_OBJECT,     /* * */
	BUS_ERROR_UNKNOWN_INTERFACE,  /* * */
	BUS_ERROR_UNKNOWN_METHOD,     /* * */
	BUS_ERROR_UNKNOWN_PROPERTY,   /* * */
	BUS_ERROR_PROPERTY_READ_ONLY, /* * */
	BUS_ERROR_REFUSED,            /* .Refused: right, but not now; the text begins "<reason-code>: " */
	BUS_ERROR_BUSY,               /* .Busy: something else is under way */
	BUS_ERROR_NOT_FOUND,          /* .NotFound: no such event, commit, application, ... */
	BUS_ERROR_NOT_REACHABLE,      /* .NotReachable: the peer, the bus or the daemon is not there */
	BUS_ERROR_TIMED_OUT,          /* .TimedOut */
	BUS_ERROR_GONE,               /* .Gone: the object or process that owed the answer went away */
	BUS_N_ERRORS,
} BusError;

#define BUS_ERROR bus_error_quark()
GQuark bus_error_quark(void);

/* One row maps a module's own (domain, code) to a BusError. */
typedef struct {
	int code;
	BusError error;
} BusErrorMapping;

/* Registers the codes of @domain; rows are static and live for ever. Call before the loop starts. */
void bus_error_register(GQuark domain, const BusErrorMapping *rows, gsize n_rows);

/* The D-Bus name of @error: its mapping, G_IO_ERROR's obvious ones, else ".Failed". Never NULL. */
const char *bus_error_name(const GError *error);

/* The other way: a GError in BUS_ERROR from a name and text that came over the bus. Unknown names become FAILED and
 * libdbus's own NoReply / Disconnected / ServiceUnknown become TIMED_OUT / NOT_REACHABLE. Transfer full. */
GError *bus_error_from_message(const char *name, const char *text);
