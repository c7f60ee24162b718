/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/roles.c - a device begins to lead or to follow: who gives the order is answered when the files are whole, and waits for no thread and no disk. */
#include "engine.h"

#include <fcntl.h>

#include "syncd/files/disk.h"
#include "engine-private.h"
#include "syncd/files/file.h"

enum { LEAD_SOON_MS = 250 };

/* Belongs to the main thread; the lines read role and term. */
typedef struct {
	SyncEngine *engine;
	SyncRole role;
	SyncTerm term;
	SyncEngineDone done; /* NULL: answered */
	gpointer user_data;
	GError *error;
	bool answered[SYNC_N_REFS];
	guint unanswered, running;
} RoleCall;

typedef struct {
	RoleCall *call;
	SyncLine *line;
	bool ends; /* what the line was at */
	GError *error;
} LineRole;

static void role_call_look(RoleCall *call)
{
	if (call->unanswered == 0 && call->done) {
		SyncEngineDone done = g_steal_pointer(&call->done);

		g_ptr_array_remove(call->engine->takers, call);
		done(call->error, call->user_data);
	}
	if (call->running > 0 || call->done)
		return;
	g_clear_error(&call->error);
	sync_term_clear(&call->term);
	g_free(call);
}

static void role_call_answer(RoleCall *call, guint ref, GError *error)
{
	if (call->answered[ref]) {
		g_clear_error(&error);
		return;
	}
	call->answered[ref] = true;
	call->unanswered--;
	if (call->error)
		g_clear_error(&error);
	else
		call->error = error;
}

static gboolean line_role_ran(gpointer data)
{
	LineRole *part = data;
	RoleCall *call = part->call;

	call->running--;
	role_call_answer(call, part->line->ref, part->error);
	g_free(part);
	role_call_look(call);
	return G_SOURCE_REMOVE;
}

typedef struct {
	SyncLine *line;
	char *commit; /* NULL: what the line said last */
} Whole;

static gboolean line_whole(gpointer data)
{
	Whole *whole = data;
	SyncEngine *engine = whole->line->engine;
	SyncLineNews *news = &engine->news[whole->line->ref];
	g_autoptr(GPtrArray) takers = g_ptr_array_copy(engine->takers, NULL, NULL);

	/* The disk has yet to confirm it. For this device, which leads now, it is what is on its files. */
	if (whole->commit && takers->len > 0) {
		g_free(news->applied);
		g_free(news->stored);
		news->applied = g_strdup(whole->commit);
		news->stored = g_strdup(whole->commit);
		sync_engine_lines_changed(engine);
	}
	for (guint i = 0; i < takers->len; i++) {
		role_call_answer(takers->pdata[i], whole->line->ref, NULL);
		role_call_look(takers->pdata[i]);
	}
	g_free(whole->commit);
	g_free(whole);
	return G_SOURCE_REMOVE;
}

void sync_line_whole(gpointer user_data)
{
	Whole *whole = g_new0(Whole, 1);

	whole->line = user_data;
	whole->commit = g_strdup(whole->line->making);
	sync_engine_post(NULL, G_PRIORITY_DEFAULT, line_whole, whole);
}

static gboolean begin_leading(gpointer data)
{
	SyncLine *line = data;

	if (line->role == SYNC_ROLE_LEAD && !line->rescan)
		sync_lead_begin(line);
	return G_SOURCE_REMOVE;
}

static bool change_role(SyncLine *line, SyncRole role, GError **error)
{
	bool moved;

	if (role == line->role)
		return true;
	sync_lead_end(line);
	sync_follow_end_ahead(line);
	SyncApply apply = sync_line_apply(line);
	line->role = SYNC_ROLE_IDLE;
	/* Whatever was half done becomes the old state or the new one, now. */
	if (!sync_apply_settle(&apply, &moved, error) || (role == SYNC_ROLE_LEAD && !sync_follow_park_fetched(line, error)))
		return false;
	line->role = role;
	sync_trial_over(line);
	sync_picture_mark_all(line->picture);
	/* The answer does not wait for this, nor shall an application that starts: what changes meanwhile is seen then. */
	if (role == SYNC_ROLE_LEAD) {
		g_autoptr(GSource) soon = g_timeout_source_new(LEAD_SOON_MS);

		g_source_set_callback(soon, begin_leading, line, NULL);
		g_source_attach(soon, line->context);
	}
	return true;
}

/* ---- haste ---- */

typedef struct {
	SyncLine *line;
	gint64 until_us;
	guint waits; /* for so many file systems */
} Lasting;

static gboolean on_lasting(gpointer data)
{
	if (--((Lasting *)data)->waits > 0)
		return G_SOURCE_REMOVE;
	g_autofree Lasting *lasting = data;
	SyncApply apply = sync_line_apply(lasting->line);

	sync_apply_lasting(&apply, lasting->until_us);
	return G_SOURCE_REMOVE;
}

static void ask_later(const char *path, Lasting *lasting)
{
	sync_autofd fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	lasting->waits++;
	sync_disk_later(fd, lasting->line->context, on_lasting, lasting);
}

void sync_line_calm_down(SyncLine *line)
{
	SyncApply apply = sync_line_apply(line);

	if (!sync_apply_waits_for_disk(&apply, line->asked_us))
		return;
	Lasting *lasting = g_new0(Lasting, 1);
	line->asked_us = g_get_monotonic_time();
	*lasting = (Lasting){ line, line->asked_us, 1 };
	ask_later(line->repo->path, lasting);
	for (guint i = 0; i < line->sets->len; i++) {
		const SyncSet *set = line->sets->pdata[i];

		if (set->ref == line->ref)
			ask_later(set->root, lasting);
	}
	sync_engine_post(line->context, G_PRIORITY_DEFAULT, on_lasting, lasting);
}

/* What the line does as follower is to end, and what was asked of it before it has its new role is not to begin. Transfer full: the one to cancel. */
static GCancellable *stop_following(SyncLine *line)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&line->engine->lock);

	line->ending++;
	return g_object_ref(line->following);
}

/* In the line's thread, when an order that ended something has come. */
static void begin_anew(SyncLine *line)
{
	g_autoptr(GMutexLocker) held = g_mutex_locker_new(&line->engine->lock);

	if (--line->ending > 0)
		return;
	g_object_unref(line->following);
	line->following = g_cancellable_new();
}

static gboolean run_role(gpointer data)
{
	LineRole *part = data;
	SyncLine *line = part->line;
	const RoleCall *call = part->call;

	if (part->ends)
		begin_anew(line);
	sync_term_clear(&line->term);
	line->term = (SyncTerm){ .number = call->term.number, .id = g_strdup(call->term.id), .device = g_strdup(line->engine->device) };
	sync_trial_take_firmware(line);
	if (!change_role(line, call->role, &part->error))
		sync_line_tell_problem(line, part->error->message);
	sync_line_tell(line);
	sync_line_tell_activity(line, "idle");
	if (call->role != SYNC_ROLE_FOLLOW)
		sync_disk_calm();
	sync_line_calm_down(line);
	sync_engine_post(NULL, G_PRIORITY_DEFAULT, line_role_ran, part); /* which may end the call */
	return G_SOURCE_REMOVE;
}

void sync_engine_set_role(SyncEngine *engine, SyncRole role, guint64 term, const char *term_id, SyncEngineDone done, gpointer user_data)
{
	/* One that leads already changes its files by itself: nothing to be taken from it. */
	bool leads = engine->wanted == SYNC_ROLE_LEAD && engine->takers->len == 0;
	RoleCall *call = g_new0(RoleCall, 1);

	call->engine = engine;
	call->role = role;
	call->term = (SyncTerm){ .number = term, .id = g_strdup(term_id) };
	call->done = done;
	call->user_data = user_data;
	call->unanswered = call->running = SYNC_N_REFS;
	bool led = engine->wanted == SYNC_ROLE_LEAD;
	engine->wanted = role;
	/* Not before: who gives the order hears of it, too. */
	sync_news_heard(engine);
	if (engine->doubtful)
		sync_engine_doubt(engine);
	engine->doubtful = false;
	if (role == SYNC_ROLE_LEAD) {
		g_ptr_array_add(engine->takers, call);
		sync_tidy_stop(engine->tidy);
	}
	for (guint i = 0; i < SYNC_N_REFS && role != SYNC_ROLE_FOLLOW; i++) {
		SyncLine *line = &engine->lines[i];
		g_autoptr(GCancellable) following = stop_following(line);

		/* The thread may be held up by its disk or its peer. What matters to the applications is known without it. */
		if (role == SYNC_ROLE_LEAD && (leads || sync_gate_take(line->gate, following)))
			role_call_answer(call, i, NULL);
		g_cancellable_cancel(following);
		/* Who takes over waits for no disk, nor does what is under way. */
		sync_disk_hurry();
	}
	/* Before the threads begin: on a busy machine the applications would wait for their turns, too. */
	role_call_look(call);
	for (guint i = 0; i < SYNC_N_REFS; i++) {
		LineRole *part = g_new0(LineRole, 1);

		part->call = call;
		part->ends = led || role != SYNC_ROLE_FOLLOW;
		if (led && role == SYNC_ROLE_FOLLOW) {
			/* A command that looks at what shall be restored is not waited for. */
			g_autoptr(GCancellable) leading = stop_following(&engine->lines[i]);

			g_cancellable_cancel(leading);
		}
		part->line = &engine->lines[i];
		sync_engine_post(part->line->context, G_PRIORITY_HIGH, run_role, part);
	}
}
