/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/pairing/farewell.h - tells a device that this one has forgotten it, as soon as it can be reached.
 *
 * It is dialled, and shows the key that was its own while the two were paired; nothing it says is heeded but that it has heard. This device accepts no
 * connection from it any more.
 */
#pragma once

#include <stdbool.h>

#include "syncd/peer/key.h"
#include "syncd/pairing/record.h"

typedef struct SyncFarewell SyncFarewell;

/* @told: it knows; false: given up after a week. Called once, from the loop; may free. */
typedef void (*SyncFarewellDone)(bool told, gpointer user_data);

SyncFarewell *sync_farewell_new(const SyncRecord *record, const char *const *hosts, guint port, const SyncKey *key, SyncFarewellDone done,
				gpointer user_data);
void sync_farewell_free(SyncFarewell *farewell); /* NULL is fine */
