/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/versions.h - every version of the settings that was in use here, and those that lost against another, on disk.
 *
 * One file each in /var/lib/understudy/supervisor/settings; its name is its number. The oldest go when there are many.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "supervisor/settings/revision.h"
#include "supervisor/store.h"

#define VERSIONS_MOST 100

typedef struct Versions Versions;

Versions *versions_new(Store *store, const char *folder);
void versions_free(Versions *versions); /* NULL is fine */

/* Why a text was never in use, or is no longer. */
#define VERSIONS_NOT_COMMITTED "not-committed"
#define VERSIONS_KEPT_ASIDE "kept-aside"

/* Its number. The same content of a file in use twice in a row is one version, whoever read, wrote or ordered it again. */
guint versions_add(Versions *versions, const char *file, const char *text, const Revision *revision, const char *who, const char *why);
/* Those of @file, newest first, @most at most: GPtrArray of Version*. Transfer full. */
GPtrArray *versions_list(const Versions *versions, const char *file, guint most);
Version *versions_get(const Versions *versions, guint number); /* NULL: there is none */
