/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/transfer.c - Sync1: Export and Import, as jobs. */
#include <string.h>

#include "error.h"
#include "export.h"
#include "syncd/files/file.h"
#include "service-private.h"
#include "engine-private.h"

#define PUTTING "putting it onto the files"

/* One at a time; the thread has copies of all it needs. */
typedef struct {
	SyncService *service;
	Job *job;
	GCancellable *cancellable;
	bool putting; /* it is too late to cancel */
	int fd;
	bool history;
	char *device, *model, *firmware, *pair_conf, *trusted, *author;
	SyncKey *key;
	GPtrArray *sets;
	SyncImport import;
} Transfer;

static void transfer_free(gpointer data)
{
	Transfer *transfer = data;

	sync_fd_close(&transfer->fd);
	g_free(transfer->device);
	g_free(transfer->model);
	g_free(transfer->firmware);
	g_free(transfer->pair_conf);
	g_free(transfer->trusted);
	g_free(transfer->author);
	sync_key_unref(transfer->key);
	g_ptr_array_unref(transfer->sets);
	sync_import_clear(&transfer->import);
	g_object_unref(transfer->cancellable);
	g_free(transfer);
}

/* ---- the job ---- */

typedef struct {
	GTask *task;
	double fraction;
	const char *message;
} Progress;

static gboolean tell_progress(gpointer data)
{
	g_autofree Progress *progress = data;
	g_autoptr(GTask) task = progress->task;
	const Transfer *transfer = g_task_get_task_data(task);

	/* What comes after the end was said before it. */
	if (transfer->service->transfer == task)
		job_say(transfer->job, progress->fraction, progress->message);
	return G_SOURCE_REMOVE;
}

/* In the thread. */
static void progressed(double fraction, const char *message, gpointer user_data)
{
	Progress *progress = g_new(Progress, 1);

	*progress = (Progress){ g_object_ref(user_data), fraction, message };
	sync_engine_post(NULL, G_PRIORITY_DEFAULT, tell_progress, progress);
}

static bool on_cancel(Job *job, gpointer user_data, GError **error)
{
	SyncService *service = user_data;
	const Transfer *transfer = service->transfer ? g_task_get_task_data(service->transfer) : NULL;

	if (!transfer || transfer->job != job || transfer->putting) {
		g_set_error(error, SYNC_ERROR, SYNC_ERROR_REFUSED, "under-way: it is being put onto the files");
		return false;
	}
	/* It ends when the thread has let go of it. */
	g_cancellable_cancel(transfer->cancellable);
	return true;
}

/* @result floating. */
static void end(const Transfer *transfer, const GError *error, GVariant *result)
{
	g_autoptr(GVariant) owned = result ? g_variant_ref_sink(result) : NULL;

	transfer->service->transfer = NULL;
	if (!error) {
		job_end(transfer->job, JOB_DONE, NULL, owned);
	} else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		job_end(transfer->job, JOB_CANCELLED, NULL, NULL);
	} else {
		const char *colon = strchr(error->message, ':'), *blank = strpbrk(error->message, " /");
		/* "code: text" as it is; of another kind is what other programs say. */
		g_autofree char *text = colon && (!blank || colon < blank) && error->domain == SYNC_ERROR && error->code == SYNC_ERROR_REFUSED ?
						g_strdup(error->message) :
						g_strdup_printf("failed: %s", error->message);
		g_autofree char *valid = g_utf8_make_valid(text, -1);

		job_end(transfer->job, JOB_FAILED, valid, NULL);
	}
}

static SyncExportPlace place_of(const Transfer *transfer, GTask *task)
{
	return (SyncExportPlace){
		.repository = transfer->service->repository,
		.folder = transfer->service->folder,
		.model = transfer->model,
		.firmware = transfer->firmware,
		.device = transfer->device,
		.pair_conf = transfer->pair_conf,
		.key = transfer->key,
		.sets = transfer->sets,
		.trusted = transfer->trusted,
		.progress = progressed,
		.user_data = task,
		.cancellable = transfer->cancellable,
	};
}

/* NULL: answered. */
static Transfer *transfer_new(SyncService *service, BusCall *call, const char *kind, int fd)
{
	g_autoptr(GError) error = NULL;
	Job *job = job_begin(service->jobs, kind, on_cancel, service, &error);
	const Settings *settings = service->settings;

	if (!job) {
		sync_fd_close(&fd);
		bus_call_fail(call, error);
		return NULL;
	}
	Transfer *transfer = g_new0(Transfer, 1);
	transfer->service = service;
	transfer->job = job;
	transfer->cancellable = g_cancellable_new();
	transfer->fd = fd;
	transfer->device = g_strdup(settings->id);
	transfer->model = g_strdup(settings->model);
	transfer->firmware = sync_trial_firmware(settings);
	transfer->pair_conf = g_strdup(settings->has_pair ? settings->pair_text : "");
	transfer->author = g_strdup(bus_call_caller(call));
	transfer->key = sync_key_ref(service->key);
	transfer->sets = sync_sets_new(settings);
	return transfer;
}

/* From now on it is under way. */
static void launch(GTask *task, Transfer *transfer, BusCall *call, GTaskThreadFunc thread)
{
	transfer->service->transfer = task;
	g_task_set_task_data(task, transfer, transfer_free);
	bus_call_reply(call, g_variant_new("(o)", job_path(transfer->job)));
	g_task_run_in_thread(task, thread);
}

/* The descriptor of the call; -1: answered. */
static int begin(SyncService *service, BusCall *call, gint32 handle)
{
	g_autoptr(GError) error = NULL;
	sync_autofd fd = bus_call_take_fd(call, handle, &error);

	if (fd < 0) {
		bus_call_fail(call, error);
		return -1;
	}
	if (service->transfer) {
		bus_call_fail_literal(call, BUS_ERROR_BUSY, "an export or import is under way");
		return -1;
	}
	int taken = fd;
	fd = -1;
	return taken;
}

/* ---- export ---- */

static void export_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	const Transfer *transfer = data;
	SyncExportPlace place = place_of(transfer, task);
	GError *error = NULL;

	sync_engine_store_begin(transfer->service->engine);
	bool ok = sync_export(&place, transfer->history, transfer->fd, &error);
	sync_engine_store_end(transfer->service->engine);
	if (ok)
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

static void exported(GObject *source, GAsyncResult *result, gpointer user_data)
{
	Transfer *transfer = g_task_get_task_data(G_TASK(result));
	g_autoptr(GError) error = NULL;

	(void)g_task_propagate_boolean(G_TASK(result), &error);
	end(transfer, error, error ? NULL : g_variant_new_parsed("{'fingerprint': <%s>}", transfer->key->fingerprint));
}

void sync_transfer_export(BusCall *call, GVariant *args, gpointer user_data)
{
	gint32 handle;
	gboolean history;

	g_variant_get(args, "(hb)", &handle, &history);
	int fd = begin(user_data, call, handle);
	if (fd < 0)
		return;
	Transfer *transfer = transfer_new(user_data, call, "export", fd);
	if (!transfer)
		return;
	g_autoptr(GTask) task = g_task_new(NULL, NULL, exported, NULL);
	transfer->history = history;
	launch(task, transfer, call, export_thread);
}

/* ---- import ---- */

static void tell_diverged(SyncService *service)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(SyncRepo) repo = sync_repo_open(service->repository, &error);

	if (!repo)
		return;
	g_strfreev(service->diverged);
	service->diverged = sync_repo_diverged(repo);
	bus_object_changed(service->object, SYNC_INTERFACE, "Diverged");
}

static void put(GVariant *commits, const GError *error, gpointer user_data)
{
	g_autoptr(GTask) task = user_data;
	Transfer *transfer = g_task_get_task_data(task);
	SyncService *service = transfer->service;
	const char *commit = "";

	/* Only a history is worth keeping beside what it led to. */
	if (transfer->import.is_new && (error || !transfer->import.history))
		sync_import_forget(service->repository, transfer->import.name);
	tell_diverged(service);
	if (!error)
		(void)g_variant_lookup(commits, "config", "&s", &commit);
	end(transfer, error,
	    error ? NULL : g_variant_new_parsed("{'commit': <%s>, 'line': <%s>, 'pair_conf': <%s>}", commit,
						transfer->import.history ? transfer->import.name : "", transfer->import.pair_conf));
}

static void import_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	Transfer *transfer = data;
	SyncExportPlace place = place_of(transfer, task);
	GError *error = NULL;

	sync_engine_store_begin(transfer->service->engine);
	bool ok = sync_import(&place, transfer->fd, &transfer->import, &error);
	sync_engine_store_end(transfer->service->engine);
	if (ok)
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

static void checked(GObject *source, GAsyncResult *result, gpointer user_data)
{
	GTask *task = G_TASK(result);
	Transfer *transfer = g_task_get_task_data(task);
	SyncService *service = transfer->service;
	g_autoptr(GError) error = NULL;

	bool ok = g_task_propagate_boolean(task, &error);
	if (ok && g_cancellable_is_cancelled(transfer->cancellable)) {
		if (transfer->import.is_new)
			sync_import_forget(service->repository, transfer->import.name);
		ok = !g_cancellable_set_error_if_cancelled(transfer->cancellable, &error);
	}
	if (!ok) {
		end(transfer, error, NULL);
		return;
	}
	transfer->putting = true;
	job_say(transfer->job, 0.8, PUTTING);
	g_autofree char *message = g_strdup_printf("imported: %s", transfer->import.from);
	SyncRestore wish = { .from = transfer->import.name, .path = "", .firmware = transfer->import.firmware };
	sync_engine_restore(service->engine, &wish, transfer->author, message, put, g_object_ref(task));
}

void sync_transfer_import(BusCall *call, GVariant *args, gpointer user_data)
{
	SyncService *service = user_data;
	const char *trusted;
	gint32 handle;

	g_variant_get(args, "(h&s)", &handle, &trusted);
	int fd = begin(service, call, handle);
	if (fd < 0)
		return;
	if (service->role != SYNC_ROLE_LEAD) {
		sync_fd_close(&fd);
		bus_call_fail_literal(call, BUS_ERROR_REFUSED, "not-leader: this device does not lead");
		return;
	}
	Transfer *transfer = transfer_new(service, call, "import", fd);
	if (!transfer)
		return;
	g_autoptr(GTask) task = g_task_new(NULL, NULL, checked, NULL);
	g_autofree char *peer = service->record ? sync_record_pin(service->record) : g_strdup("");
	transfer->trusted = g_strdup_printf("%s %s %s", service->key->fingerprint, peer, trusted);
	launch(task, transfer, call, import_thread);
}
