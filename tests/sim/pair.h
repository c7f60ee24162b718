/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/sim/pair.h - two whole devices in a simulated world: the shipped role machine, swap and applications, with vrrpd's election of sim.h,
 * and models of syncd, the peer link, disks and processes around them.
 */
#pragma once

#include <string.h>

#include "sim.h"
#include "supervisor/applications/app.h"
#include "supervisor/applications/health.h"
#include "supervisor/role/handover.h"
#include "supervisor/role/role.h"
#include "supervisor/settings/agreement.h"
#include "syncd/repository/term.h"

#define PAIR_APPS 2
#define PAIR_COMMITS 4096
#define PAIR_TEXTS 64
#define PAIR_CONFIGS 16
#define PAIR_WRITE_US (1 * SIM_MS)
#define PAIR_LINK_TIMEOUT_US (3 * G_USEC_PER_SEC)

typedef enum { PAIR_WITNESS_UNKNOWN, PAIR_WITNESS_REACHED, PAIR_WITNESS_LOST } PairWitness;

typedef enum { SYNC_RUNS_NOTHING, SYNC_RUNS_APPLY, SYNC_RUNS_FETCH } PairSyncWork;

/* One commit: they form a tree. */
typedef struct {
	guint parent;        /* 0: none */
	guint device;
	SyncTerm term;
	char term_id[2];
	guint applied;       /* by these devices, as bits */
	guint parked;        /* kept by name by these */
	gint64 at_us;
	guint config;        /* what is in it, whether that is a change, and which one it undoes (0: it is made by people) */
	bool changes;
	guint undoes;
} PairCommit;

/* What the two tell each other, as topic `state`, with what syncd adds. */
typedef struct {
	bool there;
	Role role;
	Mode mode;
	Term term, line;
	gint64 boot_ms;
	bool failed;
	guint head;
	bool sync_leads;
	Term sync_term;      /* that of its syncd */
	Revision settings;
	guint settings_text;
	PairWitness witness;
} PairState;

/* A text of the pair's settings. */
typedef struct {
	guint base;          /* what was in use when it was made from it */
	guint finding;       /* by what the two find each other: one that differs is not heard on the LAN */
	Revision revision;
	guint used;          /* by these devices, as bits */
	bool aside;
} PairText;

typedef enum { ORDER_SWAP, ORDER_MODE, ORDER_TAKE, ORDER_SETTINGS } PairOrderKind;
typedef enum { ORDER_RUNS, ORDER_DONE, ORDER_REFUSED } PairOrderResult;

typedef struct {
	PairOrderKind kind;
	guint device;
	gint64 at_us;
	PairOrderResult result;
	const char *why;     /* refused: "code: text" */
	guint forwarded;     /* to the other device, under this number; 0: not */
	Mode before[2];      /* a swap: what the two were */
} PairOrder;

/* Settings of a device; all of it is on disk at once, but for what is shared. */
typedef struct {
	Revision own, announced, shared;
	guint text, prepared, shared_text; /* 0: the first, none */
} PairSettings;

/* A change under way. */
typedef struct {
	guint text;          /* 0: none is */
	PairOrder *order;    /* ordered here, or */
	guint asked_for;     /* by the other device, with this number */
	Revision revision;
	gint64 missed_us;
	bool committing;
} SettingsRun;

/* What the disk keeps. */
typedef struct {
	Term known;
	guint64 reserved;
	bool unstored;
	Mode mode;
	bool joining;        /* the first synchronisation is not done */
} PairDisk;

typedef struct {
	guint index;
	char id[2];
	SimDevice *v;        /* its vrrpd */
	bool on;
	gint64 booted_us;    /* world */
	gint64 asleep_us, slept_us; /* world: suspended since, if it is; and so long in all before */
	guint boots;

	/* The supervisor. */
	bool supervisor_runs;
	guint supervisor;    /* which one; what was due to an earlier one is void */
	bool thinking;
	RoleMachine role;
	RoleFacts facts;
	RolePosture posture;
	guint think_number;
	Mode mode, mode_given;
	gint64 given_until_us; /* its clock: it leads as it was told, and that mode may become its own until then; 0: not so */
	PairState peer;      /* as it was told last */
	guint n_said, n_heard;
	bool sync_knows;     /* syncd has heard from it since it was started */
	PairState told, said; /* to the other: what it would hear, and what was sent on this connection */
	RoleMachine kept;    /* in /run */
	bool is_kept, kept_failed;
	guint failed;        /* applications that were beyond help here, as bits */
	Election election;   /* as vrrpd has said */
	bool election_known;
	char election_reason[32];
	gint64 heard_us;     /* its clock: that of a Master, asked for each second */
	guint introduced;    /* to this generation of vrrpd */
	bool held[VRRP_N_HOLDS];
	gint64 cold_until_us; /* as the hold was told last */

	App app[PAIR_APPS];
	bool app_deadline_set[PAIR_APPS];

	/* Processes of the applications: they outlive the supervisor. */
	struct {
		bool alive, ready, stubborn;
		guint number;
		gint64 begun_us; /* world; 0: before this supervisor */
	} process[PAIR_APPS];
	guint broken;        /* faults that say so */

	/* The disk. */
	PairDisk disk;
	guint disk_full, disk_slow;
	bool mark_told;      /* what it was told last to write */
	bool doomed;         /* loses its power when it begins a term */

	/* syncd. */
	bool sync_runs;
	guint sync;          /* which one */
	SyncRole sync_role, sync_asked; /* asked: what the supervisor has told this one */
	Term sync_term, sync_asked_term;
	bool sync_settled;
	bool sync_marks, master_file; /* in /run: syncd has looked at its files; applications may run, so nothing is applied */
	guint head, fetched;
	bool dirty;          /* files changed since the last commit */
	guint config;        /* among them */
	PairSyncWork work;
	guint work_number, work_target;
	guint lead_head;
	bool lead_head_known;

	/* A swap ordered here. */
	Handover handover;
	PairOrder *swap;
	guint swap_number, swap_target;
	Mode swap_peer_mode;
	bool promised;       /* in /run: the other takes over, and its mode is ours once it leads */
	bool not_resigned;   /* vrrpd was not there to be told */

	/* Settings. */
	PairSettings settings;
	Revision settings_disk_shared;
	guint settings_disk_shared_text;
	SettingsRun settings_run;
	guint settings_number, settings_asking;
	guint64 settings_last_n;
	gint64 settings_announced_us, settings_fresh_us, settings_hold_until_us, settings_next_us;
	bool settings_held;
	/* The witness, as its vrrpd sees it. */
	guint no_witness;    /* faults that say so */
	guint witness_generation; /* of vrrpd, which forgets */
	gint64 witness_begin_us, witness_heard_us; /* vrrpd's clock */
	PairWitness witness;

	/* Changes that break an application. */
	Health health;
	guint undo_number, undo_commit, undo_tried; /* what is asked, and what is to be undone; what got a try first */
	guint undoing;       /* what the commit that is being made undoes */
	gint64 undo_reset_us;

	/* For the invariants. */
	bool failing, tried_again; /* an application has failed; since then a change was undone */
	guint blamed;        /* the change that an application has failed after */
	gint64 unmended_us, sync_seen_us; /* since when it is neither undone nor past help; syncd was there last */
	gint64 unanswered_us; /* so long it had to wait for what nobody answered, so often: */
	guint undo_unanswered;
	guint64 greatest, greatest_before; /* number it ever led in, and before the present one */
	gint64 began_us;     /* awake: when that began */
	gint64 deaf_us, better_us, isolated_us; /* lost since, the other is better since (world), and it gave up for that (awake) */
	guint isolated_boot; /* in which it did */
	bool led_since_boot, heard_since_boot;
	gint64 passive_us;   /* since when it is passive and its vrrpd runs, so that it can be told; 0: not so */
	bool won_passive;    /* unordered, when its vrrpd came to lead */
	bool won_joining;
	gint64 ordered_until_us; /* awake: an order to take over counts so long */
	guint n_health;      /* so often it gave up for its applications, since it booted */
	bool excused;        /* an administrator sent it ahead in doubt */
	gint64 supervisor_since_us;
} PairDevice;

typedef struct {
	PairDevice device[2];
	bool witness;        /* there is one */
	bool people;         /* who change the configuration */
	guint n_configs;     /* 0 is the first */
	bool config_broken[PAIR_CONFIGS];
	bool link;           /* of the two syncds */
	gint64 link_since_us, link_lost_us;
	guint session;
	gint64 arrives_us[2]; /* what is sent later arrives later */
	PairCommit commit[PAIR_COMMITS];
	guint n_commits;
	PairText text[PAIR_TEXTS];
	guint n_texts;
	PairOrder order[64];
	guint n_orders;
	guint n_faults_active;
	gint64 whole_us;     /* since when no fault is there; 0: one is */
	gint64 mended_us;    /* when a fault other than an order ended last */
	gint64 twice_us;     /* since when applications run on both and no fault is there; 0: not */
	gint64 settled_us;   /* from here on nothing may change */
	bool both_passive;   /* by order, or for all that the orders say */
	const PairOrder *swapped; /* done, and has yet to be looked at; NULL: none */
	gint64 swapped_us;   /* when */
} Pair;

typedef enum {
	PAIR_THINK, PAIR_TIMER, PAIR_ELECTION, PAIR_HEARTBEAT, PAIR_APP_READY, PAIR_APP_ENDED, PAIR_APP_TIME, PAIR_APP_WRITES, PAIR_STORED,
	PAIR_MARKED, PAIR_STATE, PAIR_ROLE_SET, PAIR_SYNC_DONE, PAIR_COMMITTED, PAIR_SWAP_TIME, PAIR_ASK, PAIR_ANSWER, PAIR_START_SUPERVISOR,
	PAIR_SETTINGS_ASK, PAIR_SETTINGS_ANSWER, PAIR_SETTINGS_TIME, PAIR_SETTINGS_LATE, PAIR_SHARED_STORED, PAIR_START_SYNC, PAIR_LOOK_AT_LINK, PAIR_POWER_ON, PAIR_POWER_OFF, PAIR_KILL, PAIR_ORDER_LATE, PAIR_UNDO_ANSWER, PAIR_UNDO_LATER, PAIR_UNDO_CHANGED, PAIR_MEND, PAIR_CHECK,
} PairEventKind;

typedef enum { ASK_PREPARE, ASK_TAKE, ASK_MODE } PairAskKind;

extern Pair pair;

/* pair-device.c: the supervisor and what it runs */
/* CLOCK_MONOTONIC, which the supervisor and syncd go by: it stands still while the device is suspended. vrrpd's is sim_clock(). */
gint64 pair_clock(const Sim *sim, const PairDevice *device);
gint64 pair_awake_us(const Sim *sim, const PairDevice *device); /* the same, as the world counts */
void pair_device_wakes(const Sim *sim, PairDevice *device);
void pair_at(Sim *sim, PairDevice *device, gint64 clock_us, PairEventKind what, guint number);
/* Time that the device sleeps does not count. */
void pair_later(Sim *sim, PairDevice *device, gint64 after_us, PairEventKind what, guint number, gpointer data);
void pair_device_on(Sim *sim, PairDevice *device);
void pair_device_off(Sim *sim, PairDevice *device);
void pair_kill_supervisor(Sim *sim, PairDevice *device);
void pair_device_event(Sim *sim, PairDevice *device, const SimEvent *event);
void pair_election_changed(Sim *sim, PairDevice *device);
void pair_think_soon(Sim *sim, PairDevice *device);
void pair_tell_vrrpd(Sim *sim, PairDevice *device);
void pair_think(Sim *sim, PairDevice *device, RoleEvent event);
void pair_app_event(Sim *sim, PairDevice *device, guint i, AppEvent event);
void pair_break_applications(Sim *sim, PairDevice *device);
PairDevice *pair_other(const PairDevice *device);
bool pair_leads(Role role);
bool pair_runs_applications(const PairDevice *device);

/* pair-sync.c: syncd and the link */
void pair_sync_role(Sim *sim, PairDevice *device);
void pair_sync_event(Sim *sim, PairDevice *device, const SimEvent *event);
void pair_sync_start(Sim *sim, PairDevice *device);
bool pair_sync_is_whole(const PairDevice *device); /* and that is known without its answer */
void pair_kill_sync(Sim *sim, PairDevice *device);
void pair_sync_commit(Sim *sim, PairDevice *device);
void pair_look_at_link(Sim *sim);
void pair_tell_state(Sim *sim, PairDevice *device);
bool pair_link_is_up(void);
gint64 pair_delay_us(Sim *sim, guint to);
/* False: not now (it is sent again), or never. @size: of its data. */
bool pair_can_arrive(Sim *sim, PairDevice *device, const SimEvent *event, guint session, gsize size);
bool pair_contains(guint head, guint commit);

/* pair-orders.c */
void pair_order(Sim *sim, PairOrderKind kind, PairDevice *device, guint amount);
void pair_swap_look(Sim *sim, PairDevice *device);
void pair_swap_taken(Sim *sim, PairDevice *device);
void pair_first_sync_done(Sim *sim, PairDevice *device);
void pair_order_event(Sim *sim, PairDevice *device, const SimEvent *event);
void pair_swap_forget(Sim *sim, PairDevice *device, const char *why);
void pair_ask(Sim *sim, PairDevice *device, PairAskKind kind, guint number, gint64 timeout_us, Mode mode);

/* @why: NULL when it is done. */
void pair_order_end(Sim *sim, PairOrder *order, const char *why);

/* pair-settings.c: the agreement on the pair's settings */
const char *pair_settings_order(Sim *sim, PairDevice *device, PairOrder *order, guint amount);
void pair_settings_look(Sim *sim, PairDevice *device);
void pair_settings_event(Sim *sim, PairDevice *device, const SimEvent *event);
void pair_settings_forget(PairDevice *device, bool off);
guint pair_settings_finding(const PairDevice *device);
void pair_settings_check_end(Sim *sim);
/* pair-witness.c */
void pair_witness_make(Sim *sim, guint fault);
void pair_witness_tick(Sim *sim, PairDevice *device);
void pair_witness_facts(const PairDevice *device, RoleFacts *facts);
void pair_witness_check(Sim *sim, PairDevice *device, const RoleOnce *once);
void pair_witness_always(Sim *sim);

/* pair-undo.c: changes of the configuration, and how one that breaks the applications is undone */
void pair_undo_make(Sim *sim, guint fault);
void pair_change_config(Sim *sim, PairDevice *device, guint amount);
bool pair_config_is_broken(const PairDevice *device);
void pair_config_committed(PairDevice *device, guint commit);
void pair_config_in_use(Sim *sim, PairDevice *device, guint before);
void pair_undo_look(Sim *sim, PairDevice *device);
bool pair_undo_gives_up(const PairDevice *device);
void pair_undo_reset(Sim *sim, PairDevice *device);
void pair_undo_event(Sim *sim, PairDevice *device, const SimEvent *event);
void pair_undo_forget(PairDevice *device);
void pair_undo_mend(Sim *sim, PairDevice *device);
void pair_undo_check(Sim *sim, PairDevice *device, const RoleOnce *once);
void pair_undo_always(Sim *sim);

/* pair-check.c */
void pair_check_step(Sim *sim, PairDevice *device, const RoleMachine *before, const RoleOnce *once);
void pair_check_power(Sim *sim, PairDevice *device);
void pair_check_swapped(const Sim *sim, const PairOrder *order);
void pair_check_always(Sim *sim);
void pair_check_end(Sim *sim);
