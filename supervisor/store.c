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

#define ORDER_TYPE "(uss)" /* kind, path, text; one a line */

struct Store {
	char *spool;
	GMutex lock;       /* for the two below, and the file */
	int spool_fd;
	guint n_waiting;
	GPtrArray *found;  /* of GVariant* ORDER_TYPE: what an earlier supervisor had waiting */
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

/* With the last one everything that stands there has been done. */
static void forget_spooled(Store *store)
{
	g_mutex_lock(&store->lock);
	if (--store->n_waiting == 0 && store->spool_fd >= 0)
		(void)!ftruncate(store->spool_fd, 0);
	g_mutex_unlock(&store->lock);
}

static void spool(Store *store, OrderKind kind, const char *path, const char *text)
{
	g_autoptr(GVariant) order = g_variant_ref_sink(g_variant_new(ORDER_TYPE, (guint32)kind, path, text ? text : ""));
	g_autofree char *words = g_variant_print(order, FALSE), *line = g_strconcat(words, "\n", NULL);
	g_mutex_lock(&store->lock);
	store->n_waiting++;
	if (store->spool_fd >= 0 && !put(store->spool_fd, line))
		g_warning("%s: %s", store->spool, g_strerror(errno));
	g_mutex_unlock(&store->lock);
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
		if (!end)
			forget_spooled(store);
		g_free(order->path);
		g_free(order->text);
		g_free(order);
	}
	return NULL;
}

static void push(Store *store, OrderKind kind, const char *path, const char *text)
{
	Order *order = g_new0(Order, 1);
	*order = (Order){ kind, g_strdup(path), g_strdup(text) };
	g_async_queue_push(store->orders, order);
}

static void take_up_spooled(Store *store)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents(store->spool, &text, NULL, NULL))
		return;
	/* The last one is cut short when it was being written: what follows from it has not been done either. */
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		GVariant *order = **line ? g_variant_parse(G_VARIANT_TYPE(ORDER_TYPE), *line, NULL, NULL, NULL) : NULL;
		guint32 kind;
		const char *path, *words;
		if (!order)
			continue;
		g_ptr_array_add(store->found, order);
		g_variant_get(order, "(u&s&s)", &kind, &path, &words);
		store->n_waiting++;
		push(store, kind, path, words);
	}
}

char *store_read(const Store *store, const char *path)
{
	char *content = NULL;
	(void)g_file_get_contents(path, &content, NULL, NULL);
	for (guint i = 0; i < store->found->len; i++) {
		guint32 kind;
		const char *of, *text;
		g_variant_get(store->found->pdata[i], "(u&s&s)", &kind, &of, &text);
		if (strcmp(of, path) != 0)
			continue;
		char *before = g_steal_pointer(&content);
		switch ((OrderKind)kind) {
		case ORDER_WRITE:
		case ORDER_OVERWRITE:
			content = g_strdup(text);
			break;
		case ORDER_APPEND:
			content = g_strconcat(before ? before : "", text, NULL);
			break;
		case ORDER_REMOVE:
		case ORDER_END:
			break;
		}
		g_free(before);
	}
	return content;
}

Store *store_new(const char *spool_path, StoreFailedCb failed, StoreWrittenCb written, gpointer user_data)
{
	Store *store = g_new0(Store, 1);
	g_mutex_init(&store->lock);
	store->spool = g_strdup(spool_path);
	store->found = g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
	store->orders = g_async_queue_new();
	store->failed = failed;
	store->written = written;
	store->user_data = user_data;
	store->context = g_main_context_ref_thread_default();
	take_up_spooled(store);
	store->spool_fd = open(store->spool, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->spool_fd >= 0 && store->n_waiting == 0)
		(void)!ftruncate(store->spool_fd, 0);
	else if (store->spool_fd >= 0)
		(void)put(store->spool_fd, "\n"); /* ends a line that was cut short */
	store->thread = g_thread_new("store", work, store);
	return store;
}

static void give(Store *store, OrderKind kind, const char *path, const char *text)
{
	spool(store, kind, path, text);
	push(store, kind, path, text);
}

void store_free(Store *store)
{
	if (!store)
		return;
	push(store, ORDER_END, NULL, NULL);
	g_thread_join(store->thread);
	if (store->spool_fd >= 0)
		close(store->spool_fd);
	g_mutex_clear(&store->lock);
	g_ptr_array_unref(store->found);
	g_free(store->spool);
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
