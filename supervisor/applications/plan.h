/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/plan.h - which application may start or stop now: needs first when starting, needed ones last when stopping. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	const char *name;
	const char *const *needs; /* NULL-terminated; names that are not in the plan are no obstacle */
	bool ready;
	bool stopped;             /* for certain: no process left */
} PlanEntry;

/* Everything @i needs is ready. Those that are free of each other may thus start side by side. */
bool plan_may_start(const PlanEntry *entries, gsize n, gsize i);

/* Everything that needs @i has stopped. */
bool plan_may_stop(const PlanEntry *entries, gsize n, gsize i);

bool plan_all_stopped(const PlanEntry *entries, gsize n);
