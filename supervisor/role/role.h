/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/role/role.h - what this device is and therefore does: a pure function of facts, orders and monotonic time.
 *
 * Facts are levels, not edges: whoever comes back (a daemon, the peer, the supervisor itself) only has to say how things are. The answer
 * has two halves: a posture that the I/O keeps true, however often it is told, and a few things to do once.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
	ROLE_STANDALONE,
	ROLE_INIT,
	ROLE_BACKUP,
	ROLE_TAKING_OVER,
	ROLE_MASTER,
	ROLE_HANDING_OVER,
	ROLE_FAULT,
} Role;
#define ROLE_N 7

typedef enum { MODE_ACTIVE, MODE_PASSIVE } Mode;

typedef enum {
	ELECTION_UNKNOWN, /* vrrpd cannot be asked now */
	ELECTION_INIT,
	ELECTION_BACKUP,
	ELECTION_MASTER,
} Election;

/* Who led when: (number, device). Greater numbers are newer; equal numbers of two devices are told apart by the id. */
typedef struct {
	guint64 number;
	char id[64];
} Term;

/* < 0, 0, > 0 as @a is older than, the same as, newer than @b. */
int term_compare(const Term *a, const Term *b);

typedef struct {
	bool redundant;      /* pair.conf there, and enabled */
	bool paired;         /* somebody else shares it */
	Mode mode;
	bool joining;        /* joined, and the first synchronisation is not done */
	gint64 cold_boot_wait_us;
	gint64 first_answer_us;

	Election election;
	bool carrier;
	bool master_heard;   /* adverts of a Master arrive */
	const char *election_reason; /* borrowed for the step; never NULL */

	bool peer_fresh;     /* the peer link is up and the peer has said what it is: */
	Role peer_role;
	Mode peer_mode;
	Term peer_term;
	bool peer_same_data; /* what the peer has applied is what we have applied */
	bool peer_has_witness; /* a witness on the service LAN answers there, */
	bool witness_lost;     /* and here none does */
	gint64 peer_boot_ms; /* when the two came up, wall clock */
	gint64 own_boot_ms;
	Term peer_line;      /* in which the newest commit on its files was made, */
	Term own_line;       /* and that on ours; number 0: there is none, */
	bool own_line_known; /* when syncd has said so */
	guint64 stored;      /* the number that is reserved on disk; up to it a term may be led in that no crash makes anybody forget */
	bool committed;      /* leading, it has committed something outside `volatile`; also when that is not known */
	bool calls_up;       /* somebody is on the phone; also when that is not known */
	bool calls_asked;    /* the answer to that is on its way */

	bool apps_ready;     /* all of them; true when there are none */
	bool apps_stopped;   /* all of them, for certain */
	bool apps_failed;    /* one that is critical does not work, and nothing can be done about it here */
	bool peer_failed_alike; /* and it did not there either */
	bool sync_settled;   /* the files on disk are whole: syncd has answered to "lead" since it was last asked, or has left word of it */
	bool sync_applying;  /* it is beyond the point of no return of an apply, or was when it died */
} RoleFacts;

typedef enum {
	ROLE_EVENT_FACTS,          /* something may have changed, time included */
	ROLE_EVENT_HAND_OVER,      /* swap: stop serving, keep the addresses */
	ROLE_EVENT_HAND_OVER_ABORT,
	ROLE_EVENT_TAKE_EXPECTED,  /* the Master hands over to us: be ready also when passive */
	ROLE_EVENT_HEALTH_RESET,   /* by order: an application's failure may make us give up once more */
} RoleEvent;

typedef enum { DROP_NONE, DROP_ALWAYS, DROP_TIMED } Drop;
typedef enum { SYNC_KEEP, SYNC_IDLE, SYNC_LEAD, SYNC_FOLLOW } SyncRole;

/* What shall be true from now on. */
typedef struct {
	bool run_applications;
	bool may_run;        /* applications may exist here at all */
	Drop drop;
	gint64 drop_until_us; /* for DROP_TIMED */
	SyncRole sync;
	bool serving;
	bool hold_passive;
	bool hold_first_sync;
	bool hold_cold_boot;
	gint64 cold_boot_until_us; /* 0: until the peer or an administrator has spoken */
	bool mark_unstored;  /* on disk, where even a full one takes it: a term was led in that is not stored, or would be */
	gint64 next_us;      /* step again then at the latest; 0: no need */
} RolePosture;

/* What happened in this step. */
typedef struct {
	bool role_changed;
	Role old_role;
	bool term_changed;   /* `known` or `reserved`: to be kept on disk, after acting */
	bool announce;       /* say again whose the addresses are */
	const char *resign;  /* give the election up, for this reason; NULL: no */
	bool unstored;       /* it leads in a term that is not on disk */
	bool fresher_peer;   /* what the peer has is newer, and this device goes on all the same: an administrator must say which */
	bool took_as_told;   /* it leads because the Master has handed over to it */
	bool joined;         /* it leads, by order, before its first synchronisation: what it has is what counts now, it waits for no other's */
} RoleOnce;

/* Adds to @once what of @before can wait for the next step; the rest (role_changed, took_as_told, joined) has been acted on. */
void role_once_add(RoleOnce *once, const RoleOnce *before);

typedef struct {
	/* Kept over the supervisor's death in /run (all) and over the device's on disk (terms). */
	Role role;
	char reason[64];
	guint64 sequence;
	gint64 since_us;
	Term known;          /* the newest heard of or led in */
	guint64 reserved;    /* ours when we lead next */
	Term line;           /* in which the newest commit on our files was made, as far as is known */
	bool unstored;       /* we have led in a term that is not on disk */
	bool settled;
	bool serving;
	bool resigned_for_health;
	bool cold;           /* just booted; the peer has not been compared with */
	gint64 cold_until_us;
	bool doubtful;       /* booted after leading in a term that is not on disk: which one nobody here knows */
	bool strange;        /* just booted: what the peer is has not been heard */
	bool unmet;          /* booted alone: the peer has not been compared with yet */
	Term booted;         /* the line it booted with */
	gint64 lead_us;      /* since when it leads */
	gint64 take_until_us; /* it has promised to take over until then */
	gint64 isolated_us;  /* when it last gave up for being alone on the LAN; 0: never */
	bool superseded;     /* the other took over while our vrrpd was away: what that one says when it is back is not news */

	/* Not kept. */
	char id[64];
	guint64 spent;      /* the number reserved when the device last ran */
	gint64 started_us;
	gint64 asked_settle_us;
	gint64 election_missing_us; /* since when the election is unknown or in init; 0: it is not */
	gint64 witness_lost_us; /* since when no witness has answered; 0: one does */
	gint64 meeting_us;  /* unmet, and leading: since when the peer has been there; 0: it is not */
	gint64 contended_us; /* superseded, and our vrrpd leads all the same: since when; 0: it does not */
	gint64 storing_us;  /* since when a reserved number is not on disk; 0: it is */
	gint64 raising_us;  /* since when a greater term of our own is waited for on disk; 0: it is not */
} RoleMachine;

/* A device that has just booted, or was never anything. */
void role_init(RoleMachine *machine, const char *id, gint64 now_us);

/* After role_init(), what the disk says: a number that was reserved may have been led in, and is not taken again. @unstored: the mark was there. */
void role_remember(RoleMachine *machine, const Term *known, guint64 reserved, bool unstored);

/* After restoring the kept part: the supervisor begins again where the last one ended. */
void role_resume(RoleMachine *machine, gint64 now_us);

void role_step(RoleMachine *machine, const RoleFacts *facts, RoleEvent event, gint64 now_us, RolePosture *ret_posture,
	       RoleOnce *ret_once);

/* Whether the file `master` is to be there, which says that applications may run here. Who sees that it is not may replace their files: so it stays,
 * where it is @there, until the last of them has stopped for certain. */
bool role_wants_master_file(const RolePosture *posture, bool there, bool apps_stopped);

const char *role_name(Role role);
bool role_parse(const char *name, Role *ret_role);
/* Whether such a device is the one that serves, is about to, or still does. */
bool role_leads(Role role);
const char *mode_name(Mode mode);
bool mode_parse(const char *name, Mode *ret_mode);
