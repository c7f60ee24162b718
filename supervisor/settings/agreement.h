/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/settings/agreement.h - how two devices come to one version of the pair's settings: which way a change goes, what is answered to the other,
 * when a Backup must not take over for it; pure. What is done after an interruption is in revision.h.
 */
#pragma once

#include "supervisor/settings/revision.h"
#include "supervisor/role/role.h"

/* Not connected just now is not away: its syncd, or ours, may only have been restarted. */
#define AGREEMENT_MISSED_US (5 * G_TIME_SPAN_SECOND)
/* A Backup that will not understand its Master holds for so long beyond the peer's timeout. */
#define AGREEMENT_HOLD_BEYOND_US (2 * G_TIME_SPAN_SECOND)

typedef struct {
	Role role;
	bool paired;
	bool dry_run;
	Revision own;
	bool peer_fresh;   /* the peer says now what it is and has: */
	Role peer_role;
	Revision peer;
	bool peer_down;    /* it is known to be away */
	gint64 missed_us;  /* since when the change has waited for it; 0: it has not */
} ChangeFacts;

typedef enum {
	CHANGE_HERE,       /* nobody shares these settings */
	CHANGE_BOTH,       /* prepared there, committed here, then there */
	CHANGE_ALONE,      /* the other is away */
	CHANGE_TRIED,      /* only whether it would do */
	CHANGE_FORWARD,    /* the other leads: it is for that one to do */
	CHANGE_WAIT,       /* ask again soon: the other may be back */
	CHANGE_ROLE_CHANGES, /* refused, and so are the following */
	CHANGE_NO_MASTER,
	CHANGE_PEER_NEWER,
} ChangeWay;

ChangeWay agreement_way(const ChangeFacts *facts, gint64 now_us);
/* The number of a change that is made now: newer than everything there is. @last_n: the last one given out. */
Revision agreement_number(const Revision *own, guint64 known_term, guint64 last_n, const char *device);
/* The other device has prepared it: may this one, as it is by now, put it to use? */
bool agreement_may_commit(Role role);

/* What the other device asks. */
typedef enum { PREPARE_AGREED, PREPARE_LEADS, PREPARE_BUSY, PREPARE_WAIT, PREPARE_NEWER } PrepareAnswer;
/* @ordered: somebody orders a change here; @writing: a version is on its way into use, which nobody is refused for: it was answered, perhaps. */
PrepareAnswer agreement_prepare(Role role, bool ordered, bool writing, const Revision *own, const Revision *offered);

typedef enum { COMMIT_HAS, COMMIT_ADOPT, COMMIT_UNKNOWN } CommitAnswer;
/* Hashes: of what the texts mean. @prepared_hash is NULL when nothing is prepared. */
CommitAnswer agreement_commit(const Revision *own, const char *own_hash, const Revision *prepared, const char *prepared_hash, const Revision *asked,
			      const char *asked_hash);

/* The other device's version is there. */
typedef enum { ADOPT_NOTHING, ADOPT_IT, ADOPT_IT_AND_KEEP_OWN } Adoption;
/* @own_shared: the other is known to have had ours; @same: both texts mean the same. */
Adoption agreement_adopt(const Revision *own, bool own_shared, bool same, const Revision *offered);

typedef struct {
	bool prepared_differs; /* what is prepared here is another election than that in use */
	bool connected;
	bool peer_fresh;
	Role peer_role;
	bool peer_differs;     /* it says that it is in another one */
	gint64 peer_timeout_us;
} HoldFacts;

/* Until when a device that does not lead must not take over; 0: it may. @until_us: the answer last time. */
gint64 agreement_hold(const HoldFacts *facts, gint64 until_us, gint64 now_us);
