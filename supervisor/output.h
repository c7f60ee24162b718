/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/output.h - where the output of what we start goes: the journal or a file, never a pipe that would die with us. */
#pragma once

#include <stdbool.h>

#define OUTPUT_DIR "/run/understudy/log"

/* A new descriptor for @name's standard output and error. Where our own goes to the journal, a stream of its own there; else
 * OUTPUT_DIR/@name, appended to. Never fails: /dev/null as the last resort. */
int output_open(const char *name);

/* Empties files of OUTPUT_DIR that have become too long (they lie in memory); to be called now and then. */
void output_trim(void);
