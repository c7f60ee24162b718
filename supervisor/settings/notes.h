/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/notes.h - what of changed settings does not count at once, and what it needs; pure. */
#pragma once

#include "settings/settings.h"

/* One line each, of char*; empty when everything counts now. Transfer full. */
bool notes_same_words(char **a, char **b); /* NULL is fine */
GPtrArray *notes_of_change(const Settings *before, const Settings *after);
