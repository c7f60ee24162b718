/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/applications/health.h - an application that does not work: is it a change of the configuration, and if not, may we give up? Pure.
 *
 *	well ──failed──► looking ──a change is young enough──► restoring ──► trying ──works──► well
 *	                    └──none is──► beyond ◄──could not──┤               └──failed──► looking, for the change before
 *	                                                       └──nobody answers──► looking
 *
 * A change made since the last start has not had its try yet: it may be what mends it, and is tried before it is blamed.
 * Who would know the changes is asked again for a little while: its process may just be coming back. Only beyond is handing the service over considered.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { HEALTH_WELL, HEALTH_LOOKING, HEALTH_RESTORING, HEALTH_TRYING, HEALTH_BEYOND } HealthState;

typedef enum {
	HEALTH_EVENT_FACTS,    /* something may have changed */
	HEALTH_EVENT_FOUND,    /* a change to undo */
	HEALTH_EVENT_UNTRIED,  /* the newest change is younger than the last start */
	HEALTH_EVENT_NOTHING,  /* there is none, or it could not be undone */
	HEALTH_EVENT_UNANSWERED, /* nobody is there who knows */
	HEALTH_EVENT_RESTORED, /* it is undone, on the files */
	HEALTH_EVENT_RESET,    /* by order, or because somebody has changed something */
} HealthEvent;

typedef enum { HEALTH_DO_NOTHING, HEALTH_DO_LOOK, HEALTH_DO_LOOK_LATER, HEALTH_DO_RESTORE, HEALTH_DO_RESTART } HealthAction;

#define HEALTH_LATER_MS 1000
#define HEALTH_MOST_UNANSWERED 3

typedef struct {
	bool runs;    /* applications shall run here */
	bool failed;  /* one that is critical has */
	bool ready;   /* all that are critical are */
	bool on_trial; /* changes of the configuration are undone at all */
} HealthFacts;

typedef struct {
	HealthState state;
	guint unanswered; /* since something failed */
} Health;

HealthAction health_step(Health *health, const HealthFacts *facts, HealthEvent event) G_GNUC_WARN_UNUSED_RESULT;

/* Nothing more can be done here. */
bool health_gives_up(const Health *health, const HealthFacts *facts);

/* One commit of the configuration. */
typedef struct {
	const char *commit, *parent, *author, *message;
	gint64 time_ms; /* wall clock of the device that made it */
} HealthCommit;

#define HEALTH_AUTHOR "supervisor"
#define HEALTH_UNDO "Undo "  /* what the message of an undoing commit begins with; then the commit undone */
#define HEALTH_MOST_UNDONE 5 /* in the time of trial: an application that writes its own configuration must not keep us busy */

/* @commit: the newest, whoever made it: it may be our own undoing whose answer was lost. @begun_ms: the last start of what fails, 0: not known. @tried: the commit of which this was said before, or NULL: clocks differ. */
bool health_is_untried(const HealthCommit *commit, gint64 begun_ms, const char *tried);

/* The change to undo, of @n commits, newest first: the newest that is at most @trial_ms old, can be undone and is not yet. False: none. */
bool health_choose(const HealthCommit *commits, gsize n, gint64 now_ms, gint64 trial_ms, gsize *ret_i);
