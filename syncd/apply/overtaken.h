/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/overtaken.h - what somebody has put into the place of a step after it was looked at and before the step was made.
 *
 * Between the two lies the staging, which may take long. A step exchanges what comes with what is there (apply.c), or takes out of its way what stands there, so
 * nothing goes before it has been seen. It lies in the staging folder then, under a name that tells where it stood, until all steps are made. What is not what
 * was looked at is kept here: a commit of the files as they were, with this in its place. What is not the data set's to keep, in a folder that
 * stood in the way, goes beside its place, and so does what cannot be kept for want of room.
 */
#pragma once

#include <sys/stat.h>

#include "syncd/apply/apply.h"

/* "was.<stage>": stood in the step's own place; "was.<stage>.<depth>": in that of the folder that the first @depth names of its path lead to. */
char *sync_overtaken_name(const SyncStep *step, guint depth);

/* Whether what stands at a step's place, or stood there, is what was looked at. */
bool sync_overtaken_is_as_it_was(const SyncStep *step, const struct stat *st);

/* @from becomes ".understudy-aside.<name>" in @folder_fd, or with a number where that is taken. False and errno. */
bool sync_overtaken_put_aside(int from_fd, const char *from, int folder_fd, const char *name);

typedef struct {
	const SyncStep *step;
	const SyncSet *set;
	int folder_fd; /* borrowed: where it lies */
	char *name;    /* and its name there */
	char *path;    /* where it stood, in the set */
} SyncOvertaken;

void sync_overtaken_free(SyncOvertaken *one);

/* Appends what was taken out of the way of the steps of @plan into the staging folder @folder_fd of @set. */
void sync_overtaken_find(const SyncPlan *plan, const SyncSet *set, int folder_fd, GPtrArray *list);

/* @list: of SyncOvertaken*. They are kept, and go from where they lie. What has the content that was looked at is nothing new. */
void sync_overtaken_keep(const SyncApply *apply, const char *ref, GPtrArray *list);
