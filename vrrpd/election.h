/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vrrpd/election.h - the election of this device: machine, judge and holds wired to sockets, timers, netlink and run-time state.
 *
 * Knows nothing of D-Bus: service.c shows it there. Times are CLOCK_BOOTTIME microseconds.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "vrrpd/kernel/address.h"
#include "vrrpd/rules/holds.h"
#include "vrrpd/rules/judge.h"
#include "vrrpd/rules/machine.h"
#include "settings/settings.h"

typedef struct VrrpElection VrrpElection;

/* Whether any of the hosts named as witnesses answers on the electing interface. */
typedef enum { VRRP_WITNESS_NONE, VRRP_WITNESS_UNKNOWN, VRRP_WITNESS_REACHED, VRRP_WITNESS_LOST } VrrpWitness;

typedef struct {
	VrrpState old, new;
	const char *reason;
	guint64 sequence;
	gint64 time_us;
	GVariant *evidence; /* a{sv} */
} VrrpTransition;

typedef struct {
	void (*changed)(gpointer user_data);           /* something of the status may have changed */
	void (*addresses_replaced)(gpointer user_data); /* the list of service addresses is another one; the old is gone */
	void (*state_changed)(const VrrpTransition *transition, gpointer user_data);
	void (*settled)(gpointer user_data);           /* vrrp_election_is_settled() may be true now */
	void (*stranger)(const char *address, const char *cause, guint64 count, gpointer user_data);
} VrrpElectionListener;

/* A view of the moment; pointers are borrowed until the loop runs again. */
typedef struct {
	VrrpState state;
	const char *reason;
	guint64 sequence;
	gint64 since_us;
	const VrrpHolds *holds;
	VrrpStanding standing;
	bool carrier, link_alive;
	const VrrpMachine *machine;
	guint step;
	const Settings *settings;
	const char *interface; /* device of the electing group; "" when standalone */
	const char *virtual_mac; /* "00:00:5e:00:01:2a"; "" without */
} VrrpElectionStatus;

/* @listener is copied; nothing is called before vrrp_election_start(). */
VrrpElection *vrrp_election_new(const VrrpElectionListener *listener, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_election_free(VrrpElection *election); /* NULL is fine; says nothing on the wire */

/* Begins with @settings; goes on as Master when run-time state says that this is still believed. */
void vrrp_election_start(VrrpElection *election, Settings *settings);

/* Priority 0 if Master, everything let go and put back as it was. Runs the loop until the addresses are down: a Master leads until then. */
void vrrp_election_stop(VrrpElection *election, const char *reason);

/* What is the same stays untouched: a new address does not cost the role, a new group id does. */
void vrrp_election_reload(VrrpElection *election, Settings *settings);

void vrrp_election_hold(VrrpElection *election, VrrpHold hold, const char *reason, guint lease_ms);
void vrrp_election_lift(VrrpElection *election, VrrpHold hold);
void vrrp_election_supervise(VrrpElection *election, bool supervised); /* until told otherwise */
void vrrp_election_resign(VrrpElection *election, const char *reason);
bool vrrp_election_take(VrrpElection *election, const char *reason, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_election_set_serving(VrrpElection *election, bool serving);
bool vrrp_election_set_peer(VrrpElection *election, GVariant *dict, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void vrrp_election_announce(VrrpElection *election);

/* Something that main() found and that lasts, "code: text". */
void vrrp_election_add_problem(VrrpElection *election, const char *problem);

VrrpElectionStatus vrrp_election_status(VrrpElection *election);
const VrrpAddresses *vrrp_election_addresses(VrrpElection *election); /* NULL when standalone */
/* What was ordered is done, in the kernel too; before that an order is not answered. */
bool vrrp_election_is_settled(const VrrpElection *election);
VrrpWitness vrrp_election_witness(const VrrpElection *election);
GVariant *vrrp_election_last_heard(VrrpElection *election);           /* a{sx}, floating */
GVariant *vrrp_election_link_locals(VrrpElection *election);          /* a{ss}, floating */
GVariant *vrrp_election_paths(VrrpElection *election);                /* aa{sv}, floating */
GVariant *vrrp_election_last_stranger(VrrpElection *election);        /* (sstx), floating */
char *vrrp_election_priority_reason(VrrpElection *election);
GVariant *vrrp_election_counters(VrrpElection *election);             /* a{st}, floating */
gint64 vrrp_election_counted_since_us(const VrrpElection *election);
GVariant *vrrp_election_problems(VrrpElection *election);             /* as, owned */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(VrrpElection, vrrp_election_free)
