/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/keeper/policy.h - when the keeper kills its supervisor, starts it again, or gives it up. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define KEEPER_FAILED_STARTS 5
#define KEEPER_FAILED_WITHIN_US (10 * G_TIME_SPAN_SECOND) /* without the time for which the starts themselves hung */
/* A supervisor that ends by itself younger than this has failed to start; so has one that never was up, and one that hung before this
 * age and was killed for it. Killed by somebody else, it has not. */
#define KEEPER_GROWN_US (2 * G_TIME_SPAN_SECOND)
/* Pause after a failed start; one that was grown is replaced at once. */
#define KEEPER_FAILED_PAUSE_US (50 * G_TIME_SPAN_MILLISECOND)
/* Acting alone, a new supervisor is tried this often. */
#define KEEPER_RETRY_US (30 * G_TIME_SPAN_SECOND)
/* Woken later than it had asked for by more than this: the whole machine stood still, not the supervisor. */
#define KEEPER_LATE_US (500 * G_TIME_SPAN_MILLISECOND)

typedef struct {
	bool running;
	bool up;         /* the present one has said so */
	bool hung;       /* the present one did before it was grown */
	bool alone;      /* the supervisor was given up; it is tried again now and then */
	gint64 started_us;
	gint64 lapsed_us;   /* when its timer was first seen to have run out, or we ourselves were late; 0: it runs */
	gint64 due_us;      /* when the loop was to turn at the latest; G_MAXINT64: when something comes */
	gint64 start_at_us; /* while not running: when to start it */
	gint64 failed_us[KEEPER_FAILED_STARTS]; /* the last failed starts, oldest first, on the clock that hung_us slows */
	gint64 hung_us;  /* how long failed starts have taken, all together */
	guint n_failed;
} KeeperPolicy;

void keeper_policy_init(KeeperPolicy *policy, gint64 now_us);
void keeper_policy_started(KeeperPolicy *policy, gint64 now_us);
void keeper_policy_up(KeeperPolicy *policy);

/* To be called at every turn of the loop, before anything else; @lapsed: the supervisor's timer has run out. True: it hangs and must be killed, and
 * the timer set anew, so that it is killed once. */
bool keeper_policy_woke(KeeperPolicy *policy, bool lapsed, gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;

/* Whether the timer is to be waited for: it runs, as far as is known. */
bool keeper_policy_waits(const KeeperPolicy *policy);

/* The supervisor ended without having been told to; @killed: by a SIGKILL. True: too many failed starts, act alone now. */
bool keeper_policy_ended(KeeperPolicy *policy, bool killed, gint64 now_us) G_GNUC_WARN_UNUSED_RESULT;

/* When the loop must turn next at the latest, or G_MAXINT64; remembered, to know when it turns too late. */
gint64 keeper_policy_next(KeeperPolicy *policy);
