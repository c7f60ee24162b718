/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/unite/unite.h - on the device that leads: what the other one recorded while the two were apart comes into the files here.
 *
 * In a thread of its own, one line at a time: the peer's line is fetched, what it has and the commit at which the two parted has not is written as
 * files (uniting/<application>/theirs/<set>, and base/<set> for what was there before), and the application's unite-command adds to its live files
 * what it finds missing there. Nothing waits for it; whatever fails, the peer keeps its line.
 */
#pragma once

#include "syncd/engine.h"
#include "syncd/files/set.h"

typedef struct SyncUniting SyncUniting;

/* The main context's, all of these. */
SyncUniting *sync_uniting_new(SyncEngine *engine);
void sync_uniting_free(SyncUniting *uniting); /* cancels and waits; NULL is fine */

/* @apart: what the peer says is to be united ("<ref>/<commit>"), all of it. Each is done once; one that failed waits for sync_engine_unite_again(). */
void sync_engine_unite(SyncEngine *engine, const Settings *settings, const SyncPull *where, const char *const *apart);
/* The commits of these that are done. Transfer full. */
char **sync_engine_united(SyncEngine *engine);
void sync_engine_unite_again(SyncEngine *engine);
void sync_engine_unite_stop(SyncEngine *engine); /* this device leads no longer, or the peer went away */

/* Whether @application has a unite-command, and a set in @ref that it is for: all but configuration files. */
bool sync_unite_concerns(const SettingsApplication *application, GPtrArray *sets, SyncRef ref);
