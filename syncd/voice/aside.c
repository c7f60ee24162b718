/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/voice/aside.c - recordings that are kept aside are not kept for ever: somebody has deleted them, and was told that they are gone.
 *
 * Lines of recordings (refs/diverged after a split or an edit here, refs/apart until they are united) go when they have been kept for
 * recordings-aside-days; the recordings that nothing else has go with the next sweep. Lines of the configuration stay.
 */
#include <string.h>
#include <time.h>

#include "syncd/engine-private.h"
#include "syncd/files/file.h"
#include "syncd/unite/apart.h"
#include "syncd/voice/ages.h"

enum { LOOK_S = 3600, DAY_S = 24 * 3600 };

typedef struct {
	char *space, *name; /* of the ref */
	char *commit;
} Kept;

static void kept_free(gpointer data)
{
	Kept *kept = data;

	g_free(kept->space);
	g_free(kept->name);
	g_free(kept->commit);
	g_free(kept);
}

static void add(GPtrArray *list, const char *space, const char *name, const git_oid *commit)
{
	Kept *kept = g_new(Kept, 1);

	*kept = (Kept){ g_strdup(space), g_strdup(name), sync_oid_text(commit) };
	g_ptr_array_add(list, kept);
}

static GPtrArray *list_kept(SyncRepo *repo)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(kept_free);
	g_auto(GStrv) diverged = sync_repo_diverged(repo), apart = sync_apart_list(repo);
	git_oid id;

	for (guint i = 0; diverged[i]; i++)
		if (git_reference_name_to_id(&id, repo->git, diverged[i]) == 0 && sync_voice_is_line(repo, &id))
			add(list, "diverged", diverged[i] + strlen("refs/diverged/"), &id);
	for (guint i = 0; apart[i]; i++) {
		SyncRef ref;

		if (sync_apart_parse(apart[i], &ref, &id) && ref == SYNC_REF_VOICE)
			add(list, "apart", apart[i], &id);
	}
	return list;
}

static void forget(SyncLine *line, const Kept *kept)
{
	sync_repo_drop_ref(line->repo, kept->space, kept->name);
	sync_line_notice(line, "recordings expired", 1, "The recordings kept aside as refs/%s/%s (commit %.10s) are removed after %u days, as the settings say "
			 "(recordings-aside-days)", kept->space, kept->name, kept->commit, line->settings->recordings_aside_days);
}

/* Seconds until the next look. */
static gint64 look(SyncLine *line)
{
	g_autofree char *path = g_build_filename(line->engine->folder, "aside-ages", NULL), *before = NULL, *boot = NULL;
	gint64 limit_s = (gint64)line->settings->recordings_aside_days * DAY_S, next_s = LOOK_S;
	g_autoptr(GPtrArray) list = list_kept(line->repo);
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	g_autoptr(GError) error = NULL;
	struct timespec now;
	bool any = false;

	(void)g_file_get_contents(path, &before, NULL, NULL);
	(void)g_file_get_contents("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL);
	g_autoptr(SyncAges) ages = sync_ages_new(before);
	for (guint i = 0; i < list->len; i++)
		g_ptr_array_add(names, ((const Kept *)list->pdata[i])->commit);
	g_ptr_array_add(names, NULL);
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	sync_ages_pass(ages, (const char *const *)names->pdata, boot ? g_strstrip(boot) : "unknown", now.tv_sec);
	for (guint i = 0; limit_s > 0 && i < list->len; i++) {
		const Kept *kept = list->pdata[i];
		gint64 left_s = limit_s - sync_ages_of(ages, kept->commit);

		if (left_s > 0) {
			next_s = MIN(next_s, left_s);
			continue;
		}
		forget(line, kept);
		any = true;
	}
	if (any) {
		sync_line_tell_diverged(line);
		sync_line_tell_apart(line);
		sync_voice_changed(line);
		sync_line_past_ended(line);
	}
	g_autofree char *text = sync_ages_text(ages);
	/* Nothing kept and nothing known: nobody writes to the disk once an hour for that. */
	if ((list->len > 0 || before) && !(list->len > 0 ? sync_file_write(path, text, strlen(text), 0600, &error) : sync_file_remove(path, &error)))
		g_message("the ages of what is kept aside: %s", error->message);
	return next_s;
}

gboolean sync_voice_aside_due(gpointer data)
{
	SyncLine *line = data;

	g_source_set_ready_time(line->aside, g_get_monotonic_time() + look(line) * G_USEC_PER_SEC);
	return G_SOURCE_CONTINUE;
}
