/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/orders/drill-steps.h - a drill step by step: the service goes to the other device and comes back, whatever fails on the way; pure. What each
 * step asks of others is carried out by drill.c.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "supervisor/role/role.h"

typedef enum {
	DRILL_ASK,    /* is anybody on the phone, how many contacts are there */
	DRILL_THERE,  /* a swap is under way */
	DRILL_REST,   /* the other device leads; it shall be well before it gives the service back */
	DRILL_RETURN, /* it is asked to */
	DRILL_HOME,   /* it has begun to */
	DRILL_JUDGE,  /* the service is here again: what has it cost */
	DRILL_DONE,
	DRILL_FAILED,
} DrillStep;

typedef enum {
	DRILL_EVENT_FACTS,   /* something may have changed, time included */
	DRILL_EVENT_OK,      /* what the step asked for is done, or agreed to */
	DRILL_EVENT_REFUSED,
} DrillEvent;

typedef struct {
	DrillStep step;
	const char *error;     /* "code: text" of the first failure, when it was found here; NULL: none, or whoever refused knows */
	bool failed;
	gint64 since_us;       /* in this step */
	gint64 away_us;        /* since when the service is not at home by our doing; 0: it is */
	gint64 asked_us;       /* when the peer was last asked to give it back */
	bool unanswered;       /* phones are not answered there yet, and may still be: set by whoever asks */
} DrillCourse;

DrillCourse drill_course(gint64 now_us);
/* After a supervisor of ours died while the service was away: all that is left is to bring it home. */
DrillCourse drill_course_home(gint64 now_us);

/* True: what the step asks for is to be done, also again. */
bool drill_course_step(DrillCourse *course, DrillEvent event, Role role, const RoleFacts *facts, gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;

bool drill_course_is_over(const DrillCourse *course);
/* When to look again at the latest; 0: no need. */
gint64 drill_course_next_us(const DrillCourse *course);
