/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/settings/notes.c - what needs a restart says so. */
#include "supervisor/settings/notes.h"

#include <string.h>

bool notes_same_words(char **a, char **b)
{
	if (!a || !b)
		return a == b;
	return g_strv_equal((const char *const *)a, (const char *const *)b);
}

static bool same_numbers(const int *a, gsize n_a, const int *b, gsize n_b)
{
	return n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof *a) == 0);
}

/* Whatever a process is given when it is started, and cannot be given later. */
static bool starts_alike(const SettingsApplication *a, const SettingsApplication *b)
{
	const SettingsRights *x = &a->rights, *y = &b->rights;

	return notes_same_words(a->command, b->command) && g_strcmp0(a->unit, b->unit) == 0 && notes_same_words(a->environment, b->environment) &&
	       g_strcmp0(a->user, b->user) == 0 && g_strcmp0(a->group, b->group) == 0 && g_strcmp0(a->working_directory, b->working_directory) == 0 &&
	       (a->watchdog_ms == b->watchdog_ms) && x->has_capabilities == y->has_capabilities && x->has_bounds == y->has_bounds &&
	       same_numbers(x->capabilities, x->n_capabilities, y->capabilities, y->n_capabilities) &&
	       same_numbers(x->bounds, x->n_bounds, y->bounds, y->n_bounds) && x->nofile == y->nofile && x->nproc == y->nproc && x->core == y->core &&
	       x->memlock == y->memlock && x->memory_max == y->memory_max && x->nice == y->nice && x->oom_score_adj == y->oom_score_adj &&
	       x->realtime == y->realtime;
}

GPtrArray *notes_of_change(const Settings *before, const Settings *after)
{
	GPtrArray *notes = g_ptr_array_new_with_free_func(g_free);

	if (before->cold_boot_wait_ms != after->cold_boot_wait_ms)
		g_ptr_array_add(notes, g_strdup("cold-boot-wait-ms: counts when the device is switched on next"));
	if (before->first_answer_ms != after->first_answer_ms)
		g_ptr_array_add(notes, g_strdup("first-answer-ms: counts at the next takeover"));
	if (strcmp(before->id, after->id) != 0)
		g_ptr_array_add(notes, g_strdup("id: needs a restart of the service (systemctl restart understudy)"));
	for (guint i = 0; i < after->applications->len; i++) {
		const SettingsApplication *now = after->applications->pdata[i], *then = settings_application(before, now->name);
		if (then && !starts_alike(then, now))
			g_ptr_array_add(notes, g_strdup_printf("applications.d/%s.conf: counts when %s is started next (understudy restart %s)", now->name,
							       now->name, now->name));
	}
	return notes;
}
