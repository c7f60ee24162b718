/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/agreement.c - two devices and one version of the pair's settings. */
#include "supervisor/settings/agreement.h"

#include <string.h>

ChangeWay agreement_way(const ChangeFacts *facts, gint64 now_us)
{
	bool waited = facts->missed_us != 0 && now_us - facts->missed_us >= AGREEMENT_MISSED_US;

	switch (facts->role) {
	case ROLE_TAKING_OVER:
	case ROLE_HANDING_OVER:
		return CHANGE_ROLE_CHANGES;
	case ROLE_STANDALONE:
	case ROLE_INIT:
	case ROLE_BACKUP:
	case ROLE_FAULT:
		if (facts->paired && facts->peer_fresh && role_leads(facts->peer_role))
			return CHANGE_FORWARD;
		if (facts->paired && facts->role != ROLE_STANDALONE)
			return CHANGE_NO_MASTER;
		break;
	case ROLE_MASTER:
		break;
	}
	if (facts->paired && !facts->peer_fresh && !facts->dry_run && !facts->peer_down && !waited)
		return CHANGE_WAIT;
	if (facts->peer_fresh && revision_compare(&facts->peer, &facts->own) > 0)
		return CHANGE_PEER_NEWER;
	if (facts->dry_run)
		return CHANGE_TRIED;
	if (!facts->paired)
		return CHANGE_HERE;
	return facts->peer_fresh ? CHANGE_BOTH : CHANGE_ALONE;
}

Revision agreement_number(const Revision *own, guint64 known_term, guint64 last_n, const char *device)
{
	return revision_of(MAX(known_term, own->term), device, MAX(own->n, last_n) + 1);
}

bool agreement_may_commit(Role role)
{
	return role == ROLE_MASTER || role == ROLE_STANDALONE;
}

PrepareAnswer agreement_prepare(Role role, bool ordered, bool writing, const Revision *own, const Revision *offered)
{
	if (role_leads(role))
		return PREPARE_LEADS;
	if (ordered)
		return PREPARE_BUSY;
	if (writing)
		return PREPARE_WAIT;
	return revision_compare(offered, own) <= 0 ? PREPARE_NEWER : PREPARE_AGREED;
}

CommitAnswer agreement_commit(const Revision *own, const char *own_hash, const Revision *prepared, const char *prepared_hash, const Revision *asked,
			      const char *asked_hash)
{
	if (revision_compare(asked, own) == 0 && strcmp(asked_hash, own_hash) == 0)
		return COMMIT_HAS; /* what the other says of itself was quicker */
	if (!prepared_hash || revision_compare(asked, prepared) != 0 || strcmp(asked_hash, prepared_hash) != 0)
		return COMMIT_UNKNOWN;
	return COMMIT_ADOPT;
}

Adoption agreement_adopt(const Revision *own, bool own_shared, bool same, const Revision *offered)
{
	if (revision_compare(offered, own) <= 0)
		return ADOPT_NOTHING;
	return own_shared || same ? ADOPT_IT : ADOPT_IT_AND_KEEP_OWN;
}

gint64 agreement_hold(const HoldFacts *facts, gint64 until_us, gint64 now_us)
{
	if (!facts->prepared_differs && !(facts->peer_fresh && role_leads(facts->peer_role) && facts->peer_differs))
		return 0;
	/* Connected, it goes on; then it ends, for the other may be gone for good. */
	if (facts->connected || until_us == 0)
		return now_us + facts->peer_timeout_us + AGREEMENT_HOLD_BEYOND_US;
	return until_us;
}
