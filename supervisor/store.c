/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/store.c - rename, fsync, and the thread that waits for them. */
#include "supervisor/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum { ORDER_WRITE, ORDER_OVERWRITE, ORDER_APPEND, ORDER_REMOVE, ORDER_END } OrderKind;

typedef struct {
	OrderKind kind;
	char *path;
	char *text;
} Order;

struct Store {
	GAsyncQueue *orders;
	GThread *thread;
	StoreFailedCb failed;
	StoreWrittenCb written;
	gpointer user_data;
	GMainContext *context;
};

typedef struct {
	Store *store;
	char *path;
	char *text;
	char *reason; /* NULL: it is done */
} Outcome;

static bool fail(GError **error, const char *path)
{
	int reason = errno;
	g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(reason), "%s: %s", path, g_strerror(reason));
	return false;
}

static bool put(int fd, const char *text)
{
	gsize left = strlen(text);
	while (left > 0) {
		ssize_t n = write(fd, text, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		left -= (gsize)n;
	}
	return true;
}

static void sync_folder(const char *path)
{
	g_autofree char *folder = g_path_get_dirname(path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	close(fd);
}

static bool replace(const char *path, const char *text, bool durable, GError **error)
{
	g_autofree char *beside = g_strconcat(path, ".new", NULL);
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail(error, beside);
	bool ok = put(fd, text) && (!durable || fsync(fd) == 0);
	int reason = errno;
	close(fd);
	errno = reason;
	if (!ok || rename(beside, path) < 0) {
		fail(error, path);
		unlink(beside);
		return false;
	}
	if (durable)
		sync_folder(path);
	return true;
}

bool store_write_now(const char *path, const char *text, GError **error)
{
	return replace(path, text, true, error);
}

bool store_write_run(const char *path, const char *text)
{
	g_autoptr(GError) error = NULL;
	if (replace(path, text, false, &error))
		return true;
	g_warning("%s", error->message);
	return false;
}

static bool append(const char *path, const char *text, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail(error, path);
	bool ok = put(fd, text) && fsync(fd) == 0;
	int reason = errno;
	close(fd);
	errno = reason;
	return ok || fail(error, path);
}

static bool overwrite(const char *path, const char *text, GError **error)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail(error, path);
	bool ok = put(fd, text) && fdatasync(fd) == 0;
	int reason = errno;
	close(fd);
	errno = reason;
	return ok || fail(error, path);
}

static gboolean tell_outcome(gpointer data)
{
	const Outcome *outcome = data;
	const Store *store = outcome->store;
	if (outcome->reason && store->failed)
		store->failed(outcome->path, outcome->reason, store->user_data);
	else if (!outcome->reason && store->written)
		store->written(outcome->path, outcome->text, store->user_data);
	return G_SOURCE_REMOVE;
}

static void outcome_free(gpointer data)
{
	Outcome *outcome = data;
	g_free(outcome->path);
	g_free(outcome->text);
	g_free(outcome->reason);
	g_free(outcome);
}

static gpointer work(gpointer data)
{
	Store *store = data;
	for (bool end = false; !end;) {
		Order *order = g_async_queue_pop(store->orders);
		g_autoptr(GError) error = NULL;
		bool ok = true;
		switch (order->kind) {
		case ORDER_WRITE:
			ok = replace(order->path, order->text, true, &error);
			break;
		case ORDER_OVERWRITE:
			ok = overwrite(order->path, order->text, &error);
			break;
		case ORDER_APPEND:
			ok = append(order->path, order->text, &error);
			break;
		case ORDER_REMOVE:
			if (unlink(order->path) < 0 && errno != ENOENT)
				ok = fail(&error, order->path);
			else
				sync_folder(order->path);
			break;
		case ORDER_END:
			end = true;
			break;
		}
		if (!ok || order->kind == ORDER_WRITE || order->kind == ORDER_OVERWRITE) {
			Outcome *outcome = g_new0(Outcome, 1);
			*outcome = (Outcome){ store, g_strdup(order->path), g_strdup(order->text), ok ? NULL : g_strdup(error->message) };
			g_main_context_invoke_full(store->context, G_PRIORITY_DEFAULT, tell_outcome, outcome, outcome_free);
		}
		g_free(order->path);
		g_free(order->text);
		g_free(order);
	}
	return NULL;
}

Store *store_new(StoreFailedCb failed, StoreWrittenCb written, gpointer user_data)
{
	Store *store = g_new0(Store, 1);
	store->orders = g_async_queue_new();
	store->failed = failed;
	store->written = written;
	store->user_data = user_data;
	store->context = g_main_context_ref_thread_default();
	store->thread = g_thread_new("store", work, store);
	return store;
}

static void give(Store *store, OrderKind kind, const char *path, const char *text)
{
	Order *order = g_new0(Order, 1);
	*order = (Order){ kind, g_strdup(path), g_strdup(text) };
	g_async_queue_push(store->orders, order);
}

void store_free(Store *store)
{
	if (!store)
		return;
	give(store, ORDER_END, NULL, NULL);
	g_thread_join(store->thread);
	g_async_queue_unref(store->orders);
	g_main_context_unref(store->context);
	g_free(store);
}

void store_write(Store *store, const char *path, const char *text)
{
	give(store, ORDER_WRITE, path, text);
}

void store_overwrite(Store *store, const char *path, const char *text)
{
	give(store, ORDER_OVERWRITE, path, text);
}

void store_append(Store *store, const char *path, const char *text)
{
	give(store, ORDER_APPEND, path, text);
}

void store_remove(Store *store, const char *path)
{
	give(store, ORDER_REMOVE, path, NULL);
}
