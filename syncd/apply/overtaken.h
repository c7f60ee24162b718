/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/overtaken.h - what somebody has written into a file after it was looked at and before it was replaced.
 *
 * Between the two lies the staging, which may take long. A step exchanges what comes with what is there (apply.c), so nothing that stood there goes before it
 * has been seen; what is not what was looked at is kept here: a commit of the files as they were, with this in its place.
 */
#pragma once

#include <sys/stat.h>

#include "syncd/apply/apply.h"

/* Whether what stands at a step's place, or stood there, is what was looked at. */
bool sync_overtaken_is_as_it_was(const SyncStep *step, const struct stat *st);

typedef struct {
	const SyncStep *step;
	int folder_fd; /* borrowed: where it lies */
	char name[32];
} SyncOvertaken;

/* @list: of SyncOvertaken*. What has the content that was looked at is nothing new. */
bool sync_overtaken_keep(const SyncApply *apply, const char *ref, GPtrArray *list, GError **error) G_GNUC_WARN_UNUSED_RESULT;
