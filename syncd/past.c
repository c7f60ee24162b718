/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/past.c - Sync1: History, Difference, Restore and RestoreFrom. */
#include "error.h"
#include "service-private.h"
#include "syncd/repository/repo.h"

enum { HISTORY_MAX = 1000 };

static void answer_restore(GVariant *commits, const GError *error, gpointer user_data)
{
	const char *commit = "";

	if (error) {
		bus_call_fail(user_data, error);
		return;
	}
	(void)g_variant_lookup(commits, "config", "&s", &commit);
	bus_call_reply(user_data, g_variant_new("(s)", commit));
}

void sync_past_restore(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *commit_hex, *author, *message;

	g_variant_get(args, "(&s&s&s)", &commit_hex, &author, &message);
	SyncRestore wish = { .from = commit_hex, .path = "", .tried = true };
	sync_engine_restore(service->engine, &wish, *author ? author : bus_call_caller(call), message, answer_restore, call);
}

typedef struct {
	char *repository, *ref, *path;
	guint count;
} HistoryQuestion;

static void history_question_free(gpointer data)
{
	HistoryQuestion *question = data;

	g_free(question->repository);
	g_free(question->ref);
	g_free(question->path);
	g_free(question);
}

static void history_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const HistoryQuestion *question = data;
	GError *error = NULL;
	GVariant *commits = sync_repo_history(question->repository, question->ref, question->path, question->count, &error);

	if (commits)
		g_task_return_pointer(task, g_variant_ref_sink(commits), (GDestroyNotify)g_variant_unref);
	else
		g_task_return_error(task, error);
}

static void history_ready(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) commits = g_task_propagate_pointer(G_TASK(result), &error);

	if (commits)
		bus_call_reply(user_data, g_variant_new("(@aa{sv})", commits));
	else
		bus_call_fail(user_data, error);
}

/* A path as people know it becomes one of the tree; a relative one is that already. NULL when no set has it. */
static char *history_path(SyncService *service, const char *ref, const char *path)
{
	g_autoptr(GPtrArray) sets = NULL;
	char *found = NULL;

	if (*path != '/')
		return g_strdup(path);
	sets = sync_sets_new(service->settings);
	/* A line kept aside may be of any ref. */
	for (guint i = 0; !found && i < SYNC_N_REFS; i++)
		if (g_str_equal(ref, sync_ref_names[i]) || g_str_has_prefix(ref, "refs/"))
			found = sync_sets_tree_path(sets, i, path);
	return found;
}

void sync_past_history(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *ref, *path;
	g_autofree char *in_tree = NULL;

	g_variant_get(args, "(&s&su)", &ref, &path, NULL);
	in_tree = history_path(service, ref, path);
	if (!in_tree) {
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s: in none of the data sets of %s", path, ref);
		return;
	}

	HistoryQuestion *question = g_new0(HistoryQuestion, 1);
	g_autoptr(GTask) task = g_task_new(NULL, NULL, history_ready, call);

	g_variant_get(args, "(ssu)", &question->ref, NULL, &question->count);
	question->path = g_steal_pointer(&in_tree);
	question->count = MIN(question->count, HISTORY_MAX);
	question->repository = g_strdup(service->repository);
	g_task_set_task_data(task, question, history_question_free);
	g_task_run_in_thread(task, history_thread);
}

static bool config_path(SyncService *service, BusCall *call, const char *path, char **ret_path)
{
	*ret_path = history_path(service, sync_ref_names[SYNC_REF_CONFIG], path);
	if (!*ret_path)
		bus_call_fail_literal(call, BUS_ERROR_INVALID_ARGS, "%s: in none of the data sets of the configuration", path);
	return *ret_path != NULL;
}

void sync_past_restore_from(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *from, *path, *author, *message;
	g_autofree char *in_tree = NULL;

	g_variant_get(args, "(&s&s&s&s)", &from, &path, &author, &message);
	if (!config_path(service, call, path, &in_tree))
		return;
	SyncRestore wish = { .from = from, .path = in_tree };
	sync_engine_restore(service->engine, &wish, *author ? author : bus_call_caller(call), message, answer_restore, call);
}

typedef struct {
	char *repository, *from, *to, *path;
} DifferenceQuestion;

static void difference_question_free(gpointer data)
{
	DifferenceQuestion *question = data;

	g_free(question->repository);
	g_free(question->from);
	g_free(question->to);
	g_free(question->path);
	g_free(question);
}

static void difference_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const DifferenceQuestion *question = data;
	GError *error = NULL;
	char *text = sync_repo_difference(question->repository, question->from, question->to, question->path, &error);

	if (text)
		g_task_return_pointer(task, text, g_free);
	else
		g_task_return_error(task, error);
}

static void difference_ready(GObject *source, GAsyncResult *result, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = g_task_propagate_pointer(G_TASK(result), &error);

	if (text)
		bus_call_reply(user_data, g_variant_new("(s)", text));
	else
		bus_call_fail(user_data, error);
}

void sync_past_difference(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *from, *to, *path;
	char *in_tree;

	g_variant_get(args, "(&s&s&s)", &from, &to, &path);
	if (!config_path(service, call, path, &in_tree))
		return;
	DifferenceQuestion *question = g_new0(DifferenceQuestion, 1);
	g_autoptr(GTask) task = g_task_new(NULL, NULL, difference_ready, call);

	*question = (DifferenceQuestion){ g_strdup(service->repository), g_strdup(from), g_strdup(to), in_tree };
	g_task_set_task_data(task, question, difference_question_free);
	g_task_run_in_thread(task, difference_thread);
}
