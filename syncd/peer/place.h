/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/peer/place.h - a host and a port as people write them, and as URLs do; pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* "192.0.2.1", "192.0.2.1:9001", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:9001"; *ret_port is @port when none is written. The host comes
 * without brackets, as inet_ntop() writes it. Link-local addresses and zones are refused: nothing listens there. */
bool sync_place_parse(const char *text, guint port, char **ret_host, guint *ret_port, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* "192.0.2.1:7443", "[2001:db8::1]:7443"; transfer full. */
char *sync_place_text(const char *host, guint port);
