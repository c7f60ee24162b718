/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/role/mode.h - the mode of a Backup as it was ordered: for how long, and why; and how often to remind of it. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "supervisor/role/role.h"

#define MODE_REASON_MOST 200

typedef struct {
	Mode mode;
	gint64 until_ms; /* wall clock; active again then; 0: no end. Of passive only */
	char reason[MODE_REASON_MOST + 1];
} ModeOrder;

/* @minutes 0: no end. */
ModeOrder mode_order(Mode mode, guint minutes, const char *reason, gint64 now_ms);

bool mode_order_is_over(const ModeOrder *order, gint64 now_ms);

/* One line, as it is kept on disk. False: it is none. */
char *mode_order_text(const ModeOrder *order);
bool mode_order_parse(const char *text, ModeOrder *ret_order);

/* @since_us: since when it has been passive; @told_us: when it was last told of, 0: never. */
bool mode_reminder_is_due(gint64 since_us, gint64 told_us, guint every_min, gint64 now_us);
