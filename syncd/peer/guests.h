/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/guests.h - the peer's HTTP connections to this device, while libsoup has them.
 *
 * libsoup keeps one for the next request only while its server listens somewhere, and never lets go of one whose client leaves while it is kept (3.2): each
 * fetch would cost a descriptor for good. So it listens where nobody can come in, and is looked after.
 */
#pragma once

#include <libsoup/soup.h>
#include <stdbool.h>

typedef struct SyncGuests SyncGuests;

/* @server outlives it. @path: beside it a socket gets its name for a moment. */
SyncGuests *sync_guests_new(SoupServer *server, const char *path);
void sync_guests_free(SyncGuests *guests); /* ends all; NULL is fine */

void sync_guests_accept(SyncGuests *guests, GIOStream *stream, GSocketAddress *local, GSocketAddress *remote);
/* What carries @stream, which libsoup or TLS may have wrapped. Transfer full; NULL: nothing that has a socket. */
GSocketConnection *sync_guests_carrier(GIOStream *stream);
/* It is no HTTP any more. NULL is fine. */
void sync_guests_leave(SyncGuests *guests, GIOStream *stream);
bool sync_guests_any(const SyncGuests *guests);
/* Now and then, while there are any: ends those that their clients have left, when nobody else is there. */
void sync_guests_look(SyncGuests *guests);
/* Ends all, whatever they are doing: no key that was accepted once stays in by a connection made then. */
void sync_guests_show_out(SyncGuests *guests);
