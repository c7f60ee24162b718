/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/role/handover.c - step by event. */
#include "supervisor/role/handover.h"

#define NOT_MASTER "not-master: another device leads meanwhile"

bool handover_is_over(const Handover *handover)
{
	return handover->step >= HANDOVER_DONE;
}

bool handover_can_cancel(const Handover *handover)
{
	return handover->step < HANDOVER_STOP;
}

static HandoverStep fail(Handover *handover, const char *error)
{
	handover->error = error;
	handover->give_back = handover->step >= HANDOVER_STOP && handover->step < HANDOVER_RESIGN;
	return HANDOVER_FAILED;
}

static HandoverStep look(Handover *handover, Role role, const RoleFacts *facts)
{
	switch (handover->step) {
	case HANDOVER_PREPARE:
	case HANDOVER_COMMIT:
	case HANDOVER_APPLY:
	case HANDOVER_LAST_COMMIT:
	case HANDOVER_LAST_APPLY:
	case HANDOVER_TAKE:
		if (role != ROLE_MASTER && role != ROLE_HANDING_OVER)
			return fail(handover, NOT_MASTER);
		break;
	case HANDOVER_STOP:
		if (role != ROLE_HANDING_OVER)
			return fail(handover, NOT_MASTER);
		if (facts->apps_stopped)
			return HANDOVER_LAST_COMMIT;
		break;
	case HANDOVER_LEADS:
		if (facts->peer_fresh && facts->peer_role == ROLE_MASTER)
			return HANDOVER_DONE;
		if (role == ROLE_TAKING_OVER || role == ROLE_MASTER)
			return fail(handover, "peer-late: the peer did not come to lead; this device leads again");
		break;
	case HANDOVER_RESIGN:
	case HANDOVER_DONE:
	case HANDOVER_FAILED:
	case HANDOVER_CANCELLED:
		break;
	}
	return handover->step;
}

static HandoverStep after(HandoverStep step)
{
	switch (step) {
	case HANDOVER_PREPARE:
		return HANDOVER_COMMIT;
	case HANDOVER_COMMIT:
		return HANDOVER_APPLY;
	case HANDOVER_APPLY:
		return HANDOVER_STOP;
	case HANDOVER_LAST_COMMIT:
		return HANDOVER_LAST_APPLY;
	case HANDOVER_LAST_APPLY:
		return HANDOVER_TAKE;
	case HANDOVER_TAKE:
		return HANDOVER_RESIGN;
	case HANDOVER_RESIGN:
		return HANDOVER_LEADS;
	case HANDOVER_STOP:  /* seen in the facts */
	case HANDOVER_LEADS:
	case HANDOVER_DONE:
	case HANDOVER_FAILED:
	case HANDOVER_CANCELLED:
		return step;
	}
	g_assert_not_reached();
}

static HandoverStep next(Handover *handover, HandoverEvent event, Role role, const RoleFacts *facts)
{
	if (handover_is_over(handover))
		return handover->step;
	switch (event) {
	case HANDOVER_EVENT_FACTS:
		return look(handover, role, facts);
	case HANDOVER_EVENT_OK:
		return after(handover->step);
	case HANDOVER_EVENT_REFUSED:
		return fail(handover, NULL);
	case HANDOVER_EVENT_LATE:
		fail(handover, "peer-late: the peer took over but does not say that it leads");
		handover->give_back = role == ROLE_HANDING_OVER; /* the election never took the resignation */
		return HANDOVER_FAILED;
	case HANDOVER_EVENT_CANCEL:
		return handover_can_cancel(handover) ? HANDOVER_CANCELLED : handover->step;
	}
	g_assert_not_reached();
}

bool handover_step(Handover *handover, HandoverEvent event, Role role, const RoleFacts *facts)
{
	HandoverStep step = next(handover, event, role, facts);
	if (step == handover->step)
		return false;
	handover->step = step;
	return true;
}

bool handover_nobody_finishes(Role role, const RoleFacts *facts)
{
	bool taken = facts->peer_fresh && (facts->peer_role == ROLE_TAKING_OVER || facts->peer_role == ROLE_MASTER);

	return role == ROLE_HANDING_OVER && facts->election == ELECTION_MASTER && !taken;
}

bool handover_may_be(const RoleFacts *facts, Mode mode)
{
	return mode == MODE_ACTIVE || (facts->peer_fresh && facts->peer_mode == MODE_ACTIVE);
}

bool handover_mode_is_ours(Role role, const RoleFacts *facts, Mode theirs)
{
	return role == ROLE_BACKUP && handover_may_be(facts, theirs) && (theirs == MODE_ACTIVE || facts->peer_role == ROLE_MASTER);
}

const char *handover_refusal(Role role, const RoleFacts *facts, bool same_version, bool same_settings)
{
	if (role == ROLE_STANDALONE)
		return "standalone: redundancy is off here; understudy enable turns it on, on each of the two";
	if (role != ROLE_MASTER)
		return "not-master: this is ordered on the Master, which understudy status shows";
	if (!facts->paired || !facts->peer_fresh)
		return "peer-absent: the peer is not connected";
	if (!same_version)
		return "version-differs: the devices run different versions";
	if (!same_settings)
		return "settings-differ: the pair's settings are not the same on both devices";
	if (facts->peer_role != ROLE_BACKUP)
		return "peer-not-backup: the peer is not ready as Backup";
	return NULL;
}

const char *handover_take_refusal(Role role, const RoleFacts *facts, bool same_version, bool same_settings)
{
	if (role != ROLE_BACKUP)
		return "peer-not-backup: this device is not a Backup";
	if (!same_version)
		return "version-differs: the devices run different versions";
	if (!same_settings)
		return "settings-differ: the pair's settings are not the same on both devices";
	if (facts->joining)
		return "first-sync: the first synchronisation is not done";
	if (!facts->apps_stopped)
		return "applications-stopping: applications are still running here";
	if (facts->election != ELECTION_BACKUP)
		return "no-election: this device cannot take over now";
	return NULL;
}
