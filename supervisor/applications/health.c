/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/health.c - state by event. */
#include "supervisor/applications/health.h"

#include <string.h>

static HealthAction begin(Health *health, const HealthFacts *facts)
{
	health->unanswered = 0;
	health->state = facts->on_trial ? HEALTH_LOOKING : HEALTH_BEYOND;
	return facts->on_trial ? HEALTH_DO_LOOK : HEALTH_DO_NOTHING;
}

static HealthAction when_facts(Health *health, const HealthFacts *facts)
{
	switch (health->state) {
	case HEALTH_WELL:
		return facts->failed ? begin(health, facts) : HEALTH_DO_NOTHING;
	case HEALTH_LOOKING:
	case HEALTH_RESTORING:
		return HEALTH_DO_NOTHING; /* an answer is on its way */
	case HEALTH_TRYING:
		if (facts->failed)
			return begin(health, facts);
		if (facts->ready)
			health->state = HEALTH_WELL;
		return HEALTH_DO_NOTHING;
	case HEALTH_BEYOND:
		if (facts->ready)
			health->state = HEALTH_WELL;
		return HEALTH_DO_NOTHING;
	}
	g_assert_not_reached();
}

HealthAction health_step(Health *health, const HealthFacts *facts, HealthEvent event)
{
	if (!facts->runs || event == HEALTH_EVENT_RESET) {
		health->state = HEALTH_WELL;
		return HEALTH_DO_NOTHING;
	}
	switch (event) {
	case HEALTH_EVENT_FACTS:
	case HEALTH_EVENT_RESET:
		return when_facts(health, facts);
	case HEALTH_EVENT_FOUND:
		if (health->state != HEALTH_LOOKING)
			return HEALTH_DO_NOTHING;
		health->state = HEALTH_RESTORING;
		return HEALTH_DO_RESTORE;
	case HEALTH_EVENT_UNTRIED:
		if (health->state != HEALTH_LOOKING)
			return HEALTH_DO_NOTHING;
		health->state = HEALTH_TRYING;
		return HEALTH_DO_RESTART;
	case HEALTH_EVENT_UNANSWERED:
		if (health->state != HEALTH_LOOKING && health->state != HEALTH_RESTORING)
			return HEALTH_DO_NOTHING;
		/* It may be undone or not: the list of changes will say. */
		health->state = ++health->unanswered < HEALTH_MOST_UNANSWERED ? HEALTH_LOOKING : HEALTH_BEYOND;
		return health->state == HEALTH_LOOKING ? HEALTH_DO_LOOK_LATER : HEALTH_DO_NOTHING;
	case HEALTH_EVENT_NOTHING:
		if (health->state == HEALTH_LOOKING || health->state == HEALTH_RESTORING)
			health->state = HEALTH_BEYOND;
		return HEALTH_DO_NOTHING;
	case HEALTH_EVENT_RESTORED:
		if (health->state != HEALTH_RESTORING)
			return HEALTH_DO_NOTHING;
		health->state = HEALTH_TRYING;
		return HEALTH_DO_RESTART;
	}
	g_assert_not_reached();
}

bool health_gives_up(const Health *health, const HealthFacts *facts)
{
	return facts->failed && health->state == HEALTH_BEYOND;
}

static bool undoes(const HealthCommit *commit)
{
	return strcmp(commit->author, HEALTH_AUTHOR) == 0 && g_str_has_prefix(commit->message, HEALTH_UNDO);
}

bool health_is_untried(const HealthCommit *commit, gint64 begun_ms, const char *tried)
{
	return begun_ms && commit->time_ms > begun_ms && g_strcmp0(commit->commit, tried) != 0;
}

bool health_choose(const HealthCommit *commits, gsize n, gint64 now_ms, gint64 trial_ms, gsize *ret_i)
{
	g_autoptr(GHashTable) undone = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	gsize n_undone = 0;
	bool found = false;
	for (gsize i = 0; i < n; i++) {
		const HealthCommit *commit = &commits[i];
		/* The clock of the other device may be ahead of ours. */
		if (ABS(now_ms - commit->time_ms) > trial_ms)
			break;
		if (undoes(commit)) {
			const char *which = commit->message + strlen(HEALTH_UNDO);
			g_hash_table_add(undone, g_strndup(which, strspn(which, "0123456789abcdef")));
			n_undone++;
		} else if (!found && *commit->parent && !g_hash_table_contains(undone, commit->commit)) {
			*ret_i = i;
			found = true;
		}
	}
	return found && n_undone < HEALTH_MOST_UNDONE;
}
