/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notifyd/trap/engine.h - who we are to a receiver of version 3 traps: an engine id of this device, and a time that only grows.
 *
 * A receiver drops in silence what is older than what it has seen, by (boots, time). Each delivery is a process of its own, so the pair is made of
 * what all of them share: the time is the kernel's since its boot, and boots, kept in a file, grows whenever that clock has begun anew.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define ENGINE_ID_MAX 32

typedef struct {
	guint8 id[ENGINE_ID_MAX];
	gsize n_id;
	guint32 boots, time_s;
} TrapEngine;

/* The engine id of the device with this id of its settings. Pure: the receiver's administrator can tell it beforehand. */
void engine_name(TrapEngine *engine, const char *device_id);

/* What is in the file (@text; NULL or not readable: lost, or there was none) and what the clocks say, to what is in it next. Pure.
 * @now_s: of the kernel's clock since boot; @wall_s: since 1970. */
char *engine_next(TrapEngine *engine, const char *text, const char *boot_id, gint64 now_s, gint64 wall_s);

/* All of it, under a lock, from @path and /etc/understudy. False: nothing may be sent. */
bool engine_load(TrapEngine *engine, const char *path, const char *device_file, GError **error) G_GNUC_WARN_UNUSED_RESULT;
