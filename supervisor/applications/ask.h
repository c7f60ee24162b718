/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/ask.h - asks the running applications by their own commands: is anybody on the phone, how many contacts are there. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "supervisor/applications/applications.h"

#define ASK_MS 5000

typedef enum { ASK_QUIET, ASK_COUNT } AskKind;

typedef struct {
	guint n_asked;  /* applications that have such a command and run */
	bool quiet;     /* all of them said so, or none was asked */
	guint64 count;  /* the sum of what they said */
	const char *text; /* who said what, for people; "" when there is nothing to tell */
} Answers;

typedef struct Ask Ask;
typedef void (*AskDoneCb)(const Answers *answers, gpointer user_data);

/* @done runs from the loop, after ASK_MS at the latest; the ask is freed before. */
Ask *ask_begin(Applications *applications, AskKind kind, AskDoneCb done, gpointer user_data);
void ask_free(Ask *ask); /* NULL is fine; @done will not run */
