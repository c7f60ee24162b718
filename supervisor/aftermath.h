/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/aftermath.h - what a takeover has cost, found out when it is over: the changes that are missing, the first phone that was served, the
 * contacts that are still there. It goes into the timeline, to the takeover it belongs to.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Supervisor Supervisor;
typedef struct Aftermath Aftermath;

Aftermath *aftermath_new(Supervisor *supervisor);
void aftermath_free(Aftermath *aftermath); /* NULL is fine */

void aftermath_begin(Aftermath *aftermath);  /* this device has begun to take over: the transition is open */
/* The first phone of the takeover is still to come. */
bool aftermath_waits(const Aftermath *aftermath);
void aftermath_settled(Aftermath *aftermath); /* syncd leads, and knows what is missing */
void aftermath_look(Aftermath *aftermath); /* to be called every few seconds, and every second while it hurries */
bool aftermath_hurries(const Aftermath *aftermath);

/* How many contacts the applications said they have, a minute ago at most; false: not known, or this device does not lead. */
bool aftermath_contacts(const Aftermath *aftermath, guint64 *ret_contacts);
