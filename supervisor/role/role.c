/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/role/role.c - the role machine. */
#include "supervisor/role/role.h"

#include <string.h>

/* A vrrpd that was killed is back long before; one that is not has let its addresses expire. */
#define ELECTION_GONE_US (5 * G_TIME_SPAN_SECOND)
/* A vrrpd that comes up passes through init. */
#define ELECTION_INIT_US (1 * G_TIME_SPAN_SECOND)
/* syncd answers within this, or is not waited for; while the device boots it needs time to come up itself. */
#define SETTLE_US (200 * G_TIME_SPAN_MILLISECOND)
#define SETTLE_BOOT_US (2 * G_TIME_SPAN_SECOND)
#define SETTLE_APPLYING_US (10 * G_TIME_SPAN_SECOND)
#define BOOTING_US (10 * G_TIME_SPAN_SECOND)
/* No witness answers for so long: time enough for the other to say that it lost it too, for then nobody is better off. */
#define ISOLATED_AFTER_US (3 * G_TIME_SPAN_SECOND)
/* Giving up for being alone on the LAN happens once in so long at most. */
#define ISOLATED_EVERY_US (60 * G_TIME_SPAN_SECOND)
/* A term of our own is waited for on disk so long, and then led in all the same. */
#define STORE_WITHIN_US (1 * G_TIME_SPAN_SECOND)
/* Who booted alone gives way to one who comes later with newer data only in this time; */
#define GIVE_WAY_WITHIN_US (10 * 60 * G_TIME_SPAN_SECOND)
/* that one's election comes up within this, or is not waited for; nor is one whose data is newer at a cold boot, to lead. */
#define MEET_WITHIN_US (10 * G_TIME_SPAN_SECOND)
/* Two vrrpds that both say that they lead, after ours was away, decide it between them within this; then ours gives up. */
#define CONTENDED_US (3 * G_TIME_SPAN_SECOND)
/* A Backup told to take over lifts its own hold for so long. */
#define TAKE_WITHIN_US (10 * G_TIME_SPAN_SECOND)

int term_compare(const Term *a, const Term *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return strcmp(a->id, b->id);
}

static void term_set(Term *term, guint64 number, const char *id)
{
	term->number = number;
	g_strlcpy(term->id, id, sizeof term->id);
}

void role_init(RoleMachine *machine, const char *id, gint64 now_us)
{
	*machine = (RoleMachine){ .role = ROLE_INIT, .since_us = now_us, .started_us = now_us, .cold = true, .strange = true };
	g_strlcpy(machine->id, id, sizeof machine->id);
	g_strlcpy(machine->reason, "started", sizeof machine->reason);
}

void role_remember(RoleMachine *machine, const Term *known, guint64 reserved, bool unstored)
{
	machine->known = machine->line = machine->booted = *known;
	machine->spent = reserved;
	machine->unstored = machine->doubtful = unstored;
}

void role_resume(RoleMachine *machine, gint64 now_us)
{
	machine->started_us = now_us - BOOTING_US; /* the device did not boot, only we did */
	machine->asked_settle_us = now_us;
	machine->election_missing_us = 0;
	machine->meeting_us = machine->raising_us = machine->storing_us = machine->contended_us = 0;
}

bool role_leads(Role role)
{
	switch (role) {
	case ROLE_TAKING_OVER:
	case ROLE_MASTER:
	case ROLE_HANDING_OVER:
		return true;
	case ROLE_STANDALONE:
	case ROLE_INIT:
	case ROLE_BACKUP:
	case ROLE_FAULT:
		return false;
	}
	g_assert_not_reached();
}

static void become(RoleMachine *machine, Role role, const char *reason, gint64 now_us, RoleOnce *once)
{
	if (machine->role == role)
		return;
	if (!once->role_changed)
		once->old_role = machine->role;
	once->role_changed = true;
	machine->role = role;
	machine->since_us = now_us;
	machine->sequence++;
	g_strlcpy(machine->reason, reason && *reason ? reason : "unknown", sizeof machine->reason);
}

/* ---- Terms ---- */

/* Reserved in advance, so that taking over has nothing to write first. */
static void reserve(RoleMachine *machine, guint64 number, RoleOnce *once)
{
	if (machine->reserved >= number)
		return;
	machine->reserved = number;
	once->term_changed = true;
}

static void begin_term(RoleMachine *machine, const RoleFacts *facts, RoleOnce *once)
{
	term_set(&machine->known, MAX(machine->known.number + 1, machine->reserved), machine->id);
	machine->raising_us = 0;
	once->term_changed = true;
	if (machine->known.number > facts->stored)
		machine->unstored = once->unstored = true;
	reserve(machine, machine->known.number + 1, once);
}

/* The election is ours and somebody has led since, or elsewhere, in @newer: the line that goes on must be the newest. */
static void raise_term(RoleMachine *machine, const RoleFacts *facts, const Term *newer, gint64 now_us, RoleOnce *once)
{
	reserve(machine, newer->number + 1, once);
	if (machine->raising_us == 0)
		machine->raising_us = now_us;
	if (facts->stored < machine->reserved && now_us - machine->raising_us < STORE_WITHIN_US)
		return;
	begin_term(machine, facts, once);
}

static bool peer_has_taken_over(const RoleMachine *machine, const RoleFacts *facts)
{
	return facts->peer_fresh && role_leads(facts->peer_role) && term_compare(&facts->peer_term, &machine->known) > 0;
}

/* Our vrrpd is away, and the other has taken over meanwhile: nobody waits for our vrrpd to say so. */
static bool is_superseded(const RoleMachine *machine, const RoleFacts *facts)
{
	return role_leads(machine->role) && (facts->election == ELECTION_UNKNOWN || facts->election == ELECTION_INIT) &&
	       peer_has_taken_over(machine, facts);
}

static void hear(RoleMachine *machine, const RoleFacts *facts, const Term *term, bool decided, gint64 now_us, RoleOnce *once)
{
	if (term->number == 0 || term_compare(term, &machine->known) <= 0)
		return;
	if (!role_leads(machine->role) || facts->election == ELECTION_BACKUP) {
		machine->known = *term;
		once->term_changed = true;
	} else if (facts->election == ELECTION_MASTER && decided) {
		raise_term(machine, facts, term, now_us, once);
	} /* else our vrrpd is away: it leads in its own term until that is back, or missed for good */
}

static void hear_term(RoleMachine *machine, const RoleFacts *facts, gint64 now_us, RoleOnce *once)
{
	/* A term whose number never came to the disk is in the commits made in it. */
	hear(machine, facts, &facts->own_line, true, now_us, once);
	/* While the other leads too nothing is decided, and two that hear each other would outbid each other without end. */
	if (facts->peer_fresh)
		hear(machine, facts, &facts->peer_term, !role_leads(facts->peer_role) && !machine->unmet, now_us, once);
	reserve(machine, MAX(machine->known.number, machine->spent) + 1, once);
	if (facts->stored >= machine->reserved)
		machine->storing_us = 0;
	else if (machine->storing_us == 0)
		machine->storing_us = now_us;
	if (facts->peer_fresh || role_leads(machine->role))
		machine->strange = false;
	if (machine->unstored && !machine->doubtful && facts->stored >= machine->known.number)
		machine->unstored = false;
}

/* ---- Cold boot ---- */

static void learn_line(RoleMachine *machine, const RoleFacts *facts)
{
	if (facts->own_line_known)
		machine->line = facts->own_line;
	if (machine->cold || (machine->unmet && !facts->committed))
		machine->booted = machine->line;
}

/* After a common power loss: whose data is newer. What was written in the newest term is; who led in that has the last of it. 0: nobody's is known to be. */
static int compare_lines(const RoleMachine *machine, const Term *ours, const RoleFacts *facts)
{
	const Term *theirs = &facts->peer_line;
	if (ours->number != theirs->number)
		return ours->number > theirs->number ? 1 : -1;
	if (!facts->peer_same_data && ours->number > 0 && strcmp(ours->id, theirs->id) == 0)
		return strcmp(ours->id, machine->id) == 0 ? 1 : -1;
	return 0;
}

static bool fresher_than_peer(const RoleMachine *machine, const RoleFacts *facts)
{
	int order = compare_lines(machine, &machine->line, facts);
	if (order != 0)
		return order > 0;
	if (facts->own_boot_ms != facts->peer_boot_ms)
		return facts->own_boot_ms < facts->peer_boot_ms;
	return true; /* both may lift their hold: the election itself then has one winner */
}

static void judge_cold_boot(RoleMachine *machine, const RoleFacts *facts, gint64 now_us)
{
	/* Which term we led in the peer may know, who followed us; an order is an answer, too. */
	if (machine->doubtful && (facts->peer_fresh || role_leads(machine->role) || !facts->redundant || !facts->paired)) {
		machine->doubtful = false;
		machine->cold_until_us = 0;
	}
	if (!machine->cold)
		return;
	if (machine->cold_until_us == 0)
		machine->cold_until_us = now_us + facts->cold_boot_wait_us;
	/* Alone in its pair there is nobody to wait for; a Master that is heard ends the question; so does the end of the wait. */
	bool heard = facts->master_heard || (facts->peer_fresh && role_leads(facts->peer_role));
	bool ahead = facts->peer_fresh && facts->own_line_known && !role_leads(facts->peer_role) && fresher_than_peer(machine, facts);
	/* Who is here and has the newer data leads, also when it came at the last moment; but not without end. */
	bool behind = facts->peer_fresh && (facts->peer_role == ROLE_INIT || facts->peer_role == ROLE_BACKUP) &&
		      facts->peer_mode == MODE_ACTIVE && !fresher_than_peer(machine, facts);
	if (!behind)
		machine->meeting_us = 0;
	else if (machine->meeting_us == 0)
		machine->meeting_us = now_us;
	if (behind)
		machine->cold_until_us = MAX(machine->cold_until_us, machine->meeting_us + MEET_WITHIN_US);
	bool late = now_us >= machine->cold_until_us && !machine->doubtful;
	if (!facts->redundant || !facts->paired || heard || ahead || role_leads(machine->role) || late) {
		machine->unmet = facts->redundant && facts->paired && !heard && !facts->peer_fresh;
		machine->cold = false;
	}
}

/* Who booted alone and leads now hears of the other: is its data newer? */
static void meet_peer(RoleMachine *machine, const RoleFacts *facts, gint64 now_us, RoleOnce *once)
{
	if (!machine->unmet)
		return;
	if (!facts->peer_fresh) {
		machine->meeting_us = 0;
		return;
	}
	if (machine->meeting_us == 0)
		machine->meeting_us = now_us;
	bool fresher = compare_lines(machine, &machine->booted, facts) < 0;
	bool leads_too = role_leads(facts->peer_role); /* a split: the election decides */
	if (fresher && role_leads(machine->role) && (facts->peer_role == ROLE_INIT || facts->calls_asked) &&
	    now_us - machine->meeting_us < MEET_WITHIN_US)
		return;
	machine->unmet = false;
	if (!fresher || leads_too || !role_leads(machine->role))
		return;
	if (machine->role != ROLE_HANDING_OVER && facts->peer_role == ROLE_BACKUP && facts->peer_mode == MODE_ACTIVE && !facts->committed &&
	    !facts->calls_up && now_us - machine->lead_us < GIVE_WAY_WITHIN_US)
		once->resign = "fresher-peer";
	else
		once->fresher_peer = true;
}

/* ---- Role ---- */

static void forget_lead(RoleMachine *machine)
{
	machine->settled = false;
	machine->serving = false;
}

/* Our vrrpd is back as Master, and the other leads, too: one of them yields as soon as the two hear each other. */
static bool is_contended(RoleMachine *machine, const RoleFacts *facts, gint64 now_us, RoleOnce *once)
{
	if (!machine->superseded || !(facts->peer_fresh && role_leads(facts->peer_role))) {
		machine->superseded = false;
		machine->contended_us = 0;
		return false;
	}
	if (machine->contended_us == 0)
		machine->contended_us = now_us;
	if (now_us - machine->contended_us >= CONTENDED_US) {
		machine->contended_us = now_us;
		once->resign = "superseded";
	}
	return true;
}

static void follow_election(RoleMachine *machine, const RoleFacts *facts, gint64 now_us, RoleOnce *once)
{
	switch (facts->election) {
	case ELECTION_UNKNOWN:
	case ELECTION_INIT:
		machine->contended_us = 0;
		if (machine->election_missing_us == 0)
			machine->election_missing_us = now_us;
		break;
	case ELECTION_BACKUP:
	case ELECTION_MASTER:
		machine->election_missing_us = 0;
		break;
	}

	switch (facts->election) {
	case ELECTION_UNKNOWN:
		if (machine->role == ROLE_STANDALONE)
			become(machine, ROLE_INIT, "redundancy-enabled", now_us, once);
		else if (now_us - machine->election_missing_us >= ELECTION_GONE_US)
			become(machine, ROLE_FAULT, "election-gone", now_us, once);
		return;
	case ELECTION_INIT:
		if (machine->role == ROLE_STANDALONE)
			become(machine, ROLE_INIT, "redundancy-enabled", now_us, once);
		else if (!facts->carrier && machine->role != ROLE_INIT)
			become(machine, ROLE_FAULT, facts->election_reason, now_us, once);
		else if (now_us - machine->election_missing_us >= ELECTION_INIT_US)
			become(machine, facts->carrier ? ROLE_INIT : ROLE_FAULT, facts->election_reason, now_us, once);
		return;
	case ELECTION_BACKUP:
		machine->superseded = false;
		machine->contended_us = 0;
		become(machine, ROLE_BACKUP, facts->election_reason, now_us, once);
		return;
	case ELECTION_MASTER:
		if (role_leads(machine->role) || is_contended(machine, facts, now_us, once))
			return;
		become(machine, ROLE_TAKING_OVER, facts->election_reason, now_us, once);
		begin_term(machine, facts, once);
		once->took_as_told = now_us < machine->take_until_us;
		once->joined = facts->joining;
		machine->lead_us = now_us;
		forget_lead(machine);
		machine->asked_settle_us = now_us;
		return;
	}
}

static gint64 settle_deadline_us(const RoleMachine *machine, const RoleFacts *facts)
{
	if (facts->sync_applying)
		return machine->asked_settle_us + SETTLE_APPLYING_US;
	bool booting = machine->asked_settle_us - machine->started_us < BOOTING_US;
	return machine->asked_settle_us + (booting || machine->role == ROLE_STANDALONE ? SETTLE_BOOT_US : SETTLE_US);
}

static void lead(RoleMachine *machine, const RoleFacts *facts, gint64 now_us, RoleOnce *once)
{
	if (!machine->settled && (facts->sync_settled || now_us >= settle_deadline_us(machine, facts)))
		machine->settled = true;
	if (machine->role == ROLE_TAKING_OVER && machine->settled) {
		bool ready = facts->apps_ready;
		if (ready || now_us - machine->since_us >= facts->first_answer_us) {
			/* Late is not never: the drop has ended by itself, who is ready answers. */
			become(machine, ROLE_MASTER, ready ? "applications-ready" : "applications-late", now_us, once);
			machine->serving = ready;
			once->announce = true;
		}
	}
	if (machine->role == ROLE_MASTER) {
		if (facts->apps_failed)
			machine->serving = false;
		else if (facts->apps_ready)
			machine->serving = true;
	}
	/* Cut off from the LAN that the other still reaches. Nobody there: better one who serves few than none. Not at every turn of a bad cable. */
	if (machine->role != ROLE_HANDING_OVER && !once->resign && machine->witness_lost_us != 0 &&
	    now_us - machine->witness_lost_us >= ISOLATED_AFTER_US && facts->peer_fresh && facts->peer_has_witness &&
	    facts->peer_role == ROLE_BACKUP && facts->peer_mode == MODE_ACTIVE &&
	    (machine->isolated_us == 0 || now_us - machine->isolated_us >= ISOLATED_EVERY_US)) {
		machine->isolated_us = now_us;
		once->resign = "isolated";
	}
	/* For health once, and only to somebody who can: two devices that cannot run it must not throw it at each other. */
	if (machine->role != ROLE_HANDING_OVER && facts->apps_failed && !machine->resigned_for_health && facts->peer_fresh &&
	    facts->peer_role == ROLE_BACKUP && facts->peer_mode == MODE_ACTIVE && !facts->peer_failed_alike && !once->resign) {
		machine->resigned_for_health = true;
		once->resign = "application-failed";
	}
}

static void obey(RoleMachine *machine, const RoleFacts *facts, RoleEvent event, gint64 now_us, RoleOnce *once)
{
	switch (event) {
	case ROLE_EVENT_FACTS:
		break;
	case ROLE_EVENT_HAND_OVER:
		if (machine->role == ROLE_MASTER) {
			become(machine, ROLE_HANDING_OVER, "swap", now_us, once);
			machine->serving = false;
		}
		break;
	case ROLE_EVENT_HAND_OVER_ABORT:
		if (machine->role == ROLE_HANDING_OVER && !peer_has_taken_over(machine, facts))
			become(machine, ROLE_TAKING_OVER, "swap-failed", now_us, once);
		break;
	case ROLE_EVENT_TAKE_EXPECTED:
		if (machine->role == ROLE_BACKUP)
			machine->take_until_us = now_us + TAKE_WITHIN_US;
		break;
	case ROLE_EVENT_HEALTH_RESET:
		machine->resigned_for_health = false;
		break;
	}
}

static void take_posture(RoleMachine *machine, const RoleFacts *facts, gint64 now_us, RolePosture *posture)
{
	/* Nothing is applied under a running application; nor the older over the newer: a Master that goes on takes a newer term first. */
	bool older = (machine->strange && facts->paired) ||
		     (facts->peer_fresh && role_leads(facts->peer_role) && term_compare(&facts->peer_term, &machine->known) < 0);
	SyncRole stopped = facts->apps_stopped && !older ? SYNC_FOLLOW : SYNC_KEEP;
	/* Nor is anything committed in an older term than it stands on. */
	SyncRole in_charge = term_compare(&facts->own_line, &machine->known) > 0 ? SYNC_KEEP : SYNC_LEAD;
	switch (machine->role) {
	case ROLE_STANDALONE:
		posture->run_applications = machine->settled;
		posture->may_run = true;
		posture->drop = DROP_NONE;
		posture->sync = SYNC_LEAD;
		break;
	case ROLE_INIT:
	case ROLE_BACKUP:
	case ROLE_FAULT:
		posture->drop = DROP_ALWAYS;
		posture->sync = stopped;
		break;
	case ROLE_TAKING_OVER:
		posture->run_applications = machine->settled;
		posture->may_run = true;
		posture->drop = DROP_TIMED;
		posture->sync = in_charge;
		break;
	case ROLE_MASTER:
		posture->run_applications = true;
		posture->may_run = true;
		posture->drop = DROP_NONE;
		posture->sync = in_charge;
		break;
	case ROLE_HANDING_OVER:
		posture->may_run = true;
		posture->drop = DROP_TIMED;
		posture->sync = in_charge;
		break;
	}
	posture->drop_until_us = machine->since_us + facts->first_answer_us;
	posture->serving = machine->serving && role_leads(machine->role);
	if (!facts->redundant)
		return;
	posture->hold_passive = facts->mode == MODE_PASSIVE && !role_leads(machine->role) && now_us >= machine->take_until_us;
	posture->hold_first_sync = facts->joining && !role_leads(machine->role);
	posture->hold_cold_boot = machine->cold || machine->doubtful;
	posture->cold_boot_until_us = machine->doubtful ? 0 : machine->cold_until_us;
	posture->mark_unstored = machine->unstored || (machine->storing_us != 0 && now_us - machine->storing_us >= STORE_WITHIN_US);
}

static void earliest(gint64 *next_us, gint64 candidate_us)
{
	if (*next_us == 0 || candidate_us < *next_us)
		*next_us = candidate_us;
}

static gint64 next_step_us(const RoleMachine *machine, const RoleFacts *facts, gint64 now_us)
{
	gint64 next_us = 0;
	if (machine->cold && facts->redundant && !machine->doubtful)
		earliest(&next_us, machine->cold_until_us);
	if (machine->take_until_us > now_us)
		earliest(&next_us, machine->take_until_us);
	if (machine->election_missing_us != 0 && facts->redundant && machine->role != ROLE_FAULT)
		earliest(&next_us, machine->election_missing_us +
					   (facts->election == ELECTION_UNKNOWN ? ELECTION_GONE_US : ELECTION_INIT_US));
	if (!machine->settled && (role_leads(machine->role) || machine->role == ROLE_STANDALONE))
		earliest(&next_us, settle_deadline_us(machine, facts));
	if (machine->witness_lost_us != 0 && role_leads(machine->role)) {
		gint64 due_us = machine->witness_lost_us + ISOLATED_AFTER_US;
		if (machine->isolated_us != 0)
			due_us = MAX(due_us, machine->isolated_us + ISOLATED_EVERY_US);
		if (due_us > now_us)
			earliest(&next_us, due_us);
	}
	if (machine->role == ROLE_TAKING_OVER)
		earliest(&next_us, machine->since_us + facts->first_answer_us);
	if (machine->meeting_us != 0 && role_leads(machine->role) && machine->unmet)
		earliest(&next_us, machine->meeting_us + MEET_WITHIN_US);
	if (machine->contended_us != 0)
		earliest(&next_us, machine->contended_us + CONTENDED_US);
	if (machine->raising_us != 0)
		earliest(&next_us, machine->raising_us + STORE_WITHIN_US);
	if (machine->storing_us != 0 && now_us - machine->storing_us < STORE_WITHIN_US)
		earliest(&next_us, machine->storing_us + STORE_WITHIN_US);
	return next_us <= now_us && next_us != 0 ? now_us + G_TIME_SPAN_SECOND : next_us; /* what is due has been looked at */
}

void role_step(RoleMachine *machine, const RoleFacts *facts, RoleEvent event, gint64 now_us, RolePosture *ret_posture,
	       RoleOnce *ret_once)
{
	RoleOnce once = { .old_role = machine->role };
	RolePosture posture = { 0 };

	obey(machine, facts, event, now_us, &once);
	if (!facts->witness_lost)
		machine->witness_lost_us = 0;
	else if (machine->witness_lost_us == 0)
		machine->witness_lost_us = now_us;
	if (facts->redundant) {
		learn_line(machine, facts);
		judge_cold_boot(machine, facts, now_us);
		if (is_superseded(machine, facts)) {
			become(machine, ROLE_FAULT, "superseded", now_us, &once);
			machine->superseded = true;
		}
		meet_peer(machine, facts, now_us, &once);
		hear_term(machine, facts, now_us, &once);
		follow_election(machine, facts, now_us, &once);
		if (role_leads(machine->role))
			lead(machine, facts, now_us, &once);
		else
			forget_lead(machine);
	} else {
		if (machine->role != ROLE_STANDALONE) {
			bool led = role_leads(machine->role) && machine->settled;
			become(machine, ROLE_STANDALONE, "redundancy-off", now_us, &once);
			machine->settled = led;
			machine->asked_settle_us = now_us;
		}
		machine->cold = machine->strange = false;
		machine->election_missing_us = 0;
		if (!machine->settled && (facts->sync_settled || now_us >= settle_deadline_us(machine, facts)))
			machine->settled = true;
	}
	if (role_leads(machine->role))
		machine->take_until_us = 0;

	take_posture(machine, facts, now_us, &posture);
	posture.next_us = next_step_us(machine, facts, now_us);
	*ret_posture = posture;
	*ret_once = once;
}

void role_once_add(RoleOnce *once, const RoleOnce *before)
{
	once->term_changed |= before->term_changed;
	once->announce |= before->announce;
	once->unstored |= before->unstored;
	once->fresher_peer |= before->fresher_peer;
	if (!once->resign)
		once->resign = before->resign;
}

bool role_wants_master_file(const RolePosture *posture, bool there, bool apps_stopped)
{
	return posture->may_run || (there && !apps_stopped);
}

const char *role_name(Role role)
{
	switch (role) {
	case ROLE_STANDALONE:
		return "standalone";
	case ROLE_INIT:
		return "init";
	case ROLE_BACKUP:
		return "backup";
	case ROLE_TAKING_OVER:
		return "taking-over";
	case ROLE_MASTER:
		return "master";
	case ROLE_HANDING_OVER:
		return "handing-over";
	case ROLE_FAULT:
		return "fault";
	}
	g_assert_not_reached();
}

bool role_parse(const char *name, Role *ret_role)
{
	for (Role role = ROLE_STANDALONE; role < ROLE_N; role++) {
		if (g_strcmp0(name, role_name(role)) == 0) {
			*ret_role = role;
			return true;
		}
	}
	return false;
}

const char *mode_name(Mode mode)
{
	switch (mode) {
	case MODE_ACTIVE:
		return "active";
	case MODE_PASSIVE:
		return "passive";
	}
	g_assert_not_reached();
}

bool mode_parse(const char *name, Mode *ret_mode)
{
	if (g_strcmp0(name, "active") == 0)
		*ret_mode = MODE_ACTIVE;
	else if (g_strcmp0(name, "passive") == 0)
		*ret_mode = MODE_PASSIVE;
	else
		return false;
	return true;
}
