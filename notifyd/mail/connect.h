/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/mail/connect.h - a TCP connection to the first address of a host that answers, with a bound on each attempt. */
#pragma once

#include <glib.h>

/* Waits at most 10 s for each address, and less where @left_ms must do for all. -1 and DELIVERY_ERROR_RETRY when none answers. */
int mail_connect(const char *host, guint16 port, gint64 left_ms, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The address of this end, as EHLO shows it when this machine has no name with a domain: "[192.0.2.1]", "[IPv6:2001:db8::1]". */
char *mail_local_literal(int fd);
