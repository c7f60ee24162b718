/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/transfer.c - Sync1: Export and Import. */
#include "error.h"
#include "export.h"
#include "syncd/files/file.h"
#include "service-private.h"
#include "engine-private.h"

/* One at a time; the thread has copies of all it needs. */
typedef struct {
	SyncService *service;
	BusCall *call;
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
	g_free(transfer);
}

static SyncExportPlace place_of(const Transfer *transfer)
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
	};
}

static Transfer *transfer_new(SyncService *service, BusCall *call, int fd)
{
	Transfer *transfer = g_new0(Transfer, 1);
	const Settings *settings = service->settings;

	transfer->service = service;
	transfer->call = call;
	transfer->fd = fd;
	transfer->device = g_strdup(settings->id);
	transfer->model = g_strdup(settings->model);
	transfer->firmware = sync_trial_firmware(settings);
	transfer->pair_conf = g_strdup(settings->has_pair ? settings->pair_text : "");
	transfer->author = g_strdup(bus_call_caller(call));
	transfer->key = sync_key_ref(service->key);
	transfer->sets = sync_sets_new(settings);
	service->transferring = true;
	return transfer;
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
	if (service->transferring) {
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
	SyncExportPlace place = place_of(transfer);
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

	transfer->service->transferring = false;
	if (g_task_propagate_boolean(G_TASK(result), &error))
		bus_call_reply(transfer->call, g_variant_new("(s)", transfer->key->fingerprint));
	else
		bus_call_fail(transfer->call, error);
}

void sync_transfer_export(BusCall *call, GVariant *args, gpointer user_data)
{
	gint32 handle;
	gboolean history;

	g_variant_get(args, "(hb)", &handle, &history);
	int fd = begin(user_data, call, handle);
	if (fd < 0)
		return;
	Transfer *transfer = transfer_new(user_data, call, fd);
	g_autoptr(GTask) task = g_task_new(NULL, NULL, exported, NULL);
	transfer->history = history;
	g_task_set_task_data(task, transfer, transfer_free);
	g_task_run_in_thread(task, export_thread);
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

	service->transferring = false;
	/* Only a history is worth keeping beside what it led to. */
	if (transfer->import.is_new && (error || !transfer->import.history))
		sync_import_forget(service->repository, transfer->import.name);
	tell_diverged(service);
	if (error) {
		bus_call_fail(transfer->call, error);
		return;
	}
	(void)g_variant_lookup(commits, "config", "&s", &commit);
	bus_call_reply(transfer->call, g_variant_new("(sss)", commit, transfer->import.history ? transfer->import.name : "", transfer->import.pair_conf));
}

static void import_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	Transfer *transfer = data;
	SyncExportPlace place = place_of(transfer);
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

	if (!g_task_propagate_boolean(task, &error)) {
		service->transferring = false;
		bus_call_fail(transfer->call, error);
		return;
	}
	g_autofree char *message = g_strdup_printf("imported: %s", transfer->import.from);
	sync_engine_restore(service->engine, transfer->import.name, "", false, transfer->author, message, put, g_object_ref(task));
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
	Transfer *transfer = transfer_new(service, call, fd);
	g_autoptr(GTask) task = g_task_new(NULL, NULL, checked, NULL);
	g_autofree char *peer = service->record ? sync_record_pin(service->record) : g_strdup("");
	transfer->trusted = g_strdup_printf("%s %s %s", service->key->fingerprint, peer, trusted);
	g_task_set_task_data(task, transfer, transfer_free);
	g_task_run_in_thread(task, import_thread);
}
