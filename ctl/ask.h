/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ctl/ask.h - what must not be an argument, because everybody sees those (ps): asked for, and handed on through a pipe. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* One line of @fd without its end; from a terminal with @prompt and without echo. False: there was none, or it is empty. */
bool ask_line(int fd, const char *prompt, char *ret_line, gsize size);

/* The end to read @text from, -1 and @error on failure. @text fits any pipe's buffer (4096 bytes). */
int ask_pipe(const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
