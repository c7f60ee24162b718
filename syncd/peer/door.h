/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/peer/door.h - the server side of our TLS, by GnuTLS itself.
 *
 * GIO's TLS hangs up without a word on a key it does not like; a device that shows a wrong key is owed an alert that says so, or its
 * administrator looks for a broken cable. So the handshake is made here, and what comes after it is handed on in clear through a socket pair.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "syncd/peer/key.h"
#include "syncd/peer/talk.h"

/* @plain and @talk NULL: nobody came in; @refused: because of his key (a wrong one, or none). Else @plain carries what he says, and @fingerprint is
 * who he is; one who asks for recordings only (talk.h) comes as @talk, transfer full. Called once, from the loop. */
typedef void (*SyncDoorDone)(GIOStream *plain, SyncTalk *talk, const char *fingerprint, bool refused, const char *why, gpointer user_data);

typedef struct SyncDoor SyncDoor;

/* Shakes hands on @base within @timeout_s; @pin NULL takes any key; @talks: one may come as a talk. The door lives by itself until either side has closed. */
SyncDoor *sync_door_open(GSocketConnection *base, const SyncKey *key, const char *pin, bool talks, guint timeout_s, SyncDoorDone done, gpointer user_data);

/* Shut before it was judged, with the callback: it is known to be there until that was called. */
void sync_door_give_up(SyncDoor *door, const char *why);
