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

#include "vrrpd/candidate.h"
#include "vrrpd/packet.h"

#define SIM_MS 1000
#define SIM_MAX_DEVICES 5
#define SIM_MAX_FAULTS 24
#define SIM_TICK_US 100000             /* as in election-private.h */
#define SIM_ADDRESS_LIFE_US 3000000    /* as the kernel is told in address.c */
#define SIM_SOCKET_PACKETS 250         /* of both paths; fewer than a real buffer, so that it runs over sooner */

typedef enum { SIM_LAN, SIM_PEER, SIM_N_PATHS } SimPathKind;

/* What a device knew when it sent, so that who yields to whom can be judged without the priority it travelled in. */
typedef struct {
	VrrpStanding standing;
	guint64 reign;        /* number of this time as Master; unique in the scenario */
	guint64 knew_reign;   /* of the other, heard before the takeover */
	bool comparable;      /* steps neither saturated nor reset since the takeover */
} SimClaim;

typedef struct {
	guint8 bytes[VRRP_MAX_PACKET];
	gsize length;
	SimPathKind path;
	guint from;           /* SIM_MAX_DEVICES: a stranger */
	bool damaged;
	gint64 received_us;   /* receiver's clock */
	SimClaim claim;
} SimPacket;

typedef enum { SIM_RUNS, SIM_FROZEN, SIM_SUSPENDED, SIM_KILLED, SIM_OFF } SimCondition;

typedef struct {
	guint index;
	char name;
	SimCondition condition;
	guint generation;            /* of the process: what was due to an earlier one is void */
	guint timer_generation;
	gint64 offset_us, ppm;
	guint8 configured_priority;
	guint offset;

	VrrpCandidate candidate;     /* as vrrpd has it */
	GQueue received;             /* of SimPacket*; the sockets' buffers */
	bool ear;

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
	guint no_carrier, no_hosts, no_supervisor, app_broken; /* how many faults say so */
	gint64 addresses_until_us;   /* own clock; 0: not there */

	/* For the invariants. */
	const char *reason;          /* of its last change of state */
	SimClaim claim;
	guint64 heard_reign;
	gint64 heard_master_us, heard_zero_us; /* arrival, own clock; 0: never */
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
	SIM_FAULT_STRANGER,
	SIM_N_FAULTS,
} SimFaultKind;

typedef struct {
	SimFaultKind kind;
	gint64 from_us, until_us;
	guint device, other, path;  /* path SIM_N_PATHS: both */
	guint amount;
	bool off;                   /* left out while shrinking */
} SimFault;

typedef struct SimEvent SimEvent;

typedef struct {
	guint64 seed, chance, reigns;
	gint64 now_us, end_us;
	GString *trace;             /* NULL: none is kept */

	guint n_devices;
	bool paired;
	guint8 version;
	guint interval_cs;
	SimDevice device[SIM_MAX_DEVICES];
	guint cut[SIM_N_PATHS][SIM_MAX_DEVICES][SIM_MAX_DEVICES];
	guint loss, duplicate, damage; /* per mille */
	gint64 jitter_us, busy_us;

	SimFault fault[SIM_MAX_FAULTS];
	guint n_faults;

	SimEvent *events;           /* a heap */
	gsize n_events, room;
	guint64 n_pushed;

	gint64 quiet_us;            /* when the last fault has ended; 0: not yet */
	gint64 settled_us;          /* from here on nothing may change */
	int keeper;                 /* after a split: the one Master that serves people; -1: none such */
	bool broken;
	const char *invariant;      /* the first that broke */
	char detail[200];
	guint64 n_takeovers, n_steps;
} Sim;

typedef enum {
	SIM_EVENT_ARRIVAL, SIM_EVENT_READABLE, SIM_EVENT_TIMER, SIM_EVENT_TICK, SIM_EVENT_SUPERVISOR, SIM_EVENT_SERVES,
	SIM_EVENT_FAULT, SIM_EVENT_FAULT_ENDS, SIM_EVENT_STRANGER, SIM_EVENT_QUIET, SIM_EVENT_SETTLED, SIM_EVENT_END,
} SimEventKind;

struct SimEvent {
	gint64 at_us;
	guint64 number;           /* in order of origin at the same moment */
	SimEventKind kind;
	guint device, generation; /* or the number of a fault */
	SimPacket *packet;
};

/* world.c: chance, time, network */
guint64 sim_random(guint64 *state);
guint sim_below(Sim *sim, guint limit);
gint64 sim_upto(Sim *sim, gint64 limit_us);
void sim_push(Sim *sim, SimEvent event);
bool sim_pop(Sim *sim, SimEvent *ret_event);
gint64 sim_clock(const Sim *sim, const SimDevice *device);
gint64 sim_when(const Sim *sim, const SimDevice *device, gint64 clock_us);
void sim_send(Sim *sim, guint from, SimPathKind path, const VrrpAdvert *advert, const SimClaim *claim);
IpAddress sim_address(guint device, SimPathKind path);
bool sim_reaches(const Sim *sim, SimPathKind path, guint from, guint to);
void sim_say(Sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* device.c: what election*.c does around the machine */
void sim_device_start(Sim *sim, SimDevice *device);
void sim_device_end(Sim *sim, SimDevice *device, bool lose_state);
void sim_device_arrival(Sim *sim, SimDevice *device, SimPacket *packet); /* takes @packet */
void sim_device_drain(Sim *sim, SimDevice *device);
void sim_device_timer(Sim *sim, SimDevice *device);
void sim_device_tick(Sim *sim, SimDevice *device);
void sim_device_wake(Sim *sim, SimDevice *device);
void sim_device_check_link(Sim *sim, SimDevice *device);
void sim_device_set_passive(Sim *sim, SimDevice *device, bool passive);
void sim_device_set_serving(Sim *sim, SimDevice *device, bool serving);
void sim_device_supervisor(Sim *sim, SimDevice *device);
void sim_device_resign(Sim *sim, SimDevice *device);
void sim_device_take(Sim *sim, SimDevice *device);
bool sim_device_holds_addresses(const Sim *sim, const SimDevice *device);

/* check.c: the invariants */
void sim_break(Sim *sim, const char *invariant, const char *format, ...) G_GNUC_PRINTF(3, 4);
void sim_check_step(Sim *sim, SimDevice *device, VrrpState old, const char *reason);
void sim_check_yield(Sim *sim, const SimDevice *device, const SimPacket *packet, const SimClaim *mine);
void sim_check_always(Sim *sim);
void sim_check_quiet(Sim *sim);
void sim_check_settled(Sim *sim);
void sim_check_end(Sim *sim);

/* scenario.c */
const char *sim_fault_name(SimFaultKind kind);
void sim_fault_describe(const Sim *sim, const SimFault *fault, GString *out);
/* Faults marked in @off (may be NULL) are left out. */
void sim_run(Sim *sim, guint64 seed, const bool *off, GString *trace);
