/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/election-private.h - what the files election*.c share: the election itself, and who may call whom. */
#pragma once

#include "vrrpd/wire/arp.h"
#include "vrrpd/rules/candidate.h"
#include "vrrpd/wire/claims.h"
#include "vrrpd/wire/ear.h"
#include "election.h"
#include "vrrpd/wire/forged.h"
#include "vrrpd/loop/hot.h"
#include "vrrpd/rules/link-watch.h"
#include "vrrpd/rules/member.h"
#include "vrrpd/wire/nd.h"
#include "vrrpd/kernel/netlink.h"
#include "vrrpd/wire/path.h"
#include "vrrpd/rules/peer.h"
#include "vrrpd/rules/reclaim.h"
#include "vrrpd/rules/sleep.h"
#include "state.h"
#include "vrrpd/rules/strangers.h"
#include "vrrpd/kernel/sysctl.h"
#include "vrrpd/loop/timer.h"

#define VRRP_TICK_US VRRP_SLEEP_TICK_US
#define VRRP_BEHIND_US G_USEC_PER_SEC
#define VRRP_REMOVED_US (60 * G_USEC_PER_SEC) /* so long what somebody did once stays a problem */
#define VRRP_FORM_SAVED_US G_USEC_PER_SEC /* two that sum differently would have the state written with each of their adverts */
#define VRRP_MAX_NEIGHBOURS 16

typedef struct {
	guint64 sent, sent_zero, sent_unicast, send_failed, received, counted, received_zero, transitions, became_master, announcements, probes;
	guint64 put_back, address_clash, address_mismatch, interval_mismatch, pseudo_header, resumed, sent_followers, followers, reclaimed;
	guint64 drop[VRRP_N_DROPS];
	gint64 since_us;
} VrrpCounters;

struct VrrpElection {
	VrrpElectionListener listener;
	gpointer user_data;

	Settings *settings;
	const SettingsGroup *group;         /* NULL: standalone */
	const SettingsInterface *interface;
	GPtrArray *members;                 /* of VrrpMember* */
	char virtual_mac[18];

	VrrpNetlink *netlink;
	VrrpEther *ether;
	VrrpSysctl *sysctl;
	VrrpStore *store;
	VrrpTimer *tick;
	VrrpAddresses *addresses;
	GPtrArray *paths;                   /* of VrrpPath*; [0] is the elector's own */
	VrrpStrangers *strangers;
	struct {
		char who[IP_TEXT_SIZE + sizeof " at 00:00:00:00:00:00"];
		const char *cause;          /* NULL: nobody yet */
		guint64 count;
		gint64 at_us;
	} last_stranger;

	VrrpCandidate candidate;
	VrrpLink link;                      /* of the electing interface */
	VrrpEar *ear;                       /* on it */
	int ear_index;
	VrrpPeer peer;
	GVariant *peer_dict;

	char *reason;
	guint64 sequence;
	gint64 since_us;
	struct {
		VrrpState state;
		char *reason;
		guint64 sequence;
		gint64 since_us;
	} shown;                            /* as others see it while there are */
	GQueue *untold;                     /* changes of state not told yet, of Untold (election.c): the addresses are still to follow */
	Settings *next;                     /* another election to begin when this one is left; NULL: none */
	char *leave_reason;
	bool restoring;                     /* about to be the Backup we were */
	bool pseudo_header;                 /* the other end sums that way; we answer in kind */
	bool form_unsaved;                  /* that has changed again less than */
	gint64 form_saved_us;               /* VRRP_FORM_SAVED_US after the last time */

	gint64 addresses_up_us, dropped_us;
	bool holding_anew;                  /* the thread has not said yet that they are up, */
	bool announce_owed;                 /* and then they are to be announced; */
	bool dropping;                      /* or that they are down */
	gint64 removed_us;                  /* when somebody took a held address away, */
	char *removed;                      /* and which */
	GPtrArray *watched;                 /* interfaces on which claims of service addresses are heard */
	gint64 contested_until_us;          /* so long whoever led before us may have the addresses still; 0: nobody has */
	bool ask_owed;                      /* and then it is to be asked for a clash */
	VrrpReclaim reclaim;                /* to announce them again meanwhile, */
	VrrpTimer *reclaim_timer;           /* when it is due */
	gint64 clash_us;                    /* when somebody else claimed one last, */
	char *clash;                        /* and who */
	VrrpClaims *witness_claims;
	int witness_index;
	gint64 witness_begin_us, witness_asked_us, witness_heard_us; /* 0: not yet */
	VrrpWitness witness_told;
	gint64 announce_us[4];              /* repetitions still due; 0: done */
	gint64 neighbours_us;
	IpAddress neighbours[VRRP_MAX_NEIGHBOURS];
	gsize n_neighbours, next_neighbour;
	gint64 delay_us;                    /* how late the last timer was */
	VrrpSleep sleep;

	GPtrArray *lasting_problems;
	GVariant *problems;                 /* as; as last told */
	GVariant *link_locals;              /* a{ss}; as last told */
	gint64 tick_at_us;                  /* when housekeeping is due, */
	gint64 tick_timer_us;               /* and for when its own timer is set */
	gint64 problems_us;                 /* when problems were last looked for */
	VrrpCounters counters;
};

/* election.c: events in, steps out */
void vrrp_election_save(VrrpElection *self);
void vrrp_election_tell(VrrpElection *self); /* something of the status may have changed */
void vrrp_election_step(VrrpElection *self, const VrrpEvent *event);
void vrrp_election_tell_transitions(VrrpElection *self); /* those that wait for the addresses no more, or have for long */
void vrrp_election_forget_transitions(VrrpElection *self);
void vrrp_election_prefer(VrrpElection *self);
void vrrp_election_update_gate(VrrpElection *self, gint64 now_us);
bool vrrp_election_hears(const VrrpElection *self, gint64 now_us); /* a Backup that need do nothing but hear a Master, and does */
void vrrp_election_plan(VrrpElection *self, gint64 now_us); /* when to wake next: after anything that this depends on */
void vrrp_election_timer(gpointer user_data);
void vrrp_election_received(VrrpPath *path, const guint8 *packet, gsize length, gint64 received_us, bool counts, gpointer user_data);

/* election-send.c: adverts, announcements, probes */
const VrrpMember *vrrp_election_member_of(const VrrpElection *self, const VrrpPath *path);
bool vrrp_election_is_stale(const VrrpElection *self, gint64 now_us);
void vrrp_election_send(VrrpElection *self, guint8 priority, gint64 now_us);
void vrrp_election_announce_from(VrrpElection *self, gint64 now_us); /* now, and repeated */
void vrrp_election_announce_again(VrrpElection *self, gint64 now_us); /* the repetitions that are due */
void vrrp_election_reclaim(gpointer user_data); /* now, if that is due */
bool vrrp_election_is_awake_master(const VrrpElection *self, gint64 now_us);
void vrrp_election_probe(VrrpElection *self, gint64 now_us);

/* election-neighbours.c: who else is on the LAN */
void vrrp_election_open_neighbours(VrrpElection *self); /* again when links have changed */
void vrrp_election_close_neighbours(VrrpElection *self);
void vrrp_election_ask_witnesses(VrrpElection *self, gint64 now_us);
void vrrp_election_contest(VrrpElection *self, gint64 now_us); /* somebody else held the addresses a moment ago, and may still */
void vrrp_election_mind_contest(VrrpElection *self, gint64 now_us); /* and asks for a clash, when that is owed and nobody of the pair would answer */
void vrrp_election_note_clash(VrrpElection *self, const IpAddress *address, const char *who);
void vrrp_election_note_forged(VrrpElection *self, const IpAddress *own, const char *who, guint n);
void vrrp_election_count_forged(VrrpElection *self); /* at leisure */

/* election-life.c: settings, links, housekeeping */
void vrrp_election_tick(VrrpElection *self);
void vrrp_election_kernel_done(gpointer user_data); /* the thread has done something */
void vrrp_election_open_paths(VrrpElection *self, bool same_peer);
const char *vrrp_election_unusable(const VrrpElection *self); /* why the electing interface cannot be used; NULL when it can */

/* election-status.c: what can be seen */
void vrrp_election_check_problems(VrrpElection *self);
void vrrp_election_check_link_locals(VrrpElection *self);
