/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/plan.c - order by needs. */
#include "supervisor/applications/plan.h"

#include <string.h>

static bool needs(const PlanEntry *entry, const char *name)
{
	return entry->needs && g_strv_contains(entry->needs, name);
}

bool plan_may_start(const PlanEntry *entries, gsize n, gsize i)
{
	for (gsize other = 0; other < n; other++)
		if (other != i && needs(&entries[i], entries[other].name) && !entries[other].ready)
			return false;
	return true;
}

bool plan_may_stop(const PlanEntry *entries, gsize n, gsize i)
{
	for (gsize other = 0; other < n; other++)
		if (other != i && needs(&entries[other], entries[i].name) && !entries[other].stopped)
			return false;
	return true;
}

bool plan_all_stopped(const PlanEntry *entries, gsize n)
{
	for (gsize i = 0; i < n; i++)
		if (!entries[i].stopped)
			return false;
	return true;
}
