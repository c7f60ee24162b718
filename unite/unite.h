/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unite/unite.h - adds to live files what another device recorded while the two were apart: never overwrites, never twice.
 *
 * @theirs and @base are folders as a unite-command gets them for one data set: what the other device has, and what was there when the two parted. In
 * @base a recording is a Git LFS pointer, which says what it was. Everything may be done again at any time, also after it was killed half-way.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	const char *theirs, *base; /* folders, which need not be there */
	const char *live;          /* the data set's own path */
} UnitePlace;

typedef struct {
	guint messages, files, lines, rows;
	guint incomplete; /* messages without their text, or without sound: left where they are */
} UniteCount;

/* Asterisk's voicemail: numbered messages get the next free number, all files of one together; what else is there as unite_files() does it. */
bool unite_messages(const UnitePlace *place, UniteCount *count, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Files by their names: one that is missing comes, another of the same name comes beside it, as "name.<8 digits of its sha256>.ending". */
bool unite_files(const UnitePlace *place, UniteCount *count, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Files to which records are added at the end, one a line: a line that is missing comes at the end. */
bool unite_lines(const UnitePlace *place, UniteCount *count, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A SQLite database, @place->live: rows of @table that are missing. Two rows are the same when @columns (by commas; NULL or "": all but the row's
 * number) are. */
bool unite_rows(const UnitePlace *place, const char *table, const char *columns, UniteCount *count, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* "messages:SET:PATH", "files:SET:PATH", "lines:SET:PATH", "rows:SET:PATH:TABLE[:COLUMN,COLUMN]" */
bool unite_word(const char *word, const char *base, const char *theirs, UniteCount *count, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *unite_count_text(const UniteCount *count); /* "2 messages, 1 row"; transfer full */

/* ---- tree.c ---- */

/* The files (no links) below @folder, relative, sorted. What is not there is empty. Transfer full. */
char **unite_list(const char *folder);

/* sha256 of its content, or what it points to. NULL: it cannot be read. Transfer full. */
char *unite_sum(const char *path);

/* Copies @from to the new file @to: whole or not at all, with owner, rights and time, on the disk; the folders that it needs are made like the one they
 * are in. @text not NULL: that instead of its content. *ret_exists: there is one already, and nothing was done. */
bool unite_place(const char *from, const char *text, const char *to, bool *ret_exists, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* One file of @place, as unite_files(). */
bool unite_one_file(const UnitePlace *place, const char *name, UniteCount *count, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes what a process before this one left in the live @folder, and makes the folder. */
bool unite_clean(const char *live, const char *folder, GError **error) G_GNUC_WARN_UNUSED_RESULT;

bool unite_errno(GError **error, const char *path); /* always false */

/* Beginning with ".lock", as what belongs to a process and does not travel. */
#define UNITE_TEMPORARY ".lock-understudy-"
