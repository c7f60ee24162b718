/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncd/tidy.c - the repository stays as large as what is live in it: packs are folded into one, and what nothing refers to goes.
 *
 * A thread of its own waits for other programs and for the disk; the lines are held up only while it counts loose objects and while it removes some, and
 * never while this device takes over: that ends whatever is under way. git folds, as a child of the lowest priority, and names what nothing refers to. What
 * a line may have begun to use meanwhile is told by its file (fold.h); what the lines remember without a ref, and what the peer has, is named to git.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine-private.h"
#include "error.h"
#include "syncd/peer/git-http.h"
#include "syncd/repository/fold.h"

enum { NICE = 19, IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 };
enum {
	LOOK_S = 60,      /* at how much there is, when something is new */
	AFTER_TAKEOVER_S = 60,
	TRIES = 50,       /* for a moment in which no line stores anything, */
	TRY_MS = 100,     /* with so much between two */
	BATCH = 32,       /* objects go so many at a time */
	GIVE_UP_MS = 2000,
	CHECK_S = 3600,   /* everything is read at most so often for something that went wrong */
};

struct SyncTidy {
	SyncEngine *engine;
	GThread *thread;
	GMutex lock;           /* guards the rest */
	GCond cond;
	GCancellable *present; /* of what is under way */
	gint64 not_before_us;
	bool news, past_ended, quits;
	bool look;             /* at once */
	bool check;            /* what is stored is read */
	gint64 checked_us;
	gint stop;             /* atomic: leaves off checking */
	GSList *askers;        /* of Asker*, who wait for it to be tidied */
	guint pinned;          /* lines that have answered */
	SyncHeap folded;
	gint64 folded_us;
};

typedef struct {
	SyncEngineDone done;
	gpointer user_data;
	GError *error;
} Asker;

static gboolean answer(gpointer data)
{
	Asker *asker = data;

	asker->done(asker->error, asker->user_data);
	g_clear_error(&asker->error);
	g_free(asker);
	return G_SOURCE_REMOVE;
}

static void answer_all(GSList *askers, const GError *error)
{
	for (GSList *each = askers; each; each = each->next) {
		Asker *asker = each->data;

		asker->error = error ? g_error_copy(error) : NULL;
		sync_engine_post(NULL, G_PRIORITY_DEFAULT, answer, asker);
	}
	g_slist_free(askers);
}

/* ---- children ---- */

static void be_last(gpointer unused)
{
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)setpriority(PRIO_PROCESS, 0, NICE);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

static void end_child(GSubprocess *process, int number)
{
	const char *pid = g_subprocess_get_identifier(process);

	if (pid)
		(void)kill(-(pid_t)g_ascii_strtoll(pid, NULL, 10), number);
}

static gboolean end_slow_child(gpointer process)
{
	end_child(process, SIGKILL);
	return G_SOURCE_REMOVE;
}

/* Runs git; *ret_output (may be NULL): what it says. */
static bool git(SyncTidy *tidy, GCancellable *cancellable, const char *const *argv, char **ret_output, GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
	g_auto(GStrv) env = sync_git_environment(tidy->engine->folder);
	g_autofree char *output = NULL, *complaint = NULL;

	g_subprocess_launcher_set_environ(launcher, env);
	g_subprocess_launcher_set_cwd(launcher, tidy->engine->repository);
	g_subprocess_launcher_set_child_setup(launcher, be_last, NULL, NULL);
	g_autoptr(GSubprocess) process = g_subprocess_launcher_spawnv(launcher, argv, error);
	if (!process)
		return false;
	if (!g_subprocess_communicate_utf8(process, NULL, cancellable, &output, &complaint, error)) {
		end_child(process, SIGTERM);
		guint late = g_timeout_add_full(G_PRIORITY_DEFAULT, GIVE_UP_MS, end_slow_child, g_object_ref(process), g_object_unref);
		(void)g_subprocess_wait(process, NULL, NULL);
		(void)g_source_remove(late);
		return false;
	}
	if (!g_subprocess_get_successful(process)) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "git %s: %s", argv[1], g_strstrip(complaint));
		return false;
	}
	if (ret_output)
		*ret_output = g_steal_pointer(&output);
	return true;
}

/* ---- what has no ref ---- */

typedef struct {
	SyncTidy *tidy;
	SyncLine *line;
} Pinning;

/* In the line's thread: the tree of what it remembers of the disk. */
static gboolean pin(gpointer data)
{
	g_autofree Pinning *pinning = data;
	SyncLine *line = pinning->line;
	g_autoptr(GError) error = NULL;

	sync_line_store_begin(line);
	line->pinned = sync_picture_write(line->picture, line->repo, NULL, NULL, &line->pin, &error);
	line->pin_use = line->use;
	sync_line_store_end(line);
	if (!line->pinned)
		g_message("nothing is tidied: %s", error->message);
	g_mutex_lock(&pinning->tidy->lock);
	pinning->tidy->pinned++;
	g_cond_broadcast(&pinning->tidy->cond);
	g_mutex_unlock(&pinning->tidy->lock);
	return G_SOURCE_REMOVE;
}

/* Waits until they have; a line may be busy for long. */
static bool pin_all(SyncTidy *tidy, GCancellable *cancellable)
{
	SyncEngine *engine = tidy->engine;
	bool all = true;

	g_mutex_lock(&tidy->lock);
	tidy->pinned = 0;
	g_mutex_unlock(&tidy->lock);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		Pinning *pinning = g_new(Pinning, 1);

		*pinning = (Pinning){ tidy, &engine->lines[i] };
		sync_engine_post(engine->lines[i].context, G_PRIORITY_LOW, pin, pinning);
	}
	/* Each answers, also when nobody wants it any more: the next round begins after that. */
	g_mutex_lock(&tidy->lock);
	while (tidy->pinned < SYNC_N_REFS && !tidy->quits)
		g_cond_wait(&tidy->cond, &tidy->lock);
	all = tidy->pinned == SYNC_N_REFS;
	g_mutex_unlock(&tidy->lock);
	for (guint i = 0; all && i < SYNC_N_REFS; i++)
		all = engine->lines[i].pinned;
	return all && !g_cancellable_is_cancelled(cancellable);
}

/* Of a moment in which no line stores anything, and each remembers what it has pinned. NULL: there was none. */
static GHashTable *loose_at_rest(SyncTidy *tidy, GCancellable *cancellable)
{
	SyncEngine *engine = tidy->engine;

	for (guint tries = 0; tries < TRIES && pin_all(tidy, cancellable); tries++) {
		GHashTable *loose = NULL;

		if (g_rw_lock_writer_trylock(&engine->storing)) {
			bool rest = true;

			for (guint i = 0; i < SYNC_N_REFS; i++)
				rest = rest && engine->lines[i].use == engine->lines[i].pin_use;
			if (rest)
				loose = sync_heap_loose(engine->repository, cancellable);
			g_rw_lock_writer_unlock(&engine->storing);
		}
		if (loose && g_cancellable_is_cancelled(cancellable))
			g_clear_pointer(&loose, g_hash_table_unref);
		if (loose)
			return loose;
		GPollFD poll;
		if (g_cancellable_make_pollfd(cancellable, &poll)) {
			(void)g_poll(&poll, 1, TRY_MS);
			g_cancellable_release_fd(cancellable);
		}
	}
	return NULL;
}

static void add_if_there(GPtrArray *argv, SyncRepo *repo, const git_oid *id)
{
	g_autoptr(git_odb) odb = NULL;

	if (!git_oid_is_zero(id) && git_repository_odb(&odb, repo->git) == 0 && git_odb_exists(odb, id))
		g_ptr_array_add(argv, sync_oid_text(id));
}

/* What git is told to keep beside the refs. */
static GPtrArray *question(SyncTidy *tidy, GError **error)
{
	static const char *const words[] = { "git", "prune", "-n", "--expire=now", "--" };
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(SyncRepo) repo = sync_repo_open(tidy->engine->repository, error);

	if (!repo)
		return NULL;
	for (guint i = 0; i < G_N_ELEMENTS(words); i++)
		g_ptr_array_add(argv, g_strdup(words[i]));
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		SyncLine *line = &tidy->engine->lines[i];
		git_oid has = { 0 };

		add_if_there(argv, repo, &line->pin);
		/* It is what the next snapshot is sent as a difference from. */
		g_mutex_lock(&tidy->engine->lock);
		if (line->peer_has && strlen(line->peer_has) == GIT_OID_HEXSZ)
			(void)git_oid_fromstr(&has, line->peer_has);
		g_mutex_unlock(&tidy->engine->lock);
		add_if_there(argv, repo, &has);
	}
	g_ptr_array_add(argv, NULL);
	return g_steal_pointer(&argv);
}

/* ---- dropping ---- */

static guint drop(SyncTidy *tidy, GHashTable *loose, char **lines, GCancellable *cancellable)
{
	SyncEngine *engine = tidy->engine;
	guint n = 0;

	for (guint i = 0; lines[i] && !g_cancellable_is_cancelled(cancellable);) {
		g_rw_lock_writer_lock(&engine->storing);
		for (guint batch = 0; lines[i] && batch < BATCH && !g_cancellable_is_cancelled(cancellable); batch++, i++) {
			/* "<name> <kind>" */
			lines[i][strcspn(lines[i], " ")] = '\0';
			n += sync_heap_drop(engine->repository, loose, lines[i]);
		}
		g_rw_lock_writer_unlock(&engine->storing);
	}
	return n;
}

static gboolean look_anew(gpointer data)
{
	SyncLine *line = data;
	g_autoptr(GError) error = NULL;

	if (!sync_repo_reopen(line->repo, &error))
		g_warning("%s", error->message);
	return G_SOURCE_REMOVE;
}

static bool fold(SyncTidy *tidy, GCancellable *cancellable, GError **error)
{
	static const char *const repack[] = { "git", "-c", "pack.threads=1", "-c", "pack.windowMemory=32m", "repack", "-A", "-d", "-l", "-q", NULL };
	SyncEngine *engine = tidy->engine;
	g_autofree char *unused = NULL;

	sync_heap_sweep(engine->repository);
	if (!git(tidy, cancellable, repack, NULL, error))
		return false;
	/* They would know the packs that are gone for ever. */
	for (guint i = 0; i < SYNC_N_REFS; i++)
		sync_engine_post(engine->lines[i].context, G_PRIORITY_LOW, look_anew, &engine->lines[i]);
	g_autoptr(GHashTable) loose = loose_at_rest(tidy, cancellable);
	g_autoptr(GPtrArray) argv = loose ? question(tidy, error) : NULL;
	if (!loose)
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_FAILED, "there was no moment of rest");
	if (!argv || !git(tidy, cancellable, (const char *const *)argv->pdata, &unused, error))
		return false;
	g_auto(GStrv) lines = g_strsplit(unused, "\n", -1);
	guint n = drop(tidy, loose, lines, cancellable);
	g_debug("the repository is folded; %u objects removed", n);
	return !g_cancellable_set_error_if_cancelled(cancellable, error);
}

/* ---- the thread ---- */

/* The lock is held; until when there is something to look at. */
static gint64 wake_us(const SyncTidy *tidy, gint64 looked_us)
{
	if (tidy->look || tidy->askers || tidy->check)
		return 0;
	if (!tidy->news && !tidy->past_ended)
		return G_MAXINT64;
	return MAX(tidy->not_before_us, looked_us + LOOK_S * (gint64)G_USEC_PER_SEC);
}

static void look(SyncTidy *tidy, GCancellable *cancellable, bool past_ended, GSList *askers)
{
	g_autoptr(GError) error = NULL;
	gint64 now_us = g_get_monotonic_time();
	SyncHeap heap;

	sync_heap_measure(tidy->engine->repository, &heap);
	bool spent = sync_budget_look(tidy->engine);
	if (!askers && !sync_fold_due(&heap, &tidy->folded, now_us - tidy->folded_us, past_ended)) {
		g_mutex_lock(&tidy->lock);
		tidy->past_ended = tidy->past_ended || past_ended;
		/* What is little yet is folded once it has rested. */
		tidy->news = tidy->news || spent || heap.packs != tidy->folded.packs || heap.loose != tidy->folded.loose;
		g_mutex_unlock(&tidy->lock);
		return;
	}
	bool folded = fold(tidy, cancellable, &error);
	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		g_clear_error(&error);
		error = g_error_new_literal(SYNC_ERROR, SYNC_ERROR_REFUSED, "taking-over: this device takes over, or ends");
	}
	answer_all(askers, error);
	tidy->folded_us = g_get_monotonic_time();
	if (folded) {
		sync_heap_measure(tidy->engine->repository, &tidy->folded);
		if (sync_budget_look(tidy->engine))
			sync_line_tidy(&tidy->engine->lines[0]);
		return;
	}
	if (!g_cancellable_is_cancelled(cancellable))
		g_message("the repository was not folded: %s", error->message);
	g_mutex_lock(&tidy->lock);
	tidy->news = true;
	tidy->past_ended = tidy->past_ended || past_ended;
	g_mutex_unlock(&tidy->lock);
}

static gpointer run(gpointer data)
{
	SyncTidy *tidy = data;
	g_autoptr(GMainContext) context = g_main_context_new();
	gint64 looked_us = 0;

	g_main_context_push_thread_default(context);
	g_mutex_lock(&tidy->lock);
	while (!tidy->quits) {
		gint64 until_us = wake_us(tidy, looked_us);

		if (until_us == G_MAXINT64) {
			g_cond_wait(&tidy->cond, &tidy->lock);
			continue;
		}
		if (g_get_monotonic_time() < until_us) {
			(void)g_cond_wait_until(&tidy->cond, &tidy->lock, until_us);
			continue;
		}
		bool past_ended = tidy->past_ended;

		GSList *askers = g_steal_pointer(&tidy->askers);
		bool check = tidy->check;

		tidy->news = tidy->past_ended = tidy->look = tidy->check = false;
		g_set_object(&tidy->present, NULL);
		GCancellable *cancellable = tidy->present = g_cancellable_new();
		g_mutex_unlock(&tidy->lock);
		if (check) {
			g_atomic_int_set(&tidy->stop, false);
			sync_mend(tidy->engine, &tidy->stop);
		}
		look(tidy, cancellable, past_ended, askers);
		looked_us = g_get_monotonic_time();
		g_mutex_lock(&tidy->lock);
	}
	g_mutex_unlock(&tidy->lock);
	answer_all(g_steal_pointer(&tidy->askers), NULL);
	g_main_context_pop_thread_default(context);
	return NULL;
}

/* ---- for the others ---- */

void sync_line_tidy(SyncLine *line)
{
	SyncTidy *tidy = line->engine->tidy;

	g_mutex_lock(&tidy->lock);
	if (!tidy->news) {
		tidy->news = true;
		g_cond_broadcast(&tidy->cond);
	}
	g_mutex_unlock(&tidy->lock);
}

void sync_line_past_ended(SyncLine *line)
{
	SyncTidy *tidy = line->engine->tidy;

	g_mutex_lock(&tidy->lock);
	tidy->past_ended = true;
	g_cond_broadcast(&tidy->cond);
	g_mutex_unlock(&tidy->lock);
}

void sync_tidy_look(SyncTidy *tidy, SyncEngineDone done, gpointer user_data)
{
	g_mutex_lock(&tidy->lock);
	tidy->look = true;
	if (done) {
		Asker *asker = g_new0(Asker, 1);

		*asker = (Asker){ .done = done, .user_data = user_data };
		tidy->askers = g_slist_prepend(tidy->askers, asker);
	}
	g_cond_broadcast(&tidy->cond);
	g_mutex_unlock(&tidy->lock);
}

void sync_tidy_doubt(SyncTidy *tidy, bool now)
{
	gint64 now_us = g_get_monotonic_time();

	if (!tidy)
		return;
	g_mutex_lock(&tidy->lock);
	if (!tidy->check && (now || tidy->checked_us == 0 || now_us - tidy->checked_us > CHECK_S * (gint64)G_USEC_PER_SEC)) {
		tidy->check = true;
		tidy->checked_us = now_us;
		g_cond_broadcast(&tidy->cond);
	}
	g_mutex_unlock(&tidy->lock);
}

void sync_tidy_stop(SyncTidy *tidy)
{
	g_mutex_lock(&tidy->lock);
	tidy->not_before_us = g_get_monotonic_time() + AFTER_TAKEOVER_S * (gint64)G_USEC_PER_SEC;
	g_autoptr(GCancellable) present = tidy->present ? g_object_ref(tidy->present) : NULL;
	g_mutex_unlock(&tidy->lock);
	if (present)
		g_cancellable_cancel(present);
}

SyncTidy *sync_tidy_new(SyncEngine *engine)
{
	SyncTidy *tidy = g_new0(SyncTidy, 1);

	tidy->engine = engine;
	g_mutex_init(&tidy->lock);
	g_cond_init(&tidy->cond);
	tidy->folded_us = g_get_monotonic_time();
	tidy->news = true;
	tidy->thread = g_thread_new("tidy", run, tidy);
	return tidy;
}

void sync_tidy_end(SyncTidy *tidy)
{
	if (!tidy || !tidy->thread)
		return;
	sync_tidy_stop(tidy);
	g_mutex_lock(&tidy->lock);
	tidy->quits = true;
	g_atomic_int_set(&tidy->stop, true);
	g_cond_broadcast(&tidy->cond);
	g_mutex_unlock(&tidy->lock);
	g_thread_join(g_steal_pointer(&tidy->thread));
}

void sync_tidy_free(SyncTidy *tidy)
{
	if (!tidy)
		return;
	g_clear_object(&tidy->present);
	g_cond_clear(&tidy->cond);
	g_mutex_clear(&tidy->lock);
	g_free(tidy);
}
