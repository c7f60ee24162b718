/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/orders/drill-steps.c - there and back. */
#include "supervisor/orders/drill-steps.h"

#define REST_US (1 * G_TIME_SPAN_SECOND)        /* at least, so that what is measured there is a service that was reached */
#define REST_AT_MOST_US (30 * G_TIME_SPAN_SECOND)
#define AGAIN_US (3 * G_TIME_SPAN_SECOND)       /* between two askings */
#define HOME_US (90 * G_TIME_SPAN_SECOND)       /* it had begun; when nothing came of it, it is asked again */
#define AWAY_US (600 * G_TIME_SPAN_SECOND)      /* then somebody must look */

DrillCourse drill_course(gint64 now_us)
{
	return (DrillCourse){ .step = DRILL_ASK, .since_us = now_us };
}

DrillCourse drill_course_home(gint64 now_us)
{
	return (DrillCourse){ .step = DRILL_RETURN, .since_us = now_us, .away_us = now_us, .failed = true,
			      .error = "supervisor-restarted: the supervisor was restarted in the midst of it" };
}

bool drill_course_is_over(const DrillCourse *course)
{
	return course->step >= DRILL_DONE;
}

static void to(DrillCourse *course, DrillStep step, gint64 now_us)
{
	course->step = step;
	course->since_us = now_us;
}

static void fail(DrillCourse *course, const char *error)
{
	if (!course->failed)
		course->error = error;
	course->failed = true;
}

static void look(DrillCourse *course, Role role, const RoleFacts *facts, gint64 now_us)
{
	bool leads = role == ROLE_MASTER || role == ROLE_TAKING_OVER;
	bool home = role == ROLE_MASTER && facts->apps_ready;
	switch (course->step) {
	case DRILL_REST:
	case DRILL_RETURN:
		if (leads) {
			fail(course, "peer-lost: the other device did not keep the service");
			to(course, DRILL_HOME, now_us);
			break;
		}
		if (course->step == DRILL_REST && ((role == ROLE_BACKUP && facts->peer_fresh && facts->peer_role == ROLE_MASTER && facts->peer_same_data &&
						    !course->unanswered && now_us - course->since_us >= REST_US) ||
						   now_us - course->since_us >= REST_AT_MOST_US))
			to(course, DRILL_RETURN, now_us);
		break;
	case DRILL_HOME:
		if (home) {
			course->away_us = 0;
			to(course, DRILL_JUDGE, now_us);
		} else if (!leads && now_us - course->since_us >= HOME_US) {
			fail(course, "return-late: the other device began to give the service back, and it did not come");
			to(course, DRILL_RETURN, now_us);
		}
		break;
	case DRILL_ASK:
	case DRILL_THERE:
	case DRILL_JUDGE:
	case DRILL_DONE:
	case DRILL_FAILED:
		break;
	}
	if (course->away_us != 0 && now_us - course->away_us >= AWAY_US) {
		fail(course, "still-away: the other device does not give the service back");
		to(course, DRILL_FAILED, now_us);
	}
}

static void answered(DrillCourse *course, bool ok, gint64 now_us)
{
	switch (course->step) {
	case DRILL_ASK:
		if (!ok)
			fail(course, NULL);
		to(course, ok ? DRILL_THERE : DRILL_FAILED, now_us);
		break;
	case DRILL_THERE:
		if (!ok) {
			fail(course, NULL);
			to(course, DRILL_HOME, now_us); /* a swap that fails leads back by itself */
			break;
		}
		course->away_us = now_us;
		to(course, DRILL_REST, now_us);
		break;
	case DRILL_RETURN:
		if (ok)
			to(course, DRILL_HOME, now_us);
		break; /* refused: it is asked again */
	case DRILL_JUDGE:
		to(course, ok && !course->failed ? DRILL_DONE : DRILL_FAILED, now_us);
		break;
	case DRILL_REST:
	case DRILL_HOME:
	case DRILL_DONE:
	case DRILL_FAILED:
		break;
	}
}

bool drill_course_step(DrillCourse *course, DrillEvent event, Role role, const RoleFacts *facts, gint64 now_us)
{
	DrillStep before = course->step;
	if (drill_course_is_over(course))
		return false;
	switch (event) {
	case DRILL_EVENT_FACTS:
		look(course, role, facts, now_us);
		break;
	case DRILL_EVENT_OK:
		answered(course, true, now_us);
		break;
	case DRILL_EVENT_REFUSED:
		answered(course, false, now_us);
		break;
	}
	if (course->step == DRILL_RETURN && (before != DRILL_RETURN || (event == DRILL_EVENT_FACTS && now_us - course->asked_us >= AGAIN_US))) {
		course->asked_us = now_us;
		return true;
	}
	return course->step != before;
}

gint64 drill_course_next_us(const DrillCourse *course)
{
	switch (course->step) {
	case DRILL_REST:
		return course->since_us + REST_US;
	case DRILL_RETURN:
		return course->asked_us + AGAIN_US;
	case DRILL_HOME:
		return course->since_us + HOME_US;
	case DRILL_ASK:
	case DRILL_THERE:
	case DRILL_JUDGE:
	case DRILL_DONE:
	case DRILL_FAILED:
		return 0;
	}
	g_assert_not_reached();
}
