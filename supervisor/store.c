/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/store.c - rename, fsync, and the thread that waits for them. */
#include "supervisor/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef enum { ORDER_WRITE, ORDER_OVERWRITE, ORDER_APPEND, ORDER_REMOVE } OrderKind;

typedef struct {
	OrderKind kind;
	char *path;
	char *text;
	StoreDoneCb done;
	gpointer user_data;
} Order;

#define ORDER_TYPE "(uss)" /* kind, path, text; one a line */

struct Store {
	char *spool;
	GMutex lock;       /* for the four below, and the file */
	GCond more;
	int spool_fd;
	GQueue waiting;    /* of Order*; the first is being carried out */
	bool ends;
	GThread *thread;
	StoreFailedCb failed;
	StoreWrittenCb written;
	gpointer user_data;
	GMainContext *context;
};

typedef struct {
	Store *store;
	Order *order;
	GError *error; /* NULL: it is done */
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

bool store_write_run(const char *path, const char *text)
{
	g_autoptr(GError) error = NULL;
	if (replace(path, text, false, &error))
		return true;
	g_warning("%s", error->message);
	return false;
}

static gpointer sync_file(gpointer data)
{
	g_autofree char *path = data;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fsync(fd) < 0)
		g_warning("%s: %s", path, g_strerror(errno));
	close(fd);
	sync_folder(path);
	return NULL;
}

bool store_write_soon(const char *path, const char *text, GError **error)
{
	if (!replace(path, text, false, error))
		return false;
	g_thread_unref(g_thread_new("store-soon", sync_file, g_strdup(path)));
	return true;
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

static void order_free(Order *order)
{
	g_free(order->path);
	g_free(order->text);
	g_free(order);
}

static gboolean tell_outcome(gpointer data)
{
	const Outcome *outcome = data;
	const Store *store = outcome->store;
	const Order *order = outcome->order;
	if (order->done)
		order->done(outcome->error, order->user_data);
	else if (outcome->error && store->failed)
		store->failed(order->path, outcome->error->message, store->user_data);
	else if (!outcome->error && store->written && (order->kind == ORDER_WRITE || order->kind == ORDER_OVERWRITE))
		store->written(order->path, order->text, store->user_data);
	return G_SOURCE_REMOVE;
}

static void outcome_free(gpointer data)
{
	Outcome *outcome = data;
	order_free(outcome->order);
	g_clear_error(&outcome->error);
	g_free(outcome);
}

/* Never g_main_context_invoke(): it may run the function in the caller's thread. */
static void tell_later(Outcome *outcome)
{
	GSource *source = g_idle_source_new();
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, tell_outcome, outcome, outcome_free);
	g_source_attach(source, outcome->store->context);
	g_source_unref(source);
}

static void spool(Store *store, const Order *order)
{
	g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new(ORDER_TYPE, (guint32)order->kind, order->path, order->text));
	g_autofree char *words = g_variant_print(value, FALSE), *line = g_strconcat(words, "\n", NULL);
	if (store->spool_fd >= 0 && !put(store->spool_fd, line))
		g_warning("%s: %s", store->spool, g_strerror(errno));
}

static bool carry_out(const Order *order, GError **error)
{
	switch (order->kind) {
	case ORDER_WRITE:
		return replace(order->path, order->text, true, error);
	case ORDER_OVERWRITE:
		return overwrite(order->path, order->text, error);
	case ORDER_APPEND:
		return append(order->path, order->text, error);
	case ORDER_REMOVE:
		if (unlink(order->path) < 0 && errno != ENOENT)
			return fail(error, order->path);
		sync_folder(order->path);
		return true;
	}
	g_assert_not_reached();
}

static Order *next_order(Store *store)
{
	g_mutex_lock(&store->lock);
	while (g_queue_is_empty(&store->waiting) && !store->ends)
		g_cond_wait(&store->more, &store->lock);
	Order *order = g_queue_peek_head(&store->waiting);
	g_mutex_unlock(&store->lock);
	return order;
}

/* With the last one everything that stands in the spool has been done. */
static void forget(Store *store)
{
	g_mutex_lock(&store->lock);
	g_queue_pop_head(&store->waiting);
	if (g_queue_is_empty(&store->waiting) && store->spool_fd >= 0)
		(void)!ftruncate(store->spool_fd, 0);
	g_mutex_unlock(&store->lock);
}

static gpointer work(gpointer data)
{
	Store *store = data;
	Order *order;
	while ((order = next_order(store))) {
		Outcome *outcome = g_new0(Outcome, 1);
		*outcome = (Outcome){ .store = store, .order = order };
		(void)carry_out(order, &outcome->error);
		forget(store);
		if (order->done || store->failed || store->written)
			tell_later(outcome);
		else
			outcome_free(outcome);
	}
	return NULL;
}

static Order *order_new(OrderKind kind, const char *path, const char *text)
{
	Order *order = g_new0(Order, 1);
	*order = (Order){ .kind = kind, .path = g_strdup(path), .text = g_strdup(text ? text : "") };
	return order;
}

static void take_up_spooled(Store *store)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents(store->spool, &text, NULL, NULL))
		return;
	/* The last one is cut short when it was being written: what follows from it has not been done either. */
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_autoptr(GVariant) order = **line ? g_variant_parse(G_VARIANT_TYPE(ORDER_TYPE), *line, NULL, NULL, NULL) : NULL;
		guint32 kind;
		const char *path, *words;
		if (!order)
			continue;
		g_variant_get(order, "(u&s&s)", &kind, &path, &words);
		if (kind <= ORDER_REMOVE)
			g_queue_push_tail(&store->waiting, order_new((OrderKind)kind, path, words));
	}
}

char *store_read(Store *store, const char *path)
{
	char *content = NULL;
	g_mutex_lock(&store->lock);
	(void)g_file_get_contents(path, &content, NULL, NULL);
	for (const GList *each = store->waiting.head; each; each = each->next) {
		const Order *order = each->data;
		if (strcmp(order->path, path) != 0)
			continue;
		g_autofree char *before = g_steal_pointer(&content);
		switch (order->kind) {
		case ORDER_WRITE:
		case ORDER_OVERWRITE:
			content = g_strdup(order->text);
			break;
		case ORDER_APPEND:
			content = g_strconcat(before ? before : "", order->text, NULL);
			break;
		case ORDER_REMOVE:
			break;
		}
	}
	g_mutex_unlock(&store->lock);
	return content;
}

char **store_list(Store *store, const char *folder)
{
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	const char *name;
	g_mutex_lock(&store->lock);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	while (dir && (name = g_dir_read_name(dir)))
		g_hash_table_add(names, g_strdup(name));
	for (const GList *each = store->waiting.head; each; each = each->next) {
		const Order *order = each->data;
		g_autofree char *of = g_path_get_dirname(order->path), *base = g_path_get_basename(order->path);
		if (strcmp(of, folder) != 0)
			continue;
		if (order->kind == ORDER_REMOVE)
			g_hash_table_remove(names, base);
		else
			g_hash_table_add(names, g_steal_pointer(&base));
	}
	g_mutex_unlock(&store->lock);
	char **list = (char **)g_hash_table_get_keys_as_array(names, NULL);
	g_hash_table_steal_all(names);
	return list;
}

Store *store_new(const char *spool_path, StoreFailedCb failed, StoreWrittenCb written, gpointer user_data)
{
	Store *store = g_new0(Store, 1);
	g_mutex_init(&store->lock);
	g_cond_init(&store->more);
	g_queue_init(&store->waiting);
	store->spool = g_strdup(spool_path);
	store->failed = failed;
	store->written = written;
	store->user_data = user_data;
	store->context = g_main_context_ref_thread_default();
	take_up_spooled(store);
	store->spool_fd = open(store->spool, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->spool_fd >= 0 && g_queue_is_empty(&store->waiting))
		(void)!ftruncate(store->spool_fd, 0);
	else if (store->spool_fd >= 0)
		(void)put(store->spool_fd, "\n"); /* ends a line that was cut short */
	store->thread = g_thread_new("store", work, store);
	return store;
}

static void give(Store *store, Order *order)
{
	g_mutex_lock(&store->lock);
	spool(store, order);
	g_queue_push_tail(&store->waiting, order);
	g_cond_signal(&store->more);
	g_mutex_unlock(&store->lock);
}

void store_free(Store *store)
{
	if (!store)
		return;
	g_mutex_lock(&store->lock);
	store->ends = true;
	g_cond_signal(&store->more);
	g_mutex_unlock(&store->lock);
	g_thread_join(store->thread);
	if (store->spool_fd >= 0)
		close(store->spool_fd);
	g_mutex_clear(&store->lock);
	g_cond_clear(&store->more);
	g_free(store->spool);
	g_main_context_unref(store->context);
	g_free(store);
}

void store_write(Store *store, const char *path, const char *text)
{
	give(store, order_new(ORDER_WRITE, path, text));
}

void store_overwrite(Store *store, const char *path, const char *text)
{
	give(store, order_new(ORDER_OVERWRITE, path, text));
}

void store_append(Store *store, const char *path, const char *text)
{
	give(store, order_new(ORDER_APPEND, path, text));
}

void store_remove(Store *store, const char *path)
{
	give(store, order_new(ORDER_REMOVE, path, NULL));
}

void store_write_then(Store *store, const char *path, const char *text, StoreDoneCb done, gpointer user_data)
{
	Order *order = order_new(ORDER_WRITE, path, text);
	order->done = done;
	order->user_data = user_data;
	give(store, order);
}
