/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/timeline.h - why and how each change of role went, kept on disk, bounded, in the form the bus shows. Pure: text in, text out.
 *
 * One line per transition, a GVariant dictionary in text form. A line with the number of an earlier one replaces it: a transition is
 * written when it begins and again when its last phase has ended.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define TIMELINE_MAX 1000

typedef struct Timeline Timeline;

/* @text: the file as read, or NULL. Lines that cannot be read (a crash while writing) are left out. */
Timeline *timeline_new(const char *text);
void timeline_free(Timeline *timeline);

typedef struct {
	const char *device, *old, *new, *reason, *term_id;
	guint64 sequence, term;
	gint64 time_ms;     /* wall clock */
	GVariant *evidence; /* a{sv}, or NULL; consumed when floating */
} TimelineRecord;

/* Opens a transition; an earlier one that was still open ends as it is. Answers the line to append. Transfer full. */
char *timeline_begin(Timeline *timeline, const TimelineRecord *record);

/* A phase of the open transition, in ms relative to its time; without one it goes nowhere. */
void timeline_phase(Timeline *timeline, const char *name, double begin_ms, double end_ms);

/* The open transition has no more phases. The line to append, or NULL when none was open. Transfer full. */
char *timeline_end(Timeline *timeline);

typedef struct {
	guint64 sequence;
	gint64 time_ms;
	const char *phase; /* NULL: none */
	double begin_ms, end_ms;
	GVariant *evidence; /* a{sv}, or NULL; consumed when floating */
} TimelineAddition;

/* What is found out later, of one of the last few transitions, the open one or one that has long ended. The line to append, or NULL: it is not there. Transfer full. */
char *timeline_amend(Timeline *timeline, const TimelineAddition *addition);

/* The last @count, oldest first: a floating aa{sv}. */
GVariant *timeline_list(const Timeline *timeline, guint count);

/* The same without the newest @skip, and no more than fit into @bytes: a page for the peer. */
GVariant *timeline_page(const Timeline *timeline, guint skip, guint count, gsize bytes);

/* Two devices' transitions as one, in the order of their times. */
GVariant *timeline_merge(GVariant *ours, GVariant *theirs, guint count);

/* Whether the file has grown so much that it should be written anew with timeline_text(). */
bool timeline_wants_rewrite(const Timeline *timeline);
char *timeline_text(Timeline *timeline);
