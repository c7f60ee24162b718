/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/repository/term.h - terms as they stand in commits: who led when. Pure; clocks are never compared. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	guint64 number;
	char *id;     /* of the device that led; "" when unknown */
	char *device; /* of the device that wrote the commit */
	char *firmware; /* of that device, in the configuration; NULL: not known */
	char *goes_on; /* a commit without a parent goes on from these, the last of each device: "commit:device commit:device"; NULL: from none */
} SyncTerm;

void sync_term_clear(SyncTerm *term);

/* -1, 0, 1; equal numbers are ordered by id, so two devices never disagree about who is newer. */
int sync_term_compare(const SyncTerm *a, const SyncTerm *b);

/* Whether who was told @own may follow a leader of @leader: nothing newer is given up for what is older. */
bool sync_term_may_follow(const SyncTerm *own, const SyncTerm *leader);

/* Whether a commit of @theirs is for a newer firmware than @own. What is not known ("" or NULL) is not newer. */
bool sync_term_is_newer(const char *theirs, const char *own);

/* @message followed by the trailers that git itself understands (git interpret-trailers). Transfer full. */
char *sync_term_message(const char *message, const SyncTerm *term);

/* Reads the trailers back; a commit without them is of term 0. */
void sync_term_parse(const char *message, SyncTerm *ret_term);

/* @message without its trailers, for people. Transfer full. */
char *sync_term_strip(const char *message);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SyncTerm, sync_term_clear)
