/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/engine.c - the threads of the refs, and the calls into them. */
#include "engine.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <malloc.h>

#include "syncd/files/disk.h"
#include "engine-private.h"
#include "error.h"
#include "syncd/files/file.h"
#include "syncd/repository/change.h"

enum { PATIENCE_US = 30000, CHANGES_MAX = 32, MUCH = 1000 };

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
void sync_engine_post(GMainContext *context, int priority, GSourceFunc function, gpointer data)
{
	GSource *source = g_idle_source_new();

	g_source_set_priority(source, priority);
	g_source_set_callback(source, function, data, NULL);
	g_source_attach(source, context);
	g_source_unref(source);
}

void sync_engine_store_begin(SyncEngine *engine)
{
	g_rw_lock_reader_lock(&engine->storing);
}

void sync_engine_store_end(SyncEngine *engine)
{
	g_rw_lock_reader_unlock(&engine->storing);
}

/* ---- one line ---- */

void sync_line_store_begin(SyncLine *line)
{
	g_rw_lock_reader_lock(&line->engine->storing);
	line->use++;
}

void sync_line_store_end(SyncLine *line)
{
	g_rw_lock_reader_unlock(&line->engine->storing);
}

void sync_line_rest(guint n)
{
	if (n >= MUCH)
		(void)malloc_trim(0);
}

void sync_line_forget_picture(SyncLine *line)
{
	sync_picture_free(line->picture);
	line->picture = sync_picture_new(line->sets, line->ref, line->engine->scratch, line->objects);
	line->checked_us = 0;
	g_hash_table_remove_all(line->databases);
}

/* ---- commits ---- */

typedef struct {
	SyncEngine *engine;
	char *author, *message;
	char *restore; /* what to go back to (SyncRestore); NULL: only commit */
	char *path, *firmware;
	bool tried;
	bool last;     /* in haste */
	SyncEngineCommits done;
	gpointer user_data;
	guint running;
	GVariantDict commits;
	GError *error;
} CommitCall;

typedef struct {
	CommitCall *call;
	SyncLine *line;
	char *commit; /* NULL: the line has none */
	GError *error;
} LineCommit;

static gboolean line_committed(gpointer data)
{
	LineCommit *part = data;
	CommitCall *call = part->call;

	if (part->commit)
		g_variant_dict_insert(&call->commits, part->line->name, "s", part->commit);
	if (part->error && !call->error)
		call->error = g_steal_pointer(&part->error);
	g_clear_error(&part->error);
	g_free(part->commit);
	g_free(part);
	if (--call->running > 0)
		return G_SOURCE_REMOVE;

	GVariantBuilder builder;
	GVariantIter iter;
	const char *ref;
	GVariant *boxed;
	g_autoptr(GVariant) dict = g_variant_ref_sink(g_variant_dict_end(&call->commits));
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
	g_variant_iter_init(&iter, dict);
	while (g_variant_iter_next(&iter, "{&sv}", &ref, &boxed)) {
		g_variant_builder_add(&builder, "{ss}", ref, g_variant_get_string(boxed, NULL));
		g_variant_unref(boxed);
	}
	g_autoptr(GVariant) commits = g_variant_ref_sink(g_variant_builder_end(&builder));
	call->done(commits, call->error, call->user_data);
	g_clear_error(&call->error);
	g_free(call->author);
	g_free(call->message);
	g_free(call->restore);
	g_free(call->path);
	g_free(call->firmware);
	g_free(call);
	return G_SOURCE_REMOVE;
}

static gboolean run_commit(gpointer data)
{
	LineCommit *part = data;
	const CommitCall *call = part->call;
	SyncLine *line = part->line;
	SyncRestore wish = { call->restore, call->path, call->tried, call->firmware };
	git_oid head;

	if (line->role != SYNC_ROLE_LEAD) {
		g_set_error(&part->error, SYNC_ERROR, SYNC_ERROR_REFUSED, "not-leader: this device does not lead");
	} else {
		if (!line->rescan)
			sync_lead_begin(line);
		sync_line_tell_activity(line, call->restore ? "applying" : "committing");
		if ((call->restore ? sync_restore(line, &wish, call->author, call->message, &part->error) :
				     sync_lead_commit(line, call->author, call->message, &part->error)) &&
		    sync_repo_get_ref(line->repo, "heads", line->name, &head))
			part->commit = sync_oid_text(&head);
		sync_line_tell_activity(line, "idle");
	}
	if (call->last) {
		(void)sync_disk_is_lasting(PATIENCE_US);
		sync_disk_calm();
	}
	sync_engine_post(NULL, G_PRIORITY_DEFAULT, line_committed, part);
	return G_SOURCE_REMOVE;
}

static void commit(SyncEngine *engine, guint first, guint n, CommitCall content)
{
	CommitCall *call = g_new(CommitCall, 1);

	*call = content;
	call->engine = engine;
	call->running = n;
	g_variant_dict_init(&call->commits, NULL);
	for (guint i = first; i < first + n; i++) {
		LineCommit *part = g_new0(LineCommit, 1);

		part->call = call;
		part->line = &engine->lines[i];
		if (call->last)
			sync_disk_hurry();
		sync_engine_post(part->line->context, call->last ? G_PRIORITY_HIGH : G_PRIORITY_DEFAULT, run_commit, part);
	}
}

void sync_engine_commit(SyncEngine *engine, const char *author, const char *message, SyncEngineCommits done, gpointer user_data)
{
	commit(engine, 0, SYNC_N_REFS,
	       (CommitCall){ .author = g_strdup(author), .message = g_strdup(message), .done = done, .user_data = user_data });
}

void sync_engine_commit_last(SyncEngine *engine, const char *author, const char *message, SyncEngineCommits done, gpointer user_data)
{
	sync_tidy_stop(engine->tidy);
	commit(engine, 0, SYNC_N_REFS,
	       (CommitCall){ .author = g_strdup(author), .message = g_strdup(message), .last = true, .done = done, .user_data = user_data });
}

void sync_engine_restore(SyncEngine *engine, const SyncRestore *wish, const char *author, const char *message, SyncEngineCommits done, gpointer user_data)
{
	commit(engine, SYNC_REF_CONFIG, 1,
	       (CommitCall){ .author = g_strdup(author), .message = g_strdup(message), .tried = wish->tried, .restore = g_strdup(wish->from),
			     .path = g_strdup(wish->path), .firmware = g_strdup(wish->firmware), .done = done, .user_data = user_data });
}

/* ---- settings ---- */

static void reload_free(SyncReloadCall *reload)
{
	if (!reload)
		return;
	g_ptr_array_unref(reload->sets);
	settings_unref(reload->settings);
	g_free(reload);
}

/* Takes @reload; NULL: the settings are those that the line has. */
static void use_settings(SyncLine *line, SyncReloadCall *reload)
{
	bool leads = line->role == SYNC_ROLE_LEAD;

	if (!reload)
		return;
	sync_lead_end(line);
	sync_follow_end_ahead(line);
	g_autoptr(GPtrArray) old = line->sets; /* the picture's, until that is forgotten */
	line->sets = g_steal_pointer(&reload->sets);
	settings_unref(line->settings);
	line->settings = g_steal_pointer(&reload->settings);
	g_free(reload);
	sync_trial_take_firmware(line);
	sync_trial_forget(line);
	sync_line_forget_picture(line);
	if (leads)
		sync_lead_begin(line);
}

static gboolean run_reload(gpointer data)
{
	SyncLine *line = data;

	g_mutex_lock(&line->engine->lock);
	SyncReloadCall *reload = g_steal_pointer(&line->reloading);
	g_mutex_unlock(&line->engine->lock);
	use_settings(line, reload);
	return G_SOURCE_REMOVE;
}

void sync_engine_reload(SyncEngine *engine, const Settings *settings)
{
	g_autoptr(GPtrArray) sets = sync_sets_new(settings);

	g_atomic_int_set(&engine->budget_mb, (gint)settings->disk_budget_mb);
	sync_tidy_look(engine->tidy, NULL, NULL);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &engine->lines[i];
		SyncReloadCall *reload = g_new0(SyncReloadCall, 1);

		reload->sets = g_ptr_array_ref(sets);
		reload->settings = settings_ref((Settings *)settings);
		g_mutex_lock(&engine->lock);
		reload_free(line->reloading);
		line->reloading = reload;
		g_mutex_unlock(&engine->lock);
		sync_engine_post(line->context, G_PRIORITY_DEFAULT, run_reload, line);
	}
}

/* ---- pulls ---- */

/* Somebody who asked; the main thread's. */
typedef struct {
	SyncEngineDone done;
	gpointer user_data;
	guint running;
	GError *error;
} Pull;

typedef struct {
	GSList *askers;
	GError *error;
} Pulled;

static gboolean line_pulled(gpointer data)
{
	Pulled *pulled = data;

	for (GSList *each = pulled->askers; each; each = each->next) {
		Pull *pull = each->data;

		if (pulled->error && !pull->error)
			pull->error = g_error_copy(pulled->error);
		if (--pull->running > 0)
			continue;
		if (pull->done)
			pull->done(pull->error, pull->user_data);
		g_clear_error(&pull->error);
		g_free(pull);
	}
	g_slist_free(pulled->askers);
	g_clear_error(&pulled->error);
	g_free(pulled);
	return G_SOURCE_REMOVE;
}

static void pull_free(SyncPullCall *pull)
{
	if (!pull)
		return;
	if (pull->hurry)
		sync_disk_calm();
	g_strfreev(pull->hosts);
	sync_key_unref(pull->key);
	g_free(pull->pin);
	g_free(pull->peer_id);
	g_variant_unref(pull->stored);
	g_ptr_array_unref(pull->changes);
	g_slist_free(pull->askers);
	g_free(pull);
}

/* A newer pull waits for which this one left off: it answers for both. */
static bool hand_on(SyncLine *line, SyncPullCall *pull, const GError *error)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&line->engine->lock);

	if (!line->objects || !line->waiting || !g_error_matches(error, SYNC_ERROR, SYNC_ERROR_REFUSED))
		return false;
	line->waiting->askers = g_slist_concat(line->waiting->askers, g_steal_pointer(&pull->askers));
	return true;
}

static gboolean run_pull(gpointer data)
{
	SyncLine *line = data;
	SyncEngine *engine = line->engine;

	g_mutex_lock(&engine->lock);
	SyncPullCall *pull = g_steal_pointer(&line->waiting);
	/* A pull that was in the queue before them may be the one that is asked for now, too. */
	SyncReloadCall *reload = pull ? g_steal_pointer(&line->reloading) : NULL;
	g_autoptr(GCancellable) cancellable = g_object_ref(line->following);
	g_mutex_unlock(&engine->lock);
	if (!pull)
		return G_SOURCE_REMOVE;
	use_settings(line, reload);
	/* Not an order of its own in the queue: a pull that was there before it may be the one that is asked for now. */
	if (g_atomic_int_compare_and_exchange(&line->again, true, false))
		sync_trial_forget(line);
	Pulled *pulled = g_new0(Pulled, 1);
	bool ok = sync_follow_pull(line, pull, cancellable, &pulled->error);
	if (g_error_matches(pulled->error, SYNC_ERROR, SYNC_ERROR_FAILED) && !g_cancellable_is_cancelled(cancellable))
		sync_tidy_doubt(engine->tidy, false);
	if (!ok && hand_on(line, pull, pulled->error)) {
		g_clear_error(&pulled->error);
		ok = true;
	}
	if (line->role == SYNC_ROLE_FOLLOW && !g_cancellable_is_cancelled(cancellable))
		sync_line_tell_problem(line, ok ? "" : pulled->error->message);
	sync_line_tell_activity(line, "idle");
	pulled->askers = g_steal_pointer(&pull->askers);
	sync_engine_post(NULL, G_PRIORITY_DEFAULT, line_pulled, pulled);
	pull_free(pull);
	sync_line_calm_down(line);
	return G_SOURCE_REMOVE;
}

void sync_engine_pull(SyncEngine *engine, const SyncPull *wish, SyncEngineDone done, gpointer user_data)
{
	Pull *asker = g_new0(Pull, 1);

	asker->done = done;
	asker->user_data = user_data;
	asker->running = SYNC_N_REFS;
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &engine->lines[i];
		SyncPullCall *pull = g_new0(SyncPullCall, 1);
		SyncPullCall *older;

		pull->hosts = g_strdupv((char **)wish->hosts);
		pull->port = wish->port;
		pull->key = sync_key_ref(wish->key);
		pull->pin = g_strdup(wish->pin);
		pull->peer_id = g_strdup(wish->peer_id);
		pull->stored = g_variant_ref(wish->stored);
		GVariant *change = wish->changes ? g_variant_lookup_value(wish->changes, line->name, NULL) : NULL;
		pull->hurry = wish->hurry;
		if (pull->hurry)
			sync_disk_hurry();
		g_mutex_lock(&engine->lock);
		older = g_steal_pointer(&line->waiting);
		/* Who waits for the older one has what it asked for when the newer one is there. */
		pull->askers = g_slist_prepend(older ? g_steal_pointer(&older->askers) : NULL, asker);
		line->waiting = pull;
		/* One may go on from the other, which nobody has looked at yet. */
		pull->changes = older ? g_ptr_array_ref(older->changes) : g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
		if (change)
			g_ptr_array_add(pull->changes, change);
		if (pull->changes->len > CHANGES_MAX)
			g_ptr_array_set_size(pull->changes, 0);
		g_mutex_unlock(&engine->lock);
		pull_free(older);
		sync_engine_post(line->context, G_PRIORITY_DEFAULT, run_pull, line);
	}
}

/* ---- what the peer has ---- */

typedef struct {
	SyncLine *line;
	char *commit;
} PeerHas;

static gboolean take_peer_has(gpointer data)
{
	g_autofree PeerHas *has = data;
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&has->line->engine->lock);

	g_free(has->line->peer_has);
	has->line->peer_has = has->commit;
	return G_SOURCE_REMOVE;
}

void sync_engine_peer_has(SyncEngine *engine, GVariant *applied)
{
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		PeerHas *has = g_new0(PeerHas, 1);
		const char *commit = "";

		has->line = &engine->lines[i];
		if (applied) {
			(void)g_variant_lookup(applied, has->line->name, "&s", &commit);
			has->commit = g_strdup(commit);
		}
		sync_engine_post(has->line->context, G_PRIORITY_DEFAULT, take_peer_has, has);
	}
}

void sync_engine_doubt(SyncEngine *engine)
{
	sync_tidy_doubt(engine->tidy, true);
}

bool sync_engine_is_damaged(SyncEngine *engine)
{
	bool any = false;

	for (guint i = 0; i < SYNC_N_REFS; i++)
		any = any || g_atomic_int_get(&engine->lines[i].damaged);
	return any;
}

void sync_engine_tidy(SyncEngine *engine, SyncEngineDone done, gpointer user_data)
{
	sync_tidy_look(engine->tidy, done, user_data);
}

/* ---- hooks ---- */

static gboolean on_hooks(gpointer data)
{
	SyncEngine *engine = data;

	engine->events->hooks(engine->user_data);
	return G_SOURCE_REMOVE;
}

GVariant *sync_engine_hooks(SyncEngine *engine)
{
	return sync_hooks_wanted(engine->hooks);
}

bool sync_engine_hook_ended(SyncEngine *engine, guint64 serial, bool ok, const char *text)
{
	return sync_hooks_ended(engine->hooks, serial, ok, text);
}

void sync_engine_try_again(SyncEngine *engine)
{
	g_atomic_int_set(&engine->lines[SYNC_REF_CONFIG].again, true);
}

/* ---- the whole ---- */

static gpointer run_thread(gpointer data)
{
	SyncLine *line = data;

	/* So many bytes shall hold up nobody else's. */
	if (line->objects)
		sync_disk_apart();
	g_main_context_push_thread_default(line->context);
	g_main_loop_run(line->loop);
	sync_lead_end(line);
	g_main_context_pop_thread_default(line->context);
	return NULL;
}

/* An earlier version had one journal for all refs. */
static void adopt_common_mark(SyncLine *line)
{
	g_autofree char *path = g_build_filename(line->engine->folder, "journal", NULL);
	g_autofree char *text = NULL;
	g_autoptr(SyncPlan) plan = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return;
	plan = sync_plan_from_journal(text, NULL);
	if (plan && g_str_equal(plan->ref, line->name) && rename(path, line->journal) < 0)
		g_warning("%s: %s", path, g_strerror(errno));
}

static bool line_init(SyncLine *line, GPtrArray *sets, const Settings *settings, GError **error)
{
	bool moved;

	line->journal = g_strconcat(line->engine->folder, "/journal-", line->name, NULL);
	line->gate = sync_gate_new(line->journal, &line->engine->marks, line->ref, sync_line_whole, line);
	line->following = g_cancellable_new();
	line->context = g_main_context_new();
	line->loop = g_main_loop_new(line->context, FALSE);
	line->sets = g_ptr_array_ref(sets);
	line->settings = settings_ref((Settings *)settings);
	line->databases = g_hash_table_new(NULL, NULL);
	line->missing = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	line->strangers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	if (line->ref == SYNC_REF_VOICE)
		sync_voice_init(line);
	sync_line_forget_picture(line);
	line->repo = sync_repo_open(line->engine->repository, error);
	if (!line->repo)
		return false;
	adopt_common_mark(line);
	SyncApply apply = sync_line_apply(line);
	g_autoptr(GError) problem = NULL;
	/* Who has died may be wanted for a takeover. */
	sync_disk_hurry();
	if (!sync_apply_settle(&apply, &moved, &problem))
		g_warning("finishing what was half applied: %s", problem->message);
	sync_disk_calm();
	sync_line_calm_down(line);
	return true;
}

static void line_clear(SyncLine *line)
{
	if (line->thread)
		g_thread_join(line->thread);
	pull_free(line->waiting);
	reload_free(line->reloading);
	sync_voice_clear(line);
	sync_ahead_free(line->ahead);
	sync_picture_free(line->picture);
	g_clear_pointer(&line->databases, g_hash_table_unref);
	g_clear_pointer(&line->missing, g_hash_table_unref);
	g_clear_pointer(&line->strangers, g_hash_table_unref);
	sync_repo_free(line->repo);
	sync_gate_free(line->gate);
	g_clear_pointer(&line->sets, g_ptr_array_unref);
	settings_unref(line->settings);
	g_free(line->held_why);
	g_clear_object(&line->following);
	g_clear_pointer(&line->loop, g_main_loop_unref);
	g_clear_pointer(&line->context, g_main_context_unref);
	sync_term_clear(&line->term);
	g_free(line->peer);
	g_free(line->peer_has);
	g_free(line->journal);
}

SyncEngine *sync_engine_new(const char *folder, const Settings *settings, const SyncEngineEvents *events, gpointer user_data, GError **error)
{
	g_autoptr(SyncEngine) engine = g_new0(SyncEngine, 1);
	g_autoptr(GPtrArray) sets = sync_sets_new(settings);

	g_mutex_init(&engine->lock);
	g_rw_lock_init(&engine->storing);
	g_mutex_init(&engine->sweeping);
	engine->marks.fd = -1;
	engine->events = events;
	engine->user_data = user_data;
	engine->folder = g_strdup(folder);
	engine->repository = g_build_filename(folder, "repo.git", NULL);
	engine->scratch = g_build_filename(folder, "scratch", NULL);
	engine->device = g_strdup(settings->id);
	engine->budget_mb = (gint)settings->disk_budget_mb;
	engine->takers = g_ptr_array_new();
	engine->hooks = sync_hooks_new(on_hooks, engine);
	g_autofree char *staged = g_build_filename(folder, "staged", NULL);
	engine->staged = sync_staged_new(staged);
	engine->uniting = sync_uniting_new(engine);
	if (g_mkdir_with_parents(engine->folder, 0700) < 0 || g_mkdir_with_parents(engine->scratch, 0700) < 0) {
		sync_error_from_errno(error, errno, "%s", engine->scratch);
		return NULL;
	}
	if (!sync_marks_open(&engine->marks, SYNC_MARKS_FILE, SYNC_MASTER_FILE, SYNC_N_REFS, error))
		return NULL;
	g_autofree char *objects = g_build_filename(folder, "lfs", NULL);
	engine->objects = sync_objects_open(objects, error);
	if (!engine->objects)
		return NULL;
	sync_repo_library_init();
	engine->doubtful = sync_mend_begin(engine);
	engine->doubtful = sync_repo_heal(engine->repository) || engine->doubtful;
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		engine->lines[i].engine = engine;
		engine->lines[i].name = sync_ref_names[i];
		engine->lines[i].ref = i;
		if (!line_init(&engine->lines[i], sets, settings, error))
			return NULL;
	}
	/* Before the threads, which have something for it. */
	engine->tidy = sync_tidy_new(engine);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &engine->lines[i];

		sync_line_tell(line);
		line->thread = g_thread_new(line->name, run_thread, line);
	}
	sync_line_tell_diverged(&engine->lines[SYNC_REF_CONFIG]);
	sync_line_tell_apart(&engine->lines[SYNC_REF_CONFIG]);
	return g_steal_pointer(&engine);
}

static gboolean quit(gpointer data)
{
	g_main_loop_quit(data);
	return G_SOURCE_REMOVE;
}

void sync_engine_free(SyncEngine *engine)
{
	if (!engine)
		return;
	sync_tidy_end(engine->tidy);
	g_clear_pointer(&engine->uniting, sync_uniting_free);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &engine->lines[i];

		if (!line->thread)
			continue;
		g_cancellable_cancel(line->following);
		sync_engine_post(line->context, G_PRIORITY_HIGH, quit, line->loop);
	}
	if (engine->tidy)
		sync_mend_end(engine);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		line_clear(&engine->lines[i]);
		g_free(engine->news[i].stored);
		g_free(engine->news[i].applied);
		g_free(engine->news[i].activity);
		g_free(engine->news[i].problem);
		sync_term_clear(&engine->news[i].term);
	}
	sync_tidy_free(engine->tidy);
	sync_news_clear(engine);
	sync_hooks_free(engine->hooks);
	sync_staged_free(engine->staged);
	sync_objects_free(engine->objects);
	sync_marks_close(&engine->marks);
	g_ptr_array_unref(engine->takers);
	g_mutex_clear(&engine->lock);
	g_rw_lock_clear(&engine->storing);
	g_mutex_clear(&engine->sweeping);
	g_free(engine->folder);
	g_free(engine->repository);
	g_free(engine->scratch);
	g_free(engine->device);
	g_free(engine);
}
