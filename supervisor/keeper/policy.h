/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/keeper/policy.h - when the keeper kills its supervisor, starts it again, or gives it up. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define KEEPER_FAILED_STARTS 5
#define KEEPER_FAILED_WITHIN_US (10 * G_TIME_SPAN_SECOND) /* without the time for which the starts themselves hung */
/* A supervisor that ends by itself younger than this has failed to start; so has one that never kicked, and one that fell silent before this
 * age and was killed for it. Killed by somebody else, it has not. */
#define KEEPER_GROWN_US (2 * G_TIME_SPAN_SECOND)
/* Pause after a failed start; one that was grown is replaced at once. */
#define KEEPER_FAILED_PAUSE_US (50 * G_TIME_SPAN_MILLISECOND)
/* Acting alone, a new supervisor is tried this often. */
#define KEEPER_RETRY_US (30 * G_TIME_SPAN_SECOND)
/* While kicks come, they are what wakes the keeper. When one is overdue by half an interval it looks by itself, this often. */
#define KEEPER_OVERDUE_US (1500 * G_TIME_SPAN_MILLISECOND)
#define KEEPER_WAKE_US (500 * G_TIME_SPAN_MILLISECOND)
/* Woken later than it had asked for by more than this: the whole machine stood still, not the supervisor. */
#define KEEPER_LATE_US (500 * G_TIME_SPAN_MILLISECOND)

typedef struct {
	bool running;
	bool kicked;     /* the present one has, at least once */
	bool hung;       /* the present one fell silent before it was grown */
	bool alone;      /* the supervisor was given up; it is tried again now and then */
	gint64 started_us;
	gint64 kicked_us;
	gint64 due_us;      /* when the loop was to turn at the latest */
	gint64 start_at_us; /* while not running: when to start it */
	gint64 failed_us[KEEPER_FAILED_STARTS]; /* the last failed starts, oldest first, on the clock that hung_us slows */
	gint64 hung_us;  /* how long failed starts have taken, all together */
	guint n_failed;
} KeeperPolicy;

void keeper_policy_init(KeeperPolicy *policy, gint64 now_us);
void keeper_policy_started(KeeperPolicy *policy, gint64 now_us);
void keeper_policy_kicked(KeeperPolicy *policy, gint64 now_us);

/* To be called at every turn of the loop, before anything else. True: the supervisor has been silent for too long and must be killed. */
bool keeper_policy_woke(KeeperPolicy *policy, gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;

/* The supervisor ended without having been told to; @killed: by a SIGKILL. True: too many failed starts, act alone now. */
bool keeper_policy_ended(KeeperPolicy *policy, bool killed, gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;

/* When the loop must turn next at the latest; remembered, to know when it turns too late. */
gint64 keeper_policy_next(KeeperPolicy *policy, gint64 now_us);
