/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dbus/bus-value.h - GVariant tuples into and out of DBusMessage bodies, descriptors included. */
#pragma once

#include <dbus/dbus.h>
#include <gio/gio.h>
#include <stdbool.h>

/* Bounds on what we send and accept. A value is counted at its largest possible size on the wire. */
#define BUS_VALUE_MAX_BYTES (4 * 1024 * 1024)
#define BUS_VALUE_MAX_DEPTH 32
#define BUS_VALUE_MAX_FDS   16

/* Appends the members of @tuple (NULL for none) to @message; a 'h' value is an index into @fds, of which libdbus
 * keeps duplicates. On failure @message holds a part of them and must be thrown away. @tuple is not consumed. */
bool bus_value_append(DBusMessage *message, GVariant *tuple, const int *fds, gsize n_fds,
		      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The body as a tuple; never floating. Descriptors go into @fds (an array of int, owned by whoever owns the array)
 * and 'h' values index that array; with NULL they are closed and 'h' values are -1. */
GVariant *bus_value_read(DBusMessage *message, GArray *fds) G_GNUC_WARN_UNUSED_RESULT;

/* An array of descriptors for bus_value_read(): freeing it closes those that were not taken. */
GArray *bus_value_fds_new(void);
void bus_value_fds_free(GArray *fds);

/* Takes out descriptor @handle; the caller closes it. -1 and @error when there is none. */
int bus_value_fds_take(GArray *fds, gint32 handle, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @text made fit for people on the far side: valid UTF-8, one line, no control characters, at most 1,000 characters. */
char *bus_value_clean_text(const char *text);
