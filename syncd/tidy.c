/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/tidy.c - now and then git packs the repository and drops what nothing refers to. */
#include <sys/resource.h>

#include "engine-private.h"
#include "syncd/peer/git-http.h"

enum { TIDY_AFTER = 200, TIDY_S = 900, NICE = 10 };

static void tidied(GObject *source, GAsyncResult *result, gpointer user_data)
{
	SyncEngine *engine = user_data;
	g_autoptr(GError) error = NULL;

	if (!g_subprocess_wait_check_finish(G_SUBPROCESS(source), result, &error))
		g_message("git gc: %s", error->message);
	g_mutex_lock(&engine->lock);
	g_clear_object(&engine->tidying);
	g_mutex_unlock(&engine->lock);
}

static void be_nice(gpointer unused)
{
	(void)setpriority(PRIO_PROCESS, 0, NICE);
}

/* Whether it is time; the one who is told so does it. */
static bool is_due(SyncEngine *engine)
{
	gint64 now_us = g_get_monotonic_time();
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&engine->lock);

	if (++engine->untidy < TIDY_AFTER || engine->tidying || now_us - engine->tidied_us < TIDY_S * (gint64)G_USEC_PER_SEC)
		return false;
	engine->untidy = 0;
	engine->tidied_us = now_us;
	return true;
}

void sync_line_tidy(SyncLine *line)
{
	SyncEngine *engine = line->engine;

	if (!is_due(engine))
		return;
	/* What is not reachable may be an object of a commit in the making, or one that the peer fetches just now: only old ones go. */
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_auto(GStrv) env = sync_git_environment(engine->folder);
	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_child_setup(launcher, be_nice, NULL, NULL);
	GSubprocess *tidying = g_subprocess_launcher_spawn(launcher, NULL, "git", "-C", engine->repository, "-c", "pack.threads=1", "gc", "--quiet",
							   "--prune=10.minutes.ago", NULL);
	if (!tidying)
		return;
	g_mutex_lock(&engine->lock);
	engine->tidying = tidying;
	g_mutex_unlock(&engine->lock);
	g_subprocess_wait_check_async(tidying, NULL, tidied, engine);
}
