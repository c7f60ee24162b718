/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/output.h - where the output of what we start goes: the journal or a file, never a pipe that would die with us. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define OUTPUT_DIR "/run/understudy/log"

/* A new descriptor for @name's standard output and error. Where our own goes to the journal, a stream of its own there; else
 * OUTPUT_DIR/@name, appended to. Never fails: /dev/null as the last resort. */
int output_open(const char *name);

/* Gives OUTPUT_DIR a size of its own: whoever floods his output fills that, not /run. To be called before the first is opened. */
void output_prepare(void);

/* Shortens files of OUTPUT_DIR that have become too long (they lie in memory) to their end; to be called every few seconds, and every second
 * once one was. */
bool output_trim(void);

/* @text: the last lines, each ending in a line feed; "" when there are none. */
typedef void (*OutputLastCb)(const char *text, gpointer user_data);

/* What @name, or the service @unit, wrote last: at most OUTPUT_LAST_LINES lines. Where the journal has it, that is asked, in a second at most. */
#define OUTPUT_LAST_LINES 8
void output_last(const char *name, const char *unit, OutputLastCb done, gpointer user_data);

/* The end of @text: whole lines, valid, at most @n_lines and @n_bytes. Transfer full. */
char *output_last_lines(const char *text, guint n_lines, gsize n_bytes);
