/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/apply/trial.c - a commit of the configuration before it is on the files: the applications' own commands say whether it may be. */
#include <string.h>

#include "syncd/engine-private.h"
#include "syncd/error.h"
#include "syncd/files/path.h"

enum { FIRMWARE_MAX = 64 };

static bool any(const char *path, const SyncMeta *was, const git_oid *was_id, const SyncMeta *becomes, const git_oid *id, gpointer user_data)
{
	*(bool *)user_data = true;
	return false;
}

/* Whether anything of the application's configuration differs. Of a tree that cannot be compared: it does. */
static bool concerns(SyncLine *line, const char *application, const git_oid *from, const git_oid *to)
{
	for (guint i = 0; i < line->sets->len; i++) {
		const SyncSet *set = line->sets->pdata[i];
		const char *name;
		bool differs = false;

		if (set->ref != line->ref || !sync_staged_is_of(set, application, &name))
			continue;
		if (!sync_repo_each_difference(line->repo, from, to, set->name, any, &differs, NULL) || differs)
			return true;
	}
	return false;
}

static void let_go(SyncLine *line)
{
	memset(&line->held, 0, sizeof line->held);
	if (!line->held_why)
		return;
	g_clear_pointer(&line->held_why, g_free);
	sync_line_tell_held(line, "", "");
}

void sync_trial_forget(SyncLine *line)
{
	/* It is tried again; until that has ended it is still what is known. */
	memset(&line->held, 0, sizeof line->held);
}

void sync_trial_over(SyncLine *line)
{
	let_go(line);
}

static bool ask(SyncLine *line, const SettingsApplication *application, const git_oid *tree, const char *commit, GCancellable *cancellable,
		GError **error)
{
	const SettingsHook *hook = &application->hooks[SETTINGS_HOOK_VALIDATE];
	SyncHookWish wish = {
		.kind = SETTINGS_HOOK_VALIDATE,
		.application = application->name,
		.commit = commit,
		.role = sync_role_text(line->role),
		.timeout_ms = hook->timeout_ms,
	};

	return sync_staged_make(line->engine->staged, line->repo, line->sets, line->ref, application->name, tree, cancellable, error) &&
	       sync_hooks_run(line->engine->hooks, &wish, cancellable, NULL, error);
}

char *sync_trial_firmware(const Settings *settings)
{
	g_autofree char *version = g_strdup(settings->firmware ? settings->firmware : ""), *file = NULL;

	if (settings->firmware_file && g_file_get_contents(settings->firmware_file, &file, NULL, NULL)) {
		g_free(version);
		version = g_strndup(file, MIN(strcspn(file, "\r\n"), FIRMWARE_MAX));
	}
	/* It stands in a line of its own in each commit. */
	return sync_printable(g_strstrip(version));
}

void sync_trial_take_firmware(SyncLine *line)
{
	if (line->ref != SYNC_REF_CONFIG)
		return;
	g_autofree char *version = sync_trial_firmware(line->settings);
	g_free(line->term.firmware);
	line->term.firmware = *version ? g_steal_pointer(&version) : NULL;
}

static void hold(SyncLine *line, const git_oid *commit, const char *hex, const char *why)
{
	char *text = g_strdup(why);

	g_free(line->held_why);
	line->held = *commit;
	line->held_why = text;
	sync_line_tell_held(line, hex, text);
}

/* From older to newer it goes, never the other way: what the newer one wrote, the older may not understand. */
static bool firmware_fits(SyncLine *line, const git_oid *commit, const char *hex, const SyncTerm *term, GError **error)
{
	if (line->role != SYNC_ROLE_FOLLOW || !sync_term_is_newer(term->firmware, line->term.firmware))
		return true;
	g_autofree char *theirs = sync_printable(term->firmware);
	g_autofree char *why = g_strdup_printf("newer-firmware: it is of firmware %s, and this device has %s", theirs, line->term.firmware);
	hold(line, commit, hex, why);
	g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "held: commit %.10s: %s", hex, why);
	return false;
}

/* What a command has said no to is held back, on a follower. Always false. */
static bool refuse(SyncLine *line, const git_oid *commit, const char *hex, GError *problem, GError **error)
{
	if (g_error_matches(problem, SYNC_ERROR, SYNC_ERROR_REFUSED) && line->role == SYNC_ROLE_FOLLOW) {
		hold(line, commit, hex, problem->message);
		g_prefix_error(&problem, "held: commit %.10s: ", hex);
	}
	g_propagate_error(error, problem);
	return false;
}

bool sync_trial_files(SyncLine *line, const git_oid *commit, bool applied, GCancellable *cancellable, git_oid *ret_files, GError **error)
{
	g_autofree char *hex = sync_oid_text(commit);
	g_auto(SyncTerm) term = { 0 };
	GError *problem = NULL;

	*ret_files = *commit;
	if (line->ref != SYNC_REF_CONFIG)
		return true;
	if (line->held_why && git_oid_equal(&line->held, commit)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "held: commit %.10s: %s", hex, line->held_why);
		return false;
	}
	if (!sync_repo_term_of(line->repo, commit, &term, error) || (!applied && !firmware_fits(line, commit, hex, &term, error)))
		return false;
	return sync_trial_migrate(line, commit, &term, cancellable, ret_files, &problem) || refuse(line, commit, hex, problem, error);
}

bool sync_trial_pass(SyncLine *line, const git_oid *from, const git_oid *tree, const git_oid *commit, GCancellable *cancellable, GError **error)
{
	g_autofree char *hex = sync_oid_text(commit);

	if (line->ref != SYNC_REF_CONFIG)
		return true;
	for (guint i = 0; i < line->settings->applications->len; i++) {
		const SettingsApplication *application = line->settings->applications->pdata[i];
		GError *problem = NULL;

		if (!application->hooks[SETTINGS_HOOK_VALIDATE].command || !concerns(line, application->name, from, tree))
			continue;
		sync_line_tell_activity(line, "validating");
		if (!sync_follow_keep(line, &problem) || !ask(line, application, tree, hex, cancellable, &problem))
			return refuse(line, commit, hex, problem, error);
	}
	return true;
}

static void act_failed(const char *application, const char *commit, const char *text, gpointer user_data)
{
	SyncEngine *engine = user_data;
	g_autofree char *description = g_strdup_printf("act of application %s after commit %.10s: %s", application, commit, text);

	engine->events->notice("hook failed", 2, description, engine->user_data);
}

void sync_trial_act(SyncLine *line, const SyncPlan *plan)
{
	for (guint i = 0; i < line->settings->applications->len; i++) {
		const SettingsApplication *application = line->settings->applications->pdata[i];
		const SettingsHook *hook = &application->hooks[SETTINGS_HOOK_ACT];
		bool concerned = false;

		for (guint k = 0; hook->command && k < plan->steps->len && !concerned; k++) {
			const SyncStep *step = plan->steps->pdata[k];
			const SyncSet *set = sync_sets_find(line->sets, line->ref, step->set);
			const char *name;

			concerned = set && sync_staged_is_of(set, application->name, &name);
		}
		if (!concerned || line->ref != SYNC_REF_CONFIG)
			continue;
		SyncHookWish wish = {
			.kind = SETTINGS_HOOK_ACT,
			.application = application->name,
			.commit = plan->commit,
			.role = sync_role_text(line->role),
			.timeout_ms = hook->timeout_ms,
		};
		sync_hooks_start(line->engine->hooks, &wish, act_failed, line->engine);
	}
}
