/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/supervisor.h - the parts of the running supervisor and how they reach each other.
 *
 * Facts flow in: every part that learns something writes it into `facts` (or answers for it in gather_facts()) and calls
 * supervisor_think(). Decisions are made in one place, by role_step(). They flow out again from there: supervisor_think() lets each part
 * make the posture true.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "dbus/bus-link.h"
#include "dbus/bus-object.h"
#include "dbus/bus-server.h"
#include "settings/settings.h"
#include "supervisor/applications/applications.h"
#include "supervisor/applications/ask.h"
#include "supervisor/daemons.h"
#include "supervisor/drop.h"
#include "supervisor/events.h"
#include "supervisor/aftermath.h"
#include "supervisor/applications/foreign.h"
#include "supervisor/applications/hooks.h"
#include "supervisor/applications/health.h"
#include "dbus/job.h"
#include "supervisor/role/mode.h"
#include "supervisor/processes/process.h"
#include "supervisor/role/role.h"
#include "supervisor/settings/settings-order.h"
#include "supervisor/store.h"
#include "supervisor/timeline.h"

#define STATE_DIR "/var/lib/understudy/supervisor"
#define EVENT_APPLICATION "REDUNDANCY"

typedef struct Elect Elect;     /* elect.c: vrrpd's client */
typedef struct Peer Peer;       /* peer.c: syncd's client, and through it the other device */
typedef struct Swap Swap;       /* swap.c: handing over by order */
typedef struct Undo Undo;       /* undo.c: changes that break an application, and what has failed here */
typedef struct Drill Drill;     /* drill.c: a swap there and back, measured */
typedef struct Reboot Reboot;   /* reboot.c: of this device, by order */
typedef struct HeldOrders HeldOrders; /* held.c: orders to hand over that wait for the peer's word */
typedef struct Examine Examine; /* examine.c: what would hinder a takeover */
typedef struct Service Service; /* service.c: the bus */
typedef struct Share Share;     /* share.c: carries between the two notifyd */

typedef struct Supervisor {
	GMainLoop *loop;
	int exit_status;
	char *cgroup;
	ProcessTable *processes;
	Store *store;
	Store *settings_store; /* a thread of its own: an order of settings does not wait for the timeline */
	Settings *settings;
	char *settings_error; /* what is wrong on disk while the last good ones are in use; else "" */
	gint64 boot_ms;       /* when this device came up, wall clock */

	Applications *applications;
	Daemons *daemons;
	DropRules *drop;
	BusLink *notify_link;
	Events *events;
	Timeline *timeline;
	Aftermath *aftermath;
	Elect *elect;
	Peer *peer;
	Jobs *jobs;
	Swap *swap;
	Undo *undo;
	Hooks *hooks;
	Examine *examine;
	Reboot *reboot;
	HeldOrders *held_orders;
	SettingsOrders *settings_orders;
	Drill *drill;
	Share *share;
	Foreign *foreign;
	char **foreign_found; /* as people read it; may be NULL */
	Service *service;

	ModeOrder mode;
	bool joining;        /* joined, first synchronisation not done; kept on disk */
	RoleMachine role;
	guint64 term_stored; /* the number reserved on disk */
	gint64 term_tried_us; /* when it was last tried to write it */
	Ask *calls_ask;      /* whether somebody is on the phone, asked when a decision hangs on it; NULL: not asked */
	bool calls_answered, calls_known, calls_up;
	bool mark_told;      /* whether the mark on disk says so */
	RoleFacts facts;
	RolePosture posture; /* as last decided */
	gint64 role_since_ms; /* wall clock */
	bool started;        /* everything that was left running has been found again */
	bool thinking, think_again;
	guint think_timer;
	guint calm_timer;      /* the phones are served first: until then nothing is thought about but orders (act.c) */
	RoleOnce once_left;    /* of the step that is not acted on to its end meanwhile, */
	RoleMachine role_told; /* and what the role was before it */
	guint write_idle;
	char *written_state, *written_processes; /* what is in /run, so that the same is not written again */
	guint heartbeat, beat_s; /* its timer; every how many seconds */
	gint64 stirred_us;       /* when something was last thought about */
	gint64 tidy_us;
	guint peer_reload_timer;
	bool stopping;       /* in order, by stop.c */
	int stop_stage;

	/* The transition under way, for the timeline. */
	gint64 transition_us; /* monotonic; what its phases count from */
	gint64 settle_asked_us;
	gint64 drop_lifted_us; /* when phones were let through to what this device took over; 0: not, or it took over nothing */
	char *order;         /* what people gave as the reason of an order that changes roles, or ""; NULL: none lately */
	gint64 order_us;
	char *failover;      /* while taking over without an order: what has become of the Master; else NULL */
	struct { /* the change of role that names an application that was beyond help, whose last lines may come later */
		char *name; /* of the application; NULL: none */
		guint64 sequence;
		gint64 time_ms;
	} blamed;
	GHashTable *app_begun;  /* application name -> gint64*, when its start began */

	/* What was last carried out of the posture. */
	bool posture_done;
	Drop drop_done;
	gint64 drop_until_done_us;
	guint begun_timer; /* the applications of a takeover have just begun: the drop has no end yet, and syncd does not lead */
	bool master_file; /* is there */

	/* The Backup as the Master's events last told of it. */
	enum { PRESENCE_UNKNOWN, PRESENCE_ACTIVE, PRESENCE_PASSIVE, PRESENCE_DOWN } presence;
	gint64 passive_since_us, passive_told_us; /* monotonic; 0: it is not, or was not told */
} Supervisor;

/* ---- supervisor.c ---- */

Supervisor *supervisor_new(void);
/* Loads the settings, finds what runs, starts the rest. False: exit_status says why, nothing was started. */
bool supervisor_start(Supervisor *supervisor);
void supervisor_free(Supervisor *supervisor);

/* Something may have changed: decide and act. @event is ROLE_EVENT_FACTS but for orders. May be called from anywhere in the loop. */
void supervisor_think(Supervisor *supervisor, RoleEvent event);
/* What this device says that it is: what it was before, while a step waits for calm_timer. */
const RoleMachine *supervisor_told(const Supervisor *supervisor);
/* Acts to its end on such a step. */
void supervisor_end_calm(Supervisor *supervisor);

bool supervisor_reload(Supervisor *supervisor, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What is on disk is not to be used; why, for people. */
void supervisor_refuse_settings(Supervisor *supervisor, const char *reason);
/* A pair.conf from the pair: checked, written, in use; @done hears of it. */
void supervisor_adopt_pair(Supervisor *supervisor, const char *text, StoreDoneCb done, gpointer user_data);
void supervisor_set_mode(Supervisor *supervisor, const ModeOrder *order);
/* By order of people: in use at once, and @done runs, in the main loop, when the disk has it too: who hears of it may cut the power then. */
void supervisor_order_mode(Supervisor *supervisor, const ModeOrder *order, StoreDoneCb done, gpointer user_data);
void supervisor_set_joining(Supervisor *supervisor, bool joining);
/* Things of /run that the next supervisor wants; written when the loop is idle. */
void supervisor_remember(Supervisor *supervisor);

/* ---- stop.c ---- */

/* Stops everything in order, then ends the loop. */
void supervisor_stop(Supervisor *supervisor);
void stop_look(Supervisor *supervisor); /* something has stopped */

/* ---- keep.c: what is kept over our own death ---- */

#define KEEP_GOOD_DIR "/run/understudy/supervisor/settings" /* the settings last in use */

void keep_load(Supervisor *supervisor);  /* terms, mode, and the role if the device has not been off */
void keep_load_rest(Supervisor *supervisor); /* what undo.c and swap.c remember */
void keep_write_run(Supervisor *supervisor);
void keep_mode(Supervisor *supervisor, const ModeOrder *order); /* for the next boot alone: the one in use stays */
void keep_watch_mode(Supervisor *supervisor); /* to be called every second: a mode may have an end */
void keep_write_term(Supervisor *supervisor);
void keep_mark_unstored(Supervisor *supervisor); /* as the posture says */
void keep_written(Supervisor *supervisor, const char *path, const char *text);
void keep_failed(Supervisor *supervisor, const char *path, const char *reason);
void keep_again(Supervisor *supervisor); /* what could not be written is tried again now and then */
void keep_good_settings(Supervisor *supervisor);
/* The settings last in use: NULL when there are none. */
Settings *keep_load_good_settings(GError **error) G_GNUC_WARN_UNUSED_RESULT;
void keep_forget_good_settings(void);

/* ---- act.c: making the posture true ---- */

/* False: another step is due at once, and what of @once is left is for that one (role_once_add); or calm_timer is set, and all of it is left. */
bool act_on_posture(Supervisor *supervisor, const RoleOnce *once);
GPtrArray *act_foreign_wanted(gpointer supervisor); /* what foreign.c looks for, */
void act_foreign_found(GPtrArray *found, gpointer supervisor); /* and what it has found */

/* ---- tell.c: writing down and saying what happened ---- */

/* A line for the timeline's file; consumed, NULL is fine. */
void tell_write_timeline(Supervisor *supervisor, char *line);
/* A phase of the transition under way, by the monotonic clock. */
void tell_phase(Supervisor *supervisor, const char *name, gint64 begin_us, gint64 end_us);
/* To supervisor->role, just now, or when the phones had it: timeline, signal, events. */
void tell_role_changed(Supervisor *supervisor, Role old);
void tell_application_changed(Supervisor *supervisor, Application *application, AppState old);
/* An order that will change roles was given: the timeline says so until a role is kept. */
void tell_order(Supervisor *supervisor, const char *reason);
void tell_forget_order(Supervisor *supervisor);
void tell_whole(Supervisor *supervisor);   /* the files are known to be */
void tell_settled(Supervisor *supervisor); /* and syncd leads */
void tell_terms(Supervisor *supervisor);   /* the one that this device leads in, or led in, is not on its disk */
void tell_remind(Supervisor *supervisor);  /* that the Backup is passive, now and then */
void tell_watch_backup(Supervisor *supervisor); /* the three redundancy events */

/* ---- elect.c ---- */

typedef void (*ElectDoneCb)(const GError *error, gpointer user_data);

Elect *elect_new(Supervisor *supervisor);
void elect_free(Elect *elect);
void elect_gather(Elect *elect, RoleFacts *facts);
void elect_apply(Elect *elect); /* holds, serving, peer: whatever vrrpd has not been told yet */
void elect_live(Elect *elect); /* now and then: vrrpd is given our sign of life, if it has not got it */
void elect_lapsed(Elect *elect); /* it had run out, and vrrpd has let it go */
void elect_resign(Elect *elect, const char *reason, ElectDoneCb done, gpointer user_data);
void elect_take(Elect *elect, const char *reason, ElectDoneCb done, gpointer user_data);
void elect_announce(Elect *elect);
void elect_reload(Elect *elect);
const char *elect_witness(const Elect *elect); /* as Election1.Witness */
bool elect_link_alive(const Elect *elect);
GVariant *elect_link_locals(const Elect *elect); /* a{ss}, borrowed; NULL: not known */
/* When the election last changed (monotonic), and what was known then (a{sv}, borrowed, or NULL). */
gint64 elect_changed_us(const Elect *elect);
gint64 elect_changed_boot_us(const Elect *elect); /* on the clock of the evidence */
GVariant *elect_evidence(const Elect *elect);
/* vrrpd's own words about what would hinder a takeover; borrowed until the loop runs, or NULL. */
GVariant *elect_problems(const Elect *elect);
char **elect_holds(const Elect *elect); /* names; transfer full */
/* Who speaks for our group beside us, lately, and whether it is heard all the same; NULL: nobody. */
const char *elect_stranger(const Elect *elect, bool *ret_counts);

/* ---- peer.c ---- */

Peer *peer_new(Supervisor *supervisor);
void peer_free(Peer *peer);
void peer_gather(Peer *peer, RoleFacts *facts);
void peer_apply_role(Peer *peer); /* the role of syncd */
/* Of a takeover, once the file `master` is there; true: they are whole and nobody knew it yet, the role is decided anew. */
bool peer_look_at_files(Peer *peer);
void peer_apply(Peer *peer);      /* and what we publish */
BusLink *peer_link(Peer *peer);
bool peer_is_connected(const Peer *peer);
/* Not connected for so long that it is down, our own syncd's restart not counted. */
bool peer_is_down(const Peer *peer);
const char *peer_id(const Peer *peer);
/* The peer's state as last published (a{sv}), or NULL; borrowed until the loop runs. */
GVariant *peer_state(const Peer *peer);
gint64 peer_state_age_ms(const Peer *peer); /* -1: never heard */
/* For vrrpd's SetPeer: floating a{sv}; empty when not paired. */
GVariant *peer_for_election(const Peer *peer);
bool peer_first_sync_done(const Peer *peer);
bool peer_has_revoked(const Peer *peer); /* it has ended the pairing */
/* What it says of itself (topic doctor); NULL while it is not connected, or has not. Transfer full. */
GVariant *peer_doctor(const Peer *peer);
/* What it published under @topic, the same way. */
GVariant *peer_published(const Peer *peer, const char *topic);
void peer_publish_doctor(Peer *peer, GVariant *doctor); /* when it is another than last */
/* A property of Sync1, of our own syncd; borrowed until the loop runs, or NULL. */
GVariant *peer_sync_get(const Peer *peer, const char *property, const char *type);
void peer_reload(Peer *peer);
/* @done gets the dictionary itself; it may be NULL. */
void peer_request(Peer *peer, const char *topic, GVariant *args, guint timeout_ms, BusReplyCb done, gpointer user_data);

/* Answers what the peer has asked, once. Takes @values when floating. */
void peer_answer(Peer *peer, guint64 serial, GVariant *values, const GError *error);

/* ---- swap.c ---- */

Swap *swap_new(Supervisor *supervisor);
void swap_free(Swap *swap);
typedef void (*SwapEndedCb)(bool done, const char *error, gpointer user_data);

typedef struct {
	const char *reason; /* for people; may be NULL */
	bool force;
	guint when_quiet_s; /* patience for a moment when nobody is on the phone; 0: not asked */
	SwapEndedCb ended;  /* may be NULL */
	gpointer user_data;
} SwapOrder;

/* Begins; the path of its job, or @error. */
const char *swap_begin(Swap *swap, const SwapOrder *order, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* We lead because the Master has handed over to us: the mode it gave us is ours. */
void swap_taken(Swap *swap);
/* What the next supervisor must know of promises, as lines of the state file; and what an earlier one has left of them (NULL: nothing). */
void swap_keep(const Swap *swap, GString *text);
void swap_resume(Swap *swap, const char *given, const char *promised);
bool swap_is_running(const Swap *swap);
/* As Supervisor1.CheckSwap answers; floating. */
GVariant *swap_check(const Supervisor *supervisor);
/* Why none would be begun now: "code: text", or NULL. */
const char *swap_refusal(const Supervisor *supervisor);
/* Whether one would be but for the role that the peer told last: a word of another one may be on its way. */
bool swap_may_pass(const Supervisor *supervisor, bool force);
/* Something has changed that it may wait for. */
void swap_look(Swap *swap);
/* The other side of it: answers the topic `swap`. True: agreed. */
bool swap_answer(Supervisor *supervisor, GVariant *args, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- drill.c ---- */

Drill *drill_new(Supervisor *supervisor);
void drill_free(Drill *drill);
void drill_resume(Drill *drill); /* to be called once, when everything that was left running has been found again */
const char *drill_begin(Drill *drill, const char *reason, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* the path of its job */
void drill_look(Drill *drill);   /* something may have changed */
GVariant *drill_answer(Drill *drill, GVariant *args, GError **error); /* the topic `drill`; floating */
GVariant *drill_report(const Drill *drill);   /* of the last one, a{sv}; transfer full */
gint64 drill_age_days(const Drill *drill);    /* of the last one, or of the pair; -1: not known */
bool drill_has_failed(const Drill *drill);    /* the last one */

/* ---- reboot.c ---- */

Reboot *reboot_new(Supervisor *supervisor);
void reboot_free(Reboot *reboot);
/* The path of its job, or @error. A Master hands over first, or, by @force, not. */
const char *reboot_begin(Reboot *reboot, const char *reason, bool force, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- held.c ---- */

HeldOrders *held_orders_new(Supervisor *supervisor);
void held_orders_free(HeldOrders *held); /* whoever waits is answered by the tree of its object */
/* @method is called now, or, while only the peer's word is missing for what @force leaves of the rules of a swap, when it is there or 2 s are over. */
void held_orders_add(HeldOrders *held, BusCall *call, GVariant *args, bool force, BusMethod method);
void held_orders_look(HeldOrders *held); /* something has changed */

/* ---- undo.c ---- */

Undo *undo_new(Supervisor *supervisor);
void undo_free(Undo *undo);
void undo_look(Undo *undo); /* an application may have failed, or be ready again */
bool undo_gives_up(const Undo *undo); /* a critical application has failed, and there is no change to blame */
/* Names of the applications that were beyond help here since the last reset; transfer full. */
char **undo_failed(const Undo *undo);
void undo_remember_failed(Undo *undo, const char *const *names);
/* The peer says of itself that one of those has failed there, too. */
bool undo_failed_alike(const Undo *undo, GVariant *peer_state);
void undo_reset(Undo *undo); /* by order: may give up once more */

/* ---- examine.c ---- */

Examine *examine_new(Supervisor *supervisor);
void examine_free(Examine *examine);
void examine_soon(Examine *examine);   /* something may have changed; NULL is fine */
void examine_reload(Examine *examine); /* the settings have */
GVariant *examine_findings(const Examine *examine); /* this device's own, aa{sv}; transfer full */
GVariant *examine_both(Examine *examine);           /* as Supervisor1.Doctor answers; floating */

/* ---- service.c ---- */

Service *service_new(Supervisor *supervisor, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void service_free(Service *service);
BusTree *service_tree(Service *service);
BusLink *service_link(Service *service); /* the system bus */
void service_changed(Service *service, const char *property);
void service_role_changed(Service *service, Role old, GVariant *evidence);
void service_application_added(Service *service, Application *application);
void service_application_changed(Application *application);
void service_application_gone(Application *application);
