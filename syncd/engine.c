/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/engine.c - the thread, calls into it and news out of it. */
#include "engine.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "disk.h"
#include "engine-private.h"
#include "error.h"
#include "file.h"
#include "git-http.h"

enum { TIDY_AFTER = 200, TIDY_S = 900, NICE = 10, PATIENCE_US = 30000 };

const char *sync_role_text(SyncRole role)
{
	switch (role) {
	case SYNC_ROLE_IDLE:
		return "idle";
	case SYNC_ROLE_LEAD:
		return "lead";
	case SYNC_ROLE_FOLLOW:
		return "follow";
	}
	g_assert_not_reached();
}

/* Never g_main_context_invoke(): it may run the function in the caller's thread. */
static void post(GMainContext *context, int priority, GSourceFunc function, gpointer data)
{
	GSource *source = g_idle_source_new();

	g_source_set_priority(source, priority);
	g_source_set_callback(source, function, data, NULL);
	g_source_attach(source, context);
	g_source_unref(source);
}

/* ---- news: from the thread to the main context ---- */

typedef enum { NEWS_LINES, NEWS_DIVERGED, NEWS_ACTIVITY, NEWS_COMMITTED, NEWS_APPLIED, NEWS_NOTICE, NEWS_PROBLEM } NewsKind;

typedef struct {
	SyncEngine *engine;
	NewsKind kind;
	char *a, *b, *c;
	char **list;
	GVariant *stored, *applied, *term;
	guint n;
} News;

static gboolean deliver(gpointer data)
{
	News *news = data;
	const SyncEngineEvents *events = news->engine->events;
	gpointer user_data = news->engine->user_data;

	switch (news->kind) {
	case NEWS_LINES:
		events->lines(news->stored, news->applied, news->term, user_data);
		break;
	case NEWS_DIVERGED:
		events->diverged((const char *const *)news->list, user_data);
		break;
	case NEWS_ACTIVITY:
		events->activity(news->a, user_data);
		break;
	case NEWS_COMMITTED:
		events->committed(news->a, news->b, news->c, news->n, user_data);
		break;
	case NEWS_APPLIED:
		events->applied(news->a, news->b, news->n, user_data);
		break;
	case NEWS_NOTICE:
		events->notice(news->a, news->n, news->b, user_data);
		break;
	case NEWS_PROBLEM:
		events->problem(news->a, user_data);
		break;
	}
	g_free(news->a);
	g_free(news->b);
	g_free(news->c);
	g_strfreev(news->list);
	g_clear_pointer(&news->stored, g_variant_unref);
	g_clear_pointer(&news->applied, g_variant_unref);
	g_clear_pointer(&news->term, g_variant_unref);
	g_free(news);
	return G_SOURCE_REMOVE;
}

static void tell(SyncEngine *engine, News content)
{
	News *news = g_new(News, 1);

	*news = content;
	news->engine = engine;
	post(NULL, G_PRIORITY_DEFAULT, deliver, news);
}

static void add_ref(SyncEngine *engine, GVariantBuilder *builder, const char *space, const char *name)
{
	git_oid id;

	if (!sync_repo_get_ref(engine->repo, space, name, &id) &&
	    (g_str_equal(space, "heads") || !sync_repo_get_ref(engine->repo, "heads", name, &id)))
		return;
	g_autofree char *hex = sync_oid_text(&id);
	g_variant_builder_add(builder, "{ss}", name, hex);
}

static GVariant *refs_of(SyncEngine *engine, const char *space)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
	for (guint i = 0; i < SYNC_N_REFS; i++)
		add_ref(engine, &builder, space, engine->lines[i].name);
	return g_variant_ref_sink(g_variant_builder_end(&builder));
}

/* One whose commit cannot be read is passed over: that is found out, and told of, elsewhere. */
static GVariant *applied_term(SyncEngine *engine)
{
	g_auto(SyncTerm) newest = { .id = g_strdup("") };

	for (guint i = 0; i < SYNC_N_REFS; i++) {
		g_auto(SyncTerm) term = { 0 };
		git_oid id;

		if (!sync_repo_get_ref(engine->repo, "heads", engine->lines[i].name, &id) || !sync_repo_term_of(engine->repo, &id, &term, NULL) ||
		    sync_term_compare(&term, &newest) <= 0)
			continue;
		sync_term_clear(&newest);
		newest = term;
		term = (SyncTerm){ 0 };
	}
	return g_variant_ref_sink(g_variant_new("(ts)", newest.number, newest.id));
}

void sync_engine_tell_lines(SyncEngine *engine)
{
	tell(engine, (News){ .kind = NEWS_LINES, .stored = refs_of(engine, "fetched"), .applied = refs_of(engine, "heads"), .term = applied_term(engine) });
}

void sync_engine_tell_diverged(SyncEngine *engine)
{
	tell(engine, (News){ .kind = NEWS_DIVERGED, .list = sync_repo_diverged(engine->repo) });
}

void sync_engine_tell_activity(SyncEngine *engine, const char *activity)
{
	tell(engine, (News){ .kind = NEWS_ACTIVITY, .a = g_strdup(activity) });
}

void sync_engine_tell_committed(SyncEngine *engine, const char *ref, const char *commit, const char *message, guint n_changes)
{
	tell(engine, (News){ .kind = NEWS_COMMITTED, .a = g_strdup(ref), .b = g_strdup(commit), .c = sync_term_strip(message), .n = n_changes });
}

void sync_engine_tell_applied(SyncEngine *engine, const char *ref, const char *commit, guint n_changes)
{
	tell(engine, (News){ .kind = NEWS_APPLIED, .a = g_strdup(ref), .b = g_strdup(commit), .n = n_changes });
}

void sync_engine_tell_problem(SyncEngine *engine, const char *text)
{
	tell(engine, (News){ .kind = NEWS_PROBLEM, .a = g_utf8_make_valid(text, -1) });
}

void sync_engine_notice(SyncEngine *engine, const char *name, guint8 priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(engine, (News){ .kind = NEWS_NOTICE, .a = g_strdup(name), .b = g_strdup_vprintf(format, args), .n = priority });
	va_end(args);
}

typedef struct {
	SyncEngineDone done;
	gpointer user_data;
	GError *error;
} Answer;

static gboolean answer(gpointer data)
{
	Answer *ready = data;

	ready->done(ready->error, ready->user_data);
	g_clear_error(&ready->error);
	g_free(ready);
	return G_SOURCE_REMOVE;
}

void sync_engine_done(SyncEngineDone done, gpointer user_data, const GError *error)
{
	if (!done)
		return;
	Answer *ready = g_new0(Answer, 1);
	ready->done = done;
	ready->user_data = user_data;
	ready->error = error ? g_error_copy(error) : NULL;
	post(NULL, G_PRIORITY_DEFAULT, answer, ready);
}

/* ---- state ---- */

SyncApply sync_engine_apply(SyncEngine *engine)
{
	return (SyncApply){ .sets = engine->sets, .repo = engine->repo, .journal = engine->journal };
}

static void pictures_new(SyncEngine *engine)
{
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &engine->lines[i];

		sync_picture_free(line->picture);
		line->name = sync_ref_names[i];
		line->ref = i;
		line->picture = sync_picture_new(engine->sets, i, engine->scratch);
		line->checked_us = 0;
		if (!line->databases)
			line->databases = g_hash_table_new(NULL, NULL);
		g_hash_table_remove_all(line->databases);
	}
}

/* ---- tidying ---- */

static void tidied(GObject *source, GAsyncResult *result, gpointer user_data)
{
	SyncEngine *engine = user_data;
	g_autoptr(GError) error = NULL;

	if (!g_subprocess_wait_check_finish(G_SUBPROCESS(source), result, &error))
		g_message("git gc: %s", error->message);
	g_clear_object(&engine->tidying);
}

static void be_nice(gpointer unused)
{
	(void)setpriority(PRIO_PROCESS, 0, NICE);
}

void sync_engine_tidy(SyncEngine *engine)
{
	gint64 now_us = g_get_monotonic_time();

	if (++engine->untidy < TIDY_AFTER || engine->tidying || now_us - engine->tidied_us < TIDY_S * (gint64)G_USEC_PER_SEC)
		return;
	engine->untidy = 0;
	engine->tidied_us = now_us;
	/* What is not reachable may be an object of a commit in the making, or one that the peer fetches just now: only old ones go. */
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_auto(GStrv) env = sync_git_environment(engine->folder);
	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_child_setup(launcher, be_nice, NULL, NULL);
	engine->tidying = g_subprocess_launcher_spawn(launcher, NULL, "git", "-C", engine->repository, "-c", "pack.threads=1", "gc", "--quiet",
						      "--prune=10.minutes.ago", NULL);
	if (engine->tidying)
		g_subprocess_wait_check_async(engine->tidying, NULL, tidied, engine);
}

/* ---- calls: from the main context into the thread ---- */

typedef struct {
	SyncEngine *engine;
	SyncRole role;
	SyncTerm term;
	SyncEngineDone done;
	gpointer user_data;
} RoleCall;

static gboolean begin_leading(gpointer data)
{
	SyncEngine *engine = data;

	if (engine->role == SYNC_ROLE_LEAD && !engine->rescan)
		sync_lead_begin(engine);
	return G_SOURCE_REMOVE;
}

static bool change_role(SyncEngine *engine, SyncRole role, GError **error)
{
	SyncApply apply = sync_engine_apply(engine);
	g_autofree char *settled = NULL;

	if (role == engine->role)
		return true;
	sync_lead_end(engine);
	engine->role = SYNC_ROLE_IDLE;
	/* Whatever was half done becomes the old state or the new one, now. */
	bool ok = sync_apply_settle(&apply, &settled, error);
	if (settled)
		sync_engine_tell_lines(engine);
	if (!ok || (role == SYNC_ROLE_LEAD && !sync_follow_park_fetched(engine, error)))
		return false;
	engine->role = role;
	for (guint i = 0; i < SYNC_N_REFS; i++)
		sync_picture_mark_all(engine->lines[i].picture);
	/* The answer does not wait for this. */
	if (role == SYNC_ROLE_LEAD)
		post(engine->context, G_PRIORITY_DEFAULT, begin_leading, engine);
	return true;
}

/* ---- haste ---- */

typedef struct {
	SyncEngine *engine;
	gint64 until_us;
} Lasting;

static gboolean on_lasting(gpointer data)
{
	g_autofree Lasting *lasting = data;
	SyncApply apply = sync_engine_apply(lasting->engine);

	sync_apply_lasting(&apply, lasting->until_us);
	return G_SOURCE_REMOVE;
}

/* What was made in haste is put in order once the disk has it. */
static void calm_down(SyncEngine *engine)
{
	SyncApply apply = sync_engine_apply(engine);

	if (!sync_apply_waits_for_disk(&apply))
		return;
	Lasting *lasting = g_new0(Lasting, 1);
	*lasting = (Lasting){ engine, g_get_monotonic_time() };
	sync_disk_then(engine->context, on_lasting, lasting);
}

static gboolean run_role(gpointer data)
{
	RoleCall *call = data;
	g_autoptr(GError) error = NULL;
	SyncEngine *engine = call->engine;

	sync_term_clear(&engine->term);
	engine->term = call->term;
	engine->term.device = g_strdup(engine->device);
	if (!change_role(engine, call->role, &error))
		sync_engine_tell_problem(engine, error->message);
	sync_engine_tell_lines(engine);
	sync_engine_tell_activity(engine, "idle");
	sync_engine_done(call->done, call->user_data, error);
	if (call->role != SYNC_ROLE_FOLLOW)
		sync_disk_calm();
	calm_down(engine);
	g_free(call);
	return G_SOURCE_REMOVE;
}

static void stop_following(SyncEngine *engine)
{
	g_mutex_lock(&engine->lock);
	g_cancellable_cancel(engine->following);
	g_object_unref(engine->following);
	engine->following = g_cancellable_new();
	g_mutex_unlock(&engine->lock);
}

void sync_engine_set_role(SyncEngine *engine, SyncRole role, guint64 term, const char *term_id, SyncEngineDone done, gpointer user_data)
{
	RoleCall *call = g_new0(RoleCall, 1);

	call->engine = engine;
	call->role = role;
	call->term = (SyncTerm){ .number = term, .id = g_strdup(term_id) };
	call->done = done;
	call->user_data = user_data;
	/* Who takes over waits for no disk, nor does what is under way. */
	if (role != SYNC_ROLE_FOLLOW) {
		stop_following(engine);
		sync_disk_hurry();
	}
	post(engine->context, G_PRIORITY_HIGH, run_role, call);
}

typedef struct {
	SyncEngine *engine;
	char *author, *message;
	char *restore; /* a commit to go back to; NULL: only commit */
	bool last;     /* in haste */
	SyncEngineCommits done;
	gpointer user_data;
	GVariant *commits;
	GError *error;
} CommitCall;

static gboolean answer_commit(gpointer data)
{
	CommitCall *call = data;

	call->done(call->commits, call->error, call->user_data);
	g_clear_pointer(&call->commits, g_variant_unref);
	g_clear_error(&call->error);
	g_free(call->author);
	g_free(call->message);
	g_free(call->restore);
	g_free(call);
	return G_SOURCE_REMOVE;
}

static gboolean run_commit(gpointer data)
{
	CommitCall *call = data;
	SyncEngine *engine = call->engine;

	if (engine->role != SYNC_ROLE_LEAD) {
		g_set_error(&call->error, SYNC_ERROR, SYNC_ERROR_REFUSED, "not-leader: this device does not lead");
	} else {
		if (!engine->rescan)
			sync_lead_begin(engine);
		git_oid restored;
		sync_engine_tell_activity(engine, call->restore ? "applying" : "committing");
		if (call->restore ? sync_restore(engine, call->restore, call->author, call->message, &restored, &call->error) :
				    sync_lead_commit(engine, call->author, call->message, &call->error))
			call->commits = refs_of(engine, "heads");
		sync_engine_tell_activity(engine, "idle");
	}
	if (call->last) {
		(void)sync_disk_is_lasting(PATIENCE_US);
		sync_disk_calm();
	}
	post(NULL, G_PRIORITY_DEFAULT, answer_commit, call);
	return G_SOURCE_REMOVE;
}

static CommitCall *commit_call_new(SyncEngine *engine, const char *author, const char *message, SyncEngineCommits done, gpointer user_data)
{
	CommitCall *call = g_new0(CommitCall, 1);

	call->engine = engine;
	call->author = g_strdup(author);
	call->message = g_strdup(message);
	call->done = done;
	call->user_data = user_data;
	return call;
}

void sync_engine_commit(SyncEngine *engine, const char *author, const char *message, SyncEngineCommits done, gpointer user_data)
{
	post(engine->context, G_PRIORITY_DEFAULT, run_commit, commit_call_new(engine, author, message, done, user_data));
}

void sync_engine_commit_last(SyncEngine *engine, const char *author, const char *message, SyncEngineCommits done, gpointer user_data)
{
	CommitCall *call = commit_call_new(engine, author, message, done, user_data);

	call->last = true;
	sync_disk_hurry();
	post(engine->context, G_PRIORITY_HIGH, run_commit, call);
}

void sync_engine_restore(SyncEngine *engine, const char *commit, const char *author, const char *message, SyncEngineCommits done,
			 gpointer user_data)
{
	CommitCall *call = commit_call_new(engine, author, message, done, user_data);

	call->restore = g_strdup(commit);
	post(engine->context, G_PRIORITY_DEFAULT, run_commit, call);
}

static void pull_free(SyncPullCall *pull)
{
	if (!pull)
		return;
	if (pull->hurry)
		sync_disk_calm();
	g_strfreev(pull->hosts);
	g_free(pull->pin);
	g_free(pull->peer_id);
	g_variant_unref(pull->stored);
	g_free(pull);
}

static gboolean run_pull(gpointer data)
{
	SyncEngine *engine = data;
	g_autoptr(GError) error = NULL;

	g_mutex_lock(&engine->lock);
	SyncPullCall *pull = g_steal_pointer(&engine->waiting);
	g_autoptr(GCancellable) cancellable = g_object_ref(engine->following);
	g_mutex_unlock(&engine->lock);
	if (!pull)
		return G_SOURCE_REMOVE;
	bool ok = sync_follow_pull(engine, pull, cancellable, &error);
	if (engine->role == SYNC_ROLE_FOLLOW && !g_cancellable_is_cancelled(cancellable))
		sync_engine_tell_problem(engine, ok ? "" : error->message);
	sync_engine_tell_activity(engine, "idle");
	sync_engine_done(pull->done, pull->user_data, error);
	pull_free(pull);
	calm_down(engine);
	return G_SOURCE_REMOVE;
}

void sync_engine_pull(SyncEngine *engine, const SyncPull *wish, SyncEngineDone done, gpointer user_data)
{
	SyncPullCall *pull = g_new0(SyncPullCall, 1);
	SyncPullCall *older;

	pull->hosts = g_strdupv((char **)wish->hosts);
	pull->port = wish->port;
	pull->key = wish->key;
	pull->pin = g_strdup(wish->pin);
	pull->peer_id = g_strdup(wish->peer_id);
	pull->stored = g_variant_ref(wish->stored);
	pull->hurry = wish->hurry;
	pull->done = done;
	pull->user_data = user_data;
	if (pull->hurry)
		sync_disk_hurry();
	g_mutex_lock(&engine->lock);
	older = engine->waiting;
	engine->waiting = pull;
	g_mutex_unlock(&engine->lock);
	if (older) {
		g_autoptr(GError) replaced = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_REFUSED, "replaced: a newer commit is pulled instead");
		sync_engine_done(older->done, older->user_data, replaced);
		pull_free(older);
	}
	post(engine->context, G_PRIORITY_DEFAULT, run_pull, engine);
}

typedef struct {
	SyncEngine *engine;
	GPtrArray *sets;
} ReloadCall;

static gboolean run_reload(gpointer data)
{
	ReloadCall *call = data;
	SyncEngine *engine = call->engine;
	bool leads = engine->role == SYNC_ROLE_LEAD;

	sync_lead_end(engine);
	GPtrArray *old = engine->sets;
	engine->sets = call->sets;
	pictures_new(engine);
	g_ptr_array_unref(old);
	if (leads)
		sync_lead_begin(engine);
	g_free(call);
	return G_SOURCE_REMOVE;
}

void sync_engine_reload(SyncEngine *engine, const Settings *settings)
{
	ReloadCall *call = g_new0(ReloadCall, 1);

	call->engine = engine;
	call->sets = sync_sets_new(settings);
	post(engine->context, G_PRIORITY_DEFAULT, run_reload, call);
}

/* ---- the whole ---- */

static gpointer run_thread(gpointer data)
{
	SyncEngine *engine = data;

	g_main_context_push_thread_default(engine->context);
	g_main_loop_run(engine->loop);
	sync_lead_end(engine);
	g_main_context_pop_thread_default(engine->context);
	return NULL;
}

static bool prepare(SyncEngine *engine, GError **error)
{
	g_autofree char *settled = NULL;

	if (g_mkdir_with_parents(engine->folder, 0700) < 0 || g_mkdir_with_parents(engine->scratch, 0700) < 0) {
		sync_error_from_errno(error, errno, "%s", engine->scratch);
		return false;
	}
	sync_repo_library_init();
	sync_repo_heal(engine->repository);
	engine->repo = sync_repo_open(engine->repository, error);
	if (!engine->repo)
		return false;
	SyncApply apply = sync_engine_apply(engine);
	g_autoptr(GError) problem = NULL;
	/* Who has died may be wanted for a takeover. */
	sync_disk_hurry();
	if (sync_apply_waits_for_disk(&apply))
		sync_apply_ask_disk(&apply);
	if (!sync_apply_settle(&apply, &settled, &problem))
		g_warning("finishing what was half applied: %s", problem->message);
	sync_disk_calm();
	calm_down(engine);
	return true;
}

SyncEngine *sync_engine_new(const char *folder, const Settings *settings, const SyncEngineEvents *events, gpointer user_data, GError **error)
{
	SyncEngine *engine = g_new0(SyncEngine, 1);

	g_mutex_init(&engine->lock);
	engine->events = events;
	engine->user_data = user_data;
	engine->folder = g_strdup(folder);
	engine->repository = g_build_filename(folder, "repo.git", NULL);
	engine->journal = g_build_filename(folder, "journal", NULL);
	engine->scratch = g_build_filename(folder, "scratch", NULL);
	engine->device = g_strdup(settings->id);
	engine->sets = sync_sets_new(settings);
	engine->missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	engine->strangers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	engine->following = g_cancellable_new();
	engine->context = g_main_context_new();
	engine->loop = g_main_loop_new(engine->context, FALSE);
	engine->tidied_us = g_get_monotonic_time();
	pictures_new(engine);
	if (!prepare(engine, error)) {
		sync_engine_free(engine);
		return NULL;
	}
	sync_engine_tell_lines(engine);
	sync_engine_tell_diverged(engine);
	engine->thread = g_thread_new("engine", run_thread, engine);
	return engine;
}

static gboolean quit(gpointer data)
{
	g_main_loop_quit(((SyncEngine *)data)->loop);
	return G_SOURCE_REMOVE;
}

void sync_engine_free(SyncEngine *engine)
{
	if (!engine)
		return;
	stop_following(engine);
	if (engine->thread) {
		post(engine->context, G_PRIORITY_HIGH, quit, engine);
		g_thread_join(engine->thread);
	}
	pull_free(engine->waiting);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		sync_picture_free(engine->lines[i].picture);
		g_hash_table_unref(engine->lines[i].databases);
	}
	sync_repo_free(engine->repo);
	g_ptr_array_unref(engine->sets);
	g_hash_table_unref(engine->missing);
	g_hash_table_unref(engine->strangers);
	g_clear_object(&engine->tidying);
	g_object_unref(engine->following);
	g_main_loop_unref(engine->loop);
	g_main_context_unref(engine->context);
	g_mutex_clear(&engine->lock);
	sync_term_clear(&engine->term);
	g_free(engine->peer);
	g_free(engine->folder);
	g_free(engine->repository);
	g_free(engine->journal);
	g_free(engine->scratch);
	g_free(engine->device);
	g_free(engine);
}
