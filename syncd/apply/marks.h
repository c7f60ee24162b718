/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/apply/marks.h - what a supervisor that takes over knows of the files without asking: a character for each ref, in a file in /run.
 *
 *	?	not known: nobody has looked since this device came up
 *	-	whole: nothing is applied, or nothing that has its mark
 *	*	an apply has its mark, and somebody is to make it good
 *
 * Whoever is killed leaves what is true. Nobody waits for anybody: an apply locks its character, sees that no application may run here, and writes
 * '*'; a supervisor first says that they may, then locks all of them and reads. So only one of the two goes on.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The folder is the one that syncd may write to; the supervisor may read there. */
#define SYNC_MARKS_FILE "/run/understudy/private/syncd/files"
/* Exists while applications may run on this device. */
#define SYNC_MASTER_FILE "/run/understudy/master"

typedef struct {
	int fd;
	const char *master;
} SyncMarks;

/* What an earlier process has left in @path stays. @master is borrowed. */
bool sync_marks_open(SyncMarks *marks, const char *path, const char *master, guint n, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sync_marks_close(SyncMarks *marks);

/* An apply of ref @i gets its mark. @follows: false (and CANCELLED) where applications may run. */
bool sync_marks_begin(const SyncMarks *marks, guint i, bool follows, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* There is a mark that somebody has to make good; there is none. */
void sync_marks_stuck(const SyncMarks *marks, guint i);
void sync_marks_whole(const SyncMarks *marks, guint i);
