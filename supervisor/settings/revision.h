/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/revision.h - which version of the pair's settings is the newer one, and what to do about it; pure.
 *
 * A change is prepared on both devices, committed where it was ordered, then on the other. Each may die, or lose the other, between any
 * two of these steps. Nothing is concluded from what was under way: a device compares what it has committed with what the other says that
 * it has committed. The higher (term, n) wins; what loses is kept.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	guint64 term;
	char device[65];
	guint64 n;
} Revision;

Revision revision_of(guint64 term, const char *device, guint64 n);
/* < 0, 0, > 0 as @a is older than, the same as, newer than @b. */
int revision_compare(const Revision *a, const Revision *b);
/* "5.2 of alpha", for people. Transfer full. */
char *revision_text(const Revision *revision);

/* What this content of a file is called when somebody changes it and says what he started from. Transfer full. */
char *revision_of_text(const char *text);

typedef struct {
	Revision own;        /* in use here */
	bool prepared;       /* another device announced that one and was not heard to commit it: */
	Revision announced;
	bool announced_is_peers; /* it is the very one that the peer has committed */
	gint64 announced_us; /* since when one has known of it */
	bool peer_fresh;     /* the peer says now what it has committed: */
	Revision peer;
	gint64 fresh_us;     /* since when it has */
	bool busy;           /* a change is under way here, or the role is just changing */
} RevisionFacts;

typedef enum {
	REVISION_KEEP,
	REVISION_FETCH,  /* the peer's is newer */
	REVISION_COMMIT, /* it is the one that has been prepared here */
	REVISION_DROP,   /* nobody will commit what was prepared */
} RevisionAct;

/* A device that has announced a version and lives commits it, or takes it back, within this time. */
#define REVISION_UNDECIDED_US (8 * G_TIME_SPAN_SECOND)

/* *ret_next_us: ask again then at the latest; 0: no need. */
RevisionAct revision_next(const RevisionFacts *facts, gint64 now_us, gint64 *ret_next_us);

/* ---- A version on disk: a few lines about it, an empty line, and the text as it was given ---- */

typedef struct {
	guint number; /* by which people name it; on this device */
	char *file;   /* "pair.conf" */
	char *text;
	char *who, *why;
	Revision revision; /* of pair.conf */
	gint64 time_ms;
} Version;

char *version_format(const Version *version);
Version *version_parse(const char *content); /* NULL when it is none; number is 0 */
void version_free(gpointer version);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Version, version_free)
