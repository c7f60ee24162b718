/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/sim/sim.h - a world of simulated devices: vrrpd's own packet code, machine, judge, holds and link watch on a simulated network
 * and clock.
 *
 * World time is microseconds since the scenario began; every device has a clock of its own, with an offset and a rate. All chance comes
 * from the seed.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/rules/candidate.h"
#include "vrrpd/rules/room.h"
#include "vrrpd/rules/sleep.h"
#include "vrrpd/wire/packet.h"
#include "vrrpd/wire/stamp.h"

#define SIM_MS 1000
#define SIM_VRID 42
#define SIM_MAX_DEVICES 5
#define SIM_MOST_FAULTS 60
#define SIM_MORE_FAULTS 8   /* at most, of kinds that are newer than most seeds that are known */
#define SIM_MAX_FAULTS (SIM_MOST_FAULTS + SIM_MORE_FAULTS)
#define SIM_MORE_SALT 0x6d6f7265u
#define SIM_MAX_ROUNDS 3
#define SIM_MAX_EVENTS 20000
#define SIM_MAX_IN_A_ROW 2000          /* adverts of one device, none a millisecond after the one before: more than its queues may have it answer */
#define SIM_TICK_US VRRP_SLEEP_TICK_US /* at least so often */
#define SIM_CALM_BUSY_US 100           /* so late a wake-up may be at any time */
#define SIM_ADDRESS_LIFE_US 3000000    /* as the kernel is told in address.c */
#define SIM_MAX_JOBS 64
#define SIM_SOCKET_PACKETS 125         /* of one path; fewer than a real buffer, so that it runs over sooner */

/* The electing member's multicast, a follower's (the other family, or another interface), unicast to the peer. */
typedef enum { SIM_LAN, SIM_FOLLOWER, SIM_PEER, SIM_N_PATHS } SimPathKind;

/* What a device knew when it sent, so that who yields to whom can be judged without the priority it travelled in. */
typedef struct {
	VrrpStanding standing;
	guint64 reign;        /* number of this time as Master; unique in the scenario */
	guint64 knew_reign;   /* of the other, heard before the takeover */
	bool ordered;         /* by a command */
	bool paired;          /* else its priority is only the configured one */
	bool comparable;      /* steps neither saturated nor reset since the takeover */
} SimClaim;

typedef struct {
	SimPathKind path;
	guint from;           /* SIM_MAX_DEVICES: a stranger */
	bool damaged;
	bool forged;          /* it bears the peer's address: no filter tells it from his */
	guint interval_cs;    /* as it says */
	guint dropped;        /* by the receiver's buffer, before it had room for this */
	gint64 sent_us;       /* world */
	gint64 received_us;   /* receiver's clock */
	gint64 stamp_us;      /* receiver's wall clock, as the kernel has it */
	SimClaim claim;
	gsize length;
	guint8 bytes[VRRP_MAX_PACKET]; /* last: only @length of them are carried */
} SimPacket;

typedef enum { SIM_RUNS, SIM_FROZEN, SIM_SUSPENDED, SIM_KILLED, SIM_OFF } SimCondition;

typedef struct {
	guint index;
	char name;
	SimCondition condition;
	guint generation;            /* of the process: what was due to an earlier one is void */
	bool step_lost;              /* it died before it could save the step in which it began to lead: the next may be no higher */
	bool died;                   /* in the midst of something: what has begun goes no further */
	guint timer_generation;
	gint64 timer_at_us;          /* world: when it fires; 0: it is not set */
	gint64 offset_us, ppm;
	guint8 configured_priority;
	guint own_interval_cs, interval_cs, wanted_interval_cs; /* once it runs */
	guint offset;

	VrrpCandidate candidate;     /* as vrrpd has it */
	GQueue received[SIM_N_PATHS]; /* of SimPacket*; the sockets' buffers */
	guint dropped[SIM_N_PATHS];  /* for want of room, */
	guint known_dropped[SIM_N_PATHS]; /* and before it was read last */
	VrrpRoom room[SIM_N_PATHS];  /* as vrrpd has it */
	bool rung;                   /* one of them holds what wakes a Backup that sleeps: */
	struct {
		gsize length;        /* 0: nothing yet */
		guint8 bytes[VRRP_MAX_PACKET];
	} usual[SIM_N_PATHS];        /* anything else than this */
	bool ear;
	VrrpSleep sleep;             /* as vrrpd has it */
	guint n_ticks;               /* housekeepings; one that is not the last planned is void */
	gint64 tick_at_us;           /* own clock: when that is due */

	/* Its run-time state on the tmpfs. */
	bool saved;
	struct {
		VrrpState role;
		guint step, heard_step;
		bool serving, served, steady, paired;
		VrrpHolds holds;
		gint64 last_advert_us;
	} store;

	/* The world around it. */
	bool passive;                /* its mode, which the supervisor says again after a reboot */
	guint no_interface, no_carrier, no_hosts, no_supervisor, app_broken; /* how many faults say so */
	gint64 addresses_until_us;   /* own clock; 0: not there */

	/* What its thread has been asked to do with the addresses: done at once, unless somebody else holds the kernel's lock. */
	guint no_kernel;             /* how many faults say so */
	struct {
		VrrpStepKind kind[SIM_MAX_JOBS]; /* HOLD or DROP, in the order asked */
		guint n;
		bool wanted;         /* what HOLD puts up */
		gint64 until_us;     /* own clock: so long after its last advert */
		bool dropping;       /* and has not heard yet that it is done */
	} jobs;
	gint64 wall_us;              /* the wall clock's offset from its own, which somebody sets; */
	guint wall_sets;             /* so often, as the kernel tells */
	VrrpStamp stamp[SIM_N_PATHS]; /* as vrrpd has it */
	bool stale;                  /* its sockets are of an interface that is no more, and it has yet to see so */
	bool deaf;                   /* its sockets have yet to join their groups, which takes the kernel's lock */
	guint dies_after;            /* it is killed in the midst of a change of its state, when one less step than this is done; 0: it is not */
	gint64 announce_us[3];       /* own clock: when it announces its addresses again; 0: no more */
	bool announce_owed;          /* they are not there yet */
	bool starts;                 /* a new process, which reads what there is before anything else */
	bool changing;               /* to another interval, when it has left the election */

	/* For the invariants. */
	const char *reason;          /* of its last change of state */
	bool saw_carrier;            /* there was one when it last looked */
	gint64 up_us, frame_us;      /* own clock: since when it has a carrier, when it last heard anything on the LAN; 0: never */
	gint64 frames_since_us;      /* own clock: since when without a silence between */
	guint losses;                /* of the carrier, each less than a minute after the one before */
	gint64 lan_advert_us;        /* own clock: when it last heard an advert there */
	gint64 deaf_us, deaf_lost_us; /* own clock: since when its groups are not joined, and what was lost for that */
	gint64 stepped_us;           /* own clock: when its wall clock was set last; 0: never */
	gint64 stamped_us[SIM_N_PATHS], distrust_us[SIM_N_PATHS]; /* own clock: when a stamp was last read there, and one after such a step; 0: never */
	gint64 taken_us;             /* own clock: when it takes the last advert of a Master for received, behind a step of the clock; */
	gint64 late_us;              /* so much later than it came was what it waits for taken to be received, behind a step of the clock */
	gint64 announced_us;         /* world: when it last told the hosts where the addresses are */
	gint64 led_us;               /* own clock: when it last heard any Master; 0: not since it began */
	gint64 told_us;              /* own clock: when, as Master, it was told to give up, or last thawed after that; 0: it was not */
	bool leaves_for_carrier;     /* which may be back when its addresses are down */
	gint64 loss_us;              /* own clock: the last of them */
	gint64 learning_until_us;    /* world: the switch's port forwards nothing yet */
	guint in_a_row;              /* adverts said one right after the other; */
	gint64 in_a_row_us;          /* world: the last of them */
	gint64 said_us;              /* own clock: its last advert, other than priority 0 */
	gint64 asleep_us, woke_us;   /* own clock: when it was last frozen, and last thawed after more than an interval */
	guint heard_interval_cs;     /* of the Master heard last, its own if there was none */
	gint64 interval_read_us;     /* own clock: when that was read; 0: never */
	gint64 full_us;              /* own clock: when a buffer that had no room for what counts or looks so was read, for it cannot know when that was; 0: never */
	gint64 opened_us;            /* own clock: when it last came to be let take over */
	gint64 lost_us;              /* own clock: when its buffer had no room for a Master's advert; 0: never, or that one has resigned since */
	guint lost_interval_cs;
	guint zero_interval_cs;      /* known when it heard priority 0 */
	guint64 zero_reign;          /* whose it was */
	guint zero_from;
	bool resigned;               /* as a Backup it heard priority 0, and nothing since */
	gint64 thawed_us;            /* own clock: when it was last frozen or suspended no more; 0: never */
	gint64 paired_us;            /* own clock: when it was told who the peer is; 0: not yet, or never anything else */
	bool reads_late;             /* what is in its sockets, later than it should have woken */
	gint64 wait_us;              /* own clock: since when it waits as a Backup, */
	guint wait_interval_cs;      /* and by which interval */
	struct {
		bool backup;
		guint64 reign;
		gint64 at_us;        /* world */
	} word;                      /* what its supervisor told the other last */
	SimClaim claim, said;        /* as it is, and as it was when it last said so */
	gint64 undated_us;           /* own clock: when it last heard one of which it cannot know how old it is */
	guint64 heard_reign;
	gint64 heard_master_us, heard_zero_us; /* arrival, own clock; 0: never */
	gint64 last_zero_us;         /* of several, by several paths, the one that came last, */
	gint64 zero_sent_us;         /* world: and when that was said */
	guint quiet_transitions, transitions;
} SimDevice;

typedef enum {
	SIM_FAULT_CUT,        /* one path, one direction */
	SIM_FAULT_SPLIT,      /* one path or both, both directions, one device from the others */
	SIM_FAULT_LOSS,
	SIM_FAULT_DUPLICATE,
	SIM_FAULT_DELAY,      /* long and uneven: adverts overtake each other */
	SIM_FAULT_DAMAGE,
	SIM_FAULT_BUSY,       /* wake-ups come late */
	SIM_FAULT_FREEZE,     /* the process alone; the kernel goes on receiving */
	SIM_FAULT_SUSPEND,    /* the whole machine */
	SIM_FAULT_KILL,       /* the process; its state stays */
	SIM_FAULT_REBOOT,     /* everything is lost */
	SIM_FAULT_CARRIER,
	SIM_FAULT_HOSTS,      /* no other host is heard on the LAN */
	SIM_FAULT_APPLICATION,
	SIM_FAULT_SUPERVISOR,
	SIM_FAULT_PASSIVE,
	SIM_FAULT_RESIGN,
	SIM_FAULT_TAKE,
	SIM_FAULT_HOLD,       /* administrator's, with a lease */
	SIM_FAULT_SETTINGS,   /* another interval between adverts */
	SIM_FAULT_STRANGER,
	SIM_FAULT_SLOW_KERNEL, /* somebody else holds the lock for links, addresses and routes */
	SIM_N_OLD_FAULTS,      /* a seed that knows only these still means the same world */
	SIM_FAULT_CLOCK = SIM_N_OLD_FAULTS, /* somebody sets the wall clock, by which the kernel stamps what comes */
	SIM_FAULT_DIE,         /* the process, in the midst of its next change of state */
	SIM_FAULT_INTERFACE,   /* it is removed, and made anew */
	SIM_FAULT_LOSSY_PATH,  /* loses one way alone, and in bursts */
	SIM_N_FAULTS,
} SimFaultKind;

typedef struct {
	SimFaultKind kind;
	gint64 from_us, until_us;
	guint device, other, path;  /* path SIM_N_PATHS: all */
	guint amount;
	guint round;
	bool together;              /* every device: a power cut, a switch that is restarted, a host that is suspended */
	bool off;                   /* left out while shrinking */
} SimFault;

typedef struct SimEvent SimEvent;

typedef struct {
	guint64 seed, chance, reigns;
	gint64 now_us;
	guint own_cs, n_intervals;  /* make the length of a round's faults */
	bool ended;
	GString *trace;             /* NULL: none is kept */

	guint n_devices;
	bool paired;
	guint8 version;
	sa_family_t family;         /* of the electing member */
	bool follower;              /* another member advertises too, */
	bool follower_on_lan;       /* on the same interface */
	guint interval_cs, shortest_cs; /* the longest and the shortest of any device's, ever */
	SimDevice device[SIM_MAX_DEVICES];
	guint cut[SIM_N_PATHS][SIM_MAX_DEVICES][SIM_MAX_DEVICES];
	guint loss, duplicate, damage; /* per mille */
	guint path_loss[SIM_N_PATHS][SIM_MAX_DEVICES][SIM_MAX_DEVICES];
	gint64 jitter_us, busy_us;

	SimFault fault[SIM_MAX_FAULTS];
	guint n_faults, n_rounds, round;
	gint64 round_ends_us;
	gint64 busy_until_us;       /* wake-ups set before were late, */
	gint64 late_until_us;       /* and may come until then */

	SimEvent *events;           /* a heap */
	gsize n_events, room;
	guint64 n_pushed;

	gint64 quiet_us;            /* when the last fault has ended; 0: not yet */
	guint quiet_orders;         /* since then: to give up, or to lead */
	bool waits_for_link;        /* somebody may, for a second or a down interval if nobody leads */
	gint64 settled_us;          /* from here on nothing may change */
	gint64 twice_us;            /* since when two hold the addresses and the network is whole; 0: not */
	bool split;                 /* two led when the network became whole, and either may go on */
	int keeper;                 /* after a split: the one Master that serves people; -1: none such */
	bool broken;
	const char *invariant;      /* the first that broke */
	char detail[200];
	guint64 n_takeovers, n_steps;
} Sim;

typedef enum {
	SIM_EVENT_ARRIVAL, SIM_EVENT_READABLE, SIM_EVENT_TIMER, SIM_EVENT_TICK, SIM_EVENT_SUPERVISOR, SIM_EVENT_SERVES,
	SIM_EVENT_FAULT, SIM_EVENT_FAULT_ENDS, SIM_EVENT_STRANGER, SIM_EVENT_QUIET, SIM_EVENT_SETTLED, SIM_EVENT_ROUND,
	SIM_EVENT_OWN,            /* of a larger world around this one: `what`, with `data` */
} SimEventKind;

struct SimEvent {
	gint64 at_us;
	guint64 number;           /* in order of origin at the same moment */
	SimEventKind kind;
	guint device, generation; /* or the number of a fault */
	SimPacket *packet;
	guint what;
	gint64 due_us;            /* by a clock of that world */
	gpointer data;            /* freed with g_free() */
};

/* world.c: chance, time, network */
guint64 sim_random(guint64 *state);
guint sim_below(Sim *sim, guint limit);
gint64 sim_upto(Sim *sim, gint64 limit_us);
void sim_push(Sim *sim, SimEvent event);
bool sim_pop(Sim *sim, SimEvent *ret_event);
gint64 sim_clock(const Sim *sim, const SimDevice *device);
gint64 sim_clock_at(const SimDevice *device, gint64 at_us);
gint64 sim_moment(const SimDevice *device, gint64 clock_us); /* at which it shows that */
gint64 sim_when(const Sim *sim, const SimDevice *device, gint64 clock_us);
void sim_forge(Sim *sim, guint to); /* so many spoilt adverts of the other device that its queue is full */
void sim_send(Sim *sim, guint from, SimPathKind path, const VrrpAdvert *advert, const SimClaim *claim);
sa_family_t sim_family(const Sim *sim, SimPathKind path);
guint sim_header(const Sim *sim, SimPathKind path); /* length of the IP header */
IpAddress sim_address(const Sim *sim, guint device, SimPathKind path);
IpAddress sim_service(const Sim *sim, SimPathKind path);
bool sim_is_on_lan(const Sim *sim, SimPathKind path); /* through the interface of the service */
bool sim_reaches(const Sim *sim, SimPathKind path, guint from, guint to);
void sim_say(Sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* device*.c: what election*.c does around the machine */
void sim_device_start(Sim *sim, SimDevice *device);
void sim_device_end(Sim *sim, SimDevice *device, bool lose_state);
void sim_device_interface(Sim *sim, SimDevice *device, bool there);
void sim_device_set_clock(Sim *sim, SimDevice *device, gint64 by_us);
void sim_device_bury(Sim *sim, SimDevice *device); /* when it has died in the midst of something */
void sim_device_arrival(Sim *sim, SimDevice *device, SimPacket *packet); /* takes @packet */
void sim_device_readable(Sim *sim, SimDevice *device);
void sim_device_drain(Sim *sim, SimDevice *device);
void sim_device_forget(SimDevice *device); /* what is in its sockets */
void sim_device_timer(Sim *sim, SimDevice *device);
void sim_device_tick(Sim *sim, SimDevice *device);
void sim_device_kernel(Sim *sim, SimDevice *device); /* the lock is free */
void sim_device_wake(Sim *sim, SimDevice *device);
void sim_device_check_link(Sim *sim, SimDevice *device);
void sim_device_set_passive(Sim *sim, SimDevice *device, bool passive);
void sim_device_set_serving(Sim *sim, SimDevice *device, bool serving);
void sim_device_supervisor(Sim *sim, SimDevice *device);
void sim_device_resign(Sim *sim, SimDevice *device);
void sim_device_take(Sim *sim, SimDevice *device);
void sim_device_hold(Sim *sim, SimDevice *device, gint64 lease_us);
void sim_device_set_hold(Sim *sim, SimDevice *device, VrrpHold hold, bool held, gint64 lease_us); /* lease 0: none */
void sim_device_settings(Sim *sim, SimDevice *device, guint interval_cs);
bool sim_device_holds_addresses(const Sim *sim, const SimDevice *device);

/* check.c: the invariants */
void sim_break(Sim *sim, const char *invariant, const char *format, ...) G_GNUC_PRINTF(3, 4);
void sim_check_step(Sim *sim, SimDevice *device, VrrpState old, const char *reason, const VrrpEvent *event);
void sim_check_advert(Sim *sim, const SimDevice *device, const SimPacket *packet, const VrrpAdvert *advert, const SimClaim *mine, bool slept);
gint64 sim_down_us(const Sim *sim, const SimDevice *device, guint interval_cs); /* of a Backup that has heard this interval */
bool sim_has_slept(const Sim *sim, const SimDevice *device);
void sim_check_say(Sim *sim, const SimDevice *device, guint8 priority, bool to_peer);
void sim_check_always(Sim *sim);
void sim_check_twice(Sim *sim); /* where what it is told to do lets the two hear each other */
void sim_check_quiet(Sim *sim);
void sim_check_settled(Sim *sim);
void sim_check_end(Sim *sim);

/* run.c: only what the seeds that are known to have broken something knew */
extern bool sim_plain;

/* scenario.c, or a larger world's */
extern const guint64 sim_known[]; /* seeds that have broken something, in plain worlds; then 0 */
extern const gint64 sim_scenarios; /* so many are run when nobody says how many */
const char *sim_fault_name(SimFaultKind kind);
void sim_fault_describe(const Sim *sim, const SimFault *fault, GString *out);
/* What is left of each fault while shrinking. */
typedef struct {
	bool off;
	guint halved;               /* so many times */
} SimLess;

/* @less: of each fault, or NULL. */
void sim_run(Sim *sim, guint64 seed, const SimLess *less, GString *trace);
