/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/applications/hooks.h - runs the commands by which applications judge a commit before it is on the files, and act when it is.
 *
 * syncd, which may become nobody else, says what is wanted (Sync1.Hooks) by application and kind; the command is that of the settings here. What is
 * wanted is a state: a supervisor that was restarted goes on from it, and what is not wanted any more, because a takeover came first, is killed.
 */
#pragma once

#include <glib.h>

#include "dbus/bus-link.h"
#include "supervisor/applications/applications.h"

typedef struct Hooks Hooks;

/* @link: syncd's. */
Hooks *hooks_new(Applications *applications, BusLink *link);
void hooks_free(Hooks *hooks); /* kills what runs; NULL is fine */

/* @wanted: a(tssssss) as syncd says it; NULL: it says nothing just now, and what runs goes on. */
void hooks_look(Hooks *hooks, GVariant *wanted);
